"""A coverage-guided fuzzer for what reads extracts: no traceback, nothing lost, memory bounded.

    python -m tests.ingest.fuzz labs --inputs 100000

Needs ``pip install atheris``, which no other command does. Every input is read as a file of its
kind; the readers' own branches guide what is tried next. One in ``--whole`` inputs is taken into a
store as well, where the accounts have to add up. An input that breaks a promise is left in the
working folder that the command names.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

# Nothing of b12screen is imported before the fuzzer can watch it.
LAB_HEADER = "result_id,patient_id,collected_at,reported_at,code,value,unit,status"
ROW = "R1,P1,2026-11-01T08:00:00,2026-11-02T08:00:00,14685-2,412,pmol/L,final"
NIGHT = date(2026, 11, 22)
READERS = (
    "b12screen.ingest.delimited",
    "b12screen.ingest.hl7v2_cells",
    "b12screen.ingest.hl7v2",
    "b12screen.ingest.fhir_lines",
    "b12screen.ingest.fhir_element",
    "b12screen.ingest.fhir_dose",
    "b12screen.ingest.fhir_shape",
    "b12screen.ingest.fhir_resource",
    "b12screen.ingest.fhir",
)
MESSAGE = (
    "MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1\rPID|1||P1^^^H^MR||Doe^Jane||19550203|F\r"
    "OBR|1||F1||||20261101|||||||||||||||20261102|||F\r"
    "OBX|1|NM|14685-2^^LN||412|pmol/L|||||F\rOBX|2|SN|13964-2^^LN||<^7|nmol/L|||||C\r"
)
RESOURCES = (
    '{"resourceType":"Patient","id":"P1","gender":"female","birthDate":"1955-02-03"}\n'
    '{"resourceType":"Observation","id":"R1","status":"final","subject":{"reference":"Patient/P1"},'
    '"code":{"coding":[{"system":"http://loinc.org","code":"14685-2"}]},"effectiveDateTime":'
    '"2026-11-01","valueQuantity":{"value":412,"unit":"pmol/L","comparator":"<"}}\n'
)
SEEDS = {
    "labs": (f"{LAB_HEADER}\n{ROW}\n", f'{LAB_HEADER};x\r\n"a;b";"1\n2"\r\n', ""),
    "hl7": (MESSAGE, f"\x0b{MESSAGE}\x1c\r", f"BHS|^~\\&\r{MESSAGE}BTS|1\r"),
    "ndjson": (RESOURCES, '{"resourceType":"Bundle","entry":[]}\n\n'),
}
NAMES = {"labs": "labs.csv", "hl7": "a.hl7", "ndjson": "a.ndjson"}
MEMORY_MB = 1000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ingest.fuzz")
    parser.add_argument("kind", choices=sorted(SEEDS))
    parser.add_argument("--inputs", metavar="N", type=int, default=20_000)
    parser.add_argument("--seed", metavar="S", type=int, default=1)
    parser.add_argument("--whole", metavar="K", type=int, default=500)
    asked = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("the fuzzer itself is not installed: pip install atheris", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=list(READERS)):
        for name in READERS:
            importlib.import_module(name)
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))
    seeds = folder / "seeds"
    seeds.mkdir()
    for number, text in enumerate(SEEDS[asked.kind]):
        (seeds / str(number)).write_bytes(text.encode())
    print(f"inputs and failures below {folder}", file=sys.stderr)
    options = [
        f"-runs={asked.inputs}",
        f"-seed={asked.seed}",
        "-max_len=1500",
        "-len_control=0",
        "-timeout=20",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(seeds)], target(asked.kind, asked.whole, folder))
    atheris.Fuzz()
    return 0


def target(kind: str, whole: int, folder: Path) -> Callable[[bytes], None]:
    """What is asked of every input; an exception is a failure."""
    from b12screen.maps import load_maps
    from b12screen.settings import Limits, Settings
    from tests.ingest.test_anything import checked

    maps, settings = load_maps(), Settings(limits=Limits(max_cell_bytes=1000))
    read = {"labs": labs_reader, "hl7": hl7_reader, "ndjson": ndjson_reader}[kind](maps, settings)
    path, rows = folder / NAMES[kind], folder / "rows"
    n_done = 0

    def one(data: bytes) -> None:
        nonlocal n_done
        n_done += 1
        path.write_bytes(data)
        shutil.rmtree(rows, ignore_errors=True)
        rows.mkdir()
        read(path, rows)
        if n_done % whole == 0:
            checked(folder / "whole", maps, [data], NAMES[kind].replace(".", "_{}.", 1))

    return one


def labs_reader(maps: object, settings: object) -> Callable[[Path, Path], None]:
    """Every record is a row or a broken one, numbered without a gap."""
    from b12screen.ingest import delimited
    from schemas.extracts import extract_columns

    wanted = frozenset(extract_columns("labs"))

    def read(path: Path, rows: Path) -> None:
        try:
            delimited.measured(path)
            top = delimited.header(path, wanted, 10_000)
        except delimited.FileRefused:
            return
        present = tuple(name for name in dict.fromkeys(top.columns) if name in wanted)
        n_row, n_broken = delimited.rows_as_parquet(
            path, top.columns, present, top.separator, 1000, rows
        )
        records = [*column(rows, "rows", "record"), *column(rows, "broken", "record")]
        assert len(records) == n_row + n_broken
        assert sorted(records) == list(range(1, len(records) + 1))

    return read


def hl7_reader(maps: object, settings: object) -> Callable[[Path, Path], None]:
    """Every row and broken row that is told is written; a message of results has one at least."""
    from b12screen.ingest import delimited, hl7v2
    from b12screen.ingest.hl7v2_cells import dialect

    known = dialect(settings, maps)  # type: ignore[arg-type]

    def read(path: Path, rows: Path) -> None:
        try:
            written, _, _ = hl7v2.messages_as_parquet(path, known, rows)
        except delimited.FileRefused:
            return
        for kind, told in written.items():
            assert len(column(rows / kind, "rows", "record")) == told.n_row
            assert len(column(rows / kind, "broken", "record")) == told.n_broken
        lines = path.read_bytes().split(b"\r")
        head = lines[0].startswith(b"MSH|^~\\&|") and lines[0].split(b"|")[8:9] == [b"ORU^R01"]
        is_one = sum(line.count(b"MSH") for line in lines) == 1
        if head and is_one and any(line.startswith(b"OBX|") for line in lines):
            assert any(each.n_row + each.n_broken for each in written.values())

    return read


def resources_read(
    path: Path, rows: Path, settings: object, maps: object, how: object
) -> tuple[dict[str, list[tuple[object, ...]]], list[str], object] | None:
    """Every row of every part that a file of resources gives this way, its notes and its kinds.

    None where the file is refused.
    """
    from b12screen.ingest import delimited, fhir

    shutil.rmtree(rows, ignore_errors=True)
    rows.mkdir()
    try:
        file = fhir.fhir_rows(path, settings, maps, NIGHT, rows, how)  # type: ignore[arg-type]
    except delimited.FileRefused:
        return None
    said: dict[str, list[tuple[object, ...]]] = {}
    for part in rows.glob("*/*.parquet"):
        title = f"{part.parent.name}/{part.name.split('-')[0]}"
        said.setdefault(title, []).extend(pl.read_parquet(part).iter_rows())
    return {title: sorted(found, key=repr) for title, found in said.items()}, file.notes, file.kinds


def ndjson_reader(maps: object, settings: object) -> Callable[[Path, Path], None]:
    """Every line that is not blank has a row or a broken one, the same by itself as with others."""
    from b12screen.ingest.fhir_shape import AtOnce

    eagerly = AtOnce(fewest_lines=1, first_lines=1, block_bytes=2000)

    def read(path: Path, rows: Path) -> None:
        # Twice: a line is like one before it.
        path.write_bytes(path.read_bytes().removesuffix(b"\n") + b"\n" + path.read_bytes())
        by_itself, at_once = (
            resources_read(path, rows, settings, maps, how)
            for how in (AtOnce(most_shapes=0), eagerly)
        )
        assert by_itself == at_once
        if by_itself is None:
            return
        kinds = by_itself[2]
        told = {
            line
            for kind in kinds
            for title in ("rows", "broken")
            for line in column(rows / kind, title, "line")
        }
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
        filled = {number for number, line in enumerate(lines, 1) if line.strip()}
        unwithdrawn = kinds and not told >= filled
        assert not unwithdrawn, (sorted(filled - told), len(lines))

    return read


def column(folder: Path, title: str, name: str) -> list[int]:
    """One column of the parts that a reader wrote."""
    return [
        value
        for part in sorted(folder.glob(f"{title}-*.parquet"))
        for value in pl.read_parquet(part, columns=[name])[name].to_list()
    ]


if __name__ == "__main__":
    sys.exit(main())
