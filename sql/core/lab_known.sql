-- One row per key of an arriving result of which some version is known already.
SELECT hash(known.result_id) AS key
FROM core.lab_row AS known
SEMI JOIN core.taken
    ON taken.result_id = known.result_id
UNION
SELECT hash(older.result_id) AS key
FROM private.lab_result AS older
SEMI JOIN core.taken
    ON taken.result_id = older.result_id
EXCEPT
SELECT repeated.key
FROM taking.lab_repeated AS repeated
