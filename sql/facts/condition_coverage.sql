-- One row: what it means that no code is found, group by group: `no`, or `unknown`.
-- kept: no
-- A feed that is not fresh, or none of whose code systems has a code for the group, cannot say no.
WITH feed_system AS (
    SELECT DISTINCT condition.code_system
    FROM core.condition AS condition
    CROSS JOIN run.night AS night
    WHERE condition.recorded_on <= as_of() AND night.conditions_feed = 'fresh'
),
covered AS (
    SELECT DISTINCT mapped.condition_group, mapped.code_system, mapped.tier <> '' AS neurological
    FROM map.condition AS mapped
    INNER JOIN feed_system ON feed_system.code_system = mapped.code_system
),
-- Neurology is covered when one system of the feed has codes for every neurological group.
neuro_system AS (
    SELECT covered.code_system
    FROM covered
    WHERE covered.neurological
    GROUP BY covered.code_system
    HAVING count(DISTINCT covered.condition_group) = (
        SELECT count(DISTINCT mapped.condition_group) FROM map.condition AS mapped WHERE mapped.tier <> ''
    )
)
SELECT
    CASE WHEN (SELECT count(*) FROM neuro_system) > 0 THEN 'no' ELSE 'unknown' END AS neuro,
    CASE WHEN bool_or(covered.condition_group = 'pregnancy') THEN 'no' ELSE 'unknown' END AS pregnancy,
    CASE WHEN bool_or(covered.condition_group = 'nitrous_oxide') THEN 'no' ELSE 'unknown' END AS nitrous_oxide,
    CASE WHEN bool_or(covered.condition_group = 'inborn_error') THEN 'no' ELSE 'unknown' END AS inborn_error,
    CASE WHEN bool_or(covered.condition_group = 'cobalamin_reaction') THEN 'no' ELSE 'unknown' END
        AS cobalamin_reaction,
    CASE WHEN bool_or(covered.condition_group = 'irreversible_cause') THEN 'no' ELSE 'unknown' END
        AS irreversible_cause,
FROM covered
