-- One row per person and finding that wakes a resting row: the night or day it came, whichever is later.
-- kept: no
-- Only of people with a row that was answered: nobody else is asked, and the results are many.
WITH answered AS (
    SELECT row_of.patient_id
    FROM (
        SELECT
            proposal.item_id,
            proposal.patient_id,
            proposal.action,
        FROM worklists.proposal AS proposal
        UNION ALL
        SELECT
            standing.item_id,
            standing.patient_id,
            standing.action,
        FROM worklists.standing AS standing
    ) AS row_of
    LEFT JOIN worklists.said AS said ON said.item_id = row_of.item_id
    LEFT JOIN core.deferral AS deferral ON deferral.action = row_of.action
    WHERE said.item_id IS NOT NULL OR deferral.action IS NOT NULL
)
SELECT
    coded.patient_id,
    max(greatest(coded.taken_for, coded.recorded_on)) AS found_on,
FROM facts.coded_condition AS coded
SEMI JOIN answered ON answered.patient_id = coded.patient_id
WHERE
    coded.standing AND (coded.condition_group = 'pregnancy' OR coded.tier IN ('definite', 'likely', 'weak'))
GROUP BY coded.patient_id
UNION ALL
SELECT
    patient.patient_id,
    max(greatest(result.taken_for, result.collected_on)) AS found_on,
FROM facts.patient AS patient
SEMI JOIN answered ON answered.patient_id = patient.patient_id
INNER JOIN core.lab_result AS result
    ON result.patient_id = patient.patient_id
    AND result.analyte = 'hb'
    AND result.collected_on = patient.hb_on
WHERE patient.severe_anaemia = 'yes' AND speaks(result.status)
GROUP BY patient.patient_id
