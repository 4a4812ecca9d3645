-- One row per item of earlier nights: how the last of them left it, at the clinic that had it then.
-- kept: no
SELECT
    past.* EXCLUDE (first_listed_on),
    min(past.first_listed_on) OVER (PARTITION BY past.item_id) AS first_listed_on,
FROM history.item AS past
QUALIFY row_number() OVER (
    PARTITION BY past.item_id
    ORDER BY
        coalesce(past.close_reason IN ('moved', 'not_our_patient'), FALSE),
        past.as_of DESC,
        past.clinic_id NULLS FIRST
) = 1
