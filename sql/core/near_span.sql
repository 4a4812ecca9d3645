-- One row: from when to when the markers were collected that arrived for tonight, and a day around.
SELECT
    night.as_of,
    min(stored.collected_at) - INTERVAL 1 DAY AS starts_at,
    max(stored.collected_at) + INTERVAL 1 DAY AS ends_at
FROM core.lab_row AS stored
INNER JOIN core.lab_file AS file
    ON file.file_id = stored.file_id
INNER JOIN taking.near_night AS night
    ON night.as_of = file.taken_for
SEMI JOIN taking.near_word
    ON near_word.word_id = stored.word_id
GROUP BY night.as_of
