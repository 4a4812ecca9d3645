"""Synthetic extracts: people with planted truth for tests and the demo, and bulk for the benchmark.

It refuses to hold real names, or anything that was drawn from a real person.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from b12screen.synth.bulk import bulk as bulk_extract
from b12screen.synth.extracts import (
    DEMO_NIGHTS,
    DEMO_PATIENTS,
    DEMO_SEED,
    FIRST_NIGHT,
    deliver,
    demo_nights,
    synth,
)

__all__ = [
    "DEMO_NIGHTS",
    "DEMO_PATIENTS",
    "DEMO_SEED",
    "FIRST_NIGHT",
    "bulk_extract",
    "deliver",
    "demo_nights",
    "synth",
    "write_extracts",
]


def write_extracts(
    directory: Path,
    *,
    patients: int,
    nights: int,
    seed: int,
    first_night: date = FIRST_NIGHT,
    bulk: int = 0,
    progress: Callable[[str], None] | None = None,
) -> None:
    """What ``b12screen synth`` writes: people with planted truth, or ``bulk`` rows to measure with.

    A bulk extract is one night of laboratory and patient rows, without truth.
    """
    if bulk:
        bulk_extract(directory, bulk, seed, first_night, progress)
    else:
        synth(directory, patients, nights, seed, first_night, progress)
