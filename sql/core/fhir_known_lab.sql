-- One row per result of the store that a withdrawal by id may mean.
SELECT
    stored.result_id,
    stored.patient_id,
    stored.word_id,
    stored.collected_at,
    stored.reported_at,
    stored.clinic_id,
    0 AS origin,
    stored.record
FROM core.lab_row AS stored
SEMI JOIN taking.fhir_gone AS gone
    ON gone.result_id = split_part(stored.result_id, '#', 1)
