-- One row per action that no open item lists, and per open item that no action stands behind.
SELECT
    coalesce(action.patient_id, item.patient_id) AS patient_id,
    coalesce(action.action, item.action) AS action,
FROM decisions.action AS action
FULL JOIN (
    SELECT
        listed.patient_id,
        listed.action,
    FROM worklists.item AS listed
    WHERE listed.item_state = 'open'
) AS item ON item.patient_id = action.patient_id AND item.action = action.action
WHERE action.patient_id IS NULL OR item.patient_id IS NULL
