-- One row per recheck that is due or overdue, with the missing tests by the names clinicians use.
-- kept: no
SELECT
    recheck.patient_id,
    recheck.milestone,
    recheck.due_on,
    recheck.days_overdue,
    recheck.n_missed,
    string_agg(analyte.label, ', ' ORDER BY panel.position) AS missing_labels,
FROM decisions.recheck AS recheck
INNER JOIN rules.panel_test AS panel
    ON list_contains(string_split(recheck.missing, ','), panel.analyte)
INNER JOIN map.analyte AS analyte ON analyte.analyte = panel.analyte
WHERE recheck.recheck_state IN ('due', 'overdue')
GROUP BY ALL
