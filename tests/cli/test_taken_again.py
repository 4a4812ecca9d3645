"""`rejects`, `retry` and `retake` as the person on call meets them."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from b12screen import cli

Capture = pytest.CaptureFixture[str]
Deliver = Callable[[Path, dict[str, str]], None]


@pytest.fixture(name="published")
def published_fixture(published: Path, copy: Callable[[Path], Path]) -> Path:
    """A site of its own, with one night published."""
    return copy(published)


def test_rejects_says_what_is_rejected_where_the_store_may_not_be_read(
    published: Path, capsys: Capture
) -> None:
    store = published / "store"
    store.rename(published / "elsewhere")
    assert cli.main(["rejects", str(published), "--rows"]) == 0
    captured = capsys.readouterr()
    assert "labs_1.csv" in captured.out
    assert "many" not in captured.out
    assert "Only places" in captured.err


@pytest.mark.long
def test_a_row_that_was_mended_is_listed_no_more(
    published: Path, deliver: Deliver, capsys: Capture
) -> None:
    deliver(
        published,
        {
            "labs_2.csv": "result_id,patient_id,collected_at,code,value,unit\n"
            "r7,0002,2026-10-31,14685-2,200,\n"
        },
    )
    assert cli.main(["run", str(published), "--as-of", "2026-11-02"]) in (0, 20)
    settings = published / "b12screen.toml"
    settings.write_text(
        settings.read_text(encoding="utf-8")
        + '[laboratories.main.default_units]\n"14685-2" = "pmol/L"\n',
        encoding="utf-8",
    )
    capsys.readouterr()
    assert cli.main(["retry", str(published), "--as-of", "2026-11-03"]) in (0, 20)
    captured = capsys.readouterr()
    assert "1 of 2 rejected rows taken after all" in captured.out
    assert len(captured.out.splitlines()) <= 10
    assert "0002" not in captured.out + captured.err
    assert cli.main(["rejects", str(published), "--rows"]) == 0
    assert "labs_2.csv" not in capsys.readouterr().out
    question = "SELECT taken_by, n_accepted FROM run.source_file WHERE taken_for = '2026-11-03'"
    assert cli.main(["query", str(published), question, "--csv"]) == 0
    assert capsys.readouterr().out.split() == ["taken_by,n_accepted", "retry,1"]


def test_an_answer_that_was_refused_for_its_day_is_taken_once_the_settings_say_the_order(
    published: Path, deliver: Deliver, capsys: Capture
) -> None:
    sheet = published / "published" / "current" / "worklists" / "north.csv"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        item = next(csv.DictReader(file))["item_id"]
    answer = f"item_id,decision,until,as_of\n{item},declined,05/11/2026,2026-11-01\n"
    deliver(published, {"feedback_1.csv": answer})
    assert cli.main(["run", str(published), "--as-of", "2026-11-02"]) == 20
    assert "Set what a setting mends and `retry`" in capsys.readouterr().out
    settings = published / "b12screen.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('# date_order = "', 'date_order = "'), encoding="utf-8")
    assert "date_order" in settings.read_text(encoding="utf-8")
    assert cli.main(["retry", str(published), "--as-of", "2026-11-03"]) in (0, 20)
    assert "1 of 2 rejected rows taken after all" in capsys.readouterr().out
    question = "SELECT decision, until, item_state FROM worklists.item WHERE decision IS NOT NULL"
    assert cli.main(["query", str(published), question, "--csv"]) == 0
    assert capsys.readouterr().out.split() == [
        "decision,until,item_state", "declined,2026-11-05,resting",
    ]  # fmt: skip
    # It is as old as its file, and so no newer than what was answered since.
    question = "SELECT decided_on FROM core.feedback"
    assert cli.main(["query", str(published), question, "--csv"]) == 0
    assert capsys.readouterr().out.split() == ["decided_on", "2026-11-02"]


@pytest.mark.long
def test_a_withdrawn_reading_leaves_the_list_with_that_reason(
    site: Path, extracts: dict[str, str], deliver: Deliver, capsys: Capture
) -> None:
    own = 'code_system = "own"\n[laboratories.main.tests.MB]\nanalyte = "mma"\nunit = "nmol/L"\n'
    settings = site / "b12screen.toml"
    plain = settings.read_text(encoding="utf-8")
    settings.write_text(
        plain.replace("[laboratories.main]\n", f"[laboratories.main]\n{own}"), encoding="utf-8"
    )
    extracts["labs_1.csv"] = (
        "result_id,patient_id,collected_at,code,code_system,value,unit\n"
        "r1,0001,2026-10-30,MB,own,900,\n"
        "r2,0001,2026-10-30,13965-9,loinc,31.5,umol/L\n"
        "r3,0001,2026-10-30,2132-9,loinc,100,pg/mL\n"
    )
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    settings.write_text(plain, encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["retake", str(site), "labs_1.csv", "--as-of", "2026-11-02"]) in (0, 20)
    captured = capsys.readouterr()
    assert "1 taken again, 0 rows read differently, 1 withdrawn" in captured.out
    assert "1 rows of labs that it gave before are withdrawn" in captured.err
    question = (
        "SELECT result_id, status, taken_for FROM core.lab_result WHERE patient_id = '0001' "
        "ORDER BY result_id LIMIT 1"
    )
    assert cli.main(["query", str(site), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "r1,entered-in-error,2026-11-02"
    question = (
        "SELECT rule_id, priority FROM worklists.item WHERE action = 'result_withdrawn' "
        "AND patient_id = '0001' AND item_state = 'open'"
    )
    assert cli.main(["query", str(site), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "RW1,1"


def test_a_retake_of_what_was_never_taken_changes_nothing(
    published: Path, tmp_path: Path, capsys: Capture
) -> None:
    strange = tmp_path / "labs_CANARY.csv"
    strange.write_text("result_id\n")
    before = sorted((published / "published").rglob("*"))
    assert cli.main(["retake", str(published), str(strange), "--as-of", "2026-11-02"]) == 2
    captured = capsys.readouterr()
    assert "was never taken" in captured.err
    assert "CANARY" not in captured.out + captured.err
    assert sorted((published / "published").rglob("*")) == before
