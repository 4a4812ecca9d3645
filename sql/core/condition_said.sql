-- One row per resource and person that the file at hand tells a condition of, and what it is: the row as it was
-- accepted, or none of ours. What was rejected says nothing. A withdrawal may name nobody. The moment of a version is
-- its last update, no later than the night that it came for; where it has none, before all others.
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

every_one AS (
    SELECT sent.*
    FROM sent
    UNION ALL BY NAME
    SELECT
        gone.resource_id,
        gone.patient_id,
        TRUE AS withdraws,
        gone.changed_at,
        gone.record
    FROM taking.fhir_gone AS gone
    WHERE gone.resource_id <> ''
),

placed AS (
    SELECT
        zone.folder,
        every_one.resource_id,
        every_one.patient_id,
        every_one.code_system,
        every_one.code,
        every_one.recorded_on,
        every_one.withdraws,
        moment_of(every_one.changed_at, zone.timezone) IS NOT NULL AS is_dated,
        {
            'changed_at': CASE
                WHEN moment_of(every_one.changed_at, zone.timezone) IS NULL
                    THEN TIMESTAMP '0001-01-01'
                ELSE least(
                    moment_of(every_one.changed_at, zone.timezone),
                    CAST(coalesce(night.sent_for, night.as_of) + 1 AS TIMESTAMP)
                )
            END,
            'told_for': coalesce(night.sent_for, night.as_of),
            'told_in': night.file_name,
            'told_at': every_one.record
        } AS place
    FROM every_one
    CROSS JOIN taking.fhir_zone AS zone
    CROSS JOIN taking.night
)

SELECT placed.*
FROM placed
QUALIFY row_number() OVER (
    PARTITION BY
        placed.resource_id,
        placed.patient_id,
        placed.code_system,
        placed.code,
        placed.recorded_on,
        placed.is_dated
    ORDER BY placed.place DESC, placed.withdraws DESC
) = 1
