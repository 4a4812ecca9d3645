-- One row per result that a withdrawal by id reaches: the newest version known, from the store, this
-- night's earlier files or this file, and of an observation with components each of these. It is
-- never older than what it withdraws.
WITH gone AS (
    SELECT
        withdrawn.record,
        withdrawn.line,
        withdrawn.segment,
        withdrawn.result_id,
        moment_of(withdrawn.reported_at, zone.timezone) AS reported_at
    FROM taking.fhir_gone AS withdrawn
    CROSS JOIN taking.fhir_zone AS zone
),

spelled AS (
    SELECT
        known.result_id,
        known.patient_id,
        CAST(known.collected_at AS VARCHAR) AS collected_at,
        known.reported_at,
        word.code,
        word.code_system,
        coalesce(known.clinic_id, '') AS clinic_id,
        word.laboratory,
        known.origin,
        known.record
    FROM taking.fhir_known AS known
    INNER JOIN core.lab_word AS word
        ON word.word_id = known.word_id
    UNION ALL
    SELECT
        sent.result_id,
        sent.patient_id,
        sent.collected_at,
        moment_of(sent.reported_at, zone.timezone) AS reported_at,
        sent.code,
        sent.code_system,
        sent.clinic_id,
        sent.laboratory,
        2 AS origin,
        sent.record
    FROM taking.fhir_row AS sent
    CROSS JOIN taking.fhir_zone AS zone
)

SELECT
    gone.record,
    gone.line,
    gone.segment,
    spelled.result_id,
    spelled.patient_id,
    spelled.collected_at,
    coalesce(CAST(greatest(gone.reported_at, spelled.reported_at) AS VARCHAR), '') AS reported_at,
    spelled.code,
    spelled.code_system,
    'entered-in-error' AS status,
    spelled.clinic_id,
    spelled.laboratory
FROM gone
INNER JOIN spelled
    ON gone.result_id = split_part(spelled.result_id, '#', 1)
    AND (spelled.origin < 2 OR spelled.record < gone.record)
QUALIFY row_number() OVER (
    PARTITION BY gone.record, spelled.result_id
    ORDER BY spelled.reported_at DESC NULLS LAST, spelled.origin DESC, spelled.record DESC
) = 1
ORDER BY gone.record, spelled.result_id
