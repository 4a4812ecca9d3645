-- One row per record of the files at hand that corrects or withdraws a result which is known, by a code that no
-- map names: that result, and whether the record withdraws it. The key says which result is meant; a laboratory may
-- cancel by a code that stands for no test.
WITH sent AS (
    SELECT
        taken.rowid AS place,
        taken.cells ->> 'laboratory' AS laboratory,
        taken.cells ->> 'result_id' AS result_id,
        taken.cells ->> 'patient_id' AS patient_id,
        status.word AS status,
        CASE WHEN taken.reported_at >= night.earliest AND taken.reported_at < night.latest THEN taken.reported_at END
            AS reported_at
    FROM core.taken
    INNER JOIN taking.night
        ON night.file_id = taken.file_id
    INNER JOIN taking.status
        ON status.spelling = taken.cells ->> 'status'
    WHERE taken.fault = 'scope' AND contains(taken.cells, '"result_id"')
),

known AS (
    SELECT
        stored.result_id,
        stored.patient_id,
        stored.word_id,
        stored.collected_at,
        stored.reported_at,
        stored.clinic_id,
        stored.file_id,
        stored.record,
        FALSE AS is_new
    FROM core.lab_row AS stored
    WHERE stored.result_id IN (SELECT sent.result_id FROM sent)
    UNION ALL
    SELECT
        taken.result_id,
        taken.patient_id,
        taken.word_id,
        taken.collected_at,
        taken.reported_at,
        taken.clinic_id,
        taken.file_id,
        taken.record,
        TRUE AS is_new
    FROM core.taken
    WHERE taken.fault IS NULL AND taken.result_id IN (SELECT sent.result_id FROM sent)
)

SELECT
    sent.place,
    known.result_id,
    known.patient_id,
    gone.word_id,
    known.collected_at,
    sent.reported_at,
    known.clinic_id,
    sent.patient_id = known.patient_id AND sent.status IN ('cancelled', 'entered-in-error') AS withdraws
FROM sent
INNER JOIN known
    ON known.result_id = sent.result_id
INNER JOIN core.lab_word AS word
    ON word.word_id = known.word_id
    AND word.laboratory = sent.laboratory
INNER JOIN core.lab_word AS gone
    ON gone.laboratory = word.laboratory
    AND gone.code_system = word.code_system
    AND gone.code = word.code
    AND gone.analyte = word.analyte
    AND gone.unit = word.unit
    AND gone.comparator = '='
    AND gone.status = sent.status
-- An older version changes nothing.
WHERE coalesce(sent.reported_at >= known.reported_at, TRUE)
QUALIFY row_number() OVER (
    PARTITION BY sent.place
    ORDER BY known.is_new DESC, known.reported_at DESC NULLS LAST, known.file_id DESC, known.record DESC
) = 1
