-- One row per item and clinic that answered it: its newest answer whose day has come, and what it saw.
-- kept: no
-- What one clinic answers does not bind another one, so neither does a late sheet of the clinic before. An
-- answer that the last night knew keeps what it noted of it; of a new one the clinic saw what its list showed
-- on the night of the sheet. What is neither was another clinic's or not the newest when it came. An answer to
-- tonight's own sheet counts from the next night on, so that a night run again says the same.
WITH last_night AS (
    SELECT max(past_night.as_of) AS as_of
    FROM history.night AS past_night
),
said AS (
    SELECT
        feedback.item_id,
        feedback.decision,
        feedback.decision_note,
        feedback.decided_on,
        feedback.until,
        feedback.sheet_on,
        feedback.file_name,
        feedback.record,
        feedback.taken_for,
        coalesce(
            feedback.sheet_on, least(feedback.decided_on, CAST(feedback.taken_for - INTERVAL 1 DAY AS DATE))
        ) AS seen_on,
    FROM core.feedback AS feedback
    CROSS JOIN last_night
    LEFT JOIN history.answer AS known
        ON known.item_id = feedback.item_id
        AND known.given_by = 'clinic'
        AND known.taken_for = feedback.taken_for
        AND known.file_name = feedback.file_name
        AND known.record = feedback.record
        AND known.decision = feedback.decision
        AND known.decided_on = feedback.decided_on
    WHERE feedback.decided_on <= as_of()
        AND coalesce(feedback.sheet_on < as_of(), TRUE)
        AND (
            known.item_id IS NOT NULL
            OR greatest(feedback.taken_for, feedback.decided_on, feedback.sheet_on + 1) > last_night.as_of
        )
),
-- The list of that night; else the last one before it that had the row, else the first one that did. Of a sheet
-- that is named and whose lists are forgotten nobody knows whose it was.
seen AS (
    SELECT
        asked.item_id,
        asked.seen_on,
        shown.clinic_id,
        shown.priority,
        shown.mma_nmol_l,
        shown.hcy_umol_l,
    FROM (
        SELECT DISTINCT
            said.item_id,
            said.seen_on,
        FROM said
    ) AS asked
    INNER JOIN history.shown AS shown ON shown.item_id = asked.item_id
    WHERE shown.first_on <= asked.seen_on OR asked.seen_on >= as_of() - INTERVAL 365 DAY
    QUALIFY row_number() OVER (
        PARTITION BY asked.item_id, asked.seen_on
        ORDER BY
            shown.first_on <= asked.seen_on DESC,
            abs(shown.first_on - asked.seen_on),
            shown.clinic_id NULLS FIRST
    ) = 1
),
-- A row that no list ever showed has been at rest since it was first asked for.
unshown AS (
    SELECT
        standing.item_id,
        standing.clinic_id,
        standing.priority,
        standing.mma_nmol_l,
        standing.hcy_umol_l,
    FROM worklists.standing AS standing
    ANTI JOIN history.shown AS shown ON shown.item_id = standing.item_id
),
noted AS (
    SELECT
        said.*,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.clinic_id
            WHEN seen.item_id IS NOT NULL THEN seen.clinic_id
            ELSE unshown.clinic_id
        END AS clinic_id,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.seen_priority
            WHEN seen.item_id IS NOT NULL THEN seen.priority
            ELSE unshown.priority
        END AS seen_priority,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.seen_mma_nmol_l
            WHEN seen.item_id IS NOT NULL THEN seen.mma_nmol_l
            ELSE unshown.mma_nmol_l
        END AS seen_mma_nmol_l,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.seen_hcy_umol_l
            WHEN seen.item_id IS NOT NULL THEN seen.hcy_umol_l
            ELSE unshown.hcy_umol_l
        END AS seen_hcy_umol_l,
        known.ended_on,
        known.ended_by,
    FROM said
    LEFT JOIN history.answer AS known
        ON known.item_id = said.item_id
        AND known.given_by = 'clinic'
        AND known.taken_for = said.taken_for
        AND known.file_name = said.file_name
        AND known.record = said.record
        AND known.decision = said.decision
        AND known.decided_on = said.decided_on
    LEFT JOIN seen ON seen.item_id = said.item_id AND seen.seen_on = said.seen_on
    LEFT JOIN unshown ON unshown.item_id = said.item_id
    WHERE known.item_id IS NOT NULL OR seen.item_id IS NOT NULL OR unshown.item_id IS NOT NULL
)
SELECT
    noted.* EXCLUDE (sheet_on),
FROM noted
QUALIFY row_number() OVER (
    PARTITION BY noted.item_id, noted.clinic_id
    ORDER BY
        noted.decided_on DESC,
        noted.taken_for DESC,
        noted.file_name DESC,
        noted.record DESC,
        noted.sheet_on DESC,
        noted.decision,
        noted.until,
        noted.decision_note
) = 1
