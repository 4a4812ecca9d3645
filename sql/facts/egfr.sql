-- One row per sample with an eGFR that may be asked for: reported, or computed by CKD-EPI 2021.
-- A reported number wins over the computed one; a reported bound gives way to it. Not computed for
-- children, nor where sex is not female or male.
WITH reported AS (
    SELECT
        result.patient_id,
        result.collected_at,
        result.collected_on,
        result.value AS egfr_ml_min,
        result.comparator,
    FROM facts.kidney_result AS result
    WHERE result.analyte = 'egfr' AND result.leading
),
computed AS (
    SELECT
        creatinine.patient_id,
        creatinine.collected_at,
        creatinine.collected_on,
        egfr_of(creatinine.value, age_on(person.birth_date, creatinine.collected_on), person.sex)
            AS egfr_ml_min,
        opposite(creatinine.comparator) AS comparator,
    FROM facts.kidney_result AS creatinine
    INNER JOIN facts.person AS person ON person.patient_id = creatinine.patient_id
    WHERE creatinine.analyte = 'creatinine' AND creatinine.leading
),
chosen AS (
    SELECT
        coalesce(reported.patient_id, computed.patient_id) AS patient_id,
        coalesce(reported.collected_at, computed.collected_at) AS collected_at,
        coalesce(reported.collected_on, computed.collected_on) AS collected_on,
        CASE
            WHEN reported.comparator = '=' OR computed.egfr_ml_min IS NULL THEN reported.egfr_ml_min
            ELSE computed.egfr_ml_min
        END AS egfr_ml_min,
        CASE
            WHEN reported.comparator = '=' OR computed.egfr_ml_min IS NULL THEN reported.comparator
            ELSE computed.comparator
        END AS egfr_comparator,
        CASE
            WHEN reported.comparator = '=' OR computed.egfr_ml_min IS NULL THEN 'reported'
            ELSE 'computed'
        END AS egfr_origin,
    FROM reported
    FULL JOIN computed
        ON computed.patient_id = reported.patient_id AND computed.collected_at = reported.collected_at
)
SELECT
    chosen.patient_id,
    chosen.collected_at,
    chosen.collected_on,
    chosen.egfr_ml_min,
    chosen.egfr_comparator,
    chosen.egfr_origin,
FROM chosen
WHERE chosen.egfr_ml_min IS NOT NULL
