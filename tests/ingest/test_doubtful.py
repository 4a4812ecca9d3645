"""People who cannot be as their record says: a finding, on the night that shows it."""

from datetime import date

import pytest

from .inbox import ROW, Box

PEOPLE = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
NEXT = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("died", "told"), [("2026-10-01", True), ("2026-10-02", False), ("", False)]
)
def test_samples_long_after_a_death_are_a_finding(box: Box, died: str, told: bool) -> None:
    """The sample is of 2026-11-01, 31 and 30 days after these."""
    box.put("patients.csv", PEOPLE + f"P1,1950-01-02,F,north,{died},false\n")
    box.labs(ROW)
    findings = box.take().findings
    assert [text[:22] for text in findings] == (["1 people have results "] if told else [])
    # Told once: tonight nothing came of them.
    assert box.take(NEXT).findings == ()


def test_a_death_that_comes_after_the_samples_is_held_against_all_of_them(box: Box) -> None:
    box.labs(ROW, ROW.replace("R1", "R2").replace("P1", "P2"))
    assert box.take().findings == ()
    box.put(
        "patients.csv",
        PEOPLE + "P1,1950-01-02,F,north,2020-01-01,false\nP2,1950-01-02,F,north,2020-01-01,true\n",
    )
    (finding,) = box.take(NEXT).findings
    assert finding.startswith("1 people have results of samples taken more than a month after")


def test_another_clinic_alone_is_no_news_of_a_death_or_an_age(box: Box) -> None:
    people = "P1,1950-01-02,F,{0},2020-01-01,false\nP2,1900-01-01,F,{0},,false\n"
    box.put("patients.csv", PEOPLE + people.format("north"))
    box.labs(ROW)
    assert len(box.take().findings) == 2
    box.put("patients2.csv", PEOPLE + people.format("south"))
    assert box.take(NEXT).findings == ()
    assert box.rows("SELECT DISTINCT clinic_id FROM core.patient") == [("south",)]


def test_a_result_that_was_taken_back_shows_nothing(box: Box) -> None:
    box.put("patients.csv", PEOPLE + "P1,1950-01-02,F,north,2020-01-01,false\n")
    box.labs(ROW.replace("412", "").replace("final", "cancelled"))
    assert box.take().findings == ()


def test_who_is_older_than_anybody_is_a_finding(box: Box) -> None:
    box.put(
        "patients.csv",
        PEOPLE
        + "P1,1900-01-01,F,north,,false\nP2,1905-11-22,F,north,,false\n"
        + "P3,1905-11-23,F,north,,false\nP4,1900-01-01,F,north,1980-01-01,false\n",
    )
    (finding,) = box.take().findings
    assert finding.startswith("2 people are older than 120 years by their birth date")
