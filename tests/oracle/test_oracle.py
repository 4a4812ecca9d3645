"""The oracle itself, on people decided by hand from the clinical specification."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, timedelta

import pytest

from . import oracle
from .generate import generate
from .oracle import Decision, add_months, age_on, ckd_epi_2021, decide, open_case
from .people import Condition, Medication, Night, Person, Result

D = date(2026, 11, 22)
NIGHT = Night(D)
WOMAN = Person("W", date(1960, 1, 1), "female", "north")
MAN = Person("M", date(1960, 1, 1), "male", "north")

GROUPS = {
    "G32.0": ("cord", "definite"),
    "R20.2": ("paraesthesia", "likely"),
    "G62.9": ("neuropathy", "likely"),
    "G62.1": ("neuropathy", "competing"),
    "Z92.21": ("neuropathy", "competing"),
    "R29.6": ("falls", "weak"),
    "Z99.2": ("dialysis", ""),
    "N18.4": ("ckd_3_5", ""),
    "N17.9": ("aki", ""),
    "Z33.1": ("pregnancy", ""),
    "F18.10": ("nitrous_oxide", ""),
    "E71.120": ("inborn_error", ""),
    "D51.0": ("irreversible_cause", ""),
    "293396006": ("cobalamin_reaction", ""),
}


def ago(days: int) -> date:
    return D - timedelta(days=days)


def lab(analyte: str, value: float | str, days: int = 10, status: str = "final") -> Result:
    """A result `days` before the night; text carries a comparator."""
    comparator, number = "=", str(value)
    if number[0] in "<>":
        comparator, number = number[0], number[1:]
    at = datetime.combine(ago(days), datetime.min.time())
    return Result(f"{analyte}-{days}", analyte, comparator, float(number), status, at)


def code(name: str, days: int = 30, resolved: int | None = None) -> Condition:
    gone = None if resolved is None else ago(resolved)
    return Condition("icd10cm", name, ago(days), gone, frozenset({GROUPS[name]}))


def shot(days: int, substance: str = "hydroxocobalamin") -> Medication:
    return Medication(f"S{days}", "administration", substance, ago(days), None, 1.0, "im")


def tablet(
    days: int, ended: int | None = None, dose: float | None = 1.0, substance: str = "cyanocobalamin"
) -> Medication:
    end = None if ended is None else ago(ended)
    return Medication(f"T{days}", "prescription", substance, ago(days), end, dose, "oral")


def decided(
    *records: Result | Condition | Medication, person: Person = WOMAN, night: Night = NIGHT
) -> Decision:
    return decide(
        person,
        [r for r in records if isinstance(r, Result)],
        [r for r in records if isinstance(r, Condition)],
        [r for r in records if isinstance(r, Medication)],
        night,
    )


def listed(decision: Decision) -> dict[str, tuple[str, int]]:
    return {a.rule_id: (a.action, a.priority) for a in decision.actions}


MMA, HCY, KIDNEYS, KIDNEYS_BAD = lab("mma", 400), lab("hcy", 20), lab("egfr", 80), lab("egfr", 40)
LOW, BORDERLINE, ADEQUATE = lab("b12", 100), lab("b12", 200), lab("b12", 400)
MMA_OK, HCY_OK, MARKED = lab("mma", 200), lab("hcy", 9), lab("mma", 900)
RAISED = (MMA, HCY, KIDNEYS)


# -- section 3 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "status", "rule_id"),
    [
        ((shot(10),), "on_treatment", "FS0"),
        (RAISED, "confirmed", "FS1"),
        ((MMA, HCY, LOW), "confirmed", "FS2"),
        ((MARKED, HCY), "confirmed", "FS2"),
        ((MMA, HCY), "probable", "FS24"),
        ((MMA, HCY, LOW, KIDNEYS_BAD), "confirmed", "FS3"),
        ((MARKED, HCY, KIDNEYS_BAD), "confirmed", "FS4"),
        ((MMA, HCY, KIDNEYS_BAD, ADEQUATE), "renal_confounded", "FS5"),
        ((MMA, HCY_OK, LOW), "probable", "FS6"),
        ((MARKED, HCY_OK), "probable", "FS7"),
        ((MMA, KIDNEYS_BAD), "renal_confounded", "FS8"),
        ((MMA, BORDERLINE, KIDNEYS), "probable", "FS25"),
        ((MMA, BORDERLINE), "probable", "FS25"),
        ((MMA, HCY_OK, BORDERLINE, KIDNEYS), "possible", "FS9"),
        ((MMA_OK, HCY, code("F18.10")), "probable", "FS26"),
        ((MMA_OK, HCY, LOW), "possible", "FS10"),
        ((MMA_OK, HCY, ADEQUATE), "homocysteine_only", "FS11"),
        ((HCY, LOW, KIDNEYS), "probable", "FS15"),
        ((HCY, LOW), "probable", "FS15"),
        ((HCY, LOW, KIDNEYS_BAD), "possible", "FS16"),
        ((HCY, ADEQUATE), "possible", "FS17"),
        ((MMA_OK, HCY_OK, LOW), "possible", "FS13"),
        ((LOW,), "possible", "FS13"),
        ((ADEQUATE, code("F18.10")), "indeterminate", "FS23"),
        ((MMA_OK, HCY_OK, BORDERLINE), "unlikely", "FS12"),
        ((MMA_OK,), "unlikely", "FS14"),
        ((HCY_OK, BORDERLINE), "indeterminate", "FS19"),
        ((HCY_OK,), "unlikely", "FS20"),
        ((ADEQUATE,), "not_shown", "FS21"),
        ((KIDNEYS,), "not_assessed", "FS22"),
    ],
)
def test_every_row_of_the_functional_status_table_is_reached_by_hand(
    records: tuple[Result | Condition | Medication, ...], status: str, rule_id: str
) -> None:
    found = decided(*records)
    assert (found.functional_status, found.functional_status_rule_id) == (status, rule_id)


# -- section 1: time, ties, comparators ------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (271, "no"),
        (271.1, "yes"),
        (">300", "yes"),
        (">271", "yes"),
        ("<150", "no"),
        ("<271", "no"),
        ("<400", "unknown"),
        (">200", "unknown"),
    ],
)
def test_a_comparator_is_an_interval_against_above_271(value: float | str, word: str) -> None:
    assert decided(lab("mma", value)).facts["mma_raised"] == word


@pytest.mark.parametrize(
    ("analyte", "value", "word"),
    [
        ("b12", 147.9, "low"),
        ("b12", 148, "borderline"),
        ("b12", 257.9, "borderline"),
        ("b12", 258, "adequate"),
        ("b12", "<258", "low"),
        ("b12", "<259", "unknown"),
        ("b12", ">258", "adequate"),
        ("b12", ">200", "unknown"),
        ("holotc", 24.9, "low"),
        ("holotc", 25, "borderline"),
        ("holotc", 70, "borderline"),
        ("holotc", 70.1, "adequate"),
        ("holotc", ">70", "adequate"),
        ("holotc", "<70", "low"),
    ],
)
def test_b12_words_change_exactly_at_their_limits(
    analyte: str, value: float | str, word: str
) -> None:
    assert decided(lab(analyte, value)).facts["b12_level"] == word


def test_the_more_deficient_of_two_b12_tests_within_30_days_speaks() -> None:
    assert decided(ADEQUATE, lab("holotc", 20, 40)).facts["b12_level"] == "low"
    assert decided(ADEQUATE, lab("holotc", 20, 41)).facts["b12_level"] == "adequate"


def test_a_window_of_365_days_includes_its_first_and_last_day() -> None:
    assert decided(lab("mma", 400, 365)).facts["mma_raised"] == "yes"
    assert decided(lab("mma", 400, 366)).facts["mma_raised"] == "unknown"
    assert decided(lab("mma", 400, 0)).facts["mma_raised"] == "yes"
    assert decided(lab("mma", 400, -1)).facts["mma_raised"] == "unknown"


def test_the_other_marker_counts_only_in_the_30_days_before_the_deciding_sample() -> None:
    assert decided(lab("mma", 400, 40), HCY).facts["mma_raised"] == "yes"
    assert decided(lab("mma", 400, 41), HCY).facts["mma_raised"] == "unknown"


def test_month_ends_are_clipped() -> None:
    assert add_months(date(2026, 3, 31), -1) == date(2026, 2, 28)
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)
    assert add_months(date(2025, 11, 30), 3) == date(2026, 2, 28)


def test_a_withdrawn_latest_version_silences_the_earlier_ones() -> None:
    first = lab("mma", 400)
    withdrawn = Result(
        first.result_id, "mma", "=", None, "cancelled", first.collected_at, datetime(2026, 11, 20)
    )
    assert decided(first, withdrawn).facts["mma_raised"] == "unknown"
    assert decided(withdrawn, first).facts["mma_raised"] == "unknown"


@pytest.mark.parametrize("status", ["registered", "preliminary", "cancelled", "entered-in-error"])
def test_a_result_that_is_not_final_corrected_or_amended_is_silent(status: str) -> None:
    assert decided(lab("mma", 400, 10, status)).facts["mma_raised"] == "unknown"


def test_ties_go_to_the_later_report_then_to_the_larger_result_id() -> None:
    at = datetime(2026, 11, 1, 8)
    a = Result("9", "mma", "=", 100, "final", at)
    b = Result("10", "mma", "=", 400, "final", at, at)
    assert decided(a, b).facts["mma_raised"] == "yes"
    c = Result("10", "mma", "=", 400, "final", at)
    assert decided(a, c).facts["mma_raised"] == "no"


def test_a_birthday_on_the_night_makes_an_adult() -> None:
    assert decided(person=Person("A", date(2008, 11, 22))).route == "screened"
    assert decided(person=Person("A", date(2008, 11, 23))).route == "paediatric"
    assert age_on(date(2008, 2, 29), date(2026, 2, 28)) == 17


# -- section 1: treated results, basis -------------------------------------------------------------


def test_active_treatment_decides_on_the_year_before_the_episode() -> None:
    found = decided(shot(40), lab("mma", 400, 40), lab("hcy", 20, 405), lab("mma", 100, 5))
    assert found.facts["basis"] == "baseline"
    assert found.facts["mma_raised"] == "yes"
    assert found.facts["hcy_raised"] == "unknown"


def test_a_lapsed_course_is_baseline_until_an_untreated_marker_follows_it() -> None:
    doses = (shot(200),)
    assert decided(*doses).facts["basis"] == "baseline"
    assert decided(*doses, lab("mma", 100, 80)).facts["basis"] == "baseline"
    assert decided(*doses, lab("mma", 100, 79)).facts["basis"] == "current"


def test_a_treated_marker_stays_raised_or_is_unknown() -> None:
    untreated = lab("b12", 400, 79)
    raised = decided(shot(200), untreated, lab("mma", 400, 80))
    assert raised.facts["mma_raised"] == "yes"
    not_raised = decided(shot(200), untreated, lab("mma", 200, 80))
    assert not_raised.facts["mma_raised"] == "unknown"


# -- section 1: kidney -----------------------------------------------------------------------------


def test_ckd_epi_2021_gives_the_published_order_of_magnitude() -> None:
    # 1.0 mg/dL: a man of 50 has about 92, a woman of 50 about 69 mL/min/1.73 m2.
    creatinine = 10000 / 113.12
    assert ckd_epi_2021(creatinine, 50, "male") == pytest.approx(91.7, abs=0.5)
    assert ckd_epi_2021(creatinine, 50, "female") == pytest.approx(68.6, abs=0.6)


def test_the_gate_takes_the_nearest_egfr_and_the_later_of_two_equally_near() -> None:
    marker = lab("mma", 400, 100)
    assert decided(marker, lab("egfr", 50, 190), lab("egfr", 80, 10)).facts["gate"] == "open"
    assert decided(marker, lab("egfr", 50, 189), lab("egfr", 80, 10)).facts["gate"] == "closed"
    assert decided(marker, lab("egfr", 50, 191)).facts["gate"] == "unknown"


def test_an_undecidable_nearest_egfr_leaves_the_gate_unknown() -> None:
    assert decided(MMA, lab("egfr", ">45")).facts["gate"] == "unknown"
    assert decided(MMA, lab("egfr", ">60")).facts["gate"] == "open"


def test_a_reported_egfr_speaks_before_the_computed_one_unless_it_is_censored() -> None:
    creatinine = lab("creatinine", 250)
    assert decided(lab("egfr", 80), creatinine).facts["kidney"] == "normal"
    assert decided(lab("egfr", ">60"), creatinine).facts["kidney"] == "reduced"


def test_a_creatinine_rise_by_half_is_acute_for_90_days() -> None:
    earlier = (lab("creatinine", 80, 300), lab("creatinine", 60, 200))
    assert decided(*earlier, lab("creatinine", 105, 90)).facts["kidney"] == "acute"
    assert decided(*earlier, lab("creatinine", 104.9, 90)).facts["kidney"] != "acute"
    assert decided(*earlier, lab("creatinine", 105, 91)).facts["kidney"] != "acute"
    assert decided(earlier[0], lab("creatinine", 500, 90)).facts["kidney"] == "reduced"


def test_no_computed_egfr_without_a_sex_or_under_18_on_the_day() -> None:
    other = Person("O", date(1960, 1, 1), "other")
    assert decided(lab("creatinine", 300), person=other).facts["kidney"] == "unknown"
    young = Person("Y", date(2008, 9, 1), "male")
    assert decided(lab("creatinine", 300, 100), person=young).facts["kidney"] == "unknown"


def test_renal_dysfunction_asks_for_more_than_an_acute_fall() -> None:
    assert decided(KIDNEYS_BAD).facts["renal_dysfunction"] == "yes"
    assert decided(KIDNEYS_BAD, code("N17.9")).facts["renal_dysfunction"] == "unknown"
    assert decided(KIDNEYS).facts["renal_dysfunction"] == "no"


def test_chronic_needs_90_days_without_a_good_egfr_between() -> None:
    bad = lab("egfr", 50, 200)
    assert decided(bad, lab("egfr", 50, 110)).facts["ckd_chronic"] == "yes"
    assert decided(bad, lab("egfr", 50, 111)).facts["ckd_chronic"] == "no"
    assert decided(bad, lab("egfr", 60, 150), lab("egfr", 50, 11)).facts["ckd_chronic"] == "no"


# -- section 1: neuro and codes --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "word"),
    [
        ((), "none_recorded"),
        ((code("G32.0", 5000),), "recorded"),
        ((code("G32.0", 5000, 0),), "none_recorded"),
        ((code("G32.0", 5000, -1),), "recorded"),
        ((code("R20.2", 731),), "none_recorded"),
        ((code("R20.2", 730),), "recorded"),
        ((code("R29.6"),), "possible"),
        ((code("G62.9"),), "recorded"),
        ((code("G62.9"), code("G62.1")), "possible"),
        ((code("G62.9"), code("Z92.21", 4000)), "possible"),
        ((code("R20.2"), code("G62.1")), "recorded"),
        ((code("G62.1"),), "possible"),
        ((code("Z92.21"),), "none_recorded"),
    ],
)
def test_neuro_follows_tier_window_and_competing_causes(
    codes: tuple[Condition, ...], word: str
) -> None:
    assert decided(*codes).facts["neuro"] == word


def test_absence_says_nothing_in_a_stale_or_unmapped_conditions_feed() -> None:
    stale = Night(D, conditions_feed="stale")
    assert decided(night=stale).facts["neuro"] == "unknown"
    assert decided(night=stale).facts["pregnant"] == "unknown"
    assert decided(code("Z33.1"), night=stale).facts["pregnant"] == "yes"
    unmapped = Night(D, mapped_groups={"icd10": frozenset({"cord"})})
    assert decided(night=unmapped).facts["neuro"] == "unknown"


def test_blood_lines_depend_on_sex_and_pregnancy() -> None:
    assert decided(lab("hb", 125)).facts["anaemia"] == "no"
    assert decided(lab("hb", 125), person=MAN).facts["anaemia"] == "yes"
    assert decided(lab("hb", 115), code("Z33.1")).facts["anaemia"] == "no"
    nobody = Person("X", date(1960, 1, 1), "unknown")
    assert decided(lab("hb", 125), person=nobody).facts["anaemia"] == "unknown"
    assert decided(lab("hb", 80)).facts["severe_anaemia"] == "no"
    assert decided(lab("mcv", 100)).facts["macrocytosis"] == "no"


# -- section 2 -------------------------------------------------------------------------------------


def test_an_opted_out_person_has_a_route_and_nothing_else() -> None:
    gone = Person("W", date(1960, 1, 1), "female", None, None, True)
    found = decided(*RAISED, person=gone)
    assert (found.route, found.facts, found.actions) == ("opted_out", {}, ())


def test_a_death_after_the_night_does_not_exist() -> None:
    assert decided(person=Person("W", date(1960, 1, 1), deceased_on=D)).route == "deceased"
    later = Person("W", date(1960, 1, 1), deceased_on=ago(-1))
    assert decided(person=later).route == "screened"


def test_a_person_without_a_birth_date_gets_one_check_record_row() -> None:
    found = decided(*RAISED, person=Person("W"))
    assert listed(found) == {"SC3": ("check_record", 7)}
    assert found.functional_status is None


def test_a_child_with_raised_markers_gets_one_paediatric_review() -> None:
    child = Person("C", date(2015, 1, 1), "male")
    assert listed(decided(MMA, person=child)) == {"SC4": ("paediatric_review", 2)}
    assert listed(decided(MMA, code("G32.0"), person=child)) == {"SC4": ("paediatric_review", 1)}
    assert listed(decided(MMA_OK, person=child)) == {}


def test_an_inborn_error_gets_a_specialist_review_when_treatment_lapsed() -> None:
    inborn = code("E71.120", 4000, 3000)
    assert listed(decided(inborn, shot(300))) == {"SC5": ("specialist_review", 2)}
    assert listed(decided(inborn, shot(30))) == {}


def test_pregnancy_folds_regimens_but_not_maintenance_or_checks() -> None:
    found = decided(MMA, HCY, code("Z33.1"), lab("hb", 75))
    assert listed(found) == {
        "RG4": ("pregnancy_review", 2),
        "SF3": ("check_kidney", 3),
        "SF4": ("check_potassium", 2),
    }
    assert "RG9" in listed(decided(code("Z33.1"), shot(93)))


def test_a_cobalamin_reaction_folds_everything_into_one_specialist_review() -> None:
    found = decided(*RAISED, code("293396006"), code("Z33.1"), lab("hb", 75))
    assert listed(found) == {"RG16": ("specialist_review", 2)}


# -- section 4 -------------------------------------------------------------------------------------


def test_treatment_is_active_until_14_days_after_the_next_dose_was_due() -> None:
    due = add_months(ago(106), 3)
    assert (D - due).days == 14
    assert decided(shot(106)).facts["b12_treatment"] == "active"
    assert decided(shot(107)).facts["b12_treatment"] == "lapsed"


def test_the_interval_is_two_months_with_a_neurological_code() -> None:
    assert decided(shot(80), code("G32.0")).facts["b12_treatment"] == "lapsed"
    assert decided(shot(80), code("R20.2", 800, 300)).facts["b12_treatment"] == "lapsed"
    assert decided(shot(80)).facts["b12_treatment"] == "active"


def test_an_oral_prescription_covers_to_the_day_before_its_end() -> None:
    assert decided(tablet(100, 0)).facts["b12_treatment"] == "lapsed"
    assert decided(tablet(100, -1)).facts["b12_treatment"] == "active"
    assert decided(tablet(365)).facts["b12_treatment"] == "active"
    assert decided(tablet(366)).facts["b12_treatment"] == "lapsed"


def test_supplements_and_antidotes_are_no_treatment() -> None:
    small = decided(tablet(30, dose=0.499))
    assert small.facts["b12_treatment"] == "none"
    assert small.facts["cyanocobalamin_active"] == "yes"
    assert decided(tablet(30, dose=0.5)).facts["b12_treatment"] == "active"
    antidote = Medication("A", "administration", "hydroxocobalamin", ago(3), None, 5000.0, "iv")
    assert decided(antidote).facts["b12_treatment"] == "none"


def test_an_episode_begins_again_after_a_gap_of_more_than_365_days() -> None:
    case = open_case(WOMAN, [], [], [shot(466), shot(100)], NIGHT)
    assert oracle.episode_start(case) == ago(100)
    case = open_case(WOMAN, [], [], [shot(465), shot(100)], NIGHT)
    assert oracle.episode_start(case) == ago(465)


def test_without_a_medications_feed_treatment_is_unknown() -> None:
    night = Night(D, medications_feed="none")
    found = decided(*RAISED, night=night)
    assert found.facts["b12_treatment"] == "unknown"
    assert "RG4" in listed(found)


def test_folic_acid_up_to_0_4_mg_does_not_count() -> None:
    small = tablet(30, dose=0.4, substance="folic_acid")
    assert decided(small).facts["folic_acid_active"] == "no"
    unknown = tablet(30, dose=None, substance="folic_acid")
    assert decided(unknown).facts["folic_acid_active"] == "yes"


# -- section 5 -------------------------------------------------------------------------------------

NEURO = code("G32.0")
SIX = tuple(shot(60 - 2 * i) for i in range(6))


@pytest.mark.parametrize(
    ("records", "rule_id", "action", "priority"),
    [
        ((*RAISED, NEURO), "RG1", "start_b12_neuro", 1),
        ((MMA, KIDNEYS_BAD, NEURO), "RG2", "start_b12_neuro", 1),
        ((LOW, NEURO), "RG2", "start_b12_neuro", 1),
        ((*RAISED, code("R29.6")), "RG3", "start_b12_assess", 2),
        (RAISED, "RG4", "start_b12", 2),
        ((LOW,), "RG13", "consider_b12", 2),
        ((LOW, lab("hb", 79)), "RG13", "consider_b12", 1),
        ((MMA, KIDNEYS_BAD), "RG6", "review_renal", 4),
        ((HCY,), "RG7", "complete_workup", 5),
        ((BORDERLINE,), "RG7", "complete_workup", 5),
        ((BORDERLINE, NEURO), "RG10", "complete_workup", 1),
        ((BORDERLINE, code("R20.2")), "RG10", "complete_workup", 2),
        ((NEURO,), "RG10", "complete_workup", 1),
        ((MMA_OK, HCY), "RG8", "review_homocysteine", 6),
        ((shot(300),), "RG5", "resume_b12", 2),
        ((shot(300), NEURO), "RG5", "resume_b12", 1),
        ((shot(300), lab("mma", 100), code("D51.0")), "RG5", "resume_b12", 2),
        ((shot(300), lab("mma", 100)), "RG14", "review_lapsed", 6),
        ((shot(92),), "RG9", "maintenance_due", 3),
        ((shot(60), code("R20.2", 59)), "RG11", "review_treatment", 1),
        ((shot(60), lab("mma", 800, 30)), "RG11", "review_treatment", 3),
        ((shot(14),), "RG12", "loading_incomplete", 2),
        ((shot(60), NEURO), "RG12", "loading_incomplete", 1),
        ((*SIX, NEURO), "RG15", "review_loading", 3),
        ((BORDERLINE, tablet(9, substance="folic_acid")), "SF1", "folic_acid_without_b12", 1),
        ((tablet(9), KIDNEYS_BAD), "SF2", "cyanocobalamin_in_renal", 3),
        ((MMA, HCY), "SF3", "check_kidney", 3),
        ((*RAISED, lab("hb", 79)), "SF4", "check_potassium", 2),
        ((code("Z99.2"),), "SF5", "dialysis_vitamins", 6),
        ((shot(130),), "RC1", "recheck_overdue", 4),
        ((shot(100),), "RC2", "recheck_due", 7),
        ((shot(100), lab("mma", 900, 101), lab("mma", 800, 20)), "RS1", "review_response", 3),
        ((shot(100), lab("hb", 100, 20)), "RS7", "review_anaemia", 3),
    ],
)
def test_every_action_is_listed_for_somebody_decided_by_hand(
    records: tuple[Result | Condition | Medication, ...], rule_id: str, action: str, priority: int
) -> None:
    assert listed(decided(*records)).get(rule_id) == (action, priority)


@pytest.mark.parametrize(
    ("records", "rule_id"),
    [
        ((shot(91),), "RG9"),
        ((tablet(30), shot(100)), "RG9"),
        ((shot(60), code("R20.2", 60)), "RG11"),
        ((shot(60), lab("mma", 800, 31)), "RG11"),
        ((shot(60), lab("mma", 750, 30)), "RG11"),
        ((shot(13),), "RG12"),
        ((shot(61),), "RG12"),
        (SIX, "RG12"),
        (SIX, "RG15"),
        ((shot(10), BORDERLINE, tablet(9, substance="folic_acid")), "SF1"),
        ((MMA, HCY, KIDNEYS), "SF3"),
        ((code("Z99.2"), MMA), "SF5"),
        ((shot(100), lab("hb", 100, 21)), "RS7"),
        ((lab("mma", 200), ADEQUATE, code("R20.2")), "RG10"),
    ],
)
def test_an_action_is_not_listed_one_step_outside_its_conditions(
    records: tuple[Result | Condition | Medication, ...], rule_id: str
) -> None:
    assert rule_id not in listed(decided(*records))


def test_no_loading_rows_and_no_baseline_where_the_start_was_not_seen() -> None:
    night = Night(D, medications_complete_from=ago(150))
    found = decided(shot(30), lab("mma", 400, 31), night=night)
    assert found.functional_status == "on_treatment"
    assert "RG12" not in listed(found)
    assert found.recheck is not None and found.recheck.milestone == "12 months"
    seen = decided(shot(29), night=night)
    assert "RG12" in listed(seen)


# -- section 6 -------------------------------------------------------------------------------------


def panel(days: int) -> tuple[Result, ...]:
    values = {"b12": 400, "hb": 140, "mcv": 90, "mma": 200, "hcy": 9}
    return tuple(lab(analyte, value, days) for analyte, value in values.items())


def test_a_recheck_is_overdue_on_the_31st_day_after_its_due_day() -> None:
    start = shot(123)
    due = add_months(ago(123), 3)
    found = decided(start).recheck
    assert found is not None
    assert (found.state, found.due_on, found.days_overdue) == ("overdue", due, (D - due).days)
    assert (D - due).days == 31
    later = decided(shot(122)).recheck
    assert later is not None and (later.state, later.days_overdue) == ("due", 0)


def test_a_done_milestone_hands_over_to_the_first_later_one() -> None:
    found = decided(shot(130), *panel(20)).recheck
    assert found is not None
    assert (found.milestone, found.state, found.n_missed) == ("6 months", "scheduled", 0)


def test_missing_tests_are_those_not_collected_in_the_window() -> None:
    found = decided(shot(130), *panel(20)[:3]).recheck
    assert found is not None and found.missing == ("mma", "hcy")
    early = decided(shot(130), *panel(70)).recheck  # before the window of the third month opens
    assert early is not None and len(early.missing) == 5


def test_earlier_missed_milestones_are_counted() -> None:
    found = decided(shot(800)).recheck
    assert found is not None
    assert (found.milestone, found.n_missed, found.state) == ("24 months", 3, "overdue")


# -- section 7 -------------------------------------------------------------------------------------

START, BASE_MMA, BASE_HCY = shot(100), lab("mma", 1000, 100), lab("hcy", 30, 100)


@pytest.mark.parametrize(
    ("records", "rule_id"),
    [
        ((shot(59),), "RS0"),
        ((START, lab("mma", 270, 20), lab("hcy", 9.9, 20)), "RS2"),
        ((START, lab("mma", 271, 20), lab("hcy", 9.9, 20)), "RS6"),
        ((START, lab("mma", 200, 20), lab("hcy", 9, 20), lab("hb", 100, 99)), "RS6"),
        ((START, BASE_MMA, lab("mma", 760, 20)), "RS1"),
        ((START, BASE_MMA, lab("mma", 760, 21)), "RS5"),
        ((START, BASE_MMA, lab("mma", 760, 20), KIDNEYS_BAD), "RS3"),
        ((START, lab("mma", 400, 101), lab("mma", 321, 20), KIDNEYS), "RS1"),
        ((START, lab("mma", 400, 101), lab("mma", 320, 20), KIDNEYS), "RS5"),
        ((START, lab("mma", 400, 101), lab("mma", 321, 20)), "RS6"),
        ((START, BASE_MMA, lab("mma", 520, 20)), "RS4"),
        ((START, BASE_MMA, lab("mma", 521, 20)), "RS5"),
        ((START, BASE_MMA, lab("mma", "<500", 20)), "RS4"),
        ((START, lab("mma", ">1000", 100), lab("mma", 500, 20)), "RS4"),
        ((START, BASE_HCY, lab("hcy", 19.5, 20)), "RS4"),
        ((START, BASE_HCY, lab("hcy", 24, 20)), "RS5"),
        (
            (START, BASE_HCY, lab("hcy", 19.5, 20), tablet(60, substance="folic_acid")),
            "RS6",
        ),
        ((START, BASE_MMA, lab("mma", 500, 41)), "RS6"),
    ],
)
def test_response_is_the_first_row_that_fits(
    records: tuple[Result | Condition | Medication, ...], rule_id: str
) -> None:
    found = decided(*records).response
    assert found is not None and found.rule_id == rule_id


# -- the generator ---------------------------------------------------------------------------------


def test_the_generator_reaches_every_rule_of_the_specification() -> None:
    reached: Counter[str | None] = Counter()
    for seed in range(4):
        population = generate(seed, 1000)
        for s in population.subjects:
            found = decide(s.as_person(), s.results, s.conditions, s.medications, population.night)
            reached.update(a.rule_id for a in found.actions)
            reached[found.route_rule_id] += 1
            reached[found.functional_status_rule_id] += 1
            reached[found.response.rule_id if found.response else None] += 1
            names = [a.action for a in found.actions]
            assert len(names) == len(set(names)), "one row per patient and action"
    expected = {
        *(f"SC{i}" for i in range(1, 8)),
        *(f"FS{i}" for i in range(27) if i != 18),
        *(f"RG{i}" for i in range(1, 17)),
        *(f"SF{i}" for i in range(1, 6)),
        *(f"RS{i}" for i in range(8)),
        "RC1",
        "RC2",
    }
    assert expected - set(reached) == set()


def test_the_same_seed_gives_the_same_extracts() -> None:
    assert generate(7, 50).rows() == generate(7, 50).rows()
