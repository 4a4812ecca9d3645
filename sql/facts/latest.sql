-- One row per person and analyte with a result of the look-back: the newest one that speaks.
-- kept: no
-- A result speaks when its current version is final, amended or corrected. Of several at one instant the
-- later reported one (missing first) is the newer, then the larger result id; the laboratory makes the order
-- total. Few newest instants have two readings: a hash shows which, and only those are put in order.
WITH newest AS (
    SELECT
        result.patient_id,
        result.analyte,
        max(result.collected_at) AS collected_at,
        arg_max(result.comparator, result.collected_at) AS comparator,
        arg_max(result.value, result.collected_at) AS value,
        max(instant_number(result.collected_at) + hash(result.value, result.comparator)) AS highest,
        max(instant_number(result.collected_at) - hash(result.value, result.comparator)) AS lowest,
    FROM core.lab_result AS result
    WHERE
        result.analyte IN ('mma', 'hcy', 'b12', 'holotc', 'hb', 'mcv')
        AND result.status IN ('final', 'amended', 'corrected')
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
        AND result.collected_on >= before(as_of(), 'look_back')
    GROUP BY result.patient_id, result.analyte
),
judged AS (
    SELECT
        newest.patient_id,
        newest.analyte,
        newest.comparator,
        newest.value,
        newest.collected_at,
        newest.highest + newest.lowest = 2 * instant_number(newest.collected_at) AS alone,
    FROM newest
),
tied AS (
    SELECT
        judged.patient_id,
        judged.analyte,
        judged.collected_at,
    FROM judged
    WHERE NOT judged.alone
),
ordered AS (
    SELECT
        result.patient_id,
        result.analyte,
        result.comparator,
        result.value,
        result.collected_at,
    FROM core.lab_result AS result
    SEMI JOIN tied
        ON tied.patient_id = result.patient_id
        AND tied.analyte = result.analyte
        AND tied.collected_at = result.collected_at
    WHERE
        result.status IN ('final', 'amended', 'corrected')
        AND result.value IS NOT NULL
        AND result.collected_on <= as_of()
        AND result.collected_on >= before(as_of(), 'look_back')
    QUALIFY row_number() OVER (
        PARTITION BY result.patient_id, result.analyte
        ORDER BY
            result.reported_at DESC NULLS LAST,
            result.result_id DESC,
            result.laboratory DESC
    ) = 1
),
chosen AS (
    SELECT
        judged.patient_id,
        judged.analyte,
        judged.comparator,
        judged.value,
        judged.collected_at,
    FROM judged
    WHERE judged.alone
    UNION ALL
    SELECT
        ordered.patient_id,
        ordered.analyte,
        ordered.comparator,
        ordered.value,
        ordered.collected_at,
    FROM ordered
)
SELECT
    chosen.patient_id,
    chosen.analyte,
    chosen.comparator,
    chosen.value,
    chosen.collected_at,
    CAST(chosen.collected_at AS DATE) AS collected_on,
FROM chosen
