-- One row per record of a medications extract: typed, with the first check that it fails. Optional
-- columns that the file lacks leave what is known.
WITH cell AS (
    SELECT
        incoming.record,
        incoming.medication_id,
        incoming.patient_id,
        trim(incoming.code) AS code,
        folded_word(incoming.code_system) AS code_system,
        folded_word(incoming.kind) AS kind,
        incoming.started_on AS started_text,
        day_of(incoming.started_on, night.timezone) AS started_on,
        day_of(incoming.ended_on, night.timezone) AS day_sent,
        day_sent >= night.no_end OR day_sent = night.blank_end AS is_no_end,
        CASE WHEN is_no_end THEN '' ELSE incoming.ended_on END AS ended_text,
        CASE WHEN NOT is_no_end THEN day_sent END AS ended_on,
        trim(incoming.name) AS name,
        trim(incoming.dose) AS dose_text,
        CASE WHEN trim(incoming.dose)[1:1] NOT IN ('<', '>') THEN number_of(trim(incoming.dose)) END
            AS dose,
        folded_word(incoming.dose_unit) AS dose_unit,
        folded_word(incoming.route) AS route,
        CAST(night.earliest AS DATE) AS earliest,
        CAST(night.latest AS DATE) AS latest,
        night.file_name,
        night.file_id,
        night.as_of,
        night.sent_for
    FROM taking.incoming
    CROSS JOIN taking.night
),

judged AS (
    SELECT
        cell.*,
        CASE
            WHEN is_no_key(cell.medication_id) THEN 'medication'
            WHEN is_power(cell.medication_id) THEN 'medication_number'
            WHEN is_no_key(cell.patient_id) THEN 'patient_id'
            WHEN is_number_made(cell.patient_id) THEN 'patient_number'
            WHEN is_blank(cell.code) THEN 'code'
            WHEN system.code_system IS NULL THEN 'system'
            WHEN medication_kind.kind IS NULL THEN 'kind'
            WHEN cell.started_on IS NULL
                THEN CASE WHEN trim(cell.started_text) = '' THEN 'start_blank' ELSE 'start' END
            WHEN cell.started_on < cell.earliest THEN 'start_early'
            WHEN cell.started_on >= cell.latest THEN 'start_late'
            WHEN cell.ended_on IS NULL AND trim(cell.ended_text) <> '' THEN 'end'
            WHEN cell.ended_on < cell.earliest THEN 'end_early'
            WHEN cell.dose_text <> ''
                AND (cell.dose IS NULL OR cell.dose < 0 OR NOT isfinite(cell.dose))
                THEN 'dose'
            WHEN cell.dose_unit <> '' AND dose_unit.dose_unit IS NULL THEN 'dose_unit'
            WHEN cell.route <> '' AND route.route IS NULL THEN 'route'
        END AS fault
    FROM cell
    LEFT JOIN taking.drug_system AS system
        ON system.code_system = cell.code_system
    LEFT JOIN taking.medication_kind
        ON medication_kind.kind = cell.kind
    LEFT JOIN taking.dose_unit
        ON dose_unit.dose_unit = cell.dose_unit
    LEFT JOIN taking.route
        ON route.route = cell.route
)

SELECT
    judged.medication_id,
    judged.patient_id,
    judged.code,
    judged.code_system,
    judged.kind,
    judged.started_on,
    judged.ended_on,
    nullif(judged.name, '') AS drug_name,
    judged.dose,
    nullif(judged.dose_unit, '') AS dose_unit,
    nullif(judged.route, '') AS route,
    judged.ended_text IS NOT NULL AS tells_ended_on,
    judged.name IS NOT NULL AS tells_drug_name,
    judged.dose_text IS NOT NULL AS tells_dose,
    judged.dose_unit IS NOT NULL AS tells_dose_unit,
    judged.route IS NOT NULL AS tells_route,
    judged.file_name,
    judged.record,
    judged.as_of AS taken_for,
    judged.sent_for,
    judged.file_id,
    judged.fault,
    CASE
        WHEN judged.fault IS NOT NULL
            THEN to_json({
                'medication_id': judged.medication_id,
                'patient_id': judged.patient_id,
                'code': judged.code,
                'code_system': judged.code_system,
                'kind': judged.kind,
                'started_on': judged.started_text,
                'ended_on': judged.ended_text,
                'name': judged.name,
                'dose': judged.dose_text,
                'dose_unit': judged.dose_unit,
                'route': judged.route,
            })
    END AS cells
FROM judged
