-- One row per person and day of an acute kidney injury, by code or by a rise of creatinine.
-- kept: no
SELECT
    coded.patient_id,
    coded.recorded_on AS injured_on,
    'acute kidney injury code' AS shown_by,
FROM facts.coded_condition AS coded
WHERE coded.condition_group = 'aki'
UNION
SELECT
    rise.patient_id,
    rise.collected_on AS injured_on,
    'creatinine rise' AS shown_by,
FROM facts.creatinine_rise AS rise
