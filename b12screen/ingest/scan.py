"""One scan: the rows of one file into ``core.taken``, each typed, converted and judged.

The engine reads a text file itself where that leaves no doubt; anything else is split row by row
first. Nothing is kept or refused here.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from b12screen.errors import AuditFailed
from b12screen.ingest.apart import apart
from b12screen.ingest.columnar import parquet_as_text, parquet_columns, parquet_length
from b12screen.ingest.delimited import (
    FileRefused,
    Header,
    Measures,
    header,
    measured,
    rows_as_parquet,
    unpacked,
    with_line_feeds,
)
from b12screen.ingest.ends import BLANK_END, NO_END
from b12screen.ingest.own_csv import (
    OwnRows,
    as_utf8,
    own_checks,
    own_parquet_rows,
    own_rows,
)
from b12screen.ingest.recognise import Extract, Own, shown
from b12screen.ingest.store import FOLDS, RELATION, STORED, Intake, fault_table
from b12screen.resources import sql_text
from b12screen.settings import Limits
from b12screen.warehouse import WarehouseError
from schemas import ddl, words
from schemas.extracts import extract_columns
from schemas.relation import RELATIONS
from schemas.worklists import SHEET

EARLIEST_EVENT = date(1900, 1, 1)
# Somebody born before the first event that may be recorded.
EARLIEST_BIRTH = date(1850, 1, 1)
DAYS_AHEAD = 366
SCAN = {
    kind: f"core/{name.split('.')[1].split('_')[0]}_scan.sql" for kind, name in RELATION.items()
}
SCAN_COLUMNS = {"file_id": "INTEGER", "fault": "VARCHAR", "cells": "VARCHAR"}
# Beside those: whether the night stands for a day that an answer did not name, and whether a result
# came without its unit.
OWN_SCAN_COLUMNS = {"feedback": {"is_undated": "BOOLEAN"}, "labs": {"unitless": "BOOLEAN"}} | {
    kind: folded.scanned for kind, folded in FOLDS.items()
}
# Keys that never repeat: the engine's dictionaries cost three times as much and save nothing.
BULKY = ("result_id", "medication_id")
NOTHING_BROKEN = (
    "CREATE OR REPLACE TABLE taking.broken "
    "(file_id INTEGER, record BIGINT, line BIGINT, segment VARCHAR, check_name VARCHAR, "
    "raw VARCHAR)"
)
# Only messages tell more of a row's place than its record.
NO_PLACES = (
    "CREATE OR REPLACE VIEW taking.place AS SELECT CAST(NULL AS INTEGER) AS file_id, "
    "CAST(NULL AS BIGINT) AS record, "
    "CAST(NULL AS BIGINT) AS line, CAST(NULL AS VARCHAR) AS segment, CAST(NULL AS JSON) AS sent "
    "LIMIT 0"
)
# Of the files at hand: taking.night names them.
COUNT_ROWS = "SELECT count(*) FROM core.taken SEMI JOIN taking.night USING (file_id)"
COUNT_FAULTS = (
    "SELECT taken.fault, count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "WHERE taken.fault IS NOT NULL GROUP BY taken.fault"
)
IS_AT_HAND = "SELECT count(*) FROM taking.night WHERE night.file_name = ? AND night.taken_by = ?"
DROP_ROWS = "DELETE FROM core.taken WHERE taken.file_id IN (SELECT night.file_id FROM taking.night)"


@dataclass(frozen=True)
class Scanned:
    """How many rows of a file lie in ``core.taken``, and how many in ``taking.broken``."""

    n_row: int
    n_broken: int


@dataclass(frozen=True)
class OpenedText:
    """A text file with its header read: ``sent`` are the contract's columns that it has.

    ``extra`` are the names of the others, for a message; ``path`` may be a copy with other line
    ends, of which ``shape`` tells.
    """

    path: Path
    shape: Measures
    top: Header
    sent: tuple[str, ...]
    extra: str


@dataclass(frozen=True)
class ParquetRows:
    """The columns of a Parquet file, those that count, and how many rows were written as text."""

    names: tuple[str, ...]
    sent: tuple[str, ...]
    n_row: int
    n_broken: int


def scan(
    intake: Intake, extract: Extract, shape: Measures | None, folder: Path
) -> tuple[Scanned, str]:
    """The file's rows into ``core.taken``; also the names of columns that no contract knows."""
    limits = intake.settings.limits
    path = extract.path
    set_night(intake, extract)
    if extract.own:
        return scan_own(intake, extract, folder)
    if extract.form == "parquet":
        rows = apart(parquet_rows, path, extract.kind, limits, folder)
        extra = unused(list(rows.names), extract.kind)
        return exactly(intake, extract, rows.sent, rows.n_row, rows.n_broken, folder), extra
    if extract.packing:
        path = folder / "unpacked.csv"
        most = limits.max_decompressed_bytes
        unpacked(extract.path, extract.packing, path, most)
    if shape is None:
        _, shape = measured(path, hashed=False)
    text = opened(intake, extract, path, shape, folder)
    scanned = quickly(intake, extract, text, folder)
    if scanned is None:
        intake.progress(f"{extract.name}: some rows are broken, splitting it row by row")
        split = row_by_row(intake, extract, text, folder)
        scanned = exactly(intake, extract, text.sent, split.n_row, split.n_broken, folder)
    return scanned, text.extra


def opened(
    intake: Intake, extract: Extract, path: Path, shape: Measures, folder: Path
) -> OpenedText:
    """The head of a text file in the contract's columns; FileRefused where it is none."""
    limits = intake.settings.limits
    known = frozenset(extract_columns(extract.kind))
    if shape.n_newline == 0 and shape.n_return > 0:
        path = with_line_feeds(path, folder / "lines.csv", b"\r")
        _, shape = measured(path, hashed=False)
    top = header(path, known, limits.max_cell_bytes * (len(known) + 1))
    if shape.n_quote == 0:
        # Without a quote a line is a row, so that a file far too long need not be read twice.
        bound_rows(limits.max_rows, shape.n_line - 1)
    sent = columns_of(extract.kind, list(top.columns))
    return OpenedText(path, shape, top, tuple(sent), unused(list(top.columns), extract.kind))


def row_by_row(intake: Intake, extract: Extract, text: OpenedText, folder: Path) -> Scanned:
    """Split a text file into Parquet files of ``folder``; how many rows and broken ones."""
    return Scanned(
        *rows_as_parquet(
            text.path, text.top.columns, text.sent, text.top.separator,
            intake.settings.limits.max_cell_bytes, folder,
            # Spreadsheets leave off the separators of a block of rows that end in blank cells, and
            # many write their own code page: the sign for micro stands in the reason of a row.
            from_spreadsheet=extract.kind == words.FEEDBACK,
        )
    )  # fmt: skip


def parquet_rows(path: Path, kind: str, limits: Limits, folder: Path) -> ParquetRows:
    """Write the rows of a Parquet extract as text; FileRefused as for delimited ones."""
    written = parquet_columns(path)
    names = tuple(name.strip().lower() for name in written)
    sent = columns_of(kind, list(names))
    bound_rows(limits.max_rows, parquet_length(path))
    source = {name: written[place] for name, place in sent.items()}
    most = limits.max_decompressed_bytes
    counts = parquet_as_text(path, source, limits.max_cell_bytes, folder, most)
    return ParquetRows(names, tuple(sent), *counts)


def own_parquet(path: Path, own: Own, kind: str, limits: Limits, folder: Path) -> OwnRows:
    """The same of one that is written a laboratory's own way."""
    bound_rows(limits.max_rows, parquet_length(path))
    most = limits.max_decompressed_bytes
    return own_parquet_rows(path, own, kind, limits.max_cell_bytes, folder, most)


def bound_rows(most: int, n_row: int) -> None:
    """FileRefused where a file has more rows than a file may have."""
    if n_row > most:
        raise FileRefused(
            f"it holds more than {most:,} rows; raise limits.max_rows if that is meant, or send "
            "it in parts"
        )


def scan_own(intake: Intake, extract: Extract, folder: Path) -> tuple[Scanned, str]:
    """The same of a file that is written a laboratory's own way."""
    limits = intake.settings.limits
    if len(extract.own) > 1:
        named = ", ".join(sorted({own.laboratory for own in extract.own}))
        raise FileRefused(
            f"the settings say more than once how its {extract.kind} are written (csv files of "
            f"{named}); let one of them say it"
        )
    (own,) = extract.own
    faults = fault_table(own_checks(own, extract.kind))
    intake.warehouse.write("taking.fault", faults)
    if extract.form == "parquet":
        rows = apart(own_parquet, extract.path, own, extract.kind, limits, folder)
    else:
        path = extract.path
        if extract.packing:
            path = folder / "unpacked.csv"
            most = limits.max_decompressed_bytes
            unpacked(extract.path, extract.packing, path, most)
        path = as_utf8(path, own.files.encoding, folder / "utf8.csv")
        _, shape = measured(path, hashed=False)
        if shape.n_newline == 0 and shape.n_return > 0:
            path = with_line_feeds(path, folder / "lines.csv", b"\r")
        rows = own_rows(path, own, extract.kind, limits.max_cell_bytes, folder)
    scanned = exactly(intake, extract, rows.columns, rows.n_row, rows.n_broken, folder)
    intake.warehouse.execute(ddl.places_as_sent(str(folder / "sent" / "rows-*.parquet"), rows.sent))
    return scanned, unused(list(rows.extra), extract.kind)


def columns_of(kind: str, names: list[str]) -> dict[str, int]:
    """Where each contract column stands; FileRefused names the required ones that are missing."""
    contract = extract_columns(kind)
    repeated = sorted({name for name in names if name in contract and names.count(name) > 1})
    if repeated:
        raise FileRefused(f"it names a column twice: {', '.join(repeated)}; keep one of them")
    missing = [name for name, column in contract.items() if column.required and name not in names]
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        raise FileRefused(f"its header lacks the required {noun} {', '.join(missing)}; add it")
    return {name: names.index(name) for name in contract if name in names}


def unused(names: list[str], kind: str) -> str:
    """The columns that are dropped, for a message; the rest of a sheet of our own is none."""
    known = (*extract_columns(kind), *(SHEET if kind == words.FEEDBACK else ()))
    return ", ".join(shown(name) or "(no name)" for name in names if name not in known)


def set_night(intake: Intake, *extracts: Extract) -> None:
    """The parameters as rows: a scan reads one, of one file; what comes behind it may be of many.

    A file that is new gets its content's hash once it is taken.
    """
    latest = intake.as_of + timedelta(days=DAYS_AHEAD + 1)
    first_id = intake.warehouse.scalar("SELECT coalesce(max(file_id), 0) + 1 FROM core.lab_file")
    intake.warehouse.write(
        "taking.night",
        pl.DataFrame(
            {
                "as_of": intake.as_of,
                "earliest": datetime.combine(EARLIEST_EVENT, time()),
                "latest": datetime.combine(latest, time()),
                "born_earliest": EARLIEST_BIRTH,
                "no_end": NO_END,
                "blank_end": BLANK_END,
                "timezone": intake.settings.timezone,
                "laboratory": next(iter(intake.settings.laboratories)),
                "file_name": [extract.name for extract in extracts],
                "file_id": list(range(first_id, first_id + len(extracts))),
                "in_messages": [extract.holds_messages for extract in extracts],
                "date_order": intake.settings.feedback.date_order or "",
                "sent_for": [extract.sent_for for extract in extracts],
                "taken_by": [extract.taken_by for extract in extracts],
                "sha256": [extract.sha256 for extract in extracts],
            },
            schema_overrides={"file_id": pl.Int32, "sent_for": pl.Date},
        ),
    )


def quickly(intake: Intake, extract: Extract, text: OpenedText, folder: Path) -> Scanned | None:
    """The engine's own reader, or None where it stumbles or its count leaves a doubt."""
    path, top, shape = text.path, text.top, text.shape
    wanted = tuple(extract_columns(extract.kind))
    if not shape.beyond_doubt:
        return None
    if shape.n_crlf:
        path = with_line_feeds(path, folder / "plain.csv", b"\r\n")
    if path == extract.path:
        # By a name of ours: in that of a sender the engine would read [1] or * as a pattern.
        path = folder / "sent.csv"
        path.symlink_to(extract.path.absolute())
    warehouse = intake.warehouse
    warehouse.execute(
        ddl.incoming_csv(
            str(path),
            top.columns,
            wanted,
            top.separator,
            intake.settings.limits.max_cell_bytes,
        )
    )
    warehouse.execute(NOTHING_BROKEN)
    warehouse.execute(NO_PLACES)
    try:
        insert_scan(intake, extract.kind, "test_name" in top.columns)
        n_stumbled = warehouse.scalar("SELECT count(*) FROM reject_errors")
    except WarehouseError:
        n_stumbled = 1
    warehouse.execute("DROP TABLE IF EXISTS reject_errors")
    warehouse.execute("DROP TABLE IF EXISTS reject_scans")
    n_row = rows_of(intake)
    # A quoted cell may hold line ends; where CRLF was replaced it would have lost its own.
    may_span = shape.n_quote > 0 and shape.n_crlf == 0
    if n_stumbled == 0 and (n_row == shape.n_line - 1 or may_span):
        return Scanned(n_row, 0)
    drop_rows(intake, extract)
    return None


def exactly(
    intake: Intake,
    extract: Extract,
    sent: tuple[str, ...],
    n_row: int,
    n_broken: int,
    folder: Path,
) -> Scanned:
    """The same scan over rows that were split or cast beforehand."""
    warehouse = intake.warehouse
    wanted = tuple(extract_columns(extract.kind))
    rows = str(folder / "rows-*.parquet")
    # Cells of rejected rows are kept as those of messages are: with their places, and absent ones.
    in_full = extract.holds_messages or extract.taken_by == "retry"
    warehouse.execute(ddl.incoming_parquet(rows, sent, wanted, keeps_absent=in_full))
    warehouse.execute(ddl.broken_parquet(str(folder / "broken-*.parquet"), in_full))
    warehouse.execute(ddl.places_parquet(rows) if in_full else NO_PLACES)
    insert_scan(intake, extract.kind, "test_name" in sent)
    n_scanned = rows_of(intake)
    if n_scanned != n_row:
        raise AuditFailed(
            f"{n_row} rows of {extract.name} were split but {n_scanned} arrived. Nothing was "
            "published; yesterday's files stand. This is a bug: report it with the file's name."
        )
    return Scanned(n_row, n_broken)


def insert_scan(intake: Intake, kind: str, has_test_name: bool) -> None:
    """Run the one scan of ``taking.incoming`` into ``core.taken``, sorted for the history."""
    warehouse = intake.warehouse
    if has_test_name:
        sent = warehouse.frame(sql_text("core/test_name_sent.sql"))
        warehouse.write("taking.contradiction", intake.maps.contradictions(sent))
    relation = RELATIONS[STORED[kind]]
    if not warehouse.has("core.taken"):
        extra = SCAN_COLUMNS | OWN_SCAN_COLUMNS.get(kind, {})
        warehouse.execute(ddl.working_table(relation, "core.taken", extra, BULKY))
    # Small look-ups are what gets built, whatever the engine guesses of a text file's length; and
    # record numbers are the file's own only while its order is kept.
    warehouse.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    warehouse.execute("SET preserve_insertion_order = true")
    try:
        warehouse.execute(ddl.insert_by_name("core.taken", sql_text(SCAN[kind])))
    finally:
        warehouse.execute("RESET disabled_optimizers")
        warehouse.execute("SET preserve_insertion_order = false")


def rows_of(intake: Intake) -> int:
    """How many rows of the file at hand lie in ``core.taken``."""
    if not intake.warehouse.has("core.taken"):
        return 0
    return int(intake.warehouse.scalar(COUNT_ROWS))


def drop_rows(intake: Intake, extract: Extract) -> None:
    """Take the rows of this file out of ``core.taken`` again, where its scan had begun.

    Before that the file at hand is still the one before it, whose rows stay.
    """
    if rows_of(intake) and intake.warehouse.scalar(IS_AT_HAND, (extract.name, extract.taken_by)):
        intake.warehouse.execute(DROP_ROWS)


def faults_of(intake: Intake) -> Counter[str]:
    """How many rows of the file at hand fail which check; ``scope`` is no failure."""
    warehouse = intake.warehouse
    faults: Counter[str] = Counter(dict(warehouse.rows(COUNT_FAULTS)))
    faults.update(
        dict(warehouse.rows("SELECT check_name, count(*) FROM taking.broken GROUP BY check_name"))
    )
    return faults
