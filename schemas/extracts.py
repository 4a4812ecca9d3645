"""The extracts as they are sent: text, before anything is cast.

A column annotated ``Optional`` may be absent from a file; a nullable one may hold blank cells.
What the text must be able to become is declared in ``schemas.core``.
"""

from typing import Any, Optional

import pandera.polars as pa

from schemas import words
from schemas.columns import column, shared


class LabExtract(pa.DataFrameModel):
    """One row per version of a laboratory result."""

    result_id: str = column("The laboratory's key; comes again when the result is corrected")
    patient_id: str = shared("patient_id")
    collected_at: str = column("ISO 8601 date or date-time of the sample")
    reported_at: Optional[str] = column("ISO 8601; orders the versions of a result", nullable=True)
    code: str = shared("code")
    code_system: Optional[str] = column(
        "loinc (default, also where blank), snomed or the laboratory's own", nullable=True
    )
    test_name: Optional[str] = column("Name of the test, checked against the code", nullable=True)
    specimen: Optional[str] = column("Specimen, checked against the code", nullable=True)
    value: str = column("The value as sent: 412, <0.05, > 2000, haemolysed", nullable=True)
    unit: str = column(
        "The unit as sent; blank only where the settings declare the test's unit", nullable=True
    )
    status: Optional[str] = column("Status word or HL7 letter; final where the column is absent")
    clinic_id: Optional[str] = column("The clinic that ordered the test", nullable=True)
    laboratory: Optional[str] = column(
        "Which laboratory's map applies; the site's first where blank", nullable=True
    )


class PatientExtract(pa.DataFrameModel):
    """One row per person; a later row replaces an earlier one."""

    patient_id: str = shared("patient_id")
    birth_date: str = column("ISO 8601 date", nullable=True)
    sex: str = column("female, male, other, unknown, F or M; blank is unknown", nullable=True)
    clinic_id: str = column("The person's clinic", nullable=True)
    deceased_on: Optional[str] = column("ISO 8601 date of death", nullable=True)
    opted_out: Optional[str] = column("true or false; blank is false", nullable=True)


class ConditionExtract(pa.DataFrameModel):
    """One row per recorded condition."""

    patient_id: str = shared("patient_id")
    code: str = shared("code")
    code_system: str = column("icd10cm, icd10 or snomed")
    recorded_on: str = column("ISO 8601 date it was recorded")
    resolved_on: Optional[str] = column("ISO 8601 date it was resolved", nullable=True)


class MedicationExtract(pa.DataFrameModel):
    """One row per administration or prescription."""

    medication_id: str = column("The source's key of the row")
    patient_id: str = shared("patient_id")
    code: str = shared("code")
    code_system: str = column("atc, rxnorm or snomed")
    kind: str = column("administration or prescription")
    started_on: str = column("ISO 8601 date it was given or starts")
    ended_on: Optional[str] = column("ISO 8601 date the prescription ends", nullable=True)
    name: Optional[str] = column("The drug's name", nullable=True)
    dose: Optional[str] = column("A number, per administration or per day", nullable=True)
    dose_unit: Optional[str] = column("mg, ug, mcg or g", nullable=True)
    route: Optional[str] = column("im, iv, sc, oral, sublingual or nasal", nullable=True)


class FeedbackExtract(pa.DataFrameModel):
    """One row per item of a worklist sheet that comes back; a row without a decision says nothing.

    The other columns of the sheet are dropped.
    """

    item_id: str = column("The item that is answered, as the sheet names it")
    decision: str = column(", ".join(words.DECISIONS) + "; blank says nothing", nullable=True)
    decision_note: Optional[str] = column("A remark of the clinic", nullable=True)
    note: Optional[str] = column("The same, where decision_note is blank", nullable=True)
    decided_on: Optional[str] = column("The day of the decision; blank is the night", nullable=True)
    until: Optional[str] = column("The day to which deferred or declined holds", nullable=True)
    as_of: Optional[str] = column("The night of the sheet that is answered", nullable=True)


EXTRACTS: dict[str, type[pa.DataFrameModel]] = {
    "labs": LabExtract,
    "patients": PatientExtract,
    "conditions": ConditionExtract,
    "medications": MedicationExtract,
    words.FEEDBACK: FeedbackExtract,
}


def extract_columns(kind: str) -> dict[str, Any]:
    """Pandera columns of an extract by name; ``.required`` says whether the file must have it."""
    return dict(EXTRACTS[kind].to_schema().columns)
