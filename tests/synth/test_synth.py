"""Synthetic extracts: the same every time, whole, and true on every night they are made for."""

import csv
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from b12screen.errors import UsageError
from b12screen.synth import (
    DEMO_NIGHTS,
    DEMO_PATIENTS,
    DEMO_SEED,
    FIRST_NIGHT,
    bulk_extract,
    deliver,
    demo_nights,
    synth,
)
from b12screen.synth.extracts import (
    COLUMNS,
    KINDS,
    MESS_FIRST_NIGHT,
    MESS_LATER,
    TRUTH_COLUMNS,
)
from b12screen.synth.stories import LONGEST_RUN, STORIES
from schemas.words import ACTIONS, FUNCTIONAL_STATUSES

# Worklist rows about the list itself; no person's evidence gives them.
NOT_PLANTED = {"result_withdrawn"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo")
    synth(directory, DEMO_PATIENTS, DEMO_NIGHTS, DEMO_SEED)
    return directory


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        synth(tmp_path / name, 150, 2, seed)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_one_set_a_night_with_the_columns_of_the_contract(demo: Path) -> None:
    nights = demo_nights()
    assert {path.name for path in demo.iterdir()} == {"truth.csv"} | {
        f"{kind}_{night}.csv" for kind in KINDS for night in nights
    }
    for kind in KINDS:
        for night in nights:
            with (demo / f"{kind}_{night}.csv").open(encoding="utf-8") as file:
                assert file.readline().rstrip("\n").split(",") == list(COLUMNS[kind])
    assert rows(demo / "truth.csv")[0].keys() == set(TRUTH_COLUMNS)


def test_the_truth_of_the_demo_covers_every_functional_status_and_every_action(demo: Path) -> None:
    truth = rows(demo / "truth.csv")
    assert {row["functional_status"] for row in truth} == {"", *FUNCTIONAL_STATUSES}
    planted = {action for row in truth for action in row["actions"].split(";") if action}
    assert planted == set(ACTIONS) - NOT_PLANTED


def test_five_hundred_patients_are_enough_for_every_story(tmp_path: Path) -> None:
    assert len(STORIES) <= 500
    synth(tmp_path, 500, 1, 3)
    planted = {
        action for row in rows(tmp_path / "truth.csv") for action in row["actions"].split(";")
    }
    assert planted - {""} == set(ACTIONS) - NOT_PLANTED


def test_truth_has_one_row_per_known_patient_and_night_with_actions_in_order(demo: Path) -> None:
    truth = rows(demo / "truth.csv")
    keys = Counter((row["patient_id"], row["as_of"]) for row in truth)
    assert set(keys.values()) == {1}
    assert {row["as_of"] for row in truth} == {str(night) for night in demo_nights()}
    known: set[str] = set()
    for night in demo_nights():
        for kind in ("labs", "patients"):
            known |= {row["patient_id"] for row in rows(demo / f"{kind}_{night}.csv")}
        assert known == {row["patient_id"] for row in truth if row["as_of"] == str(night)}
    for row in truth:
        actions = row["actions"].split(";")
        assert actions == sorted(set(actions))


def test_an_id_keeps_its_leading_zeros_and_a_clinic_has_a_slash(demo: Path) -> None:
    patients = rows(demo / f"patients_{FIRST_NIGHT}.csv")
    assert any(row["patient_id"].startswith("000") for row in patients)
    assert "North/West" in {row["clinic_id"] for row in patients}


def test_later_nights_bring_new_people_moves_corrections_and_cancelled_results(demo: Path) -> None:
    first, second, third = demo_nights()
    known = {row["patient_id"]: row for row in rows(demo / f"patients_{first}.csv")}
    later = rows(demo / f"patients_{second}.csv")
    assert any(row["patient_id"] not in known for row in later)
    assert any(
        row["patient_id"] in known and known[row["patient_id"]]["clinic_id"] != row["clinic_id"]
        for row in later
    )
    earlier = {row["result_id"] for row in rows(demo / f"labs_{first}.csv")}
    news = rows(demo / f"labs_{second}.csv")
    statuses = {row["status"] for row in news if row["result_id"] in earlier}
    assert statuses & {"corrected", "C"}
    assert statuses & {"cancelled", "X"}
    assert any(row["opted_out"] == "true" for row in rows(demo / f"patients_{third}.csv"))


def test_the_first_set_holds_five_years_and_later_sets_their_day(demo: Path) -> None:
    days = [row["collected_at"][:10] for row in rows(demo / f"labs_{FIRST_NIGHT}.csv")]
    assert min(days) < str(FIRST_NIGHT - timedelta(4 * 365))
    assert max(days) <= str(FIRST_NIGHT)
    for night in demo_nights()[1:]:
        assert any(
            row["collected_at"].startswith(str(night)) for row in rows(demo / f"labs_{night}.csv")
        )


def test_condition_and_medication_feeds_are_fresh_on_every_night(demo: Path) -> None:
    for night in demo_nights():
        assert any(
            row["recorded_on"] == str(night) for row in rows(demo / f"conditions_{night}.csv")
        )
        assert any(
            row["started_on"] == str(night) for row in rows(demo / f"medications_{night}.csv")
        )


def test_rows_that_change_nothing_come_in_known_counts(demo: Path) -> None:
    foreign = {"3016-3", "4548-4", "2171-7", "13776-0"}
    for night, mess in zip(demo_nights(), (MESS_FIRST_NIGHT, MESS_LATER, MESS_LATER), strict=True):
        labs = rows(demo / f"labs_{night}.csv")
        assert sum(row["code"] in foreign for row in labs) == mess["out_of_scope"]
        assert len(labs) - len({tuple(row.values()) for row in labs}) == mess["duplicate"]
        # Fewer than the twenty that could hold a file.
        assert mess["rejected"] < 20


def test_delivering_copies_the_set_of_one_night_only(demo: Path, tmp_path: Path) -> None:
    night = demo_nights()[1]
    copied = deliver(demo, tmp_path / "inbox", night)
    assert {path.name for path in copied} == {f"{kind}_{night}.csv" for kind in KINDS}
    assert set(copied) == set((tmp_path / "inbox").iterdir())


@pytest.mark.parametrize("nights", [0, LONGEST_RUN + 1])
def test_a_run_longer_than_the_stories_hold_is_refused(tmp_path: Path, nights: int) -> None:
    with pytest.raises(UsageError, match="nights"):
        synth(tmp_path, 10, nights, 1)


def test_a_handful_of_patients_over_thirty_nights_is_made(tmp_path: Path) -> None:
    synth(tmp_path, 1, LONGEST_RUN, 1)
    assert len(rows(tmp_path / "truth.csv")) == LONGEST_RUN


def test_another_first_night_moves_every_day_with_it(tmp_path: Path) -> None:
    leap_night = date(2028, 2, 29)
    synth(tmp_path, 150, 2, 1, leap_night)
    assert (tmp_path / "labs_2028-03-01.csv").is_file()


def test_the_bulk_extract_has_its_rows_its_columns_and_its_proportions(tmp_path: Path) -> None:
    bulk_extract(tmp_path, 60_000, 7)
    labs = pl.read_csv(tmp_path / f"labs_{FIRST_NIGHT}.csv", infer_schema=False)
    patients = pl.read_csv(tmp_path / f"patients_{FIRST_NIGHT}.csv", infer_schema=False)
    assert labs.shape == (60_000, 9)
    assert labs.columns[0] == "result_id" and labs.columns[-1] == "status"
    assert patients["patient_id"].is_unique().all()
    assert patients.height == pytest.approx(60_000 / 48.7, rel=0.01)

    def share(condition: pl.Expr) -> float:
        return labs.select(condition.mean()).item()

    value, unit, status = pl.col("value"), pl.col("unit"), pl.col("status")
    assert share(value == "haemolysed") == pytest.approx(0.01, abs=0.002)
    assert share(value.str.contains("^[<>]")) == pytest.approx(0.01, abs=0.002)
    assert share(unit == "arbitrary") == pytest.approx(0.0005, abs=0.0004)
    assert share(status == "preliminary") == pytest.approx(0.005, abs=0.0015)
    assert share(status == "corrected") == pytest.approx(0.005, abs=0.0001)
    known = patients["patient_id"].implode()
    assert share(~pl.col("patient_id").is_in(known)) == pytest.approx(0.0005, abs=0.0004)
    duplicates = labs.height - labs.unique().height
    assert duplicates / labs.height == pytest.approx(0.01, abs=0.0005)
    # Results of one person do not stand together.
    neighbours = labs.select((pl.col("patient_id") == pl.col("patient_id").shift()).mean()).item()
    assert neighbours < 0.01


def test_the_bulk_extract_is_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    first = bulk_extract(tmp_path / "a", 2_000, 7).read_bytes()
    assert first == bulk_extract(tmp_path / "b", 2_000, 7).read_bytes()
    assert first != bulk_extract(tmp_path / "c", 2_000, 8).read_bytes()
