"""Reads the scenarios of this folder: Markdown in, people and expectations out.

The form is in `README.md`. A cell that cannot be understood raises with its file and line: a
scenario that is silently left out proves nothing.
"""

import csv
import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

Row = dict[str, str]

# label in a table: code system, code, unit
TESTS = {
    "MMA": ("loinc", "13964-2", "nmol/L"),
    "homocysteine": ("loinc", "13965-9", "umol/L"),
    "total B12": ("loinc", "14685-2", "pmol/L"),
    "active B12": ("local", "holotc", "pmol/L"),
    "eGFR": ("loinc", "98979-8", "mL/min/{1.73_m2}"),
    "creatinine": ("loinc", "14682-9", "umol/L"),
    "creatinine in mg/dL": ("loinc", "2160-0", "mg/dL"),
    "Hb": ("loinc", "718-7", "g/L"),
    "MCV": ("loinc", "787-2", "fL"),
    "folate": ("loinc", "14732-2", "nmol/L"),
}
DRUGS = {
    "hydroxocobalamin": "B03BA03",
    "cyanocobalamin": "B03BA01",
    "methylcobalamin": "B03BA05",
    "cobamamide": "B03BA04",
    "folic acid": "B03BB01",
}
# how it is given: kind of row, route
GIVEN = {
    "injection": ("administration", "im"),
    "subcutaneous injection": ("administration", "sc"),
    "infusion": ("administration", "iv"),
    "administration": ("administration", ""),
    "swallowed once": ("administration", "oral"),
    "under the tongue once": ("administration", "sublingual"),
    "sprayed once": ("administration", "nasal"),
    "prescribed injection": ("prescription", "im"),
    "prescribed subcutaneous injection": ("prescription", "sc"),
    "prescription": ("prescription", ""),
    "tablets": ("prescription", "oral"),
    "sublingual tablets": ("prescription", "sublingual"),
    "nasal spray": ("prescription", "nasal"),
}
# Codes of products, which say more than a substance.
PRODUCTS = {
    "cyanocobalamin 50 ug tablet": ("snomed", "327545000"),
    "cyanocobalamin for injection": ("rxnorm", "309594"),
}
PATIENT_COLUMNS = ("birth date", "sex", "clinic", "opted out", "died", "in patients")
RESULT_COLUMNS = ("on", "status", "reported", "id", "code", *TESTS)
CONDITION_COLUMNS = ("code", "recorded", "resolved", "system")
MEDICATION_COLUMNS = ("drug", "given", "dose", "from", "to")
ANSWER_COLUMNS = ("action", "decision", "until", "decided", "sheet")
GIVENS = {
    "Given patients": PATIENT_COLUMNS,
    "Given results": RESULT_COLUMNS,
    "Given conditions": CONDITION_COLUMNS,
    "Given medications": MEDICATION_COLUMNS,
    "Given answers": ANSWER_COLUMNS,
}
THENS = ("Then", "Then row")
DEFAULT_PATIENT = {"birth date": "1956-05-17", "sex": "female", "clinic": "C1"}
DEFAULT_RULESET = "praxis-2025"
BYSTANDER = "bystander"

_TERM = re.compile(r"([+-]?)(\d+) (d|mo)\b")


@dataclass(frozen=True)
class Night:
    """What the scenarios below a heading share; every distinct one is run once."""

    as_of: date
    without: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    condition_system: str = "icd10cm"
    complete_from: date | None = None
    ruleset: str = DEFAULT_RULESET
    earlier: date | None = None


@dataclass(frozen=True)
class Table:
    """A table of a scenario: its kind is the first header cell, its rows know their line."""

    kind: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, str, Row], ...]


@dataclass
class Scenario:
    """One sentence and its people; `number` keeps them apart from those of all others."""

    title: str
    file: str
    line: int
    number: int
    night: Night
    rules: tuple[str, ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    tables: list[Table] = field(default_factory=list)

    def patient_id(self, name: str) -> str:
        return f"{self.number:03d}-{name}"

    def names(self) -> list[str]:
        return sorted({name for table in self.tables for _, name, _ in table.rows})

    def then(self, kind: str) -> Iterator[tuple[int, str, Row]]:
        for table in self.tables:
            if table.kind == kind:
                yield from table.rows


class Unreadable(Exception):
    """A scenario that means nothing, with its file and line."""


def read_scenarios(folder: Path) -> list[Scenario]:
    """Every scenario of the folder, in the order of the pages."""
    scenarios: list[Scenario] = []
    for path in sorted(folder.glob("[0-9]*.md")):
        scenarios += _read_page(path, len(scenarios))
    titles = [scenario.title for scenario in scenarios]
    twice = sorted({title for title in titles if titles.count(title) > 1})
    if twice:
        raise Unreadable(f"two scenarios have one title: {twice}")
    return scenarios


def _read_page(path: Path, n_before: int) -> list[Scenario]:
    of_page: Night | None = None
    night: Night | None = None
    ruleset = DEFAULT_RULESET
    scenarios: list[Scenario] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    table: list[tuple[int, list[str]]] = []
    for number, line in enumerate([*lines, ""], start=1):
        where = f"{path.name}:{number}"
        if line.startswith("|"):
            table.append((number, [cell.strip() for cell in line.strip().strip("|").split("|")]))
            continue
        if table and scenarios:
            scenarios[-1].tables.append(_table(path.name, table))
        table = []
        if line.startswith("## "):
            night = of_page
        elif line.startswith("Ruleset: "):
            ruleset = line.removeprefix("Ruleset: ").strip()
        elif line.startswith("Night: "):
            night = replace(_night(line.removeprefix("Night: "), where), ruleset=ruleset)
            of_page = of_page or night
        elif line.startswith("### "):
            if night is None:
                raise Unreadable(f"{where}: a scenario before the first `Night:` line")
            title = line.removeprefix("### ").strip()
            scenarios.append(
                Scenario(title, path.name, number, n_before + len(scenarios) + 1, night)
            )
        elif line.startswith("Rules: "):
            rules, _, limits = line.removeprefix("Rules: ").partition(" · Limits: ")
            scenarios[-1].rules = tuple(rules.split(", "))
            scenarios[-1].limits = tuple(_limit(text, where) for text in limits.split(", ") if text)
    for scenario in scenarios:
        kinds = {table.kind for table in scenario.tables}
        if not scenario.rules or not kinds & set(THENS):
            raise Unreadable(
                f"{scenario.file}:{scenario.line}: no `Rules:` line or no `Then` table"
            )
    return scenarios


def _limit(text: str, where: str) -> tuple[str, str]:
    name, _, side = text.partition(" ")
    if side not in ("at", "past"):
        raise Unreadable(f"{where}: a limit is named `NAME at` or `NAME past`, not {text!r}")
    return name, side


def _night(text: str, where: str) -> Night:
    as_of, *more = [part.strip(" .") for part in text.split(";")]
    without, stale, system, complete_from, earlier = set(), set(), "icd10cm", None, None
    for part in more:
        match part.split():
            case ["without", kind]:
                without.add(kind)
            case [kind, "stale"]:
                stale.add(kind)
            case ["conditions", "coded", "in", word]:
                system = word
            case ["medications", "complete", "from", stated]:
                complete_from = date.fromisoformat(stated)
            case ["after", "the", "night", *stated]:
                earlier = day(" ".join(stated), date.fromisoformat(as_of))
            case _:
                raise Unreadable(f"{where}: {part!r} is no setting of a night")
    return Night(
        date.fromisoformat(as_of),
        frozenset(without),
        frozenset(stale),
        system,
        complete_from,
        earlier=earlier,
    )


def _table(file: str, lines: list[tuple[int, list[str]]]) -> Table:
    first, header = lines[0]
    kind, columns = header[0], tuple(header[1:])
    if kind not in GIVENS and kind not in THENS:
        raise Unreadable(f"{file}:{first}: a table begins with {[*GIVENS, *THENS]}, not {kind!r}")
    unknown = set(columns) - set(GIVENS.get(kind, columns))
    if unknown:
        raise Unreadable(f"{file}:{first}: {kind} has no columns {sorted(unknown)}")
    rows = []
    for number, cells in lines[2:]:
        if len(cells) != len(header):
            raise Unreadable(f"{file}:{number}: {len(cells)} cells under {len(header)} headers")
        rows.append((number, cells[0], dict(zip(columns, cells[1:], strict=True))))
    return Table(kind, columns, tuple(rows))


def day(text: str, as_of: date) -> date:
    """A day: ISO, `D` for the night, or months and days from it such as `-24 mo -1 d`."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(text)
    if text != "D" and _TERM.sub("", text).strip():
        raise Unreadable(f"{text!r} is no day")
    counted = as_of
    for sign, count, unit in sorted(_TERM.findall(text), key=lambda term: term[2] != "mo"):
        n = int(sign + count)
        counted = add_months(counted, n) if unit == "mo" else counted + timedelta(days=n)
    return counted


def add_months(start: date, n: int) -> date:
    """Calendar months later or earlier; the day is clipped to the end of the month."""
    months = start.year * 12 + start.month - 1 + n
    year, month = divmod(months, 12)
    return date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))


def moment(text: str, as_of: date) -> str:
    """A day, or a day and a time of day, as an extract says it."""
    found = re.fullmatch(r"(.+?)(?: (\d{2}:\d{2}))?", text)
    if found is None:
        raise Unreadable(f"{text!r} is no moment")
    stated = day(found[1], as_of).isoformat()
    return f"{stated}T{found[2]}:00" if found[2] else stated


def extracts(scenarios: Iterable[Scenario], night: Night) -> dict[str, list[Row]]:
    """The extracts of one night: everybody of its scenarios, and somebody who keeps feeds fresh."""
    found: dict[str, list[Row]] = {
        "labs": [_lab(BYSTANDER, "bystander", night.as_of.isoformat(), "MCV", "90", {})],
        "patients": [_patient(BYSTANDER, DEFAULT_PATIENT, night.as_of)],
        "conditions": [
            {
                "patient_id": BYSTANDER,
                "code": "I10",
                "code_system": night.condition_system,
                "recorded_on": _newest("conditions", night),
                "resolved_on": "",
            }
        ],
        "medications": [
            _medication(BYSTANDER, "m0", "M01AE01", "prescription", _newest("medications", night))
        ],
    }
    for scenario in scenarios:
        for kind, rows in _rows(scenario).items():
            found[kind] += rows
    return {kind: rows for kind, rows in found.items() if kind not in night.without}


def _newest(kind: str, night: Night) -> str:
    return (night.as_of - timedelta(days=60 if kind in night.stale else 0)).isoformat()


def _rows(scenario: Scenario) -> dict[str, list[Row]]:
    as_of = scenario.night.as_of
    rows: dict[str, list[Row]] = {"labs": [], "patients": [], "conditions": [], "medications": []}
    stated: dict[str, Row] = {name: {} for name in scenario.names()}
    for table in scenario.tables:
        for number, name, cells in table.rows:
            patient_id = scenario.patient_id(name)
            filled = {column: cell for column, cell in cells.items() if cell}
            try:
                if table.kind == "Given patients":
                    stated[name] = filled
                elif table.kind == "Given results":
                    rows["labs"] += _labs(patient_id, filled, as_of, len(rows["labs"]))
                elif table.kind == "Given conditions":
                    rows["conditions"].append(_condition(patient_id, filled, as_of))
                elif table.kind == "Given medications":
                    n = len(rows["medications"])
                    rows["medications"] += _medications(patient_id, filled, as_of, n)
            except (Unreadable, KeyError) as error:
                raise Unreadable(f"{scenario.file}:{number}: {error}") from None
    for name, cells in stated.items():
        if cells.get("in patients") != "no":
            patient = DEFAULT_PATIENT | cells
            rows["patients"].append(_patient(scenario.patient_id(name), patient, as_of))
    return rows


def _patient(patient_id: str, cells: Row, as_of: date) -> Row:
    def stated_day(column: str) -> str:
        text = cells.get(column, "")
        return day(text, as_of).isoformat() if text not in ("", "missing") else ""

    return {
        "patient_id": patient_id,
        "birth_date": stated_day("birth date"),
        "sex": cells["sex"],
        "clinic_id": "" if cells["clinic"] == "none" else cells["clinic"],
        "deceased_on": stated_day("died"),
        "opted_out": "true" if cells.get("opted out") == "yes" else "false",
    }


def _labs(patient_id: str, cells: Row, as_of: date, n: int) -> Iterator[Row]:
    for serial, label in enumerate(label for label in TESTS if label in cells):
        result_id = f"{patient_id}-{cells.get('id', f'{n + serial:03d}')}"
        at = moment(cells["on"], as_of)
        more = {"status": cells.get("status", "final")}
        if "reported" in cells:
            more["reported_at"] = moment(cells["reported"], as_of)
        if "code" in cells:
            more["code"] = cells["code"]
        yield _lab(patient_id, result_id, at, label, cells[label], more)


def _lab(patient_id: str, result_id: str, at: str, label: str, value: str, more: Row) -> Row:
    code_system, code, unit = TESTS[label]
    row = {
        "result_id": result_id,
        "patient_id": patient_id,
        "collected_at": at,
        "reported_at": "",
        "code": code,
        "code_system": code_system,
        "value": "" if value == "blank" else value,
        "unit": unit,
        "status": "final",
    }
    return row | more


def _condition(patient_id: str, cells: Row, as_of: date) -> Row:
    resolved = cells.get("resolved")
    return {
        "patient_id": patient_id,
        "code": cells["code"].split()[0],
        "code_system": cells.get("system", "icd10cm"),
        "recorded_on": day(cells["recorded"], as_of).isoformat(),
        "resolved_on": day(resolved, as_of).isoformat() if resolved else "",
    }


def _medications(patient_id: str, cells: Row, as_of: date, n: int) -> Iterator[Row]:
    kind, route = GIVEN[cells["given"]]
    dose, _, unit = cells.get("dose", "").partition(" ")
    ended = cells.get("to")
    for serial, start in enumerate(cells["from"].split(",")):
        product = PRODUCTS.get(cells["drug"])
        system, code = product or ("atc", DRUGS[cells["drug"]])
        row = _medication(
            patient_id,
            f"{patient_id}-{n + serial:03d}",
            code,
            kind,
            day(start.strip(), as_of).isoformat(),
        )
        yield row | {
            "code_system": system,
            "ended_on": day(ended, as_of).isoformat() if ended else "",
            "dose": dose,
            "dose_unit": unit,
            "route": route,
        }


def _medication(patient_id: str, medication_id: str, code: str, kind: str, start: str) -> Row:
    return {
        "medication_id": medication_id,
        "patient_id": patient_id,
        "code": code,
        "code_system": "atc",
        "kind": kind,
        "started_on": start,
        "ended_on": "",
        "name": "",
        "dose": "",
        "dose_unit": "",
        "route": "",
    }


# The day from which a night knows a row of the extract.
_KNOWN_FROM = {
    "labs": ("reported_at", "collected_at"),
    "conditions": ("recorded_on",),
    "medications": ("started_on",),
    "patients": (),
}


def known(rows: dict[str, list[Row]], earlier: date) -> dict[str, list[Row]]:
    """What an earlier night could know: rows that were reported, recorded or given by then.

    Somebody who keeps the feeds fresh is known on both nights.
    """
    return {
        kind: [
            row
            for n, row in enumerate(records)
            if n == 0
            or next((row[name] for name in _KNOWN_FROM[kind] if row[name]), "")[:10]
            <= earlier.isoformat()
        ]
        for kind, records in rows.items()
    }


def answers(scenarios: Iterable[Scenario], items: dict[tuple[str, str], str]) -> list[Row]:
    """The sheets that clinics send back: one row an answer, to an item of the earlier night."""
    rows = []
    for scenario in scenarios:
        as_of = scenario.night.as_of
        for table in scenario.tables:
            for number, name, cells in table.rows if table.kind == "Given answers" else ():
                item = items.get((scenario.patient_id(name), cells["action"]))
                if item is None:
                    raise Unreadable(
                        f"{scenario.file}:{number}: the earlier night listed no such row"
                    )
                decided = day(cells["decided"], as_of)
                sheet = cells.get("sheet") or (decided - timedelta(days=1)).isoformat()
                until = cells.get("until", "")
                rows.append(
                    {
                        "item_id": item,
                        "decision": cells["decision"],
                        "decided_on": decided.isoformat(),
                        "until": day(until, as_of).isoformat() if until else "",
                        "as_of": day(sheet, as_of).isoformat(),
                    }
                )
    return rows


def write_extracts(rows: dict[str, list[Row]], inbox: Path, name: str = "") -> None:
    """One CSV for each kind, named by its kind."""
    for kind, records in rows.items():
        with (inbox / f"{kind}{name}.csv").open("w", encoding="utf-8", newline="") as file:
            sheet = csv.DictWriter(file, fieldnames=list(records[0]))
            sheet.writeheader()
            sheet.writerows(records)
