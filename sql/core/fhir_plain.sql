-- One row per plain observation: a quantity whose code and unit were seen in the file's samples, of
-- a patient by id, with one time, without parts. Every other line is left to the exact reading,
-- which says the same of these.
SELECT
    line.record,
    line.record AS line,
    'Observation' AS segment,
    line.id AS result_id,
    replace(line.subject.reference, 'Patient/', '') AS patient_id,
    line.effectivedatetime AS collected_at,
    coalesce(nullif(line.issued, ''), line.meta.lastupdated, '') AS reported_at,
    code.code,
    code.code_system,
    code.test_name,
    coalesce(line.specimen.display, '') AS specimen,
    coalesce(line.valuequantity.comparator, '')
    || CASE
        WHEN CAST(number.sent AS DOUBLE) = CAST(line.valuequantity.value AS DOUBLE) THEN number.sent
        ELSE line.valuequantity.value
    END AS value,
    code.unit_word AS unit,
    line.status,
    '' AS clinic_id,
    coalesce(performer.laboratory, code.laboratory) AS laboratory
FROM taking.fhir_line AS line
INNER JOIN taking.fhir_code AS code
    ON code.code_text = line.code
    AND code.unit = coalesce(line.valuequantity.unit, '')
    AND code.unit_code = coalesce(line.valuequantity.code, '')
    AND code.unit_system = coalesce(line.valuequantity.system, '')
LEFT JOIN taking.fhir_number AS number
    ON number.record = line.record
LEFT JOIN taking.fhir_performer AS performer
    ON performer.reference = line.performer[1].reference
CROSS JOIN taking.fhir_shape AS shape
WHERE
    line.resourcetype = 'Observation'
    AND line.status IN ('final', 'preliminary')
    AND regexp_full_match(line.id, '[A-Za-z0-9.-]+')
    AND line.id NOT IN ('true', 'false')
    AND regexp_full_match(line.subject.reference, 'Patient/[A-Za-z0-9.-]{1,64}')
    AND line.contained IS NULL
    AND line.component IS NULL
    AND line.meta.tag IS NULL
    AND line.effectivedatetime <> ''
    AND regexp_full_match(line.valuequantity.value, '-?[0-9]+([.][0-9]+)?(e[+-]?[0-9]+)?')
    AND coalesce(line.valuequantity.comparator, '<') IN ('<', '>', '<=', '>=')
    AND (line.performer IS NULL OR len(line.performer) <= 1)
    AND (line.encounter.reference IS NULL OR NOT shape.has_encounter)
    AND (line.specimen.display IS NOT NULL OR line.specimen.reference IS NULL OR NOT shape.has_specimen)
    -- Whether such a result contradicts itself is looked at one by one.
    AND (line.interpretation IS NULL OR line.referencerange IS NULL OR len(line.referencerange) = 0 OR (
        len(line.interpretation) = 1
        AND len(line.interpretation[1].coding) = 1
        AND (
            left(line.interpretation[1].coding[1].code, 1) NOT IN ('L', 'H')
            OR (
                len(line.referencerange) = 1
                AND CAST(line.valuequantity.value AS DOUBLE) <= coalesce(
                    CASE
                        WHEN left(line.interpretation[1].coding[1].code, 1) = 'L'
                            THEN line.referencerange[1].high.value
                    END,
                    CAST(line.valuequantity.value AS DOUBLE)
                )
                AND CAST(line.valuequantity.value AS DOUBLE) >= coalesce(
                    CASE
                        WHEN left(line.interpretation[1].coding[1].code, 1) = 'H'
                            THEN line.referencerange[1].low.value
                    END,
                    CAST(line.valuequantity.value AS DOUBLE)
                )
            )
        )
    ))
