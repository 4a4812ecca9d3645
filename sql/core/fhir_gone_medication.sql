-- One row per medication that was withdrawn and is known: from the store or from this file. Its code
-- is one that no map names, so that it is no dose of anything.
WITH known AS (
    SELECT
        stored.medication_id,
        stored.patient_id,
        stored.code_system,
        stored.kind,
        CAST(stored.started_on AS VARCHAR) AS started_on,
        0 AS record
    FROM core.medication AS stored
    UNION ALL
    SELECT
        sent.medication_id,
        sent.patient_id,
        sent.code_system,
        sent.kind,
        sent.started_on,
        sent.record
    FROM taking.fhir_row AS sent
    CROSS JOIN taking.fhir_zone AS zone
    WHERE moment_of(sent.started_on, zone.timezone) IS NOT NULL
)

SELECT
    gone.record,
    gone.line,
    gone.segment,
    known.medication_id,
    known.patient_id,
    'withdrawn' AS code,
    known.code_system,
    known.kind,
    known.started_on
FROM taking.fhir_gone AS gone
INNER JOIN known
    ON known.medication_id = gone.medication_id
    AND known.record < gone.record
QUALIFY row_number() OVER (PARTITION BY gone.record ORDER BY known.record DESC) = 1
ORDER BY gone.record
