-- One row per person whom a rule lists: the findings in words, for the reasons.
-- kept: no
WITH creatinine AS (
    SELECT
        measured.patient_id,
        arg_max(measured.value, measured.collected_at) AS value,
        arg_max(measured.comparator, measured.collected_at) AS comparator,
        max(measured.collected_on) AS collected_on,
    FROM facts.kidney_result AS measured
    SEMI JOIN decisions.proposed AS proposed ON proposed.patient_id = measured.patient_id
    WHERE
        measured.analyte = 'creatinine'
        AND measured.leading
        AND measured.collected_on >= before(as_of(), 'look_back')
    GROUP BY measured.patient_id
),
-- Markers count together only when taken close to each other, and the kidneys with what was taken close to
-- them: what is asked for must be able to decide.
lacking AS (
    SELECT
        patient.patient_id,
        patient.mma_raised = 'unknown' AS lacks_mma,
        patient.hcy_raised = 'unknown' AS lacks_hcy,
        patient.mma_raised = 'yes' AS mma_raised,
        patient.mma_on < before(as_of(), 'marker_pairing') AS old_mma,
        patient.hcy_on < before(as_of(), 'marker_pairing') AS old_hcy,
        greatest(patient.mma_on, patient.hcy_on) >= before(as_of(), 'gate') AS recent_sample,
        patient.egfr_on < before(as_of(), 'gate') AS old_egfr,
        patient.kidney,
        patient.gate,
    FROM facts.patient AS patient
    SEMI JOIN decisions.proposed AS proposed ON proposed.patient_id = patient.patient_id
),
renewed AS (
    SELECT
        lacking.*,
        -- The kidneys decide what a raised MMA says, and of an old sample they cannot be known any more.
        lacking.mma_raised AND NOT lacking.lacks_hcy AND lacking.gate = 'unknown' AND NOT lacking.recent_sample
            AS asks_both,
    FROM lacking
),
asked AS (
    SELECT
        renewed.patient_id,
        renewed.asks_both OR renewed.lacks_mma OR (renewed.lacks_hcy AND renewed.old_mma) AS asks_mma,
        renewed.asks_both OR renewed.lacks_hcy OR (renewed.lacks_mma AND renewed.old_hcy) AS asks_hcy,
        CASE
            WHEN renewed.asks_both OR renewed.lacks_mma OR renewed.lacks_hcy
                THEN renewed.kidney = 'unknown'
                OR (renewed.kidney IN ('normal', 'reduced') AND coalesce(renewed.old_egfr, FALSE))
            ELSE renewed.gate = 'unknown' AND (renewed.kidney = 'unknown' OR coalesce(renewed.recent_sample, FALSE))
        END AS asks_kidney,
    FROM renewed
),
worded AS (
    SELECT
        patient.patient_id,
        coalesce(
            patient.kidney_finding,
            label('egfr') || ' ' || egfr_text(patient.egfr_ml_min, patient.egfr_comparator)
            || ' on ' || CAST(patient.egfr_on AS VARCHAR)
            || CASE patient.kidney
                WHEN 'reduced' THEN stand_text('yes', 'egfr_reduced')
                WHEN 'unknown' THEN stand_text('unknown', 'egfr_reduced')
                ELSE ''
            END,
            result_text('creatinine', creatinine.value, creatinine.comparator, creatinine.collected_on)
            || ' gives no ' || label('egfr') || ', as '
            || CASE
                WHEN patient.sex IN ('female', 'male') THEN 'it was taken before the age of ' || number_text(quantity('adult_age'))
                ELSE 'the sex is not recorded as female or male'
            END,
            label('egfr') || ' and ' || label('creatinine') || ' missing'
        ) AS kidney_text,
        recorded.nephropathy_text,
        CASE
            WHEN patient.nitrous_oxide = 'yes'
                THEN recorded.nitrous_oxide_text
        END AS nitrous_oxide_text,
        recorded.cause_text,
        CASE patient.neuro
            WHEN 'recorded' THEN 'neurological involvement recorded'
            WHEN 'possible' THEN 'neurological involvement possible'
            WHEN 'none_recorded'
                THEN CASE neuro.past_neuro_resolved
                    WHEN 'yes' THEN 'no current neurological code recorded, but a resolved one'
                    WHEN 'no' THEN 'no recent neurological code recorded, but an older one'
                    ELSE 'no neurological code recorded'
                END
            ELSE 'neurological involvement not known'
        END
        || coalesce(
            ' (' || code_text(patient.neuro_code, patient.neuro_recorded_on) || ')',
            CASE
                WHEN patient.neuro = 'none_recorded'
                    THEN ' (' || code_text(neuro.past_neuro_code, neuro.past_neuro_recorded_on) || ')'
            END,
            ''
        ) AS neuro_text,
        CASE patient.b12_treatment
            WHEN 'none' THEN 'no B12 treatment recorded'
            WHEN 'unknown' THEN 'B12 treatment not known, no medications feed'
            WHEN 'active' THEN 'on B12'
            ELSE 'B12 treatment lapsed'
        END
        || coalesce(
            CASE patient.b12_treatment WHEN 'lapsed' THEN ' (begun ' ELSE ' (since ' END
            || CAST(patient.episode_started_on AS VARCHAR)
            || CASE
                WHEN episode.last_dose_assumed AND patient.b12_treatment = 'active'
                    THEN ', by an open prescription)'
                -- The day would be that of the night, and another one every night.
                WHEN episode.oral_cover THEN ', by a prescription that covers the night)'
                WHEN episode.last_dose_assumed
                    THEN ', by an open prescription that counts to '
                    || CAST(patient.last_dose_on AS VARCHAR) || ')'
                ELSE ', last dose ' || CAST(patient.last_dose_on AS VARCHAR) || ')'
            END,
            ''
        )
        || coalesce('; ' || supplement_text(medication.supplement), '') AS treatment_text,
        taken_text('cyanocobalamin', medication.cyanocobalamin_on, medication.cyanocobalamin_given_on)
            AS cyanocobalamin_text,
        taken_text('folic acid', medication.folic_acid_on, medication.folic_acid_given_on) AS folic_acid_text,
        result_text('hb', patient.hb_g_l, patient.hb_comparator, patient.hb_on)
        || CASE WHEN patient.severe_anaemia = 'yes' THEN stand_text('yes', 'hb_severe') ELSE '' END AS hb_text,
        patient.severe_anaemia,
        result_text('mcv', patient.mcv_fl, patient.mcv_comparator, patient.mcv_on) AS mcv_text,
        patient.anaemia,
        patient.macrocytosis,
        -- Exactly what is missing; a value that cannot be placed is to be repeated, and so is a marker that a
        -- sample taken now would come too late for.
        concat_ws(
            ', ',
            CASE
                WHEN asked.asks_mma
                    THEN test_text(
                        label('mma'),
                        patient.mma_nmol_l IS NOT NULL OR text.mma_apart,
                        CASE WHEN NOT asked.asks_hcy THEN after(patient.hcy_on, 'marker_pairing') END
                    )
            END,
            CASE
                WHEN asked.asks_hcy
                    THEN test_text(
                        label('hcy'),
                        patient.hcy_umol_l IS NOT NULL OR text.hcy_apart,
                        CASE WHEN NOT asked.asks_mma THEN after(patient.mma_on, 'marker_pairing') END
                    )
            END,
            CASE
                WHEN patient.b12_level = 'unknown'
                    THEN test_text('B12', patient.b12_pmol_l IS NOT NULL OR patient.holotc_pmol_l IS NOT NULL, NULL)
            END,
            CASE
                WHEN recorded.standing_kidney_text IS NULL AND asked.asks_kidney
                    THEN CASE
                        WHEN patient.sex IN ('female', 'male')
                            THEN test_text(
                                label('creatinine'),
                                creatinine.patient_id IS NOT NULL
                                OR patient.gate_egfr_ml_min IS NOT NULL
                                OR patient.egfr_ml_min IS NOT NULL,
                                NULL
                            )
                        WHEN patient.kidney = 'unknown'
                            THEN label('egfr') || ' ('
                            || CASE WHEN creatinine.patient_id IS NOT NULL THEN 'creatinine is there, ' ELSE '' END
                            || 'the sex is not recorded as female or male)'
                        ELSE test_text(label('egfr'), TRUE, NULL)
                    END
            END
        ) AS missing_text,
        'inborn error ' || recorded.inborn_error_text AS inborn_error_text,
        CASE screening.route WHEN 'pregnant' THEN 'pregnancy ' || recorded.pregnancy_text END AS pregnancy_text,
        recorded.reaction_text,
        text.marker_text,
        text.result_text,
        text.since_text,
        patient.kidney,
        patient.gate,
        patient.renal_dysfunction,
        creatinine.patient_id IS NOT NULL AND patient.sex NOT IN ('female', 'male') AS lacks_sex,
    FROM facts.patient AS patient
    SEMI JOIN decisions.proposed AS proposed ON proposed.patient_id = patient.patient_id
    INNER JOIN asked ON asked.patient_id = patient.patient_id
    INNER JOIN decisions.marker_text AS text ON text.patient_id = patient.patient_id
    INNER JOIN facts.recorded AS recorded ON recorded.patient_id = patient.patient_id
    INNER JOIN facts.neuro AS neuro ON neuro.patient_id = patient.patient_id
    INNER JOIN decisions.screening AS screening ON screening.patient_id = patient.patient_id
    INNER JOIN facts.medication_word AS medication ON medication.patient_id = patient.patient_id
    LEFT JOIN creatinine ON creatinine.patient_id = patient.patient_id
    LEFT JOIN facts.b12_episode AS episode ON episode.patient_id = patient.patient_id
)
SELECT
    worded.patient_id,
    worded.marker_text,
    worded.result_text,
    worded.since_text,
    worded.kidney_text,
    coalesce(worded.nephropathy_text || '; ', '') || worded.kidney_text AS renal_text,
    -- What the form of B12 rests on, beside what was measured near the sample.
    CASE
        WHEN worded.renal_dysfunction = 'yes'
            OR worded.kidney = 'acute'
            OR (worded.kidney = 'normal' AND worded.gate = 'closed')
            THEN renal_text
    END AS form_text,
    worded.nephropathy_text,
    worded.nitrous_oxide_text,
    worded.cause_text,
    worded.neuro_text,
    worded.treatment_text,
    worded.cyanocobalamin_text,
    worded.folic_acid_text,
    worded.hb_text,
    CASE WHEN worded.severe_anaemia = 'yes' THEN worded.hb_text END AS severe_text,
    CASE WHEN worded.anaemia = 'yes' THEN worded.hb_text END AS anaemia_text,
    CASE WHEN worded.macrocytosis = 'yes' THEN worded.mcv_text || stand_text('yes', 'mcv_raised') END
        AS macrocytosis_text,
    worded.missing_text,
    worded.inborn_error_text,
    worded.pregnancy_text,
    worded.reaction_text,
    worded.lacks_sex,
FROM worded
