-- One row per person with a dose of B12: the current episode of treatment.
-- An episode begins at the first dose and again after a year without one; the last one is current. A
-- start soon after the medications feed became complete may not be the true start.
WITH course AS (
    SELECT
        course.*,
        max(course.last_on) OVER (
            PARTITION BY course.patient_id
            ORDER BY course.first_on, course.medication_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS dose_before_on,
    FROM facts.b12_course AS course
),
beginning AS (
    SELECT
        course.patient_id,
        max(course.first_on) AS started_on,
    FROM course
    WHERE course.dose_before_on IS NULL OR course.first_on > after(course.dose_before_on, 'episode_gap')
    GROUP BY course.patient_id
),
episode AS (
    SELECT
        course.patient_id,
        beginning.started_on,
        max(course.last_on) AS last_dose_on,
        -- A dose that is recorded on the same day is none that is only assumed.
        arg_max(course.without_end, row(course.last_on, NOT course.without_end)) AS last_dose_assumed,
        max(course.first_on) FILTER (WHERE course.parenteral) AS last_parenteral_dose_on,
        count(DISTINCT course.first_on) FILTER (WHERE course.parenteral) AS n_parenteral_doses,
        bool_or(course.parenteral AND course.first_on = beginning.started_on) AS started_parenteral,
        bool_or(course.covers_night) AS oral_cover,
    FROM course
    INNER JOIN beginning ON beginning.patient_id = course.patient_id
    WHERE course.first_on >= beginning.started_on
    GROUP BY course.patient_id, beginning.started_on
),
-- Neurological involvement shortens the interval, also where its code was resolved meanwhile.
neuro_episode AS (
    SELECT DISTINCT episode.patient_id
    FROM episode
    INNER JOIN facts.coded_condition AS coded
        ON coded.patient_id = episode.patient_id
        AND coded.tier IN ('definite', 'likely')
        AND coded.recorded_on >= before(episode.started_on, 'neuro_recent')
),
dated AS (
    SELECT
        episode.*,
        CASE
            WHEN neuro.neuro = 'recorded' OR neuro_episode.patient_id IS NOT NULL
                THEN after(episode.last_parenteral_dose_on, 'interval_neuro')
            ELSE after(episode.last_parenteral_dose_on, 'interval')
        END AS next_dose_due_on,
    FROM episode
    INNER JOIN facts.neuro AS neuro ON neuro.patient_id = episode.patient_id
    LEFT JOIN neuro_episode ON neuro_episode.patient_id = episode.patient_id
)
SELECT
    dated.patient_id,
    dated.started_on,
    dated.last_dose_on,
    dated.last_dose_assumed,
    dated.last_parenteral_dose_on,
    dated.next_dose_due_on,
    dated.n_parenteral_doses,
    dated.started_parenteral,
    dated.oral_cover,
    coalesce(
        dated.started_on >= night.medications_complete_from
        AND dated.started_on <= after(night.medications_complete_from, 'start_not_seen'),
        FALSE
    ) AS start_not_seen,
    CASE
        WHEN
            dated.oral_cover
            OR coalesce(after(dated.next_dose_due_on, 'lapse_grace') >= as_of(), FALSE)
            THEN 'active'
        ELSE 'lapsed'
    END AS b12_treatment,
FROM dated
CROSS JOIN run.night AS night
