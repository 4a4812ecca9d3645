"""A night that is killed, crowded out or starved of disk leaves yesterday's files, whole.

A child process kills itself at a stage or is killed at any moment, the full disk is a small file
system, permissions are really missing. Only the disk that fills within the last step is played.
"""

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from b12screen import cli
from b12screen import publish as publishing
from b12screen.errors import AuditFailed, CannotWrite, NightTooEarly, NothingUsable, SiteLocked
from b12screen.publish import Site, held, leftovers
from b12screen.replay import replay
from b12screen.settings import make_site

from .conftest import EXTRACTS, FIRST_NIGHT, SECOND_NIGHT, bytes_below, deliver, night

THIRD_NIGHT = SECOND_NIGHT + timedelta(days=1)

ROOT = Path(__file__).resolve().parents[2]
PARTS = [
    f'{{"code": {{"coding": [{{"system": "http://loinc.org", "code": "{code}"}}]}}, '
    f'"valueQuantity": {{"value": 450, "unit": "{unit}"}}}}'
    for code, unit in (("13964-2", "nmol/L"), ("14685-2", "pmol/L"))
]
MORE = {
    "labs_2.csv": "result_id,patient_id,collected_at,code,value,unit\n"
    "n1,well,2026-11-02,13964-2,450,nmol/L\nn2,well,2026-11-02,13965-9,19,umol/L\n"
    "n3,well,2026-11-02,13964-2,many,nmol/L\nm0,neuro,2026-10-20,13964-2,900,nmol/L\n",
    "messages_2.hl7": "MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1\r"
    "PID|1||told^^^H^MR||||19500203|F\r"
    "OBR|1||F1||||20261102\rOBX|1|NM|13964-2^^LN||450|nmol/L|||||F\r",
    "messages_3.hl7": "MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1\r"
    "PID|1||told^^^H^MR||||19500203|F\r"
    "OBR|1||F2||||20261102\rOBX|1|NM|13965-9^^LN||19|umol/L|||||F\r",
    "resources_2.ndjson": '{"resourceType": "Patient", "id": "told", "gender": "female"}\n'
    + "".join(
        '{"resourceType": "Observation", "id": "o1", "status": "final", '
        '"subject": {"reference": "Patient/told"}, "effectiveDateTime": "2026-11-01", '
        f'"issued": "2026-11-0{day}", "component": [{", ".join(parts)}]}}\n'
        # The second version drops what the first had, so that it is withdrawn.
        for day, parts in ((1, PARTS), (2, PARTS[:1]))
    )
    + '{"resourceType": "Observation", "id": "late", "status": "entered-in-error"}\n',
}
# The results of files of messages; each of these holds people as well.
N_RESULTS = {"messages_2.hl7": 1, "messages_3.hl7": 1, "resources_2.ndjson": 2}
# The named steps of a night, and the moments of publishing between which it must not part.
STEPS = (
    "taking extracts",
    "deciding",
    "writing worklists",
    "auditing the finished files",
    "publishing",
    "archive",
    "half an archive",
    "seal",
    "switch",
    "second link",
    "note",
    "retire",
)
# What is killed at these has been switched to; each is an attempt of its own.
AFTER_THE_SWITCH = ("note", "retire")
FEW = ("half an archive", "note")
CHILD = """
import os, signal, sys
from datetime import UTC, date, datetime
from pathlib import Path
from b12screen import night, publish

root, as_of, kill_at = Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), sys.argv[3]

def die_at(step):
    print(step, flush=True)
    if step == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)

def dying(step, function):
    def called(*args):
        die_at(step)
        return function(*args)
    return called

def replaced(source, target, replace=os.replace):
    if str(target).endswith("/current"):
        die_at("second link")
    if str(target).endswith("/committed"):
        die_at("note")
    replace(source, target)

publish.switch = dying("switch", publish.switch)
publish.seal = dying("seal", publish.seal)
publish.retire = dying("retire", publish.retire)
night.archive.keep = dying("archive", night.archive.keep)
night.archive.settle = dying("half an archive", night.archive.settle)
os.replace = replaced
print("ready", flush=True)
night.run_night(root, as_of, datetime(2026, 11, 2, 2, 30, tzinfo=UTC), die_at)
"""


def child(site: Path, as_of: str, kill_at: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(site), as_of, kill_at],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seen(site: Path) -> dict[str, str]:
    """What a reader finds under `current`."""
    return bytes_below((site / "published" / "current").resolve())


def rows(site: Path, query: str) -> list[tuple[object, ...]]:
    path = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(path), read_only=True) as database:
        return database.execute(query).fetchall()


def whole(site: Path) -> str:
    """The night that `current` names, every file of its manifest in place."""
    folder = (site / "published" / "current").resolve()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for name, output in manifest["outputs"].items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == output["sha256"], name
    assert {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } == {
        "manifest.json",
        *manifest["outputs"],
    }
    return folder.name


def accounted(site: Path) -> None:
    """Every file once for each of its kinds, its rows in one bucket each, every result once."""
    files = rows(
        site,
        "SELECT file_name, n_read - n_accepted - n_duplicate - n_superseded - n_out_of_scope"
        " - n_rejected FROM run.source_file",
    )
    assert sorted(files) == sorted((name, 0) for name in (*EXTRACTS, *MORE, *N_RESULTS))
    [(n, n_distinct)] = rows(
        site, "SELECT count(*), count(DISTINCT (laboratory, result_id)) FROM core.lab_result"
    )
    sent = sum(N_RESULTS.values()) + sum(
        text.count("\n") - 1 for name, text in {**EXTRACTS, **MORE}.items() if "lab" in name
    )
    assert n == n_distinct == sent - 2  # one repeats a known row, one is no number
    assert rows(site, "SELECT result_id FROM core.lab_result WHERE status <> 'final'") == [
        ("o1#14685-2",)
    ]


def no_leftovers(site: Path) -> None:
    current = (site / "published" / "current").resolve().name
    assert [path.name for path in (site / "store" / "generations").iterdir()] == [current]
    archives = {path.name for path in (site / "store" / "nights").iterdir()}
    assert archives == {path.name for path in Site(site).archives().values()}
    assert current in archives
    assert not (site / "store" / "scratch").exists()
    assert not list((site / "published").rglob(".building-*"))
    assert not list((site / "published").glob(".link-*"))


@pytest.mark.parametrize(
    "steps",
    [FEW, pytest.param(STEPS, marks=pytest.mark.long)],
    ids=["few", "every"],
)
def test_a_night_killed_at_any_step_leaves_the_old_files_or_the_new_ones(
    site: Path, steps: tuple[str, ...]
) -> None:
    deliver(site, MORE)
    yesterday = seen(site)
    archived = bytes_below(site / "store" / "nights" / "2026-11-01.1")
    n_switched = 0
    for step in steps:
        with child(site, "2026-11-02", step) as run:
            assert run.wait(60) == -signal.SIGKILL, (step, run.stderr and run.stderr.read())
        # Re-pointing `current` is the only step that counts; the store's note comes after it.
        if step in AFTER_THE_SWITCH:
            n_switched += 1
            assert whole(site) == f"2026-11-02.{n_switched}"
            assert seen(site) != yesterday
            assert Site(site).archives()[SECOND_NIGHT].name == whole(site)
        else:
            assert whole(site) == "2026-11-01.1", step
            assert seen(site) == yesterday, step
            # An archive that was begun is none until its night counts.
            assert list(Site(site).archives()) == [FIRST_NIGHT], step
        assert bytes_below(site / "store" / "nights" / "2026-11-01.1") == archived, step
    accounted(site)
    worklists = bytes_below(site / "published" / "current" / "worklists")
    night(site, SECOND_NIGHT)
    assert whole(site) == f"2026-11-02.{n_switched + 1}"
    assert bytes_below(site / "published" / "current" / "worklists") == worklists
    accounted(site)
    no_leftovers(site)
    # Each night that counts can be replayed, whatever was killed on its way.
    for replayed in replay(site, FIRST_NIGHT, lambda step: None, through=SECOND_NIGHT):
        assert replayed.differing == []


@pytest.mark.long
def test_a_night_run_again_and_killed_before_its_link_leaves_the_first_attempt(site: Path) -> None:
    yesterday = seen(site)
    with child(site, "2026-11-01", "switch") as run:
        assert run.wait(60) == -signal.SIGKILL
    assert (whole(site), seen(site)) == ("2026-11-01.1", yesterday)


@pytest.mark.long
def test_a_night_killed_at_ten_moments_leaves_the_old_files_or_the_new_ones(site: Path) -> None:
    deliver(site, MORE)
    yesterday = seen(site)
    chance = random.Random(12)
    for moment in range(10):
        with child(site, "2026-11-02") as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 1.5))
            run.kill()
        name = whole(site)
        assert (seen(site) == yesterday) == (name == "2026-11-01.1"), moment
    night(site, SECOND_NIGHT)
    assert whole(site).startswith("2026-11-02.")
    accounted(site)
    no_leftovers(site)


def test_the_second_of_two_runs_is_turned_away_and_changes_nothing(site: Path) -> None:
    before = bytes_below(site)
    with held(Site(site)), pytest.raises(SiteLocked) as turned_away:
        night(site, SECOND_NIGHT)
    assert turned_away.value.exit_code == 14
    assert bytes_below(site) == before


def test_a_killed_run_holds_no_site(site: Path) -> None:
    with child(site, "2026-11-02", "deciding") as run:
        assert run.wait(60) == -signal.SIGKILL
    with held(Site(site)):
        pass


def test_doctor_clears_up_after_a_killed_night_and_says_what_it_freed(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def leftovers() -> str:
        assert cli.main(["doctor", str(site)]) in (0, 20)
        [line] = [line for line in capsys.readouterr().out.splitlines() if "leftovers" in line]
        return line

    assert leftovers() == "ok    leftovers     nothing that was killed has left anything"
    before = bytes_below(site)
    deliver(site, MORE)
    delivered = bytes_below(site / "inbox")
    with child(site, "2026-11-02", "second link") as run:
        assert run.wait(60) == -signal.SIGKILL
    left = bytes_below(site)
    with held(Site(site)):
        assert leftovers() == "ok    leftovers     not looked for while a run holds the site"
    assert bytes_below(site) == left
    told = re.fullmatch(
        r"ok    leftovers     6 folders and links of what was killed removed, (\d+\.\d) MB freed",
        leftovers(),
    )
    assert told is not None
    assert float(told.group(1)) > 1
    # The generation, its state, its archive, its link, the link on its way, and scratch.
    assert bytes_below(site) == before | {f"inbox/{name}": h for name, h in delivered.items()}
    no_leftovers(site)
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"


def test_a_night_before_the_last_one_is_not_run(site: Path) -> None:
    before = bytes_below(site / "published")
    with pytest.raises(NightTooEarly) as too_early:
        night(site, FIRST_NIGHT - timedelta(days=1))
    assert too_early.value.exit_code == 16
    assert bytes_below(site / "published") == before


def test_an_empty_inbox_publishes_nothing_and_can_be_filled_later(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    with pytest.raises(NothingUsable) as nothing:
        night(tmp_path / "site", FIRST_NIGHT)
    assert nothing.value.exit_code == 12
    assert not (tmp_path / "site" / "published" / "current").exists()
    deliver(tmp_path / "site", EXTRACTS)
    night(tmp_path / "site", FIRST_NIGHT)
    assert whole(tmp_path / "site") == "2026-11-01.1"


def test_a_store_that_is_gone_is_never_begun_anew_in_silence(site: Path) -> None:
    yesterday = seen(site)
    shutil.rmtree(site / "store")
    with pytest.raises(AuditFailed, match="bring store/ back from its backup") as missing:
        night(site, SECOND_NIGHT)
    assert missing.value.exit_code == 13
    assert seen(site) == yesterday


@pytest.mark.parametrize("lost", ["current", "published"])
def test_nights_of_which_nothing_says_which_counts_are_never_taken_for_killed_ones(
    site: Path, lost: str, capsys: pytest.CaptureFixture[str]
) -> None:
    night(site, SECOND_NIGHT)
    (site / "store" / "committed").unlink()
    if lost == "current":
        (site / "published" / "current").unlink()
    else:
        shutil.rmtree(site / "published")
    before = bytes_below(site)
    assert cli.main(["doctor", str(site)]) == 13
    assert "neither" in capsys.readouterr().out
    with pytest.raises(AuditFailed, match="says which counts: nothing was published or removed"):
        night(site, THIRD_NIGHT)
    assert {name: bytes_ for name, bytes_ in bytes_below(site).items() if "lock" not in name} == {
        name: bytes_ for name, bytes_ in before.items() if "lock" not in name
    }
    if lost == "current":
        (site / "published" / "current").symlink_to(f"{SECOND_NIGHT}")
        night(site, THIRD_NIGHT)
        assert whole(site) == f"{THIRD_NIGHT}.1"


def test_a_night_that_is_refused_leaves_nothing_that_looks_like_a_killed_one(site: Path) -> None:
    with pytest.raises(NightTooEarly):
        night(site, FIRST_NIGHT - timedelta(days=1))
    (site / "inbox").rename(site / "away")
    with pytest.raises(NothingUsable):
        night(site, SECOND_NIGHT)
    assert leftovers(Site(site)) == []


def test_doctor_tells_that_what_counts_is_not_there(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = (site / "published" / "current").resolve()
    (folder / "b12screen.duckdb").unlink()
    assert cli.main(["doctor", str(site)]) == 20
    said = capsys.readouterr().out
    assert f"published/.nights/{FIRST_NIGHT}.1/b12screen.duckdb is not there" in said
    assert "`b12screen replay SITE --as-of" in said
    shutil.rmtree(site / "published")
    assert cli.main(["doctor", str(site)]) == 20
    assert "where nights were published bring it back" in capsys.readouterr().out


def test_what_is_published_cannot_be_changed_or_read_by_others(site: Path) -> None:
    folder = (site / "published" / "current").resolve()
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else 0o440), path.name
    assert (site / "store").stat().st_mode & 0o077 == 0
    assert (site / "published").stat().st_mode & 0o007 == 0


def test_a_reader_keeps_yesterday_while_tonight_is_published(site: Path) -> None:
    path = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(path.resolve()), read_only=True) as yesterday:
        night(site, SECOND_NIGHT)
        [(as_of,)] = yesterday.execute("SELECT as_of FROM run.night").fetchall()
        assert as_of == FIRST_NIGHT
        assert yesterday.execute("SELECT count(*) FROM worklists.item").fetchall() != [(0,)]
    assert rows(site, "SELECT as_of FROM run.night") == [(SECOND_NIGHT,)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A file system of its own, of as many megabytes as a test asks for, and where it asks."""
    mounted: list[Path] = []

    def mount(size_mb: int, folder: Path = tmp_path / "disk") -> Path:
        folder.mkdir(exist_ok=True)
        options = "remount," if folder in mounted else ""
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"{options}size={size_mb}m", "none", str(folder)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("mounting a small disk needs root and the right to mount")
        if not options:
            mounted.append(folder)
        return folder

    if shutil.which("mount") is None:
        pytest.skip("there is no mount command here")
    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_scratch_folder_may_be_a_disk_of_its_own(
    site: Path, small_disk: Callable[..., Path]
) -> None:
    scratch = small_disk(200, site / "store" / "scratch")
    night(site, SECOND_NIGHT)
    assert rows(site, "SELECT as_of FROM run.night") == [(SECOND_NIGHT,)]
    assert scratch.is_mount() and not list(scratch.iterdir())
    assert leftovers(Site(site)) == []


def size_mb(folder: Path) -> int:
    total = sum(path.lstat().st_size for path in folder.rglob("*"))
    return total // 1_000_000


@pytest.mark.long
def test_a_full_disk_at_any_stage_leaves_yesterdays_files(
    first_night: Path, small_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a disk that something else fills once the night has begun.
    monkeypatch.setattr("b12screen.night.hold_room", lambda *_: None)
    site = small_disk(400) / "site"
    shutil.copytree(first_night, site, symlinks=True)
    deliver(site, MORE)
    yesterday = bytes_below(site / "published")
    used = size_mb(site)
    filled_in = []
    # More room each time, so that the disk fills at a later stage each time.
    for room in range(1, 60, 5):
        small_disk(used + room)
        try:
            night(site, SECOND_NIGHT)
            break
        except CannotWrite as full:
            assert full.exit_code == 15
            assert "disk is full" in str(full)
            filled_in.append(str(full).partition(":")[0])
        assert bytes_below(site / "published") == yesterday, room
    assert len(set(filled_in)) > 1, "the disk filled in one stage only"
    assert whole(site) == "2026-11-02.1"
    accounted(site)


@pytest.mark.long
def test_a_night_without_room_ends_before_it_begins(
    first_night: Path, small_disk: Callable[..., Path]
) -> None:
    site = small_disk(400) / "site"
    shutil.copytree(first_night, site, symlinks=True)
    deliver(site, MORE)
    yesterday = bytes_below(site)
    small_disk(size_mb(site) + 3)
    with pytest.raises(CannotWrite, match="too full to begin: a night needs about") as full:
        night(site, SECOND_NIGHT)
    assert full.value.exit_code == 15
    assert bytes_below(site) == yesterday
    small_disk(400)
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"


def test_a_check_without_room_for_its_own_files_says_where_and_not_that_a_night_failed(
    site: Path,
    small_disk: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    room = small_disk(1)
    monkeypatch.setattr("tempfile.tempdir", str(room))
    assert cli.main(["check", str(site), "--as-of", str(SECOND_NIGHT)]) == 15
    said = capsys.readouterr().err
    assert f"below {room}" in said and "nothing was checked" in said
    assert "yesterday" not in said
    assert list(room.iterdir()) == []


def test_an_extract_larger_than_the_disk_is_not_begun(site: Path) -> None:
    yesterday = bytes_below(site / "published")
    huge = site / "inbox" / "labs_huge.csv"
    huge.touch()
    os.truncate(huge, 7 * 10**12)
    with pytest.raises(CannotWrite, match="MB are free") as full:
        night(site, SECOND_NIGHT)
    assert full.value.exit_code == 15
    assert bytes_below(site / "published") == yesterday
    huge.unlink()
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"


def test_a_night_without_its_inbox_is_not_published(site: Path) -> None:
    yesterday = seen(site)
    (site / "inbox").rename(site / "unmounted")
    with pytest.raises(NothingUsable, match="cannot be looked into") as missing:
        night(site, SECOND_NIGHT)
    assert missing.value.exit_code == 12
    assert seen(site) == yesterday
    (site / "unmounted").rename(site / "inbox")
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"


@pytest.mark.long
def test_a_replay_that_fills_the_disk_leaves_nothing_half_and_no_night_the_worse(
    first_night: Path, small_disk: Callable[..., Path]
) -> None:
    site = small_disk(400) / "site"
    shutil.copytree(first_night, site, symlinks=True)
    yesterday = bytes_below(site / "published")
    for room in (1, 4):
        small_disk(size_mb(site) + room)
        with pytest.raises(CannotWrite, match="disk is full") as full:
            replay(site, FIRST_NIGHT, lambda step: None)
        assert full.value.exit_code == 15
        assert [path.name for path in (site / "replays").iterdir()] == [".lock"], room
        assert bytes_below(site / "published") == yesterday
    small_disk(400)
    [replayed] = replay(site, FIRST_NIGHT, lambda step: None)
    assert replayed.differing == []


def test_a_disk_that_fills_while_publishing_leaves_yesterdays_files(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    yesterday = bytes_below(site / "published")
    monkeypatch.setattr(publishing, "switch", full)
    with pytest.raises(CannotWrite, match="disk is full"):
        night(site, SECOND_NIGHT)
    assert bytes_below(site / "published") == yesterday


WITHOUT_RIGHTS = """
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from b12screen.errors import CannotWrite
from b12screen.night import run_night

try:
    run_night(Path(sys.argv[1]), date(2026, 11, 2), datetime(2026, 11, 2, tzinfo=UTC), print)
except CannotWrite as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(
    "folder",
    ["store", "store/generations", "store/nights", "published", "published/.nights"],
)
def test_a_permission_that_is_missing_leaves_yesterdays_files(site: Path, folder: str) -> None:
    command = [sys.executable, "-c", WITHOUT_RIGHTS, str(site)]
    if os.geteuid() == 0:
        # Root may write everywhere, unless that right is taken away.
        if shutil.which("setpriv") is None:
            pytest.skip("root cannot be kept from writing without setpriv")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    yesterday = bytes_below(site / "published")
    (site / folder).chmod(0o500)
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    (site / folder).chmod(0o700)
    assert run.returncode == 15, run.stderr
    assert "a permission is missing" in run.stdout
    assert bytes_below(site / "published") == yesterday
