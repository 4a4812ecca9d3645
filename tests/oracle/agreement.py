"""Generated people through a real night, and what the night says otherwise than the oracle.

`python -m tests.oracle` soaks; `test_agreement.py` and `tests/mutation` compare in the same way.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse
from tests.oracle.generate import Population, Subject
from tests.oracle.oracle import compare_rows, decide

SETTINGS = """
[laboratories.main]
code_system = "local"
[laboratories.main.tests.holotc]
analyte = "holotc"
unit = "pmol/L"
"""
PARTS = ("screening", "facts", "functional_status", "recheck", "response")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Disagreement:
    """One person of whom the two say something else: (part, name, oracle, SQL) for each place."""

    subject: Subject
    places: tuple[tuple[str, str, Any, Any], ...]

    def lines(self) -> list[str]:
        return [
            f"{self.subject.patient_id} {part}.{name}: {oracle} / {sql}"
            for part, name, oracle, sql in self.places
        ]


def night_of(population: Population, site: Path) -> Path:
    """Publish the night of the generated people; the path of the published database."""
    make_site(site)
    complete_from = population.night.medications_complete_from
    first = f"medications_complete_from = {complete_from}\n" if complete_from else ""
    (site / "b12screen.toml").write_text(first + SETTINGS, encoding="utf-8")
    for kind, rows in population.rows().items():
        with (site / "inbox" / f"{kind}.csv").open("w", encoding="utf-8", newline="") as file:
            sheet = csv.DictWriter(file, fieldnames=list(rows[0]))
            sheet.writeheader()
            sheet.writerows(rows)
    as_of = population.night.as_of
    result = run_night(site, as_of, datetime(2026, 1, 1), lambda line: None)
    return result.published / "b12screen.duckdb"


def published(database: Path) -> dict[str, dict[str, Any]]:
    """What a published night decided, in the words of ``compare_rows``, by patient."""
    with Warehouse.open(database, read_only=True) as warehouse:
        return decided(warehouse)


def decided(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """What the relations of an open database say, in the words of ``compare_rows``, by patient."""
    rows = {
        row["patient_id"]: {
            "screening": {"route": row["route"], "rule_id": row["rule_id"]},
            "facts": {},
            "functional_status": None,
            "actions": set(),
            "recheck": None,
            "response": None,
        }
        for row in warehouse.frame("SELECT * FROM decisions.screening").iter_rows(named=True)
    }
    for row in warehouse.frame("SELECT * FROM facts.patient").iter_rows(named=True):
        rows[row["patient_id"]]["facts"] = row
    for row in warehouse.frame("SELECT * FROM decisions.functional_status").iter_rows(named=True):
        rows[row["patient_id"]]["functional_status"] = row
    for row in warehouse.frame("SELECT * FROM decisions.action").iter_rows(named=True):
        rows[row["patient_id"]]["actions"].add((row["action"], row["rule_id"], row["priority"]))
    for relation in ("recheck", "response"):
        frame = warehouse.frame(f"SELECT * FROM decisions.{relation}")
        for row in frame.iter_rows(named=True):
            rows[row["patient_id"]][relation] = row
    return rows


def places(expected: Row, found: Row) -> Iterator[tuple[str, str, Any, Any]]:
    """Every place where the two say something else: part, name, what the oracle says, what SQL."""
    for part in PARTS:
        oracle, sql = expected[part], found[part]
        if not oracle or not sql:
            if bool(oracle) != bool(sql):
                yield part, "", oracle, sql
            continue
        for name, word in oracle.items():
            said = sql.get(name)
            if isinstance(said, date):
                said = said.isoformat()
            if isinstance(word, float) and isinstance(said, float):
                same = abs(word - said) < 1e-6
            else:
                same = word == said
            if name == "ckd_chronic":
                same = (word == "yes") == (said == "yes")
            if not same:
                yield part, name, word, said
    if expected["actions"] != found["actions"]:
        yield "actions", "", expected["actions"], found["actions"]


def expectations(population: Population) -> Iterator[tuple[Subject, Row]]:
    """What the oracle says of everybody."""
    for subject in population.subjects:
        decision = decide(
            subject.as_person(),
            subject.results,
            subject.conditions,
            subject.medications,
            population.night,
        )
        yield subject, compare_rows(decision)


def disagreements(population: Population, found: Mapping[str, Row]) -> Iterator[Disagreement]:
    """Everybody of whom the night says something else than the oracle, or nothing at all."""
    for subject, expected in expectations(population):
        if subject.patient_id not in found:
            yield Disagreement(subject, (("screening", "", expected["screening"], None),))
            continue
        differing = tuple(places(expected, found[subject.patient_id]))
        if differing:
            yield Disagreement(subject, differing)


def compare(population: Population, site: Path) -> tuple[int, list[Disagreement]]:
    """Number of people compared, and every disagreement."""
    found = published(night_of(population, site))
    return len(population.subjects), list(disagreements(population, found))
