-- One row per patient with a result that no longer speaks, though it was taken in or changed tonight.
-- A cancelled or entered-in-error result leaves the list with that reason, not as if it were resolved.
SELECT DISTINCT
    result.patient_id,
FROM core.lab_result AS result
CROSS JOIN run.night AS night
WHERE
    result.status NOT IN ('final', 'amended', 'corrected')
    AND result.taken_for = night.as_of
