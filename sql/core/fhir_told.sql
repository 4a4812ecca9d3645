-- One row per resource in taking.fhir_asked that files of a folder told of, from the night that told last: tonight
-- before any other, and what is taken again tonight behind all others. As many rows as files of
-- that night told of it.
WITH told AS (
    SELECT
        told.kind,
        told.id,
        told.said,
        told.place,
        CASE WHEN told.is_again THEN 0 ELSE 2 END AS turn
    FROM taking.fhir_told AS told
    SEMI JOIN taking.fhir_asked AS asked
        ON asked.kind = told.kind
        AND asked.id = told.id
    WHERE told.folder = $1
    UNION ALL
    SELECT
        known.kind,
        known.id,
        known.said,
        known.place,
        1 AS turn
    FROM private.fhir_told AS known
    SEMI JOIN taking.fhir_asked AS asked
        ON asked.kind = known.kind
        AND asked.id = known.id
    WHERE known.folder = $1
)

SELECT
    told.kind,
    told.id,
    told.said
FROM told
QUALIFY told.turn = max(told.turn) OVER (PARTITION BY told.kind, told.id)
ORDER BY told.kind, told.id, told.place
