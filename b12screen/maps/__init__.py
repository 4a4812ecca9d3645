"""The code, unit, specimen, name, condition and drug maps: data with provenance, checked on load.

Each map is a CSV file beside this module, one row per fact with where it was seen (``source``) and
how sure that is (``verified``: ``V`` seen word for word, ``V2`` seen second-hand). A row from
memory is refused, so an unverified code can only be a site's own. The maps hold no rule: they say
what a code, a spelling or a name *is*; who is flagged is the ruleset's.

Folding. A unit is compared in lower case without any white space, both mu signs as ``u``
(``fold_unit``); a specimen or a test name in lower case, trimmed, runs of white space as one blank
(``fold_words``); a condition or drug code in capitals without dots and blanks.

A test name contradicts its code when a ``refuses`` pattern of the code's analyte is found in the
folded name, or when no ``names`` pattern of that analyte is and some ``names`` pattern of another
analyte (or of ``other``: tests that are none of ours) is. A blank name, or one that no pattern
knows, contradicts nothing. ``Maps.contradicts`` is that rule in its plainest form, for one name;
``Maps.contradictions`` asks it of many at once. Patterns are kept to what Python and Polars read
alike.
"""

import re
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files

import polars as pl

from b12screen.errors import RulesInvalid

PROPERTIES = ("mass", "molar", "any")
DIMENSIONS = ("mass", "molar", "rate", "volume", "count")
VERDICTS = ("names", "refuses")
OTHER = "other"
NEURO_GROUPS = (
    "paraesthesia",
    "gait_ataxia",
    "neuropathy",
    "cord",
    "optic",
    "cognition",
    "falls",
    "psychiatric",
)
NEURO_TIERS = ("definite", "likely", "weak", "competing")
OTHER_GROUPS = (
    "dialysis",
    "transplant",
    "ckd_3_5",
    "aki",
    "diabetic_nephropathy",
    "pregnancy",
    "nitrous_oxide",
    "inborn_error",
    "cobalamin_reaction",
    "irreversible_cause",
)
SUBSTANCES = (
    "hydroxocobalamin",
    "cyanocobalamin",
    "methylcobalamin",
    "cobamamide",
    "cobalamin_unspecified",
    "folic_acid",
    "b12_with_folic_acid",
)
VERIFIED = ("V", "V2")
TEST_SYSTEMS = ("loinc", "snomed")
CONDITION_SYSTEMS = ("icd10cm", "icd10", "snomed")
DRUG_SYSTEMS = ("atc", "rxnorm", "snomed")
MATCHES = ("exact", "prefix")

# SNOMED CT specimen types as the specimen map spells them, for messages and resources
# that send the code alone. Seen word for word in public HL7 v2 messages and specimen tables.
SPECIMEN_CODES = {
    "119364003": "serum",
    "119361006": "plasma",
    "119297000": "blood",
    "122555007": "venous blood",
    "258580003": "whole blood",
}

# Python takes more for white space than the pattern of SQL does; no code holds any of it.
_BESIDE_A_CODE = re.compile(r"[\s\ufeff\u200b.*†‡+!#]")
# A code and what a system writes behind it: "G32.0 Subacute …", "22325002 |Ataxic gait|". Behind a
# blank three letters at least, for "B03B A03" is one code.
_BLANK = r"[ \t\r\n\xa0]"
_WITH_MEANING = re.compile(
    rf"{_BLANK}*([A-Za-z][0-9][0-9A-Za-z](?:[.]?[0-9A-Za-z]{{1,4}})?|[0-9]{{5,18}})[*†‡+!#]*"
    rf"(?:{_BLANK}*[|(:;,/]|{_BLANK}*[-–]{_BLANK}*[A-Za-z]{{3}}"
    rf"|{_BLANK}+[^ \t\r\n\xa00-9.*†‡+!#]{{3}})"
)
_ICD = re.compile("[A-Z][0-9][0-9AB]")
# What SQL folds: the blanks of a keyboard, and those that typesetters and spreadsheets use.
_WHITE = re.compile("[\t-\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_TEXT = pl.String()
_NUMBER = pl.Float64()
_FLAG = pl.Boolean()

# Columns of every map in order; a cell is blank only where _MAY_BE_BLANK says so.
_COLUMNS: dict[str, dict[str, pl.DataType]] = {
    "analyte": {
        "analyte": _TEXT,
        "unit": _TEXT,
        "label": _TEXT,
        "molar_mass": _NUMBER,
        "low": _NUMBER,
        "high": _NUMBER,
        "note": _TEXT,
    },
    "test": dict.fromkeys(
        ("code_system", "code", "analyte", "property", "meaning", "source", "verified"), _TEXT
    ),
    "refused_test": dict.fromkeys(
        ("code_system", "code", "meaning", "reason", "source", "verified"), _TEXT
    ),
    "unit": {
        "analyte": _TEXT,
        "spelling": _TEXT,
        "canonical_unit": _TEXT,
        "factor": _NUMBER,
        "dimension": _TEXT,
        "low_as_sent": _NUMBER,
        "high_as_sent": _NUMBER,
        "note": _TEXT,
    },
    "specimen": dict.fromkeys(("analyte", "specimen", "note"), _TEXT),
    "test_name": dict.fromkeys(("pattern", "analyte", "verdict", "reason"), _TEXT),
    "condition": dict.fromkeys(
        (
            "code_system",
            "code",
            "match",
            "condition_group",
            "tier",
            "meaning",
            "source",
            "verified",
        ),
        _TEXT,
    ),
    "drug": {
        "code_system": _TEXT,
        "code": _TEXT,
        "match": _TEXT,
        "substance": _TEXT,
        "form": _TEXT,
        "strength_mg": _NUMBER,
        "is_b12": _FLAG,
        "is_folic_acid": _FLAG,
        "antidote": _FLAG,
        "meaning": _TEXT,
        "source": _TEXT,
        "verified": _TEXT,
    },
}
_MAY_BE_BLANK = {
    ("analyte", "molar_mass"),
    ("unit", "low_as_sent"),
    ("unit", "high_as_sent"),
    ("condition", "tier"),
    ("drug", "form"),
    ("drug", "strength_mg"),
}
_KEYS: dict[str, list[str]] = {
    "analyte": ["analyte"],
    "test": ["code_system", "code"],
    "refused_test": ["code_system", "code"],
    "unit": ["analyte", "spelling"],
    "specimen": ["analyte", "specimen"],
    "test_name": ["pattern", "analyte", "verdict"],
    "condition": ["code_system", "code", "match", "condition_group", "tier"],
    "drug": ["code_system", "code", "match"],
}


@dataclass(frozen=True)
class Maps:
    """The eight maps as typed frames; column meanings are in the module docstring and the files."""

    analyte: pl.DataFrame
    test: pl.DataFrame
    refused_test: pl.DataFrame
    unit: pl.DataFrame
    specimen: pl.DataFrame
    test_name: pl.DataFrame
    condition: pl.DataFrame
    drug: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """Name and frame of every map, for the schema ``map`` of the night's database."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def contradicts(self, analyte: str, name: str) -> bool:
        """Whether a test name shows that a result is not of the analyte its code stands for."""
        folded = fold_words(name)
        names_it = names_another = False
        for pattern, of, verdict in self.test_name.select(
            "pattern", "analyte", "verdict"
        ).iter_rows():
            if verdict == "refuses" and of != analyte:
                continue
            if re.search(pattern, folded, re.ASCII) is None:
                continue
            if verdict == "refuses":
                return True
            names_it = names_it or of == analyte
            names_another = names_another or of != analyte
        return names_another and not names_it

    def contradictions(self, sent: pl.DataFrame) -> pl.DataFrame:
        """Those of the pairs (``test_name``, folded; ``analyte``) whose name contradicts its code.

        Each pattern is compiled once, whatever the number of names. Joined to the names in SQL it
        is compiled for each of them, and a laboratory may write another name in every row.
        """
        name = pl.col("test_name")
        contradicted = []
        for (analyte,), pairs in sent.group_by("analyte", maintain_order=True):
            found = dict.fromkeys(("refuses", "names", "another"), pl.lit(False))
            for pattern, of, verdict in self.test_name.select(
                "pattern", "analyte", "verdict"
            ).iter_rows():
                if verdict == "names" and of != analyte:
                    found["another"] |= name.str.contains(pattern)
                elif of == analyte:
                    found[verdict] |= name.str.contains(pattern)
            shown = found["refuses"] | (found["another"] & ~found["names"])
            contradicted.append(pairs.filter(shown))
        return pl.concat([sent.clear(), *contradicted])


def fold_unit(unit: str) -> str:
    """A unit as the unit map spells it: lower case, no white space, both mu signs as ``u``."""
    return _WHITE.sub("", unit.lower()).replace("\u00b5", "u").replace("\u03bc", "u")


def fold_words(words: str) -> str:
    """A specimen or test name as the maps spell it: lower case, single blanks, trimmed."""
    return _WHITE.sub(" ", words.lower()).strip(" ")


@cache
def load_maps() -> Maps:
    """The shipped maps, checked and read once; raises ``RulesInvalid`` with every finding."""
    return checked({name: read_map(name, _shipped(name)) for name in _COLUMNS})


def read_map(name: str, text: bytes) -> pl.DataFrame:
    """One map from its CSV; raises ``RulesInvalid`` where a column or a number does not read."""
    columns = _COLUMNS[name]
    try:
        raw = pl.read_csv(text, infer_schema=False).fill_null("")
    except pl.exceptions.PolarsError:
        raise RulesInvalid(f"map {name}: not a readable CSV file") from None
    if raw.columns != list(columns):
        raise RulesInvalid(f"map {name}: columns must be {', '.join(columns)}")
    findings: list[str] = []
    typed: list[pl.Series] = []
    for column, dtype in columns.items():
        series = raw[column]
        if (name, column) not in _MAY_BE_BLANK and (series == "").any():
            findings.append(f"map {name}: blank {column}")
        if dtype == _FLAG:
            if not series.is_in(["true", "false"]).all():
                findings.append(f"map {name}: {column} must be true or false")
            series = series == "true"
        elif dtype == _NUMBER:
            number = series.cast(pl.Float64, strict=False)
            if not (number.is_finite().fill_null(False) | (series == "")).all():
                findings.append(f"map {name}: {column} must be a number")
            series = number
        typed.append(series)
    if findings:
        raise RulesInvalid("; ".join(findings))
    return pl.DataFrame(typed)


def checked(maps: dict[str, pl.DataFrame]) -> Maps:
    """The maps as one value; raises ``RulesInvalid`` that lists every finding, row by its key."""
    findings = [
        *_duplicate_keys(maps),
        *_unknown_words(maps),
        *_bad_numbers(maps),
        *_bad_patterns(maps),
        *_codes_in_two_minds(maps),
    ]
    if findings:
        raise RulesInvalid("; ".join(findings))
    return Maps(**maps)


def _shipped(name: str) -> bytes:
    return files("b12screen.maps").joinpath(f"{name}.csv").read_bytes()


def _keys(name: str, rows: pl.DataFrame) -> list[str]:
    return ["/".join(str(cell) for cell in row) for row in rows.select(_KEYS[name]).iter_rows()]


def _duplicate_keys(maps: dict[str, pl.DataFrame]) -> list[str]:
    findings = []
    for name, rows in maps.items():
        repeated = rows.filter(pl.struct(_KEYS[name]).is_duplicated())
        findings += [
            f"map {name}: {key} stands twice" for key in sorted(set(_keys(name, repeated)))
        ]
    return findings


def _unknown_words(maps: dict[str, pl.DataFrame]) -> list[str]:
    analytes = tuple(maps["analyte"]["analyte"])
    allowed: list[tuple[str, str, tuple[str, ...]]] = [
        ("test", "analyte", analytes),
        ("test", "code_system", TEST_SYSTEMS),
        ("test", "property", PROPERTIES),
        ("test", "verified", VERIFIED),
        ("refused_test", "code_system", TEST_SYSTEMS),
        ("refused_test", "verified", VERIFIED),
        ("unit", "analyte", analytes),
        ("unit", "dimension", DIMENSIONS),
        ("specimen", "analyte", analytes),
        ("test_name", "analyte", (*analytes, OTHER)),
        ("test_name", "verdict", VERDICTS),
        ("condition", "code_system", CONDITION_SYSTEMS),
        ("condition", "match", MATCHES),
        ("condition", "condition_group", (*NEURO_GROUPS, *OTHER_GROUPS)),
        ("condition", "verified", VERIFIED),
        ("drug", "code_system", DRUG_SYSTEMS),
        ("drug", "match", MATCHES),
        ("drug", "substance", SUBSTANCES),
        ("drug", "verified", VERIFIED),
    ]
    findings = []
    for name, column, words in allowed:
        strange = maps[name].filter(~pl.col(column).is_in(words))
        findings += [f"map {name}: {key} has an unknown {column}" for key in _keys(name, strange)]
    tierless = maps["condition"].filter(
        pl.when(pl.col("condition_group").is_in(NEURO_GROUPS))
        .then(~pl.col("tier").is_in(NEURO_TIERS))
        .otherwise(pl.col("tier") != "")
    )
    findings += [
        f"map condition: {key} needs a tier exactly where its group is neurological"
        for key in _keys("condition", tierless)
    ]
    for name, column, fold in (
        ("unit", "spelling", fold_unit),
        ("specimen", "specimen", fold_words),
        ("condition", "code", fold_code),
        ("drug", "code", fold_code),
    ):
        unfolded = maps[name].filter(
            pl.Series([fold(word) != word for word in maps[name][column]], dtype=pl.Boolean)
        )
        findings += [f"map {name}: {key} is not folded" for key in _keys(name, unfolded)]
    return findings


def fold_code(code: str) -> str:
    """A condition or drug code as the maps spell it: capitals, no dots, signs or white space.

    WHO prints a dagger or an asterisk behind some codes, national lists other signs. Where its
    meaning stands behind it, the code alone.
    """
    found = _WITH_MEANING.match(code)
    return _BESIDE_A_CODE.sub("", (found[1] if found else code).upper())


def is_code(code_system: str, plain: str) -> bool:
    """Whether a folded text may be a code at all, so that a prefix of one says something of it."""
    return not code_system.startswith("icd") or _ICD.match(plain) is not None


def _bad_numbers(maps: dict[str, pl.DataFrame]) -> list[str]:
    findings = []
    analyte, unit = maps["analyte"], maps["unit"]
    inverted = analyte.filter(~((pl.col("low") < pl.col("high")) & (pl.col("low") > 0)))
    findings += [f"map analyte: {key} has an inverted window" for key in _keys("analyte", inverted)]
    weightless = analyte.filter(pl.col("molar_mass") <= 0)
    findings += [
        f"map analyte: {key} has a molar mass that is not positive"
        for key in _keys("analyte", weightless)
    ]
    not_positive = unit.filter(pl.col("factor") <= 0)
    findings += [
        f"map unit: {key} has a factor that is not positive" for key in _keys("unit", not_positive)
    ]
    half = pl.col("low_as_sent").is_null() != pl.col("high_as_sent").is_null()
    wrong = unit.filter(half | (pl.col("low_as_sent") >= pl.col("high_as_sent")).fill_null(False))
    findings += [
        f"map unit: {key} has an inverted or half a window as sent" for key in _keys("unit", wrong)
    ]
    other_unit = unit.join(
        analyte.select("analyte", own_unit="unit"), on="analyte", how="inner", maintain_order="left"
    ).filter(pl.col("canonical_unit") != pl.col("own_unit"))
    findings += [
        f"map unit: {key} does not lead to the analyte's unit" for key in _keys("unit", other_unit)
    ]
    canonical = set(unit.select("analyte", "spelling").iter_rows())
    findings += [
        f"map analyte: {name} has a unit that the unit map cannot read"
        for name, own in analyte.select("analyte", "unit").iter_rows()
        if (name, fold_unit(own)) not in canonical
    ]
    return findings


def _bad_patterns(maps: dict[str, pl.DataFrame]) -> list[str]:
    findings = []
    for number, pattern in enumerate(maps["test_name"]["pattern"], start=1):
        try:
            re.compile(pattern, re.ASCII)
        except re.error:
            findings.append(f"map test_name: row {number} is not a regular expression")
        if re.search(r"\(\?|\\[bBdDwWsSAzZ1-9]", pattern):
            findings.append(f"map test_name: row {number} uses what RE2 and Python read apart")
    return findings


def _codes_in_two_minds(maps: dict[str, pl.DataFrame]) -> list[str]:
    both = maps["test"].join(maps["refused_test"], on=["code_system", "code"], how="semi")
    return [f"map test: {key} is accepted and refused" for key in _keys("test", both)]
