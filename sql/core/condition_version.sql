-- One row per version of the rows of one conditions extract and of what was known of the same keys:
-- its bucket, and whether it is the current version. The order of versions is night taken, file,
-- record; a later row replaces an earlier one. A row that is taken again keeps the place that its file
-- had when it first came, right behind what was read of it then. A withdrawal, resolved before the earliest day, is the
-- current version of nothing: it and what it withdraws are set aside.
WITH version AS (
    SELECT
        'core' AS origin,
        known.rowid AS place,
        known.patient_id,
        known.code,
        known.code_system,
        known.recorded_on,
        known.resolved_on,
        known.file_name,
        known.record,
        known.taken_for,
        known.sent_for
    FROM core.condition AS known
    SEMI JOIN core.taken
        ON taken.patient_id = known.patient_id
        AND taken.code_system = known.code_system
        AND taken.code = known.code
        AND taken.recorded_on = known.recorded_on
    UNION ALL
    SELECT
        'taken' AS origin,
        taken.rowid AS place,
        taken.patient_id,
        taken.code,
        taken.code_system,
        taken.recorded_on,
        taken.resolved_on,
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
            version.resolved_on
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
        PARTITION BY told.patient_id, told.code_system, told.code, told.recorded_on
        ORDER BY told.origin = 'taken', told.file_name, told.record
    ),
    of_itself AS (
        PARTITION BY
            told.patient_id,
            told.code_system,
            told.code,
            told.recorded_on,
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
            PARTITION BY arrived.patient_id, arrived.code_system, arrived.code, arrived.recorded_on, arrived.is_repeat
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
    ordered.code,
    ordered.code_system,
    ordered.recorded_on,
    ordered.resolved_on,
    ordered.file_name,
    ordered.record,
    ordered.taken_for,
    ordered.sent_for,
    CASE
        WHEN ordered.origin <> 'taken' THEN 'known'
        WHEN ordered.is_repeat THEN 'duplicate'
        WHEN ordered.nth < max(ordered.nth) OVER (
            PARTITION BY ordered.patient_id, ordered.code_system, ordered.code, ordered.recorded_on, ordered.is_repeat
            ORDER BY ordered.origin = 'taken', ordered.file_name, ordered.record
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
            THEN 'superseded'
        ELSE 'accepted'
    END AS bucket,
    NOT ordered.is_repeat AND ordered.nth = count(*) OVER (
        PARTITION BY ordered.patient_id, ordered.code_system, ordered.code, ordered.recorded_on, ordered.is_repeat
    ) AND (ordered.resolved_on IS NULL OR ordered.resolved_on >= CAST(night.earliest AS DATE)) AS is_current
FROM ordered
CROSS JOIN taking.night
