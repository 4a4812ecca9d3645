-- One row per laboratory result: its current version, in words. The published view.
SELECT
    stored.result_id,
    word.laboratory,
    stored.patient_id,
    word.analyte,
    word.code,
    word.comparator,
    stored.value,
    word.unit,
    word.status,
    stored.collected_at,
    CAST(stored.collected_at AS DATE) AS collected_on,
    stored.reported_at,
    stored.value_as_sent,
    stored.unit_as_sent,
    stored.clinic_id,
    file.file_name,
    stored.record,
    file.taken_for,
    file.sent_for
FROM core.lab_row AS stored
INNER JOIN core.lab_word AS word
    ON word.word_id = stored.word_id
INNER JOIN core.lab_file AS file
    ON file.file_id = stored.file_id
