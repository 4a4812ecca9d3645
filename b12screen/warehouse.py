"""DuckDB, and nothing but DuckDB: open a file, run SQL, build relations in the order they need.

The only module that imports duckdb. DuckDB's own error texts may quote cells, so none of them
leaves this module: a full disk or a missing permission becomes :class:`CannotWrite`, too little
memory :class:`NotEnoughMemory`, everything else an error that names the statement and its kind.
"""

import graphlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import polars as pl
from polars.exceptions import PanicException, PolarsError

from b12screen.errors import B12ScreenError, CannotWrite, SettingsInvalid, UsageError
from schemas import ddl
from schemas.relation import RELATIONS

_COMMENT = re.compile(r"--[^\n]*")
_TEXT = re.compile(r"'(?:[^']|'')*'")
_REFERENCE = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*)", re.IGNORECASE)
_WORKING = "working"
_OWN_FILES = (
    "SELECT database_name FROM duckdb_databases() "
    "WHERE path IS NOT NULL AND NOT readonly AND NOT internal ORDER BY database_name"
)
_FREE_ROOM = (
    "SELECT size.total_blocks, size.free_blocks FROM pragma_database_size() AS size "
    "WHERE size.database_name = current_database()"
)
ONE_QUERY = "the query was not run: only one SELECT at a time is run, and nothing that could write"
# A statement behind what does nothing, and what may stand between EXPLAIN and what it explains.
_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?P<first>\w*)(?P<rest>.*)", re.DOTALL)
_PLAN = re.compile(r"^\s*(ANALYZE\b|\([^)]*\))?", re.IGNORECASE)
# What a query may give and a frame cannot hold or write in all its values, also inside of a list:
# an infinite day ends the process.
_AS_TEXT = re.compile(r"\b(DATE|TIME|TIMESTAMP\w*|INTERVAL|UNION|BIT|BLOB|VARIANT)\b")
# A line of names behind an error of SQL that a person typed.
_SUGGESTS = re.compile(r"Did you mean |Candidate bindings: ")
_QUOTED = re.compile(r'"([^"]*)"')
_NAMES = (
    "SELECT name FROM (SELECT column_name AS name FROM duckdb_columns() "
    "UNION SELECT table_name FROM duckdb_tables() UNION SELECT view_name FROM duckdb_views() "
    "UNION SELECT function_name FROM duckdb_functions()) WHERE list_contains(?, name)"
)
_FULL = ("no space left", "disk quota", "could not write", "max_temp_directory_size")
_DAMAGED = ("could not read enough bytes", "not a valid duckdb database", "corrupt database file")
# The engine names the file that it could not write; nothing else of its text is repeated.
_FILE_OF_ENGINE = re.compile(r'file "(/[^"\n]*)"')
_FORBIDDEN = ("permission denied", "read-only file system", "operation not permitted")


class WarehouseError(B12ScreenError):
    """A statement failed for a reason that is a bug; it names the statement, never a value."""


class Damaged(WarehouseError):
    """A database file cannot be read as it was written: it was cut off, or bytes of it changed."""

    exit_code = 13


class NotEnoughMemory(SettingsInvalid):
    """A statement needs more memory than the settings let the engine have."""


class Warehouse:
    """One open database. Use it as a context manager; it closes without a leftover WAL."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._connection = connection
        self.path = path

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        memory_mb: int = 900,
        threads: int = 2,
        temp_dir: Path | None = None,
        timezone: str = "UTC",
        read_only: bool = False,
        sealed: bool = False,
    ) -> "Warehouse":
        """Open ``path``.

        ``temp_dir`` is where DuckDB spills (it holds patients' data: keep it below the site).
        ``sealed`` is for SQL that a person typed: no other file can be reached from it.
        """
        config: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "temp_directory": str(temp_dir) if temp_dir is not None else "",
        }
        try:
            connection = duckdb.connect(str(path), read_only=read_only, config=config)
        except duckdb.Error as error:
            raise _translated(error, f"opening {path.name}") from None
        warehouse = cls(connection, path)
        warehouse.execute(f"SET TimeZone = {ddl.quoted_text(timezone)}")
        warehouse.execute("SET enable_progress_bar = false")
        if sealed:
            warehouse.execute("SET enable_external_access = false")
            warehouse.execute("SET lock_configuration = true")
        return warehouse

    def __enter__(self) -> "Warehouse":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._fold_in()
        finally:
            self.close()

    def close(self) -> None:
        """Close the file, with whatever of it lies in a WAL beside it."""
        self._connection.close()

    def _fold_in(self) -> None:
        """Fold every WAL into its file. Closing does that too, but says nothing where it fails.

        The file alone is what is copied and published: what stayed in a WAL would be lost.
        """
        for (name,) in self.rows(_OWN_FILES):
            self.execute(ddl.checkpoint(name))

    def execute(self, sql: str, params: Sequence[Any] = ()) -> None:
        """Run one statement for its effect."""
        self.rows(sql, params)

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; its rows (for a statement without rows, DuckDB's count or nothing)."""
        with _told(sql):
            return self._connection.execute(sql, list(params)).fetchall()

    def scalar(self, sql: str, params: Sequence[Any] = ()) -> Any:
        """The one value of a statement that gives one row of one column."""
        ((value,),) = self.rows(sql, params)
        return value

    def frame(self, sql: str, params: Sequence[Any] = ()) -> pl.DataFrame:
        """The rows of a statement as a Polars frame."""
        with _told(sql):
            result: pl.DataFrame = self._connection.sql(sql, params=list(params)).pl()
        return result

    def typed_by_a_person(self, sql: str) -> pl.DataFrame:
        """The rows of SQL that a person typed; its mistakes are a :class:`UsageError`."""
        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1 or not _only_reads(statements[0]):
                raise UsageError(ONE_QUERY)
            with _interruptible():
                relation = self._connection.sql(sql)
                result = pl.DataFrame() if relation is None else _shown(relation)
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            first, *more = str(error).splitlines()
            told = " ".join([first.rstrip("!.?"), *self._suggested(more[:1])])
            raise UsageError(f"the query was not run: {told}") from None
        except duckdb.Error as error:
            raise UsageError(f"the query failed: {type(error).__name__}") from None
        except (ArithmeticError, ValueError, TypeError, PolarsError, PanicException):
            raise UsageError(
                "the query failed: a value of it cannot be shown; cast it to VARCHAR"
            ) from None
        return result

    def _suggested(self, lines: list[str]) -> list[str]:
        """What the engine takes for meant, of its own names and those that are declared.

        A query may make a name of a value, as a pivot does.
        """
        named = [name for line in lines if _SUGGESTS.match(line) for name in _QUOTED.findall(line)]
        known = {name for (name,) in self.rows(_NAMES, (named,))} if named else set()
        meant = ", ".join(f'"{name}"' for name in named if name in known)
        return [f"(perhaps {meant})"] if meant else []

    def write(self, name: str, frame: pl.DataFrame) -> None:
        """Create or replace the table ``name`` (``schema.name``) from a frame."""
        self.execute(ddl.create_schema(name.split(".")[0]))
        with _told(f"writing {name}"):
            self._connection.register("incoming_frame", frame.to_arrow())
            self.execute(ddl.create_table_as(name, "SELECT * FROM incoming_frame", replaces=True))
            self._connection.unregister("incoming_frame")

    def insert(self, name: str, row: dict[str, Any]) -> None:
        """Insert one row into a declared relation."""
        self.execute(ddl.insert_row(name, list(row)), list(row.values()))

    def fill(self, name: str, select: str, params: Sequence[Any] = ()) -> None:
        """Insert the rows of one SELECT of the ``sql`` folder into a declared relation."""
        self.execute(ddl.insert_select(RELATIONS[name], select), params)

    def copy_out(self, select: str, path: Path) -> None:
        """Write the rows of one SELECT to a Parquet file."""
        self.execute(ddl.copy_to_parquet(select, str(path)))

    def row_counts(self) -> dict[str, int]:
        """Number of rows by relation."""
        return {
            name: self.scalar(ddl.counted(f"FROM {ddl.quoted_name(name)}"))
            for name in sorted(self.relations())
        }

    def detach(self, name: str) -> None:
        """Let go of an attached file."""
        self.execute(f"DETACH {ddl.quoted_name(name)}")

    def attach(self, path: Path, name: str, read_only: bool = False) -> None:
        """Attach another database file under ``name``."""
        self.execute(ddl.attach(str(path), name, read_only))

    def create(self, names: Iterable[str]) -> None:
        """Create the declared relations, empty, where they are not there yet."""
        present = self.relations()
        for name in names:
            if name not in present:
                self.execute(ddl.create_schema(name.split(".")[0]))
                self.execute(ddl.create_table(RELATIONS[name]))

    def relations(self, database: str | None = None) -> set[str]:
        """Every table and view of the main database, or an attached one, as ``schema.name``."""
        return {
            f"{schema}.{name}"
            for schema, name in self.rows(
                "SELECT schema_name, table_name FROM duckdb_tables() "
                "WHERE database_name = coalesce($1, current_database()) UNION ALL "
                "SELECT schema_name, view_name FROM duckdb_views() "
                "WHERE database_name = coalesce($1, current_database()) AND NOT internal",
                (database,),
            )
        }

    def has(self, name: str) -> bool:
        """Whether there is a table or view ``name``: a tenth of what listing all of them costs."""
        with _told(f"looking for {name}"):
            try:
                self._connection.execute(f"FROM {ddl.quoted_name(name)} LIMIT 0")
            except duckdb.CatalogException:
                return False
        return True

    def views(self) -> set[str]:
        """Every view of the main database as ``schema.name``."""
        return {
            f"{schema}.{name}"
            for schema, name in self.rows(
                "SELECT schema_name, view_name FROM duckdb_views() "
                "WHERE database_name = current_database() AND NOT internal"
            )
        }

    def free_room(self) -> tuple[int, float]:
        """The blocks that were given up, where what was deleted can be read; their share."""
        self._fold_in()
        ((n_all, n_free),) = self.rows(_FREE_ROOM)
        return int(n_free), n_free / max(n_all, 1)

    def take_over(self, path: Path) -> None:
        """Everything of another database file into this empty one, in its order."""
        self.attach(path, "other", read_only=True)
        self.execute("SET preserve_insertion_order = true")
        self.execute(ddl.copy_database("other", self.scalar("SELECT current_database()")))
        self.execute("SET preserve_insertion_order = false")
        self.detach("other")

    def comment(self) -> None:
        """Write the declared comments on every table and view of the file that is declared."""
        views = self.views()
        for name in sorted(self.relations() & RELATIONS.keys()):
            declared = RELATIONS[name].columns.items()
            meanings = {column: spec.description for column, spec in declared}
            self.describe(name, RELATIONS[name].grain, meanings, is_view=name in views)

    def describe(
        self, name: str, grain: str, columns: Mapping[str, str], is_view: bool = False
    ) -> None:
        """Comment one table or view and its columns."""
        for statement in ddl.comments(name, grain, columns, is_view):
            self.execute(statement)

    def define(self, script: str) -> None:
        """Run a script of several statements (the macros)."""
        for statement in duckdb.extract_statements(script):
            self.execute(statement.query)

    def build(
        self,
        folder: Path,
        schemas: Sequence[str],
        progress: Callable[[str], None] = lambda line: None,
    ) -> list[str]:
        """Build every relation of ``folder/<schema>/*.sql``, each after what it reads.

        A declared relation is created from its declaration, so a NULL where a word belongs fails
        here; an undeclared one is a working relation: it is held in memory, where nothing is packed
        and nothing reaches the published file, and let go after its last reader.
        Returns the kept names in build order.
        """
        selects = {
            f"{schema}.{path.stem}": path.read_text(encoding="utf-8")
            for schema in schemas
            for path in sorted((folder / schema).glob("*.sql"))
        }
        kept = []
        order = build_order(selects)
        last_reader = {read: name for name in order for read in references(selects[name])}
        # Read twice, the view core.lab_result would be spelled out once and kept: dearer than both.
        self.execute("SET disabled_optimizers = 'common_subplan'")
        with self._working_memory(schemas):
            for name in order:
                progress(name)
                if name in RELATIONS:
                    self.execute(ddl.create_table(RELATIONS[name]))
                    self.fill(name, selects[name])
                    kept.append(name)
                else:
                    self.execute(ddl.create_table_as(f"{_WORKING}.{name}", selects[name]))
                for read in sorted(references(selects[name]) & selects.keys() - RELATIONS.keys()):
                    if last_reader[read] == name:
                        self.execute(f"DROP TABLE {ddl.quoted_name(f'{_WORKING}.{read}')}")
        self.execute("RESET disabled_optimizers")
        return kept

    @contextmanager
    def rows_in_place(self) -> Iterator[None]:
        """Where a row lies stays its number, whatever is deleted.

        A checkpoint moves what lies behind deleted rows, and the engine makes one at any commit
        that leaves enough in the WAL: a number that was kept over it is that of another row.
        """
        self.execute("SET checkpoint_threshold = '1TB'")
        yield
        # Not behind an error: what it leaves is thrown away, and a broken file would hide it.
        self.execute("RESET checkpoint_threshold")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Many small statements as one transaction; an error undoes all of them."""
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    @contextmanager
    def _working_memory(self, schemas: Sequence[str]) -> Iterator[None]:
        """A second database for working relations, read under the same ``schema.name``."""
        here = self.scalar("SELECT current_database()")
        self.execute(ddl.attach(":memory:", _WORKING))
        for schema in schemas:
            self.execute(ddl.create_schema(schema))
            self.execute(ddl.create_schema(f"{_WORKING}.{schema}"))
        places = [f"{here}.main", *(f"{here}.{schema}" for schema in schemas)]
        places += [f"{_WORKING}.{schema}" for schema in schemas]
        self.execute(ddl.search_path(places))
        try:
            yield
        finally:
            self.execute(ddl.search_path(places[:1]))
            self.detach(_WORKING)


def parts(n_all: int, at_once: int) -> list[tuple[int, int]]:
    """How many parts there are and the number of each, so that none has much more than that."""
    n_part = n_all // at_once + 1
    return [(n_part, part) for part in range(n_part)]


def build_order(selects: dict[str, str]) -> list[str]:
    """Names of the SELECTs so that each comes after those it reads; a circle is an error."""
    order: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for name in sorted(selects):
        order.add(name, *sorted(references(selects[name]) & selects.keys() - {name}))
    return list(order.static_order())


def references(select: str) -> set[str]:
    """Every ``schema.name`` that a SELECT reads."""
    bare = _TEXT.sub("''", _COMMENT.sub("", select))
    return {name.lower() for name in _REFERENCE.findall(bare)}


def _only_reads(statement: duckdb.Statement) -> bool:
    """Whether a statement is a SELECT, a PIVOT or the plan of one: all else could write.

    Even a sealed engine writes the log beside the file that it has open.
    """
    if statement.type == duckdb.StatementType.SELECT:
        return True
    found = _FIRST_WORD.fullmatch(statement.query)
    first, rest = found.group("first", "rest") if found else ("", "")
    if statement.type == duckdb.StatementType.MULTI:
        return first.upper() in ("PIVOT", "PIVOT_WIDER", "WITH", "FROM", "SELECT")
    if statement.type == duckdb.StatementType.EXPLAIN:
        plans = duckdb.extract_statements(_PLAN.sub("", rest, count=1))
        return len(plans) == 1 and _only_reads(plans[0])
    return False


def _shown(relation: Any) -> pl.DataFrame:
    """The rows of an engine's relation; what polars has no type for as text."""
    kinds = [str(kind) for kind in relation.types]
    if any(_AS_TEXT.search(kind) for kind in kinds):
        names = [ddl.quoted_name(name.replace(".", "_")) for name in relation.columns]
        relation = relation.project(
            ", ".join(
                f"CAST(#{place} AS VARCHAR) AS {name}"
                if _AS_TEXT.search(kind)
                else f"#{place} AS {name}"
                for place, (name, kind) in enumerate(zip(names, kinds, strict=True), start=1)
            )
        )
    frame: pl.DataFrame = relation.pl()
    return frame


@contextmanager
def _told(sql: str) -> Iterator[None]:
    """Turn the engine's own errors into ones that say what was done, and no value."""
    try:
        with _interruptible():
            yield
    except duckdb.Error as error:
        raise _translated(error, _title(sql)) from None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Whoever was interrupted in a query is told so: the engine raises an error in its place."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from None


def _title(sql: str) -> str:
    """What to call a statement in a message: its first words, which are never data."""
    first = _TEXT.sub("'…'", _COMMENT.sub("", sql)).split()
    return " ".join(first[:6])


def _translated(error: duckdb.Error, what: str) -> B12ScreenError:
    text = str(error).lower()
    found = _FILE_OF_ENGINE.search(str(error))
    where = f", {found[1]}" if found else ""
    if any(sign in text for sign in _FULL):
        return CannotWrite(
            f"the disk is full ({what}{where}): nothing was published, yesterday's files stand; "
            "free space on it and run again"
        )
    if any(sign in text for sign in _FORBIDDEN):
        return CannotWrite(
            f"a permission is missing ({what}{where}): nothing was published, yesterday's files "
            "stand; let the running user write there and run again"
        )
    if any(sign in text for sign in _DAMAGED):
        return Damaged(
            f"a database file is damaged ({what}): nothing was published, yesterday's files stand; "
            "bring the file back from its backup"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return NotEnoughMemory(
            f"limits.memory_mb is too little for what this site holds ({what}): nothing was "
            "published, yesterday's files stand; double it and run again"
        )
    return WarehouseError(f"{type(error).__name__} in: {what}")
