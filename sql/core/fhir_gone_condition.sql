-- One row per condition that was refuted or entered in error and is known: from the store or from
-- this file.
WITH gone AS (
    SELECT
        withdrawn.record,
        withdrawn.line,
        withdrawn.segment,
        withdrawn.patient_id,
        withdrawn.code_system,
        withdrawn.code,
        withdrawn.recorded_on AS recorded_text,
        CAST(moment_of(withdrawn.recorded_on, zone.timezone) AS DATE) AS recorded_on,
        zone.timezone
    FROM taking.fhir_gone AS withdrawn
    CROSS JOIN taking.fhir_zone AS zone
)

SELECT
    gone.record,
    gone.line,
    gone.segment,
    gone.patient_id,
    gone.code,
    gone.code_system,
    gone.recorded_text AS recorded_on,
    'withdrawn' AS resolved_on
FROM gone
WHERE EXISTS (
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
)
ORDER BY gone.record
