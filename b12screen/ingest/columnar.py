"""Parquet extracts as the text rows that delimited ones give. Types are no reason for trust."""

from datetime import date
from pathlib import Path

import polars as pl

from b12screen.ingest.delimited import FileRefused, Parts, most_unpacked, too_large

SLICE_ROWS = 250_000
EPOCH = date(1970, 1, 1)
FIRST_DAY, LAST_DAY = (date.min - EPOCH).days, (date.max - EPOCH).days


def parquet_columns(path: Path) -> tuple[str, ...]:
    """The column names of a Parquet file as they are written in it."""
    return tuple(parquet_kinds(path))


def parquet_kinds(path: Path) -> dict[str, pl.DataType]:
    """The same with their types; FileRefused where it is no Parquet file."""
    try:
        return dict(pl.scan_parquet(path, glob=False).collect_schema())
    except (pl.exceptions.PolarsError, OSError, ValueError):
        raise FileRefused("it is not a readable Parquet file; send it again") from None


def parquet_length(path: Path) -> int:
    """How many rows a Parquet file says that it has, without reading them."""
    return int(collected(pl.scan_parquet(path, glob=False).select(pl.len())).item())


def parquet_as_text(
    path: Path, sent: dict[str, str], max_cell_bytes: int, folder: Path, most_bytes: int
) -> tuple[int, int]:
    """Write ``folder/rows-*.parquet`` and ``folder/broken-*.parquet`` as for delimited text.

    ``sent`` gives the file's own column name for each wanted one. Returns the numbers of rows.
    FileRefused where it is damaged, or its text grows beyond the limits of packed files.
    """
    most = most_unpacked(path, most_bytes)
    n_bytes = 0
    broken = Parts(folder, "broken", ("record", "line", "check_name", "raw"))
    n_rows = 0
    kinds = parquet_kinds(path)
    numbers = [name for name, source in sent.items() if kinds[source].is_float()]
    keys = [name for name in numbers if name == "code" or name.endswith("_id")]
    if keys:
        raise FileRefused(f"{', '.join(keys)} is a column of decimal numbers; write it as text")
    n_sent = parquet_length(path)
    scan = pl.scan_parquet(path, glob=False).select(
        as_text(pl.col(source), kinds[source]).alias(wanted) for wanted, source in sent.items()
    )
    for n_part, offset in enumerate(range(0, max(n_sent, 1), SLICE_ROWS)):
        frame = collected(scan.slice(offset, SLICE_ROWS)).with_row_index("record", offset + 1)
        frame = frame.with_columns(
            pl.col("record").cast(pl.Int64), pl.lit(None, pl.Int64).alias("line")
        )
        # As text every cell has a separator behind it; a billion of blank ones is no little.
        n_bytes += frame.height * len(sent) + int(
            frame.select(pl.sum_horizontal(pl.col(*sent).str.len_bytes().fill_null(0)).sum()).item()
        )
        if n_bytes > most:
            raise too_large(most)
        oversize = pl.any_horizontal(
            pl.col(name).str.len_bytes().fill_null(0) > max_cell_bytes for name in sent
        )
        holds_nul = pl.any_horizontal(
            pl.col(name).str.contains("\0", literal=True).fill_null(False) for name in sent
        )
        judged = frame.with_columns(
            pl.when(holds_nul)
            .then(pl.lit("nul_byte"))
            .when(oversize)
            .then(pl.lit("cell_size"))
            .alias("check_name")
        )
        for record, check_name in (
            judged.filter(pl.col("check_name").is_not_null())
            .select("record", "check_name")
            .iter_rows()
        ):
            broken.add([record, 0, check_name, ""])
        good = judged.filter(pl.col("check_name").is_null()).drop("check_name")
        good.write_parquet(folder / f"rows-{n_part:06}.parquet")
        n_rows += good.height
    return n_rows, broken.close()


def collected(query: pl.LazyFrame) -> pl.DataFrame:
    """What a file holds; FileRefused where it cannot be had. Nothing is written in here."""
    try:
        return query.collect()
    except (pl.exceptions.PolarsError, OSError):
        raise FileRefused(
            "a column of it is no text, number, date or truth value, or the file is damaged; "
            "write its columns as text"
        ) from None


def as_text(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """A typed column as the text a CSV extract would carry."""
    if isinstance(kind, pl.Datetime):
        return column.dt.strftime(
            "%Y-%m-%dT%H:%M:%S%.6f%:z" if kind.time_zone else "%Y-%m-%dT%H:%M:%S%.6f"
        )
    if kind == pl.Date:
        # Other programs write infinite days as numbers that no calendar has.
        number = column.to_physical()
        return (
            pl.when(number > LAST_DAY)
            .then(pl.lit("9999-12-31"))
            .when(number < FIRST_DAY)
            .then(pl.lit("0001-01-01"))
            .otherwise(column.clip(date.min, date.max).cast(pl.String))
        )
    if kind.is_float():
        # A number that is none is a blank cell, as it would be in a CSV extract.
        return column.fill_nan(None).cast(pl.String)
    return column.cast(pl.String)
