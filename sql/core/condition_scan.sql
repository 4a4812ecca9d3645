-- One row per record of a conditions extract: typed, with the first check that it fails. A file
-- without resolved_on leaves what is known of it. `withdrawn` in resolved_on, which only resources can
-- say, takes the condition back as if it had not been recorded, nor resolved.
WITH cell AS (
    SELECT
        incoming.record,
        incoming.patient_id,
        trim(incoming.code) AS code,
        folded_word(incoming.code_system) AS code_system,
        incoming.recorded_on AS recorded_text,
        CAST(moment_of(trim(incoming.recorded_on), night.timezone) AS DATE) AS recorded_on,
        day_of(incoming.resolved_on, night.timezone) AS day_sent,
        day_sent >= night.no_end OR day_sent = night.blank_end AS is_no_end,
        CASE WHEN is_no_end THEN '' ELSE incoming.resolved_on END AS resolved_text,
        night.in_messages AND incoming.resolved_on = 'withdrawn' AS is_gone,
        CASE WHEN NOT is_no_end THEN day_sent END AS resolved_on,
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
            WHEN is_no_key(cell.patient_id) THEN 'patient_id'
            WHEN is_number_made(cell.patient_id) THEN 'patient_number'
            WHEN is_blank(cell.code) THEN 'code'
            WHEN system.code_system IS NULL THEN 'system'
            WHEN cell.recorded_on IS NULL
                THEN CASE WHEN trim(cell.recorded_text) = '' THEN 'recd_blank' ELSE 'recd' END
            WHEN cell.recorded_on < cell.earliest THEN 'recd_early'
            WHEN cell.recorded_on >= cell.latest THEN 'recd_late'
            WHEN cell.resolved_on IS NULL AND trim(cell.resolved_text) <> '' AND NOT cell.is_gone THEN 'res'
            WHEN cell.resolved_on < cell.earliest THEN 'res_early'
            WHEN cell.resolved_on >= cell.latest THEN 'res_late'
        END AS fault
    FROM cell
    LEFT JOIN taking.condition_system AS system
        ON system.code_system = cell.code_system
)

SELECT
    judged.patient_id,
    judged.code,
    judged.code_system,
    judged.recorded_on,
    judged.resolved_on,
    judged.resolved_text IS NOT NULL AS tells_resolved_on,
    coalesce(judged.is_gone, FALSE) AS is_gone,
    judged.file_name,
    judged.record,
    judged.as_of AS taken_for,
    judged.sent_for,
    judged.file_id,
    judged.fault,
    CASE
        WHEN judged.fault IS NOT NULL
            THEN to_json({
                'patient_id': judged.patient_id,
                'code': judged.code,
                'code_system': judged.code_system,
                'recorded_on': judged.recorded_text,
                'resolved_on': judged.resolved_text,
            })
    END AS cells
FROM judged
