-- One row per person with an episode, of route screened or pregnant: how the markers answer to treatment.
-- Last results before the start against the last ones long enough after it. A fall of homocysteine stands
-- in where that of MMA is undecided, unless folic acid of any dose, which lowers it too, was begun between them.
WITH episode AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        episode.start_not_seen,
    FROM facts.b12_episode AS episode
    INNER JOIN decisions.screening AS screening
        ON screening.patient_id = episode.patient_id AND screening.route IN ('screened', 'pregnant')
),
reading AS (
    SELECT
        episode.patient_id,
        result.analyte,
        result.collected_on <= episode.started_on AS earlier,
        {'value': result.value, 'comparator': result.comparator, 'collected_on': result.collected_on} AS reading,
    FROM episode
    INNER JOIN facts.result AS result ON result.patient_id = episode.patient_id
    WHERE
        result.analyte IN ('mma', 'hcy')
        AND (
            (
                NOT episode.start_not_seen
                AND result.collected_on <= episode.started_on
                AND result.collected_on >= before(episode.started_on, 'look_back')
            )
            OR (
                result.collected_on >= after(episode.started_on, 'response_first')
                AND result.collected_on >= before(as_of(), 'look_back')
            )
        )
    QUALIFY row_number() OVER (
        PARTITION BY episode.patient_id, result.analyte, result.collected_on <= episode.started_on
        ORDER BY
            result.collected_at DESC,
            result.reported_at DESC NULLS LAST,
            result.result_id DESC,
            result.laboratory DESC
    ) = 1
),
newest AS (
    SELECT
        reading.patient_id,
        any_value(reading.reading) FILTER (WHERE reading.analyte = 'mma' AND reading.earlier) AS mma_before,
        any_value(reading.reading) FILTER (WHERE reading.analyte = 'mma' AND NOT reading.earlier) AS mma_after,
        any_value(reading.reading) FILTER (WHERE reading.analyte = 'hcy' AND reading.earlier) AS hcy_before,
        any_value(reading.reading) FILTER (WHERE reading.analyte = 'hcy' AND NOT reading.earlier) AS hcy_after,
    FROM reading
    GROUP BY reading.patient_id
),
folic_acid_begun AS (
    SELECT DISTINCT newest.patient_id
    FROM newest
    INNER JOIN facts.drug AS drug
        ON drug.patient_id = newest.patient_id
        AND drug.is_folic_acid
        AND drug.started_on >= newest.hcy_before.collected_on
        AND drug.started_on <= newest.hcy_after.collected_on
),
fallen AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        newest.mma_before,
        newest.mma_after,
        newest.hcy_before,
        newest.hcy_after,
        folic_acid_begun.patient_id IS NULL AS hcy_speaks,
        fall_reaches(
            quantity('fall_least'),
            newest.mma_before.value, newest.mma_before.comparator,
            newest.mma_after.value, newest.mma_after.comparator
        ) AS mma_fall_least,
        fall_reaches(
            quantity('fall_mma'),
            newest.mma_before.value, newest.mma_before.comparator,
            newest.mma_after.value, newest.mma_after.comparator
        ) AS mma_fall_good,
        fall_reaches(
            quantity('fall_least'),
            newest.hcy_before.value, newest.hcy_before.comparator,
            newest.hcy_after.value, newest.hcy_after.comparator
        ) AS hcy_fall_least,
        fall_reaches(
            quantity('fall_mma'),
            newest.hcy_before.value, newest.hcy_before.comparator,
            newest.hcy_after.value, newest.hcy_after.comparator
        ) AS hcy_fall_as_mma,
        fall_reaches(
            quantity('fall_hcy'),
            newest.hcy_before.value, newest.hcy_before.comparator,
            newest.hcy_after.value, newest.hcy_after.comparator
        ) AS hcy_fall_good,
    FROM episode
    LEFT JOIN newest ON newest.patient_id = episode.patient_id
    LEFT JOIN folic_acid_begun ON folic_acid_begun.patient_id = episode.patient_id
),
asked AS (
    SELECT
        fallen.patient_id,
        CASE WHEN as_of() < after(fallen.started_on, 'response_first') THEN 'too_early' ELSE 'assessable' END
            AS episode_age,
        CASE
            WHEN fallen.mma_fall_least <> 'unknown' THEN fallen.mma_fall_least
            WHEN fallen.hcy_speaks THEN fallen.hcy_fall_least
            ELSE 'unknown'
        END AS fall_20,
        CASE
            WHEN fallen.mma_fall_least <> 'unknown' THEN fallen.mma_fall_good
            WHEN fallen.hcy_speaks THEN fallen.hcy_fall_as_mma
            ELSE 'unknown'
        END AS fall_48,
        CASE
            WHEN fallen.mma_fall_least <> 'unknown' THEN fallen.mma_fall_good
            WHEN fallen.hcy_speaks THEN fallen.hcy_fall_good
            ELSE 'unknown'
        END AS fall_good,
        patient.kidney,
        meets('mma_at_target', fallen.mma_after.value, fallen.mma_after.comparator) AS mma_at_target,
        meets('hcy_at_target', fallen.hcy_after.value, fallen.hcy_after.comparator) AS hcy_at_target,
        meets('mma_marked', fallen.mma_after.value, fallen.mma_after.comparator) AS latest_mma_marked,
        meets('mma_raised', fallen.mma_after.value, fallen.mma_after.comparator) AS latest_mma_raised,
        CASE
            WHEN fallen.mma_after.collected_on >= after(fallen.started_on, 'no_response_first') THEN 'yes'
            ELSE 'no'
        END AS mma_80_days,
        blood_abnormal_from(
            CAST(fallen.started_on + INTERVAL 1 DAY AS DATE),
            patient.anaemia,
            patient.hb_on,
            patient.macrocytosis,
            patient.mcv_on
        ) AS blood_abnormal_since_start,
        fallen.mma_before,
        fallen.mma_after,
        fallen.hcy_before,
        fallen.hcy_after,
        fallen.mma_fall_least = 'unknown' AND fallen.hcy_speaks
        AND fallen.hcy_before IS NOT NULL AND fallen.hcy_after IS NOT NULL AS hcy_decides,
    FROM fallen
    INNER JOIN facts.patient AS patient ON patient.patient_id = fallen.patient_id
)
SELECT
    asked.patient_id,
    response.outcome AS response,
    response.rule_id,
    CASE
        WHEN asked.mma_before.comparator = '=' AND asked.mma_after.comparator = '='
            THEN 100 * (asked.mma_before.value - asked.mma_after.value) / nullif(asked.mma_before.value, 0)
    END AS mma_fall_pct,
    CASE
        WHEN asked.hcy_before.comparator = '=' AND asked.hcy_after.comparator = '='
            THEN 100 * (asked.hcy_before.value - asked.hcy_after.value) / nullif(asked.hcy_before.value, 0)
    END AS hcy_fall_pct,
    asked.mma_before.value AS mma_before_nmol_l,
    asked.mma_before.comparator AS mma_before_comparator,
    asked.mma_before.collected_on AS mma_before_on,
    asked.mma_after.value AS mma_after_nmol_l,
    asked.mma_after.comparator AS mma_after_comparator,
    asked.mma_after.collected_on AS mma_after_on,
    asked.hcy_before.value AS hcy_before_umol_l,
    asked.hcy_before.comparator AS hcy_before_comparator,
    asked.hcy_before.collected_on AS hcy_before_on,
    asked.hcy_after.value AS hcy_after_umol_l,
    asked.hcy_after.comparator AS hcy_after_comparator,
    asked.hcy_after.collected_on AS hcy_after_on,
    asked.hcy_decides,
FROM asked
INNER JOIN rules.at_target AS at_target
    ON at_target.mma_at_target = asked.mma_at_target
    AND at_target.hcy_at_target = asked.hcy_at_target
    AND at_target.blood_abnormal_since_start = asked.blood_abnormal_since_start
INNER JOIN rules.no_response AS no_response
    ON no_response.mma_80_days = asked.mma_80_days
    AND no_response.latest_mma_marked = asked.latest_mma_marked
    AND no_response.latest_mma_raised = asked.latest_mma_raised
    AND no_response.kidney = asked.kidney
    AND no_response.fall_20 = asked.fall_20
    AND no_response.fall_48 = asked.fall_48
INNER JOIN rules.response AS response
    ON response.episode_age = asked.episode_age
    AND response.at_target = at_target.outcome
    AND response.no_response = no_response.outcome
    AND response.kidney = asked.kidney
    AND response.fall_20 = asked.fall_20
    AND response.fall_good = asked.fall_good
