"""Every .sql file: it parses, it reads downward, it is written in the one manner (CONTRIBUTING.md).

DuckDB's own parser says whether a file is SQL; sqlglot only reads the tree of what passed.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.tokens import Token, TokenType

SQL = Path(__file__).resolve().parents[2] / "sql"
FILES = sorted(path.relative_to(SQL).as_posix() for path in SQL.rglob("*.sql"))
# Macros: statements rather than one relation.
SCRIPTS = {"macros.sql", "core/grammar.sql", "core/sheet_grammar.sql"}
RELATIONS = [name for name in FILES if name not in SCRIPTS]

# What each layer may read. `taking` and `private` are the workings of the store; `last` is the file
# of the night before, from which history is carried on; `published` is the night that is compared,
# or the newest one; `known` is the store that a past night is cut from.
GROUND = {"rules", "run", "map", "core", "history"}
MAY_READ = {
    "run": {"rules", "run", "map", "core"},
    "core": {"rules", "run", "map", "core", "taking", "private"},
    "history": {"run", "history", "last"},
    "facts": GROUND | {"facts"},
    "decisions": GROUND | {"facts", "decisions"},
    "worklists": GROUND | {"facts", "decisions", "worklists"},
    "qi": GROUND | {"facts", "decisions", "worklists", "qi"},
    "audits": GROUND | {"facts", "decisions", "worklists", "qi", "private"},
    "analysis": GROUND | {"facts", "decisions", "worklists", "qi"},
    "replay": {"known", "private", "published", "history"},
    "compare": {"facts", "decisions", "worklists", "compare", "published"},
}
DERIVED = {"facts", "decisions", "worklists", "qi", "compare"}

# Numbers that no ruleset holds because no clinician decides them.
PLAIN_NUMBERS = {"0", "1", "2", "100"}  # 100: per cent
ALLOWED_NUMBERS = {
    "facts/drug.sql": {"1000": "mg in a gram, ug in a mg"},
    "core/lab_scan.sql": {"7": "decimals that survive a conversion of units"},
    "core/unmapped_part.sql": {"10": "base", "20": "steps of a power of ten, to count numbers by"},
    "worklists/item.sql": {"365": "days that a closed item stays in the published file"},
    "worklists/past_ground.sql": {"365": "days after which what a clinic was sent is forgotten"},
    "worklists/said.sql": {"365": "days after which what a list showed is forgotten"},
    "worklists/shown.sql": {"365": "days after which what a list showed is forgotten"},
}

UPPER = {
    "select", "from", "where", "group", "order", "by", "having", "qualify", "over", "partition",
    "window", "limit", "union", "all", "except", "intersect", "distinct", "case", "when",
    "then", "else", "end", "and", "or", "not", "in", "is", "null", "true", "false", "as",
    "with", "recursive", "on", "using", "join", "inner", "left", "full", "cross", "semi",
    "anti", "asof", "exists", "between", "like", "cast", "interval", "create", "macro", "table",
    "desc", "asc", "rows", "preceding", "following", "unbounded", "current",
}  # fmt: skip
# Also names of functions or fields, where a bracket or a dot is beside them.
ALSO_NAMES = {"left", "current", "table", "window"}

TONIGHT_IS_AN_ARGUMENT = {
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "now",
    "today", "get_current_time", "get_current_timestamp", "transaction_timestamp", "random",
    "uuid", "gen_random_uuid", "getenv",
}  # fmt: skip


def text_of(name: str) -> str:
    return (SQL / name).read_text(encoding="utf-8")


@cache
def tokens(name: str) -> list[Token]:
    return sqlglot.tokenize(text_of(name), dialect="duckdb")


@cache
def select(name: str) -> exp.Query:
    statements = [tree for tree in sqlglot.parse(text_of(name), dialect="duckdb") if tree]
    assert len(statements) == 1, f"{name}: one file is one SELECT"
    assert isinstance(statements[0], exp.Query), f"{name}: one file is one SELECT"
    return statements[0]


def tables(name: str) -> Iterator[tuple[str, str, str]]:
    """Catalogue, schema and name of every relation read; without a schema, not a CTE's name."""
    tree = select(name)
    local = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and not (not table.db and table.name in local):
            yield table.catalog, table.db, table.name


@pytest.mark.parametrize("name", FILES)
def test_every_file_parses(name: str) -> None:
    assert duckdb.extract_statements(text_of(name))
    assert text_of(name).endswith("\n")
    assert "\t" not in text_of(name)


@pytest.mark.parametrize("name", FILES)
def test_every_file_says_first_what_it_is(name: str) -> None:
    first = text_of(name).splitlines()[0]
    assert first.startswith("-- ")
    if name not in SCRIPTS:
        assert first.startswith("-- One row"), "the first line is the grain"


@pytest.mark.parametrize("name", FILES)
def test_names_of_files_are_names_of_relations(name: str) -> None:
    assert re.fullmatch(r"(macros|[a-z]+/[a-z][a-z0-9_]*)[.]sql", name)


@pytest.mark.parametrize("name", RELATIONS)
def test_every_relation_is_named_with_its_schema(name: str) -> None:
    assert [table for _, schema, table in tables(name) if not schema] == []


@pytest.mark.parametrize("name", RELATIONS)
def test_a_layer_reads_only_downward(name: str) -> None:
    layer = name.partition("/")[0]
    read = {catalogue or schema for catalogue, schema, _ in tables(name)}
    assert read <= MAY_READ[layer]


@pytest.mark.parametrize("name", RELATIONS)
def test_every_derived_relation_that_is_read_has_its_file(name: str) -> None:
    read = {
        f"{schema}/{table}.sql"
        for catalogue, schema, table in tables(name)
        if schema in DERIVED and not catalogue
    }
    assert read <= set(FILES)


@pytest.mark.parametrize("name", RELATIONS)
def test_a_bare_star_stands_only_in_a_first_cte(name: str) -> None:
    tree = select(name)
    ctes = list(tree.find_all(exp.CTE))
    in_first = set(map(id, ctes[0].find_all(exp.Star))) if ctes else set()
    bare = [
        star
        for star in tree.find_all(exp.Star)
        if isinstance(star.parent, exp.Select) and id(star) not in in_first
    ]
    assert bare == []


@pytest.mark.parametrize("name", RELATIONS)
def test_bands_are_half_open(name: str) -> None:
    assert [found.sql() for found in select(name).find_all(exp.Between)] == []


@pytest.mark.parametrize("name", RELATIONS)
def test_joins_are_written_in_full(name: str) -> None:
    short = [
        join.sql()
        for join in select(name).find_all(exp.Join)
        if not (join.side or join.kind or join.method)
        and not isinstance(join.this, exp.Unnest | exp.Lateral)
    ]
    assert short == []


@pytest.mark.parametrize("name", RELATIONS)
def test_no_clinical_number_stands_in_sql(name: str) -> None:
    literals = {found.this for found in select(name).find_all(exp.Literal)}
    numbers = {text for text in literals if re.fullmatch(r"\d+([.]\d*)?|[.]\d+", text)}
    assert numbers - PLAIN_NUMBERS - set(ALLOWED_NUMBERS.get(name, {})) == set()


def test_no_allowance_outlives_its_number() -> None:
    unused = [
        (name, number)
        for name, numbers in ALLOWED_NUMBERS.items()
        for number in numbers
        if name not in FILES or number not in text_of(name)
    ]
    assert unused == []


@pytest.mark.parametrize("name", FILES)
def test_no_operator_that_changed_its_meaning(name: str) -> None:
    # Since DuckDB 2.0 `//` and `%` by zero raise, and `~` searches instead of matching in full.
    banned = {TokenType.DIV, TokenType.TILDE, TokenType.MOD}
    found = [
        f"line {token.line}: {token.text}" for token in tokens(name) if token.token_type in banned
    ]
    assert found == []


@pytest.mark.parametrize("name", FILES)
def test_no_clock_and_no_chance(name: str) -> None:
    found = [
        f"line {token.line}: {token.text}"
        for token in tokens(name)
        if token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)
        and token.text.lower() in TONIGHT_IS_AN_ARGUMENT
    ]
    assert found == []


@pytest.mark.parametrize("name", FILES)
def test_keywords_are_upper_and_names_are_lower(name: str) -> None:
    wrong = []
    read = tokens(name)
    for place, token in enumerate(read):
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            continue
        beside = {near.text for near in read[max(place - 1, 0) : place + 2]}
        if token.text in UPPER and not (token.text in ALSO_NAMES and beside & {"(", "."}):
            wrong.append(f"line {token.line}: {token.text}")
        if (
            token.token_type is TokenType.VAR
            and token.text != token.text.lower()
            and (beside & {"."})
        ):
            wrong.append(f"line {token.line}: {token.text}")
    assert wrong == []
