-- One row per medication that stands as a file gave it and that its retake does not give: its
-- withdrawal, by a code that no map names, so that it is no dose of anything.
SELECT
    known.medication_id,
    known.patient_id,
    'withdrawn' AS code,
    known.code_system,
    known.kind,
    known.started_on,
    known.file_name,
    known.record,
    night.as_of AS taken_for,
    night.sent_for,
    night.file_id
FROM core.medication AS known
INNER JOIN taking.night
    ON night.file_name = known.file_name
    AND night.sent_for = coalesce(known.sent_for, known.taken_for)
ANTI JOIN core.taken
    ON taken.medication_id = known.medication_id
WHERE known.code <> 'withdrawn'
