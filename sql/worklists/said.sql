-- One row per item that was answered: the newest answer whose day has come, and what was seen when it was given.
-- kept: no
-- An answer that an earlier night knew keeps what that night noted of it; a new one was given to the row as
-- the night before left it.
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
    WHERE feedback.decided_on <= as_of()
    QUALIFY row_number() OVER (
        PARTITION BY feedback.item_id
        ORDER BY
            feedback.decided_on DESC, feedback.taken_for DESC, feedback.file_name DESC, feedback.record DESC
    ) = 1
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
    CASE WHEN known.item_id IS NULL THEN standing.clinic_id ELSE known.clinic_id END AS clinic_id,
    CASE WHEN known.item_id IS NULL THEN standing.priority ELSE known.seen_priority END AS seen_priority,
    CASE WHEN known.item_id IS NULL THEN standing.mma_nmol_l ELSE known.seen_mma_nmol_l END AS seen_mma_nmol_l,
    CASE WHEN known.item_id IS NULL THEN standing.hcy_umol_l ELSE known.seen_hcy_umol_l END AS seen_hcy_umol_l,
    known.ended_on,
    known.ended_by,
FROM newest
LEFT JOIN history.answer AS known
    ON known.item_id = newest.item_id
    AND known.given_by = 'clinic'
    AND known.taken_for = newest.taken_for
    AND known.file_name = newest.file_name
    AND known.record = newest.record
LEFT JOIN worklists.standing AS standing ON standing.item_id = newest.item_id
WHERE known.item_id IS NOT NULL OR standing.item_id IS NOT NULL
