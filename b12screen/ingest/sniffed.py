"""What the bytes of an unknown file look like: encoding, separator, signs of numbers, days.

Everything found is for a person to confirm. Where two readings fit, both are told; no cell is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from b12screen.date_formats import ISO, date_pattern
from b12screen.ingest.delimited import BOM, CHUNK, names
from b12screen.ingest.own_csv import UTF16_MARKS, iso_moments

# In the order of preference where they fit equally well.
SEPARATORS = (";", ",", "\t", "|", "^", "~", "¦")
LINES_LOOKED_AT = 500
LONGEST_LINE = 100_000
SHARE_ALIKE = 0.9
# Bytes that windows-1252 leaves open; between them and 0xA0 it has letters and signs, latin-1 none.
OPEN_BYTES = frozenset(b"\x81\x8d\x8f\x90\x9d")
# Where more than this of every second byte is nought, the text is of two bytes a letter.
SHARE_OF_NOUGHTS = 0.4

DAY_FORMATS = (
    "%d.%m.%Y", "%m.%d.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d",
    "%Y%m%d", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%d.%m.%y", "%m.%d.%y", "%d/%m/%y",
    "%m/%d/%y", "%d-%m-%y", "%d-%b-%y",
)  # fmt: skip
TIME_FORMATS = (
    "", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", "T%H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p",
    "%H%M", "%H%M%S",
)  # fmt: skip
POINT_NUMBER = r"^[<>]?=? ?[+-]?[0-9]+\.[0-9]+$"
COMMA_NUMBER = r"^[<>]?=? ?[+-]?[0-9]+,[0-9]+$"
# Groups of three after a first one without a nought in front.
POINT_GROUPS = r"^[<>]?=? ?[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?$"
COMMA_GROUPS = r"^[<>]?=? ?[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?$"


@dataclass(frozen=True)
class Found:
    """A setting that fits, or the ones of which a person has to choose, with the reason."""

    choices: tuple[str, ...]
    why: str = ""

    @property
    def is_certain(self) -> bool:
        return len(self.choices) == 1


def encoding_of(path: Path) -> Found:
    """The encoding of a file, from its mark and all of its bytes."""
    n_bytes = n_even = n_odd = 0
    high: set[int] = set()
    is_utf8 = True
    held_back = b""
    with path.open("rb") as file:
        mark = file.read(3)
        file.seek(0)
        while chunk := file.read(CHUNK):
            n_even += chunk[::2].count(0)
            n_odd += chunk[1::2].count(0)
            n_bytes += len(chunk)
            if not chunk.isascii():
                high |= set(chunk) - set(range(128))
            if is_utf8:
                is_utf8, held_back = continues_utf8(held_back + chunk)
    if mark[:2] in UTF16_MARKS:
        return Found(("utf-16",), "it is marked so")
    if n_odd > SHARE_OF_NOUGHTS * n_bytes / 2 and n_odd > n_even:
        return Found(("utf-16-le",), "every second byte is nought; it has no mark")
    if n_even > SHARE_OF_NOUGHTS * n_bytes / 2:
        return Found(("utf-16-be",), "every second byte is nought; it has no mark")
    if is_utf8 and not held_back:
        return Found(("utf-8",), "it is marked so" if mark == BOM else "")
    if high & OPEN_BYTES:
        return Found(("cp850",), "it holds bytes that windows-1252 does not have")
    if any(0x80 <= byte < 0xA0 for byte in high):
        return Found(("windows-1252",), "it holds signs that latin-1 does not have")
    return Found(("latin-1",), "windows-1252 would read it alike")


def continues_utf8(chunk: bytes) -> tuple[bool, bytes]:
    """Whether a piece is UTF-8, but for a character at its end that the next piece continues."""
    try:
        chunk.decode("utf-8")
    except UnicodeDecodeError as error:
        rest = chunk[error.start :]
        is_begun = error.reason == "unexpected end of data" and len(rest) < 4
        return is_begun, rest if is_begun else b""
    return True, b""


def separator_of(path: Path, n_skipped: int = 0) -> str | None:
    """What stands between the cells of a file in UTF-8: it makes most lines equally many cells.

    ``n_skipped`` lines at its beginning are no part of the table.
    """
    lines: list[str] = []
    with path.open("rb") as file:
        for _ in range(n_skipped):
            file.readline(LONGEST_LINE)
        while len(lines) < LINES_LOOKED_AT and (line := file.readline(LONGEST_LINE)):
            text = line.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")
            if text.strip():
                lines.append(text.replace("\0", "").replace("\r", ""))
    best, most = None, 1
    for separator in SEPARATORS:
        widths = [len(names(line, separator)) for line in lines]
        if not widths or widths[0] <= most:
            continue
        if widths.count(widths[0]) >= SHARE_ALIKE * len(widths):
            best, most = separator, widths[0]
    return best


def is_header(columns: Sequence[str]) -> bool:
    """Whether a first line names columns; a cell that could be somebody's makes it a row."""
    return not any(
        len(name) > 60
        or re.search(r"[0-9]{4}|[0-9][./:-][0-9]|@", name)
        or (name and not re.search(r"[^\W\d_]", name))
        for name in columns
    )


def decimals_of(cells: pl.Series) -> tuple[Found, Found]:
    """The decimal and the thousands sign of a column of numbers: cells without blanks around."""
    n_comma, n_point_groups, n_comma_groups = (
        int(cells.str.contains(pattern).sum())
        for pattern in (COMMA_NUMBER, POINT_GROUPS, COMMA_GROUPS)
    )
    n_both = int(cells.str.contains(r"\..*,|,.*\.").sum())
    n_comma_only = int((cells.str.contains(COMMA_NUMBER) & ~cells.str.contains(COMMA_GROUPS)).sum())
    n_point_only = int((cells.str.contains(POINT_NUMBER) & ~cells.str.contains(POINT_GROUPS)).sum())
    none = Found(("",))
    if n_comma_only and n_point_only:
        why = (
            f"{n_comma_only} numbers have a comma and {n_point_only} a point before their decimals"
        )
        return Found((), why), none
    if n_comma_only or (n_both and n_point_groups):
        groups = Found((".",), f"{n_point_groups} numbers have groups of three behind a point")
        return Found((",",), f"{n_comma} numbers have a comma"), groups if n_point_groups else none
    if n_point_only or (n_both and n_comma_groups):
        groups = Found((",",), f"{n_comma_groups} numbers have groups of three behind a comma")
        return Found((".",)), groups if n_comma_groups else none
    if n_comma_groups:
        why = (
            f"all {n_comma_groups} numbers with a comma have three digits behind it: 1,234 may be "
        )
        return Found((",", "."), why + "1.234 or 1234"), none
    if n_point_groups:
        why = (
            f"all {n_point_groups} numbers with a point have three digits behind it: 1.234 may be "
        )
        return Found((".", ","), why + "1.234 or 1234"), none
    return Found((".",)), none


@dataclass(frozen=True)
class Days:
    """How the cells of one column are days: how many, and which formats read how many of them."""

    n_cell: int
    fits: dict[str, int]

    @property
    def n_read(self) -> int:
        """How many cells the best format reads."""
        return max(self.fits.values(), default=0)


def days_of(cells: pl.Series) -> Days:
    """Which formats read a column's cells as days that exist; cells without blanks around."""
    counts = cells.value_counts(sort=False).sort(cells.name)
    different, n = counts[cells.name], counts["count"]
    shapes = different.str.replace_all("[0-9]", "0").unique().sort().head(100)
    fits: dict[str, int] = {}
    for written in (ISO, *(day + time for day in DAY_FORMATS for time in TIME_FORMATS)):
        pattern = "^0000-00-00([T ].*)?$" if written == ISO else date_pattern(written)
        if pattern is None or not shapes.str.contains(pattern).any():
            continue
        exists = iso_moments(different, written).is_not_null()
        if written == ISO:
            exists &= different.str.head(10).str.to_date("%Y-%m-%d", strict=False).is_not_null()
        if n_read := int(n.filter(exists).sum()):
            fits[written] = n_read
    return Days(int(n.sum()), fits)
