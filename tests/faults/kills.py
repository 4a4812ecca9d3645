"""A night killed at random moments, and what was left each time: `python -m tests.faults.kills`.

After every kill the published night is read whole against its manifest and is the one that was
there before or the new one. Every tenth time the night is run to its end: its rows are accounted
for, nothing is left over, and both nights are replayed byte for byte.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from b12screen.replay import replay
from b12screen.settings import make_site

from .conftest import EXTRACTS, FIRST_NIGHT, SECOND_NIGHT, deliver, night
from .test_whole_or_absent import MORE, STEPS, accounted, child, no_leftovers, seen, whole

ROUND = 10


def stage_of(step: str) -> str:
    """The stage that a step of progress, or a point at which the child may die, belongs to."""
    if step.endswith("out of scope"):
        return "taking extracts"
    if step in STEPS[STEPS.index("publishing") :]:
        return "publishing"
    return step.split(":")[0]


def killed_at_random(
    first_night: Path, folder: Path, n_kill: int, seed: int
) -> Counter[tuple[str, str]]:
    """Kill so many nights; how often at which stage, and which night was found whole after it."""
    chance = random.Random(seed)
    found: Counter[tuple[str, str]] = Counter()
    # How long a night takes here, from the moment that it says it is ready.
    usual = 0.0
    for n in range(n_kill):
        site = folder / f"site-{n // ROUND}"
        if not site.exists():
            shutil.copytree(first_night, site, symlinks=True)
            deliver(site, MORE)
        if not usual:
            trial = folder / "trial"
            shutil.copytree(site, trial, symlinks=True)
            with child(trial, "2026-11-02") as run:
                assert run.stdout is not None
                assert run.stdout.readline() == "ready\n"
                began = time.monotonic()
                assert run.wait(300) == 0
                usual = time.monotonic() - began
        before, night_before = seen(site), whole(site)
        with child(site, "2026-11-02") as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, usual))
            run.kill()
            steps = run.stdout.read().splitlines()
        is_old = whole(site) == night_before
        assert (seen(site) == before) == is_old, n
        where = stage_of(steps[-1]) if steps else "preparing"
        found[where, "what was there before" if is_old else "the new night"] += 1
        if n % ROUND == ROUND - 1 or n == n_kill - 1:
            night(site, SECOND_NIGHT)
            assert whole(site).startswith("2026-11-02.")
            accounted(site)
            no_leftovers(site)
            for replayed in replay(site, FIRST_NIGHT, lambda step: None, through=SECOND_NIGHT):
                assert replayed.differing == []
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="b12screen-kills-") as folder:
        root = Path(folder) / "first"
        make_site(root)
        deliver(root, EXTRACTS)
        night(root, FIRST_NIGHT)
        found = killed_at_random(root, Path(folder), arguments.kills, arguments.seed)
    for (stage, what), n in sorted(found.items()):
        print(f"{n:4} killed while {stage}: {what} was found, whole")
    print(f"{found.total()} kills: no half night, every night after them went through")
    return 0


if __name__ == "__main__":
    sys.exit(main())
