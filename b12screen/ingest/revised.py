"""Corrections and withdrawals of known results that come by a code which no map names.

The key says which result is meant, and a laboratory may cancel by a code that stands for no test. A
withdrawal of the same person's result is one, whatever its code, also of one that comes later and
was reported before. What only somebody who knows the
code can judge is told: a correction, which has made another test of it, and what stands in one file
with a value of the same key.
"""

from datetime import date

from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from schemas import ddl

REVISION = "taking.revision"
# Looking for the key reads the ids of the whole history; most files hold no such row.
MAY_REVISE = (
    "SELECT count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "WHERE taken.fault = 'scope' AND contains(taken.cells, '\"result_id\"')"
)
WITHDRAW = (
    "UPDATE core.taken SET result_id = revision.result_id, patient_id = revision.patient_id, "
    "word_id = revision.word_id, value = NULL, collected_at = revision.collected_at, "
    "reported_at = revision.reported_at, clinic_id = revision.clinic_id, fault = NULL, "
    "cells = NULL FROM taking.revision AS revision "
    "WHERE taken.rowid = revision.place AND revision.withdraws"
)
# What comes later, and was reported before, is withdrawn by it.
KEEP_EARLY = (
    "INSERT INTO private.late_withdrawal BY NAME SELECT 'labs' AS kind, "
    "early.result_id AS key, early.laboratory, early.patient_id, early.reported_at, "
    "night.file_name, night.sha256, CAST(? AS DATE) AS taken_for "
    "FROM taking.revision AS early "
    "INNER JOIN core.taken ON taken.rowid = early.place "
    "INNER JOIN taking.night ON night.file_id = taken.file_id "
    "ANTI JOIN private.late_withdrawal AS late ON late.key = early.result_id "
    "AND late.laboratory = early.laboratory AND late.patient_id = early.patient_id "
    "AND late.reported_at = early.reported_at AND late.done_for IS NULL "
    "WHERE early.is_early QUALIFY row_number() OVER (PARTITION BY early.result_id, "
    "early.laboratory, early.patient_id, early.reported_at "
    "ORDER BY taken.file_id, taken.record) = 1"
)
COUNTS = (
    "SELECT night.file_name, count(*) FILTER (WHERE revision.withdraws), "
    "count(*) FILTER (WHERE NOT revision.withdraws AND revision.stands) "
    "FROM taking.revision AS revision "
    "INNER JOIN core.taken ON taken.rowid = revision.place "
    "INNER JOIN taking.night ON night.file_id = taken.file_id GROUP BY ALL ORDER BY ALL"
)


def withdraw_by_key(warehouse: Warehouse) -> None:
    """Make withdrawals of the rows at hand that withdraw a known result by an unmapped code.

    They are accepted then; what corrects one stays out of scope, for :func:`told_revisions`.
    """
    warehouse.execute(f"DROP TABLE IF EXISTS {REVISION}")
    if warehouse.scalar(MAY_REVISE):
        warehouse.execute(ddl.create_table_as(REVISION, sql_text("core/revision.sql")))
        warehouse.execute(WITHDRAW)


def keep_early(warehouse: Warehouse, as_of: date) -> None:
    """Let withdrawals of what is not known wait for it, once the files at hand are to be taken."""
    if warehouse.has(REVISION):
        warehouse.execute(KEEP_EARLY, (as_of,))


def told_revisions(warehouse: Warehouse) -> tuple[list[str], list[str]]:
    """For each of the files at hand a note on what was withdrawn so, a finding on what stands."""
    if not warehouse.has(REVISION):
        return [], []
    notes, findings = [], []
    for name, n_gone, n_left in warehouse.rows(COUNTS):
        if n_gone:
            notes.append(
                f"{name}: {n_gone} known results are withdrawn by rows of codes that no map names, "
                "of the same key and person"
            )
        if n_left:
            findings.append(
                f"{name}: {n_left} rows correct or withdraw results that are known, by codes that "
                "no map names, so that their values stand as they were and may be on a list; map "
                "the codes (`b12screen unmapped`) and `retake` the file, or have them sent by the "
                "code of the result. Where one key is used for all tests of an order, have it made "
                "of the order and the code"
            )
    return notes, findings
