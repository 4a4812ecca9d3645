-- One row per value that a row of an earlier night rested on, and the night that found it to stand no longer.
-- kept: no
-- A value stands while a speaking result of the person says it of that day. An eGFR may also differ because
-- a birth date was mended, and an old one is not asked for any more: then only a kidney result of that day that
-- was withdrawn or came later takes it back.
-- What a clinic has not yet acknowledged stays, however long ago it was listed.
WITH told AS (
    SELECT
        ground.*,
        greatest(acknowledged.acknowledged_on, of_all.acknowledged_on) AS acknowledged_on,
    FROM history.ground AS ground
    LEFT JOIN worklists.acknowledged AS acknowledged
        ON acknowledged.item_id = CASE
            WHEN ground.withdrawn_on IS NOT NULL THEN withdrawal_id(ground.patient_id, ground.clinic_id)
        END
    -- A person had one such row before there was one for each clinic: it speaks for those that it was shown to.
    LEFT JOIN (
        SELECT DISTINCT
            shown.item_id,
            shown.clinic_id,
            answered.acknowledged_on,
        FROM worklists.acknowledged AS answered
        INNER JOIN history.shown AS shown ON shown.item_id = answered.item_id
    ) AS of_all
        ON of_all.item_id = CASE
            WHEN ground.withdrawn_on IS NOT NULL THEN item_id(ground.patient_id, 'result_withdrawn', '')
        END
        AND of_all.clinic_id IS NOT DISTINCT FROM ground.clinic_id
),
past AS (
    SELECT
        told.*,
    FROM told
    WHERE
        told.listed_on >= as_of() - INTERVAL 365 DAY
        OR waits(told.withdrawn_on, told.acknowledged_on)
),
-- No newer row of the same day says what an older one said, so one is enough of each. Asked of the days
-- together: as a condition of the join, the text of every value of the whole history would be written.
found AS (
    SELECT
        past.patient_id,
        past.analyte,
        past.collected_on,
        past.value_text,
    FROM past
    INNER JOIN core.lab_result AS result
        ON result.patient_id = past.patient_id
        AND result.analyte = past.analyte
        AND result.collected_on = past.collected_on
    WHERE speaks(result.status)
    GROUP BY past.patient_id, past.analyte, past.collected_on, past.value_text
    HAVING bool_or(
        CASE past.analyte
            WHEN 'egfr' THEN egfr_text(result.value, result.comparator)
            ELSE value_text(result.value, result.comparator)
        END = past.value_text
    )
    -- An eGFR that no laboratory says is computed, as long as it is asked for.
    UNION
    SELECT
        past.patient_id,
        past.analyte,
        past.collected_on,
        past.value_text,
    FROM past
    INNER JOIN facts.egfr AS egfr
        ON egfr.patient_id = past.patient_id AND egfr.collected_on = past.collected_on
    WHERE
        past.analyte = 'egfr' AND egfr_text(egfr.egfr_ml_min, egfr.egfr_comparator) = past.value_text
),
kidney_day AS (
    SELECT
        result.patient_id,
        result.collected_on,
        max(result.taken_for) AS taken_for,
        bool_or(speaks(result.status)) AS speaks,
    FROM core.lab_result AS result
    SEMI JOIN past ON past.patient_id = result.patient_id AND past.analyte = 'egfr'
    WHERE result.analyte IN ('creatinine', 'egfr')
    GROUP BY result.patient_id, result.collected_on
),
judged AS (
    SELECT
        past.*,
        found.patient_id IS NOT NULL
        OR (
            past.analyte = 'egfr'
            AND (patient.taken_for > past.listed_on OR asked_day.patient_id IS NULL)
            AND coalesce(
                kidney_day.speaks
                -- What came with an earlier run of tonight cannot be told from what came since.
                AND kidney_day.taken_for <= least(past.listed_on, as_of() - 1),
                FALSE
            )
        ) AS stands,
    FROM past
    LEFT JOIN found
        ON found.patient_id = past.patient_id
        AND found.analyte = past.analyte
        AND found.collected_on = past.collected_on
        AND found.value_text = past.value_text
    LEFT JOIN kidney_day
        ON kidney_day.patient_id = past.patient_id AND kidney_day.collected_on = past.collected_on
    LEFT JOIN (
        SELECT DISTINCT
            egfr.patient_id,
            egfr.collected_on,
        FROM facts.egfr AS egfr
        SEMI JOIN past ON past.patient_id = egfr.patient_id
    ) AS asked_day
        ON asked_day.patient_id = past.patient_id AND asked_day.collected_on = past.collected_on
    LEFT JOIN core.patient AS patient ON patient.patient_id = past.patient_id
),
settled AS (
    SELECT
        judged.* EXCLUDE (withdrawn_on, stands),
        CASE
            -- Once, and again where a list had named it anew since.
            WHEN NOT judged.stands AND coalesce(judged.withdrawn_on <= judged.listed_on, TRUE) THEN as_of()
            -- A result that stands again may be taken back again, once the first time is acknowledged.
            WHEN judged.stands AND judged.withdrawn_on <= judged.acknowledged_on THEN NULL
            ELSE judged.withdrawn_on
        END AS withdrawn_on,
    FROM judged
)
SELECT
    settled.item_id,
    settled.patient_id,
    settled.clinic_id,
    settled.analyte,
    settled.collected_on,
    settled.value_text,
    settled.listed_on,
    settled.withdrawn_on,
    waits(settled.withdrawn_on, settled.acknowledged_on) AS waits,
    -- Of a value that several lists named, those are told that named it last.
    settled.withdrawn_on = as_of() AND max(settled.listed_on) OVER of_clinic < max(settled.listed_on) OVER of_value
        AS is_told_elsewhere,
FROM settled
WINDOW
    of_value AS (
        PARTITION BY
            settled.patient_id,
            settled.analyte,
            settled.collected_on,
            settled.value_text,
            settled.withdrawn_on
    ),
    of_clinic AS (
        PARTITION BY
            settled.patient_id,
            settled.analyte,
            settled.collected_on,
            settled.value_text,
            settled.withdrawn_on,
            settled.clinic_id
    )
