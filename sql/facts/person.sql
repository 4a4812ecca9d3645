-- One row per person, whatever the route: who they are and where their rows go.
-- kept: no
-- A person known only from results has no birth date, so nothing can be decided but that the record needs
-- a look; who has no clinic is sent to the clinic that ordered the newest result.
WITH placeless AS MATERIALIZED (
    SELECT DISTINCT result.patient_id
    FROM core.lab_result AS result
    ANTI JOIN (
        SELECT patient.patient_id
        FROM core.patient AS patient
        WHERE patient.clinic_id IS NOT NULL
    ) AS placed ON placed.patient_id = result.patient_id
    WHERE result.collected_on <= as_of()
),
ordering_clinic AS (
    SELECT
        result.patient_id,
        arg_max(
            result.clinic_id,
            row(
                result.collected_at,
                coalesce(result.reported_at, TIMESTAMP '-infinity'),
                result.result_id,
                result.laboratory
            )
        ) FILTER (WHERE result.clinic_id IS NOT NULL) AS clinic_id,
    FROM core.lab_result AS result
    SEMI JOIN placeless ON placeless.patient_id = result.patient_id
    WHERE result.collected_on <= as_of()
    GROUP BY result.patient_id
)
SELECT
    coalesce(patient.patient_id, ordering.patient_id) AS patient_id,
    CASE WHEN patient.birth_date <= as_of() THEN patient.birth_date END AS birth_date,
    CASE WHEN patient.birth_date <= as_of() THEN age_on(patient.birth_date, as_of()) END AS age_years,
    coalesce(patient.sex, 'unknown') AS sex,
    coalesce(patient.clinic_id, ordering.clinic_id) AS clinic_id,
    CASE WHEN patient.opted_out THEN 'yes' ELSE 'no' END AS opted_out,
    CASE WHEN patient.deceased_on <= as_of() THEN 'yes' ELSE 'no' END AS deceased,
    CASE
        WHEN patient.birth_date IS NULL OR patient.birth_date > as_of() THEN 'unroutable'
        WHEN age_on(patient.birth_date, as_of()) < quantity('adult_age') THEN 'child'
        ELSE 'adult'
    END AS age_group,
FROM core.patient AS patient
FULL JOIN ordering_clinic AS ordering ON ordering.patient_id = patient.patient_id
