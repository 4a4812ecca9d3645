"""A disagreement is printed as a scenario that `tests/spec` reads, and nothing is lost."""

from pathlib import Path
from typing import Any

import pytest

from tests.oracle import soak
from tests.oracle.agreement import Disagreement
from tests.oracle.generate import Population, Row, Subject, generate
from tests.oracle.people import Night
from tests.oracle.scenario import as_scenario
from tests.spec.reading import extracts, read_scenarios

MILLIGRAMS = {"mg": 1.0, "ug": 0.001, "mcg": 0.001, "g": 1000.0}


def read_back(subject: Subject, night: Night, folder: Path) -> dict[str, list[Row]]:
    """The extracts of a person who was printed and read again, without the bystander's rows."""
    different = Disagreement(subject, (("facts", "kidney", "normal", "acute"),))
    (folder / "1-printed.md").write_text(as_scenario(different, night), encoding="utf-8")
    (scenario,) = read_scenarios(folder)
    rows = extracts([scenario], scenario.night)
    assert scenario.night.complete_from == night.medications_complete_from
    assert next(scenario.then("Then"))[2] == {"kidney": "normal"}
    return {kind: of_kind[1:] for kind, of_kind in rows.items()}


def plain(kind: str, row: Row) -> tuple[Any, ...]:
    """What both ways of writing a row have to agree on; ids and clinics of results are not said."""
    if kind == "labs":
        names = ("collected_at", "reported_at", "code", "value", "unit", "status")
        return tuple(row[name].removesuffix("T00:00:00") for name in names)
    if kind == "medications":
        dose = float(row["dose"]) * MILLIGRAMS[row["dose_unit"]] if row["dose"] else None
        names = ("code", "kind", "started_on", "ended_on", "route")
        return (*(row[name] for name in names), dose and round(dose, 6))
    if kind == "conditions":
        names = ("code", "code_system", "recorded_on", "resolved_on")
        return tuple(row[name] for name in names)
    return tuple(
        row[name] for name in ("birth_date", "sex", "clinic_id", "deceased_on", "opted_out")
    )


@pytest.mark.parametrize("seed", [1, 6])
def test_a_printed_person_reads_back_as_the_same_rows(seed: int, tmp_path: Path) -> None:
    population = generate(seed, 150)
    for subject in population.subjects[1:]:
        read = read_back(subject, population.night, tmp_path)
        written = Population(population.night, [subject]).rows()
        for kind, rows in written.items():
            assert [plain(kind, row) for row in rows] == [plain(kind, row) for row in read[kind]]


def test_a_disagreement_says_what_each_of_the_two_says() -> None:
    population = generate(6, 3)
    expected = {("resume_b12", "RG5", 2)}
    places = (
        ("actions", "", expected, set()),
        ("recheck", "", {"milestone": "3 months", "missing": ""}, None),
    )
    page = as_scenario(Disagreement(population.subjects[1], places), population.night)
    assert "| Then | actions | milestone | missing |" in page
    assert "| somebody | RG5 resume_b12 (2) | 3 months | nothing |" in page
    assert "- SQL: actions  set()" in page


def test_the_soak_tells_the_first_disagreement_and_ends_with_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def disagree(population: Population, site: Path) -> tuple[int, list[Disagreement]]:
        places = (("facts", "kidney", "normal", "acute"),)
        return 3, [Disagreement(subject, places) for subject in population.subjects[1:]]

    assert soak.main(["--people", "3", "--seeds", "6-9"], disagree) == 1
    said = capsys.readouterr().out
    assert said.count("### ") == 1
    assert "seed 6" in said and "seed 7" not in said
    assert "| somebody | normal |" in said


def test_the_soak_counts_the_people_of_all_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    def agree(population: Population, site: Path) -> tuple[int, list[Disagreement]]:
        return len(population.subjects), []

    assert soak.main(["--people", "3", "--seeds", "6-8", "11"], agree) == 0
    assert capsys.readouterr().out.endswith("12 people compared, no disagreement\n")
