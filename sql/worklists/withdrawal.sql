-- One row per person and clinic that has to be told again: a value that its list named stands no longer.
-- kept: no
-- It goes to the clinic that was told, wherever the person belongs now, until that clinic acknowledges it.
WITH pending AS (
    SELECT DISTINCT
        past.patient_id,
        past.clinic_id,
        past.analyte,
        past.collected_on,
        past.value_text,
    FROM worklists.past_ground AS past
    WHERE past.waits AND NOT past.is_told_elsewhere
),
worded AS (
    SELECT
        pending.patient_id,
        pending.clinic_id,
        string_agg(
            ground_text(pending.analyte, pending.value_text, pending.collected_on),
            '; '
            ORDER BY pending.collected_on, pending.analyte, pending.value_text
        ) AS values_text,
    FROM pending
    GROUP BY pending.patient_id, pending.clinic_id
)
SELECT
    worded.patient_id,
    rule.action,
    withdrawal_anchor(worded.clinic_id) AS anchor,
    rule.rule_id,
    rule.priority,
    rule.text AS recommendation,
    rule.reason || ': ' || worded.values_text AS why,
    rule.source,
    worded.clinic_id,
    CAST(NULL AS DATE) AS due_on,
    0 AS days_overdue,
    status.functional_status,
    coalesce(patient.neuro, 'unknown') AS neuro,
    coalesce(patient.kidney, 'unknown') AS kidney,
    value_text(patient.mma_nmol_l, patient.mma_comparator) AS mma_nmol_l,
    patient.mma_on,
    value_text(patient.hcy_umol_l, patient.hcy_comparator) AS hcy_umol_l,
    patient.hcy_on,
    value_text(patient.b12_pmol_l, patient.b12_comparator) AS b12_pmol_l,
    patient.b12_on,
    egfr_text(patient.egfr_ml_min, patient.egfr_comparator) AS egfr_ml_min,
    patient.egfr_on,
FROM worded
INNER JOIN rules.row AS rule ON rule.action = 'result_withdrawn'
LEFT JOIN decisions.screening AS screening ON screening.patient_id = worded.patient_id
LEFT JOIN facts.patient AS patient ON patient.patient_id = worded.patient_id
LEFT JOIN decisions.functional_status AS status ON status.patient_id = worded.patient_id
WHERE screening.route IS NULL OR screening.route NOT IN ('deceased', 'opted_out')
