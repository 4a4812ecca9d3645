"""What recorded codes say, and what it means that none is found."""

from datetime import date

import pytest

from .conftest import D, Decide, Decided, Person, ago

TWO_YEARS = date(2024, 11, 20)


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    return decided(
        Person("definite-old").code("G32.0", ago(3000)),
        Person("definite-resolved").code("G32.0", ago(3000), ago(10)),
        Person("likely").code("R20.2", TWO_YEARS),
        Person("likely-old").code("R20.2", date(2024, 11, 19)),
        Person("weak").code("R41.3", ago(30)),
        Person("neuropathy").code("G62.9", ago(30)),
        Person("neuropathy-diabetic").code("G62.9", ago(30)).code("E11.42", ago(3000)),
        Person("diabetic-only").code("E11.42", ago(30)),
        Person("diabetic-resolved").code("G62.9", ago(30)).code("E11.42", ago(300), ago(20)),
        Person("paraesthesia-diabetic").code("R20.2", ago(30)).code("E11.42", ago(3000)),
        Person("nothing"),
        Person("pregnant").code("O26.9", ago(280)),
        Person("pregnant-ended").code("O26.9", ago(100), D),
        Person("pregnant-long-ago").code("O26.9", ago(281)),
        Person("gas-resolved").code("F18.10", ago(365), ago(10)),
        Person("tomorrow").code("G32.0", D.replace(day=21)),
        Person("respelled-resolved").code("G32.0", ago(30)).code("g320", ago(30), ago(10)),
        Person("respelled-again").code("g320", ago(30), ago(10)).code("G32.0", ago(30)),
        Person("respelled-newer").code("G32.0", ago(300), ago(10)).code("g320", ago(30)),
        Person("pregnant-respelled").code("O26.9", ago(100)).code("O269", ago(100), ago(3)),
    )


@pytest.mark.parametrize(
    ("name", "neuro", "definite"),
    [
        ("definite-old", "recorded", "yes"),
        ("definite-resolved", "none_recorded", "no"),
        ("likely", "recorded", "no"),
        ("likely-old", "none_recorded", "no"),
        ("weak", "possible", "no"),
        ("neuropathy", "recorded", "no"),
        ("neuropathy-diabetic", "possible", "no"),
        ("diabetic-only", "possible", "no"),
        ("diabetic-resolved", "recorded", "no"),
        ("paraesthesia-diabetic", "recorded", "no"),
        ("nothing", "none_recorded", "no"),
        ("tomorrow", "none_recorded", "no"),
        ("respelled-resolved", "none_recorded", "no"),
        ("respelled-again", "recorded", "yes"),
        ("respelled-newer", "recorded", "yes"),
    ],
)
def test_neurological_involvement(night: Decided, name: str, neuro: str, definite: str) -> None:
    facts = night.facts(name)
    assert (facts["neuro"], facts["neuro_definite"]) == (neuro, definite)


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("pregnant", "pregnant"),
        ("pregnant-ended", "screened"),
        ("pregnant-respelled", "screened"),
        ("pregnant-long-ago", "screened"),
    ],
)
def test_a_pregnancy_counts_for_its_length_until_it_ends(
    night: Decided, name: str, route: str
) -> None:
    assert night.row("decisions.screening", name)["route"] == route


def test_nitrous_oxide_counts_though_it_was_resolved(night: Decided) -> None:
    assert night.facts("gas-resolved")["nitrous_oxide"] == "yes"


def test_without_a_fresh_feed_nothing_found_is_unknown_and_a_code_found_still_stands(
    decided: Decide,
) -> None:
    night = decided(
        Person("coded").code("G32.0", ago(30)).code("O26.9", ago(30)),
        Person("plain"),
        conditions_feed="stale",
    )
    assert night.facts("coded")["neuro"] == "recorded"
    assert night.facts("coded")["pregnant"] == "yes"
    plain = night.facts("plain")
    assert {plain["neuro"], plain["pregnant"], plain["inborn_error"]} == {"unknown"}


def test_a_feed_whose_system_lacks_a_neurological_group_cannot_say_none(decided: Decide) -> None:
    night = decided(Person("plain"), Person("ataxia").code("22325002", ago(5), system="snomed"),
                    feed_system="snomed")  # fmt: skip
    assert night.facts("plain")["neuro"] == "unknown"
    # a group that the system does have codes for can still be answered
    assert night.facts("plain")["inborn_error"] == "no"
