-- One row per code that no map names, with all rows out of scope for it so far. Holds no patient.
WITH seen AS (
    SELECT
        known.kind,
        known.laboratory,
        known.code_system,
        known.code,
        known.test_name,
        known.unit,
        known.n,
        known.first_on,
        known.last_on
    FROM core.unmapped_code AS known
    UNION ALL
    SELECT
        'labs' AS kind,
        taken.cells ->> 'laboratory' AS laboratory,
        taken.cells ->> 'code_system' AS code_system,
        taken.cells ->> 'code' AS code,
        nullif(taken.cells ->> 'test_name', '') AS test_name,
        nullif(taken.cells ->> 'unit', '') AS unit,
        1 AS n,
        CAST(taken.collected_at AS DATE) AS first_on,
        CAST(taken.collected_at AS DATE) AS last_on
    FROM core.taken
    WHERE taken.fault = 'scope'
)

SELECT
    seen.kind,
    seen.laboratory,
    seen.code_system,
    seen.code,
    seen.test_name,
    seen.unit,
    CAST(sum(seen.n) AS BIGINT) AS n,
    min(seen.first_on) AS first_on,
    max(seen.last_on) AS last_on
FROM seen
GROUP BY seen.kind, seen.laboratory, seen.code_system, seen.code, seen.test_name, seen.unit
ORDER BY seen.kind, seen.laboratory, seen.code_system, seen.code, seen.test_name, seen.unit
