-- One row per administration or prescription of B12 that counts as treatment: its days with a dose.
-- An oral prescription is a dose on every day of it; everything else is one dose on its first day. The
-- antidote to cyanide is no treatment, nor is a small oral supplement of known dose.
SELECT
    drug.medication_id,
    drug.patient_id,
    drug.substance,
    drug.parenteral,
    drug.dose_mg,
    drug.started_on AS first_on,
    CASE
        WHEN drug.parenteral OR drug.kind = 'administration' THEN drug.started_on
        ELSE least(as_of(), coalesce(drug.ended_on, after(drug.started_on, 'open_prescription')))
    END AS last_on,
    NOT drug.parenteral AND drug.covers_night AS covers_night,
    NOT drug.parenteral AND drug.kind = 'prescription' AND drug.ended_on IS NULL AS without_end,
FROM facts.drug AS drug
WHERE
    drug.is_b12
    AND NOT drug.antidote
    AND NOT coalesce(drug.substance = 'hydroxocobalamin' AND drug.dose_mg >= quantity('antidote_dose'), FALSE)
    AND NOT coalesce(NOT drug.parenteral AND drug.dose_mg < quantity('oral_b12_least'), FALSE)
    AND NOT coalesce(
        NOT drug.parenteral AND drug.kind = 'prescription' AND drug.ended_on < drug.started_on, FALSE
    )
