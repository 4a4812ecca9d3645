"""Every trap of real laboratory feeds: what looks like one of our tests and is another, or looks
like a number in our unit and is not.

A result is accepted only where code, name, specimen, unit and range agree. Each row is one result
as it was sent and what becomes of it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from b12screen.maps import Maps
from b12screen.settings import Laboratory, Limits, LocalTest, Settings

from .inbox import Box

HEADER = "result_id,patient_id,collected_at,code,code_system,test_name,specimen,value,unit"


class Sent(NamedTuple):
    """What a laboratory sends of one result; the laboratory's own codes are of the system ours."""

    trap: str
    code: str
    value: str
    unit: str
    becomes: str
    name: str = ""
    specimen: str = ""
    system: str = "loinc"


SCOPE = "out of scope"
# Codes of other things with the same words: unknown, and counted, whatever stands beside them.
OTHER_CODES = [
    Sent("urine ratio", "13776-0", "1.4", "mmol/mol", SCOPE, "Methylmalonate/Creatinine"),
    Sent("urine ratio", "110569-1", "1.4", "mmol/mol", SCOPE),
    Sent("urine ratio", "26582-7", "1.4", "mmol/mol", SCOPE),
    Sent("binding capacity", "2171-7", "900", "pg/mL", SCOPE, "Vitamin B12"),
    Sent("urine", "2161-8", "90", "mg/dL", SCOPE, "Creatinine"),
    Sent("urine", "14683-7", "90", "umol/L", SCOPE, "Creatinine"),
    Sent("urine", "2162-6", "1.1", "g/L", SCOPE, "Creatinine"),
    Sent("urine", "20624-3", "1.1", "mg/dL", SCOPE, "Creatinine"),
    Sent("urine", "25886-3", "90", "umol/L", SCOPE, "Creatinine"),
    Sent("clearance", "2164-2", "90", "mL/min", SCOPE, "Creatinine clearance"),
    *[
        Sent("another fluid", code, "1.1", "mg/dL", SCOPE, "Creatinine")
        for code in ("12190-5", "12191-3", "5919-6", "15051-6", "14398-2", "12584-9")
    ],
    *[
        Sent("mass or moles in urine", code, "1.1", "mg/dL", SCOPE, "Creatinine")
        for code in ("35204-7", "35251-8", "35262-5")
    ],
    Sent("dried blood", "96590-5", "1.1", "mg/dL", SCOPE, "Creatinine"),
    *[
        Sent("another fluid", code, "4.1", "mmol/L", SCOPE, "Potassium")
        for code in ("2821-7", "2828-2", "15202-5")
    ],
    Sent("another fluid", "11153-4", "40", "%", SCOPE, "Haematocrit"),
    # Codes that public programs use for our tests, and that are none of them.
    Sent("used for B12", "16695-9", "412", "pmol/L", SCOPE, "Vitamin B12"),
    Sent("used for homocysteine", "17820-2", "12", "umol/L", SCOPE, "Homocysteine"),
    Sent("used for MMA", "2170-9", "300", "nmol/L", SCOPE, "Methylmalonic acid"),
    Sent("used for homocysteine", "25428-4", "12", "umol/L", SCOPE, "Homocysteine [Mass/volume]"),
    Sent("used for red-cell folate", "2285-5", "900", "nmol/L", SCOPE, "RBC folate"),
    Sent("used for MMA", "25130-6", "300", "nmol/L", SCOPE, "Methylmalonic acid"),
    Sent("used for antibodies", "28390-3", "1", "", SCOPE),
    Sent("used for antibodies", "5140-4", "1", "", SCOPE),
    Sent("ethnicity", "48643-1", "90", "mL/min/{1.73_m2}", SCOPE, "eGFR"),
    Sent("active B12 has no code", "99999-9", "60", "pmol/L", SCOPE, "Active B12"),
    Sent("ratio", "9318-7", "3", "mg/mmol", SCOPE, "Albumin/Creatinine"),
]
NAME = "test_name fits_code"
SPECIMEN = "specimen fits_code"
# Our codes with another test's name, and a local code that was mapped to the wrong test.
OTHER_NAMES = [
    Sent("mislabelled", "14685-2", "412", "pmol/L", NAME, "Reticulocyte count"),
    Sent("mislabelled", "14685-2", "412", "pmol/L", NAME, "magnesium_mg_dl"),
    Sent("mislabelled", "2132-9", "412", "pg/mL", NAME, "Rubeola IgG"),
    *[
        Sent("binding capacity", "2132-9", "900", "pg/mL", NAME, name)
        for name in (
            "B12 binding capacity", "Unsaturated B12 Binding Capacity", "UIBC (B12)", "B12B",
            "Vitamin-B12-Bindungskapazität", "Capacité de fixation B12", "Capacidad fijación B12",
        )
    ],
    *[
        Sent("active B12", "14685-2", "60", "pmol/L", NAME, name)
        for name in (
            "Active B12", "Holotranscobalamin", "S-B12-TC2", "Aktives Vitamin B12", "Holo-TC",
            "Vitamine B12 active", "Vitamina B12 activa", "s-b12-vitamiini,aktiivinen",
        )
    ],
    Sent("total as active B12", "HTC", "412", "pmol/L", NAME, "Vitamin B12", system="ours"),
    Sent("total as active B12", "HTC", "412", "pmol/L", NAME, "Cobalamin", system="ours"),
    *[
        Sent("a local code mapped to B12", "B12", "60", "pmol/L", NAME, name, system="ours")
        for name in (
            "Holotranscobalamin, blood", "Red blood cell vitamin B1, blood",
            "Red blood cell vitamin B2, blood",
        )
    ],
    Sent("antibody", "14685-2", "412", "pmol/L", NAME, "Intrinsic factor antibody"),
    *[
        Sent("urine", "13964-2", "1400", "nmol/L", NAME, name)
        for name in (
            "Methylmalonic acid, urine", "MMA urinary", "Methylmalonsäure im Urin", "U-MMA",
            "Acide méthylmalonique urinaire", "Ácido metilmalónico en orina", "MMA/Kreatinin",
            "MMA/Creatinine ratio", "Methylmalonsäure (Sammelurin)",
        )
    ],
    *[
        Sent("urine", "14682-9", "900", "umol/L", NAME, name)
        for name in (
            "Creatinine, urine", "U-Krea", "Kreatinin im Urin", "Créatinine urinaire",
            "Creatinina en orina", "Albumin/creatinine", "Creatinine clearance", "Cockcroft-Gault",
            "Creatine kinase", "Kreatinin im Dialysat", "Kreatinin (Punktat)",
        )
    ],
    Sent("urine", "13965-9", "12", "umol/L", NAME, "Homocystein im Urin"),
    Sent("dimer", "13965-9", "12", "umol/L", NAME, "Homocystin"),
    Sent("another haemoglobin", "718-7", "14", "g/dL", NAME, "Methämoglobin"),
    Sent("another haemoglobin", "718-7", "14", "g/dL", NAME, "HbA1c"),
    Sent("red cells", "14732-2", "900", "nmol/L", NAME, "RBC folate"),
    Sent("red cells", "14732-2", "900", "nmol/L", NAME, "Erythrozyten-Folat"),
    Sent("urine under a serum code", "2160-0", "90", "mg/dL", SPECIMEN, "Creatinine", "Urine"),
    Sent("urine under a serum code", "2160-0", "1.1", "mg/dL", SPECIMEN, "", "U"),
    Sent("another fluid", "2823-3", "4.1", "mmol/L", SPECIMEN, "", "Pleural fluid"),
    Sent("urine", "MMA", "300", "nmol/L", SPECIMEN, "", "urine", system="ours"),
]  # fmt: skip
UNKNOWN_UNIT = "unit known_unit"
WRONG_KIND = "unit fits_code"
NO_UNIT = "unit not_blank"
RANGE = "value plausible"
OTHER_UNITS = [
    Sent("ng/dL", "2132-9", "41.2", "ng/dL", UNKNOWN_UNIT),
    Sent("moles under a mass code", "2132-9", "412", "pmol/L", WRONG_KIND),
    Sent("mass under a molar code", "14685-2", "412", "pg/mL", WRONG_KIND),
    Sent("mass under a molar code", "13965-9", "2", "mg/L", WRONG_KIND),
    Sent("pg/mL written as ng/mL", "2132-9", "412", "ng/mL", RANGE),
    Sent("blank", "14685-2", "412", "", NO_UNIT),
    Sent("a ratio's unit", "13964-2", "1.4", "mmol/mol", UNKNOWN_UNIT),
    Sent("umol/L written as nmol/L", "13964-2", "0.41", "nmol/L", RANGE),
    Sent("umol/L written as nmol/L", "13964-2", "4.9", "nmol/L", RANGE),
    Sent("nmol/L written as umol/L", "13964-2", "271", "umol/L", RANGE),
    Sent("mg/dL written as umol/L", "14682-9", "1.1", "umol/L", RANGE),
    Sent("umol/L written as mg/dL", "2160-0", "90", "mg/dL", RANGE),
    Sent("mmol/L of creatinine", "14682-9", "0.09", "mmol/L", UNKNOWN_UNIT),
    Sent("g/dL written as g/L", "718-7", "14", "g/L", RANGE),
    Sent("g/L written as g/dL", "718-7", "140", "g/dL", RANGE),
    Sent("mL/min without an area", "98979-8", "90", "mL/min", UNKNOWN_UNIT),
    Sent("mass of active B12", "HTC", "60", "pg/mL", UNKNOWN_UNIT, system="ours"),
    Sent("beyond any patient", "2823-3", "41", "mmol/L", RANGE),
    Sent("a number with a word", "14685-2", "> 2000 pmol/L", "pmol/L", "value number"),
]
ACCEPTED = [
    Sent("nmol/mL is umol/L", "13964-2", "0.271", "nmol/mL", "mma = 271"),
    Sent("umol/L", "13964-2", "0.271", "umol/L", "mma = 271"),
    Sent("lower case", "13964-2", "0.376", "umol/l", "mma = 376"),
    Sent("micro sign", "13964-2", "0.376", "\u00b5mol/L", "mma = 376"),
    Sent("Greek mu", "13964-2", "0.376", "\u03bcmol/L", "mma = 376"),
    Sent("mcmol", "13965-9", "12", "mcmol/L", "hcy = 12"),
    Sent("mass of MMA", "MMA", "32", "ug/L", "mma = 270.9797612", system="ours"),
    Sent("mass of MMA", "MMA", "44.4", "ng/mL", "mma = 375.9844187", system="ours"),
    Sent("mass of homocysteine", "2428-1", "1.352", "mg/L", "hcy = 10.0014795"),
    Sent("the factor of cyanocobalamin", "2132-9", "1355.37", "pg/mL", "b12 = 1000"),
    Sent("180 pg/mL is 132.8, not 133 or 150", "2132-9", "180", "pg/mL", "b12 = 132.8050643"),
    Sent("ng/L is pg/mL", "2132-9", "950", "ng/L", "b12 = 700.9156171"),
    Sent("ug/L of B12", "2132-9", "0.412", "ug/L", "b12 = 303.9760361"),
    Sent("mcg", "2132-9", "0.412", "mcg/L", "b12 = 303.9760361"),
    Sent("above the range of the assay", "14685-2", "> 2000", "pmol/L", "b12 > 2000"),
    Sent("below the range of the assay", "14685-2", "< 61", "pmol/L", "b12 < 61"),
    Sent("above the range of the assay", "HTC", ">128", "pmol/L", "holotc > 128", system="ours"),
    Sent("88.4 is rounded", "2160-0", "1", "mg/dL", "creatinine = 88.4016973"),
    Sent("folate", "2284-8", "4", "ng/mL", "folate = 9.0620752"),
    Sent("Hb in g/dL", "718-7", "11.1", "g/dL", "hb = 111"),
    Sent("Hb in mmol/L", "59260-0", "8.6", "mmol/L", "hb = 138.5847"),
    Sent("potassium in mEq/L", "2823-3", "4.1", "mEq/L", "potassium = 4.1"),
    Sent("platelets", "777-3", "250", "10*3/uL", "platelets = 250"),
    Sent("unit of the local test", "MMA", "300", "", "mma = 300", system="ours"),
    Sent("a plain name", "2160-0", "1.1", "mg/dL", "creatinine = 97.241867", "Creatinine"),
    Sent("the extremes of a survey", "13964-2", "26.6", "nmol/L", "mma = 26.6"),
    Sent("the extremes of a survey", "13964-2", "35.96", "umol/L", "mma = 35960"),
    Sent("nitrous oxide", "13964-2", "25626", "nmol/L", "mma = 25626"),
    Sent("the extremes of a survey", "13965-9", "1.61", "umol/L", "hcy = 1.61"),
    Sent("the extremes of a survey", "13965-9", "156.3", "umol/L", "hcy = 156.3"),
    Sent("the extremes of a survey", "2132-9", "18", "pg/mL", "b12 = 13.2805064"),
    Sent("injected", "2132-9", "240599", "pg/mL", "b12 = 177515.3648"),
    Sent("during is not urine", "2160-0", "1.1", "mg/dL", "creatinine = 97.241867",
         "Creatinine during dialysis"),
]  # fmt: skip
TRAPS = [*OTHER_CODES, *OTHER_NAMES, *OTHER_UNITS, *ACCEPTED]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory, maps: Maps) -> Iterator[dict[int, str]]:
    """What became of each row of the table, all taken on one night."""
    laboratory = Laboratory(
        code_system="ours",
        tests={
            "MMA": LocalTest(analyte="mma", unit="nmol/L", specimen="serum"),
            "B12": LocalTest(analyte="b12", unit="pmol/L"),
            "HTC": LocalTest(analyte="holotc", unit="pmol/L"),
        },
    )
    settings = Settings(laboratories={"main": laboratory}, limits=Limits(reject_rows=10_000))
    box = Box(tmp_path_factory.mktemp("traps"), maps, settings)
    rows = [
        f'R{n},P{n},2026-11-01,{sent.code},{sent.system},"{sent.name}",{sent.specimen},'
        f"{sent.value},{sent.unit}"
        for n, sent in enumerate(TRAPS)
    ]
    box.put("labs.csv", "\n".join([HEADER, *rows]))
    account = box.account()
    found = dict.fromkeys(range(len(TRAPS)), SCOPE)
    for record, column, check_name in box.rows(
        "SELECT record, column_name, check_name FROM core.reject"
    ):
        found[int(str(record)) - 1] = f"{column} {check_name}"
    for result_id, analyte, comparator, value in box.rows(
        "SELECT result_id, analyte, comparator, value FROM core.lab_result"
    ):
        found[int(str(result_id)[1:])] = f"{analyte} {comparator} {value:.10g}"
    assert list(found.values()).count(SCOPE) == account.n_out_of_scope
    box.warehouse.close()
    yield found


@pytest.mark.parametrize(
    ("number", "sent"),
    list(enumerate(TRAPS)),
    ids=[f"{sent.trap}: {sent.name or sent.code} {sent.unit}" for sent in TRAPS],
)
def test_a_trap_of_real_feeds_is_seen(verdicts: dict[int, str], number: int, sent: Sent) -> None:
    assert verdicts[number] == sent.becomes


def test_every_code_that_is_known_to_be_wrong_is_in_the_table(maps: Maps) -> None:
    refused = set(maps.refused_test.filter(code_system="loinc")["code"])
    refused -= {"48642-3", "88293-6", "88294-4"}
    assert refused <= {sent.code for sent in OTHER_CODES}
