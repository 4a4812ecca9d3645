"""Putting off an action as a whole, for a stock-out say; in force from the next night on.

The log is a file of the store, one JSON object a line, only ever appended to; every night takes
what it does not know yet. Priority 1 is never put off, and rows come back spread over some days:
both are decided in ``sql/worklists/answer.sql``. Holds no patient.
"""

import fcntl
import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from b12screen.errors import UsageError
from b12screen.publish import Site, writing
from b12screen.rules import Ruleset
from schemas.words import ACTIONS

LOG = "deferrals.jsonl"
LONGEST_REASON = 200
# Over so many days rows come back, so that no clinic gets them all on one morning.
SPREAD_DAYS = 14
# Told again, not decided by a rule of the night: it has to reach the clinic.
NEVER = ("result_withdrawn",)


def declare(
    site: Site, ruleset: Ruleset, action: str, until: date, reason: str, declared_on: date
) -> int:
    """Log that rows of ``action`` rest until ``until``; returns the number of the deferral.

    ``until`` may be ``declared_on`` itself, which ends an earlier deferral. UsageError where the
    action is none, the day is past or too far, or the reason is missing.
    """
    if action not in ACTIONS or action in NEVER:
        raise UsageError(
            "--action is none that can be put off: nothing was logged; one of "
            + ", ".join(word for word in ACTIONS if word not in NEVER)
        )
    # The last of the rows is back by the end of the longest rest of a single one.
    last = declared_on + timedelta(days=ruleset.periods["rest_longest"].n - SPREAD_DAYS + 1)
    if not declared_on <= until <= last:
        raise UsageError(
            f"--until is not a day from {declared_on} to {last}: nothing was logged; rows come "
            f"back over the {SPREAD_DAYS} days from it on, and none rests longer than it may"
        )
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON or not reason.isprintable():
        raise UsageError(
            f"--reason is not a text of up to {LONGEST_REASON} characters: nothing was logged; say "
            "why, without naming a patient"
        )
    with writing("logging the deferral"):
        site.store.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(site.store / LOG, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "r+b") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            text = log.read()
            # A line that was cut short by a full disk or a kill is nobody's declaration.
            whole = text[: text.rfind(b"\n") + 1]
            log.seek(len(whole))
            log.truncate()
            number = whole.count(b"\n") + 1
            line = {
                "number": number,
                "action": action,
                "until": until.isoformat(),
                "spread_days": SPREAD_DAYS,
                "reason": reason,
                "declared_on": declared_on.isoformat(),
            }
            log.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
            log.flush()
            os.fsync(log.fileno())
    return number


def declared(store: Path) -> list[dict[str, Any]]:
    """Every deferral of the log, in order."""
    try:
        text = (store / LOG).read_bytes()
    except FileNotFoundError:
        return []
    lines = text[: text.rfind(b"\n") + 1].decode().splitlines()
    found = [json.loads(line) for line in lines]
    for row in found:
        row |= {name: date.fromisoformat(row[name]) for name in ("until", "declared_on")}
    return found
