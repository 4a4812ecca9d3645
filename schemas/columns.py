"""Columns described once: the same name is the same quantity, in the same unit, everywhere."""

from collections.abc import Sequence
from typing import Any

import pandera.polars as pa

SHARED: dict[str, str] = {
    "as_of": "The night: the calendar day, in the site's timezone, that everything is decided for",
    "run_id": "The generation of the night, <night>.<n>",
    "ruleset": "Name of the ruleset in force",
    "version": "Version of b12screen",
    "patient_id": "The person, as the extract names them (text, leading zeros kept)",
    "clinic_id": "The clinic, as the extract names it; NULL where none is known",
    "laboratory": "The laboratory whose map applied, as named in the settings",
    "file_name": "The extract, as a path below the inbox",
    "record": "Number of the record in that file, the first one after the header being 1",
    "taken_for": "The night whose run took the row in",
    "sent_for": "The night that first took its file; NULL unless `retry` or `retake` took the row",
    "sha256": "SHA-256 of the file as it lay in the inbox",
    "kind": "The extract the row came in: labs, patients, conditions, medications or feedback",
    "code": "The code as sent",
    "code_system": "The system the code belongs to",
    "analyte": "What was measured, one of the project's own words",
    "unit": "The canonical unit of the analyte (UCUM)",
    "comparator": "= for a number, < or > for a result given only as below or above the number",
    "word_id": "Number of the row's words in core.lab_word",
    "file_id": "Number of the extract in core.lab_file",
    "rule_id": "The permanent id of the rule that decided",
    "priority": "1 is first; the order in which a clinic would call",
    "action": "What the row recommends, for clinician review",
    "why": "The reason in words, with values and dates or with what is missing",
    "functional_status": "What the markers say of functional vitamin B12 deficiency",
    "route": "Which path the person takes through the screen",
    "due_on": "The day it is due",
    "days_overdue": "Days since it was due; 0 unless overdue",
    "mma_nmol_l": "Methylmalonic acid of the sample that decided, nmol/L",
    "mma_on": "Collection day of that methylmalonic acid",
    "hcy_umol_l": "Homocysteine of the sample that decided, umol/L",
    "hcy_on": "Collection day of that homocysteine",
    "b12_pmol_l": "Total serum vitamin B12 that decided, pmol/L",
    "b12_on": "Collection day of that total vitamin B12",
    "holotc_pmol_l": "Active vitamin B12 (holotranscobalamin) that decided, pmol/L",
    "holotc_on": "Collection day of that active vitamin B12",
    "egfr_ml_min": "Latest eGFR of the look-back, mL/min/1.73 m2",
    "egfr_on": "Collection day of that eGFR",
    "neuro": "What is recorded of neurological involvement",
    "kidney": "Kidney function on the night",
    "item_id": "Permanent id of the item: person, action and what it is about",
}


def column(
    description: str,
    *,
    nullable: bool = False,
    words: Sequence[str] | None = None,
    ge: float | None = None,
    le: float | None = None,
    str_length: tuple[int, int] | None = None,
) -> Any:
    """A described column; every check reports one failing case only, so that no rows are copied."""
    checks: dict[str, Any] = {}
    if words is not None:
        checks["isin"] = list(words)
    if ge is not None:
        checks["ge"] = ge
    if le is not None:
        checks["le"] = le
    if str_length is not None:
        checks["str_length"] = {"min_value": str_length[0], "max_value": str_length[1]}
    if checks:
        checks["n_failure_cases"] = 1
    return pa.Field(nullable=nullable, description=description, **checks)


def shared(name: str, **checks: Any) -> Any:
    """A column described in :data:`SHARED`; raises ``KeyError`` for a name that is not there."""
    return column(SHARED[name], **checks)
