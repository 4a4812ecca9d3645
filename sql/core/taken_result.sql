-- One row per arriving result, in words, with where it lies.
SELECT
    taken.rowid AS place,
    taken.result_id,
    word.laboratory,
    taken.patient_id,
    word.analyte,
    word.code,
    word.comparator,
    taken.value,
    word.unit,
    word.status,
    taken.collected_at,
    CAST(taken.collected_at AS DATE) AS collected_on,
    taken.reported_at,
    taken.value_as_sent,
    taken.unit_as_sent,
    taken.clinic_id,
    file.file_name,
    taken.record,
    file.taken_for,
    file.sent_for
FROM core.taken
INNER JOIN core.lab_word AS word
    ON word.word_id = taken.word_id
INNER JOIN core.lab_file AS file
    ON file.file_id = taken.file_id
