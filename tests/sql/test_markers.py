"""Which samples decide: windows, ties, versions that do not speak, bounds, treatment."""

from datetime import datetime, timedelta

import pytest

from .conftest import D, Decide, Decided, Person, ago


def at(days_ago: int, hour: int) -> datetime:
    day = ago(days_ago)
    return datetime(day.year, day.month, day.day, hour)


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    lapsed_start = ago(900)
    return decided(
        Person("edge-in").result("mma", 400, ago(365)),
        Person("edge-out").result("mma", 400, ago(366)),
        Person("tonight").result("mma", 400, ago(0)),
        Person("tomorrow").result("mma", 400, D + timedelta(days=1)).result("mma", 200, ago(5)),
        Person("hour").result("mma", 200, at(5, 9)).result("mma", 400, at(5, 8)),
        Person("reported")
        .result("mma", 400, at(5, 9), reported_at=None)
        .result("mma", 200, at(5, 9), reported_at=at(4, 9))
        .result("hcy", 20, at(5, 9), reported_at=at(3, 9))
        .result("hcy", 9, at(5, 9), reported_at=at(4, 9)),
        Person("same-report")
        .result("mma", 400, at(5, 9), result_id="b9")
        .result("mma", 200, at(5, 9), result_id="b10"),
        Person("silent")
        .result("mma", 400, ago(5), status="preliminary")
        .result("mma", None, ago(4), status="cancelled")
        .result("mma", 200, ago(10), status="amended"),
        Person("pair").result("mma", 400, ago(5)).result("hcy", 20, ago(35)),
        Person("too-far").result("mma", 400, ago(5)).result("hcy", 20, ago(36)),
        Person("bounds").result("mma", 400, ago(5), "<").result("hcy", 12, ago(5), ">"),
        Person("b12-bound").result("b12", 200, ago(5), "<"),
        Person("b12-open").result("b12", 300, ago(5), "<"),
        Person("b12-two").result("b12", 300, ago(5)).result("holotc", 20, ago(35)),
        Person("b12-apart").result("b12", 300, ago(5)).result("holotc", 20, ago(36)),
        Person("active-edge").result("holotc", 70, ago(5)),
        Person("treated")
        .injection(lapsed_start, ago(300))
        .result("mma", 200, ago(180))
        .result("hcy", 20, ago(180))
        .result("b12", 100, ago(180))
        .result("b12", 500, ago(179), status="registered"),
        Person("untreated-since")
        .injection(lapsed_start, ago(800))
        .injection(ago(300))
        .result("mma", 900, ago(310))
        .result("mma", 200, ago(179))
        .result("hcy", 20, ago(185)),
        Person("lapsed-only-treated")
        .injection(ago(300))
        .result("mma", 200, ago(180))
        .result("mma", 500, ago(300)),
    )


@pytest.mark.parametrize(
    ("name", "mma_raised", "hcy_raised"),
    [
        ("edge-in", "yes", "unknown"),
        ("edge-out", "unknown", "unknown"),
        ("tonight", "yes", "unknown"),
        ("tomorrow", "no", "unknown"),
        ("hour", "no", "unknown"),
        ("reported", "no", "yes"),
        ("same-report", "yes", "unknown"),
        ("silent", "no", "unknown"),
        ("pair", "yes", "yes"),
        ("too-far", "yes", "unknown"),
        ("bounds", "unknown", "unknown"),
    ],
)
def test_the_deciding_sample(night: Decided, name: str, mma_raised: str, hcy_raised: str) -> None:
    facts = night.facts(name)
    assert (facts["mma_raised"], facts["hcy_raised"]) == (mma_raised, hcy_raised)


def test_a_marker_outside_the_pairing_leaves_no_value(night: Decided) -> None:
    assert night.facts("too-far")["hcy_umol_l"] is None


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("b12-bound", "low"),
        ("b12-open", "unknown"),
        ("b12-two", "low"),
        ("b12-apart", "adequate"),
        ("active-edge", "borderline"),
    ],
)
def test_the_level_of_b12(night: Decided, name: str, level: str) -> None:
    assert night.facts(name)["b12_level"] == level


def test_lapsed_with_treated_results_only_goes_back_to_baseline(night: Decided) -> None:
    facts = night.facts("lapsed-only-treated")
    assert (facts["b12_treatment"], facts["basis"]) == ("lapsed", "baseline")
    assert (facts["mma_nmol_l"], facts["mma_raised"]) == (500, "yes")


def test_a_result_120_days_after_a_dose_is_treated_and_121_days_after_is_not(
    night: Decided,
) -> None:
    treated = night.facts("treated")
    assert (treated["basis"], treated["mma_on"]) == ("baseline", None)
    untreated = night.facts("untreated-since")
    assert (untreated["basis"], untreated["mma_raised"]) == ("current", "no")
    # the homocysteine of 115 days after the dose is treated: raised, it stays raised
    assert (untreated["hcy_treated"], untreated["hcy_raised"]) == (True, "yes")
    assert untreated["mma_marked"] == "no"
