-- One row per mapped condition and resource of the file at hand that told it last and was not withdrawn behind that,
-- where the resource is not known yet to tell something of the person.
SELECT
    teller.patient_id,
    teller.code_system,
    teller.code,
    CAST(moment_of(teller.recorded_on, night.timezone) AS DATE) AS recorded_on,
    teller.resource_id
FROM (
    SELECT sent.*
    FROM taking.fhir_teller AS sent
    QUALIFY row_number() OVER (PARTITION BY sent.resource_id, sent.patient_id ORDER BY sent.record DESC) = 1
) AS teller
CROSS JOIN taking.night
ANTI JOIN private.condition_teller AS known
    ON known.patient_id = teller.patient_id
    AND known.resource_id = teller.resource_id
WHERE moment_of(teller.recorded_on, night.timezone) IS NOT NULL
    AND NOT EXISTS (
        SELECT 1
        FROM taking.fhir_gone AS gone
        WHERE
            gone.resource_id = teller.resource_id
            AND gone.record > teller.record
    )
