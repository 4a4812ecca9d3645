-- One row per recorded condition and group that the map puts its code in.
-- kept: no
-- Neuropathy beside a standing diabetic, alcoholic or chemotherapy code is weak, wherever tiers count.
WITH sent_code AS (
    SELECT
        distinct_code.*,
        plain_code(distinct_code.code) AS plain_code,
        count(*) OVER (PARTITION BY distinct_code.code_system, plain_code(distinct_code.code)) > 1 AS is_respelled,
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
        sent.plain_code,
        sent.is_respelled,
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
        mapped.plain_code,
        mapped.is_respelled,
        condition.recorded_on,
        condition.taken_for,
        row(coalesce(condition.sent_for, condition.taken_for), condition.file_name, condition.record) AS told_at,
        mapped.also_weak,
        condition.resolved_on IS NULL OR condition.resolved_on > as_of() AS standing,
    FROM core.condition AS condition
    INNER JOIN mapped_code AS mapped
        ON mapped.code_system = condition.code_system AND mapped.code = condition.code
    WHERE condition.recorded_on <= as_of()
),
-- A code that is spelled in two ways, as `G32.0` and `g320`, is one: what was told of it last stands,
-- and is known since it was first told as it stands.
respelled AS (
    SELECT
        grouped.patient_id,
        grouped.code_system,
        grouped.plain_code,
        grouped.recorded_on,
        max(grouped.told_at) AS told_at,
        min(grouped.taken_for) FILTER (WHERE grouped.standing) AS taken_for,
    FROM grouped
    WHERE grouped.is_respelled
    GROUP BY ALL
),
told_last AS (
    SELECT grouped.* REPLACE (coalesce(respelled.taken_for, grouped.taken_for) AS taken_for)
    FROM grouped
    LEFT JOIN respelled
        ON respelled.patient_id = grouped.patient_id
        AND respelled.code_system = grouped.code_system
        AND respelled.plain_code = grouped.plain_code
        AND respelled.recorded_on = grouped.recorded_on
    WHERE respelled.told_at IS NULL OR respelled.told_at = grouped.told_at
),
other_cause AS (
    SELECT DISTINCT told_last.patient_id
    FROM told_last
    WHERE told_last.tier = 'competing' AND told_last.standing
)
SELECT
    told_last.patient_id,
    told_last.condition_group,
    CASE
        WHEN
            told_last.tier = 'likely'
            AND told_last.condition_group = 'neuropathy'
            AND other_cause.patient_id IS NOT NULL
            THEN 'weak'
        ELSE told_last.tier
    END AS tier,
    -- A diabetic or alcoholic neuropathy is neuropathy and its own competing cause; chemotherapy is no
    -- neuropathy.
    told_last.tier = 'competing' AND told_last.also_weak AS competing_neuropathy,
    told_last.code_system,
    told_last.code,
    told_last.plain_code,
    told_last.recorded_on,
    told_last.taken_for,
    told_last.standing,
FROM told_last
LEFT JOIN other_cause ON other_cause.patient_id = told_last.patient_id
