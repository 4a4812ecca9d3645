"""Nobody who reads while a night is published meets an error, or a night that is two."""

from pathlib import Path

import pytest

from .readers import read_while_publishing


@pytest.mark.long
def test_two_readers_meet_no_error_and_no_mixed_night_while_nights_are_published(
    tmp_path: Path,
) -> None:
    """`python -m tests.faults.readers` does the same with fifty nights."""
    found = read_while_publishing(tmp_path, n_publish=5)
    assert (found.n_error, found.n_mixed) == (0, 0), found.kinds
    assert found.n_read > 20
    assert found.n_night > 3
