"""What two clinics were told and answered of one person, and why a row is said to be closed."""

import json
from collections.abc import Iterator
from datetime import date

import duckdb
import pytest

from b12screen.settings import SETTINGS_FILE, make_site
from tests.night.test_items import (
    ASSESS,
    CONDITIONS,
    LABS,
    MEDICATIONS,
    PATIENTS,
    TOLD,
    N,
    Story,
    hcy,
    home,
    mma,
    other,
)

pytestmark = pytest.mark.long

KIDNEY, RECHECK = "check_kidney", "recheck_due"
MOVED = ("late_sheet", "late_refusal", "two_told", "two_refused", "back_again")
STAYED = ("forgotten", "back_and_well", "late_dose", "rules", "kidney_known", "twice_said")
TREATED = ("corrected_up", "corrected_little", "first_raised")
NEXT_YEAR = date(2027, 11, 5)


def well(person: str, day: date) -> str:
    return mma(person, 100, f"{day}") + hcy(person, 8, f"{day}")


def dose(person: str, day: str) -> str:
    return f"d-{person}-{day},{person},B03BA03,atc,administration,{day},im\n"


def rows(story: Story, n: date, person: str, action: str) -> dict[str | None, tuple[str, str]]:
    """By clinic, what became of a person's row: open, or why it was closed; and its item."""
    return {
        row["clinic_id"]: (row["close_reason"] or row["item_state"], row["item_id"])
        for row in story.items[n]
        if (row["patient_id"], row["action"]) == (person, action)
    }


def fates(story: Story, n: date, person: str, action: str = ASSESS) -> dict[str | None, str]:
    return {clinic: fate for clinic, (fate, _) in rows(story, n, person, action).items()}


def sheet(sheet_on: date, *said: tuple[str, ...]) -> str:
    lines = [f"{item},{decision},{sheet_on},{until}" for item, decision, until in said]
    return "\n".join(("item_id,decision,as_of,until", *lines)) + "\n"


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("clinics") / "site"
    make_site(root)
    told = Story(root)
    told.run(
        N[0],
        patients=PATIENTS + "".join(home(person) for person in (*MOVED, *STAYED, *TREATED)),
        labs=LABS
        + "".join(mma(person, 900) + hcy(person, 30) for person in (*MOVED, *STAYED))
        + "".join(mma(person, 300) for person in TREATED[:2]),
        conditions=CONDITIONS + "somebody,I10,icd10cm,2026-06-01\n",
        medications=MEDICATIONS + "".join(dose(person, "2026-08-20") for person in TREATED),
    )
    rests = [
        (rows(told, N[0], person, RECHECK)["north"][1], "declined", f"{N[60]}")
        for person in TREATED
    ]
    told.run(
        N[1],
        patients=PATIENTS + "".join(home(person, "south") for person in MOVED),
        labs=LABS
        + mma("two_told", 950, f"{N[1]}")
        + mma("two_refused", 950, f"{N[1]}")
        + mma("forgotten", 900, status="cancelled", reported=f"{N[1]}"),
        feedback=sheet(
            N[0], *rests, (told.of(N[0], "back_and_well")["item_id"], "declined", f"{N[2]}")
        ),
    )
    late = rows(told, N[1], "back_again", ASSESS)
    assert late["south"][0] == "open"
    told.run(
        N[2],
        labs=LABS
        + mma("two_told", 900, status="cancelled", reported=f"{N[2]}")
        + mma("two_told", 950, f"{N[1]}", status="cancelled", reported=f"{N[2]}")
        + mma("two_refused", 900, status="cancelled", reported=f"{N[2]}")
        + mma("two_refused", 950, f"{N[1]}", status="cancelled", reported=f"{N[2]}")
        + mma("back_again", 900, status="cancelled", reported=f"{N[2]}")
        + mma("corrected_up", 900, status="corrected", reported=f"{N[2]}")
        + mma("corrected_little", 250, status="corrected", reported=f"{N[2]}")
        + mma("first_raised", 900, f"{N[2]}")
        + other("kidney_known", "14682-9", 70, "umol/L", "2026-10-20"),
        feedback=told.answers(N[1], ("late_sheet", "done"), ("late_refusal", "deferred")),
        medications=MEDICATIONS + dose("late_dose", "2026-10-30"),
    )
    again = rows(told, N[2], "two_told", TOLD)
    refused = rows(told, N[2], "two_refused", TOLD)
    told.run(
        N[3],
        patients=PATIENTS + home("back_again", "west"),
        labs=LABS
        + mma("back_again", 900, status="corrected", reported=f"{N[3]}")
        + well("back_and_well", N[3])
        + other("back_and_well", "14682-9", 70, "umol/L", f"{N[3]}"),
        feedback=sheet(
            N[0],
            (told.of(N[0], "late_sheet")["item_id"], "declined", ""),
            (told.of(N[0], "late_refusal")["item_id"], "not_our_patient", ""),
        )
        + "\n".join(
            sheet(
                N[2],
                (again["south"][1], "acknowledged", ""),
                *((item, "not_our_patient", "") for _, item in refused.values()),
            ).splitlines()[1:]
        )
        + "\n",
    )
    (root / "ours.toml").write_text(
        'based_on = "praxis-2025"\n[thresholds.mma_marked]\nanalyte = "mma"\nform = "above"\n'
        'value = 751\nunit = "nmol/L"\nmeaning = "a little more than praxis"\n'
        'assumption = "to see who moves"\n'
    )
    settings = root / SETTINGS_FILE
    settings.write_text(
        "\n".join(
            'ruleset = "ours.toml"' if line.startswith("ruleset") else line
            for line in settings.read_text().splitlines()
        )
    )
    told.run(
        N[4],
        labs=LABS + other("rules", "14682-9", 70, "umol/L", "2026-10-20"),
        feedback=sheet(N[3], (again["north"][1], "done", "")),
    )
    said = told.of(N[4], "twice_said")["item_id"]
    told.run(N[5], feedback=sheet(N[3], (said, "declined", f"{N[40]}")))
    told.run(N[5], feedback=sheet(N[4], (said, "deferred", f"{N[20]}")))
    told.run(N[6])
    told.run(NEXT_YEAR)
    yield told


def test_manifest_and_history_tell_rules_of_one_name_apart(story: Story) -> None:
    current = story.site / "published" / "current"
    rules = json.loads((current / "manifest.json").read_text())["rules"]
    with duckdb.connect(str(current / "b12screen.duckdb"), read_only=True) as database:
        told = database.execute("SELECT version, sha256 FROM rules.ruleset").fetchall()
        past = database.execute(
            "SELECT ruleset_sha256 FROM history.night ORDER BY as_of"
        ).fetchall()
    assert [tuple(rules.values())] == told
    assert past[-1] == (rules["sha256"],)
    assert past[0] == past[3] != past[4]


def test_each_clinic_is_told_again_of_what_it_was_told(story: Story) -> None:
    assert fates(story, N[2], "two_told", TOLD) == {"north": "open", "south": "open"}
    why = {
        row["clinic_id"]: row["why"]
        for row in story.items[N[2]]
        if (row["patient_id"], row["action"]) == ("two_told", TOLD)
    }
    assert "900 nmol/L" in why["north"]
    assert "950 nmol/L" not in why["north"]
    assert "950 nmol/L" in why["south"]
    assert "900 nmol/L" not in why["south"]


def test_what_one_clinic_acknowledges_is_still_open_at_the_other(story: Story) -> None:
    assert fates(story, N[3], "two_told", TOLD) == {"north": "open", "south": "done"}
    assert fates(story, N[4], "two_told", TOLD) == {"north": "done", "south": "done"}


def test_a_withdrawal_stands_until_it_is_acknowledged_however_long_that_takes(story: Story) -> None:
    assert story.at(N[1], "forgotten", TOLD) == ("north", "new")
    assert fates(story, NEXT_YEAR, "forgotten", TOLD) == {"north": "open"}


def test_two_withdrawals_may_both_wait_for_a_clinic(story: Story) -> None:
    open_rows = [
        row["item_id"]
        for row in story.items[N[3]]
        if (row["patient_id"], row["action"], row["item_state"]) == ("two_refused", TOLD, "open")
    ]
    assert len(set(open_rows)) == 2
    assert {row["item_id"] for row in story.sheets[N[3]]["unrouted"]} >= set(open_rows)


def test_a_value_that_stands_again_elsewhere_is_still_told_to_who_was_told_it_was_withdrawn(
    story: Story,
) -> None:
    assert fates(story, N[2], "back_again", TOLD) == {"south": "open"}
    assert story.at(N[3], "back_again") == ("west", "new")
    assert fates(story, N[3], "back_again", TOLD) == {"south": "open"}
    assert fates(story, N[4], "back_again", TOLD) == {"south": "open"}


def test_of_two_sheets_of_one_name_the_later_one_counts(story: Story) -> None:
    row = story.of(N[6], "twice_said")
    assert (row["decision"], row["until"]) == ("deferred", N[20])


def test_a_late_sheet_of_the_clinic_before_undoes_nothing(story: Story) -> None:
    assert fates(story, N[3], "late_sheet") == {"north": "moved", "south": "done"}
    assert fates(story, N[4], "late_sheet") == {"north": "moved", "south": "done"}
    assert story.of(N[3], "late_refusal")["item_state"] == "resting"
    assert story.of(N[3], "late_refusal")["clinic_id"] == "south"


def test_a_marker_that_was_corrected_upwards_wakes_a_row_of_somebody_on_treatment(
    story: Story,
) -> None:
    for person in TREATED:
        assert story.at(N[1], person, RECHECK) is None, person
    assert story.at(N[2], "corrected_up", RECHECK) == ("north", "reopened")
    assert story.at(N[2], "corrected_little", RECHECK) is None


def test_a_first_raised_marker_wakes_a_row_of_somebody_on_treatment(story: Story) -> None:
    assert story.at(N[2], "first_raised", RECHECK) == ("north", "reopened")


def test_an_answer_that_has_ended_is_not_why_a_row_was_closed(story: Story) -> None:
    assert story.at(N[2], "back_and_well") == ("north", "reopened")
    row = story.of(N[3], "back_and_well")
    assert (row["close_reason"], row["until"]) == ("resolved_by_result", None)


def test_a_dose_that_becomes_known_later_is_why_a_row_was_closed(story: Story) -> None:
    assert story.of(N[2], "late_dose")["close_reason"] == "treated"


def test_what_a_result_resolves_was_not_superseded_by_a_row_that_stands(story: Story) -> None:
    assert story.at(N[2], "kidney_known") is not None
    assert story.of(N[2], "kidney_known", KIDNEY)["close_reason"] == "resolved_by_result"


def test_other_rules_under_whatever_name_are_the_change_of_rules(story: Story) -> None:
    assert story.of(N[3], "rules", KIDNEY)["item_state"] == "open"
    assert story.of(N[4], "rules", KIDNEY)["close_reason"] == "rule_change"
