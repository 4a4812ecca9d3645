"""People made up at random, aimed at the edges of the clinical specification.

Seeded and self-contained: the same seed gives the same people. Each person is written twice, as the
records the oracle reads and as rows of the contract's extracts (canonical units; LOINC, ICD-10-CM,
SNOMED and ATC codes; active B12 under the local code `holotc` of the code system `local`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from .oracle import add_months
from .people import Condition, Medication, Night, Person, Result, every_group_mapped

# analyte: code system, code, unit, test name, specimen
TESTS = {
    "mma": ("loinc", "13964-2", "nmol/L", "Methylmalonate", "Serum"),
    "hcy": ("loinc", "13965-9", "umol/L", "Homocysteine", "Plasma"),
    "b12": ("loinc", "14685-2", "pmol/L", "Vitamin B12", "Serum"),
    "holotc": ("local", "holotc", "pmol/L", "Holotranscobalamin", "Serum"),
    "creatinine": ("loinc", "14682-9", "umol/L", "Creatinine", "Serum"),
    "egfr": ("loinc", "98979-8", "mL/min/{1.73_m2}", "eGFR CKD-EPI 2021", "Serum"),
    "hb": ("loinc", "718-7", "g/L", "Hemoglobin", "Blood"),
    "mcv": ("loinc", "787-2", "fL", "MCV", "Blood"),
    "folate": ("loinc", "14732-2", "nmol/L", "Folate", "Serum"),
}

# Values at, just below and just above every limit, and plain ones on either side.
VALUES: dict[str, tuple[float, ...]] = {
    "mma": (100, 150, 270.9, 271, 271.1, 300, 400, 480, 500, 749.9, 750, 750.1, 900, 1200, 1500),
    "hcy": (6.5, 8, 9.9, 10, 10.1, 13, 14.9, 15, 15.1, 20, 25, 40),
    "b12": (90, 147.9, 148, 148.1, 200, 257.9, 258, 258.1, 300, 450),
    "holotc": (12, 24.9, 25, 25.1, 45, 69.9, 70, 70.1, 95, 128),
    "creatinine": (50, 60, 70, 80, 90, 100, 105, 110, 120, 135, 150, 160, 250, 500),
    "egfr": (10, 14.9, 15, 29.9, 30, 44.9, 45, 59.9, 60, 60.1, 75, 89.9, 90, 95),
    "hb": (70, 79.9, 80, 95, 104.9, 105, 109.9, 110, 119.9, 120, 125, 129.9, 130, 145),
    "mcv": (85, 95, 99.9, 100, 100.1, 108),
    "folate": (5, 12, 30),
}

# Days before a reference day: both sides of every window in the clinical specification.
EDGE_DAYS = (
    *(-20, -1, 0, 1, 2, 7, 13, 14, 15, 20, 21, 22, 29, 30, 31, 45, 59, 60, 61, 79, 80, 81),
    *(89, 90, 91, 100, 119, 120, 121, 150, 200, 279, 280, 281, 364, 365, 366, 400, 700, 800),
)

# code: what the code maps says of it, in the agreed group words
CODES: dict[tuple[str, str], frozenset[tuple[str, str]]] = {
    ("icd10cm", code): frozenset(groups)
    for code, groups in {
        "G32.0": {("cord", "definite")},
        "H46.2": {("optic", "definite")},
        "R20.0": {("paraesthesia", "likely")},
        "R20.2": {("paraesthesia", "likely")},
        "R26.0": {("gait_ataxia", "likely")},
        "R26.81": {("gait_ataxia", "likely")},
        "R27.0": {("gait_ataxia", "likely")},
        "G62.9": {("neuropathy", "likely")},
        "G60.3": {("neuropathy", "likely")},
        "G95.9": {("cord", "likely")},
        "R26.2": {("gait_ataxia", "weak")},
        "R20.8": {("paraesthesia", "weak")},
        "R26.89": {("gait_ataxia", "weak")},
        "R29.6": {("falls", "weak")},
        "R41.3": {("cognition", "weak")},
        "G31.84": {("cognition", "weak")},
        "F32.A": {("psychiatric", "weak")},
        "G62.1": {("neuropathy", "competing")},
        "E11.42": {("neuropathy", "competing")},
        "Z92.21": {("neuropathy", "competing")},
        "Z99.2": {("dialysis", "")},
        "Z94.0": {("transplant", "")},
        "N18.31": {("ckd_3_5", "")},
        "N18.4": {("ckd_3_5", "")},
        "N18.9": {("ckd_3_5", "")},
        "N17.9": {("aki", "")},
        "E11.21": {("diabetic_nephropathy", "")},
        "Z33.1": {("pregnancy", "")},
        "O26.90": {("pregnancy", "")},
        "F18.10": {("nitrous_oxide", "")},
        "E71.120": {("inborn_error", "")},
        "D51.0": {("irreversible_cause", "")},
        "Z90.3": {("irreversible_cause", "")},
        "N18.1": set(),
        "J45.909": set(),
    }.items()
}
CODES["snomed", "293396006"] = frozenset({("cobalamin_reaction", "")})

NEURO_CODES = [k for k, groups in CODES.items() if any(tier for _, tier in groups)]
# Twice the codes that whole rows hang on.
OTHER_CODES = [k for k in CODES if k not in NEURO_CODES] + [
    ("icd10cm", "F18.10"),
    ("icd10cm", "Z99.2"),
    ("icd10cm", "Z33.1"),
]

ATC = {
    "hydroxocobalamin": "B03BA03",
    "cyanocobalamin": "B03BA01",
    "methylcobalamin": "B03BA05",
    "cobamamide": "B03BA04",
    "folic_acid": "B03BB01",
}

NIGHTS = (
    date(2026, 11, 22),
    date(2024, 2, 29),
    date(2025, 2, 28),
    date(2026, 3, 31),
    date(2026, 8, 31),
    date(2026, 5, 30),
)

Row = dict[str, str]


@dataclass
class Subject:
    """One made-up person; `person` is None where results come of somebody not in patients."""

    patient_id: str
    person: Person | None
    results: list[Result] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    medications: list[Medication] = field(default_factory=list)

    def as_person(self) -> Person:
        return self.person or Person(self.patient_id)


@dataclass
class Population:
    night: Night
    subjects: list[Subject]

    def rows(self) -> dict[str, list[Row]]:
        """The extracts: patients, labs, conditions, medications; cells as text, blank as ''."""
        return {
            "patients": [patient_row(s.person) for s in self.subjects if s.person],
            "labs": [lab_row(s.patient_id, r) for s in self.subjects for r in s.results],
            "conditions": [
                condition_row(s.patient_id, c) for s in self.subjects for c in s.conditions
            ],
            "medications": [
                medication_row(s.patient_id, m, i)
                for s in self.subjects
                for i, m in enumerate(s.medications)
            ],
        }


# --------------------------------------------------------------------------------------------------
# Extract rows


def text(value: object) -> str:
    return "" if value is None else str(value)


def patient_row(person: Person) -> Row:
    return {
        "patient_id": person.patient_id,
        "birth_date": text(person.birth_date),
        "sex": person.sex,
        "clinic_id": text(person.clinic_id),
        "deceased_on": text(person.deceased_on),
        "opted_out": "true" if person.opted_out else "false",
    }


def lab_row(patient_id: str, result: Result) -> Row:
    code_system, code, unit, name, specimen = TESTS[result.analyte]
    at = result.collected_at
    value = ""
    if result.value is not None:
        value = ("" if result.comparator == "=" else result.comparator) + f"{result.value:.10g}"
    return {
        "result_id": result.result_id,
        "patient_id": patient_id,
        "collected_at": at.date().isoformat() if at.time() == time(0) else at.isoformat(),
        "reported_at": "" if result.reported_at is None else result.reported_at.isoformat(),
        "code": code,
        "code_system": code_system,
        "test_name": name,
        "specimen": specimen,
        "value": value,
        "unit": unit,
        "status": result.status,
        "clinic_id": text(result.clinic_id),
    }


def condition_row(patient_id: str, condition: Condition) -> Row:
    return {
        "patient_id": patient_id,
        "code": condition.code,
        "code_system": condition.code_system,
        "recorded_on": condition.recorded_on.isoformat(),
        "resolved_on": text(condition.resolved_on),
    }


def medication_row(patient_id: str, medication: Medication, index: int) -> Row:
    """The dose in one of the units the contract allows, the same amount in each."""
    dose, unit = medication.dose_mg, ""
    if dose is not None:
        unit = ("mg", "ug", "mcg")[index % 3] if dose < 1000 else "g"
        dose = dose / 1000 if unit == "g" else dose if unit == "mg" else dose * 1000
    return {
        "medication_id": medication.medication_id,
        "patient_id": patient_id,
        "code": ATC[medication.substance],
        "code_system": "atc",
        "kind": medication.kind,
        "started_on": medication.started_on.isoformat(),
        "ended_on": text(medication.ended_on),
        "name": medication.substance,
        "dose": "" if dose is None else f"{dose:.10g}",
        "dose_unit": unit,
        "route": text(medication.route),
    }


# --------------------------------------------------------------------------------------------------
# People


class Maker:
    """Draws one person after another from one random source."""

    def __init__(self, rng: random.Random, night: Night) -> None:
        self.rng = rng
        self.night = night
        self.d = night.as_of
        self.serial = 0

    def some(self, *choices: tuple[int, object]) -> object:
        """One of the choices, each with its weight."""
        return self.rng.choices([c for _, c in choices], [w for w, _ in choices])[0]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def before(self, reference: date) -> date:
        """A day at the edge of some window before a reference day."""
        if self.chance(0.15):
            months = self.rng.choice((2, 3, 6, 12, 24))
            return add_months(reference, -months) + timedelta(days=self.rng.choice((-1, 0, 1)))
        return reference - timedelta(days=self.rng.choice(EDGE_DAYS))

    # -- the parts of a person ---------------------------------------------------------------------

    def person(self, patient_id: str) -> Person | None:
        if self.chance(0.01):
            return None
        kind = self.some((80, "adult"), (8, "eighteen"), (4, "child"), (2, "blank"), (1, "after"))
        birth: date | None
        if kind == "adult":
            birth = date(self.rng.randint(1935, 2000), self.rng.randint(1, 12), 15)
            if self.chance(0.05):
                birth = date(self.rng.choice((1940, 1964, 1988)), 2, 29)
        elif kind == "eighteen":
            # From 1 March a birthday on 29 February reads the same however it is counted.
            day = add_months(self.d, -18 * 12) + timedelta(days=self.rng.choice((-1, 0, 1, 30)))
            birth = day - timedelta(days=1) if (day.month, day.day) == (2, 29) else day
        elif kind == "child":
            birth = add_months(self.d, -12 * self.rng.randint(2, 16))
        else:
            birth = None if kind == "blank" else self.d + timedelta(days=self.rng.choice((1, 20)))
        return Person(
            patient_id,
            birth,
            str(self.some((10, "female"), (10, "male"), (1, "other"), (1, "unknown"))),
            self.rng.choice(("north", "south", None)),
            self.before(self.d) if self.chance(0.03) else None,
            self.chance(0.02),
        )

    def value(self, analyte: str) -> float:
        return self.rng.choice(VALUES[analyte])

    def result(
        self,
        analyte: str,
        on: date,
        at: time | None = None,
        value: float | None = None,
        comparator: str | None = None,
    ) -> Result:
        self.serial += 1
        if at is None:
            at = self.rng.choice((time(0), time(0), time(8), time(8, 30), time(23, 59)))
        collected = datetime.combine(on, at)
        return Result(
            f"R{self.serial:06d}",
            analyte,
            comparator or str(self.some((17, "="), (1, "<"), (1, ">"))),
            self.value(analyte) if value is None else value,
            str(
                self.some(
                    (40, "final"),
                    (3, "corrected"),
                    (3, "amended"),
                    (1, "registered"),
                    (1, "preliminary"),
                    (1, "cancelled"),
                    (1, "entered-in-error"),
                )
            ),
            collected,
            collected + timedelta(days=self.rng.choice((0, 1, 3))) if self.chance(0.8) else None,
            self.rng.choice(("north", "south", None)),
        )

    def sample(self, on: date, share: float = 0.75) -> list[Result]:
        """One visit: some of the panel, at one instant."""
        at = self.rng.choice((time(0), time(8, 15), time(17)))
        return [
            self.result(a, on, at)
            for a in ("mma", "hcy", "b12", "holotc", "creatinine", "egfr", "hb", "mcv", "folate")
            if self.chance(share if a not in ("holotc", "folate") else share / 3)
        ]

    def corrected(self, result: Result) -> Result:
        """A later version of the same result: other value, other status, sometimes withdrawn."""
        status = str(
            self.some((6, "corrected"), (2, "cancelled"), (2, "entered-in-error"), (1, "final"))
        )
        withdrawn = status in ("cancelled", "entered-in-error")
        reported = result.reported_at or result.collected_at
        shift = self.rng.choice((-1, 1, 5))
        return replace(
            result,
            status=status,
            comparator="=",
            value=None if withdrawn and self.chance(0.5) else self.value(result.analyte),
            reported_at=reported + timedelta(days=shift),
        )

    def condition(self, pool: Sequence[tuple[str, str]]) -> Condition:
        system, code = self.rng.choice(pool)
        recorded = self.before(self.d)
        resolved = None
        if self.chance(0.3):
            after = self.d - timedelta(days=self.rng.choice((-30, -1, 0, 1, 60)))
            resolved = max(after, recorded)
        return Condition(system, code, recorded, resolved, CODES[system, code])

    def medication(
        self,
        substance: str,
        kind: str,
        started: date,
        ended: date | None = None,
        dose: float | None = None,
        route: str | None = None,
    ) -> Medication:
        self.serial += 1
        return Medication(f"M{self.serial:06d}", kind, substance, started, ended, dose, route)

    def injections(self, start: date, count: int, step: int) -> list[Medication]:
        substance = str(self.some((6, "hydroxocobalamin"), (2, "cyanocobalamin")))
        route = "im" if substance == "cyanocobalamin" else self.rng.choice((None, "im", "sc"))
        kind = str(self.some((5, "administration"), (1, "prescription")))
        return [
            self.medication(substance, kind, start + timedelta(days=step * i), None, 1.0, route)
            for i in range(count)
        ]

    def treatment(self) -> list[Medication]:
        """One of the courses the clinical specification tells apart, its days at the edges."""
        d, days = self.d, timedelta
        course = self.some(
            (12, "none"),
            (5, "loading"),
            (6, "maintenance"),
            (4, "oral"),
            (3, "lapsed"),
            (2, "two episodes"),
            (2, "supplement"),
            (1, "antidote"),
            (2, "oral and injected"),
        )
        if course == "none":
            return []
        if course == "loading":
            start = d - days(days=self.rng.choice((0, 13, 14, 15, 20, 21, 22, 59, 60, 61, 80)))
            return self.injections(start, self.rng.choice((1, 5, 6, 7)), 2)
        if course == "maintenance":
            interval = self.rng.choice((2, 3))
            last = add_months(d, -interval) - days(days=self.rng.choice((-1, 0, 1, 13, 14, 15)))
            first = last - days(days=self.rng.choice((0, 60, 100, 300, 365, 366, 700)))
            return self.injections(first, self.rng.choice((1, 6)), 2) + self.injections(last, 1, 1)
        if course == "oral":
            start = d - days(days=self.rng.choice((1, 20, 60, 90, 200, 364, 365, 366, 400, 800)))
            end = self.rng.choice((None, None, d, d + days(days=1), d - days(days=40), start))
            return [
                self.medication(
                    self.rng.choice(("cyanocobalamin", "methylcobalamin", "cobamamide")),
                    str(self.some((5, "prescription"), (1, "administration"))),
                    start,
                    None if end is None else max(end, start),
                    self.rng.choice((None, 0.5, 1.0, 2.0)),
                    self.rng.choice((None, "oral", "sublingual", "nasal")),
                )
            ]
        if course == "lapsed":
            last = d - days(days=self.rng.choice((104, 105, 120, 121, 122, 150, 200, 400, 900)))
            count = self.rng.choice((1, 5, 6, 8))
            return self.injections(last - days(days=2 * (count - 1)), count, 2)
        if course == "two episodes":
            second = d - days(days=self.rng.choice((14, 60, 100, 130)))
            gap = self.rng.choice((364, 365, 366, 500))
            old = self.injections(second - days(days=gap), 1, 1)
            return old + self.injections(second, self.rng.choice((1, 6)), 2)
        if course == "supplement":
            return [
                self.medication(
                    "cyanocobalamin",
                    "prescription",
                    self.before(d),
                    None,
                    self.rng.choice((0.01, 0.05, 0.499)),
                    "oral",
                )
            ]
        if course == "antidote":
            return [
                self.medication("hydroxocobalamin", "administration", self.before(d), None, 5000.0)
            ]
        oral = self.medication("cyanocobalamin", "prescription", self.before(d), None, 1.0, "oral")
        return [oral, *self.injections(add_months(d, -3), 1, 1)]

    def folic_acid(self) -> list[Medication]:
        if not self.chance(0.25):
            return []
        start = self.before(self.d)
        end = self.rng.choice((None, None, self.d, self.d + timedelta(days=1)))
        return [
            self.medication(
                "folic_acid",
                str(self.some((5, "prescription"), (1, "administration"))),
                start,
                None if end is None else max(end, start),
                self.rng.choice((None, 0.4, 0.401, 5.0)),
                self.rng.choice((None, "oral")),
            )
        ]

    # -- shapes that chance alone seldom finds -----------------------------------------------------

    def clear_picture(self, subject: Subject) -> None:
        """One clean sample with a known kidney: the plain rows of section 3."""
        on = self.d - timedelta(days=self.rng.choice((0, 10, 200, 365)))
        at = time(9)
        for analyte, values in (
            ("mma", (150, 271, 300, 900)),
            ("hcy", (9, 15, 20)),
            ("b12", (100, 200, 400)),
            ("egfr", (45, 60, 80)),
            ("hb", (75, 140)),
        ):
            if self.chance(0.7):
                subject.results.append(self.result(analyte, on, at, self.rng.choice(values), "="))

    def followed_course(self, subject: Subject) -> None:
        """A course with a baseline and a later sample: sections 6 and 7."""
        start = self.d - timedelta(
            days=self.rng.choice((59, 60, 61, 79, 80, 81, 95, 120, 121, 150, 190, 365, 380, 500))
        )
        subject.medications += self.injections(start, self.rng.choice((1, 6)), 2)
        for months in range(2, 24, 2):
            dose_on = add_months(start, months)
            if dose_on <= self.d and self.chance(0.9):
                subject.medications += self.injections(dose_on, 1, 1)
        base_on = start - timedelta(days=self.rng.choice((0, 1, 30, 365, 366, -1)))
        subject.results += [
            self.result("mma", base_on, time(9), self.rng.choice((300, 500, 1000, 2000))),
            self.result("hcy", base_on, time(9), self.rng.choice((16, 20, 40))),
            self.result("egfr", base_on, time(9), self.rng.choice((40, 80)), "="),
        ]
        kidney = self.rng.choice((45, 59.9, 60, 85, 85, 85))
        for after in self.rng.sample((59, 60, 61, 79, 80, 81, 90, 100, 150, 180, 360), 3):
            on = start + timedelta(days=after)
            if on > self.d:
                continue
            share = self.rng.choice((1.0, 0.81, 0.8, 0.79, 0.65, 0.6, 0.52, 0.5, 0.2))
            for analyte in ("mma", "hcy"):
                if self.chance(0.8):
                    base = next(r.value for r in subject.results if r.analyte == analyte)
                    assert base is not None
                    value = max(base * share, 20 if analyte == "mma" else 2)
                    subject.results.append(self.result(analyte, on, time(9), round(value, 4)))
            if self.chance(0.6):
                subject.results += [
                    self.result("b12", on, time(9)),
                    self.result("hb", on, time(9)),
                    self.result("mcv", on, time(9)),
                    self.result("egfr", on, time(9), kidney, "="),
                ]
        if self.chance(0.2):
            folic_on = base_on + timedelta(days=self.rng.choice((-1, 0, 1, 60)))
            subject.medications.append(
                self.medication("folic_acid", "prescription", folic_on, None, 5.0, "oral")
            )

    def kidney_story(self, subject: Subject) -> None:
        """Creatinines that rise by about half, and eGFR either side of a sample."""
        base = self.rng.choice((60, 80, 100))
        sample_on = self.d - timedelta(days=self.rng.choice((0, 30, 100, 300)))
        rise_on = sample_on - timedelta(days=self.rng.choice((0, 1, 89, 90, 91)))
        for before in self.rng.sample((1, 30, 200, 365, 366), self.rng.choice((1, 2, 3))):
            on = rise_on - timedelta(days=before)
            subject.results.append(self.result("creatinine", on, time(9), float(base)))
        factor = self.rng.choice((1.49, 1.5, 1.51, 2.0))
        subject.results += [
            self.result("creatinine", rise_on, time(9), round(base * factor, 2)),
            self.result("mma", sample_on, time(9)),
            self.result("hcy", sample_on, time(9)),
        ]
        for side in (-91, -90, -45, 0, 45, 90, 91):
            if self.chance(0.25):
                on = sample_on + timedelta(days=side)
                subject.results.append(self.result("egfr", on, time(9)))

    def chance_story(self, subject: Subject) -> None:
        """Visits at edge days."""
        for _ in range(self.rng.choice((0, 1, 1, 2, 3))):
            subject.results += self.sample(self.before(self.d), self.rng.choice((0.3, 0.75)))
        if subject.results and self.chance(0.3):
            near = self.rng.choice(subject.results).collected_on
            subject.results += self.sample(
                near + timedelta(days=self.rng.choice((-31, -30, -29, 0, 29, 30, 31))), 0.4
            )

    def tied(self, subject: Subject) -> None:
        """A second result of the same test at the same instant."""
        first = self.rng.choice(subject.results)
        second = self.result(first.analyte, first.collected_on, first.collected_at.time())
        reported = self.rng.choice((first.reported_at, second.reported_at, None))
        subject.results.append(replace(second, reported_at=reported))

    def subject(self, patient_id: str) -> Subject:
        subject = Subject(patient_id, self.person(patient_id))
        story: Callable[[Subject], None] = self.rng.choices(
            (self.chance_story, self.clear_picture, self.followed_course, self.kidney_story),
            (5, 4, 4, 2),
        )[0]
        story(subject)
        if story != self.followed_course:
            subject.medications += self.treatment()
            start = min((m.started_on for m in subject.medications), default=None)
            if start is not None and self.chance(0.4):
                subject.results += self.sample(self.before(start), 0.6)
        subject.medications += self.folic_acid()
        for _ in range(self.rng.choice((0, 0, 1, 1, 2))):
            subject.conditions.append(self.condition(NEURO_CODES))
        for _ in range(self.rng.choice((0, 0, 0, 1))):
            subject.conditions.append(self.condition(OTHER_CODES))
        # A later row of the same code and day replaces the earlier one; the oracle knows no rows.
        newest = {(c.code_system, c.code, c.recorded_on): c for c in subject.conditions}
        subject.conditions = list(newest.values())
        if subject.person is None:  # known from a result alone
            subject.results.append(self.result("folate", self.d, value=12.0, comparator="="))
        if subject.results and self.chance(0.1):
            self.tied(subject)
        if subject.results and self.chance(0.15):
            subject.results.append(self.corrected(self.rng.choice(subject.results)))
        return subject


def fresh_feeds(rng: random.Random, night: Night) -> Subject:
    """Somebody whose records of D itself keep every feed fresh and every code system in use."""
    maker = Maker(rng, night)
    return Subject(
        "P00000",
        Person("P00000", date(1970, 1, 1), "female", "north"),
        [replace(maker.result("folate", night.as_of, time(0), 12.0, "="), result_id="R-day")],
        [
            Condition("icd10cm", "J45.909", night.as_of),
            Condition("snomed", "195967001", night.as_of),
        ],
        [Medication("M-day", "administration", "folic_acid", night.as_of, None, 0.4, "oral")],
    )


def generate(seed: int, people: int, night: Night | None = None) -> Population:
    """`people` made-up people on a night; without one, a night drawn by the seed.

    A drawn night may have a day from which the medications feed is complete: it belongs into the
    settings of the site (`medications_complete_from`). Night.mapped_groups takes ICD-10-CM as
    mapped for every group; where the shipped maps say otherwise, pass a night that says so.
    """
    rng = random.Random(seed)
    if night is None:
        as_of = NIGHTS[seed % len(NIGHTS)]
        complete = rng.choice((None, None, as_of - timedelta(days=200)))
        night = Night(as_of, medications_complete_from=complete, mapped_groups=every_group_mapped())
    maker = Maker(rng, night)
    subjects = [fresh_feeds(rng, night)]
    subjects += [maker.subject(f"P{i:05d}") for i in range(1, people)]
    return Population(night, subjects)
