"""The night itself: its date, its parameters, the files it rests on."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation

Moment = Annotated[pl.Datetime, "us", None]


@relation("run.night", key=("as_of",))
class Night(pa.DataFrameModel):
    """One row: the night that this file holds. Everything is decided for as_of, never for today."""

    as_of: pl.Date = shared("as_of")
    run_id: str = shared("run_id")
    ruleset: str = shared("ruleset")
    version: str = shared("version")
    started_at: Moment = column("When the run started, in the site's timezone")
    timezone: str = column("The site's timezone")
    medications_complete_from: pl.Date = column(
        "The day from which the medications feed is complete; NULL where the settings name none",
        nullable=True,
    )
    labs_feed: str = column("Whether laboratory results are fresh", words=words.FEEDS)
    patients_feed: str = column("Whether the patients extract is fresh", words=words.FEEDS)
    conditions_feed: str = column("Whether conditions are fresh", words=words.FEEDS)
    medications_feed: str = column("Whether medications are fresh", words=words.FEEDS)
    labs_newest_on: pl.Date = column(
        "Newest day among laboratory results, up to the night", nullable=True
    )
    patients_newest_on: pl.Date = column(
        "Newest night for which a patients extract was taken", nullable=True
    )
    conditions_newest_on: pl.Date = column(
        "Newest day among conditions, up to the night", nullable=True
    )
    medications_newest_on: pl.Date = column(
        "Newest day among medications, up to the night", nullable=True
    )
    n_files: int = column("Files taken for this night", ge=0)
    n_held: int = column("Files held back this night", ge=0)
    n_read: int = column("Rows read for this night", ge=0)
    n_accepted: int = column("Rows accepted", ge=0)
    n_duplicate: int = column("Rows whose content was known already", ge=0)
    n_superseded: int = column("Rows older on arrival than a known version", ge=0)
    n_out_of_scope: int = column("Rows of tests that this screen does not use", ge=0)
    n_rejected: int = column("Rows rejected", ge=0)

    class Config:
        strict = True


@relation(
    "run.source_file", key=("file_name", "kind", "sha256", "taken_for", "taken_by", "attempt")
)
class SourceFile(pa.DataFrameModel):
    """One row per taking of a file and kind: what became of its rows. The counts add up to n_read.

    A file that was held, or rejected whole (a reason, and not held), has a row on the night that
    turned it away, and counts of 0.
    `retry` reads the mended rows of a file alone; `retake` reads all of them again.
    """

    file_name: str = shared("file_name")
    kind: str = shared("kind")
    sha256: str = shared("sha256")
    size_bytes: int = column("Size of the file as it lay in the inbox", ge=0)
    taken_for: pl.Date = shared("taken_for")
    n_read: int = column("Rows read", ge=0)
    n_accepted: int = column("Rows accepted", ge=0)
    n_duplicate: int = column("Rows whose content was known already", ge=0)
    n_superseded: int = column("Rows older on arrival than a known version", ge=0)
    n_out_of_scope: int = column("Rows of tests that this screen does not use", ge=0)
    n_rejected: int = column("Rows rejected", ge=0)
    held: bool = column("Held back: nothing of it was taken, it is tried again every night")
    reason: str = column("Why it was held or rejected", nullable=True)
    taken_by: str = column("The command that took it", words=words.TAKEN_BY)
    attempt: int = column("Number of such takings of it for this night, from 1 on", ge=1)

    class Config:
        strict = True


@relation("run.alarm", key=("name",))
class Alarm(pa.DataFrameModel):
    """One row per limit of the settings' [alarms]: when a feed is no longer as it usually is."""

    name: str = column("Its key in the settings")
    value: float = column("Its value on this night")
    meaning: str = column("What it limits")

    class Config:
        strict = True


@relation("run.feed_health", key=("measure", "laboratory", "subject"))
class FeedHealth(pa.DataFrameModel):
    """One row per measure of a laboratory's feed: tonight or recently, against its own past."""

    measure: str = column("What is measured", words=words.HEALTH_MEASURES)
    laboratory: str = column("The laboratory; all where it is not of one")
    subject: str = column("The analyte, or the clinic, that it is measured of; else all")
    value: float = column("Rows, nights, a share or a median in the canonical unit", nullable=True)
    usual: float = column("The same of its past, or the limit", nullable=True)
    n: int = column("Rows or nights that the value rests on", ge=0)
    n_usual: int = column("Rows or nights that the usual one rests on", ge=0)
    state: str = column(
        "usual, alarm, or unknown where there is too little of it", words=words.HEALTH_STATES
    )

    class Config:
        strict = True
