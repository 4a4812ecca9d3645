"""Rechecks and the response to treatment."""

from datetime import date, timedelta

import pytest

from .conftest import D, Decide, Decided, Person, ago

PANEL = {"b12": 500, "hb": 140, "mcv": 90, "mma": 200, "hcy": 8}


def panel(person: Person, on: date, *without: str) -> Person:
    for analyte, value in PANEL.items():
        if analyte not in without:
            person.result(analyte, value, on)
    return person


def started(name: str, on: date) -> Person:
    """On B12 by mouth since that day."""
    return Person(name).tablets(on, D + timedelta(days=90))


# Start on the last day of a month: +3 months is clipped.
END_OF_MONTH = date(2025, 11, 30)


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    start = date(2026, 2, 20)  # milestones 20 May, 20 August, 20 February 2027
    return decided(
        started("nothing-done", start),
        panel(started("three-done", start), date(2026, 4, 20)),
        panel(started("three-too-early", start), date(2026, 4, 19)),
        panel(started("six-done", start), date(2026, 7, 21)),
        panel(started("partly", start), date(2026, 8, 1), "mma"),
        panel(started("clipped", END_OF_MONTH), date(2026, 2, 28)),
        started("just-due", date(2026, 8, 20)),
        started("grace", date(2026, 7, 21)),
        started("overdue", date(2026, 7, 20)),
        started("horizon", date(2026, 9, 20)),
        started("scheduled", date(2026, 9, 21)),
        panel(started("yearly", date(2023, 11, 25)), date(2026, 10, 26)),
        started("yearly-due", date(2023, 11, 25)),
    )


@pytest.mark.parametrize(
    ("name", "milestone", "due_on", "state", "days", "missing", "n_missed"),
    [
        ("nothing-done", "6 months", "2026-08-20", "overdue", 92, "b12,hb,mcv,mma,hcy", 1),
        ("three-done", "6 months", "2026-08-20", "overdue", 92, "b12,hb,mcv,mma,hcy", 0),
        ("three-too-early", "6 months", "2026-08-20", "overdue", 92, "b12,hb,mcv,mma,hcy", 1),
        ("six-done", "12 months", "2027-02-20", "scheduled", 0, "b12,hb,mcv,mma,hcy", 0),
        ("partly", "6 months", "2026-08-20", "overdue", 92, "mma", 1),
        ("clipped", "6 months", "2026-05-30", "overdue", 174, "b12,hb,mcv,mma,hcy", 0),
        ("just-due", "3 months", "2026-11-20", "due", 0, "b12,hb,mcv,mma,hcy", 0),
        ("grace", "3 months", "2026-10-21", "due", 0, "b12,hb,mcv,mma,hcy", 0),
        ("overdue", "3 months", "2026-10-20", "overdue", 31, "b12,hb,mcv,mma,hcy", 0),
        ("horizon", "3 months", "2026-12-20", "due", 0, "b12,hb,mcv,mma,hcy", 0),
        ("scheduled", "3 months", "2026-12-21", "scheduled", 0, "b12,hb,mcv,mma,hcy", 0),
        ("yearly", "48 months", "2027-11-25", "scheduled", 0, "b12,hb,mcv,mma,hcy", 0),
        ("yearly-due", "24 months", "2025-11-25", "overdue", 360, "b12,hb,mcv,mma,hcy", 3),
    ],
)
def test_the_milestone_that_counts(
    night: Decided,
    name: str,
    milestone: str,
    due_on: str,
    state: str,
    days: int,
    missing: str,
    n_missed: int,
) -> None:
    row = night.row("decisions.recheck", name)
    assert (row["milestone"], row["due_on"].isoformat()) == (milestone, due_on)
    assert (row["recheck_state"], row["days_overdue"]) == (state, days)
    assert (row["missing"], row["n_missed"]) == (missing, n_missed)


def test_a_result_of_the_episode_counts_from_thirty_days_before_its_milestone(
    decided: Decide,
) -> None:
    night = decided(panel(started("p", date(2026, 8, 20)), date(2026, 10, 21)))
    assert night.row("decisions.recheck", "p")["milestone"] == "6 months"


def course(name: str, mma: float, hcy: float | None = None, start: int = 200) -> Person:
    person = started(name, ago(start)).result("mma", mma, ago(start))
    return person.result("hcy", hcy, ago(start + 5)) if hcy is not None else person


@pytest.fixture(scope="module")
def answers(decided: Decide) -> Decided:
    return decided(
        course("too-early", 1000, start=59),
        course("target", 1000).result("mma", 270, ago(5)).result("hcy", 9, ago(5)),
        course("anaemic", 1000)
        .result("mma", 270, ago(5))
        .result("hcy", 9, ago(5))
        .result("hb", 100, ago(5)),
        course("marked", 1000).result("mma", 800, ago(5)),
        course("marked-early", 1000, start=90).result("mma", 900, ago(12)),
        course("small-fall", 500).result("mma", 450, ago(5)).result("egfr", 80, ago(5)),
        course("small-fall-kidney-open", 500).result("mma", 450, ago(5)),
        course("best", 1500).result("mma", 1000, ago(5)).result("egfr", 40, ago(5)),
        course("responding", 1000).result("mma", 520, ago(5)),
        course("partial", 1000).result("mma", 600, ago(5)),
        course("by-bound", 1000).result("mma", 520, ago(5), "<"),
        course("nothing-since", 1000),
        started("hcy-stands-in", ago(200)).result("hcy", 40, ago(201)).result("hcy", 26, ago(5)),
        started("folic-acid", ago(200))
        .result("hcy", 40, ago(201))
        .result("hcy", 26, ago(5))
        .medication("B03BB01", ago(100)),
        course("before-sixty", 1000, start=100).result("mma", 100, ago(41)),
    )


@pytest.mark.parametrize(
    ("name", "rule_id", "response"),
    [
        ("too-early", "RS0", "too_early"),
        ("target", "RS2", "at_target"),
        ("anaemic", "RS4", "responding"),
        ("marked", "RS1", "no_response"),
        ("marked-early", "RS6", "cannot_tell"),
        ("small-fall", "RS1", "no_response"),
        ("small-fall-kidney-open", "RS6", "cannot_tell"),
        ("best", "RS3", "best_achievable"),
        ("responding", "RS4", "responding"),
        ("partial", "RS5", "partial"),
        ("by-bound", "RS4", "responding"),
        ("nothing-since", "RS6", "cannot_tell"),
        ("hcy-stands-in", "RS4", "responding"),
        ("folic-acid", "RS6", "cannot_tell"),
        ("before-sixty", "RS6", "cannot_tell"),
    ],
)
def test_the_response(answers: Decided, name: str, rule_id: str, response: str) -> None:
    row = answers.row("decisions.response", name)
    assert (row["rule_id"], row["response"]) == (rule_id, response)


def test_the_fall_is_given_where_both_are_numbers(answers: Decided) -> None:
    assert answers.row("decisions.response", "partial")["mma_fall_pct"] == 40
    assert answers.row("decisions.response", "by-bound")["mma_fall_pct"] is None
    assert answers.row("decisions.response", "folic-acid")["hcy_fall_pct"] == 35
