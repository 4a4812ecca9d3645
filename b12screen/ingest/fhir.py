"""FHIR R4 NDJSON as the text rows that delimited extracts give, a folder for each kind.

Every line is loaded by itself, so that a malformed one costs one row, but for observations that
differ from one loaded before only in texts and numbers: of these many are read at once
(``fhir_shape``). Record numbers count the rows of a file, so that the components of a resource keep
their order.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from b12screen.ingest.delimited import BOM, FileRefused, Parts
from b12screen.ingest.fhir_element import DoubledName, loaded, unfit
from b12screen.ingest.fhir_known import Elsewhere, Indexed, most_line_bytes
from b12screen.ingest.fhir_lines import blocks
from b12screen.ingest.fhir_resource import COLUMNS, Gone, Outcome, Reader, Refused, Told, Whole
from b12screen.ingest.fhir_shape import USUALLY, AtOnce, Plain, Shapes
from b12screen.ingest.told_conditions import look_for_last, look_for_said
from b12screen.maps import Maps
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse
from schemas import ddl

# The columns that say what was withdrawn, and the SELECT that finds it in the store or the file.
GONE = {
    "labs": ("result_id", "reported_at"),
    "conditions": ("patient_id", "code", "code_system", "recorded_on", "resource_id", "changed_at"),
    "medications": ("medication_id", "over"),
}
PLACE = ("record", "line", "segment")
WHOLE = ("record", "line", "result_key", "reported_at", "result_id", "laboratory")
SAID = ("record", "resource_id", "patient_id", "changed_at", "tells")
NO_ROWS = (Whole, Told)
# Parts that hold no rows of a kind.
BESIDE = ("gone", "whole", "said")

NOTES = {
    "birth": "dates of birth are partial and leave what is known",
    "deceased": "people are deceased without a full date; the last day that fits was taken",
    "contradiction": "results are called low above their reference range, or high below it; they "
    "were taken as sent",
    "deleted": "conditions were withdrawn without an id and without their person, code or day, so "
    "that what they told stands; have these sent",
    "unused": "conditions and drugs that no map could name (words alone, another system of codes, "
    "no day) are out of scope",
    "differential": "conditions are one of several possibilities (differential); they are out of "
    "scope",
    "specimen": "results refer to a specimen that is not known, so that it was not "
    "checked; have the Specimen resources sent in files of the same folder",
    "test": "resources are labelled as test data (HTEST) and are out of scope",
    "uncoded": "results have words but no code, so that no map can name their test; they are out "
    "of scope",
}
UNKNOWN = {
    "conditions": "withdrawals of conditions name nothing that is known, or what another resource "
    "tells of the person as well; they are out of scope",
    **dict.fromkeys(
        ("labs", "medications"),
        "withdrawals of {kind} name nothing that is known, or not yet; they are out of scope",
    ),
}


@dataclass
class Kind:
    """What a file gave of one kind: its rows, those that make none, and the columns it sends."""

    n_row: int = 0
    n_broken: int = 0
    sent: tuple[str, ...] = ()


@dataclass(frozen=True)
class FhirFile:
    """What a file gave: by kind, and what is worth knowing of it, without values.

    Ids hold within its ``folder``.
    """

    written: "Written"
    reader: Reader
    folder: str

    @property
    def kinds(self) -> dict[str, Kind]:
        """The rows of each kind that the file holds."""
        return self.written.kinds

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of the resources, in words."""
        return notes_of(self.reader.notes)

    def look_for_withdrawn(self, warehouse: Warehouse, kind: str) -> list[str]:
        """Complete what the file withdrew of a kind, in its turn; remarks on what is unknown.

        Before that turn tonight's earlier files are not yet in the store.
        """
        zone = {"timezone": [self.reader.settings.timezone], "folder": [self.folder]}
        warehouse.write("taking.fhir_zone", pl.DataFrame(zone))
        if kind == "conditions":
            look_for_said(warehouse, self.written.folder / kind)
        n_unknown = find_withdrawn(warehouse, kind, self.written)
        self.written.close()
        return [f"{n_unknown} {UNKNOWN[kind].format(kind=kind)}"] if n_unknown else []


def fhir_rows(
    path: Path,
    settings: Settings,
    maps: Maps,
    as_of: date,
    folder: Path,
    how: AtOnce = USUALLY,
    elsewhere: Elsewhere | None = None,
) -> FhirFile:
    """Read a file into ``folder/<kind>/rows-*.parquet`` and ``folder/<kind>/broken-*.parquet``.

    Rows hold record, line, segment and the contract's columns as text; broken ones record, line,
    segment, check_name and raw. A broken row of the check ``scope`` is out of scope: a resource of
    another type, or the withdrawal of what is not known. Rows that do not tell their kind count
    with the kind that most rows of the file are of, labs where there is none; a file without any
    row gives labs none. What was withdrawn is looked for later, with the grammar, the ``taking``
    schema and the store's tables. What the file refers to and does not hold is looked for
    ``elsewhere``. FileRefused for 0 bytes, and for too many people.
    """
    if path.stat().st_size == 0:
        raise FileRefused("it is empty (0 bytes); a feed without resources sends no file")
    most_bytes = most_line_bytes(settings)
    reader = Reader(settings, maps, as_of)
    reader.index = known = Indexed(path, reader, most_bytes, elsewhere)
    written = Written(folder, settings.limits.max_cell_bytes)
    read_lines(path, known, written, how)
    written.settle()
    return FhirFile(written, reader, elsewhere.folder if elsewhere else "")


def notes_of(counts: Counter[str]) -> list[str]:
    """What is worth knowing, in words; types of resources by their names."""
    told = [f"{counts[word]} {meaning}" for word, meaning in NOTES.items() if counts[word]]
    others = sorted((name, n) for name, n in counts.items() if name not in NOTES)
    if others:
        listed = ", ".join(f"{n} {name}" for name, n in others)
        told.append(f"resources that are no extract of ours are out of scope: {listed}")
    return told


def read_lines(path: Path, known: Indexed, written: "Written", how: AtOnce) -> None:
    """Every line's rows, block by block."""
    reader, most_bytes = known.reader, known.most_bytes
    lines = Lines(reader, written, most_bytes, how, Shapes(reader, how, written.max_cell_bytes))
    n_line = 0
    for block in blocks(path, how.block_bytes, most_bytes):
        known.look_up(block)
        n_line += lines.read(block if n_line else block.removeprefix(BOM), n_line)
        del block


@dataclass(frozen=True)
class Lines:
    """Reads lines, many at once where they are like one before, by themselves where not."""

    reader: Reader
    written: "Written"
    most_bytes: int
    how: AtOnce
    shapes: Shapes

    def read(self, block: bytes, n_before: int) -> int:
        """The rows of a block, the first line of which comes after so many; how many it holds."""
        n_line, n_first, start = 0, self.how.first_lines, 0
        while start < len(block):
            rest = block[start:] if start else block
            plain = self.shapes.plain(rest)
            if plain.frames:
                self._read_like(plain, n_before + n_line, n_first)
                return n_line + plain.n_line
            may_learn = plain.n_line >= self.how.fewest_lines
            n_read, n_byte = self._read_unlike(rest, n_before + n_line, n_first, may_learn)
            start += n_byte
            n_line += n_read
            n_first *= 2
        return n_line

    def _read_unlike(
        self, block: bytes, n_before: int, n_first: int, may_learn: bool
    ) -> tuple[int, int]:
        """Lines by themselves, ``n_first`` and until something was learnt; how many, and bytes."""
        n_said = self.shapes.n_said
        n_read = start = 0
        while start < len(block) and (n_read < n_first or self.shapes.n_said == n_said):
            end = block.find(b"\n", start)
            line = block[start:end] if end >= 0 else block[start:]
            start = end + 1 if end >= 0 else len(block)
            n_read += 1
            outcomes = self._loaded(line, may_learn)
            self.written.n_record += self.written.add_line(
                self.written.n_record, n_before + n_read, outcomes, line
            )
        return n_read, start

    def _read_like(self, plain: Plain, n_before: int, n_first: int) -> None:
        """Lines that are plain, and the others: a few first, as more may be like these."""
        n_line, frames, lines = plain.n_line, plain.frames, plain.left
        left = list(lines)
        outcomes: dict[int, tuple[bytes, list[Outcome]]] = {}
        while left:
            n_said = self.shapes.n_said
            is_worth_it = len(left) >= self.how.fewest_lines
            for n_read, at in enumerate(left, 1):
                outcomes[at] = (lines[at], self._loaded(lines[at], is_worth_it))
                if n_read >= n_first and self.shapes.n_said > n_said:
                    break
            left = left[n_read:]
            n_first *= 2
            if len(left) >= self.how.fewest_lines:
                plain = self.shapes.plain(b"".join(lines[at] + b"\n" for at in left))
                where = pl.Series(left, dtype=pl.UInt32)
                frames += [one.with_columns(at=where.gather(one["at"])) for one in plain.frames]
                still = [left[at] for at in plain.left] if plain.frames else left
                # Where that was of little use the next time has to be rarer.
                n_first *= 1 if len(still) < len(left) / 2 else 4
                left = still
        self.written.add_lines(n_before, n_line, frames, outcomes)

    def _loaded(self, line: bytes, may_learn: bool) -> list[Outcome]:
        """The rows of one line; none of a blank one."""
        if not line.strip():
            return []
        outcomes = line_outcomes(line, len(line) >= self.most_bytes, self.reader)
        if may_learn:
            self.shapes.learn(line, outcomes)
        return outcomes


def n_rows(outcomes: list[Outcome]) -> int:
    """How many rows a line has."""
    return sum(not isinstance(outcome, NO_ROWS) for outcome in outcomes)


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
    _n_plain: int = 0

    def add_lines(
        self,
        n_before: int,
        n_line: int,
        plain: list[pl.DataFrame],
        loaded_lines: dict[int, tuple[bytes, list[Outcome]]],
    ) -> None:
        """The rows of consecutive lines: of plain ones as frames, of others one by one."""
        n_row = pl.Series([0], dtype=pl.Int64).new_from_index(0, n_line)
        for frame in plain:
            n_row.scatter(frame["at"], frame["nth"] + 1)
        places = sorted(loaded_lines)
        n_row.scatter(places, [n_rows(loaded_lines[at][1]) for at in places])
        before = n_row.cum_sum() - n_row + self.n_record
        for at, record in zip(places, before.gather(places), strict=True):
            line, outcomes = loaded_lines[at]
            self.add_line(record, n_before + at + 1, outcomes, line)
        self._add_plain(pl.concat(plain, how="diagonal_relaxed"), before, n_before)
        self.n_record += int(n_row.sum())

    def _add_plain(self, rows: pl.DataFrame, before: pl.Series, n_before: int) -> None:
        """Rows of labs as a part of their own; ``before`` is how many rows come before a line's."""
        place = self.folder / "labs"
        place.mkdir(parents=True, exist_ok=True)
        self._n_plain += 1
        rows = rows.with_columns(
            pl.Series("record", before.gather(rows["at"]) + rows["nth"] + 1),
            pl.Series("line", rows["at"].cast(pl.Int64) + n_before + 1),
        )
        whole = pl.DataFrame()
        if "result_key" in rows.columns:
            whole = rows.select(WHOLE).drop_nulls("result_key")
        for title, part in (("rows", rows.select(*PLACE, *COLUMNS["labs"])), ("whole", whole)):
            if not part.is_empty():
                # Read once, in this night.
                part.write_parquet(
                    place / f"{title}-plain-{self._n_plain:06}.parquet",
                    compression="uncompressed",
                    statistics=False,
                )
        self.kinds.setdefault("labs", Kind()).n_row += rows.height

    def add_line(self, n_before: int, line: int, outcomes: list[Outcome], raw: bytes) -> int:
        """The rows of one line, which come after so many rows; how many they are."""
        record = n_before
        for outcome in outcomes:
            record += not isinstance(outcome, NO_ROWS)
            self.add(record, line, outcome, raw)
        return record - n_before

    def add(self, record: int, line: int, outcome: Outcome, raw: bytes) -> None:
        """One row to its part; a row with cells that are no text is broken."""
        if isinstance(outcome, Whole):
            self._whole(record, line, outcome)
            return
        if isinstance(outcome, Told):
            self._told(record, outcome)
            return
        place = (record, line, outcome.segment)
        if isinstance(outcome, Refused):
            self._broken(place, outcome, raw)
            return
        fault = unfit(outcome.cells, self.max_cell_bytes)
        if fault:
            self._broken(place, Refused(outcome.kind, outcome.segment, fault), raw)
            return
        gone = isinstance(outcome, Gone)
        columns = GONE[outcome.kind] if gone else COLUMNS[outcome.kind]
        # What a resource of a person does not say leaves what is known.
        absent = None if outcome.kind == "patients" else ""
        part = self._part(outcome.kind, "gone" if gone else "rows", (*PLACE, *columns))
        part.add([*place, *(outcome.cells.get(name, absent) for name in columns)])

    def _told(self, record: int, told: Told) -> None:
        """Which resource told the condition of a record."""
        said = (told.resource_id, told.patient_id, told.changed_at, told.tells)
        if not unfit(dict(enumerate(said)), self.max_cell_bytes):
            self._part("conditions", "said", SAID).add([record, *said])

    def _whole(self, record: int, line: int, whole: Whole) -> None:
        """What the rows just added are one observation's results, an entry for each of them."""
        said = (whole.key, whole.reported_at, *(cell for one in whole.results for cell in one))
        if unfit(dict(enumerate(said)), self.max_cell_bytes):
            return
        part = self._part("labs", "whole", WHOLE)
        first = record - len(whole.results) + 1
        for row, (result_id, laboratory) in enumerate(whole.results, start=first):
            part.add([row, line, whole.key, whole.reported_at, result_id, laboratory])

    def _broken(self, place: tuple[int, int, str], refused: Refused, raw: bytes) -> None:
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
            elif title not in BESIDE:
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
        if not self.kinds:
            self.kinds["labs"] = Kind()
        for kind, found in self.kinds.items():
            place = self.folder / kind
            place.mkdir(parents=True, exist_ok=True)
            Parts(place, "rows-none", (*PLACE, *COLUMNS[kind])).close()
            Parts(place, "broken-none", (*PLACE, "check_name", "raw")).close()
            found.sent = tuple(name for name in COLUMNS[kind] if name != "opted_out")


def find_withdrawn(warehouse: Warehouse, kind: str, written: Written) -> int:
    """Complete what was withdrawn from the store and from the file; how much of it is unknown.

    The unknown is out of scope.
    """
    folder = written.folder / kind
    if not list(folder.glob("gone-*.parquet")):
        return 0
    warehouse.execute(ddl.parquet_view("taking.fhir_gone", str(folder / "gone-*.parquet")))
    columns = (*PLACE, *COLUMNS[kind])
    warehouse.execute(ddl.parquet_view("taking.fhir_row", str(folder / "rows-*.parquet")))
    if kind == "labs":
        warehouse.execute("DROP TABLE IF EXISTS taking.fhir_known")
        warehouse.execute(
            ddl.create_table_as("taking.fhir_known", sql_text("core/fhir_known_lab.sql"))
        )
        if warehouse.has("core.taken"):
            warehouse.execute(
                ddl.insert_by_name("taking.fhir_known", sql_text("core/fhir_taken_lab.sql"))
            )
    if kind == "conditions":
        look_for_last(warehouse)
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
    unknown = [row for row in places if row[0] not in found]
    records = pl.Series("record", [record for record, *_ in unknown], pl.Int64)
    warehouse.write("taking.fhir_unknown", records.to_frame())
    written.broken(kind, unknown, "scope")
    return len(unknown)
