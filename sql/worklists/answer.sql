-- One row per answered item and giver, of clinics each: the answer, what was seen when it was given, and what ended it.
-- A clinic answers a row of its sheet; the site puts an action off as a whole, at every clinic. What has ended
-- an answer ends it for good: the row stays on the list until it is answered again. What is worse ends it also
-- on a night that asks for another row instead; the answer is kept for the night that asks for it again.
WITH newest_deferral AS (
    SELECT
        deferral.*,
    FROM core.deferral AS deferral
    WHERE deferral.declared_on <= as_of()
    QUALIFY row_number() OVER (PARTITION BY deferral.action ORDER BY deferral.number DESC) = 1
),
given AS (
    SELECT
        said.item_id,
        'clinic' AS given_by,
        said.clinic_id,
        said.decision,
        said.decision_note,
        said.decided_on,
        said.seen_on,
        said.until,
        said.file_name,
        said.record,
        said.taken_for,
        said.seen_priority,
        said.seen_mma_nmol_l,
        said.seen_hcy_umol_l,
        said.ended_on,
        said.ended_by,
    FROM worklists.said AS said
    UNION ALL BY NAME
    SELECT
        proposal.item_id,
        'site' AS given_by,
        CASE WHEN known.item_id IS NULL THEN proposal.clinic_id ELSE known.clinic_id END AS clinic_id,
        'deferred' AS decision,
        deferral.reason AS decision_note,
        deferral.declared_on AS decided_on,
        deferral.declared_on AS seen_on,
        -- Each row of an action comes back on its own day, the same on every night.
        CAST(
            deferral.until
            + to_days(CAST(mod(md5_number_lower(proposal.item_id), CAST(deferral.spread_days AS UBIGINT)) AS INTEGER))
            AS DATE
        ) AS until,
        'defer' AS file_name,
        deferral.number AS record,
        deferral.taken_for,
        CASE WHEN known.item_id IS NULL THEN coalesce(standing.priority, proposal.priority) ELSE known.seen_priority END
            AS seen_priority,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.seen_mma_nmol_l
            WHEN standing.item_id IS NOT NULL THEN standing.mma_nmol_l
            ELSE proposal.mma_nmol_l
        END AS seen_mma_nmol_l,
        CASE
            WHEN known.item_id IS NOT NULL THEN known.seen_hcy_umol_l
            WHEN standing.item_id IS NOT NULL THEN standing.hcy_umol_l
            ELSE proposal.hcy_umol_l
        END AS seen_hcy_umol_l,
        known.ended_on,
        known.ended_by,
    FROM worklists.proposal AS proposal
    INNER JOIN newest_deferral AS deferral ON deferral.action = proposal.action
    LEFT JOIN history.answer AS known
        ON known.item_id = proposal.item_id AND known.given_by = 'site' AND known.record = deferral.number
    LEFT JOIN worklists.standing AS standing ON standing.item_id = proposal.item_id
    WHERE proposal.priority <> 1 OR known.item_id IS NOT NULL
    UNION ALL BY NAME
    -- What ended it is remembered on a night that does not ask for the row.
    SELECT
        past.item_id,
        past.given_by,
        past.clinic_id,
        past.decision,
        past.decision_note,
        past.decided_on,
        past.seen_on,
        past.file_name,
        past.record,
        past.taken_for,
        past.seen_priority,
        past.seen_mma_nmol_l,
        past.seen_hcy_umol_l,
        past.ended_on,
        past.ended_by,
    FROM history.answer AS past
    SEMI JOIN newest_deferral ON newest_deferral.number = past.record
    ANTI JOIN worklists.proposal AS proposal ON proposal.item_id = past.item_id
    WHERE past.given_by = 'site'
),
weighed AS (
    SELECT
        given.*,
        coalesce(proposal.patient_id, standing.patient_id) AS patient_id,
        proposal.item_id IS NOT NULL AS is_asked,
        -- Not asked for, a row stands where it was last.
        CASE WHEN proposal.item_id IS NOT NULL THEN proposal.clinic_id ELSE standing.clinic_id END
            IS DISTINCT FROM given.clinic_id AS is_elsewhere,
        coalesce(proposal.refused_by, proposal.clinic_id) AS recorded_at,
        proposal.priority,
        patient.mma_raised,
        patient.mma_nmol_l,
        patient.mma_comparator,
        patient.hcy_raised,
        patient.hcy_umol_l,
        patient.hcy_comparator,
        coalesce(patient.basis = 'baseline', FALSE) AS on_treatment,
        -- What may keep a row off the list, and how. Only its acknowledgement ends a withdrawal.
        CASE
            WHEN given.decision IN ('declined', 'deferred') THEN 'rest'
            WHEN
                given.decision IN ('done', 'already_treated')
                AND coalesce(proposal.action, standing.action) <> 'result_withdrawn'
                THEN 'done'
        END AS effect,
    FROM given
    LEFT JOIN worklists.proposal AS proposal ON proposal.item_id = given.item_id
    LEFT JOIN worklists.standing AS standing ON standing.item_id = given.item_id
    LEFT JOIN facts.patient AS patient ON patient.patient_id = coalesce(proposal.patient_id, standing.patient_id)
),
-- On treatment the facts keep the results of before it: what rises there is the newest result, over the newest
-- one that was known on the night of the sheet. Only where it might hold the row is an answer looked at.
treated AS (
    SELECT
        weighed.item_id,
        weighed.given_by,
        weighed.patient_id,
        weighed.seen_on,
    FROM weighed
    WHERE weighed.on_treatment
        AND weighed.effect IS NOT NULL
        AND (weighed.given_by = 'site' OR NOT weighed.is_elsewhere)
),
known_marker AS (
    SELECT
        treated.item_id,
        treated.given_by,
        result.analyte,
        arg_max(
            result.value,
            row(
                result.collected_at,
                coalesce(result.reported_at, TIMESTAMP '-infinity'),
                result.result_id,
                result.laboratory
            )
        ) AS value,
    FROM treated
    INNER JOIN core.lab_result AS result ON result.patient_id = treated.patient_id
    WHERE result.analyte IN ('mma', 'hcy')
        AND speaks(result.status)
        AND result.value IS NOT NULL
        AND greatest(result.taken_for, result.collected_on) <= treated.seen_on
    GROUP BY treated.item_id, treated.given_by, result.analyte
),
-- The newest one, where it came since. What was known of its day and has been corrected is not there any more;
-- what a list named of that day is.
newer AS (
    SELECT DISTINCT
        treated.item_id,
        treated.given_by,
        treated.patient_id,
        treated.seen_on,
        latest.analyte,
        latest.comparator,
        latest.value,
        latest.collected_on,
    FROM treated
    INNER JOIN facts.latest AS latest ON latest.patient_id = treated.patient_id
    INNER JOIN core.lab_result AS result
        ON result.patient_id = latest.patient_id
        AND result.analyte = latest.analyte
        AND result.collected_at = latest.collected_at
        AND result.value = latest.value
    WHERE latest.analyte IN ('mma', 'hcy')
        AND speaks(result.status)
        AND greatest(result.taken_for, result.collected_on) > treated.seen_on
),
named_marker AS (
    SELECT
        newer.item_id,
        newer.given_by,
        newer.analyte,
        arg_max(ground.value_text, row(ground.listed_on, ground.value_text)) AS value_text,
    FROM newer
    INNER JOIN history.ground AS ground
        ON ground.patient_id = newer.patient_id
        AND ground.analyte = newer.analyte
        AND ground.collected_on = newer.collected_on
        -- What an earlier run of tonight named was not seen before tonight.
        AND ground.listed_on < as_of()
    WHERE newer.collected_on <= newer.seen_on
    GROUP BY newer.item_id, newer.given_by, newer.analyte
),
compared_marker AS (
    SELECT
        newer.item_id,
        newer.given_by,
        newer.analyte,
        newer.comparator,
        newer.value,
        coalesce(CAST(ltrim(named_marker.value_text, '<>') AS DOUBLE), known_marker.value) AS seen_value,
    FROM newer
    LEFT JOIN known_marker
        ON known_marker.item_id = newer.item_id
        AND known_marker.given_by = newer.given_by
        AND known_marker.analyte = newer.analyte
    LEFT JOIN named_marker
        ON named_marker.item_id = newer.item_id
        AND named_marker.given_by = newer.given_by
        AND named_marker.analyte = newer.analyte
),
-- Where nothing was known, a raised one is news.
risen AS (
    SELECT DISTINCT
        newer.item_id,
        newer.given_by,
    FROM compared_marker AS newer
    WHERE newer.comparator <> '<'
        AND (
            reaches(newer.value, quantity('marker_worse') * newer.seen_value)
            OR (
                newer.seen_value IS NULL
                AND CASE newer.analyte
                    WHEN 'mma' THEN meets('mma_raised', newer.value, newer.comparator)
                    ELSE meets('hcy_raised', newer.value, newer.comparator)
                END = 'yes'
            )
        )
),
-- The last dose or result recorded since a row was answered as done.
recorded AS (
    SELECT
        seen.patient_id,
        max(seen.recorded_on) AS recorded_on,
    FROM (
        SELECT
            result.patient_id,
            result.collected_on AS recorded_on,
        FROM core.lab_result AS result
        SEMI JOIN weighed ON weighed.patient_id = result.patient_id AND weighed.effect = 'done'
        WHERE speaks(result.status) AND result.collected_on <= as_of()
        UNION ALL
        SELECT
            episode.patient_id,
            episode.last_dose_on AS recorded_on,
        FROM facts.b12_episode AS episode
    ) AS seen
    GROUP BY seen.patient_id
),
dated AS (
    SELECT
        weighed.*,
        CASE
            WHEN NOT weighed.is_asked THEN NULL
            WHEN weighed.effect = 'rest'
                THEN least(
                    coalesce(weighed.until, after(weighed.decided_on, 'rest')),
                    CASE
                        WHEN weighed.priority = 1 THEN after(weighed.decided_on, 'rest_longest_first')
                        ELSE after(weighed.decided_on, 'rest_longest')
                    END
                )
            WHEN weighed.effect = 'done'
                THEN least(
                    CASE
                        WHEN weighed.priority = 1
                            THEN after(greatest(weighed.decided_on, recorded.recorded_on), 'done_first')
                        ELSE after(greatest(weighed.decided_on, recorded.recorded_on), 'done')
                    END,
                    CASE
                        WHEN weighed.priority = 1 THEN after(weighed.decided_on, 'rest_longest_first')
                        ELSE after(weighed.decided_on, 'rest_longest')
                    END
                )
        END AS back_on,
        coalesce(new_finding.found_on > weighed.seen_on, FALSE)
        OR coalesce(weighed.priority < weighed.seen_priority, FALSE)
        OR marker_worse(
            weighed.mma_raised, weighed.mma_nmol_l, weighed.mma_comparator, weighed.seen_mma_nmol_l
        )
        OR marker_worse(
            weighed.hcy_raised, weighed.hcy_umol_l, weighed.hcy_comparator, weighed.seen_hcy_umol_l
        )
        OR risen.item_id IS NOT NULL AS worse,
    FROM weighed
    LEFT JOIN risen ON risen.item_id = weighed.item_id AND risen.given_by = weighed.given_by
    LEFT JOIN recorded ON recorded.patient_id = weighed.patient_id
    LEFT JOIN (
        SELECT
            finding.patient_id,
            max(finding.found_on) AS found_on,
        FROM worklists.new_finding AS finding
        GROUP BY finding.patient_id
    ) AS new_finding ON new_finding.patient_id = weighed.patient_id
),
ended AS (
    SELECT
        dated.*,
        CASE
            WHEN dated.ended_by IS NOT NULL THEN dated.ended_by
            WHEN dated.decision = 'not_our_patient'
                THEN CASE WHEN dated.recorded_at <> dated.clinic_id THEN 'moved' END
            WHEN dated.effect IS NULL THEN NULL
            WHEN dated.given_by = 'clinic' AND dated.is_elsewhere THEN CASE WHEN dated.is_asked THEN 'moved' END
            WHEN dated.worse OR (dated.given_by = 'site' AND dated.priority = 1) THEN 'worse'
            WHEN dated.back_on <= as_of() THEN 'day'
        END AS ends_by,
    FROM dated
)
SELECT
    ended.item_id,
    ended.given_by,
    ended.clinic_id,
    ended.decision,
    ended.decision_note,
    ended.decided_on,
    ended.seen_on,
    ended.back_on,
    ended.file_name,
    ended.record,
    ended.taken_for,
    ended.seen_priority,
    ended.seen_mma_nmol_l,
    ended.seen_hcy_umol_l,
    CASE WHEN ended.ends_by IS NOT NULL THEN coalesce(ended.ended_on, as_of()) END AS ended_on,
    ended.ends_by AS ended_by,
    ended.is_asked AND ended.effect IS NOT NULL AND ended.ends_by IS NULL AS holds,
FROM ended
