"""The extracts as typed facts: what was sent, checked, converted, and current on the night."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation

Moment = Annotated[pl.Datetime, "us", None]


@relation("core.lab_result", key=("laboratory", "result_id"))
class LabResult(pa.DataFrameModel):
    """One row per laboratory result: its current version, whatever its status."""

    result_id: str = column("The laboratory's key of the result", str_length=(1, 1_000_000))
    laboratory: str = shared("laboratory")
    patient_id: str = shared("patient_id", str_length=(1, 1_000_000))
    analyte: str = shared("analyte", words=words.ANALYTES)
    code: str = shared("code")
    comparator: str = shared("comparator", words=words.COMPARATORS)
    value: float = column(
        "The number in the canonical unit; NULL where the status carries none", nullable=True, ge=0
    )
    unit: str = shared("unit", words=tuple(words.CANONICAL_UNITS.values()))
    status: str = column("Status of this version", words=words.STATUSES)
    collected_at: Moment = column(
        "When the sample was taken, in the site's timezone; of the hour that its clock repeats in "
        "autumn the second pass stands in the last tenth of a second, in its order"
    )
    collected_on: pl.Date = column("The day the sample was taken, in the site's timezone")
    reported_at: Moment = column(
        "When the laboratory reported this version, as collected_at; orders the versions",
        nullable=True,
    )
    value_as_sent: str = column(
        "The value as sent, where it differs from the canonical one", nullable=True
    )
    unit_as_sent: str = column(
        "The unit as sent, where it differs from the canonical one; empty where a value came "
        "without one and the map declares it",
        nullable=True,
    )
    clinic_id: str = column("The clinic that ordered the test", nullable=True)
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = shared("taken_for")
    sent_for: pl.Date = shared("sent_for", nullable=True)

    class Config:
        strict = True


@relation("core.lab_row", key=("file_id", "record"))
class LabRow(pa.DataFrameModel):
    """One row per result of core.lab_result as it is stored, sorted by patient and time.

    Words and files stand as numbers; read core.lab_result, the view that spells them out.
    """

    result_id: str = column("The laboratory's key of the result", str_length=(1, 1_000_000))
    patient_id: str = shared("patient_id", str_length=(1, 1_000_000))
    word_id: pl.Int32 = shared("word_id")
    value: float = column(
        "The number in the canonical unit; NULL where the status carries none", nullable=True, ge=0
    )
    collected_at: Moment = column("When the sample was taken, in the site's timezone")
    reported_at: Moment = column(
        "When the laboratory reported this version; orders the versions", nullable=True
    )
    value_as_sent: str = column(
        "The value as sent, where it differs from the canonical one", nullable=True
    )
    unit_as_sent: str = column(
        "The unit as sent, where it differs from the canonical one; empty where a value came "
        "without one and the map declares it",
        nullable=True,
    )
    clinic_id: str = column("The clinic that ordered the test", nullable=True)
    file_id: pl.Int32 = shared("file_id")
    record: int = shared("record", ge=1)

    class Config:
        strict = True


@relation("core.lab_word", key=("word_id",))
class LabWord(pa.DataFrameModel):
    """One row per combination of words that a result can carry; it keeps its number for ever."""

    word_id: pl.Int32 = shared("word_id")
    laboratory: str = shared("laboratory")
    code_system: str = shared("code_system")
    code: str = shared("code")
    analyte: str = shared("analyte", words=words.ANALYTES)
    unit: str = shared("unit", words=tuple(words.CANONICAL_UNITS.values()))
    comparator: str = shared("comparator", words=words.COMPARATORS)
    status: str = column("Status of the result", words=words.STATUSES)

    class Config:
        strict = True


@relation("core.lab_file", key=("file_id",))
class LabFile(pa.DataFrameModel):
    """One row per taking of a labs extract; it keeps its number for ever."""

    file_id: pl.Int32 = shared("file_id")
    file_name: str = shared("file_name")
    taken_for: pl.Date = shared("taken_for")
    sent_for: pl.Date = shared("sent_for", nullable=True)
    sha256: str = shared("sha256", nullable=True)
    taken_by: str = column(
        "The command that took it; withdrawal: what no row of a file took back",
        nullable=True,
        words=(*words.TAKEN_BY, "withdrawal"),
    )

    class Config:
        strict = True


@relation("core.near_duplicate", key=("laboratory", "result_id", "like_result_id"))
class NearDuplicate(pa.DataFrameModel):
    """One row per pair of results that look like one told twice; both count, none was dropped.

    Another key, the same person, laboratory, test and value, collected within a day. Only of MMA,
    homocysteine, total and active B12: an equal value of another test is ordinary.
    """

    laboratory: str = shared("laboratory")
    result_id: str = column("The laboratory's key of the later result")
    like_result_id: str = column("The laboratory's key of the one that it looks like")
    patient_id: str = shared("patient_id")
    analyte: str = shared("analyte", words=words.ANALYTES)
    collected_on: pl.Date = column("The day the later sample was taken")
    like_collected_on: pl.Date = column("The day the sample of the other one was taken")
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = column("The night on which both were known for the first time")

    class Config:
        strict = True


@relation("core.lab_feed")
class LabFeed(pa.DataFrameModel):
    """One row per taking of a labs extract and laboratory: how many rows came, of what sort."""

    file_name: str = shared("file_name")
    taken_for: pl.Date = shared("taken_for")
    taken_by: str = column("The command that took it", words=words.TAKEN_BY)
    laboratory: str = column("The laboratory; blank where the row does not tell")
    n_read: int = column("Rows read", ge=0)
    n_rejected: int = column("Rows rejected", ge=0)
    n_out_of_scope: int = column("Rows of tests that this screen does not use", ge=0)
    n_unitless: int = column("Rows of mapped tests with a value and a blank unit", ge=0)

    class Config:
        strict = True


@relation("core.patient", key=("patient_id",))
class Patient(pa.DataFrameModel):
    """One row per person of the patients extract, as last sent."""

    patient_id: str = shared("patient_id", str_length=(1, 1_000_000))
    birth_date: pl.Date = column("Date of birth", nullable=True)
    sex: str = column("Sex by the word sent, unknown where none was", words=words.SEXES)
    clinic_id: str = shared("clinic_id", nullable=True)
    deceased_on: pl.Date = column("Date of death", nullable=True)
    opted_out: bool = column("Whether the person opted out of the screen")
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = shared("taken_for")
    sent_for: pl.Date = shared("sent_for", nullable=True)

    class Config:
        strict = True


@relation("core.condition", key=("patient_id", "code_system", "code", "recorded_on"))
class Condition(pa.DataFrameModel):
    """One row per recorded condition, as last sent."""

    patient_id: str = shared("patient_id", str_length=(1, 1_000_000))
    code: str = shared("code")
    code_system: str = shared("code_system", words=words.CONDITION_SYSTEMS)
    recorded_on: pl.Date = column("The day it was recorded")
    resolved_on: pl.Date = column("The day it was resolved", nullable=True)
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = shared("taken_for")
    sent_for: pl.Date = shared("sent_for", nullable=True)

    class Config:
        strict = True


@relation("core.medication", key=("medication_id",))
class Medication(pa.DataFrameModel):
    """One row per administration or prescription, as last sent."""

    medication_id: str = column("The source's key of the row", str_length=(1, 1_000_000))
    patient_id: str = shared("patient_id", str_length=(1, 1_000_000))
    code: str = shared("code")
    code_system: str = shared("code_system", words=words.DRUG_SYSTEMS)
    kind: str = column("Given once, or prescribed", words=words.MEDICATION_KINDS)
    started_on: pl.Date = column("The day it was given or the prescription starts")
    ended_on: pl.Date = column("The day the prescription ends", nullable=True)
    drug_name: str = column("The drug's name as sent", nullable=True)
    dose: float = column(
        "Dose of one administration, or per day of a prescription, in dose_unit",
        nullable=True,
        ge=0,
    )
    dose_unit: str = column("Unit of the dose", nullable=True, words=words.DOSE_UNITS)
    route: str = column(
        "Route of administration", nullable=True, words=words.ROUTES_OF_ADMINISTRATION
    )
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = shared("taken_for")
    sent_for: pl.Date = shared("sent_for", nullable=True)

    class Config:
        strict = True


@relation("core.feedback")
class Feedback(pa.DataFrameModel):
    """One row per answer of a clinic to an item, in all its history.

    An answer to the same sheet of the same day replaces the one before it where its decision is
    another; every other one stands beside it.
    """

    item_id: str = shared("item_id")
    decision: str = column("What the clinic decided", words=words.DECISIONS)
    decision_note: str = column("The clinic's remark, as sent", nullable=True)
    decided_on: pl.Date = column("The day of the decision; the night where none was sent")
    until: pl.Date = column(
        "The day to which deferred or declined holds; no other decision has a use for it",
        nullable=True,
    )
    sheet_on: pl.Date = column("The night of the sheet that was answered", nullable=True)
    file_name: str = shared("file_name")
    record: int = shared("record", ge=1)
    taken_for: pl.Date = shared("taken_for")

    class Config:
        strict = True


@relation("core.deferral", key=("number",))
class Deferral(pa.DataFrameModel):
    """One row per time that the site put an action off as a whole; the newest one holds."""

    number: int = column("Number of the deferral, in the order they were declared", ge=1)
    action: str = shared("action", words=words.ACTIONS)
    until: pl.Date = column("The first day on which rows come back")
    spread_days: int = column("Over how many days they come back", ge=1)
    reason: str = column("Why, as the person on call wrote it")
    declared_on: pl.Date = column("The day it was declared")
    taken_for: pl.Date = shared("taken_for")

    class Config:
        strict = True


@relation("core.reject")
class Reject(pa.DataFrameModel):
    """One row per rejected row of an extract; the row itself stays in the private store."""

    file_name: str = shared("file_name")
    record: int = column("Number of the record, where it is known", nullable=True)
    line: int = column("Physical line, where the record could not be read", nullable=True)
    segment: str = column("Segment of the message, for message formats", nullable=True)
    kind: str = shared("kind", words=words.EXTRACT_KINDS)
    column_name: str = column("The column that fails", nullable=True)
    check_name: str = column("The check that fails")
    reason: str = column("What is wrong and what to do, without the row's values")
    taken_for: pl.Date = shared("taken_for")
    replaced_on: pl.Date = column(
        "The night on which `retry` or `retake` took the row; NULL while it waits", nullable=True
    )
    sha256: str = shared("sha256", nullable=True)

    class Config:
        strict = True


@relation("core.unmapped_code")
class UnmappedCode(pa.DataFrameModel):
    """One row per code that no map names, or another test's, name and unit; counts, no patient."""

    kind: str = shared("kind", words=words.KINDS)
    laboratory: str = column("The laboratory it came from", nullable=True)
    code_system: str = shared("code_system")
    code: str = shared("code")
    test_name: str = column("The test's name as sent", nullable=True)
    unit: str = column("The unit as sent", nullable=True)
    n: int = column("Rows out of scope for it", ge=1)
    first_on: pl.Date = column("Earliest collection day among them", nullable=True)
    last_on: pl.Date = column("Latest collection day among them", nullable=True)

    class Config:
        strict = True
