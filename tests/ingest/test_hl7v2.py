"""HL7 v2 result messages: what becomes a row, what is refused, and what is only counted."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import hl7
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b12screen.ingest import hl7v2
from b12screen.ingest.checks import CHECKS, SHAPES
from b12screen.ingest.delimited import FileRefused
from b12screen.ingest.hl7v2_cells import Dialect, dialect
from b12screen.maps import Maps
from b12screen.settings import Hl7v2, Laboratory, LocalTest, Settings

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hl7v2" / "reportstream"

HEADER = "MSH|^~\\&|LIS|MAINLAB|EHR|CLINIC|20261102101500||ORU^R01^ORU_R01|M1|P|2.5.1"
PERSON = "PID|1||000123^^^HOSP^MR||Doe^Jane||19550203|F"
ORDER = "OBR|1|P1|F1|B12^Panel^L|||20261101080000|||||||||||||||20261102090000|||F"
B12 = "14685-2^Cobalamin^LN"


@pytest.fixture(scope="session")
def known(maps: Maps) -> Dialect:
    return dialect(Settings(), maps)


@pytest.fixture
def site(maps: Maps) -> Dialect:
    """A site with two laboratories; the second has codes of its own."""
    return dialect(
        Settings(
            laboratories={
                "main": Laboratory(),
                "north": Laboratory(
                    code_system="north-local",
                    sending_facilities=["NORTHLAB", "1.2.3.4"],
                    tests={"MMAS": LocalTest(analyte="mma"), "B12": LocalTest(analyte="b12")},
                ),
            }
        ),
        maps,
    )


def obx(
    value: str = "412",
    kind: str = "NM",
    *,
    code: str = B12,
    sub_id: str = "",
    unit: str = "pmol/L",
    flags: str = "",
    status: str = "F",
    at: str = "20261101080000",
) -> str:
    return f"OBX|1|{kind}|{code}|{sub_id}|{value}|{unit}||{flags}|||{status}|||{at}"


class Read:
    """What a file of messages was read as, row by row as name and cell."""

    def __init__(self, path: Path, known: Dialect) -> None:
        reader = hl7v2.Reader(known)
        self.labs, self.broken, self.patients, self.broken_patients = [], [], [], []
        columns = (*hl7v2.PLACE, *hl7v2.LAB_COLUMNS)
        for message in reader.read(path):
            self.labs += [dict(zip(columns, row, strict=True)) for row in message.labs]
            self.patients += [
                dict(zip((*hl7v2.PLACE, *hl7v2.PATIENT_COLUMNS), row, strict=True))
                for row in message.patients
            ]
            self.broken += message.broken
            self.broken_patients += message.broken_patients
        self.remarks = reader.remarks()
        self.findings = reader.findings

    @property
    def lab(self) -> dict[str, str]:
        """The one row of labs."""
        (row,) = self.labs
        assert not self.broken
        return row

    @property
    def patient(self) -> dict[str, str]:
        """The one row of patients."""
        (row,) = self.patients
        return row

    @property
    def faults(self) -> list[str]:
        """The checks that broken rows fail."""
        return [row[3] for row in self.broken]


@pytest.fixture
def read(tmp_path: Path, known: Dialect):
    """Read segments (CR behind each) or bytes."""

    def reading(*segments: str, content: bytes | None = None, by: Dialect = known) -> Read:
        path = tmp_path / "messages.hl7"
        path.write_bytes(("\r".join(segments) + "\r").encode() if content is None else content)
        return Read(path, by)

    return reading


def test_a_result_becomes_the_row_that_a_csv_extract_would_hold(read) -> None:
    row = read(
        HEADER, PERSON, "PV1|1|O|WARD^1^2^NORTH",
        "ORC|RE|P1|F1||||||||||||||||||Example Practice^L^^^^^^^^C12", ORDER, obx(),
        "SPM|1|||119364003^Serum specimen^SCT",
    ).lab  # fmt: skip
    assert row == {
        "record": 1, "line": 6, "segment": "OBX[1]",
        "result_id": "F1|14685-2|", "patient_id": "000123",
        "collected_at": "2026-11-01T08:00:00", "reported_at": "2026-11-02T09:00:00",
        "code": "14685-2", "code_system": "loinc", "test_name": "Cobalamin",
        "specimen": "serum specimen", "value": "412", "unit": "pmol/L", "status": "final",
        "clinic_id": "C12", "laboratory": "main",
    }  # fmt: skip


# --- Bytes, frames and separators ---


MESSAGE = [HEADER, PERSON, ORDER, obx()]


@pytest.mark.parametrize("line_end", ["\r", "\n", "\r\n", "\r\r\n"])
def test_segments_may_end_in_cr_lf_or_both(read, line_end: str) -> None:
    content = line_end.join([*MESSAGE, ""]).encode() * 2
    assert [row["value"] for row in read(content=content).labs] == ["412", "412"]


def test_line_ends_may_be_mixed_and_the_last_one_missing(read) -> None:
    content = f"{HEADER}\r\n{PERSON}\n{ORDER}\r{obx()}".encode()
    assert read(content=content).lab["line"] == 4


@pytest.mark.parametrize("between", ["\x1c\r\x0b", "\x1c\n\x0b", "\x1c\x0b", "\r\x1c\r\x0b", "\r"])
def test_mllp_frames_are_taken_off(read, between: str) -> None:
    one = "\r".join(MESSAGE)
    content = f"\x0b{one}{between}{one}\x1c\r".encode()
    found = read(content=content)
    assert [row["status"] for row in found.labs] == ["final", "final"]
    assert [row["collected_at"] for row in found.labs] == ["2026-11-01T08:00:00"] * 2


def test_a_bom_before_any_message_is_no_text(read) -> None:
    one = "\ufeff" + "\r".join(MESSAGE) + "\r"
    assert len(read(content=(one * 2).encode()).labs) == 2


def test_pieces_of_the_file_are_cut_anywhere(read, monkeypatch: pytest.MonkeyPatch) -> None:
    one = "\x0b" + "\r\n".join(MESSAGE) + "\x1c\r\n"
    told = []
    for size in (1, 2, 3, 7, 61, 1_000_000):
        monkeypatch.setattr(hl7v2, "CHUNK", size)
        found = read(content=one.encode() * 3)
        told.append([(row["line"], row["value"]) for row in found.labs])
    assert told == [[(4, "412"), (8, "412"), (12, "412")]] * 6


def test_separators_are_the_ones_that_msh_names(read) -> None:
    marks = str.maketrans("|^~\\&", "#*!?%")
    row = read(*(segment.translate(marks) for segment in MESSAGE)).lab
    assert (row["value"], row["code"], row["patient_id"]) == ("412", "14685-2", "000123")


def test_escapes_stand_for_separators_and_bytes(read) -> None:
    found = read(
        HEADER, PERSON.replace("000123", "00\\T\\123"), ORDER,
        obx(kind="ST", value="a\\F\\b\\S\\c\\R\\d\\E\\e\\X3C\\7\\H\\\\N\\", unit="10\\S\\9/L"),
    )  # fmt: skip
    assert found.lab["value"] == "a|b^c~d\\e<7"
    assert (found.lab["unit"], found.lab["patient_id"]) == ("10^9/L", "00&123")


def test_a_hex_escape_of_a_control_character_stays_as_it_is(read) -> None:
    assert read(HEADER, PERSON, ORDER, obx("4\\X00\\12", "ST")).lab["value"] == "4\\X00\\12"


def test_text_broken_over_lines_belongs_to_its_segment(read) -> None:
    content = "\r".join([HEADER, PERSON, ORDER, obx("haemolysed\nsee|note", "TX")])
    row = read(content=content.encode()).lab
    assert row["value"] == "haemolysed\nsee"
    content = "\r".join([HEADER, PERSON, ORDER, obx("haemolysed\nrepeat", "TX")])
    row = read(content=content.encode()).lab
    assert (row["value"], row["status"]) == ("haemolysed\nrepeat", "final")


@pytest.mark.parametrize(("byte", "charset"), [(b"\xc3\xb5", ""), (b"\xe4", "8859/1")])
def test_a_name_in_a_declared_or_undeclared_encoding_costs_no_row(
    read, byte: bytes, charset: str
) -> None:
    header = f"{HEADER}||||||{charset}".encode()
    person = PERSON.encode().replace(b"Jane", b"J" + byte + b"ne")
    content = b"\r".join([header, person, ORDER.encode(), obx().encode()])
    assert read(content=content).lab["value"] == "412"


def test_a_declared_latin_unit_is_read_and_an_undeclared_one_refused(read) -> None:
    result = obx(unit="µmol/L", code="14682-9^^LN").encode("latin-1")
    parts = [PERSON.encode(), ORDER.encode(), result]
    declared = b"\r".join([f"{HEADER}||||||8859/1".encode(), *parts])
    assert read(content=declared).lab["unit"] == "µmol/L"
    found = read(content=b"\r".join([HEADER.encode(), *parts]))
    assert (found.faults, found.labs) == (["encoding"], [])
    assert "\\xb5mol/L" in found.broken[0][4]


def test_a_nul_byte_costs_the_row_that_holds_it(read) -> None:
    found = read(HEADER, PERSON, ORDER, obx("4\x0012"), obx("7", sub_id="2"))
    assert found.faults == ["nul_byte"]
    assert [row["value"] for row in found.labs] == ["7"]


# --- Values ---


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("NM", "412", "412"),
        ("NM", " 412.0 ", "412.0"),
        ("NM", "<7", "<7"),
        ("NM", ">7", ">7"),
        ("NM", "?7", "?7"),
        ("NM", '""', ""),
        ("NM", "4^5", "4^5"),
        ("SN", "<^7", "<7"),
        ("SN", ">^7", ">7"),
        ("SN", "=^7", "7"),
        ("SN", "^7", "7"),
        ("SN", "<7", "<7"),
        ("SN", ">=^7", ">=7"),
        ("ST", "> 2000", "> 2000"),
        ("TX", "haemolysed", "haemolysed"),
        ("FT", "haemolysed\\.br\\", "haemolysed"),
        ("CWE", "X1^haemolysed^L", "haemolysed"),
        ("CE", "^<0.05", "<0.05"),
        ("CWE", "^^^^^^^^as written", "as written"),
        ("CWE^^HL70125", "X1^haemolysed^L", "haemolysed"),
        ("", "412", "412"),
    ],
)
def test_the_value_is_the_text_that_was_meant(read, kind: str, sent: str, value: str) -> None:
    assert read(HEADER, PERSON, ORDER, obx(sent, kind)).lab["value"] == value


@pytest.mark.parametrize(
    ("kind", "sent", "check"),
    [
        ("NM", "60~120", "repetition"),
        ("ST", "60~120", "repetition"),
        ("SN", "^1^:^640", "structured"),
        ("SN", "^3^-^5", "structured"),
        ("SN", "^3^+", "structured"),
        ("SN", "<>^7", "structured"),
        ("CWE", "412^^L", "coded"),
        ("CE", "412", "coded"),
        ("DT", "20261101", "value_type"),
        ("ED", "^^PDF^Base64^AAAA", "value_type"),
        ("NA", "4^1^2", "value_type"),
    ],
)
def test_what_is_not_one_number_or_text_is_refused(read, kind: str, sent: str, check: str) -> None:
    segment = obx(sent, kind)
    found = read(HEADER, PERSON, ORDER, segment)
    assert found.labs == []
    assert found.broken == [[1, 4, "OBX[1]", check, segment]]


def test_what_a_test_outside_the_maps_holds_is_never_refused(read) -> None:
    titre = obx("^1^:^640", "SN", code="5048-4^ANA titre^LN", unit="")
    pdf = obx("^^PDF^Base64^" + "A" * 5000, "ED", code="PDF^Report^L")
    found = read(HEADER, "PID|1", "OBR|1", titre, pdf, obx("1~2", code="X^X^99LAB"))
    assert found.faults == []
    assert [row["code"] for row in found.labs] == ["5048-4", "PDF", "X"]


@pytest.mark.parametrize(
    ("flags", "value"), [("<", "<412"), ("N~>", ">412"), ("L", "412"), ("<<", "412")]
)
def test_a_number_flagged_as_beyond_the_instrument_is_a_bound(read, flags: str, value: str) -> None:
    assert read(HEADER, PERSON, ORDER, obx(flags=flags)).lab["value"] == value


def test_a_result_without_a_value_needs_none(read) -> None:
    row = read(HEADER, PERSON, ORDER, obx("60~120", status="X")).lab
    assert (row["value"], row["status"]) == ("60~120", "cancelled")


# --- Units, codes and specimens ---


@pytest.mark.parametrize(
    ("sent", "unit"),
    [
        ("pmol/L^picomole per litre^UCUM", "pmol/L"),
        ("^^^pmol/L^^L", "pmol/L"),
        ("10^9/L", "10^9/L"),
        ("mL/min/1.73m^2", "mL/min/1.73m^2"),
        ("um^3", "um^3"),
        ("mm^millimetre^UCUM", "mm"),
        ('""', ""),
        ("", ""),
    ],
)
def test_the_unit_is_the_identifier_of_obx_6(read, sent: str, unit: str) -> None:
    assert read(HEADER, PERSON, ORDER, obx(unit=sent)).lab["unit"] == unit


NORTH = HEADER.replace("MAINLAB", "NORTHLAB")


@pytest.mark.parametrize(
    ("header", "sent", "system", "code"),
    [
        (HEADER, "14685-2^B12^LN", "loinc", "14685-2"),
        (HEADER, "14685-2^B12", "loinc", "14685-2"),
        (HEADER, "271216009^B12^SCT", "snomed", "271216009"),
        (HEADER, "MMAS^MMA^L", "l", "MMAS"),
        (NORTH, "MMAS^MMA^L", "north-local", "MMAS"),
        (NORTH, "MMAS^MMA^99NORTH", "north-local", "MMAS"),
        (NORTH, "MMAS^MMA", "north-local", "MMAS"),
        (NORTH, "MMAS^MMA^North-Local", "north-local", "MMAS"),
        (NORTH, "99999-9^?^LN^MMAS^MMA^L", "north-local", "MMAS"),
        (NORTH, "XYZ^?^L^13964-2^MMA^LN", "loinc", "13964-2"),
        (NORTH, "13964-2^MMA^LN^MMAS^MMA^L", "loinc", "13964-2"),
        (NORTH, "^^^MMAS^MMA^L", "north-local", "MMAS"),
        (NORTH, "99999-9^?^LN^XYZ^?^L", "loinc", "99999-9"),
        # A LOINC code of urine says that it is another test, whatever the local code says.
        (NORTH, "13776-0^MMA/creat^LN^MMAS^MMA^L", "loinc", "13776-0"),
    ],
)
def test_the_code_is_the_first_triplet_that_the_maps_name(
    read, site: Dialect, header: str, sent: str, system: str, code: str
) -> None:
    row = read(header, PERSON, ORDER, obx(code=sent), by=site).lab
    assert (row["code_system"], row["code"]) == (system, code)


@pytest.mark.parametrize("alternate", ["14685-2^B12^LN", "13776-0^MMA/creatinine^LN"])
def test_two_codes_of_different_tests_are_refused(read, site: Dialect, alternate: str) -> None:
    found = read(NORTH, PERSON, ORDER, obx(code=f"MMAS^MMA^L^{alternate}"), by=site)
    assert found.faults == ["codes"]


def test_the_facility_that_sends_names_the_laboratory(read, site: Dialect) -> None:
    by_oid = HEADER.replace("MAINLAB", "North Laboratory^1.2.3.4^ISO")
    found = read(*MESSAGE, NORTH, *MESSAGE[1:], by_oid, *MESSAGE[1:], by=site)
    assert [row["laboratory"] for row in found.labs] == ["main", "north", "north"]
    (remark,) = found.remarks
    assert "sending_facilities name: 1, read as those of main" in remark


@pytest.mark.parametrize(
    ("specimen", "word"),
    [
        ("119364003^Serum specimen^SCT", "serum specimen"),
        ("119364003^^SCT", "serum"),
        ("SER^^HL70070", "ser"),
        ("X9^Gold top^L^SER^Serum^HL70070", "serum"),
        ("UR^Urine^HL70070", "urine"),
        ("", ""),
    ],
)
def test_a_specimen_is_told_in_a_spelling_that_the_map_knows(
    read, specimen: str, word: str
) -> None:
    row = read(HEADER, PERSON, ORDER, obx(), f"SPM|1|||{specimen}").lab
    assert row["specimen"] == word


def test_of_several_specimens_the_one_that_does_not_fit_speaks(read) -> None:
    row = read(HEADER, PERSON, ORDER, obx(), "SPM|1|||SER", "SPM|2|||UR^Urine").lab
    assert row["specimen"] == "urine"


def test_a_specimen_belongs_to_the_order_before_it_and_obr_15_stands_in(read) -> None:
    second = ORDER.replace("F1", "F2").replace(
        "|||||||||||||||2026", "||||||||BLD&Blood|||||||2026"
    )
    found = read(HEADER, PERSON, ORDER, obx(), "SPM|1|||SER", second, obx())
    assert [row["specimen"] for row in found.labs] == ["ser", "blood"]


# --- Keys, versions and status ---


def test_a_correction_has_the_key_of_what_it_corrects(read) -> None:
    corrected = [segment.replace("202611021", "202611051") for segment in MESSAGE[:2]]
    later = ORDER.replace("20261102090000", "20261105090000")
    found = read(*MESSAGE, *corrected, later, obx("500"))
    assert [row["result_id"] for row in found.labs] == ["F1|14685-2|"] * 2
    assert [row["status"] for row in found.labs] == ["final", "final"]
    assert [row["reported_at"] for row in found.labs] == [
        "2026-11-02T09:00:00",
        "2026-11-05T09:00:00",
    ]


def test_without_obr_22_the_message_tells_when_it_was_reported(read) -> None:
    row = read(HEADER, PERSON, "OBR|1||F1|B12|||20261101", obx()).lab
    assert row["reported_at"] == "2026-11-02T10:15:00"


def test_the_key_holds_the_whole_order_number_and_the_sub_id(read) -> None:
    order = ORDER.replace("|F1|", "|F1^LAB^1.2^ISO|")
    found = read(HEADER, PERSON, order, obx(sub_id="1"), obx("5", sub_id="2"))
    assert [row["result_id"] for row in found.labs] == [
        "F1^LAB^1.2^ISO|14685-2|1",
        "F1^LAB^1.2^ISO|14685-2|2",
    ]


def test_an_order_number_of_orc_holds_for_the_one_order_that_follows(read) -> None:
    order = ORDER.replace("|P1|F1|", "|||")
    found = read(HEADER, PERSON, "ORC|RE||F9", order, obx(), order, obx())
    assert [row["result_id"] for row in found.labs] == ["F9|14685-2|"]
    assert found.faults == ["filler"]


def test_a_placer_number_stands_in_for_the_laboratorys_with_sample_and_person(read) -> None:
    found = read(HEADER, PERSON, ORDER.replace("|P1|F1|", "|P7^EHR||"), obx())
    assert [row["result_id"] for row in found.labs] == [
        "P7^EHR@2026-11-01T08:00:00@000123|14685-2|"
    ]


def test_a_placer_number_without_a_time_of_collection_is_no_key(read) -> None:
    assert read(HEADER, PERSON, "OBR|1|P7||B12", obx(at="20261101")).faults == ["filler"]


def test_the_same_result_twice_in_a_message_is_two_equal_rows(read) -> None:
    found = read(HEADER, PERSON, ORDER, obx(), obx())
    first, second = ({**row, "record": 0, "line": 0, "segment": ""} for row in found.labs)
    assert first == second


@pytest.mark.parametrize("other", [obx("500"), obx(status="P"), obx(unit="pg/mL"), obx("1~2")])
def test_results_that_a_message_holds_twice_and_differently_are_both_refused(
    read, other: str
) -> None:
    found = read(HEADER, PERSON, ORDER, obx(), other, obx("7", sub_id="2"))
    assert [row["value"] for row in found.labs] == ["7"]
    assert [row[0] for row in found.broken] == [1, 2]
    assert found.faults[0] == "repeated"


def test_the_same_key_for_two_persons_of_a_message_is_refused(read) -> None:
    found = read(*MESSAGE, PERSON.replace("000123", "000124"), ORDER, obx())
    assert found.faults == ["repeated", "repeated"]


@pytest.mark.parametrize(
    ("letter", "word"),
    [
        ("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("X", "cancelled"),
        ("D", "cancelled"), ("W", "entered-in-error"), ("R", "preliminary"), ("S", "preliminary"),
        ("I", "registered"), ("O", "registered"), ("N", "cancelled"), ("U", "final"),
        ("A", "amended"), ("C^Correction^HL70085", "corrected"), ("Q", "Q"),
    ],
)  # fmt: skip
def test_the_status_is_told_in_the_words_of_the_contract(read, letter: str, word: str) -> None:
    assert read(HEADER, PERSON, ORDER, obx(status=letter)).lab["status"] == word


@pytest.mark.parametrize(
    ("letter", "word"),
    [("F", "final"), ("A", "preliminary"), ("C", "corrected"), ("X", "cancelled"), ("", "")],
)
def test_the_status_of_the_order_stands_in_for_a_blank_one(read, letter: str, word: str) -> None:
    order = ORDER.removesuffix("F") + letter
    assert read(HEADER, PERSON, order, obx(status="")).lab["status"] == word


# --- Times ---


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("20261101", "2026-11-01"),
        ("20261101-0500", "2026-11-01"),
        ("2026110108", "2026-11-01T08:00:00"),
        ("202611010830", "2026-11-01T08:30:00"),
        ("20261101083015.1234-0500", "2026-11-01T08:30:15.1234-05:00"),
        ("20261101083015+0200^S", "2026-11-01T08:30:15+02:00"),
        ("202611", "202611"),
        ("2026", "2026"),
        ("not known", "not known"),
    ],
)
def test_a_time_becomes_iso_8601_once_it_has_a_day(read, sent: str, told: str) -> None:
    assert read(HEADER, PERSON, ORDER, obx(at=sent)).lab["collected_at"] == told


def test_the_offset_of_the_message_holds_for_times_without_one(read) -> None:
    row = read(HEADER.replace("101500", "101500+0100"), PERSON, ORDER, obx(at="20261101")).lab
    assert (row["collected_at"], row["reported_at"]) == ("2026-11-01", "2026-11-02T09:00:00+01:00")


@pytest.mark.parametrize(
    ("at", "order", "sample", "told"),
    [
        ("20261101", "20261102", "20261103", "2026-11-01"),
        ("", "20261102", "20261103", "2026-11-02"),
        ('""', "", "20261103^20261104", "2026-11-03"),
        ("", "", "", ""),
    ],
)
def test_the_sample_was_taken_at_obx_14_else_obr_7_else_spm_17(
    read, at: str, order: str, sample: str, told: str
) -> None:
    row = read(
        HEADER, PERSON, f"OBR|1||F1|B12|||{order}", obx(at=at), "SPM|1" + "|" * 16 + sample
    ).lab
    assert row["collected_at"] == told


# --- Persons and clinics ---


@pytest.mark.parametrize(
    ("pid_3", "patient"),
    [
        ("00123", "00123"),
        ("00123^^^HOSP^MR", "00123"),
        ("9^^^GOV^SS~00123^^^HOSP^MR~5^^^X^PI", "00123"),
        ("00123^^^HOSP^MR~00123^^^OTHER^MR", "00123"),
        ("9^^^LAB^PI~7^^^X^AN", "9"),
        ("", ""),
        ('""', ""),
    ],
)
def test_the_patient_is_the_medical_record_number_else_the_first(
    read, pid_3: str, patient: str
) -> None:
    assert read(HEADER, f"PID|1||{pid_3}", ORDER, obx()).lab["patient_id"] == patient


def test_two_medical_record_numbers_are_refused_until_an_authority_is_set(
    read, known: Dialect, maps: Maps
) -> None:
    person = "PID|1||1^^^NORTH&1.2.3&ISO^MR~2^^^SOUTH^MR||||19550203|F"
    found = read(HEADER, person, ORDER, obx())
    assert found.faults == ["identifier"]
    assert [row[3] for row in found.broken_patients] == ["identifier"]
    for authority, patient in (("south", "2"), ("1.2.3", "1"), ("NORTH", "1")):
        by = dialect(Settings(hl7v2=Hl7v2(assigning_authority=authority)), maps)
        assert read(HEADER, person, ORDER, obx(), by=by).lab["patient_id"] == patient
    by = dialect(Settings(hl7v2=Hl7v2(assigning_authority="WEST")), maps)
    assert read(HEADER, person, ORDER, obx(), by=by).faults == ["identifier"]


def test_the_type_of_the_identifier_is_set_and_another_one_is_told(read, known: Dialect) -> None:
    person = "PID|1||1^^^A^MR~2^^^B^NI"
    by = replace(known, identifier_type="NI")
    assert read(HEADER, person, ORDER, obx(), by=by).lab["patient_id"] == "2"
    found = read(HEADER, "PID|1||1^^^A^PI", ORDER, obx())
    (remark,) = found.remarks
    assert "without an identifier of type MR in PID-3: 1, known by the first one (PI)" in remark


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({7: "19550203", 8: "F"}, ("1955-02-03", "female", None)),
        ({7: "195502031230-0500", 8: "M^Male^HL70001"}, ("1955-02-03", "male", None)),
        ({7: "19550203", 8: "U"}, ("1955-02-03", None, None)),
        ({7: '""', 8: "O"}, ("", "other", None)),
        ({7: "1955", 8: "F"}, ("1955", "female", None)),
        # A letter that a sender has added tells no sex, and loses nothing beside it.
        ({8: "Q", 30: "Y"}, (None, None, "2026-11-02")),
        ({7: "19550203", 8: "?"}, ("1955-02-03", "?", None)),
        ({29: "20261001", 30: "Y"}, (None, None, "2026-10-01")),
        ({30: "Y"}, (None, None, "2026-11-02")),
        # A database's blank is no day, and takes no day back that is known.
        ({29: "19000101", 30: "Y"}, (None, None, "2026-11-02")),
        ({7: "19550203", 29: "19000101000000"}, ("1955-02-03", None, None)),
        ({7: "19550203", 29: "99991231"}, ("1955-02-03", None, None)),
        ({7: "19550203", 29: "20261001", 30: "N"}, ("1955-02-03", None, None)),
    ],
)
def test_a_pid_tells_what_it_holds_and_leaves_the_rest(
    read, fields: dict[int, str], told: tuple[str | None, ...]
) -> None:
    cells = ["PID", *("" for _ in range(30))]
    cells[3] = "P1"
    for place, cell in fields.items():
        cells[place] = cell
    row = read(HEADER, "|".join(cells)).patient
    assert (row["birth_date"], row["sex"], row["deceased_on"]) == told
    assert "clinic_id" not in row


@pytest.mark.parametrize("unit", ["^pg/mL", "^^^pg/mL", "^^^^pg/mL", "^^^^^^^^pg/mL"])
def test_a_unit_that_stands_in_words_alone_is_no_blank_one(read, unit: str) -> None:
    """The unit that a site declares for blank cells would be applied to it."""
    assert read(HEADER, PERSON, ORDER, obx(unit=unit)).lab["unit"] == "pg/mL"


@pytest.mark.parametrize("status", ["C", "D", "X", "W"])
@pytest.mark.parametrize(
    ("reported", "told"),
    [
        # The first report's time, repeated; the day alone; later than its message.
        ("20261101090000", "2026-11-02T10:15:00"),
        ("20261102", "2026-11-02T10:15:00"),
        ("20261103090000", "2026-11-03T09:00:00"),
        ("20261103", "2026-11-03"),
        ("20261102101500+0900", "2026-11-02T10:15:00"),
    ],
)
def test_what_revises_a_result_was_told_no_earlier_than_its_message(
    read, status: str, reported: str, told: str
) -> None:
    header = "|".join([*HEADER.split("|")[:6], "20261102101500", *HEADER.split("|")[7:]])
    order = "|".join([*ORDER.split("|")[:22], reported, *ORDER.split("|")[23:]])
    row = read(header, PERSON, order, obx(status=status)).lab
    assert row["reported_at"] == told
    final = read(header, PERSON, order, obx()).lab
    assert final["reported_at"][:10].replace("-", "") == reported[:8]


def test_a_pid_that_tells_nothing_is_no_row_of_patients(read) -> None:
    found = read(HEADER, "PID|1||000123^^^HOSP^MR||Doe^Jane", ORDER, obx())
    assert (found.patients, len(found.labs)) == ([], 1)


@pytest.mark.parametrize(
    ("orc", "pv1", "clinic"),
    [
        ("North Practice^L^^^^^^^^C12", "WARD^1^2^HOSP", "C12"),
        ("North Practice", "WARD^1^2^HOSP", "North Practice"),
        ("", "WARD^1^2^HOSP&1.2&ISO", "HOSP"),
        ("", "WARD", "WARD"),
        ("", "", ""),
    ],
)
def test_the_clinic_is_who_ordered_else_where_the_patient_was(
    read, orc: str, pv1: str, clinic: str
) -> None:
    row = read(HEADER, PERSON, f"PV1|1|O|{pv1}", "ORC|RE|" + "|" * 19 + orc, ORDER, obx()).lab
    assert row["clinic_id"] == clinic


# --- Messages and files ---


def test_messages_of_other_types_are_counted_and_named(read) -> None:
    adt = [HEADER.replace("ORU^R01^ORU_R01", "ADT^A08"), PERSON]
    order = [HEADER.replace("ORU^R01^ORU_R01", "OML^O21^OML_O21"), PERSON, ORDER, obx()]
    odd = [HEADER.replace("ORU^R01^ORU_R01", "Jane Doe")]
    found = read(*adt, *adt, *order, *odd, *MESSAGE)
    assert len(found.labs) == len(found.patients) == 1
    assert found.remarks == [
        "messages that are no results (ORU^R01) give no rows: 4 (2 x ADT^A08, 1 x OML^O21, "
        "1 x another type)"
    ]


def test_result_messages_without_a_result_are_counted(read) -> None:
    found = read(HEADER, PERSON, ORDER)
    assert (found.labs, found.broken) == ([], [])
    assert found.remarks == ["result messages without any result (OBX): 1"]


@pytest.mark.parametrize(("mode", "n"), [("T", 1), ("D^A", 1), ("P", 0), ("", 0)])
def test_messages_marked_as_tests_are_counted(read, mode: str, n: int) -> None:
    found = read(HEADER.replace("|P|", f"|{mode}|"), PERSON, ORDER, obx())
    assert len(found.labs) == 1
    assert [remark for remark in found.remarks if "(MSH-11)" in remark] == [
        "result messages that are marked as tests or for training (MSH-11) are taken like any "
        "other: 1; where they hold nobody's results, have the sender leave them out"
    ] * n


@pytest.mark.parametrize(
    ("header", "check"),
    [
        ("MSH|", "separators"),
        ("MSH|^~", "separators"),
        ("MSH|^^~&|LIS", "separators"),
        ("MSH|abcd|LIS", "separators"),
        (HEADER.replace("ORU^R01^ORU_R01", ""), "message_type"),
        ("MSH|^~\\&|LIS", "message_type"),
    ],
)
def test_an_unreadable_message_is_one_row(read, header: str, check: str) -> None:
    found = read(header, PERSON, ORDER, obx(), obx("7"), *MESSAGE)
    assert len(found.labs) == 1
    ((record, line, segment, fault, raw),) = found.broken
    assert (record, line, segment, fault) == (1, 1, "MSH", check)
    assert raw.startswith(header)


def test_a_damaged_header_within_a_message_refuses_all_of_it(read) -> None:
    found = read(*MESSAGE, " MSH|^~\\&|LIS", PERSON, ORDER, obx("7"))
    assert (found.faults, found.labs) == (["header"], [])


def test_text_before_the_first_message_is_one_row(read) -> None:
    found = read("some words", "and more", *MESSAGE)
    assert (found.faults, len(found.labs)) == (["no_message"], 1)


def test_a_message_beyond_the_largest_is_one_row_and_the_next_one_is_read(
    read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hl7v2, "CHUNK", 100)
    monkeypatch.setattr(hl7v2, "LARGEST_MESSAGE", 1000)
    found = read(*MESSAGE, *MESSAGE, *[obx("7")] * 30, *MESSAGE)
    assert found.faults == ["message_size"]
    assert [(row["record"], row["line"]) for row in found.labs] == [(1, 4), (3, 42)]


def test_a_cell_beyond_the_largest_is_refused_alone(read, known: Dialect) -> None:
    by = replace(known, max_cell_bytes=1000)
    found = read(HEADER, PERSON, ORDER, obx("a" * 1500, "ST"), obx("7", sub_id="2"), by=by)
    assert found.faults == ["cell_size"]
    assert len(found.broken[0][4]) == 1000
    assert [row["value"] for row in found.labs] == ["7"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xef\xbb\xbf", b" \r\n", HEADER.encode("utf-16"), b"result_id,patient_id\nR1,P1\n"],
)
def test_a_file_without_any_message_is_refused(read, content: bytes) -> None:
    with pytest.raises(FileRefused, match=r"0 bytes|no HL7 v2 message"):
        read(content=content)


def test_an_empty_batch_is_a_delivery_without_rows(read) -> None:
    found = read("FHS|^~\\&", "BHS|^~\\&", "BTS|0", "FTS|1")
    assert (found.labs, found.broken, found.findings) == ([], [], [])


def test_a_batch_that_holds_fewer_messages_than_announced_is_a_finding(read) -> None:
    batch = ("FHS|^~\\&", "BHS|^~\\&", *MESSAGE)
    assert read(*batch, *MESSAGE, "BTS|2", "FTS|1").findings == []
    (finding,) = read(*batch, "BTS|2", "FTS|1").findings
    assert "announces another number of messages than arrived: 1" in finding
    (finding,) = read(*batch).findings
    assert "its trailer (FTS) is missing" in finding


@pytest.mark.parametrize("cut", ["OBX|1|NM|14685-2^^LN||41", "OBX|1|NM|14685-2^^LN||412|pmol/L"])
def test_a_result_that_the_file_ends_in_is_refused(read, cut: str) -> None:
    """41 of 412, with the status of the order to vouch for it, would be a wrong result."""
    content = "\r".join([HEADER, PERSON, ORDER, cut])
    assert read(content=content.encode()).faults == ["cut_short"]
    assert read(content=content.encode() + b"\r").lab["status"] == "final"


def test_a_file_that_ends_within_a_segment_is_a_finding(read) -> None:
    found = read(content="\r".join([*MESSAGE, "OB"]).encode())
    assert found.lab["status"] == "final"
    assert found.findings == ["it ends within a segment, so it was cut short"]


def test_every_check_has_its_reason() -> None:
    checks = CHECKS | SHAPES
    named = {"identifier", "filler", "codes", "repetition", "structured", "coded", "value_type"}
    named |= {"repeated", "cut_short", "no_message", "separators", "message_type", "header"}
    assert named | {"message_size", "encoding", "nul_byte", "cell_size"} <= set(checks)


def test_the_parts_hold_every_row_once(tmp_path: Path, known: Dialect) -> None:
    path = tmp_path / "messages.hl7"
    content = [*MESSAGE, HEADER.replace("ORU^R01^ORU_R01", ""), HEADER, PERSON, ORDER, obx("1~2")]
    path.write_text("\r".join(content), encoding="utf-8", newline="")
    written, remarks, findings = hl7v2.messages_as_parquet(path, known, tmp_path / "parts")
    assert written == {"labs": hl7v2.Written(1, 2), "patients": hl7v2.Written(2, 0)}
    assert (remarks, findings) == ([], [])
    labs = tmp_path / "parts" / "labs"
    records = [
        record
        for title in ("rows", "broken")
        for record in pl.read_parquet(labs / f"{title}-*.parquet")["record"]
    ]
    assert sorted(records) == [1, 2, 3]
    people = pl.read_parquet(tmp_path / "parts" / "patients" / "rows-*.parquet")
    assert people["deceased_on"].null_count() == 2


# --- Any bytes ---

MANY = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.one_of(
    st.sampled_from(
        [
            HEADER.encode(), PERSON.encode(), ORDER.encode(), obx().encode(),
            obx("<^7", "SN").encode(), obx("60~120").encode(), obx(code="X^Y^L").encode(),
            b"MSH|", b"MSH", b"\nMSH|^~\\&|", b"SPM|1|||UR", b"BTS|2", b"FTS|1", b"FHS|", b"ZZZ|1",
            b"PID|1||1^^^A^MR~2^^^B^MR||||2026|Q", b"\x0b", b"\x1c", b"\0", b"\xff", b"\\X00\\",
            b"OBX|1|NM|14685-2^^LN||4", b" MSH|", b"ORC|RE||F2", b"|", b"~", b"\\",
        ]
    ),
    st.binary(max_size=12),
)  # fmt: skip
CONTENT = st.lists(st.tuples(PIECES, st.sampled_from([b"\r", b"\n", b"\r\n", b""])), max_size=14)


@MANY
@given(content=CONTENT)
def test_any_bytes_are_read_or_refused_and_every_row_is_there_once(
    tmp_path: Path, known: Dialect, content: list[tuple[bytes, bytes]]
) -> None:
    path = tmp_path / "messages.hl7"
    path.write_bytes(b"".join(part for pair in content for part in pair))
    try:
        found = Read(path, known)
    except FileRefused:
        assert b"MSH" not in path.read_bytes()[:3]
        return
    records = [row["record"] for row in found.labs] + [row[0] for row in found.broken]
    assert sorted(records) == list(range(1, len(records) + 1))
    people = [row["record"] for row in found.patients] + [row[0] for row in found.broken_patients]
    assert sorted(people) == list(range(1, len(people) + 1))
    assert set(found.faults) <= set(CHECKS | SHAPES)
    for row in [*found.labs, *found.patients]:
        text = "".join(str(cell) for cell in row.values())
        assert "\0" not in text
        assert text.encode("utf-8")
    assert "Jane" not in " ".join([*found.remarks, *found.findings])


# --- The messages of a public feed router, and python-hl7's reading of them ---


def oracle(content: bytes) -> Iterator[tuple[str, ...]]:
    """Patients, order number, code, value, unit of every OBX of a result, by python-hl7."""
    text = content.decode("utf-8-sig").replace("\r\n", "\r").replace("\n", "\r")
    for message in text[text.index("MSH|") :].replace("\rMSH|", "\0MSH|").split("\0"):
        found = hl7.parse(message)
        if str(found.segment("MSH")(9)(1)(1)) != "ORU":
            continue
        patients = order = ""
        for segment in found:
            if str(segment[0]) == "PID":
                patients = cell(segment, 3)
            elif str(segment[0]) == "OBR":
                order = first(cell(segment, 3))
            elif str(segment[0]) == "OBX":
                code, value, unit = (cell(segment, place) for place in (3, 5, 6))
                yield patients, order, first(code), value, first(unit)


def cell(segment: Sequence[object], place: int) -> str:
    return str(segment[place]) if len(segment) > place else ""


def first(text: str) -> str:
    return text.split("~")[0].split("^")[0].strip()


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is not there")
def test_every_result_of_the_real_messages_is_where_python_hl7_sees_it(known: Dialect) -> None:
    n_results = 0
    for path in sorted(REAL.glob("*.hl7")):
        found = Read(path, known)
        expected = list(oracle(path.read_bytes()))
        assert found.broken == [], path.name
        assert len(found.labs) == len(expected), path.name
        for row, (patients, order, code, value, unit) in zip(found.labs, expected, strict=True):
            # Of a test outside the maps no more is kept than a list of codes needs.
            assert row["value"] == value[:200], path.name
            assert row["code"] == code or not code, path.name
            assert row["unit"] == unit or not unit, path.name
            assert row["result_id"].split("|")[0].split("^")[0] == order or not order, path.name
            ids = {one.split("^")[0] for one in patients.split("~")}
            assert row["patient_id"] in ids or ids <= {"", '""'}, path.name
        n_results += len(expected)
    assert n_results > 1200
