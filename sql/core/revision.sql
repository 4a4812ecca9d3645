-- One row per record of the files at hand that corrects or withdraws a result which is known, by a code that no
-- map names: that result, whether the record withdraws it, and whether its value stands. The key says which result is
-- meant; a laboratory may cancel by a code that stands for no test. Where the same file gives the key a value of ours
-- as well, it may be the number of an order, and another test of the order be meant. Of a key that is not known
-- of the person yet the record is early, where it is a withdrawal that says when it was reported. Of several files at
-- hand what a later one brings is not known to an earlier one.
WITH sent AS MATERIALIZED (
    SELECT
        taken.rowid AS place,
        taken.file_id,
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

known AS MATERIALIZED (
    SELECT
        stored.result_id,
        stored.patient_id,
        stored.word_id,
        stored.collected_at,
        stored.reported_at,
        stored.clinic_id,
        stored.file_id,
        stored.record
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
        taken.record
    FROM core.taken
    WHERE taken.fault IS NULL AND taken.result_id IN (SELECT sent.result_id FROM sent)
),

asked AS MATERIALIZED (
    SELECT DISTINCT
        sent.result_id,
        sent.file_id AS asked_by
    FROM sent
),

unread AS MATERIALIZED (
    SELECT
        taken.file_id,
        taken.cells ->> 'result_id' AS result_id
    FROM core.taken
    WHERE taken.fault <> 'scope'
        AND taken.file_id IN (SELECT sent.file_id FROM sent)
        AND taken.cells ->> 'result_id' IN (SELECT sent.result_id FROM sent)
),

-- Materialised, or the many words of a laboratory would be joined to what was sent before to what is known.
worded AS MATERIALIZED (
    SELECT
        known.*,
        asked.asked_by,
        word.laboratory,
        word.code_system,
        word.code,
        word.analyte,
        word.unit,
        word.status,
        list(known.file_id) OVER (PARTITION BY asked.asked_by, known.result_id, word.laboratory) AS file_ids
    FROM asked
    INNER JOIN known
        ON known.result_id = asked.result_id
        AND known.file_id <= asked.asked_by
    INNER JOIN core.lab_word AS word
        ON word.word_id = known.word_id
    QUALIFY row_number() OVER (
        PARTITION BY asked.asked_by, known.result_id, word.laboratory
        ORDER BY known.reported_at DESC NULLS LAST, known.file_id DESC, known.record DESC
    ) = 1
),

revisable AS MATERIALIZED (
    SELECT
        worded.*,
        gone.word_id AS gone_word_id,
        gone.status AS gone_status
    FROM worded
    INNER JOIN core.lab_word AS gone
        ON gone.laboratory = worded.laboratory
        AND gone.code_system = worded.code_system
        AND gone.code = worded.code
        AND gone.analyte = worded.analyte
        AND gone.unit = worded.unit
        AND gone.comparator = '='
)

SELECT
    sent.place,
    revisable.result_id,
    revisable.patient_id,
    revisable.gone_word_id AS word_id,
    revisable.collected_at,
    sent.reported_at,
    revisable.clinic_id,
    sent.patient_id = revisable.patient_id
    AND sent.status IN ('cancelled', 'entered-in-error')
    AND NOT list_contains(revisable.file_ids, sent.file_id) AS withdraws,
    revisable.status NOT IN ('registered', 'cancelled', 'entered-in-error') AS stands,
    FALSE AS is_early,
    sent.laboratory
FROM sent
INNER JOIN revisable
    ON revisable.asked_by = sent.file_id
    AND revisable.result_id = sent.result_id
    AND revisable.laboratory = sent.laboratory
    AND revisable.gone_status = sent.status
-- An older version changes nothing.
WHERE coalesce(sent.reported_at >= revisable.reported_at, TRUE)
UNION ALL BY NAME
SELECT
    sent.place,
    sent.result_id,
    sent.patient_id,
    sent.reported_at,
    FALSE AS withdraws,
    FALSE AS stands,
    TRUE AS is_early,
    sent.laboratory
FROM sent
ANTI JOIN worded
    ON worded.asked_by = sent.file_id
    AND worded.result_id = sent.result_id
    AND worded.laboratory = sent.laboratory
    AND worded.patient_id = sent.patient_id
-- A row of ours that was rejected is no less of the order.
ANTI JOIN unread
    ON unread.file_id = sent.file_id
    AND unread.result_id = sent.result_id
WHERE sent.status IN ('cancelled', 'entered-in-error')
    AND sent.reported_at IS NOT NULL
