-- One row per person whose older kidney results are asked for, and how far back.
-- kept: no
-- An episode asks for those at the deciding sample before its start; chronic disease is looked for from the
-- first eGFR that may be reduced, where another one is far enough from it; a rise asks for the creatinines
-- of the year before. The whole history is read once and lightly: an eGFR for the age on the night is no
-- higher than for the age on the day, so nobody is missed; the exact question is asked of these people only.
WITH reading AS (
    SELECT
        result.patient_id,
        result.collected_on,
        result.value,
        result.analyte = 'creatinine' AND result.comparator <> '<'
        AND result.collected_on >= kidney_from() AS later_creatinine,
        result.analyte = 'creatinine' AND result.comparator = '='
        AND result.collected_on >= before(kidney_from(), 'creatinine_baseline')
            AS earlier_creatinine,
        CASE result.analyte
            WHEN 'egfr' THEN CASE WHEN result.comparator <> '>' THEN result.value END
            ELSE
                CASE WHEN result.comparator <> '<' THEN egfr_of(result.value, person.age_years, person.sex) END
        END AS lowest_egfr_ml_min,
    FROM core.lab_result AS result
    INNER JOIN facts.person AS person ON person.patient_id = result.patient_id
    WHERE
        result.analyte IN ('creatinine', 'egfr')
        AND speaks(result.status)
        AND result.collected_on <= as_of()
),
extreme AS (
    SELECT
        reading.patient_id,
        min(reading.collected_on) FILTER (WHERE floor(reading.lowest_egfr_ml_min) <= limit_value('egfr_reduced'))
            AS first_reduced_on,
        max(reading.collected_on) FILTER (WHERE floor(reading.lowest_egfr_ml_min) <= limit_value('egfr_reduced'))
            AS last_reduced_on,
        max(reading.value) FILTER (WHERE reading.later_creatinine) AS highest_umol_l,
        min(reading.value) FILTER (WHERE reading.earlier_creatinine) AS lowest_umol_l,
    FROM reading
    GROUP BY reading.patient_id
),
asked AS (
    SELECT
        extreme.patient_id,
        CASE
            WHEN extreme.last_reduced_on >= after(extreme.first_reduced_on, 'chronic_kidney')
                THEN extreme.first_reduced_on
        END AS from_on,
        CASE
            WHEN reaches(extreme.highest_umol_l, quantity('creatinine_rise') * extreme.lowest_umol_l)
                THEN before(kidney_from(), 'creatinine_baseline')
        END AS rise_from_on,
    FROM extreme
)
SELECT
    coalesce(episode.patient_id, asked.patient_id) AS patient_id,
    least(
        asked.from_on,
        asked.rise_from_on,
        before(before(before(episode.started_on, 'look_back'), 'gate'), 'creatinine_baseline')
    ) AS from_on,
FROM asked
FULL JOIN facts.b12_episode AS episode ON episode.patient_id = asked.patient_id
WHERE asked.from_on IS NOT NULL OR asked.rise_from_on IS NOT NULL OR episode.patient_id IS NOT NULL
