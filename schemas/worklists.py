"""The worklists: what a clinic reads, and the items behind it.

:data:`SHEET` is the order of the columns in every worklist CSV.
"""

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation


@relation("worklists.item", key=("item_id",))
class Item(pa.DataFrameModel):
    """One row per item, open or closed in the last 365 days: a person, an action, its reason."""

    item_id: str = shared("item_id")
    priority: int = shared("priority", ge=1, le=7)
    action: str = shared("action", words=words.ACTIONS)
    patient_id: str = shared("patient_id")
    state: str = column("Against the nights before this one", words=words.LIST_STATES)
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
    item_state: str = column("Whether it is on a list", words=words.ITEM_STATES)
    closed_on: pl.Date = column("The night that closed it", nullable=True)
    close_reason: str = column("Why it was closed", nullable=True, words=words.CLOSE_REASONS)

    class Config:
        strict = True


FOR_THE_CLINIC = ("decision", "decision_note", "until")
SHEET = (*list(Item.to_schema().columns)[:-3], *FOR_THE_CLINIC)
