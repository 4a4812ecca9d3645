-- One row per person and action that is listed before or after: who stays, changes, joins or leaves.
-- Before: the published night. After: the same night by other rules. The reason may differ where nothing
-- moved, for it names the limits. What an answer keeps off the list is on it neither before nor after, unless
-- a better priority would end the answer; where a clinic sent a row back it stands under no clinic.
WITH answered AS (
    SELECT DISTINCT
        item.patient_id,
        item.action,
    FROM published.worklists.item AS item
    INNER JOIN published.worklists.answer AS answer ON answer.item_id = item.item_id AND answer.holds
),
listed AS (
    SELECT
        item.patient_id,
        item.action,
        item.clinic_id,
    FROM published.worklists.item AS item
    WHERE item.item_state = 'open' AND item.action NOT IN ('result_withdrawn', 'check_record')
),
asked AS (
    SELECT
        coalesce(later.patient_id, earlier.patient_id) AS patient_id,
        coalesce(later.action, earlier.action) AS action,
        answered.patient_id IS NOT NULL AS is_answered,
        earlier.priority AS priority_asked,
        CASE WHEN answered.patient_id IS NULL THEN earlier.rule_id END AS rule_before,
        later.rule_id AS rule_after,
        CASE WHEN answered.patient_id IS NULL THEN earlier.priority END AS priority_before,
        later.priority AS priority_after,
        earlier.why AS why_before,
        later.why AS why_after,
    FROM published.decisions.action AS earlier
    FULL JOIN decisions.action AS later
        ON later.patient_id = earlier.patient_id AND later.action = earlier.action
    LEFT JOIN answered ON answered.patient_id = earlier.patient_id AND answered.action = earlier.action
)
SELECT
    asked.patient_id,
    CASE WHEN listed.patient_id IS NULL THEN patient.clinic_id ELSE listed.clinic_id END AS clinic_id,
    asked.action,
    asked.rule_before,
    asked.rule_after,
    asked.priority_before,
    asked.priority_after,
    CASE
        WHEN asked.rule_before IS NULL THEN 'joins'
        WHEN asked.rule_after IS NULL THEN 'leaves'
        WHEN
            (asked.rule_before, asked.priority_before) IS DISTINCT FROM (asked.rule_after, asked.priority_after)
            THEN 'changes'
        ELSE 'stays'
    END AS movement,
    asked.why_before,
    asked.why_after,
FROM asked
LEFT JOIN facts.patient AS patient ON patient.patient_id = asked.patient_id
LEFT JOIN listed ON listed.patient_id = asked.patient_id AND listed.action = asked.action
WHERE NOT asked.is_answered OR asked.priority_after < asked.priority_asked
