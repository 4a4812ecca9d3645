"""The nightly schedule: one deployment, served for as long as this process runs.

Only a Prefect server plans runs ahead, so where the operator names none (PREFECT_API_URL), one is
started beside it on the loopback address, with its files in the site's private store.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from b12screen.errors import B12ScreenError, CannotWrite, SiteLocked
from b12screen.notify import Notice, notify
from b12screen.publish import Site, clear_leftovers, held, leftovers
from b12screen.settings import load_settings
from pipelines.environment import prepare
from pipelines.server import server

# A killed night lets go of the site at once; one that runs is not waited for.
LOCK_SECONDS = 5
KILLED = 137
KILLED_NIGHT = (
    "a night was killed while it ran, or the machine went down: nothing of it counts, the lists of "
    "the last published night stand, and what it left is cleared up; run it again with "
    "`b12screen run`"
)
NO_SERVER = (
    "the Prefect server that plans the nights has ended, so that no night is run any more. What "
    "is published stands. Start `b12screen serve` again, as a service manager does by itself, and "
    "look in the log of the system for what ended it (out of memory?)"
)


def serve_nightly(site: Path, at: tuple[int, int], timezone: str) -> None:
    """Run the night every day at (hour, minute) of the site's timezone, until interrupted."""
    prepare(site)
    tell_of_a_killed_night(site)
    with server() as own, lasting(own, site) as outlived:
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
        except SystemExit:
            # Prefect's answer to SIGTERM, which was ours where the server is gone.
            if not outlived.is_set():
                raise
        finally:
            tell_of_a_killed_night(site)
    if outlived.is_set():
        settings = load_settings(site)
        today = datetime.now(ZoneInfo(settings.timezone)).date()
        notice = Notice(site.resolve().name, today, CannotWrite.exit_code, (NO_SERVER,))
        for complaint in notify(settings.notify, notice):
            sys.stderr.write(f"{complaint}\n")
        raise CannotWrite(NO_SERVER)


@contextlib.contextmanager
def lasting(process: "subprocess.Popen[bytes] | None", site: Path) -> Iterator[threading.Event]:
    """End serving where the server that plans the nights ends before it; the event says so.

    Prefect would go on asking it for ever. A night that is running is not cut short.
    """
    closing, outlived = threading.Event(), threading.Event()

    def watch(server: "subprocess.Popen[bytes]") -> None:
        server.wait()
        if closing.is_set():
            return
        outlived.set()
        while not closing.wait(1):
            try:
                with held(Site(site.resolve())):
                    break
            except SiteLocked:
                continue
            except (B12ScreenError, OSError):
                # Nobody can tell whether a night is running, and none will be planned.
                break
        os.kill(os.getpid(), signal.SIGTERM)

    if process is not None:
        threading.Thread(target=watch, args=(process,), daemon=True).start()
    try:
        yield outlived
    finally:
        closing.set()


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
