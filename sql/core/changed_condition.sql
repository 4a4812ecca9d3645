-- One row per condition that the file at hand tells no more: its resource is another condition of the same person by
-- now, on another day, or none that a map names. What another resource tells as well stands. Its withdrawal, in the
-- place of what its resource says now.
WITH sent AS (
    SELECT
        teller.resource_id,
        teller.patient_id,
        teller.code_system,
        teller.code,
        CAST(moment_of(teller.recorded_on, night.timezone) AS DATE) AS recorded_on,
        teller.record
    FROM taking.fhir_teller AS teller
    CROSS JOIN taking.night
),

said_last AS (
    SELECT sent.*
    FROM sent
    QUALIFY row_number() OVER (PARTITION BY sent.resource_id, sent.patient_id ORDER BY sent.record DESC) = 1
),

former AS (
    SELECT
        known.resource_id,
        known.patient_id,
        known.code_system,
        known.code,
        known.recorded_on,
        0 AS record
    FROM private.condition_teller AS known
    UNION ALL
    SELECT
        sent.resource_id,
        sent.patient_id,
        sent.code_system,
        sent.code,
        sent.recorded_on,
        sent.record
    FROM sent
    WHERE sent.recorded_on IS NOT NULL
),

standing AS (
    SELECT said_last.*
    FROM said_last
    WHERE said_last.recorded_on IS NOT NULL
    UNION ALL BY NAME
    SELECT known.*
    FROM private.condition_teller AS known
    ANTI JOIN said_last
        ON said_last.resource_id = known.resource_id
        AND said_last.patient_id = known.patient_id
    ANTI JOIN taking.fhir_gone AS gone
        ON gone.resource_id = known.resource_id
),

changed AS (
    SELECT
        former.patient_id,
        former.code_system,
        former.code,
        former.recorded_on,
        max(said_last.record) AS record
    FROM former
    INNER JOIN said_last
        ON said_last.resource_id = former.resource_id
        AND said_last.patient_id = former.patient_id
        AND said_last.record > former.record
    WHERE
        (said_last.code_system, said_last.code, said_last.recorded_on)
        IS DISTINCT FROM (former.code_system, former.code, former.recorded_on)
    GROUP BY former.patient_id, former.code_system, former.code, former.recorded_on
)

SELECT
    changed.patient_id,
    changed.code,
    changed.code_system,
    changed.recorded_on,
    TRUE AS is_gone,
    night.file_name,
    changed.record,
    night.as_of AS taken_for,
    night.sent_for,
    night.file_id,
    TRUE AS is_ours
FROM changed
CROSS JOIN taking.night
ANTI JOIN standing
    ON standing.patient_id = changed.patient_id
    AND standing.code_system = changed.code_system
    AND standing.code = changed.code
    AND standing.recorded_on = changed.recorded_on
WHERE EXISTS (
    SELECT 1
    FROM core.condition AS known
    WHERE
        known.patient_id = changed.patient_id
        AND known.code_system = changed.code_system
        AND known.code = changed.code
        AND known.recorded_on = changed.recorded_on
)
OR EXISTS (
    SELECT 1
    FROM core.taken
    WHERE
        taken.patient_id = changed.patient_id
        AND taken.code_system = changed.code_system
        AND taken.code = changed.code
        AND taken.recorded_on = changed.recorded_on
)
