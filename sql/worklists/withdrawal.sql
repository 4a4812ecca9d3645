-- One row per person and clinic that has to be told again: a value that its list named stands no longer.
-- kept: no
-- It goes to the clinic that was told, wherever the person belongs now, until that clinic acknowledges it.
WITH waiting AS (
    SELECT
        past.patient_id,
        past.clinic_id,
        past.analyte,
        past.collected_on,
        past.value_text,
        -- What became of a row is forgotten after a year; what it named waits longer.
        string_agg(DISTINCT standing.action, ', ' ORDER BY standing.action) AS actions,
    FROM worklists.past_ground AS past
    LEFT JOIN worklists.standing AS standing ON standing.item_id = past.item_id
    WHERE past.waits AND NOT past.is_told_elsewhere
    GROUP BY past.patient_id, past.clinic_id, past.analyte, past.collected_on, past.value_text
),
-- What is said of that day now.
said AS (
    SELECT
        result.patient_id,
        result.analyte,
        result.collected_on,
        value_text(result.value, result.comparator) AS value_text,
    FROM core.lab_result AS result
    SEMI JOIN waiting ON waiting.patient_id = result.patient_id
    WHERE result.analyte <> 'egfr' AND result.value IS NOT NULL AND speaks(result.status)
    UNION
    SELECT
        egfr.patient_id,
        'egfr' AS analyte,
        egfr.collected_on,
        egfr_text(egfr.egfr_ml_min, egfr.egfr_comparator) AS value_text,
    FROM facts.egfr AS egfr
    SEMI JOIN waiting ON waiting.patient_id = egfr.patient_id
),
said_of_day AS (
    SELECT
        said.patient_id,
        said.analyte,
        said.collected_on,
        string_agg(
            ground_text(said.analyte, said.value_text, said.collected_on), ' and ' ORDER BY said.value_text
        ) AS values_text,
    FROM said
    GROUP BY said.patient_id, said.analyte, said.collected_on
),
compared AS (
    SELECT
        waiting.*,
        CASE
            WHEN same.patient_id IS NOT NULL THEN 'it stands again'
            WHEN said_of_day.values_text IS NOT NULL THEN 'now ' || said_of_day.values_text
            -- An old eGFR may stand and not be asked for any more.
            WHEN waiting.analyte <> 'egfr' THEN 'now none of that day'
        END AS now_text,
    FROM waiting
    LEFT JOIN said_of_day
        ON said_of_day.patient_id = waiting.patient_id
        AND said_of_day.analyte = waiting.analyte
        AND said_of_day.collected_on = waiting.collected_on
    LEFT JOIN said AS same
        ON same.patient_id = waiting.patient_id
        AND same.analyte = waiting.analyte
        AND same.collected_on = waiting.collected_on
        AND same.value_text = waiting.value_text
),
worded AS (
    SELECT
        compared.patient_id,
        compared.clinic_id,
        string_agg(
            ground_text(compared.analyte, compared.value_text, compared.collected_on)
            || coalesce(
                ' (' || nullif(concat_ws(', ', 'named under ' || compared.actions, compared.now_text), '') || ')',
                ''
            ),
            '; '
            ORDER BY compared.collected_on, compared.analyte, compared.value_text
        ) AS values_text,
    FROM compared
    GROUP BY compared.patient_id, compared.clinic_id
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
