-- One row per hashed key of a result that arrived more than once. Found on one integer, so that no
-- window ever runs over all rows; a collision does no harm, as versions are compared by their keys.
SELECT hash(taken.laboratory, taken.result_id) AS key
FROM core.taken
GROUP BY ALL
HAVING count(*) > 1
