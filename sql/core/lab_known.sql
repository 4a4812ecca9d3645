-- One row per hashed key of an arriving result of which some version is known already.
SELECT hash(known.laboratory, known.result_id) AS key
FROM core.lab_result AS known
SEMI JOIN core.taken
    ON taken.result_id = known.result_id
    AND taken.laboratory = known.laboratory
UNION
SELECT hash(older.laboratory, older.result_id) AS key
FROM private.lab_result AS older
SEMI JOIN core.taken
    ON taken.result_id = older.result_id
    AND taken.laboratory = older.laboratory
EXCEPT
SELECT repeated.key
FROM taking.lab_repeated AS repeated
