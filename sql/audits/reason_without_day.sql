-- One row per open item whose reason ends with the rule's words, or names a value or a code without its day.
WITH reason AS (
    SELECT
        item.item_id,
        CASE WHEN contains(item.why, ': ') THEN substr(item.why, strpos(item.why, ': ')) ELSE '' END AS found,
    FROM worklists.item AS item
    WHERE item.item_state = 'open'
),
undated AS (
    SELECT
        reason.item_id,
        reason.found,
        regexp_replace(
            reason.found,
            '((/L|fL) on |code (\S+ )?of )\d{4}-\d{2}-\d{2}|no (recent |current )?neurological code recorded',
            '',
            'g'
        ) AS left_over,
    FROM reason
)
SELECT
    undated.item_id,
FROM undated
WHERE
    NOT regexp_matches(
        undated.found, '\d{4}-\d{2}-\d{2}|\bmissing\b|\bnot known\b|\bno [\w ]+ recorded\b'
    )
    OR regexp_matches(undated.left_over, '\d (\S+/L|fL)|\bcode\b')
