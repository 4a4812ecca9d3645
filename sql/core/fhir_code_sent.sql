-- One row per code element and unit that the lines of taking.fhir_line carry.
SELECT DISTINCT
    line.code AS code_text,
    coalesce(line.valuequantity.unit, '') AS unit,
    coalesce(line.valuequantity.code, '') AS unit_code,
    coalesce(line.valuequantity.system, '') AS unit_system
FROM taking.fhir_line AS line
WHERE line.code IS NOT NULL
