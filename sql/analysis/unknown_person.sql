-- One row per kind of conditions and medications: how many people it tells of, and how many of these no
-- patients extract names. Without a patients extract nobody is unknown.
SELECT
    told.kind,
    count(*) AS n,
    count(*) FILTER (WHERE known.patient_id IS NULL) AS n_unknown,
FROM (
    SELECT DISTINCT 'conditions' AS kind, condition.patient_id
    FROM core.condition AS condition
    UNION ALL
    SELECT DISTINCT 'medications' AS kind, medication.patient_id
    FROM core.medication AS medication
) AS told
LEFT JOIN core.patient AS known ON known.patient_id = told.patient_id
WHERE EXISTS (SELECT 1 FROM core.patient)
GROUP BY told.kind
ORDER BY told.kind
