"""Files of messages and of resources: parsed once, and each of their kinds taken in its turn.

Many small extracts are read like them, so that they can be taken together.
"""

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from b12screen.ingest import fhir_known, together, withdrawn
from b12screen.ingest.accounts import FileAccount
from b12screen.ingest.delimited import Measures
from b12screen.ingest.fhir import FhirFile, Kind, fhir_rows
from b12screen.ingest.held import too_many
from b12screen.ingest.hl7v2 import LAB_COLUMNS, PATIENT_COLUMNS, Written, messages_as_parquet
from b12screen.ingest.keeping import (
    hold_contract,
    hold_rows,
    kept,
    move_out,
    versions,
    with_faults,
)
from b12screen.ingest.recognise import Extract
from b12screen.ingest.revised import keep_early, told_revisions, withdraw_by_key
from b12screen.ingest.scan import Scanned, exactly, faults_of, opened, row_by_row, set_night
from b12screen.ingest.store import Intake

# Where parsed messages lie until every kind has had its turn.
MESSAGES = "messages"
MESSAGE_COLUMNS = {"labs": LAB_COLUMNS, "patients": PATIENT_COLUMNS}


@dataclass(frozen=True)
class Parsed:
    """A file of messages, parsed into a sub-folder for each kind, which takes it in its turn.

    ``account`` says nothing of rows yet, or why the file was turned away; None: taken before.
    ``columns`` are what its rows of each kind have. ``resources`` knows what is withdrawn by id.
    """

    account: FileAccount | None
    folder: Path
    written: Mapping[str, Written | Kind | Scanned]
    columns: Mapping[str, tuple[str, ...]]
    resources: FhirFile | None = None


def parse(
    intake: Intake,
    extract: Extract,
    account: FileAccount,
    number: int,
    notes: list[str],
    findings: list[str],
) -> Parsed:
    """Parse a file of messages once, for all its kinds; what it is worth to know of it."""
    folder = intake.scratch / MESSAGES / str(number)
    if extract.form == "ndjson":
        return parse_resources(intake, extract, account, folder, notes)
    written, remarks, complaints = messages_as_parquet(extract.path, intake.dialect, folder)
    notes += [f"{extract.name}: {remark}" for remark in remarks]
    findings += [f"{extract.name}: {complaint}" for complaint in complaints]
    return Parsed(account, folder, written, MESSAGE_COLUMNS)


def parse_resources(
    intake: Intake, extract: Extract, account: FileAccount, folder: Path, notes: list[str]
) -> Parsed:
    """Parse a file of FHIR resources once; it has the kinds that its rows are of."""
    path = fhir_known.unpacked_resources(intake, extract, folder)
    first_night = extract.sent_for or intake.as_of
    elsewhere = fhir_known.Elsewhere.of(intake, extract)
    file = fhir_rows(path, intake.settings, intake.maps, first_night, folder, elsewhere=elsewhere)
    if extract.packing:
        path.unlink()
    notes += [f"{extract.name}: {note}" for note in file.notes]
    columns = {kind: counts.sent for kind, counts in file.kinds.items()}
    return Parsed(account, folder, file.kinds, columns, file)


def too_many_of_any(intake: Intake, extract: Extract, file: Parsed) -> str | None:
    """Why a file of messages is held, or None: too many rejected rows of one kind hold the others.

    All kinds are scanned for it before the first is taken.
    """
    for kind, written in file.written.items():
        if written.n_row + written.n_broken < intake.settings.limits.reject_rows:
            continue
        part = replace(extract, kind=kind)
        scanned = scan_part(intake, part, file)
        reason = too_many(intake, part, scanned, faults_of(intake))
        intake.warehouse.execute("DROP TABLE core.taken")
        if reason is not None:
            return f"of its {kind}, {reason}"
    return None


def scan_part(intake: Intake, extract: Extract, file: Parsed) -> Scanned:
    """The rows of one kind of a file of messages into ``core.taken``."""
    set_night(intake, extract)
    written = file.written[extract.kind]
    columns = file.columns[extract.kind]
    folder = file.folder / extract.kind
    scanned = exactly(intake, extract, columns, written.n_row, written.n_broken, folder)
    if extract.kind == "labs":
        withdraw_by_key(intake.warehouse)
    return scanned


def taken_part(
    intake: Intake, extract: Extract, file: Parsed, notes: list[str], findings: list[str]
) -> FileAccount | None:
    """Take one kind of a file of messages that was parsed; its account.

    None where it was taken before, and of a kind that it does not hold.
    """
    if file.account is None:
        return None
    account = replace(file.account, kind=extract.kind)
    if account.reason:
        return account
    if extract.kind not in file.written:
        return None
    try:
        if file.resources is not None:
            remarks = file.resources.look_for_withdrawn(intake.warehouse, extract.kind)
            notes += [f"{extract.name}: {remark}" for remark in remarks]
            if remarks and extract.taken_by == "run":
                withdrawn.keep_waiting(
                    intake.warehouse, extract.kind, extract.name, account.sha256, intake.as_of
                )
        scanned = scan_part(intake, extract, file)
        if file.resources is not None and extract.kind == "labs":
            withdrawn.keep_panels(
                intake.warehouse,
                file.folder / extract.kind,
                extract.name,
                extract.sent_for or intake.as_of,
            )
        return kept(intake, extract, account, scanned, faults_of(intake), notes, findings)
    finally:
        shutil.rmtree(file.folder / extract.kind)


def few_rows(
    intake: Intake, extract: Extract, account: FileAccount, shape: Measures, name: str
) -> tuple[Parsed, str] | None:
    """A small extract read row by row into a sub-folder, and the columns that are dropped of it.

    None where it has so many rows that they could hold it. FileRefused as for any extract.
    """
    folder = intake.scratch / MESSAGES / name / extract.kind
    folder.mkdir(parents=True)
    text = opened(intake, extract, extract.path, shape, folder)
    split = row_by_row(intake, extract, text, folder)
    if split.n_row + split.n_broken >= intake.settings.limits.reject_rows:
        shutil.rmtree(folder.parent)
        return None
    file = Parsed(account, folder.parent, {extract.kind: split}, {extract.kind: text.sent})
    return file, text.extra


def is_small(extract: Extract, file: Parsed) -> bool:
    """Whether a file that was parsed may be taken together with others."""
    if (
        extract.form not in ("hl7", "csv")
        or extract.taken_by != "run"
        or extract.kind not in file.written
    ):
        return False
    if file.account is None or file.account.reason:
        return False
    counts = file.written[extract.kind]
    return counts.n_row + counts.n_broken <= together.MOST_ROWS


def taken_together(
    intake: Intake,
    waiting: Sequence[tuple[Extract, Parsed]],
    notes: list[str],
    findings: list[str],
) -> list[tuple[Extract, FileAccount | None]]:
    """Take one kind of small files of one form, none of which is to be held, by one scan."""
    if not waiting:
        return []
    first, file = waiting[0]
    if len(waiting) == 1:
        return [
            (extract, taken_part(intake, extract, file, notes, findings))
            for extract, file in waiting
        ]
    warehouse, kind = intake.warehouse, first.kind
    folder = intake.scratch / MESSAGES / "together"
    try:
        set_night(intake, first)
        first_id = int(warehouse.scalar("SELECT night.file_id FROM taking.night"))
        rows = together.combined(
            [file.folder / kind for _, file in waiting],
            [extract.name for extract, _ in waiting],
            first_id,
            folder,
        )
        exactly(intake, first, file.columns[kind], rows.n_row, rows.broken.height, folder)
        together.told_apart(warehouse, kind, first_id, rows)
        set_night(
            intake,
            *(
                replace(extract, sha256="" if file.account is None else file.account.sha256)
                for extract, file in waiting
            ),
        )
        if kind == "labs":
            withdraw_by_key(warehouse)
            keep_early(warehouse, intake.as_of)
            told, look_at = told_revisions(warehouse)
            notes += told
            findings += look_at
        faults = together.faults_by_file(warehouse)
        move_out(intake, first, sum(faults.values(), Counter()))
        accounts = [
            with_faults(
                replace(account, kind=kind),
                file.written[kind].n_row + file.written[kind].n_broken,
                faults.get(file_id, Counter()),
            )
            for file_id, (_, file) in enumerate(waiting, start=first_id)
            if (account := file.account) is not None
        ]
        left = dict(warehouse.rows(together.ROWS))
        for file_id, account in enumerate(accounts, start=first_id):
            hold_rows(account, left.get(file_id, 0))
        hold_contract(intake, first, f"{first.name} and {len(waiting) - 1} more")
        if kind != "labs":
            accounts = versions(intake, kind, accounts)
        return [(extract, account) for (extract, _), account in zip(waiting, accounts, strict=True)]
    finally:
        for path in [folder, *(file.folder / kind for _, file in waiting)]:
            shutil.rmtree(path, ignore_errors=True)
