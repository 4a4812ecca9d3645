"""People in, relations out: the production SQL over tables that a test writes by hand.

Every test case is one or more people; the relations are built once for all of them by ``decided``.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from b12screen.maps import load_maps
from b12screen.resources import sql_folder, sql_text
from b12screen.rules import load_ruleset
from b12screen.warehouse import Warehouse, build_order
from schemas import core, run  # noqa: F401 (declares the relations)
from schemas.relation import RELATIONS
from schemas.words import CANONICAL_UNITS

D = date(2026, 11, 20)
Row = dict[str, Any]


def ago(days: int) -> date:
    """The day so many days before the night."""
    return D - timedelta(days=days)


@dataclass
class Person:
    """One person's records, written the short way: ``Person("p").result("mma", 412, ago(10))``."""

    patient_id: str
    birth_date: date | None = date(1956, 5, 17)
    sex: str = "female"
    clinic_id: str | None = "C1"
    opted_out: bool = False
    deceased_on: date | None = None
    in_patients: bool = True
    results: list[Row] = field(default_factory=list)
    conditions: list[Row] = field(default_factory=list)
    medications: list[Row] = field(default_factory=list)

    def result(
        self,
        analyte: str,
        value: float | None,
        on: date | datetime,
        comparator: str = "=",
        status: str = "final",
        **more: Any,
    ) -> "Person":
        at = on if isinstance(on, datetime) else datetime.combine(on, time())
        row = {
            "analyte": analyte,
            "value": value,
            "comparator": comparator,
            "status": status,
            "collected_at": at,
            "collected_on": at.date(),
            "unit": CANONICAL_UNITS[analyte],
        }
        self.results.append(row | more)
        return self

    def code(
        self, code: str, on: date, resolved_on: date | None = None, system: str = "icd10cm"
    ) -> "Person":
        self.conditions.append(
            {"code": code, "code_system": system, "recorded_on": on, "resolved_on": resolved_on}
        )
        return self

    def injection(self, *days: date, code: str = "B03BA03", **more: Any) -> "Person":
        for day in days:
            self.medication(code, day, kind="administration", route="im", **more)
        return self

    def tablets(self, start: date, end: date | None = None, **more: Any) -> "Person":
        more = {"code": "B03BA01", "dose": 1.0, "dose_unit": "mg", "route": "oral"} | more
        return self.medication(more.pop("code"), start, ended_on=end, **more)

    def medication(self, code: str, on: date, kind: str = "prescription", **more: Any) -> "Person":
        row = {"code": code, "code_system": "atc", "kind": kind, "started_on": on}
        self.medications.append(row | more)
        return self


class Decided:
    """The relations of one night, asked by person."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse

    def rows(self, relation: str, patient_id: str) -> list[Row]:
        frame = self.warehouse.frame(
            f"SELECT * FROM {relation} WHERE patient_id = $1 ORDER BY ALL", [patient_id]
        )
        return frame.to_dicts()

    def row(self, relation: str, patient_id: str) -> Row:
        (row,) = self.rows(relation, patient_id)
        return row

    def facts(self, patient_id: str) -> Row:
        return self.row("facts.patient", patient_id)

    def status(self, patient_id: str) -> tuple[str, str]:
        row = self.row("decisions.functional_status", patient_id)
        return row["rule_id"], row["functional_status"]

    def actions(self, patient_id: str) -> dict[str, tuple[str, int]]:
        return {
            row["action"]: (row["rule_id"], row["priority"])
            for row in self.rows("decisions.action", patient_id)
        }

    def listed(self, patient_id: str, action: str) -> Row:
        (row,) = (
            row for row in self.rows("worklists.listed", patient_id) if row["action"] == action
        )
        return row


Decide = Callable[..., Decided]
SCHEMAS = ("facts", "decisions", "worklists")
# What becomes of rows from night to night is tried in tests/night, over nights.
OF_ONE_NIGHT = {"worklists.listed"}


def write_core(warehouse: Warehouse, people: tuple[Person, ...]) -> None:
    serial = itertools.count(1)
    source: Row = {"file_name": "labs.csv", "taken_for": D}
    for name in ("core.patient", "core.lab_result", "core.condition", "core.medication"):
        warehouse.create([name])
    for person in people:
        who = {"patient_id": person.patient_id}
        if person.in_patients:
            put(
                warehouse,
                "core.patient",
                source
                | who
                | {
                    "birth_date": person.birth_date,
                    "sex": person.sex,
                    "clinic_id": person.clinic_id,
                    "opted_out": person.opted_out,
                    "deceased_on": person.deceased_on,
                    "record": next(serial),
                },
            )
        for row in person.results:
            n = next(serial)
            given: Row = {"result_id": f"r{n:06d}", "laboratory": "main", "code": "x", "record": n}
            put(warehouse, "core.lab_result", source | who | given | row)
        for row in person.conditions:
            put(warehouse, "core.condition", source | who | {"record": next(serial)} | row)
        for row in person.medications:
            n = next(serial)
            put(
                warehouse,
                "core.medication",
                source | who | {"medication_id": f"m{n:06d}", "record": n} | row,
            )


def put(warehouse: Warehouse, relation: str, row: Row) -> None:
    names = list(RELATIONS[relation].columns)
    unknown = row.keys() - set(names)
    assert not unknown, unknown
    marks = ", ".join("?" for _ in names)
    warehouse.execute(
        f"INSERT INTO {relation} ({', '.join(names)}) VALUES ({marks})",
        [row.get(name) for name in names],
    )


def build(warehouse: Warehouse) -> None:
    """Every relation of this part, the working ones kept as well."""
    warehouse.define(sql_text("macros.sql"))
    selects = {
        f"{schema}.{path.stem}": path.read_text(encoding="utf-8")
        for schema in SCHEMAS
        for path in sorted((sql_folder() / schema).glob("*.sql"))
    }
    for schema in SCHEMAS:
        warehouse.execute(f"CREATE SCHEMA {schema}")
    for name in build_order(selects):
        if not name.startswith("worklists.") or name in OF_ONE_NIGHT:
            warehouse.execute(f"CREATE TABLE {name} AS {selects[name]}")


@pytest.fixture(scope="session")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decide]:
    """Decide a night for some people: ``decided(person, …, conditions_feed="none")``."""
    folder = tmp_path_factory.mktemp("nights")
    rules, maps = load_ruleset("praxis-2025").tables(), load_maps().tables()
    opened: list[Warehouse] = []

    def decide(
        *people: Person, as_of: date = D, feed_system: str = "icd10cm", **night: Any
    ) -> Decided:
        warehouse = Warehouse.open(folder / f"night{len(opened)}.duckdb", threads=1)
        opened.append(warehouse)
        for schema, tables in (("rules", rules), ("map", maps)):
            for name, frame in tables.items():
                warehouse.write(f"{schema}.{name}", frame)
        warehouse.create(["run.night"])
        declared = RELATIONS["run.night"].columns
        plain: Row = {
            "as_of": as_of,
            "run_id": f"{as_of}.1",
            "ruleset": "praxis-2025",
            "version": "0",
            "timezone": "UTC",
            "started_at": datetime.combine(as_of, time(2)),
        }
        plain |= {name: 0 for name in declared if name.startswith("n_")}
        plain |= {name: "fresh" for name in declared if name.endswith("_feed")}
        put(warehouse, "run.night", plain | night)
        # A feed that has coded somebody, so that nothing recorded means something.
        bystander = Person("bystander").code("I10", ago(3), system=feed_system)
        write_core(warehouse, (*people, bystander))
        build(warehouse)
        return Decided(warehouse)

    yield decide
    for warehouse in opened:
        warehouse.close()
