-- One row: how many people are known with blanks around their identifier and without, the one or the other since
-- tonight.
WITH told AS (
    SELECT
        known.patient_id,
        known.taken_for = $1 AS is_new
    FROM core.patient AS known
    UNION ALL
    SELECT
        condition.patient_id,
        condition.taken_for = $1 AS is_new
    FROM core.condition AS condition
    UNION ALL
    SELECT
        medication.patient_id,
        medication.taken_for = $1 AS is_new
    FROM core.medication AS medication
),

-- Of the results only tonight's are looked through; they are by far the most rows.
padded AS MATERIALIZED (
    SELECT
        trim(named.patient_id) AS patient_id,
        bool_or(named.is_new) AS is_new
    FROM (
        SELECT told.*
        FROM told
        UNION ALL
        SELECT
            stored.patient_id,
            TRUE AS is_new
        FROM core.lab_row AS stored
        SEMI JOIN core.lab_file AS file
            ON file.file_id = stored.file_id
            AND file.taken_for = $1
        WHERE contains(stored.patient_id, ' ')
    ) AS named
    WHERE named.patient_id <> trim(named.patient_id)
    GROUP BY ALL
),

plain AS (
    SELECT told.*
    FROM told
    UNION ALL
    SELECT
        stored.patient_id,
        file.taken_for = $1 AS is_new
    FROM core.lab_row AS stored
    INNER JOIN core.lab_file AS file
        ON file.file_id = stored.file_id
    WHERE stored.patient_id IN (SELECT padded.patient_id FROM padded)
)

SELECT count(DISTINCT padded.patient_id) AS n_people
FROM padded
INNER JOIN plain
    ON plain.patient_id = padded.patient_id
WHERE padded.is_new OR plain.is_new
