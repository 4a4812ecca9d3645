-- One row: how many people whom tonight's files name with blanks around their identifier are known without them.
WITH named AS (
    SELECT known.patient_id
    FROM core.patient AS known
    WHERE known.taken_for = $1
    UNION
    SELECT condition.patient_id
    FROM core.condition AS condition
    WHERE condition.taken_for = $1
    UNION
    SELECT medication.patient_id
    FROM core.medication AS medication
    WHERE medication.taken_for = $1
    UNION
    SELECT stored.patient_id
    FROM core.lab_row AS stored
    SEMI JOIN core.lab_file AS file
        ON file.file_id = stored.file_id
        AND file.taken_for = $1
    WHERE contains(stored.patient_id, ' ')
),

padded AS (
    SELECT DISTINCT trim(named.patient_id) AS patient_id
    FROM named
    WHERE named.patient_id <> trim(named.patient_id)
),

plain AS (
    SELECT known.patient_id
    FROM core.patient AS known
    UNION ALL
    SELECT condition.patient_id
    FROM core.condition AS condition
    UNION ALL
    SELECT medication.patient_id
    FROM core.medication AS medication
    UNION ALL
    SELECT stored.patient_id
    FROM core.lab_row AS stored
    WHERE stored.patient_id IN (SELECT padded.patient_id FROM padded)
)

SELECT count(*) AS n_people
FROM padded
SEMI JOIN plain
    ON plain.patient_id = padded.patient_id
