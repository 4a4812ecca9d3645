-- One row per clinic with a row before or after, people without one last.
SELECT
    coalesce(movement.clinic_id, '(unrouted)') AS clinic,
    count(movement.rule_before) AS rows_before,
    count(movement.rule_after) AS rows_after,
    count(*) FILTER (WHERE movement.movement = 'stays') AS stays,
    count(*) FILTER (WHERE movement.movement = 'changes') AS changes,
    count(*) FILTER (WHERE movement.movement = 'joins') AS joins,
    count(*) FILTER (WHERE movement.movement = 'leaves') AS leaves,
FROM compare.movement AS movement
GROUP BY movement.clinic_id
ORDER BY movement.clinic_id NULLS LAST
