-- One row per administration or prescription of a cobalamin or of folic acid, up to the night.
-- kept: no
WITH sent_code AS (
    SELECT
        distinct_code.*,
        plain_code(distinct_code.code) AS plain_code,
    FROM (
        SELECT DISTINCT
            medication.code_system,
            medication.code,
        FROM core.medication AS medication
    ) AS distinct_code
),
mapped_code AS (
    SELECT
        sent.code_system,
        sent.code,
        mapped.substance,
        mapped.form,
        mapped.strength_mg,
        mapped.is_b12,
        mapped.is_folic_acid,
        mapped.antidote,
    FROM sent_code AS sent
    INNER JOIN map.drug AS mapped
        ON mapped.code_system = sent.code_system
        AND (
            sent.plain_code = mapped.code
            OR (mapped.match = 'prefix' AND starts_with(sent.plain_code, mapped.code))
        )
    QUALIFY row_number() OVER (
        PARTITION BY sent.code_system, sent.code
        ORDER BY mapped.match = 'exact' DESC, length(mapped.code) DESC, mapped.code, mapped.substance
    ) = 1
)
SELECT
    medication.medication_id,
    medication.patient_id,
    medication.kind,
    medication.started_on,
    medication.ended_on,
    mapped.substance,
    mapped.is_b12,
    mapped.is_folic_acid,
    mapped.antidote,
    -- What the record leaves out, its code may say: that of a product names its strength and form.
    coalesce(
        CASE medication.dose_unit
            WHEN 'g' THEN medication.dose * 1000
            WHEN 'mg' THEN medication.dose
            WHEN 'ug' THEN medication.dose / 1000
            WHEN 'mcg' THEN medication.dose / 1000
        END,
        mapped.strength_mg
    ) AS dose_mg,
    CASE
        WHEN medication.route IS NOT NULL THEN medication.route IN ('im', 'iv', 'sc')
        WHEN mapped.form <> '' THEN mapped.form = 'injection'
        ELSE mapped.substance = 'hydroxocobalamin'
    END AS parenteral,
    -- A prescription that ends on the night has ended.
    medication.kind = 'prescription'
    AND CASE
        WHEN medication.ended_on IS NULL
            THEN after(medication.started_on, 'open_prescription') >= as_of()
        ELSE medication.ended_on > as_of()
    END AS covers_night,
FROM core.medication AS medication
INNER JOIN mapped_code AS mapped
    ON mapped.code_system = medication.code_system AND mapped.code = medication.code
WHERE medication.started_on <= as_of()
