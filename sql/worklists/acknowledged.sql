-- One row per item that a clinic has acknowledged: up to which night's sheet.
-- kept: no
SELECT
    feedback.item_id,
    max(
        coalesce(
            feedback.sheet_on, least(feedback.decided_on, CAST(feedback.taken_for - INTERVAL 1 DAY AS DATE))
        )
    ) AS acknowledged_on,
FROM core.feedback AS feedback
WHERE
    feedback.decision IN ('done', 'already_treated', 'acknowledged')
    AND feedback.decided_on <= as_of()
    AND coalesce(feedback.sheet_on < as_of(), TRUE)
GROUP BY feedback.item_id
