"""One night held in memory and decided again under one changed ruleset after another.

Only what a change reaches is built again, and everything is rolled back afterwards, so that a
mutant costs a fraction of a second. Held are the records, the maps and the night as published.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from b12screen.night import LAYERS
from b12screen.resources import sql_folder, sql_text
from b12screen.warehouse import Warehouse, build_order, references
from schemas import ddl

HELD = ("core", "history", "map", "run")
# Tables of the ruleset that SQL reads by the name of a row; the others are read as a whole.
BY_NAME = {
    "threshold": "threshold_id",
    "period": "period_id",
    "quantity": "quantity_id",
    "fragment": "fragment_id",
    "rule_set": "set_id",
}
_BEGIN = "CREATE OR REPLACE TEMPORARY MACRO"
_MACRO = re.compile(rf"{_BEGIN} (\w+)\(.*?(?=\n{_BEGIN} |\Z)", re.S)
_LITERAL = re.compile(r"'(\w+)'")

Tables = Mapping[str, pl.DataFrame]


class Store:
    """The records of one published night, decided by the shipped ruleset."""

    def __init__(self, published: Path, shipped: Tables) -> None:
        self.shipped = shipped
        self.warehouse = Warehouse.open(Path(":memory:"), threads=1, memory_mb=2000)
        self._hold(published)
        self._macros = sql_text("macros.sql")
        # The numbers of the ruleset are variables of the session, set before the first macro.
        self._variables = self._macros[: self._macros.index(_BEGIN)]
        for name, frame in shipped.items():
            self.warehouse.write(f"rules.{name}", frame)
        self.warehouse.define(self._macros)
        self.selects = {
            f"{layer}.{path.stem}": path.read_text(encoding="utf-8")
            for layer in LAYERS
            for path in sorted((sql_folder() / layer).glob("*.sql"))
        }
        self.order = build_order(self.selects)
        self._asked = {name: asked(select, self._macros) for name, select in self.selects.items()}
        for layer in LAYERS:
            self.warehouse.execute(ddl.create_schema(layer))
        self._prints = {}
        for name in self.order:
            self._build(name)
            self._prints[name] = self._print(name)

    def _hold(self, published: Path) -> None:
        self.warehouse.attach(published, "published", read_only=True)
        for schema in HELD:
            self.warehouse.execute(ddl.create_schema(schema))
        held = self.warehouse.rows(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'published' "
            "UNION ALL SELECT schema_name, view_name FROM duckdb_views() "
            "WHERE database_name = 'published' AND NOT internal"
        )
        for schema, name in held:
            if schema in HELD:
                select = f"SELECT * FROM published.{schema}.{name}"
                self.warehouse.execute(ddl.create_table_as(f"{schema}.{name}", select))
        self.warehouse.detach("published")

    def close(self) -> None:
        self.warehouse.close()

    @contextmanager
    def holding(self, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Warehouse]:
        """The night of other people under the shipped rules; relations by name, rows by column."""
        self.warehouse.execute("BEGIN")
        try:
            for name, rows in records.items():
                self.warehouse.execute(f"DELETE FROM {name}")
                for row in rows:
                    columns, marks = ", ".join(row), ", ".join("?" for _ in row)
                    self.warehouse.execute(
                        f"INSERT INTO {name} ({columns}) VALUES ({marks})", list(row.values())
                    )
            for name in self.order:
                self.warehouse.execute(f"DROP TABLE {ddl.quoted_name(name)}")
                self._build(name)
            yield self.warehouse
        finally:
            self.warehouse.execute("ROLLBACK")

    @contextmanager
    def decided(self, tables: Tables) -> Iterator[set[str]]:
        """The night under other rules; gives the relations that then say something else."""
        changed = differing(self.shipped, tables)
        names = touched(self.shipped, tables, changed)
        variables = bool(changed & BY_NAME.keys())
        self.warehouse.execute("BEGIN")
        try:
            for name in sorted(changed):
                self.warehouse.write(f"rules.{name}", tables[name])
            if variables:
                self.warehouse.define(self._variables)
            different: set[str] = set()
            for name in self.order:
                if self._asked[name] & names or references(self.selects[name]) & different:
                    self.warehouse.execute(f"DROP TABLE {ddl.quoted_name(name)}")
                    self._build(name)
                    if self._print(name) != self._prints[name]:
                        different.add(name)
            yield different
        finally:
            self.warehouse.execute("ROLLBACK")
            if variables:
                self.warehouse.define(self._variables)

    def _build(self, name: str) -> None:
        self.warehouse.execute(ddl.create_table_as(name, self.selects[name]))

    def _print(self, name: str) -> tuple[int, int]:
        """Number of rows and a hash over them that does not mind their order."""
        ((n_rows, digest),) = self.warehouse.rows(
            f"SELECT count(*), sum(CAST(hash(held) AS HUGEINT)) FROM {name} AS held"
        )
        return n_rows, digest


def differing(shipped: Tables, tables: Tables) -> set[str]:
    """The tables of a ruleset whose rows are others; which file they come from is no row."""
    return {
        name
        for name in shipped.keys() - {"ruleset"}
        if not tables[name]
        .sort(tables[name].columns)
        .equals(shipped[name].sort(tables[name].columns))
    }


def asked(select: str, macros: str) -> set[str]:
    """What a SELECT asks a ruleset: names in quotes, its macros' included, and whole tables."""
    bodies = {found[1]: found[0] for found in _MACRO.finditer(macros)}
    texts, called = [select], set()
    while texts:
        text = texts.pop()
        for name in bodies.keys() - called:
            if re.search(rf"\b{name}\(", text):
                called.add(name)
                texts.append(bodies[name])
    whole = "\n".join([select, *(bodies[name] for name in called)])
    return set(_LITERAL.findall(whole)) | {
        name for name in references(whole) if name.startswith("rules.")
    }


def touched(shipped: Tables, tables: Tables, changed: set[str]) -> set[str]:
    """The names by which SQL asks for what changed."""
    names = {f"rules.{name}" for name in changed}
    for name in changed & BY_NAME.keys():
        key = BY_NAME[name]
        before, after = (set(each[name].iter_rows()) for each in (shipped, tables))
        place = shipped[name].columns.index(key)
        names |= {row[place] for row in before ^ after}
    return names
