"""The last look at finished files before anybody sees them.

Two kinds. *Audits* are the SELECTs of ``sql/audits``: each row they give is a breach; reasons, of
which no two are alike, are read there. *Interlocks* read the finished sheets as a clinic would and
state, without the rule table, what must never stand on a list. Any breach stops the night; the
message holds names and counts, never a row.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from b12screen.errors import AuditFailed
from b12screen.ingest import contracts
from b12screen.resources import sql_folder
from b12screen.warehouse import Warehouse
from b12screen.wording import recommendations
from b12screen.worklists import (
    guarded,
    guarded_cell,
    header,
    sheet_rows,
    unguarded,
    unguarded_cell,
)
from schemas import ddl, words
from schemas.relation import RELATIONS
from schemas.worklists import SHEET

NOT_FOR_NEUROLOGY = ("start_b12", "start_b12_assess", "consider_b12")
WITHOUT_REGIMEN = ("unroutable_age", "paediatric", "inborn_error", "pregnant")


class Listed(NamedTuple):
    """An open item and what an interlock must know of its person; no rule was asked for it."""

    patient_id: str
    action: str
    rule_id: str
    home_clinic_id: str | None
    route: str | None
    gone: bool
    renal_dysfunction: str | None
    neuro: str | None
    pregnant: str | None
    inborn_error: str | None
    cobalamin_reaction: str | None


class Line(NamedTuple):
    """A row as the clinic reads it, its item, what it says, and the clinic of its sheet."""

    row: dict[str, str]
    item: Listed
    says: frozenset[str]
    clinic: str | None


def _cyanocobalamin_with_bad_kidneys(line: Line) -> bool:
    return line.item.renal_dysfunction == "yes" and "cyanocobalamin" in line.says


def _wrong_regimen_for_neurology(line: Line) -> bool:
    return line.item.neuro == "recorded" and (
        line.row["action"] in NOT_FOR_NEUROLOGY or "regimen without neurology" in line.says
    )


def _stops_b12(line: Line) -> bool:
    return "stop" in line.says


def _dead_or_opted_out(line: Line) -> bool:
    # Somebody whose only result turned out to be another person's has no route any more.
    unknown = line.item.route is None and line.row["action"] != "result_withdrawn"
    return line.item.gone or unknown or line.item.route in ("deceased", "opted_out")


def _regimen_outside_the_screen(line: Line) -> bool:
    item = line.item
    if not (
        item.route in WITHOUT_REGIMEN
        or "yes" in (item.pregnant, item.inborn_error, item.cobalamin_reaction)
    ):
        return False
    # Injections that are under way go on in pregnancy.
    only_pregnant = item.route == "pregnant" and item.cobalamin_reaction != "yes"
    if only_pregnant and line.row["action"] == "maintenance_due":
        return False
    if item.cobalamin_reaction == "yes" and "cobalamin" in line.says:
        return True
    return line.row["action"] in words.REGIMENS or "dose" in line.says


def _folic_acid_without_b12(line: Line) -> bool:
    return "folic acid" in line.says


def _not_whole(line: Line) -> bool:
    row = line.row
    return not (
        row["rule_id"]
        and row["source"]
        and row["why"]
        and row["recommendation"].rstrip(".").endswith("for clinician review")
        and "hole" not in line.says
    )


def _at_another_clinic(line: Line) -> bool:
    clinic = line.row["clinic_id"]
    if line.clinic is None:
        return False
    # Who was told of a withdrawn result is told again, wherever the person belongs by now.
    told_again = line.row["action"] == "result_withdrawn"
    home = line.item.home_clinic_id
    at_home = told_again or (home is not None and clinic == unguarded(guarded(home)))
    return not clinic or clinic != line.clinic or not at_home


def _of_somebody_else(line: Line) -> bool:
    row, item = line.row, line.item
    return (row["patient_id"], row["action"], row["rule_id"]) != (
        unguarded(guarded(item.patient_id)),
        item.action,
        item.rule_id,
    )


INTERLOCKS: dict[str, Callable[[Line], bool]] = {
    "cyanocobalamin recommended with renal dysfunction": _cyanocobalamin_with_bad_kidneys,
    "another regimen than the neurological one with neurology recorded": (
        _wrong_regimen_for_neurology
    ),
    "a row recommends stopping B12": _stops_b12,
    "a row for a deceased or opted-out person": _dead_or_opted_out,
    "a regimen outside the screen or after a cobalamin reaction": _regimen_outside_the_screen,
    "folic acid recommended without B12": _folic_acid_without_b12,
    "a row without rule, reason, source or a whole recommendation": _not_whole,
    "a row without its clinic, or at another one": _at_another_clinic,
    "a row that names another person or rule than its item": _of_somebody_else,
}


OUTPUTS = ("run", "facts", "decisions", "worklists")


def audit_published(warehouse: Warehouse, folder: Path, sheets: dict[str, dict[str, Any]]) -> None:
    """Audit the finished database and sheets; :class:`AuditFailed` names each breach and count."""
    breaches = breaches_of(warehouse, folder, sheets)
    if breaches:
        raise AuditFailed(
            f"{len(breaches)} checks of the finished night failed ({'; '.join(breaches)}): nothing "
            "was published, yesterday's files stand; this is a fault of the software or of a "
            "ruleset, report it with this message"
        )


def breaches_of(warehouse: Warehouse, folder: Path, sheets: dict[str, dict[str, Any]]) -> list[str]:
    """What fails of the finished database and sheets: each check with its count and its rules."""
    breaches = Counter(_audit_breaches(warehouse))
    breaches.update(_contract_breaches(warehouse))
    of_sheets, rules = _sheet_breaches(warehouse, folder, sheets)
    breaches.update(of_sheets)
    return [
        f"{name}: {n:,}" + (f", by {', '.join(sorted(rules[name]))}" if name in rules else "")
        for name, n in sorted(breaches.items())
    ]


def _audit_breaches(warehouse: Warehouse) -> dict[str, int]:
    breaches = {}
    for path in sorted((sql_folder() / "audits").glob("*.sql")):
        n = warehouse.scalar(ddl.counted(path.read_text(encoding="utf-8")))
        if n:
            breaches[path.stem.replace("_", " ")] = n
    return breaches


def _contract_breaches(warehouse: Warehouse) -> Counter[str]:
    """What was decided and listed, held against its declaration in slices of bounded memory."""
    breaches: Counter[str] = Counter()
    for name in sorted(warehouse.relations() & RELATIONS.keys()):
        if name.partition(".")[0] not in OUTPUTS:
            continue
        n_rows = warehouse.scalar(ddl.counted(f"FROM {ddl.quoted_name(name)}"))
        for start in range(0, n_rows, contracts.SLICE_ROWS):
            frame = warehouse.frame(
                ddl.rows_from(RELATIONS[name]), (start, start + contracts.SLICE_ROWS)
            )
            failure = contracts.broken(name, frame)
            if failure is not None:
                breaches[f"the contract of {name} ({failure})"] += 1
    return breaches


def _sheet_breaches(
    warehouse: Warehouse, folder: Path, sheets: dict[str, dict[str, Any]]
) -> tuple[Counter[str], dict[str, set[str]]]:
    """Breaches of the sheets, and for those of the interlocks the rules that listed the rows."""
    breaches: Counter[str] = Counter()
    found = {path.name for path in folder.iterdir()}
    if found != sheets.keys():
        breaches["a sheet too many or too few"] += 1
    whole = []
    for name in sorted(sheets.keys() & found):
        if header(folder / name) == SHEET:
            whole.append(folder / name)
        else:
            breaches["a sheet with other columns"] += 1
    read = (
        sheet_rows(whole, _READ) if whole else pl.DataFrame(schema=dict.fromkeys(_NAMED, pl.String))
    )
    if read is None:
        breaches["a sheet that cannot be read"] += 1
        return breaches, {}
    clinics = pl.DataFrame(
        [
            (str(path), None if clinic is None else unguarded(guarded(clinic)))
            for path in whole
            for clinic in (sheets[path.name].get("clinic_id"),)
        ],
        schema={"path": pl.String, "of_clinic": pl.String},
        orient="row",
    )
    read = read.join(clinics, on="path", how="left").drop("path")
    listed = warehouse.frame(_LISTED).rename({"patient_id": "of_patient"} | _OF_ITEM)
    n_found = read.select("item_id").unique().join(listed, on="item_id", how="semi").height
    if read.height > n_found:
        breaches["a row without an item, or listed twice"] += read.height - n_found
    if listed.height > n_found:
        breaches["an item on no sheet"] += listed.height - n_found
    if not n_found:
        return breaches, {}
    of_lines, rules = _line_breaches(read.unique("item_id", keep="first"), listed)
    breaches.update(of_lines)
    return breaches, rules


def _line_breaches(
    read: pl.DataFrame, listed: pl.DataFrame
) -> tuple[Counter[str], dict[str, set[str]]]:
    """Breaches of the interlocks; lines that differ in nothing an interlock sees are asked once."""
    patient = pl.col("of_patient")
    lines = read.join(listed, on="item_id").with_columns(
        # Only whether they agree is looked at: a name on each line would make no two alike.
        pl.when(pl.col("patient_id") == unguarded_cell(guarded_cell(patient)))
        .then(pl.lit(""))
        .otherwise(pl.lit("somebody else"))
        .alias("patient_id"),
        pl.lit("").alias("of_patient"),
        pl.when(pl.col("why") == "").then(pl.lit("")).otherwise(pl.lit("given")).alias("why"),
    )
    breaches: Counter[str] = Counter()
    rules: dict[str, set[str]] = {}
    seen = [column for column in lines.columns if column != "item_id"]
    for cells in lines.group_by(seen).len().iter_rows(named=True):
        row = {column: cells[column] for column in _READ if column != "item_id"}
        item = Listed(
            *(cells[_OF_ITEM.get(field, field)] for field in ("of_patient", *Listed._fields[1:]))
        )
        line = Line(row, item, recommendations(row["recommendation"]), cells["of_clinic"])
        for interlock, is_breached in INTERLOCKS.items():
            if is_breached(line):
                breaches[interlock] += cells["len"]
                rules.setdefault(interlock, set()).add(item.rule_id)
    return breaches, rules


# The cells of a row that an interlock or the match with its item looks at.
_READ = (
    "item_id",
    "patient_id",
    "action",
    "rule_id",
    "source",
    "why",
    "recommendation",
    "clinic_id",
)
_NAMED = ("path", *_READ)
_OF_ITEM = {"action": "of_action", "rule_id": "of_rule"}

_LISTED = """
SELECT
    item.item_id,
    item.patient_id,
    item.action,
    item.rule_id,
    patient.clinic_id AS home_clinic_id,
    screening.route,
    coalesce(known.opted_out, FALSE) OR coalesce(known.deceased_on <= night.as_of, FALSE) AS gone,
    patient.renal_dysfunction,
    patient.neuro,
    patient.pregnant,
    patient.inborn_error,
    patient.cobalamin_reaction,
FROM worklists.item AS item
CROSS JOIN run.night AS night
LEFT JOIN facts.patient AS patient ON patient.patient_id = item.patient_id
LEFT JOIN core.patient AS known ON known.patient_id = item.patient_id
LEFT JOIN decisions.screening AS screening ON screening.patient_id = item.patient_id
WHERE item.item_state = 'open'
"""
