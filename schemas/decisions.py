"""What the rules decide for each person on the night, each with the id of the rule."""

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation


@relation("decisions.screening", key=("patient_id",))
class Screening(pa.DataFrameModel):
    """One row per patient: the path through the screen. Nobody is without one."""

    patient_id: str = shared("patient_id")
    route: str = shared("route", words=words.SCREENING_ROUTES)
    rule_id: str = shared("rule_id")

    class Config:
        strict = True


@relation("decisions.functional_status", key=("patient_id",))
class FunctionalStatus(pa.DataFrameModel):
    """One row per patient of the routes screened and pregnant: what the markers say."""

    patient_id: str = shared("patient_id")
    functional_status: str = shared("functional_status", words=words.FUNCTIONAL_STATUSES)
    rule_id: str = shared("rule_id")
    why: str = shared("why")

    class Config:
        strict = True


@relation("decisions.action", key=("patient_id", "action"))
class Action(pa.DataFrameModel):
    """One row per patient and action: what a clinician should consider."""

    patient_id: str = shared("patient_id")
    action: str = shared("action", words=words.ACTIONS)
    rule_id: str = shared("rule_id")
    priority: int = shared("priority", ge=1, le=7)
    why: str = shared("why")

    class Config:
        strict = True


@relation("decisions.recheck", key=("patient_id",))
class Recheck(pa.DataFrameModel):
    """One row per patient with an episode (screened, pregnant): the recheck that counts."""

    patient_id: str = shared("patient_id")
    milestone: str = column("The recheck by its distance from the start, say 3 months")
    due_on: pl.Date = shared("due_on")
    recheck_state: str = column("Where it stands", words=words.RECHECK_STATES)
    days_overdue: int = shared("days_overdue", ge=0)
    missing: str = column("Tests of the panel not collected in its window, comma-separated")
    n_missed: int = column("Earlier rechecks that were never done", ge=0)

    class Config:
        strict = True


@relation("decisions.response", key=("patient_id",))
class Response(pa.DataFrameModel):
    """One row per patient with an episode (screened, pregnant): the response to treatment."""

    patient_id: str = shared("patient_id")
    response: str = column("How the markers answered to treatment", words=words.RESPONSES)
    rule_id: str = shared("rule_id")
    mma_fall_pct: float = column(
        "Fall of methylmalonic acid since before the episode, %; NULL too where one of the two has "
        "a comparator, though the fall may decide",
        nullable=True,
    )
    hcy_fall_pct: float = column("The same of homocysteine", nullable=True)
    mma_before_nmol_l: float = column(
        "Last methylmalonic acid before the episode, nmol/L", nullable=True
    )
    mma_before_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    mma_before_on: pl.Date = column("Its collection day", nullable=True)
    mma_after_nmol_l: float = column(
        "Latest methylmalonic acid that speaks about the response, nmol/L", nullable=True
    )
    mma_after_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    mma_after_on: pl.Date = column("Its collection day", nullable=True)
    hcy_before_umol_l: float = column("Last homocysteine before the episode, umol/L", nullable=True)
    hcy_before_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    hcy_before_on: pl.Date = column("Its collection day", nullable=True)
    hcy_after_umol_l: float = column(
        "Latest homocysteine that speaks about the response, umol/L", nullable=True
    )
    hcy_after_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    hcy_after_on: pl.Date = column("Its collection day", nullable=True)
    hcy_decides: bool = column("Whether the fall of homocysteine stands for that of MMA")

    class Config:
        strict = True
