-- One row per item that a clinic has acknowledged: up to which night's sheet.
-- kept: no
SELECT
    feedback.item_id,
    max(seen_on(feedback.sheet_on, feedback.decided_on, feedback.taken_for)) AS acknowledged_on,
FROM core.feedback AS feedback
WHERE
    feedback.decision IN ('done', 'already_treated', 'acknowledged')
    AND feedback.decided_on <= as_of()
    AND coalesce(feedback.sheet_on < as_of(), TRUE)
GROUP BY feedback.item_id
