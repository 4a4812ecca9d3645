-- One row per folder, resource and person: what the resource says of the person last. A version without a last update
-- of its own is as new as the newest that came before it; a withdrawal that names nobody is of everybody.
WITH person AS (
    SELECT DISTINCT
        said.folder,
        said.resource_id,
        said.patient_id
    FROM private.condition_said AS said
    WHERE said.patient_id <> ''
),

entry AS (
    SELECT said.*
    FROM private.condition_said AS said
    WHERE said.patient_id <> ''
    UNION ALL BY NAME
    SELECT
        person.folder,
        person.resource_id,
        person.patient_id,
        said.is_dated,
        said.place
    FROM private.condition_said AS said
    INNER JOIN person
        ON person.folder = said.folder
        AND person.resource_id = said.resource_id
    WHERE said.patient_id = ''
),

placed AS (
    SELECT
        entry.*,
        max(entry.place.changed_at) OVER (
            PARTITION BY entry.folder, entry.resource_id, entry.patient_id
            ORDER BY entry.place.told_for, entry.place.told_in, entry.place.told_at
        ) AS newest_before
    FROM entry
)

SELECT
    placed.folder,
    placed.resource_id,
    placed.patient_id,
    placed.code_system,
    placed.code,
    placed.recorded_on,
    placed.place
FROM placed
QUALIFY row_number() OVER (
    PARTITION BY placed.folder, placed.resource_id, placed.patient_id
    ORDER BY
        CASE WHEN placed.is_dated THEN placed.place.changed_at ELSE placed.newest_before END DESC,
        placed.place.told_for DESC,
        placed.place.told_in DESC,
        placed.place.told_at DESC,
        placed.code NULLS FIRST
) = 1
