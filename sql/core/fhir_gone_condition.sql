-- One row per resource of the file at hand that was refuted, entered in error or deleted, and whose condition is known,
-- from the store or from this file: the one that it names, else the one that it was told to be. Where another
-- resource tells the same of the person it stands: a diagnosis that was entered twice is not gone with the one. What
-- of the file is rejected is not known yet.
WITH gone AS (
    SELECT
        withdrawn.record,
        withdrawn.line,
        withdrawn.segment,
        withdrawn.resource_id,
        withdrawn.patient_id,
        trim(withdrawn.code_system) AS code_system,
        trim(withdrawn.code) AS code,
        CAST(moment_of(withdrawn.recorded_on, zone.timezone) AS DATE) AS recorded_on
    FROM taking.fhir_gone AS withdrawn
    CROSS JOIN taking.fhir_zone AS zone
),

sent AS (
    SELECT
        entry.record,
        entry.patient_id,
        trim(entry.code_system) AS code_system,
        trim(entry.code) AS code,
        CAST(moment_of(entry.recorded_on, zone.timezone) AS DATE) AS recorded_on
    FROM taking.fhir_row AS entry
    CROSS JOIN taking.fhir_zone AS zone
),

-- What a resource says of a person, from record to record of the file; 0 is what was known before.
said AS (
    SELECT
        known.resource_id,
        known.patient_id,
        known.code_system,
        known.code,
        known.recorded_on,
        0 AS record
    FROM taking.condition_last AS known
    CROSS JOIN taking.fhir_zone AS zone
    WHERE known.folder = zone.folder
    UNION ALL
    SELECT
        told.resource_id,
        told.patient_id,
        CASE WHEN told.tells = 'row' THEN sent.code_system END AS code_system,
        CASE WHEN told.tells = 'row' THEN sent.code END AS code,
        CASE WHEN told.tells = 'row' THEN sent.recorded_on END AS recorded_on,
        told.record
    FROM taking.fhir_said AS told
    LEFT JOIN sent
        ON sent.record = told.record
),

withdrawn_of AS (
    SELECT DISTINCT
        gone.record,
        gone.resource_id,
        said.patient_id
    FROM gone
    INNER JOIN said
        ON said.resource_id = gone.resource_id
        AND gone.patient_id IN ('', said.patient_id)
    WHERE gone.resource_id <> ''
),

span AS (
    SELECT
        entry.*,
        lead(entry.record) OVER (
            PARTITION BY entry.resource_id, entry.patient_id
            ORDER BY entry.record
        ) AS ends_at
    FROM (
        SELECT said.*
        FROM said
        UNION ALL BY NAME
        SELECT withdrawn_of.*
        FROM withdrawn_of
    ) AS entry
),

named AS (
    SELECT gone.*
    FROM gone
    WHERE gone.recorded_on IS NOT NULL
    UNION ALL BY NAME
    SELECT
        gone.record,
        gone.line,
        gone.segment,
        gone.resource_id,
        span.patient_id,
        span.code_system,
        span.code,
        span.recorded_on
    FROM gone
    INNER JOIN span
        ON span.resource_id = gone.resource_id
        AND span.ends_at = gone.record
        AND gone.patient_id IN ('', span.patient_id)
    WHERE gone.recorded_on IS NULL AND span.code IS NOT NULL
),

standing AS (
    SELECT DISTINCT named.record
    FROM named
    INNER JOIN span
        ON span.patient_id = named.patient_id
        AND span.code_system = named.code_system
        AND span.code = named.code
        AND span.recorded_on = named.recorded_on
        AND span.resource_id <> named.resource_id
        AND span.record < named.record
        AND coalesce(span.ends_at > named.record, TRUE)
    WHERE named.resource_id <> ''
)

SELECT
    named.record,
    named.line,
    named.segment,
    named.patient_id,
    named.code,
    named.code_system,
    CAST(named.recorded_on AS VARCHAR) AS recorded_on,
    'withdrawn' AS resolved_on
FROM named
ANTI JOIN standing
    ON standing.record = named.record
WHERE EXISTS (
    SELECT 1
    FROM core.condition AS known
    WHERE
        known.patient_id = named.patient_id
        AND known.code_system = named.code_system
        AND known.code = named.code
        AND known.recorded_on = named.recorded_on
)
OR EXISTS (
    SELECT 1
    FROM sent
    WHERE
        sent.record < named.record
        AND sent.patient_id = named.patient_id
        AND sent.code_system = named.code_system
        AND sent.code = named.code
        AND sent.recorded_on = named.recorded_on
)
QUALIFY row_number() OVER (PARTITION BY named.record ORDER BY named.patient_id, named.code_system, named.code) = 1
ORDER BY named.record
