-- One row per laboratory: the newest day up to the night that its results tell about.
SELECT
    word.laboratory,
    CAST(
        max(
            CASE
                WHEN stored.reported_at < tomorrow.starts_at THEN stored.reported_at
                WHEN stored.collected_at < tomorrow.starts_at THEN stored.collected_at
            END
        ) AS DATE
    ) AS newest_on,
FROM core.lab_row AS stored
INNER JOIN core.lab_word AS word ON word.word_id = stored.word_id
CROSS JOIN (
    SELECT CAST(night.as_of + 1 AS TIMESTAMP) AS starts_at,
    FROM run.night AS night
) AS tomorrow
GROUP BY word.laboratory
ORDER BY word.laboratory
