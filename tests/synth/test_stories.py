"""The catalogue: whole, and with days that stay inside their windows for thirty nights.

The windows of the clinical specification are restated below, so that a story that drifts out of
one is found here and not as a puzzling disagreement with the pipeline.
"""

from collections import Counter
from datetime import date, timedelta

import pytest

from b12screen.synth.extracts import CLINICS, _Person
from b12screen.synth.stories import LONGEST_RUN, STORIES, Code, Prescription, Sample, Story
from schemas.words import ACTIONS, FUNCTIONAL_STATUSES

LAST = LONGEST_RUN - 1
FIRST_NIGHTS = [date(2026, 11, 1), date(2028, 2, 29), date(2027, 5, 31), date(2024, 8, 30)]


def months_after(day: date, months: int) -> date:
    """The same day some months on, clipped at the month's end."""
    years, month = divmod(day.month - 1 + months, 12)
    for clipped in range(day.day, 27, -1):
        try:
            return date(day.year + years, month + 1, clipped)
        except ValueError:
            continue
    return date(day.year + years, month + 1, day.day)


def people(names: set[str], first_night: date) -> list[_Person]:
    return [
        _Person(f"{number}", "00000001", story, 0, first_night)
        for story in STORIES
        if story.name in names
        for number in range(40)
    ]


def test_story_names_are_different() -> None:
    assert max(Counter(story.name for story in STORIES).values()) == 1


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_storys_truth_uses_known_words_and_begins_with_the_first_night(story: Story) -> None:
    nights = [truth.from_night for truth in story.truths]
    assert nights[0] == 0 and nights == sorted(set(nights)) and nights[-1] <= LAST
    for truth in story.truths:
        assert truth.functional_status in {"", *FUNCTIONAL_STATUSES}
        assert set(truth.actions) <= set(ACTIONS)
        assert list(truth.actions) == sorted(set(truth.actions))


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_sample_that_decides_today_is_in_the_365_days_on_the_last_night(story: Story) -> None:
    for event in story.events:
        if not isinstance(event, Sample) or event.when.years_before:
            continue
        if event.tests.keys() == {"creatinine"}:
            continue  # compared with the sample that it precedes, not with the night
        if event.when.origin == "anchor":
            assert story.anchor[1] - event.when.low + LAST <= 365 or story.anchor[1] > 365
        else:
            # Either decided on as a recent sample, or older than the window from the start.
            assert -event.when.low + LAST <= 365 or -event.when.high > 365


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_codes_and_prescriptions_do_not_drift_over_their_windows(story: Story) -> None:
    limits = {"Z34.90": (280,), "F18.10": (365,), "R": (730,), "G62": (730,), "E11.4": (730,)}
    for event in story.events:
        if isinstance(event, Code) and event.when.origin == "first_night":
            for code, windows in limits.items():
                for window in windows if event.code.startswith(code) else ():
                    assert -event.when.low + LAST <= window or -event.when.high > window + 5
        if isinstance(event, Prescription) and event.days is None:
            far = story.anchor[1] if event.when.origin == "anchor" else -event.when.low
            assert far + LAST <= 365


@pytest.mark.parametrize("first_night", FIRST_NIGHTS)
def test_injections_fall_due_only_when_the_story_says_so(first_night: date) -> None:
    for person in people({"maintenance_due"}, first_night):
        last = max(day for day in injections(person) if day <= first_night)
        assert months_after(last, 3) <= first_night
        assert months_after(last, 3) + timedelta(14) >= first_night + timedelta(9)
    maintained = {"pernicious_anaemia_on_injections", "long_on_injections",
                  "long_on_injections_recheck_overdue", "recheck_due", "recheck_overdue",
                  "treated_to_target", "loading_complete"}  # fmt: skip
    for person in people(maintained, first_night):
        assert months_after(max(injections(person)), 3) > first_night + timedelta(LAST)
    for person in people({"new_paraesthesia_on_treatment", "loading_to_review"}, first_night):
        assert months_after(max(injections(person)), 2) > first_night + timedelta(LAST)


@pytest.mark.parametrize("first_night", FIRST_NIGHTS)
def test_lapsed_treatment_has_lapsed_before_the_first_night(first_night: date) -> None:
    lapsed = {story.name for story in STORIES if "lapsed" in story.name or "short" in story.name}
    for person in people(lapsed, first_night):
        assert months_after(max(injections(person)), 3) + timedelta(14) < first_night


@pytest.mark.parametrize("first_night", FIRST_NIGHTS)
def test_the_next_recheck_keeps_its_state_for_thirty_nights(first_night: date) -> None:
    last = first_night + timedelta(LAST)
    for story in STORIES:
        if not any(person_has_start(story)):
            continue
        for person in people({story.name}, first_night):
            start = min(injections(person))
            dues = [months_after(start, months) for months in (3, 6, *range(12, 121, 12))]
            passed = [due for due in dues if due <= first_night]
            ahead = min(due for due in dues if due > first_night)
            actions = story.truths[0].actions
            if "recheck_due" in actions:
                assert last - timedelta(30) <= ahead <= first_night + timedelta(30)
            elif "recheck_overdue" in actions:
                assert max(passed) + timedelta(30) < first_night
                assert ahead > last
            else:
                assert ahead > last + timedelta(30)


def person_has_start(story: Story) -> list[bool]:
    """Is any of the events a B12 dose that counts? (Supplements and the antidote do not.)"""
    screened = all(truth.functional_status for truth in story.truths)
    excluded = {"cyanide_antidote", "loading_begins", "supplement_in_ckd"}
    return [
        screened and story.name not in excluded
        for event in story.events
        if type(event).__name__ in {"Dose", "Injections"}
        or (isinstance(event, Prescription) and event.code.startswith("B03BA"))
    ]


def injections(person: _Person) -> list[date]:
    """The days of every B12 dose."""
    return [
        date.fromisoformat(row["started_on"])
        for place, event in enumerate(person.story.events)
        if not isinstance(event, Sample | Code)
        for _, row in person._medications(event, f"{place}")
        if row["code"].startswith("B03BA")
    ]


def test_clinics_are_several() -> None:
    assert len(set(CLINICS)) == len(CLINICS) >= 10
