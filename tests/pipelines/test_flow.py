"""The flow: the order of its stages, and nothing published when one of them fails."""

import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from b12screen.publish import Site, held
from b12screen.settings import SETTINGS_FILE

STAGES = ("take", "decide", "write", "audit", "publish")


def recorded(flows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every stage that runs, in order; the stages do their real work."""
    ran: list[str] = []

    def noting(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def stage(*given: Any) -> Any:
            ran.append(name)
            return work(*given)

        return stage

    for name in STAGES:
        monkeypatch.setattr(flows, name, noting(name, getattr(flows, name)))
    return ran


def test_the_flow_runs_every_stage_once_and_in_order(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliver(sound)
    ran = recorded(flows, monkeypatch)
    assert flows.nightly(str(site), "2026-11-01") in (0, 20)
    assert tuple(ran) == STAGES
    assert (site / "published" / "current").resolve().name == "2026-11-01.1"


def test_each_stage_is_one_task_that_keeps_and_repeats_nothing(
    flows: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []

    def noting(**options: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        made.append(options)
        return lambda work: work

    monkeypatch.setattr(flows, "task", noting)
    assert flows.stage("take", lambda: 5) == 5
    (options,) = made
    assert options["persist_result"] is False
    assert options["retries"] == 0
    assert options["retry_delay_seconds"] == []
    assert options["cache_policy"] is flows.NO_CACHE
    assert flows.nightly.persist_result is False
    assert flows.nightly.retries == 0


def test_nobody_else_on_the_machine_may_start_a_night(flows: ModuleType, site: Path) -> None:
    """The server of the scheduler is asked as another account would ask it, and with the key."""
    from prefect.server.api.server import SubprocessASGIServer

    with pytest.raises(flows.StageError):
        flows.nightly(str(site), "2026-11-01")
    (server,) = SubprocessASGIServer._instances.values()
    keys = base64.b64encode(os.environ["PREFECT_API_AUTH_STRING"].encode()).decode()

    def status(headers: dict[str, str]) -> int:
        request = urllib.request.Request(
            f"{server.api_url}/flow_runs/filter",
            data=b"{}",
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code

    assert status({}) == 401
    assert status({"Authorization": "Basic " + base64.b64encode(b"b12screen:").decode()}) == 401
    assert status({"Authorization": f"Basic {keys}"}) == 200


@pytest.mark.parametrize(
    "failing",
    ["audit", *(pytest.param(stage, marks=pytest.mark.long) for stage in ("take", "publish"))],
)
def test_nothing_is_published_when_a_stage_fails(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    failing: str,
    canary: str,
    prefect_knows: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    deliver(sound)
    ran = recorded(flows, monkeypatch)

    def fails(*_: object) -> None:
        try:
            raise KeyError(canary)
        except KeyError as error:
            raise ValueError(f"could not cast {canary}") from error

    monkeypatch.setattr(flows, failing, fails)
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert tuple(ran) == STAGES[: STAGES.index(failing)]
    assert not (site / "published" / "current").exists()
    assert not list((site / "published").glob("2*"))
    assert raised.value.exit_code == 1
    assert "ValueError" in str(raised.value)
    assert canary not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    out, err = capfd.readouterr()
    assert canary not in out + err
    assert prefect_knows(failing) != []
    assert prefect_knows(canary) == []


def pager(site: Path, told: Path) -> None:
    """The site tells by a command that appends its input to a file."""
    command = [sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"]
    (site / SETTINGS_FILE).write_text(f"[notify]\ncommand = {json.dumps([*command, str(told)])}\n")


@pytest.mark.parametrize("wrong", ['timezone = "UTX"\n', '[publish]\ngroup = "no-such-group"\n'])
def test_wrong_settings_are_told_once(
    flows: ModuleType, site: Path, tmp_path: Path, wrong: str
) -> None:
    told = tmp_path / "told"
    pager(site, told)
    settings = site / SETTINGS_FILE
    settings.write_text(wrong + settings.read_text())
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert raised.value.exit_code == 10
    assert told.read_text().count("exit code 10\n") == 1


def test_an_inbox_that_is_late_is_waited_for_and_nothing_else_is_tried_again(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliver(sound)
    (site / "inbox").rename(site / "unmounted")
    ran = recorded(flows, monkeypatch)
    looked: list[bool] = []
    look = flows.look_into

    def late(inbox: Path) -> None:
        looked.append(inbox.exists())
        if len(looked) == 3:
            (site / "unmounted").rename(inbox)
        look(inbox)

    monkeypatch.setattr(flows, "look_into", late)
    monkeypatch.setattr(flows, "INBOX_WAITS_SECONDS", [0, 0, 0])
    assert flows.nightly(str(site), "2026-11-01") in (0, 20)
    assert looked == [False, False, False]
    assert tuple(ran) == STAGES


def test_an_inbox_that_stays_away_ends_the_night_with_its_code_and_a_notice(
    flows: ModuleType, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pager(site, tmp_path / "told")
    (site / "inbox").rmdir()
    monkeypatch.setattr(flows, "INBOX_WAITS_SECONDS", [0, 0])
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert raised.value.exit_code == 12
    assert "cannot be looked into" in str(raised.value)
    told = (tmp_path / "told").read_text()
    assert told.startswith("b12screen, site site, night of 2026-11-01: exit code 12\n")
    assert str(raised.value) in told
    assert told.count("exit code") == 1


def test_the_waits_for_the_inbox_end_before_the_night_is_out_of_time(flows: ModuleType) -> None:
    assert 0 < sum(flows.INBOX_WAITS_SECONDS) < flows.MOST_SECONDS / 10
    assert flows.nightly.timeout_seconds == flows.MOST_SECONDS


@pytest.mark.parametrize(
    "ending", ["takes too long", pytest.param("is interrupted", marks=pytest.mark.long)]
)
def test_a_night_that_is_broken_off_is_told_and_leaves_nothing(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
) -> None:
    deliver(sound)
    pager(site, tmp_path / "told")

    def never(*_: object) -> None:
        if ending == "is interrupted":
            raise KeyboardInterrupt
        time.sleep(60)

    monkeypatch.setattr(flows, "decide", never)
    seconds = 5 if ending == "takes too long" else flows.MOST_SECONDS
    night = flows.nightly.with_options(timeout_seconds=seconds)
    with pytest.raises((TimeoutError, KeyboardInterrupt)):
        night(str(site), "2026-11-01")
    told = (tmp_path / "told").read_text()
    code, how = (1, "took too long") if ending == "takes too long" else (143, "ended from outside")
    assert f"night of 2026-11-01: exit code {code}\n" in told
    assert how in told
    assert told.count("exit code") == 1
    assert not (site / "published" / "current").exists()
    assert list((site / "published" / ".nights").iterdir()) == []
    assert list((site / "store" / "generations").iterdir()) == []


def test_a_night_beside_one_that_is_running_is_refused_and_told(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    tmp_path: Path,
) -> None:
    deliver(sound)
    pager(site, tmp_path / "told")
    with held(Site(site)), pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert raised.value.exit_code == 14
    told = (tmp_path / "told").read_text()
    assert told.startswith("b12screen, site site, night of 2026-11-01: exit code 14\n")
    assert "another run holds this site" in told
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "9999-12-31")
    assert raised.value.exit_code == 2
    assert not (site / "published" / "current").exists()


def test_a_stopped_night_keeps_the_exit_code_and_message_of_the_core(
    flows: ModuleType, site: Path
) -> None:
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert raised.value.exit_code == 12
    assert "inbox" in str(raised.value)


def test_the_artifact_holds_the_summary_and_nobody(
    flows: ModuleType,
    site: Path,
    deliver: Callable[[dict[str, str]], None],
    sound: dict[str, str],
    canary: str,
) -> None:
    from prefect.artifacts import Artifact

    deliver(sound)
    flows.nightly(str(site), "2026-11-02")
    artifact = Artifact.get("b12screen-night")
    assert artifact is not None
    assert "2026-11-02" in str(artifact.data)
    assert canary not in str(artifact.data)
    accounts = Artifact.get("b12screen-accounts")
    assert accounts is not None
    shown = json.loads(str(accounts.data))
    assert [(row["file"], row["verdict"], row["read"]) for row in shown] == [
        ("conditions_1.csv", "taken", 1),
        ("labs_1.csv", "taken", 2),
        ("medications_1.csv", "taken", 1),
        ("patients_1.csv", "taken", 1),
    ]
    assert canary not in str(accounts.data)
