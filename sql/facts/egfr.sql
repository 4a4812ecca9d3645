-- One row per sample with an eGFR: the reported one, or computed from its creatinine by CKD-EPI 2021.
-- A reported number wins over the computed one; a reported bound gives way to it. Not computed for
-- children, nor where sex is not female or male. The lower a creatinine, the higher its eGFR: a creatinine
-- below a number gives an eGFR above one.
WITH reported AS (
    SELECT
        result.patient_id,
        result.collected_at,
        result.collected_on,
        result.value AS egfr_ml_min,
        result.comparator,
    FROM facts.result AS result
    WHERE result.analyte = 'egfr' AND result.leading
),
computed AS (
    SELECT
        creatinine.patient_id,
        creatinine.collected_at,
        creatinine.collected_on,
        ckd_epi_2021(
            creatinine_mg_dl(creatinine.value),
            age_on(person.birth_date, creatinine.collected_on),
            person.sex
        ) AS egfr_ml_min,
        CASE creatinine.comparator WHEN '<' THEN '>' WHEN '>' THEN '<' ELSE '=' END AS comparator,
    FROM facts.result AS creatinine
    INNER JOIN facts.person AS person ON person.patient_id = creatinine.patient_id
    WHERE
        creatinine.analyte = 'creatinine'
        AND creatinine.leading
        AND creatinine.value > 0
        AND person.sex IN ('female', 'male')
        AND age_on(person.birth_date, creatinine.collected_on) >= quantity('adult_age')
)
SELECT
    coalesce(reported.patient_id, computed.patient_id) AS patient_id,
    coalesce(reported.collected_at, computed.collected_at) AS collected_at,
    coalesce(reported.collected_on, computed.collected_on) AS collected_on,
    CASE
        WHEN reported.comparator = '=' OR computed.patient_id IS NULL THEN reported.egfr_ml_min
        ELSE computed.egfr_ml_min
    END AS egfr_ml_min,
    CASE
        WHEN reported.comparator = '=' OR computed.patient_id IS NULL THEN reported.comparator
        ELSE computed.comparator
    END AS egfr_comparator,
    CASE
        WHEN reported.comparator = '=' OR computed.patient_id IS NULL THEN 'reported'
        ELSE 'computed'
    END AS egfr_origin,
FROM reported
FULL JOIN computed
    ON computed.patient_id = reported.patient_id AND computed.collected_at = reported.collected_at
