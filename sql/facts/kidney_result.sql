-- One row per speaking creatinine or eGFR that may be asked for; `leading` where it speaks for its instant.
-- kept: no
-- Of several at one instant the later reported one leads (missing first), then the larger result id; the
-- laboratory makes the order total; of reported eGFR a number leads before a bound. Every creatinine counts
-- among the earlier ones of a rise, so those that do not lead are kept.
WITH ordered AS (
    SELECT
        result.patient_id,
        result.analyte,
        result.comparator,
        result.value,
        result.collected_at,
        result.collected_on,
        row_number() OVER (
            PARTITION BY result.patient_id, result.analyte, result.collected_at
            ORDER BY
                result.analyte = 'egfr' AND result.comparator <> '=',
                result.reported_at DESC NULLS LAST,
                result.result_id DESC,
                result.laboratory DESC
        ) = 1 AS leading,
    FROM core.lab_result AS result
    SEMI JOIN facts.kidney_tied AS tied
        ON tied.patient_id = result.patient_id
        AND tied.analyte = result.analyte
        AND tied.collected_at = result.collected_at
    WHERE
        result.analyte IN ('creatinine', 'egfr')
        AND speaks(result.status)
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
)
SELECT
    asked.patient_id,
    asked.analyte,
    asked.comparator,
    asked.value,
    asked.collected_at,
    asked.collected_on,
    TRUE AS leading,
FROM facts.kidney_asked AS asked
ANTI JOIN facts.kidney_tied AS tied ON tied.instant_hash = asked.instant_hash
UNION ALL
SELECT
    ordered.patient_id,
    ordered.analyte,
    ordered.comparator,
    ordered.value,
    ordered.collected_at,
    ordered.collected_on,
    ordered.leading,
FROM ordered
WHERE ordered.leading OR ordered.analyte = 'creatinine'
