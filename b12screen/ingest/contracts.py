"""The declared contracts held against what the scan took: the same models, a second opinion.

The scan rejects row by row; this is the proof that it lets nothing through, made on the first
million rows of a file: one statement judged them all. A failure here is a fault of the pipeline and
stops the night; it names rules and counts, never a row.
"""

import polars as pl
from pandera.errors import SchemaErrors

from b12screen.errors import AuditFailed
from schemas.relation import RELATIONS

# Slices keep the frame beside the engine's own memory small.
SLICE_ROWS = 250_000
# Half a second a million rows; what the scan lets through by mistake it lets through everywhere.
MOST_ROWS = 1_000_000


def broken(relation: str, frame: pl.DataFrame) -> str | None:
    """The rules of a relation's contract that rows break, and how often; None where they hold."""
    try:
        RELATIONS[relation].model.validate(frame, lazy=True)
    except SchemaErrors as errors:
        return ", ".join(sorted({rule(error) for error in errors.schema_errors}))
    return None


def hold(relation: str, frame: pl.DataFrame, file_name: str) -> None:
    """Validate rows that were just taken; AuditFailed names the rules they break."""
    failure = broken(relation, frame)
    if failure is not None:
        raise AuditFailed(
            f"rows of {file_name} passed the scan but break the contract of {relation}: {failure}. "
            "Nothing was published; yesterday's files stand. This is a bug: report the rules named."
        )


def rule(error: object) -> str:
    """The column, the rule and how many rows break it."""
    check = getattr(error, "check", None)
    name = check if isinstance(check, str) else getattr(check, "name", None) or "check"
    name = name.split("(")[0]
    column = getattr(getattr(error, "schema", None), "name", None) or "frame"
    output = getattr(error, "check_output", None)
    if not isinstance(output, pl.DataFrame):
        return f"{column} {name}"
    n = output.height - int(output.to_series().sum())
    return f"{column} {name} ({n} rows)"
