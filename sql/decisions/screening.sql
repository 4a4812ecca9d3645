-- One row per person: the route through the screen.
SELECT
    person.patient_id,
    screening.outcome AS route,
    screening.rule_id,
FROM facts.person AS person
INNER JOIN facts.recorded AS recorded ON recorded.patient_id = person.patient_id
INNER JOIN rules.screening AS screening
    ON screening.opted_out = person.opted_out
    AND screening.deceased = person.deceased
    AND screening.age_group = person.age_group
    AND screening.inborn_error = recorded.inborn_error
    AND screening.pregnant = recorded.pregnant
