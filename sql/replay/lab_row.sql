-- One row per result as it was known on a night: its current version then, as the store keeps rows.
-- Two parameters, the same night. Of a version that was replaced since, the words are found again; of
-- two codes that differ in their system alone it takes the first, which the published view never shows.
WITH word AS (
    SELECT
        known_word.laboratory,
        known_word.analyte,
        known_word.code,
        known_word.comparator,
        known_word.unit,
        known_word.status,
        min(known_word.word_id) AS word_id,
    FROM known.core.lab_word AS known_word
    GROUP BY ALL
),
file AS (
    SELECT
        known_file.file_name,
        known_file.taken_for,
        known_file.sent_for,
        min(known_file.file_id) AS file_id,
    FROM known.core.lab_file AS known_file
    GROUP BY ALL
)
SELECT
    stored.result_id,
    stored.patient_id,
    stored.word_id,
    stored.value,
    stored.collected_at,
    stored.reported_at,
    stored.value_as_sent,
    stored.unit_as_sent,
    stored.clinic_id,
    stored.file_id,
    stored.record,
FROM known.core.lab_row AS stored
SEMI JOIN (
    SELECT known_file.file_id
    FROM known.core.lab_file AS known_file
    WHERE known_file.taken_for <= ?
) AS taken ON taken.file_id = stored.file_id
UNION ALL BY NAME
SELECT
    older.result_id,
    older.patient_id,
    word.word_id,
    older.value,
    older.collected_at,
    older.reported_at,
    older.value_as_sent,
    older.unit_as_sent,
    older.clinic_id,
    file.file_id,
    older.record,
FROM private.lab_result AS older
CROSS JOIN (SELECT CAST(? AS DATE) AS known_on) AS asked
-- A word or a file that is not found leaves a NULL, which the table refuses: no row is lost unseen.
LEFT JOIN word
    ON word.laboratory = older.laboratory
    AND word.analyte = older.analyte
    AND word.code = older.code
    AND word.comparator = older.comparator
    AND word.unit = older.unit
    AND word.status = older.status
LEFT JOIN file
    ON file.file_name = older.file_name
    AND file.taken_for = older.taken_for
    AND file.sent_for IS NOT DISTINCT FROM older.sent_for
WHERE older.taken_for <= asked.known_on
    AND older.replaced_on > asked.known_on
