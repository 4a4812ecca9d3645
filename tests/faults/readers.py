"""Readers that read without pause while nights are published: `python -m tests.faults.readers`.

Every read resolves ``current`` once, as a careful reader does, and then holds the database, the
manifest and every sheet against each other. A read that fails is an error; one in which they do
not speak of one night is a mixed night. Both are counted, and neither may happen.
"""

import argparse
import csv
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

from b12screen.settings import make_site

from .conftest import EXTRACTS, FIRST_NIGHT, deliver, night

ROOT = Path(__file__).resolve().parents[2]
HOLD_SECONDS = 0.02
LABS = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"


@dataclass(frozen=True)
class Counts:
    """What happened: nights published, reads, and of these errors, mixed nights, nights met."""

    n_publish: int
    n_read: int
    n_error: int
    n_mixed: int
    n_night: int
    kinds: list[str]


def one_read(site: Path) -> tuple[str, bool]:
    """The generation that was read, and whether all of it was of that generation."""
    folder = (site / "published" / "current").resolve()
    asked = (
        "SELECT night.run_id, CAST(night.as_of AS VARCHAR),"
        " (SELECT count(*) FROM worklists.item WHERE item_state = 'open'),"
        " (SELECT count(*) FROM worklists.item WHERE as_of > night.as_of),"
        " (SELECT count(*) FROM core.lab_result WHERE taken_for > night.as_of)"
        " FROM run.night AS night"
    )
    with duckdb.connect(str(folder / "b12screen.duckdb"), read_only=True) as database:
        [(run_id, as_of, n_open, n_later, n_later_result)] = before = database.execute(
            asked
        ).fetchall()
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        n_listed = 0
        is_whole = (folder.name, manifest["run_id"], n_later, n_later_result) == (
            run_id, run_id, 0, 0,
        )  # fmt: skip
        sheets = {path.name for path in (folder / "worklists").iterdir()}
        outputs = {
            name.removeprefix("worklists/"): output
            for name, output in manifest["outputs"].items()
            if name.startswith("worklists/")
        }
        is_whole &= sheets == outputs.keys()
        for name in sheets:
            content = (folder / "worklists" / name).read_bytes()
            rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
            n_listed += len(rows)
            is_whole &= {row["as_of"] for row in rows} <= {as_of}
            is_whole &= hashlib.sha256(content).hexdigest() == outputs[name]["sha256"]
        # Somebody who thinks for a while keeps the night that was opened.
        time.sleep(HOLD_SECONDS)
        is_whole &= database.execute(asked).fetchall() == before
    return folder.name, bool(is_whole and n_listed == n_open)


def read_on(site: Path) -> None:
    """Read until standard input ends; then tell the counts as JSON."""
    counts = {"reads": 0, "mixed": 0}
    kinds: list[str] = []
    nights = set()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not (site.parent / "stop").exists():
        counts["reads"] += 1
        try:
            name, is_whole = one_read(site)
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is counted
            kinds.append(type(error).__name__)
            continue
        nights.add(name)
        counts["mixed"] += not is_whole
    json.dump(counts | {"kinds": kinds, "nights": sorted(nights)}, sys.stdout)


def read_while_publishing(folder: Path, n_publish: int, n_reader: int = 2) -> Counts:
    """Publish so many nights one after the other while readers read; what the readers met."""
    site = folder / "site"
    make_site(site)
    deliver(site, EXTRACTS)
    night(site, FIRST_NIGHT)
    readers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.faults.readers", "--read", str(site)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n_reader)
    ]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "ready\n"
        for n in range(1, n_publish + 1):
            as_of = FIRST_NIGHT + timedelta(days=n)
            corrected = f"m0,neuro,2026-10-20,{as_of},13964-2,{900 + n},nmol/L,corrected\n"
            deliver(site, {f"labs_{as_of}.csv": LABS + corrected})
            night(site, as_of)
    finally:
        (folder / "stop").touch()
        told = [json.loads(reader.communicate(timeout=60)[0]) for reader in readers]
    return Counts(
        n_publish=n_publish,
        n_read=sum(each["reads"] for each in told),
        n_error=sum(len(each["kinds"]) for each in told),
        n_mixed=sum(each["mixed"] for each in told),
        n_night=len({name for each in told for name in each["nights"]}),
        kinds=sorted({kind for each in told for kind in each["kinds"]}),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.readers", description=__doc__)
    parser.add_argument("--publishes", type=int, default=50)
    parser.add_argument("--read", metavar="SITE", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.read is not None:
        read_on(arguments.read)
        return 0
    with tempfile.TemporaryDirectory(prefix="b12screen-readers-") as folder:
        found = read_while_publishing(Path(folder), arguments.publishes)
    print(
        f"{found.n_publish} nights published, {found.n_read} reads by two readers of "
        f"{found.n_night} nights: {found.n_error} errors {found.kinds}, {found.n_mixed} mixed"
    )
    return 1 if found.n_error or found.n_mixed else 0


if __name__ == "__main__":
    sys.exit(main())
