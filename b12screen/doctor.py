"""Is the installation whole, and would a night go through? Looks, and clears up after a kill.

Every finding is one line with a verdict: ok, look (somebody should), or wrong with the exit code
that a run would end with.
"""

import fcntl
import grp
import json
import os
import platform
import shutil
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zoneinfo import ZoneInfo

from b12screen import __version__, archive, rules
from b12screen import publish as publishing
from b12screen.disk import MEGABYTE, rooms
from b12screen.errors import (
    B12ScreenError,
    CannotWrite,
    NothingUsable,
    SettingsInvalid,
    SiteLocked,
)
from b12screen.ingest import store_format
from b12screen.ingest.recognise import shown
from b12screen.maps import load_maps
from b12screen.night import PRIVATE
from b12screen.publish import (
    Site,
    clear_leftovers,
    group_trouble,
    held,
    hold_state,
    leftovers,
    undamaged,
    writing,
)
from b12screen.resources import sql_folder
from b12screen.settings import SETTINGS_FILE, Settings, load_settings
from b12screen.warehouse import Warehouse
from schemas.words import KINDS

LIBRARIES = ("duckdb", "polars", "pandera", "pyarrow", "pydantic", "prefect", "fastapi")

OK = 0
LOOK = 20

# A night writes its inputs, its working state and its result beside the last one.
FREE_GB_FOR_A_NIGHT = 2
DAYS_WITHOUT_A_NIGHT = 1
MEND_PUBLISHED = (
    "somebody changed what clinics act on, or the disk did. Bring it back from its backup, or let "
    "the next night publish anew, and see who may write there"
)


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; `code` is 0, 20, or the exit code of a failing run."""

    code: int
    subject: str
    says: str

    def __str__(self) -> str:
        verdict = {OK: "ok", LOOK: "look"}.get(self.code, "wrong")
        return f"{verdict:<6}{self.subject:<14}{self.says}"


def worst(lines: list[Line]) -> int:
    """The exit code of all: an error before a finding, a finding before nothing."""
    codes = {line.code for line in lines}
    errors = sorted(codes - {OK, LOOK})
    return errors[0] if errors else max(codes, default=OK)


def installation() -> list[Line]:
    """Versions of what runs the night, and where its rules and SQL were found."""
    lines = [
        Line(OK, "b12screen", f"{__version__} on Python {platform.python_version()}"),
        Line(OK, "libraries", ", ".join(installed(name) for name in LIBRARIES)),
    ]
    try:
        lines.append(Line(OK, "sql", str(sql_folder())))
    except FileNotFoundError:
        lines.append(Line(SettingsInvalid.exit_code, "sql", "not found: install b12screen again"))
    lines.append(Line(OK, "rulesets", str(Path(rules.__file__).parent)))
    try:
        load_maps()
        lines.append(Line(OK, "code maps", "whole"))
    except B12ScreenError as error:
        lines.append(Line(error.exit_code, "code maps", str(error)))
    return lines


def installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} missing"


def site_lines(root: Path, now: datetime) -> list[Line]:
    """What a run of the site would meet at this moment, and what the last night said."""
    try:
        settings = load_settings(root)
    except B12ScreenError as error:
        return [Line(error.exit_code, "settings", str(error))]
    today = now.astimezone(ZoneInfo(settings.timezone)).date()
    site = Site(root.resolve())
    laboratories = ", ".join(settings.laboratories)
    lines = [
        Line(
            OK,
            "settings",
            f"{root / SETTINGS_FILE}: timezone {settings.timezone}, laboratories {laboratories}",
        ),
        *settings_lines(settings, root),
        ruleset_line(settings, root, today),
        *disk_lines(site),
        *folder_lines(site),
        lock_line(site),
    ]
    try:
        lines.append(store_line(site))
        lines += leftover_lines(site)
        return lines + last_night(site, settings, today)
    except B12ScreenError as error:
        return [*lines, Line(error.exit_code, "store", str(error))]
    except OSError as error:
        says = (
            "the running user may not look into the store or what is published: "
            f"{error.filename}: {error.strerror}"
        )
        return [*lines, Line(CannotWrite.exit_code, "store", says)]


def store_line(site: Site) -> Line:
    """Whether the store is as the last published night left it, and of a format known here."""
    previous = site.committed()
    if previous is None:
        return Line(OK, "store", "no night is published yet")
    hold_state(site, previous)
    archive.hold_store(site.archive(previous), site.state(previous))
    with Warehouse.open(site.state(previous) / PRIVATE, read_only=True) as private:
        store_format.format_of(private)
    return Line(OK, "store", f"holds the night {previous}, each file as long as it was left")


def expected(root: Path, now: datetime, by: time) -> Line:
    """Whether the night of today is published; until ``by``, in the site's time, it need not be."""
    site = Site(root.resolve())
    newest = site.current.resolve().name.split(".")[0] if site.current.exists() else None
    today = now.date().isoformat()
    if newest is not None and newest > today:
        return Line(LOOK, "expected", ahead(newest, today))
    if newest == today:
        return Line(OK, "expected", f"the night of {newest} is published")
    there = f"the newest is {newest}" if newest else "none is published yet"
    if now.time() < by:
        return Line(OK, "expected", f"the night of {today} is due by {by:%H:%M}; {there}")
    if lock_line(site).code:
        does = "A run holds the site at this moment: wait for it, or see where it stands"
    else:
        does = "No run holds the site: look at the log of the schedule, then `b12screen run`"
    return Line(
        LOOK,
        "expected",
        f"the night of {today} should have been published by {by:%H:%M} and is not there; "
        f"{there}, and its lists stand. {does}",
    )


def ahead(newest: str, today: str) -> str:
    """That no night can follow one that lies ahead."""
    return (
        f"the last night is {newest}, which lies ahead of today, {today}: every night before it is "
        "refused (exit code 16); the refusal says what to do"
    )


def settings_lines(settings: Settings, root: Path) -> list[Line]:
    """A group that no file can be given to; who else could change the settings, or read them."""
    trouble = group_trouble(settings.publish.group)
    if trouble is not None:
        return [Line(SettingsInvalid.exit_code, "settings", trouble)]
    if (closed := closed_to(settings.publish.group, root.resolve())) is not None:
        says = (
            f"the group {settings.publish.group} cannot pass through {closed}, and so not read "
            "published/: let it (chmod g+x, or o+x where the folder is another group's)"
        )
        return [Line(LOOK, "settings", says)]
    rights = (root / SETTINGS_FILE).stat().st_mode
    if rights & 0o022:
        says = f"{SETTINGS_FILE} may be written by other users, who could name a command: chmod 640"
        return [Line(LOOK, "settings", says)]
    if rights & 0o004 and settings.notify.webhook is not None:
        says = f"{SETTINGS_FILE} holds an address and is open to other users: chmod 640"
        return [Line(LOOK, "settings", says)]
    return []


def closed_to(group: str | None, root: Path) -> Path | None:
    """The folder on the way to a site, itself included, that members of a group cannot pass."""
    if group is None:
        return None
    number = grp.getgrnam(group).gr_gid
    for folder in (root, *root.parents):
        status = folder.stat()
        if not status.st_mode & (0o010 if status.st_gid == number else 0o001):
            return folder
    return None


def ruleset_line(settings: Settings, root: Path, today: date) -> Line:
    try:
        ruleset = rules.load_ruleset(settings.ruleset, root)
    except B12ScreenError as error:
        return Line(error.exit_code, "ruleset", str(error))
    if ruleset.review_by < today:
        return Line(LOOK, "ruleset", f"{ruleset.ruleset} was to be reviewed by {ruleset.review_by}")
    return Line(OK, "ruleset", f"{ruleset.ruleset}, to be reviewed by {ruleset.review_by}")


def disk_lines(site: Site) -> list[Line]:
    """Whether the next night would have room, and how much is free."""
    try:
        previous = site.committed()
        private = None if previous is None else site.state(previous) / PRIVATE
        lines = [
            Line(CannotWrite.exit_code if room.needs > room.free else OK, "disk", str(room))
            for room in rooms(site, previous, private)
        ]
    except (OSError, B12ScreenError):
        # A folder that is missing or closed to this user has a line of its own.
        lines = []
    free = shutil.disk_usage(site.root).free / 1e9
    if free < FREE_GB_FOR_A_NIGHT:
        lines.append(Line(LOOK, "disk", f"{free:.1f} GB free: too little for a large night"))
    return lines or [Line(OK, "disk", f"{free:.1f} GB free")]


def folder_lines(site: Site) -> list[Line]:
    """Whether the running user may read the inbox and write the store and what is published."""
    needs = ((site.inbox, os.R_OK), (site.store, os.W_OK), (site.published, os.W_OK))
    lines = [
        Line(CannotWrite.exit_code, folder.name, f"the running user may not write {folder}")
        for folder in (site.generation(""), site.state(""), site.archive(""))
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK)
    ]
    for folder, right in needs:
        # Without an inbox there is nothing to take; without the others nothing can be written.
        code = (NothingUsable if folder == site.inbox else CannotWrite).exit_code
        if folder != site.inbox and not folder.exists():
            says = "is not there: where nights were published bring it back; else a run makes it"
            line = Line(LOOK, folder.name, f"{folder} {says}")
        elif not folder.is_dir():
            line = Line(code, folder.name, f"{folder} is not a folder: make it")
        elif not os.access(folder, right | os.X_OK):
            verb = "read" if right == os.R_OK else "write"
            line = Line(code, folder.name, f"the running user may not {verb} {folder}")
        elif folder == site.store and folder.stat().st_mode & 0o077:
            line = Line(LOOK, folder.name, f"{folder} is open to other users: chmod 700 it")
        else:
            line = Line(OK, folder.name, str(folder))
        lines.append(line)
    return lines


def published_line(site: Site) -> Line:
    """Whether what is published is, byte for byte, what the last night wrote."""
    # A night may be published at this moment: one folder is looked at to the end.
    folder = site.current.resolve()
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        run_id = manifest["run_id"]
        differing, n_file = publishing.unlike(folder, manifest)
    except FileNotFoundError as error:
        return Line(LOOK, "published", f"{error.filename} is not there: {MEND_PUBLISHED}")
    except (ValueError, KeyError, AttributeError, TypeError):
        return Line(LOOK, "published", f"{folder}/manifest.json is damaged: {MEND_PUBLISHED}")
    if run_id != folder.name:
        says = f"{folder} holds the night {run_id}: {MEND_PUBLISHED}"
        return Line(LOOK, "published", says)
    if differing:
        says = (
            f"{len(differing)} of {n_file} files in {folder} are not what the night wrote, "
            f"{shown(differing[0])} first: {MEND_PUBLISHED}"
        )
        return Line(LOOK, "published", says)
    return Line(OK, "published", f"{n_file} files, each what the night wrote")


def findings_of(site: Site) -> list[str]:
    """What the last night found, as its manifest tells it."""
    try:
        manifest = json.loads((site.current / "manifest.json").read_text(encoding="utf-8"))
        return [str(finding) for finding in manifest["findings"]]
    except (OSError, ValueError, KeyError):
        return []


def lock_line(site: Site) -> Line:
    """Whether a run holds the site now. A lock left by a killed process does not exist."""
    path = site.store / "lock"
    if not path.exists() or not os.access(path, os.R_OK):
        return Line(OK, "lock", "no run holds the site")
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return Line(LOOK, "lock", "a run holds the site at this moment")
    finally:
        os.close(handle)
    return Line(OK, "lock", "no run holds the site")


def leftover_lines(site: Site) -> list[Line]:
    """What a killed night left is removed, as the next night would; nothing while a run works."""
    if not os.access(site.store, os.W_OK) or not os.access(site.published, os.W_OK):
        return []
    # Without a need no lock is taken: a night that begins at this moment would be turned away.
    if not leftovers(site):
        return [Line(OK, "leftovers", "nothing that was killed has left anything")]
    try:
        with held(site), writing("clearing up"):
            n = len(leftovers(site))
            freed = clear_leftovers(site)
    except SiteLocked:
        return [Line(OK, "leftovers", "not looked for while a run holds the site")]
    except CannotWrite as error:
        return [
            Line(error.exit_code, "leftovers", f"of what was killed cannot be removed: {error}")
        ]
    noun = "folder or link" if n == 1 else "folders and links"
    says = f"{n} {noun} of what was killed removed, {freed / MEGABYTE:,.1f} MB freed"
    return [Line(OK, "leftovers", says)]


def last_night(site: Site, settings: Settings, today: date) -> list[Line]:
    """The last published night: its age, its accounts and the freshness of its feeds."""
    database = site.current / "b12screen.duckdb"
    if not database.exists():
        committed = site.committed()
        if committed is None:
            return [Line(LOOK, "last night", "none is published yet: b12screen run")]
        there = site.generation(committed) / database.name
        if there.exists():
            says = (
                f"{site.current} leads nowhere, though the night {committed} is there: the next "
                f"night sets it right; until then `ln -sfn .nights/{committed} current` in "
                "published/ does"
            )
            return [Line(LOOK, "last night", says)]
        name, remedy = publishing.last_night(there)
        return [Line(LOOK, "last night", f"{name} is not there: {remedy}")]
    with (
        undamaged(*publishing.last_night(database.resolve())),
        Warehouse.open(database.resolve(), read_only=True, sealed=True) as warehouse,
    ):
        (night,) = warehouse.frame("SELECT * FROM run.night").to_dicts()
    age = (today - night["as_of"]).days
    accounts = (
        f"{night['as_of']} ({night['run_id']}), {night['n_read']} rows read, "
        f"{night['n_rejected']} rejected, {night['n_held']} files held"
    )
    if age < 0:
        lines = [
            Line(LOOK, "last night", ahead(str(night["as_of"]), str(today))),
            Line(LOOK, "last night", accounts),
        ]
    else:
        state = LOOK if age > DAYS_WITHOUT_A_NIGHT or night["n_held"] else OK
        lines = [Line(state, "last night", accounts)]
    findings = findings_of(site)
    if findings:
        lines.append(Line(LOOK, "findings", f"{len(findings)} of that night; {findings[0]}"))
    lines.append(published_line(site))
    for kind in KINDS:
        newest = night[f"{kind}_newest_on"]
        limit = getattr(settings.freshness, f"{kind}_days")
        if night[f"{kind}_feed"] == "none":
            lines.append(Line(LOOK, kind, "never delivered"))
        elif newest is None:
            lines.append(Line(LOOK, kind, "stale: no row of it was ever taken"))
        elif (today - newest).days > limit:
            lines.append(Line(LOOK, kind, f"stale: newest {newest}, limit {limit} days"))
        else:
            lines.append(Line(OK, kind, f"newest {newest}"))
    return lines
