-- One row per person and day of an acute kidney injury and what shows it: a code or a rise of creatinine.
-- kept: no
SELECT
    coded.patient_id,
    coded.recorded_on AS injured_on,
    'acute kidney injury ' || code_text(coded.code, coded.recorded_on) AS shown_by,
FROM facts.coded_condition AS coded
WHERE coded.condition_group = 'aki'
UNION
SELECT
    rise.patient_id,
    rise.collected_on AS injured_on,
    result_text('creatinine', rise.creatinine_umol_l, rise.comparator, rise.collected_on) || ' (a rise to '
    || CASE rise.comparator WHEN '>' THEN 'more than ' ELSE '' END
    || number_text(round(rise.creatinine_umol_l / rise.earlier_median_umol_l, 1))
    || ' times the median before it)' AS shown_by,
FROM facts.creatinine_rise AS rise
