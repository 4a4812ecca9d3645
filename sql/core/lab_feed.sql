-- One row per laboratory of each labs extract at hand: how many rows came, and of what sort.
WITH counted AS (
    SELECT
        taken.file_id,
        taken.word_id,
        taken.cells ->> 'laboratory' AS laboratory,
        coalesce(taken.fault, '') AS fault,
        count(*) AS n,
        count(*) FILTER (WHERE taken.unitless) AS n_unitless
    FROM core.taken
    SEMI JOIN taking.night
        ON night.file_id = taken.file_id
    GROUP BY ALL
    UNION ALL BY NAME
    -- What makes no row of any laboratory.
    SELECT
        broken.file_id,
        broken.check_name AS fault,
        count(*) AS n,
        0 AS n_unitless
    FROM taking.broken
    GROUP BY ALL
)

SELECT
    night.file_name,
    night.as_of AS taken_for,
    night.taken_by,
    coalesce(word.laboratory, counted.laboratory, '') AS laboratory,
    CAST(sum(counted.n) AS BIGINT) AS n_read,
    CAST(sum(CASE WHEN counted.fault NOT IN ('', 'scope') THEN counted.n ELSE 0 END) AS BIGINT) AS n_rejected,
    CAST(sum(CASE WHEN counted.fault = 'scope' THEN counted.n ELSE 0 END) AS BIGINT) AS n_out_of_scope,
    CAST(sum(counted.n_unitless) AS BIGINT) AS n_unitless
FROM counted
INNER JOIN taking.night
    ON night.file_id = counted.file_id
LEFT JOIN core.lab_word AS word
    ON word.word_id = counted.word_id
GROUP BY ALL
ORDER BY ALL
