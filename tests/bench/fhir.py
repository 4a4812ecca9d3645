"""FHIR observations a second beside bare JSON reading (`python -m tests.bench.fhir`).

The floor is the engine's `read_ndjson_objects` over the same file: every line parsed, nothing taken
out of it. Ours ends with text rows in Parquet parts, before the store. Figures are CPU seconds
(user and system) of processes of their own, in turn: of the reading, as a night does it once
everything is loaded, and of the whole process. Nothing here asserts a time.
"""

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FLOOR = """
import sys
import duckdb
from tests.bench.fhir import told

connection = duckdb.connect(config={"threads": 2})
connection.execute("SET enable_progress_bar = false")
told(lambda: connection.execute(
    "SELECT count(*), sum(length(json)) FROM read_ndjson_objects(?)", [sys.argv[1]]
).fetchall())
"""
TESTS = (
    ("14685-2", "Cobalamin (Vitamin B12) [Moles/volume] in Serum or Plasma", "pmol/L", 900, 0),
    ("13964-2", "Methylmalonate [Moles/volume] in Serum or Plasma", "nmol/L", 900, 0),
    ("14682-9", "Creatinine [Moles/volume] in Serum or Plasma", "umol/L", 200, 1),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", 17, 2),
)
LONG_AGO = "2026-11-01T08:00:00+00:00"
REPORTED = "2026-11-02T08:00:00.000+00:00"


def observations(path: Path, n: int, share_of_panels: float, n_shapes: int, seed: int) -> None:
    """Write a feed: plain observations of one or more exporters, some with components."""
    chance = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n):
            code, name, unit, most, digits = TESTS[number % len(TESTS)]
            value = f"{chance.uniform(most / 9, most):.{digits}f}"
            coded = {
                "coding": [{"system": "http://loinc.org", "code": code, "display": name}],
                "text": name,
            }
            quantity = {
                "value": "@",
                "unit": unit,
                "system": "http://unitsofmeasure.org",
                "code": unit,
            }
            said = {
                "resourceType": "Observation",
                "id": f"o-{number}",
                "meta": {"versionId": "1", "lastUpdated": REPORTED},
                "status": "final",
                "category": [{"coding": [{"code": "laboratory"}]}],
                "code": coded,
                "subject": {"reference": f"Patient/p{number // 8}"},
                "effectiveDateTime": LONG_AGO,
                "issued": REPORTED,
                "performer": [{"reference": "Organization/lab"}],
                "valueQuantity": quantity,
                "referenceRange": [{"low": {"value": 1}, "high": {"value": 9000}}],
            }
            if chance.random() < share_of_panels:
                said["component"] = [{"code": coded, "valueQuantity": quantity}]
            exporter = chance.randrange(n_shapes)
            if exporter:
                said = exported(said, exporter, chance)
            between = (", ", ": ") if exporter in (2, 5) else (",", ":")
            file.write(json.dumps(said, separators=between).replace('"@"', value) + "\n")


def exported(said: dict[str, Any], exporter: int, chance: random.Random) -> dict[str, Any]:
    """The same as another system writes it: other elements, in another order."""
    when = f"2026-{chance.randint(1, 10):02}-{chance.randint(1, 28):02}T{chance.randint(0, 23):02}"
    said["effectiveDateTime"] = f"{when}:{chance.randint(0, 59):02}:00+00:00"
    if exporter in (1, 4):
        said["identifier"] = [{"system": "urn:lab", "value": f"{chance.getrandbits(40):010x}"}]
    if exporter in (2, 7):
        words = f'<div xmlns="http://www.w3.org/1999/xhtml">{chance.getrandbits(20)}</div>'
        said["text"] = {"status": "generated", "div": words}
    if exporter in (3, 6):
        said["encounter"] = {"reference": f"Encounter/{chance.getrandbits(16)}"}
        said["subject"]["display"] = f"Name {said['subject']['reference'][8:]}"
        del said["issued"]
    if exporter in (4, 5):
        said["specimen"] = {"display": chance.choice(("Serum", "Plasma"))}
        said["id"] = f"{chance.getrandbits(128):032x}"
    if exporter in (5, 6, 7):
        words = chance.choice(("N", "N", "N", "L", "H"))
        said["interpretation"] = [{"coding": [{"code": words}]}]
    names = list(said)
    random.Random(exporter).shuffle(names)
    return {name: said[name] for name in names}


def cpu(usage: resource.struct_rusage) -> float:
    """User and system seconds."""
    return usage.ru_utime + usage.ru_stime


def told(work: Callable[[], Any]) -> None:
    """Do something and print the CPU seconds that it took."""
    began = cpu(resource.getrusage(resource.RUSAGE_SELF))
    work()
    print(cpu(resource.getrusage(resource.RUSAGE_SELF)) - began)


def read(path: Path, exactly: bool) -> None:
    """Parse one file to parts, as a taking does before its scan."""
    from b12screen.ingest.fhir import fhir_rows
    from b12screen.ingest.fhir_shape import USUALLY, AtOnce
    from b12screen.maps import load_maps
    from b12screen.settings import Settings

    settings, maps = Settings(), load_maps()
    how = AtOnce(most_shapes=0) if exactly else USUALLY
    with tempfile.TemporaryDirectory() as folder:
        parts = Path(folder) / "parts"
        told(lambda: fhir_rows(path, settings, maps, date(2026, 11, 22), parts, how))


def seconds(command: list[str]) -> tuple[float, float]:
    """CPU seconds of the reading that a process does, and of the process."""
    began = cpu(resource.getrusage(resource.RUSAGE_CHILDREN))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout), cpu(resource.getrusage(resource.RUSAGE_CHILDREN)) - began


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Observations a second beside bare JSON reading.")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--panels", type=float, default=0.01, help="share with components")
    parser.add_argument("--shapes", type=int, default=1, help="exporting systems, 8 at most")
    parser.add_argument("--exactly", action="store_true", help="every line by itself")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.read is not None:
        read(options.read, options.exactly)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "observations.ndjson"
        observations(path, options.rows, options.panels, options.shapes, seed=1)
        print(
            f"{options.rows:,} observations of {options.shapes} exporters, "
            f"{path.stat().st_size / 1e6:,.0f} MB, {options.panels:.0%} with components"
        )
        print("         reading, CPU s                                  whole process, CPU s")
        print("pair    JSON     obs/s    rows     obs/s   ratio           JSON    rows   ratio")
        ratios = []
        for pair in range(1, options.pairs + 1):
            least, least_whole = seconds([sys.executable, "-c", FLOOR, str(path)])
            command = [sys.executable, "-m", "tests.bench.fhir", "--read", str(path)]
            ours, whole = seconds(command + (["--exactly"] if options.exactly else []))
            ratios.append((ours / least, whole / least_whole))
            print(
                f"{pair:4} {least:7.2f} {options.rows / least:9,.0f} {ours:7.2f} "
                f"{options.rows / ours:9,.0f} {ours / least:7.2f}        {least_whole:7.2f} "
                f"{whole:7.2f} {whole / least_whole:7.2f}",
                flush=True,
            )
        reading, processes = (statistics.median(each) for each in zip(*ratios, strict=True))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        # Linux counts in KB, macOS in bytes.
        peak_gb = peak * (1 if sys.platform == "darwin" else 1024) / 1e9
        print(
            f"median ratio of {options.pairs}: reading {reading:.2f}, whole process "
            f"{processes:.2f}; largest peak {peak_gb:.2f} GB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
