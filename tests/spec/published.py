"""The scenarios of this folder through real nights: what is published, and where it differs."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse
from tests.spec.reading import (
    Night,
    Row,
    Scenario,
    answers,
    day,
    extracts,
    known,
    read_scenarios,
    write_extracts,
)

SCENARIOS = read_scenarios(Path(__file__).parent)
SETTINGS = """
[laboratories.main]
code_system = "local"
[laboratories.main.tests.holotc]
analyte = "holotc"
unit = "pmol/L"
"""
RELATIONS = {
    "screening": "decisions.screening",
    "facts": "facts.patient",
    "status": "decisions.functional_status",
    "action": "decisions.action",
    "recheck": "decisions.recheck",
    "response": "decisions.response",
    "item": "worklists.item",
}
# column of a `Then` table: relation, column there; every other column is a fact
COLUMNS = {
    "route": ("screening", "route"),
    "route rule": ("screening", "rule_id"),
    "functional_status": ("status", "functional_status"),
    "rule": ("status", "rule_id"),
    "milestone": ("recheck", "milestone"),
    "due on": ("recheck", "due_on"),
    "recheck": ("recheck", "recheck_state"),
    "days overdue": ("recheck", "days_overdue"),
    "missing": ("recheck", "missing"),
    "missed before": ("recheck", "n_missed"),
    "response": ("response", "response"),
    "response rule": ("response", "rule_id"),
    "MMA fall": ("response", "mma_fall_pct"),
    "homocysteine fall": ("response", "hcy_fall_pct"),
}

Published = dict[str, dict[str, list[dict[str, Any]]]]


def nights() -> Iterator[Night]:
    """Every night of the scenarios once, that of the most scenarios first."""
    count = dict.fromkeys(dict.fromkeys(scenario.night for scenario in SCENARIOS), 0)
    for scenario in SCENARIOS:
        count[scenario.night] += 1
    yield from sorted(count, key=lambda night: -count[night])


def of_night(night: Night) -> list[Scenario]:
    return [scenario for scenario in SCENARIOS if scenario.night == night]


def run(night: Night, site: Path) -> Path:
    """Run the night of all its scenarios; the folder that it published."""
    make_site(site)
    first = f'ruleset = "{night.ruleset}"\n'
    first += f"medications_complete_from = {night.complete_from}\n" if night.complete_from else ""
    (site / "b12screen.toml").write_text(first + SETTINGS, encoding="utf-8")
    scenarios = of_night(night)
    given = extracts(scenarios, night)
    if night.earlier is not None:
        write_extracts(known(given, night.earlier), site / "inbox", "earlier")
        folder = run_night(site, night.earlier, datetime(2026, 1, 1), lambda line: None).published
        given["feedback"] = answers(scenarios, item_ids(folder))
    write_extracts(given, site / "inbox")
    return run_night(site, night.as_of, datetime(2026, 1, 1), lambda line: None).published


def item_ids(folder: Path) -> dict[tuple[str, str], str]:
    """The item of each person and action that a night listed."""
    with Warehouse.open(folder / "b12screen.duckdb", read_only=True) as warehouse:
        rows = warehouse.rows("SELECT patient_id, action, item_id FROM worklists.item")
    return {(patient_id, action): item_id for patient_id, action, item_id in rows}


def published(night: Night, site: Path) -> Published:
    """Run the night of all its scenarios; every published row by patient and relation."""
    folder = run(night, site)
    with Warehouse.open(folder / "b12screen.duckdb", read_only=True) as warehouse:
        rejected = warehouse.rows("SELECT file_name, check_name FROM core.reject")
        assert not rejected, f"the extracts of {night} have rejected rows: {rejected}"
        return rows_of(warehouse, folder / "worklists")


def rows_of(warehouse: Warehouse, worklists: Path) -> Published:
    """Every row of an open database and of its sheets, by patient and relation."""
    found: Published = defaultdict(lambda: defaultdict(list))
    for name, relation in RELATIONS.items():
        for row in warehouse.frame(f"SELECT * FROM {relation}").iter_rows(named=True):
            found[row["patient_id"]][name].append(row)
    for sheet in sorted(worklists.glob("*.csv")):
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                found[row["patient_id"]]["sheet"].append({"name": sheet.name})
    return found


def action_words(rows: list[dict[str, Any]]) -> set[str]:
    return {f"{row['rule_id']} {row['action']} ({row['priority']})" for row in rows}


def same(expected: str, found: Any, as_of: date) -> bool:
    """A cell says what is published; `-` says that nothing is, `not yes` that something else is."""
    if expected.startswith("not "):
        return not same(expected.removeprefix("not "), found, as_of)
    if found is None or expected == "-":
        return found is None and expected == "-"
    if isinstance(found, bool):
        return expected == ("yes" if found else "no")
    if isinstance(found, date):
        return found == day(expected, as_of)
    if isinstance(found, int | float):
        return abs(float(expected) - found) < 0.05
    return bool(found == ("" if expected == "nothing" else expected))


def disagreement(column: str, expected: str, rows: dict[str, Any], as_of: date) -> str | None:
    """What a cell of a `Then` table says and the night does not."""
    actions = action_words(rows["action"])
    stated = set() if expected == "none" else set(expected.split(", "))
    if column == "actions":
        found: Any = ", ".join(sorted(actions)) or "none"
        agrees = stated == actions
    elif column == "lists":
        found, agrees = ", ".join(sorted(actions)) or "none", stated <= actions
    elif column == "does not list":
        found = ", ".join(sorted(actions)) or "none"
        agrees = not stated & {row["action"] for row in rows["action"]}
    elif column == "sheet":
        names = {row["name"] for row in rows["sheet"]}
        found, agrees = ", ".join(sorted(names)) or "none", stated == names
    else:
        relation, name = COLUMNS.get(column, ("facts", column))
        row = rows[relation][0] if rows[relation] else None
        if row is not None and name not in row:
            return f"{column}: no such column"
        found = None if row is None else row[name]
        agrees = same(expected, found, as_of)
    return None if agrees else f"{column}: {expected} expected, {found} published"


def wrong_row(cells: Row, rows: dict[str, Any], as_of: date) -> list[str]:
    """What a `Then row` table says of one listed action and its item does not."""
    action = cells["action"]
    items = [
        row
        for row in rows["item"]
        if row["action"] == action and row["close_reason"] not in ("moved", "not_our_patient")
    ]
    if len(items) != 1:
        return [f"{action}: {len(items)} rows"]
    wrong = []
    for column, expected in cells.items():
        if column == "action" or not expected:
            continue
        name, _, verb = column.partition(" ")
        found = items[0][name]
        for part in expected.split(" … "):
            if verb == "holds":
                agrees = dated(part, as_of) in str(found)
            elif verb == "lacks":
                agrees = part not in str(found)
            else:
                agrees = same(part, found, as_of)
            if not agrees:
                wrong.append(f"{action} {column}: {part} expected, {found} published")
    return wrong


def dated(text: str, as_of: date) -> str:
    """Days of the night written as `{-20 d}` inside a text."""
    return re.sub(r"\{([^}]+)\}", lambda found: day(found[1], as_of).isoformat(), text)


def disagreements(scenario: Scenario, found: Published) -> list[str]:
    as_of = scenario.night.as_of
    wrong = []
    for line, name, cells in scenario.then("Then"):
        rows = found.get(scenario.patient_id(name), defaultdict(list))
        said = [disagreement(c, cell, rows, as_of) for c, cell in cells.items() if cell]
        wrong += [f"{scenario.file}:{line} {name} {text}" for text in said if text]
    for line, name, cells in scenario.then("Then row"):
        rows = found.get(scenario.patient_id(name), defaultdict(list))
        said_of_row = wrong_row(cells, rows, as_of)
        wrong += [f"{scenario.file}:{line} {name} {text}" for text in said_of_row]
    return wrong


def deciding(scenario: Scenario, found: Published) -> set[str]:
    """The rules that a scenario names and that decided about one of its people."""
    ids = set()
    for name in scenario.names():
        rows = found.get(scenario.patient_id(name), {})
        for relation in ("screening", "status", "action", "response", "item"):
            ids |= {row["rule_id"] for row in rows.get(relation, [])}
    return ids & set(scenario.rules)
