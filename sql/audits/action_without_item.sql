-- One row per action that no item stands for, and per open item that no action stands behind.
-- A row that an answer keeps off the list stands for its action too; a withdrawal answers to no action.
SELECT
    coalesce(action.patient_id, item.patient_id) AS patient_id,
    coalesce(action.action, item.action) AS action,
FROM decisions.action AS action
FULL JOIN (
    SELECT
        listed.patient_id,
        listed.action,
    FROM worklists.item AS listed
    LEFT JOIN worklists.answer AS answer ON answer.item_id = listed.item_id AND answer.holds
    WHERE
        listed.action <> 'result_withdrawn'
        AND (listed.item_state <> 'closed' OR (answer.item_id IS NOT NULL AND listed.close_reason = answer.decision))
) AS item ON item.patient_id = action.patient_id AND item.action = action.action
WHERE action.patient_id IS NULL OR item.patient_id IS NULL
