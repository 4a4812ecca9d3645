"""Links and folders of ``published`` that somebody moved, turned back or restored as copies."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pytest

from b12screen import cli
from b12screen.errors import AuditFailed
from b12screen.night import PRIVATE
from b12screen.publish import Site
from b12screen.warehouse import Warehouse

from .conftest import FIRST_NIGHT, SECOND_NIGHT, bytes_below, deliver, night
from .test_whole_or_absent import MORE, ROOT

THIRD_NIGHT = date(2026, 11, 3)


@pytest.fixture(scope="module")
def second_night(first_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose second night is published; for copying only."""
    root = tmp_path_factory.mktemp("second") / "site"
    shutil.copytree(first_night, root, symlinks=True)
    deliver(root, MORE)
    night(root, SECOND_NIGHT)
    return root


@pytest.fixture
def two_nights(second_night: Path, tmp_path: Path) -> Path:
    """The same site, to do with as a test likes."""
    return shutil.copytree(second_night, tmp_path / "site", symlinks=True)


def kept(site: Path) -> dict[str, str]:
    """Everything that a night is built on or has published."""
    return bytes_below(site / "store" / "generations") | bytes_below(site / "published" / ".nights")


def turn_back(site: Path) -> None:
    current = site / "published" / "current"
    current.unlink()
    current.symlink_to(FIRST_NIGHT.isoformat())


@pytest.mark.long
def test_a_link_turned_back_to_an_older_night_loses_nothing(
    two_nights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = kept(two_nights)
    published = bytes_below(two_nights / "published" / ".nights")
    turn_back(two_nights)
    assert cli.main(["doctor", str(two_nights)]) in (0, 20)
    capsys.readouterr()
    assert kept(two_nights) == before
    result = night(two_nights, THIRD_NIGHT)
    assert bytes_below(two_nights / "published" / ".nights").items() >= published.items()
    assert result.run_id == "2026-11-03.1"
    assert os.readlink(two_nights / "published" / "current") == "2026-11-03"
    assert Site(two_nights).committed() == "2026-11-03.1"


def test_a_store_of_a_later_version_is_refused_and_said_by_doctor(
    two_nights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    previous = Site(two_nights).committed()
    assert previous is not None
    state = Site(two_nights).state(previous)
    with Warehouse.open(state / PRIVATE) as private:
        private.execute("UPDATE private.store_format SET number = 1000")
    before = kept(two_nights)
    assert cli.main(["run", str(two_nights), "--as-of", THIRD_NIGHT.isoformat()]) == 13
    said = capsys.readouterr().err
    assert "its format is 1000" in said and "Install the later version again" in said
    assert cli.main(["doctor", str(two_nights)]) == 13
    assert "its format is 1000" in capsys.readouterr().out
    assert kept(two_nights) == before


@pytest.mark.long
def test_a_link_turned_back_does_not_bring_an_older_night_within_reach(two_nights: Path) -> None:
    turn_back(two_nights)
    assert night(two_nights, SECOND_NIGHT).run_id == "2026-11-02.2"


def test_without_its_published_folder_the_same_night_is_published_again(two_nights: Path) -> None:
    shutil.move(two_nights / "published", two_nights.parent / "moved")
    assert night(two_nights, SECOND_NIGHT).run_id == "2026-11-02.2"


@pytest.mark.parametrize("gone", ["the link", "the night"])
@pytest.mark.parametrize("again", [SECOND_NIGHT, pytest.param(THIRD_NIGHT, marks=pytest.mark.long)])
def test_a_published_night_that_is_gone_is_followed_by_the_next_one(
    two_nights: Path, gone: str, again: date, capsys: pytest.CaptureFixture[str]
) -> None:
    if gone == "the link":
        (two_nights / "published" / "current").unlink()
        (two_nights / "published" / "current").symlink_to("/nowhere")
        assert cli.main(["doctor", str(two_nights)]) == 20
        told = capsys.readouterr().out
        assert "leads nowhere, though the night 2026-11-02.1 is there" in told
    else:
        moved = two_nights / "published" / ".nights" / "2026-11-02.1"
        moved.rename(two_nights.parent / "moved")
    result = night(two_nights, again)
    assert result.run_id in ("2026-11-02.2", "2026-11-03.1")
    assert Site(two_nights).current.resolve().name == result.run_id


def test_a_store_of_an_older_backup_is_not_cleared_away(two_nights: Path) -> None:
    store = two_nights / "store"
    (store / "generations" / "2026-11-02.1").rename(store / "generations" / "2026-11-01.1")
    (store / "committed").write_text("2026-11-01.1\n")
    before = kept(two_nights)
    with pytest.raises(AuditFailed, match="does not hold the published night"):
        night(two_nights, THIRD_NIGHT)
    cli.main(["doctor", str(two_nights)])
    assert kept(two_nights) == before


@pytest.mark.long
def test_the_link_of_a_night_whose_second_run_was_killed_leads_to_the_first(
    two_nights: Path,
) -> None:
    link = two_nights / "published" / "2026-11-02"
    link.unlink()
    link.symlink_to(".nights/2026-11-02.2")
    night(two_nights, THIRD_NIGHT)
    assert os.readlink(link) == ".nights/2026-11-02.1"


@pytest.mark.parametrize("what", ["folder", "file", "note"])
def test_what_names_no_night_ends_with_a_message_and_removes_nothing(
    two_nights: Path, what: str
) -> None:
    current = two_nights / "published" / "current"
    newest = current.resolve()
    current.unlink()
    if what == "folder":
        shutil.copytree(newest, current)
    elif what == "file":
        current.write_text("2026-11-02")
    else:
        (two_nights / "store" / "committed").write_bytes(b"\xff\n")
    before = kept(two_nights)
    with pytest.raises(AuditFailed, match="nothing was published or removed"):
        night(two_nights, THIRD_NIGHT)
    assert cli.main(["doctor", str(two_nights)]) == AuditFailed.exit_code
    assert kept(two_nights) == before


@pytest.mark.parametrize(
    ("lost", "code"), [("inbox", 12), ("state", 13), ("cut", 13), ("sizes", 13), ("published", 13)]
)
def test_doctor_says_the_code_that_a_night_would_end_with(
    two_nights: Path, capsys: pytest.CaptureFixture[str], lost: str, code: int
) -> None:
    store = two_nights / "store"
    if lost == "inbox":
        shutil.rmtree(two_nights / "inbox")
    elif lost == "state":
        shutil.rmtree(store / "generations" / "2026-11-02.1")
    elif lost == "cut":
        os.truncate(store / "generations" / "2026-11-02.1" / "private.duckdb", 5000)
    elif lost == "sizes":
        (store / "nights" / "2026-11-02.1" / "store.json").write_text("[1")
    else:
        database = two_nights / "published" / "current" / "b12screen.duckdb"
        database.chmod(0o600)
        os.truncate(database, 5000)
    assert cli.main(["doctor", str(two_nights)]) == code
    assert f"A night would end with exit code {code}." in capsys.readouterr().out
    assert cli.main(["run", str(two_nights), "--as-of", THIRD_NIGHT.isoformat()]) == code


@pytest.mark.parametrize(
    "out", ["gone", *(pytest.param(out, marks=pytest.mark.long) for out in ("full", "closed"))]
)
def test_a_night_that_nobody_listens_to_is_published_and_keeps_its_exit_code(
    site: Path, out: str
) -> None:
    deliver(site, MORE)
    said = {"gone": "2>&1 | true", "full": ">/dev/full 2>&1", "closed": ">&- 2>&-"}[out]
    told = site.parent / "ended"
    command = (
        f"({sys.executable} -m b12screen run {site} --as-of {SECOND_NIGHT}; echo $? >{told}) {said}"
    )
    if out != "gone":
        command = command.replace("; echo", f" {said}; echo").removesuffix(f" {said}")
    subprocess.run(
        ["sh", "-c", command], cwd=ROOT, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert told.read_text().strip() in ("0", "20")
    assert Site(site).committed() == "2026-11-02.1"


def test_a_doctor_that_looks_at_the_lock_turns_no_night_away(site: Path) -> None:
    lock = os.open(site / "store" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    leaves = threading.Timer(0.15, os.close, (lock,))
    leaves.start()
    try:
        assert night(site, FIRST_NIGHT).exit_code in (0, 20)
    finally:
        leaves.join()
