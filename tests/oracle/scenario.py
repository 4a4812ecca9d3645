"""A person of the oracle written as a scenario of `tests/spec`, ready to be read and to be kept."""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from typing import Any

from tests.oracle.agreement import Disagreement
from tests.oracle.generate import ATC, Subject
from tests.oracle.people import Night
from tests.spec.reading import DRUGS, GIVEN

LABELS = {
    "mma": "MMA",
    "hcy": "homocysteine",
    "b12": "total B12",
    "holotc": "active B12",
    "egfr": "eGFR",
    "creatinine": "creatinine",
    "hb": "Hb",
    "mcv": "MCV",
    "folate": "folate",
}
# part and name of the oracle: column of a `Then` table; a fact is its own column
COLUMNS = {
    ("screening", "route"): "route",
    ("screening", "rule_id"): "route rule",
    ("functional_status", "functional_status"): "functional_status",
    ("functional_status", "rule_id"): "rule",
    ("recheck", "milestone"): "milestone",
    ("recheck", "due_on"): "due on",
    ("recheck", "recheck_state"): "recheck",
    ("recheck", "days_overdue"): "days overdue",
    ("recheck", "missing"): "missing",
    ("recheck", "n_missed"): "missed before",
    ("response", "response"): "response",
    ("response", "rule_id"): "response rule",
    ("response", "mma_fall_pct"): "MMA fall",
    ("response", "hcy_fall_pct"): "homocysteine fall",
}
NAME = "somebody"

Cells = dict[str, str]


def as_scenario(disagreement: Disagreement, night: Night) -> str:
    """The person, what the oracle expects where the two differ, and below it what SQL says."""
    expected = then(
        (part, name, oracle) for part, name, oracle, _ in disagreement.places if oracle is not None
    )
    found = [f"- SQL: {part} {name} {sql}" for part, name, _, sql in disagreement.places]
    page = [
        *heading(night),
        "### The oracle and SQL disagree about somebody",
        "",
        "Rules: of the row at issue",
        "",
        *givens(disagreement.subject, night.as_of),
        *table("Then", [expected]),
        *found,
    ]
    return "\n".join(page)


def heading(night: Night) -> list[str]:
    complete = night.medications_complete_from
    more = f"; medications complete from {complete}" if complete else ""
    return [f"Night: {night.as_of}{more}", ""]


def givens(subject: Subject, as_of: date) -> Iterator[str]:
    """The `Given` tables of one person, in the words of `tests/spec`."""
    yield from table("Given patients", [patient(subject, as_of)])
    results = [
        {
            "on": moment(result.collected_at, as_of),
            "status": result.status,
            "reported": moment(result.reported_at, as_of) if result.reported_at else "",
            "id": result.result_id,
            LABELS[result.analyte]: "blank"
            if result.value is None
            else f"{result.comparator.strip('=')}{result.value:.10g}",
        }
        for result in subject.results
    ]
    yield from table("Given results", results)
    conditions = [
        {
            "code": condition.code,
            "system": condition.code_system,
            "recorded": day(condition.recorded_on, as_of),
            "resolved": day(condition.resolved_on, as_of),
        }
        for condition in subject.conditions
    ]
    yield from table("Given conditions", conditions)
    drugs = {code: name for name, code in DRUGS.items()}
    how = {way: name for name, way in GIVEN.items()}
    medications = [
        {
            "drug": drugs[ATC[drug.substance]],
            "given": how[drug.kind, drug.route or ""],
            "dose": "" if drug.dose_mg is None else f"{drug.dose_mg:.10g} mg",
            "from": day(drug.started_on, as_of),
            "to": day(drug.ended_on, as_of),
        }
        for drug in subject.medications
    ]
    yield from table("Given medications", medications)


def patient(subject: Subject, as_of: date) -> Cells:
    person = subject.person
    if person is None:
        return {"in patients": "no"}
    return {
        "birth date": str(person.birth_date or "missing"),
        "sex": person.sex,
        "clinic": person.clinic_id or "none",
        "opted out": "yes" if person.opted_out else "",
        "died": day(person.deceased_on, as_of),
    }


def then(said: Iterable[tuple[str, str, Any]]) -> Cells:
    """The cells of a `Then` row: what the oracle says, by part and name."""
    cells: Cells = {}
    for part, name, word in said:
        if part == "actions":
            rows = sorted(f"{rule} {action} ({priority})" for action, rule, priority in word)
            cells["actions"] = ", ".join(rows) or "none"
        elif name:
            cells[COLUMNS.get((part, name), name)] = cell(word)
        else:
            cells |= {COLUMNS.get((part, key), key): cell(each) for key, each in word.items()}
    return cells


def cell(word: Any) -> str:
    if word is None:
        return "-"
    return f"{word:.4g}" if isinstance(word, float) else str(word) or "nothing"


def table(kind: str, rows: list[Cells]) -> list[str]:
    """A table of `tests/spec`; columns that are blank for everybody are left out."""
    columns = list(dict.fromkeys(name for row in rows for name, text in row.items() if text))
    if not columns:
        return []
    lines = [[kind, *columns], ["---"] * (len(columns) + 1)]
    lines += [[NAME, *(row.get(name, "") for name in columns)] for row in rows]
    return [*(f"| {' | '.join(cells)} |" for cells in lines), ""]


def day(wanted: date | None, as_of: date) -> str:
    """A day as `tests/spec` counts it from the night."""
    if wanted is None:
        return ""
    n = (wanted - as_of).days
    return f"{n:+d} d" if n else "D"


def moment(at: datetime, as_of: date) -> str:
    clock = "" if at.time() == time() else f" {at:%H:%M}"
    return day(at.date(), as_of) + clock
