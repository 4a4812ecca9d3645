-- One row per person and action that is listed before or after: who stays, changes, joins or leaves.
-- Before: the published night. After: the same night by other rules. The reason may differ where nothing
-- moved, for it names the limits.
SELECT
    coalesce(later.patient_id, earlier.patient_id) AS patient_id,
    patient.clinic_id,
    coalesce(later.action, earlier.action) AS action,
    earlier.rule_id AS rule_before,
    later.rule_id AS rule_after,
    earlier.priority AS priority_before,
    later.priority AS priority_after,
    CASE
        WHEN earlier.patient_id IS NULL THEN 'joins'
        WHEN later.patient_id IS NULL THEN 'leaves'
        WHEN (earlier.rule_id, earlier.priority) IS DISTINCT FROM (later.rule_id, later.priority) THEN 'changes'
        ELSE 'stays'
    END AS movement,
    earlier.why AS why_before,
    later.why AS why_after,
FROM published.decisions.action AS earlier
FULL JOIN decisions.action AS later
    ON later.patient_id = earlier.patient_id AND later.action = earlier.action
LEFT JOIN facts.patient AS patient
    ON patient.patient_id = coalesce(later.patient_id, earlier.patient_id)
