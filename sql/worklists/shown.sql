-- One row per unbroken run of nights of the last year on which a list showed an item alike.
-- A sheet often comes back some nights later: what the clinic saw is what its own sheet showed.
WITH last_night AS (
    SELECT max(past_night.as_of) AS as_of
    FROM history.night AS past_night
),
tonight AS (
    SELECT
        item.item_id,
        item.clinic_id,
        item.priority,
        item.mma_nmol_l,
        item.hcy_umol_l,
        coalesce(past.first_on, item.as_of) AS first_on,
        item.as_of AS last_on,
    FROM worklists.item AS item
    CROSS JOIN last_night
    LEFT JOIN history.shown AS past
        ON past.item_id = item.item_id
        AND past.clinic_id IS NOT DISTINCT FROM item.clinic_id
        AND past.priority = item.priority
        AND past.mma_nmol_l IS NOT DISTINCT FROM item.mma_nmol_l
        AND past.hcy_umol_l IS NOT DISTINCT FROM item.hcy_umol_l
        AND past.last_on = last_night.as_of
    WHERE item.item_state = 'open'
)
SELECT
    tonight.*,
FROM tonight
UNION ALL BY NAME
SELECT
    past.*,
FROM history.shown AS past
LEFT JOIN tonight
    ON tonight.item_id = past.item_id
    AND tonight.clinic_id IS NOT DISTINCT FROM past.clinic_id
    AND tonight.first_on = past.first_on
WHERE tonight.item_id IS NULL AND past.last_on >= as_of() - INTERVAL 365 DAY
