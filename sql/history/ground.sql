-- One row per value that a row rested on as the last night before tonight left it.
SELECT
    ground.*,
FROM last.worklists.ground AS ground
WHERE (SELECT night.as_of FROM last.run.night AS night) < (SELECT tonight.as_of FROM run.night AS tonight)
UNION ALL BY NAME
SELECT
    past.*,
FROM last.history.ground AS past
WHERE (SELECT night.as_of FROM last.run.night AS night) >= (SELECT tonight.as_of FROM run.night AS tonight)
