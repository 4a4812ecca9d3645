-- One row per person with a result that decides: MMA and homocysteine of the deciding sample, and B12.
-- kept: no
-- The newest MMA or homocysteine of the window decides; the other marker has to be close before it. The
-- newest of total and active B12 speaks, and the other one where it was taken close to it.
WITH in_window AS (
    SELECT
        result.patient_id,
        result.analyte,
        {
            'value': result.value,
            'comparator': result.comparator,
            'collected_at': result.collected_at,
            'collected_on': result.collected_on,
            'treated': coalesce(result.collected_on <= basis.treated_to_on, FALSE)
        } AS reading,
        result.collected_at AS reading_order,
    FROM facts.result AS result
    LEFT JOIN facts.basis AS basis ON basis.patient_id = result.patient_id
    WHERE
        result.analyte IN ('mma', 'hcy', 'b12', 'holotc')
        AND CASE
            WHEN basis.patient_id IS NULL THEN result.collected_on >= before(as_of(), 'look_back')
            ELSE result.collected_on >= basis.from_on AND result.collected_on <= basis.to_on
        END
),
newest AS (
    SELECT
        in_window.patient_id,
        arg_max(in_window.reading, in_window.reading_order) FILTER (WHERE in_window.analyte = 'mma') AS mma,
        arg_max(in_window.reading, in_window.reading_order) FILTER (WHERE in_window.analyte = 'hcy') AS hcy,
        arg_max(in_window.reading, in_window.reading_order) FILTER (WHERE in_window.analyte = 'b12') AS b12,
        arg_max(in_window.reading, in_window.reading_order) FILTER (WHERE in_window.analyte = 'holotc')
            AS holotc,
    FROM in_window
    GROUP BY in_window.patient_id
),
dated AS (
    SELECT
        newest.*,
        greatest(newest.mma.collected_on, newest.hcy.collected_on) AS sample_on,
        greatest(newest.b12.collected_on, newest.holotc.collected_on) AS b12_sample_on,
    FROM newest
),
paired AS (
    SELECT
        dated.patient_id,
        dated.sample_on,
        CASE WHEN dated.mma.collected_on >= before(dated.sample_on, 'marker_pairing') THEN dated.mma END
            AS mma,
        CASE WHEN dated.hcy.collected_on >= before(dated.sample_on, 'marker_pairing') THEN dated.hcy END
            AS hcy,
        CASE WHEN dated.b12.collected_on >= before(dated.b12_sample_on, 'b12_pairing') THEN dated.b12 END
            AS b12,
        CASE
            WHEN dated.holotc.collected_on >= before(dated.b12_sample_on, 'b12_pairing') THEN dated.holotc
        END AS holotc,
    FROM dated
),
flat AS (
    SELECT
        paired.patient_id,
        paired.sample_on,
        paired.mma.value AS mma_nmol_l,
        paired.mma.comparator AS mma_comparator,
        paired.mma.collected_on AS mma_on,
        coalesce(paired.mma.treated, FALSE) AS mma_treated,
        paired.hcy.value AS hcy_umol_l,
        paired.hcy.comparator AS hcy_comparator,
        paired.hcy.collected_on AS hcy_on,
        coalesce(paired.hcy.treated, FALSE) AS hcy_treated,
        paired.b12.value AS b12_pmol_l,
        paired.b12.comparator AS b12_comparator,
        paired.b12.collected_on AS b12_on,
        coalesce(paired.b12.treated, FALSE) AS b12_treated,
        paired.holotc.value AS holotc_pmol_l,
        paired.holotc.comparator AS holotc_comparator,
        paired.holotc.collected_on AS holotc_on,
        coalesce(paired.holotc.treated, FALSE) AS holotc_treated,
    FROM paired
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
        mma_above, mma_far_above, hcy_above, b12_low, b12_borderline, holotc_low, holotc_borderline
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
