-- One row per arriving result: its key as one integer, for one of several equal parts of all keys.
-- A collision does no harm, as versions are compared by their own keys.
WITH arriving AS (
    SELECT hash(taken.result_id) AS key
    FROM core.taken
)

SELECT arriving.key
FROM arriving
WHERE mod(arriving.key, CAST(? AS UBIGINT)) = CAST(? AS UBIGINT)
