"""Doses, episodes, intervals."""

from datetime import date, timedelta

import pytest

from .conftest import D, Decide, Decided, Person, ago


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    return decided(
        Person("none"),
        Person("three-months").injection(date(2026, 8, 6)),
        Person("a-day-late").injection(date(2026, 8, 5)),
        Person("two-months").injection(date(2026, 9, 5)).code("R20.2", ago(1500), ago(1400)),
        Person("two-months-neuro").injection(date(2026, 9, 5)).code("G32.0", ago(3000)),
        Person("month-end").injection(date(2026, 8, 31)),
        Person("antidote").injection(ago(5), dose=5.0, dose_unit="g"),
        Person("supplement").tablets(ago(50), dose=50.0, dose_unit="ug"),
        Person("unknown-dose").tablets(ago(50), dose=None, dose_unit=None),
        Person("tablets-end-tonight").tablets(ago(50), D),
        Person("tablets-end-tomorrow").tablets(ago(50), D + timedelta(days=1)),
        Person("tablets-open").tablets(ago(365)),
        Person("tablets-open-past").tablets(ago(366)),
        Person("new-episode").injection(ago(800)).injection(ago(434)),
        Person("same-episode").injection(ago(799)).injection(ago(434)),
        Person("same-day").injection(ago(20), ago(20)).medication("B03BA03", ago(20)),
        Person("dotted").medication("B03.BA.03", ago(10), kind="administration", route="im"),
        Person("small-tablet").medication("327545000", ago(50), code_system="snomed"),
        Person("small-tablet-many").medication(
            "327545000", ago(50), code_system="snomed", dose=1.0, dose_unit="mg", route="oral"
        ),
        Person("injection-by-code").medication("309594", ago(150), code_system="rxnorm"),
        Person("injection-taken").medication(
            "309594", ago(150), code_system="rxnorm", route="oral"
        ),
        Person("route-missing").medication("B03BA01", ago(10), kind="administration"),
        Person("folic-small").medication("B03BB01", ago(10), dose=400.0, dose_unit="ug"),
        Person("folic").medication("B03BB01", ago(10), dose=5.0, dose_unit="mg"),
        Person("folic-ended").medication("B03BB01", ago(10), ended_on=D),
    )


@pytest.mark.parametrize(
    ("name", "treatment"),
    [
        ("none", "none"),
        ("three-months", "active"),
        ("a-day-late", "lapsed"),
        ("antidote", "none"),
        ("supplement", "none"),
        ("unknown-dose", "active"),
        ("tablets-end-tonight", "lapsed"),
        ("tablets-end-tomorrow", "active"),
        ("tablets-open", "active"),
        ("tablets-open-past", "lapsed"),
        ("new-episode", "lapsed"),
        ("dotted", "active"),
        # A product whose code names 50 micrograms, and how many of them nobody said.
        ("small-tablet", "none"),
        ("small-tablet-many", "active"),
        # By mouth it would be a dose on every day of a year.
        ("injection-by-code", "lapsed"),
        ("injection-taken", "active"),
    ],
)
def test_treatment_is_active_until_the_interval_and_two_weeks_have_passed(
    night: Decided, name: str, treatment: str
) -> None:
    assert night.facts(name)["b12_treatment"] == treatment


def test_a_small_supplement_is_no_treatment_but_still_cyanocobalamin(night: Decided) -> None:
    assert night.facts("supplement")["cyanocobalamin_active"] == "yes"


@pytest.mark.parametrize(
    ("name", "due_on"),
    [
        ("two-months-neuro", date(2026, 11, 5)),
        ("two-months", date(2026, 12, 5)),
        ("month-end", date(2026, 11, 30)),
    ],
)
def test_the_next_dose_is_due_after_two_months_with_neurological_codes_else_three(
    night: Decided, name: str, due_on: date
) -> None:
    assert night.facts(name)["next_dose_due_on"] == due_on


def test_an_episode_starts_again_after_more_than_a_year_without_a_dose(night: Decided) -> None:
    assert night.facts("new-episode")["episode_started_on"] == ago(434)
    assert night.facts("same-episode")["episode_started_on"] == ago(799)


def test_several_injections_on_one_day_are_one_dose(night: Decided) -> None:
    assert night.row("facts.b12_episode", "same-day")["n_parenteral_doses"] == 1


def test_cyanocobalamin_without_a_route_is_taken_by_mouth(night: Decided) -> None:
    assert night.row("facts.b12_episode", "route-missing")["n_parenteral_doses"] == 0


@pytest.mark.parametrize(
    ("name", "active"), [("folic-small", "no"), ("folic", "yes"), ("folic-ended", "no")]
)
def test_a_small_dose_of_folic_acid_does_not_count(night: Decided, name: str, active: str) -> None:
    assert night.facts(name)["folic_acid_active"] == active


def test_without_a_medications_feed_treatment_is_unknown(decided: Decide) -> None:
    facts = decided(Person("p"), medications_feed="none").facts("p")
    assert {facts["b12_treatment"], facts["folic_acid_active"]} == {"unknown"}


@pytest.mark.parametrize(("days", "seen"), [(0, False), (120, False), (121, True)])
def test_a_start_soon_after_the_feed_became_complete_is_not_the_start(
    decided: Decide, days: int, seen: bool
) -> None:
    person = Person("p").injection(ago(200)).injection(ago(30)).result("mma", 400, ago(210))
    night = decided(person, medications_complete_from=ago(200 + days))
    assert night.row("facts.b12_episode", "p")["start_not_seen"] is not seen
    assert night.status("p")[0] == ("FS9" if seen else "FS0")
    milestone = night.row("decisions.recheck", "p")["milestone"]
    assert milestone == ("6 months" if seen else "12 months")
