"""Files that a laboratory writes its own way become the rows that everybody else's are."""

import gzip
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as few
from hypothesis import strategies as st
from pydantic import ValidationError

from b12screen.ingest import Again, check
from b12screen.ingest.checks import CHECKS, NO_OWN_DATE, mend
from b12screen.ingest.own_csv import own_checks, reread
from b12screen.ingest.recognise import Own
from b12screen.maps import Maps
from b12screen.settings import OWN_WORDS, Laboratory, Limits, LocalTest, OwnFiles, Settings

from .inbox import LAB_HEADER, NIGHT, ROW, Box, buckets

GERMAN = OwnFiles(
    files=["lab-a/*.csv"],
    encoding="latin-1",
    separator=";",
    decimal=",",
    thousands=".",
    dates=["%d.%m.%Y", "%d.%m.%Y %H:%M"],
    columns={
        "result_id": "Auftrag",
        "patient_id": "Patient",
        "collected_at": "Abnahme",
        "reported_at": "Befunddatum",
        "code": "Kürzel",
        "value": "Ergebnis",
        "unit": "Einheit",
        "status": "Status",
    },
    constants={"code_system": "lab-a"},
    words={"status": {"Endgültig": "final", "storniert": "cancelled"}},
    ids={"patient_id": {"strip_prefix": "P-", "pad": 8}},
)
GERMAN_HEADER = "AUFTRAG;Patient;Abnahme;Befunddatum;Kürzel;Ergebnis;Einheit;Status"
GERMAN_ROW = "A1;P-123;01.11.2026 08:30;02.11.2026;MMAS;0,41;µmol/l;endgültig"
TESTS = {
    "MMAS": LocalTest(analyte="mma", unit="umol/L", specimen="serum"),
    "B12": LocalTest(analyte="b12", unit="pmol/L", specimen="serum"),
    "HTC": LocalTest(analyte="holotc", unit="pmol/L"),
}


def laboratory(*files: OwnFiles, **more: Any) -> Laboratory:
    return Laboratory(code_system="lab-a", csv=list(files), tests=TESTS, **more)


def changed(**more: Any) -> OwnFiles:
    """The German laboratory's files, said otherwise."""
    return OwnFiles.model_validate(GERMAN.model_dump() | more)


@pytest.fixture
def german(tmp_path: Path, maps: Maps) -> Iterator[Box]:
    box = Box(
        tmp_path, maps, Settings(laboratories={"main": Laboratory(), "a": laboratory(GERMAN)})
    )
    yield box
    box.warehouse.close()


def says(box: Box, files: OwnFiles) -> None:
    """Let the settings say something else of the laboratory's files."""
    box.settings = Settings(laboratories={"main": Laboratory(), "a": laboratory(files)})


def put(box: Box, *rows: str, encoding: str = "latin-1", header: str = GERMAN_HEADER) -> None:
    box.put("lab-a/export.csv", "\r\n".join([header, *rows, ""]).encode(encoding))


def results(box: Box) -> list[tuple[Any, ...]]:
    return box.rows(
        "SELECT result_id, patient_id, laboratory, analyte, comparator, value, status, "
        "CAST(collected_at AS VARCHAR), CAST(reported_at AS VARCHAR) "
        "FROM core.lab_result ORDER BY result_id"
    )


def test_a_german_laboratorys_file_is_read_as_its_settings_say(german: Box) -> None:
    put(german, GERMAN_ROW, 'A2;P-124;1.11.2026;;B12;>1.475,5;;"ENDGÜLTIG"')
    assert buckets(german.account()) == (2, 2, 0, 0, 0, 0), german.rejects()
    assert results(german) == [
        ("A1", "00000123", "a", "mma", "=", 410.0, "final", "2026-11-01 08:30:00",
         "2026-11-02 00:00:00"),
        ("A2", "00000124", "a", "b12", ">", 1475.5, "final", "2026-11-01 00:00:00", None),
    ]  # fmt: skip
    # What the laboratory wrote is not what the contract's words say; both stay to be seen.
    assert german.rows(
        "SELECT value_as_sent, unit_as_sent FROM core.lab_result ORDER BY result_id"
    ) == [("0.41", "µmol/l"), (None, "")]


ENCODINGS = [
    ("latin-1", "latin-1", b""),
    ("windows-1252", "windows-1252", b""),
    ("cp850", "cp850", b""),
    ("utf-8", "utf-8", b""),
    ("utf-8", "utf-8-sig", b""),
    ("utf-16", "utf-16-le", b"\xff\xfe"),
    ("utf-16", "utf-16-be", b"\xfe\xff"),
    ("utf-16-le", "utf-16-le", b"\xff\xfe"),
    ("utf-16-le", "utf-16-le", b""),
    ("utf-16-be", "utf-16-be", b""),
]


def test_every_encoding_and_line_end_gives_the_same_rows(german: Box) -> None:
    german.settings = Settings(
        laboratories={
            "a": laboratory(
                *[
                    changed(encoding=said, files=[f"lab-a/{number}-*"])
                    for number, (said, _, _) in enumerate(ENCODINGS)
                ]
            )
        }
    )
    expected = []
    for number, (_, written, mark) in enumerate(ENCODINGS):
        for line_end in ("\n", "\r\n", "\r"):
            key = f"{number}{len(expected)}"
            text = line_end.join([GERMAN_HEADER, GERMAN_ROW.replace("A1", key), ""])
            german.put(f"lab-a/{number}-{len(expected)}.csv", mark + text.encode(written))
            expected.append(key)
    assert {buckets(account) for account in german.take().accounts} == {(1, 1, 0, 0, 0, 0)}, (
        german.rejects()
    )
    assert {row[0] for row in results(german)} == set(expected)
    assert {row[1:6] for row in results(german)} == {("00000123", "a", "mma", "=", 410.0)}


@pytest.mark.parametrize(
    ("said", "content", "reason"),
    [
        ("utf-16", GERMAN_HEADER.encode("utf-16-le"), "has no mark of UTF-16"),
        ("utf-16-be", b"\xff\xfe" + GERMAN_HEADER.encode("utf-16-le"), "is marked as utf-16-le"),
        ("latin-1", GERMAN_HEADER.encode("utf-8-sig"), "is marked as UTF-8"),
        ("latin-1", GERMAN_HEADER.encode("utf-8"), "is UTF-8 throughout"),
        ("windows-1252", GERMAN_HEADER.encode("utf-16"), "is not written in windows-1252"),
        ("utf-8", GERMAN_HEADER.encode("latin-1"), "its header is not UTF-8"),
        ("latin-1", b"", "it is empty (0 bytes)"),
        ("utf-16", b"", "has no mark of UTF-16"),
    ],
)
def test_a_file_that_is_not_of_the_encoding_is_refused_whole_and_says_so(
    german: Box, said: str, content: bytes, reason: str
) -> None:
    says(german, changed(encoding=said))
    german.put("lab-a/x.csv", content)
    account = german.account()
    assert account.reason is not None and reason in account.reason
    assert not account.held and account.n_read == 0


def test_a_byte_that_is_of_no_encoding_costs_its_row_alone(german: Box) -> None:
    says(german, changed(encoding="windows-1252"))
    rows = [GERMAN_ROW, GERMAN_ROW.replace("A1", "A2"), GERMAN_ROW.replace("A1", "A3")]
    content = "\r\n".join([GERMAN_HEADER, *rows]).encode("windows-1252")
    german.put("lab-a/x.csv", content.replace(b"A2", b"A\x81"))
    assert buckets(german.account()) == (3, 2, 0, 0, 0, 1)
    assert german.rejects() == [(2, 3, None, "encoding")]
    ((reason,),) = german.rows("SELECT reason FROM core.reject")
    assert reason == "the row holds what is no text in windows-1252; export it again"
    ((raw,),) = german.rows("SELECT raw FROM private.reject_row")
    assert str(raw).startswith("A\\x81;P-123;")


@pytest.mark.parametrize("half", [b"\x00\xd8", b"\x00\xdc"])
def test_half_a_character_of_utf_16_costs_its_row_alone(german: Box, half: bytes) -> None:
    says(german, changed(encoding="utf-16-le"))
    rows = [GERMAN_ROW, GERMAN_ROW.replace("A1", "A2"), GERMAN_ROW.replace("A1", "A3")]
    content = "\n".join([GERMAN_HEADER, *rows, ""]).encode("utf-16-le")
    german.put("lab-a/x.csv", content.replace("A2".encode("utf-16-le"), b"A\0" + half))
    assert buckets(german.account()) == (3, 2, 0, 0, 0, 1)
    assert german.rejects() == [(2, 3, None, "encoding")]


@pytest.mark.parametrize("cut", [1, 3])
def test_a_utf_16_file_that_is_cut_off_loses_its_last_row_alone(german: Box, cut: int) -> None:
    says(german, changed(encoding="utf-16-le"))
    content = "\n".join([GERMAN_HEADER, GERMAN_ROW, GERMAN_ROW]).encode("utf-16-le")
    german.put("lab-a/x.csv", content[:-cut])
    assert buckets(german.account()) == (2, 1, 0, 0, 0, 1)
    assert german.rejects() == [(2, 3, None, "encoding")]


def with_cells(column: str, cells: Sequence[str]) -> list[str]:
    """The German row with each of these cells in a column, under keys of their order."""
    place = GERMAN_HEADER.split(";").index(column)
    rows = []
    for number, cell in enumerate(cells):
        row = GERMAN_ROW.split(";")
        row[0], row[place] = f"N{number:02}", cell
        rows.append(";".join(row))
    return rows


@pytest.mark.parametrize(
    ("decimal", "thousands", "cells"),
    [
        (",", "", {"0,41": 410, "0,5e1": 5000, "<0,05": 50, "> 12": 12000, "+0,41": 410}),
        (",", ".", {"<1.234,5": 1234500, "1.234": 1234000, "0,41": 410, "1.234.567,8": None}),
        (".", ",", {"1,234.5": 1234500, "0.41": 410, "4": 4000}),
        (".", "'", {"1'234.5": 1234500}),
        (",", " ", {"1 234,5": 1234500, "< 1 234": 1234000}),
        (",", "\u00a0", {"1\u00a0234,5": 1234500}),
    ],
)
def test_numbers_are_read_with_the_signs_that_are_set(
    german: Box, decimal: str, thousands: str, cells: dict[str, float | None]
) -> None:
    says(german, changed(decimal=decimal, thousands=thousands))
    put(german, *with_cells("Ergebnis", list(cells)))
    german.account()
    found = dict(german.rows("SELECT record, value FROM core.lab_result"))
    # The largest is read, and refused as too high for any.
    beyond = {
        record for record, check in german.rows("SELECT record, check_name FROM core.reject")
        if check == "plausible"
    }  # fmt: skip
    for record, number in enumerate(cells.values(), 1):
        if number is None or number > 60_000:
            assert record in beyond
        else:
            assert found[record] == number


@pytest.mark.parametrize(
    ("decimal", "thousands", "cells"),
    [
        (",", "", ["0.41", "1.234,5", "1.234", "1,2,3", "4.1e2", "<0.05", "positiv", ","]),
        (",", ".", ["1,234.5", "0.410", "12.34", "1234.5", "1.2345,6", ".5", "1."]),
        (".", ",", ["1,5", "1.234,5", "0,410"]),
        (".", "'", ["1'23", "1,5"]),
    ],
)
def test_a_number_with_other_signs_is_rejected_and_never_guessed(
    german: Box, decimal: str, thousands: str, cells: list[str]
) -> None:
    says(german, changed(decimal=decimal, thousands=thousands))
    put(german, *with_cells("Ergebnis", cells))
    n = len(cells)
    assert buckets(german.account()) == (n, 0, 0, 0, 0, n)
    for column, check_name, reason in german.rows(
        "SELECT column_name, check_name, reason FROM core.reject"
    ):
        assert (column, check_name) == ("value", "number")
        assert 'here value is "ergebnis"' in str(reason)
        assert "say it in its settings" in mend("labs", "value", str(reason))
        assert "decimal sign" in str(reason)


@pytest.mark.parametrize(
    ("dates", "cells"),
    [
        (
            ["%d.%m.%Y", "%d/%m/%Y %H:%M", "%Y%m%d%H%M%S", "%d-%b-%Y", "%d %B %Y"],
            {
                "1.2.2026": "2026-02-01 00:00:00",
                "11/12/2026  8:05": "2026-12-11 08:05:00",
                "20261101083015": "2026-11-01 08:30:15",
                "01-NOV-2026": "2026-11-01 00:00:00",
                "1 november 2026": "2026-11-01 00:00:00",
                "2026-11-01": None,
                "31.02.2026": None,
                "01.11.2026 08:30": None,
                "11/12/2026 25:30": None,
                "01.13.2026": None,
                "01.11.26": None,
                "x01.11.2026": None,
                "01-OKT-2026": None,
                "2026111083015": None,
            },
        ),
        (["%m/%d/%Y"], {"11/12/2026": "2026-11-12 00:00:00", "25/12/2026": None}),
        (["%d.%m.%y"], {"01.11.26": "2026-11-01 00:00:00", "01.11.99": None}),
        (
            ["%m/%d/%Y %I:%M:%S %p"],
            {
                "11/01/2026 12:05:00 AM": "2026-11-01 00:05:00",
                "11/01/2026 2:05:09 pm": "2026-11-01 14:05:09",
                "11/01/2026 13:05:00 PM": None,
                "11/01/2026 0:05:00 AM": None,
            },
        ),
        (
            ["%d.%m.%YT%H:%M:%S%z", "%d.%m.%Y %H:%M:%S.%f", "iso"],
            {
                "01.11.2026T08:30:00+02:00": "2026-11-01 06:30:00",
                "01.11.2026 08:30:00.25": "2026-11-01 08:30:00.25",
                "2026-11-01T08:30:00Z": "2026-11-01 08:30:00",
                "2026-11-01": "2026-11-01 00:00:00",
            },
        ),
        (
            ["%d/%m/%Y", "%m/%d/%Y"],
            {
                "25/12/2026": "2026-12-25 00:00:00",
                "11/11/2026": "2026-11-11 00:00:00",
                "11/12/2026": None,
            },
        ),
        ([], {"2026-11-01": "2026-11-01 00:00:00", "01.11.2026": None}),
        (["iso"], {"2026-11-01": "2026-11-01 00:00:00", "01.11.2026": None}),
    ],
)
def test_days_are_read_in_the_listed_formats_and_what_is_ambiguous_is_rejected(
    german: Box, dates: list[str], cells: dict[str, str | None]
) -> None:
    says(german, changed(dates=dates))
    rows = with_cells("Abnahme", list(cells))
    put(german, *[row.replace("02.11.2026", "") for row in rows])
    german.account()
    found: dict[Any, Any] = dict(
        german.rows("SELECT record, CAST(collected_at AS VARCHAR) FROM core.lab_result")
    )
    refused: dict[Any, Any] = dict(german.rows("SELECT record, column_name FROM core.reject"))
    for record, moment in enumerate(cells.values(), 1):
        assert found.get(record) == moment
        assert refused.get(record) == (None if moment else "collected_at")
    reasons = {str(reason) for (reason,) in german.rows("SELECT reason FROM core.reject")}
    assert all('here collected_at is "abnahme"' in reason for reason in reasons)
    # What mends it is said as of any other file.
    assert all(
        "say it in its settings" in mend("labs", "collected_at", why)
        for why in reasons
        if NO_OWN_DATE in why
    )


def test_two_digit_years_are_refused_for_birth_days(german: Box) -> None:
    patients = OwnFiles(
        files=["adt/*"],
        kind="patients",
        dates=["%d.%m.%y"],
        columns={"patient_id": "Nr", "birth_date": "Geb", "sex": "Geschlecht"},
        constants={"clinic_id": "C1"},
    )
    says(german, patients)
    german.put("adt/list.txt", "Nr;Geb;Geschlecht\n1;01.02.45;F\n")
    account = german.account()
    assert account.reason is not None and "two-digit year" in account.reason


def test_rejected_rows_keep_their_place_and_what_was_sent(german: Box) -> None:
    put(german, GERMAN_ROW, "", GERMAN_ROW.replace("0,41", "0.41").replace("A1", "A2"), "kaputt")
    assert buckets(german.account()) == (3, 1, 0, 0, 0, 2)
    assert german.rejects() == [(2, 4, "value", "number"), (3, 5, None, "fields")]
    (sent,), (broken,) = german.rows("SELECT raw FROM private.reject_row ORDER BY record")
    assert json.loads(str(sent))["sent"] == {
        "auftrag": "A2",
        "patient": "P-123",
        "abnahme": "01.11.2026 08:30",
        "befunddatum": "02.11.2026",
        "kürzel": "MMAS",
        "ergebnis": "0.41",
        "einheit": "µmol/l",
        "status": "endgültig",
    }
    assert broken == "kaputt\r\n"


def test_a_rejected_row_can_be_read_again_as_the_settings_say_later(german: Box) -> None:
    put(german, GERMAN_ROW.replace("01.11.2026 08:30", "2026/11/01").replace("0,41", "0.41"))
    german.account()
    ((raw,),) = german.rows("SELECT raw FROM private.reject_row")
    mended = changed(dates=["%Y/%m/%d", "%d.%m.%Y"], decimal=".", thousands="")
    (row,) = reread([json.loads(str(raw))["sent"]], Own("a", mended), "labs")
    assert row == {
        "result_id": "A1",
        "patient_id": "00000123",
        "collected_at": "2026-11-01",
        "reported_at": "2026-11-02",
        "code": "MMAS",
        "code_system": "lab-a",
        "value": "0.41",
        "unit": "µmol/l",
        "status": "final",
        "laboratory": "a",
    }


def test_other_files_are_told_of_their_rejects_in_the_contracts_words(german: Box) -> None:
    put(german, GERMAN_ROW.replace("0,41", "0.41"))
    german.labs(ROW.replace("412", '"4,12"'), name="zz/labs.csv")
    assert [buckets(account)[-1] for account in german.take().accounts] == [1, 1]
    assert german.rows("SELECT file_name, reason FROM core.reject ORDER BY file_name")[1] == (
        "zz/labs.csv",
        "the number has a comma; write it with a decimal point",
    )


def test_local_codes_without_a_map_are_out_of_scope_whatever_their_cells_hold(german: Box) -> None:
    put(german, "A1;P-1;gestern;;NA;1.2.3;mmol/l;fertig", GERMAN_ROW.replace("A1", "A2"))
    assert buckets(german.account()) == (2, 1, 0, 0, 1, 0)
    assert german.rows("SELECT laboratory, code_system, code FROM core.unmapped_code") == [
        ("a", "lab-a", "NA")
    ]


def test_a_local_test_has_its_specimen_and_its_unit(german: Box) -> None:
    header = GERMAN_HEADER + ";specimen"
    put(
        german,
        "A1;P-1;01.11.2026;;MMAS;0,41;;endgültig;",
        "A2;P-1;01.11.2026;;MMAS;0,41;;endgültig;urine",
        "A3;P-1;01.11.2026;;HTC;45;;endgültig;plasma",
        header=header,
    )
    assert buckets(german.account()) == (3, 2, 0, 0, 0, 1)
    assert [row[3:6] for row in results(german)] == [("mma", "=", 410.0), ("holotc", "=", 45.0)]
    assert german.rejects() == [(2, 3, "specimen", "fits_code")]


def test_statuses_are_read_in_the_laboratorys_words_and_the_contracts(german: Box) -> None:
    put(
        german,
        GERMAN_ROW,
        GERMAN_ROW.replace("A1", "A2").replace("endgültig", " STORNIERT "),
        GERMAN_ROW.replace("A1", "A3").replace("endgültig", "C"),
        GERMAN_ROW.replace("A1", "A4").replace("endgültig", "vorläufig"),
        GERMAN_ROW.replace("A1", "A5").replace("endgültig", ""),
    )
    assert buckets(german.account()) == (5, 3, 0, 0, 0, 2)
    assert [row[6] for row in results(german)] == ["final", "cancelled", "corrected"]
    assert [row[3] for row in german.rejects()] == ["known_word", "not_blank"]


def test_a_column_that_the_settings_name_has_to_be_there_even_if_optional(german: Box) -> None:
    header = GERMAN_HEADER.removesuffix(";Status")
    put(german, GERMAN_ROW.removesuffix(";endgültig"), header=header)
    account = german.account()
    assert account.reason is not None and 'status, here "status"' in account.reason


def test_a_missing_column_is_named_as_the_laboratory_names_it(german: Box) -> None:
    put(german, GERMAN_ROW, header=GERMAN_HEADER.replace("Ergebnis", "Wert"))
    account = german.account()
    assert account.reason is not None and 'value, here "ergebnis"' in account.reason
    assert "laboratory a" in account.reason


def test_a_key_made_of_several_columns_tells_the_tests_of_one_order_apart(german: Box) -> None:
    says(german, changed(columns={**GERMAN.columns, "result_id": ["Auftrag", "Kürzel"]}))
    put(
        german,
        GERMAN_ROW,
        GERMAN_ROW.replace("MMAS", "B12").replace("0,41", "300").replace("µmol/l", ""),
        GERMAN_ROW.replace("A1", ""),
    )
    assert buckets(german.account()) == (3, 2, 0, 0, 0, 1)
    assert [row[0] for row in results(german)] == ["A1/B12", "A1/MMAS"]
    assert german.rejects() == [(3, 4, "result_id", "not_blank")]


def test_a_day_and_its_time_a_comparator_and_its_number_are_put_together(german: Box) -> None:
    columns = {
        **GERMAN.columns,
        "collected_at": ["Abnahme", "Uhrzeit"],
        "value": ["Vorz", "Ergebnis"],
    }
    says(german, changed(columns=columns))
    rows = [
        "1;01.11.2026;08:30;<;0,41",
        "2;01.11.2026;;;0,41",
        "3;;08:30;;0,41",
        "4;01.11.2026;8;;1",
    ]
    put(
        german,
        *[f"A{row};P-1;;MMAS;µmol/l;endgültig" for row in rows],
        header="Auftrag;Abnahme;Uhrzeit;Vorz;Ergebnis;Patient;Befunddatum;Kürzel;Einheit;Status",
    )
    assert buckets(german.account()) == (4, 2, 0, 0, 0, 2)
    assert [row[4:6] + row[7:8] for row in results(german)] == [
        ("<", 410.0, "2026-11-01 08:30:00"),
        ("=", 410.0, "2026-11-01 00:00:00"),
    ]
    assert [row[2:] for row in german.rejects()] == [("collected_at", "date")] * 2


@pytest.mark.parametrize(
    ("separator", "quote", "row"),
    [
        ("|", '"', '"A|1"|P-123|01.11.2026|02.11.2026|MMAS|0,41|µmol/l|endgültig'),
        ("^", "'", "'A|1'^P-123^01.11.2026^02.11.2026^MMAS^0,41^µmol/l^endgültig"),
        ("¦", '"', '"A|1"¦P-123¦01.11.2026¦02.11.2026¦MMAS¦"0,41"¦µmol/l¦endgültig'),
        ("\t", "", "A|1\tP-123\t01.11.2026\t02.11.2026\tMMAS\t0,41\tµmol/l\tendgültig"),
        (None, '"', "A|1;P-123;01.11.2026;02.11.2026;MMAS;0,41;µmol/l;endgültig"),
    ],
)
def test_any_character_may_separate_and_quote(
    german: Box, separator: str | None, quote: str, row: str
) -> None:
    says(german, changed(separator=separator, quote=quote))
    put(german, row, header=GERMAN_HEADER.replace(";", separator or ";"))
    assert buckets(german.account()) == (1, 1, 0, 0, 0, 0), german.rejects()
    assert results(german)[0][0] == "A|1"


def test_a_quote_is_a_letter_where_no_cell_is_quoted(german: Box) -> None:
    says(german, changed(quote=""))
    put(german, GERMAN_ROW.replace("A1", 'A"1'), GERMAN_ROW.replace("A1", '"A2'))
    assert buckets(german.account()) == (2, 2, 0, 0, 0, 0), german.rejects()
    assert [row[0] for row in results(german)] == ['"A2', 'A"1']


@pytest.mark.parametrize(
    ("pattern", "name", "is_meant"),
    [
        ("lab-a/*.csv", "lab-a/x.csv", True),
        ("lab-a/*.csv", "lab-a/old/x.csv", False),
        ("lab-a/**/*.csv", "lab-a/old/older/x.csv", True),
        ("lab-a/**/*.csv", "lab-a/x.csv", True),
        ("**/export_*", "any/where/export_1.txt", True),
        ("labs_a_*", "labs_a_1.csv", True),
        ("labs_a_*", "x/labs_a_1.csv", False),
        ("labs_[ab].csv", "labs_a.csv", False),
        ("lab-a/?.csv", "lab-a/x.csv", True),
        ("lab-a/*", "lab-a/.x.csv", False),
    ],
)
def test_files_are_named_by_their_path_below_the_inbox(
    german: Box, pattern: str, name: str, is_meant: bool
) -> None:
    says(german, changed(files=[pattern]))
    german.put(name, f"{GERMAN_HEADER}\n{GERMAN_ROW}\n".encode("latin-1"))
    read = [account.n_accepted for account in german.take().accounts]
    assert (read == [1]) == is_meant


def test_a_file_that_two_settings_name_is_refused(german: Box) -> None:
    german.settings = Settings(
        laboratories={"a": laboratory(GERMAN), "b": Laboratory(csv=[changed(files=["**/*"])])}
    )
    put(german, GERMAN_ROW)
    account = german.account()
    assert (
        account.reason is not None
        and "say more than once how its labs are written" in account.reason
    )


def test_packed_files_and_other_endings_are_read(german: Box) -> None:
    says(german, changed(files=["lab-a/*"]))
    content = f"{GERMAN_HEADER}\n{GERMAN_ROW}\n".encode("latin-1")
    german.put("lab-a/one.dat.gz", gzip.compress(content, mtime=0))
    german.put("lab-a/two.txt", content.replace(b"A1", b"A2"))
    assert [account.n_accepted for account in german.take().accounts] == [1, 1]


def test_a_parquet_file_has_its_own_names_and_its_own_types(german: Box) -> None:
    says(german, changed(files=["lab-a/*"]))
    path = german.inbox / "lab-a" / "x.parquet"
    path.parent.mkdir()
    pl.DataFrame(
        {
            "Auftrag": ["A1"],
            "Patient": [123],
            "Abnahme": [datetime(2026, 11, 1, 8, 30)],
            "Befunddatum": ["02.11.2026"],
            "Kürzel": ["MMAS"],
            "Ergebnis": [0.41],
            "Einheit": ["µmol/l"],
            "Status": ["endgültig"],
        }
    ).write_parquet(path)
    assert buckets(german.account()) == (1, 1, 0, 0, 0, 0), german.rejects()
    assert results(german)[0][:8] == (
        "A1", "00000123", "a", "mma", "=", 410.0, "final", "2026-11-01 08:30:00",
    )  # fmt: skip


def test_patients_conditions_and_medications_have_their_own_ways_too(german: Box) -> None:
    german.settings = Settings(
        laboratories={
            "a": laboratory(
                OwnFiles(
                    files=["adt/patients*"],
                    encoding="utf-16",
                    separator="|",
                    dates=["%d.%m.%Y"],
                    columns={"patient_id": "Nr", "birth_date": "Geb", "sex": "G"},
                    constants={"clinic_id": "C/1"},
                    words={"sex": {"W": "female"}},
                    ids={"patient_id": {"pad": 8}},
                ),
                OwnFiles(
                    files=["adt/diagnosen*"],
                    kind="conditions",
                    separator=";",
                    dates=["%d.%m.%Y"],
                    columns={"patient_id": "Nr", "code": "ICD", "recorded_on": "Datum"},
                    constants={"code_system": "icd10"},
                ),
                OwnFiles(
                    files=["adt/medik*"],
                    kind="medications",
                    decimal=",",
                    columns={"medication_id": ["Nr", "Datum"], "started_on": "Datum"},
                    constants={"code_system": "atc", "kind": "administration"},
                    words={"route": {"i.m.": "im"}},
                ),
            )
        }
    )
    german.put("adt/patients_1.csv", "Nr|Geb|G\n17|01.02.1950|w\n".encode("utf-16"))
    german.put("adt/diagnosen.csv", "Nr;ICD;Datum\n00000017;R20.2;03.04.2026\n")
    german.put(
        "adt/medik.csv",
        "Nr;patient_id;code;Datum;dose;dose_unit;route\n"
        "m1;00000017;B03BA03;2026-05-06;1,5;mg;I.M.\n",
    )
    assert [buckets(account)[1] for account in german.take().accounts] == [1, 1, 1], (
        german.rejects()
    )
    assert german.rows("SELECT patient_id, sex, clinic_id FROM core.patient") == [
        ("00000017", "female", "C/1")
    ]
    assert german.rows("SELECT medication_id, dose, route FROM core.medication") == [
        ("m1/2026-05-06", 1.5, "im")
    ]


def test_an_answer_saved_by_a_german_spreadsheet_is_read_with_its_short_rows(german: Box) -> None:
    says(
        german,
        OwnFiles(
            files=["clinics/feedback*"],
            encoding="windows-1252",
            separator=";",
            dates=["%d.%m.%Y"],
            words={"decision": {"zurückgestellt": "deferred"}},
        ),
    )
    german.put(
        "clinics/feedback_1.csv",
        "item_id;priority;decision;decision_note;until\r\ni0123456789abcdef;1\r\n"
        "i0123456789abcdef;1;Zurückgestellt;später;01.12.2026\r\n".encode("windows-1252"),
    )
    taking = german.take()
    assert buckets(taking.accounts[0]) == (2, 0, 0, 0, 1, 1) and not taking.notes
    # No list was published yet, so nothing could be answered.
    assert german.rejects() == [(2, 3, "item_id", "known_item")]


def test_a_laboratory_column_of_the_file_does_not_send_its_rows_elsewhere(german: Box) -> None:
    put(german, GERMAN_ROW + ";main", header=GERMAN_HEADER + ";laboratory")
    assert buckets(german.account())[1] == 1
    assert results(german)[0][2] == "a"


def test_columns_without_use_may_stand_twice_and_are_named_once(german: Box) -> None:
    put(german, GERMAN_ROW + ";x;y", header=GERMAN_HEADER + ";Flag;Flag")
    taking = german.take()
    assert buckets(taking.accounts[0])[1] == 1
    assert taking.notes == (
        "lab-a/export.csv: columns that are not used for labs were dropped: flag, flag",
    )


def test_a_file_that_mostly_fails_is_held_in_the_laboratorys_words(german: Box) -> None:
    put(german, *[GERMAN_ROW.replace("0,41", "0.41").replace("A1", f"A{n}") for n in range(40)])
    account = german.account()
    assert account.held and account.reason is not None
    assert 'here value is "ergebnis"' in account.reason
    assert german.rows("SELECT count(*) FROM core.reject") == [(0,)]


def test_check_reads_a_file_outside_the_inbox_by_the_folders_it_lies_in(
    tmp_path: Path, maps: Maps
) -> None:
    settings = Settings(laboratories={"a": laboratory(GERMAN)})
    path = tmp_path / "lab-a" / "x.csv"
    path.parent.mkdir()
    path.write_bytes(f"{GERMAN_HEADER}\n{GERMAN_ROW}\n".encode("latin-1"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    taking = check(
        [path], settings, maps, NIGHT, scratch, lambda line: None, inbox=tmp_path / "inbox"
    )
    assert buckets(taking.accounts[0]) == (1, 1, 0, 0, 0, 0)


def test_a_canonical_file_and_the_same_file_by_settings_agree(tmp_path: Path, maps: Maps) -> None:
    rows = [ROW.replace("R1", f"R{n}").replace("412", str(100 + n)) for n in range(50)]
    told = []
    for number, csv in enumerate([[], [OwnFiles(files=["labs.csv"])]]):
        laboratories = {"main": Laboratory(csv=csv)}
        box = Box(tmp_path / str(number), maps, Settings(laboratories=laboratories))
        box.labs(*rows, ROW.replace("412", "x"))
        box.take()
        told.append((box.rows("SELECT * FROM core.lab_result ORDER BY ALL"), len(box.rejects())))
        box.warehouse.close()
    assert told[0] == told[1]


CELLS = st.one_of(
    st.sampled_from(
        ["A1", "P-1", "01.11.2026", "1.1.26", "MMAS", "B12", "0,41", "1.234,5", "<7", "", "µ", '"',
         "\0", "\r", "endgültig", "=cmd()", "\ud800", "\U0001f600"]
    ),
    st.text(max_size=4),
)  # fmt: skip
ROWS = st.lists(
    st.one_of(st.just(GERMAN_ROW), st.lists(CELLS, min_size=7, max_size=9).map(";".join)),
    max_size=8,
)


@few(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    rows=ROWS,
    more=st.binary(max_size=12),
    encoding=st.sampled_from(["utf-8", "latin-1", "windows-1252", "utf-16-le"]),
)
def test_any_bytes_of_a_laboratorys_own_file_are_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    maps: Maps,
    rows: list[str],
    more: bytes,
    encoding: str,
) -> None:
    settings = Settings(
        laboratories={"a": laboratory(changed(encoding=encoding))},
        limits=Limits(max_cell_bytes=1000),
    )
    box = Box(tmp_path_factory.mktemp("any"), maps, settings)
    try:
        how = "surrogatepass" if encoding.startswith("utf") else "replace"
        text = "\n".join([GERMAN_HEADER, *rows, ""])
        box.put("lab-a/x.csv", text.encode(encoding, how) + more)
        account = box.account()
        assert sum(buckets(account)[1:]) == account.n_read
        assert box.rows("SELECT count(*) FROM core.reject") == [(account.n_rejected,)]
        assert box.rows("SELECT count(*) FROM private.reject_row") == [(account.n_rejected,)]
        # Quotes of two rows may make one cell of all that lies between them.
        if account.reason is None and not any('"' in row for row in rows):
            n_blank = sum(not row.strip("\r\n") for row in rows)
            assert account.n_read >= len(rows) - n_blank
    finally:
        box.warehouse.close()


PREAMBLE = ["Laborexport", 'Stand "01.11.2026;', ""]
NUMBERED = {
    "result_id": 1, "patient_id": 2, "collected_at": 3, "reported_at": 4, "code": 5, "value": 6,
    "unit": 7, "status": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    ("line_end", "has_header", "n_skipped", "separator"),
    [
        ("\n", True, 3, ";"),
        ("\r\n", True, 3, None),
        ("\n", False, 0, None),
        ("\r\n", False, 3, ";"),
        ("\r", False, 3, None),
    ],
)
def test_lines_before_the_table_are_skipped_and_a_header_may_be_missing(
    german: Box, line_end: str, has_header: bool, n_skipped: int, separator: str | None
) -> None:
    more = {} if has_header else {"columns": NUMBERED}
    says(
        german, changed(skip_lines=n_skipped, header=has_header, separator=separator, **more)
    )  # fmt: skip
    top = PREAMBLE[:n_skipped] + [GERMAN_HEADER] * has_header
    bad = GERMAN_ROW.replace("A1", "A2").replace("0,41", "much")
    text = line_end.join([*top, GERMAN_ROW, bad, "short;row", ""])
    german.put("lab-a/x.csv", text.encode("latin-1"))
    assert buckets(german.account()) == (3, 1, 0, 0, 0, 2)
    assert [row[:6] for row in results(german)] == [("A1", "00000123", "a", "mma", "=", 410.0)]
    # Lines are those of the file, records those of the table.
    first = len(top) + 1
    assert [row[:2] for row in german.rejects()] == [(2, first + 1), (3, first + 2)]


def test_a_byte_order_mark_before_a_row_is_no_part_of_it(german: Box) -> None:
    says(german, changed(encoding="utf-8", header=False, columns=NUMBERED))
    german.put("lab-a/x.csv", f"{GERMAN_ROW}\n".encode("utf-8-sig"))
    german.account()
    assert [row[0] for row in results(german)] == ["A1"]


@pytest.mark.parametrize(
    ("sign", "number", "read"),
    [
        ("<", "50", [("<", 50.0)]),
        ("=", "250", [("=", 250.0)]),
        ("", "250", [("=", 250.0)]),
        ("1", "250", []),
        ("2", "E2", []),
        (">=", "250", []),
        ("-", "250", []),
    ],
)
def test_only_a_comparator_is_put_before_a_number(
    german: Box, sign: str, number: str, read: list[Any]
) -> None:
    columns = {name: name for name in (*LAB_HEADER.split(","),) if name != "value"}
    files = OwnFiles(files=["x/*.csv"], columns=columns | {"value": ["cmp", "num"]})
    says(german, files)
    german.put(
        "x/a.csv",
        f"{LAB_HEADER.replace('value', 'cmp,num')}\n"
        f"R1,P1,2026-11-01,,13964-2,{sign},{number},nmol/L,final\n",
    )
    german.take()
    assert german.rows("SELECT comparator, value FROM core.lab_result") == read


@pytest.mark.parametrize("column", [name for name in OWN_WORDS if name != "specimen"])
def test_a_word_that_may_be_the_senders_own_is_mended_in_the_settings(column: str) -> None:
    faults = {
        fault: check for fault, check in CHECKS.items() if check[0] == column
        and check[1] == "known_word"
    }  # fmt: skip
    assert faults
    own = Own("main", OwnFiles(files=["lab-a/*.csv"], words={column: {}}))
    for fault, (_, _, reason) in faults.items():
        told = own_checks(own, "labs")[fault][2]
        assert told.startswith(reason + ", nor one of those that the settings name")
        for kind in ("labs", "feedback"):
            assert "say it in" in mend(kind, column, told)


def test_a_rejected_row_without_a_header_is_kept_by_its_columns_and_read_again(german: Box) -> None:
    numbered = NUMBERED | {"result_id": [1, 5]}
    says(german, changed(header=False, columns=numbered, words={"status": {"gut": "final"}}))
    german.put("lab-a/x.csv", f"{GERMAN_ROW}\n".encode("latin-1"))
    german.account()
    assert german.rows("SELECT reason FROM core.reject") == [
        (
            "status is neither a word nor a letter of the contract, nor one of those that the "
            'settings name; here status is "column 8"',
        )
    ]  # fmt: skip
    says(german, changed(header=False, columns=numbered))
    german.take(again=Again(rejected=True))
    assert [row[0] for row in results(german)] == ["A1/MMAS"]


@pytest.mark.parametrize(
    ("more", "content", "reason"),
    [
        ({"skip_lines": 3}, "a\nb\n", "holds nothing behind the 3 lines that are to be skipped"),
        ({"header": False}, "A1;P1;01.11.2026\n", 'lacks the columns reported_at, here "column 4"'),
        ({"header": False}, 'A1;"P\n1";01.11.2026\n', "its first row goes on in the next line"),
        ({"skip_lines": 1}, f"{GERMAN_HEADER}\n{GERMAN_ROW}\n", "its header lacks the columns"),
    ],
)
def test_a_file_that_is_shorter_or_narrower_than_is_said_is_refused(
    german: Box, more: dict[str, Any], content: str, reason: str
) -> None:
    says(german, changed(**({"columns": NUMBERED} if "header" in more else {}), **more))
    german.put("lab-a/x.csv", content.encode("latin-1"))
    account = german.account()
    assert account.reason is not None and reason in account.reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"header": False}, "without a header a column is a number"),
        ({"header": False, "columns": {}}, "columns gives the number of each"),
        ({"header": False, "columns": {"value": 0}}, "the first is 1"),
        ({"header": False, "columns": {"value": True}}, "the first is 1"),
        ({"columns": {"value": 3}}, "columns.value"),
        ({"skip_lines": -1}, "skip_lines"),
    ],
)
def test_columns_are_numbers_where_there_is_no_header_and_names_where_there_is(
    more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValidationError, match=reason):
        changed(**more)


def test_a_header_alone_is_taken_and_counts_as_delivered(german: Box) -> None:
    put(german)
    account = german.account()
    assert account.reason is None and buckets(account) == (0, 0, 0, 0, 0, 0)


def test_the_labs_header_of_the_contract_needs_no_columns_setting(german: Box) -> None:
    says(german, OwnFiles(files=["lab-a/*"], separator="|", encoding="utf-16"))
    german.put("lab-a/x.csv", f"{LAB_HEADER}\n{ROW}\n".replace(",", "|").encode("utf-16"))
    assert buckets(german.account())[1] == 1


def test_rejected_rows_of_a_senders_own_form_are_tried_again_by_todays_settings(
    german: Box,
) -> None:
    put(
        german, GERMAN_ROW, GERMAN_ROW.replace("A1", "A2").replace("01.11.2026 08:30", "2026/11/01")
    )
    assert buckets(german.account()) == (2, 1, 0, 0, 0, 1)
    says(german, changed(dates=["%Y/%m/%d", "%d.%m.%Y", "%d.%m.%Y %H:%M"]))
    (account,) = german.take(NIGHT, Again(rejected=True)).accounts
    assert (account.taken_by, buckets(account)) == ("retry", (1, 1, 0, 0, 0, 0))
    assert [row[0] for row in results(german)] == ["A1", "A2"]


def test_a_file_of_a_senders_own_form_is_taken_again_by_todays_settings(german: Box) -> None:
    put(german, GERMAN_ROW)
    german.account()
    says(german, changed(dates=["%m.%d.%Y", "%m.%d.%Y %H:%M"]))
    path = german.inbox / "lab-a" / "export.csv"
    (account,) = german.take(NIGHT, Again(files=(path,))).accounts
    assert (account.taken_by, buckets(account)) == ("retake", (1, 1, 0, 0, 0, 0))
    assert [row[7] for row in results(german)] == ["2026-01-11 08:30:00"]


# --- People in the rows of their results ---

WITH_PERSON = f"{GERMAN_HEADER};geb;sex;praxis"
OF_THE_PERSON = OwnFiles(
    files=GERMAN.files,
    kind="patients",
    encoding="latin-1",
    separator=";",
    dates=["%d.%m.%Y"],
    columns={"patient_id": "Patient", "birth_date": "geb", "sex": "sex", "clinic_id": "praxis"},
    words={"sex": {"w": "female"}},
    ids=GERMAN.ids,
)


def with_person(box: Box) -> None:
    """Results of two people, each row with who they are; the first moves with the third row."""
    put(
        box,
        f"{GERMAN_ROW};03.02.1950;W;K1",
        "A2;P-124;01.11.2026 08:30;;B12;300;pmol/l;endgültig;12.12.1961;M;K1",
        "A3;P-123;03.11.2026 08:30;;B12;250;pmol/l;endgültig;03.02.1950;W;K2",
        "A4;P-124;03.11.2026 08:30;;B12;x;pmol/l;endgültig;12.12.1961;M;K1",
        header=WITH_PERSON,
    )


def kinds_of(box: Box, again: Again | None = None) -> dict[str, tuple[int, ...]]:
    return {account.kind: buckets(account) for account in box.take(again=again).accounts}


def people(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT patient_id, CAST(birth_date AS VARCHAR), sex, clinic_id FROM core.patient "
        "ORDER BY patient_id"
    )


BOTH = {"main": Laboratory(), "a": laboratory(GERMAN, OF_THE_PERSON)}
TWO_PEOPLE = [("00000123", "1950-02-03", "female", "K2"), ("00000124", "1961-12-12", "male", "K1")]


def test_one_file_may_give_results_and_the_people_in_their_rows(german: Box) -> None:
    german.settings = Settings(laboratories=BOTH)
    with_person(german)
    assert kinds_of(german) == {"patients": (4, 3, 1, 0, 0, 0), "labs": (4, 3, 0, 0, 0, 1)}
    assert people(german) == TWO_PEOPLE
    assert len(results(german)) == 3
    assert german.take().accounts == ()


def test_people_are_taken_of_old_files_once_the_settings_say_how(german: Box) -> None:
    with_person(german)
    assert kinds_of(german) == {"labs": (4, 3, 0, 0, 0, 1)}
    german.settings = Settings(laboratories=BOTH)
    assert kinds_of(german) == {"patients": (4, 3, 1, 0, 0, 0)}
    assert people(german) == TWO_PEOPLE
    assert len(results(german)) == 3


def test_both_kinds_of_such_a_file_are_taken_again(german: Box) -> None:
    german.settings = Settings(laboratories=BOTH)
    with_person(german)
    german.take()
    (path,) = german.inbox.rglob("*.csv")
    again = kinds_of(german, Again(files=(path,)))
    assert again == {"patients": (4, 0, 3, 1, 0, 0), "labs": (4, 0, 3, 0, 0, 1)}
    assert kinds_of(german, Again(rejected=True)) == {}
    assert people(german) == TWO_PEOPLE


def test_a_kind_that_cannot_be_read_does_not_hold_the_other(german: Box) -> None:
    german.settings = Settings(laboratories=BOTH)
    with_person(german)
    text = "\n".join([WITH_PERSON.replace("praxis", "einsender"), f"{GERMAN_ROW};03.02.1950;W;K1"])
    german.put("lab-a/other.csv", text.encode("latin-1"))
    accounts = {(each.file_name, each.kind): each for each in german.take().accounts}
    refused = accounts["lab-a/other.csv", "patients"].reason
    assert refused is not None and "praxis" in refused
    assert accounts["lab-a/other.csv", "labs"].reason is None
