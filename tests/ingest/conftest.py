"""One empty site for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from b12screen.maps import Maps, load_maps

from .inbox import Box


@pytest.fixture(scope="session")
def maps() -> Maps:
    return load_maps()


@pytest.fixture
def box(tmp_path: Path, maps: Maps) -> Iterator[Box]:
    box = Box(tmp_path, maps)
    yield box
    box.warehouse.close()
