-- One row per creatinine that is a rise over the person's earlier ones.
-- kept: no
-- Against the median of the earlier ones, at least two; bounds have no place in a median and are left out
-- of it, but a creatinine above a number is a rise when that number is one.
WITH measured AS (
    SELECT
        result.patient_id,
        result.collected_at,
        result.collected_on,
        result.comparator,
        result.value AS creatinine_umol_l,
        CASE WHEN result.comparator = '=' THEN result.value END AS number_umol_l,
    FROM facts.kidney_result AS result
    WHERE result.analyte = 'creatinine' AND result.comparator IN ('=', '>')
),
lowest AS (
    SELECT
        measured.patient_id,
        min(measured.number_umol_l) AS creatinine_umol_l,
    FROM measured
    GROUP BY measured.patient_id
),
-- No rise that is not one over the lowest: most creatinines leave here. Without an episode a rise is asked
-- for only as far back as the gate of a sample of the look-back.
later AS (
    SELECT
        measured.patient_id,
        measured.collected_at,
        measured.comparator,
        measured.creatinine_umol_l,
    FROM measured
    INNER JOIN lowest
        ON lowest.patient_id = measured.patient_id
        AND reaches(measured.creatinine_umol_l, quantity('creatinine_rise') * lowest.creatinine_umol_l)
    LEFT JOIN facts.b12_episode AS episode ON episode.patient_id = measured.patient_id
    WHERE
        episode.patient_id IS NOT NULL
        OR measured.collected_on >= kidney_from()
),
-- A window and no join: samples under one id for nobody in particular are one person with thousands of them.
compared AS (
    SELECT
        measured.patient_id,
        measured.collected_at,
        measured.collected_on,
        measured.comparator,
        measured.creatinine_umol_l,
        median(measured.number_umol_l) OVER earlier AS earlier_median_umol_l,
        count(measured.number_umol_l) OVER earlier AS n_earlier,
    FROM measured
    SEMI JOIN later ON later.patient_id = measured.patient_id
    WINDOW earlier AS (
        PARTITION BY measured.patient_id
        ORDER BY measured.collected_at
        RANGE BETWEEN
        (
            measured.collected_at
            - CAST(before(measured.collected_on, 'creatinine_baseline') AS TIMESTAMP)
        ) PRECEDING
        AND INTERVAL 1 MICROSECOND PRECEDING
    )
)
-- By instant: two of one day and one value have different earlier ones, the later the one before it.
SELECT DISTINCT
    compared.patient_id,
    compared.collected_at,
    compared.collected_on,
    compared.comparator,
    compared.creatinine_umol_l,
    compared.earlier_median_umol_l,
FROM compared
SEMI JOIN later
    ON later.patient_id = compared.patient_id
    AND later.collected_at = compared.collected_at
    AND later.comparator = compared.comparator
    AND later.creatinine_umol_l = compared.creatinine_umol_l
WHERE
    compared.n_earlier >= quantity('creatinine_earlier')
    AND reaches(compared.creatinine_umol_l, quantity('creatinine_rise') * compared.earlier_median_umol_l)
