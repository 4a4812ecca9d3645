"""The workbook of tests and units that no map names: written for a reviewer, and read back.

It holds no patient: counts, days, the texts of codes and units, how the numbers lie where there are
enough of them, and a test's name only where it came often, since it is free text. What comes back
is compared with what was sent, as a spreadsheet changes codes; one wrong row refuses all of it.
"""

import csv
import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from b12screen.accepted import write
from b12screen.errors import SettingsInvalid, UsageError
from b12screen.ingest.checks import CHECKS
from b12screen.maps import Maps, fold_unit, fold_words
from b12screen.settings import Accepted, Settings
from b12screen.warehouse import Warehouse
from b12screen.worklists import guarded, unguarded

# Fewer results, or fewer of a name, might tell of one person.
ENOUGH = 20
STEPS = 20
MOST_NAMES = 3
MOST_FINDINGS = 20
QUANTILES = (10, 25, 50, 75, 90)
KEY = ("laboratory", "code_system", "code", "unit_as_sent")
ANSWERS = ("analyte", "unit", "specimen", "decision", "note")
COLUMNS = (
    *KEY, "test_names", "n", "first_on", "last_on", "why",
    *(f"p{quantile}" for quantile in QUANTILES), *ANSWERS,
)  # fmt: skip
DECISIONS = ("accept", "ignore", "remove")
UNIT_FAULTS = ("unit", "unit_blank")
UNIT_CHECKS = sorted({CHECKS[fault][1] for fault in UNIT_FAULTS})

# What was out of scope, and what was rejected for its unit, in one shape.
SEEN = """
WITH rejected AS (
    SELECT
        rejected.file_name,
        CASE
            WHEN rejected.kind = 'labs' AND list_contains(?, rejected.check_name)
                AND json_valid(rejected.raw)
                THEN CAST(rejected.raw AS JSON)
        END AS cells,
        rejected.replaced_on,
    FROM reject_row AS rejected
),
stepped AS (
    SELECT
        rejected.*,
        CASE
            WHEN TRY_CAST(rejected.cells ->> 'value' AS DOUBLE) > 0
                AND isfinite(TRY_CAST(rejected.cells ->> 'value' AS DOUBLE))
                THEN CAST(
                    floor(log10(TRY_CAST(rejected.cells ->> 'value' AS DOUBLE)) * ?) AS INTEGER
                )
        END AS step,
    FROM rejected
)
SELECT
    'scope' AS fault,
    part.file_name,
    part.laboratory,
    part.code_system,
    part.code,
    coalesce(trim(part.unit), '') AS unit_as_sent,
    part.test_name,
    part.n,
    part.first_on,
    part.last_on,
    map_keys(part.steps) AS steps,
    map_values(part.steps) AS counts,
FROM unmapped_part AS part
WHERE part.replaced_on IS NULL AND part.kind = 'labs'
UNION ALL BY NAME
SELECT
    rejected.cells ->> 'fault' AS fault,
    rejected.file_name,
    rejected.cells ->> 'laboratory' AS laboratory,
    lower(trim(coalesce(nullif(rejected.cells ->> 'code_system', ''), 'loinc'))) AS code_system,
    rejected.cells ->> 'code' AS code,
    trim(rejected.cells ->> 'unit') AS unit_as_sent,
    nullif(rejected.cells ->> 'test_name', '') AS test_name,
    count(*) AS n,
    min(TRY_CAST(left(rejected.cells ->> 'collected_at', 10) AS DATE)) AS first_on,
    max(TRY_CAST(left(rejected.cells ->> 'collected_at', 10) AS DATE)) AS last_on,
    map_keys(histogram(rejected.step)) AS steps,
    map_values(histogram(rejected.step)) AS counts,
FROM stepped AS rejected
WHERE rejected.replaced_on IS NULL AND list_contains(?, rejected.cells ->> 'fault')
GROUP BY ALL
"""
REFUSED = "another test, which the shipped map refuses"
WHY = {
    "scope": "no map names this test",
    "unit": "the unit map has no such unit for this test",
    "unit_blank": "the unit is blank and none is declared",
}


@dataclass(frozen=True)
class Accepting:
    """What became of a workbook: the file that is in force now, and what to take again."""

    path: Path
    n_accepted: int
    n_ignored: int
    n_removed: int
    n_open: int
    files: list[str]
    waits_for_retry: bool


def seen(store: Path) -> pl.DataFrame:
    """What the private store holds of tests and units that no map names, file by file."""
    if not store.is_file():
        raise UsageError(
            f"the store that holds what was sent is not there or may not be read ({store.name}). "
            "Nothing was written. The user that runs the nights can make the workbook."
        )
    with Warehouse.open(store, read_only=True, sealed=True) as warehouse:
        return warehouse.frame(SEEN, (UNIT_CHECKS, STEPS, list(UNIT_FAULTS)))


def open_rows(rows: pl.DataFrame, settings: Settings, tests: pl.DataFrame) -> pl.DataFrame:
    """Without what a map names by now, or what the reviewer has ignored.

    ``tests`` are the known tests of today: a laboratory's code is one of them or is open.
    """
    named = tests.select("laboratory", "code_system", "code")
    scope = pl.col("fault") == "scope"
    answered = pl.DataFrame(
        [row.key for row in settings.accepted], schema=dict.fromkeys(KEY, pl.String), orient="row"
    )
    return pl.concat(
        [
            rows.filter(scope).join(named, on=named.columns, how="anti", nulls_equal=True),
            rows.filter(~scope),
        ]
    ).join(answered, on=KEY, how="anti", nulls_equal=True)


def workbook(rows: pl.DataFrame, tests: pl.DataFrame, maps: Maps) -> pl.DataFrame:
    """The rows of the workbook, the commonest first; a refused code says so and stays refused."""
    refused = maps.refused_test.select("code_system", "code", is_refused=pl.lit(value=True))
    analytes = tests.select("laboratory", "code_system", "code", "analyte").unique(
        ["laboratory", "code_system", "code"], keep="first", maintain_order=True
    )
    counted = rows.group_by(*KEY, "fault").agg(
        pl.col("n").sum(), pl.col("first_on").min(), pl.col("last_on").max()
    )
    counted = counted.join(names(rows), on=KEY, how="left", nulls_equal=True)
    counted = counted.join(spread(rows), on=KEY, how="left", nulls_equal=True)
    counted = counted.join(
        analytes, on=["laboratory", "code_system", "code"], how="left", nulls_equal=True
    )
    counted = counted.join(refused, on=refused.columns[:2], how="left")
    return counted.sort("n", *KEY, "fault", descending=[True, *[False] * 5]).select(
        *KEY,
        pl.col("test_names").fill_null(""),
        "n",
        "first_on",
        "last_on",
        pl.when(pl.col("is_refused") & (pl.col("fault") == "scope"))
        .then(pl.lit(REFUSED))
        .otherwise(pl.col("fault").replace_strict(WHY))
        .alias("why"),
        *(pl.col(f"p{quantile}").fill_null("") for quantile in QUANTILES),
        # A test that a map names is not in question, only its unit.
        pl.when(pl.col("fault") == "scope")
        .then(None)
        .otherwise(pl.col("analyte"))
        .alias("analyte"),
        *(pl.lit("").alias(name) for name in ANSWERS[1:]),
    )


def in_force(settings: Settings) -> pl.DataFrame:
    """What was accepted before, as rows of the workbook: to be read, and to be removed."""
    rows = [
        (*row.key, f"in force: {row.decision}, of {row.accepted_on}", *(row.analyte, row.unit),
         row.specimen, row.note)
        for row in settings.accepted
    ]  # fmt: skip
    columns = (*KEY, "why", "analyte", "unit", "specimen", "note")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row").sort(KEY)


def names(rows: pl.DataFrame) -> pl.DataFrame:
    """The commonest names of each test, of those that came often."""
    return (
        rows.filter(pl.col("test_name").is_not_null())
        .group_by(*KEY, "test_name")
        .agg(pl.col("n").sum())
        .filter(pl.col("n") >= ENOUGH)
        .sort("n", "test_name", descending=[True, False])
        .group_by(KEY)
        .agg(pl.col("test_name").head(MOST_NAMES))
        .with_columns(test_names=pl.col("test_name").list.join(" | "))
        .drop("test_name")
    )


def spread(rows: pl.DataFrame) -> pl.DataFrame:
    """How the numbers of each test lie, to two digits, where there are enough of them."""
    found = []
    for key, part in rows.group_by(KEY):
        counts: dict[int, int] = {}
        for steps, numbers in part.select("steps", "counts").drop_nulls().iter_rows():
            for step, number in zip(steps, numbers, strict=True):
                counts[step] = counts.get(step, 0) + number
        total = sum(counts.values())
        if total < ENOUGH:
            continue
        cells = []
        for quantile in QUANTILES:
            so_far = 0
            for step in sorted(counts):
                so_far += counts[step]
                if so_far * 100 >= total * quantile:
                    cells.append(f"{10 ** ((step + 0.5) / STEPS):.2g}")
                    break
        found.append((*key, *(f"{float(cell):g}" for cell in cells)))
    columns = (*KEY, *(f"p{quantile}" for quantile in QUANTILES))
    return pl.DataFrame(found, schema=dict.fromkeys(columns, pl.String), orient="row")


def as_csv(rows: pl.DataFrame) -> str:
    """The workbook as a spreadsheet opens it: with BOM and CRLF, no cell a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in rows.select(COLUMNS).iter_rows():
        writer.writerow(["" if cell is None else guarded(str(cell)) for cell in row])
    return "\ufeff" + text.getvalue()


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a workbook that came back, whatever separator the spreadsheet wrote."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError:
        raise UsageError(
            "the workbook is not there or may not be read. Nothing was accepted."
        ) from None
    except UnicodeDecodeError:
        raise UsageError(
            "the workbook is not UTF-8. Nothing was accepted. Save it as CSV in UTF-8."
        ) from None
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error:
        raise UsageError(
            "the workbook is no readable CSV file. Nothing was accepted. Save it again."
        ) from None
    names = [name.strip().lower() for name in lines[0]] if lines else []
    missing = [name for name in (*KEY, *ANSWERS[:4]) if name not in names]
    if missing:
        raise UsageError(
            f"the workbook lacks the columns {', '.join(missing)}. Nothing was accepted. Fill in "
            "what `b12screen unmapped SITE --workbook FILE` wrote."
        )
    return [
        {name: unguarded(cell).strip() for name, cell in zip(names, line, strict=False)}
        for line in lines[1:]
        if any(cell.strip() for cell in line)
    ]


class Review:
    """Judges the rows of a workbook one by one; findings name row and column, never a cell."""

    def __init__(self, settings: Settings, maps: Maps, rows: pl.DataFrame, today: date) -> None:
        self.settings = settings
        self.maps = maps
        self.today = today
        self.findings: list[str] = []
        self.accepted: list[Accepted] = []
        self.removed: set[tuple[str, ...]] = set()
        self.n_open = 0
        self._seen = set(rows.select(KEY).iter_rows())
        self._in_force = {row.key: row for row in settings.accepted}
        self._test: dict[tuple[str, ...], str] = {
            (system, code): analyte
            for system, code, analyte in maps.test.select("code_system", "code", "analyte").rows()
        }
        self._refused = set(maps.refused_test.select("code_system", "code").rows())
        self._units = set(maps.unit.select("analyte", "spelling").rows())
        self._specimens = set(maps.specimen.select("analyte", "specimen").rows())
        self._names: dict[tuple[str, ...], set[str]] = {}
        for *key, name in rows.select(*KEY[:3], "test_name").drop_nulls().unique().iter_rows():
            self._names.setdefault(tuple(key), set()).add(name)
        self._said: dict[tuple[str, ...], tuple[str, str]] = {}

    def judge(self, number: int, row: dict[str, str]) -> None:
        """Take one row, or note what is wrong with it."""
        decision = row.get("decision", "").lower()
        key = tuple(row.get(name, "") for name in KEY)
        if not decision:
            self.n_open += key not in self._in_force
            return
        problem = self._problem(key, decision, row)
        if problem:
            self.findings.append(f"row {number}, {problem[0]}: {problem[1]}")
            return
        if decision == "remove":
            self.removed.add(key)
            return
        self.accepted.append(
            Accepted(
                laboratory=key[0],
                code_system=key[1],
                code=key[2],
                unit_as_sent=key[3],
                decision="accept" if decision == "accept" else "ignore",
                analyte=row.get("analyte", "").lower() if decision == "accept" else "",
                unit=row.get("unit", "") if decision == "accept" else "",
                specimen=fold_words(row.get("specimen", "")) if decision == "accept" else "",
                note=" ".join(row.get("note", "").split()),
                accepted_on=self.today,
            )
        )

    def _problem(
        self, key: tuple[str, ...], decision: str, row: dict[str, str]
    ) -> tuple[str, str] | None:
        if decision not in DECISIONS:
            return "decision", "is none of " + ", ".join(DECISIONS)
        if decision == "remove":
            return None if key in self._in_force else ("code", "is not in the site's map")
        if key in {one.key for one in self.accepted}:
            return "code", "stands in the workbook twice with this unit"
        if key in self._in_force:
            return "code", "is in the site's map with this unit; `remove` it first"
        if key not in self._seen:
            return (
                "code",
                "was never sent so by this laboratory, with this code and unit; a spreadsheet may "
                "have changed it",
            )
        return self._wrong_meaning(key, row) if decision == "accept" else None

    def _wrong_meaning(self, key: tuple[str, ...], row: dict[str, str]) -> tuple[str, str] | None:
        analyte, unit = row.get("analyte", "").lower(), fold_unit(row.get("unit", ""))
        specimen, as_sent = fold_words(row.get("specimen", "")), fold_unit(key[3])
        if key[0] not in self.settings.laboratories:
            return "laboratory", "the settings name no such laboratory"
        if analyte not in self.maps.analyte["analyte"]:
            return "analyte", "is none of " + ", ".join(self.maps.analyte["analyte"])
        if key[1:3] in self._refused:
            return "code", "the shipped map refuses it: it is another test, whatever its name"
        if self._test.get(key[1:3], analyte) != analyte:
            return "analyte", "the shipped map names another analyte for this code"
        own = self.settings.laboratories[key[0]]
        is_own = fold_words(own.code_system or "") == key[1] and key[2] in own.tests
        if is_own and own.tests[key[2]].analyte != analyte:
            return "analyte", "the settings name another analyte for this code"
        if unit and (analyte, unit) not in self._units:
            return "unit", "is no unit that this analyte can be converted from"
        if not unit and (analyte, as_sent) not in self._units:
            return (
                "unit",
                "is blank, and what is sent is no unit of this analyte; say which one is meant",
            )
        if as_sent and unit and as_sent != unit and (analyte, as_sent) in self._units:
            return "unit", "contradicts the unit map, which reads the unit as it is sent"
        if specimen and (analyte, specimen) not in self._specimens:
            return "specimen", "is not one that this analyte is measured in"
        if any(self.maps.contradicts(analyte, name) for name in self._names.get(key[:3], ())):
            return "analyte", "the test's name says another test, so its rows would be rejected"
        said = self._said.setdefault(key[:3], (analyte, specimen))
        before: dict[tuple[str, ...], str] = {
            one.key[:3]: one.analyte for one in self._in_force.values() if one.analyte
        }
        if said != (analyte, specimen) or before.get(key[:3], analyte) != analyte:
            return "analyte", "another row of this code says another analyte or specimen"
        return None


def accept(
    path: Path, site: Path, settings: Settings, maps: Maps, rows: pl.DataFrame, today: date
) -> Accepting:
    """Validate a workbook row by row and write what it accepts as the site's next map.

    SettingsInvalid lists what is wrong; then nothing is written.
    """
    review = Review(settings, maps, rows, today)
    for number, row in enumerate(read(path), start=2):
        review.judge(number, row)
    if review.findings:
        more = len(review.findings) - MOST_FINDINGS
        raise SettingsInvalid(
            f"{len(review.findings)} rows of the workbook are wrong: "
            + "; ".join(review.findings[:MOST_FINDINGS])
            + (f"; and {more} more" if more > 0 else "")
            + ". Nothing was accepted. Mend these rows and accept it again."
        )
    if not review.accepted and not review.removed:
        raise UsageError(
            "no row of the workbook has a decision. Nothing was accepted. Fill the column decision "
            f"with one of {', '.join(DECISIONS)}."
        )
    stays = [row for row in settings.accepted if row.key not in review.removed]
    written = write(site, [*stays, *review.accepted])
    keys = {row.key for row in review.accepted if row.decision == "accept"} | review.removed
    tests = {key[:3] for key in keys}
    scope = rows.filter(pl.col("fault") == "scope")
    files = {
        str(row[-1])
        for row in scope.select(*KEY[:3], "file_name").iter_rows()
        if row[:3] in tests and row[-1] is not None
    }
    rejected = rows.filter(pl.col("fault") != "scope").select(KEY).iter_rows()
    n_accepted = sum(row.decision == "accept" for row in review.accepted)
    return Accepting(
        path=written,
        n_accepted=n_accepted,
        n_ignored=len(review.accepted) - n_accepted,
        n_removed=len(review.removed),
        n_open=review.n_open,
        files=sorted(files),
        waits_for_retry=any(row in keys for row in rejected),
    )
