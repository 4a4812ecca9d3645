"""What the oracle reads about one person and one night: plain records, nothing computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

NEURO_GROUPS = frozenset(
    {
        "paraesthesia",
        "gait_ataxia",
        "neuropathy",
        "cord",
        "optic",
        "cognition",
        "falls",
        "psychiatric",
    }
)

OTHER_GROUPS = frozenset(
    {
        "dialysis",
        "transplant",
        "ckd_3_5",
        "aki",
        "diabetic_nephropathy",
        "pregnancy",
        "nitrous_oxide",
        "inborn_error",
        "cobalamin_reaction",
        "irreversible_cause",
    }
)

COBALAMINS = frozenset(
    {
        "hydroxocobalamin",
        "cyanocobalamin",
        "methylcobalamin",
        "cobamamide",
        "cobalamin_unspecified",
        "b12_with_folic_acid",
    }
)

FOLIC_ACIDS = frozenset({"folic_acid", "b12_with_folic_acid"})


@dataclass(frozen=True)
class Person:
    """One row of the patients extract; a person known only from results has everything blank."""

    patient_id: str
    birth_date: date | None = None
    sex: str = "unknown"
    clinic_id: str | None = None
    deceased_on: date | None = None
    opted_out: bool = False


@dataclass(frozen=True)
class Result:
    """One version of a result, the value in the canonical unit of its analyte.

    Several versions share a result_id and a laboratory; the order in a list is the order in which
    they arrived.
    """

    result_id: str
    analyte: str
    comparator: str
    value: float | None
    status: str
    collected_at: datetime
    reported_at: datetime | None = None
    clinic_id: str | None = None
    laboratory: str = "main"

    @property
    def collected_on(self) -> date:
        return self.collected_at.date()


@dataclass(frozen=True)
class Condition:
    """One row of the conditions extract with the groups and tiers its code stands in."""

    code_system: str
    code: str
    recorded_on: date
    resolved_on: date | None = None
    groups: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True)
class Medication:
    """One row of the medications extract, its dose in mg where known."""

    medication_id: str
    kind: str
    substance: str
    started_on: date
    ended_on: date | None = None
    dose_mg: float | None = None
    route: str | None = None


def every_group_mapped() -> dict[str, frozenset[str]]:
    """ICD-10-CM has shipped codes for every group."""
    return {"icd10cm": NEURO_GROUPS | OTHER_GROUPS}


@dataclass(frozen=True)
class Night:
    """The night, its feeds, and what the feed's code systems can say at all."""

    as_of: date
    labs_feed: str = "fresh"
    patients_feed: str = "fresh"
    conditions_feed: str = "fresh"
    medications_feed: str = "fresh"
    medications_complete_from: date | None = None
    # Code systems seen in the conditions feed, each with the groups the maps have codes for in it.
    mapped_groups: dict[str, frozenset[str]] = field(default_factory=every_group_mapped)
