"""Tests and units that a site's reviewer accepted: numbered files below ``maps`` of the site.

Each file holds everything that was accepted up to it, so that the newest is in force and the older
ones say what was before. Written by ``unmapped --accept`` alone, never changed afterwards.
"""

import csv
import io
import os
import re
from pathlib import Path

from pydantic import ValidationError

from b12screen.errors import CannotWrite, SettingsInvalid
from b12screen.settings import Accepted

FOLDER = "maps"
NAME = re.compile(r"tests\.([1-9][0-9]{0,5})\.csv")
COLUMNS = tuple(Accepted.model_fields)


def versions(site: Path) -> list[tuple[int, Path]]:
    """The numbers of the files of a site, the newest last."""
    found = [
        (int(match[1]), path)
        for path in (site / FOLDER).glob("tests.*.csv")
        if (match := NAME.fullmatch(path.name))
    ]
    return sorted(found)


def accepted_by(site: Path) -> tuple[Accepted, ...]:
    """What is in force at a site; SettingsInvalid names the row of the file that does not read."""
    files = versions(site)
    if not files:
        return ()
    path = files[-1][1]
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        rows = list(reader)
        # What a power cut left without its content is no file that accepts nothing.
        if reader.fieldnames != list(COLUMNS):
            raise csv.Error
    except (OSError, UnicodeDecodeError, csv.Error):
        raise SettingsInvalid(
            f"{FOLDER}/{path.name} cannot be read as a CSV file in UTF-8. Nothing was read or "
            "published. Bring it back from its backup, or move it away to go by the one before it."
        ) from None
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            # Missing and surplus cells are no text, which the model refuses.
            found.append(Accepted.model_validate_strings(row))
        except ValidationError as error:
            columns = sorted({str(part["loc"][0]) for part in error.errors() if part["loc"]})
            raise SettingsInvalid(
                f"{FOLDER}/{path.name} row {number}: {', '.join(columns) or 'row'}: is not what "
                "`b12screen unmapped --accept` writes. Nothing was read or published. Move the "
                "file away to go by the one before it, and accept the workbook again."
            ) from None
    return tuple(found)


def write(site: Path, rows: list[Accepted]) -> Path:
    """The next numbered file with these rows, in order; the older ones stay as they are."""
    number = max((number for number, _ in versions(site)), default=0) + 1
    path = site / FOLDER / f"tests.{number}.csv"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in sorted(rows, key=lambda row: row.key):
        cells = row.model_dump()
        writer.writerow([cells[name] for name in COLUMNS])
    # Of this writer alone: another one may be at the same number.
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(mode=0o750, exist_ok=True)
        with beside.open("w", encoding="utf-8") as file:
            file.write(text.getvalue())
            file.flush()
            os.fsync(file.fileno())
        # Fails where somebody else has just written the same number.
        path.hardlink_to(beside)
    except OSError as error:
        raise CannotWrite(
            f"{FOLDER}/{path.name} could not be written ({error.strerror}). Nothing was accepted. "
            "Check the permission of the site's folder and the free disk space, and accept again."
        ) from None
    finally:
        beside.unlink(missing_ok=True)
    return path
