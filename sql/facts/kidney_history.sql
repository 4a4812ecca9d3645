-- One row per person whose older kidney results are asked for, and how far back.
-- kept: no
-- An episode asks for those at the deciding sample before its start; chronic disease is looked for in the
-- whole history of people with two reduced eGFR far enough apart, ties not yet put in order.
WITH reading AS (
    SELECT
        result.patient_id,
        result.collected_on,
        CASE result.analyte
            WHEN 'egfr' THEN result.value
            ELSE egfr_of(result.value, age_on(person.birth_date, result.collected_on), person.sex)
        END AS egfr_ml_min,
        CASE result.analyte WHEN 'egfr' THEN result.comparator ELSE opposite(result.comparator) END
            AS comparator,
    FROM core.lab_result AS result
    INNER JOIN facts.person AS person ON person.patient_id = result.patient_id
    WHERE
        result.analyte IN ('creatinine', 'egfr')
        AND result.status IN ('final', 'amended', 'corrected')
        AND result.collected_on <= as_of()
),
judged AS (
    SELECT
        reading.patient_id,
        CASE
            WHEN meets('egfr_reduced', reading.egfr_ml_min, reading.comparator) = 'yes'
                THEN reading.collected_on
        END AS reduced_on,
    FROM reading
),
suspected AS (
    SELECT judged.patient_id
    FROM judged
    GROUP BY judged.patient_id
    HAVING max(judged.reduced_on) >= after(min(judged.reduced_on), 'chronic_kidney')
)
SELECT
    coalesce(episode.patient_id, suspected.patient_id) AS patient_id,
    CASE
        WHEN suspected.patient_id IS NOT NULL THEN DATE '-infinity'
        ELSE before(before(before(episode.started_on, 'look_back'), 'gate'), 'creatinine_baseline')
    END AS from_on,
FROM facts.b12_episode AS episode
FULL JOIN suspected ON suspected.patient_id = episode.patient_id
