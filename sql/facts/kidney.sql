-- One row per person: kidney function on the night, and at the sample that decides (the gate).
-- Codes that stand speak first, then acute injury close to the day, then the eGFR: the latest of the
-- look-back for the night, the nearest to the sample for the gate. Bands are half open, on unrounded eGFR.
WITH reading AS (
    SELECT
        egfr.patient_id,
        egfr.collected_at,
        {
            'value': egfr.egfr_ml_min, 'comparator': egfr.egfr_comparator, 'collected_on': egfr.collected_on
        } AS reading,
        egfr.collected_on >= before(as_of(), 'look_back') AS recent,
        egfr.collected_on >= before(marker.sample_on, 'gate')
        AND egfr.collected_on <= after(marker.sample_on, 'gate') AS at_sample,
        abs(egfr.collected_on - marker.sample_on) AS days_apart,
    FROM facts.egfr AS egfr
    LEFT JOIN facts.marker AS marker ON marker.patient_id = egfr.patient_id
),
egfr AS (
    SELECT
        reading.patient_id,
        arg_max(reading.reading, reading.collected_at) FILTER (WHERE reading.recent) AS latest,
        arg_max(reading.reading, row(-reading.days_apart, reading.collected_at))
            FILTER (WHERE reading.at_sample) AS at_sample,
    FROM reading
    WHERE reading.recent OR reading.at_sample
    GROUP BY reading.patient_id
),
acute AS (
    SELECT
        acute.patient_id,
        arg_max(
            {'injured_on': acute.injured_on, 'shown_by': acute.shown_by}, row(acute.injured_on, acute.shown_by)
        ) FILTER (WHERE acute.injured_on >= before(as_of(), 'acute_kidney')) AS on_night,
        arg_max(
            {'injured_on': acute.injured_on, 'shown_by': acute.shown_by}, row(acute.injured_on, acute.shown_by)
        ) FILTER (
            WHERE
                acute.injured_on >= before(marker.sample_on, 'gate') AND acute.injured_on <= marker.sample_on
        ) AS at_sample,
    FROM facts.acute_kidney AS acute
    LEFT JOIN facts.marker AS marker ON marker.patient_id = acute.patient_id
    GROUP BY acute.patient_id
),
-- Chronic: two reduced eGFR far enough apart with no better one between them. Few people have two.
reduced_twice AS (
    SELECT egfr.patient_id
    FROM facts.egfr AS egfr
    WHERE meets('egfr_reduced', egfr.egfr_ml_min, egfr.egfr_comparator) = 'yes'
    GROUP BY egfr.patient_id
    HAVING max(egfr.collected_on) >= after(min(egfr.collected_on), 'chronic_kidney')
),
run_of_reduced AS (
    SELECT
        egfr.patient_id,
        egfr.collected_on,
        meets('egfr_reduced', egfr.egfr_ml_min, egfr.egfr_comparator) AS reduced,
        count(*) FILTER (WHERE meets('egfr_reduced', egfr.egfr_ml_min, egfr.egfr_comparator) = 'no') OVER (
            PARTITION BY egfr.patient_id
            ORDER BY egfr.collected_at
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS n_better_before,
    FROM facts.egfr AS egfr
    SEMI JOIN reduced_twice ON reduced_twice.patient_id = egfr.patient_id
),
chronic AS (
    SELECT DISTINCT chronic_run.patient_id
    FROM (
        SELECT run_of_reduced.patient_id
        FROM run_of_reduced
        WHERE run_of_reduced.reduced = 'yes'
        GROUP BY run_of_reduced.patient_id, run_of_reduced.n_better_before
        HAVING
            max(run_of_reduced.collected_on) >= after(min(run_of_reduced.collected_on), 'chronic_kidney')
    ) AS chronic_run
),
gathered AS (
    SELECT
        person.patient_id,
        recorded.dialysis_code,
        recorded.transplant_code,
        recorded.ckd_3_5_code,
        recorded.standing_kidney_text AS standing_code,
        recorded.diabetic_nephropathy_code,
        marker.sample_on,
        egfr.latest.value AS egfr_ml_min,
        egfr.latest.comparator AS egfr_comparator,
        egfr.latest.collected_on AS egfr_on,
        egfr.at_sample.value AS gate_egfr_ml_min,
        egfr.at_sample.comparator AS gate_egfr_comparator,
        egfr.at_sample.collected_on AS gate_egfr_on,
        acute.on_night.injured_on AS acute_on,
        acute.on_night.shown_by AS acute_by,
        acute.at_sample.injured_on AS gate_acute_on,
        acute.at_sample.shown_by AS gate_acute_by,
        chronic.patient_id IS NOT NULL AS chronic_by_egfr,
        meets('egfr_reduced', egfr.latest.value, egfr.latest.comparator) AS egfr_reduced,
        meets('egfr_reduced', egfr.at_sample.value, egfr.at_sample.comparator) AS gate_egfr_reduced,
    FROM facts.person AS person
    INNER JOIN facts.recorded AS recorded ON recorded.patient_id = person.patient_id
    LEFT JOIN facts.marker AS marker ON marker.patient_id = person.patient_id
    LEFT JOIN egfr ON egfr.patient_id = person.patient_id
    LEFT JOIN acute ON acute.patient_id = person.patient_id
    LEFT JOIN chronic ON chronic.patient_id = person.patient_id
),
judged AS (
    SELECT
        gathered.*,
        CASE
            WHEN gathered.dialysis_code THEN 'dialysis'
            WHEN gathered.acute_on IS NOT NULL THEN 'acute'
            WHEN gathered.transplant_code OR gathered.ckd_3_5_code THEN 'reduced'
            WHEN gathered.egfr_reduced = 'yes' THEN 'reduced'
            WHEN gathered.egfr_reduced = 'no' THEN 'normal'
            ELSE 'unknown'
        END AS kidney,
    FROM gathered
)
SELECT
    judged.patient_id,
    judged.kidney,
    CASE
        WHEN judged.standing_code IS NOT NULL OR judged.gate_acute_on IS NOT NULL THEN 'closed'
        WHEN judged.gate_egfr_reduced = 'yes' THEN 'closed'
        WHEN judged.gate_egfr_reduced = 'no' THEN 'open'
        ELSE 'unknown'
    END AS gate,
    CASE
        WHEN meets('ckd_g1', judged.egfr_ml_min, judged.egfr_comparator) = 'yes' THEN 'G1'
        WHEN meets('ckd_g1', judged.egfr_ml_min, judged.egfr_comparator) <> 'no' THEN 'unknown'
        WHEN meets('ckd_g2', judged.egfr_ml_min, judged.egfr_comparator) = 'yes' THEN 'G2'
        WHEN meets('ckd_g2', judged.egfr_ml_min, judged.egfr_comparator) <> 'no' THEN 'unknown'
        WHEN meets('ckd_g3a', judged.egfr_ml_min, judged.egfr_comparator) = 'yes' THEN 'G3a'
        WHEN meets('ckd_g3a', judged.egfr_ml_min, judged.egfr_comparator) <> 'no' THEN 'unknown'
        WHEN meets('ckd_g3b', judged.egfr_ml_min, judged.egfr_comparator) = 'yes' THEN 'G3b'
        WHEN meets('ckd_g3b', judged.egfr_ml_min, judged.egfr_comparator) <> 'no' THEN 'unknown'
        WHEN meets('ckd_g4', judged.egfr_ml_min, judged.egfr_comparator) = 'yes' THEN 'G4'
        WHEN meets('ckd_g4', judged.egfr_ml_min, judged.egfr_comparator) <> 'no' THEN 'unknown'
        ELSE 'G5'
    END AS ckd_stage,
    CASE
        WHEN judged.chronic_by_egfr OR judged.standing_code IS NOT NULL THEN 'yes'
        WHEN judged.egfr_reduced = 'no' THEN 'no'
        ELSE 'unknown'
    END AS ckd_chronic,
    CASE
        WHEN judged.standing_code IS NOT NULL OR judged.diabetic_nephropathy_code THEN 'yes'
        WHEN judged.egfr_reduced = 'yes' AND judged.kidney <> 'acute' THEN 'yes'
        WHEN judged.kidney = 'normal' THEN 'no'
        ELSE 'unknown'
    END AS renal_dysfunction,
    judged.egfr_ml_min,
    judged.egfr_comparator,
    judged.egfr_on,
    judged.gate_egfr_ml_min,
    judged.gate_egfr_comparator,
    judged.gate_egfr_on,
    CASE
        WHEN judged.kidney = 'acute' THEN concat_ws('; ', judged.acute_by, judged.standing_code)
        ELSE judged.standing_code
    END AS kidney_finding,
    coalesce(judged.standing_code, judged.gate_acute_by) AS gate_finding,
FROM judged
