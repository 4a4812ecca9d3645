-- One row per value that a listed row rests on, or rested on in the last year or until its withdrawal is
-- acknowledged: what its reason names, and of which day.
-- What a clinic was sent stays here after the row has changed or closed: if the laboratory takes it back, the
-- clinic that was told has to know.
WITH listed AS (
    SELECT
        item.item_id,
        item.patient_id,
        item.clinic_id,
        item.why,
        item.as_of AS listed_on,
    FROM worklists.item AS item
    WHERE item.item_state = 'open' AND item.action NOT IN ('result_withdrawn', 'check_record')
),
-- Most people are on no list, and nobody asks for a text of theirs.
listed_patient AS MATERIALIZED (
    SELECT
        patient.*,
    FROM facts.patient AS patient
    SEMI JOIN listed ON listed.patient_id = patient.patient_id
),
value AS (
    SELECT
        patient.patient_id,
        'mma' AS analyte,
        patient.mma_on AS collected_on,
        value_text(patient.mma_nmol_l, patient.mma_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION ALL
    SELECT
        patient.patient_id,
        'hcy' AS analyte,
        patient.hcy_on AS collected_on,
        value_text(patient.hcy_umol_l, patient.hcy_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION ALL
    SELECT
        patient.patient_id,
        'b12' AS analyte,
        patient.b12_on AS collected_on,
        value_text(patient.b12_pmol_l, patient.b12_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION ALL
    SELECT
        patient.patient_id,
        'holotc' AS analyte,
        patient.holotc_on AS collected_on,
        value_text(patient.holotc_pmol_l, patient.holotc_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION ALL
    SELECT
        patient.patient_id,
        'hb' AS analyte,
        patient.hb_on AS collected_on,
        value_text(patient.hb_g_l, patient.hb_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION ALL
    SELECT
        patient.patient_id,
        'mcv' AS analyte,
        patient.mcv_on AS collected_on,
        value_text(patient.mcv_fl, patient.mcv_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION
    SELECT
        patient.patient_id,
        'egfr' AS analyte,
        patient.egfr_on AS collected_on,
        egfr_text(patient.egfr_ml_min, patient.egfr_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION
    SELECT
        patient.patient_id,
        'egfr' AS analyte,
        patient.gate_egfr_on AS collected_on,
        egfr_text(patient.gate_egfr_ml_min, patient.gate_egfr_comparator) AS value_text,
    FROM listed_patient AS patient
    UNION
    SELECT
        response.patient_id,
        'mma' AS analyte,
        response.mma_after_on AS collected_on,
        value_text(response.mma_after_nmol_l, response.mma_after_comparator) AS value_text,
    FROM decisions.response AS response
    UNION
    SELECT
        response.patient_id,
        'mma' AS analyte,
        response.mma_before_on AS collected_on,
        value_text(response.mma_before_nmol_l, response.mma_before_comparator) AS value_text,
    FROM decisions.response AS response
    UNION
    SELECT
        response.patient_id,
        'hcy' AS analyte,
        response.hcy_after_on AS collected_on,
        value_text(response.hcy_after_umol_l, response.hcy_after_comparator) AS value_text,
    FROM decisions.response AS response
    UNION
    SELECT
        response.patient_id,
        'hcy' AS analyte,
        response.hcy_before_on AS collected_on,
        value_text(response.hcy_before_umol_l, response.hcy_before_comparator) AS value_text,
    FROM decisions.response AS response
    UNION
    -- On treatment the newest ones are named, though those of before it decide, and so is one too long before
    -- the other marker to count.
    SELECT
        latest.patient_id,
        latest.analyte,
        latest.collected_on,
        value_text(latest.value, latest.comparator) AS value_text,
    FROM facts.latest AS latest
    WHERE latest.analyte IN ('mma', 'hcy', 'b12', 'holotc')
    UNION
    -- A creatinine is named as itself where it is a rise, or gives no eGFR.
    SELECT
        rise.patient_id,
        'creatinine' AS analyte,
        rise.collected_on,
        value_text(rise.creatinine_umol_l, rise.comparator) AS value_text,
    FROM facts.creatinine_rise AS rise
    UNION
    SELECT
        creatinine.patient_id,
        creatinine.analyte,
        creatinine.collected_on,
        value_text(creatinine.value, creatinine.comparator) AS value_text,
    FROM facts.kidney_result AS creatinine
    ANTI JOIN facts.egfr AS egfr
        ON egfr.patient_id = creatinine.patient_id AND egfr.collected_at = creatinine.collected_at
    WHERE creatinine.analyte = 'creatinine' AND creatinine.leading
),
tonight AS (
    SELECT
        listed.item_id,
        listed.patient_id,
        listed.clinic_id,
        value.analyte,
        value.collected_on,
        value.value_text,
        listed.listed_on,
    FROM listed
    INNER JOIN value
        ON value.patient_id = listed.patient_id
        AND contains(listed.why, ground_text(value.analyte, value.value_text, value.collected_on))
)
SELECT
    coalesce(tonight.item_id, past.item_id) AS item_id,
    coalesce(tonight.patient_id, past.patient_id) AS patient_id,
    CASE WHEN tonight.item_id IS NULL THEN past.clinic_id ELSE tonight.clinic_id END AS clinic_id,
    coalesce(tonight.analyte, past.analyte) AS analyte,
    coalesce(tonight.collected_on, past.collected_on) AS collected_on,
    coalesce(tonight.value_text, past.value_text) AS value_text,
    coalesce(tonight.listed_on, past.listed_on) AS listed_on,
    past.withdrawn_on,
FROM tonight
FULL JOIN (
    SELECT
        known.*,
    FROM worklists.past_ground AS known
    WHERE NOT coalesce(known.is_told_elsewhere, FALSE)
) AS past
    ON past.item_id = tonight.item_id
    AND past.clinic_id IS NOT DISTINCT FROM tonight.clinic_id
    AND past.analyte = tonight.analyte
    AND past.collected_on = tonight.collected_on
    AND past.value_text = tonight.value_text
