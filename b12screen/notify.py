"""Somebody is told: of a night that failed, that found something, or that did not come.

A notice holds what a message may hold, counts and names of files, and nothing of a person. It goes
to the command or the address that the settings name. One that does not arrive changes nothing of
the night; what went wrong is given back, to be said.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from b12screen.settings import Notify

# A night waits no longer than this for its notice.
SECONDS = 20
MOST_FINDINGS = 5


@dataclass(frozen=True)
class Notice:
    """What is told: the name of the site's folder, the night, the exit code, lines of text."""

    site: str
    night: date
    exit_code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole notice for a person."""
        head = f"b12screen, site {self.site}, night of {self.night}: exit code {self.exit_code}"
        return "\n".join((head, *self.lines))


def found(site: str, night: date, findings: list[str], summary: list[str]) -> Notice:
    """The notice of a published night with findings."""
    more = len(findings) - MOST_FINDINGS
    told = findings[:MOST_FINDINGS] + ([f"and {more} more, see manifest.json"] if more > 0 else [])
    return Notice(site, night, 20, (*told, "", *summary))


def notify(settings: Notify, notice: Notice) -> list[str]:
    """Send a notice wherever the settings say; what could not be sent, and why, as sentences."""
    ways: list[tuple[str, Callable[[], str | None]]] = []
    if settings.command is not None:
        command = filled(settings.command, notice)
        ways.append(("notify.command", lambda: run(command, notice.text)))
    if settings.webhook is not None:
        address = settings.webhook
        ways.append(("notify.webhook", lambda: post(address, notice)))
    complaints = []
    for name, send in ways:
        problem = send()
        if problem is not None:
            complaints.append(
                f"nobody was told by {name}: {problem}. The night itself is not changed by that; "
                "mend the setting or what it names."
            )
    return complaints


def filled(command: list[str], notice: Notice) -> list[str]:
    """The command with {site}, {night} and {exit_code} in its words replaced; no shell reads it."""
    known = {
        "{site}": notice.site,
        "{night}": notice.night.isoformat(),
        "{exit_code}": str(notice.exit_code),
    }
    words = []
    for word in command:
        for mark, value in known.items():
            word = word.replace(mark, value)
        words.append(word)
    return words


def run(command: list[str], text: str) -> str | None:
    """Run a command with the text as its input; why that failed, without what it wrote."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
    except (OSError, ValueError) as error:
        return f"the command cannot be started ({type(error).__name__})"
    try:
        process.communicate(f"{text}\n".encode("utf-8", "backslashreplace"), timeout=SECONDS)
    except subprocess.TimeoutExpired:
        # With everything that it started: a child of it would hold our end of the pipe.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"the command had not ended after {SECONDS} seconds and was stopped"
    if process.returncode:
        return f"the command ended with exit code {process.returncode}"
    return None


class Unmoved(urllib.request.HTTPRedirectHandler):
    """An address that sends us on is not the one that the site chose."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(address: str, notice: Notice) -> str | None:
    """Send a notice as JSON; why that failed, without the address: it may hold a secret."""
    problems: list[str | None] = []

    def sending() -> None:
        problems.append(posted(address, notice))

    # Every single wait has its limit; a server that answers byte by byte would have none for all.
    thread = threading.Thread(target=sending, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return problems[0] if problems else f"no answer after {SECONDS} seconds"


def posted(address: str, notice: Notice) -> str | None:
    content = {
        "text": notice.text,
        "site": notice.site,
        "night": notice.night.isoformat(),
        "exit_code": notice.exit_code,
    }
    request = urllib.request.Request(
        address,
        data=json.dumps(content).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "b12screen"},
    )
    try:
        with urllib.request.build_opener(Unmoved).open(request, timeout=SECONDS):
            return None
    except urllib.error.HTTPError as error:
        return f"it was answered with HTTP status {error.code}"
    except Exception as error:  # noqa: BLE001 - its text would hold the address
        reason = getattr(error, "reason", None)
        kind = type(reason if isinstance(reason, Exception) else error).__name__
        return f"it could not be reached ({kind})"
