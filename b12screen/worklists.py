"""The clinics' sheets: one CSV for each clinic, written so that a spreadsheet opens it unharmed.

Nothing is decided here; the rows come from ``worklists.item`` and are only laid out.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from b12screen.warehouse import Warehouse
from schemas.worklists import FOR_THE_CLINIC, SHEET

UNROUTED = "unrouted"
DATA_QUALITY = "data_quality"
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_IS_FORMULA = f"^[{re.escape(''.join(_FORMULA_STARTS))}]"
_IS_GUARDED = f"^'[{re.escape(''.join(_FORMULA_STARTS))}]"
_KEPT = re.compile(rb"[A-Za-z0-9_.-]")
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_RESERVED = (UNROUTED, DATA_QUALITY)
_LONGEST_NAME = 100

_OPEN_ITEMS = """
SELECT
    CASE
        WHEN item.action = 'check_record' THEN 'data_quality'
        WHEN item.clinic_id IS NULL THEN 'unrouted'
        ELSE 'clinic'
    END AS sheet,
    item.* EXCLUDE (decision, decision_note, until, item_state, closed_on, close_reason),
FROM worklists.item AS item
WHERE item.item_state = 'open'
ORDER BY
    sheet,
    CASE WHEN sheet = 'clinic' THEN item.clinic_id END,
    item.priority,
    item.days_overdue DESC,
    item.action,
    item.item_id
"""
# Also a clinic whose last person has died, opted out or moved: for want of a sheet of today's it
# would go on with yesterday's, or take it for one that did not come.
_CLINICS = """
WITH clinic AS (
    SELECT patient.clinic_id FROM facts.patient AS patient
    UNION
    SELECT known.clinic_id FROM core.patient AS known
    UNION
    SELECT item.clinic_id FROM worklists.item AS item
)
SELECT clinic.clinic_id, count(patient.patient_id) AS n_patients
FROM clinic
LEFT JOIN facts.patient AS patient ON patient.clinic_id = clinic.clinic_id
WHERE clinic.clinic_id IS NOT NULL
GROUP BY ALL
ORDER BY ALL
"""


def write_worklists(warehouse: Warehouse, folder: Path) -> dict[str, dict[str, Any]]:
    """Write every sheet into ``folder``.

    A clinic whose people need nothing gets the header alone. Returns, by file name, the clinic,
    the number of items and the number of patients examined.
    """
    items = warehouse.frame(_OPEN_ITEMS)
    examined = dict(warehouse.rows(_CLINICS))
    listed = items.filter(pl.col("sheet") == "clinic")["clinic_id"].unique().to_list()
    with_rows = {clinic for clinic, n_people in examined.items() if n_people} | set(listed)
    names = file_names(sorted(with_rows))
    # What has nobody left takes no name from a clinic that has.
    used = {name.casefold() for name in names.values()}
    empty = file_names(sorted(examined.keys() - with_rows))
    names |= {clinic: name for clinic, name in empty.items() if name.casefold() not in used}
    sheets = items.select("sheet", pl.col("clinic_id").alias("clinic"), *_cells())
    written: dict[str, dict[str, Any]] = {}
    for (sheet, clinic), part in sheets.with_columns(
        pl.when(pl.col("sheet") == "clinic").then("clinic").alias("clinic")
    ).group_by("sheet", "clinic", maintain_order=True):
        name = names[str(clinic)] if sheet == "clinic" else f"{sheet}.csv"
        written[name] = {"items": _write_sheet(folder / name, part)}
    for name in (*names.values(), f"{UNROUTED}.csv", f"{DATA_QUALITY}.csv"):
        if name not in written:
            written[name] = {"items": _write_sheet(folder / name, sheets.clear())}
    for clinic, name in names.items():
        written[name] |= {"clinic_id": clinic, "patients_examined": examined.get(clinic, 0)}
    return dict(sorted(written.items()))


def file_names(clinics: Iterable[str]) -> dict[str, str]:
    """A file name for each clinic: safe on every file system, and never the same for two."""
    names = {clinic: _percent_encoded(clinic) for clinic in clinics}
    n_digit = dict.fromkeys(names, 0)
    wanted = {clinic for clinic, name in names.items() if _needs_hash(name)}
    while True:
        folded = Counter(name.casefold() for name in names.values())
        wanted |= {clinic for clinic, name in names.items() if folded[name.casefold()] > 1}
        if not wanted:
            return {clinic: f"{name}.csv" for clinic, name in names.items()}
        # A name with its hash may itself be another clinic's own name: then both get a longer one.
        for clinic in wanted:
            n_digit[clinic] += 8
            digest = hashlib.sha256(clinic.encode("utf-8", "surrogatepass")).hexdigest()
            short = digest[: n_digit[clinic]]
            names[clinic] = f"{_percent_encoded(clinic)[: _LONGEST_NAME - 1 - len(short)]}-{short}"
        wanted = set()


def _needs_hash(name: str) -> bool:
    """Whether a file system may not take the name, or it is that of a sheet of no clinic."""
    same = name.casefold()
    return (
        len(name) > _LONGEST_NAME
        or same in _RESERVED
        or not same.strip(".")
        or _DEVICE.fullmatch(same) is not None
    )


def guarded(cell: str) -> str:
    """A cell that a spreadsheet takes as text, not as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before :func:`guarded`."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in _FORMULA_STARTS else cell


def read_sheet(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a sheet as they were meant, the guard taken off again."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        columns = next(rows)
        for row in rows:
            guard = "'" in "".join(row)
            yield dict(zip(columns, map(unguarded, row) if guard else row, strict=True))


def header(path: Path) -> tuple[str, ...]:
    """The columns that a sheet names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return tuple(next(csv.reader(file, strict=True), ()))


def sheet_rows(paths: Sequence[Path], columns: Sequence[str]) -> pl.DataFrame | None:
    """Some columns of many sheets of one header, as they were meant; None where one is no table.

    ``path`` names the sheet of a row.
    """
    try:
        rows = pl.scan_csv(
            list(paths), infer_schema=False, include_file_paths="path", glob=False
        ).select("path", *columns)
        return rows.with_columns(
            unguarded_cell(pl.col(name).fill_null("")).alias(name) for name in columns
        ).collect()
    except pl.exceptions.PolarsError:
        return None


def guarded_cell(text: pl.Expr) -> pl.Expr:
    """:func:`guarded` for a column."""
    return pl.when(text.str.contains(_IS_FORMULA)).then(pl.lit("'") + text).otherwise(text)


def unguarded_cell(text: pl.Expr) -> pl.Expr:
    """:func:`unguarded` for a column."""
    return pl.when(text.str.contains(_IS_GUARDED)).then(text.str.slice(1)).otherwise(text)


def _cells() -> list[pl.Expr]:
    """Every cell of a sheet as text, guarded; a cell without a value is blank."""
    cells = []
    for name in SHEET:
        text = pl.lit("") if name in FOR_THE_CLINIC else pl.col(name).cast(pl.String)
        cells.append(pl.when(text != "").then(guarded_cell(text)).alias(name))
    return cells


def _write_sheet(path: Path, cells: pl.DataFrame) -> int:
    """RFC 4180 with BOM and CRLF, as spreadsheets expect it."""
    cells.select(SHEET).write_csv(
        path, include_bom=True, line_terminator="\r\n", quote_style="necessary"
    )
    return cells.height


def _percent_encoded(clinic: str) -> str:
    return "".join(
        chr(byte) if _KEPT.match(bytes([byte])) else f"%{byte:02X}"
        for byte in clinic.encode("utf-8", "surrogatepass")
    )
