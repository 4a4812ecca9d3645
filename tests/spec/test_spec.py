"""The scenarios of this folder, each through a real night: extracts in, published file out."""

import csv
import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from b12screen import rules
from b12screen.night import run_night
from b12screen.rules import Ruleset, load_ruleset, shipped_rulesets
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse
from tests.spec.reading import Night, Row, Scenario, day, extracts, read_scenarios, write_extracts

RULES = Path(rules.__file__).parent
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
# RW1 answers to a row that a clinic has already been sent and that a later night takes back. No
# night lists it by itself, so no scenario of one night can show it.
OF_LATER_NIGHTS = {"RW1"}

Published = dict[str, dict[str, list[dict[str, Any]]]]
Publish = Callable[[Night], Published]


def published(night: Night, site: Path) -> Published:
    """Run the night of all its scenarios; every published row by patient and relation."""
    make_site(site)
    first = f'ruleset = "{night.ruleset}"\n'
    first += f"medications_complete_from = {night.complete_from}\n" if night.complete_from else ""
    (site / "b12screen.toml").write_text(first + SETTINGS, encoding="utf-8")
    people = [scenario for scenario in SCENARIOS if scenario.night == night]
    write_extracts(extracts(people, night), site / "inbox")
    result = run_night(site, night.as_of, datetime(2026, 1, 1), lambda line: None)
    found: Published = defaultdict(lambda: defaultdict(list))
    with Warehouse.open(result.published / "b12screen.duckdb", read_only=True) as warehouse:
        rejected = warehouse.rows("SELECT file_name, check_name FROM core.reject")
        for name, relation in RELATIONS.items():
            for row in warehouse.frame(f"SELECT * FROM {relation}").iter_rows(named=True):
                found[row["patient_id"]][name].append(row)
    assert not rejected, f"the extracts of {night} have rejected rows: {rejected}"
    for sheet in sorted((result.published / "worklists").glob("*.csv")):
        with sheet.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                found[row["patient_id"]]["sheet"].append({"name": sheet.name})
    return found


@pytest.fixture(scope="module")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Each night is run once, when the first of its scenarios asks for it."""
    done: dict[Night, Published] = {}

    def of(night: Night) -> Published:
        if night not in done:
            done[night] = published(night, tmp_path_factory.mktemp("spec") / "site")
        return done[night]

    return of


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
    items = [row for row in rows["item"] if row["action"] == action]
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
        for relation in ("screening", "status", "action", "response"):
            ids |= {row["rule_id"] for row in rows.get(relation, [])}
    return ids & set(scenario.rules)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_clinic_sees(scenario: Scenario, publish: Publish) -> None:
    wrong = disagreements(scenario, publish(scenario.night))
    assert not wrong, "\n".join([f"{scenario.title} ({', '.join(scenario.rules)})", *wrong])


def shown_by_its_own_page(ruleset: Ruleset, section: str, names: Iterable[str]) -> set[str]:
    """What the scenarios of a ruleset have to show: all of it, or what differs from its base."""
    if not ruleset.based_on:
        return set(names)
    return {name for name in names if f"{section}.{name}" in ruleset.own}


@pytest.mark.parametrize("name", shipped_rulesets())
def test_every_rule_decides_in_a_scenario_that_names_it(name: str, publish: Publish) -> None:
    ruleset = load_ruleset(name)
    decided = set()
    for scenario in SCENARIOS:
        if scenario.night.ruleset == name:
            decided |= deciding(scenario, publish(scenario.night))
    shown = shown_by_its_own_page(ruleset, "rules", ruleset.rules)
    assert sorted(shown - decided - OF_LATER_NIGHTS) == []


def test_no_rule_has_gone_without_a_word() -> None:
    ids = set(tomllib.loads((RULES / "ids.toml").read_text(encoding="utf-8"))["rules"])
    used = {rule for name in shipped_rulesets() for rule in load_ruleset(name).rules}
    assert sorted(ids - used) == []


def test_every_rule_that_is_named_exists() -> None:
    rules = {name: load_ruleset(name).rules for name in shipped_rulesets()}
    for scenario in SCENARIOS:
        unknown = set(scenario.rules) - set(rules[scenario.night.ruleset])
        assert not unknown, f"{scenario.file}:{scenario.line} names {sorted(unknown)}"


@pytest.mark.parametrize("name", shipped_rulesets())
def test_every_limit_has_a_scenario_at_it_and_another_past_it(name: str) -> None:
    ruleset = load_ruleset(name)
    kinds = {
        "thresholds": ruleset.thresholds,
        "periods": ruleset.periods,
        "quantities": ruleset.quantities,
    }
    limits = {limit for kind in kinds.values() for limit in kind}
    named: dict[str, set[str]] = {side: set() for side in ("at", "past")}
    for scenario in SCENARIOS:
        if scenario.night.ruleset != name:
            continue
        for limit, side in scenario.limits:
            named[side].add(limit)
            assert limit in limits, f"{scenario.file}:{scenario.line} names {limit}, no limit"
        sides = [limit for limit, _ in scenario.limits]
        assert len(sides) == len(set(sides)), f"{scenario.file}:{scenario.line} is both sides"
    shown = set()
    for kind, limits_of_kind in kinds.items():
        shown |= shown_by_its_own_page(ruleset, kind, limits_of_kind)
    lacking = {side: sorted(shown - names) for side, names in named.items()}
    assert lacking == {"at": [], "past": []}
