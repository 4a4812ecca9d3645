"""Section 3 of the clinical specification, typed a second time as plain conditions in its order."""

import itertools

import pytest

from b12screen.rules import Ruleset

YES, NO, UNKNOWN = "yes", "no", "unknown"


def by_the_specification(
    basis: str, mma: str, hcy: str, gate: str, b12: str, marked: str, nitrous_oxide: str
) -> tuple[str, str]:
    both = mma == YES and hcy == YES
    mma_only = mma == YES and hcy in (NO, UNKNOWN)
    hcy_only = hcy == YES and mma in (NO, UNKNOWN)
    neither_known = mma == UNKNOWN and hcy == UNKNOWN
    rows = [
        ("FS0", basis == "baseline" and neither_known and b12 == UNKNOWN, "on_treatment"),
        ("FS1", both and gate == "open", "confirmed"),
        ("FS2", both and gate == UNKNOWN and (b12 == "low" or marked == YES), "confirmed"),
        ("FS24", both and gate == UNKNOWN, "probable"),
        ("FS3", both and gate == "closed" and b12 == "low", "confirmed"),
        ("FS4", both and gate == "closed" and marked == YES, "confirmed"),
        ("FS5", both and gate == "closed", "renal_confounded"),
        ("FS6", mma_only and b12 == "low", "probable"),
        ("FS7", mma_only and marked == YES, "probable"),
        ("FS8", mma_only and gate == "closed", "renal_confounded"),
        (
            "FS25",
            mma == YES and hcy == UNKNOWN and b12 == "borderline" and gate in ("open", UNKNOWN),
            "probable",
        ),
        ("FS9", mma_only, "possible"),
        ("FS26", hcy_only and nitrous_oxide == YES, "probable"),
        ("FS10", mma == NO and hcy == YES and b12 == "low", "possible"),
        ("FS11", mma == NO and hcy == YES, "homocysteine_only"),
        (
            "FS15",
            mma == UNKNOWN and hcy == YES and b12 == "low" and gate in ("open", UNKNOWN),
            "probable",
        ),
        ("FS16", mma == UNKNOWN and hcy == YES and b12 == "low", "possible"),
        ("FS17", mma == UNKNOWN and hcy == YES, "possible"),
        ("FS13", mma in (NO, UNKNOWN) and hcy in (NO, UNKNOWN) and b12 == "low", "possible"),
        ("FS23", neither_known and nitrous_oxide == YES, "indeterminate"),
        ("FS12", mma == NO and hcy == NO, "unlikely"),
        ("FS14", mma == NO and hcy == UNKNOWN, "unlikely"),
        ("FS19", mma == UNKNOWN and b12 == "borderline", "indeterminate"),
        ("FS20", mma == UNKNOWN and hcy == NO, "unlikely"),
        ("FS21", b12 == "adequate", "not_shown"),
        ("FS22", True, "not_assessed"),
    ]
    return next((rule, status) for rule, fits, status in rows if fits)


def test_every_combination_is_decided_as_the_specification_says(ruleset: Ruleset) -> None:
    table = ruleset.decisions["functional_status"]
    threefold = (YES, NO, UNKNOWN)
    space = itertools.product(
        ("baseline", "current"),
        threefold,
        threefold,
        ("open", "closed", UNKNOWN),
        ("low", "borderline", "adequate", UNKNOWN),
        threefold,
        threefold,
    )
    n_tried = 0
    for words in space:
        verdict = table.decide(
            **dict(
                zip(
                    (
                        "basis",
                        "mma_raised",
                        "hcy_raised",
                        "gate",
                        "b12_level",
                        "mma_marked",
                        "nitrous_oxide",
                    ),
                    words,
                    strict=True,
                )
            )
        )
        assert (verdict.rule_id, verdict.outcome) == by_the_specification(*words), words
        n_tried += 1
    assert n_tried == len(table.verdicts)


def test_the_rows_stand_in_the_order_of_the_specification(ruleset: Ruleset) -> None:
    order = dict.fromkeys(line.rule for line in ruleset.decisions["functional_status"].lines)
    numbers = "0 1 2 24 3 4 5 6 7 8 25 9 26 10 11 15 16 17 13 23 12 14 19 20 21 22"
    assert list(order) == [f"FS{number}" for number in numbers.split()]


@pytest.mark.parametrize("rule", [f"FS{number}" for number in (18, 27)])
def test_a_number_that_was_never_given_away_stays_unused(ruleset: Ruleset, rule: str) -> None:
    assert rule not in ruleset.rules
