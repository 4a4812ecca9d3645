-- One row per person and analyte whose newest instant has two readings that differ. Few have.
-- kept: no
-- A relation of its own, so that the engine sees how few it is before it looks them up in the history.
SELECT
    newest.patient_id,
    newest.analyte,
    newest.collected_at,
FROM facts.newest AS newest
WHERE newest.tied
