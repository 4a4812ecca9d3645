-- One row per person of any route but opted_out and deceased: every fact a rule asks about, as a word.
-- With the values that decided and their days; a value that is only a bound has its comparator.
WITH gathered AS (
    SELECT
        person.patient_id,
        person.clinic_id,
        person.age_years,
        person.sex,
        coalesce(basis.basis, 'current') AS basis,
        coalesce(marker.mma_raised, 'unknown') AS mma_raised,
        coalesce(marker.mma_marked, 'unknown') AS mma_marked,
        coalesce(marker.hcy_raised, 'unknown') AS hcy_raised,
        coalesce(marker.b12_level, 'unknown') AS b12_level,
        kidney.gate,
        kidney.kidney,
        kidney.ckd_stage,
        kidney.ckd_chronic,
        kidney.renal_dysfunction,
        neuro.neuro,
        neuro.neuro_definite,
        recorded.pregnant,
        recorded.nitrous_oxide,
        recorded.inborn_error,
        recorded.cobalamin_reaction,
        recorded.irreversible_cause,
        coalesce(
            episode.b12_treatment, CASE night.medications_feed WHEN 'none' THEN 'unknown' ELSE 'none' END
        ) AS b12_treatment,
        medication.cyanocobalamin_active,
        medication.folic_acid_active,
        meets('hb_low_male', hb.value, hb.comparator) AS hb_low_male,
        meets('hb_low_female', hb.value, hb.comparator) AS hb_low_female,
        meets('hb_low_pregnant', hb.value, hb.comparator) AS hb_low_pregnant,
        meets('hb_severe', hb.value, hb.comparator) AS severe_anaemia,
        meets('mcv_raised', mcv.value, mcv.comparator) AS macrocytosis,
        marker.sample_on,
        marker.mma_nmol_l,
        marker.mma_comparator,
        marker.mma_on,
        coalesce(marker.mma_treated, FALSE) AS mma_treated,
        marker.hcy_umol_l,
        marker.hcy_comparator,
        marker.hcy_on,
        coalesce(marker.hcy_treated, FALSE) AS hcy_treated,
        marker.b12_pmol_l,
        marker.b12_comparator,
        marker.b12_on,
        coalesce(marker.b12_treated, FALSE) AS b12_treated,
        marker.holotc_pmol_l,
        marker.holotc_comparator,
        marker.holotc_on,
        coalesce(marker.holotc_treated, FALSE) AS holotc_treated,
        kidney.egfr_ml_min,
        kidney.egfr_comparator,
        kidney.egfr_on,
        kidney.gate_egfr_ml_min,
        kidney.gate_egfr_comparator,
        kidney.gate_egfr_on,
        kidney.kidney_finding,
        kidney.gate_finding,
        neuro.neuro_code,
        neuro.neuro_recorded_on,
        hb.value AS hb_g_l,
        hb.comparator AS hb_comparator,
        hb.collected_on AS hb_on,
        mcv.value AS mcv_fl,
        mcv.comparator AS mcv_comparator,
        mcv.collected_on AS mcv_on,
        episode.started_on AS episode_started_on,
        episode.last_dose_on,
        episode.next_dose_due_on,
    FROM facts.person AS person
    INNER JOIN facts.recorded AS recorded ON recorded.patient_id = person.patient_id
    INNER JOIN facts.neuro AS neuro ON neuro.patient_id = person.patient_id
    INNER JOIN facts.kidney AS kidney ON kidney.patient_id = person.patient_id
    INNER JOIN facts.medication_word AS medication ON medication.patient_id = person.patient_id
    LEFT JOIN facts.basis AS basis ON basis.patient_id = person.patient_id
    LEFT JOIN facts.marker AS marker ON marker.patient_id = person.patient_id
    LEFT JOIN facts.latest AS hb ON hb.patient_id = person.patient_id AND hb.analyte = 'hb'
    LEFT JOIN facts.latest AS mcv ON mcv.patient_id = person.patient_id AND mcv.analyte = 'mcv'
    LEFT JOIN facts.b12_episode AS episode ON episode.patient_id = person.patient_id
    CROSS JOIN run.night AS night
    WHERE person.opted_out = 'no' AND person.deceased = 'no'
)
SELECT
    gathered.* EXCLUDE (hb_low_male, hb_low_female, hb_low_pregnant),
    -- Where sex does not say which limit holds, only what both say is known.
    CASE
        WHEN gathered.pregnant = 'yes' THEN gathered.hb_low_pregnant
        WHEN gathered.sex = 'male' THEN gathered.hb_low_male
        WHEN gathered.sex = 'female' THEN gathered.hb_low_female
        WHEN gathered.hb_low_female = 'yes' THEN 'yes'
        WHEN gathered.hb_low_male = 'no' THEN 'no'
        ELSE 'unknown'
    END AS anaemia,
FROM gathered
