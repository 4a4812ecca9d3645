"""The command that looks for lines that are read differently among others works, and finds none."""

import pytest

from tests.ingest import alike


def test_some_feeds_with_changed_lines_are_read_the_same_both_ways(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert alike.main(["--files", "12"]) == 0
    assert capsys.readouterr().out.startswith("12 files, 0 read differently, ")
