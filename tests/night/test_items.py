"""Items over weeks: what a clinic answered, what that keeps off its list, and what brings it back.

One site, run night after night; every person is one story. Nobody is diagnosed or treated unless
the story says so, and each person's markers of October ask for one row on every night.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from b12screen.deferral import declare
from b12screen.publish import Site
from b12screen.rules import load_ruleset
from b12screen.settings import make_site
from b12screen.worklists import read_sheet
from tests.faults.conftest import night

FIRST = date(2026, 11, 1)
ASSESS, NEURO, HCY, TOLD = (
    "start_b12_assess",
    "start_b12_neuro",
    "review_homocysteine",
    "result_withdrawn",
)
PLAIN = (
    "silent", "defer", "defer_to", "defer_far", "decline", "done", "dosed", "not_ours", "worse",
    "not_worse", "anaemic", "mover", "resting_mover", "cancelled", "corrected", "mistaken",
    "twice", "tested", "late", "dead", "moved_cancelled", "same_again",
)  # fmt: skip
URGENT = ("urgent_defer", "urgent_done", "urgent_code")
# Rows that the site puts off as a whole; the last one comes while it does.
PUT_OFF = tuple(f"homocysteine_{n:02}" for n in range(20))
LATER = "homocysteine_later"

LABS = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"
PATIENTS = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
CONDITIONS = "patient_id,code,code_system,recorded_on\n"
MEDICATIONS = "medication_id,patient_id,code,code_system,kind,started_on,route\n"


def mma(person: str, value: float, day: str = "2026-10-20", **more: str) -> str:
    key = more.get("key", f"m-{person}-{day}")
    status, reported = more.get("status", "final"), more.get("reported", day)
    return f"{key},{person},{day},{reported},13964-2,{value},nmol/L,{status}\n"


def other(person: str, code: str, value: float, unit: str, day: str = "2026-10-20") -> str:
    return f"{code}-{person}-{day},{person},{day},{day},{code},{value},{unit},final\n"


def hcy(person: str, value: float, day: str = "2026-10-20") -> str:
    return other(person, "13965-9", value, "umol/L", day)


def home(person: str, clinic: str = "north", died: str = "", opted_out: str = "false") -> str:
    return f"{person},1950-02-03,female,{clinic},{died},{opted_out}\n"


@dataclass
class Story:
    """A site and what each of its nights left behind."""

    site: Path
    items: dict[date, list[dict[str, Any]]] = field(default_factory=dict)
    sheets: dict[date, dict[str, list[dict[str, str]]]] = field(default_factory=dict)
    summaries: dict[date, list[str]] = field(default_factory=dict)

    def run(self, as_of: date, **extracts: str) -> None:
        for kind, text in extracts.items():
            (self.site / "inbox" / f"{kind}_{as_of}.csv").write_text(text, encoding="utf-8")
        self.summaries[as_of] = night(self.site, as_of).summary
        current = self.site / "published" / "current"
        with duckdb.connect(str(current / "b12screen.duckdb"), read_only=True) as database:
            found = database.execute(
                "SELECT * FROM worklists.item ORDER BY patient_id, action, clinic_id"
            )
            names = [column[0] for column in found.description]
            self.items[as_of] = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        self.sheets[as_of] = {
            path.stem: list(read_sheet(path)) for path in (current / "worklists").glob("*.csv")
        }

    def of(self, as_of: date, person: str, action: str = ASSESS) -> dict[str, Any]:
        """The one item of a person that is not closed by a move."""
        (row,) = (
            row
            for row in self.items[as_of]
            if (row["patient_id"], row["action"]) == (person, action)
            and row["close_reason"] not in ("moved", "not_our_patient")
        )
        return row

    def at(self, as_of: date, person: str, action: str = ASSESS) -> tuple[str, str] | None:
        """The sheet that lists a person's row, and the row's state there."""
        found = [
            (sheet, row["state"])
            for sheet, rows in sorted(self.sheets[as_of].items())
            for row in rows
            if (row["patient_id"], row["action"]) == (person, action)
        ]
        assert len(found) < 2, found
        return found[0] if found else None

    def answers(self, as_of: date, *said: tuple[str, ...]) -> str:
        """A sheet sent back: (person, decision, until, action) for rows of the night ``as_of``."""
        lines = ["item_id,decision,decision_note,until,as_of"]
        for person, decision, *more in said:
            until, action = (*more, "", "")[0], (*more, "", "")[1] or ASSESS
            row = self.of(as_of, person, action)
            lines.append(f"{row['item_id']},{decision},,{until},{as_of}")
        return "\n".join(lines) + "\n"


# Twenty nights; what they hold is shorter in tests/spec/8-the-way-back.md.
pytestmark = pytest.mark.long

N = {n: FIRST + timedelta(days=n) for n in range(120)}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    root = tmp_path_factory.mktemp("weeks") / "site"
    make_site(root)
    told = Story(root)
    everybody = (*PLAIN, *URGENT, "right_person", *PUT_OFF, LATER)
    told.run(
        N[0],
        patients=PATIENTS + "".join(home(person) for person in everybody),
        labs=LABS
        + "".join(mma(person, 900) + hcy(person, 30) for person in (*PLAIN, *URGENT))
        + "".join(mma(person, 100) + hcy(person, 30) for person in PUT_OFF),
        conditions=CONDITIONS
        + "".join(f"{person},R20.2,icd10cm,2026-06-01\n" for person in URGENT),
        medications=MEDICATIONS + "x1,somebody,B03BA03,atc,administration,2025-01-01,im\n",
    )
    ruleset = load_ruleset("praxis-2025")
    declare(Site(root), ruleset, HCY, N[20], "stock-out", N[0])
    told.run(
        N[1],
        feedback=told.answers(
            N[0],
            ("defer", "deferred"),
            ("defer_to", "deferred", f"{N[31]}"),
            ("defer_far", "deferred", f"{N[110]}"),
            ("decline", "declined"),
            ("done", "done"),
            ("dosed", "already_treated"),
            ("not_ours", "not_our_patient"),
            ("worse", "deferred", f"{N[60]}"),
            ("not_worse", "deferred", f"{N[60]}"),
            ("anaemic", "deferred", f"{N[60]}"),
            ("resting_mover", "deferred", f"{N[60]}"),
            ("cancelled", "done"),
            ("twice", "deferred", f"{N[60]}"),
            ("tested", "done"),
            ("urgent_defer", "deferred", f"{N[60]}", NEURO),
            ("urgent_done", "done", "", NEURO),
            ("urgent_code", "deferred", f"{N[14]}", NEURO),
        ),
    )
    told.run(N[2], labs=LABS + mma(LATER, 100) + hcy(LATER, 30))
    told.run(
        N[4],
        patients=PATIENTS
        + home("mover", "south")
        + home("resting_mover", "south")
        + home("moved_cancelled", "south")
        + home("dead", died=f"{N[3]}"),
        labs=LABS
        + mma("worse", 1350, f"{N[3]}")
        + mma("not_worse", 1349, f"{N[3]}")
        + other("anaemic", "718-7", 79, "g/L", f"{N[3]}")
        + mma("cancelled", 900, status="cancelled", reported=f"{N[3]}")
        + mma("moved_cancelled", 900, status="entered-in-error", reported=f"{N[3]}")
        + mma("corrected", 90, status="corrected", reported=f"{N[3]}")
        + mma("same_again", 900, status="corrected", reported=f"{N[3]}")
        + mma("right_person", 900, key="m-mistaken-2026-10-20", reported=f"{N[3]}"),
        conditions=CONDITIONS + "urgent_code,R26.0,icd10cm,2026-09-01\n",
        medications=MEDICATIONS + f"d1,dosed,B03BA03,atc,administration,{N[3]},im\n",
        feedback=told.answers(N[2], ("twice", "declined", f"{N[5]}"), ("late", "deferred")),
    )
    told.run(
        N[5],
        patients=PATIENTS + home("not_ours", "west"),
        feedback=told.answers(
            N[4],
            ("cancelled", "done", "", TOLD),
            ("corrected", "deferred", f"{N[60]}", TOLD),
            ("moved_cancelled", "acknowledged", "", TOLD),
        ),
    )
    for n in (7, 8, 14, 15, 16):
        told.run(N[n])
    told.run(N[17], labs=LABS + mma("tested", 800, f"{N[16]}"))
    for n in (19, 27, 30, 31, 33, 34, 46, 47, 90, 91):
        told.run(N[n])
    yield told


def test_an_unanswered_row_is_carried_and_keeps_its_first_night(story: Story) -> None:
    assert story.at(N[0], "silent") == ("north", "new")
    assert story.at(N[1], "silent") == ("north", "carried")
    assert story.of(N[91], "silent")["first_listed_on"] == FIRST


@pytest.mark.parametrize(
    ("person", "decision", "last_away", "back"),
    [
        ("defer", "deferred", 14, 15),
        ("decline", "declined", 14, 15),
        ("defer_to", "deferred", 30, 31),
        ("defer_far", "deferred", 90, 91),
    ],
)
def test_a_row_rests_until_its_day_and_comes_back(
    story: Story, person: str, decision: str, last_away: int, back: int
) -> None:
    row = story.of(N[1], person)
    assert (row["item_state"], row["decision"], row["until"]) == ("resting", decision, N[back])
    assert row["close_reason"] == ("declined" if decision == "declined" else None)
    assert [n for n in (1, 2, 4, last_away) if story.at(N[n], person)] == []
    assert story.at(N[back], person) == ("north", "reopened")
    after = story.of(N[back], person)
    assert (after["item_state"], after["first_listed_on"]) == ("open", FIRST)
    assert (after["decision"], after["until"], after["closed_on"]) == (None, None, None)


def test_a_row_that_came_back_stays_until_it_is_answered_again(story: Story) -> None:
    assert story.at(N[16], "defer") == ("north", "carried")


def test_a_row_of_priority_one_rests_two_weeks_at_most(story: Story) -> None:
    assert story.of(N[1], "urgent_defer", NEURO)["until"] == N[15]
    assert story.at(N[14], "urgent_defer", NEURO) is None
    assert story.at(N[15], "urgent_defer", NEURO) == ("north", "reopened")


def test_done_closes_a_row_and_without_a_dose_or_result_it_is_back_after_a_month(
    story: Story,
) -> None:
    row = story.of(N[30], "done")
    assert (row["item_state"], row["close_reason"], row["closed_on"]) == ("closed", "done", N[1])
    assert story.at(N[30], "done") is None
    assert story.at(N[31], "done") == ("north", "reopened")


def test_an_urgent_row_that_was_done_is_back_after_a_week(story: Story) -> None:
    assert story.at(N[7], "urgent_done", NEURO) is None
    assert story.at(N[8], "urgent_done", NEURO) == ("north", "reopened")


def test_a_recorded_dose_bears_out_that_somebody_is_treated(story: Story) -> None:
    row = story.of(N[33], "dosed")
    assert (row["item_state"], row["close_reason"]) == ("closed", "already_treated")
    assert row["closed_on"] == N[1]


def test_a_result_after_done_gives_it_another_month(story: Story) -> None:
    # The new value makes nothing worse; the row counts from the day it was collected.
    assert story.at(N[31], "tested") is None
    assert story.at(N[46], "tested") == ("north", "reopened")


def test_a_marker_up_by_half_ends_the_rest_and_less_does_not(story: Story) -> None:
    assert story.at(N[4], "worse") == ("north", "reopened")
    assert story.at(N[5], "worse") == ("north", "carried")
    assert story.of(N[4], "not_worse")["item_state"] == "resting"
    assert story.of(N[4], "not_worse")["mma_nmol_l"] == "900", "what the clinic saw"


def test_severe_anaemia_ends_the_rest(story: Story) -> None:
    assert story.at(N[2], "anaemic") is None
    assert story.at(N[4], "anaemic") == ("north", "reopened")


def test_a_new_neurological_code_ends_the_rest(story: Story) -> None:
    assert story.at(N[2], "urgent_code", NEURO) is None
    assert story.at(N[4], "urgent_code", NEURO) == ("north", "reopened")


def test_a_later_answer_replaces_the_earlier_one(story: Story) -> None:
    assert story.of(N[4], "twice")["until"] == N[5]
    assert story.at(N[5], "twice") == ("north", "reopened")


def test_a_row_that_is_not_the_clinics_patients_goes_to_unrouted(story: Story) -> None:
    assert story.at(N[1], "not_ours") == ("unrouted", "new")
    closed = [
        (row["clinic_id"], row["close_reason"])
        for row in story.items[N[1]]
        if (row["patient_id"], row["action"]) == ("not_ours", ASSESS)
        and row["item_state"] == "closed"
    ]
    assert closed == [("north", "not_our_patient")]
    assert story.at(N[4], "not_ours") == ("unrouted", "carried")


def test_a_row_leaves_unrouted_when_the_record_names_another_clinic(story: Story) -> None:
    assert story.at(N[5], "not_ours") == ("west", "new")
    assert story.at(N[7], "not_ours") == ("west", "carried")


def test_a_row_moves_with_its_person_and_is_closed_where_it_was(story: Story) -> None:
    assert story.at(N[4], "mover") == ("south", "new")
    assert story.of(N[4], "mover")["first_listed_on"] == FIRST
    closed = [
        (row["clinic_id"], row["close_reason"], row["closed_on"])
        for row in story.items[N[4]]
        if (row["patient_id"], row["action"]) == ("mover", ASSESS) and row["item_state"] == "closed"
    ]
    assert closed == [("north", "moved", N[4])]


def test_what_one_clinic_put_off_is_listed_at_the_next(story: Story) -> None:
    assert story.at(N[2], "resting_mover") is None
    assert story.at(N[4], "resting_mover") == ("south", "new")


def test_a_row_of_somebody_who_died_is_closed_with_that_reason(story: Story) -> None:
    row = story.of(N[4], "dead")
    assert (row["item_state"], row["close_reason"]) == ("closed", "deceased")


def test_a_cancelled_result_closes_its_row_and_is_told_to_the_clinic(story: Story) -> None:
    assert story.of(N[4], "cancelled")["item_state"] == "closed"
    assert story.at(N[4], "cancelled", TOLD) == ("north", "new")
    row = story.of(N[4], "cancelled", TOLD)
    assert (row["rule_id"], row["priority"]) == ("RW1", 1)
    assert "900 nmol/L on 2026-10-20" in row["why"]


def test_a_withdrawal_is_told_until_it_is_acknowledged(story: Story) -> None:
    assert story.at(N[5], "cancelled", TOLD) is None
    row = story.of(N[5], "cancelled", TOLD)
    assert (row["item_state"], row["close_reason"], row["closed_on"]) == ("closed", "done", N[5])
    assert story.at(N[91], "cancelled", TOLD) is None, "acknowledged for good"
    assert story.at(N[91], "mistaken", TOLD) == ("north", "carried"), "never answered"


def test_a_withdrawal_can_be_put_off_for_two_weeks_only(story: Story) -> None:
    assert story.of(N[5], "corrected", TOLD)["until"] == N[19]
    assert story.at(N[17], "corrected", TOLD) is None
    assert story.at(N[19], "corrected", TOLD) == ("north", "reopened")


def test_a_corrected_value_closes_what_rested_on_it(story: Story) -> None:
    row = story.of(N[4], "corrected")
    assert (row["item_state"], row["close_reason"]) == ("closed", "result_withdrawn")


def test_a_correction_that_changes_no_value_is_told_to_nobody(story: Story) -> None:
    assert story.at(N[4], "same_again", TOLD) is None
    assert story.at(N[4], "same_again") == ("north", "carried")


def test_a_result_of_another_person_is_taken_back_from_the_one_and_counts_for_the_other(
    story: Story,
) -> None:
    assert story.at(N[4], "mistaken", TOLD) == ("north", "new")
    assert story.of(N[4], "mistaken")["close_reason"] == "result_withdrawn"
    assert story.at(N[4], "right_person") == ("north", "new")


def test_who_was_told_of_a_result_is_told_again_though_the_person_has_moved(story: Story) -> None:
    assert story.at(N[4], "moved_cancelled", TOLD) == ("north", "new")
    assert story.at(N[5], "moved_cancelled", TOLD) is None


def test_what_the_site_puts_off_rests_with_its_reason_and_comes_back_spread(story: Story) -> None:
    for person in PUT_OFF:
        row = story.of(N[1], person, HCY)
        assert (row["item_state"], row["decision"]) == ("resting", "deferred")
        assert row["decision_note"] == "stock-out"
        assert N[20] <= row["until"] <= N[33]
        assert story.at(N[19], person, HCY) is None
        assert story.at(N[34], person, HCY) is not None
    days = {story.of(N[1], person, HCY)["until"] for person in PUT_OFF}
    assert len(days) > 5
    back = {person for person in PUT_OFF if story.at(N[27], person, HCY)}
    assert back == {p for p in PUT_OFF if story.of(N[1], p, HCY)["until"] <= N[27]}


def test_a_row_that_is_new_while_its_action_is_put_off_rests_from_the_start(story: Story) -> None:
    row = story.of(N[2], LATER, HCY)
    assert (row["item_state"], row["state"], row["first_listed_on"]) == ("resting", "new", N[2])


def test_nothing_that_a_rule_asks_for_is_without_a_row_that_says_why(story: Story) -> None:
    states = set()
    for rows in story.items.values():
        for row in rows:
            states.add(row["item_state"])
            if row["item_state"] == "resting":
                assert row["decision"] and row["until"]
            if row["item_state"] == "closed":
                assert row["close_reason"] and row["closed_on"]
    assert states == {"open", "resting", "closed"}


def test_the_summary_says_how_many_rows_are_off_the_lists(story: Story) -> None:
    (line,) = (line for line in story.summaries[N[1]] if line.startswith("Worklists"))
    off = [row for row in story.items[N[1]] if row["decision"]]
    assert f"{len(off)} at rest or done" in line


def test_the_sheets_are_empty_where_the_clinic_is_to_write(story: Story) -> None:
    for sheets in story.sheets.values():
        for rows in sheets.values():
            assert not any(row["decision"] or row["decision_note"] or row["until"] for row in rows)


def test_a_night_run_again_says_the_same(story: Story) -> None:
    folder = story.site / "published" / "current" / "worklists"
    before = {path.name: path.read_bytes() for path in folder.glob("*.csv")}
    night(story.site, N[91])
    assert {path.name: path.read_bytes() for path in folder.glob("*.csv")} == before
