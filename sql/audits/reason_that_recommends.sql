-- One row per open item whose reason recommends something: a reason names findings and nothing else.
SELECT
    item.item_id,
FROM worklists.item AS item
WHERE
    item.item_state = 'open'
    AND regexp_matches(
        item.why,
        '(?i)\b(consider|give|prescribe|prefer|avoid|resume|stop|discontinue|withhold|cease)\b'
    )
