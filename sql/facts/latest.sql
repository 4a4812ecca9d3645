-- One row per person and analyte with a result of the look-back: the newest one that speaks.
-- kept: no
-- A result speaks when its current version is final, amended or corrected. Of several at one instant the
-- later reported one (missing first) is the newer, then the larger result id; the laboratory makes the order
-- total.
SELECT
    result.patient_id,
    result.analyte,
    result.comparator,
    result.value,
    result.collected_at,
    result.collected_on,
FROM core.lab_result AS result
WHERE
    result.analyte IN ('mma', 'hcy', 'b12', 'holotc', 'hb', 'mcv')
    AND result.status IN ('final', 'amended', 'corrected')
    AND result.value IS NOT NULL
    AND result.collected_on <= as_of()
    AND result.collected_on >= before(as_of(), 'look_back')
QUALIFY row_number() OVER (
    PARTITION BY result.patient_id, result.analyte
    ORDER BY
        result.collected_at DESC,
        result.reported_at DESC NULLS LAST,
        result.result_id DESC,
        result.laboratory DESC
) = 1
