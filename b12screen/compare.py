"""Who would join and leave each worklist under other rules: the published night, decided again.

Reads the published generation, which never changes, and works on a copy below ``replays/``: it
neither waits for a night nor keeps one waiting, and nothing that anybody reads is altered. Facts,
decisions and lists are derived from the takings, answers, maps and day that the night knew; only
the rules differ. What it gives for the screen is counts; who the people are stands in one private
file.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

import b12screen
from b12screen.audit import breaches_of
from b12screen.errors import NothingUsable
from b12screen.night import ANSWERS, HISTORY, LAYERS, Progress
from b12screen.publish import Site, writing
from b12screen.replays import named, other_rules, scratch
from b12screen.resources import sql_folder, sql_text
from b12screen.rules import Ruleset
from b12screen.settings import Limits, load_settings
from b12screen.warehouse import Warehouse
from b12screen.worklists import guarded_cell, write_worklists
from schemas import ddl
from schemas.words import FUNCTIONAL_STATUSES

MOVERS = "movements.csv"
_ANSWERED = "SELECT count(DISTINCT item_id) FROM published.worklists.answer AS answer WHERE holds"
# What the copy holds of the other rules; core, the maps and the night itself stay.
_CLEARED = (
    "DROP SCHEMA worklists CASCADE",
    "DROP SCHEMA decisions CASCADE",
    "DROP SCHEMA facts CASCADE",
    "DROP SCHEMA rules CASCADE",
)


@dataclass(frozen=True)
class Comparison:
    """Counts by rule, clinic and functional status, and where the people are named.

    ``breaches`` are what would keep a night by the other rules from being published.
    """

    as_of: date
    run_id: str
    before: str
    after: str
    totals: dict[str, int]
    by_rule: pl.DataFrame
    by_clinic: pl.DataFrame
    by_status: pl.DataFrame
    movers: Path
    n_movers: int
    remarks: list[str]
    breaches: list[str]


def compare(root: Path, rules: str, progress: Progress) -> Comparison:
    """The last published night of a site against the same night by other rules.

    ``rules`` is the name of a shipped ruleset, or a ``.toml`` of the site or elsewhere. The same
    night and rules give the same bytes. Raises ``RulesInvalid`` with every finding, and
    ``NothingUsable`` where no night is published.
    """
    settings = load_settings(root)
    ruleset = other_rules(rules, root)
    site = Site(root.resolve())
    # Resolved once: a night that is published meanwhile does not change what is being read.
    published = (site.current / "b12screen.duckdb").resolve()
    if not published.is_file():
        raise NothingUsable(
            f"no night is published in {root}: there is nothing to compare with, and nothing was "
            "written; `b12screen run` makes a night"
        )
    with writing("comparing"), scratch(site) as folder:
        copy = folder / "night.duckdb"
        progress("copying the published night")
        shutil.copyfile(published, copy)
        with _opened(copy, folder / "spill", settings.timezone, settings.limits) as warehouse:
            _decide(warehouse, ruleset, progress)
            progress("auditing")
            sheets = folder / "worklists"
            sheets.mkdir(mode=0o700)
            breaches = breaches_of(warehouse, sheets, write_worklists(warehouse, sheets))
            warehouse.attach(published, "published", read_only=True)
            progress("comparing")
            warehouse.execute(ddl.create_schema("compare"))
            warehouse.execute(
                ddl.create_table_as("compare.movement", sql_text("compare/movement.sql"))
            )
            (night,) = warehouse.frame("SELECT * FROM run.night").to_dicts()
            (totals,) = warehouse.frame(sql_text("compare/total.sql")).to_dicts()
            movers = warehouse.frame(sql_text("compare/mover.sql"))
            return Comparison(
                as_of=night["as_of"],
                run_id=night["run_id"],
                before=night["ruleset"],
                after=f"{rules}, version {ruleset.version}",
                totals=totals,
                by_rule=warehouse.frame(sql_text("compare/by_rule.sql")),
                by_clinic=warehouse.frame(sql_text("compare/by_clinic.sql")),
                by_status=_matrix(warehouse.frame(sql_text("compare/by_status.sql"))),
                movers=_write_movers(site, folder, night["as_of"], named(rules), movers),
                n_movers=movers.height,
                remarks=_remarks(night, totals, warehouse.scalar(_ANSWERED)),
                breaches=breaches,
            )


def _opened(path: Path, spill: Path, timezone: str, limits: Limits) -> Warehouse:
    return Warehouse.open(
        path,
        memory_mb=limits.memory_mb,
        threads=limits.threads,
        temp_dir=spill,
        timezone=timezone,
    )


def _decide(warehouse: Warehouse, ruleset: Ruleset, progress: Progress) -> None:
    """Facts, decisions and items of the copied night anew, by the other rules."""
    for statement in _CLEARED:
        warehouse.execute(statement)
    with warehouse.together():
        # A night of before answers could be taken holds none.
        warehouse.create([*HISTORY, *ANSWERS])
        for name, frame in ruleset.tables().items():
            warehouse.write(f"rules.{name}", frame)
    warehouse.define(sql_text("macros.sql"))
    warehouse.build(sql_folder(), LAYERS, lambda name: progress(f"deciding: {name}"))


def _matrix(counts: pl.DataFrame) -> pl.DataFrame:
    """Functional status before (rows) and after (columns); only words that occur."""
    found = {*counts["status_before"], *counts["status_after"]}
    words = [word for word in (*FUNCTIONAL_STATUSES, "(none)") if word in found]
    people = {(before, after): n for before, after, n in counts.iter_rows()}
    return pl.DataFrame(
        {"before \\ after": words}
        | {after: [people.get((before, after), 0) for before in words] for after in words}
    )


def _write_movers(site: Site, beside: Path, as_of: date, rules: str, movers: pl.DataFrame) -> Path:
    """The people who move, for the running user alone; an earlier file is replaced whole."""
    folder = site.replays / f"compare-{as_of}-{rules}"
    folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
    whole = beside / MOVERS
    with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        movers.select(
            (guarded_cell(pl.col(name)) if kind == pl.String else pl.col(name)).alias(name)
            for name, kind in movers.schema.items()
        ).write_csv(file, include_bom=True, line_terminator="\r\n", quote_style="necessary")
    os.replace(whole, folder / MOVERS)
    return folder / MOVERS


def _remarks(night: dict[str, Any], totals: dict[str, int], n_answered: int) -> list[str]:
    """What the counts do not say, and what else than the rules may have moved somebody."""
    remarks = []
    if n_answered:
        remarks.append(
            f"{n_answered:,} rows are off the lists by an answer; they are counted only where "
            "these rules would bring them back."
        )
    if n_replaced := totals["rows_replaced"]:
        remarks.append(
            f"{n_replaced:,} of the rows that leave have another one of the same action in their "
            "place (another milestone, episode or due day): an answer to the one does not count "
            "for the other."
        )
    if n_reworded := totals["rows_reworded"]:
        remarks.append(
            f"{n_reworded:,} of the rows that stay read differently: their recommendation, or the "
            "limits that their reason names."
        )
    if night["version"] != b12screen.__version__:
        remarks.append(
            f"The night was published by version {night['version']} and decided again by version "
            f"{b12screen.__version__}: some may move because of that, not of the rules."
        )
    return remarks
