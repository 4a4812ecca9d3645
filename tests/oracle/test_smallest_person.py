"""SQL against the oracle on people drawn by Hypothesis, which boils a disagreement down.

The generator of `generate.py` finds more; what is found here comes as the smallest person who shows
it, printed as a scenario of `tests/spec`.
"""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b12screen.rules import load_ruleset
from schemas.words import CANONICAL_UNITS
from tests.mutation.store import Store
from tests.oracle.agreement import decided, disagreements, night_of
from tests.oracle.generate import (
    ATC,
    CODES,
    EDGE_DAYS,
    TESTS,
    VALUES,
    Population,
    Subject,
    fresh_feeds,
)
from tests.oracle.oracle import add_months
from tests.oracle.people import Condition, Medication, Night, Person, Result
from tests.oracle.scenario import as_scenario

D = date(2026, 11, 22)
NIGHT = Night(D)
STATUSES = ("final", "corrected", "amended", "preliminary", "cancelled", "entered-in-error")
# The night first, then both sides of every window, nearest first: so a day shrinks to the night.
EDGES = sorted((*EDGE_DAYS, 23, 24, 104, 105, 106), key=abs)
FEW = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
Row = dict[str, Any]


def days() -> st.SearchStrategy[date]:
    """A day at the edge of a window before the night, or of two windows laid end to end."""
    one = st.sampled_from(EDGES)
    counted = st.one_of(one, st.builds(lambda a, b: a + b, one, one))
    months = st.builds(
        lambda n, more: add_months(D, -n) + timedelta(days=more),
        st.sampled_from((2, 3, 5, 6, 12, 24)),
        st.sampled_from((0, 1, -1)),
    )
    return st.one_of(counted.map(lambda n: D - timedelta(days=n)), months)


@st.composite
def results(draw: st.DrawFn) -> Result:
    analyte = draw(st.sampled_from(sorted(VALUES.keys() - {"folate"})))
    at = datetime.combine(draw(days()), draw(st.sampled_from((time(), time(8), time(23, 59)))))
    reported = draw(st.sampled_from((None, 0, 1, 3)))
    return Result(
        "",
        analyte,
        draw(st.sampled_from(("=", "=", "<", ">"))),
        draw(st.sampled_from(VALUES[analyte])),
        draw(st.sampled_from(STATUSES)),
        at,
        None if reported is None else at + timedelta(days=reported),
    )


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    system, code = draw(st.sampled_from(list(CODES)))
    recorded = draw(days())
    resolved = draw(st.one_of(st.none(), days()))
    end = None if resolved is None else max(resolved, recorded)
    return Condition(system, code, recorded, end, CODES[system, code])


@st.composite
def courses(draw: st.DrawFn) -> list[Medication]:
    """One prescription, or injections one after another."""
    substance = draw(st.sampled_from(list(ATC)))
    start, n, step = draw(days()), draw(st.sampled_from((1, 5, 6, 7))), draw(st.integers(1, 61))
    kind = draw(st.sampled_from(("administration", "prescription")))
    dose = draw(st.sampled_from((None, 0.4, 0.401, 0.499, 0.5, 1.0, 4999.0, 5000.0)))
    routes = (None, "im", "oral") if substance != "folic_acid" else (None, "oral")
    route = draw(st.sampled_from(routes))
    end = draw(st.one_of(st.none(), days()))
    end = max(end, start) if end and kind == "prescription" else None
    return [
        Medication("", kind, substance, start + timedelta(days=step * i), end, dose, route)
        for i in range(n if kind == "administration" else 1)
    ]


@st.composite
def people(draw: st.DrawFn) -> Subject:
    birth = draw(
        st.sampled_from((date(1956, 5, 17), add_months(D, -216), D - timedelta(days=6000), None))
    )
    person = Person(
        "",
        birth,
        draw(st.sampled_from(("female", "male", "other", "unknown"))),
        "north",
        draw(st.sampled_from((None, None, None, D, D + timedelta(days=1)))),
        draw(st.sampled_from((False, False, False, True))),
    )
    codes = draw(st.lists(conditions(), max_size=3, unique_by=lambda c: (c.code, c.recorded_on)))
    taken = [each for course in draw(st.lists(courses(), max_size=2)) for each in course]
    return Subject("", person, draw(st.lists(results(), max_size=8)), codes, taken)


def named(subject: Subject, number: int) -> Subject:
    """The same person with ids, which Hypothesis has nothing to say about."""
    who = f"P{number:03d}"
    assert subject.person is not None
    return Subject(
        who,
        replace(subject.person, patient_id=who),
        [replace(r, result_id=f"{who}-{i:02d}") for i, r in enumerate(subject.results)],
        subject.conditions,
        [replace(m, medication_id=f"{who}-{i:02d}") for i, m in enumerate(subject.medications)],
    )


def records(population: Population) -> dict[str, list[Row]]:
    """The people as rows of the store, the maps of the intake left out."""
    found: dict[str, list[Row]] = {
        name: []
        for name in ("core.patient", "core.lab_result", "core.condition", "core.medication")
    }
    for subject in population.subjects:
        who: Row = {"patient_id": subject.patient_id}
        if subject.person:
            found["core.patient"].append(vars(subject.person))
        for r in subject.results:
            found["core.lab_result"].append(
                who
                | {
                    "result_id": r.result_id,
                    "laboratory": r.laboratory,
                    "analyte": r.analyte,
                    "comparator": r.comparator,
                    "value": r.value,
                    "unit": CANONICAL_UNITS[r.analyte],
                    "code": TESTS[r.analyte][1],
                    "status": r.status,
                    "collected_at": r.collected_at,
                    "collected_on": r.collected_on,
                    "reported_at": r.reported_at,
                    "taken_for": population.night.as_of,
                }
            )
        for c in subject.conditions:
            found["core.condition"].append(
                who
                | {
                    "code_system": c.code_system,
                    "code": c.code,
                    "recorded_on": c.recorded_on,
                    "resolved_on": c.resolved_on,
                }
            )
        for m in subject.medications:
            found["core.medication"].append(
                who
                | {
                    "medication_id": m.medication_id,
                    "code_system": "atc",
                    "code": ATC[m.substance],
                    "kind": m.kind,
                    "started_on": m.started_on,
                    "ended_on": m.ended_on,
                    "dose": m.dose_mg,
                    "dose_unit": None if m.dose_mg is None else "mg",
                    "route": m.route,
                }
            )
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A night of nobody but somebody who keeps every feed fresh."""
    site = tmp_path_factory.mktemp("drawn") / "site"
    database = night_of(Population(NIGHT, [bystander()]), site)
    store = Store(database, load_ruleset("praxis-2025").tables())
    yield store
    store.close()


def bystander() -> Subject:
    return fresh_feeds(random.Random(0), NIGHT)


@pytest.mark.long
@FEW
@given(drawn=st.lists(people(), min_size=1, max_size=25))
def test_sql_and_the_oracle_agree_on_drawn_people(store: Store, drawn: list[Subject]) -> None:
    subjects = [bystander(), *(named(subject, number) for number, subject in enumerate(drawn))]
    population = Population(NIGHT, subjects)
    with store.holding(records(population)) as warehouse:
        different = list(disagreements(population, decided(warehouse)))
    assert not different, as_scenario(different[0], NIGHT)
