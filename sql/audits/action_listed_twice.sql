-- One row per patient and action that stands more than once on a list; a withdrawal stands once for each clinic.
SELECT
    item.patient_id,
    item.action,
FROM worklists.item AS item
WHERE item.item_state = 'open'
GROUP BY item.patient_id, item.action, CASE item.action WHEN 'result_withdrawn' THEN item.item_id END
HAVING count(*) > 1
