-- One row: how many people with normal kidneys had both markers in one recent sample, and in how many
-- both are raised.
SELECT
    count(*) AS n,
    count(*) FILTER (
        WHERE meets('mma_raised', patient.mma_nmol_l, patient.mma_comparator) = 'yes'
        AND meets('hcy_raised', patient.hcy_umol_l, patient.hcy_comparator) = 'yes'
    ) AS n_raised,
FROM facts.patient AS patient
CROSS JOIN run.night AS night
CROSS JOIN (
    SELECT alarm.value AS n_days
    FROM run.alarm AS alarm
    WHERE alarm.name = 'past_days'
) AS past
WHERE patient.gate = 'open'
    AND patient.mma_on = patient.hcy_on
    AND patient.mma_on > night.as_of - CAST(past.n_days AS INTEGER)
