"""Which resource told which condition, and what is taken back where it tells that no more.

A condition is known by person, code and day; a FHIR resource by its id, within a folder of the
inbox. What a resource said last counts, by its last updates as far as it has them. What it said of
the same person before is withdrawn, unless another resource says it, or an extract of another form
said it last.
"""

from dataclasses import dataclass
from pathlib import Path

from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from schemas import ddl

NOTHING = {
    "said": "CREATE OR REPLACE VIEW taking.fhir_said AS SELECT CAST(NULL AS BIGINT) AS record, "
    "CAST(NULL AS VARCHAR) AS resource_id, CAST(NULL AS VARCHAR) AS patient_id, "
    "CAST(NULL AS VARCHAR) AS changed_at, CAST(NULL AS VARCHAR) AS tells LIMIT 0",
    "gone": "CREATE OR REPLACE VIEW taking.fhir_gone AS SELECT CAST(NULL AS BIGINT) AS record, "
    "CAST(NULL AS VARCHAR) AS resource_id, CAST(NULL AS VARCHAR) AS patient_id, "
    "CAST(NULL AS VARCHAR) AS changed_at LIMIT 0",
}
OF_SOMEBODY_ELSE = (
    "SELECT count(DISTINCT said.resource_id) FROM taking.condition_said AS said "
    "INNER JOIN private.condition_said AS known ON known.folder = said.folder "
    "AND known.resource_id = said.resource_id AND known.patient_id <> said.patient_id "
    "ANTI JOIN private.condition_said AS before ON before.folder = said.folder "
    "AND before.resource_id = said.resource_id AND before.patient_id = said.patient_id "
    "WHERE known.code IS NOT NULL AND said.code IS NOT NULL"
)
# Of what never was a condition of ours nobody asks.
KEEP = (
    "MERGE INTO private.condition_said AS known USING ("
    "SELECT one.* EXCLUDE (withdraws) FROM taking.condition_said AS one "
    "WHERE one.code IS NOT NULL OR one.withdraws "
    "OR (one.folder, one.resource_id, one.patient_id) IN ("
    "SELECT (before.folder, before.resource_id, before.patient_id) "
    "FROM private.condition_said AS before "
    "UNION ALL SELECT (mapped.folder, mapped.resource_id, mapped.patient_id) "
    "FROM taking.condition_said AS mapped WHERE mapped.code IS NOT NULL)"
    ") AS said ON known.folder = said.folder AND known.resource_id = said.resource_id "
    "AND known.patient_id = said.patient_id AND known.is_dated = said.is_dated "
    "AND known.code_system IS NOT DISTINCT FROM said.code_system "
    "AND known.code IS NOT DISTINCT FROM said.code "
    "AND known.recorded_on IS NOT DISTINCT FROM said.recorded_on "
    "WHEN MATCHED AND known.place < said.place THEN UPDATE SET place = said.place "
    "WHEN NOT MATCHED THEN INSERT BY NAME"
)
# A withdrawal was judged before it was known which rows of its file are rejected, and in their
# order alone: where a resource says the condition last it says no more than that.
STANDS = (
    "UPDATE core.taken SET is_gone = FALSE, tells_resolved_on = FALSE "
    "FROM taking.fhir_gone AS gone, taking.condition_last AS latest "
    "WHERE taken.is_gone AND gone.record = taken.record AND gone.resource_id <> '' "
    "AND latest.patient_id = taken.patient_id AND latest.code_system = taken.code_system "
    "AND latest.code = taken.code AND latest.recorded_on = taken.recorded_on"
)


@dataclass(frozen=True)
class Changed:
    """How many conditions are withdrawn, and how many came under an id of somebody else's."""

    n_withdrawn: int
    n_other: int


def look_for_said(warehouse: Warehouse, folder: Path) -> None:
    """``taking.fhir_said`` and ``taking.fhir_gone``: what resources of the file at hand say."""
    for title, nothing in NOTHING.items():
        if list(folder.glob(f"{title}-*.parquet")):
            parts = str(folder / f"{title}-*.parquet")
            warehouse.execute(ddl.parquet_view(f"taking.fhir_{title}", parts))
        else:
            warehouse.execute(nothing)


def look_for_last(warehouse: Warehouse) -> None:
    """``taking.condition_last``: what each resource is known to say last."""
    warehouse.execute(
        ddl.create_table_as(
            "taking.condition_last", sql_text("core/condition_last.sql"), replaces=True
        )
    )


def withdraw_changed(warehouse: Warehouse) -> Changed:
    """Remember what the resources of the file at hand say, as far as its rows were accepted.

    What is not said any more is withdrawn, as rows of ``core.taken`` that no account counts.
    """
    warehouse.execute(
        ddl.create_table_as("taking.condition_said", sql_text("core/condition_said.sql"))
    )
    n_other = int(warehouse.scalar(OF_SOMEBODY_ELSE))
    warehouse.execute(KEEP)
    look_for_last(warehouse)
    warehouse.execute(STANDS)
    select = sql_text("core/changed_condition.sql")
    warehouse.execute(ddl.create_table_as("taking.changed_condition", select))
    n_changed = int(warehouse.scalar("SELECT count(*) FROM taking.changed_condition"))
    if n_changed:
        warehouse.execute(
            ddl.insert_by_name("core.taken", "SELECT * FROM taking.changed_condition")
        )
    warehouse.execute("DROP TABLE taking.condition_said")
    warehouse.execute("DROP TABLE taking.changed_condition")
    return Changed(n_changed, n_other)


def told_changed(name: str, changed: Changed) -> list[str]:
    """What took effect of conditions that are told otherwise than before, and what did not."""
    told = []
    if changed.n_withdrawn:
        told.append(
            f"{name}: {changed.n_withdrawn} conditions are withdrawn, as the resource that told "
            "them tells another one, another day, or none of ours by now"
        )
    if changed.n_other:
        told.append(
            f"{name}: {changed.n_other} conditions came under the id of a condition of somebody "
            "else, which stands as well; where it was recorded for the wrong person, have it sent "
            "with the status entered-in-error and that person"
        )
    return told
