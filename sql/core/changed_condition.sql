-- One row per condition that a resource of the file at hand was told to be, of the same person, and is no more by what
-- it says last. What another resource says last stands, and so does what an extract of another form said last. Its
-- withdrawal, in the place of what took it back, or of what told it where that came later.
WITH touched AS (
    SELECT DISTINCT
        latest.folder,
        latest.resource_id,
        latest.patient_id
    FROM taking.condition_last AS latest
    INNER JOIN taking.condition_said AS sent
        ON sent.folder = latest.folder
        AND sent.resource_id = latest.resource_id
        AND sent.patient_id IN ('', latest.patient_id)
),

former AS (
    SELECT
        said.patient_id,
        said.code_system,
        said.code,
        said.recorded_on,
        max(greatest(
            {'night': said.place.told_for, 'file': said.place.told_in, 'record': said.place.told_at},
            {'night': latest.place.told_for, 'file': latest.place.told_in, 'record': latest.place.told_at}
        )) AS place
    FROM private.condition_said AS said
    SEMI JOIN touched
        ON touched.folder = said.folder
        AND touched.resource_id = said.resource_id
        AND touched.patient_id = said.patient_id
    INNER JOIN taking.condition_last AS latest
        ON latest.folder = said.folder
        AND latest.resource_id = said.resource_id
        AND latest.patient_id = said.patient_id
    WHERE
        said.code IS NOT NULL
        AND (latest.code_system, latest.code, latest.recorded_on)
        IS DISTINCT FROM (said.code_system, said.code, said.recorded_on)
    GROUP BY said.patient_id, said.code_system, said.code, said.recorded_on
),

known AS (
    SELECT
        stored.patient_id,
        stored.code_system,
        stored.code,
        stored.recorded_on,
        coalesce(
            max({'night': told.told_for, 'file': told.told_in, 'record': told.told_at}).file,
            any_value(stored.file_name)
        ) AS told_in
    FROM core.condition AS stored
    SEMI JOIN former
        ON former.patient_id = stored.patient_id
        AND former.code_system = stored.code_system
        AND former.code = stored.code
        AND former.recorded_on = stored.recorded_on
    LEFT JOIN private.condition_told AS told
        ON told.patient_id = stored.patient_id
        AND told.code_system = stored.code_system
        AND told.code = stored.code
        AND told.recorded_on = stored.recorded_on
    GROUP BY stored.patient_id, stored.code_system, stored.code, stored.recorded_on
),

arrived AS (
    SELECT
        taken.patient_id,
        taken.code_system,
        taken.code,
        taken.recorded_on,
        max({
            'night': coalesce(taken.sent_for, taken.taken_for),
            'file': taken.file_name,
            'record': taken.record
        }) AS place
    FROM core.taken
    GROUP BY taken.patient_id, taken.code_system, taken.code, taken.recorded_on
)

SELECT
    former.patient_id,
    former.code,
    former.code_system,
    former.recorded_on,
    TRUE AS is_gone,
    greatest(former.place, arrived.place).file AS file_name,
    greatest(former.place, arrived.place).record AS record,
    night.as_of AS taken_for,
    nullif(greatest(former.place, arrived.place).night, night.as_of) AS sent_for,
    night.file_id,
    TRUE AS is_ours
FROM former
CROSS JOIN taking.night
LEFT JOIN known
    ON known.patient_id = former.patient_id
    AND known.code_system = former.code_system
    AND known.code = former.code
    AND known.recorded_on = former.recorded_on
LEFT JOIN arrived
    ON arrived.patient_id = former.patient_id
    AND arrived.code_system = former.code_system
    AND arrived.code = former.code
    AND arrived.recorded_on = former.recorded_on
ANTI JOIN taking.condition_last AS standing
    ON standing.patient_id = former.patient_id
    AND standing.code_system = former.code_system
    AND standing.code = former.code
    AND standing.recorded_on = former.recorded_on
WHERE
    CASE
        WHEN known.code IS NOT NULL THEN regexp_matches(lower(known.told_in), '[.]ndjson([.]gz)?$')
        ELSE arrived.code IS NOT NULL
    END
