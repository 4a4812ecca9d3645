-- One row per person: whether cyanocobalamin and folic acid are taken on the night.
-- kept: no
-- A small oral cyanocobalamin is no treatment but still a form that matters to the kidneys.
WITH taken AS (
    SELECT
        drug.patient_id,
        bool_or(drug.substance = 'cyanocobalamin') AS cyanocobalamin,
        bool_or(
            drug.is_folic_acid
            AND (drug.dose_mg IS NULL OR drug.dose_mg > quantity('folic_acid_small'))
        ) AS folic_acid,
    FROM facts.drug AS drug
    WHERE
        drug.covers_night
        OR (
            drug.kind = 'administration'
            AND drug.started_on >= before(as_of(), 'recent_administration')
        )
    GROUP BY drug.patient_id
)
SELECT
    person.patient_id,
    yes_or(taken.cyanocobalamin, CASE night.medications_feed WHEN 'none' THEN 'unknown' ELSE 'no' END)
        AS cyanocobalamin_active,
    yes_or(taken.folic_acid, CASE night.medications_feed WHEN 'none' THEN 'unknown' ELSE 'no' END)
        AS folic_acid_active,
FROM facts.person AS person
LEFT JOIN taken ON taken.patient_id = person.patient_id
CROSS JOIN run.night AS night
