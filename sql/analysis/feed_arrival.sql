-- One row per recent night and laboratory, analyte or clinic of which results came that night.
-- The first night brings the past, so that it tells nothing of a usual night.
SELECT
    file.taken_for,
    word.laboratory,
    word.analyte,
    stored.clinic_id,
    grouping(stored.clinic_id) = 0 AS of_clinic,
    grouping(word.analyte) = 0 AS of_analyte,
FROM core.lab_row AS stored
INNER JOIN core.lab_file AS file ON file.file_id = stored.file_id
INNER JOIN core.lab_word AS word ON word.word_id = stored.word_id
CROSS JOIN run.night AS night
CROSS JOIN (
    SELECT alarm.value AS n_days
    FROM run.alarm AS alarm
    WHERE alarm.name = 'past_days'
) AS past
CROSS JOIN (
    SELECT min(past_night.as_of) AS as_of
    FROM history.night AS past_night
) AS first_night
WHERE file.taken_by = 'run'
    AND file.taken_for > night.as_of - CAST(past.n_days AS INTEGER)
    AND file.taken_for > first_night.as_of
GROUP BY GROUPING SETS (
    (file.taken_for, word.laboratory),
    (file.taken_for, word.laboratory, word.analyte),
    (file.taken_for, stored.clinic_id)
)
ORDER BY ALL
