"""The full first night against a floor measured in the same run, in turn (`make bench`).

The floor F2 is the least that any pipeline on DuckDB must do: read the extract with its column
types given, and keep it as a table. Times become timestamps; the value stays text,
because a laboratory's value is text (`<0.05`). Figures are CPU seconds (user and system) of whole
processes, and peak resident memory. Nothing here asserts a time: the ratio is printed, people read.
"""

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from b12screen.synth import FIRST_NIGHT, bulk_extract

ROOT = Path(__file__).resolve().parents[2]

# A night that is done, and one that is done with findings (feeds that were never delivered).
GOOD_EXITS = (0, 20)

FLOOR = """
import sys
import duckdb

source, target, spill = sys.argv[1:]
connection = duckdb.connect(target, config={"threads": 2, "temp_directory": spill})
connection.execute("SET enable_progress_bar = false")
connection.execute("SET preserve_insertion_order = false")
columns = {name: "VARCHAR" for name in (
    "result_id", "patient_id", "clinic_id", "collected_at", "reported_at", "code", "value",
    "unit", "status")}
columns["collected_at"] = columns["reported_at"] = "TIMESTAMP"
connection.execute(
    "CREATE TABLE result AS SELECT * FROM read_csv(?, header = true, columns = ?)",
    [source, columns],
)
connection.close()
"""


@dataclass(frozen=True)
class Cost:
    """What one process took: CPU seconds, wall seconds, peak memory in GB."""

    cpu: float
    wall: float
    peak_gb: float


def measured(command: list[str], good_exits: tuple[int, ...] = (0,)) -> Cost:
    """Run a process to its end; its output is dropped, its errors are kept for a failure."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in good_exits:
            errors.seek(0)
            raise SystemExit(
                f"{' '.join(command[1:4])} ended with {process.returncode}:\n{errors.read()}"
            )
    # Linux counts in KB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit / 1e9)


def extracts(work: Path, rows: int, seed: int) -> Path:
    """The bulk extract, made once for a number of rows and a seed."""
    directory = work / f"extract-{rows}-{seed}"
    if not directory.is_dir():
        making = work / f".extract-{rows}-{seed}"
        shutil.rmtree(making, ignore_errors=True)
        bulk_extract(making, rows, seed)
        making.rename(directory)
    return directory


def floor(source: Path, work: Path) -> Cost:
    """F2 in a process of its own."""
    target = work / "floor.duckdb"
    target.unlink(missing_ok=True)
    command = [sys.executable, "-c", FLOOR, str(source), str(target), str(work / "spill")]
    cost = measured(command)
    target.unlink()
    return cost


def first_night(directory: Path, work: Path) -> tuple[Cost, str, int]:
    """A fresh site, one night; its cost, a hash over every published CSV, and their number."""
    site = work / "site"
    shutil.rmtree(site, ignore_errors=True)
    measured([sys.executable, "-m", "b12screen", "init", str(site)])
    for extract in directory.iterdir():
        try:
            os.link(extract, site / "inbox" / extract.name)
        except OSError:  # another file system
            shutil.copyfile(extract, site / "inbox" / extract.name)
    night = [sys.executable, "-m", "b12screen", "run", str(site), "--as-of", str(FIRST_NIGHT)]
    cost = measured(night, GOOD_EXITS)
    lists = sorted((site / "published" / "current" / "worklists").glob("*.csv"))
    together = hashlib.sha256()
    for path in lists:
        together.update(path.name.encode() + b"\0" + path.read_bytes())
    return cost, together.hexdigest(), len(lists)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="The first night against the floor, in pairs.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / f"b12screen-bench-{os.getuid()}",
        help="where extracts are kept from one run to the next",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    directory = extracts(options.work, options.rows, options.seed)
    labs = directory / f"labs_{FIRST_NIGHT}.csv"
    print(f"{options.rows:,} rows, {labs.stat().st_size / 1e6:,.0f} MB of CSV")
    print("pair   F2 cpu s  F2 wall s   night cpu s  night wall s   ratio  F2 peak GB  night GB")
    ratios, hashes, n_lists = [], set(), 0
    for pair in range(1, options.pairs + 1):
        least = floor(labs, options.work)
        night, lists, n_lists = first_night(directory, options.work)
        ratios.append(night.cpu / least.cpu)
        hashes.add(lists)
        print(
            f"{pair:4} {least.cpu:10.2f} {least.wall:10.2f} {night.cpu:13.2f} {night.wall:13.2f}"
            f" {ratios[-1]:7.2f} {least.peak_gb:11.2f} {night.peak_gb:9.2f}",
            flush=True,
        )
    shutil.rmtree(options.work / "site", ignore_errors=True)
    print(f"median ratio {statistics.median(ratios):.2f} of {options.pairs}")
    if len(hashes) != 1:
        print("the worklists of the nights are NOT the same bytes")
        return 1
    print(f"the {n_lists} worklists are the same bytes every time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
