-- One row per record of a feedback extract: typed, with the first check that it fails. A row without a
-- decision says nothing; where it holds a remark or a day, its cells tell that somebody meant something.
WITH cell AS (
    SELECT
        incoming.record,
        incoming.item_id AS item_text,
        lower(trim(unguarded(incoming.item_id))) AS item_id,
        incoming.decision AS decision_text,
        spaced_word(incoming.decision) AS decision_word,
        incoming.decision_note AS decision_note_text,
        incoming.note AS note_text,
        coalesce(
            nullif(remark_of(incoming.decision_note), ''), nullif(remark_of(incoming.note), '')
        ) AS decision_note,
        incoming.decided_on AS decided_text,
        coalesce(trim(incoming.decided_on), '') = '' AS is_undated,
        day_of_sheet(incoming.decided_on, night.timezone, night.date_order) AS decided_on,
        incoming.until AS until_text,
        day_of_sheet(incoming.until, night.timezone, night.date_order) AS until,
        incoming.as_of AS sheet_text,
        day_of_sheet(incoming.as_of, night.timezone, night.date_order) AS sheet_on,
        night.date_order,
        CAST(night.earliest AS DATE) AS earliest,
        CAST(night.latest AS DATE) AS latest,
        night.file_name,
        night.file_id,
        night.as_of,
        night.sent_for
    FROM taking.incoming
    CROSS JOIN taking.night
),

judged AS (
    SELECT
        cell.*,
        decision.decision,
        CASE
            WHEN cell.decision_word = '' THEN 'scope'
            WHEN cell.item_id = '' THEN 'item_blank'
            WHEN NOT regexp_full_match(cell.item_id, 'i[0-9a-v]{16}') THEN 'item'
            WHEN known_item.item_id IS NULL THEN 'item_unknown'
            WHEN decision.decision IS NULL THEN 'decision'
            WHEN cell.decided_on IS NULL AND NOT cell.is_undated
                THEN CASE WHEN has_two_readings(cell.decided_text, cell.date_order)
                    THEN 'decided_order' ELSE 'decided' END
            WHEN cell.decided_on < cell.earliest THEN 'decided_early'
            WHEN cell.decided_on >= cell.latest THEN 'decided_late'
            WHEN cell.until IS NULL AND trim(cell.until_text) <> ''
                THEN CASE WHEN has_two_readings(cell.until_text, cell.date_order)
                    THEN 'until_order' ELSE 'until' END
            WHEN cell.until < cell.earliest THEN 'until_early'
            WHEN cell.until >= cell.latest THEN 'until_late'
            WHEN cell.sheet_on IS NULL AND trim(cell.sheet_text) <> ''
                THEN CASE WHEN has_two_readings(cell.sheet_text, cell.date_order)
                    THEN 'sheet_order' ELSE 'sheet' END
            WHEN cell.sheet_on < cell.earliest THEN 'sheet_early'
            WHEN cell.sheet_on >= cell.latest THEN 'sheet_late'
        END AS fault
    FROM cell
    LEFT JOIN taking.decision
        ON decision.decision = cell.decision_word
    LEFT JOIN taking.known_item
        ON known_item.item_id = cell.item_id
)

SELECT
    judged.item_id,
    judged.decision,
    judged.decision_note,
    -- Of a row that is tried again the night on which it came first.
    coalesce(judged.decided_on, judged.sent_for, judged.as_of) AS decided_on,
    judged.until,
    judged.sheet_on,
    judged.file_name,
    judged.record,
    judged.as_of AS taken_for,
    judged.file_id,
    judged.fault,
    judged.is_undated,
    CASE
        WHEN judged.fault <> 'scope'
            OR (
                judged.fault = 'scope'
                AND (
                    judged.decision_note IS NOT NULL
                    OR NOT judged.is_undated
                    OR trim(judged.until_text) <> ''
                )
            )
            THEN to_json({
                'item_id': judged.item_text,
                'decision': judged.decision_text,
                'decision_note': judged.decision_note_text,
                'note': judged.note_text,
                'decided_on': judged.decided_text,
                'until': judged.until_text,
                'as_of': judged.sheet_text,
            })
    END AS cells
FROM judged
