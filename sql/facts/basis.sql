-- One row per person with an episode: which results decide, those before the treatment or those since.
-- kept: no
-- After treatment has lapsed, an untreated result since the last dose says more than the ones before it.
WITH untreated_since AS (
    SELECT DISTINCT episode.patient_id
    FROM facts.b12_episode AS episode
    INNER JOIN facts.result AS result ON result.patient_id = episode.patient_id
    WHERE
        result.analyte IN ('mma', 'hcy', 'b12', 'holotc')
        AND result.collected_on > after(episode.last_dose_on, 'treated')
        AND result.collected_on >= before(as_of(), 'look_back')
),
chosen AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        episode.last_dose_on,
        episode.start_not_seen,
        CASE
            WHEN episode.b12_treatment = 'active' OR untreated_since.patient_id IS NULL THEN 'baseline'
            ELSE 'current'
        END AS basis,
    FROM facts.b12_episode AS episode
    LEFT JOIN untreated_since ON untreated_since.patient_id = episode.patient_id
)
SELECT
    chosen.patient_id,
    chosen.basis,
    -- A start that was not seen has no results from before it: the window is empty.
    CASE
        WHEN chosen.basis = 'baseline' THEN before(chosen.started_on, 'look_back')
        ELSE greatest(before(as_of(), 'look_back'), CAST(chosen.last_dose_on + INTERVAL 1 DAY AS DATE))
    END AS from_on,
    CASE
        WHEN chosen.basis = 'current' THEN as_of()
        WHEN NOT chosen.start_not_seen THEN chosen.started_on
    END AS to_on,
    -- Results up to this day were taken under treatment; those from before it are taken as they are.
    CASE WHEN chosen.basis = 'current' THEN after(chosen.last_dose_on, 'treated') END AS treated_to_on,
FROM chosen
