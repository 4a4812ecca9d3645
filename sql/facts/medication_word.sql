-- One row per person: whether cyanocobalamin and folic acid are taken on the night, since when or given when,
-- and a supplement.
-- kept: no
-- A small oral cobalamin is no treatment; it is still a form that matters to the kidneys, and whoever reads
-- that no treatment is recorded has to know of it. Of several the last begun is named.
WITH recent AS (
    SELECT
        drug.*,
        drug.substance = 'cyanocobalamin' AS cyanocobalamin,
        drug.is_folic_acid AND (drug.dose_mg IS NULL OR drug.dose_mg > quantity('folic_acid_small')) AS folic_acid,
    FROM facts.drug AS drug
    WHERE
        drug.covers_night
        OR (
            drug.kind = 'administration'
            AND drug.started_on >= before(as_of(), 'recent_administration')
        )
),
taken AS (
    SELECT
        drug.patient_id,
        bool_or(drug.cyanocobalamin) AS cyanocobalamin,
        bool_or(drug.folic_acid) AS folic_acid,
        min(drug.started_on) FILTER (WHERE drug.covers_night AND drug.cyanocobalamin) AS cyanocobalamin_on,
        max(drug.started_on) FILTER (WHERE drug.cyanocobalamin) AS cyanocobalamin_given_on,
        min(drug.started_on) FILTER (WHERE drug.covers_night AND drug.folic_acid) AS folic_acid_on,
        max(drug.started_on) FILTER (WHERE drug.folic_acid) AS folic_acid_given_on,
        arg_max(
            {'substance': drug.substance, 'dose_mg': drug.dose_mg, 'started_on': drug.started_on},
            row(drug.started_on, drug.medication_id)
        ) FILTER (
            WHERE drug.is_b12 AND NOT drug.parenteral AND drug.dose_mg < quantity('oral_b12_least')
        ) AS supplement,
    FROM recent AS drug
    GROUP BY drug.patient_id
)
SELECT
    person.patient_id,
    yes_or(taken.cyanocobalamin, CASE night.medications_feed WHEN 'none' THEN 'unknown' ELSE 'no' END)
        AS cyanocobalamin_active,
    yes_or(taken.folic_acid, CASE night.medications_feed WHEN 'none' THEN 'unknown' ELSE 'no' END)
        AS folic_acid_active,
    taken.cyanocobalamin_on,
    taken.cyanocobalamin_given_on,
    taken.folic_acid_on,
    taken.folic_acid_given_on,
    taken.supplement,
FROM facts.person AS person
LEFT JOIN taken ON taken.patient_id = person.patient_id
CROSS JOIN run.night AS night
