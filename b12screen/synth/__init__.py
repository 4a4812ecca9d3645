"""Synthetic extracts: people with planted truth for tests and the demo, and bulk for the benchmark.

It refuses to hold real names, or anything that was drawn from a real person.
"""

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
]
