"""The elements of FHIR R4 that resources are made of: loaded from a line, and read one by one.

Read, never repaired: a number stays the text it was sent as. What is not there is blank or None.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from b12screen.ingest.ends import ended
from b12screen.maps import SPECIMEN_CODES

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
VALUES = (
    "valueQuantity", "valueString", "valueInteger", "valueCodeableConcept", "valueBoolean",
    "valueRange", "valueRatio", "valueSampledData", "valueTime", "valueDateTime", "valuePeriod",
)  # fmt: skip

URN = "urn:uuid:"
REFERENCE = re.compile(
    r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
FULL_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

Json = dict[str, Any]


class Number(str):
    """A JSON number as the text it was sent as."""


class DoubledName(ValueError):
    """A name stands twice in one object, so that two readers may see two values."""


def loaded(line: bytes) -> Any:
    """The JSON of a line, numbers as sent. ``ValueError`` for none, and for a name twice."""
    found = json.loads(
        line.decode("utf-8"),
        parse_float=Number,
        parse_int=Number,
        parse_constant=_no_number,
        object_pairs_hook=_named_once,
    )
    if b"\\u" in line:
        # Half a character is no text; the engine refuses such a line as well.
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(word)


def _named_once(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DoubledName
    return found


def text(element: Any) -> str:
    """A string, or a number as sent; blank for anything else."""
    return element if isinstance(element, str) else ""


def inner(element: Any, *names: str) -> Any:
    """The element at the end of a path of names, or None."""
    for name in names:
        element = element.get(name) if isinstance(element, dict) else None
    return element


def objects(element: Any) -> list[Json]:
    """The objects of a list."""
    return [one for one in element if isinstance(one, dict)] if isinstance(element, list) else []


def objects_or_texts(element: Any) -> list[str]:
    """The texts of a list."""
    return [one for one in element if isinstance(one, str)] if isinstance(element, list) else []


def is_modified(element: Any) -> bool:
    """Whether an extension changes what an element means, a negation say.

    Source: HL7 FHIR R4, Extensibility.
    """
    return inner(element, "modifierExtension") not in (None, [])


def updated(resource: Json) -> str:
    """When this version was stored."""
    return text(inner(resource, "meta", "lastUpdated"))


def labels(resource: Json) -> set[str]:
    """The codes of its tags and security labels."""
    meta = resource.get("meta")
    return {
        text(one.get("code")) for name in ("tag", "security") for one in objects(inner(meta, name))
    }


def in_order(bundle: Json) -> list[tuple[int, Json]]:
    """The entries of a bundle with their numbers, so that what comes later counts.

    The newest version stands first in a history. Source: HL7 FHIR R4, RESTful API, history.
    """
    entries = list(enumerate(objects(bundle.get("entry"))))
    return entries[::-1] if text(bundle.get("type")) == "history" else entries


def contained(resource: Json, reference: Any) -> Json | None:
    """The contained resource that a reference beginning with # names."""
    if not text(reference).startswith("#"):
        return None
    return next(
        (
            one
            for one in objects(resource.get("contained"))
            if text(one.get("id")) == text(reference)[1:]
        ),
        None,
    )


def target_of(reference: Any, name: str) -> str:
    """The id that a reference to a type or a ``urn:`` names; blank for anything else."""
    if text(reference).startswith("urn:"):
        return text(reference).removeprefix(URN)
    found = REFERENCE.fullmatch(text(reference))
    return found[2] if found is not None and found[1] == name else ""


def organisation(reference: Any) -> str:
    """The id of an organisation that is referred to."""
    named = inner(reference, "reference")
    return "" if text(named).startswith("urn:") else target_of(named, "Organization")


def identifier(resource: Json, system: str | None, as_of: date) -> str | None:
    """The value of the identifier of a system; None where several are in use, blank for none."""
    found = {value for of_system, value in identifier_pairs(resource, as_of) if of_system == system}
    return None if len(found) > 1 else next(iter(found), "")


def identifier_pairs(resource: Json, as_of: date) -> list[tuple[str, str]]:
    """System and value of the identifiers of a resource that are in use on a day.

    An old one may be the result of a mistake, or somebody else's by now. Source: HL7 FHIR R4,
    IdentifierUse.
    """
    return [
        pair
        for one in objects(resource.get("identifier"))
        if text(one.get("use")) != "old"
        and (period_end(one.get("period")) or as_of) >= as_of
        and (pair := identifier_pair(one)) is not None
    ]


def identifier_pair(element: Any) -> tuple[str, str] | None:
    """System and value of an identifier that has both."""
    system, found = text(inner(element, "system")), text(inner(element, "value"))
    return (system, found) if system and found else None


def word_of(concept: Any) -> str:
    """The code of a concept with one coding, as a closed word."""
    return next((text(one.get("code")) for one in objects(inner(concept, "coding"))), "")


def specimen_word(specimen: Json) -> str:
    """What a specimen is called: the word of a known concept, else its name."""
    codings = objects(inner(specimen, "type", "coding"))
    for coding in codings:
        if text(coding.get("system")) == SNOMED and text(coding.get("code")) in SPECIMEN_CODES:
            return SPECIMEN_CODES[text(coding.get("code"))]
    return text(inner(specimen, "type", "text")) or next(
        (text(one.get("display")) or text(one.get("code")) for one in codings), ""
    )


def value(element: Json) -> str:
    """The value of an observation or component as text; the reason where one is absent."""
    name = next((name for name in VALUES if name in element), None)
    if name is None:
        return concept_text(element.get("dataAbsentReason"))
    found = element[name]
    if name == "valueQuantity":
        number, comparator = text(inner(found, "value")), text(inner(found, "comparator"))
        if not number:
            return ""
        return f"{comparator}{' ' if comparator.isalnum() else ''}{number}"
    if name == "valueCodeableConcept":
        return concept_text(found)
    if isinstance(found, str):
        return found
    return json.dumps(found)


def concept_text(concept: Any) -> str:
    """A concept in words."""
    codings = objects(inner(concept, "coding"))
    return text(inner(concept, "text")) or next(
        (text(one.get("display")) or text(one.get("code")) for one in codings), ""
    )


def contradicts_range(element: Json) -> bool:
    """Whether a result called low lies above its range, or one called high below it."""
    called = {
        text(coding.get("code"))[:1]
        for concept in objects(element.get("interpretation"))
        for coding in objects(concept.get("coding"))
    }
    number = decimal(inner(element, "valueQuantity", "value"))
    if number is None or not called & {"L", "H"}:
        return False
    for limits in objects(element.get("referenceRange")):
        low, high = decimal(inner(limits, "low", "value")), decimal(inner(limits, "high", "value"))
        if "L" in called and high is not None and number > high:
            return True
        if "H" in called and low is not None and number < low:
            return True
    return False


def decimal(element: Any) -> Decimal | None:
    """A number as it was sent, exactly."""
    try:
        found = Decimal(text(element))
    except InvalidOperation:
        return None
    # Beyond these no quantity of a laboratory or a pharmacy lies, and arithmetic stays small.
    return found if found.is_finite() and abs(found.adjusted()) < 16 else None


def unfit(cells: Mapping[Any, str], max_cell_bytes: int) -> str:
    """The check that a cell fails whatever its column, or nothing."""
    for cell in cells.values():
        if not cell.isascii():
            try:
                cell.encode()
            except UnicodeEncodeError:
                return "encoding"
        if "\0" in cell:
            return "nul_byte"
        if len(cell) > max_cell_bytes // 4 and len(cell.encode()) > max_cell_bytes:
            return "cell_size"
    return ""


def later(one: str, other: str) -> str:
    """The later of two instants; the second where one cannot be read."""
    try:
        first, second = datetime.fromisoformat(one), datetime.fromisoformat(other)
        return one if first > second else other
    except (ValueError, TypeError):
        return other


def day_of(moment: str) -> date | None:
    """The day that a moment names, in its own offset."""
    try:
        return date.fromisoformat(moment[:10]) if FULL_DAY.match(moment) else None
    except ValueError:
        return None


def last_day(partial: str) -> date | None:
    """The last day of a year or of a month of a year."""
    try:
        year, _, month = partial.partition("-")
        if not month:
            return date(int(year), 12, 31) if year else None
        first = date(int(year), int(month), 1)
        return (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def period_end(period: Any) -> date | None:
    """The day a period ends; of a partial one the last that it holds.

    Source: HL7 FHIR R4, Period.
    """
    end = ended(text(inner(period, "end")))
    return day_of(end) or last_day(end)
