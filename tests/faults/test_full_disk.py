"""What `python -m tests.faults.writes` once found: a full disk that was not taken for one."""

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from b12screen import cli
from b12screen import publish as publishing
from b12screen.errors import CannotWrite
from b12screen.ingest.columnar import parquet_as_text
from b12screen.ingest.delimited import Parts
from b12screen.publish import Site, writing
from b12screen.warehouse import Warehouse

from .conftest import SECOND_NIGHT, bytes_below, deliver, night
from .test_whole_or_absent import MORE, accounted, no_leftovers, whole
from .writes import ROOT, compiled

WRITES_TWO_TABLES = """
import sys
from pathlib import Path
import polars as pl
from b12screen.errors import CannotWrite
from b12screen.warehouse import Warehouse

try:
    with Warehouse.open(Path(sys.argv[1])) as warehouse:
        warehouse.attach(Path(sys.argv[2]), "private")
        warehouse.write("core.first", pl.DataFrame({"n": [1, 2]}))
        warehouse.write("core.first", pl.DataFrame({"n": [1, 2, 3]}))
        warehouse.execute("CREATE TABLE private.second AS SELECT 4 AS n")
except CannotWrite:
    sys.exit(15)
"""


def full(*paths: object) -> OSError:
    return OSError(errno.ENOSPC, "No space left on device", *paths)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler here")
def test_no_write_of_the_engine_fails_unnoticed(tmp_path: Path) -> None:
    """Above all not those of closing: what stays in the log beside a file is not copied with it."""
    library = compiled(tmp_path)

    def ends(at: int, once: bool = False) -> tuple[int, list[str]]:
        folder = tmp_path / f"full-{at}"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", WRITES_TWO_TABLES, folder / "a.duckdb", folder / "b.duckdb"],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "LD_PRELOAD": str(library),
                "FULL_DISK_BELOW": str(folder),
                "FULL_DISK_AT": str(at),
                "FULL_DISK_LOG": str(tmp_path / f"{at}.log"),
            }
            | ({"FULL_DISK_ONCE": "1"} if once else {}),
            check=False,
        )
        return done.returncode, (tmp_path / f"{at}.log").read_text().splitlines()

    code, changes = ends(0)
    assert code == 0
    assert not list(tmp_path.rglob("*.wal"))
    # Each kind of call on each file, the last time that it is made: a moment without room is worse
    # than none from then on, as everything after it goes through.
    last = {change.partition("\t")[2]: number for number, change in enumerate(changes, 1)}
    unnoticed = [
        change
        for change, number in last.items()
        # An emptied log may keep its length: all that is in it stands in the file by then.
        if "ftruncate" not in change
        and ends(number, once="wal" not in change)[0] != CannotWrite.exit_code
    ]
    assert unnoticed == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_the_system_refuses_is_told_with_its_file(tmp_path: Path, number: int) -> None:
    told = re.escape(f"(copying the store, {tmp_path}/state.duckdb): nothing was published")
    with pytest.raises(CannotWrite, match=told), writing("copying the store"):
        raise OSError(number, os.strerror(number), f"{tmp_path}/state.duckdb")


def test_rows_for_which_there_is_no_room_are_no_fault_of_their_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"value": ["1", "2"]})
    frame.write_parquet(tmp_path / "labs.parquet")
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "rows-000000.parquet").symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="the disk is full"), writing("taking extracts"):
        parquet_as_text(tmp_path / "labs.parquet", {"value": "value"}, 1000, folder, 10**9)
    (folder / "broken-000000.parquet").symlink_to("/dev/full")
    with pytest.raises(CannotWrite, match="the disk is full"), writing("taking extracts"):
        Parts(folder, "broken", ("record", "raw")).close()


@pytest.mark.long
def test_a_night_is_not_published_without_a_file_that_the_disk_had_no_room_for(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(link: Path, target: Path) -> None:
        raise full(str(target), None, str(link))

    deliver(site, MORE)
    yesterday = bytes_below(site / "published")
    with monkeypatch.context() as disk:
        disk.setattr(Path, "symlink_to", no_room)
        with pytest.raises(CannotWrite, match="the disk is full"):
            night(site, SECOND_NIGHT)
    assert bytes_below(site / "published") == yesterday
    night(site, SECOND_NIGHT)
    accounted(site)


def test_what_cannot_be_cleared_up_behind_a_published_night_is_left_to_the_next_one(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(site, MORE)
    clear, asked = publishing.clear_leftovers, []

    def forbidden(of: Site) -> int:
        asked.append(of)
        if len(asked) == 2:
            raise PermissionError(errno.EACCES, "Permission denied")
        return clear(of)

    monkeypatch.setattr(publishing, "clear_leftovers", forbidden)
    assert night(site, SECOND_NIGHT).run_id == "2026-11-02.1"
    assert len(asked) == 2


@pytest.mark.long
@pytest.mark.parametrize("step", ["note", "retire", "retire_replays"])
def test_a_disk_that_fills_behind_the_switch_is_a_finding_of_a_published_night(
    site: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def no_room(*_: object) -> None:
        raise full()

    deliver(site, MORE)
    with monkeypatch.context() as disk:
        if step == "note":
            disk.setattr(Path, "write_text", unless_the_note(Path.write_text))
        else:
            disk.setattr(publishing, step, no_room)
        result = night(site, SECOND_NIGHT)
    assert result.exit_code == 20
    assert "the night is published, but" in result.findings[0]
    assert any(line.startswith("Look at: the night is published") for line in result.summary)
    assert whole(site) == "2026-11-02.1"
    accounted(site)
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.2"
    assert Site(site).note.read_text() == "2026-11-02.2\n"
    no_leftovers(site)


def unless_the_note(write_text: Callable[..., int]) -> Callable[..., int]:
    def written(path: Path, text: str, **options: Any) -> int:
        if path.name == "committed.new":
            raise full(str(path))
        return write_text(path, text, **options)

    return written


def test_what_is_closed_lies_in_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "night.of.nights.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.attach(tmp_path / "other.duckdb", "private")
        warehouse.write("core.first", pl.DataFrame({"n": [1]}))
        warehouse.execute("CREATE TABLE private.second AS SELECT 2 AS n")
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "other.duckdb"}
    shutil.copyfile(tmp_path / "other.duckdb", tmp_path / "copy.duckdb")
    with Warehouse.open(tmp_path / "copy.duckdb", read_only=True) as copied:
        assert copied.rows("SELECT n FROM second") == [(2,)]


def test_a_night_that_needs_more_memory_than_it_may_have_names_the_setting(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = bytes_below(site / "published")
    # What is held in lists cannot lie on the disk instead.
    greedy = "SELECT len(list(n)) FROM range(20000000) AS t(n)"

    def narrow(self: Warehouse, *_: object) -> list[str]:
        self.execute("SET memory_limit = '50MB'")
        self.execute(greedy)
        return []

    monkeypatch.setattr(Warehouse, "build", narrow)
    assert cli.main(["run", str(site), "--as-of", str(SECOND_NIGHT)]) == 10
    error = capsys.readouterr().err
    assert "limits.memory_mb is too little" in error
    assert "nothing was published, yesterday's files stand" in error
    assert bytes_below(site / "published") == before
