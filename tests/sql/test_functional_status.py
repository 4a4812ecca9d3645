"""Every row of the functional status, reached by a person's own records."""

import pytest

from .conftest import Decide, Decided, Person, ago

MMA = {"yes": 400.0, "marked": 900.0, "no": 200.0}
HCY = {"yes": 20.0, "no": 9.0}
B12 = {"low": 100.0, "borderline": 200.0, "adequate": 400.0}
EGFR = {"open": 80.0, "closed": 45.0}


def person(name: str, mma: str, hcy: str, gate: str, b12: str) -> Person:
    someone = Person(name)
    if mma in MMA:
        someone.result("mma", MMA[mma], ago(20))
    if hcy in HCY:
        someone.result("hcy", HCY[hcy], ago(20))
    if gate in EGFR:
        someone.result("egfr", EGFR[gate], ago(25))
    if b12 in B12:
        someone.result("b12", B12[b12], ago(30))
    return someone


CASES = [
    ("FS1", "confirmed", "yes", "yes", "open", "adequate"),
    ("FS2", "confirmed", "yes", "yes", "", "low"),
    ("FS2", "confirmed", "marked", "yes", "", ""),
    ("FS24", "probable", "yes", "yes", "", "adequate"),
    ("FS3", "confirmed", "yes", "yes", "closed", "low"),
    ("FS4", "confirmed", "marked", "yes", "closed", "adequate"),
    ("FS5", "renal_confounded", "yes", "yes", "closed", "adequate"),
    ("FS6", "probable", "yes", "no", "open", "low"),
    ("FS7", "probable", "marked", "no", "closed", "adequate"),
    ("FS8", "renal_confounded", "yes", "", "closed", "borderline"),
    ("FS25", "probable", "yes", "", "open", "borderline"),
    ("FS25", "probable", "yes", "", "", "borderline"),
    ("FS9", "possible", "yes", "no", "open", "adequate"),
    ("FS26", "probable", "no", "yes", "open", "gas"),
    ("FS10", "possible", "no", "yes", "open", "low"),
    ("FS11", "homocysteine_only", "no", "yes", "open", "borderline"),
    ("FS15", "probable", "", "yes", "open", "low"),
    ("FS16", "possible", "", "yes", "closed", "low"),
    ("FS17", "possible", "", "yes", "open", "adequate"),
    ("FS13", "possible", "", "", "", "low"),
    ("FS23", "indeterminate", "", "", "", "gas"),
    ("FS12", "unlikely", "no", "no", "open", ""),
    ("FS14", "unlikely", "no", "", "", "adequate"),
    ("FS19", "indeterminate", "", "no", "", "borderline"),
    ("FS20", "unlikely", "", "no", "", "adequate"),
    ("FS21", "not_shown", "", "", "", "adequate"),
    ("FS22", "not_assessed", "", "", "", ""),
]
NAMES = [f"{number}-{case[0]}" for number, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    people = []
    for name, (_, _, *results) in zip(NAMES, CASES, strict=True):
        someone = person(name, *results)
        if results[-1] == "gas":
            someone.code("F18.10", ago(100))
        people.append(someone)
    people.append(Person("treated").injection(ago(200), ago(120), ago(40)))
    people.append(
        Person("treated-with-baseline")
        .injection(ago(200), ago(120), ago(40))
        .result("mma", 400, ago(210))
        .result("hcy", 20, ago(200))
        .result("egfr", 90, ago(250))
        .result("mma", 150, ago(20))
    )
    return decided(*people)


@pytest.mark.parametrize(("name", "case"), list(zip(NAMES, CASES, strict=True)), ids=NAMES)
def test_every_row_is_reached(night: Decided, name: str, case: tuple[str, ...]) -> None:
    assert night.status(name) == case[:2]


def test_on_treatment_without_results_from_before_is_its_own_word(night: Decided) -> None:
    assert night.status("treated") == ("FS0", "on_treatment")


def test_on_treatment_the_results_from_before_it_decide(night: Decided) -> None:
    assert night.status("treated-with-baseline") == ("FS1", "confirmed")
    facts = night.facts("treated-with-baseline")
    assert (facts["basis"], facts["mma_on"]) == ("baseline", ago(210))


def test_the_reason_names_values_with_unit_and_day_and_what_is_missing(night: Decided) -> None:
    name = NAMES[0]
    why = night.row("decisions.functional_status", name)["why"]
    day = (ago(20)).isoformat()
    assert f"MMA 400 nmol/L on {day} (above 271)" in why
    assert f"homocysteine 20 µmol/L on {day} (above 15)" in why
    assert f"eGFR 80 on {ago(25).isoformat()}" in why
    assert f"total B12 400 pmol/L on {ago(30).isoformat()} (adequate, does not exclude it)" in why
    nothing = night.row("decisions.functional_status", NAMES[-1])["why"]
    assert "MMA missing; homocysteine missing; B12 missing" in nothing
