"""Small files taken together: one scan for many of them, each with its own account.

What a scan costs does not depend on its rows, so that thousands of single messages, or of extracts
of one order each, would take hours one by one. Their rows are numbered through for the scan, and
get their own file and record again right behind it; from then on ``taking.night`` has a row for
each of the files.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from b12screen.warehouse import Warehouse

# Files whose rows are scanned together, and the rows that they may have, each and in all.
MOST_FILES = 1_000
MOST_ROWS = 2_000
MOST_ROWS_TOGETHER = 50_000
# An extract that may be one of them is so long at most; where there are few, the engine reads each.
MOST_BYTES = 64_000
FEW_EXTRACTS = 10

PLACES = (
    "CREATE OR REPLACE VIEW taking.place AS SELECT place.file_id, place.record, place.line, "
    "place.segment, CAST(NULL AS JSON) AS sent FROM taking.place_together AS place"
)
# The scan gave all rows the number of the first file.
OWN_PLACES = {
    "labs": "UPDATE core.taken SET file_id = place.file_id, record = place.record "
    "FROM taking.place_together AS place "
    "WHERE taken.file_id = ? AND place.number = taken.record",
    "patients": "UPDATE core.taken SET file_id = place.file_id, record = place.record, "
    "file_name = place.file_name FROM taking.place_together AS place "
    "WHERE taken.file_id = ? AND place.number = taken.record",
}
FAULTS = (
    "SELECT taken.file_id, taken.fault, count(*) FROM core.taken "
    "SEMI JOIN taking.night USING (file_id) WHERE taken.fault IS NOT NULL "
    "GROUP BY taken.file_id, taken.fault UNION ALL "
    "SELECT broken.file_id, broken.check_name, count(*) FROM taking.broken "
    "GROUP BY broken.file_id, broken.check_name"
)
ROWS = (
    "SELECT taken.file_id, count(*) FROM core.taken SEMI JOIN taking.night USING (file_id) "
    "GROUP BY taken.file_id"
)
BUCKETS = (
    "SELECT version.file_name, version.bucket, count(*) FROM taking.version "
    "WHERE version.origin = 'taken' GROUP BY version.file_name, version.bucket"
)


@dataclass(frozen=True)
class Rows:
    """How many rows there are; the broken ones, and where each other stands, with their files."""

    n_row: int
    broken: pl.DataFrame
    places: pl.DataFrame


def combined(folders: Sequence[Path], names: Sequence[str], first_id: int, folder: Path) -> Rows:
    """The rows of one kind of several files as ``folder/rows-1.parquet``, numbered through."""
    rows, broken, places = [], [], []
    n_before = 0
    for file_id, (name, part) in enumerate(zip(names, folders, strict=True), start=first_id):
        told = {"file_id": pl.lit(file_id, pl.Int32), "file_name": pl.lit(name)}
        found = pl.concat([read(path) for path in sorted(part.glob("rows-*.parquet"))])
        bad = pl.concat([read(path) for path in sorted(part.glob("broken-*.parquet"))])
        if "segment" not in found:
            # Of a row of a table only the record is told; of what makes no row the line as well.
            nowhere = {"segment": pl.lit(None, pl.String)}
            found = found.with_columns(line=pl.lit(None, pl.Int64), **nowhere)
            bad = bad.with_columns(**nowhere)
        numbers = pl.col("record") + n_before
        rows.append(found.with_columns(record=numbers))
        broken.append(bad.with_columns(file_id=told["file_id"]))
        places.append(
            found.select("record", "line", "segment").with_columns(number=numbers, **told)
        )
        n_before += max([*found["record"].to_list(), *bad["record"].to_list()], default=0)
    folder.mkdir(parents=True)
    every = pl.concat(rows)
    every.write_parquet(folder / "rows-1.parquet")
    pl.concat(broken).write_parquet(folder / "broken-1.parquet")
    return Rows(every.height, pl.concat(broken), pl.concat(places))


def read(path: Path) -> pl.DataFrame:
    """One part; the name of its folder is no pattern."""
    return pl.read_parquet(path, glob=False)


def told_apart(warehouse: Warehouse, kind: str, first_id: int, rows: Rows) -> None:
    """Give every row just scanned, and every broken one, its own file and record."""
    warehouse.write("taking.broken", rows.broken)
    warehouse.write("taking.place_together", rows.places)
    warehouse.execute(PLACES)
    warehouse.execute(OWN_PLACES[kind], (first_id,))


def faults_by_file(warehouse: Warehouse) -> dict[int, Counter[str]]:
    """How many rows of each file at hand fail which check; ``scope`` is no failure."""
    found: dict[int, Counter[str]] = {}
    for file_id, fault, n in warehouse.rows(FAULTS):
        found.setdefault(file_id, Counter())[fault] += n
    return found
