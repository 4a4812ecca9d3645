"""Rows of people on treatment, night by night: reasons name what the sheet has no column for."""

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from b12screen.night import run_night
from b12screen.settings import make_site

FIRST = date(2026, 11, 20)
LABS = "result_id,patient_id,collected_at,code,value,unit\n"
BEFORE = {"13964-2": ("2026-05-20", 800), "13965-9": ("2026-10-01", 9)}
SINCE = {"13964-2": 900, "33914-3": 90, "718-7": 140, "787-2": 90}
UNITS = {"13964-2": "nmol/L", "33914-3": "mL/min/{1.73_m2}", "718-7": "g/L", "787-2": "fL"}
DOSES = ("2026-06-01", "2026-06-03", "2026-06-05", "2026-06-07", "2026-06-09", "2026-06-11",
         "2026-09-10")  # fmt: skip
# Declined and then risen; declined and risen by less than half; nobody answered; put into words by
# its haemoglobin alone.
PEOPLE = ("risen", "less", "unanswered", "anaemic")
ANAEMIC = ("anaemic", "718-7")
ON_TREATMENT = ("review_response", "review_treatment")

# Short: the scenarios of the way back in tests/spec.
pytestmark = pytest.mark.long

Rows = list[dict[str, str]]


def result(person: str, code: str, value: float, day: str) -> str:
    return f"{person}-{code}-{day},{person},{day},{code},{value},{UNITS.get(code, 'umol/L')}\n"


def night(site: Path, as_of: date) -> Rows:
    run_night(site, as_of, datetime.combine(as_of, datetime.min.time(), UTC), lambda step: None)
    sheets = sorted((site / "published" / "current" / "worklists").glob("north.csv"))
    return [
        row
        for sheet in sheets
        for row in csv.DictReader(sheet.open(encoding="utf-8-sig", newline=""))
    ]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Rows]:
    """The clinic's rows of the first night, of the one after its answers, and of new results."""
    site = tmp_path_factory.mktemp("on_treatment") / "site"
    make_site(site)
    inbox = site / "inbox"
    (inbox / "patients_1.csv").write_text(
        "patient_id,birth_date,sex,clinic_id\n"
        + "".join(f"{person},1960-01-01,female,north\n" for person in PEOPLE)
    )
    (inbox / "medications_1.csv").write_text(
        "medication_id,patient_id,code,code_system,kind,started_on,dose,dose_unit,route\n"
        + "".join(
            f"{person}{n},{person},B03BA03,atc,administration,{day},1,mg,im\n"
            for person in PEOPLE
            for n, day in enumerate(DOSES)
        )
    )
    (inbox / "labs_1.csv").write_text(
        LABS
        + "".join(
            result(person, code, value, day)
            for person in PEOPLE
            for code, (day, value) in BEFORE.items()
        )
        + "".join(
            result(person, code, 119 if (person, code) == ANAEMIC else value, "2026-10-01")
            for person in PEOPLE
            for code, value in SINCE.items()
        )
    )
    first = night(site, FIRST)
    until = FIRST + timedelta(days=80)
    (inbox / "feedback_1.csv").write_text(
        "item_id,decision,decided_on,until\n"
        + "".join(
            f"{row['item_id']},declined,{FIRST},{until}\n"
            for row in first
            if row["patient_id"] in ("risen", "less")
        )
    )
    second = night(site, FIRST + timedelta(days=1))
    (inbox / "labs_2.csv").write_text(
        LABS
        + result("risen", "13964-2", 1350, "2026-11-22")
        + result("less", "13964-2", 1340, "2026-11-22")
        + result("unanswered", "13964-2", 1340, "2026-11-22")
        + result("anaemic", "718-7", 90, "2026-11-22")
    )
    return [first, second, night(site, FIRST + timedelta(days=2))]


def of(rows: Rows, person: str, *actions: str) -> dict[str, dict[str, str]]:
    return {
        row["action"]: row
        for row in rows
        if row["patient_id"] == person and (not actions or row["action"] in actions)
    }


def test_a_declined_row_on_treatment_comes_back_where_a_marker_is_up_by_half(
    nights: list[Rows],
) -> None:
    first, second, third = nights
    assert of(first, "risen", *ON_TREATMENT).keys() == set(ON_TREATMENT)
    assert of(second, "risen") == of(second, "less") == {}
    assert of(third, "risen", *ON_TREATMENT).keys() == set(ON_TREATMENT)
    assert all(
        "MMA 1350 nmol/L on 2026-11-22" in row["why"]
        for row in of(third, "risen", *ON_TREATMENT).values()
    )
    assert of(third, "less") == {}


def test_a_row_is_changed_where_only_its_reason_names_the_value_that_changed(
    nights: list[Rows],
) -> None:
    _, second, third = nights
    assert {row["state"] for row in of(second, "unanswered").values()} == {"carried"}
    assert {row["state"] for row in of(third, "unanswered", *ON_TREATMENT).values()} == {"changed"}
    haemoglobin = [row for row in of(third, "anaemic").values() if "Hb 90 g/L" in row["why"]]
    assert haemoglobin and {row["state"] for row in haemoglobin} == {"changed"}
