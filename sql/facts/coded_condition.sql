-- One row per recorded condition and group that the map puts its code in.
-- kept: no
-- Neuropathy beside a standing diabetic, alcoholic or chemotherapy code is weak, wherever tiers count.
WITH sent_code AS (
    SELECT
        distinct_code.*,
        plain_code(distinct_code.code) AS plain_code,
    FROM (
        SELECT DISTINCT
            condition.code_system,
            condition.code,
        FROM core.condition AS condition
    ) AS distinct_code
),
-- Exact rows speak before prefixes, longer prefixes before shorter ones, within one group.
mapped_code AS (
    SELECT
        sent.code_system,
        sent.code,
        mapped.condition_group,
        mapped.tier,
        bool_or(mapped.tier = 'weak') OVER (
            PARTITION BY sent.code_system, sent.code, mapped.condition_group
        ) AS also_weak,
    FROM sent_code AS sent
    INNER JOIN map.condition AS mapped
        ON mapped.code_system = sent.code_system
        AND (
            sent.plain_code = mapped.code
            OR (
                mapped.match = 'prefix'
                AND starts_with(sent.plain_code, mapped.code)
                AND is_code(sent.code_system, sent.plain_code)
            )
        )
    QUALIFY dense_rank() OVER (
        PARTITION BY sent.code_system, sent.code, mapped.condition_group
        ORDER BY mapped.match = 'exact' DESC, length(mapped.code) DESC
    ) = 1
),
grouped AS (
    SELECT DISTINCT
        condition.patient_id,
        mapped.condition_group,
        mapped.tier,
        condition.code_system,
        condition.code,
        condition.recorded_on,
        mapped.also_weak,
        condition.resolved_on IS NULL OR condition.resolved_on > as_of() AS standing,
    FROM core.condition AS condition
    INNER JOIN mapped_code AS mapped
        ON mapped.code_system = condition.code_system AND mapped.code = condition.code
    WHERE condition.recorded_on <= as_of()
),
other_cause AS (
    SELECT DISTINCT grouped.patient_id
    FROM grouped
    WHERE grouped.tier = 'competing' AND grouped.standing
)
SELECT
    grouped.patient_id,
    grouped.condition_group,
    CASE
        WHEN
            grouped.tier = 'likely'
            AND grouped.condition_group = 'neuropathy'
            AND other_cause.patient_id IS NOT NULL
            THEN 'weak'
        ELSE grouped.tier
    END AS tier,
    -- A diabetic or alcoholic neuropathy is neuropathy and its own competing cause; chemotherapy is no
    -- neuropathy.
    grouped.tier = 'competing' AND grouped.also_weak AS competing_neuropathy,
    grouped.code_system,
    grouped.code,
    grouped.recorded_on,
    grouped.standing,
FROM grouped
LEFT JOIN other_cause ON other_cause.patient_id = grouped.patient_id
