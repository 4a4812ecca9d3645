"""Whole or absent: where a night is built, and the one step that makes it the night.

``published/.nights/<run_id>`` holds a finished generation, ``store/generations/<run_id>`` the
working state it rests on. Which generation counts is said by ``published/current`` alone, so that
re-pointing it commits both at once. Whatever else lies there was left by a night that was killed,
and is cleared away before the next one.
"""

import errno
import fcntl
import grp
import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from polars.exceptions import PolarsError

from b12screen.errors import AuditFailed, CannotWrite, SettingsInvalid, SiteLocked
from b12screen.warehouse import Damaged

_RUN_ID = re.compile(r"(\d{4}-\d{2}-\d{2})\.(\d+)")
_REPLAY = re.compile(r"(compare-)?\d{4}-\d{2}-\d{2}-.+")
_NIGHT = re.compile(r"\d{4}-\d{2}-\d{2}")
# `doctor` holds the lock for a moment to see whether anybody does: that is no run.
LOCK_TRIES, LOCK_PAUSE_S = 10, 0.05
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
# Polars raises an OSError without errno, or an error of its own; the number stands in its text.
_NUMBER = re.compile(r"\(os error (\d+)\)")


@dataclass(frozen=True)
class Site:
    """The folders of one site."""

    root: Path

    @property
    def inbox(self) -> Path:
        """Where extracts are dropped; nothing here is ever moved or deleted."""
        return self.root / "inbox"

    @property
    def store(self) -> Path:
        """Private working state."""
        return self.root / "store"

    @property
    def published(self) -> Path:
        """What users open."""
        return self.root / "published"

    @property
    def current(self) -> Path:
        """The link to the last published night."""
        return self.published / "current"

    @property
    def scratch(self) -> Path:
        """Spill and intermediate files of the running night."""
        return self.store / "scratch"

    @property
    def replays(self) -> Path:
        """Private answers to "what if": nights decided again, never published."""
        return self.root / "replays"

    @property
    def building(self) -> Path:
        """Where one of them is made."""
        return self.replays / ".building"

    @property
    def note(self) -> Path:
        """The store's own note of the generation that counts, written after the switch."""
        return self.store / "committed"

    def generation(self, run_id: str) -> Path:
        """The published folder of a generation."""
        return self.published / ".nights" / run_id

    def state(self, run_id: str) -> Path:
        """The private folder of a generation."""
        return self.store / "generations" / run_id

    def archive(self, run_id: str) -> Path:
        """The private folder of what a generation was given beside its takings."""
        return self.store / "nights" / run_id

    def archives(self) -> dict[date, Path]:
        """The archive of every night, of its last attempt, up to the generation that counts."""
        found = {}
        named = [each for each in self.archive("").glob("*") if _RUN_ID.fullmatch(each.name)]
        for folder in sorted(named, key=lambda each: _order(each.name)):
            if _linked(self, folder.name):
                found[date.fromisoformat(folder.name.split(".")[0])] = folder
        return found

    def committed(self) -> str | None:
        """The generation that counts, or None before the first night.

        ``published/current`` says it; where somebody moved ``published`` away, or a night of it,
        or turned the link back to an older night, the store's own note does, so that nothing that
        was taken in is lost. AuditFailed where one of the two names no night.
        """
        named = []
        if self.current.exists():
            target = self.current.resolve()
            if target.parent.name != ".nights" or not _RUN_ID.fullmatch(target.name):
                raise AuditFailed(
                    f"{self.current} leads to no published night: nothing was published or "
                    "removed; make it a link to a night of published/ again (`ln -sfn NIGHT "
                    "current`, and each night a link to its newest folder below .nights), as a "
                    "restored copy with links kept has it"
                )
            named.append(target.name)
        if self.note.exists():
            noted = self.note.read_bytes().decode("utf-8", "replace").strip()
            if not _RUN_ID.fullmatch(noted):
                if not named:
                    raise AuditFailed(
                        f"{self.note} names no night: nothing was published or removed; bring "
                        "store/ and published/ back from their backup, of the same night"
                    )
            elif not named or self.state(noted).is_dir():
                named.append(noted)
        if not named:
            self._hold_nothing()
        return max(named, key=_order, default=None)

    def _hold_nothing(self) -> None:
        """AuditFailed where nights lie there though nothing says which of them counts.

        A first night that was killed leaves one at most, which never counted.
        """
        places = (self.generation(""), self.archive(""), self.state(""))
        lying = {
            each.name
            for place in places
            for each in place.glob("*")
            if _RUN_ID.fullmatch(each.name)
        }
        if len(lying) > 1:
            raise AuditFailed(
                f"{len(lying)} nights lie in published/ and store/, and neither {self.current} nor "
                f"{self.note} says which counts: nothing was published or removed. Bring both back "
                "from their backup, or link the newest night again (`ln -sfn NIGHT current`, in "
                "published/), or move published/ and store/ away together to begin anew"
            )


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn a full disk or a missing permission into a message for the person on call."""
    try:
        yield
    except (OSError, PolarsError) as error:
        number = error.errno if isinstance(error, OSError) else None
        named = error.filename if isinstance(error, OSError) else None
        where = f"{what}, {named}" if isinstance(named, (str, Path)) else what
        if number is None and (found := _NUMBER.search(str(error))):
            number = int(found.group(1))
        if number in _FULL:
            raise CannotWrite(
                f"the disk is full ({where}): nothing was published, yesterday's files stand; "
                "free space on it and run again"
            ) from None
        if number in _FORBIDDEN:
            raise CannotWrite(
                f"a permission is missing ({where}): nothing was published, yesterday's files "
                "stand; let the running user write there and run again"
            ) from None
        raise


@contextmanager
def undamaged(what: str, remedy: str) -> Iterator[None]:
    """Say which file is damaged and what to do about it; nothing is published on half a file."""
    try:
        yield
    except Damaged:
        raise AuditFailed(
            f"{what} is damaged, cut off or changed since it was written: nothing was published, "
            f"yesterday's sheets stand; {remedy}"
        ) from None


def last_night(file: Path) -> tuple[str, str]:
    """What a damaged published file is called, and what can be done about it."""
    run_id = file.parent.name
    return (
        f"published/.nights/{run_id}/{file.name}",
        "it holds the items of that night, without which every row would be new: bring it back "
        "from its backup, or make it again with `b12screen replay SITE --as-of "
        f"{run_id.split('.')[0]}` and put the {file.name} of that replay in its place",
    )


@contextmanager
def held(site: Site) -> Iterator[None]:
    """Hold the site for one run."""
    with writing("locking the site"):
        site.store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(
        site.store / "lock",
        "another run holds this site: nothing was done; wait for it to end, or look with "
        "`b12screen doctor`",
    ):
        yield


@contextmanager
def locked(file: Path, refusal: str) -> Iterator[None]:
    """Hold a lock, or raise :class:`SiteLocked`. It goes with the process, whatever ends it."""
    with writing("locking the site"):
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(LOCK_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOCK_PAUSE_S)
        else:
            raise SiteLocked(refusal)
        yield
    finally:
        os.close(lock)


def no_replay(site: Site) -> AbstractContextManager[None]:
    """Keep comparisons and replays of the site away; SiteLocked where one is running."""
    return locked(
        site.replays / ".lock",
        "another comparison or replay of this site is running: nothing was done; wait for it to "
        "end",
    )


def hold_state(site: Site, run_id: str) -> None:
    """AuditFailed where the store is not that of the published night."""
    if not site.state(run_id).is_dir():
        raise AuditFailed(
            f"the store does not hold the published night {run_id}: nothing was published; bring "
            "store/ back from its backup, or move published/ and store/ away together to begin anew"
        )


def leftovers(site: Site) -> list[Path]:
    """What killed nights left: every generation and link that was never pointed to, and scratch;
    and what a killed comparison or replay was building.

    Published generations before the current one are none (retention takes them).
    """
    committed = site.committed()
    of_past_nights = (site.generation(""), site.archive(""))
    found: list[Path] = []
    if committed is not None and not site.state(committed).is_dir():
        # The store is of another night than what is published, say from an older backup: whoever
        # brings both together needs everything that is there but what a run was working on.
        return [site.scratch] if _holds_work(site.scratch) else found
    for folder in (
        each for place in (*of_past_nights, site.state("")) for each in sorted(place.glob("*"))
    ):
        kept = _RUN_ID.fullmatch(folder.name) is not None and (
            folder.name == committed
            or (folder.parent in of_past_nights and _linked(site, folder.name))
        )
        if not kept:
            found.append(folder)
    for link in sorted(site.published.glob("*")):
        newer = committed is None or link.name > committed
        if link.is_symlink() and _NIGHT.fullmatch(link.name) and newer:
            found.append(link)
    found += site.published.glob(".link-*")
    if _holds_work(site.scratch):
        found.append(site.scratch)
    if site.building.exists():
        with suppress(SiteLocked), no_replay(site):
            found.append(site.building)
    return found


def clear_leftovers(site: Site) -> int:
    """Remove what killed nights left, under the site's lock; the bytes that this freed."""
    freed = 0
    for path in leftovers(site):
        below = () if path.is_symlink() else (path, *path.rglob("*"))
        freed += sum(each.lstat().st_size for each in below if each.is_file())
        if path == site.building:
            with suppress(SiteLocked), no_replay(site):
                _remove(path)
        else:
            _remove(path)
    for link in sorted(site.published.glob("*")):
        # A night that was run again and killed leaves its link to what has just been removed.
        if _NIGHT.fullmatch(link.name) and link.is_symlink() and not link.exists():
            ran = [each.name for each in site.generation("").glob(f"{link.name}.*")]
            if ran:
                _point(link, f".nights/{max(ran, key=_order)}")
            else:
                link.unlink()
    return freed


def next_run_id(site: Site, as_of: date) -> str:
    """``<night>.<n>``: the first number that the night has not used."""
    used = [0]
    for place in (site.generation(""), site.state(""), site.archive("")):
        for folder in place.glob(f"{as_of.isoformat()}.*"):
            match = _RUN_ID.fullmatch(folder.name)
            if match:
                used.append(int(match.group(2)))
    return f"{as_of.isoformat()}.{max(used) + 1}"


def make_folders(site: Site, group: str | None) -> None:
    """The folders of the site, never more open than they may be, whatever the umask was.

    A group that may read the nights has to be able to walk to them. A folder that somebody closed
    further stays closed. SettingsInvalid where files cannot be given to the group.
    """
    trouble = group_trouble(group)
    if trouble is not None:
        raise SettingsInvalid(f"{trouble}. Nothing was published, yesterday's files stand")
    published = (site.published, site.generation(""))
    private = (
        *(site.store, site.state(""), site.archive("")),
        *(site.scratch, site.scratch / "spill"),
    )
    for folder, mode in (
        *((each, 0o750) for each in published),
        *((each, 0o700) for each in private),
    ):
        fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        found = stat.S_IMODE(folder.stat().st_mode)
        if fresh or found & ~mode:
            folder.chmod(mode if fresh else found & mode)
    if group is not None:
        for folder in published:
            shutil.chown(folder, group=group)


def group_trouble(group: str | None) -> str | None:
    """Why files cannot be given to ``publish.group``, and what to do; None where they can."""
    if group is None:
        return None
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        return f"publish.group: this machine has no group {group}: make it, or name another one"
    if os.geteuid() == 0 or number in (os.getegid(), *os.getgroups()):
        return None
    return (
        f"publish.group: the running user is no member of {group}, and cannot give files to it: "
        "make it one (that counts from its next login), or name another group"
    )


def seal(folder: Path, group: str | None) -> None:
    """Make a finished generation unchangeable: 0440 files, 0750 folders, all of it on the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if group is not None:
            shutil.chown(path, group=group)
        path.chmod(0o750 if path.is_dir() else 0o440)
        _sync(path)
    if group is not None:
        shutil.chown(folder, group=group)
    folder.chmod(0o750)
    _sync(folder)


def hold_whole(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Read a sealed generation back; AuditFailed where it is not, byte for byte, what was written.

    ``manifest`` has the size and the hash of every output as it was when that was finished.
    """
    differing, n_wanted = unlike(folder, manifest)
    if differing:
        raise AuditFailed(
            f"{len(differing)} of {n_wanted} finished files are not what was written, "
            f"{differing[0]} first: something changed them, or the disk did: nothing was "
            "published, yesterday's files stand; look at the disk and at who may write below the "
            "site, and run again"
        )


def unlike(folder: Path, manifest: Mapping[str, Any]) -> tuple[list[str], int]:
    """The files of a generation that are not what ``manifest`` says, and how many it speaks of.

    What is missing is one of them, and what was put beside.
    """
    wanted = {
        name: (output["size_bytes"], output["sha256"])
        for name, output in manifest["outputs"].items()
    }
    text = manifest_text(manifest).encode()
    wanted["manifest.json"] = (len(text), hashlib.sha256(text).hexdigest())
    found = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, sha256_of(path))
        for path in folder.rglob("*")
        if path.is_file()
    }
    differing = sorted(
        name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
    )
    return differing, len(wanted)


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """A manifest as it is written."""
    return json.dumps(manifest, indent=2, ensure_ascii=False, default=date.isoformat) + "\n"


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settle(folder: Path) -> None:
    """All that lies below a private folder on the disk, so that a power cut leaves it whole."""
    for path in sorted(folder.rglob("*"), reverse=True):
        _sync(path)
    _sync(folder)
    _sync(folder.parent)


def switch(site: Site, run_id: str) -> None:
    """Make a finished generation the current night, in one atomic step.

    Its night's link is set first; while ``current`` names another night that changes nothing
    for anybody. A night run again is switched by that link alone.
    """
    night = run_id.split(".")[0]
    _sync(site.generation(run_id).parent)
    _point(site.published / night, f".nights/{run_id}")
    if not site.current.is_symlink() or os.readlink(site.current) != night:
        _point(site.current, night)
    beside = site.note.with_suffix(".new")
    beside.write_text(f"{run_id}\n")
    _sync(beside)
    os.replace(beside, site.note)
    _sync(site.note.parent)


def retire(site: Site, keep_nights: int, keep_archives: int) -> list[str]:
    """Remove generations and archives beyond their retention, and archives of earlier attempts.

    The current generation and the one before it always stay.
    """
    committed = site.committed()
    nights = sorted(
        link.name
        for link in site.published.glob("*")
        if link.is_symlink() and _NIGHT.fullmatch(link.name)
    )
    kept = nights[-max(keep_nights, 2) :]
    removed = []
    for night in nights:
        if night not in kept:
            (site.published / night).unlink()
    for folder in sorted(site.generation("").glob("*")):
        current_night = committed is not None and folder.name.split(".")[0] == committed[:10]
        if folder.name.split(".")[0] not in kept and not current_night:
            _remove(folder)
            removed.append(folder.name)
    for folder in sorted(site.state("").glob("*")):
        if folder.name != committed:
            _remove(folder)
    archives = site.archives()
    replayable = {archives[night] for night in sorted(archives)[-max(keep_archives, 1) :]}
    for folder in sorted(site.archive("").glob("*")):
        if folder not in replayable:
            _remove(folder)
    return removed


def retire_replays(site: Site, before: datetime) -> None:
    """Remove answers to "what if" that were written before a moment: they name patients too.

    One that cannot be removed stays: it is no reason for a night not to be.
    """
    for folder in sorted(site.replays.glob("*")):
        with suppress(OSError):
            if _REPLAY.fullmatch(folder.name) and folder.stat().st_mtime < before.timestamp():
                shutil.rmtree(folder)


def _linked(site: Site, run_id: str) -> bool:
    """Whether a generation is, or was before a newer one of its night, pointed to."""
    committed = site.committed()
    return committed is not None and _order(run_id) <= _order(committed)


def _order(run_id: str) -> tuple[str, int]:
    night, _, number = run_id.partition(".")
    return night, int(number)


def _point(link: Path, target: str) -> None:
    beside = link.with_name(f".link-{link.name}")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    os.replace(beside, link)
    _sync(link.parent)


def _holds_work(scratch: Path) -> bool:
    """Whether a run left something in the scratch folder, which may be a disk of its own."""
    return scratch.exists() and not (scratch.is_mount() and not any(scratch.iterdir()))


def _remove(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        if folder.is_mount():
            for path in folder.iterdir():
                _remove(path)
        else:
            shutil.rmtree(folder)
    else:
        folder.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
