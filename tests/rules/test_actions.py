"""Sections 2 and 5 to 7 of the clinical specification, typed again, over every combination."""

from collections.abc import Callable

import pytest

from b12screen.rules import Ruleset

Expected = tuple[str, str, int | None]
NOTHING: Expected = ("", "none", None)
START = ("confirmed", "probable")


def first_that_fits(*rows: tuple[bool, Expected]) -> Expected:
    return next((expected for fits, expected in rows if fits), NOTHING)


def screening(f: dict[str, str]) -> Expected:
    return first_that_fits(
        (f["opted_out"] == "yes", ("SC1", "opted_out", None)),
        (f["deceased"] == "yes", ("SC2", "deceased", None)),
        (f["age_group"] == "unroutable", ("SC3", "unroutable_age", None)),
        (f["age_group"] == "child", ("SC4", "paediatric", None)),
        (f["inborn_error"] == "yes", ("SC5", "inborn_error", None)),
        (f["pregnant"] == "yes", ("SC6", "pregnant", None)),
        (True, ("SC7", "screened", None)),
    )


def regimen(f: dict[str, str]) -> Expected:
    status, neuro, b12 = f["functional_status"], f["neuro"], f["b12_level"]
    definite, severe = f["neuro_definite"] == "yes", f["severe_anaemia"] == "yes"
    recorded = neuro == "recorded"
    if f["untreated"] == "no":
        return NOTHING
    return first_that_fits(
        (status in START and recorded, ("RG1", "start_b12_neuro", 1)),
        (
            status in ("renal_confounded", "possible") and recorded,
            ("RG2", "start_b12_neuro", 1),
        ),
        (
            status in START and neuro in ("possible", "unknown"),
            ("RG3", "start_b12_assess", 2),
        ),
        (status in START and neuro == "none_recorded", ("RG4", "start_b12", 2)),
        (
            status == "possible" and b12 == "low" and not recorded,
            ("RG13", "consider_b12", 1 if severe else 2),
        ),
        (status == "renal_confounded" and not recorded, ("RG6", "review_renal", 4)),
        (
            ((status == "possible" and b12 != "low") or status == "indeterminate") and not recorded,
            ("RG7", "complete_workup", 5),
        ),
        (
            recorded
            and (
                status in ("indeterminate", "homocysteine_only")
                or (definite and status in ("unlikely", "not_shown", "not_assessed"))
            ),
            ("RG10", "complete_workup", 1 if definite else 2),
        ),
        (status == "homocysteine_only" and not recorded, ("RG8", "review_homocysteine", 6)),
    )


def lapse(f: dict[str, str]) -> Expected:
    recorded, alone = f["neuro"] == "recorded", f["regimen_listed"] == "no"
    if f["b12_treatment"] != "lapsed":
        return NOTHING
    resumes = f["basis"] == "baseline" or (alone and (f["established"] == "yes" or recorded))
    return first_that_fits(
        (resumes, ("RG5", "resume_b12", 1 if recorded else 2)),
        (alone, ("RG14", "review_lapsed", 6)),
    )


def maintenance(f: dict[str, str]) -> Expected:
    due = f["b12_treatment"] == "active" and f["maintenance_dose"] == "due"
    return first_that_fits((due, ("RG9", "maintenance_due", 3)))


def treatment_review(f: dict[str, str]) -> Expected:
    active = f["b12_treatment"] == "active"
    return first_that_fits(
        (active and f["new_neuro_code"] == "yes", ("RG11", "review_treatment", 1)),
        (active and f["mma_marked_on_treatment"] == "yes", ("RG11", "review_treatment", 3)),
    )


def loading(f: dict[str, str]) -> Expected:
    recorded = f["neuro"] == "recorded"
    return first_that_fits(
        (f["loading_state"] == "incomplete", ("RG12", "loading_incomplete", 1 if recorded else 2)),
        (f["loading_state"] == "complete" and recorded, ("RG15", "review_loading", 3)),
    )


def folic_acid(f: dict[str, str]) -> Expected:
    points_to_deficiency = (
        f["mma_raised"] == "yes"
        or f["b12_level"] in ("low", "borderline")
        or (f["hcy_raised"] == "yes" and f["mma_raised"] == "unknown")
    )
    uncovered = f["folic_acid_active"] == "yes" and f["b12_treatment"] in ("none", "lapsed")
    return first_that_fits(
        (uncovered and points_to_deficiency, ("SF1", "folic_acid_without_b12", 1))
    )


def cyanocobalamin(f: dict[str, str]) -> Expected:
    both = f["cyanocobalamin_active"] == f["renal_dysfunction"] == "yes"
    return first_that_fits((both, ("SF2", "cyanocobalamin_in_renal", 3)))


def kidney_check(f: dict[str, str]) -> Expected:
    fits = f["start_listed"] == "yes" and f["kidney"] == "unknown"
    return first_that_fits((fits, ("SF3", "check_kidney", 3)))


def potassium_check(f: dict[str, str]) -> Expected:
    fits = f["replacement_listed"] == f["severe_anaemia"] == "yes"
    return first_that_fits((fits, ("SF4", "check_potassium", 2)))


def dialysis_vitamins(f: dict[str, str]) -> Expected:
    untreated = f["b12_treatment"] == "none" and f["b12_row_listed"] == "no"
    fits = f["kidney"] == "dialysis" and untreated
    return first_that_fits((fits, ("SF5", "dialysis_vitamins", 6)))


def recheck(f: dict[str, str]) -> Expected:
    return first_that_fits(
        (f["recheck_state"] == "overdue", ("RC1", "recheck_overdue", 4)),
        (f["recheck_state"] == "due", ("RC2", "recheck_due", 7)),
    )


def response(f: dict[str, str]) -> Expected:
    impaired = f["kidney"] in ("reduced", "dialysis")
    return first_that_fits(
        (f["episode_age"] == "too_early", ("RS0", "too_early", None)),
        (f["at_target"] == "yes", ("RS2", "at_target", None)),
        (f["no_response"] == "yes", ("RS1", "no_response", None)),
        (impaired and f["fall_20"] == "yes", ("RS3", "best_achievable", None)),
        (f["fall_good"] == "yes", ("RS4", "responding", None)),
        (f["fall_20"] == "yes", ("RS5", "partial", None)),
        (True, ("RS6", "cannot_tell", None)),
    )


def at_target(f: dict[str, str]) -> Expected:
    markers = f["mma_at_target"] == f["hcy_at_target"] == "yes"
    shown = markers and f["blood_abnormal_since_start"] != "yes"
    return ("RS2", "yes", None) if shown else ("", "no", None)


def no_response(f: dict[str, str]) -> Expected:
    fell = f["fall_20"] if f["kidney"] in ("reduced", "dialysis") else f["fall_48"]
    marked = f["latest_mma_marked"] == "yes" and fell != "yes"
    normal = f["kidney"] == "normal" and f["fall_20"] == "no"
    shown = f["mma_80_days"] == "yes" and (marked or (f["latest_mma_raised"] == "yes" and normal))
    return ("RS1", "yes", None) if shown else ("", "no", None)


def response_review(f: dict[str, str]) -> Expected:
    return first_that_fits((f["response"] == "no_response", ("RS1", "review_response", 3)))


def anaemia_review(f: dict[str, str]) -> Expected:
    late = f["b12_treatment"] == "active" and f["episode_80_days"] == "yes"
    return first_that_fits((late and f["blood_abnormal"] == "yes", ("RS7", "review_anaemia", 3)))


def age_review(f: dict[str, str]) -> Expected:
    raised, priority = f["markers_raised"] == "yes", 1 if f["neuro"] == "recorded" else 2
    inborn = f["route"] == "inborn_error"
    return first_that_fits(
        (f["route"] == "unroutable_age", ("SC3", "check_record", 7)),
        (f["route"] == "paediatric" and raised, ("SC4", "paediatric_review", priority)),
        (
            inborn and (raised or f["b12_treatment"] == "lapsed"),
            ("SC5", "specialist_review", priority),
        ),
    )


def folding(f: dict[str, str]) -> Expected:
    reacted = f["cobalamin_reaction"] == "yes" and f["route"] in ("screened", "pregnant")
    if reacted:
        return ("RG16", "reaction", None)
    return ("SC6", "pregnancy", None) if f["route"] == "pregnant" else ("", "plain", None)


SPECIFIED: list[Callable[[dict[str, str]], Expected]] = [
    screening,
    regimen,
    lapse,
    maintenance,
    treatment_review,
    loading,
    folic_acid,
    cyanocobalamin,
    kidney_check,
    potassium_check,
    dialysis_vitamins,
    recheck,
    response,
    at_target,
    no_response,
    response_review,
    anaemia_review,
    age_review,
    folding,
]


@pytest.mark.parametrize("specified", SPECIFIED, ids=lambda each: each.__name__)
def test_every_combination_is_decided_as_the_specification_says(
    ruleset: Ruleset, specified: Callable[[dict[str, str]], Expected]
) -> None:
    table = ruleset.decisions[specified.__name__]
    for words, verdict in table.verdicts.items():
        facts = dict(zip(table.asks, words, strict=True))
        decided = (verdict.rule_id, verdict.outcome, verdict.priority)
        assert decided == specified(facts), facts


def test_no_decision_is_left_untested(ruleset: Ruleset) -> None:
    tested = {each.__name__ for each in SPECIFIED} | {"functional_status"}
    assert tested == set(ruleset.decisions)


def test_the_sets_behind_the_listed_asks_are_those_of_the_specification(ruleset: Ruleset) -> None:
    def rg(*numbers: int) -> set[str]:
        return {f"RG{number}" for number in numbers}

    sets = {name: set(rules) for name, rules in ruleset.sets.items()}
    assert sets == {
        "regimen_listed": rg(1, 2, 3, 4, 6, 7, 8, 10, 13),
        "start_listed": rg(1, 2, 3, 4, 13),
        "replacement_listed": rg(1, 2, 3, 4, 5, 7, 10, 13),
        "b12_row_listed": rg(1, 2, 3, 4, 5, 6, 7, 13),
        "folded_pregnancy": rg(*range(1, 9), *range(10, 16)) | {"SF1"},
        "folded_reaction": rg(*range(1, 16)) | {"SF1"},
        "dropped_reaction": {"SF4"},
    }


def test_every_rule_of_the_regimen_table_counts_as_listed(ruleset: Ruleset) -> None:
    lines = ruleset.decisions["regimen"].lines
    assert {line.rule for line in lines} == set(ruleset.sets["regimen_listed"])


def test_at_equal_priority_rows_fold_in_the_order_of_section_5(ruleset: Ruleset) -> None:
    order = [rule for rule in ruleset.rules if rule in ruleset.sets["folded_reaction"]]
    numbers = "1 2 3 4 13 6 7 10 8 5 14 9 11 12 15"
    assert order == [f"RG{number}" for number in numbers.split()] + ["SF1"]
