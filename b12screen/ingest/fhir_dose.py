"""What FHIR R4 says of a drug: when a prescription ends, how much is given, and by which route."""

from datetime import date, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

from b12screen.ingest.ends import ended
from b12screen.ingest.fhir_element import (
    SNOMED,
    Json,
    day_of,
    decimal,
    inner,
    last_day,
    objects,
    period_end,
    text,
)
from b12screen.maps import fold_unit, fold_words

# SNOMED CT concepts that stand for a word of the contract.
ROUTES = {
    "78421000": "im",
    "47625008": "iv",
    "34206005": "sc",
    "26643006": "oral",
    "37839007": "sublingual",
    "46713006": "nasal",
}
ROUTE_WORDS = {
    "im": "im", "intramuscular": "im", "intramuscular route": "im",
    "iv": "iv", "intravenous": "iv", "intravenous route": "iv",
    "sc": "sc", "subcutaneous": "sc", "subcutaneous route": "sc",
    "oral": "oral", "oral route": "oral", "po": "oral", "by mouth": "oral",
    "sublingual": "sublingual", "sublingual route": "sublingual", "sl": "sublingual",
    "nasal": "nasal", "nasal route": "nasal",
}  # fmt: skip
DOSE_UNITS = {"mg": "mg", "ug": "ug", "mcg": "mcg", "g": "g"}
# A month has no fixed number of days, so a monthly dose is none of a day.
DAYS_OF = {"d": Decimal(1), "wk": Decimal(7)}
MONTHS_OF = {"mo": Decimal(1), "a": Decimal(12)}


def prescription_end(request: Json, latest: date) -> str:
    """When a prescription ends: as stated, else as counted from the day it was written; or blank.

    An instruction says until when a drug is taken, the period of validity only until when it may be
    handed out, so it comes second. What is read here beside that period ends nothing after
    ``latest``: the contract knows no such day, and a long supply is no reason to refuse a row.
    """
    dispense, authored = request.get("dispenseRequest"), day_of(text(request.get("authoredOn")))
    repeats = [inner(one, "timing", "repeat") for one in objects(request.get("dosageInstruction"))]
    stated = [period_end(inner(repeat, "boundsPeriod")) for repeat in repeats]
    counted = [
        end or day_after(authored, inner(repeat, "boundsDuration"))
        for end, repeat in zip(stated, repeats, strict=True)
    ]
    n_supply = 1 + (decimal(inner(dispense, "numberOfRepeatsAllowed")) or 0)
    supplied = day_after(authored, inner(dispense, "expectedSupplyDuration"), n_supply)
    valid = ended(text(inner(dispense, "validityPeriod", "end")))
    instructed = last_of(stated)
    end = instructed if instructed or valid else last_of(counted) or supplied
    if end is None:
        return valid
    return end.isoformat() if end <= latest else ""


def last_of(ends: list[date | None]) -> date | None:
    """The last of some ends; None where one of them is open."""
    known = [end for end in ends if end is not None]
    return max(known, default=None) if len(known) == len(ends) else None


def day_after(day: date | None, duration: Any, times: Decimal | int = 1) -> date | None:
    """The day so long after another, so many times; None where that cannot be counted.

    A part of a day counts as one, a part of a month cannot be counted; a month from its 31st ends
    at the end of a shorter one.
    """
    number = decimal(inner(duration, "value"))
    unit = text(inner(duration, "code")) or text(inner(duration, "unit"))
    if day is None or number is None or number <= 0 or times < 1 or inner(duration, "comparator"):
        return None
    try:
        if unit in DAYS_OF:
            return day + timedelta(days=ceil(number * times * DAYS_OF[unit]))
        months = number * times * MONTHS_OF[unit]
        if months % 1:
            return None
        year, month = divmod(day.year * 12 + day.month - 1 + int(months), 12)
        last = last_day(f"{year:04}-{month + 1:02}")
        return last and last.replace(day=min(day.day, last.day))
    except (KeyError, ArithmeticError):
        return None


def administered(dosage: Any) -> dict[str, str]:
    """Dose, unit and route of an administration."""
    return dose_cells(inner(dosage, "dose")) | {"route": route(inner(dosage, "route"))}


def prescribed(instructions: list[Json]) -> dict[str, str]:
    """Dose of a day, unit and route of a prescription that has one instruction."""
    if len(instructions) != 1:
        return {}
    (instruction,) = instructions
    cells = {"route": route(instruction.get("route"))}
    doses = objects(instruction.get("doseAndRate"))
    repeat = inner(instruction, "timing", "repeat")
    times = decimal(inner(repeat, "frequency"))
    period = decimal(inner(repeat, "period"))
    days = DAYS_OF.get(text(inner(repeat, "periodUnit")))
    if len(doses) != 1 or times is None or not period or days is None:
        return cells
    dose = dose_cells(doses[0].get("doseQuantity"))
    number = decimal(dose.get("dose"))
    if number is None:
        return cells
    dose["dose"] = format(round(number * times / (period * days), 6).normalize(), "f")
    return cells | dose


def dose_cells(quantity: Any) -> dict[str, str]:
    """A dose of mass; a dose of tablets or millilitres says nothing of the substance."""
    unit = DOSE_UNITS.get(fold_unit(text(inner(quantity, "code")))) or DOSE_UNITS.get(
        fold_unit(text(inner(quantity, "unit")))
    )
    number = decimal(inner(quantity, "value"))
    if unit is None or number is None or number < 0:
        return {}
    return {"dose": text(inner(quantity, "value")), "dose_unit": unit}


def route(concept: Any) -> str:
    """The contract's word for a route; blank where it is none of ours."""
    for coding in objects(inner(concept, "coding")):
        if text(coding.get("system")) == SNOMED and text(coding.get("code")) in ROUTES:
            return ROUTES[text(coding.get("code"))]
    shown = [text(inner(concept, "text"))]
    shown += [text(one.get("display")) for one in objects(inner(concept, "coding"))]
    return next(
        (ROUTE_WORDS[word] for one in shown if (word := fold_words(one)) in ROUTE_WORDS), ""
    )
