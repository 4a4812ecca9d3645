-- One row per speaking creatinine or eGFR that may be asked for; `leading` where it speaks for its instant.
-- kept: no
-- Of several at one instant the later reported one leads (missing first), then the larger result id; the
-- laboratory makes the order total; of reported eGFR a number leads before a bound. Every creatinine counts
-- among the earlier ones of a rise, so those that do not lead are kept.
WITH asked AS MATERIALIZED (
    SELECT
        result.patient_id,
        result.analyte,
        result.comparator,
        result.value,
        result.collected_at,
        result.collected_on,
        result.reported_at,
        result.result_id,
        result.laboratory,
        hash(result.patient_id, result.analyte, result.collected_at) AS instant_hash,
    FROM core.lab_result AS result
    LEFT JOIN facts.kidney_history AS history ON history.patient_id = result.patient_id
    WHERE
        result.analyte IN ('creatinine', 'egfr')
        AND result.status IN ('final', 'amended', 'corrected')
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
        AND result.collected_on >= least(
            before(before(as_of(), 'look_back'), 'gate'),
            coalesce(history.from_on, as_of())
        )
),
-- Two results of one analyte at one instant are rare: found on one integer, and only they are put in order.
repeated AS (
    SELECT asked.instant_hash
    FROM asked
    GROUP BY asked.instant_hash
    HAVING count(*) > 1
),
ordered AS (
    SELECT
        asked.*,
        row_number() OVER (
            PARTITION BY asked.patient_id, asked.analyte, asked.collected_at
            ORDER BY
                asked.analyte = 'egfr' AND asked.comparator <> '=',
                asked.reported_at DESC NULLS LAST,
                asked.result_id DESC,
                asked.laboratory DESC
        ) = 1 AS leading,
    FROM asked
    SEMI JOIN repeated ON repeated.instant_hash = asked.instant_hash
)
SELECT
    asked.patient_id,
    asked.analyte,
    asked.comparator,
    asked.value,
    asked.collected_at,
    asked.collected_on,
    TRUE AS leading,
FROM asked
ANTI JOIN repeated ON repeated.instant_hash = asked.instant_hash
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
