-- One row per item, open or closed in the last year: tonight's rows against those of the night before.
-- A row that is no longer listed is closed with the reason that explains it best; nothing vanishes.
WITH tonight AS (
    SELECT
        item_id(listed.patient_id, listed.action, listed.anchor) AS item_id,
        listed.*,
    FROM worklists.listed AS listed
),
-- What an item rests on: if any of it differs from the night before, the item is `changed`.
compared AS (
    SELECT
        tonight.item_id,
        past.item_id IS NULL AS unseen,
        past.item_state = 'closed' AS was_closed,
        past.first_listed_on,
        (
            tonight.rule_id, tonight.priority, tonight.functional_status, tonight.neuro,
            tonight.kidney, tonight.mma_nmol_l, tonight.mma_on, tonight.hcy_umol_l,
            tonight.hcy_on, tonight.b12_pmol_l, tonight.b12_on, tonight.egfr_ml_min,
            tonight.egfr_on,
        ) IS DISTINCT FROM (
            past.rule_id, past.priority, past.functional_status, past.neuro,
            past.kidney, past.mma_nmol_l, past.mma_on, past.hcy_umol_l,
            past.hcy_on, past.b12_pmol_l, past.b12_on, past.egfr_ml_min,
            past.egfr_on,
        ) AS differs,
    FROM tonight
    LEFT JOIN history.item AS past ON past.item_id = tonight.item_id
),
open_item AS (
    SELECT
        tonight.item_id,
        tonight.priority,
        tonight.action,
        tonight.patient_id,
        CASE
            WHEN compared.unseen THEN 'new'
            WHEN compared.was_closed THEN 'reopened'
            WHEN compared.differs THEN 'changed'
            ELSE 'carried'
        END AS state,
        coalesce(compared.first_listed_on, night.as_of) AS first_listed_on,
        tonight.due_on,
        tonight.days_overdue,
        tonight.recommendation,
        tonight.why,
        tonight.functional_status,
        tonight.neuro,
        tonight.kidney,
        tonight.mma_nmol_l,
        tonight.mma_on,
        tonight.hcy_umol_l,
        tonight.hcy_on,
        tonight.b12_pmol_l,
        tonight.b12_on,
        tonight.egfr_ml_min,
        tonight.egfr_on,
        tonight.rule_id,
        tonight.source,
        tonight.clinic_id,
        night.as_of,
        'open' AS item_state,
        CAST(NULL AS DATE) AS closed_on,
        CAST(NULL AS VARCHAR) AS close_reason,
    FROM tonight
    INNER JOIN compared ON compared.item_id = tonight.item_id
    CROSS JOIN run.night AS night
),
-- Ruleset of the night before: a row that only other rules listed was closed by their change.
ruleset_before AS (
    SELECT arg_max(past_night.ruleset, past_night.as_of) AS ruleset
    FROM history.night AS past_night
),
listed_patient AS (
    SELECT DISTINCT tonight.patient_id
    FROM tonight
),
-- A person whose treatment began or went on since the item was last listed.
dosed_patient AS (
    SELECT
        episode.patient_id,
        episode.last_dose_on,
    FROM facts.b12_episode AS episode
),
left_item AS (
    SELECT
        past.* EXCLUDE (item_state, closed_on, close_reason),
        'closed' AS item_state,
        CASE WHEN past.item_state = 'closed' THEN past.closed_on ELSE night.as_of END AS closed_on,
        CASE
            WHEN past.item_state = 'closed' THEN past.close_reason
            WHEN screening.route IN ('deceased', 'opted_out') THEN screening.route
            WHEN ruleset_before.ruleset <> night.ruleset THEN 'rule_change'
            WHEN dosed_patient.last_dose_on >= past.first_listed_on THEN 'treated'
            WHEN listed_patient.patient_id IS NOT NULL THEN 'superseded_by_action'
            WHEN withdrawn_patient.patient_id IS NOT NULL THEN 'result_withdrawn'
            ELSE 'resolved_by_result'
        END AS close_reason,
    FROM history.item AS past
    ANTI JOIN tonight ON tonight.item_id = past.item_id
    LEFT JOIN decisions.screening AS screening ON screening.patient_id = past.patient_id
    LEFT JOIN listed_patient ON listed_patient.patient_id = past.patient_id
    LEFT JOIN dosed_patient ON dosed_patient.patient_id = past.patient_id
    LEFT JOIN worklists.withdrawn_patient AS withdrawn_patient
        ON withdrawn_patient.patient_id = past.patient_id
    CROSS JOIN run.night AS night
    CROSS JOIN ruleset_before
)
SELECT
    open_item.*,
FROM open_item
UNION ALL BY NAME
SELECT
    left_item.*,
FROM left_item
WHERE left_item.closed_on >= (SELECT night.as_of FROM run.night AS night) - INTERVAL 365 DAY
