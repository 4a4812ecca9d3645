"""The last look at finished files before anybody sees them.

Two kinds. *Audits* are the SELECTs of ``sql/audits``: each row they give is a breach. *Interlocks*
read the finished sheets as a clinic would and state, without the rule table, what must never
stand on a list. Any breach stops the night; the message holds names and counts, never a row.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from b12screen.errors import AuditFailed
from b12screen.resources import sql_folder
from b12screen.warehouse import Warehouse
from b12screen.worklists import DATA_QUALITY, UNROUTED, read_sheet
from schemas import ddl
from schemas.worklists import SHEET

REGIMENS = (
    "start_b12",
    "start_b12_neuro",
    "start_b12_assess",
    "consider_b12",
    "resume_b12",
    "review_renal",
    "maintenance_due",
    "loading_incomplete",
    "review_loading",
)
_RECOMMENDS_CYANOCOBALAMIN = re.compile(r"(?<!avoid )(?<!before any )\bcyanocobalamin\b", re.I)
_STOPS_B12 = re.compile(
    r"(?<!not )(?<!never )\b(stop|discontinue|withhold)\b[^.;]*\b(b12|cobalamin)", re.I
)
_FOLIC_ACID_FIRST = re.compile(r"\b(start|give|begin|consider)\b[^.;]*\bfolic acid\b", re.I)
_HAS_A_FACT = re.compile(r"\d|not known|unknown|missing|not measured|no ", re.I)


@dataclass(frozen=True)
class Person:
    """What an interlock must know of a person; no rule was asked for it."""

    route: str
    renal_dysfunction: str
    neuro: str
    cobalamin_reaction: str


Row = dict[str, str]
Interlock = Callable[[Row, Person | None, str], bool]


@lru_cache(maxsize=10_000)
def _recommends_cyanocobalamin(text: str) -> bool:
    return _RECOMMENDS_CYANOCOBALAMIN.search(text) is not None


@lru_cache(maxsize=10_000)
def _recommends_stopping_b12(text: str) -> bool:
    return _STOPS_B12.search(text) is not None


@lru_cache(maxsize=10_000)
def _recommends_folic_acid_alone(text: str) -> bool:
    return (
        _FOLIC_ACID_FIRST.search(text) is not None
        and re.search(r"b12|cobalamin", text, re.I) is None
    )


def _cyanocobalamin_with_bad_kidneys(row: Row, person: Person | None, sheet: str) -> bool:
    return (
        person is not None
        and person.renal_dysfunction == "yes"
        and row["action"] not in ("cyanocobalamin_in_renal", "dialysis_vitamins")
        and _recommends_cyanocobalamin(row["recommendation"])
    )


def _wrong_regimen_for_neurology(row: Row, person: Person | None, sheet: str) -> bool:
    return (
        person is not None
        and person.neuro == "recorded"
        and row["action"] in ("start_b12", "start_b12_assess", "consider_b12")
    )


def _stops_b12(row: Row, person: Person | None, sheet: str) -> bool:
    return _recommends_stopping_b12(row["recommendation"])


def _dead_or_opted_out(row: Row, person: Person | None, sheet: str) -> bool:
    return person is None or person.route in ("deceased", "opted_out")


def _regimen_outside_the_screen(row: Row, person: Person | None, sheet: str) -> bool:
    return (
        person is not None
        and (
            person.route in ("unroutable_age", "paediatric", "inborn_error")
            or (person.route == "pregnant" and row["action"] != "maintenance_due")
            or person.cobalamin_reaction == "yes"
        )
        and row["action"] in REGIMENS
    )


def _folic_acid_without_b12(row: Row, person: Person | None, sheet: str) -> bool:
    return _recommends_folic_acid_alone(row["recommendation"])


def _row_without_reason(row: Row, person: Person | None, sheet: str) -> bool:
    return not (
        row["rule_id"]
        and row["source"]
        and _HAS_A_FACT.search(row["why"])
        and row["recommendation"].rstrip(".").endswith("for clinician review")
        and (row["clinic_id"] or sheet in (f"{UNROUTED}.csv", f"{DATA_QUALITY}.csv"))
    )


INTERLOCKS: dict[str, Interlock] = {
    "cyanocobalamin recommended with renal dysfunction": _cyanocobalamin_with_bad_kidneys,
    "another regimen than the neurological one with neurology recorded": (
        _wrong_regimen_for_neurology
    ),
    "a row recommends stopping B12": _stops_b12,
    "a row for a deceased or opted-out person": _dead_or_opted_out,
    "a regimen outside the screen or after a cobalamin reaction": _regimen_outside_the_screen,
    "folic acid recommended without B12": _folic_acid_without_b12,
    "a row without rule, reason, source or clinic": _row_without_reason,
}


def audit_published(warehouse: Warehouse, folder: Path, sheets: dict[str, dict[str, Any]]) -> None:
    """Audit the finished database and sheets; :class:`AuditFailed` names each breach and count."""
    breaches = Counter(_audit_breaches(warehouse))
    breaches.update(_sheet_breaches(warehouse, folder, sheets))
    if breaches:
        named = "; ".join(f"{name}: {n:,}" for name, n in sorted(breaches.items()))
        raise AuditFailed(
            f"{len(breaches)} checks of the finished night failed ({named}): nothing was "
            "published, yesterday's files stand; this is a fault of the software or of a ruleset, "
            "report it with this message"
        )


def _audit_breaches(warehouse: Warehouse) -> dict[str, int]:
    breaches = {}
    for path in sorted((sql_folder() / "audits").glob("*.sql")):
        n = warehouse.scalar(ddl.counted(path.read_text(encoding="utf-8")))
        if n:
            breaches[path.stem.replace("_", " ")] = n
    return breaches


def _sheet_breaches(
    warehouse: Warehouse, folder: Path, sheets: dict[str, dict[str, Any]]
) -> Counter[str]:
    people = {
        patient_id: Person(route, renal_dysfunction, neuro, reaction)
        for patient_id, route, renal_dysfunction, neuro, reaction in warehouse.rows(_LISTED_PEOPLE)
    }
    breaches: Counter[str] = Counter()
    n_rows = 0
    for name, sheet in sheets.items():
        rows = 0
        for rows, row in enumerate(read_sheet(folder / name), start=1):
            person = people.get(row["patient_id"])
            if tuple(row) != SHEET:
                breaches["a sheet with other columns"] += 1
            for interlock, holds in INTERLOCKS.items():
                if holds(row, person, name):
                    breaches[interlock] += 1
        if rows != sheet["items"]:
            breaches["a sheet that reads back with other rows"] += 1
        n_rows += rows
    if {path.name for path in folder.iterdir()} != sheets.keys():
        breaches["a sheet too many or too few"] += 1
    if n_rows != warehouse.scalar(_OPEN):
        breaches["items and sheets that differ"] += 1
    return breaches


_OPEN = "SELECT count(*) FROM worklists.item AS item WHERE item.item_state = 'open'"
_LISTED_PEOPLE = """
SELECT
    patient.patient_id,
    screening.route,
    patient.renal_dysfunction,
    patient.neuro,
    patient.cobalamin_reaction,
FROM facts.patient AS patient
INNER JOIN decisions.screening AS screening ON screening.patient_id = patient.patient_id
SEMI JOIN worklists.item AS item ON item.patient_id = patient.patient_id
"""
