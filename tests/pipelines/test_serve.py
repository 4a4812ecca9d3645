"""The schedule: when the night runs, what it is given, and that Prefect may not call out."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import IO, Any

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


@pytest.mark.long
def test_serving_ends_and_is_told_where_the_server_that_plans_the_nights_ends(
    site: Path, tmp_path: Path
) -> None:
    command = ["sh", "-c", f"cat >> {tmp_path}/told"]
    (site / SETTINGS_FILE).write_text(f"[notify]\ncommand = {json.dumps(command)}\n")
    with (
        (tmp_path / "said").open("w+") as said,
        clean("b12screen", "serve", str(site), "--at", "03:33", out=said) as serving,
    ):
        while "are being served" not in (tmp_path / "said").read_text():
            assert serving.poll() is None
            time.sleep(0.5)
        (server,) = children(serving.pid)
        os.kill(server, signal.SIGKILL)
        assert serving.wait(60) == 15
    assert "the Prefect server that plans the nights has ended" in (tmp_path / "said").read_text()
    assert "exit code 15\nthe Prefect server" in (tmp_path / "told").read_text()


@pytest.mark.long
def test_the_server_of_a_flow_goes_with_it(site: Path, tmp_path: Path) -> None:
    with (
        (tmp_path / "said").open("w+") as said,
        clean("pipelines.nightly", str(site), out=said) as running,
    ):
        while not (servers := children(running.pid)):
            assert running.poll() is None
            time.sleep(0.1)
        running.kill()
    for _ in range(100):
        if not Path(f"/proc/{servers[0]}/cmdline").exists():
            break
        time.sleep(0.1)
    assert not Path(f"/proc/{servers[0]}/cmdline").exists()


def clean(module: str, *words: str, out: IO[str]) -> "subprocess.Popen[bytes]":
    """A process that knows nothing of the Prefect of this session."""
    environment = {name: word for name, word in os.environ.items() if "PREFECT" not in name}
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        stdout=out,
        stderr=out,
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in listed.split()]


def test_the_library_that_plans_the_runs_is_one_that_can() -> None:
    """SQLAlchemy 2.1 breaks the insert with which Prefect 3.8 plans runs; flows would still run."""
    major, minor, *_ = version("sqlalchemy").split(".")
    assert (int(major), int(minor)) < (2, 1)
