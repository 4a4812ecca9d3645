"""Single stories of items in which two rules meet; the weeks that are many stories are test_weeks.

One site, run night after night, as in test_items; every person is one story.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from b12screen.deferral import declare
from b12screen.publish import Site
from b12screen.rules import load_ruleset
from b12screen.settings import make_site
from tests.night.test_items import (
    ASSESS,
    CONDITIONS,
    HCY,
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

CONSIDER = "consider_b12"
BOTH = (
    "stale", "fresh", "stale_mover", "returns", "refused_and_well", "unrefused", "again",
    "told_first", "acknowledged_well", "declined_mover_well", "early_declined", "two_kidney_values",
    "own_sheet", "on_b12", "done_then_refused", "rose", "no_sex",
)  # fmt: skip
START, PREGNANCY = "start_b12", "pregnancy_review"
OFF = ("off_mover", "off_worse", "off_both")
URGENT = "off_urgent"


@dataclass
class Twice(Story):
    """A story of which one night is run again."""

    first_attempt: dict[str, list[dict[str, str]]] = field(default_factory=dict)


def hb(value: float, day: date) -> str:
    return other(URGENT, "718-7", value, "g/L", f"{day}")


def creatinine(key: str, value: float, **more: str) -> str:
    """A creatinine of the person whom the key begins with."""
    day, person = more.get("day", "2026-10-20"), key.rpartition("-")[0]
    status, reported = more.get("status", "final"), more.get("reported", "2026-10-20")
    return f"{key},{person},{day},{reported},14682-9,{value},umol/L,{status}\n"


def well(person: str, day: date) -> str:
    return mma(person, 100, f"{day}") + hcy(person, 8, f"{day}")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twice]:
    root = tmp_path_factory.mktemp("cases") / "site"
    make_site(root)
    told = Twice(root)
    told.run(
        N[0],
        patients=PATIENTS
        + "".join(home(person) for person in (*BOTH, *OFF, URGENT))
        + home("no_sex").replace("female", "unknown"),
        labs=LABS
        + "".join(mma(person, 900) + hcy(person, 30) for person in BOTH)
        + "".join(mma(person, 100) + hcy(person, 30) for person in OFF)
        + other(URGENT, "14685-2", 100, "pmol/L")
        + hb(75, N[0])
        + creatinine("two_kidney_values-k1", 70)
        + creatinine("rose-1", 80, day="2026-06-01")
        + creatinine("rose-2", 80, day="2026-08-01")
        + creatinine("rose-3", 130)
        + creatinine("no_sex-1", 90)
        + creatinine("two_kidney_values-k2", 75),
        conditions=CONDITIONS + "somebody,I10,icd10cm,2026-06-01\n",
        medications=MEDICATIONS + "x1,somebody,B03BA03,atc,administration,2025-01-01,im\n"
        "x2,on_b12,B03BA03,atc,administration,2026-09-01,im\n",
    )
    ruleset = load_ruleset("praxis-2025")
    for action in (HCY, CONSIDER):
        declare(Site(root), ruleset, action, N[30], "stock-out", N[0])
    told.run(
        N[1],
        patients=PATIENTS + home("stale_mover", "south") + home("told_first", "south"),
        labs=LABS
        + mma("stale", 1400, f"{N[1]}")
        + mma("fresh", 1400, f"{N[1]}")
        + mma("told_first", 850, f"{N[1]}")
        + hcy("told_first", 31, f"{N[1]}")
        + mma("again", 900, status="cancelled", reported=f"{N[1]}")
        + creatinine("two_kidney_values-k2", 75, status="cancelled", reported=f"{N[1]}")
        + creatinine("rose-3", 85, status="corrected", reported=f"{N[1]}")
        + creatinine("no_sex-1", 95, status="corrected", reported=f"{N[1]}"),
        feedback=told.answers(
            N[0],
            ("returns", "not_our_patient"),
            ("acknowledged_well", "acknowledged"),
            ("declined_mover_well", "declined", f"{N[60]}"),
            ("unrefused", "not_our_patient"),
            ("done_then_refused", "done"),
            ("off_both", "deferred", f"{N[10]}", HCY),
        ),
        # Answered in October, says the clinic, when nothing was listed yet.
        feedback_own="item_id,decision,decided_on,until\n"
        f"{told.of(N[0], 'early_declined')['item_id']},declined,2026-10-25,{N[60]}\n",
    )
    told.run(
        N[2],
        patients=PATIENTS + home("returns", "west") + home("off_mover", "south")
        + home("declined_mover_well", "south"),
        labs=LABS
        + mma("told_first", 800, f"{N[1]}", status="corrected", reported=f"{N[2]}")
        + mma("again", 900, status="corrected", reported=f"{N[2]}")
        + mma("on_b12", 900, status="cancelled", reported=f"{N[2]}")
        + hcy("off_worse", 45, f"{N[2]}")
        + hb(90, N[2])
        + well("refused_and_well", N[2]),
        feedback=told.answers(
            N[0],
            ("stale", "deferred", f"{N[60]}"),
            ("stale_mover", "deferred", f"{N[60]}"),
            ("refused_and_well", "not_our_patient"),
            ("done_then_refused", "not_our_patient"),
        )
        + "".join(
            line + "\n"
            for line in told.answers(N[1], ("fresh", "deferred", f"{N[60]}")).splitlines()[1:]
        ),
    )  # fmt: skip
    told.run(
        N[3],
        patients=PATIENTS + home("returns", "north"),
        labs=LABS
        + mma("again", 900, status="cancelled", reported=f"{N[3]}")
        + hcy("off_worse", 10, f"{N[3]}")
        + hb(75, N[3])
        + well("acknowledged_well", N[3])
        + well("declined_mover_well", N[3])
        + well("early_declined", N[3]),
        feedback=told.answers(
            N[2], ("told_first", "done", "", TOLD), ("done_then_refused", "deferred", f"{N[5]}")
        ),
    )
    told.run(
        N[4],
        labs=LABS
        + hcy("off_worse", 30, f"{N[4]}")
        + hb(90, N[4])
        + mma("told_first", 900, status="cancelled", reported=f"{N[4]}"),
        feedback=told.answers(N[1], ("again", "acknowledged", "", TOLD)),
    )
    told.run(N[5])
    folder = root / "inbox"
    (folder / "feedback_own.csv").write_text(told.answers(N[5], ("own_sheet", "deferred")))
    told.first_attempt = told.sheets[N[5]]
    told.run(N[5])
    told.run(N[6])
    yield told


def test_an_answer_to_an_older_sheet_is_held_against_what_that_sheet_showed(story: Story) -> None:
    assert story.at(N[1], "stale") == ("north", "changed")
    assert story.at(N[2], "stale") == ("north", "carried"), "up by half since the sheet"
    assert story.at(N[2], "fresh") is None, "seen before it was put off"


def test_an_old_sheet_of_the_clinic_before_does_not_bind_the_new_one(story: Story) -> None:
    assert story.at(N[1], "stale_mover") == ("south", "new")
    assert story.at(N[2], "stale_mover") == ("south", "carried")


def test_a_row_that_was_done_and_then_sent_back_never_returns_to_that_clinic(story: Story) -> None:
    assert story.of(N[1], "done_then_refused")["close_reason"] == "done"
    assert story.at(N[2], "done_then_refused") == ("unrouted", "new")
    assert story.of(N[3], "done_then_refused")["item_state"] == "resting"
    assert story.at(N[5], "done_then_refused") == ("unrouted", "reopened")
    (north,) = (
        row["close_reason"]
        for row in story.items[N[5]]
        if (row["patient_id"], row["action"], row["clinic_id"])
        == ("done_then_refused", "start_b12_assess", "north")
    )
    assert north == "not_our_patient"


def test_what_the_site_puts_off_stays_off_the_list_of_the_next_clinic(story: Story) -> None:
    row = story.of(N[2], "off_mover", HCY)
    assert (row["clinic_id"], row["item_state"], row["state"]) == ("south", "resting", "new")
    assert story.at(N[6], "off_mover", HCY) is None


def test_what_ended_a_deferral_of_the_site_ends_it_for_good(story: Story) -> None:
    assert story.of(N[1], "off_worse", HCY)["item_state"] == "resting"
    assert story.at(N[2], "off_worse", HCY) == ("north", "reopened")
    assert story.at(N[3], "off_worse", HCY) is None, "not asked for"
    assert story.at(N[4], "off_worse", HCY) == ("north", "reopened")


def test_a_row_is_put_off_when_it_is_urgent_no_more_and_never_again(story: Story) -> None:
    assert story.at(N[1], URGENT, CONSIDER) is not None
    row = story.of(N[2], URGENT, CONSIDER)
    assert (row["item_state"], row["priority"]) == ("resting", 2)
    for n in (3, 4, 5):
        assert story.at(N[n], URGENT, CONSIDER) is not None
    assert story.of(N[4], URGENT, CONSIDER)["priority"] == 2


def test_what_clinic_and_site_both_put_off_rests_by_the_clinics_word_and_counts_once(
    story: Story,
) -> None:
    assert story.of(N[1], "off_both", HCY)["until"] == N[10]
    away = [row for row in story.items[N[1]] if row["decision"] is not None]
    (line,) = (line for line in story.summaries[N[1]] if line.startswith("Worklists"))
    assert f"{len(away)} at rest or done" in line


def test_a_person_whom_the_record_gives_back_to_a_clinic_is_on_its_list_again(story: Story) -> None:
    assert story.at(N[1], "returns") == ("unrouted", "new")
    assert story.at(N[2], "returns") == ("west", "new")
    assert story.at(N[3], "returns") == ("north", "reopened")
    assert story.at(N[4], "returns") == ("north", "carried")
    assert story.at(N[6], "unrefused") == ("unrouted", "carried"), "the record said nothing"


def test_a_row_that_leaves_as_it_is_sent_back_says_so(story: Story) -> None:
    row = story.of(N[1], "refused_and_well")
    (closed,) = (one for one in story.items[N[2]] if one["item_id"] == row["item_id"])
    assert (closed["item_state"], closed["close_reason"]) == ("closed", "not_our_patient")


def test_a_result_that_was_told_anew_and_is_taken_back_again_is_told_again(story: Story) -> None:
    assert story.at(N[1], "again", TOLD) == ("north", "new")
    assert story.at(N[2], "again") is not None, "the value stood again and was told"
    # The clinic acknowledged the first time only.
    assert story.at(N[4], "again", TOLD) == ("north", "carried")


def test_a_withdrawal_goes_to_the_clinic_that_was_told_of_that_value(story: Story) -> None:
    assert story.at(N[2], "told_first", TOLD) == ("south", "new")
    assert story.at(N[3], "told_first", TOLD) is None
    sheet, _ = story.at(N[4], "told_first", TOLD) or ("", "")
    assert sheet == "north"


def test_a_row_that_was_only_acknowledged_was_not_done(story: Story) -> None:
    assert story.at(N[2], "acknowledged_well") == ("north", "carried")
    assert story.of(N[3], "acknowledged_well")["close_reason"] == "resolved_by_result"


def test_what_one_clinic_declined_is_not_why_it_left_the_list_of_another(story: Story) -> None:
    assert story.at(N[2], "declined_mover_well") == ("south", "new")
    assert story.of(N[3], "declined_mover_well")["close_reason"] == "resolved_by_result"


def test_a_row_declined_before_its_first_night_left_as_declined(story: Story) -> None:
    assert story.of(N[2], "early_declined")["item_state"] == "resting"
    assert story.of(N[3], "early_declined")["close_reason"] == "declined"


def test_an_egfr_is_taken_back_though_another_sample_of_the_day_stands(story: Story) -> None:
    assert story.at(N[1], "two_kidney_values", TOLD) == ("north", "new")
    assert "eGFR" in story.of(N[1], "two_kidney_values", TOLD)["why"]


@pytest.mark.parametrize(
    ("person", "action", "named", "now"),
    [("rose", ASSESS, 130, 85), ("no_sex", "check_kidney", 90, 95)],
)
def test_a_creatinine_that_a_row_named_is_taken_back(
    story: Story, person: str, action: str, named: int, now: int
) -> None:
    assert f"creatinine {named} µmol/L on 2026-10-20" in story.of(N[0], person, action)["why"]
    assert story.at(N[1], person, TOLD) == ("north", "new")
    why = story.of(N[1], person, TOLD)["why"]
    assert f"creatinine {named} µmol/L on 2026-10-20 (named under " in why
    assert f"now creatinine {now} µmol/L on 2026-10-20)" in why


def test_an_answer_to_the_nights_own_sheet_counts_from_the_next_night_on(story: Twice) -> None:
    assert story.sheets[N[5]] == story.first_attempt
    assert story.of(N[6], "own_sheet")["item_state"] == "resting"


def test_a_marker_under_treatment_that_is_taken_back_is_told(story: Story) -> None:
    row = story.of(N[1], "on_b12", "review_treatment")
    assert "MMA 900 nmol/L on 2026-10-20" in row["why"]
    assert story.of(N[2], "on_b12", "review_treatment")["close_reason"] == "result_withdrawn"
    assert story.at(N[2], "on_b12", TOLD) == ("north", "new")


def test_what_is_worse_ends_an_answer_also_where_another_row_is_asked_for_instead(
    tmp_path: Path,
) -> None:
    make_site(tmp_path / "site")
    told = Story(tmp_path / "site")
    answered = ("declined", "done")
    header, code = "patient_id,code,code_system,recorded_on,resolved_on\n", "O09.9,icd10cm"
    told.run(
        N[0],
        patients=PATIENTS + "".join(home(person) for person in (*answered, "put_off")),
        labs=LABS
        + "".join(mma(person, 900) + hcy(person, 30) for person in answered)
        + mma("put_off", 100)
        + hcy("put_off", 30),
        conditions=header + "".join(f"{person},I10,icd10cm,2026-10-20,\n" for person in answered),
        medications=MEDICATIONS,
    )
    declare(Site(told.site), load_ruleset("praxis-2025"), HCY, N[30], "stock-out", N[0])
    told.run(
        N[1],
        feedback=told.answers(
            N[0], ("declined", "declined", f"{N[60]}", START), ("done", "done", "", START)
        ),
    )
    assert told.of(N[1], "declined", START)["item_state"] == "resting"
    assert told.of(N[1], "put_off", HCY)["item_state"] == "resting"
    for n, resolved in ((2, ""), (3, f"{N[3]}")):
        told.run(
            N[n],
            conditions=header
            + "".join(f"{person},{code},{N[2]},{resolved}\n" for person in (*answered, "put_off")),
        )
    assert told.at(N[2], "declined", PREGNANCY) == ("north", "new")
    assert told.of(N[2], "declined", START)["close_reason"] == "superseded_by_action"
    assert told.at(N[2], "put_off", HCY) is None
    told.run(N[4])
    assert told.at(N[3], "declined", PREGNANCY) is None
    for n, state in ((3, "reopened"), (4, "carried")):
        for person in answered:
            assert told.at(N[n], person, START) == ("north", state)
        assert told.at(N[n], "put_off", HCY) == ("north", state)


def test_a_code_that_is_only_spelled_otherwise_wakes_nobody(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    told = Story(tmp_path / "site")
    spelled, new = "spelled", "new"
    header = "patient_id,code,code_system,recorded_on,resolved_on\n"
    told.run(
        N[0],
        patients=PATIENTS + home(spelled) + home(new),
        labs=LABS + "".join(mma(one, 900) + hcy(one, 30) for one in (spelled, new)),
        conditions=header + "".join(f"{one},R41.3,icd10cm,2026-10-20,\n" for one in (spelled, new)),
        medications=MEDICATIONS,
    )
    assess = "start_b12_assess"
    answers = ((one, "declined", f"{N[60]}", assess) for one in (spelled, new))
    told.run(N[1], feedback=told.answers(N[0], *answers))
    told.run(
        N[2],
        conditions=header + f"{spelled},R413,icd10cm,2026-10-20,\n{new},R413,icd10cm,{N[1]},\n",
    )
    assert told.of(N[2], spelled, assess)["item_state"] == "resting"
    assert told.at(N[2], new, assess) == ("north", "reopened")


def test_an_old_egfr_that_is_not_asked_for_any_more_was_not_taken_back(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    told = Story(tmp_path / "site")
    given = ("2024-03-01", "2024-06-01", "2024-12-01", "2025-05-01", "2025-09-10")
    header = "medication_id,patient_id,code,code_system,kind,started_on,route\n"
    rows = [
        f"d{n}{person},{person},B03BA03,atc,administration,{day},im\n"
        for n, day in enumerate(given)
        for person in ("lapsed", "reported")
    ]
    before = "2024-02-20"
    reported = other("reported", "98979-8", 45, "mL/min/{1.73_m2}", before)
    told.run(
        N[0],
        patients=PATIENTS + home("lapsed") + home("aged") + home("reported"),
        labs=LABS
        + mma("lapsed", 900, before)
        + mma("reported", 900, before)
        + reported
        + other("lapsed", "14682-9", 60, "umol/L", before)
        + mma("aged", 900, "2025-11-10")
        + hcy("aged", 30, "2025-11-10")
        + other("aged", "14682-9", 60, "umol/L", "2025-08-20"),
        conditions=CONDITIONS + "somebody,I10,icd10cm,2026-06-01\n",
        medications=header + "".join(rows),
    )
    assert f"eGFR 91.3 on {before}" in told.of(N[0], "lapsed", "resume_b12")["why"]
    assert "eGFR 90.8 on 2025-08-20" in told.of(N[0], "aged")["why"]
    # The injection that the list asked for: what was before this course is not asked for any more.
    again = reported.replace("final", "amended").replace(f",{before},98", f",{N[1]},98")
    assert again.count(f"{N[1]}") == 1
    told.run(
        N[2],
        labs=LABS + again,
        medications=header
        + "".join(
            f"d9{person},{person},B03BA03,atc,administration,{N[1]},im\n"
            for person in ("lapsed", "reported")
        ),
    )
    assert told.of(N[2], "lapsed", "resume_b12")["close_reason"] == "treated"
    # The row goes with its marker, its eGFR is asked for no longer a while later.
    for n in (30, 60, 90):
        told.run(N[n])
    assert told.of(N[90], "aged")["close_reason"] == "resolved_by_result"
    assert not any(row["action"] == TOLD for rows in told.items.values() for row in rows)


def test_what_an_earlier_run_of_the_night_named_is_told_again(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    told = Story(tmp_path / "site")
    people = ("sent", "stays")
    rows = {person: mma(person, 900) + hcy(person, 30) for person in people}
    told.run(
        N[0],
        patients=PATIENTS + "".join(home(person) for person in people),
        labs=LABS + "".join(rows.values()),
    )
    assert told.at(N[0], "sent") == ("north", "new")
    gone = mma("sent", 900, status="cancelled", reported=f"{N[0]}")
    (told.site / "inbox" / "labs_later.csv").write_text(LABS + gone, encoding="utf-8")
    told.run(N[0])
    assert told.at(N[0], "sent") is None
    assert told.at(N[0], "sent", TOLD) == ("north", "new")
    assert told.at(N[0], "stays") == ("north", "new")
    assert told.at(N[0], "stays", TOLD) is None
    again = told.sheets[N[0]]
    told.run(N[0])
    assert told.sheets[N[0]] == again
    told.run(N[1])
    assert told.at(N[1], "sent", TOLD) == ("north", "carried")


def test_clinic_and_site_may_both_put_off_a_row_that_is_urgent_no_more(tmp_path: Path) -> None:
    make_site(tmp_path / "site")
    told = Story(tmp_path / "site")
    resume, until = "resume_b12", f"{N[10]}"
    told.run(
        N[0],
        patients=PATIENTS + home("both"),
        labs=LABS,
        # A likely code is 24 months old on the second night.
        conditions=CONDITIONS + "both,R20.2,icd10cm,2024-11-02\n",
        medications=MEDICATIONS
        + "".join(f"d{n},both,B03BA03,atc,administration,2026-0{n}-01,im\n" for n in range(1, 7)),
    )
    assert told.of(N[0], "both", resume)["priority"] == 1
    told.run(N[1], feedback=told.answers(N[0], ("both", "deferred", until, resume)))
    declare(Site(told.site), load_ruleset("praxis-2025"), resume, N[30], "stock-out", N[2])
    for n in (2, 3):
        told.run(N[n])
        assert told.of(N[n], "both", resume)["item_state"] == "resting"
