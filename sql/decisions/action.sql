-- One row per person and action: what is to be considered, after folding, with its reason.
-- In pregnancy, and after a reaction to a cobalamin, rows about replacement become one review without a
-- regimen; it keeps the best priority among them.
WITH reasoned AS (
    SELECT
        proposed.patient_id,
        proposed.action,
        proposed.rule_id,
        proposed.priority,
        rule.position,
        folding.outcome AS folding,
        folding.rule_id AS folding_rule_id,
        rule.reason,
        CASE
            WHEN proposed.action IN ('resume_b12', 'review_lapsed')
                THEN concat_ws(
                    '; ',
                    evidence.treatment_text,
                    CASE
                        WHEN course.n_parenteral_doses > 0
                            THEN 'injections in this episode: ' || course.n_parenteral_doses
                    END,
                    evidence.cause_text,
                    evidence.neuro_text,
                    evidence.marker_text,
                    evidence.since_text,
                    evidence.nephropathy_text,
                    evidence.severe_text
                )
            WHEN proposed.action = 'maintenance_due'
                THEN 'last injection ' || CAST(course.last_parenteral_dose_on AS VARCHAR)
                || ', next due ' || CAST(course.next_dose_due_on AS VARCHAR)
            WHEN proposed.action = 'review_treatment'
                THEN concat_ws(
                    '; ',
                    evidence.treatment_text,
                    CASE WHEN course.new_neuro_code = 'yes' THEN 'neurological ' || course.new_code END,
                    CASE
                        WHEN course.mma_marked_on_treatment = 'yes'
                            THEN course.latest_mma_text || stand_text('yes', 'mma_marked')
                    END
                )
            WHEN proposed.action IN ('loading_incomplete', 'review_loading')
                THEN concat_ws(
                    '; ',
                    'treatment since ' || CAST(course.started_on AS VARCHAR),
                    dose_text(course.n_parenteral_doses) || ' injected, last on '
                    || CAST(course.last_parenteral_dose_on AS VARCHAR),
                    evidence.neuro_text
                )
            WHEN proposed.action = 'folic_acid_without_b12'
                THEN concat_ws(
                    '; ',
                    evidence.folic_acid_text,
                    evidence.treatment_text,
                    evidence.result_text,
                    evidence.cause_text,
                    evidence.neuro_text,
                    evidence.severe_text
                )
            WHEN proposed.action = 'cyanocobalamin_in_renal'
                THEN concat_ws('; ', evidence.cyanocobalamin_text, evidence.renal_text)
            WHEN proposed.action = 'check_kidney'
                THEN concat_ws('; ', evidence.renal_text, evidence.treatment_text)
            WHEN proposed.action = 'dialysis_vitamins'
                THEN concat_ws(
                    '; ',
                    evidence.kidney_text,
                    evidence.treatment_text,
                    evidence.folic_acid_text,
                    evidence.reaction_text
                )
            WHEN proposed.action = 'check_potassium'
                THEN evidence.severe_text
            WHEN proposed.action IN ('recheck_overdue', 'recheck_due')
                THEN evidence.treatment_text || '; recheck at '
                || recheck.milestone || ' due on ' || CAST(recheck.due_on AS VARCHAR) || '; missing '
                || recheck.missing_labels
                || CASE
                    WHEN recheck.n_missed > 0 THEN '; earlier rechecks missed: ' || recheck.n_missed
                    ELSE ''
                END
            WHEN proposed.action = 'review_response'
                THEN concat_ws(
                    '; ',
                    evidence.treatment_text,
                    'latest '
                    || result_text(
                        'mma',
                        response.mma_after_nmol_l,
                        response.mma_after_comparator,
                        response.mma_after_on
                    ),
                    coalesce(
                        'before treatment '
                        || result_text(
                            'mma',
                            response.mma_before_nmol_l,
                            response.mma_before_comparator,
                            response.mma_before_on
                        )
                        || fall_text(response.mma_fall_pct),
                        'no ' || label('mma') || ' from before treatment'
                    ),
                    CASE
                        WHEN response.hcy_decides
                            THEN concat_ws(
                                '; ',
                                'latest '
                                || result_text(
                                    'hcy',
                                    response.hcy_after_umol_l,
                                    response.hcy_after_comparator,
                                    response.hcy_after_on
                                ),
                                'before treatment '
                                || result_text(
                                    'hcy',
                                    response.hcy_before_umol_l,
                                    response.hcy_before_comparator,
                                    response.hcy_before_on
                                )
                                || fall_text(response.hcy_fall_pct)
                            )
                    END,
                    evidence.kidney_text
                )
            WHEN proposed.action = 'review_anaemia'
                THEN concat_ws('; ', evidence.treatment_text, evidence.anaemia_text, evidence.macrocytosis_text)
            WHEN proposed.action = 'check_record'
                THEN concat_ws(
                    '; ',
                    evidence.result_text,
                    evidence.neuro_text,
                    evidence.treatment_text,
                    evidence.severe_text,
                    evidence.form_text,
                    evidence.reaction_text
                )
            WHEN proposed.action IN ('paediatric_review', 'specialist_review')
                THEN concat_ws(
                    '; ',
                    CASE proposed.action WHEN 'specialist_review' THEN evidence.inborn_error_text END,
                    evidence.result_text,
                    evidence.neuro_text,
                    evidence.treatment_text,
                    evidence.severe_text
                )
            ELSE concat_ws(
                '; ',
                evidence.marker_text,
                evidence.nitrous_oxide_text,
                evidence.cause_text,
                evidence.nephropathy_text,
                evidence.neuro_text,
                evidence.treatment_text,
                evidence.hb_text
            )
        END AS findings,
        CASE WHEN contains(rule.text, '{form}') OR contains(rule.text, '{kidney_form}') THEN evidence.form_text END
            AS form_text,
    FROM decisions.proposed AS proposed
    INNER JOIN rules.row AS rule ON rule.rule_id = proposed.rule_id
    INNER JOIN decisions.evidence AS evidence ON evidence.patient_id = proposed.patient_id
    INNER JOIN decisions.screening AS screening ON screening.patient_id = proposed.patient_id
    INNER JOIN facts.patient AS patient ON patient.patient_id = proposed.patient_id
    INNER JOIN rules.folding AS folding
        ON folding.route = screening.route AND folding.cobalamin_reaction = patient.cobalamin_reaction
    LEFT JOIN decisions.course_asked AS course ON course.patient_id = proposed.patient_id
    LEFT JOIN decisions.recheck_labelled AS recheck ON recheck.patient_id = proposed.patient_id
    LEFT JOIN decisions.response AS response ON response.patient_id = proposed.patient_id
),
sorted AS (
    SELECT
        reasoned.* EXCLUDE (findings, form_text),
        said_once(concat_ws('; ', reasoned.findings, reasoned.form_text)) AS findings,
        CASE reasoned.folding
            WHEN 'reaction' THEN in_set('folded_reaction', reasoned.rule_id)
            WHEN 'pregnancy' THEN in_set('folded_pregnancy', reasoned.rule_id)
            ELSE FALSE
        END AS folded,
    FROM reasoned
    WHERE NOT (reasoned.folding = 'reaction' AND in_set('dropped_reaction', reasoned.rule_id))
),
review AS (
    SELECT
        sorted.patient_id,
        sorted.folding,
        sorted.folding_rule_id,
        min(sorted.priority) AS priority,
        arg_min(sorted.rule_id, row(sorted.priority, sorted.position)) AS best_rule_id,
        said_once(string_agg(sorted.findings, '; ' ORDER BY sorted.priority, sorted.position)) AS findings,
    FROM sorted
    WHERE sorted.folded
    GROUP BY sorted.patient_id, sorted.folding, sorted.folding_rule_id
)
SELECT
    sorted.patient_id,
    sorted.action,
    sorted.rule_id,
    sorted.priority,
    sorted.reason || ': ' || sorted.findings AS why,
FROM sorted
WHERE NOT sorted.folded
UNION ALL
SELECT
    review.patient_id,
    folding_rule.action,
    CASE review.folding WHEN 'reaction' THEN review.folding_rule_id ELSE review.best_rule_id END AS rule_id,
    review.priority,
    folding_rule.reason || ': '
    || concat_ws(
        '; ',
        CASE review.folding WHEN 'reaction' THEN evidence.reaction_text END,
        evidence.pregnancy_text,
        review.findings
    ) AS why,
FROM review
INNER JOIN rules.row AS folding_rule ON folding_rule.rule_id = review.folding_rule_id
INNER JOIN decisions.evidence AS evidence ON evidence.patient_id = review.patient_id
