-- One row per version of the results in taking.lab_at_hand: its bucket, and whether it is the
-- current version. The order of versions is reported_at (none first), night taken, file, record; a
-- correction or withdrawal that does not say when it was reported stands behind all that was sent before it.
-- A version is superseded when one that arrived before it comes after it in that order.
-- A row that repeats a version is a duplicate. Where it is the last of all in that order, and another version was
-- the last before, the result has gone back to what it was: the repeat is current, as no other row of it is. One
-- that is taken again never is: of what repeated the current version since, the place is not kept.
-- A row that is taken again keeps the place that its file had when it first came, right behind what
-- was read of it then: a retake never overtakes a later correction. What a retake does not read as
-- before is out, whatever its place.
WITH repeated AS (
    SELECT
        'core' AS origin,
        stored.rowid AS place,
        stored.result_id,
        stored.patient_id,
        stored.word_id,
        stored.value,
        stored.collected_at,
        stored.reported_at,
        stored.value_as_sent,
        stored.unit_as_sent,
        stored.clinic_id,
        stored.file_id,
        stored.record
    FROM core.lab_row AS stored
    WHERE hash(stored.result_id) IN (SELECT key FROM taking.lab_at_hand)
    UNION ALL
    SELECT
        'taken' AS origin,
        taken.rowid AS place,
        taken.result_id,
        taken.patient_id,
        taken.word_id,
        taken.value,
        taken.collected_at,
        taken.reported_at,
        taken.value_as_sent,
        taken.unit_as_sent,
        taken.clinic_id,
        taken.file_id,
        taken.record
    FROM core.taken
    WHERE hash(taken.result_id) IN (SELECT key FROM taking.lab_at_hand)
),

worded AS (
    SELECT
        repeated.origin,
        repeated.place,
        repeated.result_id,
        word.laboratory,
        repeated.patient_id,
        word.analyte,
        word.code,
        word.comparator,
        repeated.value,
        word.unit,
        word.status,
        repeated.collected_at,
        CAST(repeated.collected_at AS DATE) AS collected_on,
        repeated.reported_at,
        repeated.value_as_sent,
        repeated.unit_as_sent,
        repeated.clinic_id,
        file.file_name,
        repeated.record,
        file.taken_for,
        file.sent_for,
        repeated.file_id,
        file.taken_by,
        retaken.file_id IS NOT NULL AS is_former
    FROM repeated
    INNER JOIN core.lab_word AS word
        ON word.word_id = repeated.word_id
    INNER JOIN core.lab_file AS file
        ON file.file_id = repeated.file_id
    LEFT JOIN taking.retaken
        ON retaken.file_id = repeated.file_id
    UNION ALL
    SELECT
        'private' AS origin,
        older.rowid AS place,
        older.result_id,
        older.laboratory,
        older.patient_id,
        older.analyte,
        older.code,
        older.comparator,
        older.value,
        older.unit,
        older.status,
        older.collected_at,
        older.collected_on,
        older.reported_at,
        older.value_as_sent,
        older.unit_as_sent,
        older.clinic_id,
        older.file_name,
        older.record,
        older.taken_for,
        older.sent_for,
        NULL AS file_id,
        NULL AS taken_by,
        FALSE AS is_former
    FROM private.lab_result AS older
    WHERE hash(older.result_id) IN (SELECT key FROM taking.lab_at_hand)
),

-- What versions are told apart by, as numbers, so that the windows below carry no texts. A blank unit was once
-- stored as none.
version AS MATERIALIZED (
    SELECT
        worded.*,
        dense_rank() OVER (ORDER BY worded.laboratory, worded.result_id) AS result_number,
        dense_rank() OVER (
            ORDER BY
                worded.laboratory,
                worded.result_id,
                worded.patient_id,
                worded.analyte,
                worded.code,
                worded.comparator,
                worded.value,
                worded.unit,
                worded.status,
                worded.collected_at,
                worded.reported_at,
                worded.value_as_sent,
                coalesce(worded.unit_as_sent, ''),
                worded.clinic_id
        ) AS content_number
    FROM worded
),

-- The same content again is a duplicate, however old the version it repeats.
arrived AS (
    SELECT
        version.origin,
        version.place,
        version.result_number,
        version.content_number,
        version.status,
        version.reported_at,
        version.file_name,
        version.record,
        version.taken_for,
        version.sent_for,
        version.file_id,
        version.taken_by,
        row_number() OVER (
            PARTITION BY version.content_number
            ORDER BY version.origin = 'taken', version.file_id, version.file_name, version.record
        ) > 1 AS is_known,
        row_number() OVER (
            PARTITION BY version.content_number, version.origin = 'taken'
            ORDER BY version.file_id, version.file_name, version.record
        ) > 1 AS is_told_twice,
        version.is_former
        AND count(*) FILTER (WHERE version.taken_by = 'retake' AND version.origin = 'taken') OVER (
            PARTITION BY version.content_number
        ) = 0 AS is_taken_back
    FROM version
),

-- Where the current version is taken back, what stood before it is no measure of what is new.
settled AS (
    SELECT
        arrived.*,
        CASE
            WHEN arrived.origin = 'taken'
                AND bool_or(arrived.is_taken_back) OVER (PARTITION BY arrived.result_number)
                THEN arrived.is_told_twice
            ELSE arrived.is_known
        END AS is_repeat,
        arrived.origin = 'private' OR arrived.is_taken_back AS is_past
    FROM arrived
),

dated AS (
    SELECT
        settled.*,
        row_number() OVER (
            PARTITION BY settled.result_number
            ORDER BY
                coalesce(settled.sent_for, settled.taken_for),
                settled.file_name,
                settled.record,
                settled.taken_for,
                settled.file_id,
                settled.place
        ) AS nth_sent
    FROM settled
),

weighed AS (
    SELECT
        dated.*,
        CASE
            WHEN dated.reported_at IS NULL
                AND dated.status IN ('amended', 'corrected', 'cancelled', 'entered-in-error')
                THEN max(dated.reported_at) OVER (
                    PARTITION BY dated.result_number
                    ORDER BY dated.nth_sent
                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
                )
            ELSE dated.reported_at
        END AS counts_from,
        dated.is_past OR (dated.is_repeat AND dated.taken_by = 'retake') AS is_mute
    FROM dated
),

ordered AS (
    SELECT
        weighed.*,
        row_number() OVER (
            PARTITION BY weighed.result_number, weighed.is_repeat
            ORDER BY NOT weighed.is_past, weighed.counts_from NULLS FIRST, weighed.nth_sent
        ) AS nth,
        row_number() OVER (
            PARTITION BY weighed.result_number, weighed.is_repeat
            ORDER BY weighed.is_past, weighed.counts_from DESC NULLS LAST, weighed.nth_sent DESC
        ) = 1 AND NOT weighed.is_past AS is_newest_of_its_sort,
        row_number() OVER (
            PARTITION BY weighed.result_number
            ORDER BY weighed.is_mute, weighed.counts_from DESC NULLS LAST, weighed.nth_sent DESC
        ) = 1 AND NOT weighed.is_mute AS is_newest
    FROM weighed
),

judged AS (
    SELECT
        ordered.origin,
        ordered.place,
        CASE
            WHEN ordered.origin <> 'taken' THEN 'known'
            WHEN ordered.is_repeat THEN 'duplicate'
            WHEN ordered.nth < max(ordered.nth) OVER (
                PARTITION BY ordered.result_number, ordered.is_repeat
                ORDER BY ordered.origin = 'taken', ordered.file_id, ordered.record, ordered.nth
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            )
                THEN 'superseded'
            ELSE 'accepted'
        END AS bucket,
        CASE
            WHEN max(ordered.content_number) FILTER (WHERE ordered.is_newest) OVER one_result
                <> coalesce(
                    max(ordered.content_number)
                    FILTER (WHERE ordered.is_newest_of_its_sort AND NOT ordered.is_repeat) OVER one_result,
                    0
                )
                THEN ordered.is_newest
            ELSE ordered.is_newest_of_its_sort AND NOT ordered.is_repeat
        END AS is_current
    FROM ordered
    WINDOW one_result AS (PARTITION BY ordered.result_number)
)

SELECT
    version.origin,
    version.place,
    version.result_id,
    version.laboratory,
    version.patient_id,
    version.analyte,
    version.code,
    version.comparator,
    version.value,
    version.unit,
    version.status,
    version.collected_at,
    version.collected_on,
    version.reported_at,
    version.value_as_sent,
    version.unit_as_sent,
    version.clinic_id,
    version.file_name,
    version.record,
    version.taken_for,
    version.sent_for,
    version.file_id,
    judged.bucket,
    judged.is_current
FROM version
INNER JOIN judged
    ON judged.origin = version.origin
    AND judged.place = version.place
