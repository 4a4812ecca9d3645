-- One row per patient and action that stands more than once on a list.
SELECT
    item.patient_id,
    item.action,
FROM worklists.item AS item
WHERE item.item_state = 'open'
GROUP BY item.patient_id, item.action
HAVING count(*) > 1
