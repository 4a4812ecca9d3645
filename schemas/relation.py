"""A relation: a Pandera model with its name in the database and its key.

``@relation("core.patient", key=("patient_id",))`` registers a model; its docstring's first line is
the grain. Columns are declared in ``schemas.columns``' words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import pandera.polars as pa

M = TypeVar("M", bound=type[pa.DataFrameModel])
RELATIONS: dict[str, "Relation"] = {}


@dataclass(frozen=True)
class Relation:
    """A named table: its model and its key (unique, not null)."""

    name: str
    model: type[pa.DataFrameModel]
    key: tuple[str, ...]

    @property
    def grain(self) -> str:
        """What one row is, and what the relation is for: the table's COMMENT."""
        return " ".join((self.model.__doc__ or "").split())

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Pandera columns by name, in the declared order."""
        return dict(self.model.to_schema().columns)


def relation(name: str, key: Sequence[str] = ()) -> Callable[[M], M]:
    """Register a model under its database name; a name is declared once."""

    def register(model: M) -> M:
        if name in RELATIONS:
            raise ValueError(f"relation {name} is declared twice")
        RELATIONS[name] = Relation(name, model, tuple(key))
        return model

    return register
