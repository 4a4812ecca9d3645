-- One row per kind of extract: the newest day it tells about up to the night, and whether it ever came.
-- A file with a header alone counts as delivered on its night.
WITH newest AS (
    SELECT
        'labs' AS kind,
        CAST(max(coalesce(result.reported_at, result.collected_at)) AS DATE) AS newest_on,
    FROM core.lab_result AS result
    WHERE
        coalesce(result.reported_at, result.collected_at)
        < (SELECT CAST(night.as_of + INTERVAL 1 DAY AS TIMESTAMP) FROM run.night AS night)
    UNION ALL
    SELECT
        'patients' AS kind,
        max(patient.taken_for) AS newest_on,
    FROM core.patient AS patient
    UNION ALL
    SELECT
        'conditions' AS kind,
        max(condition.recorded_on) AS newest_on,
    FROM core.condition AS condition
    CROSS JOIN run.night AS night
    WHERE condition.recorded_on <= night.as_of
    UNION ALL
    SELECT
        'medications' AS kind,
        max(medication.started_on) AS newest_on,
    FROM core.medication AS medication
    CROSS JOIN run.night AS night
    WHERE medication.started_on <= night.as_of
),
delivered AS (
    SELECT
        file.kind,
        count(*) AS n_files,
        max(file.taken_for) FILTER (WHERE file.n_read = 0 OR file.kind = 'patients') AS newest_on,
    FROM run.source_file AS file
    WHERE NOT file.held AND file.reason IS NULL
    GROUP BY file.kind
)
SELECT
    newest.kind,
    greatest(newest.newest_on, delivered.newest_on) AS newest_on,
    delivered.n_files IS NOT NULL AS was_delivered,
FROM newest
LEFT JOIN delivered ON delivered.kind = newest.kind
ORDER BY newest.kind
