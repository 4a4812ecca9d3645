"""Every check a row may fail: the column, the name of the check, and what to do, without cells.

The keys are the short words that the scans in ``sql/core`` write; a row fails one check, its first.
"""

from b12screen.ingest.delimited import BROKEN_ROWS
from schemas.words import DECISIONS, FEEDBACK

GRAMMAR = "is no date or date-time that exists, written like 2026-11-28 or 2026-11-28T10:30"
EARLY = "is earlier than any plausible day"
LATE = "is more than 366 days after the night"
NOTHING = ", or a word for nothing (NULL, nan, None)"
NUMBER_MADE = (
    "was made a number by a spreadsheet or a data frame (1.2E+11, 221.0) and may be another one's; "
    "export the column as text"
)
SHEET_GRAMMAR = (
    "is no day with a year of four digits; write it like 2026-11-28, and format the column as a "
    "date, not as a number, before the sheet is saved"
)
SHEET_ORDER = (
    "may be read day first or month first, and is not guessed: write it like 2026-11-28, or name "
    "the order of the clinics' spreadsheets in the settings (feedback.date_order)"
)

CHECKS: dict[str, tuple[str, str, str]] = {
    "result_id": (
        "result_id",
        "not_blank",
        f"result_id is blank{NOTHING}; every result needs its key",
    ),
    "result_number": ("result_id", "no_number", f"result_id {NUMBER_MADE}"),
    "patient_id": (
        "patient_id",
        "not_blank",
        f"patient_id is blank{NOTHING}; every row needs its person",
    ),
    "patient_number": ("patient_id", "no_number", f"patient_id {NUMBER_MADE}"),
    "medication": (
        "medication_id",
        "not_blank",
        f"medication_id is blank{NOTHING}; every row needs its key",
    ),
    "medication_number": ("medication_id", "no_number", f"medication_id {NUMBER_MADE}"),
    "code": ("code", "not_blank", "code is blank; without it nobody knows what was recorded"),
    "system": ("code_system", "known_word", "code_system is not one of the contract's words"),
    "laboratory": ("laboratory", "known_word", "the settings name no such laboratory; add it"),
    "status": ("status", "known_word", "status is neither a word nor a letter of the contract"),
    "status_blank": (
        "status",
        "not_blank",
        "status is blank; fill it, or leave the column out where all results are final",
    ),
    "coll": ("collected_at", "date", f"collected_at {GRAMMAR}"),
    "coll_blank": ("collected_at", "not_blank", "collected_at is blank"),
    "coll_early": ("collected_at", "plausible_date", f"collected_at {EARLY}"),
    "coll_late": ("collected_at", "plausible_date", f"collected_at {LATE}"),
    "rep": ("reported_at", "date", f"reported_at {GRAMMAR}"),
    "rep_early": ("reported_at", "plausible_date", f"reported_at {EARLY}"),
    "rep_late": ("reported_at", "plausible_date", f"reported_at {LATE}"),
    "specimen": ("specimen", "fits_code", "the specimen is not one that this test is made from"),
    "test_name": (
        "test_name",
        "fits_code",
        "the test's name says another test than its code; one of them is wrong",
    ),
    "val_blank": ("value", "not_blank", "value is blank although the status says there is one"),
    "val_comma": ("value", "number", "the number has a comma; write it with a decimal point"),
    "val_sign": ("value", "number", "<= and >= are not read; only a number, < or > is"),
    "val_text": ("value", "number", "value is no number, with or without < or > before it"),
    "val_huge": ("value", "number", "the number is too large to be one"),
    "unit": ("unit", "known_unit", "the unit map has no such unit for this test"),
    "unit_blank": (
        "unit",
        "not_blank",
        "unit is blank and the settings declare no unit for this test of this laboratory",
    ),
    "unit_kind": (
        "unit",
        "fits_code",
        "the unit is of mass where the code means moles, or the other way round",
    ),
    "low": ("value", "plausible", "the value is too low in this unit; the unit may be wrong"),
    "high": ("value", "plausible", "the value is too high in this unit; the unit may be wrong"),
    "birth": ("birth_date", "date", f"birth_date {GRAMMAR}"),
    "birth_early": ("birth_date", "plausible_date", f"birth_date {EARLY}"),
    "birth_late": ("birth_date", "plausible_date", f"birth_date {LATE}"),
    "sex": ("sex", "known_word", "sex is none of female, male, other, unknown, F and M"),
    "dead": ("deceased_on", "date", f"deceased_on {GRAMMAR}"),
    "dead_early": ("deceased_on", "plausible_date", f"deceased_on {EARLY}"),
    "dead_late": ("deceased_on", "plausible_date", f"deceased_on {LATE}"),
    "opted_out": ("opted_out", "known_word", "opted_out is neither true nor false"),
    "recd": ("recorded_on", "date", f"recorded_on {GRAMMAR}"),
    "recd_blank": ("recorded_on", "not_blank", "recorded_on is blank"),
    "recd_early": ("recorded_on", "plausible_date", f"recorded_on {EARLY}"),
    "recd_late": ("recorded_on", "plausible_date", f"recorded_on {LATE}"),
    "res": ("resolved_on", "date", f"resolved_on {GRAMMAR}"),
    "res_early": ("resolved_on", "plausible_date", f"resolved_on {EARLY}"),
    "res_late": ("resolved_on", "plausible_date", f"resolved_on {LATE}"),
    "kind": ("kind", "known_word", "kind is neither administration nor prescription"),
    "start": ("started_on", "date", f"started_on {GRAMMAR}"),
    "start_blank": ("started_on", "not_blank", "started_on is blank"),
    "start_early": ("started_on", "plausible_date", f"started_on {EARLY}"),
    "start_late": ("started_on", "plausible_date", f"started_on {LATE}"),
    "end": ("ended_on", "date", f"ended_on {GRAMMAR}"),
    "end_early": ("ended_on", "plausible_date", f"ended_on {EARLY}"),
    # Of rows turned away before 0.3.6: an order may hold for years.
    "end_late": ("ended_on", "plausible_date", f"ended_on {LATE}"),
    "dose": ("dose", "number", "dose is no number, or a negative one"),
    "dose_unit": ("dose_unit", "known_word", "dose_unit is none of mg, ug, mcg and g"),
    "route": ("route", "known_word", "route is not one of the contract's words"),
    "item_blank": ("item_id", "not_blank", "item_id is blank; an answer needs the row it answers"),
    "item": (
        "item_id",
        "item_id",
        "item_id is none that a sheet carries; it was changed, send it as the sheet has it",
    ),
    "item_unknown": (
        "item_id",
        "known_item",
        "item_id names no row that was listed up to the last published night, or one closed so "
        "long ago that it is no longer kept",
    ),
    "decision": (
        "decision",
        "known_word",
        "decision is none of " + ", ".join(DECISIONS),
    ),
    "decided": ("decided_on", "date", f"decided_on {SHEET_GRAMMAR}"),
    "decided_order": ("decided_on", "date_order", f"decided_on {SHEET_ORDER}"),
    "decided_early": ("decided_on", "plausible_date", f"decided_on {EARLY}"),
    "decided_late": ("decided_on", "plausible_date", f"decided_on {LATE}"),
    "until": ("until", "date", f"until {SHEET_GRAMMAR}"),
    "until_order": ("until", "date_order", f"until {SHEET_ORDER}"),
    "until_early": ("until", "plausible_date", f"until {EARLY}"),
    "until_late": ("until", "plausible_date", f"until {LATE}"),
    "sheet": ("as_of", "date", f"as_of {SHEET_GRAMMAR}"),
    "sheet_order": ("as_of", "date_order", f"as_of {SHEET_ORDER}"),
    "sheet_early": ("as_of", "plausible_date", f"as_of {EARLY}"),
    "sheet_late": ("as_of", "plausible_date", f"as_of {LATE}"),
}

# What only a message can have wrong with it, seen before the scan.
MESSAGES: dict[str, tuple[str | None, str, str]] = {
    "identifier": (
        "patient_id",
        "one_identifier",
        "PID-3 holds several identifiers of the type that the settings name, or none of their "
        "assigning authority; set hl7v2.assigning_authority and hl7v2.identifier_type",
    ),
    "filler": (
        "result_id",
        "not_blank",
        "OBR-3 and ORC-3 (filler order number) are blank, and OBR-2 with OBR-7 does not stand in "
        "for them, so a correction could not be told from a second result",
    ),
    "codes": (
        "code",
        "one_test",
        "the code and the alternate code of OBX-3 name different tests; one of them is wrong",
    ),
    "repetition": ("value", "one_value", "OBX-5 holds several values; only one can be read"),
    "structured": (
        "value",
        "number",
        "OBX-5 is a range, a ratio or another structure and no number with or without < or >",
    ),
    "coded": ("value", "number", "OBX-5 is a code without its text, and a code is no number"),
    "value_type": ("value", "value_type", "OBX-2 names a type that is no number and no text"),
    "repeated": (
        "value",
        "one_value",
        "the message holds this result more than once and they differ (same OBR-3, OBX-3 and "
        "OBX-4); ask the laboratory which one is meant",
    ),
    "cut_short": (
        None,
        "cut_short",
        "the file ends within this OBX, before its status; ask the sender for it again",
    ),
    "no_message": (None, "no_message", "text that belongs to no message stands before the first"),
    "separators": (None, "separators", "MSH-1 and MSH-2 are no separators; send it again"),
    "message_type": (None, "message_type", "MSH-9 is blank, so it is no message of any type"),
    "message_size": (None, "message_size", "the message is larger than any result message"),
    "header": (
        None,
        "header",
        "a damaged header (MSH) stands within the message, so its results may be another's",
    ),
}

# What only a resource of FHIR may fail.
RESOURCES: dict[str, tuple[str | None, str, str]] = {
    "json": (None, "json", "the line is no JSON; every line of NDJSON is one whole object"),
    "json_name": (None, "json", "a name stands twice in one object; two readers would see two"),
    "resource": (None, "resource", "the line is no FHIR resource: it has no resourceType"),
    "subject": (
        "patient_id",
        "reference",
        "the subject is no patient that a file of this folder or the settings "
        "(fhir.patient_identifier) tell",
    ),
    "identifiers": (
        "patient_id",
        "one_identifier",
        "several identifiers of the system that the settings name (fhir.patient_identifier) are in "
        "use, so which one is the patient's cannot be told",
    ),
    "coding": ("code", "fits_code", "its codings name different tests; one of them is wrong"),
    "modifier": (
        None,
        "modifier",
        "a modifierExtension changes what the resource means, and none is known here",
    ),
    "focus": (
        "patient_id",
        "focus",
        "the result is not about the subject itself (Observation.focus), but about a newborn, say",
    ),
    "drug": (
        "code",
        "reference",
        "the medication that it refers to is in no file of this folder; have the Medication "
        "resources sent",
    ),
    "unit_pair": ("unit", "fits_code", "the unit and its code are two different units"),
    "deleted": (
        None,
        "deleted",
        "the deletion names nothing that can be withdrawn by its id; send the resource itself "
        "with the status entered-in-error",
    ),
}

# The check of a row whose bytes already make no record; it has no column.
SHAPES: dict[str, tuple[str | None, str, str]] = (
    {name: (None, name, reason) for name, reason in BROKEN_ROWS.items()} | MESSAGES | RESOURCES
)

DAY_FAULTS = (
    "coll", "rep", "birth", "dead", "recd", "res", "start", "end", "decided", "until", "sheet",
)  # fmt: skip
# How a reason goes on, or begins, where it speaks of what is set for a sender's own files.
HERE = "; here "
NOR_OWN = ", nor one of those that the settings name"
NO_OWN_DATE = "fits none of the date formats of the settings"
NO_OWN_NUMBER = "the number is not written as the settings say"

ASK = "ask the sender for the row again, mended, in a new file"
WHEN_DUE = "`retry` takes it once its day has come nearer; where the day is wrong, " + ASK
DECLARE = "where all rows of the laboratory look so, say it in its settings and `retake` the file"
ANSWER_ANEW = (
    "where all sheets of the clinic look so, say it in the settings of a laboratory, as a file of "
    "kind feedback, and have the sheet sent in a new file"
)
READ_AGAIN = f"{DECLARE}; else {ASK}"
MAP = f"mend the map or the laboratory's settings, then `retry`; where the row is wrong, {ASK}"

# What mends a row that fails a check; whatever is not named here only its sender can mend.
MENDS: dict[str, str] = {
    "unit_blank": "declare the unit under laboratories.NAME.default_units, then `retry`; else ask "
    "the sender to fill it",
    "laboratory": "add the laboratory to the settings, then `retry`",
    **dict.fromkeys(("unit", "specimen", "test_name", "low", "high", "codes"), MAP),
    "unit_kind": "where the laboratory means its unit and uses the code for either, say so: "
    'code_system = "loinc" and tests."CODE" = {analyte = "…"} under laboratories.NAME, then '
    f"`retry`; else {ASK}",
    # A laboratory's own files may have words of their own for these columns.
    **dict.fromkeys(
        (
            "status",
            "status_blank",
            "val_comma",
            "sex",
            "opted_out",
            "system",
            "kind",
            "dose_unit",
            "route",
            "decision",
        ),
        READ_AGAIN,
    ),
    **dict.fromkeys(
        ("coll", "rep", "recd", "res", "start", "end", "birth", "dead", "encoding"), READ_AGAIN
    ),
    **dict.fromkeys(
        ("coll_late", "rep_late", "recd_late", "res_late", "start_late", "end_late"), WHEN_DUE
    ),
    **dict.fromkeys(("birth_late", "dead_late"), WHEN_DUE),
    "cell_size": f"raise limits.max_cell_bytes and `retake` the file; else {ASK}",
    "identifier": "set hl7v2.assigning_authority and hl7v2.identifier_type, then `retake` the file",
    "subject": "set fhir.patient_identifier, or have the people sent too (to the same folder), "
    "then `retake` the file",
    "drug": "have the Medication resources sent too (to the same folder), then `retake` the file",
}
OF_REASON = {(column, reason): fault for fault, (column, _, reason) in (CHECKS | SHAPES).items()}


def fault_of(column: str | None, reason: str) -> str:
    """The check behind a reason of ``core.reject``, in the words of a sender's own file as well."""
    plain = reason.split(HERE)[0].removesuffix(NOR_OWN)
    if column and plain.startswith(f"{column} {NO_OWN_DATE}"):
        return next(fault for fault in DAY_FAULTS if CHECKS[fault][0] == column)
    return "val_comma" if plain.startswith(NO_OWN_NUMBER) else OF_REASON.get((column, plain), "")


def mend(kind: str, column: str | None, reason: str) -> str:
    """What mends the rows of a kind that were rejected for a reason of ``core.reject``."""
    told = MENDS.get(fault_of(column, reason), ASK)
    # The answers of a clinic are never taken again.
    return told.replace(DECLARE, ANSWER_ANEW) if kind == FEEDBACK else told
