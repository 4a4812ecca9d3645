-- One row per answer of one feedback extract and of what was known of the same items: its bucket, and
-- whether it stands. The order of answers is night taken, file, record. An answer to the same sheet of the
-- same day gives way to a later one with another decision; all others stand side by side.
WITH version AS (
    SELECT
        'core' AS origin,
        known.rowid AS place,
        known.item_id,
        known.decision,
        known.decision_note,
        known.decided_on,
        known.until,
        known.sheet_on,
        known.file_name,
        known.record,
        known.taken_for,
        FALSE AS is_undated
    FROM core.feedback AS known
    SEMI JOIN core.taken
        ON taken.item_id = known.item_id
    UNION ALL
    SELECT
        'private' AS origin,
        older.rowid AS place,
        older.item_id,
        older.decision,
        older.decision_note,
        older.decided_on,
        older.until,
        older.sheet_on,
        older.file_name,
        older.record,
        older.taken_for,
        FALSE AS is_undated
    FROM private.feedback AS older
    SEMI JOIN core.taken
        ON taken.item_id = older.item_id
    UNION ALL
    SELECT
        'taken' AS origin,
        taken.rowid AS place,
        taken.item_id,
        taken.decision,
        taken.decision_note,
        taken.decided_on,
        taken.until,
        taken.sheet_on,
        taken.file_name,
        taken.record,
        taken.taken_for,
        taken.is_undated
    FROM core.taken
),

-- The same answer again is a duplicate. A sheet that is sent on another night without a day of decision
-- says nothing new: what was decided on the night it was first taken for is what it repeats.
arrived AS (
    SELECT
        version.*,
        version.origin = 'taken' AND (
            row_number() OVER (
                PARTITION BY
                    version.item_id,
                    version.decision,
                    version.decision_note,
                    version.until,
                    version.sheet_on,
                    version.decided_on
                ORDER BY
                    version.origin = 'taken', version.taken_for, version.file_name, version.record, version.origin, version.place
            ) > 1
            OR (
                version.is_undated
                AND count(*) FILTER (WHERE version.decided_on = version.taken_for) OVER (
                    PARTITION BY
                        version.item_id,
                        version.decision,
                        version.decision_note,
                        version.until,
                        version.sheet_on
                    ORDER BY
                        version.origin = 'taken', version.taken_for, version.file_name, version.record, version.origin, version.place
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) > 0
            )
        ) AS is_repeat
    FROM version
),

ordered AS (
    SELECT
        arrived.*,
        -- The least and the greatest decision that comes later: both its own where none is another.
        min(arrived.decision) OVER later AS least,
        max(arrived.decision) OVER later AS greatest,
        min(arrived.decision) FILTER (WHERE arrived.origin <> 'taken') OVER later AS least_known,
        max(arrived.decision) FILTER (WHERE arrived.origin <> 'taken') OVER later AS greatest_known
    FROM arrived
    WINDOW later AS (
        PARTITION BY arrived.item_id, arrived.sheet_on, arrived.decided_on, arrived.is_repeat
        ORDER BY arrived.taken_for, arrived.file_name, arrived.record, arrived.origin = 'taken', arrived.origin, arrived.place
        ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    )
)

SELECT
    ordered.origin,
    ordered.place,
    ordered.item_id,
    ordered.decision,
    ordered.decision_note,
    ordered.decided_on,
    ordered.until,
    ordered.sheet_on,
    ordered.file_name,
    ordered.record,
    ordered.taken_for,
    CASE
        WHEN ordered.origin <> 'taken' THEN 'known'
        WHEN ordered.is_repeat THEN 'duplicate'
        WHEN ordered.least_known <> ordered.decision OR ordered.greatest_known <> ordered.decision
            THEN 'superseded'
        ELSE 'accepted'
    END AS bucket,
    NOT ordered.is_repeat
    AND coalesce(ordered.least = ordered.decision AND ordered.greatest = ordered.decision, TRUE) AS is_current
FROM ordered
