-- One row per person with a haemoglobin or MCV of the look-back: the latest of each.
-- kept: no
WITH newest AS (
    SELECT
        result.patient_id,
        arg_max(
            {'value': result.value, 'comparator': result.comparator, 'collected_on': result.collected_on},
            result.collected_at
        ) FILTER (WHERE result.analyte = 'hb') AS hb,
        arg_max(
            {'value': result.value, 'comparator': result.comparator, 'collected_on': result.collected_on},
            result.collected_at
        ) FILTER (WHERE result.analyte = 'mcv') AS mcv,
    FROM facts.result AS result
    WHERE result.analyte IN ('hb', 'mcv') AND result.collected_on >= before(as_of(), 'look_back')
    GROUP BY result.patient_id
)
SELECT
    newest.patient_id,
    newest.hb.value AS hb_g_l,
    newest.hb.comparator AS hb_comparator,
    newest.hb.collected_on AS hb_on,
    newest.mcv.value AS mcv_fl,
    newest.mcv.comparator AS mcv_comparator,
    newest.mcv.collected_on AS mcv_on,
FROM newest
