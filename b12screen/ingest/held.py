"""When a file is held back whole: too many of its rows are rejected."""

from collections import Counter
from collections.abc import Mapping

from b12screen.ingest.checks import CHECKS, SHAPES
from b12screen.ingest.own_csv import own_checks
from b12screen.ingest.recognise import Extract
from b12screen.ingest.scan import Scanned
from b12screen.ingest.store import Intake

COMMONEST = 3
STANDS = "what was taken of it before stands as it is"
COUNT_LABORATORIES = (
    "SELECT word.laboratory, count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "LEFT JOIN core.lab_word AS word ON word.word_id = taken.word_id "
    "GROUP BY word.laboratory ORDER BY word.laboratory"
)


def too_many(
    intake: Intake, extract: Extract, scanned: Scanned, faults: Counter[str]
) -> str | None:
    """Why the file at hand is held, or None where its rejected rows are within its limit."""
    failures = Counter({fault: n for fault, n in faults.items() if fault != "scope"})
    if failures.total() < intake.settings.limits.reject_rows:
        return None
    allowed = rejects_allowed(intake, extract, scanned)
    # 29 % of 100 rows are 29, though binary arithmetic makes it less by a hair.
    if round(failures.total() - allowed, 6) <= 0:
        return None
    checks = own_checks(extract.own[0], extract.kind) if extract.own else CHECKS | SHAPES
    n_read, is_new = scanned.n_row + scanned.n_broken, extract.taken_by == "run"
    return hold_reason(n_read, allowed, failures, checks, is_new)


def rejects_allowed(intake: Intake, extract: Extract, scanned: Scanned) -> float:
    """How many rejected rows a file may have: the share of each laboratory of its own rows."""
    share = intake.settings.limits.reject_share
    allowed = share * (scanned.n_row + scanned.n_broken)
    if extract.kind == "labs":
        for name, n in intake.warehouse.rows(COUNT_LABORATORIES):
            laboratory = intake.settings.laboratories.get(name)
            if laboratory is not None and laboratory.reject_share is not None:
                allowed += (laboratory.reject_share - share) * n
    return allowed


def hold_reason(
    n_read: int,
    allowed: float,
    faults: Counter[str],
    checks: Mapping[str, tuple[str | None, str, str]],
    is_new: bool,
) -> str:
    """Why a file is held, with its commonest faults."""
    commonest = sorted(faults.items(), key=lambda item: (-item[1], item[0]))[:COMMONEST]
    told = "; ".join(f"{n} x {checks[fault][2]}" for fault, n in commonest)
    n_rejected = faults.total()
    return (
        f"{n_rejected} of {n_read} rows were rejected ({n_rejected / n_read:.2%}, the limit "
        f"is {allowed / n_read:.2%}), so nothing of it was taken; "
        f"{'it is tried again every night' if is_new else STANDS}. "
        f"Commonest: {told}"
    )
