-- One row per result of tonight's earlier files that a withdrawal by id may mean.
SELECT
    taken.result_id,
    taken.patient_id,
    taken.word_id,
    taken.collected_at,
    taken.reported_at,
    taken.clinic_id,
    1 AS origin,
    taken.record
FROM core.taken
SEMI JOIN taking.fhir_gone AS gone
    ON gone.result_id = split_part(taken.result_id, '#', 1)
WHERE taken.fault IS NULL
