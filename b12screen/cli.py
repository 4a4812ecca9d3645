"""The commands. The only module of the package that prints, reads the clock or the environment.

Everything heavy is imported inside the command that needs it: `--help` has to answer at once.
Messages go to standard error and never hold a patient's value or identifier; results go to
standard output, and of those only `explain`, `query` and `rejects` speak about patients.
"""

import argparse
import contextlib
import errno
import fcntl
import io
import os
import re
import resource
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock_time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from b12screen import __version__
from b12screen.command_line import understood
from b12screen.errors import AuditFailed, B12ScreenError, CannotWrite, RulesInvalid, UsageError

if TYPE_CHECKING:
    from b12screen.ingest import Again, Taking
    from b12screen.maps import Maps
    from b12screen.notify import Notice
    from b12screen.settings import Notify, Settings
    from b12screen.warehouse import Warehouse

DONE = 0
BUG = 1
DONE_WITH_FINDINGS = 20
INTERRUPTED = 130
STOPPED = 143

# The hour that the nights of a demo are said to have run at; their days are fixed too.
DEMO_TIME = clock_time(2, 30)
DEMO_MARKER = ".b12screen-demo"
CHECK_FOLDER = "b12screen-check-"

TOP_REASONS = 5
MOST_ROWS_SHOWN = 20
REASONS = """
SELECT file_name, kind, column_name, check_name, count(*) AS n_rows, reason
FROM core.reject
GROUP BY ALL
ORDER BY n_rows DESC, file_name, kind, column_name, check_name, reason
"""

UNMAPPED = """
SELECT kind, laboratory, code_system, code, test_name, unit, n, first_on, last_on
FROM core.unmapped_code
UNION ALL
SELECT kind, NULL, code_system, code, NULL, NULL, n, first_on, last_on
FROM facts.unused_code
ORDER BY kind, n DESC, code_system, code, laboratory, test_name, unit
"""

# What an operator can mend; any other refusal of the system is a bug and keeps its traceback.
CANNOT_WRITE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


class Stop:
    """Whether SIGTERM came, as a service manager or a time limit sends it.

    It is answered like Ctrl-C, so that what was begun is undone. Once: nobody else's second signal
    cuts the undoing short.
    """

    came = False

    @classmethod
    @contextlib.contextmanager
    def heard(cls) -> Iterator[None]:
        """Answer SIGTERM for as long as this lasts; only the main thread may say so."""
        cls.came = False
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, cls._answer)
        try:
            yield
        finally:
            # None: whoever set it is no Python.
            signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

    @staticmethod
    @contextlib.contextmanager
    def later() -> Iterator[None]:
        """Hold signals back: an engine that is only half loaded ends the process with its own."""
        held_back = {signal.SIGTERM, signal.SIGINT}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, held_back)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    @classmethod
    def _answer(cls, *_: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        cls.came = True
        raise KeyboardInterrupt


class Progress:
    """One line per step on standard error, with the seconds since the start.

    On a terminal the line is rewritten; into a log every step is a line of its own.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.rewrites = sys.stderr.isatty()
        self.shown = False

    def __call__(self, step: str) -> None:
        line = f"[{time.monotonic() - self.started:6.1f} s] {step}"
        if self.rewrites:
            sys.stderr.write(f"\r\x1b[K{line}")
            self.shown = True
        else:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal on a fresh line."""
        if self.shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self.shown = False


@contextlib.contextmanager
def shown_progress() -> Iterator[Progress]:
    progress = Progress()
    try:
        yield progress
    finally:
        progress.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # A stream that was closed before we began is none at all: what is said goes nowhere.
    sys.stdout = sys.stdout or nowhere()
    sys.stderr = sys.stderr or nowhere()
    for stream in (sys.stdout, sys.stderr):
        # A letter that the terminal's code page lacks is no reason to end.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = understood(argv, COMMANDS)
    # What is in memory are patients' rows, which have no business in a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with Stop.heard(), heard_or_not(arguments.command in (run, retry, retake)):
        return ended(arguments)


def from_the_shell() -> NoReturn:
    """Run one command and end the process with its exit code."""
    code = main()
    if code in (STOPPED, INTERRUPTED):
        # The interpreter remembers an interrupt that some library's own code met, and would end
        # the process by SIGINT instead.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def ended(arguments: argparse.Namespace) -> int:
    """Run the command that was asked for to its end, whichever that is; its exit code."""
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        code = command(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader of the output has gone, say `head`. Nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt as interrupt:
        print(f"b12screen: {str(interrupt) or broken_off()}", file=sys.stderr)
        return STOPPED if Stop.came else INTERRUPTED
    except Exception as error:  # noqa: BLE001 - its own text may quote a cell, so it is not printed
        code, message = ending(error)
        if code == BUG and Stop.came:
            # Raised within somebody's import, the stop may come out as another error.
            print(f"b12screen: {broken_off()}", file=sys.stderr)
            return STOPPED
        # Only where the engine refused: any other bug is one, whatever published the night.
        is_refused = code == BUG and isinstance(error, B12ScreenError)
        if is_refused and (version := version_of_last_night(arguments)) != __version__:
            print(
                f"b12screen: the last night was published by version {version}, this is "
                f"{__version__}, and what it needs is not in that night's files. Nothing was "
                f"changed. Run a night (`b12screen run {arguments.site}`) and ask again.",
                file=sys.stderr,
            )
            return UsageError.exit_code
        if code == BUG:
            return bug(error)
        print(f"b12screen: {message}", file=sys.stderr)
        return code


def version_of_last_night(arguments: argparse.Namespace) -> str:
    """The version that published what a command reads; ours where it reads none."""
    import json

    if arguments.command not in (compare, rejects, unmapped, explain, query):
        return __version__
    manifest = arguments.site / "published" / "current" / "manifest.json"
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["versions"]["b12screen"])
    except (OSError, ValueError, KeyError, TypeError):
        return __version__


def ending(error: Exception) -> tuple[int, str]:
    """The exit code of a failure, and what may be said of it."""
    if isinstance(error, B12ScreenError) and error.exit_code != BUG:
        return error.exit_code, str(error)
    if isinstance(error, OSError) and error.errno in CANNOT_WRITE:
        where = f" on {error.filename}" if isinstance(error.filename, str) else ""
        return CannotWrite.exit_code, (
            f"the system refused a file operation{where}: {error.strerror}. What was published "
            "before is untouched. Check the free disk space and the permissions there."
        )
    return BUG, (
        f"this is a bug ({type(error).__name__}), not a mistake in the data. What was published "
        "before is untouched. The log of the run holds the traceback."
    )


def broken_off(outcome: str = "what was published before is untouched") -> str:
    """What may be said of a command that was ended from outside."""
    how = "stopped by SIGTERM" if Stop.came else "interrupted"
    return f"{how}: {outcome}; run it again"


def bug(error: BaseException) -> int:
    from b12screen.traces import trace

    print(
        trace(error) + "b12screen: this is a bug, not a mistake in the data. What was published "
        "before is untouched. The lines above hold no patient data and may be sent on.",
        file=sys.stderr,
    )
    return BUG


def now_at(settings: "Settings") -> datetime:
    """The moment, in the site's timezone."""
    from zoneinfo import ZoneInfo

    return datetime.now(ZoneInfo(settings.timezone))


def night_of(as_of: date | None, started_at: datetime) -> date:
    """The night that is meant: today, or the day asked for unless it lies absurdly far ahead."""
    if as_of is None:
        return started_at.date()
    from b12screen.night import hold_near

    hold_near(as_of, started_at)
    return as_of


def init(arguments: argparse.Namespace) -> int:
    from b12screen.settings import SETTINGS_FILE, make_site

    site: Path = arguments.site
    make_site(site)
    print(f"The site {site} is made and works unedited.")
    print(f"  settings   {site / SETTINGS_FILE}")
    print(f"  extracts   drop them into {site / 'inbox'}")
    print(f"  try them   b12screen check {site}")
    print(f"  one night  b12screen run {site}")
    return DONE


def run(arguments: argparse.Namespace) -> int:
    return night_with(arguments, None)


def retry(arguments: argparse.Namespace) -> int:
    from b12screen.ingest import Again

    return night_with(arguments, Again(rejected=True))


def retake(arguments: argparse.Namespace) -> int:
    from b12screen.ingest import Again

    return night_with(arguments, Again(files=tuple(arguments.files)))


def night_with(arguments: argparse.Namespace, again: "Again | None") -> int:
    """Run one night, with what is to be taken again in it."""
    with Stop.later():
        from b12screen.night import run_night
        from b12screen.notify import Notice, found
        from b12screen.publish import Site

    settings = settings_or_told(arguments.site, arguments.as_of)
    started_at = now_at(settings)
    as_of = night_of(arguments.as_of, started_at)
    site = Site(arguments.site.resolve())
    name = site.root.name

    def failed(error: Exception) -> None:
        code, message = ending(error)
        tell(settings.notify, Notice(name, as_of, code, (message,)))

    try:
        before = site.committed()
    except Exception as error:
        failed(error)
        raise
    try:
        try:
            with shown_progress() as progress:
                result = run_night(arguments.site, as_of, started_at, progress, again)
        except Exception as error:
            failed(error)
            raise
        print("\n".join(result.summary))
        if result.findings:
            tell(settings.notify, found(name, as_of, result.findings, result.summary))
    except KeyboardInterrupt:
        message = broken_off(
            "nothing was published, yesterday's files stand"
            if site.committed() == before
            else "the night had been published"
        )
        if Stop.came:
            tell(settings.notify, Notice(name, as_of, STOPPED, (message,)))
        raise KeyboardInterrupt(message) from None
    return result.exit_code


@contextlib.contextmanager
def checking() -> Iterator[Path]:
    """A private folder outside the site for the rows of a check; it is gone afterwards.

    What a check left that was killed goes with the next one: nobody holds its lock.
    """
    import shutil
    import tempfile

    for left in Path(tempfile.gettempdir()).glob(f"{CHECK_FOLDER}*"):
        with contextlib.suppress(OSError), (left / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if left.lstat().st_uid == os.getuid():
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=CHECK_FOLDER) as folder:
        taken = Path(folder) / "taken"
        with taken.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Under its name it is held already.
            taken.rename(taken.with_name("lock"))
            try:
                yield taken.parent
            except (CannotWrite, OSError) as error:
                if isinstance(error, OSError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                raise CannotWrite(
                    f"the check could not write all it has to below {folder}: nothing was checked, "
                    "and the site is as it was. Free space there, or let TMPDIR name a private "
                    "folder on a disk that has room, and check again"
                ) from None


def settings_or_told(site: Path, as_of: date | None) -> "Settings":
    """The settings of a site; where they are wrong, whoever is told of its nights is told of that.

    Every night would end so, and nobody need be looking.
    """
    from b12screen.errors import SettingsInvalid
    from b12screen.notify import Notice
    from b12screen.settings import load_settings, notify_of

    try:
        return load_settings(site)
    except SettingsInvalid as error:
        day = as_of or datetime.now(UTC).date()
        tell(notify_of(site), Notice(site.resolve().name, day, error.exit_code, (str(error),)))
        raise


def nowhere() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")


class Lasting:
    """A stream that goes quiet where nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._go_quiet()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._go_quiet()

    def _go_quiet(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


@contextlib.contextmanager
def heard_or_not(is_night: bool) -> Iterator[None]:
    """No night ends, or ends with another code, because nobody reads what it says."""
    if not is_night:
        yield
        return
    out, err = cast(TextIO, Lasting(sys.stdout)), cast(TextIO, Lasting(sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def tell(ways: "Notify", notice: "Notice") -> None:
    """Send a notice where the settings say; that it did not arrive is said and changes nothing."""
    from b12screen.notify import notify

    for complaint in notify(ways, notice):
        print(f"b12screen: {complaint}", file=sys.stderr)


def replay(arguments: argparse.Namespace) -> int:
    from b12screen.replay import replay as replayed

    with shown_progress() as progress:
        nights = replayed(
            arguments.site,
            arguments.as_of,
            progress,
            through=arguments.through,
            rules=arguments.rules,
            known_on=arguments.known_on,
        )
    for night in nights:
        print("\n".join(night.summary))
    print("Nothing was published or changed. The sheets name patients: they are for you alone.")
    return max(night.exit_code for night in nights)


def check(arguments: argparse.Namespace) -> int:
    from b12screen.settings import load_settings

    settings = load_settings(arguments.site)
    as_of = night_of(arguments.as_of, now_at(settings))
    from b12screen.ingest import check as check_extracts
    from b12screen.publish import Site
    from b12screen.site_maps import maps_of
    from b12screen.warehouse import Warehouse

    inbox: Path = arguments.site / "inbox"
    if not arguments.files:
        from b12screen.night import look_into

        look_into(inbox, "nothing was checked")
    files: list[Path] = arguments.files
    absent = [path for path in files if not path.is_file()]
    if absent:
        raise UsageError(f"{len(absent)} of {len(files)} files are not there. Nothing was checked.")
    listed = Site(arguments.site.resolve()).current / "b12screen.duckdb"
    with checking() as scratch, shown_progress() as progress:
        maps = maps_of(settings)
        taking = check_extracts(files, settings, maps, as_of, scratch, progress, listed, inbox)
        with Warehouse.open(scratch / "check.duckdb", read_only=True) as warehouse:
            reasons = warehouse.rows(REASONS)
        # Only for files that somebody asks about by name: it reads them a second time.
        proposed = [
            line
            for path in arguments.files
            for line in proposals(path, inbox, taking, settings, maps, scratch)
        ]
    files_read = {account.file_name for account in taking.accounts}
    turned_away = {account.file_name for account in taking.accounts if account.reason}
    for account in taking.accounts:
        print(
            f"{account.file_name} ({account.kind}): {account.n_read} rows read, "
            f"{account.n_accepted} accepted, {account.n_duplicate} duplicate, "
            f"{account.n_superseded} superseded, {account.n_out_of_scope} out of scope, "
            f"{account.n_rejected} rejected"
        )
        if account.reason:
            print(f"    would be {'held' if account.held else 'rejected'}: {account.reason}")
        for _, _, column, name, n_rows, reason in [
            row for row in reasons if row[:2] == (account.file_name, account.kind)
        ][:TOP_REASONS]:
            print(f"    {n_rows} rows, {column or 'whole row'}, {name}: {reason}")
    for file_name in taking.left_alone:
        print(f"{file_name}: left alone, its name is none of an extract")
    for remark in (*taking.notes, *taking.findings):
        print(remark)
    print("\n".join(proposed), end="\n" if proposed else "")
    print(
        f"As on the night {as_of} (--as-of names another), with an empty store: rows that were "
        "taken before would be duplicates."
    )
    if not taking.accounts:
        print(
            "No extract was found. Drop labs*, patients*, conditions*, medications*, feedback* "
            "files, or messages as *.hl7, or FHIR resources as *.ndjson."
        )
    if turned_away and not arguments.files:
        print(
            f"Asked about by name, b12screen check {arguments.site} FILE proposes settings for it."
        )
    print(f"Nothing was written: {len(turned_away)} of {len(files_read)} files refused.")
    return DONE_WITH_FINDINGS if turned_away else DONE


def proposals(
    path: Path, inbox: Path, taking: "Taking", settings: "Settings", maps: "Maps", scratch: Path
) -> list[str]:
    """What may be put into the settings so that a file is read, or more of it; for a person."""
    from b12screen.ingest.delimited import FileRefused
    from b12screen.ingest.propose import may_be_text, proposal
    from b12screen.ingest.recognise import Own, name_below, shown
    from b12screen.ingest.take import promised
    from b12screen.settings import SETTINGS_FILE, OwnFiles

    name = shown(path.as_posix())
    accounts = [account for account in taking.accounts if account.file_name == name]
    is_unknown = any(account.reason for account in accounts) or name in taking.left_alone
    has_unknown_codes = any(
        account.kind == "labs" and account.n_out_of_scope for account in accounts
    )
    if not may_be_text(path) or not (is_unknown or has_unknown_codes):
        return []
    is_below = path.absolute().is_relative_to(inbox.absolute())
    place = name_below(inbox.absolute(), path.absolute()) if is_below else path.name
    known = None
    if not is_unknown:
        own = Own(next(iter(settings.laboratories)), OwnFiles(files=["*"]))
        extracts = promised(path, settings, inbox)
        known = next(
            (extract.own[0] for extract in extracts if extract.kind == "labs" and extract.own), own
        )
    try:
        lines = proposal(path, place, settings, maps, known, scratch / "proposal")
    except FileRefused as refused:
        return [f"{name}: nothing can be proposed for it: {refused}"]
    heading = (
        f"{name}: proposed for {SETTINGS_FILE}, for a person to read, correct and accept; "
        "nothing was applied:"
    )
    return [heading, *lines] if lines else []


def defer(arguments: argparse.Namespace) -> int:
    from b12screen.deferral import declare
    from b12screen.publish import Site
    from b12screen.rules import load_ruleset
    from b12screen.settings import load_settings

    settings = load_settings(arguments.site)
    site = Site(arguments.site.resolve())
    ruleset = load_ruleset(settings.ruleset, site.root)
    today = now_at(settings).date()
    number = declare(site, ruleset, arguments.action, arguments.until, arguments.reason, today)
    print(f"Deferral {number} is logged; the next night acts on it.")
    if arguments.until == today:
        print(f"Rows of {arguments.action} that were put off come back.")
    else:
        print(
            f"Rows of {arguments.action} rest until {arguments.until} and come back spread over "
            "the days after it; those of priority 1, and those that get worse, stay listed."
        )
    print(
        f"  to end it sooner   b12screen defer {arguments.site} --action {arguments.action} "
        "--until <today> --reason TEXT"
    )
    return DONE


def explain(arguments: argparse.Namespace) -> int:
    from b12screen.explain import explanation

    with published(arguments.site, arguments.as_of) as warehouse:
        lines = explanation(warehouse, arguments.patient)
    print("\n".join(lines))
    return DONE


def query(arguments: argparse.Namespace) -> int:
    from b12screen.tables import table

    with published(arguments.site, None) as warehouse:
        names = {
            word
            for row in warehouse.rows(
                "SELECT table_schema, table_name, column_name FROM information_schema.columns"
            )
            for word in row
        }
        try:
            frame = warehouse.typed_by_a_person(arguments.sql)
        except UsageError as error:
            raise UsageError(
                f"{without_words_of(arguments.sql, str(error), names)}. The published file is "
                "read-only and unchanged. Correct the SQL and ask again."
            ) from None
    say(table(frame, arguments.csv), arguments.csv)
    return DONE


def say(text: str, as_csv: bool) -> None:
    """Print a table; a CSV in UTF-8 whatever the terminal has, as no letter of it may get lost."""
    if as_csv and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    print(text)


def without_words_of(sql: str, message: str, names: set[str]) -> str:
    """A message about typed SQL without its words, but for names of tables and columns.

    DuckDB repeats what it does not understand, and that may be an identifier in wrong quotes.
    """
    typed = set(re.findall(r"\w+", sql.lower())) - {name.lower() for name in names}
    from b12screen.warehouse import ONE_QUERY

    plain = set(re.findall(r"\w+", f"{ONE_QUERY} error at or near in failed from clause".lower()))
    return re.sub(r"\w+", lambda m: "…" if m[0].lower() in typed - plain else m[0], message)


def rejects(arguments: argparse.Namespace) -> int:
    from b12screen import rejects as rejected
    from b12screen.tables import table

    with published(arguments.site, None) as warehouse:
        reasons = rejected.by_reason(warehouse)
        turned_away = rejected.turned_away(warehouse)
        found = rejected.rows(warehouse, None if arguments.rows else MOST_ROWS_SHOWN)
    if arguments.rows:
        with_cells = rejected.with_cells(found, arguments.site)
        say(table(found if with_cells is None else with_cells, as_csv=True), as_csv=True)
        if with_cells is None:
            print(
                "Only places: the store, which holds the rows, is closed to you.", file=sys.stderr
            )
        return DONE
    print("\n".join(turned_away), end="\n" if turned_away else "")
    if not reasons.height:
        print("No row was rejected, or each was mended.")
        return DONE
    print(table(reasons, as_csv=False))
    n_rows = reasons["rows"].sum()
    shown = "" if found.height == n_rows else f", {found.height} of {n_rows:,}"
    print(f"\nWhere they stand{shown}:")
    print(table(found.drop("sha256", "reason"), as_csv=False))
    print(f"With what they hold, for you alone: b12screen rejects {arguments.site} --rows")
    return DONE


def unmapped(arguments: argparse.Namespace) -> int:
    from b12screen.tables import table

    if arguments.accept is not None and arguments.workbook is not None:
        raise UsageError("`unmapped` writes a workbook or takes one back. Nothing was done.")
    if arguments.accept is not None or arguments.workbook is not None:
        return reviewed(arguments.site, arguments.workbook, arguments.accept)
    import polars as pl

    from b12screen.ingest.lookups import known_tests
    from b12screen.settings import load_settings
    from b12screen.site_maps import maps_of

    with published(arguments.site, None) as warehouse:
        frame = warehouse.frame(UNMAPPED)
    if not frame.height:
        print("Every code that was sent has a map.")
        return DONE
    settings = load_settings(arguments.site)
    key = ["laboratory", "code_system", "code"]
    tests = known_tests(settings, maps_of(settings)).unique(key, maintain_order=True)
    mapped = tests.select(*key, mapped_since="analyte")
    frame = frame.join(mapped, on=key, how="left", maintain_order="left")
    ignored = {row.key for row in settings.accepted if row.decision == "ignore"}
    sent = frame.select(*key, frame["unit"].fill_null("").str.strip_chars()).rows()
    reviewer = ["ignored" if row in ignored else "" for row in sent]
    frame = frame.with_columns(pl.Series("reviewer", reviewer))
    print(table(frame, as_csv=False))
    if frame["mapped_since"].is_not_null().any():
        print("What is mapped since is taken by `b12screen retake` of its files.")
    print(f"For a reviewer: b12screen unmapped {arguments.site} --workbook FILE")
    return DONE


def reviewed(root: Path, target: Path | None, source: Path | None) -> int:
    """Write the workbook of a site, or take it back."""
    import polars as pl

    from b12screen import workbook
    from b12screen.ingest.lookups import known_tests
    from b12screen.maps import load_maps
    from b12screen.publish import Site
    from b12screen.settings import load_settings

    if target is not None and (target.is_dir() or not target.absolute().parent.is_dir()):
        raise UsageError(
            "--workbook needs the name of a file, in a folder that is there. Nothing was written."
        )
    settings = load_settings(root)
    maps = load_maps()
    site = Site(root.resolve())
    run_id = site.committed()
    if run_id is None:
        raise UsageError(f"No night is published in {root}. Nothing was done.")
    rows = workbook.seen(site.state(run_id) / "private.duckdb")
    if source is not None:
        done = workbook.accept(source, root, settings, maps, rows, now_at(settings).date())
        print(
            f"{done.path.relative_to(root)}: {done.n_accepted} accepted, {done.n_ignored} ignored, "
            f"{done.n_removed} removed, {done.n_open} left open. In force from the next night on."
        )
        if done.waits_for_retry:
            print(f"Next: b12screen retry {root}")
        if done.files:
            names = " ".join(shlex.quote(name) for name in done.files)
            print(f"Next: b12screen retake {root} {names}")
            print("A file that no longer lies in the inbox is named by the path of its copy.")
        elif done.n_removed:
            print(
                "What was read by rows that are removed now stays as it was until its files are "
                f"taken again: b12screen retake {root} FILE…"
            )
        return DONE
    tests = known_tests(settings, maps)
    found = workbook.workbook(workbook.open_rows(rows, settings, tests), tests, maps)
    known = workbook.in_force(settings)
    if target is not None:
        text = workbook.as_csv(pl.concat([found, known], how="diagonal_relaxed"))
        target.write_text(text, encoding="utf-8", newline="")
        print(
            f"{found.height} rows for the reviewer are in {target}, and {known.height} that are in "
            "force. Give it back with:"
        )
        print(f"  b12screen unmapped {root} --accept {target}")
    return DONE


@contextlib.contextmanager
def published(site: Path, as_of: date | None) -> "Iterator[Warehouse]":
    """A published night, opened for reading only; the newest unless a day is named."""
    from b12screen.settings import load_settings

    settings = load_settings(site)
    name = "current" if as_of is None else as_of.isoformat()
    # Resolved once: a night that is published meanwhile does not change what is being read.
    path = (site / "published" / name / "b12screen.duckdb").resolve()
    if not path.is_file():
        raise UsageError(
            f"No night is published in {site}. Nothing was read. `b12screen run` makes a night."
            if as_of is None
            else f"The night of {as_of} is not published in {site}. Nothing was read. Where it was "
            f"and went with time, `b12screen replay {site} --as-of {as_of}` makes its sheets "
            "again; where none was, there is nothing to read."
        )
    from b12screen.publish import last_night, undamaged
    from b12screen.warehouse import Warehouse

    limits = settings.limits
    with (
        undamaged(*last_night(path)),
        Warehouse.open(
            path,
            memory_mb=limits.memory_mb,
            threads=limits.threads,
            timezone=settings.timezone,
            read_only=True,
            sealed=True,
        ) as warehouse,
    ):
        yield warehouse


def doctor(arguments: argparse.Namespace) -> int:
    from b12screen import doctor as examination

    if arguments.expect is not None:
        return expect(arguments)
    lines = examination.installation()
    if arguments.site is not None:
        lines += examination.site_lines(arguments.site, datetime.now(UTC))
    code = examination.worst(lines)
    print("\n".join(str(line) for line in lines))
    verdict = {
        DONE: "Nothing stands in the way of a night.",
        DONE_WITH_FINDINGS: "A night would go through; somebody should look at the lines above.",
    }.get(code, f"A night would end with exit code {code}.")
    print(verdict)
    return code


def expect(arguments: argparse.Namespace) -> int:
    """Whether the night of today is there, asked after the hour by which it had to be."""
    if arguments.site is None:
        raise UsageError("--expect asks for the night of one site: name the SITE.")
    settings = settings_or_told(arguments.site, None)
    now = now_at(settings)
    from b12screen.doctor import expected
    from b12screen.notify import Notice

    line = expected(arguments.site, now, clock_time(*arguments.expect))
    print(line)
    if line.code:
        name = arguments.site.resolve().name
        tell(settings.notify, Notice(name, now.date(), line.code, (line.says,)))
    return line.code


def serve(arguments: argparse.Namespace) -> int:
    from b12screen.settings import load_settings

    settings = load_settings(arguments.site)
    from pipelines.serve import serve_nightly

    hour, minute = arguments.at
    print(
        f"Every night at {hour:02}:{minute:02} {settings.timezone}, for as long as this runs.",
        flush=True,
    )
    serve_nightly(arguments.site, arguments.at, settings.timezone)
    return DONE


def rules(arguments: argparse.Namespace) -> int:
    from b12screen.maps import load_maps
    from b12screen.replays import other_rules
    from b12screen.rules import load_ruleset
    from b12screen.rules.render import render
    from b12screen.site_maps import maps_of

    words: list[str] = list(arguments.words)
    ask = words.pop(0) if words and words[0] in ("show", "check", "render") else "show"
    if len(words) > 1:
        raise UsageError(
            "`rules` takes show, check or render, and one SITE. Nothing was done. A ruleset is "
            "named with --rules."
        )
    site = Path(words[0]) if words else None
    maps = load_maps()
    named: str = arguments.rules or "praxis-2025"
    if site is not None:
        from b12screen.settings import load_settings

        settings = load_settings(site)
        named = arguments.rules or settings.ruleset
        maps = maps_of(settings)
    ruleset = load_ruleset(named) if site is None else other_rules(named, site)
    if ask == "render":
        print(render(ruleset, maps), end="")
        return DONE
    print(f"{ruleset.ruleset}, version {ruleset.version}: {ruleset.title}")
    print(f"review by {ruleset.review_by}, sha256 {ruleset.sha256}")
    print(
        f"{len(ruleset.rules)} rules in {len(ruleset.decisions)} decision tables, "
        f"{len(ruleset.thresholds)} thresholds, {len(ruleset.sources)} sources"
    )
    if ask == "check":
        from b12screen.rules.check import doubts

        if found := doubts(ruleset):
            raise RulesInvalid(
                f"{len(found)} texts would not pass the last checks of a night:\n"
                + "\n".join(f"- {doubt}" for doubt in found)
            )
        print("No finding: complete, cited, unambiguous, and no unknown silently treated as no.")
        return DONE
    for rule in ruleset.rules.values():
        priority = f", priority {rule.priority}" if rule.priority is not None else ""
        action = f" -> {rule.action}{priority}" if rule.action else ""
        print(f"{rule.rule_id:<5}{rule.title}{action} [{ruleset.short_source(rule.grounds)}]")
    return DONE


def compare(arguments: argparse.Namespace) -> int:
    from b12screen.compare import compare as compared
    from b12screen.tables import table

    with shown_progress() as progress:
        found = compared(arguments.site, arguments.rules, progress)
    n = {name: f"{count:,}" for name, count in found.totals.items()}
    print(f"Night {found.as_of} ({found.run_id}, rules {found.before}) decided again")
    print(f"by {found.after}. Nothing was published or changed.")
    print()
    if found.breaches:
        print(
            f"A night by these rules would NOT be published: {len(found.breaches)} checks of its "
            f"lists fail ({'; '.join(found.breaches)}). Mend the rules before they go live."
        )
        print()
    print(
        f"People on a list: {n['people_before']} before, {n['people_after']} after; "
        f"{n['people_joining']} who were on none, {n['people_leaving']} who would be on none"
    )
    print(f"Rows: {n['rows_before']} before, {n['rows_after']} after")
    print(f"Rows of priority 1: {n['urgent_before']} before, {n['urgent_after']} after")
    for title, frame in (
        ("Rows by rule", found.by_rule),
        ("Rows by clinic", found.by_clinic),
        ("People by functional status", found.by_status),
    ):
        print(f"\n{title}")
        print("\n".join(table(frame, as_csv=False).splitlines()[:-1]))
    print()
    for remark in found.remarks:
        print(remark)
    print(f"The {found.n_movers:,} rows that move, with their people, for you alone:")
    print(found.movers)
    return AuditFailed.exit_code if found.breaches else DONE


def synth(arguments: argparse.Namespace) -> int:
    from b12screen import synth as synthesis
    from b12screen.synth.bulk import bulk

    first_night = arguments.first_night or synthesis.FIRST_NIGHT
    directory: Path = arguments.directory
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is no folder. Nothing was written. Name another one.")
    with shown_progress() as progress:
        if arguments.bulk is not None:
            bulk(directory, arguments.bulk, arguments.seed, first_night, progress)
        elif arguments.patients is None or arguments.nights is None:
            raise UsageError(
                "`synth` needs --patients and --nights, or --bulk. Nothing was written."
            )
        else:
            synthesis.synth(
                directory,
                arguments.patients,
                arguments.nights,
                arguments.seed,
                first_night,
                progress,
            )
    print(f"The extracts are in {directory}, the first set for the night of {first_night}.")
    if arguments.bulk is None:
        print("truth.csv beside them says what was planted; an inbox leaves it alone.")
    return DONE


def demo(arguments: argparse.Namespace) -> int:
    from b12screen.settings import SETTINGS_FILE, make_site

    began = time.monotonic()
    site: Path = arguments.directory
    marker = site / DEMO_MARKER
    if site.exists() and any(site.iterdir()) and not marker.is_file():
        raise UsageError(
            f"{site} holds something that no demo made. Nothing in it was changed. Name another "
            "folder: b12screen demo DIR."
        )
    if marker.is_file():
        remove_demo(site)
    make_site(site)
    settings = site / SETTINGS_FILE
    settings.write_text(
        settings.read_text(encoding="utf-8").replace(
            "# raised_pairs = 0.15",
            "# Most of these invented people are ill, which is no sign of a wrong unit here.\n"
            "raised_pairs = 1.0",
        ),
        encoding="utf-8",
    )
    marker.write_text("Made by `b12screen demo`, which may remove this folder and make it anew.\n")
    from b12screen import synth as synthesis
    from b12screen.night import run_night

    deliveries = site / "deliveries"
    with shown_progress() as progress:
        synthesis.synth(
            deliveries,
            synthesis.DEMO_PATIENTS,
            synthesis.DEMO_NIGHTS,
            synthesis.DEMO_SEED,
            progress=progress,
        )
        for as_of in synthesis.demo_nights():
            synthesis.deliver(deliveries, site / "inbox", as_of)
            started_at = datetime.combine(as_of, DEMO_TIME, tzinfo=UTC)
            result = run_night(site, as_of, started_at, progress)
    print("\n".join(result.summary))
    print("\n".join(what_to_open(site)))
    print(
        f"{synthesis.DEMO_NIGHTS} nights of {synthesis.DEMO_PATIENTS} invented people in "
        f"{time.monotonic() - began:.0f} s."
    )
    return DONE


def remove_demo(site: Path) -> None:
    """Remove what a demo made, and nothing that it did not."""
    import shutil

    made = {
        DEMO_MARKER,
        "deliveries",
        "inbox",
        "store",
        "published",
        "replays",
        "maps",
        "b12screen.toml",
    }
    strange = [path for path in site.iterdir() if path.name not in made]
    if strange:
        raise UsageError(
            f"{site} holds {len(strange)} files or folders that no demo made. Nothing in it was "
            "changed. Move them away, or name another folder: b12screen demo DIR."
        )
    for folder in site.rglob("*"):
        # Published folders are sealed; the owner unseals them to remove them.
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o700)
    shutil.rmtree(site)


def what_to_open(site: Path) -> list[str]:
    """The longest worklist, a question to the database, and a person to explain."""
    with published(site, None) as warehouse:
        listed = warehouse.rows(
            "SELECT clinic_id, patient_id FROM worklists.item WHERE item_state = 'open' "
            "AND clinic_id IS NOT NULL ORDER BY priority, item_id LIMIT 1"
        )
    sheets = sorted(path for path in (site / "published" / "current" / "worklists").glob("*.csv"))
    longest = max(sheets, key=lambda path: path.stat().st_size)
    question = (
        "SELECT functional_status, count(*) AS people FROM decisions.functional_status "
        "GROUP BY ALL ORDER BY ALL"
    )
    lines = [
        "",
        f"A clinic's worklist   {longest}",
        f"The whole night       {site / 'published' / 'current' / 'manifest.json'}",
        f'Ask the database      b12screen query {site} "{question}"',
    ]
    if listed:
        # The people of a demo are invented, so one of them may be named here.
        lines.append(f"Why is one listed     b12screen explain {site} {listed[0][1]}")
    return lines


COMMANDS = {
    command.__name__: command
    for command in (
        demo, init, synth, check, run, defer, replay, explain, rejects, retry, retake, unmapped,
        rules, compare, query, serve, doctor,
    )
}  # fmt: skip
