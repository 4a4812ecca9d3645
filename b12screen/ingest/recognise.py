"""Which files of the inbox are extracts, and of which kinds. Opens nothing, moves nothing."""

import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path, PurePath

from b12screen.settings import OwnFiles, Settings
from schemas.words import EXTRACT_KINDS

FORM = re.compile(r"\.(csv|csv\.gz|csv\.zst|parquet|hl7|ndjson|ndjson\.gz)$")
# Control and format characters, line and paragraph separators.
STEERING = ("Cc", "Cf", "Zl", "Zp")
# Forms that are read by content: one file gives rows of several kinds, whatever its name.
MESSAGE_KINDS = {
    "hl7": ("patients", "labs"),
    "ndjson": ("patients", "conditions", "medications", "labs"),
}


PACKED = re.compile(r"\.(gz|zst)$")


@dataclass(frozen=True)
class Own:
    """A laboratory and the way in which some of its files are written, as the settings say."""

    laboratory: str
    files: OwnFiles

    def names(self, name: str) -> bool:
        """Whether it speaks of the file of this name below the inbox; of a hidden one never."""
        hidden = any(part.startswith(".") for part in name.split("/"))
        return not hidden and any(below(pattern).fullmatch(name) for pattern in self.files.files)


@dataclass(frozen=True)
class Extract:
    """One kind of rows to take from a file: its path below the inbox in POSIX form, the file's
    form, its packing; where it is taken again, by which command, when it first came, its content.
    ``own`` are the settings that say how this kind is written in it: none for most, more than one
    is a contradiction.
    """

    path: Path
    name: str
    kind: str
    form: str
    packing: str
    taken_by: str = "run"
    sent_for: date | None = None
    sha256: str = ""
    own: tuple[Own, ...] = ()

    @property
    def holds_messages(self) -> bool:
        """Whether the file is parsed once, for several kinds."""
        return self.form in MESSAGE_KINDS

    @property
    def may_hold_more(self) -> bool:
        """Whether another extract may be of another kind of rows of the same file."""
        return self.holds_messages or bool(self.own)


@dataclass(frozen=True)
class Stamp:
    """What the file system says of a file; the same stamp means the same content."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int


def stamp(path: Path) -> Stamp:
    """The stamp of a file that is no symlink; raises ``OSError`` where it cannot be had."""
    found = os.lstat(path)
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def own_files(settings: Settings) -> list[Own]:
    """Every laboratory's own ways of writing a file, in the order of the settings."""
    return [
        Own(name, files)
        for name, laboratory in settings.laboratories.items()
        for files in laboratory.csv
    ]


@cache
def below(pattern: str) -> re.Pattern[str]:
    """A pattern of paths: ``*`` and ``?`` stay within one folder, ``**`` is any folders."""
    text = ""
    for part in re.findall(r"\*\*/|\*|\?|[^*?]+", pattern):
        wild = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
        text += wild.get(part) or re.escape(part)
    return re.compile(text, re.DOTALL)


def names_outside(own: Own, path: PurePath) -> bool:
    """Whether it would speak of a file that lies elsewhere, put into the inbox with its folders."""
    parts = path.parts
    return any(own.names("/".join(parts[place:])) for place in range(len(parts)))


def kind_named(base: str) -> str | None:
    """The kind of rows that a file's name in lower case begins with, if it does."""
    return next((kind for kind in EXTRACT_KINDS if base.startswith(kind)), None)


def recognised(path: Path, name: str, own: Sequence[Own] = ()) -> list[Extract]:
    """The extracts that a file name promises, one for each kind; none where it is no extract.

    ``own`` are the settings that speak of this file: whatever ends its name, it is text then, of
    the kinds that they state, else that its first word says, else of labs.
    """
    base = path.name.lower()
    form = FORM.search(base)
    if form is None and not own:
        return []
    packed = PACKED.search(base)
    shape, packing = "csv", packed[1] if packed else ""
    if form is not None:
        shape, _, packing = form[1].partition(".")
    if shape in MESSAGE_KINDS:
        return [Extract(path, name, kind, shape, packing) for kind in MESSAGE_KINDS[shape]]
    named = kind_named(base)
    if own:
        kinds: dict[str, list[Own]] = {}
        for each in own:
            kinds.setdefault(each.files.kind or named or "labs", []).append(each)
        return [
            Extract(path, name, kind, shape, packing, own=tuple(same))
            for kind, same in kinds.items()
        ]
    return [Extract(path, name, named, shape, packing)] if named else []


def found(inbox: Path, owns: Sequence[Own] = ()) -> tuple[list[Extract], list[str], list[str]]:
    """Extracts by name bytewise, files left alone, and findings on what cannot be looked into."""
    extracts: list[Extract] = []
    left_alone: list[str] = []
    findings: list[str] = []

    def unreadable(error: OSError) -> None:
        place = shown(name_below(inbox, Path(error.filename)))
        findings.append(
            f"the folder {place} of the inbox cannot be read ({error.strerror}); nothing in it "
            "was taken: let the running user read it"
        )

    for folder, folders, files in os.walk(inbox, onerror=unreadable):
        for base in [*folders, *files]:
            path = Path(folder) / base
            name = name_below(inbox, path)
            sort_of_file = mode(path)
            if stat.S_ISDIR(sort_of_file):
                continue
            if stat.S_ISLNK(sort_of_file):
                findings.append(
                    f"{shown(name)} is a symbolic link and was left alone: put the file itself "
                    "into the inbox"
                )
                continue
            own = [own for own in owns if own.names(name)]
            promised = recognised(path, name, own) if stat.S_ISREG(sort_of_file) else []
            if not promised:
                left_alone.append(shown(name))
            elif shown(name) != name:
                findings.append(
                    f"{shown(name)} was left alone: its name, or that of its folder, is not UTF-8 "
                    "or holds control signs; rename it"
                )
            else:
                extracts += promised
    extracts.sort(key=lambda extract: os.fsencode(extract.name))
    return extracts, sorted(left_alone), sorted(findings)


def mode(path: Path) -> int:
    """What a directory entry is; 0 for one that vanished while we looked."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def name_below(inbox: Path, path: Path) -> str:
    """The path below the inbox with forward slashes."""
    return path.relative_to(inbox).as_posix()


def shown(name: str) -> str:
    """A name that is safe to print: bytes that are no UTF-8, and what steers, stand as escapes.

    A line end in a name would forge a line of a log, an escape sequence what a terminal shows.
    """
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        sign.encode("unicode_escape").decode() if unicodedata.category(sign) in STEERING else sign
        for sign in text
    )
