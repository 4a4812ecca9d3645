"""What stands of people, conditions and medications does not depend on when a file was taken.

Files of a night come in one attempt or in several, in any order, with and without the columns that
may lack. The row that stands is folded here a second time, in plain Python, from everything sent.
"""

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest

from b12screen.ingest import Again
from b12screen.maps import Maps

from .inbox import NIGHT, Box

KINDS = {
    "patients": {
        "patient_id": ["P1", "P2"],
        "birth_date": ["1950-01-02", "1960-01-02", ""],
        "sex": ["female", "male"],
        "clinic_id": ["north", "south", ""],
        "deceased_on": ["2026-11-01", ""],
        "opted_out": ["true", "false"],
    },
    "conditions": {
        "patient_id": ["P1", "P2"],
        "code": ["R20.2"],
        "code_system": ["icd10cm"],
        "recorded_on": ["2026-06-01"],
        "resolved_on": ["2026-09-01", "2026-10-01", ""],
    },
    "medications": {
        "medication_id": ["M1", "M2"],
        "patient_id": ["P1"],
        "code": ["B03BA03", "B03BA01"],
        "code_system": ["atc"],
        "kind": ["prescription"],
        "started_on": ["2026-06-01", "2026-07-01"],
        "ended_on": ["2026-08-01", ""],
        "dose": ["1", "2", ""],
        "route": ["im", "oral", ""],
    },
}
MAY_LACK = ("deceased_on", "opted_out", "resolved_on", "ended_on", "dose", "route")
KEYS = {"patients": 1, "conditions": 4, "medications": 1}
TABLES = {"patients": "patient", "conditions": "condition", "medications": "medication"}


@dataclass
class Sent:
    """A file: what its rows say, and when it came."""

    name: str
    night: date
    rows: list[dict[str, str]]
    lines: str = field(init=False)

    def __post_init__(self) -> None:
        # A column of no use: the same content would not be taken a second time.
        header = ",".join([*self.rows[0], "name of the file"])
        rows = [",".join([*row.values(), self.name]) for row in self.rows]
        self.lines = "\n".join([header, *rows]) + "\n"


def drawn(draw: random.Random, kind: str, name: str, night: date) -> Sent:
    """A file of a kind that has some of the columns that may lack."""
    columns = {
        column: values
        for column, values in KINDS[kind].items()
        if column not in MAY_LACK or draw.random() < 0.5
    }
    rows = [
        {column: draw.choice(values) for column, values in columns.items()}
        for _ in range(draw.randint(1, 3))
    ]
    return Sent(name, night, rows)


def standing(kind: str, sent: list[Sent]) -> list[tuple[str | None, ...]]:
    """Each column as the last row says that has it, in the order of night, file and record."""
    told: dict[tuple[str, ...], dict[str, str]] = {}
    for file in sorted(sent, key=lambda file: (file.night, file.name)):
        for row in file.rows:
            key = tuple(row.values())[: KEYS[kind]]
            told.setdefault(key, {}).update(row)
    plain = {"opted_out": "false"}
    return sorted(
        tuple(row.get(column, plain.get(column, "")) or None for column in KINDS[kind])
        for row in told.values()
    )


def stands(box: Box, kind: str) -> list[tuple[object, ...]]:
    """The same from the store."""
    columns = ", ".join(
        "CAST(CAST(dose AS INTEGER) AS VARCHAR)"
        if column == "dose"
        else f"CAST({column} AS VARCHAR)"
        for column in KINDS[kind]
    )
    return sorted(box.rows(f"SELECT {columns} FROM core.{TABLES[kind]}"), key=str)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))]
)
def test_what_stands_is_folded_in_the_order_of_versions_whatever_came_first(
    tmp_path: Path, maps: Maps, kind: str, seed: int
) -> None:
    draw = random.Random(f"{kind} {seed}")
    box = Box(tmp_path, maps)
    every: list[Sent] = []
    n_superseded_in_order = 0
    for number in range(3):
        night = NIGHT + timedelta(days=number)
        files = [drawn(draw, kind, f"{kind}_{night}_{letter}.csv", night) for letter in "abcd"]
        draw.shuffle(files)
        attempts = draw.choice([[files], [files[:2], files[2:]], [[file] for file in files]])
        for attempt in attempts:
            for file in attempt:
                box.put(file.name, file.lines)
            accounts = box.take(night).accounts
            assert sum(account.n_read for account in accounts) == sum(
                len(file.rows) for file in attempt
            )
            if len(attempts) == 1:
                n_superseded_in_order += sum(account.n_superseded for account in accounts)
            every += attempt
            assert stands(box, kind) == sorted(standing(kind, every), key=str)
    assert n_superseded_in_order == 0
    # Read again, every file says what it said, in its own place.
    again = Again(files=tuple(box.inbox / file.name for file in draw.sample(every, 4)))
    retaken = [a for a in box.take(night, again).accounts if a.taken_by == "retake"]
    assert len(retaken) == 4
    assert sum(account.n_accepted for account in retaken) == 0
    assert stands(box, kind) == sorted(standing(kind, every), key=str)
    box.warehouse.close()
