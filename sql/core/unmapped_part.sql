-- One row per code that no map names, test name and unit of the labs extract at hand: how many rows,
-- when, and how their numbers lie, in steps of a twentieth of a power of ten. No number itself is kept.
SELECT
    night.file_name,
    'labs' AS kind,
    taken.cells ->> 'laboratory' AS laboratory,
    taken.cells ->> 'code_system' AS code_system,
    taken.cells ->> 'code' AS code,
    nullif(taken.cells ->> 'test_name', '') AS test_name,
    nullif(taken.cells ->> 'unit', '') AS unit,
    count(*) AS n,
    min(CAST(taken.collected_at AS DATE)) AS first_on,
    max(CAST(taken.collected_at AS DATE)) AS last_on,
    histogram(
        CASE WHEN taken.value > 0 AND isfinite(taken.value) THEN CAST(floor(log10(taken.value) * 20) AS INTEGER) END
    ) AS steps,
    night.as_of AS taken_for,
    night.sha256
FROM core.taken
INNER JOIN taking.night
    ON night.file_id = taken.file_id
WHERE taken.fault = 'scope'
GROUP BY ALL
ORDER BY ALL
