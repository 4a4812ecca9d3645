-- One row per person and analyte of the look-back: the newest instant, a reading of it, and whether another
-- reading of that instant says something else, which a hash shows.
-- kept: no
WITH newest AS (
    SELECT
        result.patient_id,
        result.analyte,
        max(result.collected_at) AS collected_at,
        arg_max(result.comparator, result.collected_at) AS comparator,
        arg_max(result.value, result.collected_at) AS value,
        max(instant_number(result.collected_at) + hash(result.value, result.comparator)) AS highest,
        max(instant_number(result.collected_at) - hash(result.value, result.comparator)) AS lowest,
    FROM core.lab_result AS result
    WHERE
        result.analyte IN ('mma', 'hcy', 'b12', 'holotc', 'hb', 'mcv')
        AND speaks(result.status)
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
        AND result.collected_on >= before(as_of(), 'look_back')
    GROUP BY result.patient_id, result.analyte
)
SELECT
    newest.patient_id,
    newest.analyte,
    newest.comparator,
    newest.value,
    newest.collected_at,
    newest.highest + newest.lowest <> 2 * instant_number(newest.collected_at) AS tied,
FROM newest
