-- One row per condition that stands as a file said it last and that its retake does not give: its
-- withdrawal.
WITH last_told AS (
    SELECT
        told.patient_id,
        told.code_system,
        told.code,
        told.recorded_on,
        max({'night': told.told_for, 'file_name': told.told_in, 'record': told.told_at}) AS place
    FROM private.condition_told AS told
    GROUP BY ALL
)

SELECT
    known.patient_id,
    known.code,
    known.code_system,
    known.recorded_on,
    TRUE AS is_gone,
    night.file_name,
    coalesce(last_told.place.record, known.record) AS record,
    night.as_of AS taken_for,
    night.sent_for,
    night.file_id,
    TRUE AS is_ours
FROM core.condition AS known
LEFT JOIN last_told
    ON last_told.patient_id = known.patient_id
    AND last_told.code_system = known.code_system
    AND last_told.code = known.code
    AND last_told.recorded_on = known.recorded_on
INNER JOIN taking.night
    ON night.file_name = coalesce(last_told.place.file_name, known.file_name)
    AND night.sent_for = coalesce(last_told.place.night, known.sent_for, known.taken_for)
ANTI JOIN core.taken
    ON taken.patient_id = known.patient_id
    AND taken.code_system = known.code_system
    AND taken.code = known.code
    AND taken.recorded_on = known.recorded_on
