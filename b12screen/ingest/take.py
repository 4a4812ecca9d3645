"""Taking: everything new in the inbox, in file order, into the typed history, every row accounted.

One scan per file casts, converts and judges; what fails is moved out with its reason. Only then is
a file held, refused or kept. Nothing in the inbox is moved or deleted.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from b12screen.errors import AuditFailed
from b12screen.ingest import again as taking_again
from b12screen.ingest import contracts, lookups, together, withdrawn
from b12screen.ingest.accounts import FileAccount, Taking, audit
from b12screen.ingest.again import Again
from b12screen.ingest.checks import CHECKS, SHAPES
from b12screen.ingest.columnar import parquet_as_text, parquet_columns, parquet_length
from b12screen.ingest.delimited import (
    FileRefused,
    Header,
    Measures,
    content_hash,
    header,
    measured,
    rows_as_parquet,
    unpacked,
    with_line_feeds,
)
from b12screen.ingest.fhir import FhirFile, Kind, fhir_rows
from b12screen.ingest.hl7v2 import LAB_COLUMNS, PATIENT_COLUMNS, Written, messages_as_parquet
from b12screen.ingest.hl7v2_cells import Dialect, dialect
from b12screen.ingest.near import near_duplicates
from b12screen.ingest.own_csv import as_utf8, own_checks, own_parquet_rows, own_rows
from b12screen.ingest.recognise import (
    Extract,
    Stamp,
    found,
    name_below,
    names_outside,
    own_files,
    recognised,
    shown,
    stamp,
)
from b12screen.maps import Maps
from b12screen.publish import last_night, undamaged
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse, WarehouseError
from schemas import ddl, words
from schemas.declared import LAYERS  # noqa: F401 - declares what RELATIONS holds
from schemas.extracts import extract_columns
from schemas.relation import RELATIONS
from schemas.worklists import SHEET

EARLIEST_EVENT = date(1900, 1, 1)
# Somebody born before the first event that may be recorded.
EARLIEST_BIRTH = date(1850, 1, 1)
DAYS_AHEAD = 366
GIGABYTE = 1_000_000_000
COMMONEST = 3
STANDS = "what was taken of it before stands as it is"
# Where parsed messages lie until every kind has had its turn.
MESSAGES = "messages"
MESSAGE_COLUMNS = {"labs": LAB_COLUMNS, "patients": PATIENT_COLUMNS}
# Bounds what finding repeated results holds in memory.
KEYS_AT_ONCE = 16_000_000

RELATION = {
    "labs": "core.lab_result",
    "patients": "core.patient",
    "conditions": "core.condition",
    "medications": "core.medication",
    words.FEEDBACK: "core.feedback",
}
# Where the rows of a kind are kept; the other kinds' rows are what they are read as.
STORED = RELATION | {"labs": "core.lab_row"}
WORD_TABLES = ("core.lab_word", "core.lab_file")
# Labs come last, so that the table of what was taken can become the history itself.
TURN = ("patients", "conditions", "medications", words.FEEDBACK, "labs")
SCAN = {
    kind: f"core/{name.split('.')[1].split('_')[0]}_scan.sql" for kind, name in RELATION.items()
}
VERSION = {kind: path.replace("_scan", "_version") for kind, path in SCAN.items()}

SCAN_COLUMNS = {"file_id": "INTEGER", "fault": "VARCHAR", "cells": "VARCHAR"}
# Beside those: whether the night stands for a day that an answer did not name, and whether a result
# came without its unit.
OWN_SCAN_COLUMNS = {"feedback": {"is_undated": "BOOLEAN"}, "labs": {"unitless": "BOOLEAN"}}
# Keys that never repeat: the engine's dictionaries cost three times as much and save nothing.
BULKY = ("result_id", "medication_id")

PRIVATE_TABLES = (
    "CREATE TABLE IF NOT EXISTS private.lab_result AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.lab_result AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.patient AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.patient AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.condition AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.condition AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.medication AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.medication AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.feedback AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.feedback AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.reject_row (file_name VARCHAR, sha256 VARCHAR, "
    "kind VARCHAR, record BIGINT, line BIGINT, segment VARCHAR, check_name VARCHAR, raw VARCHAR, "
    "taken_for DATE)",
    "ALTER TABLE private.reject_row ADD COLUMN IF NOT EXISTS segment VARCHAR",
    "ALTER TABLE private.reject_row ADD COLUMN IF NOT EXISTS replaced_on DATE",
    "ALTER TABLE private.lab_result ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.patient ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.condition ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.medication ADD COLUMN IF NOT EXISTS sent_for DATE",
    "CREATE TABLE IF NOT EXISTS private.unmapped_part (file_name VARCHAR, sha256 VARCHAR, "
    "kind VARCHAR, laboratory VARCHAR, code_system VARCHAR, code VARCHAR, test_name VARCHAR, "
    "unit VARCHAR, n BIGINT, first_on DATE, last_on DATE, steps MAP(INTEGER, UBIGINT), "
    "taken_for DATE, replaced_on DATE)",
    # Stores of before files could be taken again know no file of what is out of scope.
    "INSERT INTO private.unmapped_part BY NAME SELECT known.* FROM core.unmapped_code AS known "
    "WHERE (SELECT count(*) FROM private.unmapped_part) = 0",
    "CREATE TABLE IF NOT EXISTS private.taken_file (sha256 VARCHAR, kind VARCHAR, "
    "file_name VARCHAR, taken_for DATE, PRIMARY KEY (sha256, kind))",
    "CREATE TABLE IF NOT EXISTS private.seen_file (file_name VARCHAR PRIMARY KEY, size BIGINT, "
    "mtime_ns BIGINT, inode UBIGINT, ctime_ns BIGINT, sha256 VARCHAR)",
)
# Stores of before messages could be taken know each content under one kind only.
IS_KEYED_BY_CONTENT_ALONE = (
    "SELECT count(*) FROM duckdb_constraints() WHERE database_name = 'private' "
    "AND table_name = 'taken_file' AND constraint_type = 'PRIMARY KEY' "
    "AND len(constraint_column_names) = 1"
)
KEY_BY_CONTENT_AND_KIND = (
    "CREATE TABLE private.taken_file_again (sha256 VARCHAR, kind VARCHAR, file_name VARCHAR, "
    "taken_for DATE, PRIMARY KEY (sha256, kind))",
    "INSERT INTO private.taken_file_again BY NAME SELECT known.* FROM private.taken_file AS known",
    "DROP TABLE private.taken_file",
    "ALTER TABLE private.taken_file_again RENAME TO taken_file",
)

# Stores of before rows could be taken again do not say which content a row came with.
TAKEN_ONCE = (
    "ALTER TABLE core.patient ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.condition ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.medication ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS sha256 VARCHAR",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS taken_by VARCHAR DEFAULT 'run'",
    "ALTER TABLE core.reject ADD COLUMN IF NOT EXISTS replaced_on DATE",
    "ALTER TABLE core.reject ADD COLUMN IF NOT EXISTS sha256 VARCHAR",
    "ALTER TABLE run.source_file ADD COLUMN IF NOT EXISTS taken_by VARCHAR DEFAULT 'run'",
    "ALTER TABLE run.source_file ADD COLUMN IF NOT EXISTS attempt BIGINT DEFAULT 1",
    "UPDATE core.lab_file SET sha256 = known.sha256 FROM run.source_file AS known "
    "WHERE lab_file.sha256 IS NULL AND known.kind = 'labs' AND known.reason IS NULL "
    "AND known.file_name = lab_file.file_name AND known.taken_for = lab_file.taken_for",
    "UPDATE core.reject SET sha256 = known.sha256 FROM run.source_file AS known "
    "WHERE reject.sha256 IS NULL AND known.kind = reject.kind AND known.reason IS NULL "
    "AND known.file_name = reject.file_name AND known.taken_for = reject.taken_for",
)

NOTHING_BROKEN = (
    "CREATE OR REPLACE TABLE taking.broken "
    "(file_id INTEGER, record BIGINT, line BIGINT, segment VARCHAR, check_name VARCHAR, "
    "raw VARCHAR)"
)
# Only messages tell more of a row's place than its record.
NO_PLACES = (
    "CREATE OR REPLACE VIEW taking.place AS SELECT CAST(NULL AS INTEGER) AS file_id, "
    "CAST(NULL AS BIGINT) AS record, "
    "CAST(NULL AS BIGINT) AS line, CAST(NULL AS VARCHAR) AS segment, CAST(NULL AS JSON) AS sent "
    "LIMIT 0"
)
SAME_CONTENT = "UPDATE taking.night SET sha256 = ?"
COPY_BROKEN = (
    "INSERT INTO core.reject BY NAME SELECT night.file_name, ? AS kind, broken.record, "
    "nullif(broken.line, 0) AS line, broken.segment, fault.column_name, fault.check_name, "
    "fault.reason, night.as_of AS taken_for, night.sha256 "
    "FROM taking.broken JOIN taking.night ON night.file_id = broken.file_id "
    "JOIN taking.fault ON fault.fault = broken.check_name "
    "ORDER BY broken.file_id, broken.record"
)
KEEP_BROKEN = (
    "INSERT INTO private.reject_row BY NAME SELECT night.file_name, night.sha256, ? AS kind, "
    "broken.record, nullif(broken.line, 0) AS line, broken.segment, broken.check_name, broken.raw, "
    "night.as_of AS taken_for "
    "FROM taking.broken JOIN taking.night ON night.file_id = broken.file_id "
    # A resource of another type is out of scope; its text is no reject's.
    "WHERE broken.check_name <> 'scope' ORDER BY broken.file_id, broken.record"
)
COPY_REJECTS = (
    "INSERT INTO core.reject BY NAME SELECT night.file_name, ? AS kind, taken.record, "
    "place.line, place.segment, "
    "fault.column_name, fault.check_name, fault.reason, night.as_of AS taken_for, night.sha256 "
    "FROM core.taken "
    "JOIN taking.night ON night.file_id = taken.file_id "
    "JOIN taking.fault ON fault.fault = taken.fault "
    "LEFT JOIN taking.place ON place.file_id = taken.file_id AND place.record = taken.record "
    "ORDER BY taken.file_id, taken.record"
)
KEEP_REJECTS = (
    "INSERT INTO private.reject_row BY NAME SELECT night.file_name, night.sha256, ? AS kind, "
    "taken.record, place.line, place.segment, "
    "fault.check_name, coalesce(json_merge_patch(taken.cells, place.sent), taken.cells) AS raw, "
    "night.as_of AS taken_for FROM core.taken "
    "JOIN taking.night ON night.file_id = taken.file_id "
    "JOIN taking.fault ON fault.fault = taken.fault "
    "LEFT JOIN taking.place ON place.file_id = taken.file_id AND place.record = taken.record "
    "ORDER BY taken.file_id, taken.record"
)


# Before the turn of labs nobody is in it: messages are only judged then, in whatever order.
NO_PERSONS = "CREATE TABLE taking.person (patient_id VARCHAR, place UBIGINT)"
PERSONS = (
    "CREATE OR REPLACE TABLE taking.person AS SELECT known.patient_id, "
    "CAST(row_number() OVER (ORDER BY known.patient_id) AS UBIGINT) AS place "
    "FROM core.patient AS known"
)
NEW_WORDS = (
    "INSERT INTO core.lab_word BY NAME SELECT lab_word.* FROM taking.lab_word "
    "ANTI JOIN core.lab_word AS known ON known.word_id = lab_word.word_id ORDER BY lab_word.word_id"
)
NEW_FILE = (
    "INSERT INTO core.lab_file BY NAME "
    "SELECT night.file_id, night.file_name, night.as_of AS taken_for, night.sent_for, "
    "night.sha256, night.taken_by FROM taking.night"
)
NEW_CONTENT = (
    "INSERT OR IGNORE INTO private.taken_file "
    "SELECT night.sha256, ?, night.file_name, coalesce(night.sent_for, night.as_of) "
    "FROM taking.night"
)
# Of the files at hand: taking.night names them.
COUNT_ROWS = "SELECT count(*) FROM core.taken SEMI JOIN taking.night USING (file_id)"
COUNT_FAULTS = (
    "SELECT taken.fault, count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "WHERE taken.fault IS NOT NULL GROUP BY taken.fault"
)
COUNT_LABORATORIES = (
    "SELECT word.laboratory, count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "LEFT JOIN core.lab_word AS word ON word.word_id = taken.word_id "
    "GROUP BY word.laboratory ORDER BY word.laboratory"
)
FIRST_AND_LAST = (
    "SELECT min(taken.rowid), max(taken.rowid) FROM core.taken "
    "SEMI JOIN taking.night USING (file_id)"
)
KNOWN_ITEMS = (
    "INSERT INTO taking.known_item SELECT item.item_id FROM last.worklists.item AS item "
    "UNION SELECT item.item_id FROM last.history.item AS item"
)
UNDECIDED = (
    "SELECT count(*) FROM core.taken WHERE taken.fault = 'scope' AND taken.cells IS NOT NULL"
)
IS_AT_HAND = "SELECT count(*) FROM taking.night WHERE night.file_name = ? AND night.taken_by = ?"
KEEP_UNMAPPED = (
    "INSERT INTO private.unmapped_part BY NAME "
    "SELECT part.*, night.sha256 FROM taking.unmapped_part AS part "
    "JOIN taking.night ON night.file_name = part.file_name"
)
UNMAPPED_BEFORE = (
    "UPDATE private.unmapped_part SET replaced_on = ? WHERE sha256 = ? AND replaced_on IS NULL"
)
COUNT_BUCKETS = (
    "SELECT file.file_name, file.sha256, file.taken_by, version.bucket, count(*) "
    "FROM taking.version JOIN core.lab_file AS file ON file.file_id = version.file_id "
    "WHERE version.origin = 'taken' GROUP BY ALL"
)
TAKEN_ALREADY = (
    "SELECT count(*) FROM run.source_file AS file WHERE file.file_name = ? AND file.kind = ? "
    "AND file.sha256 = ? AND file.taken_for = ? AND file.taken_by = ?"
)
DROP_ROWS = "DELETE FROM core.taken WHERE taken.file_id IN (SELECT night.file_id FROM taking.night)"


class FileChanged(Exception):
    """The file was written to while it was being read."""


@dataclass(frozen=True)
class Site:
    """What every step of a taking needs."""

    warehouse: Warehouse
    settings: Settings
    as_of: date
    scratch: Path
    progress: Callable[[str], None]
    dialect: Dialect
    maps: Maps
    listed: Path | None = None


@dataclass(frozen=True)
class Scanned:
    """How many rows of a file lie in ``core.taken``, and how many in ``taking.broken``."""

    n_row: int
    n_broken: int


@dataclass(frozen=True)
class Parsed:
    """A file of messages, parsed into a sub-folder for each kind, which takes it in its turn.

    ``account`` says nothing of rows yet, or why the file was turned away; None: taken before.
    ``columns`` are what its rows of each kind have. ``resources`` knows what is withdrawn by id.
    """

    account: FileAccount | None
    folder: Path
    written: Mapping[str, Written | Kind]
    columns: Mapping[str, tuple[str, ...]]
    resources: FhirFile | None = None


def take(
    warehouse: Warehouse,
    inbox: Path,
    settings: Settings,
    maps: Maps,
    as_of: date,
    scratch: Path,
    progress: Callable[[str], None],
    listed: Path | None = None,
    again: Again | None = None,
) -> Taking:
    """Take everything new below ``inbox`` into the open store, for the night ``as_of``.

    The main database of ``warehouse`` holds core and run, the attached ``private`` what nobody
    queries; ``listed`` is the last published one, whose items may be answered; ``again`` says what
    is taken again beside what is new. Raises AuditFailed when rows do not add up; what was taken is
    then not to be kept. UsageError where there is no such file to take again.
    """
    site = Site(
        warehouse, settings, as_of, scratch, progress, dialect(settings, maps), maps, listed
    )
    owns = own_files(settings)
    extracts, left_alone, findings = found(inbox, owns)
    prepare(site)
    if again is None:
        return taken_in(site, extracts, left_alone, findings)
    n_waiting, n_rejected = taking_again.waiting_rows(warehouse)
    repeated = taking_again.taken_contents(warehouse, inbox, again.files, owns)
    if again.rejected:
        repeated += taking_again.waiting(warehouse, owns)
    taking = taken_in(site, [*repeated, *extracts], left_alone, findings)
    return replace(taking, again=told_again(taking, again, n_waiting, n_rejected))


def told_again(taking: Taking, again: Again, n_waiting: int, n_rejected: int) -> str:
    """What came of it, in counts."""
    parts = []
    if again.rejected:
        n_taken = sum(file.n_read for file in taking.files if file.taken_by == "retry")
        parts.append(
            f"{n_taken:,} of {n_waiting:,} rejected rows taken after all"
            + (
                f", {n_rejected - n_waiting:,} more need their file (`retake`, or a new one)"
                if n_rejected > n_waiting
                else ""
            )
        )
    if again.files:
        retaken = [file for file in taking.files if file.taken_by == "retake"]
        n_files = len({file.sha256 for file in retaken if file.reason is None})
        n_changed = sum(file.n_accepted for file in retaken)
        parts.append(f"{n_files} taken again, {n_changed:,} rows read differently")
    return "; ".join(parts)


def check(
    files: Sequence[Path],
    settings: Settings,
    maps: Maps,
    as_of: date,
    scratch: Path,
    progress: Callable[[str], None],
    listed: Path | None = None,
    inbox: Path | None = None,
) -> Taking:
    """The accounts that these files would get in an empty store; writes below ``scratch`` only.

    ``listed`` is the last published database, whose items may be answered. What a laboratory's
    settings say of files goes by their place below the inbox, or for a file that lies elsewhere by
    the folders it lies in.
    """
    extracts = [(path, promised(path, settings, inbox)) for path in files]
    limits = settings.limits
    with Warehouse.open(
        scratch / "check.duckdb",
        memory_mb=limits.memory_mb,
        threads=limits.threads,
        temp_dir=scratch,
        timezone=settings.timezone,
    ) as warehouse:
        warehouse.attach(scratch / "check-private.duckdb", "private")
        site = Site(
            warehouse, settings, as_of, scratch, progress, dialect(settings, maps), maps, listed
        )
        prepare(site)
        return taken_in(
            site,
            [extract for _, kinds in extracts for extract in kinds],
            [path.as_posix() for path, kinds in extracts if not kinds],
            [],
        )


def promised(path: Path, settings: Settings, inbox: Path | None) -> list[Extract]:
    """The extracts that a file to be checked would be, under the path that it was named by."""
    whole = path.absolute()
    if inbox is not None and whole.is_relative_to(inbox.absolute()):
        name = name_below(inbox.absolute(), whole)
        own = [own for own in own_files(settings) if own.names(name)]
    else:
        own = [own for own in own_files(settings) if names_outside(own, whole)]
    return recognised(path, path.as_posix(), own)


def taken_in(
    site: Site, extracts: list[Extract], left_alone: list[str], findings: list[str]
) -> Taking:
    """Take the extracts kind by kind, in file order; account for each."""
    warehouse = site.warehouse
    if any(extract.kind == words.FEEDBACK for extract in extracts):
        know_items(site)
    accounts: list[FileAccount] = []
    known: set[str] = set()
    notes: list[str] = []
    parsed: dict[tuple[str, Path], Parsed] = {}
    shutil.rmtree(site.scratch / MESSAGES, ignore_errors=True)
    for kind in TURN:
        if kind == "labs":
            warehouse.execute(PERSONS)
        of_kind = [extract for extract in extracts if extract.kind == kind]
        for extract, account in taken_in_turn(site, of_kind, parsed, notes, findings):
            if account is None and extract.taken_by == "retry":
                continue
            key = (extract.taken_by, extract.path)
            turned_away = account is not None and account.reason is not None
            if extract.holds_messages and (turned_away or key not in parsed):
                parsed[key] = Parsed(account, site.scratch, {}, {})
            if account is None:
                # A file of messages that holds none of this kind has no account of it.
                if key not in parsed or parsed[key].account is None:
                    known.add(extract.name)
                continue
            site.progress(told(account))
            accounts.append(account)
            verdict = "held" if account.held else "rejected"
            finding = f"{account.file_name} was {verdict}: {account.reason}"
            if account.reason and finding not in findings:
                findings.append(finding)
    shutil.rmtree(site.scratch / MESSAGES, ignore_errors=True)
    if "core.taken" in warehouse.relations():
        n_late, n_dropped = withdrawn.withdraw_labs(warehouse, site.as_of)
        notes += told_late(n_late, "results")
        if n_dropped:
            notes.append(
                f"{n_dropped} results are withdrawn, as a later version of their observation does "
                "not have them any more"
            )
    accounts = lab_versions(site, accounts)
    if any(account.kind == "labs" for account in accounts):
        warehouse.execute("DELETE FROM core.unmapped_code")
        warehouse.fill("core.unmapped_code", sql_text("core/unmapped_code.sql"))
        if n_near := near_duplicates(warehouse, site.as_of):
            notes.append(
                f"{n_near} results look like another of the same person (same test and value, "
                "collected within a day, another result_id); all were taken, see "
                "core.near_duplicate"
            )
    accounts = [replace(account, attempt=attempt_of(site, account)) for account in accounts]
    accounts.sort(
        key=lambda account: (
            os.fsencode(account.file_name), account.kind, account.taken_by, account.sha256,
        )
    )  # fmt: skip
    for account in accounts:
        audit(account)
    if accounts:
        warehouse.write("taking.account", pl.DataFrame(accounts, infer_schema_length=None))
        warehouse.execute("INSERT INTO run.source_file BY NAME SELECT * FROM taking.account")
    warehouse.execute("DROP SCHEMA taking CASCADE")
    return Taking(tuple(accounts), tuple(left_alone), tuple(findings), tuple(notes), len(known))


def taken_in_turn(
    site: Site,
    extracts: Sequence[Extract],
    parsed: dict[tuple[str, Path], Parsed],
    notes: list[str],
    findings: list[str],
) -> Iterator[tuple[Extract, FileAccount | None]]:
    """Take the extracts of one kind one after another; small files of messages many at once.

    What is turned away is told at once, so that no later file is taken for a copy of it.
    """
    waiting: list[tuple[Extract, Parsed]] = []
    told: list[tuple[Extract, FileAccount | None]] = []

    def take_waiting() -> None:
        told.extend(taken_together(site, waiting, notes, findings))
        waiting.clear()

    def later(
        site: Site, extract: Extract, file: Parsed, notes: list[str], findings: list[str]
    ) -> FileAccount | None:
        if is_small(extract, file):
            waiting.append((extract, file))
            return None
        take_waiting()
        return taken_part(site, extract, file, notes, findings)

    for extract in extracts:
        n_row = sum(file.written[each.kind].n_row for each, file in waiting)
        if (
            extract.form != "hl7"
            or len(waiting) >= together.MOST_FILES
            or n_row >= together.MOST_ROWS_TOGETHER
        ):
            take_waiting()
        key = (extract.taken_by, extract.path)
        if extract.taken_by == "retry":
            account = taken_rejects(site, extract)
        elif key in parsed:
            account = later(site, extract, parsed[key], notes, findings)
        else:
            account = taken_file(site, extract, parsed, notes, findings, later)
        yield from told
        told.clear()
        if not waiting or waiting[-1][0] is not extract:
            yield extract, account
    yield from taken_together(site, waiting, notes, findings)


def is_small(extract: Extract, file: Parsed) -> bool:
    """Whether a file of messages that was parsed may be taken together with others."""
    if extract.form != "hl7" or extract.taken_by != "run" or extract.kind not in file.written:
        return False
    if file.account is None or file.account.reason:
        return False
    counts = file.written[extract.kind]
    return counts.n_row + counts.n_broken <= together.MOST_ROWS


def taken_together(
    site: Site,
    waiting: Sequence[tuple[Extract, Parsed]],
    notes: list[str],
    findings: list[str],
) -> list[tuple[Extract, FileAccount | None]]:
    """Take one kind of small files of messages, none of which is to be held, by one scan."""
    if not waiting:
        return []
    first, file = waiting[0]
    if len(waiting) == 1 or (
        first.kind == "patients"
        and site.warehouse.scalar(together.STANDING_LATER, (site.as_of, first.name))
    ):
        return [
            (extract, taken_part(site, extract, file, notes, findings)) for extract, file in waiting
        ]
    warehouse, kind = site.warehouse, first.kind
    folder = site.scratch / MESSAGES / "together"
    try:
        set_night(site, first)
        first_id = int(warehouse.scalar("SELECT night.file_id FROM taking.night"))
        rows = together.combined(
            [file.folder / kind for _, file in waiting],
            [extract.name for extract, _ in waiting],
            first_id,
            folder,
        )
        exactly(site, first, file.columns[kind], rows.n_row, rows.broken.height, folder)
        together.told_apart(warehouse, kind, first_id, rows)
        set_night(
            site,
            *(
                replace(extract, sha256="" if file.account is None else file.account.sha256)
                for extract, file in waiting
            ),
        )
        faults = together.faults_by_file(warehouse)
        move_out(site, first)
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
        hold_contract(site, first, f"{first.name} and {len(waiting) - 1} more")
        if kind != "labs":
            accounts = versions(site, kind, accounts)
        return [(extract, account) for (extract, _), account in zip(waiting, accounts, strict=True)]
    finally:
        for path in [folder, *(file.folder / kind for _, file in waiting)]:
            shutil.rmtree(path, ignore_errors=True)


def attempt_of(site: Site, account: FileAccount) -> int:
    """The number of this taking of the same content, by the same command, for the same night."""
    key = (account.file_name, account.kind, account.sha256, account.taken_for, account.taken_by)
    return int(site.warehouse.scalar(TAKEN_ALREADY, key)) + 1


def prepare(site: Site) -> None:
    """The working schema ``taking``: parameters and look-ups as rows; the store's tables."""
    warehouse, settings, maps = site.warehouse, site.settings, site.maps
    warehouse.create(
        [
            *STORED.values(),
            *WORD_TABLES,
            "core.lab_feed",
            "core.near_duplicate",
            "core.reject",
            "core.unmapped_code",
            "run.source_file",
        ]
    )
    for statement in TAKEN_ONCE:
        warehouse.execute(statement)
    warehouse.execute(ddl.create_view("core.lab_result", sql_text("core/lab_result.sql")))
    for statement in PRIVATE_TABLES:
        warehouse.execute(statement)
    withdrawn.prepare(warehouse, site.as_of)
    if warehouse.scalar(IS_KEYED_BY_CONTENT_ALONE):
        with warehouse.together():
            for statement in KEY_BY_CONTENT_AND_KIND:
                warehouse.execute(statement)
    # What a file turned away on an earlier night said is said again tonight, or is over.
    warehouse.execute("DELETE FROM run.source_file WHERE reason IS NOT NULL")
    warehouse.execute("DROP TABLE IF EXISTS core.taken")
    warehouse.execute("DROP SCHEMA IF EXISTS taking CASCADE")
    warehouse.define(sql_text("core/grammar.sql"))
    tests = lookups.numbered_tests(
        lookups.known_tests(settings, maps), warehouse.frame("SELECT * FROM core.lab_word")
    )
    warehouse.write("taking.lab_word", lookups.lab_words(tests))
    warehouse.execute(NEW_WORDS)
    frames = {
        "reading": lookups.readings(tests, maps, settings),
        "test": tests,
        "laboratory": pl.DataFrame({"laboratory": list(settings.laboratories)}),
        "status": lookups.statuses(),
        "specimen": maps.specimen.select("analyte", "specimen"),
        "name_pattern": maps.test_name.select("pattern", "analyte", "verdict"),
        "sex": pl.DataFrame(
            [(word, word) for word in words.SEXES]
            + [("f", "female"), ("m", "male"), ("", "unknown")],
            schema=["spelling", "sex"],
            orient="row",
        ),
        "condition_system": pl.DataFrame({"code_system": words.CONDITION_SYSTEMS}),
        "drug_system": pl.DataFrame({"code_system": words.DRUG_SYSTEMS}),
        "medication_kind": pl.DataFrame({"kind": words.MEDICATION_KINDS}),
        "dose_unit": pl.DataFrame({"dose_unit": words.DOSE_UNITS}),
        "route": pl.DataFrame({"route": words.ROUTES_OF_ADMINISTRATION}),
        "decision": pl.DataFrame({"decision": words.DECISIONS}),
        "known_item": pl.DataFrame(schema={"item_id": pl.String}),
        "fault": fault_table(CHECKS | SHAPES),
        "contradiction": pl.DataFrame(schema={"test_name": pl.String, "analyte": pl.String}),
    }
    for name, frame in frames.items():
        warehouse.write(f"taking.{name}", frame)
    warehouse.execute(NO_PERSONS)
    warehouse.execute(taking_again.NOTHING_RETAKEN)


def know_items(site: Site) -> None:
    """Every item that a clinic may answer: what was listed up to the last published night."""
    if site.listed is None or not site.listed.exists():
        return
    with undamaged(*last_night(site.listed.resolve())):
        site.warehouse.attach(site.listed, "last", read_only=True)
        site.warehouse.execute(KNOWN_ITEMS)
        site.warehouse.detach("last")


def fault_table(checks: Mapping[str, tuple[str | None, str, str]]) -> pl.DataFrame:
    """What a row that fails a check is told."""
    return pl.DataFrame(
        [(fault, *check) for fault, check in checks.items()],
        schema=dict.fromkeys(("fault", "column_name", "check_name", "reason"), pl.String),
        orient="row",
    )


def taken_file(
    site: Site,
    extract: Extract,
    parsed: dict[tuple[str, Path], Parsed],
    notes: list[str],
    findings: list[str],
    part: Callable[[Site, Extract, Parsed, list[str], list[str]], FileAccount | None],
) -> FileAccount | None:
    """Take one file, of messages the first kind; None where its content was taken before.

    ``parsed`` gets the file of messages for its other kinds, and ``part`` takes its first one;
    remarks go to notes and findings.
    """
    account = FileAccount(
        extract.name, extract.kind, extract.sha256, 0, site.as_of, taken_by=extract.taken_by
    )
    is_new = extract.taken_by == "run"
    folder = site.scratch / "extract"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        before = stamp(extract.path)
        account = replace(account, size_bytes=before.size)
        sha256 = seen_hash(site, extract, before)
        if is_new and sha256 is not None and was_taken(site, extract, sha256) is not None:
            return None
        shape = None
        if extract.form == "csv" and not extract.packing:
            sha256, shape = measured(extract.path)
        else:
            sha256 = content_hash(extract.path)
        unchanged(extract, before)
        if not is_new and sha256 != extract.sha256:
            raise FileChanged
        account = replace(account, sha256=sha256)
        if is_new:
            remember(site, extract, before, sha256)
        taken = was_taken(site, extract, sha256) or was_parsed(parsed, sha256)
        if is_new and taken is not None:
            notes.append(
                f"{extract.name} has the content of {taken}, taken before; not taken again"
            )
            return None
        if extract.holds_messages:
            file = parse(site, extract, account, len(parsed), notes, findings)
            unchanged(extract, before)
            bound_rows(site, sum(kind.n_row + kind.n_broken for kind in file.written.values()))
            parsed[extract.taken_by, extract.path] = file
            if (reason := too_many_of_any(site, extract, file)) is not None:
                return account.turned_away(reason, held=True)
            return part(site, extract, file, notes, findings)
        scanned, extra = scan(site, extract, shape, folder)
        bound_rows(site, scanned.n_row + scanned.n_broken)
        if extra:
            use = f"used for {extract.kind}" if extract.own else "used"
            notes.append(f"{extract.name}: columns that are not {use} were dropped: {extra}")
        unchanged(extract, before)
        faults = faults_of(site)
        if (reason := too_many(site, extract, scanned, faults)) is not None:
            drop_rows(site, extract)
            return account.turned_away(reason, held=True)
        if extract.kind == words.FEEDBACK and (n := site.warehouse.scalar(UNDECIDED)):
            notes.append(
                f"{extract.name}: {n} rows hold a remark or a day but no decision, so they say "
                "nothing; the clinic fills in the decision"
            )
        return kept(site, extract, account, scanned, faults, notes, findings)
    except FileChanged:
        drop_rows(site, extract)
        return account.turned_away(
            "changed while it was read; "
            + ("it is tried again on the next night" if is_new else STANDS),
            held=True,
        )
    except FileRefused as refused:
        drop_rows(site, extract)
        return account.turned_away(str(refused), held=False)
    except OSError as error:
        # Two names: it was a link to the file that could not be made, which is not its fault.
        paths = [name for name in (error.filename, error.filename2) if name is not None]
        if [Path(name) for name in paths] != [extract.path]:
            raise
        drop_rows(site, extract)
        return account.turned_away(
            f"cannot be read ({error.strerror}): let the running user read it; it is tried again "
            "on the next night",
            held=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if extract.own:
            site.warehouse.write("taking.fault", fault_table(CHECKS | SHAPES))
        if extract.kind != "labs":
            # What was turned away leaves no working table of its shape to the next kind.
            site.warehouse.execute("DROP TABLE IF EXISTS core.taken")


def parse(
    site: Site,
    extract: Extract,
    account: FileAccount,
    number: int,
    notes: list[str],
    findings: list[str],
) -> Parsed:
    """Parse a file of messages once, for all its kinds; what it is worth to know of it."""
    folder = site.scratch / MESSAGES / str(number)
    if extract.form == "ndjson":
        return parse_resources(site, extract, account, folder, notes)
    written, remarks, complaints = messages_as_parquet(extract.path, site.dialect, folder)
    notes += [f"{extract.name}: {remark}" for remark in remarks]
    findings += [f"{extract.name}: {complaint}" for complaint in complaints]
    return Parsed(account, folder, written, MESSAGE_COLUMNS)


def parse_resources(
    site: Site, extract: Extract, account: FileAccount, folder: Path, notes: list[str]
) -> Parsed:
    """Parse a file of FHIR resources once; it has the kinds that its rows are of."""
    path = extract.path
    if extract.packing:
        folder.mkdir(parents=True)
        path = folder / "unpacked.ndjson"
        most = int(site.settings.limits.max_decompressed_gb * GIGABYTE)
        unpacked(extract.path, extract.packing, path, most)
    file = fhir_rows(path, site.settings, site.maps, site.as_of, folder)
    if extract.packing:
        path.unlink()
    notes += [f"{extract.name}: {note}" for note in file.notes]
    columns = {kind: counts.sent for kind, counts in file.kinds.items()}
    return Parsed(account, folder, file.kinds, columns, file)


def told_late(n_late: int, what: str) -> list[str]:
    """What took effect of withdrawals that had come first."""
    if not n_late:
        return []
    return [f"{n_late} {what} came after their withdrawal by id, and are withdrawn"]


def too_many_of_any(site: Site, extract: Extract, file: Parsed) -> str | None:
    """Why a file of messages is held, or None: too many rejected rows of one kind hold the others.

    All kinds are scanned for it before the first is taken.
    """
    for kind, written in file.written.items():
        if written.n_row + written.n_broken < site.settings.limits.reject_rows:
            continue
        part = replace(extract, kind=kind)
        scanned = scan_part(site, part, file)
        reason = too_many(site, part, scanned, faults_of(site))
        site.warehouse.execute("DROP TABLE core.taken")
        if reason is not None:
            return f"of its {kind}, {reason}"
    return None


def scan_part(site: Site, extract: Extract, file: Parsed) -> Scanned:
    """The rows of one kind of a file of messages into ``core.taken``."""
    set_night(site, extract)
    written = file.written[extract.kind]
    columns = file.columns[extract.kind]
    folder = file.folder / extract.kind
    return exactly(site, extract, columns, written.n_row, written.n_broken, folder)


def taken_part(
    site: Site, extract: Extract, file: Parsed, notes: list[str], findings: list[str]
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
            remarks = file.resources.look_for_withdrawn(site.warehouse, extract.kind)
            notes += [f"{extract.name}: {remark}" for remark in remarks]
            if remarks and extract.taken_by == "run":
                withdrawn.keep_waiting(
                    site.warehouse, extract.kind, extract.name, account.sha256, site.as_of
                )
        scanned = scan_part(site, extract, file)
        if file.resources is not None and extract.kind == "labs":
            withdrawn.keep_panels(
                site.warehouse,
                file.folder / extract.kind,
                extract.name,
                extract.sent_for or site.as_of,
            )
        return kept(site, extract, account, scanned, faults_of(site), notes, findings)
    finally:
        shutil.rmtree(file.folder / extract.kind)


def unchanged(extract: Extract, before: Stamp) -> None:
    """FileChanged where the file is not the one that was stamped."""
    if stamp(extract.path) != before:
        raise FileChanged


def seen_hash(site: Site, extract: Extract, at: Stamp) -> str | None:
    """The hash of a file that lies there as on an earlier night."""
    found_rows = site.warehouse.rows(
        "SELECT sha256 FROM private.seen_file WHERE file_name = ? AND size = ? "
        "AND mtime_ns = ? AND inode = ? AND ctime_ns = ?",
        (extract.name, at.size, at.mtime_ns, at.inode, at.ctime_ns),
    )
    return str(found_rows[0][0]) if found_rows else None


def was_taken(site: Site, extract: Extract, sha256: str) -> str | None:
    """The name under which this content was taken, if it was.

    A file that is written a laboratory's own way may hold several kinds, each taken by itself.
    """
    rows = site.warehouse.rows(
        "SELECT file_name FROM private.taken_file WHERE sha256 = ? AND (kind = ? OR NOT ?) "
        "ORDER BY file_name",
        (sha256, extract.kind, bool(extract.own)),
    )
    return str(rows[0][0]) if rows else None


def was_parsed(parsed: Mapping[tuple[str, Path], Parsed], sha256: str) -> str | None:
    """The name of a file of messages with this content that waits for the turns of its kinds."""
    for file in parsed.values():
        if file.account is not None and file.account.sha256 == sha256 and not file.account.reason:
            return file.account.file_name
    return None


def remember(site: Site, extract: Extract, at: Stamp, sha256: str) -> None:
    """Spare the next night the reading of a file that lies unchanged."""
    site.warehouse.execute(
        "INSERT OR REPLACE INTO private.seen_file VALUES (?, ?, ?, ?, ?, ?)",
        (extract.name, at.size, at.mtime_ns, at.inode, at.ctime_ns, sha256),
    )


def scan(site: Site, extract: Extract, shape: Measures | None, folder: Path) -> tuple[Scanned, str]:
    """The file's rows into ``core.taken``; also the names of columns that no contract knows."""
    limits = site.settings.limits
    contract = extract_columns(extract.kind)
    wanted = tuple(contract)
    path = extract.path
    set_night(site, extract)
    if extract.own:
        return scan_own(site, extract, folder)
    if extract.form == "parquet":
        written = parquet_columns(path)
        sent = columns_of(extract.kind, [name.strip().lower() for name in written])
        source = {name: written[place] for name, place in sent.items()}
        most = int(limits.max_decompressed_gb * GIGABYTE)
        bound_rows(site, parquet_length(path))
        n_row, n_broken = parquet_as_text(path, source, limits.max_cell_bytes, folder, most)
        extra = unused([name.strip().lower() for name in written], extract.kind)
        return exactly(site, extract, tuple(sent), n_row, n_broken, folder), extra
    if extract.packing:
        path = folder / "unpacked.csv"
        most = int(limits.max_decompressed_gb * GIGABYTE)
        unpacked(extract.path, extract.packing, path, most)
    if shape is None:
        _, shape = measured(path, hashed=False)
    if shape.n_newline == 0 and shape.n_return > 0:
        path = with_line_feeds(path, folder / "lines.csv", b"\r")
        _, shape = measured(path, hashed=False)
    top = header(path, frozenset(wanted), limits.max_cell_bytes * (len(wanted) + 1))
    if shape.n_quote == 0:
        # Without a quote a line is a row, so that a file far too long need not be read twice.
        bound_rows(site, shape.n_line - 1)
    sent = columns_of(extract.kind, list(top.columns))
    extra = unused(list(top.columns), extract.kind)
    scanned = quickly(site, extract, path, top, shape, wanted, folder)
    if scanned is None:
        site.progress(f"{extract.name}: some rows are broken, splitting it row by row")
        n_row, n_broken = rows_as_parquet(
            path, top.columns, tuple(sent), top.separator, limits.max_cell_bytes, folder,
            # Spreadsheets leave off the separators of a block of rows that end in blank cells, and
            # many write their own code page: the sign for micro stands in the reason of a row.
            from_spreadsheet=extract.kind == words.FEEDBACK,
        )  # fmt: skip
        scanned = exactly(site, extract, tuple(sent), n_row, n_broken, folder)
    return scanned, extra


def bound_rows(site: Site, n_row: int) -> None:
    """FileRefused where a file has more rows than a file may have."""
    most = site.settings.limits.max_rows
    if n_row > most:
        raise FileRefused(
            f"it holds more than {most:,} rows; raise limits.max_rows if that is meant, or send "
            "it in parts"
        )


def scan_own(site: Site, extract: Extract, folder: Path) -> tuple[Scanned, str]:
    """The same of a file that is written a laboratory's own way."""
    limits = site.settings.limits
    if len(extract.own) > 1:
        named = ", ".join(sorted({own.laboratory for own in extract.own}))
        raise FileRefused(
            f"the settings say more than once how its {extract.kind} are written (csv files of "
            f"{named}); let one of them say it"
        )
    (own,) = extract.own
    faults = fault_table(own_checks(own, extract.kind))
    site.warehouse.write("taking.fault", faults)
    if extract.form == "parquet":
        most = int(limits.max_decompressed_gb * GIGABYTE)
        bound_rows(site, parquet_length(extract.path))
        rows = own_parquet_rows(
            extract.path, own, extract.kind, limits.max_cell_bytes, folder, most
        )
    else:
        path = extract.path
        if extract.packing:
            path = folder / "unpacked.csv"
            most = int(limits.max_decompressed_gb * GIGABYTE)
            unpacked(extract.path, extract.packing, path, most)
        path = as_utf8(path, own.files.encoding, folder / "utf8.csv")
        _, shape = measured(path, hashed=False)
        if shape.n_newline == 0 and shape.n_return > 0:
            path = with_line_feeds(path, folder / "lines.csv", b"\r")
        rows = own_rows(path, own, extract.kind, limits.max_cell_bytes, folder)
    scanned = exactly(site, extract, rows.columns, rows.n_row, rows.n_broken, folder)
    site.warehouse.execute(ddl.places_as_sent(str(folder / "sent" / "rows-*.parquet"), rows.sent))
    return scanned, unused(list(rows.extra), extract.kind)


def columns_of(kind: str, names: list[str]) -> dict[str, int]:
    """Where each contract column stands; FileRefused names the required ones that are missing."""
    contract = extract_columns(kind)
    repeated = sorted({name for name in names if name in contract and names.count(name) > 1})
    if repeated:
        raise FileRefused(f"it names a column twice: {', '.join(repeated)}; keep one of them")
    missing = [name for name, column in contract.items() if column.required and name not in names]
    if missing:
        noun = "column" if len(missing) == 1 else "columns"
        raise FileRefused(f"its header lacks the required {noun} {', '.join(missing)}; add it")
    return {name: names.index(name) for name in contract if name in names}


def unused(names: list[str], kind: str) -> str:
    """The columns that are dropped, for a message; the rest of a sheet of our own is none."""
    known = (*extract_columns(kind), *(SHEET if kind == words.FEEDBACK else ()))
    return ", ".join(shown(name) or "(no name)" for name in names if name not in known)


def set_night(site: Site, *extracts: Extract) -> None:
    """The parameters as rows: a scan reads one, of one file; what comes behind it may be of many.

    A file that is new gets its content's hash once it is taken.
    """
    latest = site.as_of + timedelta(days=DAYS_AHEAD + 1)
    first_id = site.warehouse.scalar("SELECT coalesce(max(file_id), 0) + 1 FROM core.lab_file")
    site.warehouse.write(
        "taking.night",
        pl.DataFrame(
            {
                "as_of": site.as_of,
                "earliest": datetime.combine(EARLIEST_EVENT, time()),
                "latest": datetime.combine(latest, time()),
                "born_earliest": EARLIEST_BIRTH,
                "timezone": site.settings.timezone,
                "laboratory": next(iter(site.settings.laboratories)),
                "file_name": [extract.name for extract in extracts],
                "file_id": list(range(first_id, first_id + len(extracts))),
                "in_messages": [extract.holds_messages for extract in extracts],
                "date_order": site.settings.feedback.date_order or "",
                "sent_for": [extract.sent_for for extract in extracts],
                "taken_by": [extract.taken_by for extract in extracts],
                "sha256": [extract.sha256 for extract in extracts],
            },
            schema_overrides={"file_id": pl.Int32, "sent_for": pl.Date},
        ),
    )


def quickly(
    site: Site,
    extract: Extract,
    path: Path,
    top: Header,
    shape: Measures,
    wanted: tuple[str, ...],
    folder: Path,
) -> Scanned | None:
    """The engine's own reader, or None where it stumbles or its count leaves a doubt."""
    if not shape.beyond_doubt:
        return None
    if shape.n_crlf:
        path = with_line_feeds(path, folder / "plain.csv", b"\r\n")
    if path == extract.path:
        # By a name of ours: in that of a sender the engine would read [1] or * as a pattern.
        path = folder / "sent.csv"
        path.symlink_to(extract.path.absolute())
    warehouse = site.warehouse
    warehouse.execute(
        ddl.incoming_csv(
            str(path),
            top.columns,
            wanted,
            top.separator,
            site.settings.limits.max_cell_bytes,
        )
    )
    warehouse.execute(NOTHING_BROKEN)
    warehouse.execute(NO_PLACES)
    try:
        insert_scan(site, extract.kind, "test_name" in top.columns)
        n_stumbled = warehouse.scalar("SELECT count(*) FROM reject_errors")
    except WarehouseError:
        n_stumbled = 1
    warehouse.execute("DROP TABLE IF EXISTS reject_errors")
    warehouse.execute("DROP TABLE IF EXISTS reject_scans")
    n_row = rows_of(site)
    # A quoted cell may hold line ends; where CRLF was replaced it would have lost its own.
    may_span = shape.n_quote > 0 and shape.n_crlf == 0
    if n_stumbled == 0 and (n_row == shape.n_line - 1 or may_span):
        return Scanned(n_row, 0)
    drop_rows(site, extract)
    return None


def exactly(
    site: Site,
    extract: Extract,
    sent: tuple[str, ...],
    n_row: int,
    n_broken: int,
    folder: Path,
) -> Scanned:
    """The same scan over rows that were split or cast beforehand."""
    warehouse = site.warehouse
    wanted = tuple(extract_columns(extract.kind))
    rows = str(folder / "rows-*.parquet")
    # Cells of rejected rows are kept as those of messages are: with their places, and absent ones.
    in_full = extract.holds_messages or extract.taken_by == "retry"
    warehouse.execute(ddl.incoming_parquet(rows, sent, wanted, keeps_absent=in_full))
    warehouse.execute(ddl.broken_parquet(str(folder / "broken-*.parquet"), in_full))
    warehouse.execute(ddl.places_parquet(rows) if in_full else NO_PLACES)
    insert_scan(site, extract.kind, "test_name" in sent)
    n_scanned = rows_of(site)
    if n_scanned != n_row:
        raise AuditFailed(
            f"{n_row} rows of {extract.name} were split but {n_scanned} arrived. Nothing was "
            "published; yesterday's files stand. This is a bug: report it with the file's name."
        )
    return Scanned(n_row, n_broken)


def insert_scan(site: Site, kind: str, has_test_name: bool) -> None:
    """Run the one scan of ``taking.incoming`` into ``core.taken``, sorted for the history."""
    warehouse = site.warehouse
    if has_test_name:
        warehouse.execute("DROP TABLE taking.contradiction")
        warehouse.execute(
            ddl.create_table_as("taking.contradiction", sql_text("core/contradiction.sql"))
        )
    relation = RELATIONS[STORED[kind]]
    if "core.taken" not in warehouse.relations():
        extra = SCAN_COLUMNS | OWN_SCAN_COLUMNS.get(kind, {})
        warehouse.execute(ddl.working_table(relation, "core.taken", extra, BULKY))
    # Small look-ups are what gets built, whatever the engine guesses of a text file's length; and
    # record numbers are the file's own only while its order is kept.
    warehouse.execute("SET disabled_optimizers = 'join_order,build_side_probe_side'")
    warehouse.execute("SET preserve_insertion_order = true")
    try:
        warehouse.execute(ddl.insert_by_name("core.taken", sql_text(SCAN[kind])))
    finally:
        warehouse.execute("RESET disabled_optimizers")
        warehouse.execute("SET preserve_insertion_order = false")


def rows_of(site: Site) -> int:
    """How many rows of the file at hand lie in ``core.taken``."""
    if "core.taken" not in site.warehouse.relations():
        return 0
    return int(site.warehouse.scalar(COUNT_ROWS))


def drop_rows(site: Site, extract: Extract) -> None:
    """Take the rows of this file out of ``core.taken`` again, where its scan had begun.

    Before that the file at hand is still the one before it, whose rows stay.
    """
    if rows_of(site) and site.warehouse.scalar(IS_AT_HAND, (extract.name, extract.taken_by)):
        site.warehouse.execute(DROP_ROWS)


def faults_of(site: Site) -> Counter[str]:
    """How many rows of the file at hand fail which check; ``scope`` is no failure."""
    warehouse = site.warehouse
    faults: Counter[str] = Counter(dict(warehouse.rows(COUNT_FAULTS)))
    faults.update(
        dict(warehouse.rows("SELECT check_name, count(*) FROM taking.broken GROUP BY check_name"))
    )
    return faults


def too_many(site: Site, extract: Extract, scanned: Scanned, faults: Counter[str]) -> str | None:
    """Why the file at hand is held, or None where its rejected rows are within its limit."""
    failures = Counter({fault: n for fault, n in faults.items() if fault != "scope"})
    if failures.total() < site.settings.limits.reject_rows:
        return None
    allowed = rejects_allowed(site, extract, scanned)
    if failures.total() <= allowed:
        return None
    checks = own_checks(extract.own[0], extract.kind) if extract.own else CHECKS | SHAPES
    n_read, is_new = scanned.n_row + scanned.n_broken, extract.taken_by == "run"
    return hold_reason(n_read, allowed, failures, checks, is_new)


def taken_rejects(site: Site, extract: Extract) -> FileAccount | None:
    """Try the rejected rows of a file again; the account of those that are taken now, if any.

    Those that still fail stay where they are and are not counted a second time.
    """
    folder = site.scratch / "extract"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        set_night(site, extract)
        n_row = taking_again.rejected_as_parquet(site.warehouse, extract, folder)
        exactly(site, extract, tuple(extract_columns(extract.kind)), n_row, 0, folder)
        faults = faults_of(site)
        n_mended = taking_again.mended(site.warehouse, extract, site.as_of)
        if not n_mended:
            return None
        account = FileAccount(
            extract.name, extract.kind, extract.sha256, 0, site.as_of, taken_by=extract.taken_by
        )
        scope = Counter({"scope": faults["scope"]})
        return kept(site, extract, account, Scanned(n_mended, 0), scope, [], [])
    except FileRefused:
        # The settings now ask for a column that was not kept of these rows; their file has it.
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if extract.kind != "labs":
            site.warehouse.execute("DROP TABLE IF EXISTS core.taken")


def kept(
    site: Site,
    extract: Extract,
    account: FileAccount,
    scanned: Scanned,
    faults: Counter[str],
    notes: list[str],
    findings: list[str],
) -> FileAccount:
    """Move the failed rows out and keep the rest; the file's account."""
    warehouse = site.warehouse
    if extract.taken_by == "retake":
        taking_again.replace_rejects(warehouse, extract, site.as_of)
    warehouse.execute(SAME_CONTENT, (account.sha256,))
    move_out(site, extract)
    account = with_faults(account, scanned.n_row + scanned.n_broken, faults)
    hold_rows(account, rows_of(site))
    hold_contract(site, extract, extract.name)
    if extract.taken_by == "retake":
        take_back(site, extract, notes, findings)
    if extract.kind == "medications":
        n_late = withdrawn.withdraw_medications(warehouse, site.as_of)
        notes += told_late(n_late, "medications")
    if extract.kind == "labs":
        return account
    (account,) = versions(site, extract.kind, [account])
    return account


def with_faults(account: FileAccount, n_read: int, faults: Counter[str]) -> FileAccount:
    """The account of a file whose rows were judged."""
    n_out_of_scope = faults["scope"]
    n_rejected = faults.total() - n_out_of_scope
    return replace(
        account,
        n_read=n_read,
        n_accepted=n_read - n_rejected - n_out_of_scope,
        n_out_of_scope=n_out_of_scope,
        n_rejected=n_rejected,
    )


def hold_rows(account: FileAccount, n_left: int) -> None:
    """AuditFailed where not as many rows are left as the account says."""
    if n_left != account.n_accepted:
        raise AuditFailed(
            f"the rows of {account.file_name} do not add up once the failed ones are moved out. "
            "Nothing was published; yesterday's files stand. This is a bug: report it with the "
            "file's name."
        )


def take_back(site: Site, extract: Extract, notes: list[str], findings: list[str]) -> None:
    """Withdraw what the file gave before and does not give now, and say how much that is."""
    n_gone, n_left = taking_again.withdraw(site.warehouse, extract)
    if n_gone:
        notes.append(
            f"{extract.name}: {n_gone} rows of {extract.kind} that it gave before are withdrawn, "
            "as today's map does not read them"
        )
    if n_left:
        findings.append(
            f"{extract.name}: {n_left} rows of {extract.kind} stay as they were taken before, "
            "though today's map does not read them; ask the sender for them again"
        )


def rejects_allowed(site: Site, extract: Extract, scanned: Scanned) -> float:
    """How many rejected rows a file may have: the share of each laboratory of its own rows."""
    share = site.settings.limits.reject_share
    allowed = share * (scanned.n_row + scanned.n_broken)
    if extract.kind == "labs":
        for name, n in site.warehouse.rows(COUNT_LABORATORIES):
            laboratory = site.settings.laboratories.get(name)
            if laboratory is not None and laboratory.reject_share is not None:
                allowed += (laboratory.reject_share - share) * n
    return allowed


def hold_reason(
    n_read: int,
    allowed: float,
    faults: Counter[str],
    checks: Mapping[str, tuple[str | None, str, str]],
    is_new: bool,
) -> str:
    """Why a file is held, with its commonest faults."""
    commonest = sorted(faults.items(), key=lambda item: (-item[1], item[0]))[:COMMONEST]
    told = "; ".join(f"{n} x {checks[fault][2]}" for fault, n in commonest)
    n_rejected = faults.total()
    return (
        f"{n_rejected} of {n_read} rows were rejected ({n_rejected / n_read:.2%}, the limit "
        f"is {allowed / n_read:.2%}), so nothing of it was taken; "
        f"{'it is tried again every night' if is_new else STANDS}. "
        f"Commonest: {told}"
    )


def move_out(site: Site, extract: Extract) -> None:
    """Rejected rows to ``core.reject``, their cells to the private store; count unmapped codes.

    From here on the files at hand, all of the extract's kind, are taken.
    """
    warehouse, kind = site.warehouse, extract.kind
    for statement in (COPY_BROKEN, KEEP_BROKEN, COPY_REJECTS, KEEP_REJECTS, NEW_CONTENT):
        warehouse.execute(statement, (kind,))
    if kind == "labs":
        if extract.taken_by == "retake":
            warehouse.execute(UNMAPPED_BEFORE, (site.as_of, extract.sha256))
        warehouse.execute(
            ddl.create_table_as("taking.unmapped_part", sql_text("core/unmapped_part.sql"))
        )
        warehouse.execute(KEEP_UNMAPPED)
        warehouse.fill("core.lab_feed", sql_text("core/lab_feed.sql"))
        warehouse.execute("DROP TABLE taking.unmapped_part")
        warehouse.execute(NEW_FILE)
    warehouse.execute("DELETE FROM core.taken WHERE taken.fault IS NOT NULL")


def hold_contract(site: Site, extract: Extract, name: str) -> None:
    """The declared contract against the rows just taken, in slices; ``name`` says of what."""
    warehouse = site.warehouse
    relation = RELATION[extract.kind]
    ((first, last),) = warehouse.rows(FIRST_AND_LAST)
    if first is None:
        return
    source, place = "core.taken", "rowid"
    if extract.kind == "labs":
        source, place = "taking.result", "place"
        warehouse.execute(ddl.create_view(source, sql_text("core/taken_result.sql")))
    for start in range(first, min(last + 1, first + contracts.MOST_ROWS), contracts.SLICE_ROWS):
        frame = warehouse.frame(
            ddl.slice_between(RELATIONS[relation], source, place),
            (start, start + contracts.SLICE_ROWS),
        )
        contracts.hold(relation, frame, name)


def versions(site: Site, kind: str, accounts: Sequence[FileAccount]) -> list[FileAccount]:
    """Bring files of any kind but labs into their table; older rows aside."""
    warehouse = site.warehouse
    warehouse.execute(ddl.create_table_as("taking.version", sql_text(VERSION[kind])))
    buckets = {tuple(key): n for *key, n in warehouse.rows(together.BUCKETS)}
    name = RELATION[kind]
    set_aside(site, kind)
    warehouse.execute(ddl.append(RELATIONS[name], "core.taken"))
    warehouse.execute("DROP TABLE core.taken")
    warehouse.execute("DROP TABLE taking.version")
    return [
        account.with_versions(
            buckets.get((account.file_name, "duplicate"), 0),
            buckets.get((account.file_name, "superseded"), 0),
        )
        for account in accounts
    ]


def lab_versions(site: Site, accounts: list[FileAccount]) -> list[FileAccount]:
    """Compare the results taken with each other and with what was known; make them the history."""
    warehouse = site.warehouse
    if "core.taken" not in warehouse.relations():
        return accounts
    name = STORED["labs"]
    is_first = warehouse.scalar("SELECT count(*) FROM core.lab_row") == 0
    warehouse.write("taking.lab_repeated", repeated_keys(warehouse))
    if not is_first:
        warehouse.execute(ddl.insert_by_name("taking.lab_repeated", sql_text("core/lab_known.sql")))
    warehouse.execute(ddl.create_table_as("taking.version", sql_text(VERSION["labs"])))
    buckets = {tuple(key): n for *key, n in warehouse.rows(COUNT_BUCKETS)}
    set_aside(site, "labs")
    if is_first:
        # The table of what was taken becomes the history: the rows are written once.
        warehouse.execute("DROP TABLE core.lab_row")
        for statement in ddl.made_into(
            RELATIONS[name], "core.taken", ("fault", "cells", "unitless")
        ):
            warehouse.execute(statement)
    else:
        warehouse.execute(ddl.append(RELATIONS[name], "core.taken"))
        warehouse.execute("DROP TABLE core.taken")
    return [
        account.with_versions(
            *(
                buckets.get((account.file_name, account.sha256, account.taken_by, bucket), 0)
                for bucket in ("duplicate", "superseded")
            )
        )
        if account.kind == "labs"
        else account
        for account in accounts
    ]


def repeated_keys(warehouse: Warehouse) -> pl.DataFrame:
    """The keys of results that arrived more than once.

    Sorted here, as one column of integers: the engine's own grouping costs three times as much.
    """
    n_part = warehouse.scalar("SELECT count(*) FROM core.taken") // KEYS_AT_ONCE + 1
    parts = []
    for part in range(n_part):
        keys = warehouse.frame(sql_text("core/lab_key.sql"), (n_part, part))["key"].sort()
        parts.append(keys.filter(keys == keys.shift(1)).unique())
    return pl.DataFrame({"key": pl.concat(parts)})


def set_aside(site: Site, kind: str) -> None:
    """Older versions to the private store, with the night that replaced them; repeats dropped."""
    warehouse = site.warehouse
    name = RELATION[kind]
    table = name.split(".")[1]
    warehouse.execute(
        ddl.append_versions(RELATIONS[name], f"private.{table}", "taking.version"), (site.as_of,)
    )
    for origin, target in (("core", STORED[kind]), ("taken", "core.taken")):
        warehouse.execute(ddl.delete_versions(target, "taking.version"), (origin,))


def told(account: FileAccount) -> str:
    """A line of progress for one file."""
    if account.reason:
        return f"{account.file_name}: {'held' if account.held else 'rejected'}"
    return (
        f"{account.file_name}: {account.n_read} rows of {account.kind} read, "
        f"{account.n_rejected} rejected, "
        f"{account.n_out_of_scope} out of scope"
    )
