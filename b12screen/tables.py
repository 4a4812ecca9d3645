"""Rows as people read them: on a screen, and in a spreadsheet."""

import json

import polars as pl

from b12screen.worklists import guarded_cell


def table(frame: pl.DataFrame, as_csv: bool) -> str:
    """Rows for a person to read, or in full as CSV, which a spreadsheet opens unharmed."""
    if frame.width == 0:
        return ""
    if as_csv:
        nested = [name for name, kind in frame.schema.items() if kind.is_nested()]
        flat = [
            pl.Series(
                name,
                [
                    None if value is None else json.dumps(value, ensure_ascii=False, default=str)
                    for value in frame[name].to_list()
                ],
            )
            for name in nested
        ]
        frame = frame.with_columns(flat)
        words = [
            guarded_cell(pl.col(name).cast(pl.String)).alias(name)
            for name, kind in frame.schema.items()
            if kind in (pl.String, pl.Categorical, pl.Enum)
        ]
        frame = frame.with_columns(words)
        # Under PIVOT the names of columns are cells too.
        frame.columns = (
            pl.select(guarded_cell(pl.lit(pl.Series(frame.columns)))).to_series().to_list()
        )
        # A blank cell alone would be a blank line, which readers skip.
        blank = '""' if frame.width == 1 else ""
        return frame.write_csv(null_value=blank).removesuffix("\n")
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=65535,
        fmt_str_lengths=65535,
        fmt_table_cell_list_len=-1,
        fmt_float="full",
        tbl_formatting="ASCII_MARKDOWN",
        tbl_hide_column_data_types=True,
        tbl_hide_dataframe_shape=True,
    ):
        return f"{frame}\n({frame.height} rows)"
