-- One row per item as the last night before tonight left it; a night run again sees what it saw then.
SELECT
    item.*,
FROM last.worklists.item AS item
WHERE (SELECT night.as_of FROM last.run.night AS night) < (SELECT tonight.as_of FROM run.night AS tonight)
UNION ALL BY NAME
SELECT
    past.*,
FROM last.history.item AS past
WHERE (SELECT night.as_of FROM last.run.night AS night) >= (SELECT tonight.as_of FROM run.night AS tonight)
