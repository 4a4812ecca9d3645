-- One row: how many people cannot be as their record says, by what came tonight: those of whom samples were taken
-- long after their day of death, and those older than anybody. Who has opted out is not looked at, and of whom
-- another clinic alone was told tonight was told before.
WITH person AS (
    SELECT
        known.patient_id,
        known.deceased_on,
        known.birth_date,
        known.taken_for = $1 AND former.patient_id IS NULL AS is_new
    FROM core.patient AS known
    LEFT JOIN (
        SELECT DISTINCT
            older.patient_id,
            older.deceased_on,
            older.birth_date
        FROM private.patient AS older
        WHERE older.replaced_on = $1
    ) AS former
        ON former.patient_id = known.patient_id
        AND former.deceased_on IS NOT DISTINCT FROM known.deceased_on
        AND former.birth_date IS NOT DISTINCT FROM known.birth_date
    WHERE NOT known.opted_out
),

dead AS (
    SELECT person.*
    FROM person
    WHERE person.deceased_on IS NOT NULL
),

-- Of who died as is known tonight every result counts, of the others those of tonight.
sample AS (
    SELECT
        stored.patient_id,
        stored.word_id,
        stored.collected_at
    FROM core.lab_row AS stored
    SEMI JOIN dead
        ON dead.patient_id = stored.patient_id
        AND NOT dead.is_new
    SEMI JOIN core.lab_file AS file
        ON file.file_id = stored.file_id
        AND file.taken_for = $1
    UNION ALL
    SELECT
        stored.patient_id,
        stored.word_id,
        stored.collected_at
    FROM core.lab_row AS stored
    SEMI JOIN dead
        ON dead.patient_id = stored.patient_id
        AND dead.is_new
)

SELECT
    (
        SELECT count(DISTINCT sample.patient_id)
        FROM sample
        INNER JOIN dead
            ON dead.patient_id = sample.patient_id
            AND sample.collected_at >= dead.deceased_on + to_days($2)
        INNER JOIN core.lab_word AS word
            ON word.word_id = sample.word_id
            AND word.status IN ('final', 'amended', 'corrected')
    ) AS n_dead,
    (
        SELECT count(*)
        FROM person
        WHERE person.is_new
            AND person.deceased_on IS NULL
            AND person.birth_date + to_years($3) <= CAST($1 AS DATE)
    ) AS n_old
