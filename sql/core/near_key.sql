-- One row per result of a marker around tonight's: person, test and value as one integer, and where it
-- lies. A collision does no harm, as results are compared by themselves.
SELECT
    hash(stored.patient_id, near_word.test, stored.value) AS key,
    stored.rowid AS place
FROM core.lab_row AS stored
INNER JOIN taking.near_word
    ON near_word.word_id = stored.word_id
INNER JOIN taking.near_span
    ON stored.collected_at >= near_span.starts_at
    AND stored.collected_at <= near_span.ends_at
WHERE stored.value IS NOT NULL
