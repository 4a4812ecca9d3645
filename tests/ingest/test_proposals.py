"""A map is proposed for an unknown file, for a person to accept; it names nobody."""

import random
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as few
from hypothesis import strategies as st

from b12screen.cli import main
from b12screen.ingest import check
from b12screen.ingest.candidates import usual_medians
from b12screen.ingest.delimited import FileRefused
from b12screen.ingest.propose import proposal
from b12screen.ingest.recognise import Own
from b12screen.maps import Maps
from b12screen.settings import SETTINGS_FILE, OwnFiles, Settings, make_site
from b12screen.site_maps import maps_of

from .inbox import NIGHT, buckets

GERMAN = (
    "Auftragsnummer;Patientennummer;Abnahme;Befunddatum;Kürzel;Untersuchung;Ergebnis;Einheit;"
    "Befundstatus;Bemerkung"
)
# Code, name, unit, median and digits behind the point.
TESTS = (
    ("MMAS", "Methylmalonsäure", "µmol/l", 0.14, 3),
    ("B12V", "Vitamin B12", "pmol/l", 380, 0),
    ("HTC", "Holotranscobalamin", "", 70, 0),
    ("KREA", "Kreatinin", "mg/dl", 0.9, 2),
    ("NA", "Natrium", "mmol/l", 140, 0),
    ("UMMA", "Methylmalonsäure im Urin", "µmol/l", 1.4, 2),
    ("VB12BC", "B12-binding capacity", "pmol/l", 900, 0),
    ("X17", "", "pmol/l", 400, 0),
)
CANARY = "Kanarienvogel"


def german(
    n: int = 400,
    day: Callable[[random.Random], str] = lambda chance: f"{chance.randint(13, 28)}.10.2026",
    more: str = "endgültig",
) -> str:
    """A table of German results, one test after the other."""
    chance = random.Random(1)
    rows = [GERMAN]
    for number in range(n):
        code, name, unit, median, digits = TESTS[number % len(TESTS)]
        value = f"{median * chance.lognormvariate(0, 0.3):.{digits}f}".replace(".", ",")
        rows.append(
            f"A{number // len(TESTS)};{chance.randint(90000, 99999)};{day(chance)} 08:30;"
            f"{chance.randint(13, 28)}.10.2026;{code};{name};{value};{unit};{more};{CANARY}"
        )
    return "\r\n".join([*rows, ""])


def proposed(
    folder: Path, maps: Maps, content: bytes, name: str = "export_20261101.csv"
) -> list[str]:
    """What is proposed for a file of this content."""
    path = folder / name
    path.write_bytes(content)
    return proposal(path, name, Settings(), maps, None, folder / "scratch")


def taken(folder: Path, settings: Settings) -> tuple[int, ...]:
    """What would become of the rows of the file by these settings."""
    scratch = folder / "check"
    scratch.mkdir()
    taking = check(
        [folder / "export_20261101.csv"], settings, maps_of(settings), NIGHT, scratch,
        lambda line: None, inbox=folder,
    )  # fmt: skip
    return buckets(taking.accounts[0])


def accepted(lines: list[str], *more: str) -> Settings:
    """The settings of somebody who accepts a proposal and answers what it asks."""
    text = "\n".join(["[laboratories.main]", 'code_system = "main-local"', *lines, *more])
    return Settings.model_validate(tomllib.loads(text))


def test_what_is_proposed_for_a_german_file_reads_it_once_it_is_accepted(
    tmp_path: Path, maps: Maps
) -> None:
    lines = proposed(tmp_path, maps, german().encode("latin-1"))
    settings = accepted(lines)
    (files,) = settings.laboratories["main"].csv
    assert (files.encoding, files.separator, files.decimal) == ("latin-1", ";", ",")
    assert files.dates == ["%d.%m.%Y %H:%M", "%d.%m.%Y"]
    assert files.columns["result_id"] == ["auftragsnummer", "kürzel"]
    assert files.columns["status"] == "befundstatus"
    assert files.words == {"status": {"endgültig": "final"}}
    tests = settings.laboratories["main"].tests
    assert {code: test.analyte for code, test in tests.items()} == {
        "MMAS": "mma",
        "B12V": "b12",
        "HTC": "holotc",
        "KREA": "creatinine",
    }
    assert tests["HTC"].unit == "pmol/L"
    assert taken(tmp_path, settings) == (400, 200, 0, 0, 200, 0)


def test_a_test_without_a_name_is_only_a_question(tmp_path: Path, maps: Maps) -> None:
    lines = proposed(tmp_path, maps, german().encode("latin-1"))
    assert "# [laboratories.main.tests.X17]" in lines
    assert "#   may be b12 in pmol/l: unit, median" in lines
    # Sodium, urine and the binding capacity are none of ours, whatever their unit.
    assert "# 3 more unknown codes look like none of ours" in lines
    assert not any(code in line for code in ("UMMA", "VB12BC", '"NA"') for line in lines)


def test_nothing_of_a_row_is_said_and_the_same_file_says_the_same(
    tmp_path: Path, maps: Maps
) -> None:
    content = german().encode("latin-1")
    text = "\n".join(proposed(tmp_path, maps, content))
    assert CANARY not in text and not re.search(r"\bA\d|9\d{4}", text)
    assert "\n".join(proposed(tmp_path, maps, content)) == text


def test_days_that_may_be_day_first_or_month_first_are_left_to_a_person(
    tmp_path: Path, maps: Maps
) -> None:
    def either(chance: random.Random) -> str:
        return f"{chance.randint(1, 12):02}/{chance.randint(1, 12):02}/2026"

    header, *rows = german(day=either).splitlines()
    # Both columns leave it open now.
    rows = [re.sub(r"\d\d\.10\.2026", "11/12/2026", row) for row in rows]
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode("latin-1"))
    assert (
        "# reported_at: %d/%m/%Y and %m/%d/%Y both fit all 400 rows (12/11 may be day-first or "
        "month-first); ask the sender"
    ) in lines
    assert accepted(lines).laboratories["main"].csv[0].dates == []


@pytest.mark.parametrize("stray", ["unbekannt", "31.02.2026 08:30"])
def test_a_stray_cell_takes_no_ambiguity_away(tmp_path: Path, maps: Maps, stray: str) -> None:
    header, *rows = german(day=lambda chance: "11/12/2026").splitlines()
    rows = [re.sub(r"\d\d\.10\.2026", "", row) for row in rows]
    rows[7] = rows[7].replace("11/12/2026 08:30", stray)
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode("latin-1"))
    assert any("both fit 399 of 400 rows" in line for line in lines)
    assert "# collected_at: 1 of 400 rows hold no day" in lines
    assert accepted(lines).laboratories["main"].csv[0].dates == []


def test_days_with_and_without_a_time_are_read_together(tmp_path: Path, maps: Maps) -> None:
    header, *rows = german().splitlines()
    rows = [row.replace(" 08:30", "") if number % 2 else row for number, row in enumerate(rows)]
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode("latin-1"))
    assert accepted(lines).laboratories["main"].csv[0].dates == ["%d.%m.%Y", "%d.%m.%Y %H:%M"]


def test_a_status_column_of_unknown_words_is_asked_about_and_not_left_out(
    tmp_path: Path, maps: Maps
) -> None:
    lines = proposed(tmp_path, maps, german(more="X1").encode("latin-1"))
    (files,) = accepted(lines).laboratories["main"].csv
    assert files.columns["status"] == "befundstatus" and not files.words
    assert '# status "x1" stands in 400 rows: what does it mean?' in lines


def test_one_day_above_twelve_proves_the_order(tmp_path: Path, maps: Maps) -> None:
    def mostly(chance: random.Random) -> str:
        return f"11/{chance.choice([1, 2, 3, 25]):02}/2026"

    header, *rows = german(day=mostly).splitlines()
    rows = [re.sub(r"\d\d\.10\.2026", "", row) for row in rows]
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode("latin-1"))
    assert accepted(lines).laboratories["main"].csv[0].dates == ["%m/%d/%Y %H:%M"]
    (proof,) = [line for line in lines if "cannot be" in line]
    assert re.fullmatch(r"# collected_at: \d+ of 400 rows cannot be %d/%m/%Y %H:%M", proof)


@pytest.mark.parametrize(
    ("values", "settings", "says"),
    [
        (["0,41", "1,2", "412"], (",", ""), "40 numbers have a comma"),
        (["1.234,5", "17,0"], (",", "."), "groups of three behind a point"),
        (["1,234.5", "17.0"], (".", ","), "groups of three behind a comma"),
        (["1,234", "2,345"], (".", ""), "1,234 may be 1.234 or 1234"),
        (["0,41", "0.41"], (".", ""), "no setting reads both"),
        (["412", "3"], (".", ""), ""),
    ],
)
def test_signs_of_numbers_are_told_and_left_open_where_both_fit(
    tmp_path: Path, maps: Maps, values: list[str], settings: tuple[str, str], says: str
) -> None:
    rows = [f"A{n};9{n};2026-11-01;B12;{value};pmol/L" for n, value in enumerate(values * 20)]
    header = "order no;patient;collected;code;result;unit"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode())
    (files,) = accepted(lines).laboratories["main"].csv
    assert (files.decimal, files.thousands) == settings
    assert files.dates == [] and files.columns["collected_at"] == "collected"
    assert says in "\n".join(lines)


@pytest.mark.parametrize(
    ("encoding", "mark", "said"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", b"\xef\xbb\xbf", "utf-8"),
        ("latin-1", b"", "latin-1"),
        ("windows-1252", b"", "windows-1252"),
        ("cp850", b"", "cp850"),
        ("utf-16-le", b"\xff\xfe", "utf-16"),
        ("utf-16-be", b"\xfe\xff", "utf-16"),
        ("utf-16-le", b"", "utf-16-le"),
        ("utf-16-be", b"", "utf-16-be"),
    ],
)
def test_the_encoding_is_told_from_all_of_the_bytes(
    tmp_path: Path, maps: Maps, encoding: str, mark: bytes, said: str
) -> None:
    text = german(40).replace(CANARY, "–" if encoding == "windows-1252" else "x")
    lines = proposed(tmp_path, maps, mark + text.encode(encoding))
    assert accepted(lines).laboratories["main"].csv[0].encoding == said


@pytest.mark.parametrize(
    "content",
    [
        f"A1;{CANARY};01.11.2026;B12;412;pmol/l\nA2;P2;01.11.2026;B12;400;pmol/l\n".encode(),
        f"{CANARY}\n".encode(),
        b"",
        b"\xff\xfe",
        b"PK\x03\x04" + bytes(range(256)) * 4,
        b'"' * 9 + b"\n",
        b";;;;\n;;;;\n",
    ],
)
def test_what_is_no_table_with_a_header_gets_no_proposal_and_is_not_repeated(
    tmp_path: Path, maps: Maps, content: bytes
) -> None:
    try:
        lines = proposed(tmp_path, maps, content)
    except FileRefused as refused:
        assert CANARY not in str(refused)
    else:
        assert not any(CANARY in line for line in lines)
        assert not accepted(lines).laboratories["main"].tests


def test_a_column_of_people_that_is_called_code_says_nothing_of_them(
    tmp_path: Path, maps: Maps
) -> None:
    rows = [
        f"A{n};P{n % 7};2026-11-01;B12 {CANARY} {n % 7};Status {CANARY} {n % 7};412;pmol/L"
        for n in range(210)
    ]
    header = "result_id;patient_id;collected_at;code;status;value;unit"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode())
    assert CANARY not in "\n".join(lines)


def test_a_code_of_few_results_is_counted_and_not_named(tmp_path: Path, maps: Maps) -> None:
    lines = proposed(tmp_path, maps, german(8 * 19).encode("latin-1"))
    assert "# 8 unknown codes of fewer than 20 results or 5 people are not shown" in lines
    assert not any("median" in line for line in lines)


def test_values_of_fewer_than_twenty_results_are_not_described(tmp_path: Path, maps: Maps) -> None:
    rows = [
        f"A{n};P{n};2026-11-01;B12V;Vitamin B12;{412 if n < 19 else 'haemolysed'};pmol/L;final"
        for n in range(30)
    ]
    header = "result_id;patient_id;collected_at;code;test_name;value;unit;status"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode())
    assert "#   may be b12 in pmol/L: name, unit" in lines
    assert not any("values:" in line for line in lines)


@pytest.mark.parametrize(
    ("code", "system", "name", "unit", "value", "says"),
    [
        ("B12T", "ours", "Vitamin B12", "pg/mL", "412", "may be b12 in pg/mL: name, unit, median"),
        ("B12T", "ours", "Vitamin B12", "", "412", "may be b12 in pmol/L: name, median"),
        ("MMA-S", "ours", "", "", "0.13", "may be mma in umol/L: name, median"),
        ("16695-9", "", "Vitamin B12", "pmol/L", "412", "not a B12 code: 14685-2 is"),
        (
            "99999-9",
            "",
            "Vitamin B12",
            "pmol/L",
            "412",
            "a code of loinc is the same for everybody",
        ),
    ],
)
def test_unknown_codes_of_a_file_that_is_read_get_candidates(
    tmp_path: Path, maps: Maps, code: str, system: str, name: str, unit: str, value: str, says: str
) -> None:
    rows = [f"A{n},P{n},2026-11-01,{code},{system},{name},{value},{unit},final" for n in range(25)]
    header = "result_id,patient_id,collected_at,code,code_system,test_name,value,unit,status"
    path = tmp_path / "labs.csv"
    path.write_text("\n".join([header, *rows, ""]))
    known = Own("main", OwnFiles(files=["*"]))
    lines = proposal(path, path.name, Settings(), maps, known, tmp_path / "scratch")
    assert any(says in line for line in lines), lines
    if not system:
        assert all(line.startswith("#") for line in lines)


def test_every_analyte_has_a_usual_median_inside_its_window(maps: Maps) -> None:
    windows = maps.analyte.select("analyte", "low", "high")
    assert list(usual_medians()) == list(windows["analyte"])
    for analyte, low, high in windows.iter_rows():
        assert low < usual_medians()[analyte] < high


def test_check_proposes_for_a_named_file_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    make_site(site)
    path = site / "inbox" / "lab-a" / "labs_20261101.csv"
    path.parent.mkdir()
    path.write_bytes(german().encode("latin-1"))
    before = (site / SETTINGS_FILE).read_bytes()
    assert main(["check", str(site), str(path)]) == 20
    told = capsys.readouterr()
    assert 'files = ["lab-a/labs_*.csv"]' in told.out.splitlines()
    assert "nothing was applied" in told.out
    assert CANARY not in told.out + told.err
    assert (site / SETTINGS_FILE).read_bytes() == before
    assert [each.name for each in (site / "store").iterdir()] == []
    # Asked about the inbox as a whole, it says what is wrong and nothing else.
    assert main(["check", str(site)]) == 20
    assert "nothing was applied" not in capsys.readouterr().out


def test_check_says_why_it_can_propose_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    make_site(site)
    path = tmp_path / "labs.csv"
    path.write_text(f"{CANARY};123456;2026-11-01\n")
    assert main(["check", str(site), str(path)]) == 20
    told = capsys.readouterr()
    assert "nothing can be proposed for it" in told.out
    assert CANARY not in told.out + told.err


def test_people_and_their_words_are_proposed_too(tmp_path: Path, maps: Maps) -> None:
    rows = [f"{n}|{1 + n % 28:02}.10.1950|{'w' if n % 2 else 'männlich'}|C1" for n in range(40)]
    header = "Patientennummer|Geburtsdatum|Geschlecht|Klinik"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows]).encode("utf-16"), "patients_1.csv")
    (files,) = accepted(lines).laboratories["main"].csv
    assert files.words == {"sex": {"w": "female", "männlich": "male"}}
    assert (files.kind, files.encoding, files.dates) == (None, "utf-16", ["%d.%m.%Y"])
    assert files.columns == {
        "patient_id": "patientennummer",
        "birth_date": "geburtsdatum",
        "sex": "geschlecht",
        "clinic_id": "klinik",
    }


CELLS = st.one_of(
    st.sampled_from(
        ["A1", "9001", "01.11.2026", "11/12/2026 08:30", "2026-11-01", "MMAS", "B12", "0,41",
         "1.234", "<7", "", "\u00b5mol/l",
         '"', "\r", "\0", "final", "\U0001f600", "\x7f", "#", "'", "\\"]
    ),
    st.text(max_size=4),
)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(
        ["patient", "result", "code", "unit", "collected", "order no", "status", "Befund", "x", ""]
    ),
    min_size=1,
    max_size=8,
)


@few(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    header=HEADERS,
    rows=st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=6),
    times=st.sampled_from([1, 25]),
    separator=st.sampled_from([";", ",", "|"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    more=st.binary(max_size=8),
)
def test_any_bytes_get_a_proposal_that_can_be_read_or_a_reason(
    tmp_path: Path,
    maps: Maps,
    header: list[str],
    rows: list[list[str]],
    times: int,
    separator: str,
    encoding: str,
    more: bytes,
) -> None:
    text = "\n".join(separator.join(row) for row in [header, *rows * times])
    try:
        lines = proposed(tmp_path, maps, text.encode(encoding, "replace") + more)
    except FileRefused as refused:
        assert str(refused)
    else:
        assert all("\n" not in line for line in lines)
        accepted(lines)


def test_of_two_columns_of_codes_the_one_of_loinc_is_proposed_and_what_is_left_is_named(
    tmp_path: Path, maps: Maps
) -> None:
    chance = random.Random(2)
    rows = ["ORDER_PROC_ID,PAT_ID,COMPONENT_ID,LOINC_CODE,ORD_VALUE,REFERENCE_UNIT,TAKEN_AT,AGE"]
    rows += [
        f"{number},Z{number // 2},17,2132-9,{chance.randint(150, 900)},pg/mL,"
        f"10/{chance.randint(13, 28)}/2026 02:05:00 PM,{chance.randint(40, 80)}"
        for number in range(100)
    ]
    lines = proposed(tmp_path, maps, "\n".join([*rows, ""]).encode())
    assert (
        'columns = {result_id = "order_proc_id", patient_id = "pat_id", collected_at = "taken_at", '
        'code = "loinc_code", value = "ord_value", unit = "reference_unit"}' in lines
    )
    assert any(line.startswith("# Columns not used: 3 (1 different), 8 (") for line in lines)


def test_a_first_row_that_is_taken_for_a_header_names_nobody(tmp_path: Path, maps: Maps) -> None:
    rows = ["Patient;Jones CANARY;;;;;Station"]
    rows += [f"{n};4{n};1.2.1950;m;x;y;B" for n in range(30)]
    lines = proposed(tmp_path, maps, "\n".join([*rows, ""]).encode())
    assert lines
    assert not any("canary" in line.lower() for line in lines)


def test_of_a_file_of_which_no_column_is_known_none_is_named(tmp_path: Path, maps: Maps) -> None:
    rows = ["Kanarienvogel;Zaunkönig", *["Amsel;Drossel"] * 30]
    lines = proposed(tmp_path, maps, "\n".join([*rows, ""]).encode())
    assert not any("anarienvogel" in line.lower() for line in lines)
    assert not any("zaunkönig" in line.lower() for line in lines)


CASES = (
    "Fallnummer", "Fall-Nr", "Visit", "Encounter", "Encounter ID", "Episode", "Admission No.",
    "CSN", "PAT_ENC_CSN_ID", "FIN", "Aufnahmenummer", "HADM_ID",
)  # fmt: skip
PEOPLE = ("Patienten-Nr.", "Patientennummer", "Pat.Nr.", "PatNr", "MRN")


def ward_rows(header: str, n: int = 60) -> bytes:
    """A table of two numbers of each person, the first another with each stay."""
    rows = [
        f"7{n:04};9{n % 30:04};A{n};B12;Vitamin B12;{300 + n};pmol/l;{13 + n % 15}.10.2026 08:30"
        for n in range(n)
    ]
    return "\n".join([header, *rows, ""]).encode()


@pytest.mark.parametrize(
    ("case", "person"),
    [*((case, PEOPLE[0]) for case in CASES), *((CASES[0], person) for person in PEOPLE[1:])],
)
def test_the_number_of_a_case_is_not_taken_for_the_person_beside_it(
    tmp_path: Path, maps: Maps, case: str, person: str
) -> None:
    header = (
        f"{case};{person};Auftragsnummer;Test;Testbezeichnung;Ergebnis;Einheit;Abnahmezeitpunkt"
    )
    lines = proposed(tmp_path, maps, ward_rows(header))
    (files,) = accepted(lines).laboratories["main"].csv
    assert files.columns["patient_id"] == person.lower()
    assert files.columns["collected_at"] == "abnahmezeitpunkt"
    assert case.lower() not in files.columns.values()


@pytest.mark.parametrize("case", CASES)
def test_where_only_the_number_of_a_case_is_there_it_is_named_as_one_and_left_out(
    tmp_path: Path, maps: Maps, case: str
) -> None:
    header = f"{case};Feld;Auftragsnummer;Test;Testbezeichnung;Ergebnis;Einheit;Abnahme"
    lines = proposed(tmp_path, maps, ward_rows(header))
    (files,) = accepted(lines).laboratories["main"].csv
    assert "patient_id" not in files.columns
    assert f'# patient_id = "{case.lower()}"' in lines
    assert any("is the number of a case, which changes with every admission" in x for x in lines)


@pytest.mark.parametrize(
    "person", ["DOE, JANE", "Müller", "O'NEIL ANNE-MARIE", "DOE^JANE^A", "DOE, JANE *12.03.1950"]
)
def test_a_column_of_names_is_no_key_of_people_and_none_of_results(
    tmp_path: Path, maps: Maps, person: str
) -> None:
    rows = [
        f"{person};{person};{f'A{n}' if n else person};B12;{300 + n};pmol/l;2026-10-{13 + n % 15}"
        for n in range(60)
    ]
    header = "Patient;Sample ID;Accession;Test;Result;Unit;Collected"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows, ""]).encode())
    (files,) = accepted(lines).laboratories["main"].csv
    assert files.columns["result_id"] == "accession"
    assert "patient_id" not in files.columns
    assert any(line.startswith('# "patient" holds what looks like names') for line in lines)
    assert person.lower() not in "\n".join(lines).lower()


def creatinine(header: str, code: str, name: str, unit: str, specimen: str) -> bytes:
    """A table of creatinine that is as high as in serum, of sixty people."""
    rows = [
        f"A{n};9{n:04};{13 + n % 15}.10.2026;{code};{name};{60 + n};{unit};{specimen}"
        for n in range(60)
    ]
    return "\n".join([f"Auftragsnummer;PatNr;Abnahme;{header}", *rows, ""]).encode()


@pytest.mark.parametrize(
    ("code", "name", "unit", "specimen"),
    [
        ("KREAU", "Kreatinin i.U.", "", ""),
        ("KREAU", "Kreatinin i. U.", "µmol/l", "Serum"),
        ("KREAU", "Kreatinin im Urin", "µmol/l", ""),
        ("KREAU", "Kreatinin im Sammelharn", "µmol/l", ""),
        ("KREAU", "Creatinine, urine", "µmol/l", ""),
        ("KREAU", "U-Kreatinin", "µmol/l", ""),
        ("KREA-U", "Kreatinin", "µmol/l", ""),
        ("KREAU", "Kreatinin U.", "µmol/l", ""),
        ("KREAU", "Kreatinin", "µmol/l", "Urin"),
    ],
)
def test_creatinine_in_urine_is_proposed_as_none_of_ours(
    tmp_path: Path, maps: Maps, code: str, name: str, unit: str, specimen: str
) -> None:
    content = creatinine("Kürzel;Langtext;Ergebnis;Einh.;Probe", code, name, unit, specimen)
    lines = proposed(tmp_path, maps, content)
    assert not any("analyte" in line for line in lines)
    assert "# 1 more unknown codes look like none of ours" in lines


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("Kürzel;Langtext;Ergebnis;Einh.;Probe", ["langtext", "einh.", "probe"]),
        ("Kürzel;Bezeichnung;Ergebnis;Einheit;Material", ["bezeichnung", "einheit", "material"]),
        ("Kürzel;Testbezeichnung;Wert;Dim.;Probenart", ["testbezeichnung", "dim.", "probenart"]),
        (
            "Kürzel;Analyt;Wert;Einheit;Untersuchungsmaterial",
            ["analyt", "einheit", "untersuchungsmaterial"],
        ),
    ],
)
def test_name_unit_and_specimen_are_known_by_their_german_headers(
    tmp_path: Path, maps: Maps, header: str, columns: list[str]
) -> None:
    content = creatinine(header, "KREA", "Kreatinin u. eGFR", "µmol/l", "Serum")
    settings = accepted(proposed(tmp_path, maps, content))
    (files,) = settings.laboratories["main"].csv
    assert [files.columns[name] for name in ("test_name", "unit", "specimen")] == columns
    assert settings.laboratories["main"].tests["KREA"].analyte == "creatinine"


def test_a_number_of_the_specimen_is_not_taken_for_what_it_is(tmp_path: Path, maps: Maps) -> None:
    content = creatinine(
        "Kürzel;Langtext;Ergebnis;Einh.;Probe", "KREA", "Kreatinin", "µmol/l", "26-4711"
    )
    assert not any('specimen = "probe"' in line for line in proposed(tmp_path, maps, content))


def test_a_test_that_only_its_code_and_its_values_speak_for_is_a_question(
    tmp_path: Path, maps: Maps
) -> None:
    content = creatinine("Kürzel;Feld 3;Ergebnis;Feld 5;Feld 6", "KREAU", "Kreatinin i.U.", "", "")
    lines = proposed(tmp_path, maps, content)
    assert not accepted(lines).laboratories["main"].tests
    assert "# [laboratories.main.tests.KREAU]" in lines
    assert any("no name, unit or specimen of the file confirms it" in line for line in lines)


@pytest.mark.parametrize(
    ("header", "first", "second", "columns"),
    [
        ("Test;Bezeichnung", "KREA", "Kreatinin", ("test", "bezeichnung")),
        ("Test;Testbezeichnung", "KREA", "Kreatinin", ("test", "testbezeichnung")),
        ("Bezeichnung;Test", "Kreatinin", "KREA", ("test", "bezeichnung")),
        ("Analyse;Langtext", "KREA", "Kreatinin", ("analyse", "langtext")),
        ("Test;Feld", "Kreatinin", "x", ("test", None)),
        ("Untersuchung;Testbezeichnung", "Chemie", "", ("testbezeichnung", None)),
    ],
)
def test_name_and_code_of_a_test_are_two_columns_or_only_a_code(
    tmp_path: Path,
    maps: Maps,
    header: str,
    first: str,
    second: str,
    columns: tuple[str, str | None],
) -> None:
    rows = [
        f"A{n};9{n:04};{13 + n % 15}.10.2026;{first};"
        f"{second or ('Kreatinin', 'Kalium im Serum')[n % 2]};{60 + n};µmol/l"
        for n in range(60)
    ]
    text = "\n".join([f"Auftragsnummer;PatNr;Abnahme;{header};Ergebnis;Einheit", *rows, ""])
    (files,) = accepted(proposed(tmp_path, maps, text.encode())).laboratories["main"].csv
    assert (files.columns["code"], files.columns.get("test_name")) == columns


@pytest.mark.parametrize("written", ["02/{:02}/50", "{:02}.02.50", "{:02}-Feb-50"])
def test_a_day_of_birth_with_a_year_of_two_digits_is_asked_for_with_four(
    tmp_path: Path, maps: Maps, written: str
) -> None:
    rows = [f"{n};{written.format(1 + n % 28)};F;2026-11-01" for n in range(60)]
    text = "\n".join(["MRN;Date of Birth;Sex;Died", *rows, ""])
    lines = proposed(tmp_path, maps, text.encode(), "patients_1.csv")
    assert not any("%y" in line for line in lines)
    assert any("birth_date: 60 of 60 rows have a year of two digits" in line for line in lines)
    assert any("ask the sender for years of four digits" in line for line in lines)
    assert accepted(lines).laboratories["main"].csv[0].dates == []


def test_days_of_death_beside_days_of_birth_need_four_digits_too(
    tmp_path: Path, maps: Maps
) -> None:
    rows = [f"{n};{13 + n % 15}.02.1950;F;{13 + n % 15}.02.26" for n in range(60)]
    text = "\n".join(["MRN;Date of Birth;Sex;Died", *rows, ""])
    lines = proposed(tmp_path, maps, text.encode(), "patients_1.csv")
    assert accepted(lines).laboratories["main"].csv[0].dates == ["%d.%m.%Y"]
    assert any("deceased_on: 60 of 60 rows have a year of two digits" in line for line in lines)


def test_results_keep_years_of_two_digits_beside_the_people_in_their_rows(
    tmp_path: Path, maps: Maps
) -> None:
    rows = [
        f"A{n};9{n:04};02/{13 + n % 15}/50;F;10/{13 + n % 15}/26;2132-9;{300 + n};pg/mL;North"
        for n in range(60)
    ]
    header = "Accession;MRN;DOB;Sex;Collected;LOINC;Result;Unit;Clinic"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows, ""]).encode())
    results, people = accepted(lines).laboratories["main"].csv
    assert (results.dates, people.dates) == (["%m/%d/%y"], [])


def test_a_column_without_a_cell_is_not_proposed_but_for_units(tmp_path: Path, maps: Maps) -> None:
    rows = [f"A{n};9{n:04};{13 + n % 15}.10.2026;;;B12;Vitamin B12;{300 + n};;" for n in range(60)]
    header = "Auftragsnummer;PatNr;Abnahme;Befund;Klinik;Kürzel;Analyt;Wert;Einheit;Befundstatus"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows, ""]).encode())
    (files,) = accepted(lines).laboratories["main"].csv
    assert not {"reported_at", "clinic_id", "status"} & files.columns.keys()
    assert files.columns["unit"] == "einheit"
    assert any('"befundstatus" is empty and is left out' in line for line in lines)


@pytest.mark.parametrize(
    ("name", "cell", "is_status"),
    [("State", "NY", False), ("Stand", "9.1", False), ("State", "final", True),
     ("Stand", "endgültig", True), ("Ergebnisstatus", "E7", True)],
)  # fmt: skip
def test_a_state_is_a_status_only_where_some_of_its_words_are_known(
    tmp_path: Path, maps: Maps, name: str, cell: str, is_status: bool
) -> None:
    lines = proposed(
        tmp_path, maps, german(more=cell).replace("Befundstatus", name).encode("latin-1")
    )
    (files,) = accepted(lines).laboratories["main"].csv
    assert ("status" in files.columns) == is_status
    assert any("holds no word that is known of a status" in line for line in lines) != is_status


def keyed(tmp_path: Path, maps: Maps, rows: list[tuple[str, str, str]]) -> tuple[Settings, str]:
    """What is proposed for rows of a number, a person and a moment, all of vitamin B12."""
    text = "\n".join(
        [
            "Station;Auftragsnummer;PatNr;Kürzel;Untersuchung;Wert;Einheit;Abnahme",
            *(f";{key};{person};B12;Vitamin B12;3{n % 90 + 10};pmol/l;{moment}"
              for n, (key, person, moment) in enumerate(rows)),
            "",
        ]
    )  # fmt: skip
    lines = proposed(tmp_path, maps, text.encode())
    return accepted(lines), "\n".join(lines)


def test_a_number_that_is_used_again_for_other_people_makes_no_key_alone(
    tmp_path: Path, maps: Maps
) -> None:
    rows = [(f"A{n % 40}", f"9{n:03}", f"{13 + n // 40}.10.2026 08:{n % 40:02}") for n in range(80)]
    settings, text = keyed(tmp_path, maps, rows)
    key = settings.laboratories["main"].csv[0].columns["result_id"]
    assert key == ["auftragsnummer", "kürzel", "abnahme", "patnr"]
    assert (
        "40 rows repeat the result_id of another. It is used again for other people or days" in text
    )
    assert "ask the sender" in text


def test_two_people_of_one_number_on_one_day_get_two_keys(tmp_path: Path, maps: Maps) -> None:
    rows = [(f"A{n % 40}", f"9{n:03}", "13.10.2026") for n in range(80)]
    settings, text = keyed(tmp_path, maps, rows)
    key = settings.laboratories["main"].csv[0].columns["result_id"]
    assert key == ["auftragsnummer", "kürzel", "abnahme", "patnr"]
    assert "used again for other people:" in text


def test_a_number_that_is_used_again_on_other_days_gets_the_moment(
    tmp_path: Path, maps: Maps
) -> None:
    rows = [(f"A{n % 40}", f"9{n % 40:03}", f"{13 + n // 40}.10.2026 08:30") for n in range(80)]
    settings, text = keyed(tmp_path, maps, rows)
    key = settings.laboratories["main"].csv[0].columns["result_id"]
    assert key == ["auftragsnummer", "kürzel", "abnahme"]
    assert "used again for other days:" in text


def test_rows_of_one_person_and_day_stay_corrections(tmp_path: Path, maps: Maps) -> None:
    rows = [(f"A{n % 40}", f"9{n % 40:03}", f"13.10.2026 0{n // 40}:30") for n in range(80)]
    settings, text = keyed(tmp_path, maps, rows)
    assert settings.laboratories["main"].csv[0].columns["result_id"] == "auftragsnummer"
    assert "40 rows repeat the result_id of another: corrections, or a key that is none" in text


def test_a_key_that_only_the_code_makes_one_persons_is_asked_about(
    tmp_path: Path, maps: Maps
) -> None:
    lines = proposed(tmp_path, maps, german().encode("latin-1"))
    assert (
        "# the result_id alone is several people's: ask the sender whether it is used again"
    ) in lines


def test_a_header_that_names_a_column_twice_is_read_by_numbers_which_a_person_chooses(
    tmp_path: Path, maps: Maps
) -> None:
    content = german().replace("Bemerkung", "Ergebnis").encode("latin-1")
    lines = proposed(tmp_path, maps, content)
    assert not accepted(lines).laboratories["main"].csv[0].columns
    assert any('its header names "ergebnis" more than once' in line for line in lines)
    chosen = [
        re.sub("^# (skip_lines|header|columns) = ", r"\1 = ", line) for line in lines
    ]  # fmt: skip
    settings = accepted(chosen)
    assert taken(tmp_path, settings) == (400, 200, 0, 0, 200, 0)


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_a_first_line_that_only_says_the_separator_is_skipped(
    tmp_path: Path, maps: Maps, first: str
) -> None:
    content = f"{first}\r\n{german()}".encode("latin-1")
    settings = accepted(proposed(tmp_path, maps, content))
    assert settings.laboratories["main"].csv[0].skip_lines == 1
    assert taken(tmp_path, settings) == (400, 200, 0, 0, 200, 0)


@pytest.mark.parametrize("code", ["2132-9 Vitamin B12", "2132-9 | Vitamin B12", "2132-9: Vit. B12"])
def test_a_code_of_loinc_with_a_name_behind_it_is_mended_in_the_workbook(
    tmp_path: Path, maps: Maps, code: str
) -> None:
    rows = [f"A{n};9{n:04};{13 + n % 15}.10.2026;{code};{300 + n};pmol/l" for n in range(60)]
    header = "Auftragsnummer;PatNr;Abnahme;LOINC;Ergebnis;Einheit"
    lines = proposed(tmp_path, maps, "\n".join([header, *rows, ""]).encode())
    assert any("it is 2132-9 with a name behind it" in line for line in lines)
    assert any("b12screen unmapped SITE --workbook FILE" in line for line in lines)
    assert not accepted(lines).laboratories["main"].csv[0].constants
