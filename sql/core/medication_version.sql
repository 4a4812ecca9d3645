-- One row per version of the rows of one medications extract and of what was known of the same keys:
-- its bucket, and whether it is the current version. The order of versions is night taken, file,
-- record; a later row replaces an earlier one, and what withdraws a row stands behind it. A row that
-- is taken again keeps the place that its file had when it first came, right behind what was read of
-- it then.
WITH version AS (
    SELECT
        'core' AS origin,
        known.rowid AS place,
        known.medication_id,
        known.patient_id,
        known.code,
        known.code_system,
        known.kind,
        known.started_on,
        known.ended_on,
        known.drug_name,
        known.dose,
        known.dose_unit,
        known.route,
        known.file_name,
        known.record,
        known.taken_for,
        known.sent_for
    FROM core.medication AS known
    SEMI JOIN core.taken
        ON taken.medication_id = known.medication_id
    UNION ALL
    SELECT
        'taken' AS origin,
        taken.rowid AS place,
        taken.medication_id,
        taken.patient_id,
        taken.code,
        taken.code_system,
        taken.kind,
        taken.started_on,
        taken.ended_on,
        taken.drug_name,
        taken.dose,
        taken.dose_unit,
        taken.route,
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
            version.patient_id,
            version.code,
            version.code_system,
            version.kind,
            version.started_on,
            version.ended_on,
            version.drug_name,
            version.dose,
            version.dose_unit,
            version.route
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
        PARTITION BY told.medication_id
        ORDER BY told.origin = 'taken', told.file_name, told.record, told.code = 'withdrawn'
    ),
    of_itself AS (
        PARTITION BY
            told.medication_id,
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
            PARTITION BY arrived.medication_id, arrived.is_repeat
            ORDER BY
                coalesce(arrived.sent_for, arrived.taken_for),
                arrived.file_name,
                arrived.record,
                arrived.taken_for,
                arrived.origin = 'taken',
                arrived.code = 'withdrawn'
        ) AS nth
    FROM arrived
)

SELECT
    ordered.origin,
    ordered.place,
    ordered.medication_id,
    ordered.patient_id,
    ordered.code,
    ordered.code_system,
    ordered.kind,
    ordered.started_on,
    ordered.ended_on,
    ordered.drug_name,
    ordered.dose,
    ordered.dose_unit,
    ordered.route,
    ordered.file_name,
    ordered.record,
    ordered.taken_for,
    ordered.sent_for,
    CASE
        WHEN ordered.origin <> 'taken' THEN 'known'
        WHEN ordered.is_repeat THEN 'duplicate'
        WHEN ordered.nth < max(ordered.nth) OVER (
            PARTITION BY ordered.medication_id, ordered.is_repeat
            ORDER BY ordered.origin = 'taken', ordered.file_name, ordered.record, ordered.code = 'withdrawn'
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        )
            THEN 'superseded'
        ELSE 'accepted'
    END AS bucket,
    NOT ordered.is_repeat AND ordered.nth = count(*) OVER (
        PARTITION BY ordered.medication_id, ordered.is_repeat
    ) AS is_current
FROM ordered
