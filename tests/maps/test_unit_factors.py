"""Every row of the unit map against UCUM, read by a library of its own, and the molar mass."""

import re

import polars as pl
import pytest

from b12screen.maps import load_maps

MAPS = load_maps()
# What people write for a part of a unit, as UCUM has it; the longer spellings first.
AS_UCUM = (
    (r"^\(|\)$|^x(?=10)", ""),
    (r"nano?mol|nmoles?|nanomol", "nmol"),
    (r"mcmol|micromol|umoles?", "umol"),
    (r"picomol|pmoles?", "pmol"),
    (r"millimol|mmoles?", "mmol"),
    (r"mequiv|meq", "mmol"),  # potassium has one charge, and UCUM's equivalent asks for it
    (r"femtolit(er|re)", "fl"),
    (r"^gm", "g"),
    (r"mcg", "ug"),
    (r"mcl", "ul"),
    (r"/?per\s?", "/"),
    (r"^mg%$|^mg/100ml$", "mg/dl"),
    (r"^g%$|^g/100ml$", "g/dl"),
    (r"^ml/min/.*$", "ml/min"),
    (r"^ml/minper.*$", "ml/min"),
    (r"um(\^|\*)?3|um³", "um3"),
    (r"^(thou|thousand|k)(?=/)", "10*3"),
    (r"^e(?=9)", "10*"),
    (r"10(\^|e|\*)?(?=[39]/)", "10*"),
    (r"10³", "10*3"),
    (r"10⁹", "10*9"),
    (r"mm3", "ul"),
    (r"^(cells|1)?/(?=[un]l)", "1/"),
)


def as_ucum(spelling: str) -> str:
    """A spelling of the map as UCUM writes it."""
    for pattern, unit in AS_UCUM:
        spelling = re.sub(pattern, unit, spelling)
    return re.sub("(?<!o)l(?=$|/)", "L", spelling)


def test_every_spelling_of_the_map_has_the_factor_of_ucum_and_the_molar_mass() -> None:
    ucumvert = pytest.importorskip("ucumvert")
    registry = ucumvert.PintUcumRegistry()
    mass = dict(MAPS.analyte.select("analyte", "molar_mass").iter_rows())
    n_checked = 0
    for analyte, spelling, canonical_unit, factor, dimension in MAPS.unit.select(
        "analyte", "spelling", "canonical_unit", "factor", "dimension"
    ).iter_rows():
        sent = 1.0 * registry.from_ucum(as_ucum(spelling))
        # The area is of the person, no part of the dimension; both sides leave it out.
        canonical = 1.0 * registry.from_ucum(canonical_unit.replace("/{1.73_m2}", ""))
        if not sent.is_compatible_with(canonical):
            weight = mass[analyte] * registry.from_ucum("g/mol")
            sent = sent / weight if dimension == "mass" else sent * weight
        assert factor == pytest.approx((sent / canonical).m_as(""), rel=1e-12), (analyte, spelling)
        n_checked += 1
    assert n_checked == MAPS.unit.height > 130


def test_the_dimension_of_every_spelling_is_the_one_that_the_map_says() -> None:
    ucumvert = pytest.importorskip("ucumvert")
    registry = ucumvert.PintUcumRegistry()
    example = {"molar": "mol/L", "mass": "g/L", "count": "1/L", "volume": "L", "rate": "mL/min"}
    for spelling, dimension in MAPS.unit.select("spelling", "dimension").unique().iter_rows():
        if dimension in example:
            sent = registry.from_ucum(as_ucum(spelling))
            like = registry.from_ucum(example[dimension])
            assert (1.0 * sent).is_compatible_with(1.0 * like), spelling
    assert set(MAPS.unit["dimension"]) <= {*example, "any"}
    assert MAPS.unit.filter(pl.col("factor") <= 0).is_empty()
