-- One row per arriving result of which every word stands in the history already, of one of several equal parts
-- of all keys: where it lies. One that comes with another version may stand behind it.
WITH arriving AS (
    SELECT
        taken.rowid AS place,
        taken.*
    FROM core.taken
    WHERE $1 = 1 OR mod(hash(taken.result_id), CAST($1 AS UBIGINT)) = CAST($2 AS UBIGINT)
),

repeat AS MATERIALIZED (
    SELECT
        arriving.place,
        arriving.file_id,
        hash(arriving.result_id) AS key
    FROM arriving
    SEMI JOIN core.lab_row AS known
        ON ($1 = 1 OR mod(hash(known.result_id), CAST($1 AS UBIGINT)) = CAST($2 AS UBIGINT))
        AND known.result_id = arriving.result_id
        AND known.patient_id = arriving.patient_id
        AND known.word_id = arriving.word_id
        AND known.collected_at = arriving.collected_at
        AND known.value IS NOT DISTINCT FROM arriving.value
        AND known.reported_at IS NOT DISTINCT FROM arriving.reported_at
        AND known.value_as_sent IS NOT DISTINCT FROM arriving.value_as_sent
        AND coalesce(known.unit_as_sent, '') = coalesce(arriving.unit_as_sent, '')
        AND known.clinic_id IS NOT DISTINCT FROM arriving.clinic_id
),

-- Keys that come with something else as well.
mixed AS (
    SELECT hash(arriving.result_id) AS key
    FROM arriving
    SEMI JOIN taking.lab_repeated AS repeated
        ON repeated.key = hash(arriving.result_id)
    ANTI JOIN repeat
        ON repeat.place = arriving.place
)

SELECT
    repeat.place,
    repeat.file_id
FROM repeat
ANTI JOIN mixed
    ON mixed.key = repeat.key
