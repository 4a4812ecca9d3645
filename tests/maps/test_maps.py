"""The shipped maps: what is accepted, what is refused, and that a broken map does not load."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from b12screen.errors import RulesInvalid
from b12screen.maps import (
    NEURO_GROUPS,
    OTHER_GROUPS,
    Maps,
    checked,
    fold_code,
    fold_unit,
    fold_words,
    load_maps,
    read_map,
)
from b12screen.resources import sql_text

MAPS = load_maps()

ACCEPTED_CODES = {
    ("loinc", "2132-9"): ("b12", "mass"),
    ("loinc", "14685-2"): ("b12", "molar"),
    ("loinc", "13964-2"): ("mma", "molar"),
    ("loinc", "13965-9"): ("hcy", "molar"),
    ("loinc", "2428-1"): ("hcy", "mass"),
    ("loinc", "2284-8"): ("folate", "mass"),
    ("loinc", "14732-2"): ("folate", "molar"),
    ("loinc", "2283-0"): ("red_cell_folate", "mass"),
    ("loinc", "14731-4"): ("red_cell_folate", "molar"),
    ("loinc", "2160-0"): ("creatinine", "mass"),
    ("loinc", "14682-9"): ("creatinine", "molar"),
    ("loinc", "35203-9"): ("creatinine", "any"),
    ("loinc", "98979-8"): ("egfr", "any"),
    ("loinc", "62238-1"): ("egfr", "any"),
    ("loinc", "33914-3"): ("egfr", "any"),
    ("loinc", "718-7"): ("hb", "mass"),
    ("loinc", "59260-0"): ("hb", "molar"),
    ("loinc", "787-2"): ("mcv", "any"),
    ("loinc", "777-3"): ("platelets", "any"),
    ("loinc", "2823-3"): ("potassium", "molar"),
    ("snomed", "271216009"): ("b12", "any"),
    ("snomed", "1107531000000108"): ("hb", "molar"),
}

REFUSED_LOINC = {
    "13776-0",
    "110569-1",
    "26582-7",
    "2171-7",
    "2161-8",
    "14683-7",
    "2162-6",
    "20624-3",
    "25886-3",
    "2164-2",
    "12190-5",
    "12191-3",
    "5919-6",
    "15051-6",
    "14398-2",
    "12584-9",
    "35204-7",
    "35251-8",
    "35262-5",
    "96590-5",
    "2821-7",
    "2828-2",
    "15202-5",
    "11153-4",
    "16695-9",
    "17820-2",
    "2170-9",
    "25428-4",
    "2285-5",
    "25130-6",
    "28390-3",
    "5140-4",
    "48642-3",
    "48643-1",
    "88293-6",
    "88294-4",
}
REFUSED_SNOMED = {
    "996231000000108",
    "963611000000108",
    "1011491000000107",
    "365607006",
    "165645009",
}

WINDOWS = {
    "mma": (20, 60_000),
    "hcy": (1, 500),
    "b12": (5, 200_000),
    "holotc": (1, 2000),
    "folate": (0.5, 2000),
    "red_cell_folate": (20, 10_000),
    "creatinine": (15, 2500),
    "egfr": (1, 250),
    "hb": (20, 250),
    "mcv": (50, 150),
    "platelets": (1, 3000),
    "potassium": (1, 12),
}

OWN_NAMES = {
    "b12": [
        "Vitamin B12",
        "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma",
        "S-B12",
        "s-b12-vit",
        "VitB12",
        "Vitamin B12 and Folate",
    ],
    "holotc": [
        "S-B12-TC2",
        "Active B12",
        "Holotranscobalamin, blood",
        "s-b12-vitamiini,aktiivinen",
        "s-b12-vitamiini,transkobalamiiniii:eensitoutunut,seerumista",
    ],
    "creatinine": [
        "Creatinine",
        "Creatinine (serum)",
        "P-Krea",
        "Creatinine, pre-dialysis",
        "p-kreatiniinitykslab(sis.gfreepi)",
    ],
    "egfr": [
        "GFR est",
        "eGFR",
        "pt-gfreepi",
        "eGFR non-African American",
        "Glomerular filtration rate/1.73 sq M.predicted by Creatinine-based formula (CKD-EPI 2021)",
    ],
    "hb": ["Haemoglobin", "Hgb", "Hb", "B-Hb", "Hemoglobin [Mass/volume] in Blood"],
    "mcv": ["MCV", "Mean cell volume", "Mean corpuscular volume", "e-mcv"],
    "folate": ["Folate", "Serum folate", "fs-folaat"],
    "red_cell_folate": ["Folate, RBC", "Folate, red cell", "fe-folaat", "Folate"],
    "hcy": ["Homocysteine", "p-hcyst", "Homocyst(e)ine"],
    "mma": ["Methylmalonic acid", "Methylmalonate", "MMA, serum"],
    "platelets": ["Platelets", "PLT", "Platelet count"],
    "potassium": ["Potassium", "K", "S-K"],
}

CONTRADICTING_NAMES = {
    "b12": [
        "S-B12-TC2",
        "Active B12",
        "Holotranscobalamin, blood",
        "Vitamin B12 binding capacity",
        "Red blood cell vitamin B1, blood",
        "Red blood cell vitamin B2, blood",
        "Vitamin B6",
        "Reticulocyte count",
        "magnesium_mg_dl",
        "Rubeola IgG",
        "Vitamin B12, urine",
        "Homocysteine",
    ],
    "holotc": ["Vitamin B12", "Unsaturated B12 binding capacity"],
    "creatinine": [
        "U-Krea",
        "Creatinine, urine",
        "Kreatinin i.U.",
        "Kreatinin im Harn",
        "Kreatinin (U)",
        "Creatinine clearance",
        "Albumin/creatinine ratio",
        "Creatine kinase",
        "Creatinine [Mass/volume] in Body fluid",
        "CSF creatinine",
        "GFR est",
    ],
    "egfr": ["Creatinine", "eGFR cystatin C", "eGFR African American", "Creatinine clearance"],
    "hb": ["Hemoglobin A1c", "HbA1c", "MCHC", "Mean corpuscular hemoglobin", "Hematocrit"],
    "mcv": ["Mean platelet volume", "Hemoglobin"],
    "folate": ["Folate, RBC", "fe-folaat", "Vitamin B12"],
    "red_cell_folate": ["Folate, serum"],
    "hcy": ["Homocysteine/Creatinine [Molar ratio] in Urine", "Methylmalonate"],
    "mma": ["Methylmalonate/Creatinine in Urine", "Urinary MMA", "Ethylmalonate"],
    "platelets": ["Mean platelet volume", "Hemoglobin"],
    "potassium": ["Potassium, urine", "Sodium"],
}

# One UCUM spelling for each way of writing that UCUM has; the map holds it folded.
UCUM = {
    "mma": ["nmol/L", "umol/L", "nmol/mL", "ug/L", "ng/mL"],
    "hcy": ["umol/L", "nmol/mL", "mg/L"],
    "b12": ["pmol/L", "pg/mL", "ng/L", "ng/mL", "ug/L"],
    "holotc": ["pmol/L"],
    "folate": ["nmol/L", "ng/mL", "ug/L"],
    "red_cell_folate": ["nmol/L", "ng/mL", "ug/L"],
    "creatinine": ["umol/L", "mg/dL"],
    "hb": ["g/L", "g/dL", "mmol/L"],
    "mcv": ["fL", "um3"],
    "platelets": ["10*9/L", "10*3/uL", "/nL", "/uL"],
    "potassium": ["mmol/L", "meq/L"],
}


def _unit(analyte: str, unit: str) -> dict[str, object]:
    return MAPS.unit.row(
        by_predicate=(pl.col("analyte") == analyte) & (pl.col("spelling") == fold_unit(unit)),
        named=True,
    )


def _pairs(names: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(analyte, name) for analyte, many in names.items() for name in many]


def test_every_accepted_code_stands_for_its_analyte_and_property() -> None:
    found = {
        (system, code): (analyte, what)
        for system, code, analyte, what in MAPS.test.select(
            "code_system", "code", "analyte", "property"
        ).iter_rows()
    }
    assert ACCEPTED_CODES.items() <= found.items()


def test_every_known_wrong_code_is_refused_with_a_reason_and_never_accepted() -> None:
    refused = set(MAPS.refused_test.select("code_system", "code").iter_rows())
    expected = {("loinc", code) for code in REFUSED_LOINC}
    expected |= {("snomed", code) for code in REFUSED_SNOMED}
    assert expected == refused
    assert not refused & set(MAPS.test.select("code_system", "code").iter_rows())


def test_active_b12_has_no_shipped_code_and_is_the_laboratorys_to_name() -> None:
    assert "holotc" not in MAPS.test["analyte"].to_list()
    assert "holotc" in MAPS.unit["analyte"].to_list()


@pytest.mark.parametrize("name", ["test", "refused_test", "condition", "drug"])
def test_no_row_from_memory_is_shipped(name: str) -> None:
    assert set(MAPS.tables()[name]["verified"]) <= {"V", "V2"}


@pytest.mark.parametrize("analyte", WINDOWS)
def test_the_plausibility_window_is_the_specified_one(analyte: str) -> None:
    row = MAPS.analyte.row(by_predicate=pl.col("analyte") == analyte, named=True)
    assert (row["low"], row["high"]) == WINDOWS[analyte]


def test_creatinine_in_mg_per_dl_is_judged_as_sent() -> None:
    row = _unit("creatinine", "mg/dL")
    assert (row["low_as_sent"], row["high_as_sent"]) == (0.1, 28.0)


def test_a_picogram_value_under_a_nanogram_unit_is_not_read_as_a_high_b12() -> None:
    row = _unit("b12", "ng/mL")
    assert row["low_as_sent"] < 0.1 < row["high_as_sent"] < 100


def test_only_mass_units_are_judged_as_sent() -> None:
    judged = MAPS.unit.filter(pl.col("low_as_sent").is_not_null())
    assert set(judged["analyte"]) == {"creatinine", "b12"}
    assert set(judged["dimension"]) == {"mass"}


def test_every_factor_agrees_with_ucum_and_the_molar_mass() -> None:
    ucumvert = pytest.importorskip("ucumvert")
    registry = ucumvert.PintUcumRegistry()
    molar_mass = dict(MAPS.analyte.select("analyte", "molar_mass").iter_rows())
    for analyte, unit in _pairs(UCUM):
        row = _unit(analyte, unit)
        # UCUM's equivalent needs a charge; potassium has one.
        sent = 1.0 * registry.from_ucum(unit.replace("meq", "mmol"))
        canonical = 1.0 * registry.from_ucum(str(row["canonical_unit"]))
        if not sent.is_compatible_with(canonical):
            weight = molar_mass[analyte] * registry.from_ucum("g/mol")
            sent = sent / weight if row["dimension"] == "mass" else sent * weight
        assert row["factor"] == pytest.approx((sent / canonical).m_as(""), rel=1e-12), (
            analyte,
            unit,
        )


def test_spellings_that_differ_only_in_letters_of_micro_or_case_have_one_factor() -> None:
    assert fold_unit(" \u00b5mol / L ") == fold_unit("\u03bcMOL/L") == "umol/l"
    for analyte, one, other in (
        ("mma", "umol/l", "mcmol/l"),
        ("b12", "ug/l", "mcg/l"),
        ("folate", "ng/ml", "mcg/l"),
    ):
        assert _unit(analyte, one)["factor"] == _unit(analyte, other)["factor"]


@pytest.mark.parametrize(
    ("analyte", "unit"),
    [
        ("b12", "ng/dL"),
        ("creatinine", "mmol/L"),
        ("egfr", "mL/min"),
        ("platelets", "G/L"),
        ("holotc", "pg/mL"),
        ("mma", "mmol/mol"),
    ],
)
def test_a_unit_that_could_mean_two_things_is_not_in_the_map(analyte: str, unit: str) -> None:
    with pytest.raises(pl.exceptions.NoRowsReturnedError):
        _unit(analyte, unit)


def test_every_analyte_reads_its_own_canonical_unit_unchanged() -> None:
    for analyte, unit in MAPS.analyte.select("analyte", "unit").iter_rows():
        assert _unit(analyte, unit)["factor"] == 1.0


def test_every_property_of_a_code_can_be_sent_in_some_unit() -> None:
    dimensions = set(MAPS.unit.select("analyte", "dimension").iter_rows())
    for analyte, what in MAPS.test.select("analyte", "property").iter_rows():
        assert what == "any" or (analyte, what) in dimensions


def test_serum_is_accepted_for_b12_and_urine_for_nothing() -> None:
    specimens = set(MAPS.specimen.select("analyte", "specimen").iter_rows())
    assert ("b12", fold_words(" Serum ")) in specimens
    assert ("hb", "serum") not in specimens
    assert ("hb", "whole blood") in specimens
    assert not MAPS.specimen["specimen"].str.contains("urin|csf|fluid|dried").any()


@pytest.mark.parametrize(("analyte", "name"), _pairs(OWN_NAMES))
def test_an_ordinary_name_does_not_contradict_its_code(analyte: str, name: str) -> None:
    assert not MAPS.contradicts(analyte, name)


@pytest.mark.parametrize(("analyte", "name"), _pairs(CONTRADICTING_NAMES))
def test_a_name_of_something_else_contradicts_the_code(analyte: str, name: str) -> None:
    assert MAPS.contradicts(analyte, name)


def test_a_blank_or_unknown_name_contradicts_nothing() -> None:
    for analyte in WINDOWS:
        assert not MAPS.contradicts(analyte, "")
        assert not MAPS.contradicts(analyte, "Test 4711")


def test_many_names_are_judged_as_each_of_them_is() -> None:
    named = {fold_words(name) for _, name in _pairs(OWN_NAMES) + _pairs(CONTRADICTING_NAMES)}
    names = sorted(named | {"test 4711", "b₁₂ (ÄÖ)", "urin", "k"})
    sent = pl.DataFrame({"test_name": names}).join(MAPS.analyte.select("analyte"), how="cross")
    together = set(MAPS.contradictions(sent).iter_rows())
    apart = {(name, of) for name, of in sent.iter_rows() if MAPS.contradicts(of, name)}
    assert together == apart
    assert MAPS.contradictions(sent.clear()).is_empty()


REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="../shared/data is not there")
def test_every_code_name_and_unit_of_the_survey_is_accepted() -> None:
    seen = (
        pl.read_csv(REAL_DATA / "nhanes" / "2003-2004" / "labs.csv.gz", infer_schema=False)
        .select("code", "test_name", "unit")
        .unique()
    )
    analytes = dict(
        MAPS.test.filter(pl.col("code_system") == "loinc").select("code", "analyte").iter_rows()
    )
    for code, name, unit in seen.iter_rows():
        assert not MAPS.contradicts(analytes[code], name)
        assert _unit(analytes[code], unit)


# The concepts that the experts of a national feed gave to its test names, where the names decide.
REAL_CONCEPTS = {
    "43054903": ("holotc", False),
    "3000963": ("hb", False),
    "3024731": ("mcv", False),
    "3021960": ("folate", False),
    "3019309": ("red_cell_folate", False),
    "3016724": ("hcy", False),
    "3020564": ("creatinine", False),
    "3009508": ("creatinine", True),  # urine
    "3020682": ("creatinine", True),  # albumin/creatinine
    "3037441": ("creatinine", True),  # peritoneal dialysate
    "44806420": ("egfr", True),  # Cockcroft-Gault
}


@pytest.mark.realdata
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="../shared/data is not there")
def test_the_names_of_a_national_feed_come_out_as_its_experts_mapped_them() -> None:
    feed = pl.read_csv(REAL_DATA / "units" / "kanta_b12_renal_subset.csv", infer_schema=False)
    names = feed.select("OMOP_CONCEPT_ID", "TEST_NAME").unique()
    for concept, name in names.iter_rows():
        if concept in REAL_CONCEPTS:
            analyte, contradicts = REAL_CONCEPTS[concept]
            assert MAPS.contradicts(analyte, name) == contradicts, name
        if concept == "43054903":
            assert MAPS.contradicts("b12", name), name


def test_every_clinical_group_has_a_code_in_some_system() -> None:
    assert set(MAPS.condition["condition_group"]) == {*NEURO_GROUPS, *OTHER_GROUPS}


def test_icd10cm_maps_every_neurological_group_and_snomed_does_not() -> None:
    def groups(system: str) -> set[str]:
        rows = MAPS.condition.filter(
            (pl.col("code_system") == system) & (pl.col("tier") != "competing")
        )
        return set(rows["condition_group"]) & set(NEURO_GROUPS)

    assert groups("icd10cm") == groups("icd10") == set(NEURO_GROUPS)
    assert groups("snomed") == {"paraesthesia", "gait_ataxia", "neuropathy", "cognition"}


def _tiers(code: str) -> set[str]:
    rows = MAPS.condition.filter(
        (pl.col("code_system") == "icd10cm")
        & pl.when(pl.col("match") == "prefix")
        .then(pl.lit(code).str.starts_with(pl.col("code")))
        .otherwise(pl.col("code") == code)
    )
    return {
        f"{group} {tier}".strip() for group, tier in rows["condition_group", "tier"].iter_rows()
    }


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("G320", {"cord definite"}),
        ("H462", {"optic definite"}),
        ("R200 R201 R202 R203", {"paraesthesia likely"}),
        ("R208 R209", {"paraesthesia weak"}),
        ("R260 R261 R2681 R270 R278 R279", {"gait_ataxia likely"}),
        ("R262 R2689 R269", {"gait_ataxia weak"}),
        ("G6289 G629 G603 G609 G63", {"neuropathy likely"}),
        ("G959", {"cord likely"}),
        ("R296", {"falls weak"}),
        ("F0390 R41840", {"cognition weak"}),
        ("F32A F060", {"psychiatric weak"}),
        ("G620 G621 G6281 E1142 E0840", {"neuropathy weak", "neuropathy competing"}),
        ("Z9221", {"neuropathy competing"}),
        ("N1830 N1831 N1832 N184 N185 N186 N189 N19 I120 I130 I1311 I132", {"ckd_3_5"}),
        ("N181 N182 I129 I1310 E538 Z9049 H4722 T458X5A Z888", set()),
        ("N179", {"aki"}),
        ("Z992 Z91158", {"dialysis"}),
        ("O9901 Z331 Z3490 O9A111", {"pregnancy"}),
        ("D512 E71120", {"inborn_error"}),
        ("T452X5A", {"cobalamin_reaction"}),
        ("D510 Z903 Z9884", {"irreversible_cause"}),
    ],
)
def test_an_icd10cm_code_has_its_group_and_tier(codes: str, expected: set[str]) -> None:
    for code in codes.split():
        assert _tiers(code) == expected, code


def test_the_antidote_is_known_and_b12_of_no_named_form_is_not_cyanocobalamin() -> None:
    drugs = {(row["code_system"], row["code"]): row for row in MAPS.drug.iter_rows(named=True)}
    assert drugs["atc", "V03AB33"]["antidote"] is True
    assert drugs["rxnorm", "11248"]["substance"] == "cobalamin_unspecified"
    assert drugs["atc", "B03BA01"]["substance"] == "cyanocobalamin"
    assert drugs["atc", "B03BB01"]["is_b12"] is False
    assert ("atc", "B03BA51") not in drugs
    assert MAPS.drug.filter(~pl.col("is_b12") & ~pl.col("is_folic_acid")).is_empty()


def _broken(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Maps:
    tables = MAPS.tables()
    return checked({**tables, name: change(tables[name])})


@pytest.mark.parametrize(
    ("name", "change", "finding"),
    [
        ("unit", lambda f: pl.concat([f, f.head(1)]), "stands twice"),
        ("unit", lambda f: f.with_columns(factor=pl.lit(0.0)), "factor that is not positive"),
        ("unit", lambda f: f.with_columns(canonical_unit=pl.lit("x")), "analyte's unit"),
        ("unit", lambda f: f.with_columns(high_as_sent=pl.lit(None)), "half a window"),
        ("unit", lambda f: f.with_columns(spelling=pl.lit("MG/dl")), "not folded"),
        ("analyte", lambda f: f.rename({"low": "high", "high": "low"}), "inverted window"),
        ("test", lambda f: f.with_columns(analyte=pl.lit("b6")), "unknown analyte"),
        ("test", lambda f: f.with_columns(verified=pl.lit("M")), "unknown verified"),
        ("test", lambda f: f.with_columns(code=pl.lit("2171-7")), "accepted and refused"),
        ("condition", lambda f: f.with_columns(tier=pl.lit("sure")), "needs a tier"),
        ("condition", lambda f: f.with_columns(condition_group=pl.lit("x")), "condition_group"),
        ("drug", lambda f: f.with_columns(code=pl.lit("b03.ba01")), "not folded"),
        ("test_name", lambda f: f.with_columns(pattern=pl.lit("(")), "regular expression"),
        ("test_name", lambda f: f.with_columns(pattern=pl.lit(r"\bhb")), "RE2"),
    ],
)
def test_a_broken_map_is_refused_with_what_is_wrong(
    name: str, change: Callable[[pl.DataFrame], pl.DataFrame], finding: str
) -> None:
    with pytest.raises(RulesInvalid, match=finding):
        _broken(name, change)


def test_a_map_file_with_other_columns_or_a_word_for_a_number_is_refused() -> None:
    with pytest.raises(RulesInvalid, match="columns must be"):
        read_map("specimen", b"analyte,specimen\nb12,serum\n")
    header = b"analyte,unit,label,molar_mass,low,high,note\n"
    with pytest.raises(RulesInvalid, match="low must be a number"):
        read_map("analyte", header + b"b12,pmol/L,total B12,1355.37,five,200000,x\n")
    with pytest.raises(RulesInvalid, match="blank label"):
        read_map("analyte", header + b"b12,pmol/L,,1355.37,5,200000,x\n")


def test_units_and_words_are_folded_alike_in_sql_and_python() -> None:
    blanks = [chr(number) for number in range(0x3100) if chr(number).isspace()]
    # The separators of files that no keyboard writes are left alone by both.
    blanks = sorted({*blanks, "\v", "\f"} - set("\x1c\x1d\x1e\x1f\x85"))
    units = [f"{blank}µMol{blank}/ L{blank}" for blank in blanks] + ["nmol/L\t", "\u03bcg/dL"]
    words = [f"{blank}Serum{blank}{blank}or{blank}Plasma{blank}" for blank in blanks]
    with duckdb.connect() as database:
        for statement in duckdb.extract_statements(sql_text("core/grammar.sql")):
            if "MACRO folded_" in statement.query or "MACRO bare(" in statement.query:
                database.execute(statement.query)
        for sent, fold, macro in (
            *((unit, fold_unit, "folded_unit") for unit in units),
            *((word, fold_words, "folded_words") for word in words),
        ):
            ((folded,),) = database.execute(f"SELECT {macro}(?)", [sent]).fetchall()
            assert folded == fold(sent)
            assert folded in ("umol/l", "nmol/l", "ug/dl", "serum or plasma")


WITH_MEANING = {
    "G32.0 Subacute combined degeneration": "G320",
    "g320\u00a0über": "G320",
    " R20.0* - anaesthesia of skin": "R200",
    "R20.0-anaesthesia": "R200",
    "22325002 |Ataxic gait|": "22325002",
    "22325002|Ataxic gait (finding)|": "22325002",
    "B03BA03 hydroxocobalamin": "B03BA03",
    "E11.42/stop": "E1142",
    "T45.2X5A: adverse effect": "T452X5A",
    # One code still, or none.
    "B03B A03": "B03BA03",
    "G 32.0": "G320",
    "G32 .0": "G320",
    "O2 sat low": "O2SATLOW",
    "obesity": "OBESITY",
}


@pytest.mark.parametrize(("sent", "plain"), WITH_MEANING.items())
def test_a_code_with_its_meaning_behind_it_is_the_code(sent: str, plain: str) -> None:
    assert fold_code(sent) == plain


def test_codes_are_folded_alike_in_sql_and_python() -> None:
    codes = [
        "G32.0",
        "g32.0*",
        " G 32\t.0+",
        "b03b a03",
        "T45.2X5A",
        "G63.2†",
        "E11.4\u00a0!",
        "#1",
        *WITH_MEANING,
    ]
    with duckdb.connect() as database:
        (macro,) = (
            statement.query
            for statement in duckdb.extract_statements(sql_text("macros.sql"))
            if "MACRO plain_code" in statement.query
        )
        database.execute(macro)
        for code in codes:
            ((plain,),) = database.execute("SELECT plain_code(?)", [code]).fetchall()
            assert plain == fold_code(code)
