-- One row per withdrawal of a result that no file holds as a row: entered in error, in its place.
SELECT
    gone.result_id,
    gone.patient_id,
    withdrawn.word_id,
    CAST(NULL AS DOUBLE) AS value,
    gone.collected_at,
    gone.reported_at,
    CAST(NULL AS VARCHAR) AS value_as_sent,
    CAST(NULL AS VARCHAR) AS unit_as_sent,
    gone.clinic_id,
    file.file_id,
    gone.record
FROM taking.withdrawn AS gone
INNER JOIN core.lab_word AS word
    ON word.word_id = gone.word_id
INNER JOIN core.lab_word AS withdrawn
    ON withdrawn.laboratory = word.laboratory
    AND withdrawn.code_system = word.code_system
    AND withdrawn.code = word.code
    AND withdrawn.analyte = word.analyte
    AND withdrawn.unit = word.unit
    AND withdrawn.status = 'entered-in-error'
    AND withdrawn.comparator = '='
INNER JOIN taking.withdrawn_file AS file
    ON file.file_name = gone.file_name
    AND file.sent_for = gone.sent_for
