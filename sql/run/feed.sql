-- One row per kind of extract: the newest day it tells about up to the night, and whether it ever came.
-- A file with a header alone counts as delivered on its night.
WITH newest AS (
    -- A report dated after the night, as of a late evening's sample, still shows that the feed lives.
    SELECT
        'labs' AS kind,
        CAST(
            max(
                CASE
                    WHEN result.reported_at < tomorrow.starts_at THEN result.reported_at
                    WHEN result.collected_at < tomorrow.starts_at THEN result.collected_at
                END
            ) AS DATE
        ) AS newest_on,
    FROM core.lab_result AS result
    CROSS JOIN (
        SELECT CAST(night.as_of + INTERVAL 1 DAY AS TIMESTAMP) AS starts_at,
        FROM run.night AS night
    ) AS tomorrow
    UNION ALL
    SELECT
        'patients' AS kind,
        max(coalesce(patient.sent_for, patient.taken_for)) AS newest_on,
    FROM core.patient AS patient
    WHERE NOT ends_with(lower(patient.file_name), '.hl7')
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
        -- Messages tell of the persons who had a test and of nobody else: beside a patients
        -- extract they do not show that it still comes, as Patient resources do. Nor does a file
        -- without any result show that results come, where all types arrive together.
        coalesce(
            max(file.taken_for) FILTER (
                WHERE file.kind = 'patients'
                AND file.n_read > file.n_rejected
                AND NOT ends_with(lower(file.file_name), '.hl7')
                OR file.n_read = 0
                AND NOT regexp_matches(lower(file.file_name), '[.](hl7|ndjson|ndjson[.]gz)$')
            ),
            max(file.taken_for) FILTER (WHERE file.kind = 'patients' AND file.n_read > file.n_rejected)
        ) AS newest_on,
    FROM run.source_file AS file
    -- What was taken again is no delivery.
    WHERE NOT file.held AND file.reason IS NULL AND file.taken_by = 'run'
    GROUP BY file.kind
)
SELECT
    newest.kind,
    greatest(newest.newest_on, delivered.newest_on) AS newest_on,
    delivered.n_files IS NOT NULL AS was_delivered,
FROM newest
LEFT JOIN delivered ON delivered.kind = newest.kind
ORDER BY newest.kind
