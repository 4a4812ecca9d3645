"""The flow: the order of its stages, and nothing published when one of them fails."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
    assert options["cache_policy"] is flows.NO_CACHE
    assert flows.nightly.persist_result is False
    assert flows.nightly.retries == 0


@pytest.mark.parametrize("failing", ["take", "audit", "publish"])
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
