-- One row per priority, action and rule: how many rows stay, change, join and leave.
WITH worded AS (
    SELECT
        movement.*,
        coalesce(movement.priority_after, movement.priority_before) AS best_priority,
        CASE
            WHEN movement.movement = 'changes' AND movement.priority_before <> movement.priority_after
                THEN movement.priority_before || ' -> ' || movement.priority_after
            ELSE CAST(coalesce(movement.priority_after, movement.priority_before) AS VARCHAR)
        END AS priority,
        CASE
            WHEN movement.movement = 'changes' AND movement.rule_before <> movement.rule_after
                THEN movement.rule_before || ' -> ' || movement.rule_after
            ELSE coalesce(movement.rule_after, movement.rule_before)
        END AS rule,
    FROM compare.movement AS movement
)
SELECT
    worded.priority,
    worded.action,
    worded.rule,
    count(*) FILTER (WHERE worded.movement = 'stays') AS stays,
    count(*) FILTER (WHERE worded.movement = 'changes') AS changes,
    count(*) FILTER (WHERE worded.movement = 'joins') AS joins,
    count(*) FILTER (WHERE worded.movement = 'leaves') AS leaves,
FROM worded
GROUP BY worded.best_priority, worded.priority, worded.action, worded.rule
ORDER BY worded.best_priority, worded.action, worded.rule, worded.priority
