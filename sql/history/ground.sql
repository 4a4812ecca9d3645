-- One row per value that a row rested on as the last night before tonight left it, and what an earlier run of
-- tonight was the first to name: whoever was sent its sheet has to be told if that stands no longer.
WITH run_of AS (
    SELECT
        last_night.as_of AS run_on,
        tonight.as_of,
    FROM last.run.night AS last_night
    CROSS JOIN run.night AS tonight
)
SELECT
    ground.*,
FROM last.worklists.ground AS ground
CROSS JOIN run_of
LEFT JOIN last.history.ground AS past
    ON past.item_id = ground.item_id
    AND past.clinic_id IS NOT DISTINCT FROM ground.clinic_id
    AND past.analyte = ground.analyte
    AND past.collected_on = ground.collected_on
    AND past.value_text = ground.value_text
WHERE
    run_of.run_on < run_of.as_of
    OR (run_of.run_on = run_of.as_of AND past.item_id IS NULL AND ground.listed_on = run_of.as_of)
UNION ALL BY NAME
SELECT
    past.*,
FROM last.history.ground AS past
CROSS JOIN run_of
WHERE run_of.run_on >= run_of.as_of
