"""Nights of a site whose laboratory and hospital write their files their own way."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from b12screen import cli
from b12screen.settings import SETTINGS_FILE
from b12screen.warehouse import Warehouse

Deliver = Callable[[Path, dict[str, str]], None]
Capture = pytest.CaptureFixture[str]

CANARY = "Kanarienvogel"
SETTINGS = """
[laboratories.a]
code_system = "lab-a"

[[laboratories.a.csv]]
files = ["lab-a/*.txt"]
encoding = "windows-1252"
separator = "|"
decimal = ","
thousands = "."
dates = ["%d.%m.%Y"]
constants = {code_system = "lab-a"}
words = {status = {"endgültig" = "final", "storniert" = "cancelled"}}
ids = {patient_id = {strip_prefix = "P", pad = 4}}

[laboratories.a.csv.columns]
result_id = ["Auftrag", "Kürzel"]
patient_id = "Patient"
collected_at = "Abnahme"
reported_at = "Befund"
code = "Kürzel"
value = "Ergebnis"
unit = "Einheit"
status = "Stand"

[laboratories.a.tests.MMAS]
analyte = "mma"
[laboratories.a.tests.HCYP]
analyte = "hcy"
unit = "umol/L"
[laboratories.a.tests.VB12]
analyte = "b12"
"""
HEADER = "Auftrag|Patient|Abnahme|Befund|Kürzel|Ergebnis|Einheit|Stand"
RAISED = (
    "A1|P1|30.10.2026|31.10.2026|MMAS|0,9|µmol/l|endgültig",
    "A1|P1|30.10.2026|31.10.2026|HCYP|31,5||Endgültig",
    "A1|P1|30.10.2026|31.10.2026|VB12|100|pg/ml|endgültig",
)


def send(site: Path, name: str, *rows: str) -> None:
    path = site / "inbox" / "lab-a" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes("\r\n".join([HEADER, *rows, ""]).encode("windows-1252"))


def items(site: Path) -> list[tuple[str, str, str, str]]:
    path = site / "published" / "current" / "worklists" / "north.csv"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return [
            (row["patient_id"], row["action"], row["mma_nmol_l"], row["hcy_umol_l"])
            for row in csv.DictReader(lines)
        ]


@pytest.mark.long
def test_a_result_of_a_laboratorys_own_file_is_listed_and_cancelled_in_its_own_words(
    site: Path, deliver: Deliver, extracts: dict[str, str]
) -> None:
    (site / SETTINGS_FILE).write_text(SETTINGS, encoding="utf-8")
    deliver(site, {name: text for name, text in extracts.items() if "labs" not in name})
    send(site, "export_1.txt", *RAISED)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    listed = items(site)
    assert {row[:1] + row[2:] for row in listed} == {("0001", "900", "31.5")}
    send(
        site,
        "export_2.txt",
        *[row.replace("31.10.2026", "02.11.2026").split("endg")[0].split("Endg")[0] + "storniert"
          for row in RAISED],
    )  # fmt: skip
    assert cli.main(["run", str(site), "--as-of", "2026-11-02"]) in (0, 20)
    assert not {row[1] for row in items(site)} & {row[1] for row in listed}


@pytest.mark.long
def test_rejected_rows_of_its_own_file_are_told_in_its_words_and_name_nobody(
    site: Path, deliver: Deliver, extracts: dict[str, str], capsys: Capture
) -> None:
    (site / SETTINGS_FILE).write_text(SETTINGS, encoding="utf-8")
    deliver(site, {name: text for name, text in extracts.items() if "labs" not in name})
    send(
        site,
        "export_1.txt",
        *RAISED,
        f"{CANARY}|{CANARY}|31.02.2026||MMAS|0,9|µmol/l|endgültig",
        f"A2|P2|30.10.2026||MMAS|{CANARY}|µmol/l|endgültig",
        "A3|P2|30.10.2026||MMAS|0.9|µmol/l|endgültig",
        f"A4|P2|30.10.2026||MMAS|{CANARY}",
    )
    cli.main(["check", str(site), str(site / "inbox" / "lab-a" / "export_1.txt")])
    cli.main(["run", str(site), "--as-of", "2026-11-01"])
    told = capsys.readouterr()
    assert CANARY not in told.out + told.err
    assert 'here value is "ergebnis"' in told.out
    with Warehouse.open(
        site / "published" / "current" / "b12screen.duckdb", read_only=True
    ) as warehouse:
        found = warehouse.rows(
            "SELECT record, line, column_name, check_name FROM core.reject ORDER BY record"
        )
        reasons = json.dumps(warehouse.rows("SELECT reason FROM core.reject ORDER BY record"))
    assert found == [
        (4, 5, "collected_at", "date"),
        (5, 6, "value", "number"),
        (6, 7, "value", "number"),
        (7, 8, None, "fields"),
    ]
    assert CANARY not in reasons and 'collected_at is \\"abnahme\\"' in reasons
