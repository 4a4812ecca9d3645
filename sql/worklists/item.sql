-- One row per item and clinic, open, at rest, or closed in the last year: tonight's rows against earlier nights.
-- A row that is not on a list any more is at rest by an answer or closed with the reason that explains it
-- best; nothing vanishes. An item that moves to another clinic is closed at the one and new at the other.
WITH held_before AS (
    SELECT
        past.item_id,
        min(past.given_by) AS given_by,
    FROM history.answer AS past
    WHERE past.holds
    GROUP BY past.item_id
),
holding AS (
    SELECT
        answer.*,
        answer.given_by = 'clinic' OR coalesce(held_before.given_by = 'site', FALSE) AS shows_seen,
    FROM worklists.answer AS answer
    LEFT JOIN held_before ON held_before.item_id = answer.item_id
    WHERE answer.holds
    QUALIFY row_number() OVER (PARTITION BY answer.item_id ORDER BY answer.given_by) = 1
),
-- What an item rests on: if any of it differs from the night before, the item is `changed`.
compared AS (
    SELECT
        proposal.item_id,
        past.item_id IS NULL AS unseen,
        past.item_state <> 'open' AS was_away,
        past.close_reason AS past_reason,
        past.closed_on AS past_closed_on,
        past.state AS past_state,
        standing.first_listed_on,
        (
            proposal.rule_id, proposal.priority, proposal.functional_status, proposal.neuro,
            proposal.kidney, proposal.mma_nmol_l, proposal.mma_on, proposal.hcy_umol_l,
            proposal.hcy_on, proposal.b12_pmol_l, proposal.b12_on, proposal.egfr_ml_min,
            proposal.egfr_on,
        ) IS DISTINCT FROM (
            past.rule_id, past.priority, past.functional_status, past.neuro,
            past.kidney, past.mma_nmol_l, past.mma_on, past.hcy_umol_l,
            past.hcy_on, past.b12_pmol_l, past.b12_on, past.egfr_ml_min,
            past.egfr_on,
        )
        -- Not every value has its column: what the reason names counts as well, be it a test that is missing, a
        -- code or a treatment. No reason counts days, so that none differs by the passing of a night.
        OR proposal.why <> past.why AS differs,
    FROM worklists.proposal AS proposal
    LEFT JOIN history.item AS past
        ON past.item_id = proposal.item_id AND past.clinic_id IS NOT DISTINCT FROM proposal.clinic_id
    LEFT JOIN worklists.standing AS standing ON standing.item_id = proposal.item_id
),
-- A row at rest shows what was seen when it was answered, so that it can be held against what comes. What the
-- site puts off tonight shows tonight's: nobody has seen it, and of priority 1 it may have been until now.
row_of AS (
    SELECT
        proposal.* EXCLUDE (anchor, refused_by),
    FROM worklists.proposal AS proposal
    LEFT JOIN holding ON holding.item_id = proposal.item_id
    LEFT JOIN compared ON compared.item_id = proposal.item_id
    WHERE holding.item_id IS NULL OR compared.unseen OR NOT holding.shows_seen
    UNION ALL BY NAME
    SELECT
        past.* EXCLUDE (
            state, first_listed_on, as_of, decision, decision_note, until, item_state, closed_on, close_reason
        ),
    FROM history.item AS past
    INNER JOIN worklists.proposal AS proposal
        ON proposal.item_id = past.item_id AND proposal.clinic_id IS NOT DISTINCT FROM past.clinic_id
    SEMI JOIN holding ON holding.item_id = past.item_id AND holding.shows_seen
),
standing_item AS (
    SELECT
        row_of.*,
        CASE
            WHEN compared.unseen THEN 'new'
            WHEN holding.item_id IS NOT NULL THEN compared.past_state
            WHEN compared.was_away THEN 'reopened'
            WHEN compared.differs THEN 'changed'
            ELSE 'carried'
        END AS state,
        coalesce(compared.first_listed_on, night.as_of) AS first_listed_on,
        night.as_of,
        holding.decision,
        holding.decision_note,
        holding.back_on AS until,
        CASE
            WHEN holding.item_id IS NULL THEN 'open'
            WHEN holding.decision IN ('done', 'already_treated') THEN 'closed'
            ELSE 'resting'
        END AS item_state,
        CASE
            WHEN holding.decision IN ('done', 'already_treated')
                THEN CASE
                    WHEN compared.past_reason = holding.decision THEN compared.past_closed_on
                    ELSE night.as_of
                END
        END AS closed_on,
        CASE WHEN holding.decision <> 'deferred' THEN holding.decision END AS close_reason,
    FROM row_of
    INNER JOIN compared ON compared.item_id = row_of.item_id
    LEFT JOIN holding ON holding.item_id = row_of.item_id
    CROSS JOIN run.night AS night
),
-- The night before and its rules: a row that only other rules listed was closed by their change.
night_before AS (
    SELECT
        max(past_night.as_of) AS as_of,
        arg_max(past_night.ruleset_sha256, past_night.as_of) AS ruleset_sha256,
    FROM history.night AS past_night
),
-- People of whom a row comes to a list tonight that was not on it before.
newly_listed AS (
    SELECT DISTINCT proposal.patient_id
    FROM worklists.proposal AS proposal
    INNER JOIN compared ON compared.item_id = proposal.item_id
    ANTI JOIN holding ON holding.item_id = proposal.item_id
    WHERE proposal.action <> 'result_withdrawn' AND (compared.unseen OR compared.was_away)
),
-- People of whom a dose was given, or became known, since the night before.
dosed AS (
    SELECT DISTINCT course.patient_id
    FROM facts.b12_course AS course
    INNER JOIN core.medication AS medication ON medication.medication_id = course.medication_id
    CROSS JOIN night_before
    WHERE greatest(course.first_on, medication.taken_for) > night_before.as_of
),
withdrawn AS (
    SELECT
        ground.patient_id,
        list(ground.item_id) AS item_ids,
    FROM worklists.past_ground AS ground
    WHERE ground.withdrawn_on = as_of()
    GROUP BY ground.patient_id
),
-- What the clinic that has a row said of it, in this life of the row, and what nothing had ended. What ends it
-- tonight did not take the row off the list; that it was sent back stands whoever it comes to.
own_answer AS (
    SELECT
        past.item_id,
        past.clinic_id,
        said.decision = 'not_our_patient' AND said.clinic_id IS NOT NULL AS refuses,
        CASE
            WHEN answer.ended_by IS NOT NULL THEN NULL
            WHEN said.decision IN ('done', 'already_treated', 'declined') THEN said.decision
            WHEN said.decision = 'acknowledged' AND past.action = 'result_withdrawn' THEN 'done'
        END AS closes_as,
    FROM history.item AS past
    INNER JOIN worklists.said AS said
        ON said.item_id = past.item_id
        AND said.clinic_id IS NOT DISTINCT FROM past.clinic_id
        AND said.taken_for > past.first_listed_on
    INNER JOIN worklists.answer AS answer
        ON answer.item_id = said.item_id
        AND answer.given_by = 'clinic'
        AND answer.clinic_id IS NOT DISTINCT FROM said.clinic_id
    WHERE said.ended_by IS NULL
),
left_item AS (
    SELECT
        past.* EXCLUDE (until, item_state, closed_on, close_reason),
        CAST(NULL AS DATE) AS until,
        'closed' AS item_state,
        CASE
            WHEN past.item_state = 'closed'
                AND (coalesce(elsewhere.refused_by <> past.clinic_id, TRUE) OR past.close_reason = 'not_our_patient')
                THEN past.closed_on
            ELSE night.as_of
        END AS closed_on,
        CASE
            -- Also of a row that was done: the next nights have to know that it was sent back.
            WHEN past.item_state = 'closed' AND coalesce(elsewhere.refused_by <> past.clinic_id, TRUE)
                THEN past.close_reason
            WHEN screening.route IN ('deceased', 'opted_out') THEN screening.route
            WHEN elsewhere.refused_by = past.clinic_id OR own_answer.refuses THEN 'not_our_patient'
            WHEN elsewhere.item_id IS NOT NULL THEN 'moved'
            WHEN list_contains(withdrawn.item_ids, past.item_id) THEN 'result_withdrawn'
            -- What asks for a result is not closed by a dose.
            WHEN
                dosed.patient_id IS NOT NULL
                AND past.action NOT IN (
                    'recheck_overdue', 'recheck_due', 'review_response', 'review_anaemia', 'result_withdrawn'
                )
                THEN 'treated'
            WHEN own_answer.closes_as IS NOT NULL THEN own_answer.closes_as
            WHEN night_before.ruleset_sha256 <> ruleset.sha256 THEN 'rule_change'
            -- What hung on another row of the person, as a check of the kidneys does, goes with it.
            WHEN withdrawn.patient_id IS NOT NULL THEN 'result_withdrawn'
            WHEN newly_listed.patient_id IS NOT NULL THEN 'superseded_by_action'
            ELSE 'resolved_by_result'
        END AS close_reason,
        coalesce(elsewhere.refused_by = past.clinic_id, FALSE) AS still_refused,
    FROM history.item AS past
    LEFT JOIN worklists.proposal AS elsewhere ON elsewhere.item_id = past.item_id
    LEFT JOIN decisions.screening AS screening ON screening.patient_id = past.patient_id
    LEFT JOIN newly_listed ON newly_listed.patient_id = past.patient_id
    LEFT JOIN dosed ON dosed.patient_id = past.patient_id
    LEFT JOIN withdrawn ON withdrawn.patient_id = past.patient_id
    LEFT JOIN own_answer ON own_answer.item_id = past.item_id AND own_answer.clinic_id IS NOT DISTINCT FROM past.clinic_id
    CROSS JOIN run.night AS night
    CROSS JOIN night_before
    CROSS JOIN rules.ruleset AS ruleset
    WHERE elsewhere.item_id IS NULL OR elsewhere.clinic_id IS DISTINCT FROM past.clinic_id
)
SELECT
    standing_item.*,
FROM standing_item
UNION ALL BY NAME
SELECT
    left_item.* EXCLUDE (still_refused),
FROM left_item
-- That a clinic sent a row back has to be known for as long as the row waits for another clinic.
WHERE left_item.still_refused
    OR left_item.closed_on >= (SELECT night.as_of FROM run.night AS night) - INTERVAL 365 DAY
