-- One row per person: the facts that a recorded code decides, neurology left out.
-- kept: no
-- A code that is found stands whatever the feed; only that none is found needs a feed that could tell.
WITH coded AS (
    SELECT
        coded.patient_id,
        bool_or(coded.standing AND coded.condition_group = 'dialysis') AS dialysis,
        bool_or(coded.standing AND coded.condition_group = 'transplant') AS transplant,
        bool_or(coded.standing AND coded.condition_group = 'ckd_3_5') AS ckd_3_5,
        -- Dialysis speaks before a transplant, and that before a stage.
        coalesce(
            arg_max(
                'dialysis ' || code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
            ) FILTER (WHERE coded.standing AND coded.condition_group = 'dialysis'),
            arg_max(
                'kidney transplant ' || code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
            ) FILTER (WHERE coded.standing AND coded.condition_group = 'transplant'),
            arg_max(
                'chronic kidney disease ' || code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
            ) FILTER (WHERE coded.standing AND coded.condition_group = 'ckd_3_5')
        ) AS standing_kidney_text,
        bool_or(coded.standing AND coded.condition_group = 'diabetic_nephropathy') AS diabetic_nephropathy,
        arg_max(
            'diabetic nephropathy ' || code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
        ) FILTER (WHERE coded.standing AND coded.condition_group = 'diabetic_nephropathy') AS nephropathy_text,
        bool_or(
            coded.condition_group = 'pregnancy'
            AND coded.standing
            AND coded.recorded_on >= before(as_of(), 'pregnancy')
        ) AS pregnant,
        bool_or(
            coded.condition_group = 'nitrous_oxide'
            AND coded.recorded_on >= before(as_of(), 'nitrous_oxide')
        ) AS nitrous_oxide,
        arg_max(
            code_text(coded.code, coded.recorded_on) || ', counted as nitrous oxide', row(coded.recorded_on, coded.code)
        ) FILTER (WHERE coded.condition_group = 'nitrous_oxide') AS nitrous_oxide_text,
        arg_max(
            'lasting cause ' || code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
        ) FILTER (WHERE coded.condition_group = 'irreversible_cause') AS cause_text,
        arg_max(
            code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
        ) FILTER (
            WHERE coded.condition_group = 'pregnancy'
            AND coded.standing
            AND coded.recorded_on >= before(as_of(), 'pregnancy')
        ) AS pregnancy_text,
        arg_min(
            code_text(coded.code, coded.recorded_on), row(coded.recorded_on, coded.code)
        ) FILTER (WHERE coded.condition_group = 'inborn_error') AS inborn_error_text,
        arg_max(
            code_text(coded.code, coded.recorded_on) || ', counted as a reaction to a cobalamin', row(coded.recorded_on, coded.code)
        ) FILTER (WHERE coded.condition_group = 'cobalamin_reaction') AS reaction_text,
        bool_or(coded.condition_group = 'inborn_error') AS inborn_error,
        bool_or(coded.condition_group = 'cobalamin_reaction') AS cobalamin_reaction,
        bool_or(coded.condition_group = 'irreversible_cause') AS irreversible_cause,
    FROM facts.coded_condition AS coded
    WHERE coded.tier = ''
    GROUP BY coded.patient_id
)
SELECT
    person.patient_id,
    coalesce(coded.dialysis, FALSE) AS dialysis_code,
    coalesce(coded.transplant, FALSE) AS transplant_code,
    coalesce(coded.ckd_3_5, FALSE) AS ckd_3_5_code,
    coded.standing_kidney_text,
    coalesce(coded.diabetic_nephropathy, FALSE) AS diabetic_nephropathy_code,
    coded.nephropathy_text,
    coded.nitrous_oxide_text,
    coded.cause_text,
    coded.pregnancy_text,
    coded.inborn_error_text,
    coded.reaction_text,
    yes_or(coded.pregnant, coverage.pregnancy) AS pregnant,
    yes_or(coded.nitrous_oxide, coverage.nitrous_oxide) AS nitrous_oxide,
    yes_or(coded.inborn_error, coverage.inborn_error) AS inborn_error,
    yes_or(coded.cobalamin_reaction, coverage.cobalamin_reaction) AS cobalamin_reaction,
    yes_or(coded.irreversible_cause, coverage.irreversible_cause) AS irreversible_cause,
FROM facts.person AS person
LEFT JOIN coded ON coded.patient_id = person.patient_id
CROSS JOIN facts.condition_coverage AS coverage
