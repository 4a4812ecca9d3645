"""The same night is the same bytes, and an item's state comes from the nights before it."""

import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest

from b12screen.settings import make_site
from b12screen.worklists import read_sheet

from .conftest import EXTRACTS, FIRST_NIGHT, RAISED, SECOND_NIGHT, bytes_below, deliver, night

THIRD_NIGHT = date(2026, 11, 3)
WITHDRAWN = RAISED.index("give folic acid")
LABS = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"
SECOND = {
    "patients_2.csv": "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
    "homeless,1958-05-06,female,,,true\n"
    "child,2015-01-01,male,south,2026-11-01,false\n",
    "labs_2.csv": LABS
    + f"m{RAISED.index('plain')},plain,2026-10-21,2026-11-02,13964-2,800,nmol/L,corrected\n"
    + "".join(
        f"{test}{WITHDRAWN},give folic acid,2026-10-22,2026-11-02,{code},,{unit},cancelled\n"
        for test, code, unit in (
            ("m", "13964-2", "nmol/L"),
            ("h", "13965-9", "umol/L"),
            ("b", "2132-9", "pg/mL"),
        )
    )
    + "w3,well,2026-11-01,2026-11-02,13964-2,450,nmol/L,final\n"
    + "w4,well,2026-11-01,2026-11-02,13965-9,19,umol/L,final\n",
}
THIRD = {
    "patients_3.csv": "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
    "homeless,1958-05-06,female,,,false\n"
}


def sheets(site: Path) -> dict[str, str]:
    return bytes_below(site / "published" / "current" / "worklists")


def listed(site: Path) -> dict[tuple[str, str], dict[str, str]]:
    return {
        (row["patient_id"], row["action"]): row
        for path in sorted((site / "published" / "current" / "worklists").glob("*.csv"))
        for row in read_sheet(path)
    }


def closed(site: Path) -> dict[str, tuple[str, date]]:
    path = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(path), read_only=True) as database:
        found = database.execute(
            "SELECT patient_id, close_reason, closed_on FROM worklists.item"
            " WHERE item_state = 'closed'"
        ).fetchall()
    return {patient: (reason, day) for patient, reason, day in found}


def test_the_same_takings_give_the_same_bytes_on_another_site(
    first_night: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    make_site(other)
    for name in reversed(EXTRACTS):
        deliver(other, {name: EXTRACTS[name]})
    night(other, FIRST_NIGHT)
    assert sheets(other) == sheets(first_night)
    assert len(sheets(other)) > 4


@pytest.fixture(scope="module")
def second(first_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a second night after the first."""
    site = tmp_path_factory.mktemp("states") / "site"
    shutil.copytree(first_night, site, symlinks=True)
    deliver(site, SECOND)
    night(site, SECOND_NIGHT)
    return site


def test_an_unchanged_item_is_carried_and_keeps_its_id_and_first_night(
    first_night: Path, second: Path
) -> None:
    before, after = listed(first_night), listed(second)
    row = after["neuro", "start_b12_neuro"]
    assert row["state"] == "carried"
    assert row["item_id"] == before["neuro", "start_b12_neuro"]["item_id"]
    assert row["first_listed_on"] == "2026-11-01"
    assert {row["state"] for row in before.values()} == {"new"}


def test_an_item_that_rests_on_a_corrected_value_is_changed(second: Path) -> None:
    assert listed(second)["plain", "folic_acid_without_b12"]["state"] == "changed"
    assert listed(second)["plain", "folic_acid_without_b12"]["mma_nmol_l"] == "800"


def test_a_person_with_new_results_is_new(second: Path) -> None:
    row = next(row for (person, _), row in listed(second).items() if person == "well")
    assert (row["state"], row["first_listed_on"]) == ("new", "2026-11-02")


def test_a_closed_item_leaves_the_sheets_and_says_why(second: Path) -> None:
    assert closed(second) == {
        "homeless": ("opted_out", SECOND_NIGHT),
        "child": ("deceased", SECOND_NIGHT),
        "give folic acid": ("result_withdrawn", SECOND_NIGHT),
    }
    rows = {row for row in listed(second) if row[0] in ("homeless", "child", "give folic acid")}
    # The clinic that was told of the result is told that it is gone.
    assert rows == {("give folic acid", "result_withdrawn")}


def test_a_night_run_again_says_the_same_and_a_later_one_reopens(second: Path) -> None:
    before = sheets(second)
    assert night(second, SECOND_NIGHT).run_id == "2026-11-02.2"
    assert sheets(second) == before
    assert closed(second)["homeless"] == ("opted_out", SECOND_NIGHT)
    deliver(second, THIRD)
    night(second, THIRD_NIGHT)
    row = next(row for (person, _), row in listed(second).items() if person == "homeless")
    assert (row["state"], row["first_listed_on"]) == ("reopened", "2026-11-01")
    assert closed(second)["child"] == ("deceased", SECOND_NIGHT)
    assert listed(second)["plain", "folic_acid_without_b12"]["state"] == "carried"
