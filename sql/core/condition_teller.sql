-- One row per mapped condition and resource of the file at hand that told it and was not withdrawn behind that,
-- where it is not known yet.
SELECT DISTINCT
    teller.patient_id,
    teller.code_system,
    teller.code,
    CAST(moment_of(teller.recorded_on, night.timezone) AS DATE) AS recorded_on,
    teller.resource_id
FROM taking.fhir_teller AS teller
CROSS JOIN taking.night
ANTI JOIN private.condition_teller AS known
    ON known.patient_id = teller.patient_id
    AND known.code_system = teller.code_system
    AND known.code = teller.code
    AND known.recorded_on = CAST(moment_of(teller.recorded_on, night.timezone) AS DATE)
    AND known.resource_id = teller.resource_id
WHERE moment_of(teller.recorded_on, night.timezone) IS NOT NULL
    AND NOT EXISTS (
        SELECT 1
        FROM taking.fhir_gone AS gone
        WHERE
            gone.resource_id = teller.resource_id
            AND gone.record > teller.record
    )
