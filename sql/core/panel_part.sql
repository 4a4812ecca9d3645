-- One row per result that an observation with components of the file at hand has, whatever became of
-- it. A version of which every row was rejected says nothing; one without any test of ours counts only
-- where there was one before.
WITH part AS (
    SELECT
        sent.result_key,
        sent.result_id,
        coalesce(nullif(trim(sent.laboratory), ''), night.laboratory) AS laboratory,
        moment_of(sent.reported_at, night.timezone) AS reported_at,
        night.file_name,
        max(sent.record) OVER version AS record,
        coalesce(night.sent_for, night.as_of) AS sent_for,
        night.as_of AS taken_for,
        bool_or(taken.record IS NOT NULL AND taken.fault IS NULL) OVER version AS was_read,
        bool_and(coalesce(taken.fault = 'scope', FALSE)) OVER version AS is_of_others
    FROM taking.fhir_whole AS sent
    CROSS JOIN taking.night
    LEFT JOIN core.taken
        ON taken.file_id = night.file_id
        AND taken.record = sent.record
    WINDOW version AS (PARTITION BY sent.result_key, sent.reported_at)
)

SELECT
    part.result_key,
    part.result_id,
    part.laboratory,
    part.reported_at,
    part.file_name,
    part.record,
    part.sent_for,
    part.taken_for
FROM part
WHERE
    part.reported_at IS NOT NULL
    AND (
        part.was_read
        OR (
            part.is_of_others
            AND part.result_key IN (SELECT known.result_key FROM private.panel_part AS known)
        )
    )
