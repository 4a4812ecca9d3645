-- One row: how many people and rows are listed before and after; of the rows, how many read differently though
-- they stay, and how many that leave have another one of their person and action in their place.
WITH person AS (
    SELECT
        movement.patient_id,
        count(movement.rule_before) AS n_before,
        count(movement.rule_after) AS n_after,
        count(*) FILTER (WHERE movement.priority_before = 1) AS n_urgent_before,
        count(*) FILTER (WHERE movement.priority_after = 1) AS n_urgent_after,
        count(*) FILTER (WHERE movement.movement = 'stays' AND movement.reads_differently) AS n_reworded,
    FROM compare.movement AS movement
    GROUP BY movement.patient_id
),
replaced AS (
    SELECT
        movement.patient_id,
        movement.action,
    FROM compare.movement AS movement
    GROUP BY movement.patient_id, movement.action
    HAVING bool_or(movement.movement = 'leaves') AND bool_or(movement.movement = 'joins')
)
SELECT
    count(*) FILTER (WHERE person.n_before > 0) AS people_before,
    count(*) FILTER (WHERE person.n_after > 0) AS people_after,
    count(*) FILTER (WHERE person.n_before = 0) AS people_joining,
    count(*) FILTER (WHERE person.n_after = 0) AS people_leaving,
    CAST(coalesce(sum(person.n_before), 0) AS BIGINT) AS rows_before,
    CAST(coalesce(sum(person.n_after), 0) AS BIGINT) AS rows_after,
    CAST(coalesce(sum(person.n_urgent_before), 0) AS BIGINT) AS urgent_before,
    CAST(coalesce(sum(person.n_urgent_after), 0) AS BIGINT) AS urgent_after,
    CAST(coalesce(sum(person.n_reworded), 0) AS BIGINT) AS rows_reworded,
    (SELECT count(*) FROM replaced) AS rows_replaced,
FROM person
