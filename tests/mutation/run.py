"""Mutates the shipped ruleset and says what noticed (`make mutate`)."""

import argparse
import json
import multiprocessing
import os
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from b12screen import rules
from b12screen.rules import load_ruleset
from tests.mutation.killers import Fate, Killers, Nights, run_nights
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.report import printed, read_reasons

NICE = 10
SHIPPED = Path(rules.__file__).parent / "praxis-2025.toml"
# Each process has its own killers and its own mutants; what passes between them is names and fates.
_mine: dict[str, Any] = {}


def every_mutant() -> dict[str, Mutant]:
    shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    return {mutant.name: mutant for mutant in mutants(shipped)}


def _begin(nights: Nights) -> None:
    os.nice(max(0, NICE - os.nice(0)))
    _mine["killers"] = Killers(nights, load_ruleset("praxis-2025"))
    _mine["mutants"] = every_mutant()


def _fate(name: str) -> Fate:
    fate: Fate = _mine["killers"].fate(_mine["mutants"][name])
    return fate


def fates(chosen: Sequence[str], nights: Nights, n_processes: int) -> Iterator[Fate]:
    """What became of each mutant, as it becomes known."""
    began, n_left = time.perf_counter(), 0
    with multiprocessing.get_context("spawn").Pool(n_processes, _begin, (nights,)) as pool:
        for number, fate in enumerate(pool.imap_unordered(_fate, chosen, chunksize=4), start=1):
            n_left += fate.decides_alike
            yield fate
            if number % 100 == 0:
                minutes = (time.perf_counter() - began) / 60
                print(f"{number} of {len(chosen)}, {n_left} survive, {minutes:.0f} min", flush=True)


def keep(fate: Fate, path: Path | None) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(fate)) + "\n")


def read_fates(path: Path | None) -> dict[str, Fate]:
    """What became of each mutant that was tried; the last line about one holds."""
    if path is None or not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {fate.mutant: fate for fate in (Fate(**json.loads(line)) for line in lines)}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name or kind has this in it")
    parser.add_argument("--people", type=int, default=2000, help="generated people on each night")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5, 6])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--fates",
        type=Path,
        help="where to keep what became of each, one JSON a line; those that did not survive"
        " are not tried again",
    )
    options = parser.parse_args(arguments)
    every = every_mutant()
    chosen = [
        name
        for name, mutant in every.items()
        if options.only in name or options.only in mutant.kind
    ]
    found = {name: fate for name, fate in read_fates(options.fates).items() if name in chosen}
    wanted = [name for name in chosen if name not in found or found[name].decides_alike]
    with tempfile.TemporaryDirectory() as folder:
        nights = run_nights(Path(folder), options.people, options.seeds, print)
        print(f"{len(wanted)} mutants", flush=True)
        for fate in fates(wanted, nights, options.processes):
            found[fate.mutant] = fate
            keep(fate, options.fates)
    ordered = [found[name] for name in chosen]
    lines, is_explained = printed(ordered, every, load_ruleset("praxis-2025"), read_reasons())
    if options.only:  # a reason about others is not stale
        lines = [line for line in lines if not line.startswith("STALE")]
        is_explained = not any(line.startswith("UNEXPLAINED") for line in lines)
    print("\n".join(lines))
    return 0 if is_explained else 1
