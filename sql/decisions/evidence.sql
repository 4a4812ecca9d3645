-- One row per person in facts.patient: the findings in words, for the reasons.
-- kept: no
WITH worded AS (
    SELECT
        patient.patient_id,
        coalesce(
            result_text('mma', patient.mma_nmol_l, patient.mma_comparator, patient.mma_on)
            || CASE
                WHEN patient.mma_treated AND patient.mma_raised = 'unknown'
                    THEN ' (taken under treatment, says nothing)'
                WHEN patient.mma_marked = 'yes' THEN stand_text('yes', 'mma_marked')
                ELSE stand_text(patient.mma_raised, 'mma_raised')
            END,
            label('mma') || ' missing'
        ) AS mma_text,
        coalesce(
            result_text('hcy', patient.hcy_umol_l, patient.hcy_comparator, patient.hcy_on)
            || CASE
                WHEN patient.hcy_treated AND patient.hcy_raised = 'unknown'
                    THEN ' (taken under treatment, says nothing)'
                ELSE stand_text(patient.hcy_raised, 'hcy_raised')
            END,
            label('hcy') || ' missing'
        ) AS hcy_text,
        coalesce(
            nullif(
                concat_ws(
                    ', ',
                    result_text('b12', patient.b12_pmol_l, patient.b12_comparator, patient.b12_on)
                    || CASE WHEN patient.b12_treated THEN ' (taken under treatment, says nothing)' ELSE '' END,
                    result_text('holotc', patient.holotc_pmol_l, patient.holotc_comparator, patient.holotc_on)
                    || CASE
                        WHEN patient.holotc_treated THEN ' (taken under treatment, says nothing)'
                        ELSE ''
                    END
                ),
                ''
            )
            || CASE
                WHEN patient.b12_level = 'unknown' THEN ' (level not known)'
                WHEN patient.b12_level = 'adequate' AND 'yes' IN (patient.mma_raised, patient.hcy_raised)
                    THEN ' (adequate, does not exclude it)'
                ELSE ' (' || patient.b12_level || ')'
            END,
            'B12 missing'
        ) AS b12_text,
        coalesce(
            patient.gate_finding,
            label('egfr') || ' ' || egfr_text(patient.gate_egfr_ml_min, patient.gate_egfr_comparator)
            || ' on ' || CAST(patient.gate_egfr_on AS VARCHAR)
            || CASE patient.gate
                WHEN 'closed' THEN stand_text('yes', 'egfr_reduced')
                WHEN 'unknown' THEN stand_text('unknown', 'egfr_reduced')
                ELSE ''
            END,
            'kidney function at the sample not known'
        ) AS gate_text,
        coalesce(
            patient.kidney_finding,
            label('egfr') || ' ' || egfr_text(patient.egfr_ml_min, patient.egfr_comparator)
            || ' on ' || CAST(patient.egfr_on AS VARCHAR)
            || CASE patient.kidney
                WHEN 'reduced' THEN stand_text('yes', 'egfr_reduced')
                WHEN 'unknown' THEN stand_text('unknown', 'egfr_reduced')
                ELSE ''
            END,
            label('egfr') || ' and ' || label('creatinine') || ' missing'
        ) AS kidney_text,
        'diabetic nephropathy code on ' || CAST(recorded.nephropathy_coded_on AS VARCHAR) AS nephropathy_text,
        CASE patient.neuro
            WHEN 'recorded' THEN 'neurological involvement recorded'
            WHEN 'possible' THEN 'neurological involvement possible'
            WHEN 'none_recorded' THEN 'no neurological code recorded'
            ELSE 'neurological involvement not known'
        END
        || coalesce(
            ' (code ' || patient.neuro_code || ' of ' || CAST(patient.neuro_recorded_on AS VARCHAR) || ')', ''
        ) AS neuro_text,
        CASE patient.b12_treatment
            WHEN 'none' THEN 'no B12 treatment recorded'
            WHEN 'unknown' THEN 'B12 treatment not known, no medications feed'
            WHEN 'active' THEN 'on B12'
            ELSE 'B12 treatment lapsed'
        END
        || coalesce(
            ' (since ' || CAST(patient.episode_started_on AS VARCHAR) || ', last dose '
            || CAST(patient.last_dose_on AS VARCHAR) || ')',
            ''
        ) AS treatment_text,
        result_text('hb', patient.hb_g_l, patient.hb_comparator, patient.hb_on) AS hb_text,
        result_text('mcv', patient.mcv_fl, patient.mcv_comparator, patient.mcv_on) AS mcv_text,
        -- Exactly what is missing; a value that cannot be placed is to be repeated.
        concat_ws(
            ', ',
            CASE
                WHEN patient.mma_raised = 'unknown'
                    THEN label('mma') || CASE WHEN patient.mma_nmol_l IS NULL THEN '' ELSE ' (repeat)' END
            END,
            CASE
                WHEN patient.hcy_raised = 'unknown'
                    THEN label('hcy') || CASE WHEN patient.hcy_umol_l IS NULL THEN '' ELSE ' (repeat)' END
            END,
            CASE
                WHEN patient.b12_level = 'unknown'
                    THEN 'B12' || CASE
                        WHEN patient.b12_pmol_l IS NULL AND patient.holotc_pmol_l IS NULL THEN ''
                        ELSE ' (repeat)'
                    END
            END,
            CASE
                WHEN patient.gate = 'unknown' AND patient.kidney = 'unknown'
                    THEN label('creatinine')
                    || CASE
                        WHEN patient.gate_egfr_ml_min IS NULL AND patient.egfr_ml_min IS NULL THEN ''
                        ELSE ' (repeat)'
                    END
            END
        ) AS missing_text,
        patient.basis,
    FROM facts.patient AS patient
    INNER JOIN facts.recorded AS recorded ON recorded.patient_id = patient.patient_id
)
SELECT
    worded.patient_id,
    CASE WHEN worded.basis = 'baseline' THEN 'before treatment ' ELSE '' END
    || concat_ws('; ', worded.mma_text, worded.hcy_text, worded.b12_text, worded.gate_text) AS marker_text,
    worded.mma_text,
    worded.hcy_text,
    worded.b12_text,
    worded.kidney_text,
    coalesce(worded.nephropathy_text || '; ', '') || worded.kidney_text AS renal_text,
    worded.neuro_text,
    worded.treatment_text,
    worded.hb_text,
    worded.mcv_text,
    worded.missing_text,
FROM worded
