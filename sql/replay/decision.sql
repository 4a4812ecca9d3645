-- One row per unbroken run of nights before the replayed one that decided the same for a person.
-- Cut from the newest published file; none where that file began anew since then.
WITH night_before AS (
    SELECT max(past.as_of) AS as_of
    FROM history.night AS past
)
SELECT
    spell.patient_id,
    spell.decision,
    spell.outcome,
    spell.rule_id,
    spell.priority,
    spell.first_night_on,
    least(spell.last_night_on, night_before.as_of) AS last_night_on,
FROM published.history.decision AS spell
CROSS JOIN night_before
WHERE spell.first_night_on <= night_before.as_of
    AND night_before.as_of IN (SELECT past.as_of FROM published.history.night AS past)
