-- One row per person of route screened or pregnant: what the markers say of functional deficiency.
SELECT
    patient.patient_id,
    judged.outcome AS functional_status,
    judged.rule_id,
    rule.reason || ': ' || text.marker_text AS why,
FROM facts.patient AS patient
INNER JOIN decisions.screening AS screening
    ON screening.patient_id = patient.patient_id AND screening.route IN ('screened', 'pregnant')
INNER JOIN decisions.marker_text AS text ON text.patient_id = patient.patient_id
INNER JOIN rules.functional_status AS judged
    ON judged.basis = patient.basis
    AND judged.mma_raised = patient.mma_raised
    AND judged.hcy_raised = patient.hcy_raised
    AND judged.gate = patient.gate
    AND judged.b12_level = patient.b12_level
    AND judged.mma_marked = patient.mma_marked
    AND judged.nitrous_oxide = patient.nitrous_oxide
INNER JOIN rules.row AS rule ON rule.rule_id = judged.rule_id
