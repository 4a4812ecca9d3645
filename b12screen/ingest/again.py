"""Taking again: rejected rows once a map is mended (`retry`), a file under today's map (`retake`).

A row that is taken again is known from that night on, and its first account stays as it was. Among
versions it keeps the place that its file had when it first came, so that it replaces what was read
of it then and never a correction that came later. What a file gave once and does not give when it
is read again is withdrawn. A file of answers is never read again: no map reads it, and what was
answered since stands; its rejected rows are, once the settings say how its days are written.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from b12screen.errors import UsageError
from b12screen.ingest.checks import CHECKS
from b12screen.ingest.delimited import BATCH_ROWS, Parts, content_hash
from b12screen.ingest.own_csv import reread
from b12screen.ingest.recognise import Extract, Own, recognised
from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from schemas import ddl
from schemas.extracts import extract_columns
from schemas.words import EXTRACT_KINDS, FEEDBACK

PLACE = ("record", "line", "segment")
# Cells of a row that was read as a row; what failed before that can only come with its file.
READ_AS_ROWS = sorted({check_name for _, check_name, _ in CHECKS.values()})
# Kinds whose withdrawn rows can be said in their own words; a person is never taken back.
WITHDRAWN_BY_KEY = ("conditions", "medications")

WAITING_FILES = (
    "SELECT rejected.file_name, rejected.sha256, rejected.kind, min(taken.taken_for), count(*) "
    "FROM private.reject_row AS rejected JOIN private.taken_file AS taken "
    "ON taken.sha256 = rejected.sha256 AND taken.kind = rejected.kind "
    "WHERE rejected.replaced_on IS NULL AND list_contains(?, rejected.check_name) "
    "GROUP BY rejected.file_name, rejected.sha256, rejected.kind"
)
WAITING_ROWS = (
    "SELECT rejected.record, rejected.line, rejected.segment, rejected.raw "
    "FROM private.reject_row AS rejected "
    "WHERE rejected.sha256 = ? AND rejected.kind = ? AND rejected.file_name = ? "
    "AND rejected.replaced_on IS NULL AND list_contains(?, rejected.check_name) "
    "AND rejected.record > ? ORDER BY rejected.record LIMIT ?"
)
COUNT_WAITING = (
    "SELECT count(*) FILTER (WHERE list_contains(?, rejected.check_name)), count(*) "
    "FROM private.reject_row AS rejected WHERE rejected.replaced_on IS NULL"
)
STILL_REJECTED = (
    "DELETE FROM core.taken WHERE taken.fault IS NOT NULL AND taken.fault <> 'scope' "
    "AND taken.file_id IN (SELECT night.file_id FROM taking.night)"
)
MEND = (
    "UPDATE core.reject SET replaced_on = ? WHERE sha256 = ? AND kind = ? AND replaced_on IS NULL "
    "AND record IN (SELECT taken.record FROM core.taken SEMI JOIN taking.night USING (file_id))",
    "UPDATE private.reject_row SET replaced_on = ? "
    "WHERE sha256 = ? AND kind = ? AND replaced_on IS NULL "
    "AND record IN (SELECT taken.record FROM core.taken SEMI JOIN taking.night USING (file_id))",
)
REPLACE_ALL = (
    "UPDATE core.reject SET replaced_on = ? WHERE sha256 = ? AND kind = ? AND replaced_on IS NULL",
    "UPDATE private.reject_row SET replaced_on = ? "
    "WHERE sha256 = ? AND kind = ? AND replaced_on IS NULL",
)
TAKEN_CONTENT = (
    "SELECT taken.kind, taken.file_name, taken.taken_for FROM private.taken_file AS taken "
    "WHERE taken.sha256 = ? ORDER BY taken.taken_for, taken.kind"
)
NOTHING_RETAKEN = (
    "CREATE TABLE taking.retaken (file_id INTEGER, by_file_id INTEGER)",
    "CREATE TABLE taking.taken_back (n_row BIGINT)",
)
COUNT_TAKEN_BACK = "SELECT coalesce(sum(n_row), 0) FROM taking.taken_back"
FORMER_FILES = (
    "INSERT INTO taking.retaken SELECT file.file_id, night.file_id AS by_file_id "
    "FROM core.lab_file AS file CROSS JOIN taking.night "
    "WHERE file.sha256 = ? AND file.file_id <> night.file_id"
)
FILE_OF_WITHDRAWN = (
    "INSERT INTO core.lab_file BY NAME SELECT night.file_id + 1 AS file_id, night.file_name, "
    "night.as_of AS taken_for, night.sent_for, ? AS sha256, 'withdrawal' AS taken_by "
    "FROM taking.night"
)
CONTENTS_OF_THAT_NAME = (
    "SELECT count(DISTINCT file.sha256) FROM run.source_file AS file WHERE file.file_name = ? "
    "AND file.kind = ? AND file.taken_for = ? AND file.taken_by = 'run' AND file.reason IS NULL"
)


@dataclass(frozen=True)
class Again:
    """What a night is asked to take again: the rows that were rejected, or files."""

    rejected: bool = False
    files: tuple[Path, ...] = ()


def waiting(warehouse: Warehouse, owns: Sequence[Own]) -> list[Extract]:
    """An extract for the rejected rows of each file and kind that were read as rows at all."""
    found = []
    for name, sha256, kind, sent_for, _ in warehouse.rows(WAITING_FILES, (READ_AS_ROWS,)):
        promised = recognised(Path(name), name, [own for own in owns if own.names(name)])
        form, packing = (promised[0].form, promised[0].packing) if promised else ("csv", "")
        own = next((extract.own for extract in promised if extract.kind == kind), ())
        found.append(Extract(Path(name), name, kind, form, packing, "retry", sent_for, sha256, own))
    return in_order(found)


def waiting_rows(warehouse: Warehouse) -> tuple[int, int]:
    """How many rejected rows can be tried again by themselves, and how many wait in all."""
    ((n_row, n_all),) = warehouse.rows(COUNT_WAITING, (READ_AS_ROWS,))
    return n_row, n_all


def taken_contents(
    warehouse: Warehouse, inbox: Path, files: tuple[Path, ...], owns: Sequence[Own]
) -> list[Extract]:
    """The extracts of files whose content was taken before, under the name it was taken by.

    A file is looked for where it is named, then below the inbox. UsageError where one is not there
    or was never taken.
    """
    found: dict[str, list[Extract]] = {}
    for number, file in enumerate(files, start=1):
        path = next((path for path in (file, inbox / file) if path.is_file()), None)
        if path is None:
            raise UsageError(
                f"file {number} of {len(files)} to take again is not there. Nothing was done. Name "
                "it by its path, or by its path below the inbox."
            )
        path = path.resolve()
        sha256 = content_hash(path)
        known = warehouse.rows(TAKEN_CONTENT, (sha256,))
        if not known:
            raise UsageError(
                f"file {number} of {len(files)} to take again was never taken with this content. "
                "Nothing was done. A new or a held file is taken by `b12screen run` from the inbox."
            )
        if known[0][0] == FEEDBACK:
            raise UsageError(
                f"file {number} of {len(files)} to take again holds the answers of a clinic. "
                "Nothing was done. No map reads them: `retry` tries its rejected rows, or the "
                "clinic answers again in a new file."
            )
        _, name, sent_for = known[0]
        promised = recognised(Path(name), name, [own for own in owns if own.names(name)])
        kinds = {kind for kind, _, _ in known}
        # Every kind of a file that may hold several: today's settings may read rows of one that it
        # had not.
        found[sha256] = [
            replace(
                extract, path=path, kind=kind, taken_by="retake", sent_for=sent_for, sha256=sha256
            )
            for extract in promised
            for kind in ([extract.kind] if extract.may_hold_more else sorted(kinds))
        ]
    return in_order([extract for extracts in found.values() for extract in extracts])


def in_order(extracts: list[Extract]) -> list[Extract]:
    """As they came: by the night that first took them, then by name."""
    return sorted(
        extracts,
        key=lambda each: (
            each.sent_for or date.max, os.fsencode(each.name), each.sha256,
            EXTRACT_KINDS.index(each.kind),
        ),
    )  # fmt: skip


def rejected_as_parquet(warehouse: Warehouse, extract: Extract, folder: Path) -> int:
    """The kept cells of rejected rows as ``folder/rows-*.parquet``; how many there are."""
    columns = tuple(extract_columns(extract.kind))
    rows = Parts(folder, "rows", (*PLACE, *columns))
    Parts(folder, "broken", (*PLACE, "check_name", "raw")).close()
    last = -1
    while True:
        batch = warehouse.rows(
            WAITING_ROWS,
            (extract.sha256, extract.kind, extract.name, READ_AS_ROWS, last, BATCH_ROWS),
        )
        found = [json.loads(raw) for *_, raw in batch]
        if len(extract.own) == 1 and found and all("sent" in cells for cells in found):
            # What the settings say of the sender's own form today, over the row as it was sent.
            sent = [cells["sent"] for cells in found]
            found = list(reread(sent, extract.own[0], extract.kind))
        for (record, line, segment, _), cells in zip(batch, found, strict=True):
            rows.add([record, line, segment, *(cells.get(name) for name in columns)])
        if len(batch) < BATCH_ROWS:
            return rows.close()
        last = batch[-1][0]


def mended(warehouse: Warehouse, extract: Extract, as_of: date) -> int:
    """Leave the rows that still fail where they are; how many rows are taken after all."""
    warehouse.execute(STILL_REJECTED)
    for statement in MEND:
        warehouse.execute(statement, (as_of, extract.sha256, extract.kind))
    return int(
        warehouse.scalar("SELECT count(*) FROM core.taken SEMI JOIN taking.night USING (file_id)")
    )


def replace_rejects(warehouse: Warehouse, extract: Extract, as_of: date) -> None:
    """What was rejected of a file before is judged anew: it waits no longer."""
    for statement in REPLACE_ALL:
        warehouse.execute(statement, (as_of, extract.sha256, extract.kind))


def withdraw(warehouse: Warehouse, extract: Extract) -> tuple[int, int]:
    """Take back what the file gave before and does not give now, as rows of ``core.taken``.

    Returns how many rows were withdrawn, and how many had to stay. A person's row stays as it was:
    without it nobody would know of an opt-out or a death.
    """
    if extract.kind == "labs":
        warehouse.execute(FORMER_FILES, (extract.sha256,))
        select = sql_text("core/retaken_lab.sql")
        n_gone = int(warehouse.scalar(ddl.counted(select)))
        if n_gone:
            warehouse.execute(FILE_OF_WITHDRAWN, (extract.sha256,))
            warehouse.execute(ddl.insert_by_name("core.taken", select))
        return n_gone, 0
    name = {"conditions": "condition", "medications": "medication", "patients": "patient"}
    select = sql_text(f"core/retaken_{name[extract.kind]}.sql")
    n_gone = int(warehouse.scalar(ddl.counted(select)))
    if not n_gone:
        return 0, 0
    n_content = warehouse.scalar(
        CONTENTS_OF_THAT_NAME, (extract.name, extract.kind, extract.sent_for)
    )
    if extract.kind not in WITHDRAWN_BY_KEY or n_content > 1:
        return 0, n_gone
    warehouse.execute(ddl.insert_by_name("core.taken", select))
    return n_gone, 0
