"""Where the lines of a block and their pieces end, whatever the bytes are."""

import contextlib
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from b12screen.ingest.fhir_lines import Cut, Own, cut, holds, n_lines, split_lines

TEXTS = st.text(st.sampled_from('a",\n\r{é€😀\x00\x01\ufeff'), min_size=1, max_size=60)


def lines_of(block: Cut) -> list[str]:
    at = pl.Series(range(block.n_line), dtype=pl.UInt32)
    return block.stretches(at, [])[0].to_list()


@given(TEXTS)
def test_lines_and_pieces_are_those_of_the_text(text: str) -> None:
    block = text.encode()
    found = cut(block)
    assert found is not None
    sent = [line.removesuffix(b"\r").decode() for line in split_lines(block)]
    assert lines_of(found) == [f"{line}\n" for line in sent]
    assert [found.raw(at).decode() for at in range(found.n_line)] == sent
    assert found.n_piece.to_list() == [len(line.split(",")) for line in sent]
    assert found.piece(found.first, 0).to_list() == [line.split(",")[0] for line in sent]
    assert found.n_line == n_lines(block)


@given(TEXTS, st.integers(0, 5), st.integers(0, 5))
def test_only_what_begins_and_ends_with_a_letter_is_taken_out(
    text: str, n_before: int, n_after: int
) -> None:
    found = cut(text.encode())
    assert found is not None
    start, end = found.places(found.first, Own("own", 0, 0, n_before, n_after, ""))
    is_text = found.are_texts(start, end)
    pieces = [piece.encode() for piece in found.piece(found.first, 0)]
    expected = {}
    for at, piece in enumerate(pieces):
        if n_before + n_after <= len(piece):
            three = (
                piece[:n_before],
                piece[n_before : len(piece) - n_after],
                piece[len(piece) - n_after :],
            )
            with contextlib.suppress(UnicodeDecodeError):
                expected[at] = [part.decode() for part in three][1]
    at = is_text.arg_true()
    assert at.to_list() == list(expected)
    if expected:
        _, own, _ = found.stretches(at, [(start.filter(is_text), end.filter(is_text))])
        assert own.to_list() == list(expected.values())


@pytest.mark.parametrize(("start", "end"), [(3, 2), (-2, 1), (0, 900)])
def test_places_that_lie_elsewhere_are_a_bug_and_not_a_text(start: int, end: int) -> None:
    found = cut(b"abc,d\n")
    assert found is not None
    place = (pl.Series([start], dtype=pl.Int32), pl.Series([end], dtype=pl.Int32))
    with pytest.raises(RuntimeError, match="one behind another"):
        found.stretches(pl.Series([0], dtype=pl.UInt32), [place])


@pytest.mark.parametrize("block", [b"a\xff\n", b"\xed\xa0\x80\n", b"\xc0\x80", b"a\n\xe2\x82\n"])
def test_what_is_no_utf_8_is_not_cut(block: bytes) -> None:
    assert cut(block) is None


def test_a_block_of_more_than_a_stride_is_cut_like_a_short_one() -> None:
    line = "x" * 1000 + ",€\n"
    block = (line * 2500).encode()
    found = cut(block)
    assert found is not None
    assert lines_of(found) == [line] * 2500
    assert found.piece(found.first, 1).to_list() == ["€"] * 2500


@pytest.mark.parametrize("text", ["", "é"])
def test_a_pattern_is_found_in_text_of_any_letters(text: str) -> None:
    pattern = re.compile(rb'"a"\s*:\s*1')
    assert holds(f'{text}{{"a" : 1}}'.encode(), pattern)
    assert not holds(f'{text}{{"a" : 2}}'.encode(), pattern)
