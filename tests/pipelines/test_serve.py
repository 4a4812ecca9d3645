"""The schedule: when the night runs, what it is given, and that Prefect may not call out."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from b12screen.errors import CannotWrite
from b12screen.publish import Site, held
from b12screen.settings import SETTINGS_FILE
from pipelines import environment


def test_prefect_lives_in_the_private_store_and_calls_nobody(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_HOME", "PREFECT_API_URL", *environment.SETTINGS, *environment.KEYS):
        monkeypatch.setenv(name, "restored afterwards")
        monkeypatch.delenv(name)
    environment.prepare(site)
    home = site.resolve() / "store" / "prefect"
    assert os.environ["PREFECT_HOME"] == str(home)
    assert home.stat().st_mode & 0o777 == 0o700
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    asked, answered = (os.environ[name] for name in environment.KEYS)
    assert asked == answered
    assert len(asked) > 40
    assert asked.encode() not in b"".join(
        path.read_bytes() for path in site.rglob("*") if path.is_file()
    )


def test_what_the_operator_set_is_left_as_it_is(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PREFECT_HOME", *environment.SETTINGS):
        monkeypatch.setenv(name, "chosen")
    for name in environment.KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "the operator's own")
    environment.prepare(site)
    assert not os.environ.keys() & set(environment.KEYS)
    assert {os.environ[name] for name in environment.SETTINGS} == {"chosen"}
    assert os.environ["PREFECT_HOME"] == "chosen"
    assert not (site / "store" / "prefect").exists()


def test_a_store_that_is_missing_is_told_before_prefect_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    with pytest.raises(CannotWrite, match="Nothing was published"):
        environment.prepare(tmp_path)


def test_the_night_is_served_at_its_time_in_the_timezone_of_the_site(
    flows: ModuleType, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("prefect.serve", lambda made, **options: served.append((made, options)))
    monkeypatch.setenv("PREFECT_API_URL", "the operator's own")
    from pipelines.serve import serve_nightly

    serve_nightly(site, (2, 30), "Europe/London")
    ((deployment, options),) = served
    (planned,) = deployment.schedules
    assert planned.schedule.cron == "30 2 * * *"
    assert planned.schedule.timezone == "Europe/London"
    assert deployment.parameters == {"site": str(site.resolve())}
    # A slot of Prefect's outlives a server that ends in a night, and then no night is run again.
    assert deployment.concurrency_limit is None
    assert options["limit"] == 2
    assert deployment.entrypoint == "pipelines.nightly.nightly"
    assert options["pause_on_shutdown"] is False
    assert os.environ["PREFECT_API_URL"] == "the operator's own"


@pytest.mark.long
def test_a_night_that_was_killed_is_told_once_and_cleared_up(
    flows: ModuleType, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect kills the night that runs when it is stopped; a power cut kills both."""
    command = [sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"]
    told = tmp_path / "told"
    (site / SETTINGS_FILE).write_text(f"[notify]\ncommand = {json.dumps([*command, str(told)])}\n")
    building = site / "published" / ".nights" / ".building-2026-11-01.1"

    def kill_a_night(*_: object, **__: object) -> None:
        building.mkdir(parents=True)

    monkeypatch.setenv("PREFECT_API_URL", "the operator's own")
    from pipelines import serve

    monkeypatch.setattr("prefect.serve", lambda *_, **__: None)
    serve.serve_nightly(site, (2, 30), "UTC")
    assert not told.exists()
    monkeypatch.setattr("prefect.serve", kill_a_night)
    serve.serve_nightly(site, (2, 30), "UTC")
    assert not building.exists()
    assert told.read_text().count("exit code 137\na night was killed while it ran") == 1
    kill_a_night()
    monkeypatch.setattr("prefect.serve", lambda *_, **__: None)
    serve.serve_nightly(site, (2, 30), "UTC")
    assert not building.exists()
    assert told.read_text().count("exit code 137\na night was killed while it ran") == 2
    # What a comparison left is cleared up, and no night.
    (site / "replays" / ".building").mkdir(parents=True)
    serve.serve_nightly(site, (2, 30), "UTC")
    assert not (site / "replays" / ".building").exists()
    assert told.read_text().count("exit code") == 2
    # What a night is still building is no killed one's.
    kill_a_night()
    monkeypatch.setattr(serve, "LOCK_SECONDS", 1)
    with held(Site(site)):
        serve.serve_nightly(site, (2, 30), "UTC")
    assert building.exists()
    assert told.read_text().count("exit code") == 2


def test_the_library_that_plans_the_runs_is_one_that_can() -> None:
    """SQLAlchemy 2.1 breaks the insert with which Prefect 3.8 plans runs; flows would still run."""
    major, minor, *_ = version("sqlalchemy").split(".")
    assert (int(major), int(minor)) < (2, 1)
