"""One night as a Prefect flow: the stages of `b12screen.night`, one task each.

Prefect stores every exception that leaves a task, and the parameters of every run. So nothing but
a path and a day is a parameter, no result is kept, and an exception is replaced by one that says
the stage and what its own message may say, without the exception it arose from.
"""

import argparse
import sys
import traceback
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from b12screen.errors import B12ScreenError
from b12screen.settings import load_settings
from b12screen.traces import named
from pipelines.environment import prepare


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
    try:
        load_settings(ASKED.site)
        prepare(ASKED.site)
    except B12ScreenError as error:
        sys.stderr.write(f"b12screen: {error}\n")
        sys.exit(error.exit_code)

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact  # noqa: E402
from prefect.cache_policies import NO_CACHE  # noqa: E402

from b12screen.night import (  # noqa: E402
    NightResult,
    audit,
    decide,
    publish,
    started,
    take,
    write,
)

BUG = 1
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


def stage(name: str, work: Callable[[], Value]) -> Value:
    """Run one stage as a task. It takes no parameters, as Prefect would look into them."""

    def reduced() -> Value:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever it is, Prefect would store it
            failure = stopped(error)
        # Raised out here, the exception carries neither cause nor context.
        raise failure

    as_task = task(name=name, persist_result=False, cache_policy=NO_CACHE, retries=0)
    return as_task(reduced)()


@flow(name="b12screen-nightly", persist_result=False, retries=0)
def nightly(site: str, as_of: str | None = None) -> int:
    """Take, decide, write, audit, publish; returns the exit code 0, or 20 with findings.

    `site` is the site's folder; `as_of` a day as text, by default today in the site's timezone.
    """
    log = get_run_logger()
    try:
        result = one_night(Path(site), as_of, log.info)
    except Exception as error:  # noqa: BLE001 - whatever it is, Prefect would store it
        failure = stopped(error)
    else:
        for finding in result.findings:
            log.warning(finding)
        create_markdown_artifact(
            key="b12screen-night",
            description=f"The night of {result.as_of}",
            markdown="\n".join(["```", *result.summary, "```"]),
        )
        return result.exit_code
    raise failure


def one_night(site: Path, as_of: str | None, progress: Callable[[str], None]) -> NightResult:
    """The stages in order, each a task; the site is held from the first to the last."""
    started_at = datetime.now(ZoneInfo(load_settings(site).timezone))
    day = date.fromisoformat(as_of) if as_of else started_at.date()

    with started(site, day, started_at) as night:
        taking = stage("take", lambda: take(night, progress))
        stage("decide", lambda: decide(night, taking, progress))
        lists = stage("write", lambda: write(night, progress))
        stage("audit", lambda: audit(night, lists, progress))
        return stage("publish", lambda: publish(night, taking, lists, progress))


def main() -> int:
    try:
        as_of = ASKED.as_of.isoformat() if ASKED.as_of else None
        return nightly(str(ASKED.site.resolve()), as_of)
    except StageError as error:
        sys.stderr.write(f"b12screen: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
