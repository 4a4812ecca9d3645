-- One row per code of conditions and medications that no map names: taken in, and used by no rule. No patient.
-- A site that knows what such a code means adds it in its settings.
WITH sent AS (
    SELECT
        'conditions' AS kind,
        condition.code_system,
        condition.code,
        condition.recorded_on AS told_on,
    FROM core.condition AS condition
    UNION ALL
    SELECT
        'medications' AS kind,
        medication.code_system,
        medication.code,
        medication.started_on AS told_on,
    FROM core.medication AS medication
),
counted AS (
    SELECT
        sent.kind,
        sent.code_system,
        sent.code,
        plain_code(sent.code) AS plain_code,
        count(*) AS n,
        min(sent.told_on) AS first_on,
        max(sent.told_on) AS last_on,
    FROM sent
    GROUP BY sent.kind, sent.code_system, sent.code
),
mapped AS (
    SELECT 'conditions' AS kind, condition.code_system, condition.code, condition.match
    FROM map.condition AS condition
    UNION ALL
    SELECT 'medications' AS kind, drug.code_system, drug.code, drug.match
    FROM map.drug AS drug
)
SELECT
    counted.kind,
    counted.code_system,
    counted.code,
    counted.n,
    counted.first_on,
    counted.last_on,
FROM counted
ANTI JOIN mapped
    ON mapped.kind = counted.kind
    AND mapped.code_system = counted.code_system
    AND (
        mapped.code = counted.plain_code
        OR (
            mapped.match = 'prefix'
            AND starts_with(counted.plain_code, mapped.code)
            AND is_code(counted.code_system, counted.plain_code)
        )
    )
