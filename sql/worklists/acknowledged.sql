-- One row per person whose withdrawn results a clinic has acknowledged: up to which night's sheet.
-- kept: no
SELECT
    standing.patient_id,
    max(
        coalesce(
            feedback.sheet_on, least(feedback.decided_on, CAST(feedback.taken_for - INTERVAL 1 DAY AS DATE))
        )
    ) AS acknowledged_on,
FROM core.feedback AS feedback
INNER JOIN worklists.standing AS standing
    ON standing.item_id = feedback.item_id AND standing.action = 'result_withdrawn'
WHERE
    feedback.decision IN ('done', 'already_treated', 'acknowledged')
    AND feedback.decided_on <= as_of()
    AND coalesce(feedback.sheet_on < as_of(), TRUE)
GROUP BY standing.patient_id
