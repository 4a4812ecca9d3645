-- One row per result that arrived for tonight and looks like another one: a different key, the same
-- person, laboratory, test and value, collected within a day. Pairs that were listed before are not.
WITH candidate AS MATERIALIZED (
    SELECT
        stored.result_id,
        stored.patient_id,
        near_word.test,
        word.laboratory,
        word.analyte,
        stored.value,
        stored.collected_at,
        file.file_name,
        stored.record,
        file.taken_for
    FROM core.lab_row AS stored
    INNER JOIN taking.near_word
        ON near_word.word_id = stored.word_id
    INNER JOIN core.lab_word AS word
        ON word.word_id = stored.word_id
    INNER JOIN core.lab_file AS file
        ON file.file_id = stored.file_id
    WHERE stored.rowid IN (SELECT suspect.place FROM taking.suspect)
)

SELECT
    later.laboratory,
    later.result_id,
    earlier.result_id AS like_result_id,
    later.patient_id,
    later.analyte,
    CAST(later.collected_at AS DATE) AS collected_on,
    CAST(earlier.collected_at AS DATE) AS like_collected_on,
    later.file_name,
    later.record,
    night.as_of AS taken_for
FROM candidate AS later
INNER JOIN candidate AS earlier
    ON earlier.patient_id = later.patient_id
    AND earlier.test = later.test
    AND earlier.value = later.value
    AND earlier.collected_at >= later.collected_at - INTERVAL 1 DAY
    AND (earlier.collected_at, earlier.result_id) < (later.collected_at, later.result_id)
CROSS JOIN taking.near_span AS night
ANTI JOIN core.near_duplicate AS listed
    ON listed.laboratory = later.laboratory
    AND listed.result_id = later.result_id
    AND listed.like_result_id = earlier.result_id
WHERE later.taken_for = night.as_of OR earlier.taken_for = night.as_of
ORDER BY later.laboratory, later.result_id, like_result_id
