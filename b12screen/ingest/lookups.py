"""What a code and a unit mean at this site, as frames that the scans join.

The shipped maps and the site's own codes become one table of readings: every code of every
laboratory with every spelling of a unit it may come in, and what to do with the number. A blank
spelling is a reading only where the settings declare the unit.
"""

import polars as pl

from b12screen.maps import Maps, fold_unit, fold_words
from b12screen.settings import Settings

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
    shipped = maps.test.select("code_system", "code", "analyte", "property").rows()
    for name, laboratory in settings.laboratories.items():
        own_system = fold_words(laboratory.code_system or "")
        own = {(own_system, code.strip()): test for code, test in laboratory.tests.items()}
        for (system, code), test in own.items():
            specimen = fold_words(test.specimen or "")
            rows.append((name, system, code, test.analyte, "any", test.unit, specimen))
        for system, code, analyte, dimension in shipped:
            if (system, code) not in own:
                unit = laboratory.default_units.get(code)
                rows.append((name, system, code, analyte, dimension, unit, ""))
    tests = pl.DataFrame(rows, schema=TEST_SCHEMA, orient="row")
    canonical = maps.analyte.select("analyte", canonical_unit="unit")
    return tests.join(canonical, on="analyte", how="inner").with_columns(
        test_id=pl.int_range(pl.len(), dtype=pl.Int32)
    )


def readings(tests: pl.DataFrame, maps: Maps) -> pl.DataFrame:
    """One row per test and spelling of a unit: factor, limits and whether the unit fits the code.

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
    of_spelling = tests.join(units, on="analyte", how="inner")
    return (
        pl.concat([of_spelling.select(of_blank.columns), of_blank])
        .with_columns(
            fits=(pl.col("property") == "any")
            | (pl.col("dimension") == "any")
            | (pl.col("property") == pl.col("dimension"))
        )
        .select(
            "test_id", "laboratory", "code_system", "code", "spelling", "analyte", "canonical_unit",
            "factor", "as_sent", "low", "high", "fits", "declared_specimen",
        )
    )  # fmt: skip


def statuses(words: tuple[str, ...]) -> pl.DataFrame:
    """Every accepted spelling of a status, its word's number, and whether it comes with a value."""
    spellings = {word: word for word in words} | STATUS_LETTERS
    return pl.DataFrame(
        [
            (spelling, words.index(word), word not in WITHOUT_VALUE)
            for spelling, word in sorted(spellings.items())
        ],
        schema={"spelling": pl.String, "status_id": pl.UInt8, "has_value": pl.Boolean},
        orient="row",
    )


def numbered(column: str, words: tuple[str, ...]) -> pl.DataFrame:
    """Closed words by their place, so that wide rows can be sorted while they are narrow."""
    return pl.DataFrame(
        list(enumerate(words)),
        schema={f"{column}_id": pl.UInt8, column: pl.String},
        orient="row",
    )
