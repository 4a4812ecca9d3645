-- One row per current result that a file gave and that its retake does not read as one: its
-- withdrawal, entered in error, in the place of what it withdraws. What the laboratory has taken back
-- itself needs none.
SELECT
    stored.result_id,
    stored.patient_id,
    withdrawn.word_id,
    CAST(NULL AS DOUBLE) AS value,
    stored.collected_at,
    stored.reported_at,
    CAST(NULL AS VARCHAR) AS value_as_sent,
    CAST(NULL AS VARCHAR) AS unit_as_sent,
    stored.clinic_id,
    night.file_id + 1 AS file_id,
    stored.record
FROM core.lab_row AS stored
INNER JOIN taking.retaken
    ON retaken.file_id = stored.file_id
INNER JOIN taking.night
    ON night.file_id = retaken.by_file_id
INNER JOIN core.lab_word AS word
    ON word.word_id = stored.word_id
INNER JOIN core.lab_word AS withdrawn
    ON withdrawn.laboratory = word.laboratory
    AND withdrawn.code_system = word.code_system
    AND withdrawn.code = word.code
    AND withdrawn.analyte = word.analyte
    AND withdrawn.unit = word.unit
    AND withdrawn.status = 'entered-in-error'
    AND withdrawn.comparator = '='
WHERE
    word.status NOT IN ('cancelled', 'entered-in-error')
    AND NOT EXISTS (
        SELECT 1
        FROM core.taken
        INNER JOIN core.lab_word AS read_word
            ON read_word.word_id = taken.word_id
        WHERE
            taken.file_id = night.file_id
            AND taken.result_id = stored.result_id
            AND read_word.laboratory = word.laboratory
    )
