-- One row per resource in taking.fhir_asked that files of a folder told of, on the night that told last; of one night
-- that came twice what came last counts. As many rows as files of that night told of it.
WITH told AS (
    SELECT
        told.kind,
        told.id,
        told.said,
        told.place,
        {'night': told.told_for, 'turn': CASE WHEN told.is_new THEN 2 ELSE 0 END} AS told_last
    FROM taking.fhir_told AS told
    SEMI JOIN taking.fhir_asked AS asked
        ON asked.kind = told.kind
        AND asked.id = told.id
    WHERE told.folder = $1 AND told.system IN ('', $2)
    UNION ALL
    SELECT
        known.kind,
        known.id,
        known.said,
        known.place,
        {'night': known.told_for, 'turn': 1} AS told_last
    FROM private.fhir_told AS known
    SEMI JOIN taking.fhir_asked AS asked
        ON asked.kind = known.kind
        AND asked.id = known.id
    WHERE known.folder = $1 AND known.system IN ('', $2)
)

SELECT
    told.kind,
    told.id,
    told.said
FROM told
QUALIFY told.told_last = max(told.told_last) OVER (PARTITION BY told.kind, told.id)
ORDER BY told.kind, told.id, told.place
