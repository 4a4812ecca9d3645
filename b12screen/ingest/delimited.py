"""Delimited text as bytes: measured, unpacked, its header read, and split exactly where needed.

The engine's own reader takes every file whose shape is beyond doubt. Whatever it stumbles over is
split again here, slowly and exactly, so that one broken row costs one row and keeps its place.
"""

import codecs
import csv
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl
import pyarrow as pa

CHUNK = 1024 * 1024
BATCH_ROWS = 50_000
BATCH_BYTES = 64 * 1024 * 1024
SEPARATORS = (",", ";", "\t")
BOM = b"\xef\xbb\xbf"

# Extracts shrink five- to twentyfold; beyond this a packed file is a mistake or an attack.
MOST_TIMES_PACKED = 200
ALWAYS_UNPACKED_BYTES = 100 * 1024 * 1024

BROKEN_ROWS = {
    "fields": "the row has more or fewer cells than the header; quote cells that hold a separator",
    "open_quote": "a quote opens a cell and never ends, or ends only beyond the largest cell "
    "allowed; double every quote inside a quoted cell",
    "quote": "something follows the closing quote of a cell; double every quote inside it",
    "nul_byte": "the row holds a NUL byte; export it again as text",
    "encoding": "the row is not UTF-8; export the file as UTF-8",
    "cell_size": "a cell is larger than limits.max_cell_bytes",
    "line_end": "a carriage return stands in the row outside quotes; end rows with LF or CRLF",
}
TWICE = (
    "keep one of them, or have the file read by column numbers, with skip_lines = 1 and "
    "header = false in its settings"
)
# What spreadsheets write before a table, for themselves.
SEPARATOR_LINE = re.compile('"?sep=(.?)"?', re.IGNORECASE)


class FileRefused(Exception):
    """A file that cannot be read as an extract; the text says why and what to do, without cells."""


class NothingBehind(FileRefused):
    """A file that ends before its table begins."""


@dataclass(frozen=True)
class Measures:
    """What one pass over the bytes tells: content hash of the file, shape of its text."""

    n_newline: int
    n_quote: int
    n_return: int
    n_crlf: int
    n_nul: int
    utf8: bool
    n_line: int

    @property
    def beyond_doubt(self) -> bool:
        """Whether the engine's own reader may try, once CRLF has become LF."""
        return (
            self.utf8 and self.n_nul == 0 and self.n_return == self.n_crlf and self.n_quote % 2 == 0
        )


@dataclass(frozen=True)
class Header:
    """The first line: separator, column names folded to lower case, and where the rows begin."""

    separator: str
    columns: tuple[str, ...]
    n_bytes: int


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Give the file's name to an error of its medium: a read that fails says none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def content_hash(path: Path) -> str:
    """SHA-256 of a file as it lies."""
    with named(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def measured(path: Path, hashed: bool = True) -> tuple[str, Measures]:
    """One pass over a text file: its hash (blank unless asked for) and the shape of its text."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_newline = n_quote = n_return = n_crlf = n_nul = 0
    utf8 = True
    pending = False
    tail = b""
    with named(path), path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if hashed:
                digest.update(chunk)
            # Counted by what is left out, and only what is there: half the time of four counts.
            n_newline += len(chunk) - len(chunk.replace(b"\n", b""))
            n_quote += chunk.count(b'"') if b'"' in chunk else 0
            n_nul += chunk.count(b"\0") if b"\0" in chunk else 0
            if b"\r" in chunk:
                n_return += chunk.count(b"\r")
                n_crlf += chunk.count(b"\r\n")
            if tail.endswith(b"\r") and chunk.startswith(b"\n"):
                n_crlf += 1
            if utf8 and (pending or not chunk.isascii()):
                try:
                    decoder.decode(chunk)
                    pending = decoder.getstate()[0] != b""
                except UnicodeDecodeError:
                    utf8 = False
            tail = (tail + chunk)[-64:]
    # Blank lines at the end are no rows; every export tool has its own habit there.
    n_blank_tail = (tail[len(tail.rstrip(b"\r\n")) :]).count(b"\n")
    n_line = n_newline - n_blank_tail + (1 if tail.strip(b"\r\n") else 0)
    shape = Measures(n_newline, n_quote, n_return, n_crlf, n_nul, utf8 and not pending, n_line)
    return digest.hexdigest() if hashed else "", shape


def unpacked(path: Path, packing: str, target: Path, most_bytes: int) -> None:
    """Decompress into ``target``; FileRefused where it is damaged or grows beyond its limits."""
    most = most_unpacked(path, most_bytes)
    written = 0
    with packed(path, packing) as source, target.open("wb") as out:
        while chunk := unpacked_chunk(source):
            written += len(chunk)
            if written > most:
                raise too_large(most)
            out.write(chunk)


def most_unpacked(path: Path, most_bytes: int) -> int:
    """How many bytes a packed file may become."""
    return min(most_bytes, max(ALWAYS_UNPACKED_BYTES, path.stat().st_size * MOST_TIMES_PACKED))


def too_large(most: int) -> FileRefused:
    """Why a packed file that becomes larger is turned away."""
    return FileRefused(
        f"it unpacks to more than {most} bytes; raise limits.max_decompressed_gb if that is meant, "
        "or send it in parts"
    )


def unpacked_chunk(source: Any) -> bytes:
    """The next piece of a decompressing stream; FileRefused where it is damaged."""
    try:
        chunk: bytes = source.read(CHUNK)
    except (EOFError, zlib.error, OSError, pa.ArrowException):
        raise FileRefused("its compression is damaged or cut short; send it again") from None
    return chunk


def packed(path: Path, packing: str) -> Any:
    """The decompressing stream of a .gz or .zst file."""
    if packing == "gz":
        return gzip.open(path, "rb")
    return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")


def with_line_feeds(path: Path, target: Path, line_end: bytes) -> Path:
    """A copy of a text file with LF in place of another line end."""
    held_back = b""
    with path.open("rb") as source, target.open("wb") as out:
        while chunk := source.read(CHUNK):
            chunk = held_back + chunk
            # The first half of a CRLF may be the last byte that was read.
            held_back = b"\r" if len(line_end) > 1 and chunk.endswith(b"\r") else b""
            out.write(chunk[: len(chunk) - len(held_back)].replace(line_end, b"\n"))
        out.write(held_back)
    return target


def header(path: Path, known: frozenset[str], most_bytes: int) -> Header:
    """Read the first line. FileRefused where it is no header of this project's extracts."""
    text, n_bytes = header_text(path, most_bytes)
    separator, columns = header_cells(text, known, SEPARATORS)
    # Stray cells beside a table give columns without a name; several are just extra ones.
    repeated = {name for name in columns if name and columns.count(name) > 1}
    # A file without a header begins with a person: what is no column of ours is told by its place,
    # and where none is, that is what is said of the file.
    if repeated and not known.isdisjoint(columns):
        told = [
            name if name in known else f"number {place}"
            for place, name in enumerate(columns, start=1)
            if name in repeated and (name not in known or columns.index(name) == place - 1)
        ]
        listed = ", ".join(told[:10])
        raise FileRefused(f"its header names a column twice: {listed}; {TWICE}")
    return Header(separator, columns, n_bytes)


def header_text(path: Path, most_bytes: int, n_skipped: int = 0) -> tuple[str, int]:
    """The first line as text without its end, and how many bytes it takes.

    ``n_skipped`` lines before it are no part of the table.
    """
    with path.open("rb") as file:
        lines = Lines(file, most_bytes)
        for _ in range(n_skipped):
            lines.next()
        line = file.readline(most_bytes)
    if not line and n_skipped:
        raise NothingBehind(f"it holds nothing behind the {n_skipped} lines that are to be skipped")
    if not line:
        raise FileRefused("it is empty (0 bytes); an extract without rows still has its header")
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise FileRefused("its header is not UTF-8 but looks like UTF-16; export it as UTF-8")
    n_bytes = len(line)
    # A file with CR alone as line end has its header up to the first of them.
    line = line.removeprefix(BOM).split(b"\r")[0].rstrip(b"\n")
    try:
        return line.decode("utf-8"), n_bytes
    except UnicodeDecodeError:
        raise FileRefused("its header is not UTF-8; export the file as UTF-8") from None


def header_cells(
    text: str, known: frozenset[str], separators: Sequence[str], quote: str = '"'
) -> tuple[str, tuple[str, ...]]:
    """Separator and column names; of the separators the one that shows most of the known names."""
    if SEPARATOR_LINE.fullmatch(text):
        raise FileRefused(
            "its first line only says the separator (sep=); have it left out, with skip_lines = 1 "
            "in its settings"
        )
    if quote and text.count(quote) % 2:
        raise FileRefused("its header holds a quote that never ends; mend the first line")
    splits = [(separator, names(text, separator, quote)) for separator in separators]
    return max(splits, key=lambda split: len(known.intersection(split[1])))


def names(line: str, separator: str, quote: str = '"') -> tuple[str, ...]:
    """The column names of a header line, trimmed and in lower case."""
    if not quote:
        return tuple(name.strip().lower() for name in line.split(separator))
    rows = csv.reader([line], delimiter=separator, quotechar=quote)
    try:
        return tuple(name.strip().lower() for cells in rows for name in cells)
    except csv.Error:
        raise FileRefused("its first line is no header: a name in it is too long") from None


class Record(NamedTuple):
    """A record as bytes: its number, the physical line it begins on, and its cells."""

    record: int
    line: int
    cells: list[bytes]


@dataclass(frozen=True)
class Broken:
    """A row that is no record of this file: its number, its line, the check, its bytes."""

    record: int
    line: int
    check_name: str
    raw: bytes


class Lines:
    """Physical lines with their numbers, of bounded length, and with a way back."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self.number = 0

    def next(self) -> tuple[bytes, bool]:
        """The next line with its line end, and whether it was too long to be kept whole."""
        line = self._file.readline(self._most_bytes)
        self.number += 1 if line else 0
        if len(line) < self._most_bytes or line.endswith(b"\n"):
            return line, False
        while (more := self._file.readline(CHUNK)) and not more.endswith(b"\n"):
            pass
        return line, True

    def place(self) -> tuple[int, int]:
        """Where the next line begins."""
        return self._file.tell(), self.number

    def back_to(self, place: tuple[int, int]) -> None:
        """Read on from an earlier place."""
        self._file.seek(place[0])
        self.number = place[1]


def split(
    path: Path,
    separator: str,
    n_columns: int,
    max_cell_bytes: int,
    quote: str = '"',
    used: frozenset[int] | None = None,
    n_before: int = 1,
) -> Iterator[Record | Broken]:
    """Every row after the header, well formed or broken, in order; memory stays bounded.

    ``n_before`` lines stand before the first row: the header, unless more or none is said to.

    A record that is broken and spans several lines gives up its first line only, and reading
    resumes on the next one: a quote that never ends must not swallow the rows behind it.
    With ``used``, the places of the cells that are needed, a table is read that a spreadsheet has
    saved: cells that a record lacks at its end are blank, and so are those that nobody needs,
    whose bytes may be no UTF-8.
    """
    delimiter, mark = separator.encode(), quote.encode()
    number = 0
    with path.open("rb") as file:
        lines = Lines(file, max_cell_bytes * (n_columns + 1))
        for _ in range(n_before):
            lines.next()
        while True:
            line, too_long = lines.next()
            if not line:
                return
            if lines.number == 1:
                line = line.removeprefix(BOM)
            if not line.strip(b"\r\n"):
                continue
            number += 1
            begins = lines.number
            if too_long:
                yield Broken(number, begins, "cell_size", line)
                continue
            # Without a quote a record is its line.
            resume = lines.place() if mark and mark in line else None
            cells, check_name = record_cells(line, lines, delimiter, mark, max_cell_bytes)
            if len(cells) == n_columns + 1 and not cells[-1]:
                # A separator behind the last cell adds nothing; the engine reads it so, too.
                cells = cells[:-1]
            if used is not None and not check_name:
                cells = [cell if place in used else b"" for place, cell in enumerate(cells)]
                cells += [b""] * (n_columns - len(cells))
            check_name = check_name or fault(cells, line, n_columns, max_cell_bytes)
            if check_name:
                if resume is not None:
                    lines.back_to(resume)
                yield Broken(number, begins, check_name, line)
            else:
                yield Record(number, begins, cells)


def record_cells(
    line: bytes, lines: Lines, separator: bytes, quote: bytes, max_cell_bytes: int
) -> tuple[list[bytes], str]:
    """The cells of the record that begins with ``line``, or the name of the check it fails.

    ``quote`` is one byte, or nothing where no cell is quoted.
    """
    body = line.rstrip(b"\n").removesuffix(b"\r")
    if not quote or quote not in line:
        if b"\r" in body:
            return [], "line_end"
        return body.split(separator), ""
    cells: list[bytes] = []
    position = 0
    while True:
        if line[position : position + 1] != quote:
            end = line.find(separator, position, len(body))
            cell = body[position:] if end < 0 else line[position:end]
            if b"\r" in cell:
                return [], "line_end"
            cells.append(cell)
            if end < 0:
                return cells, ""
            position = end + len(separator)
            continue
        position += 1
        parts: list[bytes] = []
        size = 0
        while True:
            end = line.find(quote, position)
            if end >= 0 and line[end + 1 : end + 2] == quote:
                parts.append(line[position : end + 1])
                size += end + 1 - position
                position = end + 2
                continue
            if end >= 0:
                parts.append(line[position:end])
                position = end + 1
                break
            parts.append(line[position:])
            size += len(line) - position
            line, too_long = lines.next()
            if not line or too_long or size > max_cell_bytes:
                return [], "open_quote"
            body = line.rstrip(b"\n").removesuffix(b"\r")
            position = 0
        cells.append(b"".join(parts))
        if position >= len(body):
            return cells, ""
        if not line.startswith(separator, position):
            return [], "quote"
        position += len(separator)


def fault(cells: list[bytes], line: bytes, n_columns: int, max_cell_bytes: int) -> str:
    """The first check that the bytes of a record fail, or nothing."""
    # Looked at together: most records fail nothing, and asking each cell costs three times as much.
    joined = b"\n".join(cells)
    if b"\0" in joined:
        return "nul_byte"
    if not line.isascii() or not joined.isascii():
        try:
            joined.decode("utf-8")
        except UnicodeDecodeError:
            return "encoding"
    if len(cells) != n_columns:
        return "fields"
    too_large = len(joined) > max_cell_bytes and any(len(cell) > max_cell_bytes for cell in cells)
    return "cell_size" if too_large else ""


def rows_as_parquet(
    path: Path,
    columns: tuple[str, ...],
    wanted: tuple[str, ...],
    separator: str,
    max_cell_bytes: int,
    folder: Path,
    from_spreadsheet: bool = False,
) -> tuple[int, int]:
    """Split a file into ``folder/rows-*.parquet`` and ``folder/broken-*.parquet``.

    Well-formed rows hold record, line and the wanted columns as text; broken ones record, line,
    check_name and raw. Returns how many there are of each. ``from_spreadsheet``: see ``used`` of
    :func:`split`.
    """
    places = [(name, columns.index(name)) for name in wanted]
    rows = Parts(folder, "rows", ("record", "line", *wanted))
    broken = Parts(folder, "broken", ("record", "line", "check_name", "raw"))
    used = frozenset(place for _, place in places) if from_spreadsheet else None
    for row in split(path, separator, len(columns), max_cell_bytes, used=used):
        if isinstance(row, Record):
            cells = [row.cells[place].decode("utf-8") for _, place in places]
            rows.add([row.record, row.line, *cells])
        else:
            raw = row.raw[:max_cell_bytes].decode("utf-8", "backslashreplace")
            broken.add([row.record, row.line, row.check_name, raw.replace("\0", "\\x00")])
    return rows.close(), broken.close()


class Parts:
    """Rows written as numbered Parquet files of bounded size."""

    def __init__(self, folder: Path, title: str, columns: tuple[str, ...]) -> None:
        self._folder = folder
        self._title = title
        self._schema = {
            name: pl.Int64 if name in ("record", "line") else pl.String for name in columns
        }
        self._rows: list[list[Any]] = []
        self._n_bytes = 0
        self._n_parts = 0
        self._n_rows = 0

    def add(self, row: list[str | int | None]) -> None:
        """Append one row; full batches go to disk."""
        self._rows.append(row)
        self._n_bytes += sum(len(cell) for cell in row if isinstance(cell, str))
        if len(self._rows) >= BATCH_ROWS or self._n_bytes >= BATCH_BYTES:
            self._flush()

    def extend(self, rows: Sequence[list[Any]], most_bytes: int) -> None:
        """Append rows whose text has at most so many bytes; full batches go to disk."""
        if most_bytes > BATCH_BYTES:
            for row in rows:
                self.add(row)
            return
        self._rows += rows
        self._n_bytes += most_bytes
        if len(self._rows) >= BATCH_ROWS or self._n_bytes >= BATCH_BYTES:
            self._flush()

    def close(self) -> int:
        """Write what is left (an empty part where there was nothing); how many rows there were."""
        if self._rows or self._n_parts == 0:
            self._flush()
        return self._n_rows

    def _flush(self) -> None:
        self._n_rows += len(self._rows)
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        # By columns: half the time of a frame made from rows.
        frame = pl.DataFrame(
            dict(zip(self._schema, columns, strict=True)), schema_overrides=self._schema
        )
        frame.write_parquet(self._folder / f"{self._title}-{self._n_parts:06}.parquet")
        self._n_parts += 1
        self._rows = []
        self._n_bytes = 0
