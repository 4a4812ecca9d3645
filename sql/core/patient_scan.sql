-- One row per record of a patients extract: typed, with the first check that it fails, and what it
-- tells. An optional column that the file lacks, or a field that a message does not hold, is NULL and
-- leaves what is known; a blank tells that there is nothing.
WITH cell AS (
    SELECT
        incoming.record,
        incoming.patient_id,
        incoming.birth_date AS birth_text,
        day_of(incoming.birth_date, night.timezone) AS birth_date,
        folded_word(incoming.sex) AS sex_word,
        incoming.clinic_id AS clinic_text,
        clinic_of(incoming.clinic_id) AS clinic_id,
        day_of(incoming.deceased_on, night.timezone) AS day_sent,
        day_sent >= night.no_end OR day_sent = night.blank_end AS is_no_end,
        CASE WHEN is_no_end THEN '' ELSE incoming.deceased_on END AS deceased_text,
        CASE WHEN NOT is_no_end THEN day_sent END AS deceased_on,
        folded_word(incoming.opted_out) AS opted_out_word,
        CAST(night.born_earliest AS DATE) AS born_earliest,
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
        sex.sex,
        CASE
            WHEN is_no_key(cell.patient_id) THEN 'patient_id'
            WHEN is_number_made(cell.patient_id) THEN 'patient_number'
            WHEN cell.birth_date IS NULL AND trim(cell.birth_text) <> '' THEN 'birth'
            WHEN cell.birth_date < cell.born_earliest THEN 'birth_early'
            WHEN cell.birth_date >= cell.latest THEN 'birth_late'
            WHEN sex.sex IS NULL AND cell.sex_word IS NOT NULL THEN 'sex'
            WHEN cell.deceased_on IS NULL AND trim(cell.deceased_text) <> '' THEN 'dead'
            WHEN cell.deceased_on < cell.earliest THEN 'dead_early'
            WHEN cell.deceased_on >= cell.latest THEN 'dead_late'
            WHEN cell.opted_out_word NOT IN ('true', 'false', '') THEN 'opted_out'
        END AS fault
    FROM cell
    LEFT JOIN taking.sex
        ON sex.spelling = cell.sex_word
)

SELECT
    judged.patient_id,
    judged.birth_date,
    coalesce(judged.sex, 'unknown') AS sex,
    judged.clinic_id,
    judged.deceased_on,
    coalesce(judged.opted_out_word = 'true', FALSE) AS opted_out,
    judged.birth_text IS NOT NULL AS tells_birth_date,
    judged.sex IS NOT NULL AS tells_sex,
    judged.clinic_text IS NOT NULL AS tells_clinic_id,
    judged.deceased_text IS NOT NULL AS tells_deceased_on,
    judged.opted_out_word IS NOT NULL AS tells_opted_out,
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
                'birth_date': judged.birth_text,
                'sex': judged.sex_word,
                'clinic_id': judged.clinic_text,
                'deceased_on': judged.deceased_text,
                'opted_out': judged.opted_out_word,
            })
    END AS cells
FROM judged
