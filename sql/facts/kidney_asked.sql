-- One row per speaking creatinine or eGFR that may be asked for, with its person, analyte and instant hashed.
-- kept: no
SELECT
    result.patient_id,
    result.analyte,
    result.comparator,
    result.value,
    result.collected_at,
    result.collected_on,
    hash(result.patient_id, result.analyte, result.collected_at) AS instant_hash,
FROM core.lab_result AS result
LEFT JOIN facts.kidney_history AS history ON history.patient_id = result.patient_id
WHERE
    result.analyte IN ('creatinine', 'egfr')
    AND speaks(result.status)
    AND result.value IS NOT NULL
    AND result.collected_on <= as_of()
    AND result.collected_on >= least(
        kidney_from(),
        coalesce(history.from_on, as_of())
    )
