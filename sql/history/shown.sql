-- One row per run of nights that showed an item alike, as the last night before tonight left it.
SELECT
    shown.*,
FROM last.worklists.shown AS shown
WHERE (SELECT night.as_of FROM last.run.night AS night) < (SELECT tonight.as_of FROM run.night AS tonight)
UNION ALL BY NAME
SELECT
    past.*,
FROM last.history.shown AS past
WHERE (SELECT night.as_of FROM last.run.night AS night) >= (SELECT tonight.as_of FROM run.night AS tonight)
