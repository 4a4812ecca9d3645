"""Every mutant of a ruleset: the TOML with one limit, word, row or member changed.

No mutation library is used: they change Python; what decides here is data. A mutant is written back
as TOML, so that it goes the way of a site's own ruleset: read, checked, tabled, joined.
"""

import copy
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from b12screen.rules import Ruleset, model
from b12screen.rules.model import FORMS, PERIOD_UNITS

# The smallest step that a laboratory, a drug chart or a birthday can show; limits step by a tenth.
TENTH = 0.1
STEPS = {
    "years": 1,
    "ratio": 0.01,
    "results": 1,
    "doses": 1,
    "%": 1,
    "mg": 0.01,
}
ANTIDOTE_STEP = 1
LARGE = 1.5
# Not the 12 of B12, which is a name.
_NUMBER = re.compile(r"\b\d+(?:\.\d+)?")

Toml = dict[str, Any]


@dataclass(frozen=True)
class Mutant:
    """One change: its kind, a name that says what was changed into what, and the changed TOML."""

    kind: str
    name: str
    toml: Toml


def as_toml(given: Toml) -> bytes:
    """A ruleset written back; every table of the top as one inline value."""
    return "".join(f"{key} = {_value(each)}\n" for key, each in given.items()).encode()


def read_back(mutant: Mutant) -> tuple[Ruleset | None, tuple[str, ...]]:
    """The ruleset of a mutant, read as a site's own is, and what reading it finds."""
    return model.read(as_toml(mutant.toml), lambda name: None)


def _value(each: object) -> str:
    if isinstance(each, dict):
        return f"{{ {', '.join(f'{key} = {_value(inner)}' for key, inner in each.items())} }}"
    if isinstance(each, list):
        return f"[{', '.join(map(_value, each))}]"
    return each.isoformat() if isinstance(each, date) else json.dumps(each, ensure_ascii=False)


def mutants(shipped: Toml) -> Iterator[Mutant]:
    """Every mutant, in the order of the file; no two have one name."""
    for make in (
        _thresholds,
        _periods,
        _quantities,
        _milestones,
        _panel,
        _sets,
        _rules,
        _texts,
        _tables,
    ):
        yield from make(_Changer(shipped))


class _Changer:
    """Makes a mutant by the place of the change and what stands there then; the rest is shared."""

    def __init__(self, shipped: Toml) -> None:
        self.shipped = shipped

    def at(self, kind: str, path: tuple[Any, ...], new: object, said: str = "") -> Mutant:
        """The value at a path replaced; `None` takes the key or the member out."""
        changed = copy.copy(self.shipped)
        place: Any = changed
        *way, last = path
        for step in way:
            place[step] = copy.copy(place[step])
            place = place[step]
        before = place.get(last) if isinstance(place, dict) else place[last]
        if new is None:
            del place[last]
        else:
            place[last] = new
        what = said or (f"{_plain(before)} -> {_plain(new)}" if new is not None else "taken out")
        return Mutant(kind, f"{_named(path)}: {what}", changed)


def _named(path: tuple[Any, ...]) -> str:
    return ".".join(str(step + 1 if isinstance(step, int) else step) for step in path)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return "any" if value is None else str(value)


def _rounded(number: float) -> float:
    return float(f"{number:.6g}")


def _thresholds(change: _Changer) -> Iterator[Mutant]:
    units = sorted({each["unit"] for each in change.shipped["thresholds"].values()})
    of_analyte = {each["analyte"] for each in change.shipped["thresholds"].values()}
    for name, limit in change.shipped["thresholds"].items():
        here, value = ("thresholds", name), limit["value"]
        for step in (-TENTH, TENTH):
            yield change.at("limit, small step", (*here, "value"), _rounded(value + step))
        for factor in (1 / LARGE, LARGE):
            yield change.at("limit, large step", (*here, "value"), _rounded(value * factor))
        for form in FORMS:
            if form != limit["form"]:
                yield change.at("comparison form", (*here, "form"), form)
        for unit in units:
            if unit != limit["unit"]:
                yield change.at("unit of a limit", (*here, "unit"), unit)
        for analyte in sorted(of_analyte - {limit["analyte"]}):
            yield change.at("analyte of a limit", (*here, "analyte"), analyte)


def _periods(change: _Changer) -> Iterator[Mutant]:
    for name, period in change.shipped["periods"].items():
        here, n = ("periods", name), period["n"]
        for changed in (n - 1, n + 1):
            yield change.at("period, one more or less", (*here, "n"), changed)
        for changed in (max(1, n // 2), n * 2):
            if changed != n - 1:
                yield change.at("period, half or double", (*here, "n"), changed)
        (other,) = set(PERIOD_UNITS) - {period["unit"]}
        yield change.at("unit of a period", (*here, "unit"), other)


def _quantities(change: _Changer) -> Iterator[Mutant]:
    for name, quantity in change.shipped["quantities"].items():
        here, value = ("quantities", name), quantity["value"]
        step = ANTIDOTE_STEP if name == "antidote_dose" else STEPS[quantity["unit"]]
        for changed in (value - step, value + step):
            yield change.at("quantity, small step", (*here, "value"), _rounded(changed))
        for factor in (1 / LARGE, LARGE):
            if abs(value * factor - value) > step:
                yield change.at("quantity, large step", (*here, "value"), _rounded(value * factor))
        for unit in STEPS:
            if unit != quantity["unit"]:
                yield change.at("unit of a quantity", (*here, "unit"), unit)


def _milestones(change: _Changer) -> Iterator[Mutant]:
    for number, milestone in enumerate(change.shipped["milestones"]):
        here = ("milestones", number)
        for months in (milestone["months"] - 1, milestone["months"] + 1):
            yield change.at("milestone", (*here, "months"), months)
        yield change.at("milestone", (*here, "yearly_from"), not milestone.get("yearly_from"))
        yield change.at("milestone", (*here, "milestone"), f"{milestone['months'] + 1} months")
        yield change.at("milestone", here, None)


def _panel(change: _Changer) -> Iterator[Mutant]:
    tests = change.shipped["panel"]["tests"]
    for number in range(len(tests)):
        yield change.at(
            "panel member", ("panel", "tests", number), None, f"without {tests[number]}"
        )
    for more in ("holotc", "creatinine", "egfr", "folate"):
        yield change.at("panel member", ("panel", "tests"), [*tests, more], f"with {more}")
    for number in range(len(tests) - 1):
        swapped = _swapped(tests, number)
        yield change.at("panel order", ("panel", "tests"), swapped, f"order {' '.join(swapped)}")


def _sets(change: _Changer) -> Iterator[Mutant]:
    listing = [name for name, rule in change.shipped["rules"].items() if "action" in rule]
    for name, members in change.shipped["sets"].items():
        for member in members:
            rest = [each for each in members if each != member]
            yield change.at("set member left out", ("sets", name), rest, f"without {member}")
        for member in listing:
            if member not in members:
                more = [*members, member]
                yield change.at("set member added", ("sets", name), more, f"with {member}")


def _rules(change: _Changer) -> Iterator[Mutant]:
    rules = change.shipped["rules"]
    actions = change.shipped["words"]["action"]["words"]
    for name, rule in rules.items():
        here = ("rules", name)
        if "priority" in rule:
            for priority in (rule["priority"] - 1, rule["priority"] + 1):
                yield change.at("priority of a rule", (*here, "priority"), priority)
        if "action" in rule:
            other = actions[(actions.index(rule["action"]) + 1) % len(actions)]
            yield change.at("action of a rule", (*here, "action"), other)
    listing = [name for name, rule in rules.items() if "action" in rule]
    for first, second in itertools.pairwise(listing):
        order = {first: second, second: first}
        swapped = {order.get(name, name): rules[order.get(name, name)] for name in rules}
        yield change.at("order of rules", ("rules",), swapped, f"{second} before {first}")


def _texts(change: _Changer) -> Iterator[Mutant]:
    texts = {("fragments", name): text for name, text in change.shipped["fragments"].items()}
    texts |= {
        ("rules", name, "text"): rule["text"]
        for name, rule in change.shipped["rules"].items()
        if "text" in rule
    }
    for path, text in texts.items():
        for number, found in enumerate(_NUMBER.finditer(text), start=1):
            before, after = found[0], f"{float(found[0]) + 1:g}"
            start, end = found.span()
            said = f"number {number}, {before} -> {after}"
            yield change.at("number in a text", path, text[:start] + after + text[end:], said)


def _tables(change: _Changer) -> Iterator[Mutant]:
    for name, table in change.shipped["tables"].items():
        here, lines = ("tables", name), table["lines"]
        gives = change.shipped["words"][table["gives"]]["words"]
        rules = list(dict.fromkeys(line["rule"] for line in lines))
        for number, line in enumerate(lines):
            place = (*here, "lines", number)
            said = f"{line['rule']} taken out"
            yield change.at("row left out", place, None, said)
            yield from _conditions(change, place, line, table["asks"])
            for outcome in _neighbours(gives, line["outcome"]):
                yield change.at("result word of a row", (*place, "outcome"), outcome)
            for rule in _neighbours(rules, line["rule"]):
                yield change.at("rule of a row", (*place, "rule"), rule)
            yield from _priorities(change, place, line)
            if number + 1 < len(lines):
                swapped = _swapped(lines, number)
                said = f"row {number + 2} before row {number + 1}"
                yield change.at("rows swapped", (*here, "lines"), swapped, said)
        if "otherwise" in table:
            yield change.at("what is left otherwise", (*here, "otherwise"), None)
            for outcome in _neighbours(gives, table["otherwise"]):
                yield change.at("what is left otherwise", (*here, "otherwise"), outcome)
        for ask in table.get("unknown_as", {}):
            yield change.at("unknown said aloud", (*here, "unknown_as", ask), None)


def _conditions(
    change: _Changer, place: tuple[Any, ...], line: Toml, asks: list[str]
) -> Iterator[Mutant]:
    """Every word of a condition left out, another one let in, another one instead, and any word."""
    for ask in asks:
        if ask not in line.get("when", {}):
            continue
        here = (*place, "when", ask)
        stated = line["when"][ask]
        words = [stated] if isinstance(stated, str) else stated
        yield change.at("condition", here, None, f"{_plain(stated)} -> any")
        others = [each for each in change.shipped["words"][ask]["words"] if each not in words]
        for word in others:
            yield change.at("condition", here, [*words, word])
            yield change.at("condition", here, word)
        if len(words) > 1:
            for word in words:
                yield change.at("condition", here, [each for each in words if each != word])


def _priorities(change: _Changer, place: tuple[Any, ...], line: Toml) -> Iterator[Mutant]:
    """The priority that a row gives itself, one more, one less, and that of its rule instead."""
    of_rule = change.shipped["rules"][line["rule"]].get("priority")
    stated = line.get("priority", of_rule)
    if stated is None or change.shipped["tables"][place[1]]["gives"] != "action":
        return
    for priority in (stated - 1, stated + 1):
        yield change.at("priority of a row", (*place, "priority"), priority)
    if "priority" in line:
        yield change.at("priority of a row", (*place, "priority"), None)


def _neighbours(words: list[str], word: str) -> list[str]:
    """The word before and the word after in a list that is a circle."""
    if word not in words:
        return words[:1]
    place = words.index(word)
    found = (words[place - 1], words[(place + 1) % len(words)])
    return [each for each in dict.fromkeys(found) if each != word]


def _swapped(items: list[Any], number: int) -> list[Any]:
    return [*items[:number], items[number + 1], items[number], *items[number + 2 :]]
