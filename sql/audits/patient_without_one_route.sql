-- One row per patient that the screen lost, or decided on twice.
SELECT
    patient.patient_id,
FROM (
    SELECT known.patient_id FROM core.patient AS known
    UNION
    SELECT fact.patient_id FROM facts.patient AS fact
) AS patient
LEFT JOIN decisions.screening AS screening ON screening.patient_id = patient.patient_id
GROUP BY patient.patient_id
HAVING count(screening.route) <> 1
