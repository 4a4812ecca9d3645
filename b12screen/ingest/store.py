"""The store that a taking opens: the look-ups of tonight, and which files it knows."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

import polars as pl

from b12screen.ingest import again as taking_again
from b12screen.ingest import lookups, store_format, withdrawn
from b12screen.ingest.checks import CHECKS, SHAPES
from b12screen.ingest.hl7v2_cells import Dialect
from b12screen.ingest.recognise import Extract, Stamp, stamp
from b12screen.maps import Maps
from b12screen.publish import last_night, undamaged
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse
from schemas import fold, words

RELATION = {
    "labs": "core.lab_result",
    "patients": "core.patient",
    "conditions": "core.condition",
    "medications": "core.medication",
    words.FEEDBACK: "core.feedback",
}
# Where the rows of a kind are kept; the other kinds' rows are what they are read as.
STORED = RELATION | {"labs": "core.lab_row"}
FOLDS = {kind: fold.fold_of(RELATION[kind]) for kind in ("patients", "conditions", "medications")}
# Before the turn of labs nobody is in it: messages are only judged then, in whatever order.
NO_PERSONS = "CREATE TABLE taking.person (patient_id VARCHAR, place UBIGINT)"
PERSONS = (
    "CREATE OR REPLACE TABLE taking.person AS SELECT known.patient_id, "
    "CAST(row_number() OVER (ORDER BY known.patient_id) AS UBIGINT) AS place "
    "FROM core.patient AS known"
)
NEW_WORDS = (
    "INSERT INTO core.lab_word BY NAME SELECT lab_word.* FROM taking.lab_word "
    "ANTI JOIN core.lab_word AS known ON known.word_id = lab_word.word_id ORDER BY lab_word.word_id"
)
KNOWN_ITEMS = (
    "INSERT INTO taking.known_item SELECT item.item_id FROM last.worklists.item AS item "
    "UNION SELECT item.item_id FROM last.history.item AS item"
)
TAKEN_ALREADY = (
    "SELECT file.file_name, file.kind, file.sha256, file.taken_by, count(*) "
    "FROM run.source_file AS file WHERE file.taken_for = ? GROUP BY ALL"
)
STAMP = {
    "size": pl.Int64,
    "mtime_ns": pl.Int64,
    "inode": pl.UInt64,
    "ctime_ns": pl.Int64,
}
SEEN = {"file_name": pl.String, **STAMP, "sha256": pl.String}
LYING = {"file_name": pl.String, "kind": pl.String, "is_own": pl.Boolean, **STAMP}
LYING_AS_TAKEN = (
    "SELECT lying.file_name, lying.kind FROM taking.lying "
    "INNER JOIN private.seen_file AS seen ON seen.file_name = lying.file_name "
    "AND seen.size = lying.size AND seen.mtime_ns = lying.mtime_ns "
    "AND seen.inode = lying.inode AND seen.ctime_ns = lying.ctime_ns "
    "SEMI JOIN private.taken_file AS taken ON taken.sha256 = seen.sha256 "
    "AND (taken.kind = lying.kind OR NOT lying.is_own)"
)
# Of the same name but for its numbers: another sender's files say nothing of this one's.
TAKEN_SINCE = (
    "SELECT count(*) FROM private.taken_file AS known "
    "INNER JOIN private.taken_file AS later ON later.kind = known.kind "
    "AND row(later.taken_for, later.file_name) > row(known.taken_for, known.file_name) "
    "AND regexp_replace(later.file_name, '[0-9]+', '', 'g') = "
    "regexp_replace(known.file_name, '[0-9]+', '', 'g') "
    "WHERE known.sha256 = ? AND known.kind = ?"
)
HELD_NOTHING = (
    "SELECT coalesce(max(file.n_read), 1) = 0 FROM run.source_file AS file "
    "WHERE file.sha256 = ? AND file.kind = ? AND file.reason IS NULL"
)


# The closed words of the other kinds, as their scans look them up.
WORDS_OF = {
    "patients": {
        "sex": pl.DataFrame(
            [(word, word) for word in words.SEXES]
            + [("f", "female"), ("m", "male"), ("", "unknown")],
            schema=["spelling", "sex"],
            orient="row",
        )
    },
    "conditions": {"condition_system": pl.DataFrame({"code_system": words.CONDITION_SYSTEMS})},
    "medications": {
        "drug_system": pl.DataFrame({"code_system": words.DRUG_SYSTEMS}),
        "medication_kind": pl.DataFrame({"kind": words.MEDICATION_KINDS}),
        "dose_unit": pl.DataFrame({"dose_unit": words.DOSE_UNITS}),
        "route": pl.DataFrame({"route": words.ROUTES_OF_ADMINISTRATION}),
    },
    words.FEEDBACK: {
        "decision": pl.DataFrame({"decision": words.DECISIONS}),
        "known_item": pl.DataFrame(schema={"item_id": pl.String}),
    },
}


@dataclass(frozen=True)
class Intake:
    """What every step of a taking needs: the open store, and what the site says."""

    warehouse: Warehouse
    settings: Settings
    as_of: date
    scratch: Path
    progress: Callable[[str], None]
    dialect: Dialect
    maps: Maps
    listed: Path | None = None


def attempts(intake: Intake) -> Counter[tuple[str, ...]]:
    """How often each content was taken for this night before, by which command."""
    rows = intake.warehouse.rows(TAKEN_ALREADY, (intake.as_of,))
    return Counter({tuple(map(str, key)): int(n) for *key, n in rows})


def prepare(intake: Intake) -> None:
    """The store's tables, and the working schema ``taking`` with what files of any kind need."""
    warehouse = intake.warehouse
    store_format.bring_up(warehouse)
    withdrawn.prepare(warehouse, intake.as_of)
    # What a file turned away on an earlier night said is said again tonight, or is over.
    warehouse.execute("DELETE FROM run.source_file WHERE reason IS NOT NULL")
    warehouse.execute("DROP TABLE IF EXISTS core.taken")
    warehouse.execute("DROP SCHEMA IF EXISTS taking CASCADE")
    warehouse.define(sql_text("core/grammar.sql"))
    with warehouse.together():
        warehouse.write("taking.fault", fault_table(CHECKS | SHAPES))
        warehouse.execute(NO_PERSONS)
        for statement in taking_again.NOTHING_RETAKEN:
            warehouse.execute(statement)


def look_up(intake: Intake, kinds: Collection[str]) -> None:
    """What the scans of these kinds join, as tables of ``taking``."""
    warehouse = intake.warehouse
    frames: dict[str, pl.DataFrame] = {}
    if "labs" in kinds:
        frames |= lab_frames(intake)
    for kind in sorted(WORDS_OF.keys() & kinds):
        frames |= WORDS_OF[kind]
    with warehouse.together():
        for name, frame in frames.items():
            warehouse.write(f"taking.{name}", frame)
        if "labs" in kinds:
            warehouse.execute(NEW_WORDS)
    if words.FEEDBACK in kinds:
        warehouse.define(sql_text("core/sheet_grammar.sql"))
        know_items(intake)


def lab_frames(intake: Intake) -> dict[str, pl.DataFrame]:
    """What codes, units, specimens and statuses mean at this site."""
    settings, maps = intake.settings, intake.maps
    tests = lookups.numbered_tests(
        lookups.known_tests(settings, maps), intake.warehouse.frame("SELECT * FROM core.lab_word")
    )
    return {
        "lab_word": lookups.lab_words(tests),
        "reading": lookups.readings(tests, maps, settings),
        "test": tests,
        "laboratory": pl.DataFrame({"laboratory": list(settings.laboratories)}),
        "status": lookups.statuses(),
        "specimen": maps.specimen.select("analyte", "specimen"),
        "contradiction": pl.DataFrame(schema={"test_name": pl.String, "analyte": pl.String}),
    }


def other_clock(intake: Intake) -> list[str]:
    """A finding on the night from which the site's timezone is another; it is remembered."""
    warehouse, zone = intake.warehouse, intake.settings.timezone
    before = [str(name) for (name,) in warehouse.rows("SELECT timezone FROM private.clock")]
    if before == [zone]:
        return []
    warehouse.execute("DELETE FROM private.clock")
    warehouse.execute("INSERT INTO private.clock VALUES (?)", (zone,))
    if not before:
        return []
    return [
        f"the settings' timezone was {before[0]} and is {zone} from this night on: times that were "
        f"sent with an offset stay as they were converted to {before[0]}, so that their days, and "
        "the order of corrections, may be hours off. Take the files with such times again "
        "(`b12screen retake`), or set the timezone back"
    ]


def missing_laboratories(intake: Intake) -> list[str]:
    """A finding on the night from which the settings no longer name a laboratory with results.

    Its name is part of the key of a result; which ones the settings name is remembered.
    """
    warehouse, named = intake.warehouse, list(intake.settings.laboratories)
    known = warehouse.rows(
        "SELECT word.laboratory, count(*) FROM private.named_laboratory AS named "
        "INNER JOIN core.lab_word AS word ON word.laboratory = named.laboratory "
        "INNER JOIN core.lab_row AS stored ON stored.word_id = word.word_id "
        "WHERE NOT list_contains(?, named.laboratory) GROUP BY ALL ORDER BY ALL",
        (named,),
    )
    warehouse.execute("DELETE FROM private.named_laboratory")
    warehouse.execute("INSERT INTO private.named_laboratory SELECT unnest(?)", (named,))
    return [
        f"the settings no longer name the laboratory {name}, of which {n:,} results are known: "
        "where it has another name now, its corrections and withdrawals no longer meet these "
        f"results, which go on counting. Name it {name} again (laboratories.{name}), and take what "
        "came under the other name again (`b12screen retake`)"
        for name, n in known
    ]


def know_items(intake: Intake) -> None:
    """Every item that a clinic may answer: what was listed up to the last published night."""
    if intake.listed is None or not intake.listed.exists():
        return
    with undamaged(*last_night(intake.listed.resolve())):
        intake.warehouse.attach(intake.listed, "last", read_only=True)
        intake.warehouse.execute(KNOWN_ITEMS)
        intake.warehouse.detach("last")


def fault_table(checks: Mapping[str, tuple[str | None, str, str]]) -> pl.DataFrame:
    """What a row that fails a check is told."""
    return pl.DataFrame(
        [(fault, *check) for fault, check in checks.items()],
        schema=dict.fromkeys(("fault", "column_name", "check_name", "reason"), pl.String),
        orient="row",
    )


def lying_as_taken(intake: Intake, extracts: Sequence[Extract]) -> set[tuple[str, str]]:
    """Name and kind of every file that lies as on an earlier night and was taken then.

    Asked once for all: nothing in an inbox is ever deleted, so that most of it is known.
    """
    lying = []
    for extract in extracts:
        if extract.taken_by == "run":
            with suppress(OSError):
                place = (extract.name, extract.kind, bool(extract.own))
                lying.append((*place, *astuple(stamp(extract.path))))
    frame = pl.DataFrame(lying, schema=LYING, orient="row")
    intake.warehouse.write("taking.lying", frame)
    return {(str(name), str(kind)) for name, kind in intake.warehouse.rows(LYING_AS_TAKEN)}


def was_taken(intake: Intake, extract: Extract, sha256: str) -> str | None:
    """The name under which this content was taken, if it was.

    A file that is written a laboratory's own way may hold several kinds, each taken by itself.
    """
    rows = intake.warehouse.rows(
        "SELECT file_name FROM private.taken_file WHERE sha256 = ? AND (kind = ? OR NOT ?) "
        "ORDER BY file_name",
        (sha256, extract.kind, bool(extract.own)),
    )
    return str(rows[0][0]) if rows else None


def lay_here(intake: Intake, name: str, sha256: str) -> bool:
    """Whether the file of this name held this content when it was last read.

    Its stamp may be another since: its rights were changed, or the inbox was moved or restored.
    """
    return bool(
        intake.warehouse.scalar(
            "SELECT count(*) FROM private.seen_file AS seen "
            "WHERE seen.file_name = ? AND seen.sha256 = ?",
            (name, sha256),
        )
    )


def n_taken_since(intake: Intake, extract: Extract, sha256: str) -> int:
    """How many other files of its kind and name came behind the one with this content."""
    return int(intake.warehouse.scalar(TAKEN_SINCE, (sha256, extract.kind)))


def held_nothing(intake: Intake, extract: Extract, sha256: str) -> bool:
    """Whether this content is a header alone: sent anew it is another delivery of nothing."""
    return bool(intake.warehouse.scalar(HELD_NOTHING, (sha256, extract.kind)))


def remember(intake: Intake, seen: Mapping[str, tuple[Stamp, str]]) -> None:
    """Spare the next night the reading of files that lie unchanged: how each lay, and its hash."""
    rows = [(name, *astuple(at), sha256) for name, (at, sha256) in seen.items()]
    frame = pl.DataFrame(rows, schema=SEEN, orient="row")
    intake.warehouse.write("taking.seen", frame)
    intake.warehouse.execute(
        "INSERT OR REPLACE INTO private.seen_file SELECT seen.* FROM taking.seen"
    )
