-- One row per answered item, giver and clinic as the last night before tonight left it.
SELECT
    answer.*,
FROM last.worklists.answer AS answer
WHERE (SELECT night.as_of FROM last.run.night AS night) < (SELECT tonight.as_of FROM run.night AS tonight)
UNION ALL BY NAME
SELECT
    past.*,
FROM last.history.answer AS past
WHERE (SELECT night.as_of FROM last.run.night AS night) >= (SELECT tonight.as_of FROM run.night AS tonight)
