"""What is taken back without a row that says so.

A later version of an observation that has a component no more takes that component's result back. A
withdrawal that names nothing yet waits, and takes effect once what it names comes; its own
row stays where it was counted. Both become withdrawals that belong to no file's account.
"""

from datetime import date, timedelta
from pathlib import Path

from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from schemas import ddl

# What does not come within a year of its withdrawal never was one of ours.
DAYS_WAITING = 366

NO_LONGER = "DELETE FROM private.late_withdrawal WHERE taken_for < ? OR done_for < ?"
SAME_PANELS = "DELETE FROM private.panel_part WHERE file_name = ? AND sent_for = ?"
KEEP_PANELS = "INSERT INTO private.panel_part BY NAME\n"
LATE_LABS = (
    "INSERT INTO private.late_withdrawal BY NAME SELECT 'labs' AS kind, gone.result_id AS key, "
    "moment_of(gone.reported_at, zone.timezone) AS reported_at, ? AS file_name, ? AS sha256, "
    "? AS taken_for FROM taking.fhir_gone AS gone CROSS JOIN taking.fhir_zone AS zone "
    "SEMI JOIN taking.fhir_unknown AS unknown ON unknown.record = gone.record"
)
LATE_MEDICATIONS = (
    "INSERT INTO private.late_withdrawal BY NAME SELECT 'medications' AS kind, "
    "gone.medication_id AS key, ? AS file_name, ? AS sha256, ? AS taken_for "
    "FROM taking.fhir_gone AS gone "
    "SEMI JOIN taking.fhir_unknown AS unknown ON unknown.record = gone.record "
    "WHERE gone.over = 'yes'"
)
ARE_WAITING = (
    "SELECT count(*) FROM private.late_withdrawal AS late "
    "WHERE late.kind = ? AND late.done_for IS NULL"
)
# A file that is taken again meets what took effect when it first came.
WERE_WAITING = (
    "SELECT count(*) FROM private.late_withdrawal AS late JOIN taking.night "
    "ON late.done_for = night.sent_for WHERE late.kind = 'medications'"
)
# By id what came has been withdrawn or is newer; by key it may have been another one's.
LABS_DONE = (
    "UPDATE private.late_withdrawal SET done_for = ? WHERE late_withdrawal.rowid IN ("
    "SELECT named.withdrawal FROM taking.late_named AS named WHERE named.laboratory IS NULL "
    "UNION SELECT gone.withdrawal FROM taking.withdrawn AS gone)"
)
MEDICATIONS_DONE = (
    "UPDATE private.late_withdrawal SET done_for = ? WHERE kind = 'medications' "
    "AND done_for IS NULL AND key IN (SELECT taken.medication_id FROM core.taken)"
)
# Observations of which something came tonight.
PANELS_TONIGHT = (
    "CREATE TABLE taking.panel_key AS SELECT part.result_key FROM private.panel_part AS part "
    "WHERE part.taken_for = ? UNION SELECT owned.result_key FROM core.taken JOIN ("
    "SELECT part.result_key, part.result_id FROM private.panel_part AS part UNION "
    "SELECT part.result_key, part.result_key FROM private.panel_part AS part"
    ") AS owned ON owned.result_id = taken.result_id"
)
WITHDRAWN_FILES = (
    "INSERT INTO core.lab_file BY NAME SELECT file.file_id, file.file_name, ? AS taken_for, "
    # Of no content: a file that is taken again does not take these back.
    "nullif(file.sent_for, ?) AS sent_for, '' AS sha256, 'withdrawal' AS taken_by "
    "FROM taking.withdrawn_file AS file"
)


def prepare(warehouse: Warehouse, as_of: date) -> None:
    """Let go of what has waited for too long."""
    since = as_of - timedelta(days=DAYS_WAITING)
    warehouse.execute(NO_LONGER, (since, since))


def keep_panels(warehouse: Warehouse, folder: Path, file_name: str, sent_for: date) -> None:
    """Remember which results observations with components have, once their file is scanned.

    ``folder`` holds what was read of labs; ``sent_for`` is the night that first took the file.
    """
    if not list(folder.glob("whole-*.parquet")):
        return
    warehouse.execute(ddl.parquet_view("taking.fhir_whole", str(folder / "whole-*.parquet")))
    warehouse.execute(SAME_PANELS, (file_name, sent_for))
    warehouse.execute(KEEP_PANELS + sql_text("core/panel_part.sql"))


def keep_waiting(warehouse: Warehouse, kind: str, file_name: str, sha256: str, as_of: date) -> None:
    """Remember the withdrawals by id of the file at hand that name nothing known yet."""
    statement = {"labs": LATE_LABS, "medications": LATE_MEDICATIONS}.get(kind)
    if statement is not None:
        # A condition has no id: stated after it was refuted, it stands.
        warehouse.execute(statement, (file_name, sha256, as_of))


def withdraw_medications(warehouse: Warehouse, as_of: date) -> int:
    """Withdraw what the file at hand brought too late; how many rows that is."""
    if not (warehouse.scalar(ARE_WAITING, ("medications",)) or warehouse.scalar(WERE_WAITING)):
        return 0
    select = sql_text("core/late_medication.sql")
    n_late = int(warehouse.scalar(ddl.counted(select)))
    if n_late:
        warehouse.execute(ddl.insert_by_name("core.taken", select))
    warehouse.execute(MEDICATIONS_DONE, (as_of,))
    return n_late


def withdraw_labs(warehouse: Warehouse, as_of: date) -> tuple[int, int]:
    """Withdraw what came too late or was dropped, as rows of ``core.taken`` that no account counts.

    Returns how many results of each. Every labs file of the night lies in ``core.taken``.
    """
    n_late = 0
    if warehouse.scalar(ARE_WAITING, ("labs",)):
        warehouse.execute(ddl.create_table_as("taking.late_named", sql_text("core/late_named.sql")))
        n_late = withdraw(warehouse, "core/late_lab.sql", as_of)
        warehouse.execute(LABS_DONE, (as_of,))
    if not warehouse.scalar("SELECT count(*) FROM private.panel_part"):
        return n_late, 0
    warehouse.execute(PANELS_TONIGHT, (as_of,))
    if not warehouse.scalar("SELECT count(*) FROM taking.panel_key"):
        return n_late, 0
    return n_late, withdraw(warehouse, "core/dropped_part.sql", as_of)


def withdraw(warehouse: Warehouse, name: str, as_of: date) -> int:
    """The withdrawals that one SELECT of the ``sql`` folder names; how many they are."""
    warehouse.execute("DROP TABLE IF EXISTS taking.withdrawn")
    warehouse.execute(ddl.create_table_as("taking.withdrawn", sql_text(name)))
    n_gone = int(warehouse.scalar("SELECT count(*) FROM taking.withdrawn"))
    if n_gone:
        warehouse.execute("DROP TABLE IF EXISTS taking.withdrawn_file")
        warehouse.execute(
            ddl.create_table_as("taking.withdrawn_file", sql_text("core/withdrawn_file.sql"))
        )
        warehouse.execute(WITHDRAWN_FILES, (as_of, as_of))
        warehouse.execute(ddl.insert_by_name("core.taken", sql_text("core/withdrawn_lab.sql")))
    return n_gone
