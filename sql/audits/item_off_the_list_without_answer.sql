-- One row per item at rest that no answer holds, that rests beyond its day, or whose answer says nothing of it.
-- Where a clinic and the site both put a row off, it shows the clinic's answer.
WITH shown AS (
    SELECT
        answer.*,
    FROM worklists.answer AS answer
    WHERE answer.holds
    QUALIFY row_number() OVER (PARTITION BY answer.item_id ORDER BY answer.given_by) = 1
)
SELECT
    item.item_id,
FROM worklists.item AS item
LEFT JOIN shown AS answer ON answer.item_id = item.item_id AND answer.decision = item.decision
WHERE
    item.item_state = 'resting'
    AND (
        answer.item_id IS NULL
        OR item.decision IS NULL
        OR item.until IS NULL
        OR item.until <= item.as_of
        OR (answer.given_by = 'site' AND item.priority = 1)
    )
