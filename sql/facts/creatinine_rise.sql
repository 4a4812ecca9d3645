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
    FROM facts.kidney_result AS result
    WHERE result.analyte = 'creatinine' AND result.comparator IN ('=', '>')
),
lowest AS (
    SELECT
        measured.patient_id,
        min(measured.creatinine_umol_l) AS creatinine_umol_l,
    FROM measured
    WHERE measured.comparator = '='
    GROUP BY measured.patient_id
),
-- No rise that is not one over the lowest: most creatinines leave here. Without an episode a rise is asked
-- for only as far back as the gate of a sample of the look-back.
later AS (
    SELECT DISTINCT
        measured.patient_id,
        measured.collected_at,
        measured.collected_on,
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
)
SELECT
    later.patient_id,
    later.collected_on,
    later.comparator,
    later.creatinine_umol_l,
    median(earlier.creatinine_umol_l) AS earlier_median_umol_l,
FROM later
INNER JOIN measured AS earlier
    ON earlier.patient_id = later.patient_id
    AND earlier.collected_at < later.collected_at
    AND earlier.collected_on >= before(later.collected_on, 'creatinine_baseline')
WHERE earlier.comparator = '='
-- By instant: two of one day and one value have different earlier ones, the later the one before it.
GROUP BY
    later.patient_id,
    later.collected_at,
    later.collected_on,
    later.comparator,
    later.creatinine_umol_l
HAVING
    count(*) >= quantity('creatinine_earlier')
    AND reaches(later.creatinine_umol_l, quantity('creatinine_rise') * median(earlier.creatinine_umol_l))
