"""Versions across files and nights: duplicates, corrections, cancellations, late arrivals."""

import os
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from b12screen.errors import AuditFailed
from b12screen.ingest import Again, keeping, take
from b12screen.maps import Maps
from b12screen.settings import Laboratory, Settings
from b12screen.warehouse import Warehouse
from schemas import ddl
from schemas.relation import RELATIONS

from .inbox import LAB_HEADER, NIGHT, ROW, Box, buckets

NEXT = date(2026, 11, 23)


def version(value: str, reported: str, status: str = "final", result: str = "R1") -> str:
    """A version of one B12 result."""
    return f"{result},P1,2026-11-01,{reported},14685-2,{value},pmol/L,{status}"


def current(box: Box) -> list[tuple[object, ...]]:
    return box.rows("SELECT result_id, value, status FROM core.lab_result ORDER BY result_id")


def older(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT value, CAST(taken_for AS VARCHAR), CAST(replaced_on AS VARCHAR) "
        "FROM private.lab_result ORDER BY ALL"
    )


def test_a_withdrawal_by_a_code_that_no_map_names_withdraws_the_result_of_its_key(box: Box) -> None:
    row = "{},{},2026-11-01,{},{},{},pmol/L,{}"
    known = [row.format(f"R{n}", f"P{n}", "2026-11-02", "14685-2", 412, "final") for n in range(6)]
    box.labs(*known)
    box.take()
    box.labs(
        row.format("R0", "P0", "2026-11-03", "CANC", "", "cancelled"),
        row.format("R1", "P1", "", "2345-7", "", "W"),
        # Somebody else's, an older one, another test, and one that revises nothing.
        row.format("R2", "P9", "2026-11-03", "CANC", "", "cancelled"),
        row.format("R3", "P3", "2026-11-01", "CANC", "", "cancelled"),
        row.format("R4", "P4", "2026-11-03", "2345-7", "3.1", "corrected"),
        row.format("R5", "P5", "2026-11-03", "2345-7", "3.1", "final"),
        row.format("R9", "P9", "2026-11-03", "CANC", "", "cancelled"),
        name="labs2.csv",
    )
    taking = box.take(NEXT)
    (account,) = taking.accounts
    assert buckets(account) == (7, 2, 0, 0, 5, 0)
    (finding,) = taking.findings
    assert finding.startswith("labs2.csv: 2 rows correct or withdraw results that are known, by")
    assert current(box) == [
        ("R0", None, "cancelled"),
        ("R1", None, "entered-in-error"),
        *((f"R{n}", 412.0, "final") for n in range(2, 6)),
    ]
    assert box.rows(
        "SELECT patient_id, code, CAST(collected_on AS VARCHAR) FROM core.lab_result "
        "WHERE status = 'cancelled'"
    ) == [("P0", "14685-2", "2026-11-01")]
    assert box.rows("SELECT sum(n) FROM core.unmapped_code") == [(5,)]
    # Read again the file says the same.
    again = box.take(NEXT + timedelta(days=1), Again(files=(box.inbox / "labs2.csv",)))
    assert [buckets(account)[1:4] for account in again.accounts] == [(0, 2, 0)]


def test_a_key_that_one_file_gives_to_a_result_and_to_another_test_withdraws_nothing(
    box: Box,
) -> None:
    """It may be the number of an order, whose potassium was cancelled."""
    box.labs(
        "R1,P1,2026-11-01,2026-11-02,14685-2,412,pmol/L,final",
        "R1,P1,2026-11-01,2026-11-02,2345-7,,mmol/L,cancelled",
    )
    taking = box.take()
    assert buckets(taking.accounts[0]) == (2, 1, 0, 0, 1, 0)
    (finding,) = taking.findings
    assert "Where one key is used for all tests of an order" in finding
    assert current(box) == [("R1", 412.0, "final")]


def test_what_no_longer_stands_is_not_told_to_stand(box: Box) -> None:
    box.labs("R1,P1,2026-11-01,2026-11-02,14685-2,,pmol/L,cancelled")
    box.take()
    box.labs("R1,P1,2026-11-01,2026-11-03,2345-7,3.1,mmol/L,corrected", name="labs2.csv")
    assert box.take(NEXT).findings == ()


@pytest.mark.parametrize("zone", ["Europe/London", "Australia/Sydney", "America/New_York"])
def test_what_lies_in_the_second_pass_of_a_repeated_hour_is_later(
    tmp_path: Path, maps: Maps, zone: str
) -> None:
    clock = ZoneInfo(zone)
    days = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(24 * 365))
    end = next(
        each
        for each in days
        if each.astimezone(clock).utcoffset()
        > (each + timedelta(hours=1)).astimezone(clock).utcoffset()
    )
    first, second = (
        (end + timedelta(minutes=minutes)).astimezone(clock).isoformat() for minutes in (45, 75)
    )
    box = Box(tmp_path / zone, maps, Settings(timezone=zone))
    box.labs(f"R1,P1,2026-03-01,{first},14685-2,412,pmol/L,final")
    box.take()
    box.labs(f"R1,P1,2026-03-01,{second},14685-2,,pmol/L,cancelled", name="labs2.csv")
    assert buckets(box.account(NEXT))[1:4] == (1, 0, 0)
    assert current(box) == [("R1", None, "cancelled")]
    ((kept_on,),) = box.rows("SELECT CAST(reported_at AS DATE) FROM core.lab_row")
    assert str(kept_on) == second[:10]
    box.warehouse.close()


def test_people_who_differ_by_blanks_alone_are_told(box: Box) -> None:
    header = "patient_id,birth_date,sex,clinic_id,opted_out\n"
    box.put("patients_1.csv", f"{header}P1,1950-01-01,female,C1,\n P7,1950-01-01,female,C1,\n")
    assert box.take().findings == ()
    box.put("patients_2.csv", f"{header}P1 ,1950-01-01,female,C1,true\n")
    box.labs(ROW.replace(",P1,", ",P7,"), ROW.replace("R1,P1,", "R2,P9  ,"))
    box.put(
        "conditions_1.csv", "patient_id,code,code_system,recorded_on\nP8 ,I10,icd10,2026-11-01\n"
    )
    (finding,) = box.take(NEXT).findings
    # P1, and P7 by its results.
    assert finding.startswith("2 people are named with blanks around their identifier")
    assert box.take(NEXT + timedelta(days=1)).findings == ()
    # The other way round: the one without blanks comes later.
    box.labs(ROW.replace("R1,P1,", "R3,P8,"), name="labs3.csv")
    (finding,) = box.take(NEXT + timedelta(days=2)).findings
    assert finding.startswith("1 people are named with blanks")


def test_the_same_file_is_not_taken_twice_whatever_its_name(box: Box) -> None:
    path = box.labs(ROW)
    box.take()
    assert (box.take().n_known, box.take().accounts) == (1, ())
    box.put("deep/labs_again.csv", path.read_bytes())
    taking = box.take(NEXT)
    assert (taking.n_known, taking.accounts) == (2, ())
    assert "deep/labs_again.csv has the content of labs.csv" in taking.notes[0]
    assert not box.take(NEXT).findings


def test_content_that_others_came_behind_is_a_finding_where_it_might_be_meant_anew(
    box: Box,
) -> None:
    nights = [NIGHT + timedelta(days=n) for n in range(5)]
    header = "patient_id,birth_date,sex,clinic_id,opted_out\n"
    out, back = (f"{header}A,1950-01-01,female,C1,{word}\n" for word in ("true", "false"))
    for number, text in enumerate((out, back)):
        box.put(f"patients_{number}.csv", text)
        box.take(nights[number])
    box.put("patients_2.csv", back)
    taking = box.take(nights[2])
    assert (len(taking.notes), taking.findings) == (1, ()), "nothing came behind it"
    box.put("patients_3.csv", out)
    taking = box.take(nights[3])
    assert taking.accounts == ()
    (finding,) = taking.findings
    assert "though 1 other file of patients came since" in finding
    # What the finding asks for.
    box.put("patients_4.csv", out + "\n")
    assert box.take(nights[4]).findings == ()
    assert box.rows("SELECT opted_out FROM core.patient") == [(True,)]


def test_a_key_that_is_used_for_somebody_else_of_another_day_is_a_finding(box: Box) -> None:
    row = "{},{},2026-11-{},,14685-2,{},pmol/L,{}"
    box.labs(
        row.format("R1", "P1", "01", 412, "final"),
        row.format("R2", "P1", "01", 500, "final"),
        row.format("R3", "P1", "01", 600, "final"),
    )
    assert box.take().findings == ()
    box.labs(
        row.format("R1", "P2", "02", 100, "final"),
        # A corrected person, and a corrected day.
        row.format("R2", "P2", "01", 500, "corrected"),
        row.format("R3", "P1", "02", 600, "corrected"),
        name="labs2.csv",
    )
    (finding,) = box.take(NEXT).findings
    assert finding.startswith("1 results came under the key of a result of somebody else")


def test_a_file_whose_rights_or_stamp_were_changed_is_no_content_come_again(box: Box) -> None:
    header = "patient_id,birth_date,sex,clinic_id,opted_out\n"
    for number, word in enumerate(("true", "false")):
        box.put(f"patients_{number}.csv", f"{header}A,1950-01-01,female,C1,{word}\n")
        box.take(NIGHT + timedelta(days=number))
    for path in box.inbox.iterdir():
        path.chmod(0o600)
        os.utime(path, (1, 1))
    taking = box.take(NIGHT + timedelta(days=2))
    assert (taking.accounts, taking.notes, taking.findings) == ((), (), ())
    # Under one name the content may change, and come back: then it was sent again.
    box.put("patients_0.csv", f"{header}A,1950-01-01,female,C1,\n")
    box.take(NIGHT + timedelta(days=3))
    box.put("patients_0.csv", f"{header}A,1950-01-01,female,C1,true\n")
    (finding,) = box.take(NIGHT + timedelta(days=4)).findings
    assert "other files of patients came since" in finding


def test_a_header_alone_is_a_delivery_each_time_it_is_sent(box: Box) -> None:
    header = LAB_HEADER + "\n"
    for number, night in enumerate((NIGHT, NEXT, date(2026, 11, 24))):
        box.put(f"labs_{number}.csv", header)
        taking = box.take(night)
        assert [account.file_name for account in taking.accounts] == [f"labs_{number}.csv"]
        assert buckets(taking.accounts[0]) == (0, 0, 0, 0, 0, 0)
    path = box.inbox / "labs_0.csv"
    path.unlink()
    path.write_text(header, encoding="utf-8")
    assert [account.file_name for account in box.take(date(2026, 11, 25)).accounts] == [
        "labs_0.csv"
    ]
    assert box.take(date(2026, 11, 25)).accounts == ()


def test_the_same_row_in_another_file_is_a_duplicate(box: Box) -> None:
    box.labs(ROW, ROW)
    assert buckets(box.account()) == (2, 1, 1, 0, 0, 0)
    box.labs(ROW, ROW.replace("R1", "R2"), name="labs2.csv")
    assert buckets(box.account()) == (2, 1, 1, 0, 0, 0)
    box.labs(ROW, ROW.replace("R1", "R2"), ROW, name="labs3.csv")
    assert buckets(box.account(NEXT)) == (3, 0, 3, 0, 0, 0)
    assert older(box) == []


def test_rising_versions_in_one_file_are_all_accepted_and_the_last_one_stands(box: Box) -> None:
    box.labs(version("100", "2026-11-02"), version("200", "2026-11-03"))
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)
    assert current(box) == [("R1", 200.0, "final")]
    assert older(box) == [(100.0, "2026-11-22", "2026-11-22")]


def test_a_version_that_comes_after_a_newer_one_is_superseded(box: Box) -> None:
    box.labs(version("200", "2026-11-03"), version("100", "2026-11-02"), version("50", ""))
    assert buckets(box.account()) == (3, 1, 0, 2, 0, 0)
    assert current(box) == [("R1", 200.0, "final")]
    box.labs(version("150", "2026-11-02T12:00"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 0, 0, 1, 0, 0)
    box.labs(version("100", "2026-11-02"), name="labs3.csv")
    assert buckets(box.account(NEXT)) == (1, 0, 1, 0, 0, 0)


def test_a_repeat_of_a_replaced_version_is_a_duplicate(box: Box) -> None:
    box.labs(version("100", "2026-11-02"))
    box.take()
    box.labs(version("200", "2026-11-03", "corrected"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert older(box) == [(100.0, "2026-11-22", "2026-11-23")]
    box.labs(version("100", "2026-11-02"), version("200", "2026-11-03", "C"), name="labs3.csv")
    assert buckets(box.account(NEXT)) == (2, 0, 2, 0, 0, 0)
    assert current(box) == [("R1", 200.0, "corrected")]


def undated(value: int, result: str = "R1") -> str:
    return version(str(value), "", result=result)


def test_a_result_that_goes_back_stands_as_it_was_and_the_night_says_so(box: Box) -> None:
    box.labs(undated(900), undated(300, "R2"))
    box.take()
    box.labs(undated(200), undated(300, "R2"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (2, 1, 1, 0, 0, 0)
    box.labs(undated(300, "R2"), undated(900), name="labs3.csv")
    taking = box.take(date(2026, 11, 24))
    assert buckets(taking.accounts[0]) == (2, 0, 2, 0, 0, 0)
    (finding,) = taking.findings
    assert finding.startswith("1 results went back to what an earlier version of them said")
    assert current(box) == [("R1", 900.0, "final"), ("R2", 300.0, "final")]
    assert box.rows("SELECT file_name FROM core.lab_result WHERE result_id = 'R1'") == [
        ("labs3.csv",)
    ]
    assert older(box) == [(200.0, "2026-11-23", "2026-11-24"), (900.0, "2026-11-22", "2026-11-23")]
    # Sent again as it stands, alone or behind what it was, it stays the row that it is.
    box.labs(undated(900), undated(450, "R3"), name="labs4.csv")
    box.labs(undated(200), undated(900), name="labs5.csv")
    assert box.take(date(2026, 11, 25)).findings == ()
    assert len(older(box)) == 2
    assert box.rows("SELECT file_name FROM core.lab_result WHERE result_id = 'R1'") == [
        ("labs3.csv",)
    ]


def test_within_one_file_the_last_row_stands_whatever_it_repeats(box: Box) -> None:
    box.labs(undated(305), undated(306), undated(305), undated(305))
    assert buckets(box.account()) == (4, 2, 2, 0, 0, 0)
    assert current(box) == [("R1", 305.0, "final")]
    assert box.rows("SELECT record FROM core.lab_result") == [(4,)]


def test_a_time_of_report_that_a_database_made_of_a_blank_is_none(box: Box) -> None:
    box.labs(version("90", "2026-11-02"))
    box.take()
    box.labs(version("900", "1900-01-01", "corrected"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", 900.0, "corrected")]
    assert box.rows("SELECT reported_at FROM core.lab_result") == [(None,)]


@pytest.mark.parametrize("status", ["amended", "corrected"])
def test_a_correction_that_does_not_say_when_corrects_what_was_sent_before_it(
    box: Box, status: str
) -> None:
    box.labs(version("90", "2026-11-02"))
    box.take()
    box.labs(version("900", "", status), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", 900.0, status)]
    # An older version that comes late is older still, and a later one the later.
    box.labs(version("80", "2026-11-01"), name="labs3.csv")
    assert buckets(box.account(date(2026, 11, 24))) == (1, 0, 0, 1, 0, 0)
    assert current(box) == [("R1", 900.0, status)]
    box.labs(version("300", "2026-11-03"), name="labs4.csv")
    assert buckets(box.account(date(2026, 11, 25))) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", 300.0, "final")]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_withdrawal_and_what_it_withdrew_count_in_the_order_that_they_are_sent_again(
    box: Box, status: str
) -> None:
    gone = version("", "", status)
    box.labs(version("100", "2026-11-02"), gone)
    box.take()
    box.labs(version("100", "2026-11-02"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 0, 1, 0, 0, 0)
    assert current(box) == [("R1", 100.0, "final")]
    box.labs(*[version("100", "2026-11-02")] * 2, gone, name="labs3.csv")
    assert buckets(box.account(date(2026, 11, 24))) == (3, 0, 3, 0, 0, 0)
    assert current(box) == [("R1", None, status)]


def many_turned_away(box: Box) -> None:
    """Three files: so many rows out of scope that a checkpoint would close the gaps they leave.

    Half of the results are cancelled in the same file.
    """
    for number in range(3):
        other = (
            f"S{number}_{i},P{i},2026-05-05,2026-11-02,9999-{i % 9},{i},mg/L,final"
            for i in range(100_000)
        )
        ours = [f"{number}_{i}" for i in range(20_000)]
        box.labs(
            *other,
            *(f"{key},P{key},2026-11-01,2026-11-02,14685-2,300,pmol/L,final" for key in ours),
            *(f"{key},P{key},2026-11-01,,14685-2,,pmol/L,cancelled" for key in ours[::2]),
            name=f"labs_{number}.csv",
        )


def test_rows_stay_where_they_lie_until_a_large_night_is_taken(box: Box) -> None:
    many_turned_away(box)
    assert box.take().findings == ()
    assert box.rows(
        "SELECT status, value, count(*), count(DISTINCT result_id) FROM core.lab_result "
        "GROUP BY ALL ORDER BY ALL"
    ) == [("cancelled", None, 30_000, 30_000), ("final", 300.0, 30_000, 30_000)]


def test_a_result_that_is_left_in_two_versions_ends_the_taking(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Warehouse, "rows_in_place", lambda warehouse: nullcontext())
    many_turned_away(box)
    with pytest.raises(AuditFailed, match=r"[0-9]+ results stand in more than one version"):
        box.take()


def test_a_file_that_is_taken_again_overtakes_no_repeat_of_what_stands(box: Box) -> None:
    box.labs(undated(200))
    box.take()
    box.labs(undated(900), name="labs2.csv")
    box.take(NEXT)
    path = box.labs(undated(200), undated(300, "R3"), name="labs3.csv")
    box.labs(undated(900), undated(300, "R2"), name="labs4.csv")
    assert box.take(date(2026, 11, 24)).findings == ()
    taking = box.take(date(2026, 11, 25), Again(files=(path,)))
    assert taking.findings == ()
    assert current(box)[0] == ("R1", 900.0, "final")


def test_a_file_that_is_taken_again_takes_nothing_back_to_what_it_was(box: Box) -> None:
    path = box.labs(undated(900))
    box.take()
    box.labs(undated(200), name="labs2.csv")
    box.take(NEXT)
    taking = box.take(date(2026, 11, 24), Again(files=(path,)))
    assert (taking.findings, current(box)) == ((), [("R1", 200.0, "final")])


def test_a_cancellation_replaces_the_result(box: Box) -> None:
    box.labs(version("100", "2026-11-02"), version("300", "2026-11-02", result="R2"))
    box.take()
    box.labs(version("", "2026-11-04", "cancelled"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", None, "cancelled"), ("R2", 300.0, "final")]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_withdrawal_that_does_not_say_when_withdraws_what_was_sent_before_it(
    box: Box, status: str
) -> None:
    box.labs(version("100", "2026-11-02"), version("", "", status))
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)
    assert current(box) == [("R1", None, status)]
    box.labs(version("300", "2026-11-03"), name="labs2.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    box.labs(version("200", "2026-11-02T12:00"), name="labs3.csv")
    assert buckets(box.account(NEXT)) == (1, 0, 0, 1, 0, 0)
    assert current(box) == [("R1", 300.0, "final")]
    # The second time it comes it is known already.
    box.labs(version("", "", status), ROW.replace("R1", "R2"), name="labs4.csv")
    assert buckets(box.account(NEXT)) == (2, 1, 1, 0, 0, 0)


def test_a_withdrawal_of_an_earlier_file_of_the_night_does_not_reach_a_later_one(box: Box) -> None:
    box.labs(version("100", "2026-11-02"), name="labs_b.csv")
    box.take()
    box.labs(version("", "", "cancelled"), name="labs_a.csv")
    assert buckets(box.account()) == (1, 0, 0, 1, 0, 0)
    assert current(box) == [("R1", 100.0, "final")]


@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_laboratory_that_the_settings_no_longer_name_is_said_once(
    box: Box, is_remembered: bool
) -> None:
    box.labs("R1,P1,2026-11-01,,14685-2,412,pmol/L,final")
    assert box.take().findings == ()
    if not is_remembered:
        # As in a store of before they were.
        box.forget_format()
        box.warehouse.execute("DELETE FROM private.named_laboratory")
    box.settings = Settings(laboratories={"central": Laboratory()})
    box.labs("R1,P1,2026-11-01,,14685-2,,,cancelled", name="labs2.csv")
    (finding,) = box.take(NEXT).findings
    assert finding.startswith("the settings no longer name the laboratory main, of which 1 results")
    assert "`b12screen retake`" in finding
    assert box.take(NEXT + timedelta(days=1)).findings == ()
    # What the finding asks for.
    box.settings = Settings()
    (found,) = box.take(NEXT + timedelta(days=2), Again(files=(box.inbox / "labs2.csv",))).findings
    assert "laboratory central" in found
    assert box.rows("SELECT laboratory, status FROM core.lab_result ORDER BY ALL")[-1] == (
        "main",
        "cancelled",
    )


def test_a_changed_timezone_is_said_once(box: Box) -> None:
    box.labs("R1,P1,2026-11-01T23:30:00Z,,14685-2,412,pmol/L,final")
    assert box.take().findings == ()
    box.settings = Settings(timezone="Europe/Berlin")
    (finding,) = box.take(NEXT).findings
    assert finding.startswith("the settings' timezone was UTC and is Europe/Berlin from this night")
    assert box.take(NEXT).findings == ()
    box.take(NEXT, Again(files=(box.inbox / "labs.csv",)))
    assert box.rows("SELECT CAST(collected_on AS VARCHAR) FROM core.lab_result") == [
        ("2026-11-02",)
    ]


def test_an_end_that_stands_for_none_is_none(box: Box) -> None:
    """Warehouses fill the column of an end, and say by a day far off that there is none yet."""
    box.put(
        "patients.csv",
        "patient_id,birth_date,sex,clinic_id,deceased_on\nP1,1950-01-02,F,north,9999-12-31\n",
    )
    box.put(
        "conditions.csv",
        "patient_id,code,code_system,recorded_on,resolved_on\n"
        "P1,R20.2,icd10cm,2026-06-01,2099-12-31\nP1,R26.0,icd10cm,2026-06-01,2028-06-01\n",
    )
    box.put(
        "medications.csv",
        "medication_id,patient_id,code,code_system,kind,started_on,ended_on\n"
        "M1,P1,B03BA01,atc,prescription,2026-06-01,9999-12-31T00:00:00\n"
        "M2,P1,B03BA01,atc,prescription,9999-12-31,\n",
    )
    assert [buckets(account) for account in box.take().accounts] == [
        (2, 1, 0, 0, 0, 1),
        (2, 1, 0, 0, 0, 1),
        (1, 1, 0, 0, 0, 0),
    ]
    ends = (
        "SELECT deceased_on FROM core.patient UNION ALL SELECT resolved_on FROM core.condition "
        "UNION ALL SELECT ended_on FROM core.medication"
    )
    assert box.rows(ends) == [(None,)] * 3
    assert [row[2] for row in box.rejects()] == ["resolved_on", "started_on"]


def test_a_blank_that_a_database_made_a_day_of_is_no_end(box: Box) -> None:
    box.put(
        "patients.csv",
        "patient_id,birth_date,sex,clinic_id,deceased_on\nP1,1950-01-02,F,north,1900-01-01\n"
        "P2,1950-01-02,F,north,1900-01-02\n",
    )
    box.put(
        "conditions.csv",
        "patient_id,code,code_system,recorded_on,resolved_on\n"
        "P1,Z99.2,icd10cm,2026-06-01,1900-01-01T00:00:00\n",
    )
    box.put(
        "medications.csv",
        "medication_id,patient_id,code,code_system,kind,started_on,ended_on\n"
        "M1,P1,B03BA01,atc,prescription,2026-06-01,01/01/1900\n"
        "M2,P1,B03BA01,atc,prescription,2026-06-01,1900-01-01\n",
    )
    box.take()
    ends = (
        "SELECT deceased_on::VARCHAR FROM core.patient UNION ALL SELECT resolved_on::VARCHAR "
        "FROM core.condition UNION ALL SELECT ended_on::VARCHAR FROM core.medication ORDER BY 1"
    )
    assert box.rows(ends) == [("1900-01-02",), (None,), (None,), (None,)]


def test_without_reporting_times_the_later_night_the_later_file_and_the_later_record_win(
    box: Box,
) -> None:
    box.labs(version("1000", ""), version("900", ""), name="labs_b.csv")
    box.labs(version("800", ""), version("700", ""), name="labs_a.csv")
    first, second = box.take().accounts
    assert (first.file_name, buckets(first)) == ("labs_a.csv", (2, 2, 0, 0, 0, 0))
    assert buckets(second) == (2, 2, 0, 0, 0, 0)
    assert current(box) == [("R1", 900.0, "final")]
    box.labs(version("600", ""), name="labs_0.csv")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", 600.0, "final")]


def test_a_second_attempt_of_a_night_gives_what_one_attempt_would_have_given(box: Box) -> None:
    box.labs(version("1000", ""), name="labs_b.csv")
    box.take()
    box.labs(version("800", ""), name="labs_a.csv")
    assert buckets(box.account()) == (1, 0, 0, 1, 0, 0)
    assert current(box) == [("R1", 1000.0, "final")]


def test_the_same_key_of_another_laboratory_is_another_result(box: Box) -> None:
    box.settings = Settings(laboratories={"main": Laboratory(), "north": Laboratory()})
    header = "laboratory,result_id,patient_id,collected_at,code,value,unit"
    box.labs(
        "main,R1,P1,2026-11-01,14685-2,100,pmol/L",
        "north,R1,P1,2026-11-01,14685-2,100,pmol/L",
        header=header,
    )
    assert buckets(box.account()) == (2, 2, 0, 0, 0, 0)


def test_patients_are_replaced_by_the_later_row_and_may_move_back(box: Box) -> None:
    header = "patient_id,name,birth_date,sex,clinic_id,opted_out\n"
    box.put(
        "patients_1.csv",
        header + "P1,CANARY,1950-01-02,F,north,true\nP2,x,,unknown,,\nP3,x,1960-01-01,,a,false\n",
    )
    assert buckets(box.account()) == (3, 3, 0, 0, 0, 0)
    box.put(
        "patients_2.csv",
        "patient_id,birth_date,sex,clinic_id\nP1,1950-01-02,female,south\nP2,,unknown,\n",
    )
    assert buckets(box.account(NEXT)) == (2, 1, 1, 0, 0, 0)
    assert box.rows(
        "SELECT patient_id, sex, clinic_id, opted_out FROM core.patient ORDER BY ALL"
    ) == [
        ("P1", "female", "south", True),
        ("P2", "unknown", None, False),
        ("P3", "unknown", "a", False),
    ]
    box.put("patients_3.csv", header + "P1,,1950-01-02,female,north,\nP1,,,female,north,\n")
    assert buckets(box.account(date(2026, 11, 24))) == (2, 2, 0, 0, 0, 0)
    assert box.rows(
        "SELECT clinic_id, opted_out, birth_date FROM core.patient WHERE patient_id = 'P1'"
    ) == [("north", False, None)]
    assert box.rows(
        "SELECT clinic_id, CAST(replaced_on AS VARCHAR) FROM private.patient ORDER BY ALL"
    ) == [
        ("north", "2026-11-23"),
        ("north", "2026-11-24"),
        ("south", "2026-11-24"),
    ]


@pytest.mark.parametrize("said", ["opted_out", "deceased_on"])
def test_an_opt_out_or_a_death_counts_though_a_row_without_the_column_came_first(
    box: Box, said: str
) -> None:
    header = "patient_id,birth_date,sex,clinic_id"
    box.put("patients_z.csv", f"{header}\nP1,1950-01-02,female,west\nP2,1950-01-02,male,west\n")
    box.take()
    word = {"opted_out": "true", "deceased_on": "2026-11-20"}[said]
    path = box.put("patients_a.csv", f"{header},{said}\nP1,1950-01-02,female,north,{word}\n")
    assert buckets(box.account()) == (1, 1, 0, 0, 0, 0)
    gone = f"SELECT clinic_id, {said} IS DISTINCT FROM NULL AND {said} <> FALSE FROM core.patient"
    gone = gone.replace(" AND deceased_on <> FALSE", "")
    assert box.rows(f"{gone} ORDER BY patient_id") == [("west", True), ("west", False)]
    # Named between the two, it says more of the opt-out or the death, and nothing of the clinic.
    box.put("patients_b.csv", f"{header},{said}\nP1,1950-01-02,female,south,\n")
    assert buckets(box.account()) == (1, 1, 0, 0, 0, 0)
    assert box.rows(f"{gone} ORDER BY patient_id") == [("west", False), ("west", False)]
    (again,) = box.take(NEXT, Again(files=(path,))).accounts
    assert buckets(again) == (1, 0, 0, 1, 0, 0)


FIRST_AND_OTHER = {
    "patients": (
        "patient_id,birth_date,sex,clinic_id", "P1,1950-01-02,F,north", "P1,1950-01-02,F,south",
        "SELECT clinic_id FROM core.patient", ("north",),
    ),
    "conditions": (
        "patient_id,code,code_system,recorded_on,resolved_on", "P1,R20.2,icd10cm,2026-06-01,",
        "P1,R20.2,icd10cm,2026-06-01,2026-07-01", "SELECT resolved_on FROM core.condition",
        (None,),
    ),
    "medications": (
        "medication_id,patient_id,code,code_system,kind,started_on",
        "M1,P1,B03BA03,atc,administration,2026-06-01",
        "M1,P1,B03BA03,atc,administration,2026-05-01",
        "SELECT CAST(started_on AS VARCHAR) FROM core.medication", ("2026-06-01",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FIRST_AND_OTHER)
def test_a_row_that_repeats_what_is_known_keeps_its_place_among_the_versions(
    box: Box, kind: str
) -> None:
    header, first, other, query, stands = FIRST_AND_OTHER[kind]
    box.put(f"{kind}_a.csv", f"{header}\n{first}\n")
    box.take()
    box.put(f"{kind}_c.csv", f"{header},note\n{first},x\n")
    assert buckets(box.account()) == (1, 0, 1, 0, 0, 0)
    box.put(f"{kind}_b.csv", f"{header}\n{other}\n")
    assert buckets(box.account()) == (1, 0, 0, 1, 0, 0)
    assert box.rows(query) == [stands]
    box.put(f"{kind}_d.csv", f"{header},note\n{other},x\n")
    assert buckets(box.account(NEXT)) == (1, 1, 0, 0, 0, 0)
    assert box.rows(query) != [stands]


def test_bad_patients_are_rejected(box: Box) -> None:
    header = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
    box.put(
        "patients.csv",
        header + "P1,1950-13-02,F,a,,\nP2,1950-01-02,lady,a,,\n,1950-01-02,F,a,,\n"
        "P4,1950-01-02,F,a,1850-01-01,\nP5,1950-01-02,F,a,,perhaps\nP6,1849-12-31,F,a,,\nP7,2026-11-22,M,a,2026-11-22,TRUE\n",
    )
    assert buckets(box.account()) == (7, 1, 0, 0, 0, 6)
    assert [row[2:] for row in box.rejects()] == [
        ("birth_date", "date"),
        ("sex", "known_word"),
        ("patient_id", "not_blank"),
        ("deceased_on", "plausible_date"),
        ("opted_out", "known_word"),
        ("birth_date", "plausible_date"),
    ]


def test_a_condition_is_resolved_by_a_later_row(box: Box) -> None:
    box.put(
        "conditions_1.csv",
        "patient_id,code,code_system,recorded_on\nP1,R20.2,ICD10CM,2026-06-01\n"
        "P1,Z99.9,icd10,2026-06-01\nP1,R20.2,read,2026-06-01\n",
    )
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    box.put(
        "conditions_2.csv",
        "patient_id,code,code_system,recorded_on,resolved_on\n"
        "P1,R20.2,icd10cm,2026-06-01,2026-09-01\nP1,Z99.9,icd10,2026-06-01,\n",
    )
    assert buckets(box.account(NEXT)) == (2, 1, 1, 0, 0, 0)
    box.put(
        "conditions_3.csv", "patient_id,code,code_system,recorded_on\nP1,R20.2,icd10cm,2026-06-01\n"
    )
    assert buckets(box.account(NEXT)) == (1, 0, 1, 0, 0, 0)
    assert box.rows(
        "SELECT code, CAST(resolved_on AS VARCHAR) FROM core.condition ORDER BY ALL"
    ) == [
        ("R20.2", "2026-09-01"),
        ("Z99.9", None),
    ]


def test_medications_are_checked_word_by_word(box: Box) -> None:
    header = "medication_id,patient_id,code,code_system,kind,started_on,name,dose,dose_unit,route\n"
    good = "M1,P1,B03BA03,atc,administration,2026-06-01,Hydroxocobalamin,1,mg,im"
    bad = {
        "kind": good.replace("administration", "gift"),
        "dose": good.replace(",1,", ",<1,"),
        "dose_unit": good.replace(",mg,", ",ml,"),
        "route": good.replace(",im", ",rectal"),
        "started_on": good.replace("2026-06-01", ""),
        "code_system": good.replace("atc", "bnf"),
        "medication_id": good.replace("M1", ""),
        "code": good.replace("B03BA03", " "),
    }
    box.put("medications.csv", header + "\n".join([good, *bad.values()]))
    assert buckets(box.account()) == (9, 1, 0, 0, 0, 8)
    assert [row[2] for row in box.rejects()] == list(bad)
    assert box.rows("SELECT dose, drug_name, ended_on FROM core.medication") == [
        (1.0, "Hydroxocobalamin", None)
    ]


def test_taking_again_on_the_same_night_keeps_every_account(box: Box) -> None:
    box.labs(ROW)
    box.take()
    box.labs(ROW.replace("R1", "R2"), name="labs2.csv")
    box.take(NIGHT)
    assert box.rows("SELECT file_name, n_accepted FROM run.source_file ORDER BY ALL") == [
        ("labs.csv", 1),
        ("labs2.csv", 1),
    ]


def test_the_published_view_has_the_declared_columns_and_types(box: Box) -> None:
    box.labs(ROW)
    box.take()
    declared = RELATIONS["core.lab_result"].columns
    assert box.rows(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'core' "
        "AND table_name = 'lab_result' AND database_name = current_database() ORDER BY column_index"
    ) == [(name, ddl.sql_type(column)) for name, column in declared.items()]


def test_words_keep_their_numbers_when_a_laboratory_joins(box: Box) -> None:
    box.labs(ROW)
    box.take()
    words = "SELECT * FROM core.lab_word ORDER BY word_id"
    before = box.rows(words)
    box.settings = Settings(laboratories={"aa": Laboratory(), **box.settings.laboratories})
    box.take(NEXT)
    after = box.rows(words)
    assert after[: len(before)] == before
    assert len(after) == 2 * len(before)


def test_a_blank_day_of_death_clears_it_beside_a_column_without_use(box: Box) -> None:
    header = "patient_id,birth_date,sex,clinic_id,name,deceased_on\n"
    box.put("patients_1.csv", header + "P1,1950-01-02,female,south,x,2026-11-01\n")
    box.put("patients_2.csv", header + "P1,1950-01-02,female,south,x,\n")
    box.take()
    assert box.rows("SELECT deceased_on FROM core.patient") == [(None,)]


@pytest.mark.parametrize("refusal", ["changes", "cannot be read"])
def test_a_file_turned_away_before_its_scan_takes_no_other_files_rows_along(
    box: Box, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    box.labs(ROW, name="labs_a.csv")
    path = box.labs(ROW.replace("R1", "R2"), name="labs_b.csv")
    real = take.__globals__["measured"]

    def measuring(file: Path) -> object:
        if file != path:
            return real(file)
        if refusal == "cannot be read":
            raise PermissionError(13, "Permission denied", str(path))
        measures = real(file)
        path.write_text(path.read_text() + ROW.replace("R1", "R3"))
        return measures

    monkeypatch.setitem(take.__globals__, "measured", measuring)
    accounts = box.take().accounts
    assert [(account.file_name, account.held) for account in accounts] == [
        ("labs_a.csv", False),
        ("labs_b.csv", True),
    ]
    assert box.rows("SELECT result_id FROM core.lab_result") == [("R1",)]


def told_and_kept(box: Box, nights: list[tuple[date, list[list[str]]]]) -> list[object]:
    """The accounts of each night's files, and at the end every version that is kept."""
    told: list[object] = []
    for night, files in nights:
        for number, rows in enumerate(files):
            box.labs(*rows, name=f"labs_{night}_{number}.csv")
        told += [(account.file_name, *buckets(account)) for account in box.take(night).accounts]
    columns = ddl.column_list(RELATIONS["core.lab_result"])
    told += box.rows(f"SELECT {columns} FROM core.lab_result ORDER BY ALL")
    told += box.rows(f"SELECT {columns}, replaced_on FROM private.lab_result ORDER BY ALL")
    return told


def standing(nights: list[tuple[date, list[list[str]]]]) -> dict[str, tuple[str, str]]:
    """The value and status of each result, by the order of versions over every row as it was sent.

    The rows are those of :func:`version`. A correction or cancellation without a time of report
    stands behind all that was sent before it.
    """
    told: dict[str, list[tuple[str, int, str, str]]] = {}
    newest: dict[str, str] = {}
    rows = (row for _, files in nights for rows in files for row in rows)
    for place, row in enumerate(rows):
        result, _, _, reported, _, value, _, status = row.split(",")
        newest[result] = max(newest.get(result, ""), reported)
        counts_from = reported if reported or status == "final" else newest[result]
        told.setdefault(result, []).append((counts_from, place, value, status))
    return {result: max(versions)[2:] for result, versions in told.items()}


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 6))]
)
def test_however_a_night_is_compared_with_the_history_it_comes_out_alike(
    tmp_path: Path, maps: Maps, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = Random(seed)
    known: list[str] = []
    nights = []
    for days in range(4):
        files = []
        for _ in range(2):
            new = [
                version(
                    chance.choice(["200", "300", "<50"]),
                    chance.choice(["", "2026-11-02", "2026-11-03"]),
                    chance.choice(["final", "corrected", "cancelled"]),
                    f"R{chance.randrange(12)}",
                )
                for _ in range(5)
            ]
            known += new
            # Everything that was sent before comes again, as from a laboratory that sends it all.
            files.append(chance.sample(known, len(known)))
        nights.append((NIGHT + timedelta(days), files))
    found = []
    for name, much, at_once in (("dropped", 100, 1000), ("ordered", 0, 1000), ("parts", 100, 3)):
        monkeypatch.setattr(keeping, "MUCH_OF_HISTORY", much)
        monkeypatch.setattr(keeping, "ROWS_AT_ONCE", at_once)
        monkeypatch.setattr(keeping, "RESULTS_AT_ONCE", at_once)
        box = Box(tmp_path / name, maps)
        found.append(told_and_kept(box, nights))
        stands = {
            result: (str(as_sent), status)
            for result, as_sent, status in box.rows(
                "SELECT result_id, CASE WHEN status = 'cancelled' THEN '' WHEN comparator = '<' "
                "THEN '<50' ELSE CAST(CAST(value AS INTEGER) AS VARCHAR) END, status "
                "FROM core.lab_result"
            )
        }
        assert stands == {
            result: ("" if status == "cancelled" else value, status)
            for result, (value, status) in standing(nights).items()
        }
        box.warehouse.close()
    assert found[0] == found[1] == found[2]
    assert sum(row[3] for row in found[0] if isinstance(row, tuple) and len(row) == 7) > 100
