"""Which analyte each unknown code of a laboratory may stand for: by name, unit and values.

Numbers are drawn from at least 20 results, and a code, a name or a unit of the file is told only
where it stands in 20 rows of 5 people: an identifier in a wrong column stays unsaid.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import polars as pl

from b12screen.ingest import lookups
from b12screen.maps import TEST_SYSTEMS, Maps, fold_unit, fold_words
from b12screen.settings import Settings, fold

# Nothing is told of fewer results than this, and no unknown word of fewer people.
FEWEST_RESULTS = 20
FEWEST_PEOPLE = 5
SURE = 0.95
MOST_CODES = 40
MOST_CANDIDATES = 4

NOT_CONFIRMED = (
    "#   no name, unit or specimen of the file confirms it: it may be of urine; ask the laboratory"
)
# How the names of tests in urine are written beside what the map of names refuses; "u. Folat" means
# "and folate".
URINE = (
    r"(^|[^a-z])i\.? ?u([^a-z]|$)|(^|[^a-z])u([^a-z.]|\.?$)|urin([^g]|$)|"
    r"(^|[^a-z])(spontan|sammel)?harn([^a-zäöüß]|$)"
)

# A code of LOINC and the name that a system writes behind it.
NAMED_LOINC = r"([0-9]{1,5}-[0-9])[^0-9A-Za-z]+[A-Za-z]"

# A median within this factor of the usual one speaks for an analyte, beyond the second against it.
NEAR, FAR = 2.0, 4.0


@cache
def usual_medians() -> dict[str, float]:
    """Where the median of a whole feed lies, in canonical units, by analyte.

    No rule and no limit: it only puts candidates in order for a person.
    """
    rows = pl.read_csv(files("b12screen.maps").joinpath("usual_median.csv").read_bytes())
    return dict(rows.select("analyte", pl.col("median").cast(pl.Float64)).iter_rows())


@dataclass(frozen=True)
class Candidate:
    """An analyte that a code may stand for, the unit it is read in, and what speaks for it."""

    analyte: str
    unit: str
    evidence: tuple[str, ...]
    distance: float

    @property
    def is_likely(self) -> bool:
        return "name" in self.evidence and self.distance <= FAR


def quoted(text: str) -> str:
    """A text as TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def inline(table: Mapping[str, object]) -> str:
    """An inline table of TOML, of texts, whole numbers, lists and tables."""

    def written(value: object) -> str:
        if isinstance(value, Mapping):
            return inline(value)
        if isinstance(value, int):
            return str(value)
        if isinstance(value, list):
            return "[" + ", ".join(written(each) for each in value) + "]"
        return quoted(str(value))

    return "{" + ", ".join(f"{key_of(name)} = {written(table[name])}" for name in table) + "}"


def key_of(name: str) -> str:
    """A key as TOML writes it, bare where it may be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)


def test_lines(frame: pl.DataFrame, laboratory: str, settings: Settings, maps: Maps) -> list[str]:
    """Candidates for every code that no map names, in the order of how often it was sent.

    ``frame`` holds rows under the contract's names, as text.
    """
    tests = lookups.known_tests(settings, maps).filter(pl.col("laboratory") == laboratory)
    absent = [
        pl.lit("").alias(name)
        for name in ("code_system", "test_name", "specimen", "unit", "patient_id")
        if name not in frame.columns
    ]
    rows = frame.with_columns(*absent).select(
        "patient_id",
        "value",
        pl.col("specimen", "test_name", "code", "unit").str.strip_chars(),
        code_system=pl.col("code_system").str.strip_chars().str.to_lowercase().replace("", "loinc"),
    )
    unknown = rows.filter(pl.col("code") != "").join(
        tests, on=["code_system", "code"], how="anti", maintain_order="left"
    )
    codes = unknown.group_by("code_system", "code").agg(n=pl.len(), people=people())
    codes = codes.sort("n", "code_system", "code", descending=[True, False, False])
    told = codes.filter((pl.col("n") >= FEWEST_RESULTS) & (pl.col("people") >= FEWEST_PEOPLE))
    system_of_its_own = fold(settings.laboratories[laboratory].code_system or "")
    lines: list[str] = []
    n_shown = 0
    for system, code, _, _ in told.iter_rows():
        if n_shown == MOST_CODES:
            break
        results = Results.of(unknown.filter(code_system=system, code=code), code)
        if found := candidates_of(results, maps):
            n_shown += 1
            lines += shared_lines(results, found)
            if system in TEST_SYSTEMS and system != system_of_its_own:
                lines += shared_system_lines(system, code, maps)
            else:
                lines += map_lines(results, found, laboratory, maps)
    if told.height > n_shown:
        lines.append(f"# {told.height - n_shown} more unknown codes look like none of ours")
    if codes.height > told.height:
        lines.append(
            f"# {codes.height - told.height} unknown codes of fewer than {FEWEST_RESULTS} results "
            f"or {FEWEST_PEOPLE} people are not shown"
        )
    return lines


def people() -> pl.Expr:
    """How many people's the rows are; rows without a person are nobody's."""
    return pl.col("patient_id").filter(pl.col("patient_id") != "").n_unique()


@dataclass(frozen=True)
class Results:
    """All results of one code: what most of them say of themselves, and their numbers."""

    code: str
    n: int
    name: str
    unit: str
    specimen: str
    n_without_unit: int
    values: pl.Series

    @classmethod
    def of(cls, rows: pl.DataFrame, code: str) -> "Results":
        values = rows["value"].str.strip_chars(" ").str.strip_prefix("<").str.strip_prefix(">")
        return cls(
            code,
            rows.height,
            commonest(rows, "test_name"),
            commonest(rows, "unit"),
            commonest(rows, "specimen"),
            int((rows["unit"] == "").sum()),
            values.str.strip_chars(" ").cast(pl.Float64, strict=False).drop_nulls().drop_nans(),
        )


def commonest(rows: pl.DataFrame, column: str) -> str:
    """The commonest filled cell of a column, where it stands in enough rows of enough people."""
    counts = (
        rows.filter(pl.col(column) != "")
        .group_by(column)
        .agg(n=pl.len(), people=people())
        .filter((pl.col("n") >= FEWEST_RESULTS) & (pl.col("people") >= FEWEST_PEOPLE))
        .sort("n", column, descending=[True, False])
    )
    return str(counts[column][0]) if counts.height else ""


def candidates_of(results: Results, maps: Maps) -> list[Candidate]:
    """The analytes that a code may stand for, the likeliest first.

    A name or a code that says another test rules an analyte out, and so does a specimen or a unit
    that it does not have, or values of which more than a few are implausible in that unit. Urine
    rules all of them out.
    """
    said = [text for text in (results.name, results.code) if text]
    if any(re.search(URINE, fold_words(text)) for text in said):
        return []
    specimens = set(maps.specimen.select("analyte", "specimen").iter_rows())
    found: list[Candidate] = []
    for analyte, low, high in maps.analyte.select("analyte", "low", "high").iter_rows():
        if any(maps.contradicts(analyte, text) for text in said):
            continue
        if results.specimen and (analyte, fold_words(results.specimen)) not in specimens:
            continue
        is_named = any(names_it(analyte, text, maps) for text in said)
        units = maps.unit.filter(pl.col("analyte") == analyte)
        if results.unit:
            units = units.filter(pl.col("spelling") == fold_unit(results.unit))
        else:
            units = units.unique("factor", keep="first", maintain_order=True)
        for row in units.iter_rows(named=True):
            as_sent = row["low_as_sent"] is not None
            window = (row["low_as_sent"], row["high_as_sent"]) if as_sent else (low, high)
            factor = 1.0 if as_sent else row["factor"]
            distance = FAR
            if results.values.len() >= FEWEST_RESULTS:
                if share_within(results.values * factor, *window) < SURE:
                    continue
                distance = distance_of(results.values * row["factor"], usual_medians()[analyte])
            is_near = distance <= NEAR
            if (is_named or is_near) if results.unit else is_near:
                evidence = [("name", is_named), ("unit", results.unit != ""), ("median", is_near)]
                found.append(
                    Candidate(
                        analyte,
                        results.unit or unit_as_written(row["spelling"]),
                        tuple(word for word, speaks in evidence if speaks),
                        distance,
                    )
                )
    order = list(maps.analyte["analyte"])
    return sorted(
        found,
        key=lambda each: ("name" not in each.evidence, each.distance, order.index(each.analyte)),
    )


def share_within(values: pl.Series, low: float, high: float) -> float:
    """The share of values in a window, its ends included."""
    return int(values.is_between(low, high).sum()) / values.len()


def distance_of(values: pl.Series, usual: float) -> float:
    """How many times the median lies above or below the usual one."""
    median = values.to_frame("value").select(pl.col("value").median()).item()
    return max(median / usual, usual / median) if median > 0 else float("inf")


def names_it(analyte: str, text: str, maps: Maps) -> bool:
    """Whether a name pattern of the analyte is found in a test's name or code."""
    patterns = maps.test_name.filter(analyte=analyte, verdict="names")["pattern"]
    folded = fold_words(text)
    return any(re.search(pattern, folded, re.ASCII) for pattern in patterns)


def unit_as_written(spelling: str) -> str:
    """A unit of the map as people write it."""
    return re.sub("/(m|d|u|n)?l$", lambda found: found[0][:-1] + "L", spelling)


def shared_lines(results: Results, found: list[Candidate]) -> list[str]:
    """What is told of one code: how much there is of it, its values, its candidates."""
    title = f"# {quoted(results.code)}: {results.n} results"
    title += f", named {quoted(results.name)}" if results.name else ""
    title += f", unit {quoted(results.unit)}" if results.unit else ""
    title += f", {results.n_without_unit} without a unit" if results.n_without_unit else ""
    lines = [title]
    if results.values.len() >= FEWEST_RESULTS:
        value = pl.col("value")
        low, median, high = (
            results.values.to_frame("value")
            .select(
                low=value.quantile(0.1, "linear"),
                median=value.median(),
                high=value.quantile(0.9, "linear"),
            )
            .row(0)
        )
        lines.append(
            f"#   values: 10 % below {low:.3g}, median {median:.3g}, 10 % above {high:.3g}"
        )
    return lines + [
        f"#   may be {each.analyte} in {each.unit}: {', '.join(each.evidence)}"
        for each in found[:MOST_CANDIDATES]
    ]


def shared_system_lines(system: str, code: str, maps: Maps) -> list[str]:
    """Why a code of a system that everybody uses is none that a laboratory's tests could hold."""
    named = re.match(NAMED_LOINC, code) if system == "loinc" else None
    bare = named[1] if named else code
    refused = maps.refused_test.filter(code_system=system, code=bare)
    if refused.height:
        return [f"#   but it is known as: {refused['meaning'][0]}; {refused['reason'][0]}"]
    if named:
        return [
            f"#   it is {bare} with a name behind it, which is read as one word: ask for the bare "
            "code, or accept it",
            "#   after a night in the workbook of `b12screen unmapped SITE --workbook FILE`",
        ]
    return [
        f"#   but a code of {system} is the same for everybody: ask whether it is the right one"
    ]


def map_lines(results: Results, found: list[Candidate], laboratory: str, maps: Maps) -> list[str]:
    """The table of the settings for one code; commented out where more than one may be meant.

    So it is where only the code and the values speak for it: creatinine of urine is called alike.
    """
    best = found[0]
    named = {each.analyte for each in found if each.is_likely}
    is_confirmed = (
        results.unit != "" or results.specimen != "" or names_it(best.analyte, results.name, maps)
    )
    mark = "" if named == {best.analyte} and is_confirmed else "# "
    lines = [] if is_confirmed else [NOT_CONFIRMED]
    lines += [
        f"{mark}[laboratories.{laboratory}.tests.{key_of(results.code)}]",
        f'{mark}analyte = "{best.analyte}"',
    ]
    if results.n_without_unit and results.unit:
        n_said = results.n - results.n_without_unit
        lines.append(f"{mark}unit = {quoted(results.unit)}  # as {n_said} results say")
    elif results.n_without_unit:
        units = [each.unit for each in found if each.analyte == best.analyte]
        only = mark if len(units) == 1 else "# "
        lines += [
            f"{only}unit = {quoted(unit)}  # from the values alone: ask the laboratory"
            for unit in units
        ]
    if not results.specimen:
        specimens = list(maps.specimen.filter(analyte=best.analyte)["specimen"])
        usual = next(word for word in ("serum", "blood", *specimens) if word in specimens)
        lines.append(f'# specimen = "{usual}"  # if it is; the file does not say')
    return lines
