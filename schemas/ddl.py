"""The only place that composes SQL text, with :mod:`schemas.fold`: DDL takes no parameters.

Every name and text passes through :func:`quoted_name` or :func:`quoted_text`.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from schemas.relation import Relation

# What the engine reads as a pattern in the path of a file.
_PATTERN = re.compile(r"([*?\[])")
_TYPES = {
    "String": "VARCHAR",
    "Int64": "BIGINT",
    "Int32": "INTEGER",
    "Float64": "DOUBLE",
    "Boolean": "BOOLEAN",
    "Date": "DATE",
    "Datetime": "TIMESTAMP",
}


def quoted_name(name: str) -> str:
    """``schema.name`` or ``name`` as quoted identifiers."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def quoted_text(text: str) -> str:
    """A text literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted_parts(pattern: str) -> str:
    """A path as a text literal; only its last name may be a pattern of file names."""
    folder, slash, name = pattern.rpartition("/")
    return quoted_text(_PATTERN.sub(r"[\1]", folder) + slash + name)


def sql_type(column: Any) -> str:
    """DuckDB's type for a Pandera column; an undeclared type is a ``KeyError``."""
    return _TYPES[str(column.dtype).split("(")[0]]


def create_schema(name: str) -> str:
    """CREATE SCHEMA, unless it is there."""
    return f"CREATE SCHEMA IF NOT EXISTS {quoted_name(name)}"


def search_path(places: Iterable[str]) -> str:
    """SET search_path to ``database.schema``, the first one being where tables are created."""
    return f"SET search_path = {quoted_text(','.join(quoted_name(place) for place in places))}"


def create_table(relation: Relation) -> str:
    """An empty table with the relation's columns, types and NOT NULLs."""
    columns = ", ".join(
        f"{quoted_name(column)} {sql_type(declared)}{'' if declared.nullable else ' NOT NULL'}"
        for column, declared in relation.columns.items()
    )
    return f"CREATE TABLE {quoted_name(relation.name)} ({columns})"


def create_view(name: str, select: str) -> str:
    """A view of one SELECT of the ``sql`` folder."""
    return f"CREATE OR REPLACE VIEW {quoted_name(name)} AS\n{select}"


def create_table_as(name: str, select: str, replaces: bool = False) -> str:
    """A table from one SELECT of the ``sql`` folder."""
    return f"CREATE {'OR REPLACE ' if replaces else ''}TABLE {quoted_name(name)} AS\n{select}"


def insert_select(relation: Relation, select: str) -> str:
    """INSERT of one SELECT of the ``sql`` folder, matched by column name."""
    return f"INSERT INTO {quoted_name(relation.name)} BY NAME\n{select}"


def counted(select: str) -> str:
    """The number of rows of one SELECT of the ``sql`` folder."""
    return f"SELECT count(*) FROM (\n{select}\n)"


def insert_row(name: str, columns: Iterable[str]) -> str:
    """INSERT of one row, its values as parameters."""
    names = [quoted_name(column) for column in columns]
    marks = ", ".join("?" for _ in names)
    return f"INSERT INTO {quoted_name(name)} ({', '.join(names)}) VALUES ({marks})"


def comments(
    name: str, grain: str, columns: Mapping[str, str], is_view: bool = False
) -> Iterable[str]:
    """COMMENT statements for a table or a view and each of its columns."""
    target = quoted_name(name)
    yield f"COMMENT ON {'VIEW' if is_view else 'TABLE'} {target} IS {quoted_text(grain)}"
    for column, meaning in columns.items():
        yield f"COMMENT ON COLUMN {target}.{quoted_name(column)} IS {quoted_text(meaning)}"


def attach(path: str, name: str, read_only: bool = False) -> str:
    """ATTACH a database file."""
    options = " (READ_ONLY)" if read_only else ""
    return f"ATTACH {quoted_text(path)} AS {quoted_name(name)}{options}"


def checkpoint(database: str) -> str:
    """Fold the WAL of an open database, whose name may hold a dot, into its file."""
    name = database.replace('"', '""')
    return f'CHECKPOINT "{name}"'


def copy_database(source: str, target: str) -> str:
    """Write everything of one attached database into another, which is empty."""
    return f"COPY FROM DATABASE {quoted_name(source)} TO {quoted_name(target)}"


def incoming_csv(
    path: str,
    columns: Sequence[str],
    wanted: Sequence[str],
    separator: str,
    most_bytes: int,
) -> str:
    """The view ``taking.incoming`` over a delimited file of a known header, every cell as text.

    Rows end in LF: the strict reader takes no CRLF whose dialect it has not sniffed itself.
    ``wanted`` are the contract's columns: '' is a blank cell, NULL a column that the file lacks.
    """
    # Names of columns that no contract knows never reach the engine.
    placed = [name if name in wanted else f"extra {place}" for place, name in enumerate(columns)]
    struct = ", ".join(f"{quoted_text(name)}: 'VARCHAR'" for name in placed)
    # All of them: the engine counts the columns that it reads, not those of the file, so that with
    # a column left out another one's blank cells would be NULL.
    blanks = ", ".join(quoted_text(name) for name in placed)
    return (
        'CREATE OR REPLACE VIEW "taking"."incoming" AS SELECT row_number() OVER () AS record, '
        f"{_cells(placed, wanted, quoted_name)} "
        f"FROM read_csv({quoted_parts(path)}, columns = {{{struct}}}, "
        f"header = true, auto_detect = false, delim = {quoted_text(separator)}, quote = '\"', "
        f"escape = '\"', force_not_null = [{blanks}], store_rejects = true, "
        f"max_line_size = {int(most_bytes)})"
    )


def incoming_parquet(
    pattern: str, present: Sequence[str], wanted: Sequence[str], keeps_absent: bool = False
) -> str:
    """The view ``taking.incoming`` over rows that were split or cast to text beforehand.

    ``keeps_absent``: NULL is a cell that its row does not have, which is not a blank one.
    """
    cell = quoted_name if keeps_absent else _never_null
    return (
        'CREATE OR REPLACE VIEW "taking"."incoming" AS SELECT record, '
        f"{_cells(present, wanted, cell)} FROM read_parquet({quoted_parts(pattern)})"
    )


def _cells(present: Sequence[str], wanted: Sequence[str], cell: Callable[[str], str]) -> str:
    return ", ".join(
        f"{cell(name)} AS {quoted_name(name)}"
        if name in present
        else f"CAST(NULL AS VARCHAR) AS {quoted_name(name)}"
        for name in wanted
    )


def _never_null(name: str) -> str:
    return f"coalesce({quoted_name(name)}, '')"


def broken_parquet(pattern: str, has_segment: bool) -> str:
    """The table ``taking.broken`` of rows that make no record."""
    segment = "segment" if has_segment else "CAST(NULL AS VARCHAR) AS segment"
    return (
        'CREATE OR REPLACE TABLE "taking"."broken" AS '
        f"SELECT night.file_id, record, line, {segment}, check_name, raw "
        f"FROM read_parquet({quoted_parts(pattern)}) CROSS JOIN taking.night"
    )


def places_parquet(pattern: str) -> str:
    """The view ``taking.place``: where in its file of messages each row stands."""
    return (
        'CREATE OR REPLACE VIEW "taking"."place" AS SELECT night.file_id, record, line, segment, '
        f"CAST(NULL AS JSON) AS sent FROM read_parquet({quoted_parts(pattern)}) "
        "CROSS JOIN taking.night"
    )


def places_as_sent(pattern: str, names: Mapping[str, str]) -> str:
    """The view ``taking.place`` over rows as sent; ``names`` are the sender's, by column."""
    struct = ", ".join(f"{quoted_text(name)}: {_never_null(c)}" for c, name in names.items())
    sent = f"to_json({{'sent': {{{struct}}}}})" if names else "CAST(NULL AS JSON)"
    return (
        'CREATE OR REPLACE VIEW "taking"."place" AS '
        "SELECT night.file_id, record, nullif(line, 0) AS line, "
        f"CAST(NULL AS VARCHAR) AS segment, {sent} AS sent "
        f"FROM read_parquet({quoted_parts(pattern)}) CROSS JOIN taking.night"
    )


def parquet_view(name: str, pattern: str) -> str:
    """A view over Parquet parts."""
    return (
        f"CREATE OR REPLACE VIEW {quoted_name(name)} AS "
        f"SELECT * FROM read_parquet({quoted_parts(pattern)})"
    )


def copy_to_parquet(select: str, path: str) -> str:
    """COPY of one SELECT to a packed Parquet file."""
    return f"COPY ({select}) TO {quoted_text(path)} (FORMAT parquet, COMPRESSION zstd)"


def ordered_rows(relation: Relation) -> str:
    """Every row of a relation, with whatever columns it has, in the order of its key."""
    order = ", ".join(quoted_name(column) for column in relation.key) or "ALL"
    return f"SELECT * FROM {quoted_name(relation.name)} ORDER BY {order}"


def read_parquet(path: str) -> str:
    """Every row of a Parquet file."""
    return f"SELECT * FROM read_parquet({quoted_parts(path)})"


def all_rows(relation: Relation, catalog: str) -> str:
    """Every row of a relation of an attached store."""
    return f"SELECT {column_list(relation)} FROM {quoted_name(f'{catalog}.{relation.name}')}"


def known_rows(relation: Relation, catalog: str, older: str | None) -> str:
    """Rows of a relation of an attached store as they were known on a night; parameter: the night.

    ``older`` is the table of rows that a later night replaced; None where none ever is. A row that
    stays and itself names the night that replaced it was not replaced before that night.
    """
    columns = ", ".join(
        "CASE WHEN replaced_on <= $1 THEN replaced_on END AS replaced_on"
        if column == "replaced_on"
        else quoted_name(column)
        for column in relation.columns
    )
    current = (
        f"SELECT {columns} FROM {quoted_name(f'{catalog}.{relation.name}')} WHERE taken_for <= $1"
    )
    if older is None:
        return current
    return (
        f"{current} UNION ALL SELECT {columns} FROM {quoted_name(older)} "
        "WHERE taken_for <= $1 AND replaced_on > $1"
    )


def insert_by_name(name: str, select: str) -> str:
    """INSERT of one SELECT of the ``sql`` folder into a working table, matched by column name."""
    return f"INSERT INTO {quoted_name(name)} BY NAME\n{select}"


def column_list(relation: Relation) -> str:
    """The relation's columns in the declared order."""
    return ", ".join(quoted_name(column) for column in relation.columns)


def slice_between(relation: Relation, name: str, place: str) -> str:
    """Rows of a working table by row id; parameters: first, end."""
    return (
        f"SELECT {column_list(relation)} FROM {quoted_name(name)} "
        f"WHERE {quoted_name(place)} >= ? AND {quoted_name(place)} < ?"
    )


def rows_from(relation: Relation) -> str:
    """Rows of a relation by row id; parameters: first, end."""
    return (
        f"SELECT {column_list(relation)} FROM {quoted_name(relation.name)} "
        "WHERE rowid >= ? AND rowid < ?"
    )


def append(relation: Relation, name: str) -> str:
    """All rows of a working table into the relation."""
    return (
        f"INSERT INTO {quoted_name(relation.name)} BY NAME "
        f"SELECT {column_list(relation)} FROM {quoted_name(name)}"
    )


def append_versions(relation: Relation, name: str, versions: str) -> str:
    """Versions that are no longer current into a private table; parameter: the night."""
    return (
        f"INSERT INTO {quoted_name(name)} BY NAME "
        f"SELECT {column_list(relation)}, ? AS replaced_on FROM {quoted_name(versions)} "
        "WHERE NOT is_current AND (origin = 'core' OR bucket IN ('accepted', 'superseded'))"
    )


def delete_versions(name: str, versions: str) -> str:
    """Rows that are not current out of a table; parameter: their origin."""
    return (
        f"DELETE FROM {quoted_name(name)} WHERE rowid IN "
        f"(SELECT place FROM {quoted_name(versions)} WHERE origin = ? AND NOT is_current)"
    )


def made_into(relation: Relation, name: str, extra: Sequence[str]) -> Iterable[str]:
    """Turn a working table into the empty relation's place without writing its rows again."""
    target = quoted_name(name)
    for column in extra:
        yield f"ALTER TABLE {target} DROP COLUMN {quoted_name(column)}"
    for column, declared in relation.columns.items():
        if not declared.nullable:
            yield f"ALTER TABLE {target} ALTER COLUMN {quoted_name(column)} SET NOT NULL"
    yield f"ALTER TABLE {target} RENAME TO {quoted_name(relation.name.split('.')[1])}"


def working_table(
    relation: Relation, name: str, extra: Mapping[str, str], bulky: Sequence[str]
) -> str:
    """An empty table with the relation's columns, all nullable, and some of its own beside them.

    ``bulky`` columns hold text that never repeats and are packed, not put into dictionaries.
    """
    columns = {column: sql_type(declared) for column, declared in relation.columns.items()}
    listed = ", ".join(
        f"{quoted_name(column)} {kind}{' USING COMPRESSION zstd' if column in bulky else ''}"
        for column, kind in {**columns, **extra}.items()
    )
    return f"CREATE TABLE {quoted_name(name)} ({listed})"
