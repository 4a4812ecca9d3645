"""The world does not hold still: a file that changes while it is read, a clock that goes back.

Nothing is mocked. A file with a broken row is split row by row, which the night says before it does
so: at that moment somebody else's hand is played. The other files change in a thread of their own.
"""

import itertools
import os
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from b12screen import cli
from b12screen.night import run_night

from .conftest import SECOND_NIGHT, bytes_below, deliver, night
from .test_whole_or_absent import no_leftovers, whole

Hand = Callable[[Path], None]
Capture = pytest.CaptureFixture[str]

HEADER = "result_id,patient_id,collected_at,code,value,unit\n"
N_ROWS = 400


def labs(value: int) -> str:
    return HEADER + "".join(f"c{n},well,2026-11-01,13964-2,{value},nmol/L\n" for n in range(N_ROWS))


def message(value: int) -> str:
    return "".join(
        f"MSH|^~\\&|L|M|E|C|20261102||ORU^R01|{n}|P|2.5.1\r"
        "PID|1||well^^^H^MR||||19660506|F\r"
        f"OBR|1||c{n}||||20261101\rOBX|1|NM|13964-2^^LN||{value}|nmol/L|||||F\r"
        for n in range(N_ROWS)
    )


def resources(value: int) -> str:
    coded = '"code": {"coding": [{"system": "http://loinc.org", "code": "13964-2"}]}'
    return "".join(
        f'{{"resourceType": "Observation", "id": "c{n}", "status": "final", {coded}, '
        '"subject": {"reference": "Patient/well"}, "effectiveDateTime": "2026-11-01", '
        f'"issued": "2026-11-02", "valueQuantity": {{"value": {value}, "unit": "nmol/L"}}}}\n'
        for n in range(N_ROWS)
    )


def replaced(path: Path) -> None:
    beside = path.with_name(".new")
    beside.write_text(labs(222), encoding="utf-8")
    os.replace(beside, path)


def grown(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("more,well,2026-11-01,13964-2,222,nmol/L\n")


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def taken_away(path: Path) -> None:
    path.unlink()


def values(site: Path) -> set[tuple[float, int]]:
    """The values among the results of the file in question, each with its number of rows."""
    path = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(path), read_only=True) as database:
        return set(
            database.execute(
                "SELECT value, count(*) FROM core.lab_result WHERE result_id SIMILAR TO 'c[0-9].*'"
                " AND taken_for > DATE '2026-11-01' GROUP BY ALL"
            ).fetchall()
        )


def accounts(site: Path) -> list[tuple[object, ...]]:
    path = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(path), read_only=True) as database:
        return database.execute(
            "SELECT file_name, n_read - n_accepted - n_duplicate - n_superseded - n_out_of_scope"
            " - n_rejected, held FROM run.source_file ORDER BY ALL"
        ).fetchall()


@pytest.mark.parametrize(
    "hand",
    [
        replaced,
        *(pytest.param(hand, marks=pytest.mark.long) for hand in (grown, cut_off, taken_away)),
    ],
)
def test_a_file_that_changes_while_it_is_read_is_held_whole(site: Path, hand: Hand) -> None:
    path = site / "inbox" / "labs_2.csv"
    path.write_text(labs(111) + '"broken\n', encoding="utf-8")
    played = []

    def somebody(step: str) -> None:
        if "splitting it row by row" in step:
            hand(path)
            played.append(step)

    at = datetime(2026, 11, 2, 2, 30, tzinfo=UTC)
    result = run_night(site, SECOND_NIGHT, at, somebody)
    assert played
    [finding] = [each for each in result.findings if each.startswith("labs_2.csv was held")]
    assert "changed while it was read" in finding or "cannot be read" in finding
    assert values(site) == set()
    assert ("labs_2.csv", 0, True) in accounts(site)
    # What lies there on the next night is taken, whole, once.
    path.write_text(labs(333), encoding="utf-8")
    night(site, SECOND_NIGHT + timedelta(days=1))
    assert values(site) == {(333.0, N_ROWS)}
    no_leftovers(site)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "text"),
    [("labs_2.csv", labs), ("results_2.hl7", message), ("results_2.ndjson", resources)],
)
def test_a_file_that_is_replaced_all_the_time_is_taken_whole_or_not_at_all(
    site: Path, name: str, text: Callable[[int], str]
) -> None:
    path = site / "inbox" / name
    path.write_text(text(100), encoding="utf-8")
    over = threading.Event()

    def hammer() -> None:
        # Round and round: a quick machine would soon write values that nobody can have.
        for value in itertools.cycle(range(101, 1000)):
            if over.is_set():
                break
            beside = path.with_name(".new")
            beside.write_text(text(value), encoding="utf-8")
            os.replace(beside, path)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        for n in range(5):
            night(site, SECOND_NIGHT + timedelta(days=n))
            found = values(site)
            assert not found or {count for _, count in found} == {N_ROWS}, found
            assert len(found) <= 1, found
            assert {difference for _, difference, _ in accounts(site)} == {0}
    finally:
        over.set()
        thread.join()
    # The hand is taken away, and the file as it lies now is what is known.
    night(site, SECOND_NIGHT + timedelta(days=5))
    assert {count for _, count in values(site)} == {N_ROWS}
    assert not [each for each in accounts(site) if each[2]]
    assert whole(site) == "2026-11-07.1"


@pytest.mark.long
def test_a_clock_that_goes_back_publishes_nothing_and_says_how_to_go_on(
    site: Path, capsys: Capture
) -> None:
    """A night of tomorrow is published; then the clock, which is today's, is asked."""
    with duckdb.connect() as database:
        [(now,)] = database.execute("SELECT current_date").fetchall()
    tomorrow = now + timedelta(days=1)
    deliver(site, {"labs_2.csv": labs(111)})
    assert cli.main(["run", str(site), "--as-of", tomorrow.isoformat()]) in (0, 20)
    before = bytes_below(site / "published")
    capsys.readouterr()
    deliver(site, {"labs_3.csv": labs(333)})
    assert cli.main(["run", str(site)]) == 16
    said = capsys.readouterr().err
    assert f"lies before the last published night, {tomorrow}: nothing was published" in said
    assert f"`b12screen run SITE --as-of {tomorrow}`" in said and "a clock is wrong" in said
    assert cli.main(["doctor", str(site), "--expect", "00:00"]) == 20
    assert "lies ahead of today" in capsys.readouterr().out
    assert cli.main(["doctor", str(site)]) == 20
    said = capsys.readouterr().out
    # What the night told, and whether its files are as it wrote them, is said all the same.
    assert "lies ahead of today" in said and "newest 2026" in said
    assert re.search(r"published +\d+ files, each what the night wrote", said) is not None, said
    assert bytes_below(site / "published") == before
    # The same night can be run again, and the file that waited is taken.
    assert cli.main(["run", str(site), "--as-of", tomorrow.isoformat()]) in (0, 20)
    assert values(site) == {(333.0, N_ROWS)}
