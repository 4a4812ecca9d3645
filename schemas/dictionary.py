"""The data dictionary, rendered from the declarations; ``DICTIONARY.md`` beside this file."""

from collections.abc import Iterator
from typing import Any

import pandera.polars as pa

from schemas import ddl, declared, reference
from schemas.extracts import EXTRACTS
from schemas.relation import RELATIONS
from schemas.worklists import FOR_THE_CLINIC, SHEET

_ORDER = ("run", "core", "facts", "decisions", "worklists", "history")


def render() -> str:
    """The whole dictionary as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Data dictionary"
    yield ""
    yield "Rendered from `schemas/` by `python -m schemas.dictionary`; a test keeps it current."
    yield ""
    yield "## Extracts"
    for kind, model in EXTRACTS.items():
        yield from _extract(kind, model)
    yield ""
    yield "## Worklist sheets"
    yield ""
    yield "Columns of every `worklists/*.csv`, in this order: " + ", ".join(
        f"`{name}`" for name in SHEET
    )
    yield ""
    yield "The last " + str(len(FOR_THE_CLINIC)) + " are empty, for the clinic."
    yield ""
    yield "## `b12screen.duckdb`"
    for layer in _ORDER:
        for name, relation in RELATIONS.items():
            if name.startswith(f"{layer}."):
                yield ""
                yield f"### `{name}`"
                yield ""
                yield relation.grain
                if relation.key:
                    yield ""
                    yield "Key: " + ", ".join(f"`{column}`" for column in relation.key)
                yield ""
                yield "| column | type | may be empty | words | meaning |"
                yield "|---|---|---|---|---|"
                for column, spec in relation.columns.items():
                    yield _row(column, ddl.sql_type(spec), spec.nullable, spec)
    yield ""
    yield "### `map.*` and `rules.*`"
    yield ""
    yield (
        "The maps of codes and units and the ruleset in force, as rows. Each decision table stands "
        "in `rules` under its own name, one row per combination of words. Columns carry their "
        "comments in the file."
    )
    yield ""
    yield "| relation | grain |"
    yield "|---|---|"
    for name, grain in reference.TABLES.items():
        yield f"| `{name}` | {grain} |"


def _extract(kind: str, model: type[pa.DataFrameModel]) -> Iterator[str]:
    yield ""
    yield f"### `{kind}*`"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| column | required | may be blank | meaning |"
    yield "|---|---|---|---|"
    for column, spec in model.to_schema().columns.items():
        yield (
            f"| `{column}` | {'yes' if spec.required else 'no'} "
            f"| {'yes' if spec.nullable else 'no'} | {spec.description} |"
        )


def _row(column: str, kind: str, nullable: bool, spec: Any) -> str:
    words = next(
        (
            ", ".join(f"`{word}`" for word in check.statistics["allowed_values"])
            for check in spec.checks
            if check.statistics and "allowed_values" in check.statistics
        ),
        "",
    )
    return f"| `{column}` | {kind} | {'yes' if nullable else 'no'} | {words} | {spec.description} |"


if __name__ == "__main__":
    from pathlib import Path

    assert declared.LAYERS
    Path(__file__).with_name("DICTIONARY.md").write_text(render(), encoding="utf-8")
