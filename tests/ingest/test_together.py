"""Small files of messages are scanned together; what each of them gives is what it gives alone."""

import random
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from b12screen.ingest import Taking
from b12screen.maps import Maps

from .inbox import NIGHT, Box, buckets
from .test_message_files import message

TABLES = (
    "core.lab_result",
    "core.patient",
    "core.reject",
    "core.unmapped_code",
    "core.lab_feed",
    "core.lab_file",
    "run.source_file",
    "private.lab_result",
    "private.patient",
    "private.reject_row",
    "private.taken_file",
    "private.unmapped_part",
    "private.late_withdrawal",
)
TESTS = (
    ("14685-2", "pmol/L"), ("13964-2", "nmol/L"), ("13965-9", "umol/L"),
    ("14685-2", "miles"), ("13964-2", ""), ("99999-9", "mg/L"),
)  # fmt: skip
PEOPLE = ("||19550203|F", "||19550203|M", "|||F", "||1955|F", '||""|F', "||19560203|")


def one(draw: random.Random, n_result: int) -> str:
    """A message of one of a few people and orders, so that they meet."""
    return message(
        draw.choice(["P1", "P2", "P3", "P4", ""]),
        draw.choice(PEOPLE),
        [
            (code, str(draw.randint(100, 105)), unit)
            for code, unit in (draw.choice(TESTS) for _ in range(n_result))
        ],
        order=f"F{draw.randint(1, 6)}",
        status=draw.choice("FFFCXZ"),
        reported=f"202611{draw.randint(10, 20)}090000",
        kind=draw.choice(["ORU^R01", "ORU^R01", "ORU^R01", "ADT^A08"]),
    )


def files(seed: int) -> dict[str, str]:
    """Files of one message or several, some of them held, unreadable, empty or sent twice."""
    draw = random.Random(seed)
    found = {
        f"m{number:02}.hl7": "".join(
            one(draw, draw.randint(0, 4)) for _ in range(draw.choice([1, 1, 1, 3]))
        )
        for number in range(8)
    }
    bad = [("14685-2", "9", "miles")] * 21
    return found | {
        "m03b.hl7": message("P9", results=bad, order="F9"),
        "m04b.hl7": found["m02.hl7"],
        "m05b.hl7": "no message",
        "m06b.hl7": "",
        "m07b.csv": "left alone",
        "patients_m.csv": "patient_id,birth_date,sex,clinic_id\nP1,1955-02-03,F,north\n",
        "z1.hl7": one(draw, 2),
        "z2.hl7": one(draw, 25),
        "z3.hl7": one(draw, 1),
    }


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.long)])
def test_files_taken_together_give_what_each_gives_by_itself(
    tmp_path: Path, maps: Maps, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    sent = files(seed)
    together, alone = Box(tmp_path / "together", maps), Box(tmp_path / "alone", maps)
    for name, content in sent.items():
        together.put(name, content)
        alone.put(name, content)
    taking = together.take(NIGHT)
    monkeypatch.setattr("b12screen.ingest.together.MOST_ROWS", -1)
    assert alone.take(NIGHT) == taking
    assert {account.file_name for account in taking.accounts if account.held} >= {"m03b.hl7"}
    assert taking.n_known == 1
    for table in TABLES:
        query = f"SELECT * FROM {table} ORDER BY ALL"
        assert together.rows(query) == alone.rows(query), table
    assert [path for path in together.scratch.rglob("*") if path.is_file()] == []
    together.warehouse.close()
    alone.warehouse.close()


HEADERS = (
    "result_id,patient_id,collected_at,reported_at,code,value,unit,status",
    "Unit;value;code;RESULT_ID;patient_id;collected_at;ward;status",
    "result_id\tpatient_id\tcollected_at\tcode\tvalue\tunit\tspecimen\ttest_name\tclinic_id",
)


def extract(draw: random.Random) -> bytes:
    """A labs extract of a few rows of few people, as one of several senders writes them."""
    head = draw.choice(HEADERS)
    mark = next(mark for mark in ",;\t" if mark in head)
    rows = []
    for _ in range(draw.choice([0, 1, 1, 2, 5])):
        code, unit = draw.choice(TESTS)
        cells = {
            "result_id": f"{draw.choice('RS')}{draw.randint(1, 9)}",
            "patient_id": draw.choice(["P1", "P2", " P3", "P4", ""]),
            "collected_at": draw.choice(["2026-11-01T08:00:00", "2026-11-02", "2026-11-31"]),
            "reported_at": draw.choice(["", "2026-11-10T09:00:00+01:00", "2026-11-12"]),
            "code": code,
            "value": draw.choice(["100", "<105", "many", '"104"', "\u00b5", f'"1{mark}5"']),
            "unit": unit,
            "status": draw.choice(["final", "C", "corrected", "cancelled", "entered-in-error", ""]),
            "ward": "7",
            "specimen": draw.choice(["", "serum", "urine"]),
            "test_name": draw.choice(["", "MMA", "vitamin B12"]),
            "clinic_id": draw.choice(["", "north", "NULL"]),
        }
        rows.append(mark.join(cells[name] for name in head.lower().split(mark)))
    broken = ["one cell", '"no end', "\0", "a" * 30 + mark * 7]
    rows += draw.sample(broken, draw.choice([0, 0, 0, 1]))
    start, end = draw.choice(["", "\ufeff"]), draw.choice(["\n", "\n", "\r\n", "\r"])
    text = start + end.join([head, *rows]) + draw.choice(["", end])
    return text.encode(draw.choice(["utf-8", "utf-8", "utf-8", "latin-1"]), "replace")


def people(draw: random.Random) -> str:
    """A patients extract of one person or two, with the optional columns or without."""
    head = draw.choice(["", ",opted_out", ",deceased_on"])
    rows = [
        f"{draw.choice(['P1', 'P2', 'P3'])},19{draw.randint(40, 49)}-02-0{draw.randint(0, 3)},"
        f"{draw.choice(['F', 'male', 'other', '?'])},{draw.choice(['north', 'south', ''])}"
        + ("," + draw.choice({"n": ["true", "false", "yes"]}.get(head[4:5], ["2026-10-01", ""])))
        * bool(head)
        for _ in range(draw.randint(1, 2))
    ]
    return "\n".join(["patient_id,birth_date,sex,clinic_id" + head, *rows])


def extracts(seed: int) -> dict[str, bytes]:
    """Small extracts, some of them unreadable, without rows, without a byte, or sent twice."""
    draw = random.Random(seed)
    found = {f"labs_{number:02}.csv": extract(draw) for number in range(9)}
    found |= {f"patients_{number:02}.csv": people(draw).encode() for number in range(4)}
    bad = "\n".join(f"X{number},P9,2026-11-01,,14685-2,9,miles,final" for number in range(21))
    return found | {
        "labs_05_again.csv": found["labs_05.csv"],
        "labs_07_none.csv": b"",
        "labs_08_column.csv": b"result_id,patient_id\nR1,P1\n",
        "labs_09_held.csv": f"{HEADERS[0]}\n{bad}\n".encode(),
        "labs_10_message.hl7": one(draw, 2).encode(),
        "labs_11_head.csv": HEADERS[0].encode(),
    }


def as_said(taking: Taking) -> Taking:
    """Remarks in no order."""
    notes, findings = sorted(taking.notes), sorted(taking.findings)
    return replace(taking, notes=tuple(notes), findings=tuple(findings))


def small_labs(box: Box) -> None:
    """So many small extracts that those which follow are taken together."""
    for number in range(12):
        box.labs(f"S{number},P9,2026-11-01,,14685-2,412,pmol/L,final", name=f"labs_0{number}.csv")


def test_an_extract_of_more_rows_overtakes_none_of_the_small_ones(box: Box) -> None:
    small_labs(box)
    row = "{},P1,2026-11-01,,{},{},pmol/L,{}"
    box.labs(
        row.format("R1", "14685-2", 100, "final"), row.format("R2", "14685-2", 412, "final"),
        name="labs_1a.csv",
    )  # fmt: skip
    others = [row.format(f"T{number}", "14685-2", 300, "final") for number in range(22)]
    box.labs(
        row.format("R1", "CANC", "", "cancelled"), row.format("R2", "14685-2", 412, "final"),
        *others, name="labs_1b.csv",
    )  # fmt: skip
    found = {account.file_name: account for account in box.take().accounts}
    assert buckets(found["labs_1a.csv"]) == (2, 2, 0, 0, 0, 0)
    assert buckets(found["labs_1b.csv"]) == (24, 23, 1, 0, 0, 0)
    assert box.rows("SELECT status FROM core.lab_result WHERE result_id = 'R1'") == [("cancelled",)]


def test_an_early_cancellation_in_two_of_many_files_waits_once(box: Box) -> None:
    small_labs(box)
    for name in ("labs_1a.csv", "labs_1b.csv"):
        box.labs("R1,P1,2026-11-01,2026-11-10T10:00,CANC,,pmol/L,cancelled", name=name)
    box.take()
    assert box.rows("SELECT key, file_name FROM private.late_withdrawal") == [("R1", "labs_1a.csv")]


def test_an_opt_out_that_comes_again_among_many_small_files_is_said(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id,opted_out\n"
    box.put("patients_101.csv", f"{head}P1,1950-01-01,F,north,true\n")
    box.take()
    for number in range(12):
        box.put(f"patients_1010{number}.csv", f"{head}Q{number},1950-01-01,F,north,false\n")
    box.put("patients_102.csv", f"{head}P1,1950-01-01,F,north,false\n")
    box.put("patients_103.csv", f"{head}P1,1950-01-01,F,north,true\n")
    findings = box.take(date(2026, 11, 23)).findings
    assert any("though 13 other files of patients came since" in told for told in findings)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 9))]
)
def test_small_extracts_taken_together_give_what_each_gives_by_itself(
    tmp_path: Path, maps: Maps, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    together, alone = Box(tmp_path / "together", maps), Box(tmp_path / "alone", maps)
    nights = {NIGHT: extracts(seed), date(2026, 11, 23): extracts(seed + 1000)}
    for night, sent in nights.items():
        for name, content in sent.items():
            for box in (together, alone):
                box.put(f"{night}/{name}", content)
        with monkeypatch.context() as many:
            many.setattr("b12screen.ingest.together.FEW_EXTRACTS", 3)
            taking = together.take(night)
        with monkeypatch.context() as one_by_one:
            one_by_one.setattr("b12screen.ingest.together.FEW_EXTRACTS", 1_000)
            assert as_said(alone.take(night)) == as_said(taking)
        for table in TABLES:
            query = f"SELECT * FROM {table} ORDER BY ALL"
            assert together.rows(query) == alone.rows(query), table
    assert {account.file_name.split("/")[1] for account in taking.accounts if account.held} >= {
        "labs_09_held.csv"
    }
    assert together.rows("SELECT count(*) FROM core.reject WHERE line IS NULL") > [(0,)]
    assert [path for path in together.scratch.rglob("*") if path.is_file()] == []
    for box in (together, alone):
        box.warehouse.close()


def test_a_rejected_row_of_one_of_many_files_keeps_its_own_file_record_and_segment(
    box: Box,
) -> None:
    for number in range(4):
        unit = "miles" if number == 2 else "umol/L"
        results = [
            ("14685-2", "412", "pmol/L"),
            ("13964-2", "300", "nmol/L"),
            ("13965-9", "9", unit),
        ]
        box.put(f"m{number}.hl7", message(f"P{number}", results=results, order=f"F{number}"))
    box.take()
    assert box.rows(
        "SELECT file_name, record, line, segment, check_name FROM core.reject ORDER BY ALL"
    ) == [("m2.hl7", 3, 6, "OBX[3]", "known_unit")]
    query = "SELECT file_name, max(record) FROM core.lab_result GROUP BY ALL ORDER BY ALL"
    assert box.rows(query) == [("m0.hl7", 3), ("m1.hl7", 3), ("m2.hl7", 2), ("m3.hl7", 3)]


def test_files_that_sort_before_what_stands_tonight_are_taken_one_by_one(box: Box) -> None:
    box.put("patients_1.csv", "patient_id,birth_date,sex,clinic_id\nP1,1950-01-01,M,north\n")
    box.take()
    for number in (1, 2):
        box.put(f"a{number}.hl7", message(order=f"F{number}"))
    accounts = {
        account.file_name: (account.n_duplicate, account.n_superseded)
        for account in box.take().accounts
        if account.kind == "patients" and account.taken_by == "run"
    }
    # By its name each is older than the extract of the same night, and none a copy of the other.
    assert accounts == {"a1.hl7": (0, 1), "a2.hl7": (0, 1)}
    assert box.rows("SELECT birth_date FROM core.patient WHERE sex = 'male'") != []
