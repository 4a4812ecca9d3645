-- One row per person, analyte and instant with several creatinines or eGFR. Few have; found on one integer.
-- kept: no
-- A relation of its own, so that the engine sees how few it is before it looks them up in the history.
WITH repeated AS (
    SELECT asked.instant_hash
    FROM facts.kidney_asked AS asked
    GROUP BY asked.instant_hash
    HAVING count(*) > 1
)
SELECT DISTINCT
    asked.patient_id,
    asked.analyte,
    asked.collected_at,
    asked.instant_hash,
FROM facts.kidney_asked AS asked
SEMI JOIN repeated ON repeated.instant_hash = asked.instant_hash
