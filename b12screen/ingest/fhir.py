"""FHIR R4 NDJSON as the text rows that delimited extracts give, a folder for each kind.

The engine's own reader takes the plain observations, which are nearly all of a laboratory's feed;
every other line is read here, slowly and exactly, so that a malformed one costs one row. Record
numbers count the rows of a file, so that the components of a resource keep their order.
"""

import codecs
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from b12screen.ingest.delimited import BOM, CHUNK, FileRefused, Lines, Parts
from b12screen.ingest.fhir_resource import (
    COLUMNS,
    DoubledName,
    Gone,
    Index,
    Outcome,
    Reader,
    Refused,
    identifier_pair,
    inner,
    loaded,
    objects,
    organisation,
    specimen_word,
    text,
)
from b12screen.maps import Maps
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse, WarehouseError
from schemas import ddl

# A line is a resource of many elements, or a bundle of many resources.
CELLS_OF_A_LINE = 16
# Parts of a file in which the codes and units of its plain lines are looked for.
SAMPLES = 48
SAMPLE_BYTES = 64 * 1024

# The columns that say what was withdrawn, and the SELECT that finds it in the store or the file.
GONE = {
    "labs": ("result_id", "reported_at"),
    "conditions": ("patient_id", "code", "code_system", "recorded_on"),
    "medications": ("medication_id",),
}
PLACE = ("record", "line", "segment")

# A number whose text a reader of numbers does not give back: 1.50, 1e2, more digits than it keeps.
UNUSUAL_NUMBER = r"-?(?:\d+\.\d*0|[\d.]*[eE][-+\d]+|[\d.]{16,}|0\d+|0)"
SENT_NUMBER = rf'valueQuantity"\s*:\s*\{{[^{{}}]*"value"\s*:\s*({UNUSUAL_NUMBER})\s*[,}}]'

NOTES = {
    "birth": "dates of birth are partial and were left blank",
    "deceased": "people are deceased without a full date; the last day that fits was taken",
    "contradiction": "results are called low above their reference range, or high below it; they "
    "were taken as sent",
}


@dataclass
class Kind:
    """What a file gave of one kind: its rows, those that make none, and the columns it sends."""

    n_row: int = 0
    n_broken: int = 0
    sent: tuple[str, ...] = ()


@dataclass(frozen=True)
class FhirFile:
    """What a file gave: by kind, and what is worth knowing of it, without values."""

    kinds: dict[str, Kind]
    notes: list[str]


@dataclass(frozen=True)
class Shape:
    """What one pass over the bytes tells of a file."""

    n_line: int
    beyond_doubt: bool
    has_encounter: bool
    has_specimen: bool


def fhir_rows(
    warehouse: Warehouse,
    path: Path,
    settings: Settings,
    maps: Maps,
    as_of: date,
    folder: Path,
) -> FhirFile:
    """Read a file into ``folder/<kind>/rows-*.parquet`` and ``folder/<kind>/broken-*.parquet``.

    Rows hold record, line, segment and the contract's columns as text; broken ones record, line,
    segment, check_name and raw. A broken row of the check ``scope`` is out of scope: a resource of
    another type, or the withdrawal of what is not known. Rows that do not tell their kind count
    with the kind that most rows of the file are of, labs where there is none. The grammar and the
    ``taking`` schema are there, and the store's tables. FileRefused for 0 bytes.
    """
    if path.stat().st_size == 0:
        raise FileRefused("it is empty (0 bytes); a feed without resources sends no file")
    most_bytes = settings.limits.max_cell_bytes * CELLS_OF_A_LINE
    reader = Reader(settings, maps, as_of)
    reader.index = Indexed(path, reader, most_bytes)
    shape = shaped(path)
    written = Written(folder, settings.limits.max_cell_bytes)
    plain = folder / "labs" / "rows-plain.parquet"
    gaps = [(1, shape.n_line)]
    if shape.beyond_doubt and settings.fhir.plain:
        plain.parent.mkdir(parents=True, exist_ok=True)
        try:
            gaps = plain_lines(warehouse, path, shape, reader, plain)
        except (WarehouseError, pl.exceptions.PolarsError):
            # What the engine stumbles over is read exactly, all of it.
            plain.unlink(missing_ok=True)
    shifts = exact_lines(path, gaps, reader, written, most_bytes, shape)
    n_plain = renumbered(plain, shifts)
    if n_plain:
        written.kinds.setdefault("labs", Kind()).n_row += n_plain
        written.kinds["labs"].sent = COLUMNS["labs"]
    written.close()
    for kind in GONE:
        find_withdrawn(warehouse, kind, written, settings)
    written.settle()
    return FhirFile(written.kinds, notes_of(reader.notes))


def notes_of(counts: Counter[str]) -> list[str]:
    """What is worth knowing, in words; types of resources by their names."""
    told = [f"{counts[word]} {meaning}" for word, meaning in NOTES.items() if counts[word]]
    others = sorted((name, n) for name, n in counts.items() if name not in NOTES)
    if others:
        listed = ", ".join(f"{n} {name}" for name, n in others)
        told.append(f"resources that are no extract of ours are out of scope: {listed}")
    return told


def shaped(path: Path) -> Shape:
    """One pass over the bytes: lines, and whether the engine's own reader may number them."""
    n_newline = 0
    has_encounter, has_specimen = False, False
    decoder = codecs.getincrementaldecoder("utf-8")()
    tail = b"\n"
    with path.open("rb") as file:
        clean = file.read(len(BOM)) != BOM
        file.seek(0)
        while chunk := file.read(CHUNK):
            n_newline += chunk.count(b"\n")
            clean = clean and decodes(decoder, chunk)
            seam = tail + chunk
            # Blank lines are no records there, and what it is lenient with is refused here.
            clean = clean and not any(
                mark in seam
                for mark in (b"\n\n", b"\n ", b"\n\t", b"\r", b"\0", b"\\u0000", b",}", b",]")
            )
            has_encounter = has_encounter or b'"Encounter"' in seam
            has_specimen = has_specimen or b'"Specimen"' in seam
            tail = chunk[-64:]
    clean = clean and decodes(decoder, b"", final=True)
    n_line = n_newline + (0 if tail.endswith(b"\n") else 1)
    return Shape(n_line, clean, has_encounter, has_specimen)


def decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, final: bool = False) -> bool:
    """Whether the bytes go on being UTF-8."""
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True


# The engine's part


def plain_lines(
    warehouse: Warehouse, path: Path, shape: Shape, reader: Reader, target: Path
) -> list[tuple[int, int]]:
    """Write the rows of plain observations; the ranges of lines that are left for exact reading."""
    sample = target.with_name("sample.ndjson")
    sample.write_bytes(sampled(path))
    warehouse.execute(ddl.incoming_ndjson(str(sample)))
    seen = warehouse.frame(sql_text("core/fhir_code_sent.sql"))
    sample.unlink()
    warehouse.write("taking.fhir_code", codes_read(seen, reader))
    laboratories = [
        (performer, name)
        for name, laboratory in reader.settings.laboratories.items()
        for performer in laboratory.fhir_performers
    ]
    text_columns = {"reference": pl.String, "laboratory": pl.String}
    warehouse.write(
        "taking.fhir_performer", pl.DataFrame(laboratories, schema=text_columns, orient="row")
    )
    flags = {"has_encounter": [shape.has_encounter], "has_specimen": [shape.has_specimen]}
    warehouse.write("taking.fhir_shape", pl.DataFrame(flags))
    warehouse.write("taking.fhir_number", unusual_numbers(path))
    warehouse.execute(ddl.incoming_ndjson(str(path)))
    warehouse.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    warehouse.execute("SET preserve_insertion_order = true")
    try:
        warehouse.execute(ddl.copy_to_parquet(sql_text("core/fhir_plain.sql"), str(target)))
    finally:
        warehouse.execute("RESET disabled_optimizers")
        warehouse.execute("SET preserve_insertion_order = false")
    return gaps_of(pl.read_parquet(target, columns=["record"])["record"], shape.n_line)


def sampled(path: Path) -> bytes:
    """Whole lines from all over a file."""
    size = path.stat().st_size
    pieces = []
    with path.open("rb") as file:
        for start in sorted({size * nth // SAMPLES for nth in range(SAMPLES)}):
            file.seek(start)
            piece = file.read(SAMPLE_BYTES)
            if start:
                piece = piece.partition(b"\n")[2]
            pieces.append(piece[: piece.rfind(b"\n") + 1])
    return b"".join(pieces)


def codes_read(seen: pl.DataFrame, reader: Reader) -> pl.DataFrame:
    """What the code elements and units of a file mean, read once each instead of once a line."""
    rows = []
    for code_text, unit, unit_code, unit_system in seen.iter_rows():
        try:
            coded = reader.coded(loaded(code_text.encode()))
        except ValueError:
            continue
        quantity = {"unit": unit, "code": unit_code, "system": unit_system}
        unit_word = reader.unit(quantity, coded.analyte)
        if not coded.contradictory and unit_word is not None:
            rows.append(
                (
                    code_text, unit, unit_code, unit_system, coded.code, coded.code_system,
                    coded.test_name, unit_word, coded.laboratory,
                )
            )  # fmt: skip
    columns = (
        "code_text", "unit", "unit_code", "unit_system", "code", "code_system", "test_name",
        "unit_word", "laboratory",
    )  # fmt: skip
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def unusual_numbers(path: Path) -> pl.DataFrame:
    """By line, the value of a quantity as it was sent, where reading it as a number changes it."""
    return (
        pl.scan_lines(path, row_index_name="record")
        .select(pl.col("record").cast(pl.Int64) + 1, sent=pl.col("line").str.extract(SENT_NUMBER))
        .filter(pl.col("sent").is_not_null())
        .collect()
    )


def gaps_of(records: pl.Series, n_line: int) -> list[tuple[int, int]]:
    """The ranges of lines from 1 to ``n_line`` that rising record numbers leave out."""
    edges = pl.concat([pl.Series([0]), records, pl.Series([n_line + 1])])
    before = edges.shift(1)
    holes = pl.DataFrame({"first": before + 1, "last": edges - 1}).slice(1)
    return holes.filter(pl.col("last") >= pl.col("first")).rows()


def renumbered(plain: Path, shifts: list[tuple[int, int]]) -> int:
    """How many plain rows there are; moved on where lines before them gave several rows or none."""
    if not plain.exists():
        return 0
    if shifts:
        moved = pl.LazyFrame(
            [(0, 0), *shifts], schema={"line": pl.Int64, "shift": pl.Int64}, orient="row"
        )
        target = plain.with_name("rows-moved.parquet")
        pl.scan_parquet(plain).join_asof(moved.set_sorted("line"), on="line").with_columns(
            pl.col("record") + pl.col("shift")
        ).drop("shift").sink_parquet(target)
        target.replace(plain)
    return int(pl.scan_parquet(plain).select(pl.len()).collect().item())


# The exact part


def exact_lines(
    path: Path,
    gaps: list[tuple[int, int]],
    reader: Reader,
    written: "Written",
    most_bytes: int,
    shape: Shape,
) -> list[tuple[int, int]]:
    """Read the lines in the ranges; by how much the records behind a line are moved on."""
    shifts = []
    shift = 0
    ranges = iter(gaps)
    first, last = next(ranges, (0, 0))
    if not last:
        return []
    with path.open("rb") as file:
        lines = Lines(file, most_bytes)
        while lines.number < gaps[-1][1]:
            line, too_long = lines.next()
            if not line:
                break
            if lines.number > last:
                first, last = next(ranges)
            if lines.number < first:
                continue
            if lines.number == 1:
                line = line.removeprefix(BOM)
            outcomes = [] if not line.strip() else line_outcomes(line, too_long, reader)
            for nth, outcome in enumerate(outcomes):
                written.add(lines.number + shift + nth, lines.number, outcome, line)
            if len(outcomes) != 1:
                shift += len(outcomes) - 1
                shifts.append((lines.number, shift))
    written.n_record = shape.n_line + shift
    return shifts


def line_outcomes(line: bytes, too_long: bool, reader: Reader) -> list[Outcome]:
    """The rows of a line, one at least; a line that cannot be read is one broken row."""
    if too_long:
        return [Refused("", "line", "cell_size")]
    if b"\0" in line:
        return [Refused("", "line", "nul_byte")]
    try:
        resource = loaded(line)
    except UnicodeDecodeError:
        return [Refused("", "line", "encoding")]
    except DoubledName:
        return [Refused("", "line", "json_name")]
    except (ValueError, RecursionError):
        return [Refused("", "line", "json")]
    return reader.outcomes(resource)


@dataclass
class Written:
    """The parts of a file by kind, opened when the first row comes."""

    folder: Path
    max_cell_bytes: int
    kinds: dict[str, Kind] = field(default_factory=dict)
    n_record: int = 0
    _parts: dict[tuple[str, str], Parts] = field(default_factory=dict)
    _deceased: bool = False

    def add(self, record: int, line: int, outcome: Outcome, raw: bytes) -> None:
        """One row to its part; a row with cells that are no text is broken."""
        place: list[str | int] = [record, line, outcome.segment]
        if isinstance(outcome, Refused):
            self._broken(place, outcome, raw)
            return
        fault = unfit(outcome.cells, self.max_cell_bytes)
        if fault:
            self._broken(place, Refused(outcome.kind, outcome.segment, fault), raw)
            return
        gone = isinstance(outcome, Gone)
        columns = GONE[outcome.kind] if gone else COLUMNS[outcome.kind]
        self._deceased = self._deceased or "deceased_on" in outcome.cells
        part = self._part(outcome.kind, "gone" if gone else "rows", (*PLACE, *columns))
        part.add([*place, *(outcome.cells.get(name, "") for name in columns)])

    def _broken(self, place: list[str | int], refused: Refused, raw: bytes) -> None:
        shown = ""
        if refused.check_name != "scope":
            shown = raw[: self.max_cell_bytes].decode("utf-8", "backslashreplace").rstrip("\r\n")
            shown = shown.replace("\0", "\\x00")
        part = self._part(refused.kind or "unplaced", "broken", (*PLACE, "check_name", "raw"))
        part.add([*place, refused.check_name, shown])

    def broken(self, kind: str, rows: list[tuple[int, int, str]], check_name: str) -> None:
        """Rows without a text of their own that fail a check."""
        part = self._part(kind, "broken-later", (*PLACE, "check_name", "raw"))
        for row in rows:
            part.add([*row, check_name, ""])

    def _part(self, kind: str, title: str, columns: tuple[str, ...]) -> Parts:
        if (kind, title) not in self._parts:
            place = self.folder / kind
            place.mkdir(parents=True, exist_ok=True)
            self._parts[kind, title] = Parts(place, title, columns)
        return self._parts[kind, title]

    def close(self) -> None:
        """Write what is open, and count it."""
        for (kind, title), part in self._parts.items():
            n = part.close()
            found = self.kinds.setdefault(kind, Kind())
            if title == "rows":
                found.n_row += n
            elif title != "gone":
                found.n_broken += n
        self._parts = {}

    def settle(self) -> None:
        """Rows of no kind go where most rows are; every kind has parts of both sorts."""
        self.close()
        unplaced = self.kinds.pop("unplaced", None)
        if unplaced is not None:
            most = max(COLUMNS, key=lambda kind: self.kinds.get(kind, Kind()).n_row)
            (self.folder / most).mkdir(exist_ok=True)
            for part in sorted((self.folder / "unplaced").iterdir()):
                part.rename(self.folder / most / f"broken-unplaced-{part.name}")
            self.kinds.setdefault(most, Kind()).n_broken += unplaced.n_broken
        for kind, found in self.kinds.items():
            place = self.folder / kind
            place.mkdir(parents=True, exist_ok=True)
            Parts(place, "rows-none", (*PLACE, *COLUMNS[kind])).close()
            Parts(place, "broken-none", (*PLACE, "check_name", "raw")).close()
            found.sent = tuple(
                name
                for name in COLUMNS[kind]
                # What no resource speaks of leaves what is known.
                if name != "opted_out" and (name != "deceased_on" or self._deceased)
            )


def unfit(cells: dict[str, str], max_cell_bytes: int) -> str:
    """The check that a cell fails whatever its column, or nothing."""
    for cell in cells.values():
        if not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                return "encoding"
        if "\0" in cell:
            return "nul_byte"
        if len(cell) > max_cell_bytes // 4 and len(cell.encode()) > max_cell_bytes:
            return "cell_size"
    return ""


def find_withdrawn(warehouse: Warehouse, kind: str, written: Written, settings: Settings) -> None:
    """Complete what was withdrawn from the store and from the file; the unknown is out of scope."""
    folder = written.folder / kind
    if not list(folder.glob("gone-*.parquet")):
        return
    warehouse.execute(ddl.parquet_view("taking.fhir_gone", str(folder / "gone-*.parquet")))
    columns = (*PLACE, *COLUMNS[kind])
    Parts(folder, "rows-none", columns).close()
    warehouse.execute(ddl.parquet_view("taking.fhir_row", str(folder / "rows-*.parquet")))
    warehouse.write("taking.fhir_zone", pl.DataFrame({"timezone": [settings.timezone]}))
    if kind == "labs":
        warehouse.execute("DROP TABLE IF EXISTS taking.fhir_known")
        warehouse.execute(
            ddl.create_table_as("taking.fhir_known", sql_text("core/fhir_known_lab.sql"))
        )
        if "core.taken" in warehouse.relations():
            warehouse.execute(
                ddl.insert_by_name("taking.fhir_known", sql_text("core/fhir_taken_lab.sql"))
            )
    name = {"labs": "lab", "conditions": "condition", "medications": "medication"}[kind]
    known = warehouse.frame(sql_text(f"core/fhir_gone_{name}.sql"))
    first = known["record"].is_first_distinct()
    extra = pl.Series(range(written.n_record + 1, written.n_record + known.height + 1))
    known = known.with_columns(
        record=pl.when(first).then(pl.col("record")).otherwise(extra).cast(pl.Int64)
    )
    written.n_record += known.height
    blank = [pl.lit("").alias(name) for name in columns if name not in known.columns]
    known.with_columns(blank).select(columns).write_parquet(folder / "rows-withdrawn.parquet")
    written.kinds[kind].n_row += known.height
    places = warehouse.rows("SELECT record, line, segment FROM taking.fhir_gone ORDER BY record")
    found = set(known["record"].to_list())
    written.broken(kind, [row for row in places if row[0] not in found], "scope")


@dataclass
class Indexed:
    """What a file says of people, encounters and specimens; read when it is first asked for."""

    path: Path
    reader: Reader
    most_bytes: int
    _index: Index | None = None

    def __call__(self) -> Index:
        if self._index is None:
            self._index = Index({}, {}, {}, {})
            for resource, url in self._resources():
                self._note(resource, url)
        return self._index

    def _resources(self) -> Iterator[tuple[dict[str, Any], str]]:
        marks = (b'"Patient"', b'"Encounter"', b'"Specimen"')
        with self.path.open("rb") as file:
            lines = Lines(file, self.most_bytes)
            while True:
                line, too_long = lines.next()
                if not line:
                    return
                if too_long or not any(mark in line for mark in marks):
                    continue
                try:
                    resource = loaded(line.removeprefix(BOM))
                except (ValueError, RecursionError):
                    continue
                if isinstance(resource, dict):
                    yield resource, ""
                    for entry in objects(resource.get("entry")):
                        if isinstance(entry.get("resource"), dict):
                            yield entry["resource"], text(entry.get("fullUrl"))

    def _note(self, resource: dict[str, Any], url: str) -> None:
        index = self._index
        name, key = text(resource.get("resourceType")), text(resource.get("id"))
        if index is None or name not in ("Patient", "Encounter", "Specimen"):
            return
        if name == "Patient":
            said, found = self.reader.patient_key(resource), index.patients
            for one in objects(resource.get("identifier")):
                if said and (pair := identifier_pair(one)) is not None:
                    # An identifier that two people carry names neither.
                    known = index.identified.setdefault(pair, said)
                    if known != said:
                        index.identified[pair] = ""
        elif name == "Encounter":
            said, found = organisation(inner(resource, "serviceProvider")), index.clinics
        else:
            said, found = specimen_word(resource), index.specimens
        for reference in (key, f"urn:uuid:{key}" if key else "", url):
            if reference and said:
                found[reference] = said
