"""What was decided is held against its declaration before anybody sees it."""

from pathlib import Path

from b12screen.audit import _contract_breaches
from b12screen.warehouse import Warehouse


def test_a_word_that_is_not_declared_stops_the_night_and_is_named_without_its_row(
    tmp_path: Path,
) -> None:
    with Warehouse.open(tmp_path / "night.duckdb") as warehouse:
        warehouse.create(["decisions.screening"])
        warehouse.insert(
            "decisions.screening", {"patient_id": "P1", "route": "screened", "rule_id": "SC7"}
        )
        assert not _contract_breaches(warehouse)
        warehouse.insert(
            "decisions.screening", {"patient_id": "canary", "route": "elsewhere", "rule_id": "SC7"}
        )
        (breach,) = _contract_breaches(warehouse)
    assert "decisions.screening" in breach
    assert "route" in breach
    assert "canary" not in breach and "elsewhere" not in breach
