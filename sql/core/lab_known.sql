-- One row per key of an arriving result of which some version may be known already.
WITH arriving AS (
    SELECT hash(taken.result_id) AS key
    FROM core.taken
)

SELECT hash(known.result_id) AS key
FROM core.lab_row AS known
WHERE hash(known.result_id) IN (SELECT arriving.key FROM arriving)
UNION
SELECT hash(older.result_id) AS key
FROM private.lab_result AS older
WHERE hash(older.result_id) IN (SELECT arriving.key FROM arriving)
EXCEPT
SELECT repeated.key
FROM taking.lab_repeated AS repeated
