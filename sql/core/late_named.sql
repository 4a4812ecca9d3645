-- One row per result taken tonight and withdrawal that came before it and names it: where the result lies. By id a
-- component is named with its observation; by key the person has to be the same, in the version that stands.
SELECT
    taken.rowid AS place,
    late.rowid AS withdrawal,
    late.laboratory,
    late.patient_id,
    late.reported_at AS withdrawn_at,
    late.sha256 AS withdrawn_by,
    late.taken_for AS withdrawn_on
FROM core.taken
INNER JOIN private.late_withdrawal AS late
    ON late.key = split_part(taken.result_id, '#', 1)
WHERE late.kind = 'labs' AND late.done_for IS NULL AND late.laboratory IS NULL
UNION ALL
SELECT
    taken.rowid AS place,
    late.rowid AS withdrawal,
    late.laboratory,
    late.patient_id,
    late.reported_at AS withdrawn_at,
    late.sha256 AS withdrawn_by,
    late.taken_for AS withdrawn_on
FROM core.taken
INNER JOIN private.late_withdrawal AS late
    ON late.key = taken.result_id
INNER JOIN core.lab_word AS word
    ON word.word_id = taken.word_id
    AND word.laboratory = late.laboratory
WHERE late.kind = 'labs' AND late.done_for IS NULL
