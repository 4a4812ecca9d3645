-- One row per result taken tonight that had been withdrawn, by id or by its key, before it came: its withdrawal, right
-- behind it. What was reported after the withdrawal stands; where the withdrawal has no moment of its
-- own, the end of the night that it came on is one. Of one file the order of its lines decides, unless
-- both have their moments. By key both have to: it may be the number of an order, of which another test was meant.
WITH arrived AS (
    SELECT
        taken.result_id,
        taken.patient_id,
        taken.word_id,
        taken.collected_at,
        taken.reported_at,
        taken.clinic_id,
        taken.record,
        taken.file_id,
        word.laboratory,
        word.status,
        file.file_name,
        file.sha256,
        coalesce(file.sent_for, file.taken_for) AS sent_for,
        named.withdrawn_at,
        named.withdrawn_by,
        named.laboratory IS NOT NULL AS by_key,
        named.withdrawal,
        coalesce(named.patient_id, taken.patient_id) AS withdrawn_of,
        coalesce(named.withdrawn_at, CAST(named.withdrawn_on + 1 AS TIMESTAMP)) AS no_later_than
    FROM core.taken
    INNER JOIN taking.late_named AS named
        ON named.place = taken.rowid
    INNER JOIN core.lab_word AS word
        ON word.word_id = taken.word_id
    INNER JOIN core.lab_file AS file
        ON file.file_id = taken.file_id
),

newest AS (
    SELECT arrived.*
    FROM arrived
    QUALIFY row_number() OVER (
        PARTITION BY arrived.laboratory, arrived.result_id
        ORDER BY
            arrived.reported_at DESC NULLS LAST,
            arrived.sent_for DESC,
            arrived.file_name DESC,
            arrived.record DESC,
            arrived.file_id DESC,
            arrived.withdrawn_of = arrived.patient_id DESC,
            arrived.no_later_than DESC,
            arrived.withdrawal
    ) = 1
)

SELECT
    newest.result_id,
    newest.patient_id,
    newest.word_id,
    newest.collected_at,
    greatest(newest.reported_at, newest.withdrawn_at) AS reported_at,
    newest.clinic_id,
    newest.file_name,
    newest.record,
    newest.sent_for,
    newest.withdrawal
FROM newest
WHERE
    newest.status NOT IN ('cancelled', 'entered-in-error')
    AND newest.withdrawn_of = newest.patient_id
    -- What is known of the key and was reported later is somebody else's by now.
    AND NOT (newest.by_key AND EXISTS (
        SELECT 1
        FROM core.lab_row AS known
        INNER JOIN core.lab_word AS known_word
            ON known_word.word_id = known.word_id
        WHERE known.result_id = newest.result_id
            AND known_word.laboratory = newest.laboratory
            AND known.reported_at > newest.reported_at
    ))
    AND coalesce(newest.reported_at, newest.collected_at) <= newest.no_later_than
    AND (
        (newest.sha256 <> newest.withdrawn_by AND NOT newest.by_key)
        OR (newest.reported_at IS NOT NULL AND newest.withdrawn_at IS NOT NULL)
    )
