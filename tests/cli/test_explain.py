"""Why a person is or is not on a list, told in sentences."""

from pathlib import Path

import pytest

from b12screen import cli

Capture = pytest.CaptureFixture[str]


def told(published: Path, patient_id: str, capsys: Capture) -> str:
    assert cli.main(["explain", str(published), patient_id]) == 0
    return capsys.readouterr().out


def test_a_listed_person_is_explained_with_values_places_rules_and_recommendation(
    published: Path, capsys: Capture
) -> None:
    out = told(published, "0001", capsys)
    assert "MMA 900 nmol/L, collected 2026-10-30 (laboratory main, labs_1.csv, record 1)" in out
    assert "sent as 100 pg/mL" in out
    assert "Functional status: confirmed." in out
    assert "FS2" in out
    assert "R20.2 (icd10), recorded 2026-06-01" in out
    assert "conditions_1.csv, record 1" in out
    assert "On the worklist (clinic north): start B12 neuro, priority 1, rule RG1" in out
    assert "for clinician review" in out
    assert "creatinine or eGFR" in out


def test_a_person_on_no_list_is_told_so_with_what_would_change_it(
    published: Path, capsys: Capture
) -> None:
    out = told(published, "0002", capsys)
    assert "Functional status: unlikely." in out
    assert "On no worklist" in out
    assert "Cannot judge kidneys at the sample: no creatinine or eGFR within 90 days of the" in out
    assert "  When MMA is above 271 nmol/L: the status is possible (FS9)" in out


def test_a_person_who_opted_out_is_told_as_that_and_nothing_more(
    published: Path, capsys: Capture
) -> None:
    out = told(published, "0003", capsys)
    assert "opted out" in out
    assert "What is known" not in out


def test_an_unknown_person_is_a_mistake_of_usage_and_not_repeated(
    published: Path, capsys: Capture
) -> None:
    assert cli.main(["explain", str(published), "CANARY-77"]) == 2
    assert "CANARY" not in capsys.readouterr().err


def test_a_night_that_was_not_published_is_a_mistake_of_usage(
    published: Path, capsys: Capture
) -> None:
    assert cli.main(["explain", str(published), "0001", "--as-of", "2026-10-01"]) == 2
    assert "2026-10-01 is not published" in capsys.readouterr().err
