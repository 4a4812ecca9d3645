-- One row per medication of the file at hand that had been withdrawn by id before it came: its
-- withdrawal, right behind it, by a code that no map names. Of one file the order of its lines decides.
-- A file that is taken again is withdrawn again by what took effect when it first came.
SELECT
    taken.medication_id,
    taken.patient_id,
    'withdrawn' AS code,
    taken.code_system,
    taken.kind,
    taken.started_on,
    taken.file_name,
    taken.record,
    taken.taken_for,
    taken.sent_for,
    taken.file_id,
    TRUE AS is_ours
FROM core.taken
WHERE taken.medication_id IN (
    SELECT late.key
    FROM private.late_withdrawal AS late
    CROSS JOIN taking.night
    WHERE
        late.kind = 'medications'
        AND (late.done_for IS NULL OR late.done_for = night.sent_for)
        AND NOT (late.file_name = night.file_name AND late.taken_for = night.as_of)
)
QUALIFY row_number() OVER (PARTITION BY taken.medication_id ORDER BY taken.record DESC) = 1
