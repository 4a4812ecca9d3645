-- One row per version of the rows of one patients extract and of what was known of the same keys:
-- its bucket, and whether it is the current version. The order of versions is night taken, file,
-- record; a later row replaces an earlier one. A row that is taken again keeps the place that its file
-- had when it first came, right behind what was read of it then.
WITH version AS (
    SELECT
        'core' AS origin,
        known.rowid AS place,
        known.patient_id,
        known.birth_date,
        known.sex,
        known.clinic_id,
        known.deceased_on,
        known.opted_out,
        known.file_name,
        known.record,
        known.taken_for,
        known.sent_for
    FROM core.patient AS known
    SEMI JOIN core.taken
        ON taken.patient_id = known.patient_id
    UNION ALL
    SELECT
        'taken' AS origin,
        taken.rowid AS place,
        taken.patient_id,
        taken.birth_date,
        taken.sex,
        taken.clinic_id,
        taken.deceased_on,
        taken.opted_out,
        taken.file_name,
        taken.record,
        taken.taken_for,
        taken.sent_for
    FROM core.taken
),

told AS (
    SELECT
        version.*,
        row(
            version.birth_date,
            version.sex,
            version.clinic_id,
            version.deceased_on,
            version.opted_out
        ) AS content
    FROM version
),

-- Only what says the same as the row before it is a duplicate: a person may move back. A row taken
-- again is one where it reads as it did before.
arrived AS (
    SELECT
        told.*,
        (row_number() OVER in_turn > 1 AND told.content IS NOT DISTINCT FROM lag(told.content) OVER in_turn)
        OR (
            told.sent_for IS NOT NULL
            AND row_number() OVER of_itself > 1
            AND told.content IS NOT DISTINCT FROM lag(told.content) OVER of_itself
        ) AS is_repeat
    FROM told
    WINDOW in_turn AS (
        PARTITION BY told.patient_id
        ORDER BY told.origin = 'taken', told.file_name, told.record
    ),
    of_itself AS (
        PARTITION BY
            told.patient_id,
            told.file_name,
            told.record,
            coalesce(told.sent_for, told.taken_for)
        ORDER BY told.taken_for, told.origin = 'taken'
    )
),

ordered AS (
    SELECT
        arrived.*,
        row_number() OVER (
            PARTITION BY arrived.patient_id, arrived.is_repeat
            ORDER BY
                coalesce(arrived.sent_for, arrived.taken_for),
                arrived.file_name,
                arrived.record,
                arrived.taken_for,
                arrived.origin = 'taken'
        ) AS nth
    FROM arrived
)

SELECT
    ordered.origin,
    ordered.place,
    ordered.patient_id,
    ordered.birth_date,
    ordered.sex,
    ordered.clinic_id,
    ordered.deceased_on,
    ordered.opted_out,
    ordered.file_name,
    ordered.record,
    ordered.taken_for,
    ordered.sent_for,
    CASE
        WHEN ordered.origin <> 'taken' THEN 'known'
        WHEN ordered.is_repeat THEN 'duplicate'
        WHEN ordered.nth < max(ordered.nth) OVER (
            PARTITION BY ordered.patient_id, ordered.is_repeat
            ORDER BY ordered.origin = 'taken', ordered.file_name, ordered.record
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
            THEN 'superseded'
        ELSE 'accepted'
    END AS bucket,
    NOT ordered.is_repeat AND ordered.nth = count(*) OVER (
        PARTITION BY ordered.patient_id, ordered.is_repeat
    ) AS is_current
FROM ordered
