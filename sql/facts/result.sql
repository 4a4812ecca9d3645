-- One row per speaking result of a person with an episode, from the look-back before its start on.
-- kept: no
-- Few people have one; everybody else is asked only for the newest results of the look-back.
SELECT
    result.patient_id,
    result.analyte,
    result.comparator,
    result.value,
    result.collected_at,
    result.collected_on,
    result.reported_at,
    result.result_id,
    result.laboratory,
FROM core.lab_result AS result
INNER JOIN facts.b12_episode AS episode ON episode.patient_id = result.patient_id
WHERE
    speaks(result.status)
    AND result.value IS NOT NULL
    AND result.collected_on <= as_of()
    AND result.collected_on
    >= least(before(episode.started_on, 'look_back'), before(as_of(), 'look_back'))
