-- One row per condition that stands as a file gave it and that its retake does not give: its
-- withdrawal, resolved before the earliest day.
SELECT
    known.patient_id,
    known.code,
    known.code_system,
    known.recorded_on,
    CAST(night.earliest AS DATE) - 1 AS resolved_on,
    known.file_name,
    known.record,
    night.as_of AS taken_for,
    night.sent_for,
    night.file_id
FROM core.condition AS known
INNER JOIN taking.night
    ON night.file_name = known.file_name
    AND night.sent_for = coalesce(known.sent_for, known.taken_for)
ANTI JOIN core.taken
    ON taken.patient_id = known.patient_id
    AND taken.code_system = known.code_system
    AND taken.code = known.code
    AND taken.recorded_on = known.recorded_on
