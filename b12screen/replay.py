"""A past night again: with what was known then or on another night, by its rules or by others.

What was known is cut from the store by the night that each row was taken for and the night that
replaced it; what the night was given beside that stands in its archive. It is decided, written and
audited by the stages of a night, below ``replays/``; no clock is read, nothing is published, and
no night waits for it.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import b12screen
from b12screen import archive, replays
from b12screen.errors import AuditFailed, NothingUsable, UsageError
from b12screen.ingest import FileAccount, Taking
from b12screen.night import (
    ACCOUNTS,
    PRIVATE,
    STATE,
    Night,
    NightResult,
    Progress,
    audit,
    carry_history,
    derive,
    feeds_of,
    manifest_of,
    write,
    write_manifest,
)
from b12screen.publish import Site, undamaged, writing
from b12screen.resources import sql_text
from b12screen.rules import Ruleset
from b12screen.settings import Settings, load_settings
from b12screen.warehouse import Damaged, Warehouse
from schemas import ddl
from schemas.relation import RELATIONS

DATABASE = "b12screen.duckdb"
SHEETS = "worklists/"
# The view over the rows that are cut; and what is no row of a night.
_SPELLED_OUT = "core.lab_result"
_WORDS = "core.lab_word"
_RESULTS = "core.lab_row"
_FILES = "run.source_file"
_OLDER = """
SELECT 'core.' || columns.table_name
FROM duckdb_columns() AS columns
WHERE columns.database_name = 'private' AND columns.column_name = 'replaced_on'
"""
_KNOWN = """
SELECT tables.schema_name || '.' || tables.table_name
FROM duckdb_tables() AS tables
WHERE tables.database_name = 'known'
"""


@dataclass(frozen=True)
class Sheet:
    """One sheet of the replay against the one that was sent; None where there was, or is, none."""

    name: str
    n_sent: int | None
    n_now: int | None
    is_same: bool

    def __str__(self) -> str:
        sent = "not sent" if self.n_sent is None else f"{self.n_sent:,} rows sent"
        now = "not written" if self.n_now is None else f"{self.n_now:,} now"
        return f"  {self.name}: {sent}, {now}"


@dataclass(frozen=True)
class Replay:
    """One night replayed: what it rests on, where it lies, and how its sheets compare."""

    as_of: date
    run_id: str
    known_on: date
    rules: str
    folder: Path
    sheets: list[Sheet]
    remarks: list[str]
    findings: list[str]

    @property
    def differing(self) -> list[Sheet]:
        """The sheets that are not byte for byte what was sent."""
        return [sheet for sheet in self.sheets if not sheet.is_same]

    @property
    def summary(self) -> list[str]:
        """What it rests on and how its sheets compare: names of sheets, days and counts only."""
        known = "then" if self.known_on == self.as_of else f"on {self.known_on}"
        n_same = len(self.sheets) - len(self.differing)
        return [
            f"Night {self.as_of} ({self.run_id}) replayed with what was known {known}, by "
            f"{self.rules}",
            f"Sheets: {n_same} of {len(self.sheets)} are byte for byte what was sent",
            *(str(sheet) for sheet in self.differing),
            *self.remarks,
            *(f"Look at: {finding}" for finding in self.findings),
            f"Open: {self.folder / 'worklists'}",
        ]

    @property
    def exit_code(self) -> int:
        """0, or 20 where sheets differ that should not."""
        return 20 if self.findings else 0


@dataclass(frozen=True)
class Asked:
    """What is to be replayed, the same for every night of a range; None is: as it was."""

    site: Site
    settings: Settings
    known_on: date | None
    ruleset: Ruleset | None
    rules: str | None


@dataclass(frozen=True)
class Known:
    """The store and the published file of the generation that counts, held for as long as it lasts.

    ``published`` is None where somebody moved it away.
    """

    run_id: str
    state: Path
    private: Path
    published: Path | None


def replay(
    root: Path,
    as_of: date,
    progress: Progress,
    *,
    through: date | None = None,
    rules: str | None = None,
    known_on: date | None = None,
) -> list[Replay]:
    """Replay the night ``as_of``, or every night from it through another.

    In a range each night follows the one that was replayed before it. ``rules`` names other rules
    than those then in force, ``known_on`` the night whose knowledge is used instead of its own.
    Raises ``NothingUsable`` where no such night was published, ``UsageError`` where it cannot be
    replayed any more.
    """
    settings = load_settings(root)
    ruleset = None if rules is None else replays.other_rules(rules, root)
    asked = Asked(Site(root.resolve()), settings, known_on, ruleset, rules)
    site = asked.site
    nights = _nights(site, as_of, through)
    _hold_known_on(site, known_on)
    done: list[Replay] = []
    with writing("replaying"), replays.scratch(site) as scratch:
        known = _held(site, scratch)
        for night in nights:
            last = done[-1].folder / DATABASE if done else None
            done.append(_replayed(asked, night, known, last, scratch, progress))
    return done


def _nights(site: Site, as_of: date, through: date | None) -> list[Path]:
    """The archives of the nights that are asked for."""
    if through is not None and through < as_of:
        raise UsageError(
            f"--through {through} lies before --as-of {as_of}. Nothing was written. Give the first "
            "night with --as-of and the last with --through."
        )
    archives = site.archives()
    last = through or as_of
    were = set(archives)
    for folder in list(archives.values())[-1:]:
        archive.hold_whole(folder)
        were |= set(archive.nights_before(folder))
    asked = sorted(night for night in were if as_of <= night <= last)
    if site.committed() is None or (archives and as_of not in were):
        raise NothingUsable(
            f"no night of {as_of} was published in {site.root}: nothing was written; "
            f"{len(were):,} nights were"
            + (f", the last on {max(were)}" if were else "; `b12screen run` makes one")
        )
    gone = [night for night in asked if night not in archives]
    if gone or not archives:
        raise UsageError(
            f"{len(gone) or 1} of {len(asked) or 1} nights asked for cannot be replayed: what they "
            "were given is no longer, or was never, kept in store/nights. Nothing was written. "
            + (f"The first night that can be replayed is {min(archives)}. " if archives else "")
            + "Their sheets stand in published/ for as long as [publish] keep_nights says; bring "
            "store/nights back from a backup, or set [publish] keep_archive_nights higher for the "
            "nights to come."
        )
    return [archives[night] for night in asked]


def _hold_known_on(site: Site, known_on: date | None) -> None:
    last = date.fromisoformat((site.committed() or "").split(".")[0])
    if known_on is not None and known_on > last:
        raise UsageError(
            f"--known-on {known_on} lies after the last published night, {last}. Nothing was "
            f"written: nothing more is known yet. Say --known-on {last}."
        )


def _held(site: Site, scratch: Path) -> Known:
    """The files of the generation that counts, by names of our own: a night may retire its own."""
    while True:
        run_id = str(site.committed())
        published = site.generation(run_id) / DATABASE
        paths = {
            "state": site.state(run_id) / STATE,
            "private": site.state(run_id) / PRIVATE,
            "published": published,
        }
        held: dict[str, Path | None] = {}
        for name, path in paths.items():
            target = scratch / f"{name}.duckdb"
            target.unlink(missing_ok=True)
            held[name] = _linked(path, target)
        if held["state"] is not None and held["private"] is not None:
            return Known(run_id, held["state"], held["private"], held["published"])
        if site.committed() == run_id:
            raise AuditFailed(
                f"the store does not hold the published night {run_id}: nothing was written; bring "
                "store/ back from its backup"
            )


def _linked(path: Path, target: Path) -> Path | None:
    """The same file under another name, a copy where links cannot be made; None where it is not."""
    try:
        try:
            os.link(path, target)
        except FileNotFoundError:
            return None
        except OSError:
            shutil.copyfile(path, target)
    except FileNotFoundError:
        return None
    return target


def _replayed(
    asked: Asked, kept: Path, known: Known, last: Path | None, scratch: Path, progress: Progress
) -> Replay:
    """One night, built in the scratch folder and put into its place when it is whole."""
    archive.hold_whole(kept)
    sent = archive.manifest_of(kept)
    as_of = date.fromisoformat(sent["as_of"])
    known_on = asked.known_on or as_of
    counted = _counted(asked.site, known_on)
    if counted not in (None, kept):
        archive.hold_whole(counted)
    ruleset = asked.ruleset or archive.ruleset_of(kept)
    rules = replays.named(asked.rules or ruleset.ruleset)
    suffix = "" if known_on == as_of else f"-known-{known_on}"
    place = asked.site.replays / f"{as_of}-{rules}{suffix}"
    night = Night(
        site=asked.site,
        settings=archive.settings_of(kept).model_copy(update={"limits": asked.settings.limits}),
        as_of=as_of,
        run_id=kept.name,
        started_at=datetime.fromisoformat(sent["started_at"]),
        previous=None,
        folder=scratch / "night",
        spill=scratch / "spill",
    )
    night.folder.mkdir(mode=0o700)
    progress(f"replaying {as_of}")
    is_same_version = sent["versions"]["b12screen"] == b12screen.__version__
    remarks = [] if is_same_version else [_other_version(sent)]
    with night.open(night.database) as warehouse:
        with undamaged(f"store/generations/{known.run_id}", "bring store/ back from its backup"):
            _cut(warehouse, known, kept, counted, known_on)
        accounts = warehouse.frame(ACCOUNTS, (as_of,)).rows(named=True)
        taking = Taking(accounts=tuple(FileAccount(**row) for row in accounts))
        remember = _as_replayed(last) if last else _as_kept(kept, known, remarks)
        derive(night, taking, ruleset, remember, warehouse, progress)
    lists = write(night, progress)
    audit(night, lists, progress)
    nothing_yet = NightResult(as_of, night.run_id, place, [], [])
    with night.open(night.database, read_only=True) as warehouse:
        feeds = feeds_of(warehouse)
        manifest = manifest_of(night, taking, lists, nothing_yet, feeds, warehouse)
    sheets = _compared(sent["outputs"], manifest["outputs"])
    is_to_be_same = asked.ruleset is None and known_on == as_of and is_same_version
    replayed = Replay(
        as_of=as_of,
        run_id=night.run_id,
        known_on=known_on,
        rules=f"{asked.rules or ruleset.ruleset}, version {ruleset.version}",
        folder=place,
        sheets=sheets,
        remarks=remarks,
        findings=[_UNLIKE] if is_to_be_same and not all(sheet.is_same for sheet in sheets) else [],
    )
    write_manifest(
        night,
        manifest
        | {
            "findings": replayed.findings,
            "summary": replayed.summary,
            "replay": {
                "known_on": known_on.isoformat(),
                "rules_version": ruleset.version,
                "rules_sha256": ruleset.sha256,
                "sent_by": sent["versions"],
                "remarks": remarks,
                "sheets": [asdict(sheet) for sheet in sheets],
            },
        },
    )
    replays.put(night.folder, place, scratch)
    return replayed


def _cut(
    warehouse: Warehouse, known: Known, kept: Path, counted: Path | None, known_on: date
) -> None:
    """The store's tables as they were known on a night."""
    warehouse.attach(known.state, "known", read_only=True)
    warehouse.attach(known.private, "private", read_only=True)
    older = {name for (name,) in warehouse.rows(_OLDER)}
    stored = {name for (name,) in warehouse.rows(_KNOWN)}
    tables = [name for name in sorted(RELATIONS) if name.startswith("core.") or name == _FILES]
    tables.remove(_SPELLED_OUT)
    warehouse.create(tables)
    for name in [name for name in tables if name in stored]:
        relation = RELATIONS[name]
        if name == _RESULTS:
            warehouse.fill(name, sql_text("replay/lab_row.sql"), (known_on, known_on))
        elif name == _WORDS:
            warehouse.fill(name, ddl.all_rows(relation, "known"))
        elif name != archive.COUNTED:
            table = f"private.{name.split('.')[1]}" if name in older else None
            warehouse.fill(name, ddl.known_rows(relation, "known", table), (known_on,))
    # What was turned away lasts a night: that of the newest one goes, that of this one comes back.
    warehouse.execute("DELETE FROM run.source_file WHERE reason IS NOT NULL")
    archive.fill(warehouse, _FILES, kept / f"{archive.TURNED_AWAY}.parquet")
    if counted is not None:
        archive.fill(warehouse, archive.COUNTED, counted / f"{archive.COUNTED}.parquet")
    warehouse.execute(ddl.create_view(_SPELLED_OUT, sql_text("core/lab_result.sql")))
    warehouse.detach("known")
    warehouse.detach("private")


def _counted(site: Site, known_on: date) -> Path | None:
    """The archive that holds the counts of a night: they are added up and cannot be cut."""
    archives = site.archives()
    before = [night for night in archives if night <= known_on]
    return archives[max(before)] if before else None


def _as_kept(kept: Path, known: Known, remarks: list[str]) -> Callable[[Warehouse], None]:
    """What fills the history that the night had."""

    def remember(warehouse: Warehouse) -> None:
        for name in archive.past_relations():
            archive.fill(warehouse, name, kept / f"{name}.parquet")
        if known.published is None:
            remarks.append(_NO_DECISIONS)
            return
        try:
            warehouse.attach(known.published, "published", read_only=True)
            warehouse.fill(archive.CUT_FROM_THE_NEWEST, sql_text("replay/decision.sql"))
            warehouse.detach("published")
        except Damaged:
            remarks.append(_NO_DECISIONS)

    return remember


_NO_DECISIONS = (
    "history.decision is empty: the newest published file, from which it is cut, cannot be read. "
    "No sheet rests on it."
)


def _as_replayed(last: Path) -> Callable[[Warehouse], None]:
    def remember(warehouse: Warehouse) -> None:
        carry_history(warehouse, last)

    return remember


def _compared(sent: dict[str, Any], now: dict[str, Any]) -> list[Sheet]:
    """Every sheet among the outputs that were sent or are written now, by name."""
    names = {name for name in sent.keys() | now.keys() if name.startswith(SHEETS)}
    absent: dict[str, Any] = {"rows": None, "sha256": None}
    compared = []
    for name in sorted(names):
        was, will = sent.get(name, absent), now.get(name, absent)
        compared.append(
            Sheet(
                name=name.removeprefix(SHEETS),
                n_sent=was["rows"],
                n_now=will["rows"],
                is_same=was["sha256"] == will["sha256"],
            )
        )
    return compared


_UNLIKE = (
    "the sheets are not what was sent, though version, rules and takings are the same: this is a "
    "bug, or somebody has changed the store; report it"
)


def _other_version(sent: dict[str, Any]) -> str:
    return (
        f"The night was run by version {sent['versions']['b12screen']} and is replayed by version "
        f"{b12screen.__version__}: sheets may differ because of that."
    )
