"""Rejected rows that wait to be mended: by reason with what to do, and each with its place.

What a row holds lies in the private store; it may go to standard output alone.
"""

from pathlib import Path

import polars as pl

from b12screen.errors import B12ScreenError
from b12screen.ingest.checks import mend
from b12screen.publish import Site
from b12screen.warehouse import Warehouse

BY_REASON = """
SELECT
    count(*) AS rows,
    rejected.kind,
    coalesce(rejected.column_name, 'whole row') AS column_name,
    rejected.check_name,
    rejected.file_name,
    rejected.reason
FROM core.reject AS rejected
WHERE rejected.replaced_on IS NULL
GROUP BY ALL
ORDER BY rows DESC, rejected.kind, column_name, rejected.check_name, rejected.file_name,
    rejected.reason
"""
ROWS = """
SELECT
    rejected.file_name,
    rejected.record,
    rejected.line,
    rejected.segment,
    rejected.column_name,
    rejected.check_name,
    rejected.reason,
    rejected.taken_for,
    rejected.kind,
    rejected.sha256
FROM core.reject AS rejected
WHERE rejected.replaced_on IS NULL
ORDER BY rejected.file_name, rejected.taken_for, rejected.kind, rejected.record, rejected.line,
    rejected.segment, rejected.check_name, rejected.sha256
LIMIT ?
"""
TURNED_AWAY = """
SELECT file.file_name, file.held, file.reason
FROM run.source_file AS file
WHERE file.reason IS NOT NULL
ORDER BY file.file_name, file.kind, file.sha256, file.taken_by
"""
CELLS = """
SELECT rejected.sha256, rejected.kind, rejected.record, rejected.raw
FROM reject_row AS rejected
WHERE rejected.replaced_on IS NULL
"""
KEY = ["sha256", "kind", "record"]
NO_LIMIT = 1_000_000_000


def by_reason(warehouse: Warehouse) -> pl.DataFrame:
    """Counts by reason and file, with what mends them."""
    frame = warehouse.frame(BY_REASON)
    mends = [
        mend(kind, None if column == "whole row" else column, reason)
        for kind, column, reason in frame.select("kind", "column_name", "reason").iter_rows()
    ]
    return frame.with_columns(pl.Series("what_to_do", mends, dtype=pl.String))


def turned_away(warehouse: Warehouse) -> list[str]:
    """A line for every file of which nothing was taken."""
    lines = [
        f"{'held' if is_held else 'rejected'}: {name}: {reason}"
        for name, is_held, reason in warehouse.rows(TURNED_AWAY)
    ]
    return list(dict.fromkeys(lines))


def rows(warehouse: Warehouse, most: int | None) -> pl.DataFrame:
    """Where each rejected row stands and why, in file order; at most so many."""
    return warehouse.frame(ROWS, (NO_LIMIT if most is None else most,))


def with_cells(found: pl.DataFrame, root: Path) -> pl.DataFrame | None:
    """The same rows with what they hold, or None where the store cannot be read."""
    site = Site(root.resolve())
    try:
        run_id = site.committed()
        path = site.state(run_id or "") / "private.duckdb"
        if not path.is_file():
            return None
        with Warehouse.open(path, read_only=True, sealed=True) as store:
            cells = store.frame(CELLS)
    except (OSError, B12ScreenError):
        return None
    cells = cells.unique(KEY, keep="first", maintain_order=True)
    return found.join(cells, on=KEY, how="left", maintain_order="left").drop("sha256")
