"""Generated people against the oracle, as many as one likes; stops at the first disagreement.

Each seed is a night of its own (`tests/oracle/generate.py`). What is printed of the first person of
whom the two say something else is a scenario of `tests/spec`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.oracle.agreement import Disagreement, compare
from tests.oracle.generate import Population, generate
from tests.oracle.scenario import as_scenario

Compare = Callable[[Population, Path], tuple[int, list[Disagreement]]]


def seeds_of(texts: list[str]) -> list[int]:
    """`3` and `5-8` as 3, 5, 6, 7, 8."""
    seeds: list[int] = []
    for text in texts:
        first, _, last = text.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def main(arguments: list[str] | None = None, compare: Compare = compare) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.oracle", description="The nightly SQL against the oracle."
    )
    parser.add_argument("--people", type=int, default=10_000, help="people for each seed")
    parser.add_argument("--seeds", nargs="+", default=["1-6"], help="such as 1 2 3 or 1-20")
    options = parser.parse_args(arguments)
    n_compared = 0
    for seed in seeds_of(options.seeds):
        began = time.perf_counter()
        population = generate(seed, options.people)
        with tempfile.TemporaryDirectory() as folder:
            n_people, different = compare(population, Path(folder) / "site")
        n_compared += n_people
        print(
            f"seed {seed}, night {population.night.as_of}: {n_people:,} people,"
            f" {len(different)} disagreements, {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        if different:
            print(as_scenario(different[0], population.night))
            return 1
    print(f"{n_compared:,} people compared, no disagreement")
    return 0
