-- One row per functional status before and after: how many people.
SELECT
    coalesce(earlier.functional_status, '(none)') AS status_before,
    coalesce(later.functional_status, '(none)') AS status_after,
    count(*) AS people,
FROM published.decisions.functional_status AS earlier
FULL JOIN decisions.functional_status AS later ON later.patient_id = earlier.patient_id
GROUP BY ALL
ORDER BY ALL
