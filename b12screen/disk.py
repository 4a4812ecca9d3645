"""Is there room for a night? Estimated before it begins, so that it does not end on a full disk.

A night copies the last one's state and file and writes what is new beside them. The estimate is of
the common case and on the low side: what it lets through may still find the disk full, and then the
night ends as safely, only later.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from b12screen.errors import CannotWrite
from b12screen.ingest.recognise import Extract, Stamp, found, stamp
from b12screen.publish import Site
from b12screen.warehouse import Warehouse

# How much text there is in a byte of an extract: packed text shrinks five- to twentyfold.
TEXT_OF_A_BYTE = {"gz": 8.0, "zst": 8.0, "parquet": 4.0}
# What a byte of new text takes up in the end: measured, with the copies that a taking makes of it.
STORE_OF_A_BYTE = 1.5
PUBLISHED_OF_A_BYTE = 1.0
MEGABYTE = 1_000_000

TAKEN = (
    "SELECT seen.file_name, seen.size, seen.mtime_ns, seen.inode, seen.ctime_ns "
    "FROM main.seen_file AS seen JOIN main.taken_file AS taken USING (sha256)"
)


@dataclass(frozen=True)
class Room:
    """What a night needs on one file system, and what is free there; bytes."""

    folder: Path
    needs: int
    free: int

    def __str__(self) -> str:
        return (
            f"a night needs about {self.needs / MEGABYTE:,.0f} MB below {self.folder} and "
            f"{self.free / MEGABYTE:,.0f} MB are free"
        )


def rooms(site: Site, previous: str | None, private: Path | None) -> list[Room]:
    """What the next night needs below the store and below what is published, by file system.

    ``private`` is the last night's private store, which knows the files that were taken.
    """
    text = sum(new_text(site, private))
    needs = {
        site.store: int(text * STORE_OF_A_BYTE),
        site.published: int(text * PUBLISHED_OF_A_BYTE),
    }
    if previous is not None:
        needs[site.store] += size(site.state(previous))
        needs[site.published] += size(site.generation(previous))
    together: dict[int, Room] = {}
    for folder, bytes_needed in needs.items():
        device = folder.stat().st_dev
        known = together.get(device, Room(folder, 0, shutil.disk_usage(folder).free))
        together[device] = Room(known.folder, known.needs + bytes_needed, known.free)
    return list(together.values())


def hold_room(site: Site, previous: str | None, private: Path | None) -> None:
    """CannotWrite where the next night would not have room."""
    for room in rooms(site, previous, private):
        if room.needs > room.free:
            raise CannotWrite(
                f"the disk is too full to begin: {room}. Nothing was published, yesterday's files "
                "stand; free space there and run again"
            )


def new_text(site: Site, private: Path | None) -> list[float]:
    """The text, in bytes, of each extract in the inbox that no earlier night has taken."""
    known: set[tuple[str, Stamp]] = set()
    if private is not None and private.exists():
        with Warehouse.open(private, memory_mb=200, threads=1, read_only=True) as warehouse:
            if warehouse.relations() >= {"main.seen_file", "main.taken_file"}:
                known = {(name, Stamp(*numbers)) for name, *numbers in warehouse.rows(TAKEN)}
    extracts: dict[Path, Extract] = {extract.path: extract for extract in found(site.inbox)[0]}
    texts = []
    for path, extract in extracts.items():
        try:
            at = stamp(path)
        except OSError:
            continue
        if (extract.name, at) not in known:
            texts.append(at.size * TEXT_OF_A_BYTE.get(extract.packing or extract.form, 1.0))
    return texts


def size(folder: Path) -> int:
    """The bytes of all files below a folder; 0 where it is not there."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
