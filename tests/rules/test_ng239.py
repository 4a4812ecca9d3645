"""Section 9 of the clinical specification, typed a second time, over every combination."""

import itertools

import pytest

from b12screen.rules import Ruleset, load_ruleset

YES, NO, UNKNOWN = "yes", "no", "unknown"
START = ("confirmed", "probable")


@pytest.fixture(scope="module")
def ng239() -> Ruleset:
    return load_ruleset("ng239-2024")


def by_the_specification(
    basis: str, mma: str, hcy: str, gate: str, b12: str, marked: str, nitrous_oxide: str
) -> str:
    """The status: B12 first; markers only after a borderline B12 or nitrous oxide."""
    raised = YES in (mma, hcy)
    if basis == "baseline" and mma == hcy == b12 == UNKNOWN:
        return "on_treatment"
    if b12 == "low":
        return "confirmed"
    if nitrous_oxide == YES and raised:
        return "probable"
    if nitrous_oxide == YES and mma == hcy == UNKNOWN:
        return "indeterminate"
    if b12 == "borderline" and mma == YES:
        if gate == "open":
            return "confirmed"
        return "renal_confounded" if gate == "closed" and marked != YES else "probable"
    if b12 == "borderline" and hcy == YES:
        if mma == NO:
            return "homocysteine_only"
        return "renal_confounded" if gate == "closed" else "probable"
    if b12 == "borderline":
        return "unlikely" if mma == NO else "indeterminate"
    if nitrous_oxide == YES:
        return "unlikely"
    if b12 == "adequate":
        return "not_shown"
    return "possible" if raised else "not_assessed"


def test_every_combination_is_decided_as_the_specification_says(ng239: Ruleset) -> None:
    table = ng239.decisions["functional_status"]
    for words in itertools.product(*(table.words[ask] for ask in table.asks)):
        assert table.verdicts[words].outcome == by_the_specification(*words), words


def test_the_limits_of_b12_are_those_of_the_specification(ng239: Ruleset) -> None:
    limits = {
        name: (each.form, each.value)
        for name, each in ng239.thresholds.items()
        if each.analyte in ("b12", "holotc")
    }
    assert limits == {
        "b12_low": ("below", 133),
        "b12_borderline": ("at_or_below", 258),
        "holotc_low": ("below", 25),
        "holotc_borderline": ("at_or_below", 70),
    }


def test_the_review_is_at_3_months_or_1_in_pregnancy_and_then_by_response(ng239: Ruleset) -> None:
    planned = [
        (each.months, each.yearly_from, set(each.when["pregnant"]), set(each.when["response"]))
        for each in ng239.milestones
    ]
    everybody = {"yes", "no", "unknown"}
    every_response = set(ng239.words["response"].words)
    good = {"at_target", "responding", "best_achievable"}
    assert planned == [
        (1, False, {"yes"}, every_response),
        (3, False, {"no", "unknown"}, every_response),
        (12, True, everybody, every_response - good),
    ]


def test_b12_is_not_repeated(ng239: Ruleset) -> None:
    assert set(ng239.panel.tests) == {"hb", "mcv", "mma", "hcy"}


def test_the_treatment_is_that_of_praxis_but_for_two_rows(ng239: Ruleset, ruleset: Ruleset) -> None:
    """A low B12 is confirmed here, so whoever praxis lists by RG13 is listed by a start row.

    Where a raised marker does not decide, neurological involvement still asks for tests.
    """
    theirs = ruleset.decisions["regimen"]
    for words, verdict in ng239.decisions["regimen"].verdicts.items():
        facts = dict(zip(theirs.asks, words, strict=True))
        if (facts["functional_status"], facts["b12_level"]) == ("possible", "low"):
            continue
        if (
            facts["untreated"] == YES
            and facts["functional_status"] == "not_shown"
            and facts["neuro"] == "recorded"
            and facts["markers_raised"] == YES
        ):
            priority = 1 if facts["neuro_definite"] == YES else 2
            assert (verdict.rule_id, verdict.priority) == ("RG10", priority), facts
            continue
        expected = theirs.decide(**facts)
        assert (verdict.rule_id, verdict.outcome, verdict.priority) == (
            expected.rule_id,
            expected.outcome,
            expected.priority,
        ), facts


def test_every_other_decision_is_that_of_praxis(ng239: Ruleset, ruleset: Ruleset) -> None:
    for name, table in ruleset.decisions.items():
        if name not in ("functional_status", "regimen"):
            assert ng239.decisions[name] == table, name


def test_oral_b12_is_named_for_a_dietary_cause_and_never_with_neurological_involvement(
    ng239: Ruleset,
) -> None:
    for rule in ("RG3", "RG4"):
        assert "where the cause is dietary, consider oral B12" in ng239.rules[rule].text
    for rule in ("RG1", "RG2"):
        assert "oral" not in ng239.rules[rule].text


def test_what_was_not_checked_against_the_guideline_is_an_assumption(ng239: Ruleset) -> None:
    for name in ("RG3", "RG4", "RC1", "RC2"):
        assert "not checked" in ng239.rules[name].grounds.assumption
    assert "not checked" in ng239.panel.grounds.assumption
