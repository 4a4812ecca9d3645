-- One row per row that tonight's lists may show, with the clinic whose list it belongs on.
-- kept: no
-- A row that a clinic sent back as not its patient's belongs on no clinic's list until the record names
-- another clinic; when it names the first one again after that, that is news.
WITH wanted AS (
    SELECT
        listed.*,
    FROM worklists.listed AS listed
    UNION ALL BY NAME
    SELECT
        withdrawal.*,
    FROM worklists.withdrawal AS withdrawal
),
named AS (
    SELECT
        item_id(wanted.patient_id, wanted.action, wanted.anchor) AS item_id,
        wanted.*,
    FROM wanted
),
refused AS (
    SELECT
        refusing.item_id,
        refusing.clinic_id,
    FROM (
        SELECT
            past.item_id,
            past.clinic_id,
        FROM history.item AS past
        WHERE past.close_reason = 'not_our_patient'
        QUALIFY row_number() OVER (
            PARTITION BY past.item_id
            ORDER BY past.closed_on DESC, past.clinic_id
        ) = 1
    ) AS refusing
    INNER JOIN worklists.standing AS standing
        ON standing.item_id = refusing.item_id AND standing.clinic_id IS NULL
    UNION
    SELECT
        said.item_id,
        said.clinic_id,
    FROM worklists.said AS said
    WHERE said.decision = 'not_our_patient' AND said.ended_by IS NULL
)
SELECT
    named.* REPLACE (CASE WHEN refused.item_id IS NULL THEN named.clinic_id END AS clinic_id),
    refused.clinic_id AS refused_by,
FROM named
LEFT JOIN refused ON refused.item_id = named.item_id AND refused.clinic_id = named.clinic_id
