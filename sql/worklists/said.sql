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
        seen_on(feedback.sheet_on, feedback.decided_on, feedback.taken_for) AS seen_on,
        known.item_id IS NOT NULL AS is_known,
        {
            'clinic_id': known.clinic_id,
            'priority': known.seen_priority,
            'mma_nmol_l': known.seen_mma_nmol_l,
            'hcy_umol_l': known.seen_hcy_umol_l
        } AS known_sight,
        known.ended_on,
        known.ended_by,
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
        {
            'clinic_id': shown.clinic_id,
            'priority': shown.priority,
            'mma_nmol_l': shown.mma_nmol_l,
            'hcy_umol_l': shown.hcy_umol_l
        } AS sight,
    FROM (
        SELECT DISTINCT
            said.item_id,
            said.seen_on,
        FROM said
        WHERE NOT said.is_known
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
        {
            'clinic_id': standing.clinic_id,
            'priority': standing.priority,
            'mma_nmol_l': standing.mma_nmol_l,
            'hcy_umol_l': standing.hcy_umol_l
        } AS sight,
    FROM worklists.standing AS standing
    ANTI JOIN history.shown AS shown ON shown.item_id = standing.item_id
),
noted AS (
    SELECT
        said.*,
        CASE WHEN said.is_known THEN said.known_sight ELSE coalesce(seen.sight, unshown.sight) END AS sight,
    FROM said
    LEFT JOIN seen ON seen.item_id = said.item_id AND seen.seen_on = said.seen_on
    LEFT JOIN unshown ON unshown.item_id = said.item_id
    WHERE said.is_known OR seen.item_id IS NOT NULL OR unshown.item_id IS NOT NULL
)
SELECT
    noted.item_id,
    noted.decision,
    noted.decision_note,
    noted.decided_on,
    noted.until,
    noted.file_name,
    noted.record,
    noted.taken_for,
    noted.seen_on,
    noted.sight.clinic_id,
    noted.sight.priority AS seen_priority,
    noted.sight.mma_nmol_l AS seen_mma_nmol_l,
    noted.sight.hcy_umol_l AS seen_hcy_umol_l,
    noted.ended_on,
    noted.ended_by,
FROM noted
QUALIFY row_number() OVER (
    PARTITION BY noted.item_id, noted.sight.clinic_id
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
