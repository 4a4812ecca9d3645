-- One row per person whom a rule about beginning or resuming replacement lists, before any folding.
-- kept: no
WITH asked AS (
    SELECT
        patient.patient_id,
        patient.basis,
        patient.b12_treatment,
        patient.neuro,
        patient.neuro_definite,
        patient.b12_level,
        patient.severe_anaemia,
        status.functional_status,
        any_raised(patient.mma_raised, patient.hcy_raised, patient.b12_level) AS markers_raised,
        CASE
            WHEN patient.b12_treatment IN ('none', 'unknown') THEN 'yes'
            WHEN patient.b12_treatment = 'lapsed' AND patient.basis = 'current' THEN 'yes'
            ELSE 'no'
        END AS untreated,
    FROM facts.patient AS patient
    INNER JOIN decisions.functional_status AS status ON status.patient_id = patient.patient_id
),
regimen AS (
    SELECT
        asked.patient_id,
        regimen.outcome AS action,
        regimen.rule_id,
        regimen.priority,
    FROM asked
    INNER JOIN rules.regimen AS regimen
        ON regimen.untreated = asked.untreated
        AND regimen.functional_status = asked.functional_status
        AND regimen.neuro = asked.neuro
        AND regimen.neuro_definite = asked.neuro_definite
        AND regimen.b12_level = asked.b12_level
        AND regimen.markers_raised = asked.markers_raised
        AND regimen.severe_anaemia = asked.severe_anaemia
    WHERE regimen.outcome <> 'none'
),
lapsed AS (
    SELECT
        asked.patient_id,
        asked.b12_treatment,
        asked.basis,
        asked.neuro,
        course.established,
        CASE WHEN in_set('regimen_listed', regimen.rule_id) THEN 'yes' ELSE 'no' END AS regimen_listed,
    FROM asked
    INNER JOIN decisions.course_asked AS course ON course.patient_id = asked.patient_id
    LEFT JOIN regimen ON regimen.patient_id = asked.patient_id
)
SELECT
    regimen.patient_id,
    regimen.action,
    regimen.rule_id,
    regimen.priority,
FROM regimen
UNION ALL
SELECT
    lapsed.patient_id,
    lapse.outcome AS action,
    lapse.rule_id,
    lapse.priority,
FROM lapsed
INNER JOIN rules.lapse AS lapse
    ON lapse.b12_treatment = lapsed.b12_treatment
    AND lapse.basis = lapsed.basis
    AND lapse.regimen_listed = lapsed.regimen_listed
    AND lapse.established = lapsed.established
    AND lapse.neuro = lapsed.neuro
WHERE lapse.outcome <> 'none'
