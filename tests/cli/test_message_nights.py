"""Nights of sites that are fed with HL7 v2 messages, through the commands."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from b12screen import cli
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse

Deliver = Callable[[Path, dict[str, str]], None]
Capture = pytest.CaptureFixture[str]

CANARY = "canary7734"


def message(
    patient: str,
    *results: str,
    reported: str = "20261031090000",
    kind: str = "ORU^R01",
    end: str = "\r",
) -> str:
    """A message of somebody of north, born 1950; a result is OBX-3, the value, unit and status."""
    return end.join(
        [
            f"MSH|^~\\&|LIS|MAINLAB|EHR|CLINIC|{reported}||{kind}|M1|P|2.5.1",
            f"PID|1||{patient}^^^HOSP^MR||Doe^Jane||19500203|F",
            "PV1|1|O|^^^north",
            f"OBR|1||F-{patient}|PANEL^Panel^L|||20261030{'|' * 15}{reported}|||F",
            *[
                f"OBX|{number}|NM|{code}^^LN||{value}|{unit}|||||{status}"
                for number, result in enumerate(results, 1)
                for code, value, unit, status in [result.split()]
            ],
            "",
        ]
    )


RAISED = message("0001", "13964-2 900 nmol/L F", "13965-9 31.5 umol/L F", "2132-9 100 pg/mL F")
WELL = message("0002", "13964-2 150 nmol/L F", "13965-9 9 umol/L F")


def run(site: Path, as_of: str) -> int:
    return cli.main(["run", str(site), "--as-of", as_of])


def sheet(site: Path) -> list[dict[str, str]]:
    path = site / "published" / "current" / "worklists" / "north.csv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def ask(site: Path, query: str) -> list[tuple[object, ...]]:
    path = site / "published" / "current" / "b12screen.duckdb"
    with Warehouse.open(path, read_only=True) as warehouse:
        return warehouse.rows(query)


@pytest.fixture(name="same", scope="module")
def same_fixture(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The worklist of the same results and people as extracts."""
    other = tmp_path_factory.mktemp("same") / "site"
    make_site(other)
    extracts = {
        "patients_1.csv": "patient_id,birth_date,sex,clinic_id\n"
        "0001,1950-02-03,female,north\n0002,1950-02-03,female,north\n",
        "labs_1.csv": "result_id,patient_id,collected_at,reported_at,code,value,unit,"
        "clinic_id\n"
        "r1,0001,2026-10-30,2026-10-31T09:00:00,13964-2,900,nmol/L,north\n"
        "r2,0001,2026-10-30,2026-10-31T09:00:00,13965-9,31.5,umol/L,north\n"
        "r3,0001,2026-10-30,2026-10-31T09:00:00,2132-9,100,pg/mL,north\n"
        "r4,0002,2026-10-30,2026-10-31T09:00:00,13964-2,150,nmol/L,north\n"
        "r5,0002,2026-10-30,2026-10-31T09:00:00,13965-9,9,umol/L,north\n",
    }
    for name, text in extracts.items():
        (other / "inbox" / name).write_text(text, encoding="utf-8")
    assert run(other, "2026-11-01") == 0
    return sheet(other)


@pytest.fixture(name="told", scope="module")
def told_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that was told of raised markers, and its night; for copying only."""
    site = tmp_path_factory.mktemp("told") / "site"
    make_site(site)
    (site / "inbox" / "a.hl7").write_text(RAISED)
    assert run(site, "2026-11-01") == 0
    return site


@pytest.fixture(name="raised")
def raised_fixture(told: Path, copy: Callable[[Path], Path]) -> Path:
    """A site of one's own that was told of raised markers, and its night."""
    return copy(told)


@pytest.mark.parametrize(
    "content",
    [
        f"FHS|^~\\&|L\rBHS|^~\\&|L\r{RAISED}{WELL}BTS|2\rFTS|1\r",
        *(
            pytest.param(content, marks=pytest.mark.long)
            for content in (
                RAISED + WELL,
                RAISED.replace("\r", "\n") + WELL.replace("\r", "\r\n"),
                f"\x0b{RAISED}\x1c\r\x0b{WELL}\x1c\r",
                f"\ufeff{RAISED}\ufeff{WELL}",
            )
        ),
    ],
    ids=["a batch", "messages", "mixed line ends", "MLLP frames", "byte order marks"],
)
def test_a_night_of_messages_gives_the_worklist_of_the_same_extracts(
    site: Path, same: list[dict[str, str]], content: str, capsys: Capture
) -> None:
    (site / "inbox" / "x.hl7").write_bytes(content.encode())
    assert run(site, "2026-11-01") == 0
    assert sheet(site) == same
    assert {row["patient_id"] for row in sheet(site)} == {"0001"}
    assert ask(site, "SELECT kind, n_read, n_accepted FROM run.source_file ORDER BY kind") == [
        ("labs", 5, 5),
        ("patients", 2, 2),
    ]
    assert "Files: 1 taken, 0 held, 0 known already" in capsys.readouterr().out


@pytest.mark.long
def test_a_corrected_result_of_a_second_file_takes_the_item_off_the_list(raised: Path) -> None:
    site = raised
    listed = {row["action"] for row in sheet(site)}
    (site / "inbox" / "b.hl7").write_text(
        message(
            "0001", "13964-2 90 nmol/L C", "13965-9 9 umol/L C", "2132-9 800 pg/mL C",
            reported="20261101090000",
        )
    )  # fmt: skip
    assert run(site, "2026-11-02") == 0
    left = {row["action"] for row in sheet(site)}
    assert listed and not listed & left
    assert ask(site, "SELECT value FROM core.lab_result WHERE analyte = 'mma'") == [(90.0,)]
    reasons = ask(
        site, "SELECT DISTINCT close_reason FROM worklists.item WHERE closed_on IS NOT NULL"
    )
    assert reasons and None not in {reason for (reason,) in reasons}


@pytest.mark.long
def test_a_cancelled_result_is_withdrawn_and_its_item_leaves_with_that_reason(raised: Path) -> None:
    site = raised
    listed = {row["action"] for row in sheet(site)}
    (site / "inbox" / "b.hl7").write_text(
        RAISED.replace("|F\r", "|X\r").replace("20261031090000", "20261101090000")
    )
    assert run(site, "2026-11-02") == 0
    assert {status for (status,) in ask(site, "SELECT status FROM core.lab_result")} == {
        "cancelled"
    }
    assert not listed & {row["action"] for row in sheet(site)}
    closed = ask(
        site, "SELECT DISTINCT close_reason FROM worklists.item WHERE closed_on IS NOT NULL"
    )
    assert closed == [("result_withdrawn",)]


@pytest.mark.long
def test_extracts_and_messages_of_one_person_stand_together(
    site: Path, deliver: Deliver, extracts: dict[str, str]
) -> None:
    deliver(site, extracts)
    deliver(site, {"a.hl7": message("0002", "13964-2 950 nmol/L F", "13965-9 33 umol/L F")})
    assert run(site, "2026-11-01") == 0
    # The clinic and the opt-outs of the patients extract stand; the message adds what it says.
    assert ask(site, "SELECT patient_id, clinic_id, sex FROM core.patient ORDER BY ALL") == [
        ("0001", "north", "female"),
        ("0002", "north", "male"),
        ("0003", "south", "female"),
    ]
    assert ask(site, "SELECT n_files FROM run.night") == [(5,)]
    before = sheet(site)
    assert run(site, "2026-11-01") == 0
    assert sheet(site) == before
    assert ask(site, "SELECT n_files FROM run.night") == [(5,)]


@pytest.mark.long
def test_messages_do_not_hide_that_the_patients_extract_stopped(
    site: Path, deliver: Deliver, extracts: dict[str, str]
) -> None:
    deliver(site, extracts)
    run(site, "2026-11-01")
    deliver(site, {"a.hl7": message("0009", "13964-2 150 nmol/L F", reported="20261219090000")})
    assert run(site, "2026-12-20") == 20
    assert ask(site, "SELECT patients_feed, labs_feed FROM run.night") == [("stale", "fresh")]


@pytest.mark.long
def test_messages_without_results_do_not_hide_that_results_stopped(raised: Path) -> None:
    site = raised
    (site / "inbox" / "b.hl7").write_text(message("0001", kind="ADT^A01"))
    assert run(site, "2026-11-20") == 20
    assert ask(site, "SELECT patients_feed, labs_feed FROM run.night") == [("fresh", "stale")]


@pytest.mark.long
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "it is empty (0 bytes)"),
        (RAISED.encode("utf-16"), "it holds no HL7 v2 message"),
    ],
    ids=["empty", "another encoding"],
)
def test_a_file_without_messages_is_a_finding_and_the_night_goes_on(
    site: Path, content: bytes, says: str, capsys: Capture
) -> None:
    (site / "inbox" / "a.hl7").write_bytes(content)
    (site / "inbox" / "b.hl7").write_text(RAISED)
    assert run(site, "2026-11-01") == 20
    assert says in capsys.readouterr().out
    assert len(sheet(site)) > 0


@pytest.mark.long
def test_a_name_in_another_encoding_costs_no_row(site: Path) -> None:
    (site / "inbox" / "a.hl7").write_bytes(RAISED.replace("Jane", "J\xe4ne").encode("latin-1"))
    assert run(site, "2026-11-01") == 0
    assert ask(site, "SELECT kind, n_read, n_accepted FROM run.source_file ORDER BY kind") == [
        ("labs", 3, 3),
        ("patients", 1, 1),
    ]


def test_rejects_names_file_line_segment_and_reason(site: Path, capsys: Capture) -> None:
    (site / "inbox" / "a.hl7").write_text(RAISED.replace("|31.5|", "|60~120|") + WELL)
    run(site, "2026-11-01")
    capsys.readouterr()
    assert cli.main(["rejects", str(site), "--rows"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    place = [row[name] for name in ("file_name", "record", "line", "segment", "check_name")]
    assert place == ["a.hl7", "2", "6", "OBX[2]", "one_value"]
    assert row["reason"] == "OBX-5 holds several values; only one can be read"


def test_check_says_what_a_file_of_messages_would_give(
    site: Path, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "feed.hl7"
    path.write_text(RAISED.replace("|31.5|", "|60~120|"))
    assert cli.main(["check", str(site), str(path)]) == 0
    out = capsys.readouterr().out
    assert "feed.hl7 (labs): 3 rows read, 2 accepted" in out
    assert "feed.hl7 (patients): 1 rows read, 1 accepted" in out
    assert out.count("OBX-5 holds several values") == 1
    assert "0 of 1 files refused" in out


BREAKAGES = (
    f"MSH|^~\\&|{CANARY}|{CANARY}|EHR|CLINIC|{CANARY}||{CANARY}^{CANARY}|M1|P|2.5.1\rPID|{CANARY}\r",
    f"MSH|^~\\&|L|M|E|C|2026||ORU^R01|1\rPID|1||{CANARY}^^^^{CANARY}||{CANARY}||{CANARY}|{CANARY}\r"
    f"OBR|1||{CANARY}\rOBX|1|{CANARY}|13964-2^{CANARY}^LN||{CANARY}|{CANARY}|||||{CANARY}\r",
    f"MSH{CANARY}|\rMSH|{CANARY}\r",
    f"{CANARY}\rMSH|^~\\&|L|M|E|C|2026||ORU^R01|1\rPID|1||{CANARY}\r{CANARY}\rMSH {CANARY}\r",
    f"MSH|^~\\&|L|M|E|C|2026||ORU^R01|1\rPID|1||{CANARY}\rOBX|1|NM|13964-2^^LN||9\x00{CANARY}",
    f"{CANARY}\r",
    f"BHS|{CANARY}\rBTS|7|{CANARY}\r",
    f"MSH|^~\\&|L|M|E|C|2026||ORU^R01|1\rPID|1||{CANARY}~{CANARY}2||||\udcff{CANARY}\rOBX|1|NM",
)


def test_broken_messages_name_nobody(
    site: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (site / "inbox" / "sound.hl7").write_text(RAISED)
    for number, text in enumerate(BREAKAGES):
        path = site / "inbox" / f"broken{number}.hl7"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert cli.main(["check", str(site), "--as-of", "2026-11-01"]) == 20
    assert run(site, "2026-11-01") == 20
    assert cli.main(["doctor", str(site)]) in (0, 20)
    assert cli.main(["rejects", str(site)]) == 0
    out, err = capfd.readouterr()
    assert "broken0.hl7" in out
    assert CANARY not in out + err
    assert CANARY not in caplog.text
    night = site / "published" / "current"
    for path in [night / "manifest.json", *night.glob("*.html"), *night.glob("qi*")]:
        assert CANARY.encode() not in path.read_bytes(), path.name
    accounts = json.loads((night / "manifest.json").read_text())["inputs"]
    assert len(accounts) == 2 * (len(BREAKAGES) + 1)
    # The refused rows are kept for whoever mends them, in the private store.
    assert ask(site, "SELECT count(*) > 5 FROM core.reject") == [(True,)]
