-- One row per resource and person that the file at hand tells a condition of, and what it is: the row as it was
-- accepted, or none of ours. What was rejected says nothing. A withdrawal that names nobody is of everybody whom its
-- resource was told of. The moment of a version is its last update, else the end of the night that it came for.
WITH sent AS (
    SELECT
        said.resource_id,
        said.patient_id,
        taken.code_system,
        taken.code,
        taken.recorded_on,
        FALSE AS withdraws,
        said.changed_at,
        said.record
    FROM taking.fhir_said AS said
    INNER JOIN core.taken
        ON taken.record = said.record
    WHERE said.tells = 'row'
    UNION ALL
    SELECT
        said.resource_id,
        said.patient_id,
        NULL AS code_system,
        NULL AS code,
        NULL AS recorded_on,
        FALSE AS withdraws,
        said.changed_at,
        said.record
    FROM taking.fhir_said AS said
    LEFT JOIN core.taken
        ON taken.record = said.record
    WHERE said.tells = 'nothing' OR (said.tells = 'other' AND taken.record IS NOT NULL)
),

person AS (
    SELECT
        known.resource_id,
        known.patient_id
    FROM private.condition_said AS known
    CROSS JOIN taking.fhir_zone AS zone
    WHERE known.folder = zone.folder
    UNION
    SELECT
        sent.resource_id,
        sent.patient_id
    FROM sent
),

every_one AS (
    SELECT sent.*
    FROM sent
    UNION ALL BY NAME
    SELECT
        gone.resource_id,
        coalesce(person.patient_id, gone.patient_id) AS patient_id,
        TRUE AS withdraws,
        gone.changed_at,
        gone.record
    FROM taking.fhir_gone AS gone
    LEFT JOIN person
        ON person.resource_id = gone.resource_id
        AND gone.patient_id = ''
    WHERE gone.resource_id <> ''
)

SELECT
    zone.folder,
    every_one.resource_id,
    every_one.patient_id,
    every_one.code_system,
    every_one.code,
    every_one.recorded_on,
    every_one.withdraws,
    {
        'changed_at': coalesce(
            moment_of(every_one.changed_at, zone.timezone),
            CAST(coalesce(night.sent_for, night.as_of) + 1 AS TIMESTAMP)
        ),
        'told_for': coalesce(night.sent_for, night.as_of),
        'told_in': night.file_name,
        'told_at': every_one.record
    } AS place
FROM every_one
CROSS JOIN taking.fhir_zone AS zone
CROSS JOIN taking.night
WHERE every_one.patient_id <> ''
QUALIFY row_number() OVER (
    PARTITION BY
        every_one.resource_id,
        every_one.patient_id,
        every_one.code_system,
        every_one.code,
        every_one.recorded_on
    ORDER BY place DESC, every_one.withdraws DESC
) = 1
