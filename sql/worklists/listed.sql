-- One row per person and action of the night: the worklist row before it is held against earlier nights.
-- Nothing is decided here. The text comes from the rule, or for a folded row from the review that it was
-- folded into, with its blanks filled in.
WITH row_of AS (
    SELECT
        action.patient_id,
        action.action,
        action.rule_id,
        action.priority,
        action.why,
        CASE action.action WHEN 'pregnancy_review' THEN review.text ELSE rule.text END AS text,
        -- The text is the review's, and what it reviews the rule's.
        said_once(concat_ws('; ', review.source, rule.source)) AS source,
    FROM decisions.action AS action
    INNER JOIN rules.row AS rule ON rule.rule_id = action.rule_id
    LEFT JOIN rules.row AS review ON review.action = action.action AND review.action = 'pregnancy_review'
),
filled AS (
    SELECT
        row_of.patient_id,
        row_of.action,
        row_of.rule_id,
        row_of.priority,
        row_of.why,
        row_of.source,
        CASE
            WHEN row_of.action IN ('recheck_overdue', 'recheck_due')
                THEN CAST(course.started_on AS VARCHAR) || ' ' || recheck.milestone
            WHEN row_of.action = 'maintenance_due' THEN CAST(course.next_dose_due_on AS VARCHAR)
            WHEN
                row_of.action IN (
                    'resume_b12', 'review_lapsed', 'review_response', 'review_anaemia', 'loading_incomplete',
                    'review_loading'
                )
                THEN CAST(course.started_on AS VARCHAR)
            ELSE ''
        END AS anchor,
        CASE
            WHEN row_of.action IN ('recheck_overdue', 'recheck_due') THEN recheck.due_on
            WHEN row_of.action = 'maintenance_due' THEN course.next_dose_due_on
        END AS due_on,
        CASE
            WHEN row_of.action = 'recheck_overdue' THEN recheck.days_overdue
            WHEN row_of.action = 'maintenance_due' THEN as_of() - course.next_dose_due_on
            ELSE 0
        END AS days_overdue,
        row_of.text,
        -- What stands for each token of a text; only what its own rule may not know is ever NULL.
        [
            [
                '{form}',
                CASE patient.renal_dysfunction
                    WHEN 'yes' THEN fragment_text('form_yes')
                    WHEN 'no' THEN fragment_text('form_no')
                    ELSE fragment_text('form_unknown')
                END,
            ],
            ['{kidney_form}', CASE patient.renal_dysfunction WHEN 'yes' THEN fragment_text('kidney_form') ELSE '' END],
            ['{folic_acid}', fragment_text('folic_acid')],
            [
                '{check_treatment}',
                CASE
                    WHEN patient.b12_treatment = 'unknown' THEN fragment_text('check_treatment')
                    WHEN night.medications_feed = 'stale'
                        AND (
                            patient.b12_treatment IN ('none', 'lapsed')
                            OR row_of.action IN ('maintenance_due', 'loading_incomplete', 'review_loading')
                        )
                        THEN fragment_text('check_treatment_stale')
                    ELSE ''
                END
                || CASE
                    WHEN (contains(row_of.text, '{form}') OR contains(row_of.text, '{kidney_form}'))
                        AND 'unknown' IN (patient.cobalamin_reaction, patient.pregnant, patient.inborn_error)
                        THEN fragment_text('check_conditions')
                    ELSE ''
                END,
            ],
            [
                '{missing}',
                CASE
                    WHEN row_of.action IN ('recheck_overdue', 'recheck_due') THEN recheck.missing_labels
                    WHEN evidence.missing_text <> '' THEN evidence.missing_text
                    WHEN row_of.action = 'complete_workup'
                        THEN label('mma') || ' (repeat), ' || label('hcy') || ' (repeat)'
                    ELSE fragment_text('missing_none')
                END,
            ],
            ['{milestone}', coalesce(recheck.milestone, '')],
            [
                '{after_reaction}',
                CASE patient.cobalamin_reaction WHEN 'yes' THEN fragment_text('after_reaction') ELSE '' END,
            ],
            [
                '{lapsed_since}',
                coalesce(
                    CAST(course.last_dose_on AS VARCHAR)
                    || CASE
                        WHEN course.last_dose_assumed THEN ' (up to which its open prescription counts)'
                        ELSE ' (last dose)'
                    END,
                    ''
                ),
            ],
            ['{doses}', coalesce(dose_text(course.n_parenteral_doses) || ' given', '')],
            [
                '{in_place}',
                CASE patient.cobalamin_reaction
                    WHEN 'yes' THEN fragment_text('in_place_reaction')
                    ELSE fragment_text('in_place_plain')
                END,
            ],
            [
                '{creatinine}',
                CASE
                    WHEN patient.cobalamin_reaction = 'yes' THEN fragment_text('creatinine_reaction')
                    WHEN patient.renal_dysfunction = 'yes' THEN fragment_text('creatinine_renal')
                    WHEN evidence.lacks_sex THEN fragment_text('creatinine_sex')
                    ELSE fragment_text('creatinine_open')
                END,
            ],
        ] AS blanks,
        patient.clinic_id,
        status.functional_status,
        patient.neuro,
        patient.kidney,
        value_text(patient.mma_nmol_l, patient.mma_comparator) AS mma_nmol_l,
        patient.mma_on,
        value_text(patient.hcy_umol_l, patient.hcy_comparator) AS hcy_umol_l,
        patient.hcy_on,
        value_text(patient.b12_pmol_l, patient.b12_comparator) AS b12_pmol_l,
        patient.b12_on,
        egfr_text(patient.egfr_ml_min, patient.egfr_comparator) AS egfr_ml_min,
        patient.egfr_on,
    FROM row_of
    INNER JOIN facts.patient AS patient ON patient.patient_id = row_of.patient_id
    INNER JOIN decisions.evidence AS evidence ON evidence.patient_id = row_of.patient_id
    LEFT JOIN decisions.functional_status AS status ON status.patient_id = row_of.patient_id
    LEFT JOIN decisions.course_asked AS course ON course.patient_id = row_of.patient_id
    LEFT JOIN decisions.recheck_labelled AS recheck ON recheck.patient_id = row_of.patient_id
    CROSS JOIN run.night AS night
)
SELECT
    filled.patient_id,
    filled.action,
    filled.anchor,
    filled.rule_id,
    filled.priority,
    filled_in(
        filled.text,
        list_concat(
            filled.blanks,
            [
                ['{due_on}', coalesce(CAST(filled.due_on AS VARCHAR), '')],
                ['{days}', CAST(filled.days_overdue AS VARCHAR)],
                ['{when}', coalesce(distance_text(filled.due_on), '')],
            ]
        )
    ) AS recommendation,
    filled.why,
    filled.source,
    filled.clinic_id,
    filled.due_on,
    filled.days_overdue,
    filled.functional_status,
    filled.neuro,
    filled.kidney,
    filled.mma_nmol_l,
    filled.mma_on,
    filled.hcy_umol_l,
    filled.hcy_on,
    filled.b12_pmol_l,
    filled.b12_on,
    filled.egfr_ml_min,
    filled.egfr_on,
FROM filled
