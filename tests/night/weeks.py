"""Nights in a row through the real pipeline, each held against the simulator of item states.

`python -m tests.night.weeks --nights 60 --seed 1`. People, extracts and answers are made up from
the seed; the answers are given to the sheets that were published. Stops at the first night whose
rows are not the simulator's, and prints them. Every tenth night is built on a copy of the site too.
"""

import argparse
import csv
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb

from b12screen.deferral import declare
from b12screen.publish import Site
from b12screen.rules import load_ruleset
from b12screen.settings import make_site
from b12screen.worklists import read_sheet
from tests.faults.conftest import night as run_night
from tests.night.simulator import (
    Answer,
    Asked,
    Deferral,
    Delivered,
    Facts,
    Night,
    Result,
    State,
    advance,
    days,
    item_id,
    number_text,
    with_named,
)

FIRST = date(2026, 11, 1)
LOINC = {
    "mma": ("13964-2", "nmol/L"),
    "hcy": ("13965-9", "umol/L"),
    "b12": ("14685-2", "pmol/L"),
    "creatinine": ("14682-9", "umol/L"),
    "hb": ("718-7", "g/L"),
}
HEADERS = {
    "labs": "result_id,patient_id,collected_at,reported_at,code,value,unit,status",
    "patients": "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out",
    "conditions": "patient_id,code,code_system,recorded_on,resolved_on",
    "medications": "medication_id,patient_id,code,code_system,kind,started_on,ended_on,route",
    "feedback": "item_id,decision,decision_note,decided_on,until,as_of",
}
CLINICS = ("north", "south", "east", "west")
# Markers in October, codes, doses (days before the first night) of each kind of person.
KINDS: tuple[tuple[dict[str, float], tuple[str, ...], tuple[int, ...]], ...] = (
    ({"mma": 900, "hcy": 30, "creatinine": 70}, (), ()),
    ({"mma": 900, "hcy": 30}, (), ()),
    ({"mma": 900, "hcy": 30, "b12": 100, "creatinine": 80}, (), ()),
    ({"mma": 100, "hcy": 30, "creatinine": 75}, (), ()),
    ({"b12": 100, "creatinine": 75}, (), ()),
    ({"mma": 300, "creatinine": 75}, (), ()),
    ({"mma": 300, "hcy": 20, "creatinine": 200}, (), ()),
    ({"mma": 900, "hcy": 30, "creatinine": 70}, ("R20.2",), ()),
    ({"mma": 300, "hcy": 30, "creatinine": 70}, ("R41.3",), ()),
    ({"mma": 400, "hcy": 22}, (), (420, 330, 240)),
    ({"mma": 400, "hcy": 22}, (), (420, 330, 240, 150, 100)),
    ({"mma": 900, "hcy": 22, "hb": 110}, (), (100, 95, 10)),
    ({"b12": 100, "hb": 75}, (), ()),
    ({"mma": 900, "hcy": 30, "hb": 74}, (), ()),
    ({"mma": 120, "hcy": 9, "b12": 400}, (), ()),
    ({"mma": 280, "hcy": 16, "creatinine": 90}, ("E11.42",), ()),
)  # fmt: skip
CODES = (
    "R20.2", "R26.0", "G62.9", "G32.0", "R41.3", "R29.6", "E11.42", "O09.9", "Z33.1", "I10",
    "N18.4", "Z92.21",
)  # fmt: skip
VALUES = {
    "mma": (90, 250, 300, 500, 899, 900, 1349, 1350, 1351, 2100),
    "hcy": (8, 14, 16, 22, 29.9, 30, 33, 44.9, 45, 45.1, 70),
    "b12": (90, 100, 200, 400),
    "creatinine": (60, 75, 110, 200),
    "hb": (74, 79, 80, 110, 135),
}
COMPARED = (
    "item_id", "clinic_id", "action", "priority", "state", "first_listed_on", "item_state",
    "decision", "until", "closed_on", "close_reason", "why",
)  # fmt: skip
PUT_OFF = {
    8: ("review_homocysteine", 9),
    15: ("start_b12", 20),
    18: ("complete_workup", 3),
    22: ("consider_b12", 12),
    27: ("start_b12_assess", 25),
    30: ("start_b12", 0),
    33: ("review_homocysteine", 12),
    45: ("recheck_overdue", 3),
}  # fmt: skip
OTHER_RULES = {40: "ng239-2024", 43: "praxis-2025"}

_ASKED = """
SELECT
    action.patient_id, action.action, action.rule_id, action.priority, action.why,
    CASE
        WHEN action.action IN ('recheck_overdue', 'recheck_due')
            THEN patient.episode_started_on || ' ' || recheck.milestone
        WHEN action.action = 'maintenance_due' THEN CAST(patient.next_dose_due_on AS VARCHAR)
        WHEN action.action IN (
            'resume_b12', 'review_lapsed', 'review_response', 'review_anaemia',
            'loading_incomplete', 'review_loading'
        ) THEN CAST(patient.episode_started_on AS VARCHAR)
        ELSE ''
    END AS anchor
FROM decisions.action AS action
JOIN facts.patient AS patient USING (patient_id)
LEFT JOIN decisions.recheck AS recheck USING (patient_id)
ORDER BY ALL
"""
_PEOPLE = """
SELECT patient.*, status.functional_status, known.dose_known_on
FROM facts.patient AS patient
LEFT JOIN decisions.functional_status AS status USING (patient_id)
LEFT JOIN (
    SELECT patient_id, max(greatest(course.first_on, medication.taken_for)) AS dose_known_on
    FROM facts.b12_course AS course
    JOIN core.medication AS medication USING (medication_id, patient_id)
    GROUP BY patient_id
) AS known USING (patient_id)
ORDER BY patient.patient_id
"""


@dataclass
class Published:
    """One night as its files tell it."""

    night: Night
    rows: list[dict[str, Any]]
    sheets: dict[str, list[dict[str, str]]]


def rows_of(database: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    found = database.execute(sql)
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def read_night(site: Path) -> Published:
    folder = site / "published" / "current"
    with duckdb.connect(str(folder / "b12screen.duckdb"), read_only=True) as database:
        ((as_of, ruleset),) = database.execute("SELECT as_of, ruleset FROM run.night").fetchall()
        people = {row["patient_id"]: facts_of(row) for row in rows_of(database, _PEOPLE)}
        asked = tuple(
            Asked(
                item=item_id(row["patient_id"], row["action"], row["anchor"]),
                patient=row["patient_id"],
                action=row["action"],
                rule=row["rule_id"],
                priority=row["priority"],
                clinic=people[row["patient_id"]].clinic,
                why=row["why"],
                shown=people[row["patient_id"]].shown,
                mma=people[row["patient_id"]].mma,
                hcy=people[row["patient_id"]].hcy,
            )
            for row in rows_of(database, _ASKED)
        )
        rows = rows_of(database, "SELECT * FROM worklists.item ORDER BY item_id, clinic_id")
    sheets = {
        path.stem: list(read_sheet(path)) for path in sorted((folder / "worklists").glob("*.csv"))
    }
    return Published(Night(as_of, ruleset, asked, people), rows, sheets)


def facts_of(row: dict[str, Any]) -> Facts:
    def value(name: str, unit: str) -> tuple[float, str] | None:
        number = row[f"{name}_{unit}"]
        return None if number is None else (number, row[f"{name}_comparator"])

    def text(one: tuple[float, str] | None) -> str | None:
        return None if one is None else one[1].strip("=") + number_text(one[0])

    mma, hcy = value("mma", "nmol_l"), value("hcy", "umol_l")
    b12, egfr = value("b12", "pmol_l"), value("egfr", "ml_min")
    cut = None if egfr is None else (int(egfr[0] * 10) / 10, egfr[1])
    return Facts(
        clinic=row["clinic_id"],
        mma_raised=row["mma_raised"],
        mma=mma,
        hcy_raised=row["hcy_raised"],
        hcy=hcy,
        severe_anaemia=row["severe_anaemia"],
        hb_on=row["hb_on"],
        last_dose_on=row["last_dose_on"],
        dose_known_on=row["dose_known_on"],
        on_treatment=row["basis"] == "baseline",
        shown=(
            row["functional_status"], row["neuro"], row["kidney"],
            text(mma), row["mma_on"], text(hcy), row["hcy_on"],
            text(b12), row["b12_on"], text(cut), row["egfr_on"],
        ),
    )  # fmt: skip


@dataclass
class Story:
    """A site, what was sent to it, and what the simulator makes of it."""

    site: Path
    seed: int
    n_people: int
    chance: Random = field(init=False)
    delivered: Delivered = field(default_factory=Delivered)
    before: State = field(default_factory=State)
    now: State = field(default_factory=State)
    published: dict[date, Published] = field(default_factory=dict)
    numbers: Counter[str] = field(default_factory=Counter)
    queue: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    n_files: int = 0

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)
        make_site(self.site)

    # ----------------------------------------------------------------------------------- deliveries

    def send(self, extract: str, /, **cells: object) -> None:
        row = {
            name: "" if (cell := cells.get(name)) is None else str(cell)
            for name in HEADERS[extract].split(",")
        }
        self.queue.setdefault(extract, []).append(row)

    def lab(
        self, patient: str, analyte: str, value: float, day: date, night: date, key: str = "",
        status: str = "final", reported: date | None = None,
    ) -> None:  # fmt: skip
        self.numbers["lab"] += 1
        key = key or f"r{self.numbers['lab']:05}"
        code, unit = LOINC[analyte]
        reported = reported or night
        record = len(self.queue.get("labs", ())) + 1
        self.send(
            "labs", result_id=key, patient_id=patient, collected_at=day, reported_at=reported,
            code=code, value=value, unit=unit, status=status,
        )  # fmt: skip
        self.delivered.result(
            Result(key, patient, analyte, day, reported, value, status, night, record)
        )

    def person(self, patient: str, **changes: object) -> None:
        row = self.delivered.people.setdefault(patient, {})
        row |= changes
        opted_out = "true" if row["opted_out"] else "false"
        self.send("patients", patient_id=patient, **{**row, "opted_out": opted_out})

    def condition(
        self,
        patient: str,
        code: str,
        recorded_on: date,
        night: date,
        resolved_on: date | None = None,
    ) -> None:
        self.send(
            "conditions", patient_id=patient, code=code, code_system="icd10cm",
            recorded_on=recorded_on, resolved_on=resolved_on,
        )  # fmt: skip
        self.delivered.condition(patient, code, recorded_on, resolved_on, night)

    def dose(self, patient: str, day: date, code: str = "B03BA03") -> None:
        self.numbers["dose"] += 1
        self.send(
            "medications", medication_id=f"d{self.numbers['dose']:05}", patient_id=patient,
            code=code, code_system="atc", kind="administration", started_on=day, route="im",
        )  # fmt: skip

    def answers(self, rows: list[dict[str, object]], night: date, name: str = "") -> None:
        """A sheet that comes back, and what the simulator knows of it from this night on."""
        self.n_files += 1
        name = name or f"feedback_{night}_{self.n_files:04}.csv"
        self._write(name, "feedback", [
            {key: "" if row.get(key) is None else str(row[key])
             for key in HEADERS["feedback"].split(",")}
            for row in rows
        ])  # fmt: skip
        known = self._known_items(night)
        taken = []
        for record, row in enumerate(rows, 1):
            item, decision = str(row["item_id"]), row.get("decision")
            if decision and item in known:
                decided_on = row.get("decided_on")
                assert decided_on is None or isinstance(decided_on, date)
                until, sheet_on = row.get("until"), row.get("as_of")
                assert until is None or isinstance(until, date)
                assert sheet_on is None or isinstance(sheet_on, date)
                note = row.get("decision_note")
                answer = Answer(
                    item, str(decision), None if note is None else str(note), decided_on or night,
                    until, sheet_on, night, name, record,
                )  # fmt: skip
                taken.append((answer, decided_on is not None))
        self.delivered.answer(taken)

    def _known_items(self, night: date) -> set[str]:
        """What the last published file names: its rows, and those of the night before it."""
        known: set[str] = set()
        if self.published:
            known = {item for item, _ in self.now.rows} | {item for item, _ in self.before.rows}
        return known

    def _write(self, name: str, kind: str, rows: list[dict[str, str]]) -> None:
        with (self.site / "inbox" / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HEADERS[kind].split(","))
            writer.writeheader()
            writer.writerows(rows)

    def put_off(self, action: str, until: date, declared_on: date, night: date) -> None:
        number = declare(
            Site(self.site), load_ruleset("praxis-2025"), action, until, "stock-out", declared_on
        )
        self.delivered.deferrals.append(Deferral(number, action, until, declared_on, night))

    def rules(self, name: str) -> None:
        settings = self.site / "b12screen.toml"
        lines = settings.read_text(encoding="utf-8").splitlines()
        settings.write_text(
            "\n".join(
                f'ruleset = "{name}"' if line.startswith("ruleset") else line for line in lines
            )
            + "\n",
            encoding="utf-8",
        )

    # ---------------------------------------------------------------------------------- the nights

    def run(self, night: date) -> list[str]:
        """Run the night on what was sent for it; returns every disagreement."""
        for kind, rows in self.queue.items():
            self._write(f"{kind}_{night}_{self.n_files:04}.csv", kind, rows)
        self.queue = {}
        self.n_files += 1
        run_night(self.site, night)
        published = read_night(self.site)
        if self.now.as_of is not None and self.now.as_of < night:
            self.before = self.now
        elif self.now.as_of == night:
            self.before = with_named(self.before, self.now)
        self.now = advance(self.before, published.night, self.delivered)
        self.published[night] = published
        return [*self._other_rows(published), *self._other_sheets(published)]

    def _other_rows(self, published: Published) -> list[str]:
        ours = {key: row.compared() for key, row in self.now.rows.items()}
        theirs = {
            (row["item_id"], row["clinic_id"]): {name: row[name] for name in COMPARED[2:]}
            for row in published.rows
        }
        assert len(theirs) == len(published.rows)
        wrong = []
        for key in sorted(ours.keys() | theirs.keys(), key=str):
            one, other = ours.get(key), theirs.get(key)
            if one != other:
                wrong.append(self._told(key, published.night.as_of, one, other))
        return wrong

    def _told(self, key: Any, night: date, ours: Any, theirs: Any) -> str:
        lines = [f"night {night} (day {(night - FIRST).days}), item {key}"]
        if ours is None or theirs is None:
            lines += [f"  simulator: {ours}", f"  published: {theirs}"]
        else:
            lines += [
                f"  {name}: simulator {ours[name]}, published {theirs[name]}  ({ours['action']})"
                for name in ours
                if ours[name] != theirs[name]
            ]
        row = self.now.rows.get(key) or self.before.rows.get(key)
        if row is not None:
            lines.append(f"  patient {row.patient}, why {row.why}")
            lines += [
                f"  {result}"
                for result in self.delivered.of(row.patient)
                if result.night > night - days(3) and ours and ours["action"] == "result_withdrawn"
            ]
        lines += [f"  sight {sight}" for sight in self.now.sights.get(key[0], [])[-3:]]
        lines += [f"  {a}" for a in self.delivered.answers if a.item == key[0]]
        lines.append(f"  noted {self.now.noted.get(key)} put off {self.now.put_off.get(key[0])}")
        lines += [f"  before, at {row.clinic}: {row.compared()}" for row in self.before.of(key[0])]
        return "\n".join(lines)

    def _other_sheets(self, published: Published) -> list[str]:
        """Each sheet lists the open rows of its clinic, in the promised order."""
        overdue = {
            (row["item_id"], row["clinic_id"]): row["days_overdue"] for row in published.rows
        }
        wanted: dict[str, list[str]] = {name: [] for name in published.sheets}
        rows = [row for row in self.now.rows.values() if row.item_state == "open"]
        rows.sort(key=lambda r: (r.priority, -overdue.get((r.item, r.clinic), 0), r.action, r.item))
        for row in rows:
            sheet = "data_quality" if row.action == "check_record" else row.clinic or "unrouted"
            wanted.setdefault(sheet, []).append(row.item)
        found = {name: [row["item_id"] for row in rows] for name, rows in published.sheets.items()}
        return [
            f"night {published.night.as_of}: sheet {name} lists {len(found.get(name, []))} rows,"
            f" wanted {len(wanted[name])}, or in another order"
            for name in wanted
            if wanted[name] != found.get(name)
        ]

    # ------------------------------------------------------------------------------- made-up weeks

    def begin(self, night: date) -> None:
        """Everybody's past, sent for the first night."""
        for n in range(self.n_people):
            patient = f"p{n:03}"
            values, codes, doses = KINDS[n % len(KINDS)]
            born = date(1940 + n % 45, 1 + n % 12, 1 + n % 28)
            if n % 29 == 28:
                born = date(2014, 3, 4)
            clinic = None if n % 23 == 22 else CLINICS[n % 7 % len(CLINICS)]
            self.person(
                patient, birth_date=None if n % 31 == 30 else born, sex=("female", "male")[n % 2],
                clinic_id=clinic, deceased_on=None, opted_out=False,
            )  # fmt: skip
            drawn = night - days(12 + n % 15)
            for analyte, value in values.items():
                self.lab(patient, analyte, value, drawn, night, reported=drawn + days(1))
            for code in codes:
                self.condition(patient, code, night - days(150), night)
            for ago in doses:
                self.dose(patient, night - days(ago))
            if n % 13 == 12:
                self.send(
                    "medications", medication_id=f"f{n}", patient_id=patient, code="B03BB01",
                    code_system="atc", kind="prescription", started_on=night - days(30),
                )  # fmt: skip
            if n % 17 == 16:
                self.send(
                    "medications", medication_id=f"c{n}", patient_id=patient, code="B03BA01",
                    code_system="atc", kind="prescription", started_on=night - days(300),
                    ended_on=night + days(20),
                )  # fmt: skip

    def befall(self, night: date) -> None:
        """What happens to people on one day."""
        chance, people = self.chance, sorted(self.delivered.people)
        for patient in chance.sample(people, 9):
            analyte = chance.choice(tuple(VALUES))
            # Most values belong to today; some come late, some belong to a sample of tomorrow.
            day = night - days(chance.choice((0, 0, 1, 1, 2, 5, 20, -1)))
            self.lab(patient, analyte, chance.choice(VALUES[analyte]), day, night)
        # Low B12 with a haemoglobin that makes it urgent and not, also while the site puts it off.
        for patient in chance.sample(people[12 :: len(KINDS)], 2):
            self.lab(patient, "hb", chance.choice((75, 95)), night, night)
        known = sorted(self.delivered.results)
        for key in chance.sample(known, 7):
            old = self.delivered.results[key]
            what = chance.choice(("other", "cancelled", "entered-in-error", "again", "person"))
            value = old.value or 1
            if what == "other":
                self.lab(
                    old.patient, old.analyte, chance.choice(VALUES[old.analyte]), old.day, night,
                    key, "corrected",
                )  # fmt: skip
            elif what == "person":
                self.lab(
                    chance.choice(people), old.analyte, value, old.day, night, key, "corrected"
                )
            elif what == "again":
                self.lab(old.patient, old.analyte, value, old.day, night, key, "corrected")
            else:
                self.lab(old.patient, old.analyte, value, old.day, night, key, what)
        self._flicker(night)
        for patient in chance.sample(people, 3):
            day = night - days(chance.choice((0, 0, 1, 3, 40)))
            self.condition(patient, chance.choice(CODES), day, night)
        coded = sorted(self.delivered.conditions)
        for patient, code, recorded_on in chance.sample(coded, 1):
            self.condition(
                patient, code, recorded_on, night, night - days(chance.choice((0, 1, -2)))
            )
        for patient in chance.sample(people, 4):
            self.dose(patient, night - days(chance.choice((0, 0, 1, 2, 30))))
        for patient in chance.sample(people, 3):
            self.person(patient, clinic_id=chance.choice((*CLINICS, *CLINICS, None)))
        if chance.random() < 0.25:
            self.person(chance.choice(people), deceased_on=night - days(chance.choice((0, 2))))
        if chance.random() < 0.4:
            self.person(chance.choice(people), opted_out=True)
        out = [patient for patient in people if self.delivered.people[patient]["opted_out"]]
        if out and chance.random() < 0.4:
            self.person(chance.choice(out), opted_out=False)
        # Fillers, so that every feed stays fresh.
        self.condition("somebody", "I10", night, night)
        self.dose("somebody", night)

    def _flicker(self, night: date) -> None:
        """A few results that are withdrawn, sent again, and withdrawn again."""
        told = sorted(
            key
            for key, result in self.delivered.results.items()
            if not result.speaks and night - result.night <= days(4)
        )
        for key in self.chance.sample(told, min(2, len(told))):
            old = self.delivered.results[key]
            self.lab(
                old.patient, old.analyte, old.value or 1, old.day, night, key, "corrected",
                reported=night,
            )  # fmt: skip
        back = sorted(
            key
            for key, result in self.delivered.results.items()
            if result.status == "corrected" and 0 < (night - result.night).days <= 4
        )
        for key in self.chance.sample(back, min(2, len(back))):
            old = self.delivered.results[key]
            if old.night < night:
                self.lab(
                    old.patient, old.analyte, old.value or 1, old.day, night, key, "cancelled",
                    reported=night,
                )  # fmt: skip

    def respond(self, night: date, n: int, sheets: tuple[date, ...]) -> None:
        """Sheets that come back for a night: ``n`` answers to rows of some of ``sheets``."""
        rows: list[dict[str, object]] = []
        for _ in range(n):
            sheet_on = self.chance.choice(sheets)
            listed = [
                row["item_id"]
                for rows_ in self.published[sheet_on].sheets.values()
                for row in rows_
            ]
            told = [
                row["item_id"]
                for rows_ in self.published[sheet_on].sheets.values()
                for row in rows_
                if row["action"] == "result_withdrawn"
            ]
            if listed:
                pool = told if told and self.chance.random() < 0.25 else listed
                rows.append(self._answer(self.chance.choice(pool), night, sheet_on, pool is told))
        # The same row twice on one sheet.
        rows += [
            row | {"decision": self.chance.choice(("declined", "deferred", "done"))}
            for row in self.chance.sample(rows, min(2, len(rows)))
        ]
        self.answers(rows, night)

    def _answer(self, item: str, night: date, sheet_on: date, told: bool) -> dict[str, object]:
        chance = self.chance
        decision = chance.choice(
            ("done", "done", "acknowledged", "already_treated", "deferred", "not_our_patient")
            if told
            else (
                "done", "done", "already_treated", "declined", "declined", "deferred", "deferred",
                "deferred", "not_our_patient", "acknowledged",
            )
        )  # fmt: skip
        decided_on: date | None = None
        fate = chance.random()
        if fate < 0.4:
            limit = chance.choice((7, 14, 30, 90))
            decided_on = night - days(limit - chance.choice((-1, 0, 1, 2)))
        elif fate < 0.5:
            decided_on = night + days(chance.choice((1, 2, 3)))
        elif fate < 0.65:
            decided_on = night - days(chance.choice((0, 1, 2, 5)))
        start = decided_on or night
        until = chance.choice(
            (None, None, None, night + days(1), night + days(2), start + days(13),
             start + days(14), start + days(15), start + days(89), start + days(90),
             start + days(91), start - days(3), start, night)
        )  # fmt: skip
        return {
            "item_id": item,
            "decision": decision,
            "decision_note": chance.choice((None, None, "called")),
            "decided_on": decided_on,
            "until": until,
            "as_of": sheet_on if chance.random() < 0.75 else None,
        }


def tell(
    story: Story, numbers: Iterable[int], line: Callable[[str], None] = lambda text: None
) -> list[str]:
    """Run the nights of these days; returns the disagreements of the first that has any."""
    same: list[dict[str, object]] = []
    for n in numbers:
        began = time.perf_counter()
        night = FIRST + days(n)
        if not story.published:
            story.begin(night)
        story.befall(night)
        if n in PUT_OFF:
            action, length = PUT_OFF[n]
            story.put_off(action, night - days(1) + days(length), night - days(1), night)
        if n in OTHER_RULES:
            story.rules(OTHER_RULES[n])
        nights = tuple(sorted(story.published))
        if nights:
            story.respond(night, 14, nights[-1:])
            story.respond(night, 7, nights[-9:])
        if nights and not same and n >= 5:
            listed = [row for rows in story.published[nights[-1]].sheets.values() for row in rows]
            same = [
                {"item_id": row["item_id"], "decision": word, "as_of": nights[-1]}
                for row, word in zip(
                    listed[::9], ("done", "deferred", "declined") * 9, strict=False
                )
            ]
        if same:
            # The same sheet on every night, with one more line that says nothing.
            story.answers(
                [*same, {"item_id": same[0]["item_id"], "decision_note": f"sent {night}"}],
                night,
                f"feedback_{night}_same.csv",
            )
        copied = story.site.parent / "copy"
        if n % 10 == 9:
            for kind, rows in story.queue.items():
                story._write(f"{kind}_{night}_{story.n_files:04}.csv", kind, rows)
            story.queue = {}
            shutil.copytree(story.site, copied, symlinks=True)
        wrong = story.run(night)
        if n % 10 == 9:
            wrong += built_again(story.site, copied, night)
            shutil.rmtree(copied)
        if n % 7 == 3:
            # The night is run again, with more answers, some to rows that it was the first to list.
            story.respond(night, 8, (*nights[-2:], night))
            wrong += story.run(night)
        line(
            f"night {night} (day {n}): {len(story.now.rows)} rows,"
            f" {sum(row.item_state == 'open' for row in story.now.rows.values())} open,"
            f" {len(wrong)} disagreements, {time.perf_counter() - began:.1f} s"
        )
        if wrong:
            return wrong
    return []


def built_again(site: Path, copied: Path, night: date) -> list[str]:
    """The night built on a copy from before it, and built there once more: the same sheets."""
    wrong = []
    wanted = sheets_of(site)
    for time_ in ("once", "again"):
        run_night(copied, night)
        if sheets_of(copied) != wanted:
            wrong.append(f"night {night}: built {time_} on a copy, the sheets are others")
    return wrong


def sheets_of(site: Path) -> dict[str, bytes]:
    folder = site / "published" / "current" / "worklists"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.night.weeks", description=__doc__)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, default=150)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder) / "site", options.seed, options.people)
        wrong = tell(story, range(options.nights), lambda text: print(text, flush=True))
        for one in wrong[:12]:
            print(one)
        for what, n in sorted(story.now.seen.items()):
            print(f"{n:7,} {what}")
    print(f"{len(wrong)} disagreements")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
