-- One row per person and rule that lists them, before rows are folded into one review.
-- kept: no
WITH asked AS (
    SELECT
        patient.patient_id,
        patient.b12_treatment,
        patient.neuro,
        patient.kidney,
        patient.renal_dysfunction,
        patient.severe_anaemia,
        patient.mma_raised,
        patient.hcy_raised,
        patient.b12_level,
        patient.folic_acid_active,
        patient.cyanocobalamin_active,
        CASE WHEN coalesce(listed.start, FALSE) THEN 'yes' ELSE 'no' END AS start_listed,
        CASE WHEN coalesce(listed.replacement, FALSE) THEN 'yes' ELSE 'no' END AS replacement_listed,
        CASE WHEN coalesce(listed.b12_row, FALSE) THEN 'yes' ELSE 'no' END AS b12_row_listed,
    FROM facts.patient AS patient
    INNER JOIN decisions.functional_status AS status ON status.patient_id = patient.patient_id
    LEFT JOIN (
        SELECT
            replacement.patient_id,
            bool_or(in_set('start_listed', replacement.rule_id)) AS start,
            bool_or(in_set('replacement_listed', replacement.rule_id)) AS replacement,
            bool_or(in_set('b12_row_listed', replacement.rule_id)) AS b12_row,
        FROM decisions.replacement AS replacement
        GROUP BY replacement.patient_id
    ) AS listed ON listed.patient_id = patient.patient_id
),
course AS (
    SELECT
        asked.patient_id,
        asked.b12_treatment,
        asked.neuro,
        course.maintenance_dose,
        course.new_neuro_code,
        course.mma_marked_on_treatment,
        course.loading_state,
        course.episode_80_days,
        course.blood_abnormal,
    FROM asked
    INNER JOIN decisions.course_asked AS course ON course.patient_id = asked.patient_id
),
outside_screen AS (
    SELECT
        patient.patient_id,
        screening.route,
        patient.b12_treatment,
        patient.neuro,
        any_raised(patient.mma_raised, patient.hcy_raised, patient.b12_level) AS markers_raised,
    FROM facts.patient AS patient
    INNER JOIN decisions.screening AS screening
        ON screening.patient_id = patient.patient_id AND screening.route NOT IN ('screened', 'pregnant')
)
SELECT
    replacement.patient_id,
    replacement.action,
    replacement.rule_id,
    replacement.priority,
FROM decisions.replacement AS replacement
UNION ALL
SELECT course.patient_id, maintenance.outcome, maintenance.rule_id, maintenance.priority
FROM course
INNER JOIN rules.maintenance AS maintenance
    ON maintenance.b12_treatment = course.b12_treatment
    AND maintenance.maintenance_dose = course.maintenance_dose
WHERE maintenance.outcome <> 'none'
UNION ALL
SELECT course.patient_id, treatment_review.outcome, treatment_review.rule_id, treatment_review.priority
FROM course
INNER JOIN rules.treatment_review AS treatment_review
    ON treatment_review.b12_treatment = course.b12_treatment
    AND treatment_review.new_neuro_code = course.new_neuro_code
    AND treatment_review.mma_marked_on_treatment = course.mma_marked_on_treatment
WHERE treatment_review.outcome <> 'none'
UNION ALL
SELECT course.patient_id, loading.outcome, loading.rule_id, loading.priority
FROM course
INNER JOIN rules.loading AS loading
    ON loading.loading_state = course.loading_state AND loading.neuro = course.neuro
WHERE loading.outcome <> 'none'
UNION ALL
SELECT course.patient_id, anaemia_review.outcome, anaemia_review.rule_id, anaemia_review.priority
FROM course
INNER JOIN rules.anaemia_review AS anaemia_review
    ON anaemia_review.b12_treatment = course.b12_treatment
    AND anaemia_review.episode_80_days = course.episode_80_days
    AND anaemia_review.blood_abnormal = course.blood_abnormal
WHERE anaemia_review.outcome <> 'none'
UNION ALL
SELECT asked.patient_id, folic_acid.outcome, folic_acid.rule_id, folic_acid.priority
FROM asked
INNER JOIN rules.folic_acid AS folic_acid
    ON folic_acid.folic_acid_active = asked.folic_acid_active
    AND folic_acid.b12_treatment = asked.b12_treatment
    AND folic_acid.mma_raised = asked.mma_raised
    AND folic_acid.b12_level = asked.b12_level
    AND folic_acid.hcy_raised = asked.hcy_raised
WHERE folic_acid.outcome <> 'none'
UNION ALL
SELECT asked.patient_id, cyanocobalamin.outcome, cyanocobalamin.rule_id, cyanocobalamin.priority
FROM asked
INNER JOIN rules.cyanocobalamin AS cyanocobalamin
    ON cyanocobalamin.cyanocobalamin_active = asked.cyanocobalamin_active
    AND cyanocobalamin.renal_dysfunction = asked.renal_dysfunction
WHERE cyanocobalamin.outcome <> 'none'
UNION ALL
SELECT asked.patient_id, kidney_check.outcome, kidney_check.rule_id, kidney_check.priority
FROM asked
INNER JOIN rules.kidney_check AS kidney_check
    ON kidney_check.start_listed = asked.start_listed AND kidney_check.kidney = asked.kidney
WHERE kidney_check.outcome <> 'none'
UNION ALL
SELECT asked.patient_id, potassium_check.outcome, potassium_check.rule_id, potassium_check.priority
FROM asked
INNER JOIN rules.potassium_check AS potassium_check
    ON potassium_check.replacement_listed = asked.replacement_listed
    AND potassium_check.severe_anaemia = asked.severe_anaemia
WHERE potassium_check.outcome <> 'none'
UNION ALL
SELECT asked.patient_id, dialysis_vitamins.outcome, dialysis_vitamins.rule_id, dialysis_vitamins.priority
FROM asked
INNER JOIN rules.dialysis_vitamins AS dialysis_vitamins
    ON dialysis_vitamins.kidney = asked.kidney
    AND dialysis_vitamins.b12_treatment = asked.b12_treatment
    AND dialysis_vitamins.b12_row_listed = asked.b12_row_listed
WHERE dialysis_vitamins.outcome <> 'none'
UNION ALL
SELECT recheck.patient_id, listed.outcome, listed.rule_id, listed.priority
FROM decisions.recheck AS recheck
INNER JOIN rules.recheck AS listed ON listed.recheck_state = recheck.recheck_state
WHERE listed.outcome <> 'none'
UNION ALL
SELECT response.patient_id, response_review.outcome, response_review.rule_id, response_review.priority
FROM decisions.response AS response
INNER JOIN rules.response_review AS response_review ON response_review.response = response.response
WHERE response_review.outcome <> 'none'
UNION ALL
SELECT outside_screen.patient_id, age_review.outcome, age_review.rule_id, age_review.priority
FROM outside_screen
INNER JOIN rules.age_review AS age_review
    ON age_review.route = outside_screen.route
    AND age_review.markers_raised = outside_screen.markers_raised
    AND age_review.b12_treatment = outside_screen.b12_treatment
    AND age_review.neuro = outside_screen.neuro
WHERE age_review.outcome <> 'none'
