-- One row per person with an episode: what the rules ask about a course of treatment.
-- kept: no
WITH first_record AS (
    SELECT
        coded.patient_id,
        min(coded.code) AS code,
        coded.code_system,
        min(coded.recorded_on) AS first_recorded_on,
        bool_or(coded.standing) AS standing,
    FROM facts.coded_condition AS coded
    SEMI JOIN facts.b12_episode AS episode ON episode.patient_id = coded.patient_id
    WHERE coded.tier IN ('definite', 'likely')
    GROUP BY coded.patient_id, coded.plain_code, coded.code_system
),
new_code AS (
    SELECT
        first_record.patient_id,
        arg_max(
            code_text(first_record.code, first_record.first_recorded_on),
            row(first_record.first_recorded_on, first_record.code, first_record.code_system)
        ) AS new_code,
    FROM first_record
    INNER JOIN facts.b12_episode AS episode ON episode.patient_id = first_record.patient_id
    WHERE first_record.standing AND first_record.first_recorded_on > episode.started_on
    GROUP BY first_record.patient_id
),
latest_mma AS (
    SELECT
        latest.patient_id,
        latest.value,
        latest.comparator,
        latest.collected_on,
    FROM facts.latest AS latest
    INNER JOIN facts.b12_episode AS episode ON episode.patient_id = latest.patient_id
    WHERE
        latest.analyte = 'mma'
        AND latest.collected_on >= after(episode.started_on, 'mma_on_treatment')
)
SELECT
    episode.patient_id,
    episode.started_on,
    episode.last_dose_on,
    episode.last_dose_assumed,
    episode.last_parenteral_dose_on,
    episode.next_dose_due_on,
    episode.n_parenteral_doses,
    CASE
        WHEN episode.n_parenteral_doses >= quantity('established_doses') THEN 'yes'
        ELSE patient.irreversible_cause
    END AS established,
    CASE
        WHEN episode.oral_cover OR episode.last_parenteral_dose_on IS NULL THEN 'not_parenteral'
        WHEN episode.next_dose_due_on <= as_of() THEN 'due'
        ELSE 'not_due'
    END AS maintenance_dose,
    CASE WHEN new_code.patient_id IS NOT NULL THEN 'yes' ELSE coverage.neuro END AS new_neuro_code,
    new_code.new_code,
    meets('mma_marked', latest_mma.value, latest_mma.comparator) AS mma_marked_on_treatment,
    result_text(
        'mma', latest_mma.value, latest_mma.comparator, latest_mma.collected_on
    ) AS latest_mma_text,
    CASE
        WHEN episode.start_not_seen THEN 'outside'
        WHEN
            episode.started_parenteral
            AND episode.n_parenteral_doses < quantity('loading_doses')
            AND after(episode.started_on, 'loading_first') <= as_of()
            AND after(episode.started_on, 'loading_last') >= as_of()
            THEN 'incomplete'
        WHEN
            episode.n_parenteral_doses >= quantity('loading_doses')
            AND after(episode.started_on, 'loading_review_first') <= as_of()
            AND after(episode.started_on, 'loading_review_last') >= as_of()
            THEN 'complete'
        ELSE 'outside'
    END AS loading_state,
    CASE WHEN after(episode.started_on, 'anaemia_review') <= as_of() THEN 'yes' ELSE 'no' END
        AS episode_80_days,
    blood_abnormal_from(
        after(episode.started_on, 'anaemia_review'),
        patient.anaemia,
        patient.hb_on,
        patient.macrocytosis,
        patient.mcv_on
    ) AS blood_abnormal,
FROM facts.b12_episode AS episode
INNER JOIN facts.patient AS patient ON patient.patient_id = episode.patient_id
LEFT JOIN new_code ON new_code.patient_id = episode.patient_id
LEFT JOIN latest_mma ON latest_mma.patient_id = episode.patient_id
CROSS JOIN facts.condition_coverage AS coverage
