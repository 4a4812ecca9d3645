"""One night as a Prefect flow: the stages of `b12screen.night`, one task each.

Prefect stores every exception that leaves a task, and the parameters of every run. So nothing but
a path and a day is a parameter, no result is kept, and an exception is replaced by one that says
the stage and what its own message may say, without the exception it arose from.

Only looking into the inbox is tried again: a lost mount may come back, the rest would fail alike.
"""

import argparse
import atexit
import contextlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from b12screen.errors import B12ScreenError
from b12screen.ingest import Taking
from b12screen.notify import Notice, found, notify
from b12screen.settings import Notify, Settings, load_settings, notify_of
from b12screen.traces import named
from pipelines.environment import prepare
from pipelines.server import server


def asked_for() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.nightly", description="Run one night as a Prefect flow, once."
    )
    parser.add_argument("site", metavar="SITE", type=Path)
    parser.add_argument("--as-of", metavar="YYYY-MM-DD", type=date.fromisoformat, default=None)
    return parser.parse_args()


if __name__ == "__main__":
    # Prefect reads its environment once, when it is imported, and its home lies in the site.
    ASKED = asked_for()
    SERVER = contextlib.ExitStack()
    try:
        load_settings(ASKED.site)
        prepare(ASKED.site)
        SERVER.enter_context(server())
        # Before Prefect registers what it still sends at the end, so that it ends after that.
        atexit.register(SERVER.close)
    except B12ScreenError as error:
        sys.stderr.write(f"b12screen: {error}\n")
        sys.exit(error.exit_code)

from prefect import Flow, State, flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact, create_table_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.schemas.objects import FlowRun  # noqa: E402
from prefect.exceptions import TerminationSignal  # noqa: E402
from prefect.logging.loggers import flow_run_logger  # noqa: E402

from b12screen.night import (  # noqa: E402
    NightResult,
    audit,
    decide,
    hold_near,
    look_into,
    publish,
    started,
    take,
    write,
)

BUG = 1
INTERRUPTED = 130
STOPPED = 143
ENDED_FROM_OUTSIDE = (
    "the run was ended from outside. Unless the night is published, yesterday's files stand and "
    "nothing of it counts: run it again"
)
# Sites whose run told of its own end in this process.
told_of: set[str] = set()
# A mount that is late is waited for: a quarter of an hour in all.
INBOX_WAITS_SECONDS = [60, 240, 600]
# No night takes half as long; whatever hangs is then ended, and somebody told.
MOST_SECONDS = 6 * 60 * 60
MOST_FILES_SHOWN = 200
Value = TypeVar("Value")


class StageError(Exception):
    """Why a stage stopped, in words that may be stored: no value, no identifier, no cause."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message, exit_code)
        self.exit_code = exit_code

    def __str__(self) -> str:
        return str(self.args[0])


def stopped(error: Exception) -> StageError:
    """An exception reduced to what may be stored; a bug is named by its type and its place."""
    if isinstance(error, StageError):
        return error
    if isinstance(error, B12ScreenError) and error.exit_code != BUG:
        return StageError(str(error), error.exit_code)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return StageError(
        f"{named(error)} at {Path(place.filename).name}:{place.lineno}: this is a bug. What is "
        "published is whole. Run `b12screen run` on the site for the traceback.",
        BUG,
    )


def stage(name: str, work: Callable[[], Value], waits: Sequence[float] = ()) -> Value:
    """Run one stage as a task. It takes no parameters, as Prefect would look into them.

    ``waits`` are the seconds after which it is tried again, for what the world may mend.
    """

    def reduced() -> Value:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever it is, Prefect would store it
            failure = stopped(error)
        # Raised out here, the exception carries neither cause nor context.
        raise failure

    as_task = task(
        name=name,
        persist_result=False,
        cache_policy=NO_CACHE,
        retries=len(waits),
        retry_delay_seconds=list(waits),
    )
    return as_task(reduced)()


def broke_off(flow: "Flow[..., Any]", flow_run: FlowRun, state: "State[Any]") -> None:
    """Tell of a night that was ended from outside: killed, or out of its time.

    What a stage failed on is told where it is known; here nothing is but that there is no night.
    """
    if not state.is_crashed() and state.name != "TimedOut":
        return
    if flow_run.parameters["site"] in told_of:
        return
    site = Path(flow_run.parameters["site"])
    settings = load_settings(site)
    day = flow_run.parameters.get("as_of")
    planned = flow_run.expected_start_time or flow_run.created
    if day is None and planned is not None:
        day = planned.astimezone(ZoneInfo(settings.timezone)).date().isoformat()
    how = "took too long and was ended" if state.name == "TimedOut" else "was ended from outside"
    text = (
        f"the run {how}: Prefect's state is {state.name}. Unless the night is published, "
        "yesterday's files stand and nothing of it counts: look at the log, and run it again"
    )
    notice = Notice(site.name, date.fromisoformat(str(day)), BUG, (text,))
    tell(settings.notify, notice, flow_run_logger(flow_run, flow).warning)


def tell(ways: Notify, notice: Notice, say: Callable[[str], None]) -> None:
    """Send a notice; that it did not arrive is said and changes nothing."""
    for complaint in notify(ways, notice):
        say(complaint)


@flow(
    name="b12screen-nightly",
    persist_result=False,
    retries=0,
    timeout_seconds=MOST_SECONDS,
    on_failure=[broke_off],
    on_crashed=[broke_off],
)
def nightly(site: str, as_of: str | None = None) -> int:
    """Take, decide, write, audit, publish; returns the exit code 0, or 20 with findings.

    `site` is the site's folder; `as_of` a day as text, by default today in the site's timezone.
    """
    log = get_run_logger()
    root = Path(site)
    known: tuple[Settings, date] | None = None
    told_of.discard(site)
    try:
        settings = load_settings(root)
        started_at = datetime.now(ZoneInfo(settings.timezone))
        day = date.fromisoformat(as_of) if as_of else started_at.date()
        known = settings, day
        hold_near(day, started_at)
        taking, result = one_night(root, day, started_at, log.info)
    except Exception as error:  # noqa: BLE001 - whatever it is, Prefect would store it
        failure = stopped(error)
    except (TerminationSignal, KeyboardInterrupt):
        # Told from here: the server, without which no hook runs, may be stopped as well. Whoever
        # stops a service sends more than one signal, and the next must not cut this short.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        log.warning(ENDED_FROM_OUTSIDE)
        if known is not None:
            settings, day = known
            tell(
                settings.notify, Notice(root.name, day, STOPPED, (ENDED_FROM_OUTSIDE,)), log.warning
            )
            told_of.add(site)
        raise
    else:
        for finding in result.findings:
            log.warning(finding)
        show(taking, result)
        if result.findings:
            tell(
                settings.notify, found(root.name, day, result.findings, result.summary), log.warning
            )
        return result.exit_code
    # Who is told may be known where the rest of the settings is wrong.
    ways = notify_of(root) if known is None else known[0].notify
    day = datetime.now(UTC).date() if known is None else known[1]
    tell(ways, Notice(root.name, day, failure.exit_code, (str(failure),)), log.warning)
    raise failure


def one_night(
    site: Path, day: date, started_at: datetime, progress: Callable[[str], None]
) -> tuple[Taking, NightResult]:
    """The stages in order, each a task; the site is held from the first to the last."""
    stage("inbox", lambda: look_into(site / "inbox"), INBOX_WAITS_SECONDS)
    with started(site, day, started_at) as night:
        taking = stage("take", lambda: take(night, progress))
        stage("decide", lambda: decide(night, taking, progress))
        lists = stage("write", lambda: write(night, progress))
        stage("audit", lambda: audit(night, lists, progress))
        return taking, stage("publish", lambda: publish(night, taking, lists, progress))


def show(taking: Taking, result: NightResult) -> None:
    """The summary and the accounts on Prefect's pages; the night stands also without them."""
    files = [
        {
            "file": account.file_name,
            "kind": account.kind,
            "verdict": "held" if account.held else "rejected" if account.reason else "taken",
            "read": account.n_read,
            "accepted": account.n_accepted,
            "duplicate": account.n_duplicate,
            "superseded": account.n_superseded,
            "out of scope": account.n_out_of_scope,
            "rejected": account.n_rejected,
            "reason": account.reason or "",
        }
        for account in taking.accounts[:MOST_FILES_SHOWN]
    ]
    of_all = f"{len(files)} of {len(taking.accounts)} accounts, all are in manifest.json"
    try:
        create_markdown_artifact(
            key="b12screen-night",
            description=f"The night of {result.as_of}",
            markdown="\n".join(["```", *result.summary, "```"]),
        )
        create_table_artifact(
            key="b12screen-accounts",
            description=f"Files of the night of {result.as_of}: {of_all}",
            table=files,
        )
    except Exception as error:  # noqa: BLE001 - Prefect's own trouble is none of the night's
        get_run_logger().warning(f"the pages of the night were not stored: {type(error).__name__}")


def main() -> int:
    try:
        as_of = ASKED.as_of.isoformat() if ASKED.as_of else None
        return nightly(str(ASKED.site.resolve()), as_of)
    except StageError as error:
        sys.stderr.write(f"b12screen: {error}\n")
        return error.exit_code
    except (TerminationSignal, KeyboardInterrupt) as stop:
        sys.stderr.write(f"b12screen: {ENDED_FROM_OUTSIDE}\n")
        return STOPPED if isinstance(stop, TerminationSignal) else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
