"""The clinics' answers come back: read as they are meant, never guessed, every row accounted."""

import csv
import gzip
import io
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import hypothesis
import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from b12screen.cli import main
from b12screen.ingest import check
from b12screen.ingest.checks import mend
from b12screen.maps import Maps
from b12screen.night import run_night
from b12screen.settings import Feedback, Limits, Settings, make_site
from b12screen.warehouse import Warehouse
from b12screen.worklists import read_sheet
from schemas.words import DECISIONS
from schemas.worklists import SHEET

from .inbox import NIGHT, Box, buckets

NEXT = date(2026, 11, 23)
OPEN = "i0000000000000001"
CLOSED = "i00000000000000v2"
EARLIER = "iabcdefghijklmnop"
NEVER = "i7777777777777777"
HEADER = "item_id,decision"
COLUMNS = "item_id, decision, decision_note, decided_on, until, sheet_on"


@pytest.fixture
def box(box: Box, tmp_path: Path) -> Box:
    """A box whose site has published a night with two items, and a third in its history."""
    path = tmp_path / "b12screen.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.write("worklists.item", pl.DataFrame({"item_id": [OPEN, CLOSED]}))
        warehouse.write("history.item", pl.DataFrame({"item_id": [OPEN, EARLIER]}))
    box.listed = path
    return box


def answers(box: Box) -> list[tuple[object, ...]]:
    """What is known of the answers, days as text."""
    return [
        tuple(cell.isoformat() if isinstance(cell, date) else cell for cell in row)
        for row in box.rows(
            f"SELECT {COLUMNS} FROM core.feedback ORDER BY taken_for, file_name, record"
        )
    ]


def sheet(box: Box, *rows: str, name: str = "feedback.csv", header: str = HEADER) -> Path:
    return box.put(name, "\n".join([header, *rows]) + "\n")


def test_an_answer_is_kept_with_the_night_for_its_day(box: Box) -> None:
    sheet(
        box,
        f"{OPEN},done,B12 given,2026-11-20,,2026-11-19",
        f"{EARLIER},deferred,,,2026-12-01,",
        header="item_id,decision,decision_note,decided_on,until,as_of",
    )
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)
    assert answers(box) == [
        (OPEN, "done", "B12 given", "2026-11-20", None, "2026-11-19"),
        (EARLIER, "deferred", None, "2026-11-22", "2026-12-01", None),
    ]
    assert box.rows("SELECT file_name, record, taken_for FROM core.feedback WHERE record = 1") == [
        ("feedback.csv", 1, NIGHT)
    ]


@pytest.mark.parametrize("blank", ["_", " ", "-", "\u00a0", " - "])
def test_a_decision_is_read_however_a_person_types_it(box: Box, blank: str) -> None:
    forms: tuple[Callable[[str], str], ...] = (str.upper, str.title, "  {} ".format)
    typed = [form(word).replace("_", blank) for word in DECISIONS for form in forms]
    rows = [f"{OPEN},{word},2026-10-{n + 10}" for n, word in enumerate(typed)]
    sheet(box, *rows, header=f"{HEADER},decided_on")
    assert buckets(box.account()) == (len(typed), len(typed), 0, 0, 0, 0)
    assert [row[1] for row in answers(box)] == [word for word in DECISIONS for _ in forms]


def test_a_row_without_a_decision_says_nothing_and_is_no_unmapped_code(box: Box) -> None:
    sheet(box, f"{OPEN},", f"{NEVER},  ", ",", f"{CLOSED},done")
    assert buckets(box.account()) == (4, 1, 0, 0, 3, 0)
    assert box.rows("SELECT count(*) FROM core.unmapped_code") == [(0,)]
    assert box.rejects() == []


def test_a_remark_without_a_decision_is_told_by_its_number_alone(box: Box) -> None:
    sheet(
        box,
        f"{OPEN},,patient asked,",
        f"{CLOSED},,,2026-12-24",
        f"{EARLIER},,,",
        header="item_id,decision,decision_note,until",
    )
    taking = box.take()
    assert buckets(taking.accounts[0]) == (3, 0, 0, 0, 3, 0)
    assert [
        note for note in taking.notes if "2 rows hold a remark or a day but no decision" in note
    ]
    assert "patient asked" not in str(taking)


UNREADABLE = (
    (f"{OPEN},finished,,", "decision", "known_word", "already_treated"),
    (f"{OPEN}x,done,,", "item_id", "item_id", "none that a sheet carries"),
    ("P12345,done,,", "item_id", "item_id", "none that a sheet carries"),
    (",done,,", "item_id", "not_blank", "blank"),
    (f"{NEVER},done,,", "item_id", "known_item", "names no row that was listed"),
    (f"{OPEN},done,05/11/2026,", "decided_on", "date_order", "feedback.date_order"),
    (f"{OPEN},done,46354,", "decided_on", "date", "format the column as a date"),
    (f"{OPEN},done,28/11/26,", "decided_on", "date", "four digits"),
    (f"{OPEN},done,31/02/2026,", "decided_on", "date", "is no day"),
    (f"{OPEN},done,1899-12-31,", "decided_on", "plausible_date", "earlier"),
    (f"{OPEN},done,2027-11-24,", "decided_on", "plausible_date", "366 days"),
    (f"{OPEN},deferred,,01-12-2026", "until", "date_order", "2026-11-28"),
    (f"{OPEN},deferred,,next week", "until", "date", "is no day"),
    (f"{OPEN},deferred,,1850-01-01", "until", "plausible_date", "earlier"),
    (f"{OPEN},deferred,,31.12.2099", "until", "plausible_date", "366 days"),
)


def test_an_answer_that_cannot_be_read_for_sure_is_rejected_with_what_to_do(box: Box) -> None:
    sheet(box, *(case[0] for case in UNREADABLE), header="item_id,decision,decided_on,until")
    n = len(UNREADABLE)
    assert buckets(box.account()) == (n, 0, 0, 0, 0, n)
    assert box.rejects() == [
        (record, None, column, name) for record, (_, column, name, _) in enumerate(UNREADABLE, 1)
    ]
    reasons = box.rows("SELECT reason FROM core.reject ORDER BY record")
    kept = box.rows("SELECT raw FROM private.reject_row ORDER BY record")
    for (row, _, _, says), (reason,), (raw,) in zip(UNREADABLE, reasons, kept, strict=True):
        assert says in str(reason)
        assert row.split(",")[0] in str(raw)
    assert answers(box) == []


def test_a_sheet_whose_own_night_may_be_two_days_is_rejected(box: Box) -> None:
    header = "item_id,decision,as_of"
    sheet(box, f"{OPEN},done,11/12/2026", f"{CLOSED},done,22/11/2026", header=header)
    assert buckets(box.account()) == (2, 1, 0, 0, 0, 1)
    assert [row[2:] for row in box.rejects()] == [("as_of", "date_order")]


SPREADSHEET_DAYS = (
    ("2026-11-05", "2026-11-05"),
    ("2026-11-05 00:00:00", "2026-11-05"),
    ("2026-11-05T23:30", "2026-11-05"),
    ("2026/11/05", "2026-11-05"),
    ("2026/11/5 0:00", "2026-11-05"),
    ("5.11.2026", "2026-11-05"),
    ("28/11/2026", "2026-11-28"),
    ("11/28/2026", "2026-11-28"),
    ("28-11-2026", "2026-11-28"),
    ("11/11/2026", "2026-11-11"),
)


def test_a_day_that_can_only_be_one_is_read_in_the_ways_of_spreadsheets(box: Box) -> None:
    rows = [f"{OPEN},done,{written},{written}" for written, _ in SPREADSHEET_DAYS]
    sheet(box, *rows, header="item_id,decision,decided_on,decision_note")
    n = len(rows)
    assert buckets(box.account()) == (n, n, 0, 0, 0, 0)
    assert {str(row[2]): row[3] for row in answers(box)} == dict(SPREADSHEET_DAYS)


@pytest.mark.parametrize(
    ("order", "days"),
    [
        (
            "day-first",
            {
                "05/11/2026": "2026-11-05",
                "05-11-2026": "2026-11-05",
                "05.11.2026": "2026-11-05",
            },
        ),
        # Dots mean day first, and this site says month first: somebody is not what we think.
        (
            "month-first",
            {
                "05/11/2026": "2026-05-11",
                "11/28/2026": "2026-11-28",
                "28/11/2026": "2026-11-28",
                "05.11.2026": None,
            },
        ),
    ],
)
def test_the_order_of_the_settings_decides_what_may_be_two_days(
    box: Box, order: str, days: dict[str, str | None]
) -> None:
    box.settings = Settings(feedback=Feedback.model_validate({"date_order": order}))
    rows = [f"{OPEN},done,{written},{written}" for written in days]
    sheet(box, *rows, header="item_id,decision,decided_on,decision_note")
    box.take()
    read = {str(row[2]): row[3] for row in answers(box)}
    assert read == {written: day for written, day in days.items() if day}


def test_an_answer_dated_after_the_night_is_accepted(box: Box) -> None:
    sheet(box, f"{OPEN},done,2027-11-23", header="item_id,decision,decided_on")
    assert buckets(box.account()) == (1, 1, 0, 0, 0, 0)
    assert answers(box)[0][3] == "2027-11-23"


def test_a_cell_guarded_for_a_spreadsheet_comes_back_as_it_was(box: Box) -> None:
    remarks = ["'=1+1", "'-5", "'@home", "'+44", "'tis", "''=x"]
    sheet(
        box,
        *(f"{OPEN},done,{remark}" for remark in remarks),
        header="item_id,decision,note",
    )
    assert buckets(box.account()) == (6, 6, 0, 0, 0, 0)
    assert [row[2] for row in answers(box)] == ["=1+1", "-5", "@home", "+44", "'tis", "''=x"]


def test_the_remark_of_the_sheet_speaks_before_another_one(box: Box) -> None:
    sheet(
        box,
        f"{OPEN},done,first,second",
        f"{OPEN},done,  ,second",
        header="item_id,decision,decision_note,note",
    )
    box.take()
    assert [row[2] for row in answers(box)] == ["first", "second"]


def test_what_is_sent_again_is_a_duplicate_also_where_the_night_stands_for_its_day(
    box: Box,
) -> None:
    header = "item_id,decision,decision_note,until,as_of"
    first = f"{OPEN},declined,no,,2026-11-21"
    sheet(box, first, f"{CLOSED},,,,2026-11-21", name="feedback_1.csv", header=header)
    assert buckets(box.account()) == (2, 1, 0, 0, 1, 0)
    sheet(box, first, f"{CLOSED},done,,,2026-11-21", name="feedback_2.csv", header=header)
    assert buckets(box.account(NEXT)) == (2, 1, 1, 0, 0, 0)
    sheet(box, first, first, f"{CLOSED},done,,,2026-11-21", name="feedback_3.csv", header=header)
    assert buckets(box.account(date(2026, 11, 24))) == (3, 0, 3, 0, 0, 0)
    assert [row[:4] for row in answers(box)] == [
        (OPEN, "declined", "no", "2026-11-22"),
        (CLOSED, "done", None, "2026-11-23"),
    ]


@pytest.mark.parametrize(
    "other",
    [
        f"{OPEN},declined,no,,,2026-11-22",
        f"{OPEN},declined,yes,,,2026-11-21",
        f"{OPEN},declined,,,,2026-11-21",
        f"{OPEN},declined,no,,2026-12-24,2026-11-21",
        f"{OPEN},done,no,,,2026-11-21",
        f"{OPEN},declined,no,2026-11-23,,2026-11-21",
        f"{CLOSED},declined,no,,,2026-11-21",
    ],
)
def test_an_answer_that_differs_in_anything_stands_beside_the_first(box: Box, other: str) -> None:
    header = "item_id,decision,decision_note,decided_on,until,as_of"
    sheet(box, f"{OPEN},declined,no,,,2026-11-21", name="feedback_1.csv", header=header)
    box.take()
    sheet(box, other, name="feedback_2.csv", header=header)
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert len(answers(box)) == 2
    assert box.rows("SELECT count(*) FROM private.feedback") == [(0,)]


def test_another_decision_on_the_same_sheet_and_day_replaces_the_first(box: Box) -> None:
    header = "item_id,decision,decided_on,as_of"
    sheet(box, f"{OPEN},done,2026-11-21,2026-11-20", name="feedback_1.csv", header=header)
    box.take()
    sheet(box, f"{OPEN},declined,2026-11-21,2026-11-20", name="feedback_2.csv", header=header)
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert [row[1] for row in answers(box)] == ["declined"]
    assert box.rows("SELECT decision, replaced_on FROM private.feedback") == [("done", NEXT)]
    # What was replaced does not come back to life when its sheet is found again.
    sheet(box, f"{OPEN},done,21/11/2026,2026-11-20", name="feedback_3.csv", header=header)
    assert buckets(box.account(NEXT)) == (1, 0, 1, 0, 0, 0)
    assert [row[1] for row in answers(box)] == ["declined"]


def test_two_attempts_of_a_night_know_what_one_would_have_known(box: Box, tmp_path: Path) -> None:
    header = "item_id,decision,decided_on"
    rows = {
        "feedback_a.csv": f"{OPEN},done,2026-11-21",
        "feedback_b.csv": f"{OPEN},declined,2026-11-21",
    }
    sheet(box, rows["feedback_b.csv"], name="feedback_b.csv", header=header)
    box.take()
    sheet(box, rows["feedback_a.csv"], name="feedback_a.csv", header=header)
    assert buckets(box.account()) == (1, 0, 0, 1, 0, 0)
    assert [row[1] for row in answers(box)] == ["declined"]
    assert box.rows("SELECT decision FROM private.feedback") == [("done",)]
    once = Box(tmp_path / "once", box.maps)
    once.listed = box.listed
    for name, row in rows.items():
        sheet(once, row, name=name, header=header)
    once.take()
    assert answers(once) == answers(box)
    once.warehouse.close()


def test_a_file_of_answers_that_mostly_fails_is_held_whole(box: Box) -> None:
    sheet(box, *(f"{NEVER},done" for _ in range(19)), f"{OPEN},maybe", f"{OPEN},done")
    account = box.account()
    assert account.held
    assert account.reason is not None and "names no row that was listed" in account.reason
    assert answers(box) == []


def test_without_an_earlier_night_every_item_is_unknown(box: Box) -> None:
    box.listed = None
    sheet(box, f"{OPEN},done")
    assert buckets(box.account()) == (1, 0, 0, 0, 0, 1)
    assert [row[3] for row in box.rejects()] == ["known_item"]


def test_a_store_of_before_gets_its_table(box: Box) -> None:
    box.labs()
    box.take()
    box.forget_format()
    box.rows("DROP TABLE core.feedback")
    box.rows("DROP TABLE private.feedback")
    sheet(box, f"{OPEN},done")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize("form", ["csv.gz", "csv.zst", "parquet"])
def test_every_form_of_a_sheet_is_read_alike(box: Box, form: str) -> None:
    frame = pl.DataFrame(
        {
            "item_id": [OPEN, CLOSED],
            "decision": ["Done", None],
            "until": [date(2026, 12, 1), None],
            "as_of": [NIGHT, NIGHT],
        }
    )
    path = box.inbox / f"feedback_north.{form}"
    if form == "parquet":
        frame.write_parquet(path)
    else:
        text = frame.write_csv().encode()
        packed = subprocess.run(["zstd", "-q", "-c"], input=text, capture_output=True, check=False)
        if form.endswith("zst") and packed.returncode:
            pytest.skip("there is no zstd to pack with")
        path.write_bytes(gzip.compress(text) if form.endswith("gz") else packed.stdout)
    assert buckets(box.account()) == (2, 1, 0, 0, 1, 0)
    assert answers(box) == [(OPEN, "done", None, "2026-11-22", "2026-12-01", "2026-11-22")]


def test_rows_that_a_spreadsheet_cut_short_are_whole(box: Box) -> None:
    """Of a block of rows that end in blank cells, spreadsheets leave off the separators."""
    sheet(
        box,
        f"{OPEN};7;done;;",
        *(f"{CLOSED};7" for _ in range(30)),
        f"{EARLIER};7;Declined",
        f"{OPEN};7;done;;;;surplus",
        header="item_id;priority;decision;decision_note;until",
    )
    assert buckets(box.account()) == (33, 2, 0, 0, 30, 1)
    assert [row[3] for row in box.rejects()] == ["fields"]


def test_a_sheet_saved_in_the_code_page_of_a_spreadsheet_is_read_by_what_it_needs(
    box: Box,
) -> None:
    """The reason of nearly every row holds the sign for micro, which nobody reads back."""
    text = f"item_id,why,decision,note\n{OPEN},31.5 \u00b5mol/L,done,x\n{CLOSED},\u00b5,,\n"
    box.put("feedback.csv", (text + f"{EARLIER},y,done,\u00e9t\u00e9\n").encode("cp1252"))
    assert buckets(box.account()) == (3, 1, 0, 0, 1, 1)
    assert box.rejects() == [(3, 4, None, "encoding")]
    assert [row[:3] for row in answers(box)] == [(OPEN, "done", "x")]


def test_answers_that_are_refused_are_a_finding_beside_those_that_are_taken(box: Box) -> None:
    box.put("feedback_a.csv", f"item_id,decision\n{OPEN},done\n{EARLIER},called her\n{CLOSED},\n")
    box.put("feedback_b.csv", f"item_id,decision\n{OPEN},declined\n")
    (finding,) = box.take().findings
    assert finding.startswith("feedback_a.csv: 1 of its 3 rows could not be taken")
    assert "called" not in finding


def test_a_sheet_of_which_no_answer_can_be_taken_is_a_finding(box: Box) -> None:
    """Two rows are far from the share at which a file is held, and a clinic is not heard."""
    text = f"item_id,decision,decision_note\n{OPEN},done,\u00e9\n{EARLIER},done,\u00e9\n"
    box.put("feedback.csv", text.encode("cp1252"))
    (finding,) = box.take().findings
    assert finding.startswith("feedback.csv: 2 of its 2 rows could not be taken")
    [(reason,)] = box.rows("SELECT DISTINCT reason FROM core.reject")
    assert "`retake`" in mend("labs", None, str(reason))
    assert "`retake`" not in mend("feedback", None, str(reason))


def test_stray_columns_without_a_name_do_not_turn_a_sheet_away(box: Box) -> None:
    sheet(box, f"{OPEN},,done,,x", header="item_id,,decision,,Ward")
    taking = box.take()
    assert buckets(taking.accounts[0]) == (1, 1, 0, 0, 0, 0)
    assert [note for note in taking.notes if note.endswith("(no name), (no name), ward")]


def test_the_columns_of_our_own_sheet_are_dropped_in_silence(box: Box) -> None:
    row = dict.fromkeys(SHEET, "x") | {
        "item_id": OPEN, "decision": "done", "until": "", "as_of": "2026-11-21",
    }  # fmt: skip
    sheet(box, ",".join(row.values()), header=",".join(row))
    taking = box.take()
    assert buckets(taking.accounts[0]) == (1, 1, 0, 0, 0, 0)
    assert taking.notes == ()


def test_a_sheet_without_its_decisions_is_turned_away_by_name(box: Box) -> None:
    sheet(box, OPEN, header="item_id")
    reason = box.account().reason
    assert reason is not None and "decision" in reason


def test_answers_are_checked_against_the_last_published_night(
    box: Box, tmp_path: Path, maps: Maps
) -> None:
    path = sheet(box, f"{OPEN},done", f"{NEVER},done")
    scratch = tmp_path / "checking"
    scratch.mkdir()
    taking = check([path], Settings(), maps, NIGHT, scratch, lambda line: None, box.listed)
    assert buckets(taking.accounts[0]) == (2, 1, 0, 0, 0, 1)


CELLS = st.one_of(
    st.sampled_from(
        [
            OPEN, CLOSED, NEVER, "done", "Not our patient", "declined", "05/11/2026", "28.11.2026",
            "2026-11-21", "46354", "31/02/2026", "9999-99-99", "'=1", '"', '"a\nb"', "a;b", "", " ",
            "\0", "\r", "\u00e9", "\u00a0",
        ]
    ),
    st.text(max_size=5),
)  # fmt: skip
ANSWERS = st.builds(
    ",".join,
    st.tuples(
        st.sampled_from([OPEN, CLOSED]),
        st.sampled_from(["done", "declined", ""]),
        st.sampled_from(["", "x"]),
        st.sampled_from(["", "2026-11-21", "2026-11-22"]),
        st.sampled_from(["", "2026-11-20"]),
    ),
)
ROWS = st.lists(st.one_of(ANSWERS, st.lists(CELLS, max_size=6).map(",".join)), max_size=12)


@hypothesis.settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(files=st.lists(st.lists(ROWS, min_size=1, max_size=2), min_size=1, max_size=2))
def test_any_answers_in_any_files_are_accounted_for(
    box: Box, tmp_path: Path, maps: Maps, files: list[list[list[str]]]
) -> None:
    """Night after night; the store holds what the accounts say, and nothing stands twice."""
    shutil.rmtree(tmp_path / "any", ignore_errors=True)
    other = Box(tmp_path / "any", maps, Settings(limits=Limits(max_cell_bytes=1000)))
    other.listed = box.listed
    try:
        accounts = []
        for night, contents in enumerate(files):
            for number, rows in enumerate(contents):
                text = "\n".join(["item_id,decision,decision_note,decided_on,as_of", *rows, ""])
                name = f"feedback_{night}_{number}.csv"
                other.put(name, text.encode("utf-8", "surrogatepass"))
            accounts += other.take(NIGHT + timedelta(days=night)).accounts
        kept = [account for account in accounts if account.reason is None]
        assert other.warehouse.scalar(
            "SELECT (SELECT count(*) FROM core.feedback) + (SELECT count(*) FROM private.feedback)"
        ) == sum(account.n_accepted + account.n_superseded for account in kept)
        assert other.warehouse.scalar("SELECT count(*) FROM core.reject") == sum(
            account.n_rejected for account in kept
        )
        assert other.warehouse.scalar("SELECT count(*) FROM private.reject_row") == sum(
            account.n_rejected for account in kept
        )
        assert (
            other.rows(f"SELECT {COLUMNS} FROM core.feedback GROUP BY ALL HAVING count(*) > 1")
            == []
        )
        assert (
            other.rows(
                "SELECT item_id FROM core.feedback GROUP BY item_id, sheet_on, decided_on "
                "HAVING count(DISTINCT decision) > 1"
            )
            == []
        )
    finally:
        other.warehouse.close()


# A whole site: what it published comes back through a spreadsheet.

PEOPLE = ["007", "=2", "+4", "-5", "@six"]
EXTRACTS = {
    "patients_1.csv": "patient_id,birth_date,sex,clinic_id\n"
    + "".join(f"{person},1950-02-03,female,north\n" for person in PEOPLE),
    "conditions_1.csv": "patient_id,code,code_system,recorded_on\n"
    + "".join(f"{person},R20.2,icd10,2026-10-30\n" for person in PEOPLE),
    "medications_1.csv": "medication_id,patient_id,code,code_system,kind,started_on\n"
    "m1,007,C07AB02,atc,prescription,2026-10-30\n",
    "labs_1.csv": "result_id,patient_id,collected_at,code,value,unit\n"
    + "".join(
        f"m{person},{person},2026-10-30,13964-2,900,nmol/L\n"
        f"h{person},{person},2026-10-30,13965-9,31.5,umol/L\n"
        f"b{person},{person},2026-10-30,14685-2,<50,pmol/L\n"
        for person in PEOPLE
    ),
}
FIRST = date(2026, 11, 1)


def ran(site: Path, as_of: date) -> list[str]:
    moment = datetime(as_of.year, as_of.month, as_of.day, 2, 30, tzinfo=UTC)
    return run_night(site, as_of, moment, lambda step: None).findings


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("published") / "site"
    make_site(site)
    for name, text in EXTRACTS.items():
        (site / "inbox" / name).write_text(text, encoding="utf-8")
    assert ran(site, FIRST) == []
    return site


@pytest.fixture
def site(published: Path, tmp_path: Path) -> Path:
    root = tmp_path / "site"
    shutil.copytree(published, root, symlinks=True)
    return root


def north(site: Path) -> Path:
    return site / "published" / "current" / "worklists" / "north.csv"


def asked(site: Path, sql: str) -> list[tuple[object, ...]]:
    path = (site / "published" / "current" / "b12screen.duckdb").resolve()
    with Warehouse.open(path, read_only=True) as warehouse:
        return warehouse.rows(sql)


def test_a_sheet_of_ours_that_a_spreadsheet_saved_its_own_way_comes_back(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Semicolons, no BOM, days turned round, a column of somebody's own, blank cells cut off."""
    rows = list(csv.DictReader(io.StringIO(north(site).read_text(encoding="utf-8-sig"))))
    assert len(rows) >= len(PEOPLE)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(["Called by", *rows[0]])
    for n, row in enumerate(rows):
        for name, cell in row.items():
            if name == "as_of" or name.endswith("_on"):
                row[name] = "/".join(reversed(cell.split("-"))) if cell else cell
        row["decision"] = "Already treated" if n == 0 else ""
        row["decision_note"] = "'=SUM(A1)" if n == 0 else ""
        cells = ["somebody", *row.values()]
        writer.writerow(cells if n == 0 else cells[:-3])
    target = site / "inbox" / "feedback_north.csv"
    target.write_text(out.getvalue(), encoding="utf-8", newline="")

    before = sorted((site / "store").rglob("*"))
    assert main(["check", str(site), str(target), "--as-of", "2026-11-02"]) == 0
    printed = capsys.readouterr().out
    assert f"(feedback): {len(rows)} rows read, 0 accepted" in printed
    assert "feedback.date_order" in printed
    assert sorted((site / "store").rglob("*")) == before

    (site / "b12screen.toml").write_text('[feedback]\ndate_order = "day-first"\n')
    assert ran(site, date(2026, 11, 2)) == []
    assert asked(site, f"SELECT {COLUMNS}, file_name FROM core.feedback") == [
        (
            rows[0]["item_id"], "already_treated", "=SUM(A1)", date(2026, 11, 2), None, FIRST,
            "feedback_north.csv",
        )
    ]  # fmt: skip
    assert asked(
        site,
        "SELECT n_read, n_accepted, n_out_of_scope FROM run.source_file WHERE kind = 'feedback'",
    ) == [(len(rows), 1, len(rows) - 1)]
    assert asked(site, "SELECT n_read FROM run.night") == [(len(rows),)]


@pytest.mark.long
def test_a_site_of_before_answers_could_be_taken_goes_on(site: Path) -> None:
    item = next(row["item_id"] for row in read_sheet(north(site)))
    (state,) = (site / "store" / "generations").iterdir()
    database = (site / "published" / "current" / "b12screen.duckdb").resolve()
    database.chmod(0o640)
    for path, name in (
        (state / "state.duckdb", "core.feedback"),
        (state / "state.duckdb", "core.deferral"),
        (database, "core.feedback"),
        (database, "core.deferral"),
        (state / "private.duckdb", "main.feedback"),
        (state / "private.duckdb", "main.store_format"),
    ):
        with Warehouse.open(path) as warehouse:
            warehouse.execute(f"DROP TABLE {name}")
    assert main(["compare", str(site), "--rules", "ng239-2024"]) == 0
    (site / "inbox" / "feedback.csv").write_text(f"item_id,decision\n{item},done\n")
    assert ran(site, date(2026, 11, 2)) == []
    assert asked(site, "SELECT item_id, decision FROM core.feedback") == [(item, "done")]


@pytest.mark.long
def test_answers_are_no_feed_that_could_be_stale(site: Path) -> None:
    (item,) = {row["item_id"] for row in list(read_sheet(north(site)))[:1]}
    (site / "inbox" / "feedback.csv").write_text(f"item_id,decision\n{item},acknowledged\n")
    ran(site, date(2026, 11, 2))
    columns = asked(
        site, "SELECT column_name FROM duckdb_columns() WHERE table_name = 'night' AND "
        "column_name LIKE 'feedback%'",
    )  # fmt: skip
    assert columns == []
    assert [one for one in ran(site, date(2026, 11, 30)) if "feedback" in one] == []


def test_broken_answers_name_nobody(site: Path, capfd: pytest.CaptureFixture[str]) -> None:
    canary = "canary7734"
    item = next(row["item_id"] for row in read_sheet(north(site)))
    header = "item_id,decision,decision_note,decided_on,until,as_of\n"
    breakages = (
        f"{canary},done,,,,\n",
        f"{item},{canary},{canary},,,\n",
        f"{item},,{canary},,,\n",
        f"{item},done,,{canary},,\n",
        f"{item},done,,,{canary},\n",
        f"{item},done,,,,{canary}\n",
        f'{item},done,"{canary},,\n',
        f"{item},done,{canary},,,,,,{canary}\n",
        f"{item},done,{canary}\n",
    )
    for n, text in enumerate(breakages):
        (site / "inbox" / f"feedback_{n}.csv").write_text(header + text, encoding="utf-8")
    (site / "inbox" / "feedback_held.csv").write_text(header + breakages[1] * 30, encoding="utf-8")
    assert main(["check", str(site), "--as-of", "2026-11-02"]) == 20
    assert main(["run", str(site), "--as-of", "2026-11-02"]) == 20
    out, err = capfd.readouterr()
    assert "feedback_0.csv" in out and "feedback_held.csv" in err
    assert canary not in out + err
    assert canary not in (site / "published" / "current" / "manifest.json").read_text()
    assert asked(site, "SELECT decision_note FROM core.feedback") == [(canary,)]


SOFFICE = shutil.which("soffice") or shutil.which("libreoffice")


def through_libreoffice(path: Path, folder: Path, read: str, write: str, name: str) -> Path:
    """A file opened by LibreOffice with one filter and saved with another."""
    assert SOFFICE is not None
    profile = (folder / "profile").resolve().as_uri()
    subprocess.run(
        [
            SOFFICE, "--headless", f"-env:UserInstallation={profile}", f"--infilter={read}",
            "--convert-to", write, "--outdir", str(folder / name), str(path),
        ],
        check=True, capture_output=True, timeout=240,
    )  # fmt: skip
    (made,) = (folder / name).iterdir()
    return made


@pytest.mark.skipif(SOFFICE is None, reason="LibreOffice is not installed")
def test_a_sheet_that_libreoffice_opened_and_saved_comes_back_unharmed(
    site: Path, tmp_path: Path
) -> None:
    listed = list(read_sheet(north(site)))
    place = next(n for n, row in enumerate(listed, 1) if row["patient_id"] == "007")
    lines = north(site).read_bytes().decode("utf-8-sig").split("\r\n")
    lines[place] = lines[place].removesuffix(",,") + "Already treated,'=no,2026-12-24"
    sheet = tmp_path / "north.csv"
    sheet.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    # Read with what a cell is left to LibreOffice, as where somebody opens the file by a click.
    book = through_libreoffice(sheet, tmp_path, "CSV:44,34,76,1", "xlsx", "book")
    saved = through_libreoffice(
        book,
        tmp_path,
        "Calc MS Excel 2007 XML",
        "csv:Text - txt - csv (StarCalc):59,34,76,1",
        "csv",
    )
    (site / "inbox" / "feedback_north.csv").write_bytes(saved.read_bytes())
    back = list(csv.DictReader(io.StringIO(saved.read_text("utf-8-sig")), delimiter=";"))
    assert [row["item_id"] for row in back] == [row["item_id"] for row in listed]
    assert {row["b12_pmol_l"] for row in back} == {"<50"}
    # The guard holds; what looks like a number lost its zeros, and is not what an answer rests on.
    assert {row["patient_id"] for row in back} == {"7", *(f"'{person}" for person in PEOPLE[1:])}
    assert ran(site, date(2026, 11, 2)) == []
    assert asked(
        site,
        "SELECT item.patient_id, feedback.decision, feedback.decision_note, feedback.until, "
        "feedback.sheet_on FROM core.feedback AS feedback "
        "JOIN worklists.item AS item USING (item_id)",
    ) == [("007", "already_treated", "=no", date(2026, 12, 24), FIRST)]
