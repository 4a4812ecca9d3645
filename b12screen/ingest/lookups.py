"""What a code and a unit mean at this site, as frames that the scans join.

The shipped maps and the site's own codes become one table of readings: every code of every
laboratory with every spelling of a unit it may come in, and what to do with the number. A blank
spelling is a reading only where the settings declare the unit.
"""

import polars as pl

from b12screen.maps import Maps, fold_unit, fold_words
from b12screen.settings import Settings
from schemas import words

# HL7 table 0085: the letters that v2 messages use for the status of a result.
STATUS_LETTERS = {
    "p": "preliminary",
    "f": "final",
    "c": "corrected",
    "d": "cancelled",
    "x": "cancelled",
    "w": "entered-in-error",
}
# A result of one of these words carries no value to judge.
WITHOUT_VALUE = ("registered", "cancelled", "entered-in-error")
# One of these speaks of a result that was sent before.
REVISING = ("amended", "corrected", "cancelled", "entered-in-error")

# What makes a test one of its own in the store.
TEST_WORDS = ("laboratory", "code_system", "code", "analyte", "unit")
# A test has room for 16 statuses of 4 comparators each; words are added at the end of their lists,
# so that the numbers in the store keep their meaning.
WORDS_OF_A_STATUS = 4
WORDS_OF_A_TEST = 16 * WORDS_OF_A_STATUS

TEST_SCHEMA = {
    "laboratory": pl.String,
    "code_system": pl.String,
    "code": pl.String,
    "analyte": pl.String,
    "property": pl.String,
    "declared_unit": pl.String,
    "declared_specimen": pl.String,
}


def known_tests(settings: Settings, maps: Maps) -> pl.DataFrame:
    """One row per laboratory and code that names a test, with the unit declared for blank cells."""
    rows: list[tuple[str | None, ...]] = []
    by_laboratory = pl.col("verified") == "site"
    shipped = (
        maps.test.filter(~by_laboratory).select("code_system", "code", "analyte", "property").rows()
    )
    accepted = [row for row in settings.accepted if row.decision == "accept"]
    blanks = {row.key[:3]: row.unit for row in accepted if row.unit and not row.unit_as_sent}
    for name, laboratory in settings.laboratories.items():
        own_system = fold_words(laboratory.code_system or "")
        own = {(own_system, code.strip()): test for code, test in laboratory.tests.items()}
        for (system, code), test in own.items():
            specimen = fold_words(test.specimen or "")
            rows.append((name, system, code, test.analyte, "any", test.unit, specimen))
        for system, code, analyte, dimension in shipped:
            if (system, code) not in own:
                unit = laboratory.default_units.get(code, blanks.get((name, system, code)))
                rows.append((name, system, code, analyte, dimension, unit, ""))
        known = {*own, *((system, code) for system, code, _, _ in shipped)}
        for row in accepted:
            if row.laboratory == name and (row.code_system, row.code) not in known:
                known.add((row.code_system, row.code))
                blank = blanks.get((name, row.code_system, row.code))
                specimen = fold_words(row.specimen)
                place = (name, row.code_system, row.code)
                rows.append((*place, row.analyte, "any", blank, specimen))
    tests = pl.DataFrame(rows, schema=TEST_SCHEMA, orient="row")
    canonical = maps.analyte.select("analyte", canonical_unit="unit")
    return tests.join(canonical, on="analyte", how="inner")


def numbered_tests(tests: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """The tests with ``first_word``, the number of their first words; ``stored`` ones keep theirs.

    ``stored`` are the rows of ``core.lab_word`` that earlier nights wrote.
    """
    known = stored.group_by(*TEST_WORDS).agg(known_word=pl.col("word_id").min())
    numbered = tests.rename({"canonical_unit": "unit"}).join(
        known, on=TEST_WORDS, how="left", maintain_order="left"
    )
    start = max((word + WORDS_OF_A_TEST for word in known["known_word"]), default=0)
    is_new = pl.col("known_word").is_null()
    return numbered.with_columns(
        first_word=pl.when(is_new)
        .then(start + (is_new.cum_sum().cast(pl.Int32) - 1) * WORDS_OF_A_TEST)
        .otherwise(pl.col("known_word"))
        .cast(pl.Int32)
    ).rename({"unit": "canonical_unit"})


def lab_words(tests: pl.DataFrame) -> pl.DataFrame:
    """Every combination of test, status and comparator by its number, as ``core.lab_word``."""
    return (
        tests.select("first_word", *TEST_WORDS[:-1], unit="canonical_unit")
        .join(statuses().filter(pl.col("spelling").is_in(words.STATUSES)), how="cross")
        .rename({"spelling": "status"})
        .join(
            pl.DataFrame(
                list(enumerate(words.COMPARATORS)),
                schema={"place": pl.Int32, "comparator": pl.String},
                orient="row",
            ),
            how="cross",
        )
        .select(
            *TEST_WORDS, "comparator", "status",
            word_id=pl.col("first_word") + pl.col("word_step") + pl.col("place"),
        )
    )  # fmt: skip


def readings(tests: pl.DataFrame, maps: Maps, settings: Settings) -> pl.DataFrame:
    """One row per test and spelling of a unit: factor, limits and whether the unit fits the code.

    A spelling that the site accepted for one of its tests reads as the one that it stands for.

    ``low`` and ``high`` judge the number as sent where ``as_sent`` is true, else the converted one.
    """
    units = maps.unit.join(
        maps.analyte.select("analyte", "low", "high"), on="analyte", how="inner"
    ).select(
        "analyte",
        "spelling",
        "factor",
        "dimension",
        as_sent=pl.col("low_as_sent").is_not_null(),
        low=pl.coalesce("low_as_sent", "low"),
        high=pl.coalesce("high_as_sent", "high"),
    )
    declared = tests.filter(pl.col("declared_unit").is_not_null()).with_columns(
        pl.col("declared_unit").map_elements(fold_unit, return_dtype=pl.String).alias("spelling")
    )
    of_blank = declared.join(units, on=["analyte", "spelling"], how="inner").with_columns(
        pl.lit("").alias("spelling")
    )
    of_spelling = tests.join(units, on="analyte", how="inner").select(of_blank.columns)
    test = ["laboratory", "code_system", "code"]
    aliases = pl.DataFrame(
        [
            (*row.key[:3], fold_unit(row.unit_as_sent), fold_unit(row.unit))
            for row in settings.accepted
            if row.decision == "accept" and row.unit_as_sent and row.unit
        ],
        schema=dict.fromkeys((*test, "alias", "spelling"), pl.String),
        orient="row",
    ).unique([*test, "alias"], keep="first", maintain_order=True)
    of_alias = (
        of_spelling.join(aliases, on=[*test, "spelling"], how="inner")
        .drop("spelling")
        .rename({"alias": "spelling"})
        .select(of_blank.columns)
        .join(of_spelling, on=[*test, "spelling"], how="anti")
    )
    return (
        pl.concat([of_spelling, of_blank, of_alias])
        .with_columns(
            fits=(pl.col("property") == "any")
            | (pl.col("dimension") == "any")
            | (pl.col("property") == pl.col("dimension"))
        )
        .select(
            "first_word", "laboratory", "code_system", "code", "spelling", "analyte",
            "canonical_unit", "factor", "as_sent", "low", "high", "fits", "declared_specimen",
        )
    )  # fmt: skip


def statuses() -> pl.DataFrame:
    """Every accepted spelling of a status: its word, its step among words, what it goes with."""
    spellings = {word: word for word in words.STATUSES} | STATUS_LETTERS
    return pl.DataFrame(
        [
            (
                spelling,
                word,
                words.STATUSES.index(word) * WORDS_OF_A_STATUS,
                word not in WITHOUT_VALUE,
                word in REVISING,
            )
            for spelling, word in sorted(spellings.items())
        ],
        schema={
            "spelling": pl.String,
            "word": pl.String,
            "word_step": pl.Int32,
            "has_value": pl.Boolean,
            "revises": pl.Boolean,
        },
        orient="row",
    )
