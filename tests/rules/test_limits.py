"""Every number of the clinical specification, typed here a second time, against the ruleset."""

import pytest

from b12screen.rules import Ruleset

# limit, analyte, just below, at, just above: is the limit met?
LIMITS = [
    ("mma_raised", "mma", (270.9, False), (271, False), (271.1, True)),
    ("mma_marked", "mma", (749.9, False), (750, False), (750.1, True)),
    ("mma_at_target", "mma", (270.9, True), (271, False), (271.1, False)),
    ("hcy_raised", "hcy", (14.9, False), (15, False), (15.1, True)),
    ("hcy_at_target", "hcy", (9.9, True), (10, False), (10.1, False)),
    ("b12_low", "b12", (147.9, True), (148, False), (148.1, False)),
    ("b12_borderline", "b12", (257.9, True), (258, False), (258.1, False)),
    ("holotc_low", "holotc", (24.9, True), (25, False), (25.1, False)),
    ("holotc_borderline", "holotc", (69.9, True), (70, True), (70.1, False)),
    ("egfr_reduced", "egfr", (59.9, True), (60, False), (60.1, False)),
    ("ckd_g1", "egfr", (89.9, False), (90, True), (90.1, True)),
    ("ckd_g2", "egfr", (59.9, False), (60, True), (60.1, True)),
    ("ckd_g3a", "egfr", (44.9, False), (45, True), (45.1, True)),
    ("ckd_g3b", "egfr", (29.9, False), (30, True), (30.1, True)),
    ("ckd_g4", "egfr", (14.9, False), (15, True), (15.1, True)),
    ("hb_low_male", "hb", (129.9, True), (130, False), (130.1, False)),
    ("hb_low_female", "hb", (119.9, True), (120, False), (120.1, False)),
    ("hb_low_pregnant", "hb", (109.9, True), (110, False), (110.1, False)),
    ("hb_severe", "hb", (79.9, True), (80, False), (80.1, False)),
    ("mcv_raised", "mcv", (99.9, False), (100, False), (100.1, True)),
]
PERIODS = {
    "look_back": (365, "days"),
    "marker_pairing": (30, "days"),
    "b12_pairing": (30, "days"),
    "gate": (90, "days"),
    "acute_kidney": (90, "days"),
    "creatinine_baseline": (365, "days"),
    "chronic_kidney": (90, "days"),
    "treated": (120, "days"),
    "neuro_recent": (24, "months"),
    "pregnancy": (280, "days"),
    "nitrous_oxide": (365, "days"),
    "episode_gap": (365, "days"),
    "interval": (3, "months"),
    "interval_neuro": (2, "months"),
    "lapse_grace": (14, "days"),
    "open_prescription": (365, "days"),
    "recent_administration": (120, "days"),
    "start_not_seen": (120, "days"),
    "mma_on_treatment": (30, "days"),
    "loading_first": (14, "days"),
    "loading_last": (60, "days"),
    "loading_review_first": (21, "days"),
    "loading_review_last": (60, "days"),
    "recheck_window": (30, "days"),
    "recheck_grace": (30, "days"),
    "recheck_horizon": (30, "days"),
    "recheck_yearly": (12, "months"),
    "response_first": (60, "days"),
    "no_response_first": (80, "days"),
    "anaemia_review": (80, "days"),
    "rest": (14, "days"),
    "rest_longest": (90, "days"),
    "rest_longest_first": (14, "days"),
    "done": (30, "days"),
    "done_first": (7, "days"),
}
QUANTITIES = {
    "adult_age": (18, "years"),
    "creatinine_rise": (1.5, "ratio"),
    "creatinine_earlier": (2, "results"),
    "loading_doses": (6, "doses"),
    "established_doses": (6, "doses"),
    "fall_least": (20, "%"),
    "fall_mma": (48, "%"),
    "fall_hcy": (35, "%"),
    "folic_acid_small": (0.4, "mg"),
    "oral_b12_least": (0.5, "mg"),
    "antidote_dose": (5000, "mg"),
    "marker_worse": (1.5, "ratio"),
}


def is_met(form: str, limit: float, value: float) -> bool:
    return {
        "above": value > limit,
        "at_or_above": value >= limit,
        "below": value < limit,
        "at_or_below": value <= limit,
    }[form]


@pytest.mark.parametrize(
    ("limit", "analyte", "value", "expected"),
    [(limit, analyte, *case) for limit, analyte, *cases in LIMITS for case in cases],
)
def test_a_limit_is_met_on_the_right_side_of_it_and_decides_at_it(
    ruleset: Ruleset, limit: str, analyte: str, value: float, expected: bool
) -> None:
    threshold = ruleset.thresholds[limit]
    assert threshold.analyte == analyte
    assert is_met(threshold.form, threshold.value, value) is expected


def test_no_limit_is_left_untested(ruleset: Ruleset) -> None:
    assert [limit for limit, *_ in LIMITS] == list(ruleset.thresholds)


def test_every_window_has_the_length_of_the_specification(ruleset: Ruleset) -> None:
    assert {key: (each.n, each.unit) for key, each in ruleset.periods.items()} == PERIODS


def test_every_quantity_has_the_value_of_the_specification(ruleset: Ruleset) -> None:
    assert {key: (each.value, each.unit) for key, each in ruleset.quantities.items()} == QUANTITIES


def test_rechecks_fall_at_3_6_and_12_months_and_then_every_year(ruleset: Ruleset) -> None:
    milestones = [(each.months, each.yearly_from) for each in ruleset.milestones]
    assert milestones == [(3, False), (6, False), (12, True)]


def test_the_panel_is_b12_blood_count_and_both_markers(ruleset: Ruleset) -> None:
    assert set(ruleset.panel.tests) == {"b12", "hb", "mcv", "mma", "hcy"}
