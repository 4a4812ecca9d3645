"""One night, stage by stage. The command line and the Prefect flow call these same functions.

    begin -> take -> decide -> write -> audit -> publish

What passes between stages is files below the site and a small dataclass of counts and paths, never
a patient's value. Everything is built beside what is published; until ``publish`` nothing that
anybody reads has changed.
"""

import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import b12screen
from b12screen import archive, feed_health
from b12screen import publish as publishing
from b12screen.audit import audit_published
from b12screen.deferral import declared
from b12screen.disk import hold_room
from b12screen.errors import AuditFailed, NightTooEarly, NothingUsable, RulesInvalid, UsageError
from b12screen.ingest import Again, FileAccount, Taking
from b12screen.ingest import take as take_extracts
from b12screen.maps import Maps
from b12screen.publish import Site, last_night, undamaged, writing
from b12screen.resources import sql_folder, sql_text
from b12screen.rules import Ruleset, load_ruleset
from b12screen.settings import Settings, load_settings
from b12screen.site_maps import maps_of
from b12screen.warehouse import Warehouse
from b12screen.worklists import write_worklists
from schemas import reference
from schemas.words import KINDS

Progress = Callable[[str], None]
HISTORY = (
    "history.night",
    "history.item",
    "history.answer",
    "history.ground",
    "history.shown",
    "history.decision",
)
ANSWERS = ("core.feedback", "core.deferral")
COUNTS = ("n_read", "n_accepted", "n_duplicate", "n_superseded", "n_out_of_scope", "n_rejected")
# Not core.duckdb: DuckDB names the catalog after the file, and core is a schema.
STATE = "state.duckdb"
PRIVATE = "private.duckdb"
STORE = (STATE, PRIVATE)
# From both on it is worth writing the store anew to lose the room that a taking gave up in it; a
# small store is written anew in no time.
FREE_BLOCKS, FREE_SHARE = 16, 0.05
SMALL_STORE = 64_000_000
LAYERS = ("facts", "decisions", "worklists")
# A night is a moving reference for everything after it: a mistyped year would refuse every real
# night from then on (exit 16). Rows may lie this far ahead of a night, so a night may of today.
FARTHEST_NIGHT_DAYS = 366
# Longer than anybody keeps anything, and still on the calendar.
FOR_EVER_DAYS = 36_500
LIBRARIES = ("duckdb", "polars", "pandera", "pyarrow")


@dataclass(frozen=True)
class Night:
    """A night that is being built: where, for when, and what it follows."""

    site: Site
    settings: Settings
    as_of: date
    run_id: str
    started_at: datetime
    previous: str | None
    # Where the generation is built; it gets its name when it is complete.
    folder: Path
    spill: Path

    @property
    def archive(self) -> Path:
        """Where what it was given beside its takings is kept for a replay."""
        return self.site.archive(self.run_id)

    @property
    def state(self) -> Path:
        """Where the working state of this generation is built."""
        return self.site.state(self.run_id)

    @property
    def database(self) -> Path:
        """The file that analysts will open."""
        return self.folder / "b12screen.duckdb"

    @property
    def last(self) -> Path | None:
        """The file that the night before this one published, where it still lies there."""
        if self.previous is None:
            return None
        path = self.site.generation(self.previous) / self.database.name
        return path if path.exists() else None

    def open(self, path: Path, read_only: bool = False) -> Warehouse:
        """Open a database with the site's limits; it spills below the store only."""
        limits = self.settings.limits
        return Warehouse.open(
            path,
            memory_mb=limits.memory_mb,
            threads=limits.threads,
            temp_dir=self.spill,
            timezone=self.settings.timezone,
            read_only=read_only,
        )


@dataclass(frozen=True)
class Lists:
    """What was written: each sheet with its items and patients examined, and counts."""

    sheets: dict[str, dict[str, Any]]
    statuses: dict[str, int]
    states: dict[str, int]
    priorities: dict[int, int]
    n_resting: int
    n_patients: int
    n_unmapped: int


@dataclass(frozen=True)
class NightResult:
    """The night as the person on call is told of it."""

    as_of: date
    run_id: str
    published: Path
    summary: list[str]
    findings: list[str]

    @property
    def exit_code(self) -> int:
        """0, or 20 where somebody should look."""
        return 20 if self.findings else 0


def run_night(
    site: Path,
    as_of: date,
    started_at: datetime,
    progress: Progress,
    again: Again | None = None,
) -> NightResult:
    """Run every stage for one night; raises a ``B12ScreenError`` that says what to do.

    ``again``: rejected rows, or files, that are taken again beside what is new.
    """
    with started(site, as_of, started_at) as night:
        taking = take(night, progress, again)
        decide(night, taking, progress)
        lists = write(night, progress)
        audit(night, lists, progress)
        return publish(night, taking, lists, progress)


@contextmanager
def started(root: Path, as_of: date, started_at: datetime) -> Iterator[Night]:
    """Hold the site, clear what a killed night left, and name the new generation."""
    settings = load_settings(root)
    site = Site(root.resolve())
    with publishing.held(site), writing("preparing the night"):
        publishing.clear_leftovers(site)
        run_id = publishing.next_run_id(site, as_of)
        try:
            yield _prepared(site, settings, as_of, started_at, run_id)
        finally:
            try:
                publishing.clear_leftovers(site)
            except OSError:
                # A night that counts is published, whatever could not be cleared up behind it: the
                # next one clears up.
                if site.committed() != run_id:
                    raise


def _prepared(
    site: Site, settings: Settings, as_of: date, started_at: datetime, run_id: str
) -> Night:
    """The new generation with its folders; raises what stands in its way."""
    publishing.make_folders(site, settings.publish.group)
    previous = site.committed()
    if previous is not None:
        last = date.fromisoformat(previous.split(".")[0])
        if as_of < last:
            raise NightTooEarly(_too_early(as_of, last, started_at.date()))
        publishing.hold_state(site, previous)
    rules_of(settings, site)
    night = Night(
        site=site,
        settings=settings,
        as_of=as_of,
        run_id=run_id,
        started_at=started_at,
        previous=previous,
        folder=site.generation(f".building-{run_id}"),
        spill=site.scratch / "spill",
    )
    look_into(site.inbox)
    with undamaged(*_the_store(night)):
        hold_room(site, previous, None if previous is None else site.state(previous) / PRIVATE)
    for folder in (night.state, night.archive, night.folder):
        folder.mkdir(mode=0o700)
    return night


def _too_early(as_of: date, last: date, today: date) -> str:
    """Why a night before the last one is refused, and what to do."""
    refused = f"{as_of} lies before the last published night, {last}: nothing was published; "
    if last <= today:
        return refused + (
            "a past night is not run again. Where it was published, `b12screen replay SITE --as-of "
            f"{as_of}` shows it; where it was missed it stays so, and the next night takes what "
            f"came. If {as_of} is today, the clock is wrong: set it right"
        )
    return refused + (
        f"that one lies ahead of today, {today}: a clock is wrong now, or was then. Until that day "
        f"only it can be run again (`b12screen run SITE --as-of {last}`). To go on from today, "
        "bring store/ and published/ back together from their backup of before, or move both away "
        "to begin anew from what lies in the inbox: every row is new then, and the answers of the "
        "clinics are gone"
    )


def rules_of(settings: Settings, site: Site) -> Ruleset:
    """The rules that the settings name; RulesInvalid says what to do."""
    try:
        return load_ruleset(settings.ruleset, site.root)
    except RulesInvalid as error:
        raise RulesInvalid(
            f"{error}\nNothing was published, yesterday's files stand: mend the rules (`b12screen "
            "rules check SITE` tells when they are right), or name others in the settings, and run "
            "again"
        ) from None


def hold_near(as_of: date, started_at: datetime) -> None:
    """UsageError where the night lies absurdly far ahead of today."""
    if (as_of - started_at.date()).days > FARTHEST_NIGHT_DAYS:
        raise UsageError(
            f"--as-of {as_of} is more than {FARTHEST_NIGHT_DAYS} days ahead. Nothing was done: "
            "once published, it would refuse every real night before it. Correct the year."
        )


def look_into(
    inbox: Path, outcome: str = "nothing was taken or published, yesterday's files stand"
) -> None:
    """NothingUsable where the inbox is not there or cannot be opened, say because of a lost mount.

    Without it a night would be published that rests on what came before and looks like any other.
    """
    try:
        with os.scandir(inbox):
            return
    except OSError as error:
        reason = error.strerror
    raise NothingUsable(
        f"the inbox {inbox} cannot be looked into ({reason}): {outcome}; mount it, make it, or let "
        "the running user read it, and run again"
    )


def take(night: Night, progress: Progress, again: Again | None = None) -> Taking:
    """Bring in what is new in the inbox, on a copy of the last night's state."""
    progress("taking extracts")
    with writing("copying the store"):
        if night.previous is not None:
            store = night.site.state(night.previous)
            archive.hold_store(night.site.archive(night.previous), store)
            for name in STORE:
                shutil.copyfile(store / name, night.state / name)
    with (
        writing("taking extracts"),
        undamaged(*_the_store(night)),
        night.open(night.state / STATE) as warehouse,
    ):
        warehouse.attach(night.state / PRIVATE, "private")
        taking = take_extracts(
            warehouse,
            night.site.inbox,
            night.settings,
            maps_of(night.settings),
            night.as_of,
            night.site.scratch,
            progress,
            night.last,
            again,
        )
        _take_deferrals(night, warehouse)
        accounts = warehouse.frame(ACCOUNTS, (night.as_of,)).rows(named=True)
        usable = warehouse.scalar(
            "SELECT (SELECT count(*) FROM core.lab_result) + (SELECT count(*) FROM core.patient)"
        )
        is_first = bool(warehouse.scalar(_ALL_RESULTS_ARE_NEW, (night.as_of,)))
        n_free, share = warehouse.free_room()
    for remark in taking.notes:
        progress(remark)
    if taking.left_alone:
        progress(f"left alone, not an extract: {', '.join(taking.left_alone)}")
    # A night's inputs are all its takings, by whichever attempt.
    taking = replace(taking, accounts=tuple(FileAccount(**row) for row in accounts))
    if not usable:
        n_file = len({file.file_name for file in taking.files})
        found = "".join(f"{finding}. " for finding in taking.findings[:1])
        more = f"(And {len(taking.findings) - 1} more.) " if len(taking.findings) > 1 else ""
        raise NothingUsable(
            f"nothing usable in the inbox ({n_file} files seen) nor in the store: nothing was "
            f"published. {found}{more}Drop labs*, patients*, conditions*, medications* extracts, "
            "*.hl7 messages or *.ndjson resources into the inbox, and look with `b12screen check`"
        )
    is_small = (night.state / STATE).stat().st_size < SMALL_STORE
    # What is read where no result is known becomes the history, with words of rows that were turned
    # away in its dictionaries.
    if is_first or (n_free and is_small) or (n_free >= FREE_BLOCKS and share > FREE_SHARE):
        progress("packing the store")
        with writing("packing the store"):
            _pack(night, night.state / STATE)
    return taking


def _pack(night: Night, path: Path) -> None:
    """Write the store anew, without the room that the taking gave up.

    What is published is a copy of it, and rows that were turned away lie in that room as they were
    sent until something else is written over them.
    """
    packed = path.with_name("packed.duckdb")
    with night.open(packed) as store:
        store.take_over(path)
    os.replace(packed, path)


def decide(night: Night, taking: Taking, progress: Progress) -> None:
    """Derive every fact, decision and item in a copy of the state, from the rules of tonight."""
    progress("deciding")
    ruleset = rules_of(night.settings, night.site)
    with writing("building the night"), undamaged(*_the_store(night)):
        archive.keep_rules(night.archive, ruleset)
        shutil.copyfile(night.state / STATE, night.database)
        with night.open(night.database) as warehouse:
            derive(night, taking, ruleset, _nights_before(night), warehouse, progress)


def derive(
    night: Night,
    taking: Taking,
    ruleset: Ruleset,
    remember: Callable[[Warehouse], None],
    warehouse: Warehouse,
    progress: Progress,
) -> None:
    """Everything that follows from the takings in the open database, by these rules.

    ``remember`` fills the empty relations of schema ``history``.
    """
    with warehouse.together():
        _write_reference(ruleset, maps_of(night.settings), warehouse)
        warehouse.create(["run.night", *HISTORY, *ANSWERS])
        _write_night(night, taking, ruleset.ruleset, warehouse)
    remember(warehouse)
    warehouse.define(sql_text("macros.sql"))
    warehouse.build(sql_folder(), LAYERS, lambda name: progress(f"deciding: {name}"))
    settings = night.settings
    fresh_days = {
        name: settings.freshness.labs_days if each.fresh_days is None else each.fresh_days
        for name, each in settings.laboratories.items()
    }
    feed_health.measure(warehouse, settings.alarms, night.as_of, fresh_days)
    with warehouse.together():
        warehouse.comment()


def write(night: Night, progress: Progress) -> Lists:
    """Write the clinics' sheets from the finished items."""
    progress("writing worklists")
    folder = night.folder / "worklists"
    with writing("writing worklists"), night.open(night.database, read_only=True) as warehouse:
        folder.mkdir(mode=0o700)
        sheets = write_worklists(warehouse, folder)
        return Lists(
            sheets=sheets,
            statuses=dict(warehouse.rows(_STATUSES)),
            states=dict(warehouse.rows(_STATES)),
            priorities=dict(warehouse.rows(_PRIORITIES)),
            n_resting=warehouse.scalar(_RESTING),
            n_patients=warehouse.scalar("SELECT count(*) FROM facts.patient"),
            n_unmapped=warehouse.scalar(
                "SELECT (SELECT count(DISTINCT row(kind, laboratory, code_system, code)) "
                "FROM core.unmapped_code) + (SELECT count(*) FROM facts.unused_code)"
            ),
        )


def audit(night: Night, lists: Lists, progress: Progress) -> None:
    """Read the finished files back; raises :class:`AuditFailed` with every breach by name."""
    progress("auditing the finished files")
    with writing("auditing"), night.open(night.database, read_only=True) as warehouse:
        audit_published(warehouse, night.folder / "worklists", lists.sheets)


def publish(night: Night, taking: Taking, lists: Lists, progress: Progress) -> NightResult:
    """Write the manifest, seal the generation and re-point ``current`` in one step."""
    progress("publishing")
    with writing("publishing"):
        with night.open(night.database, read_only=True) as warehouse:
            feeds = feeds_of(warehouse)
            alarms = [feed_health.told(health) for health in feed_health.alarming(warehouse)]
            findings = [*_begun_anew(night), *taking.findings, *_stale(feeds), *alarms]
            result = NightResult(
                as_of=night.as_of,
                run_id=night.run_id,
                published=night.site.generation(night.run_id),
                summary=_summary(night, taking, lists, feeds, findings, len(alarms)),
                findings=findings,
            )
            manifest = manifest_of(night, taking, lists, result, feeds, warehouse)
            write_manifest(night, manifest)
            keep_archive(night, warehouse)
        publishing.seal(night.folder, night.settings.publish.group)
        publishing.hold_whole(night.folder, manifest)
        night.folder.rename(night.site.generation(night.run_id))
        # The store before it goes with the switch.
        publishing.settle(night.state)
        late = switch(night)
    if not late:
        return result
    findings = [*late, *findings]
    summary = _summary(night, taking, lists, feeds, findings, len(alarms))
    return replace(result, summary=summary, findings=findings)


def switch(night: Night) -> list[str]:
    """Make it the night that counts and clear up behind it; what was left undone, as findings.

    Once it counts nothing takes it back, so an error from then on is no failed night.
    """
    kept = night.settings.publish
    try:
        publishing.switch(night.site, night.run_id)
        publishing.retire(night.site, kept.keep_nights, kept.keep_archive_nights)
        publishing.retire_replays(
            night.site,
            night.started_at - timedelta(days=min(kept.keep_replay_days, FOR_EVER_DAYS)),
        )
    except OSError as error:
        if night.site.committed() != night.run_id:
            raise
        return [
            f"the night is published, but what comes after that was not finished ({error.strerror})"
            ": free space below the site, or mend its permissions; the next night clears up"
        ]
    return []


def keep_archive(night: Night, warehouse: Warehouse) -> None:
    """Keep what a replay needs; it counts from the moment that the generation does."""
    archive.keep(
        night.archive,
        warehouse,
        night.settings,
        [night.state / name for name in STORE],
        night.folder / "manifest.json",
    )


ACCOUNTS = """
SELECT file.*
FROM run.source_file AS file
WHERE file.taken_for = ?
ORDER BY file.file_name, file.kind, file.sha256, file.taken_by, file.attempt
"""
_STATUSES = """
SELECT status.functional_status, count(*)
FROM decisions.functional_status AS status
GROUP BY ALL
ORDER BY ALL
"""
_STATES = """
SELECT item.state, count(*)
FROM worklists.item AS item
WHERE item.item_state = 'open'
GROUP BY ALL
ORDER BY ALL
"""
# Kept off a list by what a clinic or the site answered, though a rule asks for it.
_RESTING = """
SELECT count(DISTINCT item.item_id)
FROM worklists.item AS item
INNER JOIN worklists.answer AS answer ON answer.item_id = item.item_id AND answer.holds
WHERE item.decision = answer.decision
"""
_ALL_RESULTS_ARE_NEW = (
    "SELECT NOT EXISTS (SELECT 1 FROM core.lab_row INNER JOIN core.lab_file AS file "
    "ON file.file_id = lab_row.file_id WHERE file.taken_for < ?)"
)
_RULES = "SELECT ruleset.version, ruleset.sha256 FROM rules.ruleset AS ruleset"
_PRIORITIES = """
SELECT item.priority, count(*)
FROM worklists.item AS item
WHERE item.item_state = 'open'
GROUP BY ALL
ORDER BY ALL
"""


def _take_deferrals(night: Night, warehouse: Warehouse) -> None:
    """What the site put off since the last night; known from this one on, as an extract is."""
    warehouse.create(ANSWERS)
    known = warehouse.scalar("SELECT coalesce(max(number), 0) FROM core.deferral")
    for deferral in declared(night.site.store):
        if deferral["number"] > known:
            warehouse.insert("core.deferral", deferral | {"taken_for": night.as_of})


def _write_reference(ruleset: Ruleset, maps: Maps, warehouse: Warehouse) -> None:
    """The maps and the ruleset as commented tables: whoever opens the file sees what it knew."""
    tables = {f"map.{name}": frame for name, frame in maps.tables().items()}
    tables |= {f"rules.{name}": frame for name, frame in ruleset.tables().items()}
    for name, frame in tables.items():
        warehouse.write(name, frame)
        decision = ruleset.decisions.get(name.partition(".")[2])
        asks = {ask: ruleset.words[ask].meaning for ask in decision.asks} if decision else {}
        meanings = reference.COLUMNS | asks
        warehouse.describe(
            name,
            f"Decision table, one row per combination of words: {decision.question}"
            if decision
            else reference.TABLES[name],
            {column: meanings[column] for column in frame.columns},
        )


def _write_night(night: Night, taking: Taking, ruleset: str, warehouse: Warehouse) -> None:
    row: dict[str, Any] = {
        "as_of": night.as_of,
        "run_id": night.run_id,
        "ruleset": ruleset,
        "version": b12screen.__version__,
        "started_at": night.started_at.replace(tzinfo=None),
        "timezone": night.settings.timezone,
        "medications_complete_from": night.settings.medications_complete_from,
        **{f"{kind}_feed": "none" for kind in KINDS},
        **{f"{kind}_newest_on": None for kind in KINDS},
        "n_files": _n_taken(taking),
        "n_held": _n_held(taking),
        **{count: sum(getattr(file, count) for file in taking.files) for count in COUNTS},
    }
    warehouse.insert("run.night", row)
    freshness = night.settings.freshness
    for kind, newest_on, was_delivered in warehouse.rows(sql_text("run/feed.sql")):
        limit = getattr(freshness, f"{kind}_days")
        feed = "none"
        if was_delivered:
            fresh = newest_on is not None and (night.as_of - newest_on).days <= limit
            feed = "fresh" if fresh else "stale"
        row |= {f"{kind}_feed": feed, f"{kind}_newest_on": newest_on}
    warehouse.execute("DELETE FROM run.night")
    warehouse.insert("run.night", row)


def _nights_before(night: Night) -> Callable[[Warehouse], None]:
    """What brings the nights before this one over from the last published file."""

    def remember(warehouse: Warehouse) -> None:
        if night.last is not None:
            with undamaged(*last_night(night.last)):
                _hold_night(warehouse, night.last)
                carry_history(warehouse, night.last)

    return remember


def _the_store(night: Night) -> tuple[str, str]:
    return f"store/generations/{night.previous}", "bring store/ back from its backup"


def carry_history(warehouse: Warehouse, last: Path) -> None:
    """Fill the relations of ``history`` from the file of the night before."""
    warehouse.attach(last, "last", read_only=True)
    known = warehouse.relations("last")
    for name in HISTORY:
        schema, _, relation = name.partition(".")
        # A file of before it was kept knows nothing of it.
        if name in known:
            warehouse.fill(name, sql_text(f"{schema}/{relation}.sql"))
    warehouse.detach("last")


def _hold_night(warehouse: Warehouse, last: Path) -> None:
    """AuditFailed where the file holds another night: one put back from an older one, say.

    Its items would be taken for those of the night before, and what was listed since be new.
    """
    what, remedy = last_night(last)
    warehouse.attach(last, "last", read_only=True)
    holds = warehouse.scalar("SELECT night.run_id FROM last.run.night")
    warehouse.detach("last")
    if holds != last.parent.name:
        raise AuditFailed(
            f"{what} holds the night {holds}: nothing was published, yesterday's sheets stand; "
            f"{remedy}"
        )


def feeds_of(warehouse: Warehouse) -> dict[str, Any]:
    """The row of ``run.night`` in the finished file."""
    row: dict[str, Any] = warehouse.frame("SELECT * FROM run.night").to_dicts()[0]
    return row


def _begun_anew(night: Night) -> list[str]:
    if night.previous is None or night.last is not None:
        return []
    return [
        f"published/.nights/{night.previous} was not there: history begins anew, so that every row "
        "is new and no earlier answer or sent value is known; where it was moved away by mistake, "
        "bring published/ and store/ back from one backup"
    ]


def _stale(feeds: dict[str, Any]) -> list[str]:
    return [
        f"{kind}: stale, newest day {feeds[f'{kind}_newest_on'] or 'unknown'}; ask the sender"
        for kind in KINDS
        if feeds[f"{kind}_feed"] == "stale"
    ]


def _summary(
    night: Night,
    taking: Taking,
    lists: Lists,
    feeds: dict[str, Any],
    findings: list[str],
    n_alarms: int,
) -> list[str]:
    """At most ten lines for the person on call; counts and days only."""
    accounts = ", ".join(
        f"{sum(getattr(file, count) for file in taking.files):,} {count[2:].replace('_', ' ')}"
        for count in COUNTS
    )
    listed = sum(sheet["items"] for sheet in lists.sheets.values())
    clinics = sum(1 for sheet in lists.sheets.values() if "clinic_id" in sheet)
    lines = [
        f"Night {night.as_of} published as {night.run_id}, rules {feeds['ruleset']}",
        f"Files: {_n_taken(taking)} taken, {_n_held(taking)} held, {taking.n_known} known already"
        + (f"; {taking.again}" if taking.again else ""),
        f"Rows: {accounts}",
        "Feeds: "
        + ", ".join(
            f"{kind} {feeds[f'{kind}_feed']}"
            + (f" ({feeds[f'{kind}_newest_on']})" if feeds[f"{kind}_newest_on"] else "")
            for kind in KINDS
        )
        + (f"; {n_alarms} not as usual" if n_alarms else ""),
        f"People: {lists.n_patients:,} examined; {_counted(lists.statuses)}",
        f"Worklists: {listed:,} items for {clinics} clinics; {_counted(lists.states)}"
        + (f"; {lists.n_resting:,} at rest or done" if lists.n_resting else ""),
        "Priorities: " + (_counted({f"P{p}": n for p, n in lists.priorities.items()}) or "none"),
        f"Codes without a map: {lists.n_unmapped:,}",
    ]
    if findings:
        more = f" (and {len(findings) - 1} more, see manifest.json)" if len(findings) > 1 else ""
        lines.append(f"Look at: {findings[0]}{more}")
    lines.append(f"Open: {night.site.current / 'worklists'}")
    return lines


def _n_taken(taking: Taking) -> int:
    """Files taken; one of messages has an account for each kind of its rows."""
    return len({(file.file_name, file.sha256) for file in taking.files if file.reason is None})


def _n_held(taking: Taking) -> int:
    return len({(file.file_name, file.sha256) for file in taking.files if file.held})


def _counted(counts: dict[Any, int]) -> str:
    return ", ".join(f"{n:,} {word}" for word, n in counts.items())


def manifest_of(
    night: Night,
    taking: Taking,
    lists: Lists,
    result: NightResult,
    feeds: dict[str, Any],
    warehouse: Warehouse,
) -> dict[str, Any]:
    """What went in and what came out, with hashes and counts; no patient.

    ``warehouse`` is the finished file, read-only.
    """
    outputs: dict[str, Any] = {}
    for path in sorted(night.folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(night.folder).as_posix()
            outputs[name] = {
                "sha256": publishing.sha256_of(path),
                "size_bytes": path.stat().st_size,
            }
    for name, sheet in lists.sheets.items():
        outputs[f"worklists/{name}"] |= {
            "rows": sheet["items"],
            **({"clinic_id": sheet["clinic_id"]} if "clinic_id" in sheet else {}),
            "says": f"{sheet['items']} items, {sheet['patients_examined']} patients examined"
            if "clinic_id" in sheet
            else f"{sheet['items']} items",
        }
    outputs[night.database.name]["rows"] = warehouse.row_counts()
    return {
        "as_of": night.as_of.isoformat(),
        "run_id": night.run_id,
        "started_at": night.started_at.isoformat(timespec="seconds"),
        "ruleset": feeds["ruleset"],
        "rules": dict(zip(("version", "sha256"), *warehouse.rows(_RULES), strict=True)),
        "versions": {
            "b12screen": b12screen.__version__,
            "python": platform.python_version(),
            **{library: version(library) for library in LIBRARIES},
        },
        "feeds": {
            kind: {"feed": feeds[f"{kind}_feed"], "newest_on": _iso(feeds[f"{kind}_newest_on"])}
            for kind in KINDS
        },
        "inputs": [file.as_dict() for file in taking.files],
        "left_alone": list(taking.left_alone),
        "notes": list(taking.notes),
        "outputs": outputs,
        "patients_examined": lists.n_patients,
        "functional_statuses": lists.statuses,
        "findings": result.findings,
        # Where the site lies is the machine's own business.
        "summary": [line.replace(f"{night.site.root}/", "") for line in result.summary],
    }


def write_manifest(night: Night, manifest: dict[str, Any]) -> None:
    """Beside what it names."""
    (night.folder / "manifest.json").write_text(
        publishing.manifest_text(manifest), encoding="utf-8"
    )


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
