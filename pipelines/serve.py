"""The nightly schedule: one deployment, served for as long as this process runs.

Only a Prefect server plans runs ahead, so where the operator names none (PREFECT_API_URL), one is
started beside it on the loopback address, with its files in the site's private store.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from b12screen.errors import CannotWrite, SiteLocked
from b12screen.notify import Notice, notify
from b12screen.publish import Site, clear_leftovers, held, leftovers
from b12screen.settings import load_settings
from pipelines.environment import prepare

LOOPBACK = "127.0.0.1"
SERVER_START_SECONDS = 120
PR_SET_PDEATHSIG = 1
# A killed night lets go of the site at once; one that runs is not waited for.
LOCK_SECONDS = 5
KILLED = 137
KILLED_NIGHT = (
    "a night was killed while it ran, or the machine went down: nothing of it counts, the lists of "
    "the last published night stand, and what it left is cleared up; run it again with "
    "`b12screen run`"
)


def serve_nightly(site: Path, at: tuple[int, int], timezone: str) -> None:
    """Run the night every day at (hour, minute) of the site's timezone, until interrupted."""
    prepare(site)
    tell_of_a_killed_night(site)
    with server():
        # Prefect reads its environment when it is imported, so not before the server is there.
        from prefect import serve
        from prefect.deployments.runner import RunnerDeployment
        from prefect.schedules import Cron
        from prefect.types.entrypoint import EntrypointType

        from pipelines.nightly import nightly

        hour, minute = at
        deployment = nightly.to_deployment(
            name="nightly",
            schedule=Cron(f"{minute} {hour} * * *", timezone=timezone),
            parameters={"site": str(site.resolve())},
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        assert isinstance(deployment, RunnerDeployment)
        # A night that has not ended is not joined by another: the site's lock refuses the second.
        # No limit of Prefect's does: its slot is held for ever where the server ends in a night,
        # and every later night is cancelled. Two at once, so that the second is met and told. Not
        # paused at the end: the schedule has to be alive again after a restart of the machine.
        try:
            serve(deployment, pause_on_shutdown=False, limit=2)
        finally:
            tell_of_a_killed_night(site)


def tell_of_a_killed_night(site: Path) -> None:
    """Tell where a night was killed, as Prefect kills one when it is stopped, and clear it up.

    It cannot tell of itself; what it left shows that there was one. Asked when serving begins, as
    the machine may have gone down, and when it ends.
    """
    settings, folders = load_settings(site), Site(site.resolve())
    for _ in range(LOCK_SECONDS):
        with contextlib.suppress(SiteLocked), held(folders):
            found = leftovers(folders)
            clear_leftovers(folders)
            if found in ([], [folders.building]):
                # Nothing, or what a comparison or a replay left.
                return
            break
        time.sleep(1)
    else:
        # Somebody else's night holds the site.
        return
    today = datetime.now(ZoneInfo(settings.timezone)).date()
    notice = Notice(folders.root.name, today, KILLED, (KILLED_NIGHT,))
    for line in (notice.text, *notify(settings.notify, notice)):
        sys.stderr.write(f"{line}\n")


@contextlib.contextmanager
def server() -> Iterator[None]:
    """A Prefect server to plan the nights: the operator's, or one of our own on the loopback."""
    if "PREFECT_API_URL" in os.environ:
        yield
        return
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    address = f"http://{LOOPBACK}:{port}/api"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "prefect", "server", "start", "--no-ui"),
            *("--host", LOOPBACK, "--port", str(port)),
        ],
        stdout=subprocess.DEVNULL,
        preexec_fn=ended_with_us if sys.platform == "linux" else None,
    )
    try:
        wait_for(f"{address}/health", process)
        os.environ["PREFECT_API_URL"] = address
        yield
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        process.terminate()
        process.wait()


def ended_with_us() -> None:
    """In the server's process: the system ends it when ours ends, also by kill -9.

    It would go on planning nights, beside the server of the next start and on the same files.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Until the server answers; an error when it ends or stays silent."""
    for _ in range(SERVER_START_SECONDS):
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(address, timeout=5),
        ):
            return
        time.sleep(1)
    raise CannotWrite(
        "The Prefect server that plans the nights did not start. No night is scheduled and nothing "
        "was changed. Check the disk, or start one with `prefect server start` and set "
        "PREFECT_API_URL."
    )
