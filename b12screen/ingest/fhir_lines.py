"""The lines of a block of bytes and what stands between their commas, without copying any of it.

Refuses what is not UTF-8. Whatever a comma stands in, it ends a piece: this knows nothing of JSON.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl
import pyarrow as pa

from b12screen.ingest.delimited import CHUNK

COMMA, LINE_END = b",\n"
# Bytes from here on up to the end continue a letter.
CONTINUES, BEGINS = 0x80, 0xC0
# So many bytes are looked through at once: what is noted of them stays in the processor's memory.
STRIDE = 1024 * 1024
# Of two places in one number the second.
HALF = 1 << 32
# Places are numbers of 31 bits.
MOST_BYTES_CUT = (1 << 31) - 2


@dataclass(frozen=True)
class Cut:
    """A block and where the pieces of its lines end: behind a comma, or with their line.

    ``ends`` are the places of these commas and line ends, with -1 for what comes before the first
    piece. The pieces of a line are ``n_piece`` from the ``first`` on.
    """

    block: bytes
    values: pl.Series
    is_ascii: bool
    ends: pl.Series
    first: pl.Series
    n_piece: pl.Series

    @property
    def n_line(self) -> int:
        """How many lines the block has."""
        return self.first.len()

    def raw(self, at: int) -> bytes:
        """A line without its end."""
        first = self.first[at]
        return self.block[self.ends[first] + 1 : self.ends[first + self.n_piece[at]]]

    def piece(self, first: pl.Series, at: int) -> pl.Series:
        """One of the pieces of lines with these first ones, without what ends it."""
        return self._stretches([self.ends[first + at] + 1, self.ends[first + (at + 1)]])[0]

    def places(self, first: pl.Series, own: "Own") -> tuple[pl.Series, pl.Series]:
        """Where in the block something begins and ends, of lines with these first pieces."""
        start, end = self.ends[first + own.first], self.ends[first + (own.last + 1)]
        return start + (own.n_before + 1), end - own.n_after

    def are_texts(self, start: pl.Series, end: pl.Series) -> pl.Series:
        """Whether places are in their order, and none is within a letter."""
        is_right = start <= end
        if not self.is_ascii:
            for place in (start, end):
                value = self.values[place.clip(0, self.values.len() - 1)]
                is_right &= (value < CONTINUES) | (value >= BEGINS)
        return is_right

    def stretches(
        self, at: pl.Series, places: list[tuple[pl.Series, pl.Series]]
    ) -> list[pl.Series]:
        """Lines cut at places: what is before the first ones, between them, and so on to the end.

        The lines, and the places in each, have to be in their order, and ``are_texts``.
        """
        first = self.first[at]
        start, end = self.ends[first], self.ends[first + self.n_piece[at]]
        return self._stretches([start + 1, *chain(*places), end + 1])

    def _stretches(self, bounds: list[pl.Series]) -> list[pl.Series]:
        """A text of each line between each two of its bounds, which are an even number."""
        pairs = [
            (end.cast(pl.Int64) * HALF + start.cast(pl.Int64)).alias(str(nth))
            for nth, (start, end) in enumerate(zip(bounds[::2], bounds[1::2], strict=True))
        ]
        # What stands between two lines is one of the texts, too.
        by_line = pl.DataFrame(pairs).select_seq(pl.concat_arr(pl.all())).to_series().rechunk()
        (_, offsets) = by_line.to_arrow().flatten().buffers()
        n_bound = len(bounds) * by_line.len()
        n_text = max(0, n_bound - 1)
        every_bound = pl.Series(pa.Array.from_buffers(pa.int32(), n_bound, [None, offsets]))
        if n_bound and not (
            every_bound[0] >= 0 and every_bound[-1] <= len(self.block) and every_bound.is_sorted()
        ):
            # Nothing below looks where a text ends: a mistake must not read what is elsewhere.
            raise RuntimeError("the texts of a block do not lie one behind another")
        found = pl.Series(
            pa.StringArray.from_buffers(n_text, offsets, pa.py_buffer(self.block)), dtype=pl.String
        )
        every = [
            pl.nth(0).gather_every(len(bounds), nth).alias(str(nth))
            for nth in range(len(bounds) - 1)
        ]
        return found.to_frame().select_seq(every).get_columns()


@dataclass(frozen=True)
class Own:
    """What a line has for itself: some pieces without so many bytes at the beginning and end.

    What ends the last piece is no part of it. ``pattern`` is what may stand there.
    """

    name: str
    first: int
    last: int
    n_before: int
    n_after: int
    pattern: str


def cut(block: bytes) -> Cut | None:
    """A block at the ends of its lines, LF or CRLF, and at their commas; None where it is no UTF-8.

    It holds something, and ``MOST_BYTES_CUT`` at most. Every line ends with LF, as if it
    had been sent so.
    """
    is_ascii = block.isascii()
    if not is_ascii and not is_text(block):
        return None
    if not block.endswith(b"\n"):
        block += b"\n"
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    values = pl.Series(
        pa.Array.from_buffers(pa.uint8(), len(block), [None, pa.py_buffer(block)]), dtype=pl.UInt8
    )
    count = pl.int_range(min(STRIDE, len(block)), dtype=pl.Int32, eager=True)
    ends, are_last = [pl.Series([-1], dtype=pl.Int32)], []
    for start in range(0, len(block), STRIDE):
        part = values.slice(start, STRIDE)
        is_line_end = part == LINE_END
        is_end = is_line_end | (part == COMMA)
        ends.append(count.head(part.len()).filter(is_end) + start)
        are_last.append(is_line_end.filter(is_end))
    last = pl.concat(are_last, rechunk=True).arg_true()
    first = pl.concat([pl.Series([0], dtype=last.dtype), last.head(-1) + 1], rechunk=True)
    return Cut(block, values, is_ascii, pl.concat(ends, rechunk=True), first, last - first + 1)


def blocks(path: Path, n_bytes: int, most_bytes: int) -> Iterator[bytes]:
    """Whole lines of some bytes; of one of ``most_bytes`` or more perhaps only the beginning."""
    with path.open("rb") as file:
        while True:
            start = file.tell()
            file.seek(start + n_bytes)
            rest = file.readline(most_bytes)
            file.seek(start)
            block = file.read(n_bytes + len(rest))
            if not block:
                return
            yield block
            # Its place in memory may serve the next one, where nobody else has kept it.
            del block
            if len(rest) == most_bytes and not rest.endswith(b"\n"):
                # What is behind the limit is passed over.
                while (more := file.readline(CHUNK)) and not more.endswith(b"\n"):
                    pass


def is_text(line: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def split_lines(block: bytes) -> list[bytes]:
    """The lines of a block without their ends; the last one may have none."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def n_lines(block: bytes) -> int:
    """How many lines a block has; the last one may have no end."""
    return block.count(b"\n") + (not block.endswith(b"\n"))


def holds(block: bytes, pattern: re.Pattern[bytes]) -> bool:
    """Whether a pattern fits anywhere in a block."""
    if not block.isascii():
        return pattern.search(block) is not None
    # Three times as fast.
    (_, bounds) = pa.array([0, len(block)], pa.int64()).buffers()
    whole = pa.LargeStringArray.from_buffers(1, bounds, pa.py_buffer(block))
    return bool(pl.Series(whole, dtype=pl.String).str.contains(pattern.pattern.decode()).item())
