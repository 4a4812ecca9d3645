-- One row per person about whom a clinic has to be told again: a value that it was sent stands no longer.
-- kept: no
-- It goes to the clinic that was told last, wherever the person belongs now, until that is acknowledged.
WITH pending AS (
    SELECT
        past.patient_id,
        past.item_id,
        past.clinic_id,
        past.listed_on,
        past.analyte,
        past.collected_on,
        past.value_text,
    FROM worklists.past_ground AS past
    LEFT JOIN worklists.acknowledged AS acknowledged ON acknowledged.patient_id = past.patient_id
    WHERE past.withdrawn_on > coalesce(acknowledged.acknowledged_on, past.withdrawn_on - INTERVAL 1 DAY)
),
told AS (
    SELECT
        pending.patient_id,
        arg_max({'clinic_id': pending.clinic_id}, row(pending.listed_on, pending.item_id)).clinic_id AS clinic_id,
    FROM pending
    GROUP BY pending.patient_id
),
worded AS (
    SELECT
        pending_value.patient_id,
        string_agg(
            ground_text(pending_value.analyte, pending_value.value_text, pending_value.collected_on),
            '; '
            ORDER BY pending_value.collected_on, pending_value.analyte, pending_value.value_text
        ) AS values_text,
    FROM (
        SELECT DISTINCT
            pending.patient_id,
            pending.analyte,
            pending.collected_on,
            pending.value_text,
        FROM pending
    ) AS pending_value
    GROUP BY pending_value.patient_id
)
SELECT
    worded.patient_id,
    rule.action,
    '' AS anchor,
    rule.rule_id,
    rule.priority,
    rule.text AS recommendation,
    rule.reason || ': ' || worded.values_text AS why,
    rule.source,
    told.clinic_id,
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
INNER JOIN told ON told.patient_id = worded.patient_id
INNER JOIN rules.row AS rule ON rule.action = 'result_withdrawn'
LEFT JOIN decisions.screening AS screening ON screening.patient_id = worded.patient_id
LEFT JOIN facts.patient AS patient ON patient.patient_id = worded.patient_id
LEFT JOIN decisions.functional_status AS status ON status.patient_id = worded.patient_id
WHERE screening.route IS NULL OR screening.route NOT IN ('deceased', 'opted_out')
