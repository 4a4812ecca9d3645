"""Every control in HAZARDS.md names the test that holds it, and that test exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "HAZARDS.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", PAGE)))
ROWS = re.findall(r"(?m)^\| (H\d+) \|(.+)\|$", PAGE)


def test_the_page_has_hazards_and_their_ids_are_different() -> None:
    ids = [hazard for hazard, _ in ROWS]
    assert len(ids) > 30
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_the_page_names_exists(named: str) -> None:
    path, _, name = named.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("hazard", "row"), ROWS, ids=[hazard for hazard, _ in ROWS])
def test_every_hazard_names_a_test_and_what_is_left(hazard: str, row: str) -> None:
    assert "`tests/" in row, hazard
    assert row.count("|") in (4, 5), hazard
    assert all(cell.strip() for cell in row.split("|")), hazard
