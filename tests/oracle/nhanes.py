"""NHANES 2003-2004 recomputed without the project: csv, gzip and the oracle.

The folder ../shared/data is not part of the project; `available` says whether it is there.
Run it: python -m tests.oracle.nhanes, from the root of the repository.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from pathlib import Path

from .oracle import Decision, age_on, decide
from .people import Night, Person, Result

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "nhanes" / "2003-2004"
AS_OF = date(2004, 2, 1)

# Molar masses of the unit map, g/mol, as exact fractions.
B12_MASS = Fraction("1355.37")
CREATININE_MASS = Fraction("113.12")
FOLATE_MASS = Fraction("441.40")

# (code, unit): analyte and the exact factor to its canonical unit.
CONVERSIONS: dict[tuple[str, str], tuple[str, Fraction]] = {
    ("13964-2", "umol/L"): ("mma", Fraction(1000)),
    ("13965-9", "umol/L"): ("hcy", Fraction(1)),
    ("2132-9", "pg/mL"): ("b12", 1000 / B12_MASS),
    ("2160-0", "mg/dL"): ("creatinine", 10000 / CREATININE_MASS),
    ("2284-8", "ng/mL"): ("folate", 1000 / FOLATE_MASS),
    ("2283-0", "ng/mL"): ("red_cell_folate", 1000 / FOLATE_MASS),
}


@dataclass(frozen=True)
class Survey:
    """What the recomputation found."""

    rows_read: int
    rows_converted: int
    people: int
    adults: int
    decisions: dict[str, Decision]
    statuses: dict[str, tuple[str, str]]
    adult_counts: dict[str, int]
    adult_rule_counts: dict[str, int]


def available() -> bool:
    return (FOLDER / "labs.csv.gz").is_file() and (FOLDER / "patients.csv.gz").is_file()


def read(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def day_or_none(cell: str) -> date | None:
    return date.fromisoformat(cell) if cell else None


def convert(row: dict[str, str]) -> Result | None:
    """One row in its canonical unit; None where the code and unit are not known here."""
    known = CONVERSIONS.get((row["code"], row["unit"]))
    if known is None:
        return None
    analyte, factor = known
    cell = row["value"].strip()
    comparator = cell[0] if cell[0] in "<>" else "="
    reported = row["reported_at"]
    return Result(
        row["result_id"],
        analyte,
        comparator,
        float(Fraction(cell.lstrip("<>").strip()) * factor),
        row["status"],
        datetime.fromisoformat(row["collected_at"]),
        datetime.fromisoformat(reported) if reported else None,
        row["clinic_id"] or None,
    )


def survey(as_of: date = AS_OF) -> Survey:
    """Every person of the survey decided on one night, without conditions or medications."""
    night = Night(as_of, conditions_feed="none", medications_feed="none", mapped_groups={})
    results: dict[str, list[Result]] = defaultdict(list)
    rows_read = rows_converted = 0
    for row in read("labs.csv.gz"):
        rows_read += 1
        result = convert(row)
        if result is not None:
            rows_converted += 1
            results[row["patient_id"]].append(result)
    people = {
        row["patient_id"]: Person(
            row["patient_id"],
            day_or_none(row["birth_date"]),
            row["sex"],
            row["clinic_id"] or None,
        )
        for row in read("patients.csv.gz")
    }
    decisions = {
        patient_id: decide(
            people.get(patient_id, Person(patient_id)), results[patient_id], [], [], night
        )
        for patient_id in sorted(people.keys() | results.keys())
    }
    statuses = {
        patient_id: (d.functional_status, d.functional_status_rule_id)
        for patient_id, d in decisions.items()
        if d.functional_status is not None and d.functional_status_rule_id is not None
    }
    adults = sum(
        1 for p in people.values() if p.birth_date is not None and age_on(p.birth_date, as_of) >= 18
    )
    return Survey(
        rows_read,
        rows_converted,
        len(people),
        adults,
        decisions,
        statuses,
        dict(Counter(status for status, _ in statuses.values()).most_common()),
        dict(Counter(rule for _, rule in statuses.values()).most_common()),
    )


def main() -> None:
    if not available():
        print("NHANES 2003-2004 is not here: nothing to recompute")
        return
    found = survey()
    print(f"{found.rows_read} rows read, {found.rows_converted} converted")
    print(f"{found.people} people, {found.adults} adults on {AS_OF.isoformat()}")
    for counts in (found.adult_counts, found.adult_rule_counts):
        print(", ".join(f"{name} {n}" for name, n in counts.items()))
    rows = Counter((a.action, a.rule_id) for d in found.decisions.values() for a in d.actions)
    print(", ".join(f"{action} ({rule}) {n}" for (action, rule), n in rows.most_common()))


if __name__ == "__main__":
    main()
