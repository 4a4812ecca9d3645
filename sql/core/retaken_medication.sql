-- One row per medication that stands as a file said it last and that its retake does not give: its
-- withdrawal, by a code that no map names, so that it is no dose of anything.
WITH last_told AS (
    SELECT
        told.medication_id,
        max({'night': told.told_for, 'file_name': told.told_in, 'record': told.told_at}) AS place
    FROM private.medication_told AS told
    GROUP BY ALL
)

SELECT
    known.medication_id,
    known.patient_id,
    'withdrawn' AS code,
    known.code_system,
    known.kind,
    known.started_on,
    night.file_name,
    coalesce(last_told.place.record, known.record) AS record,
    night.as_of AS taken_for,
    night.sent_for,
    night.file_id,
    TRUE AS is_ours
FROM core.medication AS known
LEFT JOIN last_told
    ON last_told.medication_id = known.medication_id
INNER JOIN taking.night
    ON night.file_name = coalesce(last_told.place.file_name, known.file_name)
    AND night.sent_for = coalesce(last_told.place.night, known.sent_for, known.taken_for)
ANTI JOIN core.taken
    ON taken.medication_id = known.medication_id
WHERE known.code <> 'withdrawn'
