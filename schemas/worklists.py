"""The worklists: what a clinic reads, and the items behind it.

:data:`SHEET` is the order of the columns in every worklist CSV.
"""

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation


@relation("worklists.item", key=("item_id", "clinic_id"))
class Item(pa.DataFrameModel):
    """One row per item and clinic, open, at rest, or closed in the last 365 days.

    An item is a person, an action and what it is about. One that moves to another clinic, or that a
    clinic sends back as not its patient's, is closed at the one and open at the other. A row at
    rest shows the findings that its answer was given on, a closed one what its last list showed:
    what is so tonight stands in facts and decisions.
    """

    item_id: str = shared("item_id")
    priority: int = shared("priority", ge=1, le=7)
    action: str = shared("action", words=words.ACTIONS)
    patient_id: str = shared("patient_id")
    state: str = column(
        "Against the nights before, on the last night whose list showed it", words=words.LIST_STATES
    )
    first_listed_on: pl.Date = column("The first night that listed the item")
    due_on: pl.Date = shared("due_on", nullable=True)
    days_overdue: int = shared("days_overdue", ge=0)
    recommendation: str = column("What to consider, for clinician review")
    why: str = shared("why")
    functional_status: str = shared("functional_status", nullable=True)
    neuro: str = shared("neuro", words=words.NEUROS)
    kidney: str = shared("kidney", words=words.KIDNEYS)
    mma_nmol_l: str = column("Methylmalonic acid with its comparator, nmol/L", nullable=True)
    mma_on: pl.Date = shared("mma_on", nullable=True)
    hcy_umol_l: str = column("Homocysteine with its comparator, umol/L", nullable=True)
    hcy_on: pl.Date = shared("hcy_on", nullable=True)
    b12_pmol_l: str = column("Total vitamin B12 with its comparator, pmol/L", nullable=True)
    b12_on: pl.Date = shared("b12_on", nullable=True)
    egfr_ml_min: str = column("eGFR with its comparator, mL/min/1.73 m2", nullable=True)
    egfr_on: pl.Date = shared("egfr_on", nullable=True)
    rule_id: str = shared("rule_id")
    source: str = column("Citation of the rule, or the assumption it rests on")
    clinic_id: str = shared("clinic_id", nullable=True)
    as_of: pl.Date = shared("as_of")
    decision: str = column(
        "The answer that keeps, or last kept, the row off the list; empty in the sheet, for the "
        "clinic",
        nullable=True,
        words=words.DECISIONS,
    )
    decision_note: str = column("What was noted with that answer", nullable=True)
    until: pl.Date = column("The day on which the row comes back", nullable=True)
    item_state: str = column("Whether it is on a list", words=words.ITEM_STATES)
    closed_on: pl.Date = column("The night that closed it", nullable=True)
    close_reason: str = column(
        "Why it was closed; declined also for a row at rest",
        nullable=True,
        words=words.CLOSE_REASONS,
    )

    class Config:
        strict = True


@relation("worklists.answer", key=("item_id", "given_by", "clinic_id"))
class Answer(pa.DataFrameModel):
    """One row per answered item, giver and clinic: what was said, what was seen, what ended it.

    A clinic answers a row of its sheet; the site puts an action off as a whole.
    """

    item_id: str = shared("item_id")
    given_by: str = column("Who gave the answer", words=words.GIVERS)
    clinic_id: str = column("The clinic whose row was answered", nullable=True)
    decision: str = column("The answer", words=words.DECISIONS)
    decision_note: str = column("What was noted with it", nullable=True)
    decided_on: pl.Date = column("The day of the answer")
    seen_on: pl.Date = column("The night whose sheet was answered")
    back_on: pl.Date = column("The day on which the row comes back", nullable=True)
    file_name: str = column("The feedback extract; `defer` where the site put the action off")
    record: int = column("Number of the record there, or of the deferral", ge=1)
    taken_for: pl.Date = shared("taken_for")
    seen_priority: int = column("Priority of the row that was answered", nullable=True, ge=1, le=7)
    seen_mma_nmol_l: str = column("Methylmalonic acid that the row showed, nmol/L", nullable=True)
    seen_hcy_umol_l: str = column("Homocysteine that the row showed, umol/L", nullable=True)
    ended_on: pl.Date = column("The night that ended it", nullable=True)
    ended_by: str = column("What ended it", nullable=True, words=words.ANSWER_ENDS)
    holds: bool = column("Whether it keeps the row off the list tonight")

    class Config:
        strict = True


@relation("worklists.ground", key=("item_id", "clinic_id", "analyte", "collected_on", "value_text"))
class Ground(pa.DataFrameModel):
    """One row per value and clinic of a row that rests on it, or did in the last 365 days.

    A withdrawn one stays until the clinic that was told has acknowledged it.
    """

    item_id: str = shared("item_id")
    patient_id: str = shared("patient_id")
    clinic_id: str = column("The clinic that was told", nullable=True)
    analyte: str = shared("analyte", words=words.ANALYTES)
    collected_on: pl.Date = column("Collection day of the value")
    value_text: str = column("The value in the canonical unit, with its comparator")
    listed_on: pl.Date = column("The last night whose list named it")
    withdrawn_on: pl.Date = column("The night that found it corrected or withdrawn", nullable=True)

    class Config:
        strict = True


@relation("worklists.shown", key=("item_id", "clinic_id", "first_on"))
class Shown(pa.DataFrameModel):
    """One row per unbroken run of nights of the last 365 days on which a list showed an item alike.

    Alike in what an answer to an older sheet is held against.
    """

    item_id: str = shared("item_id")
    clinic_id: str = column("The clinic whose list it was on", nullable=True)
    priority: int = shared("priority", ge=1, le=7)
    mma_nmol_l: str = column("Methylmalonic acid that the row showed, nmol/L", nullable=True)
    hcy_umol_l: str = column("Homocysteine that the row showed, umol/L", nullable=True)
    first_on: pl.Date = column("The first night of the run")
    last_on: pl.Date = column("The last night of the run")

    class Config:
        strict = True


FOR_THE_CLINIC = ("decision", "decision_note", "until")
SHEET = tuple(Item.to_schema().columns)[:-3]
