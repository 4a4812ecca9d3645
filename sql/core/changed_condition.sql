-- One row per condition that a resource of the file at hand was told to be, of the same person, and is no more by what
-- it says last. What another resource says last stands, and so does what an extract of another form said last. Its
-- withdrawal, in the place of what took it back, or of what told it where that came later.
WITH history AS (
    SELECT said.*
    FROM private.condition_said AS said
    SEMI JOIN taking.condition_said AS sent
        ON sent.folder = said.folder
        AND sent.resource_id = said.resource_id
        AND sent.patient_id = said.patient_id
),

latest AS (
    SELECT history.*
    FROM history
    QUALIFY row_number() OVER (
        PARTITION BY history.folder, history.resource_id, history.patient_id
        ORDER BY history.place DESC, history.code NULLS FIRST
    ) = 1
),

former AS (
    SELECT
        history.patient_id,
        history.code_system,
        history.code,
        history.recorded_on,
        max(greatest(
            {'night': history.place.told_for, 'file': history.place.told_in, 'record': history.place.told_at},
            {'night': latest.place.told_for, 'file': latest.place.told_in, 'record': latest.place.told_at}
        )) AS place
    FROM history
    INNER JOIN latest
        ON latest.folder = history.folder
        AND latest.resource_id = history.resource_id
        AND latest.patient_id = history.patient_id
    WHERE
        history.code IS NOT NULL
        AND (latest.code_system, latest.code, latest.recorded_on)
        IS DISTINCT FROM (history.code_system, history.code, history.recorded_on)
    GROUP BY history.patient_id, history.code_system, history.code, history.recorded_on
),

-- Whoever told one of these, and what it says last.
teller AS (
    SELECT DISTINCT
        said.folder,
        said.resource_id,
        said.patient_id
    FROM private.condition_said AS said
    SEMI JOIN former
        ON former.patient_id = said.patient_id
        AND former.code_system = said.code_system
        AND former.code = said.code
        AND former.recorded_on = said.recorded_on
),

standing AS (
    SELECT said.*
    FROM private.condition_said AS said
    SEMI JOIN teller
        ON teller.folder = said.folder
        AND teller.resource_id = said.resource_id
        AND teller.patient_id = said.patient_id
    QUALIFY row_number() OVER (
        PARTITION BY said.folder, said.resource_id, said.patient_id
        ORDER BY said.place DESC, said.code NULLS FIRST
    ) = 1
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
    SELECT DISTINCT
        taken.patient_id,
        taken.code_system,
        taken.code,
        taken.recorded_on
    FROM core.taken
)

SELECT
    former.patient_id,
    former.code,
    former.code_system,
    former.recorded_on,
    TRUE AS is_gone,
    former.place.file AS file_name,
    former.place.record,
    night.as_of AS taken_for,
    nullif(former.place.night, night.as_of) AS sent_for,
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
ANTI JOIN standing
    ON standing.patient_id = former.patient_id
    AND standing.code_system = former.code_system
    AND standing.code = former.code
    AND standing.recorded_on = former.recorded_on
WHERE
    CASE
        WHEN known.code IS NOT NULL THEN regexp_matches(lower(known.told_in), '[.]ndjson([.]gz)?$')
        ELSE arrived.code IS NOT NULL
    END
