"""Why a person is or is not on a list, told in sentences."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from b12screen import cli, explain
from b12screen.explain import known_person, listed_as, named_by, number
from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from b12screen.worklists import read_sheet

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


def test_the_list_of_whoever_has_no_birth_date_is_named(
    site: Path, extracts: dict[str, str], deliver: Callable[[Path, dict[str, str]], None],
    capsys: Capture,
) -> None:  # fmt: skip
    extracts["patients_1.csv"] = extracts["patients_1.csv"].replace("1950-02-03", "")
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    capsys.readouterr()
    assert "On the worklist (data_quality): check record" in told(site, "0001", capsys)


def test_a_code_with_something_beside_it_is_explained_as_the_night_read_it(
    site: Path, extracts: dict[str, str], deliver: Callable[[Path, dict[str, str]], None],
    capsys: Capture,
) -> None:  # fmt: skip
    assert "R20.2" in extracts["conditions_1.csv"]
    extracts["conditions_1.csv"] = extracts["conditions_1.csv"].replace("R20.2", "r 20.2*")
    extracts["conditions_1.csv"] += "0001,O2 sat low,icd10,2026-06-01,\n"
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    capsys.readouterr()
    out = told(site, "0001", capsys)
    assert "r 20.2* (icd10), recorded 2026-06-01: " in out
    assert "start B12 neuro, priority 1, rule RG1" in out
    assert "O2 sat low" not in out, "the night takes it for no pregnancy"


def test_a_code_is_explained_by_the_closest_rows_of_the_map() -> None:
    known = [
        {"code_system": "icd10", "code": code, "match": match, "group": group}
        for code, match, group in (
            ("E1", "prefix", "a"), ("E114", "prefix", "a"), ("E1142", "exact", "a"),
            ("E1142", "exact", "b"), ("E11", "prefix", "c"),
        )
    ]  # fmt: skip
    found = named_by(known, {"code_system": "icd10", "code": "E11.42"}, "group")
    assert [(row["group"], row["code"]) for row in found] == [
        ("a", "E1142"), ("b", "E1142"), ("c", "E11")
    ]  # fmt: skip
    assert named_by(known, {"code_system": "snomed", "code": "E11.42"}, "group") == []


def test_numbers_are_rounded_as_the_worklists_round_them() -> None:
    with duckdb.connect() as database:
        for statement in duckdb.extract_statements(sql_text("macros.sql")):
            if "MACRO number_text(" in statement.query:
                database.execute(statement.query)
        values = [n / 1000 for n in range(0, 60_000, 7)] + [412.125, 20.715, 1234567.005, -12.345]
        shown = database.execute(
            "SELECT number_text(value) FROM (SELECT unnest(?) AS value)", [values]
        ).fetchall()
    assert [number(value) for value in values] == [text for (text,) in shown]


def test_a_row_is_folded_into_a_review_as_the_rules_have_it(
    published: Path, tmp_path: Path
) -> None:
    found = published / "published" / "current" / "b12screen.duckdb"
    (tmp_path / "night.duckdb").write_bytes(found.read_bytes())
    with Warehouse.open(tmp_path / "night.duckdb") as night:
        person = known_person(night, "0001")
        known = {**(person.facts or {}), "cobalamin_reaction": "no"}
        plain = replace(person, facts=known)
        pregnant = replace(plain, route={**(person.route or {}), "route": "pregnant"})
        reacts = replace(pregnant, facts=known | {"cobalamin_reaction": "yes"})
        row = ("complete_workup", "RG10")
        assert listed_as(night, plain, row) == "complete workup (RG10)"
        assert listed_as(night, pregnant, row) == "pregnancy review (RG10)"
        assert listed_as(night, reacts, row) == "specialist review (RG16)"
        night.execute(
            "DELETE FROM rules.rule_set WHERE rule_id = 'RG10' AND set_id = 'folded_pregnancy'"
        )
        assert listed_as(night, pregnant, row) == "complete workup (RG10)"
        assert listed_as(night, pregnant, ("none", "RG0")) == ""


def test_what_was_answered_is_not_called_unasked(
    site: Path, extracts: dict[str, str], deliver: Callable[[Path, dict[str, str]], None],
    capsys: Capture,
) -> None:  # fmt: skip
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    sheet = read_sheet(site / "published" / "current" / "worklists" / "north.csv")
    ids = [row["item_id"] for row in sheet if row["patient_id"] == "0001"]
    assert ids
    answers = "".join(f"{item_id},done,2026-11-01\n" for item_id in ids)
    deliver(site, {"feedback_1.csv": "item_id,decision,as_of\n" + answers})
    assert cli.main(["run", str(site), "--as-of", "2026-11-02"]) in (0, 20)
    capsys.readouterr()
    assert "what the rules ask for was answered" in told(site, "0001", capsys)


@pytest.mark.long
def test_who_was_listed_by_a_result_of_somebody_else_is_still_explained(
    site: Path, deliver: Callable[[Path, dict[str, str]], None], capsys: Capture
) -> None:
    header = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"
    row = "r1,{},2026-10-30,{},14685-2,100,pmol/L,{}\n"
    people = "patient_id,birth_date,sex,clinic_id\n{},1950-02-03,female,north\n"
    deliver(site, {"labs_1.csv": header + row.format("P9", "2026-10-31", "final")})
    deliver(site, {"patients_1.csv": people.format("P8")})
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    deliver(site, {"labs_2.csv": header + row.format("P8", "2026-11-01", "corrected")})
    assert cli.main(["run", str(site), "--as-of", "2026-11-02"]) in (0, 20)
    capsys.readouterr()
    out = told(site, "P9", capsys)
    assert "No record and no result of the person is left" in out
    assert "check record" in out


def test_a_person_on_no_list_is_told_so_with_what_would_change_it(
    published: Path, capsys: Capture
) -> None:
    out = told(published, "0002", capsys)
    assert "Functional status: unlikely." in out
    assert "On no worklist" in out
    assert "Cannot judge kidneys at the sample: no creatinine or eGFR within 90 days of the" in out
    assert "  When MMA is above 271 nmol/L: the status is possible (FS9)" in out


def test_a_marker_that_is_not_known_is_told_with_when_it_would_count() -> None:
    numbers = {"marker_pairing": "30 days"}
    known = {"mma_raised": "yes", "mma_on": "2026-10-01", "hcy_raised": "unknown"}
    near = " in a sample within 30 days of the MMA of 2026-10-01"
    assert explain.beside_other("hcy_raised", known, numbers) == near
    assert explain.beside_other("gate", known, numbers) == ""
    assert explain.beside_other("mma_raised", known, numbers) == ""
    assert explain.beside_other("hcy_raised", known | {"mma_raised": "unknown"}, numbers) == ""


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
    said = capsys.readouterr().err
    assert "2026-10-01 is not published" in said
    assert "replay" in said
