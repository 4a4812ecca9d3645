-- One row per record of a labs extract: typed, local time, canonical unit, and the first check that
-- it fails. Cells as sent are kept only where a check fails, so that the one scan stays narrow.
WITH cell AS (
    SELECT
        incoming.record,
        incoming.result_id,
        incoming.patient_id,
        bare(incoming.code) AS code,
        coalesce(nullif(trim(incoming.laboratory), ''), night.laboratory) AS laboratory,
        coalesce(nullif(folded_word(incoming.code_system), ''), 'loinc') AS code_system,
        bare(incoming.value) AS value_text,
        number_of(bare(incoming.value)) AS number,
        folded_unit(incoming.unit) AS spelling,
        incoming.unit AS unit_text,
        coalesce(folded_word(incoming.status), 'final') AS status_word,
        incoming.collected_at AS collected_text,
        moment_of(incoming.collected_at, night.timezone) AS collected_at,
        -- What a database makes of a blank is no time of report.
        moment_of(incoming.reported_at, night.timezone) AS reported_sent,
        CASE WHEN reported_sent = night.blank_end THEN '' ELSE incoming.reported_at END AS reported_text,
        nullif(reported_sent, night.blank_end) AS reported_at,
        folded_words(incoming.specimen) AS specimen,
        folded_words(incoming.test_name) AS test_name,
        incoming.specimen AS specimen_text,
        incoming.test_name AS test_name_text,
        incoming.code_system AS code_system_text,
        clinic_of(incoming.clinic_id) AS clinic_id,
        night.earliest,
        night.latest
    FROM taking.incoming
    CROSS JOIN taking.night
),

-- A record whose code and unit are both known needs no second look-up.
looked_up AS (
    SELECT
        cell.*,
        coalesce(reading.analyte, test.analyte) AS analyte,
        coalesce(reading.canonical_unit, test.canonical_unit) AS unit,
        coalesce(reading.first_word, test.first_word) AS first_word,
        reading.factor,
        reading.as_sent,
        reading.low,
        reading.high,
        reading.fits,
        status.word_step,
        status.has_value,
        status.revises,
        CASE
            WHEN cell.specimen <> '' THEN cell.specimen
            ELSE nullif(coalesce(reading.declared_specimen, test.declared_specimen), '')
        END AS specimen_word,
        reading.analyte IS NOT NULL OR laboratory.laboratory IS NOT NULL AS known_laboratory
    FROM cell
    LEFT JOIN taking.reading
        ON reading.code = cell.code
        AND reading.spelling = cell.spelling
        AND reading.code_system = cell.code_system
        AND reading.laboratory = cell.laboratory
    LEFT JOIN taking.test
        ON test.code = CASE WHEN reading.analyte IS NULL THEN cell.code END
        AND test.code_system = cell.code_system
        AND test.laboratory = cell.laboratory
    LEFT JOIN taking.laboratory
        ON laboratory.laboratory = CASE WHEN reading.analyte IS NULL THEN cell.laboratory END
    LEFT JOIN taking.status
        ON status.spelling = cell.status_word
),

compared AS (
    SELECT
        looked_up.*,
        CASE
            WHEN looked_up.factor = 1 THEN looked_up.number
            -- Seven digits behind the point are far below any assay, and undo the binary noise of
            -- the multiplication: 0.57 umol/L is 570 nmol/L, not 569.9999999999999.
            ELSE round(looked_up.number * looked_up.factor, 7)
        END AS canonical,
        specimen.specimen IS NULL AND looked_up.specimen_word IS NOT NULL AS wrong_specimen,
        contradiction.analyte IS NOT NULL AS wrong_name
    FROM looked_up
    LEFT JOIN taking.specimen
        ON specimen.specimen = looked_up.specimen_word
        AND specimen.analyte = looked_up.analyte
    LEFT JOIN taking.contradiction
        ON contradiction.test_name = looked_up.test_name
        AND contradiction.analyte = looked_up.analyte
),

judged AS (
    SELECT
        compared.*,
        CASE
            WHEN is_no_key(compared.result_id) THEN 'result_id'
            WHEN is_power(compared.result_id) THEN 'result_number'
            WHEN is_no_key(compared.patient_id) THEN 'patient_id'
            WHEN is_number_made(compared.patient_id) THEN 'patient_number'
            WHEN compared.code = '' THEN 'code'
            WHEN NOT compared.known_laboratory THEN 'laboratory'
            WHEN compared.analyte IS NULL THEN 'scope'
            WHEN compared.word_step IS NULL
                THEN CASE WHEN compared.status_word = '' THEN 'status_blank' ELSE 'status' END
            WHEN compared.collected_at IS NULL
                THEN CASE WHEN trim(compared.collected_text) = '' THEN 'coll_blank' ELSE 'coll' END
            WHEN compared.collected_at < compared.earliest THEN 'coll_early'
            WHEN compared.collected_at >= compared.latest THEN 'coll_late'
            WHEN compared.reported_at IS NULL AND trim(compared.reported_text) <> '' THEN 'rep'
            WHEN compared.reported_at < compared.earliest THEN 'rep_early'
            WHEN compared.reported_at >= compared.latest THEN 'rep_late'
            WHEN compared.wrong_specimen THEN 'specimen'
            WHEN compared.wrong_name THEN 'test_name'
            WHEN NOT compared.has_value THEN NULL
            WHEN compared.number IS NULL
                THEN CASE
                    WHEN compared.value_text = '' THEN 'val_blank'
                    WHEN regexp_full_match(compared.value_text, '[<>]?=? ?[+-]?[0-9.]*,[0-9.,]+')
                        THEN 'val_comma'
                    WHEN regexp_full_match(compared.value_text, '[<>]= ?[+-]?[0-9.]+')
                        THEN 'val_sign'
                    ELSE 'val_text'
                END
            WHEN NOT isfinite(compared.number) THEN 'val_huge'
            WHEN compared.factor IS NULL
                THEN CASE WHEN compared.spelling = '' THEN 'unit_blank' ELSE 'unit' END
            WHEN NOT compared.fits THEN 'unit_kind'
            WHEN CASE WHEN compared.as_sent THEN compared.number ELSE compared.canonical END
                < compared.low
                THEN 'low'
            WHEN CASE WHEN compared.as_sent THEN compared.number ELSE compared.canonical END
                > compared.high
                THEN 'high'
        END AS fault
    FROM compared
),

-- Sorted while it is narrow: all words of a row as one number, constants left out. What is moved out stands
-- in its cells alone: a text that was in a column is found in the file's bytes after it has been deleted.
narrow AS (
    SELECT
        CASE WHEN judged.fault IS NULL THEN judged.result_id END AS result_id,
        CASE WHEN judged.fault IS NULL THEN judged.patient_id END AS patient_id,
        -- Where the row belongs in the history: people by their ids, those without a record behind
        -- them, and last the rows that will be moved out, so that the history keeps no holes.
        -- A number sorts in half the time of a text.
        CASE WHEN judged.fault IS NULL THEN coalesce(person.place, hash(judged.patient_id)) END
            AS place,
        judged.first_word + coalesce(judged.word_step, 0)
        + CASE
            WHEN NOT judged.has_value THEN 0
            WHEN judged.value_text < '<' THEN 0
            WHEN judged.value_text[1:1] = '<' THEN 1
            WHEN judged.value_text[1:1] = '>' THEN 2
            ELSE 0
        END AS word_id,
        -- Of a test that no map names, the number as sent tells which one it may be.
        CASE
            WHEN judged.fault = 'scope' THEN judged.number
            WHEN judged.has_value THEN judged.canonical
        END AS value,
        judged.collected_at,
        judged.reported_at,
        CASE
            WHEN judged.fault IS NOT NULL OR (judged.has_value AND judged.factor = 1) THEN NULL
            ELSE nullif(judged.value_text, '')
        END AS value_as_sent,
        CASE
            WHEN judged.fault IS NULL
                AND judged.unit_text <> judged.unit
                AND (judged.has_value OR judged.unit_text <> '')
                THEN judged.unit_text
        END AS unit_as_sent,
        CASE WHEN judged.fault IS NULL THEN judged.clinic_id END AS clinic_id,
        judged.spelling = '' AND judged.has_value AND judged.first_word IS NOT NULL AS unitless,
        CAST(judged.record AS UINTEGER) AS record,
        -- What corrects or withdraws may speak of a result that is known by another code. Most rows out of scope do
        -- not, and of them no key is kept.
        CASE
            WHEN judged.fault = 'scope' AND judged.revises
                THEN to_json({
                    'fault': judged.fault,
                    'laboratory': judged.laboratory,
                    'code_system': judged.code_system,
                    'code': judged.code,
                    'test_name': judged.test_name_text,
                    'unit': judged.unit_text,
                    'result_id': judged.result_id,
                    'patient_id': judged.patient_id,
                    'status': judged.status_word,
                })
            WHEN judged.fault = 'scope'
                THEN to_json({
                    'fault': judged.fault,
                    'laboratory': judged.laboratory,
                    'code_system': judged.code_system,
                    'code': judged.code,
                    'test_name': judged.test_name_text,
                    'unit': judged.unit_text,
                })
            WHEN judged.fault IS NOT NULL
                THEN to_json({
                    'fault': judged.fault,
                    'result_id': judged.result_id,
                    'patient_id': judged.patient_id,
                    'collected_at': judged.collected_text,
                    'reported_at': judged.reported_text,
                    'code': judged.code,
                    'code_system': judged.code_system_text,
                    'test_name': judged.test_name_text,
                    'specimen': judged.specimen_text,
                    'value': judged.value_text,
                    'unit': judged.unit_text,
                    'status': judged.status_word,
                    'clinic_id': judged.clinic_id,
                    'laboratory': judged.laboratory,
                })
        END AS cells
    FROM judged
    LEFT JOIN taking.person
        ON person.patient_id = judged.patient_id
    ORDER BY place NULLS LAST, collected_at, record
)

SELECT
    narrow.result_id,
    narrow.patient_id,
    narrow.word_id,
    narrow.value,
    narrow.collected_at,
    narrow.reported_at,
    narrow.value_as_sent,
    narrow.unit_as_sent,
    narrow.clinic_id,
    night.file_id,
    narrow.record,
    narrow.unitless,
    narrow.cells ->> 'fault' AS fault,
    narrow.cells
FROM narrow
CROSS JOIN taking.night
