-- One row per person with an episode, of route screened or pregnant: the recheck that counts now.
-- A milestone is done when the whole panel was collected in its window, or when a later one is done. The
-- latest one that is due counts; once it is done, the first later one that is not. Lapsed treatment goes on
-- being rechecked. A milestone that the rules do not plan for somebody's response bounds the window of the
-- one before it, but is never asked for; somebody for whom none is planned any more has no row.
WITH episode AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        episode.start_not_seen,
        patient.pregnant,
        response.response,
    FROM facts.b12_episode AS episode
    INNER JOIN decisions.screening AS screening
        ON screening.patient_id = episode.patient_id AND screening.route IN ('screened', 'pregnant')
    INNER JOIN facts.patient AS patient ON patient.patient_id = episode.patient_id
    INNER JOIN decisions.response AS response ON response.patient_id = episode.patient_id
),
named_milestone AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        milestone.milestone,
        milestone.months,
        list_contains(milestone.response, episode.response) AS planned,
    FROM episode
    INNER JOIN rules.milestone AS milestone
        ON (milestone.yearly_from OR NOT episode.start_not_seen)
        AND list_contains(milestone.pregnant, episode.pregnant)
),
-- Years beyond the night: one that may be done already, one to wait for, one that ends the last window.
later_milestone AS (
    SELECT
        episode.patient_id,
        episode.started_on,
        milestone.months + yearly.n * unnest(
            range(
                1, 2 + CAST(floor(date_diff('month', episode.started_on, as_of()) / yearly.n) AS BIGINT) + 2
            )
        ) AS months,
        list_contains(milestone.response, episode.response) AS planned,
    FROM episode
    CROSS JOIN (SELECT period.n FROM rules.period AS period WHERE period.period_id = 'recheck_yearly') AS yearly
    INNER JOIN rules.milestone AS milestone
        ON milestone.yearly_from AND list_contains(milestone.pregnant, episode.pregnant)
),
dated_milestone AS (
    SELECT
        every_milestone.patient_id,
        every_milestone.milestone,
        every_milestone.months,
        every_milestone.planned,
        CAST(every_milestone.started_on + to_months(CAST(every_milestone.months AS INTEGER)) AS DATE) AS due_on,
    FROM (
        SELECT
            named_milestone.patient_id,
            named_milestone.started_on,
            named_milestone.milestone,
            named_milestone.months,
            named_milestone.planned,
        FROM named_milestone
        UNION ALL
        SELECT
            later_milestone.patient_id,
            later_milestone.started_on,
            later_milestone.months || ' months' AS milestone,
            later_milestone.months,
            later_milestone.planned,
        FROM later_milestone
    ) AS every_milestone
),
windowed AS (
    SELECT
        dated_milestone.*,
        before(dated_milestone.due_on, 'recheck_window') AS from_on,
        before(
            lead(dated_milestone.due_on) OVER (
                PARTITION BY dated_milestone.patient_id ORDER BY dated_milestone.months
            ),
            'recheck_window'
        ) AS until_on,
    FROM dated_milestone
),
panel_result AS (
    SELECT DISTINCT
        result.patient_id,
        result.analyte,
        result.collected_on,
    FROM facts.result AS result
    SEMI JOIN episode ON episode.patient_id = result.patient_id
    SEMI JOIN rules.panel_test AS panel ON panel.analyte = result.analyte
),
collected AS (
    SELECT
        windowed.patient_id,
        windowed.months,
        list(DISTINCT panel_result.analyte) AS analytes,
    FROM windowed
    INNER JOIN panel_result
        ON panel_result.patient_id = windowed.patient_id
        AND panel_result.collected_on >= windowed.from_on
        AND panel_result.collected_on < windowed.until_on
    GROUP BY windowed.patient_id, windowed.months
),
panel AS (
    SELECT list(panel_test.analyte ORDER BY panel_test.position) AS analytes
    FROM rules.panel_test AS panel_test
),
missing AS (
    SELECT
        windowed.*,
        list_filter(
            panel.analytes, lambda analyte: NOT list_contains(coalesce(collected.analytes, []), analyte)
        ) AS analytes,
    FROM windowed
    LEFT JOIN collected
        ON collected.patient_id = windowed.patient_id AND collected.months = windowed.months
    CROSS JOIN panel
    WHERE windowed.until_on IS NOT NULL
),
judged AS (
    SELECT
        missing.*,
        bool_or(len(missing.analytes) = 0) OVER (
            PARTITION BY missing.patient_id
            ORDER BY missing.months
            ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS done,
        max(missing.months) FILTER (WHERE missing.due_on <= as_of()) OVER (PARTITION BY missing.patient_id)
            AS latest_due_months,
    FROM missing
),
counted AS (
    SELECT
        judged.*,
        count(*) FILTER (WHERE judged.planned AND NOT judged.done) OVER (
            PARTITION BY judged.patient_id
            ORDER BY judged.months
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS n_missed,
    FROM judged
),
chosen AS (
    SELECT counted.*
    FROM counted
    WHERE counted.planned AND NOT counted.done AND counted.months >= coalesce(counted.latest_due_months, 0)
    QUALIFY row_number() OVER (PARTITION BY counted.patient_id ORDER BY counted.months) = 1
)
SELECT
    chosen.patient_id,
    chosen.milestone,
    chosen.due_on,
    CASE
        WHEN after(chosen.due_on, 'recheck_grace') < as_of() THEN 'overdue'
        WHEN chosen.due_on <= as_of() OR before(chosen.due_on, 'recheck_horizon') <= as_of() THEN 'due'
        ELSE 'scheduled'
    END AS recheck_state,
    CASE
        WHEN after(chosen.due_on, 'recheck_grace') < as_of() THEN as_of() - chosen.due_on
        ELSE 0
    END AS days_overdue,
    array_to_string(chosen.analytes, ',') AS missing,
    chosen.n_missed,
FROM chosen
