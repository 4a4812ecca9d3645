-- One row per published night before tonight: those the last file knew, and the last file's own.
SELECT
    past.*,
FROM last.history.night AS past
UNION ALL BY NAME
SELECT
    night.as_of,
    night.run_id,
    night.ruleset,
    (SELECT ruleset.sha256 FROM last.rules.ruleset AS ruleset) AS ruleset_sha256,
    night.version,
    night.started_at,
    (SELECT count(*) FROM last.facts.patient) AS n_patients,
    (SELECT count(*) FROM last.worklists.item AS item WHERE item.item_state = 'open') AS n_items,
FROM last.run.night AS night
WHERE night.as_of < (SELECT tonight.as_of FROM run.night AS tonight)
