-- One row per result that may be asked for and speaks; `leading` where it speaks for its instant.
-- kept: no
-- A result speaks when its current version is final, amended or corrected. Of several at one instant the
-- later reported one leads (missing first), then the larger result id; the laboratory makes the order
-- total; of reported eGFR a number leads before a bound. Every creatinine counts among the earlier ones of
-- a rise, so those that do not lead are kept. Before the look-back of the night (for the kidneys also what
-- the deciding sample and a rise look back to) only some people's results are asked for.
WITH recent AS (
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
    WHERE
        result.status IN ('final', 'amended', 'corrected')
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
        AND result.collected_on >= before(before(before(as_of(), 'look_back'), 'gate'), 'creatinine_baseline')
        AND (
            result.analyte IN ('creatinine', 'egfr')
            OR (
                result.collected_on >= before(as_of(), 'look_back')
                AND (
                    result.analyte IN ('mma', 'hcy', 'b12', 'holotc', 'hb', 'mcv')
                    OR result.analyte IN (SELECT panel.analyte FROM rules.panel_test AS panel)
                )
            )
        )
),
older AS (
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
    INNER JOIN facts.reached_back AS reached ON reached.patient_id = result.patient_id
    WHERE
        result.status IN ('final', 'amended', 'corrected')
        AND result.value IS NOT NULL
        AND result.collected_on < before(as_of(), 'look_back')
        AND CASE
            WHEN result.analyte IN ('creatinine', 'egfr')
                THEN result.collected_on >= reached.kidney_from
                AND result.collected_on
                < before(before(before(as_of(), 'look_back'), 'gate'), 'creatinine_baseline')
            ELSE result.collected_on >= reached.markers_from
                AND (
                    result.analyte IN ('mma', 'hcy', 'b12', 'holotc')
                    OR result.analyte IN (SELECT panel.analyte FROM rules.panel_test AS panel)
                )
        END
),
asked AS NOT MATERIALIZED (
    SELECT recent.* FROM recent
    UNION ALL
    SELECT older.* FROM older
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
