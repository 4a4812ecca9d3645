-- One row per person: what is recorded of neurological involvement on the night.
-- A definite code counts at any age, and so does a neuropathy with a cause of its own, as a possible one;
-- likely and weak ones count only while they are recent. That nothing is
-- recorded means none_recorded only where the feed could have said otherwise.
WITH coded AS (
    SELECT
        coded.patient_id,
        bool_or(coded.tier = 'definite') AS definite,
        bool_or(coded.tier = 'likely' AND coded.recorded_on >= before(as_of(), 'neuro_recent')) AS likely,
        bool_or(
            coded.competing_neuropathy
            OR (coded.tier = 'weak' AND coded.recorded_on >= before(as_of(), 'neuro_recent'))
        ) AS weak,
        arg_max(
            {'code': coded.code, 'recorded_on': coded.recorded_on},
            row(
                CASE coded.tier WHEN 'definite' THEN 2 WHEN 'likely' THEN 1 ELSE 0 END,
                coded.recorded_on,
                coded.code,
                coded.code_system
            )
        ) FILTER (
            WHERE coded.tier = 'definite'
            OR coded.competing_neuropathy
            OR (coded.tier IN ('likely', 'weak') AND coded.recorded_on >= before(as_of(), 'neuro_recent'))
        ) AS leading,
        arg_max(
            {'code': coded.code, 'recorded_on': coded.recorded_on},
            row(coded.recorded_on, coded.code, coded.code_system)
        ) FILTER (WHERE coded.recorded_on < before(as_of(), 'neuro_recent')) AS old,
    FROM facts.coded_condition AS coded
    WHERE coded.standing AND coded.tier <> ''
    GROUP BY coded.patient_id
)
SELECT
    person.patient_id,
    CASE
        WHEN coded.definite OR coded.likely THEN 'recorded'
        WHEN coded.weak THEN 'possible'
        WHEN coverage.neuro = 'no' THEN 'none_recorded'
        ELSE 'unknown'
    END AS neuro,
    CASE WHEN coded.definite THEN 'yes' ELSE 'no' END AS neuro_definite,
    coded.leading.code AS neuro_code,
    coded.leading.recorded_on AS neuro_recorded_on,
    CASE WHEN coded.leading IS NULL THEN coded.old.code END AS old_neuro_code,
    CASE WHEN coded.leading IS NULL THEN coded.old.recorded_on END AS old_neuro_recorded_on,
FROM facts.person AS person
LEFT JOIN coded ON coded.patient_id = person.patient_id
CROSS JOIN facts.condition_coverage AS coverage
