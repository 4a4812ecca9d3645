-- One row per unbroken run of nights before tonight that decided the same for a person.
WITH decided AS (
    SELECT
        status.patient_id,
        'functional_status' AS decision,
        status.functional_status AS outcome,
        status.rule_id,
        CAST(NULL AS BIGINT) AS priority,
    FROM last.decisions.functional_status AS status
    UNION ALL
    SELECT
        action.patient_id,
        'action' AS decision,
        action.action AS outcome,
        action.rule_id,
        action.priority,
    FROM last.decisions.action AS action
),
last_night AS (
    SELECT
        night.as_of,
        (SELECT max(past.as_of) FROM last.history.night AS past) AS night_before_on,
    FROM last.run.night AS night
    WHERE night.as_of < (SELECT tonight.as_of FROM run.night AS tonight)
),
newest AS (
    SELECT
        decided.*,
        last_night.as_of,
        last_night.night_before_on,
    FROM decided
    CROSS JOIN last_night
)
SELECT
    newest.patient_id,
    newest.decision,
    newest.outcome,
    newest.rule_id,
    newest.priority,
    coalesce(spell.first_night_on, newest.as_of) AS first_night_on,
    newest.as_of AS last_night_on,
FROM newest
LEFT JOIN last.history.decision AS spell
    ON
        spell.patient_id = newest.patient_id
        AND spell.decision = newest.decision
        AND spell.outcome = newest.outcome
        AND spell.rule_id = newest.rule_id
        AND spell.priority IS NOT DISTINCT FROM newest.priority
        AND spell.last_night_on = newest.night_before_on
UNION ALL
SELECT
    spell.patient_id,
    spell.decision,
    spell.outcome,
    spell.rule_id,
    spell.priority,
    spell.first_night_on,
    spell.last_night_on,
FROM last.history.decision AS spell
LEFT JOIN newest
    ON
        newest.patient_id = spell.patient_id
        AND newest.decision = spell.decision
        AND newest.outcome = spell.outcome
        AND newest.rule_id = spell.rule_id
        AND newest.priority IS NOT DISTINCT FROM spell.priority
        AND newest.night_before_on = spell.last_night_on
WHERE newest.patient_id IS NULL
