-- One row per screened or pregnant patient without exactly one functional status.
SELECT
    screening.patient_id,
FROM decisions.screening AS screening
LEFT JOIN decisions.functional_status AS status ON status.patient_id = screening.patient_id
WHERE screening.route IN ('screened', 'pregnant')
GROUP BY screening.patient_id
HAVING count(status.functional_status) <> 1
