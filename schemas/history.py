"""The nights before this one, as far as they bear on it."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation
from schemas.worklists import Answer, Ground, Item, Shown

Moment = Annotated[pl.Datetime, "us", None]


@relation("history.night", key=("as_of",))
class PastNight(pa.DataFrameModel):
    """One row per published night before this one."""

    as_of: pl.Date = shared("as_of")
    run_id: str = shared("run_id")
    ruleset: str = shared("ruleset")
    ruleset_sha256: str = column(
        "SHA-256 of the ruleset; NULL of nights that kept none", nullable=True
    )
    version: str = shared("version")
    started_at: Moment = column("When its run started, in the site's timezone")
    n_patients: int = column("People it decided on", ge=0)
    n_items: int = column("Items it listed", ge=0)

    class Config:
        strict = True


@relation("history.decision", key=("patient_id", "decision", "outcome", "first_night_on"))
class PastDecision(pa.DataFrameModel):
    """One row per unbroken run of nights before this one that decided the same for a person."""

    patient_id: str = shared("patient_id")
    decision: str = column("What was decided", words=("functional_status", "action"))
    outcome: str = column("The status or the action")
    rule_id: str = shared("rule_id")
    priority: int = column("Priority of the action", nullable=True, ge=1, le=7)
    first_night_on: pl.Date = column("First night of the run")
    last_night_on: pl.Date = column("Last night of the run")

    class Config:
        strict = True


@relation("history.item", key=("item_id", "clinic_id"))
class PastItem(Item):
    """One row per item and clinic as the last night before this one left it."""

    recommendation: str = column("What it said to consider, for clinician review")
    state: str = column("Its state on that night", words=words.LIST_STATES)

    class Config:
        strict = True


@relation("history.answer", key=("item_id", "given_by", "clinic_id"))
class PastAnswer(Answer):
    """One row per answered item, giver and clinic as the last night before this one left it."""

    holds: bool = column("Whether it kept the row off the list on that night")

    class Config:
        strict = True


@relation("history.ground", key=("item_id", "clinic_id", "analyte", "collected_on", "value_text"))
class PastGround(Ground):
    """One row per value and clinic of a row that rested on it, as the last night left it."""

    clinic_id: str = column("The clinic that had been told", nullable=True)

    class Config:
        strict = True


@relation("history.shown", key=("item_id", "clinic_id", "first_on"))
class PastShown(Shown):
    """One row per unbroken run of nights before this one on which a list showed an item alike."""

    clinic_id: str = column("The clinic whose list it had been on", nullable=True)

    class Config:
        strict = True
