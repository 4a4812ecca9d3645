"""The clinics' sheets: names that no file system breaks, cells that no spreadsheet runs."""

import csv
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.worklists import file_names, guarded, unguarded

PEOPLE = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"


def test_a_plain_clinic_keeps_its_name() -> None:
    assert file_names(["S39-2", "North.East_1"]) == {
        "S39-2": "S39-2.csv",
        "North.East_1": "North.East_1.csv",
    }


def test_a_slash_cannot_leave_the_folder() -> None:
    assert file_names(["North/West", "../up"]) == {
        "North/West": "North%2FWest.csv",
        "../up": "..%2Fup.csv",
    }


@pytest.mark.parametrize(
    "clinic", ["CON", "nul", "com1", "LPT9", "..", ".", "", "unrouted", "data_quality", "con.txt"]
)
def test_a_reserved_name_gets_a_hash(clinic: str) -> None:
    name = file_names([clinic])[clinic]
    assert name.lower() != f"{clinic.lower()}.csv"
    assert name.endswith(".csv")
    assert "/" not in name


def test_names_that_differ_only_by_case_never_share_a_file() -> None:
    names = file_names(["East", "EAST", "east", "West"])
    assert len({name.casefold() for name in names.values()}) == 4
    assert names["West"] == "West.csv"


@pytest.mark.parametrize("clinic", ["A", "CON", "a" * 300])
def test_a_name_that_is_another_ones_name_with_its_hash_stays_its_own(clinic: str) -> None:
    shown = file_names([clinic, "a"])[clinic].removesuffix(".csv")
    for other in (shown, shown.lower(), shown.upper()):
        names = file_names([clinic, "a", other])
        assert len({name.casefold() for name in names.values()}) == 3
        assert names == file_names([other, "a", clinic])


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    names = file_names(["a" * 300, "a" * 301])
    assert len(set(names.values())) == 2
    assert all(len(name) <= 104 for name in names.values())


def test_other_bytes_are_written_as_hexadecimal() -> None:
    assert file_names(["Zürich süd"]) == {"Zürich süd": "Z%C3%BCrich%20s%C3%BCd.csv"}


@pytest.mark.parametrize("cell", ["=cmd()", "+1", "-1", "@a", "\ta", "\ra"])
def test_a_cell_that_a_spreadsheet_would_run_is_guarded_and_comes_back(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("cell", ["'tis", "a=b", "0012", "<50", "", "'"])
def test_every_other_cell_is_left_as_it_is(cell: str) -> None:
    assert guarded(cell) == cell
    assert unguarded(cell) == cell


def test_a_clinic_that_has_nobody_left_gets_a_sheet_without_rows(tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_site(site)
    clinics = {"=2": "=Hill", "P2": "Dale", "P3": "Lake", "P4": "North", "P5": "NORTH"}
    people = [f"{person},1960-01-01,female,{clinic},,\n" for person, clinic in clinics.items()]
    labs = [f"R{person},{person},2026-11-18,13964-2,900,nmol/L\n" for person in clinics]
    # Of the only one of this clinic nothing was ever listed.
    people.append("P6,1960-01-01,female,Mill,,true\n")
    (site / "inbox" / "patients_1.csv").write_text(PEOPLE + "".join(people))
    (site / "inbox" / "labs_1.csv").write_text(
        "result_id,patient_id,collected_at,code,value,unit\n" + "".join(labs)
    )
    sheets = site / "published" / "current" / "worklists"
    names = {"%3DHill.csv", "Dale.csv", "Lake.csv", "North.csv", "Mill.csv"}
    # Two that differ by case alone; once nobody is left at the one, the other has its own name.
    twins = set(file_names(["North", "NORTH"]).values())
    ours = {"unrouted.csv", "data_quality.csv"}

    def night(day: int) -> None:
        as_of = date(2026, 11, day)
        run_night(site, as_of, datetime(2026, 11, day, tzinfo=UTC), lambda step: None)

    night(20)
    assert {path.name for path in sheets.iterdir()} == names - {"North.csv"} | twins | ours
    # As it lies there, whatever opens it.
    lines = (sheets / "%3DHill.csv").read_text(encoding="utf-8-sig").splitlines()
    assert all("'=2," in line and "'=Hill," in line for line in lines[1:]) and len(lines) > 1
    (site / "inbox" / "patients_2.csv").write_text(
        f"{PEOPLE}=2,1960-01-01,female,=Hill,2026-11-20,\nP2,1960-01-01,female,Dale,,true\n"
        "P3,1960-01-01,female,North,,\nP5,1960-01-01,female,NORTH,,true\n"
    )
    night(21)
    assert {path.name for path in sheets.iterdir()} == names | ours
    manifest = json.loads((sheets.parent / "manifest.json").read_text())
    for name in names - {"North.csv"}:
        assert list(csv.DictReader((sheets / name).open(encoding="utf-8-sig", newline=""))) == []
        assert manifest["outputs"][f"worklists/{name}"]["says"] == "0 items, 0 patients examined"
