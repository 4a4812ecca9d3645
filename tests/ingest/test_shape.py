"""What a file may do to its own shape: nothing is lost or guessed, every row has a place."""

import gzip
import os
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from b12screen.ingest.delimited import content_hash, measured
from b12screen.maps import Maps
from b12screen.settings import Limits, Settings

from .inbox import LAB_HEADER, ROW, Box, buckets


def test_an_empty_file_is_rejected_and_tried_again(box: Box) -> None:
    box.put("labs.csv", b"")
    account = box.account()
    assert buckets(account) == (0,) * 6
    assert account.reason is not None and "empty" in account.reason and not account.held
    assert len(box.take().accounts) == 1
    assert box.rows("SELECT count(*) FROM run.source_file") == [(1,)]


def test_a_file_with_only_a_header_is_taken(box: Box) -> None:
    box.put("labs.csv", LAB_HEADER + "\n")
    account = box.account()
    assert (buckets(account), account.reason) == ((0,) * 6, None)
    assert box.take().n_known == 1


MESSAGE = (
    "MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1\rPID|1||P1^^^H^MR\rOBR|1||F1||||20261102\r"
    + "".join(f"OBX|{n}|NM|13964-2^^LN|{n}|45{n}|nmol/L|||||F\r" for n in range(3))
)
RESOURCE = (
    '{"resourceType": "Observation", "id": "o%d", "status": "final", "code": {"coding": '
    '[{"system": "http://loinc.org", "code": "13964-2"}]}, "subject": {"reference": "Patient/P1"}, '
    '"effectiveDateTime": "2026-10-30", "valueQuantity": {"value": 900, "unit": "nmol/L"}}\n'
)
QUOTED = 'R%d,P1,2026-11-01,14685-2,412,pmol/L,"said\nin two lines"\n'
LONG: dict[str, bytes] = {
    "labs.csv": "\n".join([LAB_HEADER, *(ROW.replace("R1", f"R{n}") for n in range(3))]).encode(),
    "labs-quoted.csv": (
        "result_id,patient_id,collected_at,code,value,unit,remark\n"
        + "".join(QUOTED % n for n in range(3))
    ).encode(),
    "labs-broken.csv": f"{LAB_HEADER}\n{ROW}\nR2\nR3\n".encode(),
    "labs.csv.gz": gzip.compress(f"{LAB_HEADER}\n{ROW}\n{ROW}x\n{ROW}y\n".encode()),
    "messages.hl7": MESSAGE.encode(),
    "resources.ndjson": "".join(RESOURCE % n for n in range(3)).encode(),
}


@pytest.mark.parametrize("name", [*LONG, "labs.parquet"])
def test_a_file_with_more_rows_than_a_file_may_have_is_rejected_whole(
    tmp_path: Path, maps: Maps, name: str
) -> None:
    for most in (2, 3):
        box = Box(tmp_path / str(most), maps, Settings(limits=Limits(max_rows=most)))
        if name in LONG:
            box.put(name, LONG[name])
        else:
            cells = [row.split(",") for row in LONG["labs.csv"].decode().splitlines()]
            columns = dict(zip(cells[0], zip(*cells[1:], strict=True), strict=True))
            pl.DataFrame(columns).write_parquet(box.inbox / name)
        taking = box.take()
        reasons = {account.reason for account in taking.accounts}
        if most == 2:
            [reason] = reasons
            assert reason is not None
            assert reason.startswith("it holds more than 2 rows; raise limits.max_rows")
            assert taking.findings == (f"{name} was rejected: {reason}",)
            assert {buckets(account) for account in taking.accounts} == {(0,) * 6}
            assert box.rows("SELECT count(*) FROM core.lab_result") == [(0,)]
        else:
            assert reasons == {None}
            assert sum(account.n_read for account in taking.accounts) == 3
        box.warehouse.close()


def test_a_missing_required_column_rejects_the_file_and_is_named(box: Box) -> None:
    box.labs("R1,P1", header="result_id,patient_id")
    account = box.account()
    assert account.reason is not None
    assert "collected_at, code, value, unit" in account.reason
    assert buckets(account) == (0,) * 6


def test_an_unknown_column_is_dropped_and_named_once(box: Box) -> None:
    box.labs(
        "x,R1,P1,2026-11-01,14685-2,412,pmol/L",
        header="Ward,Result_ID, patient_id ,COLLECTED_AT,code,value,unit",
    )
    taking = box.take()
    assert buckets(taking.accounts[0]) == (1, 1, 0, 0, 0, 0)
    assert [note for note in taking.notes if "ward" in note]
    assert not box.take().findings


def test_a_column_named_twice_rejects_the_file(box: Box) -> None:
    box.labs(ROW + ",1", header=LAB_HEADER + ",Unit")
    reason = box.account().reason
    assert reason is not None and "unit" in reason


def test_a_quote_that_never_ends_costs_one_row(box: Box) -> None:
    box.labs(ROW, '"R2,P1,2026-11-01,,14685-2,412,pmol/L,final', ROW.replace("R1", "R3"))
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rejects() == [(2, 3, None, "open_quote")]


def test_an_open_quote_that_another_quote_closes_costs_one_row(box: Box) -> None:
    box.labs(
        '"R1,P1,2026-11-01,,14685-2,412,pmol/L,final',
        '"R2",P1,2026-11-01,,14685-2,412,pmol/L,final',
        '"R3",P1,2026-11-01,,14685-2,412,pmol/L,"final"',
    )
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rejects() == [(1, 2, None, "quote")]


def test_ragged_rows_are_rejected_with_their_lines(box: Box) -> None:
    box.labs(ROW, "R2,P1", ROW.replace("R1", "R3"), ROW.replace("R1", "R4") + ",more")
    assert buckets(box.account()) == (4, 2, 0, 0, 0, 2)
    assert box.rejects() == [(2, 3, None, "fields"), (4, 5, None, "fields")]
    assert box.rows("SELECT record FROM core.lab_result ORDER BY record") == [(1,), (3,)]


def test_the_raw_text_of_a_rejected_row_lies_in_the_private_store_only(box: Box) -> None:
    box.labs("R2,CANARY", ROW.replace("412", "CANARY"))
    box.take()
    assert box.rows("SELECT count(*) FROM private.reject_row WHERE raw LIKE '%CANARY%'") == [(2,)]
    told = str(box.rows("SELECT * FROM core.reject")) + str(box.lines)
    assert "CANARY" not in told


def test_a_row_with_a_nul_byte_is_rejected(box: Box) -> None:
    box.put("labs.csv", f"{LAB_HEADER}\n{ROW}\nR\0002{ROW[2:]}\n")
    assert buckets(box.account()) == (2, 1, 0, 0, 0, 1)
    assert box.rejects() == [(2, 3, None, "nul_byte")]


def test_a_row_in_latin_1_is_rejected_and_the_others_are_taken(box: Box) -> None:
    box.put(
        "labs.csv",
        f"{LAB_HEADER}\n{ROW}\n".encode() + ROW.replace("R1", "R\u00e9").encode("latin-1"),
    )
    assert buckets(box.account()) == (2, 1, 0, 0, 0, 1)
    assert box.rejects() == [(2, 3, None, "encoding")]


def test_a_file_in_utf_16_is_rejected_with_what_to_do(box: Box) -> None:
    box.put("labs.csv", f"{LAB_HEADER}\n{ROW}\n".encode("utf-16"))
    reason = box.account().reason
    assert reason is not None and "UTF-8" in reason


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_line_ends_marks_and_separators_make_no_difference(
    box: Box, line_end: str, bom: str, separator: str
) -> None:
    text = line_end.join([LAB_HEADER, ROW, ROW.replace("R1", '"R2"')])
    box.put("labs.csv", bom + text.replace(",", separator))
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)
    assert box.rows("SELECT result_id, record FROM core.lab_result ORDER BY ALL") == [
        ("R1", 1),
        ("R2", 2),
    ]


def test_mixed_line_ends_are_accepted(box: Box) -> None:
    box.put("labs.csv", f"{LAB_HEADER}\r\n{ROW}\n{ROW.replace('R1', 'R2')}\r\n")
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)


def test_a_carriage_return_inside_a_row_costs_that_row(box: Box) -> None:
    box.labs(ROW, ROW.replace("R1", "R\r2"), ROW.replace("R1", "R3"))
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rejects() == [(2, 3, None, "line_end")]


def test_a_cell_of_ten_megabytes_is_rejected(box: Box) -> None:
    box.labs(ROW, ROW.replace("R1", "R" * 10_000_000), ROW.replace("R1", "R3"))
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rejects() == [(2, 3, None, "cell_size")]
    ((size,),) = box.rows("SELECT length(raw) FROM private.reject_row")
    assert size == 1_000_000


def test_a_quoted_cell_of_many_lines_beyond_the_limit_gives_up_line_by_line(
    tmp_path: Path, maps: Maps
) -> None:
    box = Box(tmp_path, maps, Settings(limits=Limits(max_cell_bytes=1000)))
    box.labs('"' + "x" * 300, *["x" * 300] * 4, ROW)
    assert buckets(box.account()) == (6, 1, 0, 0, 0, 5)
    assert box.rejects()[:2] == [(1, 2, None, "open_quote"), (2, 3, None, "fields")]


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_identifiers_are_kept_as_they_are_sent(box: Box, line_end: str) -> None:
    rows = [
        ROW.replace("P1", "007"),
        ROW.replace("R1", "R2").replace("P1", '"Doe, 7"'),
        ROW.replace("R1", "R3").replace("P1", f'"7{line_end}8"'),
        ROW.replace("R1", "R4").replace("P1", "=cmd()"),
        ROW.replace("R1", "R5").replace("P1", '"say ""7"""'),
    ]
    box.put("labs.csv", line_end.join([LAB_HEADER, *rows]))
    assert buckets(box.account()) == (5, 5, 0, 0, 0, 0)
    assert box.rows("SELECT patient_id FROM core.lab_result ORDER BY result_id") == [
        ("007",),
        ("Doe, 7",),
        (f"7{line_end}8",),
        ("=cmd()",),
        ('say "7"',),
    ]


def test_a_file_that_changes_while_it_is_read_is_held(box: Box) -> None:
    path = box.labs(ROW, "R2,P1")

    def write_on(line: str) -> None:
        if "row by row" in line:
            with path.open("a") as file:
                file.write(ROW.replace("R1", "R3") + "\n")

    box.progress = write_on
    account = box.account()
    assert account.held and account.reason is not None and "changed" in account.reason
    assert buckets(account) == (0,) * 6
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(0,)]
    box.progress = box.lines.append
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)


def test_an_unreadable_file_is_reported_and_the_night_goes_on(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = box.labs(ROW, name="labs_a.csv")
    box.labs(ROW, name="labs_b.csv", header=LAB_HEADER.upper())
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **words: Any) -> Any:
        if path == unreadable:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **words)

    monkeypatch.setattr(Path, "open", refuse)
    first, second = box.take().accounts
    assert first.held and first.reason is not None and "cannot be read" in first.reason
    assert buckets(second) == (1, 1, 0, 0, 0, 0)


def test_a_symbolic_link_is_refused_and_other_files_are_left_alone(box: Box) -> None:
    real = box.put("elsewhere/notes.txt", "x")
    (box.inbox / "labs_link.csv").symlink_to(real)
    box.put("truth.csv", "x")
    box.put("answers.csv", "x")
    taking = box.take()
    assert taking.left_alone == ("answers.csv", "elsewhere/notes.txt", "truth.csv")
    assert not taking.accounts and "labs_link.csv is a symbolic link" in taking.findings[0]


def test_a_linked_folder_is_not_walked_and_what_is_no_file_is_not_opened(
    box: Box, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "labs.csv").write_text(f"{LAB_HEADER}\n{ROW}\n")
    (box.inbox / "labs_folder").symlink_to(outside)
    (box.inbox / "labs_loop").symlink_to(box.inbox)
    os.mkfifo(box.inbox / "labs_pipe.csv")
    taking = box.take()
    assert taking.accounts == ()
    assert taking.left_alone == ("labs_pipe.csv",)
    assert [finding.partition(" ")[0] for finding in taking.findings] == [
        "labs_folder",
        "labs_loop",
    ]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_name_that_looks_like_a_pattern_is_one_file(box: Box, form: str) -> None:
    """Browsers save a second `labs.csv` as `labs[1].csv`, which engines read as `labs1.csv`."""
    names = ["labs1", "labs[1]", "labs*", "labs?", "labs[!2]", "labs{1}", "labs'"]
    if form == "parquet":
        # Each is read by a process of its own.
        names = names[:2]
    for number, name in enumerate(names):
        path = box.labs(ROW.replace("R1", f"R{number}"), name=f"{name}.csv")
        if form == "parquet":
            pl.read_csv(path, infer_schema=False, glob=False).write_parquet(
                path.with_suffix(".parquet")
            )
            path.unlink()
    for account in box.take().accounts:
        assert buckets(account) == (1, 1, 0, 0, 0, 0), account.file_name
    assert box.rows("SELECT result_id, file_name FROM core.lab_result ORDER BY result_id") == [
        (f"R{number}", f"{name}.{form}") for number, name in enumerate(names)
    ]


def test_names_that_steer_a_terminal_or_forge_a_line_are_shown_as_escapes(box: Box) -> None:
    box.labs(ROW, name="labs\n2026-11-22 all is well.csv")
    box.labs(ROW, name="labs\x1b[2J.csv")
    box.labs(ROW, name="labs\u202egpj.csv")
    box.labs(f"{ROW},x", name="labs.csv", header=f"{LAB_HEADER},a\x1b[2Jb")
    box.labs(ROW, name="labs_2.csv", header=f"{LAB_HEADER},\x1b[2J,\x1b[2J")
    taking = box.take()
    assert [finding.split(" was ")[0] for finding in taking.findings[:3]] == [
        "labs\\n2026-11-22 all is well.csv",
        "labs\\u202egpj.csv",
        "labs\\x1b[2J.csv",
    ]
    (dropped,) = taking.notes
    assert dropped.endswith("a\\x1b[2jb")
    assert "\x1b" not in str(taking.accounts) + " ".join(box.lines + list(taking.findings))
    assert [account.reason is None for account in taking.accounts] == [True, False]


def test_the_kind_is_the_first_word_of_the_name_in_any_case(box: Box) -> None:
    box.labs(ROW, name="deep/er/LABS-2026.11.CSV")
    box.put("mylabs.csv", LAB_HEADER)
    taking = box.take()
    assert [account.file_name for account in taking.accounts] == ["deep/er/LABS-2026.11.CSV"]
    assert taking.left_alone == ("mylabs.csv",)


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_packed_file_gives_the_same_rows(box: Box, packing: str) -> None:
    text = f"{LAB_HEADER}\n{ROW}\n".encode()
    packed = (
        gzip.compress(text) if packing == "gz" else bytes(pa.compress(text, "zstd", asbytes=True))
    )
    box.put(f"labs.csv.{packing}", packed)
    assert buckets(box.account()) == (1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_packed_file_that_is_cut_short_is_rejected(box: Box, packing: str) -> None:
    text = "\n".join([LAB_HEADER, *(ROW.replace("R1", f"R{n}") for n in range(5000))]).encode()
    packed = (
        gzip.compress(text) if packing == "gz" else bytes(pa.compress(text, "zstd", asbytes=True))
    )
    box.put(f"labs.csv.{packing}", packed[: len(packed) // 2])
    reason = box.account().reason
    assert reason is not None and "damaged or cut short" in reason


def test_a_file_that_unpacks_beyond_its_limit_is_rejected(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, Settings(limits=Limits(max_decompressed_gb=0.001)))
    box.put("labs.csv.gz", gzip.compress(b"x" * 2_000_000))
    reason = box.account().reason
    assert reason is not None and "unpacks to more than" in reason


def test_a_parquet_file_that_unpacks_beyond_its_limit_is_rejected(
    tmp_path: Path, maps: Maps
) -> None:
    box = Box(tmp_path, maps, Settings(limits=Limits(max_decompressed_gb=0.001)))
    columns = ("result_id", "patient_id", "collected_at", "code", "value", "unit")
    path = box.inbox / "labs.parquet"
    pl.DataFrame({name: [""] for name in columns}).select(
        pl.all().repeat_by(300_000).explode()
    ).write_parquet(path)
    assert path.stat().st_size < 10_000
    reason = box.account().reason
    assert reason is not None and "unpacks to more than" in reason


def test_a_parquet_file_gives_the_same_rows_as_text(box: Box) -> None:
    frame = pl.DataFrame(
        {
            "result_id": ["R1", "R2", "R3"],
            "patient_id": [7, 8, 9],
            "collected_at": [date(2026, 11, 1)] * 3,
            "code": ["14685-2"] * 3,
            "value": [412.0, float("nan"), 1.5e2],
            "unit": ["pmol/L"] * 3,
        }
    )
    frame.write_parquet(box.inbox / "labs.parquet")
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rejects() == [(2, None, "value", "not_blank")]
    assert box.rows("SELECT patient_id, value FROM core.lab_result ORDER BY ALL") == [
        ("7", 412.0),
        ("9", 150.0),
    ]


def test_a_parquet_file_whose_ids_became_decimal_numbers_is_rejected(box: Box) -> None:
    frame = pl.DataFrame({"medication_id": ["M1"], "patient_id": [5.0], "code": ["B03BA03"]})
    frame = frame.with_columns(
        code_system=pl.lit("atc"), kind=pl.lit("administration"), started_on=date(2026, 11, 1)
    )
    frame.write_parquet(box.inbox / "medications.parquet")
    reason = box.account().reason
    assert reason is not None and "patient_id" in reason


def test_a_dose_that_is_not_a_number_in_parquet_is_a_blank_dose(box: Box) -> None:
    frame = pl.DataFrame({"medication_id": ["M1"], "patient_id": ["P1"], "code": ["B03BA03"]})
    frame = frame.with_columns(
        code_system=pl.lit("atc"),
        kind=pl.lit("administration"),
        started_on=date(2026, 11, 1),
        dose=float("nan"),
    )
    frame.write_parquet(box.inbox / "medications.parquet")
    assert buckets(box.account()) == (1, 1, 0, 0, 0, 0)
    assert box.rows("SELECT medication_id, dose FROM core.medication") == [("M1", None)]


def test_a_damaged_parquet_file_is_rejected(box: Box) -> None:
    box.put("labs.parquet", b"PAR1 not at all")
    reason = box.account().reason
    assert reason is not None and "Parquet" in reason


def test_a_held_patients_file_leaves_the_results_their_way(box: Box) -> None:
    bad = "".join(f"P{n},1960-01-01,neither,C1\n" for n in range(30))
    box.put("patients.csv", "patient_id,birth_date,sex,clinic_id\n" + bad)
    box.labs(ROW)
    taking = box.take()
    assert [account.held for account in taking.accounts] == [False, True]
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(1,)]


def test_a_file_that_mostly_fails_is_held_and_says_why(box: Box) -> None:
    good = [ROW.replace("R1", f"R{n}") for n in range(300)]
    bad = [f'B{n},P1,2026-11-01,,14685-2,"1,5",pmol/L,final' for n in range(20)]
    box.labs(*good, *bad)
    account = box.account()
    assert account.held and account.reason is not None
    assert "20 of 320" in account.reason and "comma" in account.reason
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(0,)]
    assert box.account(date(2026, 11, 23)).held
    assert box.rows("SELECT count(*) FROM run.source_file") == [(1,)]


def test_nineteen_rejected_rows_never_hold_a_file(box: Box) -> None:
    box.labs(*(f"B{n},P1,2026-11-01,,14685-2,x,pmol/L,final" for n in range(19)))
    assert buckets(box.account()) == (19, 0, 0, 0, 0, 19)


@pytest.mark.parametrize(
    "first", ["12345678,12345678,2026-10-30,13964-2,412,nmol/L", "JOHN SMITH,JOHN SMITH,1950-02-03"]
)
def test_a_file_without_a_header_is_told_without_a_word_of_its_first_row(
    box: Box, first: str
) -> None:
    box.put("labs.csv", f"{first}\n{first}\n")
    account = box.account()
    assert account.reason is not None
    assert "lacks the required columns" in account.reason
    said = " ".join([account.reason, *box.lines]).lower()
    assert not {"12345678", "john", "412"} & set(said.replace(",", " ").replace(";", " ").split())


def test_a_column_that_is_there_twice_is_named_where_it_is_one_of_ours(box: Box) -> None:
    box.put("labs.csv", f"{LAB_HEADER},value,remark,remark\n{ROW},1,a,b\n")
    reason = box.account().reason
    assert reason is not None
    assert "names a column twice: value, number 10, number 11; keep" in reason
    assert "skip_lines = 1 and header = false" in reason


def test_a_first_line_that_only_says_the_separator_is_told_as_one(box: Box) -> None:
    box.put("labs.csv", f"sep=,\n{LAB_HEADER}\n{ROW}\n")
    reason = box.account().reason
    assert reason is not None
    assert "only says the separator" in reason and "skip_lines = 1" in reason


def test_a_read_that_fails_names_its_file() -> None:
    # Its first page is never there: a read of it fails as one of a bad sector or a lost mount does.
    path = Path("/proc/self/mem")
    for read in (measured, content_hash):
        with pytest.raises(OSError) as error:
            read(path)
        assert error.value.filename == str(path)
