-- One row per person whose older results are asked for: how far back for the markers, and for the kidneys.
-- kept: no
-- An episode asks for the results before its start; chronic kidney disease is looked for in the whole history
-- of those who may have it: a reported eGFR below the limit, or one computed from the highest creatinine at
-- the age of the night, which is never above the one of its own day.
WITH kidney_extreme AS (
    SELECT
        result.patient_id,
        min(result.value) FILTER (WHERE result.analyte = 'egfr' AND result.comparator <> '>') AS lowest_egfr,
        max(result.value) FILTER (WHERE result.analyte = 'creatinine' AND result.comparator <> '<')
            AS highest_creatinine,
    FROM core.lab_result AS result
    WHERE
        result.analyte IN ('creatinine', 'egfr')
        AND result.status IN ('final', 'amended', 'corrected')
        AND result.collected_on <= as_of()
    GROUP BY result.patient_id
),
suspected AS (
    SELECT extreme.patient_id
    FROM kidney_extreme AS extreme
    LEFT JOIN facts.person AS person ON person.patient_id = extreme.patient_id
    WHERE
        meets('egfr_reduced', extreme.lowest_egfr, '<') = 'yes'
        OR meets(
            'egfr_reduced',
            ckd_epi_2021(creatinine_mg_dl(extreme.highest_creatinine), person.age_years, person.sex),
            '<'
        ) = 'yes'
)
SELECT
    coalesce(episode.patient_id, suspected.patient_id) AS patient_id,
    before(episode.started_on, 'look_back') AS markers_from,
    CASE
        WHEN suspected.patient_id IS NOT NULL THEN DATE '-infinity'
        ELSE before(before(before(episode.started_on, 'look_back'), 'gate'), 'creatinine_baseline')
    END AS kidney_from,
FROM facts.b12_episode AS episode
FULL JOIN suspected ON suspected.patient_id = episode.patient_id
