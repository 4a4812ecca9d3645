"""Files of HL7 v2 messages in the inbox: parsed once, taken as patients and as labs."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from b12screen.ingest import check, hl7v2, messages
from b12screen.ingest.accounts import FileAccount
from b12screen.maps import Maps
from b12screen.settings import Laboratory, Limits, Settings

from .inbox import NIGHT, ROW, Box, buckets

NEXT = date(2026, 11, 23)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hl7v2" / "reportstream"
PATIENTS = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"


def message(
    patient: str = "P1",
    person: str = "||19550203|F",
    results: Sequence[tuple[str, str, str]] = (("14685-2", "412", "pmol/L"),),
    *,
    order: str = "F1",
    status: str = "F",
    reported: str = "20261102090000",
    kind: str = "ORU^R01",
) -> str:
    """One message; ``person`` holds PID-5 to PID-8, a result its code, value and unit."""
    segments = [
        f"MSH|^~\\&|LIS|MAINLAB|EHR|CLINIC|{reported}||{kind}|M1|P|2.5.1",
        f"PID|1||{patient}^^^HOSP^MR||{person}",
    ]
    if results:
        segments.append(f"OBR|1||{order}|PANEL^Panel^L|||20261101080000{'|' * 15}{reported}|||F")
    segments += [
        f"OBX|{number}|ST|{code}^^LN||{value}|{unit}|||||{status}|||20261101080000"
        for number, (code, value, unit) in enumerate(results, 1)
    ]
    return "\r".join([*segments, ""])


def accounts(box: Box, night: date = NIGHT) -> dict[str, tuple[int, ...]]:
    """The buckets of each kind of the one file that is new."""
    taken = box.take(night).accounts
    assert len({account.file_name for account in taken}) == 1
    return {account.kind: buckets(account) for account in taken}


def persons(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT patient_id, CAST(birth_date AS VARCHAR), sex, clinic_id, "
        "CAST(deceased_on AS VARCHAR), opted_out FROM core.patient ORDER BY ALL"
    )


def test_without_the_laboratorys_number_a_correction_finds_its_sample_and_person(box: Box) -> None:
    placed = message().replace("|1||F1|", "|1|P7||")
    box.put("a.hl7", placed + placed.replace("20261101080000", "20261101120000"))
    assert accounts(box)["labs"] == (2, 2, 0, 0, 0, 0)
    again = placed.replace("20261102090000", "20261103090000").replace("412", "140")
    box.put("b.hl7", again + placed.replace("P1^", "P2^"))
    assert accounts(box, NEXT)["labs"] == (2, 2, 0, 0, 0, 0)
    assert box.rows(
        "SELECT patient_id, value, CAST(collected_at AS VARCHAR) FROM core.lab_result ORDER BY ALL"
    ) == [
        ("P1", 140.0, "2026-11-01 08:00:00"),
        ("P1", 412.0, "2026-11-01 12:00:00"),
        ("P2", 412.0, "2026-11-01 08:00:00"),
    ]


@pytest.mark.parametrize(
    ("said", "day"),
    [(f'{"|" * 21}""|N', None), (f'{"|" * 21}""|', None), ("", "2026-11-01"),
     (f"{'|' * 22}N", "2026-11-01")],
)  # fmt: skip
def test_a_death_is_taken_back_by_a_null_and_not_by_a_flag_alone(
    box: Box, said: str, day: str | None
) -> None:
    box.put("a.hl7", message(person=f"||19550203|F{'|' * 21}20261101|Y"))
    box.take()
    assert persons(box)[0][4] == "2026-11-01"
    box.put("b.hl7", message(person=f"||19550203|F{said}", reported="20261103090000"))
    box.take(NEXT)
    assert persons(box)[0][4] == day


def test_one_file_gives_rows_of_patients_and_of_labs(box: Box) -> None:
    box.put("anything.HL7", message() + message("P2", "||1960|M", order="F2"))
    assert accounts(box) == {"patients": (2, 1, 0, 0, 0, 1), "labs": (2, 2, 0, 0, 0, 0)}
    assert persons(box) == [("P1", "1955-02-03", "female", None, None, False)]
    assert box.rows(
        "SELECT result_id, patient_id, analyte, value, unit, status, "
        "CAST(collected_at AS VARCHAR), CAST(reported_at AS VARCHAR), file_name, record "
        "FROM core.lab_result ORDER BY record"
    ) == [
        (
            f"F{number}|14685-2|", f"P{number}", "b12", 412.0, "pmol/L", "final",
            "2026-11-01 08:00:00", "2026-11-02 09:00:00", "anything.HL7", number,
        )
        for number in (1, 2)
    ]  # fmt: skip


def test_a_file_that_lies_there_the_next_night_is_known(box: Box) -> None:
    box.put("a.hl7", message())
    assert len(box.take().accounts) == 2
    box.put("b.hl7", message())
    taking = box.take(NEXT)
    assert (taking.accounts, taking.n_known) == ((), 2)
    assert taking.notes == ("b.hl7 has the content of a.hl7, taken before; not taken again",)


def test_the_same_content_twice_in_one_night_is_taken_once(box: Box) -> None:
    box.put("a.hl7", message())
    box.put("b.hl7", message())
    taking = box.take()
    assert [account.file_name for account in taking.accounts] == ["a.hl7", "a.hl7"]
    assert (taking.n_known, len(taking.notes)) == (1, 1)


def test_a_field_that_a_message_lacks_leaves_what_is_known(box: Box) -> None:
    box.put("patients.csv", PATIENTS + "P1,1950-01-02,male,north,2026-10-01,true\n")
    box.take()
    box.put("a.hl7", message(person="|||F"))
    assert accounts(box, NEXT)["patients"] == (1, 1, 0, 0, 0, 0)
    assert persons(box) == [("P1", "1950-01-02", "female", "north", "2026-10-01", True)]


def test_a_message_that_says_what_is_known_is_a_duplicate(box: Box) -> None:
    box.put("patients.csv", PATIENTS + "P1,1955-02-03,female,north,,true\n")
    box.take()
    box.put("a.hl7", message())
    assert accounts(box, NEXT)["patients"] == (1, 0, 1, 0, 0, 0)


def test_an_earlier_message_of_the_file_tells_what_a_later_one_lacks(box: Box) -> None:
    box.put("a.hl7", message(results=()) + message(person="|||M", results=()))
    assert accounts(box)["patients"] == (2, 2, 0, 0, 0, 0)
    assert persons(box) == [("P1", "1955-02-03", "male", None, None, False)]


def test_null_in_a_message_clears_what_is_known(box: Box) -> None:
    box.put("patients.csv", PATIENTS + "P1,1950-01-02,male,north,,\n")
    box.take()
    box.put("a.hl7", message(person='||""|""') + message(person="|||M"))
    box.take(NEXT)
    assert persons(box) == [("P1", None, "male", "north", None, False)]


def test_a_rejected_row_tells_a_later_one_nothing(box: Box) -> None:
    box.put("a.hl7", message(person="||18000101|F") + message(person="|||M"))
    assert accounts(box)["patients"] == (2, 1, 0, 0, 0, 1)
    assert persons(box) == [("P1", None, "male", None, None, False)]


def test_a_person_without_a_sex_in_any_message_is_of_unknown_sex(box: Box) -> None:
    box.put("a.hl7", message(person="||19550203|"))
    box.take()
    assert persons(box) == [("P1", "1955-02-03", "unknown", None, None, False)]


def test_a_patients_extract_of_the_same_night_counts_in_the_order_of_names(box: Box) -> None:
    box.put("patients.csv", PATIENTS + "P1,1950-01-02,male,north,,\n")
    box.put("a.hl7", message())
    box.put("z.hl7", message(person="|||F", results=()))
    box.take()
    assert persons(box) == [("P1", "1950-01-02", "female", "north", None, False)]


def test_a_rejected_row_keeps_its_line_and_segment(box: Box) -> None:
    results = [("14685-2", "412", "pmol/L"), ("14685-2", "412", "furlongs")]
    box.put("a.hl7", message(results=results[:1]) + message("P2", "||1|F", results[1:], order="F2"))
    box.take()
    columns = "kind, record, line, segment, column_name, check_name"
    assert box.rows(f"SELECT {columns} FROM core.reject ORDER BY ALL") == [
        ("labs", 2, 8, "OBX[1]", "unit", "known_unit"),
        ("patients", 2, 6, "PID", "birth_date", "date"),
    ]
    kept = box.rows("SELECT kind, record, line, segment, raw FROM private.reject_row ORDER BY ALL")
    assert [row[:4] for row in kept] == [("labs", 2, 8, "OBX[1]"), ("patients", 2, 6, "PID")]
    assert "furlongs" in str(kept[0][4])


def test_a_row_that_cannot_be_read_keeps_its_line_segment_and_text(box: Box) -> None:
    box.put(
        "a.hl7", message(results=[("14685-2", "60~120", "pmol/L"), ("13964-2", "4", "furlongs")])
    )
    box.take()
    assert box.rows(
        "SELECT record, line, segment, column_name, check_name FROM core.reject ORDER BY record"
    ) == [
        (1, 4, "OBX[1]", "value", "one_value"),
        (2, 5, "OBX[2]", "unit", "known_unit"),
    ]
    ((raw,),) = box.rows("SELECT raw FROM private.reject_row WHERE record = 1")
    assert raw == "OBX|1|ST|14685-2^^LN||60~120|pmol/L|||||F|||20261101080000"


def test_rejects_of_a_csv_extract_beside_messages_have_no_segment(box: Box) -> None:
    box.put("a.hl7", message(results=[("14685-2", "many", "pmol/L")]))
    box.labs(ROW, ROW.replace("412", "many"), f"{ROW},x", name="labs_z.csv")
    box.labs(ROW.replace("R1", "R9").replace("412", "many"), name="labs_y.csv")
    box.take()
    assert box.rows("SELECT file_name, record, line, segment FROM core.reject ORDER BY ALL") == [
        ("a.hl7", 1, 4, "OBX[1]"),
        ("labs_y.csv", 1, None, None),
        ("labs_z.csv", 2, None, None),
        ("labs_z.csv", 3, 4, None),
    ]


def test_a_correction_of_another_file_supersedes_the_first(box: Box) -> None:
    box.put("a.hl7", message())
    box.take()
    box.put("b.hl7", message(results=[("14685-2", "142", "pmol/L")], reported="20261103090000"))
    assert accounts(box, NEXT) == {"patients": (1, 0, 1, 0, 0, 0), "labs": (1, 1, 0, 0, 0, 0)}
    assert box.rows("SELECT value FROM core.lab_result") == [(142.0,)]


def test_a_cancelled_result_is_withdrawn(box: Box) -> None:
    box.put("a.hl7", message())
    box.put("b.hl7", message(results=[("14685-2", "", "")], status="X", reported="20261103090000"))
    box.take()
    assert box.rows("SELECT value, status FROM core.lab_result") == [(None, "cancelled")]


def held_files(accounts: Sequence[FileAccount]) -> set[tuple[str, str, bool]]:
    return {(account.file_name, account.kind, account.held) for account in accounts}


@pytest.mark.parametrize(
    ("broken", "kind", "check_name"),
    [
        (message(results=[("14685-2", "many", "pmol/L")]), "labs", "value"),
        (message(person="||18000101|F"), "patients", "birth_date"),
    ],
)
def test_too_many_rejected_rows_of_one_kind_hold_the_whole_file(
    box: Box, broken: str, kind: str, check_name: str
) -> None:
    path = box.put("a.hl7", message() * 3 + broken * 20)
    box.put("b.hl7", message("P9", order="F9"))
    taking = box.take()
    assert held_files(taking.accounts) == {
        ("a.hl7", "patients", True),
        ("a.hl7", "labs", True),
        ("b.hl7", "patients", False),
        ("b.hl7", "labs", False),
    }
    (finding,) = taking.findings
    assert finding.startswith(f"a.hl7 was held: of its {kind}, 20 of 23 rows were rejected")
    assert [row[0] for row in persons(box)] == ["P9"]
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("P9",)]
    assert box.rows("SELECT count(*) FROM core.reject") == [(0,)]
    path.write_text(message())
    assert held_files(box.take(NEXT).accounts) == {
        ("a.hl7", "patients", False),
        ("a.hl7", "labs", False),
    }
    assert [row[0] for row in persons(box)] == ["P1", "P9"]


def test_a_laboratorys_own_limit_holds_for_its_messages(tmp_path: Path, maps: Maps) -> None:
    settings = Settings(
        limits=Limits(reject_rows=1), laboratories={"main": Laboratory(reject_share=0.6)}
    )
    box = Box(tmp_path, maps, settings)
    box.put("a.hl7", message() + message("P2", results=[("14685-2", "many", "pmol/L")], order="F2"))
    assert accounts(box)["labs"] == (2, 1, 0, 0, 0, 1)
    box.warehouse.close()


@pytest.mark.parametrize("content", [b"", b"no message\n", "h\xe9\n".encode("utf-16")])
def test_a_file_without_any_message_is_rejected_for_both_kinds(box: Box, content: bytes) -> None:
    box.put("a.hl7", content)
    box.labs(ROW)
    taking = box.take()
    assert [bool(account.reason) for account in taking.accounts] == [True, True, False]
    assert len(taking.findings) == 1
    assert taking.findings[0].startswith("a.hl7 was rejected: it ")
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(1,)]


def test_a_file_of_other_messages_is_taken_without_rows_and_says_so(box: Box) -> None:
    box.put("a.hl7", message(kind="ADT^A01", results=()))
    taking = box.take()
    assert [buckets(account) for account in taking.accounts] == [(0,) * 6, (0,) * 6]
    assert taking.notes == (
        "a.hl7: messages that are no results (ORU^R01) give no rows: 1 (1 x ADT^A01)",
    )
    assert box.take(NEXT).n_known == 1


def test_a_file_that_changes_while_it_is_read_gives_rows_of_neither_kind(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = box.put("a.hl7", message())
    real = hl7v2.messages_as_parquet

    def slowly(*given):
        written = real(*given)
        path.write_text(message() * 2)
        return written

    monkeypatch.setattr(messages, "messages_as_parquet", slowly)
    assert held_files(box.take().accounts) == {("a.hl7", "patients", True), ("a.hl7", "labs", True)}
    assert persons(box) == []
    monkeypatch.undo()
    assert accounts(box, NEXT)["labs"] == (2, 1, 1, 0, 0, 0)


def test_what_changes_between_the_turns_is_taken_as_it_was_read(box: Box) -> None:
    path = box.put("a.hl7", message())
    box.put("b.hl7", message("P2", order="F2"))
    lines: list[str] = []

    def changing(line: str) -> None:
        lines.append(line)
        path.write_text(message() * 2)

    box.progress = changing
    taking = box.take()
    assert [buckets(account) for account in taking.accounts] == [(1, 1, 0, 0, 0, 0)] * 4
    assert lines[0] == "a.hl7: 1 rows of patients read, 0 rejected, 0 out of scope"


def test_nothing_of_a_parsed_file_stays_in_the_scratch_folder(box: Box) -> None:
    box.put("a.hl7", message())
    box.put("b.hl7", "")
    box.take()
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


def test_check_tells_what_a_file_of_messages_would_give(tmp_path: Path, maps: Maps) -> None:
    path = tmp_path / "a.hl7"
    path.write_text(message() + message("P2", results=[("14685-2", "many", "pmol/L")], order="F2"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    taking = check([path], Settings(), maps, NIGHT, scratch, lambda line: None)
    assert {account.kind: buckets(account) for account in taking.accounts} == {
        "patients": (2, 2, 0, 0, 0, 0),
        "labs": (2, 1, 0, 0, 0, 1),
    }


def test_a_store_that_knows_contents_under_one_kind_keeps_every_one(box: Box) -> None:
    box.labs(ROW)
    box.take()
    box.forget_format()
    for statement in (
        "CREATE TABLE private.before AS SELECT * FROM private.taken_file",
        "DROP TABLE private.taken_file",
        "CREATE TABLE private.taken_file (sha256 VARCHAR PRIMARY KEY, kind VARCHAR, "
        "file_name VARCHAR, taken_for DATE)",
        "INSERT INTO private.taken_file SELECT * FROM private.before",
        "ALTER TABLE private.reject_row DROP COLUMN segment",
    ):
        box.warehouse.execute(statement)
    box.put("a.hl7", message("P2") + message("P3", results=[("14685-2", "many", "pmol/L")]))
    taking = box.take(NEXT)
    assert (len(taking.accounts), taking.n_known) == (2, 1)
    assert (
        box.rows("SELECT * FROM private.before ANTI JOIN private.taken_file USING (sha256)") == []
    )
    assert box.rows("SELECT kind FROM private.taken_file ORDER BY ALL") == [
        ("labs",), ("labs",), ("patients",),
    ]  # fmt: skip
    assert box.rows("SELECT segment FROM private.reject_row") == [("OBX[1]",)]
    assert box.take(date(2026, 11, 24)).n_known == 2


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data is not there")
def test_every_row_of_the_real_messages_ends_in_a_bucket_and_each_refusal_has_a_place(
    box: Box,
) -> None:
    contents = sorted({path.read_bytes() for path in REAL.rglob("*.hl7")})
    for number, content in enumerate(contents):
        box.put(f"{number:03}.hl7", content)
    taking = box.take()
    assert len(taking.accounts) == 2 * len(contents)
    totals = {
        kind: [
            sum(counts)
            for counts in zip(
                *(buckets(account) for account in taking.accounts if account.kind == kind),
                strict=True,
            )
        ]
        for kind in ("labs", "patients")
    }
    assert totals["labs"] == [1228, 0, 0, 0, 1225, 3]
    assert totals["patients"][0] == 152 and totals["patients"][5] == 14
    reasons = box.rows(
        "SELECT kind, column_name, check_name, count(*), count(line), count(segment) "
        "FROM core.reject GROUP BY ALL ORDER BY ALL"
    )
    assert reasons == [
        ("labs", "code", "not_blank", 3, 3, 3),
        ("patients", "birth_date", "date", 14, 14, 14),
    ]
