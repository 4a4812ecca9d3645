-- One row per person with a result that decides: MMA and homocysteine of the deciding sample, and B12.
-- kept: no
-- The newest MMA or homocysteine of the window decides; the other marker has to be close before it. The
-- newest of total and active B12 speaks, and the other one where it was taken close to it.
WITH newest AS (
    SELECT
        latest.patient_id,
        latest.analyte,
        latest.comparator,
        latest.value,
        latest.collected_on,
        CAST(NULL AS DATE) AS treated_to_on,
    FROM facts.latest AS latest
    ANTI JOIN facts.b12_episode AS episode ON episode.patient_id = latest.patient_id
    WHERE latest.analyte IN ('mma', 'hcy', 'b12', 'holotc')
    UNION ALL
    SELECT
        result.patient_id,
        result.analyte,
        result.comparator,
        result.value,
        result.collected_on,
        basis.treated_to_on,
    FROM facts.result AS result
    INNER JOIN facts.basis AS basis
        ON basis.patient_id = result.patient_id
        AND result.collected_on >= basis.from_on
        AND result.collected_on <= basis.to_on
    WHERE result.analyte IN ('mma', 'hcy', 'b12', 'holotc')
    QUALIFY row_number() OVER (
        PARTITION BY result.patient_id, result.analyte
        ORDER BY
            result.collected_at DESC,
            result.reported_at DESC NULLS LAST,
            result.result_id DESC,
            result.laboratory DESC
    ) = 1
),
wide AS (
    SELECT
        newest.patient_id,
        any_value(newest.treated_to_on) AS treated_to_on,
        max(newest.collected_on) FILTER (WHERE newest.analyte IN ('mma', 'hcy')) AS sample_on,
        max(newest.collected_on) FILTER (WHERE newest.analyte IN ('b12', 'holotc')) AS b12_sample_on,
        any_value(newest.value) FILTER (WHERE newest.analyte = 'mma') AS mma_nmol_l,
        any_value(newest.comparator) FILTER (WHERE newest.analyte = 'mma') AS mma_comparator,
        any_value(newest.collected_on) FILTER (WHERE newest.analyte = 'mma') AS mma_on,
        any_value(newest.value) FILTER (WHERE newest.analyte = 'hcy') AS hcy_umol_l,
        any_value(newest.comparator) FILTER (WHERE newest.analyte = 'hcy') AS hcy_comparator,
        any_value(newest.collected_on) FILTER (WHERE newest.analyte = 'hcy') AS hcy_on,
        any_value(newest.value) FILTER (WHERE newest.analyte = 'b12') AS b12_pmol_l,
        any_value(newest.comparator) FILTER (WHERE newest.analyte = 'b12') AS b12_comparator,
        any_value(newest.collected_on) FILTER (WHERE newest.analyte = 'b12') AS b12_on,
        any_value(newest.value) FILTER (WHERE newest.analyte = 'holotc') AS holotc_pmol_l,
        any_value(newest.comparator) FILTER (WHERE newest.analyte = 'holotc') AS holotc_comparator,
        any_value(newest.collected_on) FILTER (WHERE newest.analyte = 'holotc') AS holotc_on,
    FROM newest
    GROUP BY newest.patient_id
),
flat AS (
    SELECT
        wide.patient_id,
        wide.sample_on,
        CASE WHEN wide.mma_on >= before(wide.sample_on, 'marker_pairing') THEN wide.mma_nmol_l END AS mma_nmol_l,
        CASE WHEN wide.mma_on >= before(wide.sample_on, 'marker_pairing') THEN wide.mma_comparator END AS mma_comparator,
        CASE WHEN wide.mma_on >= before(wide.sample_on, 'marker_pairing') THEN wide.mma_on END AS mma_on,
        coalesce(wide.mma_on >= before(wide.sample_on, 'marker_pairing') AND wide.mma_on <= wide.treated_to_on, FALSE)
            AS mma_treated,
        CASE WHEN wide.hcy_on >= before(wide.sample_on, 'marker_pairing') THEN wide.hcy_umol_l END AS hcy_umol_l,
        CASE WHEN wide.hcy_on >= before(wide.sample_on, 'marker_pairing') THEN wide.hcy_comparator END AS hcy_comparator,
        CASE WHEN wide.hcy_on >= before(wide.sample_on, 'marker_pairing') THEN wide.hcy_on END AS hcy_on,
        coalesce(wide.hcy_on >= before(wide.sample_on, 'marker_pairing') AND wide.hcy_on <= wide.treated_to_on, FALSE)
            AS hcy_treated,
        CASE WHEN wide.b12_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.b12_pmol_l END AS b12_pmol_l,
        CASE WHEN wide.b12_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.b12_comparator END AS b12_comparator,
        CASE WHEN wide.b12_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.b12_on END AS b12_on,
        coalesce(wide.b12_on >= before(wide.b12_sample_on, 'b12_pairing') AND wide.b12_on <= wide.treated_to_on, FALSE)
            AS b12_treated,
        CASE WHEN wide.holotc_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.holotc_pmol_l END AS holotc_pmol_l,
        CASE WHEN wide.holotc_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.holotc_comparator END AS holotc_comparator,
        CASE WHEN wide.holotc_on >= before(wide.b12_sample_on, 'b12_pairing') THEN wide.holotc_on END AS holotc_on,
        coalesce(wide.holotc_on >= before(wide.b12_sample_on, 'b12_pairing') AND wide.holotc_on <= wide.treated_to_on, FALSE)
            AS holotc_treated,
    FROM wide
),
judged AS (
    SELECT
        flat.*,
        meets('mma_raised', flat.mma_nmol_l, flat.mma_comparator) AS mma_above,
        meets('mma_marked', flat.mma_nmol_l, flat.mma_comparator) AS mma_far_above,
        meets('hcy_raised', flat.hcy_umol_l, flat.hcy_comparator) AS hcy_above,
        meets('b12_low', flat.b12_pmol_l, flat.b12_comparator) AS b12_low,
        meets('b12_borderline', flat.b12_pmol_l, flat.b12_comparator) AS b12_borderline,
        meets('holotc_low', flat.holotc_pmol_l, flat.holotc_comparator) AS holotc_low,
        meets('holotc_borderline', flat.holotc_pmol_l, flat.holotc_comparator) AS holotc_borderline,
    FROM flat
),
-- A value that lies below the borderline limit and may be low counts as low.
levelled AS (
    SELECT
        judged.*,
        CASE
            WHEN judged.b12_treated THEN 'unknown'
            WHEN judged.b12_borderline = 'yes' AND judged.b12_low <> 'no' THEN 'low'
            WHEN judged.b12_borderline = 'yes' THEN 'borderline'
            WHEN judged.b12_borderline = 'no' THEN 'adequate'
            ELSE 'unknown'
        END AS total_level,
        CASE
            WHEN judged.holotc_treated THEN 'unknown'
            WHEN judged.holotc_borderline = 'yes' AND judged.holotc_low <> 'no' THEN 'low'
            WHEN judged.holotc_borderline = 'yes' THEN 'borderline'
            WHEN judged.holotc_borderline = 'no' THEN 'adequate'
            ELSE 'unknown'
        END AS active_level,
    FROM judged
)
SELECT
    levelled.* EXCLUDE (
        mma_above, mma_far_above, hcy_above, b12_low, b12_borderline, holotc_low, holotc_borderline,
        total_level, active_level
    ),
    -- Under treatment a raised marker stays raised; that it is not raised says nothing.
    CASE WHEN levelled.mma_treated AND levelled.mma_above <> 'yes' THEN 'unknown' ELSE levelled.mma_above END
        AS mma_raised,
    CASE
        WHEN levelled.mma_treated AND levelled.mma_far_above <> 'yes' THEN 'unknown'
        ELSE levelled.mma_far_above
    END AS mma_marked,
    CASE WHEN levelled.hcy_treated AND levelled.hcy_above <> 'yes' THEN 'unknown' ELSE levelled.hcy_above END
        AS hcy_raised,
    CASE
        WHEN 'low' IN (levelled.total_level, levelled.active_level) THEN 'low'
        WHEN 'borderline' IN (levelled.total_level, levelled.active_level) THEN 'borderline'
        WHEN 'adequate' IN (levelled.total_level, levelled.active_level) THEN 'adequate'
        ELSE 'unknown'
    END AS b12_level,
FROM levelled
