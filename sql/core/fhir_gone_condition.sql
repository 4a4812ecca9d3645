-- One row per condition that was refuted, entered in error or deleted and is known, from the store or from this file:
-- what the withdrawal names, and what its resource told before. Where another resource tells the same of the person
-- it stands: a diagnosis that was entered twice is not gone with the one.
WITH gone AS (
    SELECT
        withdrawn.record,
        withdrawn.line,
        withdrawn.segment,
        withdrawn.patient_id,
        withdrawn.code_system,
        withdrawn.code,
        withdrawn.resource_id,
        CAST(moment_of(withdrawn.recorded_on, zone.timezone) AS DATE) AS recorded_on,
        zone.timezone
    FROM taking.fhir_gone AS withdrawn
    CROSS JOIN taking.fhir_zone AS zone
),

teller AS (
    SELECT
        known.patient_id,
        known.code_system,
        known.code,
        known.recorded_on,
        known.resource_id,
        0 AS record
    FROM private.condition_teller AS known
    UNION ALL
    SELECT
        sent.patient_id,
        sent.code_system,
        sent.code,
        CAST(moment_of(sent.recorded_on, zone.timezone) AS DATE) AS recorded_on,
        sent.resource_id,
        sent.record
    FROM taking.fhir_teller AS sent
    CROSS JOIN taking.fhir_zone AS zone
),

named AS (
    SELECT
        gone.record,
        gone.line,
        gone.segment,
        gone.resource_id,
        gone.timezone,
        gone.patient_id,
        gone.code_system,
        gone.code,
        gone.recorded_on
    FROM gone
    WHERE gone.recorded_on IS NOT NULL
    UNION
    SELECT
        gone.record,
        gone.line,
        gone.segment,
        gone.resource_id,
        gone.timezone,
        teller.patient_id,
        teller.code_system,
        teller.code,
        teller.recorded_on
    FROM gone
    INNER JOIN teller
        ON teller.resource_id = gone.resource_id
        AND teller.record < gone.record
    WHERE gone.resource_id <> ''
        AND teller.recorded_on IS NOT NULL
        -- Two servers may give the same id.
        AND gone.patient_id IN ('', teller.patient_id)
)

SELECT
    gone.record,
    gone.line,
    gone.segment,
    gone.patient_id,
    gone.code,
    gone.code_system,
    CAST(gone.recorded_on AS VARCHAR) AS recorded_on,
    'withdrawn' AS resolved_on
FROM named AS gone
WHERE (EXISTS (
    SELECT 1
    FROM core.condition AS known
    WHERE
        known.patient_id = gone.patient_id
        AND known.code_system = gone.code_system
        AND known.code = gone.code
        AND known.recorded_on = gone.recorded_on
)
OR EXISTS (
    SELECT 1
    FROM taking.fhir_row AS sent
    WHERE
        sent.record < gone.record
        AND sent.patient_id = gone.patient_id
        AND sent.code_system = gone.code_system
        AND sent.code = gone.code
        AND CAST(moment_of(sent.recorded_on, gone.timezone) AS DATE) = gone.recorded_on
))
AND NOT EXISTS (
    SELECT 1
    FROM teller
    WHERE
        teller.patient_id = gone.patient_id
        AND teller.code_system = gone.code_system
        AND teller.code = gone.code
        AND teller.recorded_on = gone.recorded_on
        AND gone.resource_id <> ''
        AND teller.resource_id <> gone.resource_id
        AND teller.record < gone.record
        -- What is withdrawn by this file itself tells nothing any more.
        AND NOT EXISTS (
            SELECT 1
            FROM gone AS other
            WHERE
                other.resource_id = teller.resource_id
                AND other.record > teller.record
                AND other.record < gone.record
        )
)
ORDER BY gone.record, gone.patient_id, gone.code_system, gone.code, gone.recorded_on
