"""The disk full from every write of a night on: `python -m tests.faults.writes`.

A real `b12screen run` is made once for each change that it makes below its site (a write, a sync, a
new file, a folder, a link, a rename), with a library before the system's own that fails this change
and every later one with ENOSPC. That is done for the first night of a site and for one on top of a
published night. The run has to end with 15 and leave what was published, or with 0 or 20 and the
new night, whole; the next run has to go through with the accounts and the very sheets of a night
that nothing disturbed. With ``--once`` that change alone fails, as on a disk that has room again.

The engine writes its logs in hundreds of like pairs of write and sync, so fewer of these are failed
(``--log-every 1`` fails each). Needs a C compiler (``cc``) and a loader with LD_PRELOAD.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from b12screen.settings import make_site

from .conftest import EXTRACTS, FIRST_NIGHT, SECOND_NIGHT, bytes_below, deliver, night
from .test_whole_or_absent import MORE, no_leftovers, rows, whole

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(__file__).with_name("full_disk.c")
CANNOT_WRITE = 15
PUBLISHED = (0, 20)
# What was being written, by the first of these that its path below the site fits.
PLACES = (
    (r"store/scratch.*", "store/scratch, what a taking works with"),
    (r"store/lock", "store/lock"),
    (r"store/committed.*", "store/committed, the note of the generation that counts"),
    (r"store/generations/[^/]+/state\.duckdb\.wal", "the store, state.duckdb: its log"),
    (r"store/generations/[^/]+/state\.duckdb.*", "the store, state.duckdb"),
    (r"store/generations/[^/]+/private\.duckdb\.wal", "the store, private.duckdb: its log"),
    (r"store/generations/[^/]+/private\.duckdb.*", "the store, private.duckdb"),
    (r"store/nights/[^/]+/.*", "the archive for replays"),
    (r"published/\.nights/[^/]+/b12screen\.duckdb\.wal", "the night's database: its log"),
    (r"published/\.nights/[^/]+/b12screen\.duckdb.*", "the night's database"),
    (r"published/\.nights/[^/]+/worklists(/.*)?", "the worklists"),
    (r"published/\.nights/[^/]+/manifest\.json", "the manifest"),
    (r"published/(\.link-)?\d{4}-\d\d-\d\d", "the night's link"),
    (r"published/(\.link-)?current", "the link `current`"),
    (r"published", "the folder of the links, synced"),
    (r".*", "folders of the site and of the night"),
    (r"", "nothing: the run made fewer changes"),
)


LABS = "result_id,patient_id,collected_at,code,value,unit\n"
RESOURCES: tuple[dict[str, Any], ...] = (
    {"resourceType": "Patient", "id": "lined", "birthDate": "1950-02-03", "gender": "female"},
    {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "13964-2"}]},
        "subject": {"reference": "Patient/lined"},
        "effectiveDateTime": "2026-10-30",
        "valueQuantity": {"value": 900, "unit": "nmol/L"},
    },
)


def deliver_every_form(site: Path) -> None:
    """Extracts of each form that is read by a way of its own."""
    deliver(site, MORE)
    inbox = site / "inbox"
    deliver(site, {"labs_3.csv": f"{LABS}t1,well,2026-11-02,13964-2,410,nmol/L\nt2,well\n"})
    packed = f"{LABS}p1,plain,2026-11-02,13964-2,420,nmol/L\n".replace("\n", "\r\n")
    (inbox / "labs_4.csv.gz").write_bytes(gzip.compress(packed.encode(), mtime=0))
    columns = [name.split(",") for name in (LABS + "q1,dead,2026-10-02,13964-2,430,nmol/L").split()]
    frame = pl.DataFrame(dict(zip(*columns, strict=True)))
    frame.write_parquet(inbox / "labs_5.parquet")
    lines = "".join(json.dumps(resource) + "\n" for resource in RESOURCES)
    (inbox / "resources_6.ndjson.gz").write_bytes(gzip.compress(lines.encode(), mtime=0))


@dataclass(frozen=True)
class Case:
    """A site before a night, and what the night comes to where nothing disturbs it."""

    title: str
    site: Path
    as_of: date
    sheets: dict[str, str]
    accounts: list[tuple[object, ...]]
    places: list[str]


@dataclass(frozen=True)
class Outcome:
    """What the run that met a full disk was writing, how it ended, and what was wrong with that."""

    place: str
    ending: str
    wrong: str


def compiled(folder: Path) -> Path:
    """The library that plays the full disk."""
    library = folder / "full_disk.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(LIBRARY), "-ldl"], check=True
    )
    return library


def run(
    site: Path, as_of: date, library: Path, at: int, once: bool = False
) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
    """One `b12screen run` whose disk is full at a change (0: never), and the changes it made."""
    log = site.with_suffix(".log")
    log.unlink(missing_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "LD_PRELOAD": str(library),
        "FULL_DISK_BELOW": str(site),
        "FULL_DISK_AT": str(at),
        "FULL_DISK_LOG": str(log),
    }
    if once:
        environment["FULL_DISK_ONCE"] = "1"
    done = subprocess.run(
        [sys.executable, "-m", "b12screen", "run", str(site), "--as-of", as_of.isoformat()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    changes = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
    log.unlink(missing_ok=True)
    return done, changes


def accounts(site: Path) -> list[tuple[object, ...]]:
    """Every file's account; the night that counts its rows ends where they do not add up."""
    return rows(site, "SELECT * FROM run.source_file ORDER BY file_name, kind, sha256, attempt")


def case_of(title: str, site: Path, as_of: date, library: Path) -> Case:
    """The night undisturbed, in a copy; with the number of its changes."""
    undisturbed = site.with_name(f"{site.name}-undisturbed")
    shutil.copytree(site, undisturbed, symlinks=True)
    done, changes = run(undisturbed, as_of, library, 0)
    assert done.returncode in PUBLISHED, done.stderr
    sheets = bytes_below(undisturbed / "published" / "current" / "worklists")
    places = [place_of(path) for _, _, path, _ in changes]
    return Case(title, site, as_of, sheets, accounts(undisturbed), places)


def chosen(places: list[str], every: int, log_every: int) -> list[int]:
    """The numbers of the changes that are to fail: of the engine's many to its logs fewer."""
    in_log = [number for number, place in enumerate(places, 1) if place.endswith("its log")]
    other = [number for number, place in enumerate(places, 1) if not place.endswith("its log")]
    return sorted(other[::every] + in_log[::log_every])


def place_of(path: str) -> str:
    return next(title for pattern, title in PLACES if re.fullmatch(pattern, path))


def failed_at(case: Case, library: Path, once: bool, at: int) -> Outcome:
    """Fail one change of the night, hold what is left against the promise, and run it again."""
    with tempfile.TemporaryDirectory(prefix="b12screen-writes-") as folder:
        site = Path(folder) / "site"
        shutil.copytree(case.site, site, symlinks=True)
        before = bytes_below(site / "published")
        done, changes = run(site, case.as_of, library, at, once)
        failed = [(call, path) for _, call, path, result in changes if result == "failed"]
        # Two threads of the engine do not always write in as many pieces.
        place = place_of(failed[0][1]) if failed else PLACES[-1][1]
        wrong = [*wrong_ending(site, before, case, done)]
        try:
            night(site, case.as_of)
            wrong += wrong_next_night(site, case)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is counted
            wrong.append(f"the next run: {type(error).__name__}: {error}")
    ending = f"exit {done.returncode}, " + (
        "the new night" if done.returncode in PUBLISHED else "what was there before"
    )
    call = failed[0][0] if failed else "nothing"
    told = f"change {at}, {call} of {failed[0][1] if failed else 'nothing'}: " + "; ".join(wrong)
    return Outcome(place, ending, told if wrong else "")


def wrong_ending(
    site: Path, before: dict[str, str], case: Case, done: "subprocess.CompletedProcess[str]"
) -> Iterable[str]:
    """What a run that met the full disk did that it may not do."""
    if done.returncode not in (CANNOT_WRITE, *PUBLISHED):
        yield f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    if "Traceback" in done.stderr:
        yield "a traceback"
    if done.returncode == CANNOT_WRITE and "nothing was published" not in done.stderr:
        yield "it does not say that nothing was published"
    if done.returncode in PUBLISHED:
        if not whole(site).startswith(case.as_of.isoformat()):
            yield "it says that the night is published, and it is not"
        elif bytes_below(site / "published" / "current" / "worklists") != case.sheets:
            yield "other sheets than those of an undisturbed night"
    elif bytes_below(site / "published") != before:
        yield "what is published is not what was there before"


def wrong_next_night(site: Path, case: Case) -> Iterable[str]:
    """What of the night after it is not as where nothing was ever full."""
    whole(site)
    no_leftovers(site)
    if bytes_below(site / "published" / "current" / "worklists") != case.sheets:
        yield "the next run: other sheets than those of an undisturbed night"
    if accounts(site) != case.accounts:
        yield "the next run: other accounts than those of an undisturbed night"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.writes", description=__doc__)
    parser.add_argument("--every", type=int, default=2, help="each n-th change, of any file")
    parser.add_argument("--log-every", type=int, default=20, help="each n-th of the engine's logs")
    parser.add_argument("--once", action="store_true", help="only that change fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    began = time.monotonic()
    n_wrong = 0
    with tempfile.TemporaryDirectory(prefix="b12screen-writes-") as folder:
        library = compiled(Path(folder))
        empty, first = Path(folder) / "empty", Path(folder) / "first"
        make_site(empty)
        deliver(empty, EXTRACTS)
        shutil.copytree(empty, first)
        night(first, FIRST_NIGHT)
        deliver_every_form(first)
        for case in (
            case_of("The first night of a site", empty, FIRST_NIGHT, library),
            case_of("A night on top of a published one", first, SECOND_NIGHT, library),
        ):
            numbers = chosen(case.places, arguments.every, arguments.log_every)
            with ProcessPoolExecutor(
                arguments.jobs, mp_context=multiprocessing.get_context("spawn")
            ) as pool:
                outcomes = list(
                    pool.map(partial(failed_at, case, library, arguments.once), numbers)
                )
            how = "that change alone" if arguments.once else "that change and all after it"
            print(
                f"{case.title}: {len(case.places)} changes below the site, failed each "
                f"{arguments.every}. of them, and each {arguments.log_every}. of those to the "
                f"engine's logs; {how}"
            )
            found = Counter((outcome.place, outcome.ending) for outcome in outcomes)
            order = [title for _, title in PLACES]
            for place, ending in sorted(found, key=lambda each: (order.index(each[0]), each[1])):
                n = found[place, ending]
                print(f"{n:6}  {place:<55}  {ending}")
            wrong = [outcome.wrong for outcome in outcomes if outcome.wrong]
            print(f"{len(outcomes):6}  in all, {len(wrong)} of them wrong")
            for told in wrong:
                print(f"        {told}")
            n_wrong += len(wrong)
    print(f"{n_wrong} wrong, {time.monotonic() - began:.0f} s")
    return 1 if n_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
