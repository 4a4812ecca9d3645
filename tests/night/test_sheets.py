"""The clinics' sheets: names that no file system breaks, cells that no spreadsheet runs."""

import pytest

from b12screen.worklists import file_names, guarded, unguarded


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
