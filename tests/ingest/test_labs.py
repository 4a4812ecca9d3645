"""Which results are taken, what their numbers become, and why the others are not."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pytest

from b12screen.maps import Maps
from b12screen.settings import Laboratory, Limits, LocalTest, Settings

from .inbox import LAB_HEADER, ROW, Box, buckets

HEADER = "result_id,patient_id,collected_at,code,value,unit"

NO_NUMBERS = (
    "NaN", "nan", "inf", "-inf", "Infinity", "1_000", '"1,5"', "<=5", ">= 5", "haemolysed", "0x10",
    ".5", "5.", "1e", "4 12", "--4", "<<4", "\u0664", "1e400",
)  # fmt: skip
NUMBERS = {
    "412": ("=", 412.0),
    "<50": ("<", 50.0),
    "> 2000": (">", 2000.0),
    "4.12e2": ("=", 412.0),
    "+7": ("=", 7.0),
    " 412 ": ("=", 412.0),
    "<0400": ("<", 400.0),
}
NO_DAYS = (
    "2026-02-30", "1899-12-31", "2027-11-24", "2026-1-2", "20260102", "02/01/2026", "yesterday",
    "2026-11-01T25:00:00", "2026-11-01T24:00:00", "2026-11-01T10:60", "2026-11-01T10",
    "2026-11-01T1:00:00Z", "-202-01-01T10:00:00", "infinity", "2026-11-2T10:10:10 ",
    " 2026-1-02T10:10:10", "2026-11-01T10:00:0Z", "2026-11-01 (BC)",
)  # fmt: skip
DAYS = ("1900-01-01", "2026-11-23", "2027-11-23", "2024-02-29")
MOMENTS = {
    "2026-07-01": "2026-07-01 00:00:00",
    " 2026-07-01 ": "2026-07-01 00:00:00",
    "2026-07-01 10:30": "2026-07-01 10:30:00",
    "2026-07-01T10:30:15": "2026-07-01 10:30:15",
    "2026-07-01T10:30:15.25": "2026-07-01 10:30:15.25",
    "2026-07-01T23:30:00Z": "2026-07-02 00:30:00",
    "2026-07-01T10:30:15+02:00": "2026-07-01 09:30:15",
    "2026-07-01T10:30-0500": "2026-07-01 16:30:00",
    "2026-01-01T10:30:00+01": "2026-01-01 09:30:00",
}
IMPLAUSIBLE = (
    ("13964-2", "0.41", "nmol/L"),
    ("14682-9", "2.1", "umol/L"),
    ("2160-0", "90", "mg/dL"),
    ("14685-2", "-412", "pmol/L"),
    ("13965-9", "501", "umol/L"),
    ("718-7", "<1", "g/dL"),
)
CONVERTED = {
    ("14685-2", "412", "pmol/L"): 412.0,
    ("13964-2", "0.57", "umol/L"): 570.0,
    ("13964-2", "0.376", "nmol/mL"): 376.0,
    ("2132-9", "200", "pg/mL"): 147.5611826,
    ("2132-9", "200", " PG / ML "): 147.5611826,
    ("718-7", "11.1", "g/dL"): 111.0,
    ("14682-9", "90", "\u00b5mol/L"): 90.0,
    ("14682-9", "90", "\u03bcmol/l"): 90.0,
    ("2160-0", "28", "mg/dL"): 2475.2475248,
    ("13964-2", "20", "nmol/L"): 20.0,
    ("13964-2", "60000", "nmol/L"): 60000.0,
}
NO_UNITS = {
    ("14685-2", "furlong"): "known_unit",
    ("14685-2", ""): "not_blank",
    ("14685-2", "pg/mL"): "fits_code",
    ("2132-9", "pmol/L"): "fits_code",
}
STATUSES = {
    "final": "final",
    "F": "final",
    "C": "corrected",
    "p": "preliminary",
    " Amended ": "amended",
}
NO_STATUSES = {"": "not_blank", "done": "known_word"}
WITHOUT_VALUE = ("registered", "cancelled", "entered-in-error", "X", "W", "D")


def sent(
    day: str = "2026-11-01",
    code: str = "14685-2",
    value: str = "412",
    unit: str = "pmol/L",
    status: str = "final",
) -> str:
    """A row behind its id and its person's."""
    return f"{day},{code},{value},{unit},{status}"


# What is made of a row rests on that row: each of these is one of a single file.
CASES = tuple(
    dict.fromkeys(
        [
            *(sent(value=value) for value in (*NO_NUMBERS, *NUMBERS, "")),
            *(sent(day) for day in (*NO_DAYS, *DAYS, *MOMENTS)),
            *(sent(code=code, value=value, unit=unit) for code, value, unit in IMPLAUSIBLE),
            *(sent(code=code, value=value, unit=unit) for code, value, unit in CONVERTED),
            *(sent(code=code, unit=unit) for code, unit in NO_UNITS),
            *(sent(status=status) for status in (*STATUSES, *NO_STATUSES)),
            *(sent(value="haemolysed", unit="", status=status) for status in WITHOUT_VALUE),
        ]
    )
)


@dataclass
class Judged:
    """What became of each case: its stored row, or the column and check that refused it."""

    stored: dict[object, dict[str, object]]
    refused: dict[object, tuple[object, object]]

    def taken(self, row: str) -> dict[str, object]:
        assert CASES.index(row) + 1 not in self.refused, self.refused
        return self.stored[f"R{CASES.index(row) + 1}"]

    def rejected(self, row: str) -> tuple[object, object]:
        assert f"R{CASES.index(row) + 1}" not in self.stored
        return self.refused[CASES.index(row) + 1]


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, maps: Maps) -> Judged:
    limits = Limits(reject_rows=len(CASES), reject_share=1)
    settings = Settings(timezone="Europe/London", limits=limits)
    box = Box(tmp_path_factory.mktemp("judged"), maps, settings)
    rows = [f"R{number},P1,{row}" for number, row in enumerate(CASES, 1)]
    box.put("labs.csv", "\n".join([f"{HEADER},status", *rows]) + "\n")
    account = box.account()
    stored = box.warehouse.frame("SELECT * FROM core.lab_result").to_dicts()
    refused = box.rows("SELECT record, column_name, check_name FROM core.reject")
    assert buckets(account) == (len(CASES), len(stored), 0, 0, 0, len(refused))
    box.warehouse.close()
    return Judged(
        {row["result_id"]: row for row in stored},
        {record: (column, check) for record, column, check in refused},
    )


def one(box: Box, header: str, row: str) -> tuple[object, ...]:
    """Column and check of the one rejected row."""
    box.put("labs.csv", f"{header}\n{row}\n")
    assert buckets(box.account()) == (1, 0, 0, 0, 0, 1)
    ((column, check),) = box.rows("SELECT column_name, check_name FROM core.reject")
    return column, check


def taken(box: Box, header: str, *rows: str) -> None:
    """Take rows that must all be accepted."""
    box.put("labs.csv", "\n".join([header, *rows]) + "\n")
    assert buckets(box.account()) == (len(rows), len(rows), 0, 0, 0, 0), box.rejects()


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_is_rejected(judged: Judged, value: str) -> None:
    assert judged.rejected(sent(value=value)) == ("value", "number")


@pytest.mark.parametrize("word", ["NULL", "nan", "None", "<NA>", " null "])
def test_a_word_for_nothing_is_no_key_and_no_clinic(box: Box, word: str) -> None:
    box.put("labs.csv", f"{LAB_HEADER},clinic_id\n"
            f"{word},P1,2026-11-01,,14685-2,412,pmol/L,final,C1\n"
            f"R2,{word},2026-11-01,,14685-2,412,pmol/L,final,C1\n"
            f"R3,P1,2026-11-01,,14685-2,412,pmol/L,final,{word}\n")  # fmt: skip
    box.put("patients.csv", f"patient_id,birth_date,sex,clinic_id\n{word},1950-01-01,F,C1\n"
            f"P1,1950-01-01,F,{word}\n")  # fmt: skip
    box.put("medications.csv", "medication_id,patient_id,code,code_system,kind,started_on\n"
            f"{word},P1,B03BA03,atc,administration,2026-11-01\n")  # fmt: skip
    box.put("conditions.csv", "patient_id,code,code_system,recorded_on\n"
            f"{word},G32.0,icd10cm,2026-11-01\n")  # fmt: skip
    box.take()
    assert box.rows("SELECT kind, column_name, check_name FROM core.reject ORDER BY ALL") == [
        ("conditions", "patient_id", "not_blank"),
        ("labs", "patient_id", "not_blank"),
        ("labs", "result_id", "not_blank"),
        ("medications", "medication_id", "not_blank"),
        ("patients", "patient_id", "not_blank"),
    ]
    assert box.rows("SELECT result_id, clinic_id FROM core.lab_result") == [("R3", None)]
    assert box.rows("SELECT patient_id, clinic_id FROM core.patient") == [("P1", None)]


@pytest.mark.parametrize("key", ["1.23457E+11", "4e+5", "221.0", " 1,5E+12 "])
def test_a_key_that_was_made_a_number_is_rejected(box: Box, key: str) -> None:
    box.put("labs.csv", f'{LAB_HEADER}\n"{key}",P1,2026-11-01,,14685-2,412,pmol/L,final\n'
            f'R2,"{key}",2026-11-01,,14685-2,412,pmol/L,final\n'
            "R1.0,P1.0,2026-11-01,,14685-2,412,pmol/L,final\n"
            "4E5,00221,2026-11-01,,14685-2,412,pmol/L,final\n")  # fmt: skip
    box.put("patients.csv", f'patient_id,birth_date,sex,clinic_id\n"{key}",1950-01-01,F,C1\n')
    box.take()
    is_power = "+" in key
    assert box.rows("SELECT kind, column_name, check_name FROM core.reject ORDER BY ALL") == [
        ("labs", "patient_id", "no_number"),
        *[("labs", "result_id", "no_number")] * is_power,
        ("patients", "patient_id", "no_number"),
    ]
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(3 - is_power,)]


def test_midnight_with_an_offset_is_the_day_that_stands_there(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, Settings(timezone="America/New_York"))
    box.put("patients.csv", "patient_id,birth_date,sex,clinic_id,deceased_on\n"
            "P1,1950-02-03T00:00:00Z,F,C1,2026-11-01 00:00:00.000+00:00\n"
            "P2,1950-02-03T03:00:00Z,F,C1,\n")  # fmt: skip
    header = "medication_id,patient_id,code,code_system,kind,started_on,ended_on\n"
    box.put("medications.csv", f"{header}"
            "m1,P1,B03BA03,atc,prescription,2026-10-01T00:00:00Z,2026-10-09T00:00Z\n")  # fmt: skip
    box.take()
    assert box.rows(
        "SELECT CAST(birth_date AS VARCHAR), CAST(deceased_on AS VARCHAR) FROM core.patient "
        "ORDER BY patient_id"
    ) == [("1950-02-03", "2026-11-01"), ("1950-02-02", None)]
    assert box.rows(
        "SELECT CAST(started_on AS VARCHAR), CAST(ended_on AS VARCHAR) FROM core.medication"
    ) == [("2026-10-01", "2026-10-09")]
    box.warehouse.close()


def test_a_blank_value_of_a_final_result_is_rejected(judged: Judged) -> None:
    assert judged.rejected(sent(value="")) == ("value", "not_blank")


@pytest.mark.parametrize("value", NUMBERS)
def test_numbers_with_and_without_comparator_are_read(judged: Judged, value: str) -> None:
    row = judged.taken(sent(value=value))
    assert (row["comparator"], row["value"]) == NUMBERS[value]
    assert (row["value_as_sent"], row["unit_as_sent"]) == (None, None)


@pytest.mark.parametrize("day", NO_DAYS)
def test_what_is_no_plausible_day_is_rejected(judged: Judged, day: str) -> None:
    column, check = judged.rejected(sent(day))
    assert column == "collected_at" and check in ("date", "plausible_date")


@pytest.mark.parametrize("day", DAYS)
def test_days_up_to_a_year_ahead_are_taken(judged: Judged, day: str) -> None:
    assert judged.taken(sent(day))["collected_on"] == date.fromisoformat(day)


@pytest.mark.parametrize("day", MOMENTS)
def test_moments_become_the_sites_local_time(judged: Judged, day: str) -> None:
    row, local = judged.taken(sent(day)), datetime.fromisoformat(MOMENTS[day])
    assert (row["collected_at"], row["collected_on"]) == (local, local.date())


def test_a_bad_reporting_time_is_rejected_and_a_blank_one_is_not(box: Box) -> None:
    taken(box, HEADER + ",reported_at", "R1,P1,2026-11-01,14685-2,412,pmol/L,")
    box.put("labs2.csv", f"{HEADER},reported_at\nR2,P1,2026-11-01,14685-2,412,pmol/L,soon\n")
    assert buckets(box.account())[-1] == 1
    assert box.rows("SELECT column_name FROM core.reject") == [("reported_at",)]


@pytest.mark.parametrize(("code", "value", "unit"), IMPLAUSIBLE)
def test_numbers_outside_the_plausible_window_are_rejected(
    judged: Judged, code: str, value: str, unit: str
) -> None:
    row = sent(code=code, value=value, unit=unit)
    assert judged.rejected(row) == ("value", "plausible")


@pytest.mark.parametrize(("code", "value", "unit"), CONVERTED)
def test_units_are_converted_exactly(judged: Judged, code: str, value: str, unit: str) -> None:
    row = judged.taken(sent(code=code, value=value, unit=unit))
    canonical = CONVERTED[code, value, unit]
    assert row["value"] == canonical
    assert (row["value_as_sent"] is None) == (float(value) == canonical)
    assert row["unit_as_sent"] == (None if unit == row["unit"] else unit)


@pytest.mark.parametrize(("code", "unit"), NO_UNITS)
def test_units_that_the_test_does_not_have_are_rejected(
    judged: Judged, code: str, unit: str
) -> None:
    assert judged.rejected(sent(code=code, unit=unit)) == ("unit", NO_UNITS[code, unit])


def test_a_blank_unit_that_was_once_stored_as_none_is_the_same_content(
    tmp_path: Path, maps: Maps
) -> None:
    main = Laboratory(default_units={"13964-2": "nmol/L"})
    box = Box(tmp_path, maps, Settings(laboratories={"main": main}))
    first, corrected = (
        "R1,P1,2026-11-01,13964-2,900,,final",
        "R1,P1,2026-11-01,13964-2,100,,corrected",
    )
    box.put("labs_1.csv", f"{HEADER},status\n{first}\n")
    box.take()
    box.warehouse.execute("UPDATE core.lab_row SET unit_as_sent = NULL")
    box.put("labs_2.csv", f"{HEADER},status\n{corrected}\n")
    box.take(date(2026, 11, 23))
    box.put("labs_3.csv", f"{HEADER},status\n{first}\n\n")
    # Known content; without times of report the last that was sent stands.
    assert buckets(box.account(date(2026, 11, 24)))[:3] == (1, 0, 1)
    assert box.rows("SELECT value FROM core.lab_result") == [(900.0,)]


def test_a_blank_unit_is_taken_where_the_settings_declare_it(tmp_path: Path, maps: Maps) -> None:
    laboratory = Laboratory(
        code_system="Ours",
        tests={"B12A": LocalTest(analyte="holotc", unit="pmol/L", specimen="serum")},
        default_units={"13964-2": "\u00b5mol/L"},
    )
    box = Box(tmp_path, maps, Settings(laboratories={"main": laboratory, "north": Laboratory()}))
    taken(
        box,
        HEADER + ",code_system,laboratory",
        "R1,P1,2026-11-01,13964-2,0.4,,,",
        "R2,P1,2026-11-01,B12A,45,,ours,main",
        "R3,P1,2026-11-01,13964-2,400,nmol/L,LOINC,north",
    )
    assert box.rows(
        "SELECT laboratory, analyte, value, value_as_sent, unit_as_sent FROM core.lab_result "
        "ORDER BY result_id"
    ) == [
        ("main", "mma", 400.0, "0.4", ""),
        ("main", "holotc", 45.0, None, ""),
        ("north", "mma", 400.0, None, None),
    ]
    box.put(
        "labs2.csv",
        f"{HEADER},code_system,laboratory\nR4,P1,2026-11-01,13964-2,0.4,,,north\n"
        "R5,P1,2026-11-01,13964-2,0.4,,,south\n",
    )
    assert buckets(box.account()) == (2, 0, 0, 0, 0, 2)
    assert box.rejects() == [(1, None, "unit", "not_blank"), (2, None, "laboratory", "known_word")]


@pytest.mark.parametrize("status", STATUSES)
def test_status_words_and_letters_are_read(judged: Judged, status: str) -> None:
    assert judged.taken(sent(status=status))["status"] == STATUSES[status]


@pytest.mark.parametrize("status", NO_STATUSES)
def test_a_blank_or_unknown_status_is_rejected(judged: Judged, status: str) -> None:
    assert judged.rejected(sent(status=status)) == ("status", NO_STATUSES[status])


@pytest.mark.parametrize("status", WITHOUT_VALUE)
def test_value_and_unit_of_a_result_without_value_are_not_judged(
    judged: Judged, status: str
) -> None:
    row = judged.taken(sent(value="haemolysed", unit="", status=status))
    assert (row["value"], row["unit"]) == (None, "pmol/L")
    assert (row["comparator"], row["value_as_sent"]) == ("=", "haemolysed")


@pytest.mark.parametrize("blank", ["", "   "])
@pytest.mark.parametrize("column", ["result_id", "patient_id", "code"])
def test_blank_keys_are_rejected(box: Box, column: str, blank: str) -> None:
    row = {"result_id": "R1", "patient_id": "P1", "code": "14685-2", column: blank}
    sent = f"{row['result_id']},{row['patient_id']},2026-11-01,{row['code']},412,pmol/L"
    assert one(box, HEADER, sent) == (column, "not_blank")


@pytest.mark.parametrize(("specimen", "n"), [("serum", 0), (" Serum ", 0), ("", 0), ("urine", 1)])
def test_the_specimen_must_fit_the_code(box: Box, specimen: str, n: int) -> None:
    box.put("labs.csv", f"{HEADER},specimen\nR1,P1,2026-11-01,2160-0,1.1,mg/dL,{specimen}\n")
    assert buckets(box.account()) == (1, 1 - n, 0, 0, 0, n)


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("Vitamin  B12", 0),
        ("", 0),
        ("something else", 0),
        ("Homocysteine", 1),
        ("B12 binding capacity", 1),
    ],
)
def test_a_test_name_must_not_contradict_the_code(box: Box, name: str, n: int) -> None:
    box.put("labs.csv", f"{HEADER},test_name\nR1,P1,2026-11-01,14685-2,412,pmol/L,{name}\n")
    assert buckets(box.account()) == (1, 1 - n, 0, 0, 0, n)


def test_test_names_are_compared_as_the_maps_compare_them(box: Box, maps: Maps) -> None:
    names = [
        "MMA",
        "S-B12-TC2",
        "Serum folate",
        "Red cell folate",
        "Creatinine, urine",
        "eGFR",
        "Hb",
        "B12 and folate",
        "24h urine creatinine",
        "Active B12",
        "Sodium",
        "HbA1c",
    ]
    codes = {"b12": "14685-2", "folate": "14732-2", "creatinine": "14682-9"}
    units = {"b12": "pmol/L", "folate": "nmol/L", "creatinine": "umol/L"}
    rows = [
        f'{analyte}/{name},P1,2026-11-01,{codes[analyte]},100,{units[analyte]},"{name}"'
        for analyte in codes
        for name in names
    ]
    box.settings = Settings(limits=box.settings.limits.model_copy(update={"reject_rows": 1000}))
    box.put("labs.csv", "\n".join([HEADER + ",test_name", *rows]))
    box.take()
    kept = {str(row[0]) for row in box.rows("SELECT result_id FROM core.lab_result")}
    for analyte in codes:
        for name in names:
            assert (f"{analyte}/{name}" in kept) != maps.contradicts(analyte, name), (analyte, name)


def test_codes_that_no_map_names_are_counted_without_a_patient(box: Box) -> None:
    header = HEADER + ",test_name"
    box.put(
        "labs.csv",
        f"{header}\nR1,P1,2026-11-01,2951-2,140,mmol/L,Sodium\n"
        "R2,P2,2026-11-03,2951-2,,mmol/L,Sodium\nR3,P1,2026-11-01,2171-7,900,pg/mL,\n",
    )
    assert buckets(box.account()) == (3, 0, 0, 0, 3, 0)
    box.put("labs2.csv", f"{header}\nR4,P3,2026-10-01,2951-2,140,mmol/L,Sodium\n")
    assert buckets(box.account()) == (1, 0, 0, 0, 1, 0)
    assert box.rows(
        "SELECT code, test_name, unit, n, CAST(first_on AS VARCHAR), CAST(last_on AS VARCHAR) "
        "FROM core.unmapped_code ORDER BY code"
    ) == [
        ("2171-7", None, "pg/mL", 1, "2026-11-01", "2026-11-01"),
        ("2951-2", "Sodium", "mmol/L", 3, "2026-10-01", "2026-11-03"),
    ]


def test_a_laboratorys_own_share_decides_whether_its_file_is_held(
    tmp_path: Path, maps: Maps
) -> None:
    settings = Settings(laboratories={"main": Laboratory(reject_share=0.5)})
    box = Box(tmp_path, maps, settings)
    rows = [f"R{n},P1,2026-11-01,14685-2,{412 if n % 4 else 'x'},pmol/L" for n in range(100)]
    box.put("labs.csv", "\n".join([HEADER, *rows]))
    assert buckets(box.account()) == (100, 75, 0, 0, 0, 25)


@pytest.mark.parametrize(("n_bad", "is_held"), [(29, False), (30, True)])
def test_a_file_at_its_limit_is_taken(
    tmp_path: Path, maps: Maps, n_bad: int, is_held: bool
) -> None:
    box = Box(tmp_path, maps, Settings(limits=Limits(reject_share=0.29)))
    rows = [f"R{n},P1,2026-11-01,14685-2,{412 if n >= n_bad else 'x'},pmol/L" for n in range(100)]
    box.put("labs.csv", "\n".join([HEADER, *rows]))
    assert box.account().held == is_held


@pytest.mark.parametrize("place", range(9))
def test_a_blank_status_is_refused_wherever_a_column_without_use_stands(
    box: Box, place: int
) -> None:
    header, row = LAB_HEADER.split(","), ROW.removesuffix("final").split(",")
    header.insert(place, "bench")
    row.insert(place, "7")
    box.labs(",".join(row), header=",".join(header))
    assert buckets(box.account()) == (1, 0, 0, 0, 0, 1)
    assert box.rejects() == [(1, None, "status", "not_blank")]
