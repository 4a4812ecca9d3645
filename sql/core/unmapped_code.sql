-- One row per code that no map names, test name and unit, with all rows out of scope for it so far. Holds no patient.
-- A file that was taken again counts as it was read last.
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
FROM private.unmapped_part AS seen
WHERE seen.replaced_on IS NULL
GROUP BY seen.kind, seen.laboratory, seen.code_system, seen.code, seen.test_name, seen.unit
ORDER BY seen.kind, seen.laboratory, seen.code_system, seen.code, seen.test_name, seen.unit
