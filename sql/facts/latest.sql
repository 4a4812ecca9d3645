-- One row per person and analyte with a result of the look-back: the newest one that speaks.
-- kept: no
-- A result speaks when its current version is final, amended or corrected. Of several at one instant the
-- later reported one (missing first) is the newer, then the larger result id; the laboratory makes the order
-- total. Only where the newest instant has two readings that differ are they put in order.
WITH ordered AS (
    SELECT
        result.patient_id,
        result.analyte,
        result.comparator,
        result.value,
        result.collected_at,
    FROM core.lab_result AS result
    SEMI JOIN facts.tied AS tied
        ON tied.patient_id = result.patient_id
        AND tied.analyte = result.analyte
        AND tied.collected_at = result.collected_at
    WHERE
        result.analyte IN ('mma', 'hcy', 'b12', 'holotc', 'hb', 'mcv')
        AND speaks(result.status)
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
        newest.patient_id,
        newest.analyte,
        newest.comparator,
        newest.value,
        newest.collected_at,
    FROM facts.newest AS newest
    WHERE NOT newest.tied
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
