-- One row per result of an observation that a later version of that observation does not have any
-- more: its withdrawal, in the place of the newest such version. A version without components has
-- the observation's own result alone. Only what was reported later counts, so that an older version
-- that is sent again takes nothing back.
WITH panel AS (
    SELECT part.*
    FROM private.panel_part AS part
    SEMI JOIN taking.panel_key AS touched
        ON touched.result_key = part.result_key
),

owned AS (
    SELECT
        panel.result_key,
        panel.result_id
    FROM panel
    UNION
    SELECT
        panel.result_key,
        panel.result_key AS result_id
    FROM panel
),

result AS (
    SELECT
        stored.result_id,
        stored.patient_id,
        stored.word_id,
        stored.collected_at,
        stored.reported_at,
        stored.clinic_id,
        stored.file_id,
        stored.record
    FROM core.lab_row AS stored
    SEMI JOIN owned
        ON owned.result_id = stored.result_id
    UNION ALL
    SELECT
        taken.result_id,
        taken.patient_id,
        taken.word_id,
        taken.collected_at,
        taken.reported_at,
        taken.clinic_id,
        taken.file_id,
        taken.record
    FROM core.taken
    SEMI JOIN owned
        ON owned.result_id = taken.result_id
),

sent AS (
    SELECT
        result.*,
        word.laboratory,
        word.status,
        file.file_name,
        file.taken_by,
        coalesce(file.sent_for, file.taken_for) AS sent_for
    FROM result
    INNER JOIN core.lab_word AS word
        ON word.word_id = result.word_id
    INNER JOIN core.lab_file AS file
        ON file.file_id = result.file_id
    -- Another source's key may look like an observation's id.
    WHERE regexp_matches(lower(file.file_name), '[.]ndjson([.]gz)?$')
),

newest AS (
    SELECT sent.*
    FROM sent
    QUALIFY row_number() OVER (
        PARTITION BY sent.laboratory, sent.result_id
        ORDER BY
            sent.reported_at DESC NULLS LAST,
            sent.sent_for DESC,
            sent.file_name DESC,
            sent.record DESC,
            sent.file_id DESC
    ) = 1
),

version AS (
    SELECT
        panel.result_key,
        panel.laboratory,
        panel.reported_at,
        panel.file_name,
        panel.record,
        panel.sent_for
    FROM panel
    UNION
    SELECT
        sent.result_id AS result_key,
        sent.laboratory,
        sent.reported_at,
        sent.file_name,
        sent.record,
        sent.sent_for
    FROM sent
    WHERE
        sent.taken_by IS DISTINCT FROM 'withdrawal'
        AND sent.result_id IN (SELECT panel.result_key FROM panel)
        AND NOT EXISTS (
            SELECT 1
            FROM panel
            WHERE panel.result_id = sent.result_id AND panel.reported_at = sent.reported_at
        )
)

SELECT
    newest.result_id,
    newest.patient_id,
    newest.word_id,
    newest.collected_at,
    version.reported_at,
    newest.clinic_id,
    version.file_name,
    version.record,
    version.sent_for
FROM newest
INNER JOIN owned
    ON owned.result_id = newest.result_id
INNER JOIN version
    ON version.result_key = owned.result_key
    AND version.laboratory = newest.laboratory
WHERE
    newest.status NOT IN ('cancelled', 'entered-in-error')
    AND (newest.reported_at IS NULL OR version.reported_at > newest.reported_at)
    AND version.reported_at IS NOT NULL
    -- A version that is no panel has the observation's own result.
    AND (
        newest.result_id <> version.result_key
        OR EXISTS (
            SELECT 1
            FROM panel
            WHERE panel.result_key = version.result_key AND panel.reported_at = version.reported_at
        )
    )
    AND NOT EXISTS (
        SELECT 1
        FROM panel
        WHERE
            panel.result_key = version.result_key
            AND panel.result_id = newest.result_id
            AND panel.reported_at = version.reported_at
    )
QUALIFY row_number() OVER (
    PARTITION BY newest.laboratory, newest.result_id
    ORDER BY version.reported_at DESC, version.sent_for DESC, version.file_name DESC, version.record DESC
) = 1
