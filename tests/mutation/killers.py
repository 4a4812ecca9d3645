"""What notices a mutant: `rules check`, the scenarios, the oracle, and the numbers typed again.

Each night is run once with the shipped ruleset; a mutant decides it again (`store.py`). A scenario
kills a mutant by one cell that is no longer what it says; the oracle, which agrees with the shipped
ruleset about everybody, by one compared word that is no longer the same.
"""

import inspect
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from b12screen.errors import B12ScreenError
from b12screen.rules import Ruleset
from b12screen.worklists import write_worklists
from tests.mutation.mutants import Mutant, read_back
from tests.mutation.store import Store, differing
from tests.oracle import agreement
from tests.oracle.generate import Population, generate
from tests.oracle.oracle import FACTS
from tests.rules import test_actions, test_functional_status, test_limits, test_texts
from tests.spec import published as spec
from tests.spec.reading import Night

MUTATED = "praxis-2025"
# In the order in which they are asked. Who has the same tables as the shipped ruleset is no mutant.
REFUSED, SCENARIO, ORACLE, TYPED = "rules check", "scenarios", "oracle", "tests/rules"
NOBODY, SAME = "nobody", "same tables"
TYPED_AGAIN = (test_limits, test_functional_status, test_actions, test_texts)
# What `tests/oracle` compares, as it stands in the relations.
COMPARED = {
    "decisions.screening": ("route", "rule_id"),
    "facts.patient": tuple(FACTS),
    "decisions.functional_status": ("functional_status", "rule_id"),
    "decisions.action": ("action", "rule_id", "priority"),
    "decisions.recheck": (
        "milestone",
        "due_on",
        "recheck_state",
        "days_overdue",
        "missing",
        "n_missed",
    ),
    "decisions.response": ("response", "rule_id", "mma_fall_pct", "hcy_fall_pct"),
}


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: who noticed it first, or nobody, or its tables are the same."""

    mutant: str
    kind: str
    by: str

    @property
    def decides_alike(self) -> bool:
        """Whether its tables are others, and nobody whom the tests look at is decided otherwise."""
        return self.by in (TYPED, NOBODY)


class SpecStore:
    """The scenarios of one night."""

    def __init__(self, folder: Path, night: Night, shipped: Mapping[str, pl.DataFrame]) -> None:
        self.scenarios = spec.of_night(night)
        self.store = Store(folder / "b12screen.duckdb", shipped)
        self._looked_at = set(spec.RELATIONS.values())

    def kills(self, tables: Mapping[str, pl.DataFrame]) -> bool:
        """Whether a scenario says something that the mutant does not, or the night fails."""
        try:
            with self.store.decided(tables) as different:
                return bool(different & self._looked_at) and bool(self.disagreement())
        except B12ScreenError:
            return True

    def disagreement(self) -> str:
        """The first cell of a scenario that is not what the store says."""
        with tempfile.TemporaryDirectory() as folder:
            write_worklists(self.store.warehouse, Path(folder))
            found = spec.rows_of(self.store.warehouse, Path(folder))
        for scenario in self.scenarios:
            for line in spec.disagreements(scenario, found):
                return line
        return ""


class OracleStore:
    """Generated people of one night, about whom the shipped ruleset and the oracle agree."""

    def __init__(self, database: Path, shipped: Mapping[str, pl.DataFrame]) -> None:
        self.store = Store(database, shipped)
        self._before = {name: self._print(name) for name in COMPARED}

    def kills(self, tables: Mapping[str, pl.DataFrame]) -> bool:
        """Whether anything that the oracle is compared on is another than as shipped."""
        try:
            with self.store.decided(tables) as different:
                return any(
                    self._print(name) != self._before[name] for name in COMPARED.keys() & different
                )
        except B12ScreenError:
            return True

    def _print(self, name: str) -> tuple[Any, ...]:
        columns = ", ".join(("patient_id", *COMPARED[name]))
        return self.store.warehouse.rows(
            f"SELECT count(*), sum(CAST(hash(row({columns})) AS HUGEINT)) FROM {name}"
        )[0]


@dataclass(frozen=True)
class Nights:
    """Where the nights of all killers are published."""

    scenarios: Sequence[tuple[Night, Path]]
    populations: Sequence[Path]


def run_nights(
    folder: Path,
    n_people: int,
    seeds: Sequence[int],
    progress: Callable[[str], None],
    first: int | None = None,
) -> Nights:
    """Run the nights of the scenarios (or the first few) and one of generated people a seed.

    Somebody about whom the oracle disagrees with the shipped ruleset ends it.
    """
    nights = [night for night in spec.nights() if night.ruleset == MUTATED][:first]
    scenarios = []
    for number, night in enumerate(nights):
        progress(f"running the scenarios of {night.as_of}")
        scenarios.append((night, spec.run(night, folder / f"spec-{number}")))
    populations = []
    for seed in seeds:
        population = generate(seed, n_people)
        progress(f"running {n_people:,} generated people on {population.night.as_of}")
        database = agreement.night_of(population, folder / f"oracle-{seed}")
        _agree(population, database)
        populations.append(database)
    return Nights(scenarios, populations)


def _agree(population: Population, database: Path) -> None:
    found = agreement.published(database)
    different = list(agreement.disagreements(population, found))
    if different:
        lines = "\n".join(different[0].lines())
        raise SystemExit(f"the oracle and the shipped ruleset disagree:\n{lines}")


class Killers:
    """Everything that may notice a mutant, the cheapest first."""

    def __init__(self, nights: Nights, shipped: Ruleset) -> None:
        self.shipped = shipped.tables()
        self.scenarios = [SpecStore(path, night, self.shipped) for night, path in nights.scenarios]
        self.populations = [OracleStore(path, self.shipped) for path in nights.populations]

    def close(self) -> None:
        for each in (*self.scenarios, *self.populations):
            each.store.close()

    def unmutated(self) -> list[str]:
        """What a scenario says otherwise than the shipped ruleset; nothing, when all is well."""
        return [line for each in self.scenarios if (line := each.disagreement())]

    def fate(self, mutant: Mutant) -> Fate:
        return Fate(mutant.name, mutant.kind, self._noticed_by(mutant))

    def _noticed_by(self, mutant: Mutant) -> str:
        ruleset, findings = read_back(mutant)
        if ruleset is None or findings or ruleset.findings():
            return REFUSED
        tables = ruleset.tables()
        if not differing(self.shipped, tables):
            return SAME
        if any(each.kills(tables) for each in self.scenarios):
            return SCENARIO
        if any(each.kills(tables) for each in self.populations):
            return ORACLE
        return TYPED if typed_otherwise(ruleset) else NOBODY


def typed_otherwise(ruleset: Ruleset) -> bool:
    """Whether a test of `tests/rules` that types the specification again fails on this ruleset."""
    for module in TYPED_AGAIN:
        for test, arguments in _cases(module):
            try:
                test(ruleset=ruleset, **arguments)
            except (AssertionError, KeyError):
                return True
    return False


def _cases(module: ModuleType) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Every test of a module that asks for a ruleset, with each of its parameters."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or "ruleset" not in inspect.signature(test).parameters:
            continue
        marks = [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]
        choices = [list(_parameters(*mark.args)) for mark in marks]
        for chosen in itertools.product(*choices):
            yield test, dict(itertools.chain.from_iterable(each.items() for each in chosen))


def _parameters(names: str | Sequence[str], values: Any) -> Iterator[dict[str, Any]]:
    for value in values:
        if isinstance(names, str):
            yield {names: value}
        else:
            yield dict(zip(names, value, strict=True))
