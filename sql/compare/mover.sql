-- One row per item that stays not as it is, in the order of the file that names them.
SELECT
    movement.* EXCLUDE (reads_differently),
FROM compare.movement AS movement
WHERE movement.movement <> 'stays'
ORDER BY movement.action, movement.movement, movement.patient_id, movement.item_id
