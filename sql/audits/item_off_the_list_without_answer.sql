-- One row per item at rest that no answer holds, that rests beyond its day, or whose answer says nothing of it.
SELECT
    item.item_id,
FROM worklists.item AS item
LEFT JOIN worklists.answer AS answer
    ON answer.item_id = item.item_id AND answer.holds AND answer.decision = item.decision
WHERE
    item.item_state = 'resting'
    AND (
        answer.item_id IS NULL
        OR item.decision IS NULL
        OR item.until IS NULL
        OR item.until <= item.as_of
        OR (answer.given_by = 'site' AND item.priority = 1)
    )
