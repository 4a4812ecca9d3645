-- One row per item that was answered: the newest answer whose day has come, and what was seen when it was given.
-- kept: no
-- An answer that an earlier night knew keeps what that night noted of it; of a new one the clinic saw what its
-- list showed on the night of the sheet. An answer to tonight's own sheet counts from the next night on, so
-- that a night run again says the same.
WITH newest AS (
    SELECT
        feedback.item_id,
        feedback.decision,
        feedback.decision_note,
        feedback.decided_on,
        feedback.until,
        feedback.file_name,
        feedback.record,
        feedback.taken_for,
        coalesce(
            feedback.sheet_on, least(feedback.decided_on, CAST(feedback.taken_for - INTERVAL 1 DAY AS DATE))
        ) AS seen_on,
    FROM core.feedback AS feedback
    WHERE feedback.decided_on <= as_of() AND coalesce(feedback.sheet_on < as_of(), TRUE)
    QUALIFY row_number() OVER (
        PARTITION BY feedback.item_id
        ORDER BY
            feedback.decided_on DESC, feedback.taken_for DESC, feedback.file_name DESC, feedback.record DESC
    ) = 1
),
-- The list of that night; else the last one before it that had the row, else the first one that did.
seen AS (
    SELECT
        shown.item_id,
        shown.clinic_id,
        shown.priority,
        shown.mma_nmol_l,
        shown.hcy_umol_l,
    FROM history.shown AS shown
    INNER JOIN newest ON newest.item_id = shown.item_id
    QUALIFY row_number() OVER (
        PARTITION BY shown.item_id
        ORDER BY
            shown.first_on <= newest.seen_on DESC,
            abs(shown.first_on - newest.seen_on),
            shown.clinic_id NULLS FIRST
    ) = 1
),
-- A row that no list ever showed: it has been at rest since it was first asked for.
given AS (
    SELECT
        standing.item_id,
        CASE WHEN seen.item_id IS NULL THEN standing.clinic_id ELSE seen.clinic_id END AS clinic_id,
        CASE WHEN seen.item_id IS NULL THEN standing.priority ELSE seen.priority END AS priority,
        CASE WHEN seen.item_id IS NULL THEN standing.mma_nmol_l ELSE seen.mma_nmol_l END AS mma_nmol_l,
        CASE WHEN seen.item_id IS NULL THEN standing.hcy_umol_l ELSE seen.hcy_umol_l END AS hcy_umol_l,
    FROM worklists.standing AS standing
    LEFT JOIN seen ON seen.item_id = standing.item_id
)
SELECT
    newest.item_id,
    newest.decision,
    newest.decision_note,
    newest.decided_on,
    newest.until,
    newest.file_name,
    newest.record,
    newest.taken_for,
    newest.seen_on,
    CASE WHEN known.item_id IS NULL THEN given.clinic_id ELSE known.clinic_id END AS clinic_id,
    CASE WHEN known.item_id IS NULL THEN given.priority ELSE known.seen_priority END AS seen_priority,
    CASE WHEN known.item_id IS NULL THEN given.mma_nmol_l ELSE known.seen_mma_nmol_l END AS seen_mma_nmol_l,
    CASE WHEN known.item_id IS NULL THEN given.hcy_umol_l ELSE known.seen_hcy_umol_l END AS seen_hcy_umol_l,
    known.ended_on,
    known.ended_by,
FROM newest
LEFT JOIN history.answer AS known
    ON known.item_id = newest.item_id
    AND known.given_by = 'clinic'
    AND known.taken_for = newest.taken_for
    AND known.file_name = newest.file_name
    AND known.record = newest.record
LEFT JOIN given ON given.item_id = newest.item_id
WHERE known.item_id IS NOT NULL OR given.item_id IS NOT NULL
