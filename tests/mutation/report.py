"""What is said of the mutants: a table by kind, and every survivor with the reason why.

A survivor is a mutant that nothing refuses and whose decisions no scenario and no generated
person notices, though `tests/rules` may. `survivors.toml` explains each, or the command fails; a
reason that explains none is stale.
"""

import itertools
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from b12screen.rules import Ruleset
from tests.mutation.killers import NOBODY, ORACLE, REFUSED, SAME, SCENARIO, TYPED, Fate
from tests.mutation.mutants import Mutant, read_back
from tests.mutation.store import differing

REASONS = Path(__file__).parent / "survivors.toml"


@dataclass(frozen=True)
class Impossible:
    """Words that nobody can have at once, and why."""

    words: Mapping[str, tuple[str, ...]]
    why: str


@dataclass(frozen=True)
class Reason:
    """Why no decision can change under some mutants, named by patterns."""

    mutants: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Reasons:
    impossible: tuple[Impossible, ...]
    survivors: tuple[Reason, ...]


def read_reasons(path: Path = REASONS) -> Reasons:
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    return Reasons(
        tuple(
            Impossible({ask: tuple(words) for ask, words in each["words"].items()}, each["why"])
            for each in given.get("impossible", [])
        ),
        tuple(Reason(tuple(each["mutants"]), each["why"]) for each in given.get("survivor", [])),
    )


def explained(mutant: Mutant, shipped: Ruleset, reasons: Reasons) -> list[Impossible | Reason]:
    """The reasons that explain a survivor; none, where a difference is left unexplained."""
    for reason in reasons.survivors:
        if any(fnmatchcase(mutant.name, pattern) for pattern in reason.mutants):
            return [reason]
    ruleset, _ = read_back(mutant)
    assert ruleset is not None
    if not differing(shipped.tables(), ruleset.tables()) <= shipped.decisions.keys():
        return []
    used: list[Impossible | Reason] = []
    for words in _differences(shipped, ruleset):
        fits = [
            each
            for each in reasons.impossible
            if all(words.get(ask) in wanted for ask, wanted in each.words.items())
        ]
        if not fits:
            return []
        used += [each for each in fits[:1] if each not in used]
    return used


def _differences(shipped: Ruleset, ruleset: Ruleset) -> Iterator[dict[str, str]]:
    """The combinations of words that the two decide differently."""
    for name, table in shipped.decisions.items():
        other = ruleset.decisions[name].verdicts
        for words, verdict in table.verdicts.items():
            said = other[words]
            before = (verdict.rule_id, verdict.outcome, verdict.priority)
            if before != (said.rule_id, said.outcome, said.priority):
                yield dict(zip(table.asks, words, strict=True))


def printed(
    fates: Sequence[Fate], mutants: Mapping[str, Mutant], shipped: Ruleset, reasons: Reasons
) -> tuple[list[str], bool]:
    """The report line by line, and whether every survivor is explained and every reason needed."""
    survivors = [fate.mutant for fate in fates if fate.decides_alike]
    why = {name: explained(mutants[name], shipped, reasons) for name in survivors}
    lines = [*_by_kind(fates), ""]
    every = (*reasons.impossible, *reasons.survivors)
    for reason in every:
        named = [name for name in survivors if reason in why[name]]
        if named:
            lines += [f"{len(named)} survive: {reason.why}", *(f"    {name}" for name in named)]
    used = list(itertools.chain.from_iterable(why.values()))
    left = [f"UNEXPLAINED {name}" for name in survivors if not why[name]]
    left += [f"STALE, explains no survivor: {each.why}" for each in every if each not in used]
    return lines + left, not left


def _by_kind(fates: Sequence[Fate]) -> Iterator[str]:
    """One row a kind; shares are of the mutants whose tables are others."""
    columns = (REFUSED, SCENARIO, ORACLE, TYPED, NOBODY, SAME)
    counted: dict[str, Counter[str]] = {}
    for fate in fates:
        counted.setdefault(fate.kind, Counter())[fate.by] += 1
    total: Counter[str] = sum(counted.values(), Counter())
    yield f"| kind of mutant | mutants | {' | '.join(columns)} | killed | without tests/rules |"
    yield "|---" * (len(columns) + 4) + "|"
    for kind, count in (*counted.items(), ("all", total)):
        n_other = count.total() - count[SAME]
        n_killed = n_other - count[NOBODY]
        cells = [kind, str(count.total()), *(str(count[column]) for column in columns)]
        cells += [_share(n_killed, n_other), _share(n_killed - count[TYPED], n_other)]
        yield f"| {' | '.join(cells)} |"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"
