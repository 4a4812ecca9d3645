-- One row per person and finding that wakes a resting row: the night or day it came, whichever is later.
-- kept: no
-- Only of people with a row that was answered: nobody else is asked, and the results are many.
WITH answered AS (
    SELECT proposal.patient_id
    FROM worklists.proposal AS proposal
    SEMI JOIN worklists.said AS said ON said.item_id = proposal.item_id
    UNION
    SELECT proposal.patient_id
    FROM worklists.proposal AS proposal
    SEMI JOIN core.deferral AS deferral ON deferral.action = proposal.action
)
SELECT
    coded.patient_id,
    max(greatest(condition.taken_for, condition.recorded_on)) AS found_on,
FROM facts.coded_condition AS coded
SEMI JOIN answered ON answered.patient_id = coded.patient_id
INNER JOIN core.condition AS condition
    ON condition.patient_id = coded.patient_id
    AND condition.code_system = coded.code_system
    AND condition.code = coded.code
    AND condition.recorded_on = coded.recorded_on
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
