"""Synthetic extracts with planted truth: people made from stories, delivered night by night.

Everything is drawn from the seed and the person's number, so the same seed gives the same bytes and
one more person leaves the others as they were. Ids carry no meaning, and nobody has a name. The
factors of units are stated here a second time on purpose: the planted truth must not rest on the
unit map that it tests.
"""

import csv
import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from itertools import cycle, islice
from pathlib import Path

from b12screen.errors import UsageError
from b12screen.synth.stories import (
    LONGEST_RUN,
    STORIES,
    Code,
    Dose,
    Injections,
    Prescription,
    Sample,
    Story,
    Truth,
    When,
)

FIRST_NIGHT = date(2026, 11, 1)

# What `b12screen demo` makes.
DEMO_PATIENTS = 1500
DEMO_NIGHTS = 3
DEMO_SEED = 12

KINDS = ("labs", "patients", "conditions", "medications")
LAB_COLUMNS = (
    "result_id", "patient_id", "collected_at", "reported_at", "code", "code_system", "test_name",
    "specimen", "value", "unit", "status", "clinic_id",
)  # fmt: skip
PATIENT_COLUMNS = ("patient_id", "birth_date", "sex", "clinic_id", "deceased_on", "opted_out")
CONDITION_COLUMNS = ("patient_id", "code", "code_system", "recorded_on", "resolved_on")
MEDICATION_COLUMNS = (
    "medication_id", "patient_id", "code", "code_system", "kind", "started_on", "ended_on",
    "name", "dose", "dose_unit", "route",
)  # fmt: skip
COLUMNS = {
    "labs": LAB_COLUMNS,
    "patients": PATIENT_COLUMNS,
    "conditions": CONDITION_COLUMNS,
    "medications": MEDICATION_COLUMNS,
}
TRUTH_COLUMNS = ("patient_id", "as_of", "functional_status", "actions")

CLINICS = (
    "Bridge", "Castle", "Eastgate", "Forge", "Harbour", "Hillside", "Lakeside", "Meadow",
    "North/West", "Orchard", "Quarry", "Station",
)  # fmt: skip

# Rows that are no news or no use, by the bucket they must end in. The counts are the same whatever
# the number of patients, and stay below the number of rejects that holds a file.
MESS_FIRST_NIGHT = {"duplicate": 12, "out_of_scope": 6, "rejected": 7}
MESS_LATER = {"duplicate": 2, "out_of_scope": 1, "rejected": 2}

# One person in so many has a routine result on a later night.
ROUTINE_SHARE = 50
ROUTINE = ("potassium", "platelets", "folate")

Row = dict[str, str]


@dataclass(frozen=True)
class Form:
    """One way a laboratory sends an analyte: value sent = canonical / factor."""

    code: str
    unit: str
    factor: float
    decimals: int
    system: str = "loinc"


@dataclass(frozen=True)
class Assay:
    name: str
    specimen: str
    forms: tuple[Form, ...]  # the first is the canonical unit


# Factors from molar masses (cobalamin 1355.37, homocysteine 135.18, creatinine 113.12, folate
# 441.40 g/mol) and, for haemoglobin, the monomer of 16,114.5 g/mol.
ASSAYS = {
    "mma": Assay("Methylmalonic acid", "serum", (
        Form("13964-2", "nmol/L", 1, 0),
        Form("13964-2", "umol/L", 1000, 3),
        Form("13964-2", "nmol/mL", 1000, 3),
    )),
    "hcy": Assay("Homocysteine", "plasma", (
        Form("13965-9", "umol/L", 1, 1),
        Form("2428-1", "mg/L", 7.397544, 2),
    )),
    "b12": Assay("Vitamin B12", "serum", (
        Form("14685-2", "pmol/L", 1, 0),
        Form("2132-9", "pg/mL", 0.737806, 0),
        Form("2132-9", "ng/L", 0.737806, 0),
        Form("271216009", "ng/L", 0.737806, 0, "snomed"),
    )),
    "creatinine": Assay("Creatinine", "serum", (
        Form("14682-9", "umol/L", 1, 0),
        Form("2160-0", "mg/dL", 88.401697, 2),
    )),
    "egfr": Assay("eGFR", "serum", (
        Form("98979-8", "mL/min/{1.73_m2}", 1, 0),
        Form("62238-1", "mL/min/{1.73_m2}", 1, 0),
    )),
    "hb": Assay("Haemoglobin", "blood", (
        Form("718-7", "g/L", 1, 0),
        Form("718-7", "g/dL", 10, 1),
        Form("59260-0", "mmol/L", 16.1145, 2),
    )),
    "mcv": Assay("MCV", "blood", (Form("787-2", "fL", 1, 1),)),
    "platelets": Assay("Platelets", "blood", (
        Form("777-3", "10*9/L", 1, 0),
        Form("777-3", "10*3/uL", 1, 0),
    )),
    "potassium": Assay("Potassium", "serum", (Form("2823-3", "mmol/L", 1, 1),)),
    "folate": Assay("Folate", "serum", (
        Form("14732-2", "nmol/L", 1, 1),
        Form("2284-8", "ng/mL", 2.265519, 1),
    )),
}  # fmt: skip

# What an old or routine result may be; no rule asks for any of these.
UNREMARKABLE = {
    "b12": (230.0, 620.0),
    "hb": (139.0, 158.0),
    "mcv": (84.0, 94.0),
    "creatinine": (58.0, 72.0),
    "potassium": (3.6, 5.0),
    "platelets": (160.0, 390.0),
    "folate": (8.0, 40.0),
}
LETTERS = {"final": "F", "corrected": "C", "cancelled": "X", "preliminary": "P"}


@dataclass
class Delivery:
    """The rows of one night, by kind."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


def synth(
    directory: Path,
    patients: int,
    nights: int,
    seed: int,
    first_night: date = FIRST_NIGHT,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Write one set of extracts a night into ``directory``, and ``truth.csv`` beside them.

    The first set holds five years of history. With as many patients as there are stories, or more,
    every story occurs. Raises ``UsageError`` for more nights than the stories are written for.
    """
    if not 1 <= nights <= LONGEST_RUN:
        raise UsageError(f"--nights must be 1 to {LONGEST_RUN}: the stories hold no longer")
    if patients < 1:
        raise UsageError("--patients must be at least 1")
    say = progress or (lambda _: None)
    chance = random.Random(f"{seed}/site")
    stories = _cast(patients, chance)
    ids = _patient_ids(patients, chance)
    arrivals = _arrivals(stories, nights, chance)
    say(f"{patients:,} patients, {len(STORIES)} stories, {nights} nights")

    deliveries = [Delivery() for _ in range(nights)]
    truth: list[tuple[date, str, Truth]] = []
    for number, (story, patient_id) in enumerate(zip(stories, ids, strict=True)):
        arrival = arrivals.get(number, 0)
        person = _Person(f"{seed}/{number}", patient_id, story, arrival, first_night)
        person.deliver(deliveries)
        truth += [
            (first_night + timedelta(night), patient_id, _holds(story, night))
            for night in range(arrival, nights)
        ]
    everybody = [
        _Person(f"{seed}/{number}", ids[number], stories[number], 0, first_night)
        for number in range(patients)
        if number not in arrivals and stories[number].listed and not stories[number].opted_out
    ]
    for night, delivery in enumerate(deliveries):
        _keep_feeds_fresh(delivery, ids[0], first_night + timedelta(night))
        _routine_results(delivery, everybody, night, chance)
        _mess(delivery, MESS_LATER if night else MESS_FIRST_NIGHT, first_night, night, seed)
        _write_night(directory, delivery, first_night + timedelta(night), chance)
        say(f"{first_night + timedelta(night)}: {len(delivery.rows['labs']):,} results")
    _write_truth(directory / "truth.csv", truth)


def demo_nights(first_night: date = FIRST_NIGHT, nights: int = DEMO_NIGHTS) -> tuple[date, ...]:
    """The days of a run of nights."""
    return tuple(first_night + timedelta(night) for night in range(nights))


def deliver(directory: Path, inbox: Path, night: date) -> tuple[Path, ...]:
    """Copy the set of that night, and nothing else, into the inbox."""
    inbox.mkdir(parents=True, exist_ok=True)
    return tuple(
        Path(shutil.copyfile(directory / f"{kind}_{night}.csv", inbox / f"{kind}_{night}.csv"))
        for kind in KINDS
    )


def _cast(patients: int, chance: random.Random) -> list[Story]:
    """Every story once, then by weight, in an order that says nothing."""
    once = list(STORIES[:patients])
    rest = chance.choices(STORIES, [story.weight for story in STORIES], k=patients - len(once))
    stories = once + rest
    chance.shuffle(stories)
    return stories


def _patient_ids(patients: int, chance: random.Random) -> list[str]:
    """Eight digits; the first one drawn begins with zeros, which must survive."""
    numbers = chance.sample(range(100_000, 100_000_000), patients - 1)
    return [f"{number:08}" for number in (chance.randrange(1, 100_000), *numbers)]


def _arrivals(stories: list[Story], nights: int, chance: random.Random) -> dict[int, int]:
    """The night on which some people are first heard of; a story's first person is there at once.

    Only people whose truth does not change come late."""
    seen: set[str] = set()
    free = []
    for number, story in enumerate(stories):
        if story.name in seen and story.constant:
            free.append(number)
        seen.add(story.name)
    a_night = max(2, len(stories) // 500)
    late = chance.sample(free, min(len(free), a_night * (nights - 1)))
    return {number: 1 + place % (nights - 1) for place, number in enumerate(late)}


def _holds(story: Story, night: int) -> Truth:
    return [truth for truth in story.truths if truth.from_night <= night][-1]


class _Person:
    """One person of a story: the draws that all of his or her rows share."""

    def __init__(
        self, key: str, patient_id: str, story: Story, arrival: int, first_night: date
    ) -> None:
        chance = random.Random(key)
        self.key, self.patient_id, self.story, self.arrival = key, patient_id, story, arrival
        self.first_night = first_night
        self.anchor = first_night - timedelta(chance.randint(*story.anchor))
        self.age_days = int(chance.randint(*story.ages) * 365.25) + chance.randrange(300)
        self.sex = {
            "any": chance.choice(("female", "male")),
            "female": "female",
            "unknown": chance.choice(("other", "unknown")),
        }[story.sex]
        self.clinic = chance.choice(CLINICS) if story.clinic_known else ""
        self.next_clinic = chance.choice([name for name in CLINICS if name != self.clinic])
        self.in_register_without_clinic = chance.random() < 0.02
        self.short_words = chance.random() < 0.3  # F, M; HL7 status letters
        self.style = chance.randrange(12)  # which unit the person's laboratory sends
        self.chance = chance

    def deliver(self, deliveries: list[Delivery]) -> None:
        """Put every row into the night on which it is sent."""

        def send(kind: str, night: int, row: Row) -> None:
            night = max(night, self.arrival)
            if night < len(deliveries):
                deliveries[night].rows[kind].append(row)

        for night, row in self._register():
            send("patients", night, row)
        for place, event in enumerate(self.story.events):
            label = f"{place}"
            if isinstance(event, Sample):
                for night, row in self.results(event, event.label or label):
                    send("labs", night, row)
            elif isinstance(event, Code):
                day = self._day(event.when)
                ended = None if event.ended is None else day + timedelta(event.ended)
                send("conditions", self._night(day), {
                    "patient_id": self.patient_id, "code": event.code,
                    "code_system": event.system, "recorded_on": day.isoformat(),
                    "resolved_on": ended.isoformat() if ended else "",
                })  # fmt: skip
            else:
                for night, row in self._medications(event, label):
                    send("medications", night, row)
        for sample in self._old_samples():
            for night, row in self.results(sample, sample.label):
                send("labs", night, row)

    def _register(self) -> Iterator[tuple[int, Row]]:
        story = self.story
        if not story.listed:
            return
        birth = (self.first_night - timedelta(self.age_days)).isoformat()
        row = {
            "patient_id": self.patient_id,
            "birth_date": birth if story.birth_known else "",
            "sex": self.sex[0].upper() if self.short_words and self.sex[0] in "fm" else self.sex,
            "clinic_id": "" if self.in_register_without_clinic else self.clinic,
            "deceased_on": (self.first_night - timedelta(self.chance.randint(20, 200))).isoformat()
            if story.deceased
            else "",
            "opted_out": "true" if story.opted_out else "false",
        }
        yield 0, row
        for change in story.changes:
            day = self.first_night + timedelta(change.night)
            row = row | {
                "moves": {"clinic_id": self.next_clinic},
                "dies": {"deceased_on": day.isoformat()},
                "opts_out": {"opted_out": "true"},
            }[change.what]  # fmt: skip
            yield change.night, row

    def results(self, sample: Sample, label: str) -> Iterator[tuple[int, Row]]:
        """The rows of one collection; a later version keeps ids, codes, units and time."""
        fixed = random.Random(f"{self.key}/{label}")
        day = self._day(sample.when, fixed)
        at = datetime.combine(day, time(7 + fixed.randrange(5), 5 * fixed.randrange(12)))
        only_a_day = fixed.random() < 0.05
        with_offset = fixed.random() < 0.05
        sent = sample.sent or max(0, self._night(day))
        if sample.sent:
            reported = datetime.combine(self.first_night + timedelta(sent), time(1, 30))
        else:
            reported = at + timedelta(days=sample.version, hours=3 + fixed.randrange(10))
        values = random.Random(f"{self.key}/{label}/{sample.sent}/{sample.version}")
        for analyte, result in sample.tests.items():
            assay = ASSAYS[analyte]
            form = assay.forms[self.style % len(assay.forms)]
            if isinstance(result, str):
                form, value = assay.forms[0], result
            else:
                value = f"{values.uniform(*result) / form.factor:.{form.decimals}f}"
            yield (
                sent,
                {
                    "result_id": _id("R", self.key, label, analyte),
                    "patient_id": self.patient_id,
                    "collected_at": day.isoformat()
                    if only_a_day
                    else f"{at:%Y-%m-%dT%H:%M:%S}{'Z' if with_offset else ''}",
                    "reported_at": f"{reported:%Y-%m-%dT%H:%M:%S}",
                    "code": form.code,
                    "code_system": form.system,
                    "test_name": assay.name,
                    "specimen": assay.specimen,
                    "value": value,
                    "unit": _spelt(form.unit, values),
                    "status": LETTERS[sample.status] if self.short_words else sample.status,
                    "clinic_id": self.clinic,
                },
            )

    def _old_samples(self) -> Iterator[Sample]:
        """A visit in each of the years that no window reaches, after birth."""
        for year in range(4):
            ago = 400 + 345 * year + self.chance.randrange(300)
            if self.story.old_tests and ago < self.age_days and self.chance.random() < 0.8:
                tests = {analyte: UNREMARKABLE[analyte] for analyte in self.story.old_tests}
                yield Sample(tests, When("first_night", -ago, -ago), label=f"old {year}")

    def _medications(
        self, event: Dose | Injections | Prescription, label: str
    ) -> Iterator[tuple[int, Row]]:
        days = self._series(event) if isinstance(event, Injections) else [self._day(event.when)]
        dose = Dose(When("anchor", 0, 0)) if isinstance(event, Injections) else event
        prescribed = isinstance(dose, Prescription)
        ended = (
            (days[0] + timedelta(dose.days)).isoformat()
            if isinstance(dose, Prescription) and dose.days is not None
            else ""
        )
        for day in days:
            yield (
                max(0, self._night(day)),
                {
                    "medication_id": _id("M", self.key, label, day.isoformat()),
                    "patient_id": self.patient_id,
                    "code": dose.code,
                    "code_system": dose.system if isinstance(dose, Dose) else "atc",
                    "kind": "prescription" if prescribed else "administration",
                    "started_on": day.isoformat(),
                    "ended_on": ended,
                    "name": "",
                    "dose": dose.dose[0],
                    "dose_unit": dose.dose[1],
                    "route": dose.route,
                },
            )

    def _series(self, injections: Injections) -> list[date]:
        start, last = self._day(injections.start), self._day(injections.last)
        days = [start + timedelta(day) for day in (0, 2, 4, 7, 9, 11)]
        while days[-1] + timedelta(injections.every) < last:
            days.append(days[-1] + timedelta(injections.every))
        return [*days, last]

    def _day(self, when: When, chance: random.Random | None = None) -> date:
        origin = self.anchor if when.origin == "anchor" else self.first_night
        if when.years_before:
            # A 29 February has no anniversary; its neighbour does as well.
            day = min(origin.day, 28) if origin.month == 2 else origin.day
            origin = origin.replace(year=origin.year - when.years_before, day=day)
        return origin + timedelta((chance or self.chance).randint(when.low, when.high))

    def _night(self, day: date) -> int:
        return max(0, (day - self.first_night).days)


def _id(letter: str, *parts: str) -> str:
    return letter + sha256("/".join(parts).encode()).hexdigest()[:12].upper()


def _spelt(unit: str, chance: random.Random) -> str:
    """Now and then in other letters, as laboratories send it."""
    if chance.random() > 0.06:
        return unit
    spellings = (unit.lower(), unit.replace("umol", "\u00b5mol"), unit.replace("umol", "\u03bcmol"))
    return chance.choice(spellings)


def _keep_feeds_fresh(delivery: Delivery, patient_id: str, night: date) -> None:
    """A record that no rule asks about, so that both feeds have delivered lately."""
    delivery.rows["conditions"].append(
        dict(zip(CONDITION_COLUMNS, (patient_id, "I10", "icd10cm", f"{night}", ""), strict=True))
    )
    metformin = (
        _id("M", f"{night}"), patient_id, "A10BA02", "atc", "prescription", f"{night}", "", "",
        "1", "g", "oral",
    )  # fmt: skip
    delivery.rows["medications"].append(dict(zip(MEDICATION_COLUMNS, metformin, strict=True)))


def _routine_results(
    delivery: Delivery, people: list[_Person], night: int, chance: random.Random
) -> None:
    """The day's ordinary work, one result of it corrected with the same delivery."""
    if not people:
        return
    day = When("first_night", night, night)
    for place, person in enumerate(chance.sample(people, max(1, len(people) // ROUTINE_SHARE))):
        tests = {analyte: UNREMARKABLE[analyte] for analyte in ROUTINE}
        sample = Sample(tests, day, label=f"routine {night}")
        versions = [sample]
        if place == 0:
            versions.append(Sample(tests, day, "corrected", sample.label, version=1))
        for version in versions:
            delivery.rows["labs"] += [row for _, row in person.results(version, version.label)]


def _mess(
    delivery: Delivery, counts: Mapping[str, int], first_night: date, night: int, seed: int
) -> None:
    """Rows that must be counted and must change nothing."""
    labs = delivery.rows["labs"]
    if not labs:
        return
    chance = random.Random(f"{seed}/mess/{night}")
    sources = [chance.choice(labs) for _ in range(max(counts.values()))]
    day = first_night + timedelta(night - 1)

    def changed(bucket: str, changes: tuple[Row, ...]) -> Iterator[Row]:
        for place, change in enumerate(islice(cycle(changes), counts[bucket])):
            base = sources[place] | {
                "result_id": _id("R", f"{seed}", f"{night}", bucket, f"{place}"),
                "collected_at": f"{day}T08:00:00",
                "reported_at": f"{day}T12:00:00",
                "code_system": "loinc",
                "status": "final",
                "value": "4.1",
            }
            yield base | change

    potassium = {"code": "2823-3", "test_name": "Potassium", "specimen": "serum", "unit": "mmol/L"}
    # Thyrotropin, glycated haemoglobin and binding capacity are nobody's markers here; the urine
    # ratio shares its name with one.
    out_of_scope = (
        {"code": "3016-3", "test_name": "TSH", "specimen": "serum", "unit": "m[IU]/L"},
        {"code": "4548-4", "test_name": "HbA1c", "specimen": "blood", "unit": "%"},
        {"code": "2171-7", "test_name": "B12 binding capacity", "specimen": "serum",
         "unit": "pg/mL", "value": "1400"},
        {"code": "13776-0", "test_name": "Methylmalonate/Creatinine", "specimen": "urine",
         "unit": "mmol/mol"},
    )  # fmt: skip
    rejected = (
        potassium | {"unit": "IU"},
        potassium | {"collected_at": f"{day.year}-02-30"},
        potassium | {"value": "haemolysed"},
        potassium | {"value": "41"},
        potassium | {"specimen": "urine"},
        potassium | {"status": "unheard-of"},
        potassium | {"unit": "mg"},
    )
    extra = [dict(row) for row in sources[: counts["duplicate"]]]
    extra += changed("out_of_scope", out_of_scope)
    extra += changed("rejected", rejected)
    labs += extra


def _write_night(directory: Path, delivery: Delivery, night: date, chance: random.Random) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        rows = delivery.rows[kind]
        chance.shuffle(rows)
        with (directory / f"{kind}_{night}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS[kind], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def _write_truth(path: Path, truth: list[tuple[date, str, Truth]]) -> None:
    """One row per patient and night."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TRUTH_COLUMNS)
        for as_of, patient_id, held in sorted(truth, key=lambda row: row[:2]):
            writer.writerow((patient_id, as_of, held.functional_status, ";".join(held.actions)))
