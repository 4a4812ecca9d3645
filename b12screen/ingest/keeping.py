"""What becomes of rows that were judged: failed ones move out, the rest become the history.

Versions of one result are put in order here; the declared contract is held against what is kept.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from b12screen.errors import AuditFailed
from b12screen.ingest import again as taking_again
from b12screen.ingest import contracts, together, withdrawn
from b12screen.ingest.accounts import FileAccount
from b12screen.ingest.recognise import Extract
from b12screen.ingest.revised import keep_early, told_revisions
from b12screen.ingest.scan import Scanned, rows_of
from b12screen.ingest.store import FOLDS, RELATION, STORED, Intake
from b12screen.ingest.told_conditions import told_changed, withdraw_changed
from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse, parts
from schemas import ddl, fold, words
from schemas.relation import RELATIONS

# Bound what finding repeated results, dropping those that say nothing new, and ordering versions
# of the others hold in memory, however many results arrive in a night.
KEYS_AT_ONCE = 16_000_000
ROWS_AT_ONCE = 4_000_000
RESULTS_AT_ONCE = 1_000_000
# Looking through the history for repeats pays where as many arrive as this part of it.
MUCH_OF_HISTORY = 100
VERSION = {kind: f"core/{kind.rstrip('s')}_version.sql" for kind in ("labs", words.FEEDBACK)}
SAME_CONTENT = "UPDATE taking.night SET sha256 = ?"
COPY_BROKEN = (
    "INSERT INTO core.reject BY NAME SELECT night.file_name, ? AS kind, broken.record, "
    "nullif(broken.line, 0) AS line, broken.segment, fault.column_name, fault.check_name, "
    "fault.reason, night.as_of AS taken_for, night.sha256 "
    "FROM taking.broken JOIN taking.night ON night.file_id = broken.file_id "
    "JOIN taking.fault ON fault.fault = broken.check_name "
    "ORDER BY broken.file_id, broken.record"
)
KEEP_BROKEN = (
    "INSERT INTO private.reject_row BY NAME SELECT night.file_name, night.sha256, ? AS kind, "
    "broken.record, nullif(broken.line, 0) AS line, broken.segment, broken.check_name, broken.raw, "
    "night.as_of AS taken_for "
    "FROM taking.broken JOIN taking.night ON night.file_id = broken.file_id "
    # A resource of another type is out of scope; its text is no reject's.
    "WHERE broken.check_name <> 'scope' ORDER BY broken.file_id, broken.record"
)
COPY_REJECTS = (
    "INSERT INTO core.reject BY NAME SELECT night.file_name, ? AS kind, taken.record, "
    "place.line, place.segment, "
    "fault.column_name, fault.check_name, fault.reason, night.as_of AS taken_for, night.sha256 "
    "FROM core.taken "
    "JOIN taking.night ON night.file_id = taken.file_id "
    "JOIN taking.fault ON fault.fault = taken.fault "
    "LEFT JOIN taking.place ON place.file_id = taken.file_id AND place.record = taken.record "
    "ORDER BY taken.file_id, taken.record"
)
KEEP_REJECTS = (
    "INSERT INTO private.reject_row BY NAME SELECT night.file_name, night.sha256, ? AS kind, "
    "taken.record, place.line, place.segment, "
    "fault.check_name, coalesce(json_merge_patch(taken.cells, place.sent), taken.cells) AS raw, "
    "night.as_of AS taken_for FROM core.taken "
    "JOIN taking.night ON night.file_id = taken.file_id "
    "JOIN taking.fault ON fault.fault = taken.fault "
    "LEFT JOIN taking.place ON place.file_id = taken.file_id AND place.record = taken.record "
    "ORDER BY taken.file_id, taken.record"
)
NEW_FILE = (
    "INSERT INTO core.lab_file BY NAME "
    "SELECT night.file_id, night.file_name, night.as_of AS taken_for, night.sent_for, "
    "night.sha256, night.taken_by FROM taking.night"
)
NEW_CONTENT = (
    "INSERT OR IGNORE INTO private.taken_file "
    "SELECT night.sha256, ?, night.file_name, coalesce(night.sent_for, night.as_of) "
    "FROM taking.night"
)
FIRST_AND_LAST = (
    "SELECT min(taken.rowid), max(taken.rowid) FROM core.taken "
    "SEMI JOIN taking.night USING (file_id)"
)
UNMAPPED_BEFORE = (
    "UPDATE private.unmapped_part SET replaced_on = ? WHERE sha256 = ? AND replaced_on IS NULL"
)
COUNT_BUCKETS = (
    "SELECT file.file_name, file.sha256, file.taken_by, version.bucket, count(*) "
    "FROM taking.version JOIN core.lab_file AS file ON file.file_id = version.file_id "
    "WHERE version.origin = 'taken' GROUP BY ALL"
)
# A correction may change the person, or the day; where it changes both it is hardly one.
COUNT_REUSED = (
    "SELECT count(*) FROM (SELECT version.laboratory, version.result_id FROM taking.version "
    "WHERE version.bucket <> 'duplicate' GROUP BY ALL "
    "HAVING bool_or(version.origin = 'taken' AND version.bucket = 'accepted') "
    "AND count(DISTINCT version.patient_id) > 1 AND count(DISTINCT version.collected_on) > 1)"
)
COUNT_GONE_BACK = (
    "SELECT count(*) FROM taking.version WHERE version.bucket = 'duplicate' AND version.is_current"
)
COUNT_DOUBLED = (
    "WITH current AS ("
    "SELECT stored.result_id, stored.word_id FROM core.lab_row AS stored "
    "WHERE hash(stored.result_id) IN (SELECT key FROM taking.lab_repeated) UNION ALL "
    "SELECT taken.result_id, taken.word_id FROM core.taken "
    "WHERE hash(taken.result_id) IN (SELECT key FROM taking.lab_repeated)) "
    "SELECT count(*) FROM (SELECT current.result_id, word.laboratory FROM current "
    "INNER JOIN core.lab_word AS word ON word.word_id = current.word_id "
    "GROUP BY ALL HAVING count(*) > 1)"
)
NO_REPEATS = "CREATE TABLE taking.lab_repeat (place BIGINT, file_id INTEGER)"
COUNT_KEYS = "SELECT count(*) FROM taking.lab_repeated"
RESULTS_AT_HAND = (
    "CREATE OR REPLACE TABLE taking.lab_at_hand AS SELECT repeated.key "
    "FROM taking.lab_repeated AS repeated "
    "WHERE mod(repeated.key, CAST(? AS UBIGINT)) = CAST(? AS UBIGINT)"
)
COUNT_REPEATS = (
    "SELECT file.file_name, file.sha256, file.taken_by, 'duplicate', count(*) "
    "FROM taking.lab_repeat JOIN core.lab_file AS file ON file.file_id = lab_repeat.file_id "
    "GROUP BY ALL"
)
DROP_REPEATS = (
    "DELETE FROM core.taken WHERE taken.rowid IN (SELECT lab_repeat.place FROM taking.lab_repeat)"
)


def told_late(n_late: int, what: str) -> list[str]:
    """What took effect of withdrawals that had come first."""
    if not n_late:
        return []
    return [f"{n_late} {what} came after their withdrawal by id or key, and are withdrawn"]


def kept(
    intake: Intake,
    extract: Extract,
    account: FileAccount,
    scanned: Scanned,
    faults: Counter[str],
    notes: list[str],
    findings: list[str],
) -> FileAccount:
    """Move the failed rows out and keep the rest; the file's account."""
    warehouse = intake.warehouse
    if extract.taken_by == "retake":
        taking_again.replace_rejects(warehouse, extract, intake.as_of)
    warehouse.execute(SAME_CONTENT, (account.sha256,))
    if extract.kind == "labs":
        keep_early(warehouse, intake.as_of)
        told, look_at = told_revisions(warehouse)
        notes += told
        findings += look_at
    move_out(intake, extract, faults)
    account = with_faults(account, scanned.n_row + scanned.n_broken, faults)
    hold_rows(account, rows_of(intake))
    hold_contract(intake, extract, extract.name)
    if extract.taken_by == "retake":
        take_back(intake, extract, notes, findings)
    if extract.kind == "medications":
        n_late = withdrawn.withdraw_medications(warehouse, intake.as_of)
        notes += told_late(n_late, "medications")
    if extract.kind == "conditions" and extract.form == "ndjson" and extract.taken_by != "retry":
        notes += told_changed(extract.name, withdraw_changed(warehouse))
    if extract.kind == "labs":
        return account
    (account,) = versions(intake, extract.kind, [account])
    return account


def with_faults(account: FileAccount, n_read: int, faults: Counter[str]) -> FileAccount:
    """The account of a file whose rows were judged."""
    n_out_of_scope = faults["scope"]
    n_rejected = faults.total() - n_out_of_scope
    return replace(
        account,
        n_read=n_read,
        n_accepted=n_read - n_rejected - n_out_of_scope,
        n_out_of_scope=n_out_of_scope,
        n_rejected=n_rejected,
    )


def hold_rows(account: FileAccount, n_left: int) -> None:
    """AuditFailed where not as many rows are left as the account says."""
    if n_left != account.n_accepted:
        raise AuditFailed(
            f"the rows of {account.file_name} do not add up once the failed ones are moved out. "
            "Nothing was published; yesterday's files stand. This is a bug: report it with the "
            "file's name."
        )


def take_back(intake: Intake, extract: Extract, notes: list[str], findings: list[str]) -> None:
    """Withdraw what the file gave before and does not give now, and say how much that is."""
    n_gone, n_left = taking_again.withdraw(intake.warehouse, extract)
    if n_gone:
        intake.warehouse.execute("INSERT INTO taking.taken_back VALUES (?)", (n_gone,))
        notes.append(
            f"{extract.name}: {n_gone} rows of {extract.kind} that it gave before are withdrawn, "
            "as today's map does not read them"
        )
    if n_left:
        findings.append(
            f"{extract.name}: {n_left} rows of {extract.kind} stay as they were taken before, "
            "though today's map does not read them; ask the sender for them again"
        )


def move_out(intake: Intake, extract: Extract, faults: Counter[str]) -> None:
    """Rejected rows to ``core.reject``, their cells to the private store; count unmapped codes.

    ``faults`` are those of the files at hand, all of the extract's kind. From here on they are
    taken.
    """
    warehouse, kind = intake.warehouse, extract.kind
    if faults:
        for statement in (COPY_BROKEN, KEEP_BROKEN, COPY_REJECTS, KEEP_REJECTS):
            warehouse.execute(statement, (kind,))
    warehouse.execute(NEW_CONTENT, (kind,))
    if kind == "labs":
        if extract.taken_by == "retake":
            warehouse.execute(UNMAPPED_BEFORE, (intake.as_of, extract.sha256))
        if faults["scope"]:
            warehouse.execute(
                ddl.insert_by_name("private.unmapped_part", sql_text("core/unmapped_part.sql"))
            )
        warehouse.fill("core.lab_feed", sql_text("core/lab_feed.sql"))
        warehouse.execute(NEW_FILE)
    if faults:
        warehouse.execute("DELETE FROM core.taken WHERE taken.fault IS NOT NULL")


def hold_contract(intake: Intake, extract: Extract, name: str) -> None:
    """The declared contract against the rows just taken, in slices; ``name`` says of what."""
    warehouse = intake.warehouse
    relation = RELATION[extract.kind]
    ((first, last),) = warehouse.rows(FIRST_AND_LAST)
    if first is None:
        return
    source, place = "core.taken", "rowid"
    if extract.kind == "labs":
        source, place = "taking.result", "place"
        warehouse.execute(ddl.create_view(source, sql_text("core/taken_result.sql")))
    for start in range(first, min(last + 1, first + contracts.MOST_ROWS), contracts.SLICE_ROWS):
        frame = warehouse.frame(
            ddl.slice_between(RELATIONS[relation], source, place),
            (start, start + contracts.SLICE_ROWS),
        )
        contracts.hold(relation, frame, name)


def versions(intake: Intake, kind: str, accounts: Sequence[FileAccount]) -> list[FileAccount]:
    """Bring files of any kind but labs into their table; older rows aside."""
    warehouse = intake.warehouse
    name = RELATION[kind]
    folded = FOLDS.get(kind)
    if folded:
        for statement in fold.create_events(folded):
            warehouse.execute(statement)
        warehouse.execute(ddl.create_view("taking.version", fold.EVENT_ROWS))
    else:
        warehouse.execute(ddl.create_table_as("taking.version", sql_text(VERSION[kind])))
    counted = fold.BUCKETS if folded else together.BUCKETS
    buckets = {tuple(key): n for *key, n in warehouse.rows(counted)}
    set_aside(intake, kind)
    if folded:
        for statement in (fold.insert_current(folded), *fold.keep_told(folded)):
            warehouse.execute(statement)
        warehouse.execute("DROP VIEW taking.version")
        for name in fold.WORKING:
            warehouse.execute(f"DROP TABLE {name}")
    else:
        warehouse.execute(ddl.append(RELATIONS[name], "core.taken"))
        warehouse.execute("DROP TABLE taking.version")
    warehouse.execute("DROP TABLE core.taken")
    return [
        account.with_versions(
            buckets.get((account.file_name, "duplicate"), 0),
            buckets.get((account.file_name, "superseded"), 0),
        )
        for account in accounts
    ]


def lab_versions(
    intake: Intake, accounts: list[FileAccount], findings: list[str]
) -> list[FileAccount]:
    """Compare the results taken with each other and with what was known; make them the history.

    Keys that a sender used for two people, and results that went back, are added to ``findings``.
    """
    warehouse = intake.warehouse
    if not warehouse.has("core.taken"):
        return accounts
    name = STORED["labs"]
    n_known = int(warehouse.scalar("SELECT count(*) FROM core.lab_row"))
    is_first = n_known == 0
    buckets: Counter[tuple[str, ...]] = Counter()
    warehouse.write("taking.lab_repeated", repeated_keys(warehouse))
    if not is_first and n_arrived(warehouse) * MUCH_OF_HISTORY > n_known:
        dropped = repeats_dropped(warehouse)
        buckets.update(dropped)
        if dropped:
            warehouse.write("taking.lab_repeated", repeated_keys(warehouse))
    if not is_first:
        warehouse.execute(ddl.insert_by_name("taking.lab_repeated", sql_text("core/lab_known.sql")))
    # Most nights bring nothing twice: then there is no order to find.
    if n_key := int(warehouse.scalar(COUNT_KEYS)):
        order_versions(warehouse, n_key)
        buckets.update({tuple(key): n for *key, n in warehouse.rows(COUNT_BUCKETS)})
        if n_reused := int(warehouse.scalar(COUNT_REUSED)):
            findings.append(
                f"{n_reused} results came under the key of a result of somebody else from another "
                "day, and count in its place: where the sender numbers its orders anew (each day, "
                "each year), one person's result has taken another one's away. Have the key made "
                "of the number, the code and the day (laboratories.NAME.csv, or OBR-3), then "
                "`retake` the files"
            )
        if n_back := int(warehouse.scalar(COUNT_GONE_BACK)):
            findings.append(
                f"{n_back} results went back to what an earlier version of them said: rows that "
                "repeat it came after another version, and no time of report says that they are "
                "the older ones. Where an old file was sent again, have what is current sent again "
                "after it; reported_at in the extracts settles it"
            )
        set_aside(intake, "labs")
        hold_one_version(warehouse)
    if is_first:
        # The table of what was taken becomes the history: the rows are written once.
        warehouse.execute("DROP TABLE core.lab_row")
        for statement in ddl.made_into(
            RELATIONS[name], "core.taken", ("fault", "cells", "unitless")
        ):
            warehouse.execute(statement)
    else:
        warehouse.execute(ddl.append(RELATIONS[name], "core.taken"))
        warehouse.execute("DROP TABLE core.taken")
    return [
        account.with_versions(
            *(
                buckets[account.file_name, account.sha256, account.taken_by, bucket]
                for bucket in ("duplicate", "superseded")
            )
        )
        if account.kind == "labs"
        else account
        for account in accounts
    ]


def hold_one_version(warehouse: Warehouse) -> None:
    """AuditFailed where a result that came again stands in more than one version."""
    if n_doubled := int(warehouse.scalar(COUNT_DOUBLED)):
        raise AuditFailed(
            f"{n_doubled} results stand in more than one version once the older ones are set "
            "aside. Nothing was published; yesterday's files stand. This is a bug: report it."
        )


def repeats_dropped(warehouse: Warehouse) -> dict[tuple[str, ...], int]:
    """Drop arriving results that say what the history says already; how many of each file.

    A laboratory that sends everything every night sends little else: ordering their versions would
    cost fifty times as much. On a night that takes a file again a row may also take another one
    back, so that all are ordered.
    """
    if warehouse.scalar("SELECT count(*) FROM taking.retaken"):
        return {}
    warehouse.execute(NO_REPEATS)
    for part in parts(n_arrived(warehouse), ROWS_AT_ONCE):
        warehouse.execute(
            ddl.insert_by_name("taking.lab_repeat", sql_text("core/lab_repeat.sql")), part
        )
    dropped = {tuple(key): n for *key, n in warehouse.rows(COUNT_REPEATS)}
    warehouse.execute(DROP_REPEATS)
    return dropped


def repeated_keys(warehouse: Warehouse) -> pl.DataFrame:
    """The keys of results that arrived more than once.

    Sorted here, as one column of integers: the engine's own grouping costs three times as much.
    """
    repeated = []
    for part in parts(n_arrived(warehouse), KEYS_AT_ONCE):
        keys = warehouse.frame(sql_text("core/lab_key.sql"), part)["key"].sort()
        repeated.append(keys.filter(keys == keys.shift(1)).unique())
    return pl.DataFrame({"key": pl.concat(repeated)})


def order_versions(warehouse: Warehouse, n_key: int) -> None:
    """All versions of the ``n_key`` results in ``taking.lab_repeated``, in their order."""
    select = sql_text(VERSION["labs"])
    for part in parts(n_key, RESULTS_AT_ONCE):
        warehouse.execute(RESULTS_AT_HAND, part)
        if part[1] == 0:
            warehouse.execute(ddl.create_table_as("taking.version", select))
        else:
            warehouse.execute(ddl.insert_by_name("taking.version", select))


def n_arrived(warehouse: Warehouse) -> int:
    """How many results arrived and are not dropped."""
    return int(warehouse.scalar("SELECT count(*) FROM core.taken"))


def set_aside(intake: Intake, kind: str) -> None:
    """Older versions to the private store, with the night that replaced them; repeats dropped."""
    warehouse = intake.warehouse
    name = RELATION[kind]
    table = name.split(".")[1]
    warehouse.execute(
        ddl.append_versions(RELATIONS[name], f"private.{table}", "taking.version"), (intake.as_of,)
    )
    for origin, target in (("core", STORED[kind]), ("taken", "core.taken")):
        warehouse.execute(ddl.delete_versions(target, "taking.version"), (origin,))
