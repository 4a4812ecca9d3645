"""The store's tables in the shape of this version, and what an earlier version left brought to it.

The number of a format stands in the store. A store of this format is taken as it lies; one without
a number, and so of before there was one, is brought along; one of a later format is refused, as
this version may not know what it keeps. Whoever changes a table raises ``FORMAT`` and adds a step.
"""

from b12screen.errors import AuditFailed
from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse, parts
from schemas import ddl, fold
from schemas.declared import LAYERS  # noqa: F401 - declares what RELATIONS holds

FORMAT = 1
# What is queried, as it is declared.
DECLARED = (
    "core.patient",
    "core.condition",
    "core.medication",
    "core.feedback",
    "core.lab_row",
    "core.lab_word",
    "core.lab_file",
    "core.lab_feed",
    "core.near_duplicate",
    "core.reject",
    "core.unmapped_code",
    "run.source_file",
)
# Rows of these may tell a part of what is known; which told it last is kept beside them.
FOLDED = tuple(map(fold.fold_of, ("core.patient", "core.condition", "core.medication")))
# What nobody queries: older versions, cells of rejected rows, and what the next night has to know.
PRIVATE = (
    "CREATE TABLE IF NOT EXISTS private.lab_result AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.lab_result AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.patient AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.patient AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.condition AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.condition AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.medication AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.medication AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.feedback AS "
    "SELECT known.*, CAST(NULL AS DATE) AS replaced_on FROM core.feedback AS known LIMIT 0",
    "CREATE TABLE IF NOT EXISTS private.reject_row (file_name VARCHAR, sha256 VARCHAR, "
    "kind VARCHAR, record BIGINT, line BIGINT, segment VARCHAR, check_name VARCHAR, raw VARCHAR, "
    "taken_for DATE, replaced_on DATE)",
    "CREATE TABLE IF NOT EXISTS private.unmapped_part (file_name VARCHAR, sha256 VARCHAR, "
    "kind VARCHAR, laboratory VARCHAR, code_system VARCHAR, code VARCHAR, test_name VARCHAR, "
    "unit VARCHAR, n BIGINT, first_on DATE, last_on DATE, steps MAP(INTEGER, UBIGINT), "
    "taken_for DATE, replaced_on DATE)",
    "CREATE TABLE IF NOT EXISTS private.taken_file (sha256 VARCHAR, kind VARCHAR, "
    "file_name VARCHAR, taken_for DATE, PRIMARY KEY (sha256, kind))",
    "CREATE TABLE IF NOT EXISTS private.clock (timezone VARCHAR)",
    "CREATE TABLE IF NOT EXISTS private.named_laboratory (laboratory VARCHAR)",
    "CREATE TABLE IF NOT EXISTS private.seen_file (file_name VARCHAR PRIMARY KEY, size BIGINT, "
    "mtime_ns BIGINT, inode UBIGINT, ctime_ns BIGINT, sha256 VARCHAR)",
    # Which results an observation with components has.
    "CREATE TABLE IF NOT EXISTS private.panel_part (result_key VARCHAR, result_id VARCHAR, "
    "laboratory VARCHAR, reported_at TIMESTAMP, file_name VARCHAR, record BIGINT, sent_for DATE, "
    "taken_for DATE)",
    # What names a result by its key names its laboratory and person as well; by id, neither.
    "CREATE TABLE IF NOT EXISTS private.late_withdrawal (kind VARCHAR, key VARCHAR, "
    "reported_at TIMESTAMP, file_name VARCHAR, sha256 VARCHAR, taken_for DATE, done_for DATE, "
    "laboratory VARCHAR, patient_id VARCHAR)",
    # ``code`` is NULL where the resource is none of the mapped conditions, or is withdrawn.
    "CREATE TABLE IF NOT EXISTS private.condition_said (folder VARCHAR, resource_id VARCHAR, "
    "patient_id VARCHAR, code_system VARCHAR, code VARCHAR, recorded_on DATE, is_dated BOOLEAN, "
    "place STRUCT(changed_at TIMESTAMP, told_for DATE, told_in VARCHAR, told_at BIGINT))",
    "CREATE TABLE IF NOT EXISTS private.fhir_told (folder VARCHAR, kind VARCHAR, id VARCHAR, "
    "system VARCHAR, said VARCHAR, place BIGINT, told_for DATE)",
)
NUMBERED = "CREATE TABLE private.store_format (number INTEGER)"
SET_NUMBER = "INSERT INTO private.store_format VALUES (?)"
GET_NUMBER = "SELECT max(number) FROM private.store_format"

# From here on: stores of before there was a number, of whatever age.
# They do not say which content a row came with.
COLUMNS_ADDED = (
    "ALTER TABLE core.patient ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.condition ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.medication ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS sha256 VARCHAR",
    "ALTER TABLE core.lab_file ADD COLUMN IF NOT EXISTS taken_by VARCHAR DEFAULT 'run'",
    "ALTER TABLE core.reject ADD COLUMN IF NOT EXISTS replaced_on DATE",
    "ALTER TABLE core.reject ADD COLUMN IF NOT EXISTS sha256 VARCHAR",
    "ALTER TABLE run.source_file ADD COLUMN IF NOT EXISTS taken_by VARCHAR DEFAULT 'run'",
    "ALTER TABLE run.source_file ADD COLUMN IF NOT EXISTS attempt BIGINT DEFAULT 1",
)
PRIVATE_COLUMNS_ADDED = (
    "ALTER TABLE private.reject_row ADD COLUMN IF NOT EXISTS segment VARCHAR",
    "ALTER TABLE private.reject_row ADD COLUMN IF NOT EXISTS replaced_on DATE",
    "ALTER TABLE private.lab_result ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.patient ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.condition ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.medication ADD COLUMN IF NOT EXISTS sent_for DATE",
    "ALTER TABLE private.late_withdrawal ADD COLUMN IF NOT EXISTS laboratory VARCHAR",
    "ALTER TABLE private.late_withdrawal ADD COLUMN IF NOT EXISTS patient_id VARCHAR",
)
FILL_IN = (
    # Files as they were taken, and what was rejected of them, did not say their content.
    "UPDATE core.lab_file SET sha256 = known.sha256 FROM run.source_file AS known "
    "WHERE lab_file.sha256 IS NULL AND known.kind = 'labs' AND known.reason IS NULL "
    "AND known.file_name = lab_file.file_name AND known.taken_for = lab_file.taken_for",
    "UPDATE core.reject SET sha256 = known.sha256 FROM run.source_file AS known "
    "WHERE reject.sha256 IS NULL AND known.kind = reject.kind AND known.reason IS NULL "
    "AND known.file_name = reject.file_name AND known.taken_for = reject.taken_for",
)
PRIVATE_FILL_IN = (
    # Of what is out of scope they knew no file.
    "INSERT INTO private.unmapped_part BY NAME SELECT known.* FROM core.unmapped_code AS known "
    "WHERE (SELECT count(*) FROM private.unmapped_part) = 0",
    # Of the laboratories that the settings name, those of which results came.
    "INSERT INTO private.named_laboratory SELECT DISTINCT word.laboratory FROM core.lab_word "
    "AS word WHERE (SELECT count(*) FROM private.named_laboratory) = 0",
    # Which resource told a condition was once kept without folders and moments.
    "DROP TABLE IF EXISTS private.condition_teller",
    # A condition that was taken back was kept with the day before the earliest.
    "INSERT INTO private.condition_told BY NAME SELECT gone.patient_id, gone.code_system, "
    "gone.code, gone.recorded_on, coalesce(gone.sent_for, gone.taken_for) AS told_for, "
    "gone.file_name AS told_in, gone.record AS told_at, gone.taken_for AS told_since, "
    "TRUE AS tells_rest, TRUE AS tells_resolved_on FROM private.condition AS gone "
    "ANTI JOIN core.condition AS known ON known.patient_id = gone.patient_id "
    "AND known.code_system = gone.code_system AND known.code = gone.code "
    "AND known.recorded_on = gone.recorded_on "
    "WHERE gone.resolved_on < DATE '1900-01-01' "
    "AND (SELECT count(*) FROM private.condition_told) = 0 "
    "QUALIFY row_number() OVER (PARTITION BY gone.patient_id, gone.code_system, gone.code, "
    "gone.recorded_on ORDER BY gone.taken_for DESC, gone.file_name DESC, gone.record DESC) = 1",
)
# A large night could leave older versions beside newer ones. Keys as numbers, part by part: the
# texts of fifty million keys at once are more than the engine is given.
KEYS_AT_ONCE = 4_000_000
COUNT_DOUBLED = (
    "WITH repeated AS (SELECT hash(stored.result_id) AS key FROM core.lab_row AS stored "
    "WHERE mod(hash(stored.result_id), CAST(? AS UBIGINT)) = CAST(? AS UBIGINT) "
    "GROUP BY ALL HAVING count(*) > 1) "
    "SELECT count(*) FROM (SELECT stored.result_id, word.laboratory FROM core.lab_row AS stored "
    "INNER JOIN core.lab_word AS word ON word.word_id = stored.word_id "
    "WHERE hash(stored.result_id) IN (SELECT key FROM repeated) "
    "GROUP BY ALL HAVING count(*) > 1)"
)
# Each content was known under one kind only.
IS_KEYED_BY_CONTENT_ALONE = (
    "SELECT count(*) FROM duckdb_constraints() WHERE database_name = 'private' "
    "AND table_name = 'taken_file' AND constraint_type = 'PRIMARY KEY' "
    "AND len(constraint_column_names) = 1"
)
KEY_BY_CONTENT_AND_KIND = (
    "CREATE TABLE private.taken_file_again (sha256 VARCHAR, kind VARCHAR, file_name VARCHAR, "
    "taken_for DATE, PRIMARY KEY (sha256, kind))",
    "INSERT INTO private.taken_file_again BY NAME SELECT known.* FROM private.taken_file AS known",
    "DROP TABLE private.taken_file",
    "ALTER TABLE private.taken_file_again RENAME TO taken_file",
)


class StoreIsUnsound(AuditFailed):
    """An earlier version left the store with results in two versions, and may have lost others."""


class StoreIsLater(AuditFailed):
    """The store was written by a version of the project that keeps more than this one knows."""


def bring_up(warehouse: Warehouse) -> None:
    """Make the open store one of this format.

    StoreIsLater where it is of a later one, StoreIsUnsound where an earlier one left it wrong.
    """
    is_numbered = format_of(warehouse) is not None
    is_older = not is_numbered and warehouse.has("core.lab_file")
    if not is_numbered:
        # Each statement by itself would wait for the disk; one transaction writes to one file.
        with warehouse.together():
            warehouse.create(DECLARED)
    if is_older:
        for statement in (*COLUMNS_ADDED, *FILL_IN):
            warehouse.execute(statement)
    warehouse.execute(ddl.create_view("core.lab_result", sql_text("core/lab_result.sql")))
    if not is_numbered:
        with warehouse.together():
            for statement in (*PRIVATE, *map(fold.create_told, FOLDED)):
                warehouse.execute(statement)
    if is_older:
        bring_up_private(warehouse)
        hold_sound(warehouse)
    if not is_numbered:
        with warehouse.together():
            warehouse.execute(NUMBERED)
            warehouse.execute(SET_NUMBER, (FORMAT,))


def format_of(warehouse: Warehouse) -> int | None:
    """The format of the store of the open ``private`` file; None where it has no number.

    StoreIsLater where this version does not know it.
    """
    if not warehouse.has("private.store_format"):
        return None
    number = int(warehouse.scalar(GET_NUMBER))
    if number > FORMAT:
        raise StoreIsLater(
            f"the store was last written by a later version of b12screen (its format is {number}, "
            f"this version knows {FORMAT}), and what that one keeps would be lost: nothing is "
            "published, yesterday's files stand. Install the later version again, or put store/ "
            "and published/ back together from their backup of before the upgrade"
        )
    return number


def bring_up_private(warehouse: Warehouse) -> None:
    """The private tables of a store of before there was a number."""
    for statement in (*PRIVATE_COLUMNS_ADDED, *PRIVATE_FILL_IN):
        warehouse.execute(statement)
    if warehouse.scalar(IS_KEYED_BY_CONTENT_ALONE):
        with warehouse.together():
            for statement in KEY_BY_CONTENT_AND_KIND:
                warehouse.execute(statement)


def hold_sound(warehouse: Warehouse) -> None:
    """StoreIsUnsound where a result of a store of before there was a number stands twice."""
    n_row = int(warehouse.scalar("SELECT count(*) FROM core.lab_row"))
    counts = (int(warehouse.scalar(COUNT_DOUBLED, part)) for part in parts(n_row, KEYS_AT_ONCE))
    if n_doubled := sum(counts):
        raise StoreIsUnsound(
            f"{n_doubled} results of the store stand in more than one version: versions before "
            "0.3.8 could leave that behind a large night, and lose other results. Nothing was "
            "published; yesterday's files stand. Move store/ and published/ away together and run "
            "the night again: the inbox still holds every extract, and all rows are new again"
        )
