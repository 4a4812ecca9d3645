"""`b12screen defer`: what is logged, what is refused, and that a cut line costs nothing."""

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from b12screen.cli import main
from b12screen.deferral import LOG, declare, declared
from b12screen.errors import UsageError
from b12screen.publish import Site
from b12screen.rules import load_ruleset
from b12screen.settings import make_site

TODAY = date(2026, 11, 1)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    make_site(tmp_path / "site")
    return tmp_path / "site"


def put_off(
    site: Path, action: str = "start_b12", days: int = 30, reason: str = "none left"
) -> int:
    until = TODAY + timedelta(days=days)
    return declare(Site(site), load_ruleset("praxis-2025"), action, until, reason, TODAY)


def test_the_command_logs_what_the_next_night_takes(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["defer", str(site), "--action", "maintenance_due", "--reason", "stock-out"]
    until = (date.today() + timedelta(days=20)).isoformat()
    assert main([*command, "--until", until]) == 0
    assert "Deferral 1 is logged" in capsys.readouterr().out
    (row,) = declared(site / "store")
    assert (row["action"], row["reason"]) == ("maintenance_due", "stock-out")
    assert row["until"].isoformat() == until
    assert (site / "store" / LOG).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("action", "days", "reason"),
    [
        ("start_b13", 30, "none left"),
        ("result_withdrawn", 30, "none left"),
        ("start_b12", -1, "none left"),
        ("start_b12", 78, "none left"),
        ("start_b12", 30, " "),
        ("start_b12", 30, "x" * 201),
        ("start_b12", 30, "a\x1b[2Jb"),
    ],
)
def test_what_cannot_be_put_off_is_refused_and_nothing_is_logged(
    site: Path, action: str, days: int, reason: str
) -> None:
    with pytest.raises(UsageError, match="nothing was logged"):
        put_off(site, action, days, reason)
    assert declared(site / "store") == []


def test_the_longest_deferral_has_every_row_back_within_the_longest_rest(site: Path) -> None:
    put_off(site, days=77)
    (row,) = declared(site / "store")
    last = row["until"] + timedelta(days=row["spread_days"] - 1)
    assert last - TODAY == timedelta(days=90)


def test_a_line_that_a_full_disk_cut_is_nobodys_and_the_next_one_stands(site: Path) -> None:
    put_off(site)
    log = site / "store" / LOG
    log.write_bytes(log.read_bytes() + json.dumps({"number": 2, "action": "sta"})[:-3].encode())
    assert [row["number"] for row in declared(site / "store")] == [1]
    assert put_off(site, "resume_b12") == 2
    assert [row["action"] for row in declared(site / "store")] == ["start_b12", "resume_b12"]
