-- One row per person: what is recorded of neurological involvement on the night.
-- A definite code counts at any age, and so does a neuropathy with a cause of its own, as a possible one;
-- likely and weak ones count only while they are recent. That nothing is
-- recorded means none_recorded only where the feed could have said otherwise.
WITH neurological AS (
    SELECT
        coded.patient_id,
        coded.tier,
        coded.standing,
        coded.competing_neuropathy,
        {'code': coded.code, 'recorded_on': coded.recorded_on, 'standing': coded.standing} AS record,
        row(
            CASE coded.tier WHEN 'definite' THEN 2 WHEN 'likely' THEN 1 ELSE 0 END,
            coded.recorded_on,
            coded.code,
            coded.code_system
        ) AS place,
        coded.recorded_on >= before(as_of(), 'neuro_recent') AS recent,
    FROM facts.coded_condition AS coded
    WHERE coded.tier IN ('definite', 'likely', 'weak') OR coded.competing_neuropathy
),
counted AS (
    SELECT
        neurological.*,
        neurological.standing
        AND (neurological.tier = 'definite' OR neurological.competing_neuropathy OR neurological.recent) AS counts,
    FROM neurological
),
coded AS (
    SELECT
        counted.patient_id,
        bool_or(counted.counts AND counted.tier = 'definite') AS definite,
        bool_or(counted.counts AND counted.tier = 'likely') AS likely,
        bool_or(counted.counts) AS any_counts,
        arg_max(counted.record, counted.place) FILTER (WHERE counted.counts) AS leading,
        -- One that stands and is too old before one that was resolved.
        arg_max(counted.record, row(counted.standing, counted.place)) FILTER (WHERE NOT counted.counts) AS past,
    FROM counted
    GROUP BY counted.patient_id
)
SELECT
    person.patient_id,
    CASE
        WHEN coded.definite OR coded.likely THEN 'recorded'
        WHEN coded.any_counts THEN 'possible'
        WHEN coverage.neuro = 'no' THEN 'none_recorded'
        ELSE 'unknown'
    END AS neuro,
    CASE WHEN coded.definite THEN 'yes' ELSE 'no' END AS neuro_definite,
    coded.leading.code AS neuro_code,
    coded.leading.recorded_on AS neuro_recorded_on,
    CASE WHEN coded.leading IS NULL THEN coded.past.code END AS past_neuro_code,
    CASE WHEN coded.leading IS NULL THEN coded.past.recorded_on END AS past_neuro_recorded_on,
    CASE
        WHEN coded.leading IS NULL
            THEN CASE WHEN coded.past.standing THEN 'no' WHEN NOT coded.past.standing THEN 'yes' END
    END AS past_neuro_resolved,
FROM facts.person AS person
LEFT JOIN coded ON coded.patient_id = person.patient_id
CROSS JOIN facts.condition_coverage AS coverage
