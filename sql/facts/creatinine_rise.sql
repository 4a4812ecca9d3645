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
    FROM facts.result AS result
    WHERE result.analyte = 'creatinine' AND result.comparator IN ('=', '>')
),
-- No rise without a spread of that size: most people leave here.
spread AS (
    SELECT measured.patient_id
    FROM measured
    GROUP BY measured.patient_id
    HAVING
        max(measured.creatinine_umol_l)
        >= quantity('creatinine_rise')
        * min(measured.creatinine_umol_l) FILTER (WHERE measured.comparator = '=')
        AND count(*) > quantity('creatinine_earlier')
),
candidate AS (
    SELECT
        measured.*,
        row_number() OVER (
            PARTITION BY measured.patient_id
            ORDER BY measured.collected_at, measured.creatinine_umol_l, measured.comparator
        ) AS candidate_no,
    FROM measured
    SEMI JOIN spread ON spread.patient_id = measured.patient_id
)
SELECT
    later.patient_id,
    later.collected_on,
    later.comparator,
    later.creatinine_umol_l,
    median(earlier.creatinine_umol_l) AS earlier_median_umol_l,
FROM candidate AS later
INNER JOIN candidate AS earlier
    ON earlier.patient_id = later.patient_id
    AND earlier.collected_at < later.collected_at
    AND earlier.collected_on >= before(later.collected_on, 'creatinine_baseline')
WHERE earlier.comparator = '='
GROUP BY
    later.patient_id,
    later.candidate_no,
    later.collected_on,
    later.comparator,
    later.creatinine_umol_l
HAVING
    count(*) >= quantity('creatinine_earlier')
    AND later.creatinine_umol_l >= quantity('creatinine_rise') * median(earlier.creatinine_umol_l)
