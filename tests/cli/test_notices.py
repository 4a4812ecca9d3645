"""Somebody is told of a night that fails, finds something or does not come, and of no person."""

import json
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, tzinfo
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from b12screen import cli, notify
from b12screen.publish import Site, held
from b12screen.settings import SETTINGS_FILE

Capture = pytest.CaptureFixture[str]
CANARY = "canary7734"
SECRET = "token-5541"


class Hook(HTTPServer):
    """A real server on this machine that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.received: list[dict[str, Any]] = []
        self.status = 204
        self.headers: dict[str, str] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{SECRET}"


class Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Hook)
        length = int(self.headers["Content-Length"])
        self.server.received.append(json.loads(self.rfile.read(length)))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the name that the library calls

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def pager(tmp_path: Path) -> list[str]:
    """A command that writes its words and its input into files."""
    script = (
        "import pathlib, sys; folder = pathlib.Path(sys.argv[1]); "
        "(folder / 'words').write_text(' '.join(sys.argv[2:])); "
        "(folder / 'input').write_text(sys.stdin.read()); sys.stdout.write('x' * 1000000)"
    )
    return [sys.executable, "-c", script, str(tmp_path), "{site}", "{night}", "code {exit_code}"]


def settle(site: Path, **notices: object) -> None:
    lines = [f"{name} = {json.dumps(value)}" for name, value in notices.items()]
    (site / SETTINGS_FILE).write_text("[notify]\n" + "\n".join(lines) + "\n")


def test_a_night_with_findings_is_told_to_the_command_and_the_address(
    site: Path,
    extracts: dict[str, str],
    deliver: Callable[[Path, dict[str, str]], None],
    hook: Hook,
    pager: list[str],
    tmp_path: Path,
    capsys: Capture,
) -> None:
    settle(site, command=pager, webhook=hook.address)
    extracts["labs_2.csv"] = f"patient_id\n{CANARY}\n"
    extracts["patients_1.csv"] += f"{CANARY},{CANARY},female,north,false\n"
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 20
    assert (tmp_path / "words").read_text() == "site 2026-11-01 code 20"
    text = (tmp_path / "input").read_text()
    assert text.startswith("b12screen, site site, night of 2026-11-01: exit code 20\n")
    assert "labs_2.csv was rejected" in text
    assert "published as 2026-11-01.1" in text
    (sent,) = hook.received
    assert sent == {
        "text": text.removesuffix("\n"), "site": "site", "night": "2026-11-01", "exit_code": 20,
    }  # fmt: skip
    assert CANARY not in text
    assert "nobody was told" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run"], ["doctor", "--expect", "23:59"]])
def test_settings_that_are_wrong_are_told_as_well(
    site: Path, pager: list[str], tmp_path: Path, command: list[str]
) -> None:
    settle(site, command=pager)
    settings = site / SETTINGS_FILE
    settings.write_text('timezone = "UTX"\n' + settings.read_text())
    assert cli.main([command[0], str(site), *command[1:]]) == 10
    assert "timezone: is not a timezone" in (tmp_path / "input").read_text()
    assert (tmp_path / "words").read_text().endswith("code 10")


def test_a_link_that_names_no_night_is_told_as_well(
    site: Path, pager: list[str], tmp_path: Path, capsys: Capture
) -> None:
    settle(site, command=pager)
    (site / "published" / "current").mkdir(parents=True)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 13
    assert (tmp_path / "words").read_text() == "site 2026-11-01 code 13"


@pytest.mark.long
def test_a_night_without_findings_is_told_to_nobody(
    site: Path,
    extracts: dict[str, str],
    deliver: Callable[[Path, dict[str, str]], None],
    hook: Hook,
) -> None:
    settle(site, webhook=hook.address)
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 0
    assert hook.received == []


def test_a_night_that_fails_is_told_with_its_message(
    site: Path, hook: Hook, capsys: Capture
) -> None:
    settle(site, webhook=hook.address)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 12
    (sent,) = hook.received
    assert sent["exit_code"] == 12
    said = capsys.readouterr().err.splitlines()[-1].removeprefix("b12screen: ")
    assert sent["text"].splitlines()[1:] == [said]


def test_a_bug_is_told_by_its_type_and_not_by_its_text(
    site: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ValueError(f"could not cast {CANARY}")

    settle(site, webhook=hook.address)
    monkeypatch.setattr("b12screen.night.run_night", fails)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 1
    (sent,) = hook.received
    assert sent["exit_code"] == 1
    assert "ValueError" in sent["text"]
    assert CANARY not in sent["text"]


def at(monkeypatch: pytest.MonkeyPatch, *moment: int) -> None:
    monkeypatch.setattr(cli, "now_at", lambda settings: datetime(*moment, tzinfo=UTC))


def test_a_night_that_did_not_come_is_told_once_its_hour_has_passed(
    published: Path, tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    site = tmp_path / "site"
    shutil.copytree(published, site, symlinks=True)
    settle(site, webhook=hook.address)

    at(monkeypatch, 2026, 11, 1, 23, 59)
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 0
    assert "2026-11-01 is published" in capsys.readouterr().out
    at(monkeypatch, 2026, 11, 2, 5, 59)
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 0
    assert "is due by 06:00" in capsys.readouterr().out
    assert hook.received == []
    at(monkeypatch, 2026, 11, 2, 6, 0)
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 20
    (line,) = capsys.readouterr().out.splitlines()
    assert "the night of 2026-11-02 should have been published by 06:00 and is not there" in line
    assert "the newest is 2026-11-01" in line
    (sent,) = hook.received
    assert (sent["exit_code"], sent["night"]) == (20, "2026-11-02")
    assert "should have been published" in sent["text"]


def test_a_site_without_any_night_is_missed_too_and_no_site_is_a_wrong_use(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    at(monkeypatch, 2026, 11, 2, 6, 0)
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 20
    assert "none is published yet" in capsys.readouterr().out
    assert cli.main(["doctor", "--expect", "06:00"]) == 2
    assert cli.main(["doctor", str(site.parent), "--expect", "06:00"]) == 10


def test_a_night_that_is_still_running_at_its_hour_is_told_as_that(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    at(monkeypatch, 2026, 11, 2, 6, 0)
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 20
    assert "No run holds the site" in capsys.readouterr().out
    with held(Site(site)):
        assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 20
    assert "A run holds the site at this moment" in capsys.readouterr().out


def test_the_hour_is_one_of_the_sites_own_day(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (site / SETTINGS_FILE).write_text('timezone = "Pacific/Auckland"\n')

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Clock":
            return cls(2026, 11, 1, 17, 0, tzinfo=UTC).astimezone(tz)

    monkeypatch.setattr(cli, "datetime", Clock)
    # 17:00 in Greenwich is 06:00 of the next day in Auckland.
    assert cli.main(["doctor", str(site), "--expect", "06:30"]) == 0
    assert "2026-11-02 is due by 06:30" in capsys.readouterr().out
    assert cli.main(["doctor", str(site), "--expect", "06:00"]) == 20


def complaints(site: Path, capsys: Capture) -> str:
    """What a failing night says of its notices; its own exit code stays."""
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 12
    err = capsys.readouterr().err
    assert SECRET not in err
    assert CANARY not in err
    told = [line for line in err.splitlines() if "nobody was told" in line]
    assert all("mend the setting" in line for line in told)
    return "\n".join(told)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["/no/such/program"], "cannot be started (FileNotFoundError)"),
        ([sys.executable, "-c", f"import sys; sys.exit('{CANARY}')"], "exit code 1"),
        ([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], "exit code -9"),
        (["has a \0 in it"], "cannot be started (ValueError)"),
    ],
)
def test_a_command_that_fails_is_said_and_changes_nothing(
    site: Path, command: list[str], says: str, capsys: Capture
) -> None:
    settle(site, command=command)
    assert says in complaints(site, capsys)


def test_a_night_that_is_stopped_while_somebody_is_told_had_been_published(
    site: Path, tmp_path: Path, extracts: dict[str, str],
    deliver: Callable[[Path, dict[str, str]], None],
) -> None:  # fmt: skip
    deliver(site, extracts | {"patients_2.csv": ""})
    settle(site, command=["sh", "-c", f"touch {tmp_path}/telling; sleep 3"])
    run = subprocess.Popen(
        [sys.executable, "-m", "b12screen", "run", str(site), "--as-of", "2026-11-01"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "telling").exists():
        assert run.poll() is None
        time.sleep(0.1)
    settle(site)
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=60)[1].splitlines()[-1]
    assert run.returncode == 143
    assert said == "b12screen: stopped by SIGTERM: the night had been published; run it again"


def test_a_command_that_hangs_is_stopped_with_all_that_it_started(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(notify, "SECONDS", 1)
    script = tmp_path / "hang"
    script.write_text(f"#!/bin/sh\n(sleep 5; touch {tmp_path}/lived) &\nsleep 60\n")
    script.chmod(stat.S_IRWXU)
    settle(site, command=[str(script)])
    assert "had not ended after 1 seconds" in complaints(site, capsys)
    threading.Event().wait(5)
    assert not (tmp_path / "lived").exists()


def test_an_address_that_fails_is_said_without_its_secret(
    site: Path, hook: Hook, capsys: Capture
) -> None:
    settle(site, webhook=hook.address)
    hook.status = 500
    assert "HTTP status 500" in complaints(site, capsys)
    # Where it would send us on, it may be to somebody else, and in the clear.
    hook.status, hook.headers = 302, {"Location": hook.address}
    before = len(hook.received)
    assert "HTTP status 302" in complaints(site, capsys)
    assert len(hook.received) == before + 1
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settle(site, webhook=f"http://127.0.0.1:{closed.getsockname()[1]}/{SECRET}")
        assert "could not be reached (ConnectionRefusedError)" in complaints(site, capsys)


def test_an_address_that_answers_byte_by_byte_does_not_hold_the_night(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(notify, "SECONDS", 1)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                while not over.wait(0.2):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        settle(site, webhook=f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}")
        assert "no answer after 1 seconds" in complaints(site, capsys)
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "webhook",
    [
        "ftp://example.org/x",
        "http://example.org/x",
        "file:///etc/passwd",
        f"https://user:{SECRET}@example.org/x",
        "https://",
        "https://exa mple.org",
        "https://example.org:port",
        "https://example.org/x\ny",
        SECRET,
        "",
    ],
)
def test_an_address_that_is_not_safe_is_refused_and_not_repeated(
    site: Path, webhook: str, capsys: Capture
) -> None:
    settle(site, webhook=webhook)
    assert cli.main(["run", str(site)]) == 10
    err = capsys.readouterr().err
    assert "notify.webhook: is not an" in err
    assert SECRET not in err


@pytest.mark.parametrize("command", [[], [""], "page-me", [1]])
def test_a_command_that_is_no_list_of_words_is_refused(
    site: Path, command: object, capsys: Capture
) -> None:
    settle(site, command=command)
    assert cli.main(["run", str(site)]) == 10
    assert "notify.command" in capsys.readouterr().err


def test_a_notice_of_many_findings_is_short() -> None:
    findings = [f"file {n} was held" for n in range(40)]
    notice = notify.found("site", date(2026, 11, 1), findings, ["Night published"])
    assert len(notice.text.splitlines()) == 9
    assert "and 35 more" in notice.text
