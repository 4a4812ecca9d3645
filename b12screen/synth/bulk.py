"""A large extract for the benchmark: the long format, the mess and the proportions of a real one.

Row ``i`` of the file is a function of the seed and of ``i`` alone. The order looks random because
``i`` is sent through a bijection of the integers, so nothing has to be sorted and memory holds one
slice. The hash is written out here in integer arithmetic: a library's own may change with its
version, and the same seed must give the same bytes.
"""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

FIRST_NIGHT = date(2026, 11, 1)

VISITS = 6
ANALYTES = ("mma", "hcy", "b12", "creatinine", "hb", "mcv", "folate", "potassium")
YEARS_IN_DAYS = 1825
CLINICS = 300
SLICE = 500_000

COLUMNS = (
    "result_id", "patient_id", "clinic_id", "collected_at", "reported_at", "code", "value",
    "unit", "status",
)  # fmt: skip

# Shares of all rows.
DUPLICATES = 0.01
CORRECTIONS = 0.005
# Shares of results, in units of 1 in 10,000.
WRONG_CASE = 300
CENSORED = 100
WORDS = 100
UNKNOWN_UNIT = 5
UNKNOWN_CODE = 5
UNKNOWN_PATIENT = 5
PRELIMINARY = 50
CANCELLED = 20

# Analyte, code, unit, canonical units in one of these, decimals sent. Canonical values lie between
# `low` and `low + span`, most of them near the lower end.
PAIRS = (
    (0, "13964-2", "nmol/L", 1.0, 0), (0, "13964-2", "umol/L", 1000.0, 3),
    (1, "13965-9", "umol/L", 1.0, 1), (1, "2428-1", "mg/L", 7.397544, 2),
    (2, "2132-9", "pg/mL", 0.737806, 0), (2, "2132-9", "ng/L", 0.737806, 0),
    (2, "14685-2", "pmol/L", 1.0, 0),
    (3, "2160-0", "mg/dL", 88.401697, 2), (3, "14682-9", "umol/L", 1.0, 0),
    (4, "718-7", "g/dL", 10.0, 1), (4, "718-7", "g/L", 1.0, 0),
    (4, "59260-0", "mmol/L", 16.1145, 2),
    (5, "787-2", "fL", 1.0, 1),
    (6, "2284-8", "ng/mL", 2.265519, 1),
    (7, "2823-3", "mmol/L", 1.0, 1),
)  # fmt: skip
LOW_AND_SPAN = (
    (60.0, 420.0), (5.0, 20.0), (140.0, 900.0), (48.0, 160.0),
    (95.0, 80.0), (78.0, 26.0), (6.0, 50.0), (3.3, 2.2),
)  # fmt: skip

MASK = 2**64


def bulk(
    directory: Path,
    rows: int,
    seed: int,
    first_night: date = FIRST_NIGHT,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write ``labs_<night>.csv`` of ``rows`` rows and ``patients_<night>.csv``; give the labs."""
    directory.mkdir(parents=True, exist_ok=True)
    say = progress or (lambda _: None)
    duplicates, corrections = int(rows * DUPLICATES), int(rows * CORRECTIONS)
    results = rows - duplicates - corrections
    patients = -(-results // (VISITS * len(ANALYTES)))
    labs = directory / f"labs_{first_night}.csv"
    bits = max(8, (rows - 1).bit_length())
    written = 0
    with labs.open("wb") as file:
        for start in range(0, 1 << bits, SLICE):
            place = pl.int_range(start, min(start + SLICE, 1 << bits), dtype=pl.UInt64, eager=True)
            source = pl.DataFrame({"place": place}).select(
                _shuffled(pl.col("place"), bits, seed).alias("source")
            )
            source = source.filter(pl.col("source") < rows)
            frame = _rows(source, results, duplicates, seed, first_night)
            frame.write_csv(file, include_header=start == 0, datetime_format="%Y-%m-%dT%H:%M:%S")
            written += frame.height
            say(f"{written:,} of {rows:,} rows")
    numbers = pl.DataFrame({"patient": pl.int_range(patients, dtype=pl.UInt64, eager=True)})
    numbers.select(
        _patient_id("patient", seed).alias("patient_id"),
        (
            pl.lit(first_night) - pl.duration(days=6600 + _draw("patient", seed, "born") % 25_000)
        ).alias("birth_date"),
        pl.when(_draw("patient", seed, "sex") % 2 == 0)
        .then(pl.lit("female"))
        .otherwise(pl.lit("male"))
        .alias("sex"),
        _clinic("patient", seed).alias("clinic_id"),
    ).write_csv(directory / f"patients_{first_night}.csv")
    return labs


def _shuffled(place: pl.Expr, bits: int, seed: int) -> pl.Expr:
    """A bijection of the integers below 2**bits: odd factors and folded halves undo each other."""
    size, half = 1 << bits, 1 << (bits // 2)
    mixed = place
    for turn in range(3):
        factor = (_mix(seed * 3 + turn) % size) | 1
        # The factor is kept below 2**31, so that the product stays within 64 bits.
        mixed = (mixed * (factor % 2**31) + _mix(seed + turn) % size) % size
        mixed = mixed ^ (mixed // half)
    return mixed


def _mix(number: int) -> int:
    """The finaliser of SplitMix64, for a single number."""
    z = (number + 0x9E3779B97F4A7C15) % MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % MASK
    return z ^ (z >> 31)


def _draw(column: str, seed: int, purpose: str) -> pl.Expr:
    """31 bits that depend on the column's number, the seed and what they are for.

    Everything stays below 2**63, so that no version of the library may disagree about overflow.
    """
    salt = _mix(seed * 1_000_003 + int.from_bytes(purpose.encode(), "big") % (2**61 - 1))
    draw = (pl.col(column) + salt % 2**31) % 2**31
    for factor in (0x2C1B3C6D, 0x297A2D39, 0x1B56C4E9):
        draw = draw ^ (draw // 2**15)
        draw = draw * factor % 2**31
    return draw ^ (draw // 2**16)


def _share(column: str, seed: int, purpose: str) -> pl.Expr:
    """A number from 0 to 1."""
    return _draw(column, seed, purpose).cast(pl.Float64) / 2**31


def _patient_id(column: str, seed: int) -> pl.Expr:
    """Eight digits that carry no order: an odd multiple, below a hundred million."""
    return ((pl.col(column) * 61_803_399 + _mix(seed) % 10**8) % 10**8).cast(pl.String).str.zfill(8)


def _clinic(column: str, seed: int) -> pl.Expr:
    return pl.format("C{}", (_draw(column, seed, "clinic") % CLINICS).cast(pl.String).str.zfill(3))


def _rows(
    source: pl.DataFrame, results: int, duplicates: int, seed: int, first_night: date
) -> pl.DataFrame:
    """What the sources of a slice say: results first, then copies of some, then corrections."""
    source_number = pl.col("source")
    frame = source.with_columns(
        pl.when(source_number < results)
        .then(source_number)
        .otherwise(_draw("source", seed, "again") % results)
        .alias("result"),
        (source_number >= results + duplicates).alias("correction"),
    ).with_columns(
        (pl.col("result") // (VISITS * len(ANALYTES))).alias("patient"),
        (pl.col("result") // len(ANALYTES)).alias("visit"),
        (pl.col("result") % len(ANALYTES)).alias("analyte"),
        # A correction draws its number afresh and everything else as before.
        pl.when("correction").then(source_number).otherwise("result").alias("version"),
    )
    forms = [sum(1 for pair in PAIRS if pair[0] == analyte) for analyte in range(len(ANALYTES))]
    firsts = [sum(forms[:analyte]) for analyte in range(len(ANALYTES))]
    analytes = pl.DataFrame(
        {
            "analyte": range(len(ANALYTES)),
            "forms": forms,
            "first": firsts,
            "low": [low for low, _ in LOW_AND_SPAN],
            "span": [span for _, span in LOW_AND_SPAN],
        },
        schema_overrides={"analyte": pl.UInt64, "forms": pl.UInt64, "first": pl.UInt64},
    )
    pairs = pl.DataFrame(
        {
            "pair": range(len(PAIRS)),
            "code": [pair[1] for pair in PAIRS],
            "unit": [pair[2] for pair in PAIRS],
            "factor": [pair[3] for pair in PAIRS],
            "decimals": [pair[4] for pair in PAIRS],
        },
        schema_overrides={"pair": pl.UInt64},
    )
    frame = (
        frame.join(analytes, on="analyte", how="left", maintain_order="left")
        .with_columns(
            (pl.col("first") + _draw("result", seed, "form") % pl.col("forms")).alias("pair")
        )
        .join(pairs, on="pair", how="left", maintain_order="left")
        .with_columns(
            (
                (
                    pl.col("low")
                    + pl.col("span")
                    * _share("version", seed, "value")
                    * _share("version", seed, "skew")
                )
                / pl.col("factor")
            ).alias("number"),
            (_draw("result", seed, "mess") % 10_000).alias("mess"),
            (_draw("result", seed, "case") % 10_000).alias("case"),
            (_draw("result", seed, "state") % 10_000).alias("state"),
            (
                pl.lit(first_night, dtype=pl.Datetime("us"))
                - pl.duration(
                    minutes=(_draw("visit", seed, "day") % YEARS_IN_DAYS + 1) * 1440
                    - (_draw("visit", seed, "minute") % 600 + 420)
                )
            ).alias("collected_at"),
        )
    )
    number = pl.col("number")
    text = (
        pl.when(pl.col("decimals") == 0)
        .then(number.round(0).cast(pl.Int64).cast(pl.String))
        .when(pl.col("decimals") == 1)
        .then(number.round(1).cast(pl.String))
        .when(pl.col("decimals") == 2)
        .then(number.round(2).cast(pl.String))
        .otherwise(number.round(3).cast(pl.String))
    )
    mess, words = pl.col("mess"), CENSORED + WORDS
    unknown_unit = words + UNKNOWN_UNIT
    unknown_code = unknown_unit + UNKNOWN_CODE
    return frame.select(
        pl.format("R{}", (pl.col("result") + 10**9)).alias("result_id"),
        pl.when(mess >= 10_000 - UNKNOWN_PATIENT)
        .then(pl.format("X{}", pl.col("patient")))
        .otherwise(_patient_id("patient", seed))
        .alias("patient_id"),
        _clinic("patient", seed).alias("clinic_id"),
        "collected_at",
        (
            pl.col("collected_at")
            + pl.duration(
                minutes=60
                + _draw("result", seed, "report") % 2000
                + pl.col("correction").cast(pl.UInt64) * 2880
            )
        ).alias("reported_at"),
        pl.when(mess.is_between(unknown_unit, unknown_code - 1))
        .then(pl.lit("99999-9"))
        .otherwise("code")
        .alias("code"),
        pl.when(mess < CENSORED // 2)
        .then(pl.format("<{}", text))
        .when(mess < CENSORED)
        .then(pl.format("> {}", text))
        .when(mess < words)
        .then(pl.lit("haemolysed"))
        .otherwise(text)
        .alias("value"),
        pl.when(mess.is_between(words, unknown_unit - 1))
        .then(pl.lit("arbitrary"))
        .when(pl.col("case") < WRONG_CASE)
        .then(pl.col("unit").str.to_uppercase())
        .otherwise("unit")
        .alias("unit"),
        pl.when("correction")
        .then(pl.lit("corrected"))
        .when(pl.col("state") < PRELIMINARY)
        .then(pl.lit("preliminary"))
        .when(pl.col("state") < PRELIMINARY + CANCELLED)
        .then(pl.lit("cancelled"))
        .otherwise(pl.lit("final"))
        .alias("status"),
    )
