-- One row per person in facts.patient: MMA, homocysteine, B12 and the kidneys at the sample, in words.
-- kept: no
-- A marker that is there, and too long before the other one to count, is not called missing.
WITH apart AS (
    SELECT
        latest.patient_id,
        any_value(latest) FILTER (WHERE latest.analyte = 'mma') AS mma,
        any_value(latest) FILTER (WHERE latest.analyte = 'hcy') AS hcy,
    FROM facts.latest AS latest
    INNER JOIN facts.patient AS patient ON patient.patient_id = latest.patient_id
    WHERE
        patient.basis = 'current'
        AND (patient.last_dose_on IS NULL OR latest.collected_on > patient.last_dose_on)
        AND CASE latest.analyte
            WHEN 'mma' THEN patient.mma_nmol_l IS NULL AND patient.hcy_umol_l IS NOT NULL
            WHEN 'hcy' THEN patient.hcy_umol_l IS NULL AND patient.mma_nmol_l IS NOT NULL
            ELSE FALSE
        END
    GROUP BY latest.patient_id
),
-- On treatment those of before it decide; what was measured since has to be known beside them.
since AS (
    SELECT
        latest.patient_id,
        'since then ' || string_agg(
            result_text(latest.analyte, latest.value, latest.comparator, latest.collected_on),
            ', '
            ORDER BY list_position(['mma', 'hcy', 'b12', 'holotc'], latest.analyte)
        ) AS since_text,
    FROM facts.latest AS latest
    INNER JOIN facts.patient AS patient ON patient.patient_id = latest.patient_id
    WHERE
        patient.basis = 'baseline'
        AND latest.analyte IN ('mma', 'hcy', 'b12', 'holotc')
        AND latest.collected_on > patient.episode_started_on
    GROUP BY latest.patient_id
),
spelled AS (
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
            apart_text('mma', apart.mma, 'hcy'),
            label('mma') || ' missing'
        ) AS mma_text,
        coalesce(
            result_text('hcy', patient.hcy_umol_l, patient.hcy_comparator, patient.hcy_on)
            || CASE
                WHEN patient.hcy_treated AND patient.hcy_raised = 'unknown'
                    THEN ' (taken under treatment, says nothing)'
                ELSE close_text(patient.hcy_raised, 'hcy_raised', patient.hcy_umol_l)
            END,
            apart_text('hcy', apart.hcy, 'mma'),
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
        since.since_text,
        apart.mma IS NOT NULL AS mma_apart,
        apart.hcy IS NOT NULL AS hcy_apart,
    FROM facts.patient AS patient
    LEFT JOIN apart ON apart.patient_id = patient.patient_id
    LEFT JOIN since ON since.patient_id = patient.patient_id
),
worded AS (
    SELECT
        spelled.*,
        CASE WHEN spelled.basis = 'baseline' THEN 'before treatment ' ELSE '' END
        || concat_ws('; ', spelled.mma_text, spelled.hcy_text, spelled.b12_text) AS result_text,
    FROM spelled
)
SELECT
    worded.patient_id,
    worded.result_text || coalesce('; ' || worded.gate_text, '') AS marker_text,
    worded.result_text,
    worded.since_text,
    worded.mma_apart,
    worded.hcy_apart,
FROM worded
