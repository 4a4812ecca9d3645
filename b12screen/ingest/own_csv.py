"""A laboratory's own files as the rows that the one scan reads: text under the contract's names.

What the settings say of encoding, separator, names, dates, numbers, words and identifiers is undone
here, so that no scan learns a dialect. A cell that does not fit what is said becomes one that the
scan rejects, with its own reason and its row as it was sent; nothing is guessed.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from b12screen.date_formats import ISO, ISO_PATTERN, MONTHS, date_pattern
from b12screen.ingest.checks import (
    CHECKS,
    DAY_FAULTS,
    HERE,
    NO_OWN_DATE,
    NO_OWN_NUMBER,
    NOR_OWN,
    SHAPES,
)
from b12screen.ingest.columnar import parquet_as_text, parquet_columns, parquet_kinds
from b12screen.ingest.delimited import (
    BOM,
    CHUNK,
    SEPARATORS,
    TWICE,
    Broken,
    FileRefused,
    NothingBehind,
    Parts,
    header_cells,
    header_text,
    split,
)
from b12screen.ingest.delimited import names as cells_of
from b12screen.ingest.recognise import Own, shown
from b12screen.settings import JOINED_BY, OwnFiles, fold, numbered_column
from schemas.extracts import extract_columns
from schemas.words import FEEDBACK

DAYS = (
    "collected_at", "reported_at", "birth_date", "deceased_on", "recorded_on", "resolved_on",
    "started_on", "ended_on", "decided_on", "until", "as_of",
)  # fmt: skip
NUMBERS = ("value", "dose")
NUMBER_FAULTS = ("val_comma", "val_text", "dose")
# A cell that no scan reads as a day, in place of one that fits no format or two of them.
NO_DAY = "?"
# What a number looks like before anybody asks for its signs.
NUMBER_LIKE = r"^[<>]?=? ?[+-]?[0-9][0-9.,' \x{a0}\x{202f}\x{2019}]*([eE][+-]?[0-9]+)?$"
UTF16_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


@dataclass(frozen=True)
class Source:
    """Where a column of the contract comes from: columns of the file, or a constant."""

    places: tuple[int, ...] = ()
    constant: str = ""


@dataclass(frozen=True)
class OwnRows:
    """What was written for the scan: its columns, how many rows, and what the file calls its own.

    ``sent`` gives the file's names of the columns of ``sent/rows-*.parquet``, the rows as sent.
    """

    columns: tuple[str, ...]
    n_row: int
    n_broken: int
    sent: Mapping[str, str]
    extra: tuple[str, ...]


def own_rows(path: Path, own: Own, kind: str, max_cell_bytes: int, folder: Path) -> OwnRows:
    """Write a delimited file of UTF-8 as ``folder/rows-*.parquet`` and ``folder/broken-*.parquet``.

    FileRefused where the header is not the one that the settings describe.
    """
    names, separator = own_header(path, own.files, kind, max_cell_bytes)
    sources = sources_of(names, own, kind)
    places = used_places(sources)
    sent = folder / "sent"
    sent.mkdir()
    rows = Parts(sent, "rows", ("record", "line", *(f"c{place}" for place in places)))
    broken = Parts(folder, "broken", ("record", "line", "check_name", "raw"))
    # A sheet that comes back is read as a spreadsheet saves it.
    used = frozenset(places) if kind == FEEDBACK else None
    for row in split(
        path, separator, len(names), max_cell_bytes, own.files.quote, used, own.files.n_before
    ):
        if isinstance(row, Broken):
            raw = row.raw[:max_cell_bytes].decode("utf-8", "backslashreplace")
            broken.add([row.record, row.line, row.check_name, raw.replace("\0", "\\x00")])
        else:
            cells = row.cells
            rows.add([row.record, row.line, *[cells[place].decode() for place in places]])
    n_row, n_broken = rows.close(), broken.close()
    write_translated(sources, own, kind, frozenset(places), folder)
    return counted(names, sources, kind, n_row, n_broken)


def own_parquet_rows(
    path: Path, own: Own, kind: str, max_cell_bytes: int, folder: Path, most_bytes: int
) -> OwnRows:
    """The same of a Parquet file; what it holds as days and numbers is not read as text again."""
    written = parquet_columns(path)
    names = tuple(name.strip().lower() for name in written)
    sources = sources_of(names, own, kind)
    places = used_places(sources)
    types = parquet_kinds(path)
    keys = [
        column
        for column, source in sources.items()
        if (column == "code" or column.endswith("_id"))
        and any(types[written[place]].is_float() for place in source.places)
    ]
    if keys:
        raise FileRefused(f"{', '.join(keys)} is a column of decimal numbers; write it as text")
    sent = folder / "sent"
    sent.mkdir()
    taken = {f"c{place}": written[place] for place in places}
    n_row, n_broken = parquet_as_text(path, taken, max_cell_bytes, sent, most_bytes)
    for part in sorted(sent.glob("broken-*.parquet")):
        part.rename(folder / part.name)
    texts = frozenset(place for place in places if types[written[place]] == pl.String)
    write_translated(sources, own, kind, texts, folder)
    return counted(names, sources, kind, n_row, n_broken)


def counted(
    names: Sequence[str], sources: Mapping[str, Source], kind: str, n_row: int, n_broken: int
) -> OwnRows:
    """What is told of rows that have been written."""
    places = used_places(sources)
    columns = tuple(sources) + (("laboratory",) if kind == "labs" else ())
    extra = tuple(name for place, name in enumerate(names) if place not in places)
    return OwnRows(columns, n_row, n_broken, {f"c{place}": names[place] for place in places}, extra)


def as_utf8(path: Path, encoding: str, target: Path) -> Path:
    """The file itself where it is to be UTF-8, else a copy in UTF-8; memory stays bounded.

    Lines stay where they are. What is no text of that encoding is no UTF-8 in the copy either, so
    that its row alone is refused. FileRefused where the first bytes show another encoding, or where
    all of them do: UTF-8 reads as latin-1 without a complaint, with every accent broken.
    """
    if encoding == "utf-8":
        return path
    with path.open("rb") as file:
        mark = file.read(3)
    if mark == BOM and not encoding.startswith("utf-16"):
        raise FileRefused(f"it is marked as UTF-8, and the settings say {encoding}; correct them")
    skipped = 0
    errors = "surrogateescape"
    if encoding.startswith("utf-16"):
        marked = UTF16_MARKS.get(mark[:2])
        if marked is None and encoding == "utf-16":
            raise FileRefused(
                "it has no mark of UTF-16 at its beginning; set encoding to utf-16-le or utf-16-be "
                "if it is UTF-16 without one"
            )
        if marked not in (None, encoding) and encoding != "utf-16":
            raise FileRefused(
                f"it is marked as {marked}, and the settings say {encoding}; correct them"
            )
        encoding, skipped, errors = marked or encoding, 2 if marked else 0, "surrogatepass"
    utf8 = codecs.getincrementaldecoder("utf-8")()
    is_utf8, is_ascii = errors == "surrogateescape", True
    with target.open("wb") as out:
        for text, raw in decoded(path, encoding, skipped, errors):
            out.write(text.encode("utf-8", errors))
            if is_utf8 and not (is_ascii and raw.isascii()):
                is_ascii = False
                try:
                    utf8.decode(raw)
                except UnicodeDecodeError:
                    is_utf8 = False
    if is_utf8 and not is_ascii and not utf8.getstate()[0]:
        raise FileRefused(f"it is UTF-8 throughout, and the settings say {encoding}; correct them")
    return target


def decoded(path: Path, encoding: str, skipped: int, errors: str) -> Iterator[tuple[str, bytes]]:
    """A file in pieces of text, each with the bytes that it was read from."""
    decoder = codecs.getincrementaldecoder(encoding)(errors)
    with path.open("rb") as file:
        file.seek(skipped)
        while raw := file.read(CHUNK):
            yield decoder.decode(raw), raw
    try:
        yield decoder.decode(b"", True), b""
    except UnicodeDecodeError:
        # Half a character at the end is none.
        yield "\udcff", b""


def own_header(
    path: Path, files: OwnFiles, kind: str, max_cell_bytes: int
) -> tuple[tuple[str, ...], str]:
    """The column names of a file, and its separator, which the first line shows if none is set.

    Columns of a file without a header are called by their numbers.
    """
    contract = extract_columns(kind)
    known = frozenset(
        source for column in contract for source in wanted_names(files, column) or (column,)
    )
    try:
        text, _ = header_text(path, max_cell_bytes * (len(contract) + 1), files.skip_lines)
    except NothingBehind:
        raise
    except FileRefused:
        if files.encoding == "utf-8" or path.stat().st_size == 0:
            raise
        raise FileRefused(
            f"its header is not written in {files.encoding}, as the settings say; correct them"
        ) from None
    separators = SEPARATORS if files.separator is None else (files.separator,)
    if files.header:
        separator, names = header_cells(text, known, separators, files.quote)
        return names, separator
    if files.quote and text.count(files.quote) % 2:
        raise FileRefused(
            "a cell of its first row goes on in the next line, so that its columns cannot be "
            "counted; ask for a header"
        )
    numbered = [
        (each, tuple(numbered_column(place) for place, _ in enumerate(cells, start=1)))
        for each in separators
        for cells in [cells_of(text, each, files.quote)]
    ]
    separator, names = max(numbered, key=lambda found: len(known.intersection(found[1])))
    return names, separator


def wanted_names(files: OwnFiles, column: str) -> tuple[str, ...]:
    """The file's columns that make a column of the contract, folded; none where none is set."""
    named = files.columns.get(column, ())
    return tuple(fold(name) for name in ([named] if isinstance(named, str) else named))


def sources_of(names: Sequence[str], own: Own, kind: str) -> dict[str, Source]:
    """Where each column of the contract but the laboratory comes from, in the contract's order.

    A column that the settings name has to be there, required or not: a status that is missing
    would turn every result into a final one.
    """
    sources: dict[str, Source] = {}
    missing: list[str] = []
    repeated: set[str] = set()
    for column, declared in extract_columns(kind).items():
        if column == "laboratory":
            continue
        wanted = wanted_names(own.files, column)
        found = [name for name in wanted or (column,) if name in names]
        repeated |= {name for name in found if names.count(name) > 1}
        if wanted and len(found) < len(wanted):
            lacking = " and ".join(f'"{name}"' for name in wanted if name not in names)
            missing.append(f"{column}, here {lacking}")
        elif found:
            sources[column] = Source(tuple(names.index(name) for name in found))
        elif column in own.files.constants:
            sources[column] = Source(constant=own.files.constants[column])
        elif declared.required:
            missing.append(column)
    if "birth_date" in sources and any("%y" in form for form in own.files.dates):
        raise FileRefused(
            "its birth days cannot be read with a two-digit year (%y in the settings): 45 may be "
            "1945; ask for years of four digits"
        )
    if repeated:
        raise FileRefused(
            f"it names a column twice: {', '.join(shown(name) for name in sorted(repeated))}; "
            f"{TWICE}"
        )
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        what = "its header" if own.files.header else "it"
        raise FileRefused(
            f"{what} lacks the {noun} {'; '.join(missing)}. Add what is missing, or name the "
            f"file's own columns in the settings of laboratory {own.laboratory}"
        )
    return sources


def used_places(sources: Mapping[str, Source]) -> list[int]:
    """The columns of the file that are read, in the file's order."""
    return sorted({place for source in sources.values() for place in source.places})


def write_translated(
    sources: Mapping[str, Source], own: Own, kind: str, texts: frozenset[int], folder: Path
) -> None:
    """Each part of the rows as sent once more, as ``folder/rows-*.parquet`` for the scan."""
    for part in sorted((folder / "sent").glob("rows-*.parquet")):
        sent = pl.read_parquet(part)
        translated(sent, sources, own, kind, texts).write_parquet(folder / part.name)


def translated(
    sent: pl.DataFrame,
    sources: Mapping[str, Source],
    own: Own,
    kind: str,
    texts: frozenset[int],
) -> pl.DataFrame:
    """Rows as sent under the contract's names and in its own words.

    ``texts`` are the columns of the file that hold text; the others are days and numbers already.
    """
    cells = {column: cell(column, source, own, texts) for column, source in sources.items()}
    for column, source in sources.items():
        if column in DAYS and own.files.dates and source.places and texts.issuperset(source.places):
            written = sent.select(cells[column].alias(column))[column]
            cells[column] = pl.lit(days(written, own.files.dates))
    if kind == "labs":
        cells["laboratory"] = pl.lit(own.laboratory)
    return sent.select("record", "line", **cells)


def reread(rows: Sequence[Mapping[str, str]], own: Own, kind: str) -> list[dict[str, str]]:
    """Rows as they were sent, kept by the file's own names, under what the settings say today.

    All of one file, so that they have the same names. FileRefused where the settings now name a
    column that was not kept.
    """
    names = list(rows[0])
    sent = pl.DataFrame(
        [[row[name] for name in names] for row in rows],
        {f"c{place}": pl.String for place in range(len(names))},
        orient="row",
    ).with_row_index("record")
    sources = sources_of(names, own, kind)
    places = frozenset(range(len(names)))
    found = translated(sent.with_columns(line=None), sources, own, kind, places)
    return found.drop("record", "line").to_dicts()


def cell(column: str, source: Source, own: Own, texts: frozenset[int]) -> pl.Expr:
    """One column of the contract, from the file's own."""
    if not source.places:
        return pl.lit(source.constant)
    parts = [pl.col(f"c{place}").fill_null("") for place in source.places]
    is_text = texts.issuperset(source.places)
    files = own.files
    if column in files.ids:
        parts = [identifier(part, files, column) for part in parts]
    part = parts[0] if len(parts) == 1 else joined(column, parts)
    if column in NUMBERS and is_text and (files.decimal, files.thousands) != (".", ""):
        return number(part, files.decimal, files.thousands)
    if column in files.words:
        spellings = {fold(own_word): word for own_word, word in files.words[column].items()}
        folded = part.str.strip_chars().str.to_lowercase()
        return folded.replace_strict(
            list(spellings), list(spellings.values()), default=part, return_dtype=pl.String
        )
    return part


def joined(column: str, parts: Sequence[pl.Expr]) -> pl.Expr:
    """Several columns of the file as one; a key of which a part is missing is none."""
    bare = [part.str.strip_chars() for part in parts]
    if column == "value":
        return compared(pl.concat_str(bare[:-1]), bare[-1])
    whole = pl.concat_str(bare, separator=JOINED_BY[column]).str.strip_chars()
    if not column.endswith("_id"):
        return whole
    is_whole = pl.all_horizontal(part != "" for part in bare)
    return pl.when(is_whole).then(whole).otherwise(pl.lit(""))


def compared(sign: pl.Expr, number: pl.Expr) -> pl.Expr:
    """A number behind its comparator; what stands there and is none makes it no number."""
    return (
        pl.when(sign.is_in(["", "="]))
        .then(number)
        .when(sign.str.contains("^[<>]=?$"))
        .then(sign + number)
        .otherwise(pl.format("{} ? {}", sign, number))
    )


def identifier(text: pl.Expr, files: OwnFiles, column: str) -> pl.Expr:
    """An identifier without its prefix, digits filled up with noughts."""
    rule = files.ids[column]
    bare = text.str.strip_chars().str.strip_prefix(rule.strip_prefix)
    if rule.pad is None:
        return bare
    is_digits = bare.str.contains("^[0-9]+$")
    return pl.when(is_digits).then(bare.str.pad_start(rule.pad, "0")).otherwise(bare)


def days(cells: pl.Series, formats: Sequence[str]) -> pl.Series:
    """Days or moments as ISO 8601: of the one format each fits, else what is no day.

    Two formats that give different days for a cell make it ambiguous.
    """
    # Most days of a file stand in many of its rows.
    bare = cells.fill_null("").str.strip_chars()
    different = bare.unique()
    read = [iso_moments(different, date_format) for date_format in formats]
    found = pl.coalesce(read)
    differs = pl.any_horizontal(
        pl.lit(False), *[(other != found).fill_null(False) for other in read]
    )
    is_no_day = (pl.lit(different) != "") & (found.is_null() | differs)
    moment = pl.when(is_no_day).then(pl.lit(NO_DAY)).otherwise(found).fill_null("")
    table = pl.select(different.alias("cell"), moment.alias("moment"))
    return bare.to_frame("cell").join(table, on="cell", how="left", maintain_order="left")["moment"]


def iso_moments(bare: pl.Series, date_format: str) -> pl.Series:
    """Cells of one format as ISO 8601; null where one does not fit or the day does not exist."""
    if date_format == ISO:
        fits = bare.str.contains(ISO_PATTERN)
        return bare.str.replace("^(.{10}) ", "${1}T").set(~fits, None)
    pattern = date_pattern(date_format)
    assert pattern is not None
    parts = bare.str.extract_groups(pattern).struct.unnest()
    year = pl.col("Y") if "Y" in parts.columns else pl.concat_str(pl.lit("20"), "y")
    if "m" in parts.columns:
        month = pl.col("m")
    else:
        letter, length = ("b", 3) if "b" in parts.columns else ("B", None)
        months = {name[:length]: f"{number:02}" for number, name in enumerate(MONTHS, 1)}
        month = pl.col(letter).str.to_lowercase().replace_strict(
            list(months), list(months.values()), default=None, return_dtype=pl.String
        )  # fmt: skip
    day = pl.concat_str(
        year, month.str.pad_start(2, "0"), pl.col("d").str.pad_start(2, "0"), separator="-"
    )
    exists = day.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    if "M" not in parts.columns:
        return parts.select(pl.when(exists).then(day)).to_series()
    hour = pl.col("H") if "H" in parts.columns else hour_of_day()
    pieces = [day, pl.lit("T"), hour.str.pad_start(2, "0"), pl.lit(":"), pl.col("M")]
    for letter, mark in (("S", ":"), ("f", "."), ("z", "")):
        if letter in parts.columns:
            pieces += [pl.lit(mark), pl.col(letter)]
    return parts.select(pl.when(exists).then(pl.concat_str(pieces))).to_series()


def hour_of_day() -> pl.Expr:
    """The hour from 0 to 23 of a twelve-hour clock; null where it is none of its hours."""
    of_twelve = pl.col("I").cast(pl.Int32)
    afternoon = (pl.col("p").str.to_lowercase() == "pm").cast(pl.Int32)
    is_hour = (of_twelve >= 1) & (of_twelve <= 12)
    return pl.when(is_hour).then(of_twelve % 12 + 12 * afternoon).cast(pl.String)


def number(text: pl.Expr, decimal: str, thousands: str) -> pl.Expr:
    """A number with a decimal point and no other sign; one that is written otherwise has a comma.

    Groups of thousands are whole, and the first does not begin with a nought: 0.410 is a mistake.
    """
    point, group = (escaped(sign) for sign in (decimal, thousands))
    grouped = f"|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+" if thousands else ""
    pattern = f"^([<>]=? ?)?[+-]?([0-9]+{grouped})({point}[0-9]+)?([eE][+-]?[0-9]+)?$"
    bare = text.str.strip_chars()
    plain = bare.str.replace_all(thousands, "", literal=True) if thousands else bare
    return (
        pl.when(bare.str.contains(pattern))
        .then(plain.str.replace(decimal, ".", literal=True))
        .when(bare.str.contains(NUMBER_LIKE))
        .then(bare.str.replace_all(".", ",", literal=True))
        .otherwise(text)
    )


def escaped(sign: str) -> str:
    """A sign as a pattern."""
    return f"\\{sign}" if sign == "." else sign


def own_checks(own: Own, kind: str) -> dict[str, tuple[str | None, str, str]]:
    """The checks with reasons that speak of the sender's own columns and of what is set for it."""
    files = own.files
    checks = CHECKS | SHAPES
    reasons = {fault: reason for fault, (_, _, reason) in checks.items()}
    if files.dates:
        for fault in DAY_FAULTS:
            reasons[fault] = (
                f"{checks[fault][0]} {NO_OWN_DATE} "
                f"({', '.join(files.dates)}), fits two of them as different days, or is no day"
            )
    if (files.decimal, files.thousands) != (".", ""):
        for fault in NUMBER_FAULTS:
            groups = f"thousands '{files.thousands}'" if files.thousands else "no thousands sign"
            reasons[fault] = f"{NO_OWN_NUMBER}: decimal sign '{files.decimal}', " + groups
    if files.encoding != "utf-8":
        reasons["encoding"] = f"the row holds what is no text in {files.encoding}; export it again"
    for fault, (column, check_name, _) in checks.items():
        if column in files.words and check_name == "known_word":
            reasons[fault] += NOR_OWN
    named = {column: wanted_names(files, column) for column in extract_columns(kind)}
    told: dict[str, tuple[str | None, str, str]] = {}
    for fault, (column, check_name, _) in checks.items():
        own_names = named.get(column or "", ())
        where = f'{HERE}{column} is "{" and ".join(own_names)}"' if own_names else ""
        told[fault] = (column, check_name, reasons[fault] + where)
    return told
