-- One row per person who stands as a file gave them and whom its retake does not give.
SELECT known.patient_id
FROM core.patient AS known
INNER JOIN taking.night
    ON night.file_name = known.file_name
    AND night.sent_for = coalesce(known.sent_for, known.taken_for)
ANTI JOIN core.taken
    ON taken.patient_id = known.patient_id
