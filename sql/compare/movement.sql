-- One row per item that is on a list before or after: it stays, changes, joins or leaves.
-- Before: the published night. After: the same night by other rules, with the same earlier nights and answers. An
-- item of which another takes the place, a recheck of another milestone say, leaves and the other one joins, as
-- they do on the lists: what was answered of the one does not count for the other.
WITH earlier AS (
    SELECT
        item.*,
    FROM published.worklists.item AS item
    WHERE item.item_state = 'open'
),
later AS (
    SELECT
        item.*,
    FROM worklists.item AS item
    WHERE item.item_state = 'open'
)
SELECT
    coalesce(later.patient_id, earlier.patient_id) AS patient_id,
    CASE WHEN later.item_id IS NULL THEN earlier.clinic_id ELSE later.clinic_id END AS clinic_id,
    coalesce(later.action, earlier.action) AS action,
    earlier.rule_id AS rule_before,
    later.rule_id AS rule_after,
    earlier.priority AS priority_before,
    later.priority AS priority_after,
    CASE
        WHEN earlier.item_id IS NULL THEN 'joins'
        WHEN later.item_id IS NULL THEN 'leaves'
        WHEN (earlier.rule_id, earlier.priority) IS DISTINCT FROM (later.rule_id, later.priority) THEN 'changes'
        ELSE 'stays'
    END AS movement,
    earlier.why AS why_before,
    later.why AS why_after,
    coalesce(later.item_id, earlier.item_id) AS item_id,
    (earlier.recommendation, earlier.why) IS DISTINCT FROM (later.recommendation, later.why) AS reads_differently,
FROM earlier
FULL JOIN later ON later.item_id = earlier.item_id
