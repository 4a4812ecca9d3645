"""Rejected rows that would have changed what is known are findings, in counts."""

from datetime import date
from pathlib import Path

import pytest

from b12screen.settings import make_site
from tests.faults.conftest import deliver, night

from .inbox import NIGHT, Box

NEXT = date(2026, 11, 23)
LABS = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"
KNOWN = "r1,A,2026-11-01,2026-11-02,13964-2,500,nmol/L,final\n"
PEOPLE = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"


@pytest.mark.parametrize(
    "row",
    [
        "r1,A,2026-11-01,2026-11-03,13964-2,haemolysed,,corrected\n",
        "r1,A,2026-11-01,2026-11-03,,,,entered-in-error\n",
        "r1,A,2026-11-01,2026-11-03,13964-2,500,mg,corrected\n",
    ],
)
def test_a_version_that_cannot_be_read_of_a_known_result_is_a_finding(box: Box, row: str) -> None:
    box.put("labs_1.csv", LABS + KNOWN)
    assert box.take().findings == ()
    box.put("labs_2.csv", LABS + row)
    (finding,) = box.take(NEXT).findings
    assert finding.startswith("labs_2.csv: 1 of its rejected rows tell of results that are known")
    assert "r1" not in finding and "haemolysed" not in finding


def test_an_older_version_that_cannot_be_read_is_none(box: Box) -> None:
    box.put("labs_1.csv", LABS + KNOWN)
    box.take()
    row = "r1,A,2026-11-01,2026-11-01T08:00:00,13964-2,haemolysed,,preliminary\n"
    box.put("labs_2.csv", LABS + row + KNOWN)
    assert box.take(NEXT).findings == ()


def test_a_rejected_row_of_a_result_that_nobody_knows_is_none(box: Box) -> None:
    box.put("labs_1.csv", LABS + KNOWN)
    box.take()
    box.put("labs_2.csv", LABS + "r2,A,2026-11-01,2026-11-03,13964-2,haemolysed,,final\n")
    assert box.take(NEXT).findings == ()


@pytest.mark.parametrize(
    "cells",
    [
        "1950-01-01,female,C1,,yes",
        "1950-01-01,female,C1,02.11.2026,",
        "1950-01-01,female,C1,2026-11-32,false",
        "1950-99-01,female,C1,,true",
        "1950-01-01,divers,C1,2026-11-01,",
    ],
)
def test_a_death_or_an_opt_out_that_cannot_be_read_is_a_finding(box: Box, cells: str) -> None:
    box.put("patients_1.csv", f"{PEOPLE}A,{cells}\n")
    (finding,) = box.take(NIGHT).findings
    assert finding.startswith("patients_1.csv: 1 rejected rows of patients hold a deceased_on")


def test_another_fault_of_a_person_is_none(box: Box) -> None:
    box.put("patients_1.csv", f"{PEOPLE}A,1950-99-01,female,C1,,\n")
    assert box.take(NIGHT).findings == ()


def test_rows_that_were_all_rejected_keep_no_feed_fresh(tmp_path: Path) -> None:
    site, later = tmp_path / "site", date(2026, 12, 30)
    make_site(site)
    deliver(site, {"patients_1.csv": f"{PEOPLE}A,1950-01-01,female,C1,,\n"})
    night(site, NIGHT)
    deliver(
        site,
        {
            "patients_2.csv": f"{PEOPLE}A,1950-01-01,female,C1,,yes\n",
            "labs_2.csv": f"{LABS}r1,A,2026-12-29,2026-12-29,13964-2,500,nmol/L,final\n",
        },
    )
    (feeds,) = (line for line in night(site, later).summary if line.startswith("Feeds"))
    assert f"patients stale ({NIGHT})" in feeds
