"""Taking: everything new in the inbox, in file order, into the typed history, every row accounted.

One scan per file casts, converts and judges; what fails is moved out with its reason. Only then is
a file held, refused or kept. Nothing in the inbox is moved or deleted.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import polars as pl

from b12screen.ingest import again as taking_again
from b12screen.ingest import fhir_known, together, withdrawn
from b12screen.ingest.accounts import FileAccount, Taking, audit
from b12screen.ingest.again import Again
from b12screen.ingest.checks import CHECKS, SHAPES
from b12screen.ingest.delimited import (
    FileRefused,
    content_hash,
    measured,
)
from b12screen.ingest.doubtful import doubtful_people
from b12screen.ingest.held import STANDS, too_many
from b12screen.ingest.hl7v2_cells import dialect
from b12screen.ingest.keeping import (
    kept,
    lab_versions,
    told_late,
)
from b12screen.ingest.messages import (
    MESSAGES,
    Parsed,
    few_rows,
    is_small,
    parse,
    taken_part,
    taken_together,
    too_many_of_any,
)
from b12screen.ingest.near import named_twice, near_duplicates
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
from b12screen.ingest.revised import withdraw_by_key
from b12screen.ingest.scan import (
    Scanned,
    bound_rows,
    drop_rows,
    exactly,
    faults_of,
    scan,
    set_night,
)
from b12screen.ingest.store import (
    FOLDS,
    PERSONS,
    Intake,
    attempts,
    fault_table,
    held_nothing,
    lay_here,
    look_up,
    lying_as_taken,
    missing_laboratories,
    n_taken_since,
    other_clock,
    prepare,
    remember,
    was_taken,
)
from b12screen.ingest.unread import unread
from b12screen.maps import Maps
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse
from schemas import words
from schemas.extracts import extract_columns

# Labs come last, so that the table of what was taken can become the history itself.
TURN = ("patients", "conditions", "medications", words.FEEDBACK, "labs")
UNDECIDED = (
    "SELECT count(*) FROM core.taken WHERE taken.fault = 'scope' AND taken.cells IS NOT NULL"
)


class FileChanged(Exception):
    """The file was written to while it was being read."""


@dataclass(frozen=True)
class Files:
    """The files that a taking has read so far.

    ``messages`` wait for the turns of their kinds, ``contents`` names each of them by its hash, and
    ``seen`` says of all how they lay; ``told`` how files of resources lay when they told of others.
    """

    messages: dict[tuple[str, Path], Parsed] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    seen: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    told: dict[Path, Stamp] = field(default_factory=dict)

    def forget(self, account: FileAccount | None) -> None:
        """Take no later file for a copy of one that was turned away."""
        if account is not None and self.contents.get(account.sha256) == account.file_name:
            del self.contents[account.sha256]


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
    intake = Intake(
        warehouse, settings, as_of, scratch, progress, dialect(settings, maps), maps, listed
    )
    with warehouse.rows_in_place():
        return taken_from(intake, inbox, again)


def taken_from(intake: Intake, inbox: Path, again: Again | None) -> Taking:
    """Take what is new below ``inbox``, and what is to be taken again."""
    warehouse = intake.warehouse
    owns = own_files(intake.settings)
    extracts, left_alone, findings = found(inbox, owns)
    prepare(intake)
    findings += other_clock(intake)
    findings += missing_laboratories(intake)
    if again is None:
        return taken_in(intake, extracts, left_alone, findings)
    n_waiting, n_rejected = taking_again.waiting_rows(warehouse)
    repeated = taking_again.taken_contents(warehouse, inbox, again.files, owns)
    if again.rejected:
        repeated += taking_again.waiting(warehouse, owns)
    taking = taken_in(intake, [*repeated, *extracts], left_alone, findings)
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
        gone = f", {taking.n_taken_back:,} withdrawn" if taking.n_taken_back else ""
        parts.append(f"{n_files} taken again, {n_changed:,} rows read differently{gone}")
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

    Without ``files`` those of the inbox, found as a night would find them. ``listed`` is the last
    published database, whose items may be answered. What a laboratory's settings say of files goes
    by their place below the inbox, or for a file that lies elsewhere by the folders it lies in.
    """
    findings: list[str] = []
    if inbox is not None and not files:
        extracts, left_alone, findings = found(inbox, own_files(settings))
    else:
        promises = [promised(path, settings, inbox) for path in files]
        extracts = [extract for kinds in promises for extract in kinds]
        left_alone = [
            shown(path.as_posix()) for path, kinds in zip(files, promises, strict=True) if not kinds
        ]
    limits = settings.limits
    with Warehouse.open(
        scratch / "check.duckdb",
        memory_mb=limits.memory_mb,
        threads=limits.threads,
        temp_dir=scratch,
        timezone=settings.timezone,
    ) as warehouse:
        warehouse.attach(scratch / "check-private.duckdb", "private")
        intake = Intake(
            warehouse, settings, as_of, scratch, progress, dialect(settings, maps), maps, listed
        )
        with warehouse.rows_in_place():
            prepare(intake)
            return taken_in(intake, extracts, left_alone, findings)


def promised(path: Path, settings: Settings, inbox: Path | None) -> list[Extract]:
    """The extracts that a file to be checked would be, under the path that it was named by."""
    whole = path.absolute()
    if inbox is not None and whole.is_relative_to(inbox.absolute()):
        name = name_below(inbox.absolute(), whole)
        own = [own for own in own_files(settings) if own.names(name)]
    else:
        own = [own for own in own_files(settings) if names_outside(own, whole)]
    return recognised(path, shown(path.as_posix()), own)


def taken_in(
    intake: Intake, extracts: list[Extract], left_alone: list[str], findings: list[str]
) -> Taking:
    """Take the extracts kind by kind, in file order; account for each."""
    warehouse = intake.warehouse
    look_up(intake, {extract.kind for extract in extracts})
    accounts: list[FileAccount] = []
    known: set[str] = set()
    notes: list[str] = []
    parsed = Files()
    lying = lying_as_taken(intake, extracts)
    known |= {name for name, _ in lying}
    shutil.rmtree(intake.scratch / MESSAGES, ignore_errors=True)
    parsed.told.update(
        fhir_known.tell(
            intake,
            [
                extract
                for extract in extracts
                if not (extract.taken_by == "run" and (extract.name, extract.kind) in lying)
            ],
        )
    )
    for kind in TURN:
        if kind == "labs":
            warehouse.execute(PERSONS)
        of_kind = [
            extract
            for extract in extracts
            if extract.kind == kind
            and not (extract.taken_by == "run" and (extract.name, kind) in lying)
        ]
        for extract, account in taken_in_turn(intake, of_kind, parsed, notes, findings):
            if account is None and extract.taken_by == "retry":
                continue
            key = (extract.taken_by, extract.path)
            turned_away = account is not None and account.reason is not None
            if extract.holds_messages and (turned_away or key not in parsed.messages):
                parsed.messages[key] = Parsed(account, intake.scratch, {}, {})
                parsed.forget(account)
            if account is None:
                # A file of messages that holds none of this kind has no account of it.
                if key not in parsed.messages or parsed.messages[key].account is None:
                    known.add(extract.name)
                continue
            intake.progress(told(account))
            accounts.append(account)
            verdict = "held" if account.held else "rejected"
            finding = f"{account.file_name} was {verdict}: {account.reason}"
            if account.reason and finding not in findings:
                findings.append(finding)
            if account.kind == words.FEEDBACK and account.n_rejected and not account.reason:
                findings.append(
                    f"{account.file_name}: {account.n_rejected} of its {account.n_read} rows could "
                    "not be taken, so the clinic is not heard on them: `b12screen rejects` says "
                    "what is wrong. Set what a setting mends and `retry`; have the rest sent again"
                )
    shutil.rmtree(intake.scratch / MESSAGES, ignore_errors=True)
    if warehouse.has("core.taken"):
        n_late, n_dropped = withdrawn.withdraw_labs(warehouse, intake.as_of)
        notes += told_late(n_late, "results")
        if n_dropped:
            notes.append(
                f"{n_dropped} results are withdrawn, as a later version of their observation does "
                "not have them any more"
            )
    accounts = lab_versions(intake, accounts, findings)
    findings += unread(intake)
    findings += named_twice(warehouse, intake.as_of)
    findings += doubtful_people(warehouse, intake.as_of)
    if any(account.kind == "labs" for account in accounts):
        warehouse.execute("DELETE FROM core.unmapped_code")
        warehouse.fill("core.unmapped_code", sql_text("core/unmapped_code.sql"))
        if n_near := near_duplicates(warehouse, intake.as_of):
            notes.append(
                f"{n_near} results look like another of the same person (same test and value, "
                "collected within a day, another result_id); all were taken, see "
                "core.near_duplicate"
            )
    fhir_known.keep(
        warehouse,
        [
            file.account.file_name
            for file in parsed.messages.values()
            if file.account is not None and file.account.reason is not None
        ],
    )
    remember(intake, parsed.seen)
    before = attempts(intake)
    accounts = [
        replace(
            account,
            attempt=before[account.file_name, account.kind, account.sha256, account.taken_by] + 1,
        )
        for account in accounts
    ]
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
    n_taken_back = int(warehouse.scalar(taking_again.COUNT_TAKEN_BACK))
    warehouse.execute("DROP SCHEMA taking CASCADE")
    return Taking(
        tuple(accounts),
        tuple(left_alone),
        tuple(findings),
        tuple(notes),
        len(known),
        n_taken_back=n_taken_back,
    )


def taken_in_turn(
    intake: Intake,
    extracts: Sequence[Extract],
    parsed: Files,
    notes: list[str],
    findings: list[str],
) -> Iterator[tuple[Extract, FileAccount | None]]:
    """Take the extracts of one kind one after another; small files many at once.

    What is turned away is told at once, so that no later file is taken for a copy of it.
    """
    waiting: list[tuple[Extract, Parsed]] = []
    small = small_extracts(extracts)
    told: list[tuple[Extract, FileAccount | None]] = []

    def take_waiting() -> None:
        told.extend(taken_together(intake, waiting, notes, findings))
        waiting.clear()

    def later(
        intake: Intake, extract: Extract, file: Parsed, notes: list[str], findings: list[str]
    ) -> FileAccount | None:
        if is_small(extract, file):
            if waiting and waiting[0][1].columns[extract.kind] != file.columns[extract.kind]:
                take_waiting()
            waiting.append((extract, file))
            return None
        take_waiting()
        return taken_part(intake, extract, file, notes, findings)

    for extract in extracts:
        key = (extract.taken_by, extract.path)
        n_row = sum(file.written[each.kind].n_row for each, file in waiting)
        if (
            not (extract.form == "hl7" or key in small)
            or (waiting and waiting[0][0].form != extract.form)
            or len(waiting) >= together.MOST_FILES
            or n_row >= together.MOST_ROWS_TOGETHER
        ):
            take_waiting()
        if extract.taken_by == "retry":
            account = taken_rejects(intake, extract)
        elif key in parsed.messages:
            account = later(intake, extract, parsed.messages[key], notes, findings)
        else:
            waits = take_waiting if key in small else None
            account = taken_file(intake, extract, parsed, notes, findings, later, waits)
        yield from told
        told.clear()
        if not waiting or waiting[-1][0] is not extract:
            yield extract, account
    yield from taken_together(intake, waiting, notes, findings)


def small_extracts(extracts: Sequence[Extract]) -> set[tuple[str, Path]]:
    """The files of contract extracts that are small, where there are many: one may wait for all."""
    small = set()
    for extract in extracts:
        is_plain = extract.form == "csv" and not extract.packing and not extract.own
        if is_plain and extract.taken_by == "run" and extract.kind in together.OWN_PLACES:
            with suppress(OSError):
                if extract.path.stat().st_size <= together.MOST_BYTES:
                    small.add((extract.taken_by, extract.path))
    return small if len(small) > together.FEW_EXTRACTS else set()


def taken_file(
    intake: Intake,
    extract: Extract,
    parsed: Files,
    notes: list[str],
    findings: list[str],
    part: Callable[[Intake, Extract, Parsed, list[str], list[str]], FileAccount | None],
    take_waiting: Callable[[], None] | None,
) -> FileAccount | None:
    """Take one file, of messages the first kind; None where its content was taken before.

    ``parsed`` gets the file of messages for its other kinds, and ``part`` takes its first one, or
    a small extract; remarks go to notes and findings. An extract may be small where
    ``take_waiting`` takes those that came before it.
    """
    account = FileAccount(
        extract.name, extract.kind, extract.sha256, 0, intake.as_of, taken_by=extract.taken_by
    )
    is_new = extract.taken_by == "run"
    folder = intake.scratch / "extract"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        before = stamp(extract.path)
        account = replace(account, size_bytes=before.size)
        shape = None
        if extract.form == "csv" and not extract.packing:
            sha256, shape = measured(extract.path)
        else:
            sha256 = content_hash(extract.path)
        unchanged(extract, before)
        if parsed.told.get(extract.path, before) != before:
            raise FileChanged
        if not is_new and sha256 != extract.sha256:
            raise FileChanged
        account = replace(account, sha256=sha256)
        if is_new:
            parsed.seen[extract.name] = (before, sha256)
        taken = was_taken(intake, extract, sha256) or parsed.contents.get(sha256)
        if is_new and taken is not None and not held_nothing(intake, extract, sha256):
            if lay_here(intake, extract.name, sha256):
                return None
            known = f"{extract.name} has the content of {taken}, taken before; not taken again"
            # Sent anew it would bring back what the files between had changed.
            is_state = extract.kind in FOLDS and not extract.holds_messages
            if take_waiting is not None:
                take_waiting()
            if is_state and (n := n_taken_since(intake, extract, sha256)):
                findings.append(
                    f"{known}, though {n} other {'file' if n == 1 else 'files'} of {extract.kind} "
                    "came since: where it is to count again (an opt-out after it was taken back), "
                    "let it be sent with any byte of it changed, a blank line at the end say"
                )
            else:
                notes.append(known)
            return None
        if extract.holds_messages:
            file = parse(intake, extract, account, len(parsed.messages), notes, findings)
            unchanged(extract, before)
            bound_rows(
                intake.settings.limits.max_rows,
                sum(kind.n_row + kind.n_broken for kind in file.written.values()),
            )
            parsed.messages[extract.taken_by, extract.path] = file
            parsed.contents[sha256] = extract.name
            if (reason := too_many_of_any(intake, extract, file)) is not None:
                return account.turned_away(reason, held=True)
            return part(intake, extract, file, notes, findings)
        if take_waiting is not None and shape is not None:
            small = few_rows(intake, extract, account, shape, f"extract-{len(parsed.seen)}")
            if small is not None:
                unchanged(extract, before)
                parsed.contents[sha256] = extract.name
                told_dropped(extract, small[1], notes)
                return part(intake, extract, small[0], notes, findings)
            take_waiting()
        scanned, extra = scan(intake, extract, shape, folder)
        bound_rows(intake.settings.limits.max_rows, scanned.n_row + scanned.n_broken)
        told_dropped(extract, extra, notes)
        unchanged(extract, before)
        if extract.kind == "labs":
            withdraw_by_key(intake.warehouse)
        faults = faults_of(intake)
        if (reason := too_many(intake, extract, scanned, faults)) is not None:
            drop_rows(intake, extract)
            return account.turned_away(reason, held=True)
        if extract.kind == words.FEEDBACK and (n := intake.warehouse.scalar(UNDECIDED)):
            notes.append(
                f"{extract.name}: {n} rows hold a remark or a day but no decision, so they say "
                "nothing; the clinic fills in the decision"
            )
        return kept(intake, extract, account, scanned, faults, notes, findings)
    except FileChanged:
        drop_rows(intake, extract)
        return account.turned_away(
            "changed while it was read; "
            + ("it is tried again on the next night" if is_new else STANDS),
            held=True,
        )
    except FileRefused as refused:
        drop_rows(intake, extract)
        return account.turned_away(str(refused), held=False)
    except OSError as error:
        # Two names: it was a link to the file that could not be made, which is not its fault.
        paths = [name for name in (error.filename, error.filename2) if name is not None]
        if [Path(name) for name in paths] != [extract.path]:
            raise
        drop_rows(intake, extract)
        return account.turned_away(
            f"cannot be read ({error.strerror}): let the running user read it; it is tried again "
            "on the next night",
            held=True,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if extract.own:
            intake.warehouse.write("taking.fault", fault_table(CHECKS | SHAPES))
        if extract.kind != "labs":
            # What was turned away leaves no working table of its shape to the next kind.
            intake.warehouse.execute("DROP TABLE IF EXISTS core.taken")


def told_dropped(extract: Extract, extra: str, notes: list[str]) -> None:
    """Note the columns that were dropped of a file, if any."""
    if extra:
        use = f"used for {extract.kind}" if extract.own else "used"
        notes.append(f"{extract.name}: columns that are not {use} were dropped: {extra}")


def unchanged(extract: Extract, before: Stamp) -> None:
    """FileChanged where the file is not the one that was stamped."""
    if stamp(extract.path) != before:
        raise FileChanged


def taken_rejects(intake: Intake, extract: Extract) -> FileAccount | None:
    """Try the rejected rows of a file again; the account of those that are taken now, if any.

    Those that still fail stay where they are and are not counted a second time.
    """
    folder = intake.scratch / "extract"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        set_night(intake, extract)
        n_row = taking_again.rejected_as_parquet(intake.warehouse, extract, folder)
        exactly(intake, extract, tuple(extract_columns(extract.kind)), n_row, 0, folder)
        if extract.kind == "labs":
            withdraw_by_key(intake.warehouse)
        faults = faults_of(intake)
        n_mended = taking_again.mended(intake.warehouse, extract, intake.as_of)
        if not n_mended:
            return None
        account = FileAccount(
            extract.name, extract.kind, extract.sha256, 0, intake.as_of, taken_by=extract.taken_by
        )
        scope = Counter({"scope": faults["scope"]})
        return kept(intake, extract, account, Scanned(n_mended, 0), scope, [], [])
    except FileRefused:
        # The settings now ask for a column that was not kept of these rows; their file has it.
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if extract.kind != "labs":
            intake.warehouse.execute("DROP TABLE IF EXISTS core.taken")


def told(account: FileAccount) -> str:
    """A line of progress for one file."""
    if account.reason:
        return f"{account.file_name}: {'held' if account.held else 'rejected'}"
    return (
        f"{account.file_name}: {account.n_read} rows of {account.kind} read, "
        f"{account.n_rejected} rejected, "
        f"{account.n_out_of_scope} out of scope"
    )
