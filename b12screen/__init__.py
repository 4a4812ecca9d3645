"""Nightly screening for functional vitamin B12 deficiency: take, decide, list, publish.

This package does the work; ``pipelines`` only schedules it. It reads no clock and no
environment (``cli`` does) and never writes a patient's value to a log or a message.
"""

__version__ = "0.3.9"
