-- One row per person in facts.patient: MMA, homocysteine, B12 and the kidneys at the sample, in words.
-- kept: no
SELECT
    worded.patient_id,
    CASE WHEN worded.basis = 'baseline' THEN 'before treatment ' ELSE '' END
    || concat_ws('; ', worded.mma_text, worded.hcy_text, worded.b12_text, worded.gate_text) AS marker_text,
    worded.mma_text,
    worded.hcy_text,
    worded.b12_text,
FROM (
    SELECT
        patient.patient_id,
        coalesce(
            result_text('mma', patient.mma_nmol_l, patient.mma_comparator, patient.mma_on)
            || CASE
                WHEN patient.mma_treated AND patient.mma_raised = 'unknown'
                    THEN ' (taken under treatment, says nothing)'
                WHEN patient.mma_marked = 'yes' THEN close_text('yes', 'mma_marked', patient.mma_nmol_l)
                ELSE close_text(patient.mma_raised, 'mma_raised', patient.mma_nmol_l)
            END,
            label('mma') || ' missing'
        ) AS mma_text,
        coalesce(
            result_text('hcy', patient.hcy_umol_l, patient.hcy_comparator, patient.hcy_on)
            || CASE
                WHEN patient.hcy_treated AND patient.hcy_raised = 'unknown'
                    THEN ' (taken under treatment, says nothing)'
                ELSE close_text(patient.hcy_raised, 'hcy_raised', patient.hcy_umol_l)
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
                WHEN patient.b12_level = 'adequate'
                    AND (
                        'yes' IN (patient.mma_raised, patient.hcy_raised, patient.nitrous_oxide, patient.pregnant)
                        OR patient.neuro = 'recorded'
                    )
                    THEN ' (' || fragment_text('b12_adequate_raised') || ')'
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
            CASE
                WHEN patient.mma_on IS NULL AND patient.hcy_on IS NULL THEN NULL
                ELSE 'kidney function at the sample not known'
            END
        ) AS gate_text,
        patient.basis,
    FROM facts.patient AS patient
) AS worded
