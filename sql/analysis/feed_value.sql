-- One row per laboratory, analyte and age of sample, recent or before: how its results lie, and how
-- many of them are beyond the limit that the screen asks of that analyte.
WITH recent AS (
    SELECT
        word.laboratory,
        word.analyte,
        word.comparator,
        stored.value,
        stored.collected_at >= CAST(night.as_of - CAST(days.recent AS INTEGER) AS TIMESTAMP) AS is_recent,
        CASE word.analyte
            WHEN 'mma' THEN meets('mma_raised', stored.value, word.comparator)
            WHEN 'hcy' THEN meets('hcy_raised', stored.value, word.comparator)
            WHEN 'b12' THEN meets('b12_low', stored.value, word.comparator)
            WHEN 'holotc' THEN meets('holotc_low', stored.value, word.comparator)
        END AS is_beyond,
    FROM core.lab_row AS stored
    INNER JOIN core.lab_word AS word ON word.word_id = stored.word_id
    CROSS JOIN run.night AS night
    CROSS JOIN (
        SELECT
            max(alarm.value) FILTER (WHERE alarm.name = 'recent_days') AS recent,
            max(alarm.value) FILTER (WHERE alarm.name = 'past_days') AS past,
        FROM run.alarm AS alarm
    ) AS days
    WHERE stored.value > 0
        AND speaks(word.status)
        AND stored.collected_at >= CAST(night.as_of - CAST(days.recent + days.past AS INTEGER) AS TIMESTAMP)
        AND stored.collected_at < CAST(night.as_of + 1 AS TIMESTAMP)
)
SELECT
    recent.laboratory,
    recent.analyte,
    recent.is_recent,
    count(*) FILTER (WHERE recent.comparator = '=') AS n,
    median(recent.value) FILTER (WHERE recent.comparator = '=') AS median,
    mad(ln(recent.value)) FILTER (WHERE recent.comparator = '=') AS spread,
    count(*) FILTER (WHERE recent.is_beyond IN ('yes', 'no')) AS n_judged,
    count(*) FILTER (WHERE recent.is_beyond = 'yes') AS n_beyond,
FROM recent
GROUP BY ALL
ORDER BY ALL
