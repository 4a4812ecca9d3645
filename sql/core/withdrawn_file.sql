-- One row per file and night in whose place results are withdrawn: its number among the files.
WITH place AS (
    SELECT DISTINCT
        gone.file_name,
        gone.sent_for
    FROM taking.withdrawn AS gone
)

SELECT
    place.file_name,
    place.sent_for,
    CAST(
        row_number() OVER (ORDER BY place.sent_for, place.file_name)
        + (SELECT coalesce(max(known.file_id), 0) FROM core.lab_file AS known)
        AS INTEGER
    ) AS file_id
FROM place
