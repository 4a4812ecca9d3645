"""What a worklist row may say, stated without the loader's own checks."""

import re

import pytest

from b12screen.resources import sql_text
from b12screen.rules import Ruleset, load_ruleset, shipped_rulesets
from b12screen.rules.check import TOKENS
from b12screen.rules.model import Rule

SHIPPED = {name: load_ruleset(name) for name in shipped_rulesets()}
LISTING = [
    pytest.param(rule, id=f"{name} {rule.rule_id}")
    for name, ruleset in SHIPPED.items()
    for rule in ruleset.rules.values()
    if rule.text
]
NAMES_THE_FORM = ("RG1", "RG2", "RG3", "RG4", "RG13", "RG6", "RG5")
CARRIES = {
    "RG1": (
        "1 mg IM on alternate days",
        "every 2 months",
        "long term",
        "urgent specialist",
        "delay",
    ),
    "RG2": (
        "1 mg IM on alternate days",
        "every 2 months",
        "taking blood first",
        "without waiting",
    ),
    "RG3": ("assessing neurological", "same 1 mg IM dose"),
    "RG4": ("three times a week for 2 weeks", "every 2-3 months", "lifelong where", "cause"),
    "RG13": ("local guidance", "missing", "do not wait", "anaemia"),
    "RG6": ("the kidneys'", "total and active B12", "hydroxocobalamin or methylcobalamin"),
    "RG7": ("{missing}",),
    "RG10": ("without delay", "treating first"),
    "RG8": ("folate", "B6", "thyroid", "kidney", "delay", "only with B12 covered"),
    "RG5": ("lapsed since {lapsed_since}", "irreversible"),
    "RG14": ("meant to end", "cause"),
    "RG9": ("{due_on}", "{when}", "{kidney_form}"),
    "RG11": ("dose", "route", "adherence", "neurological involvement"),
    "RG12": ("{doses}", "alternate days", "{kidney_form}"),
    "RG15": ("improve", "alternate days", "every 2 months"),
    "SF1": ("cover", "mask anaemia", "not be stopped", "pregnancy", "methotrexate"),
    "SF2": ("{in_place}", "precaution", "indirect"),
    "SF3": ("{creatinine}",),
    "SF4": ("measuring potassium", "48 hours"),
    "SF5": (
        "lost in dialysis",
        "K/DOQI",
        "KDOQI 2020",
        "intake is poor",
        "folic acid",
        "cyanocobalamin",
    ),
    "RC1": ("{milestone}", "{due_on}", "{days}", "{missing}", "before weakness"),
    "RC2": ("{milestone}", "{due_on}", "{when}", "{missing}", "before weakness"),
    "RS1": ("adherence", "dose", "route", "other causes", "kidney", "folate"),
    "RS7": ("iron", "folate", "other causes"),
    "SC6": ("active B12 is the better test", "do not exclude", "not be stopped", "same day"),
}


@pytest.mark.parametrize("rule", LISTING)
def test_a_recommendation_is_for_clinician_review(rule: Rule) -> None:
    assert rule.text.endswith("for clinician review")
    before = rule.text.removesuffix("for clinician review")
    assert re.search(r"\b(consider|review|suggest)", before, re.IGNORECASE)


@pytest.mark.parametrize(
    ("name", "rule"),
    [(name, rule) for name in SHIPPED for rule in CARRIES if rule in SHIPPED[name].rules],
)
def test_a_text_carries_what_the_specification_asks(name: str, rule: str) -> None:
    for part in CARRIES[rule]:
        assert part in SHIPPED[name].rules[rule].text, part


@pytest.mark.parametrize(
    ("name", "rule"),
    [(name, rule) for name in SHIPPED for rule in NAMES_THE_FORM if rule in SHIPPED[name].rules],
)
def test_a_row_about_replacement_names_the_form_and_the_caution(name: str, rule: str) -> None:
    assert "{form}" in SHIPPED[name].rules[rule].text
    assert "{folic_acid}" in SHIPPED[name].rules[rule].text


def test_only_the_regimen_for_neurological_involvement_is_suggested_where_it_is_recorded(
    shipped: Ruleset,
) -> None:
    for line in shipped.decisions["regimen"].lines:
        if line.when["neuro"] == ("recorded",):
            assert "three times a week" not in shipped.rules[line.rule].text


def test_nothing_praxis_states_wrongly_is_repeated(shipped: Ruleset) -> None:
    said = " ".join(rule.text + rule.reason for rule in shipped.rules.values())
    for wrong in ("98.4", "95.9", "hazard", "48 %", "35 %"):
        assert wrong not in said
    assert "lifelong where the cause stays" in said


def test_the_form_with_renal_dysfunction_avoids_cyanocobalamin(shipped: Ruleset) -> None:
    forms = {key: shipped.fragments[f"form_{key}"] for key in ("yes", "no", "unknown")}
    assert forms == {
        "yes": "hydroxocobalamin or methylcobalamin, avoid cyanocobalamin",
        "no": "hydroxocobalamin",
        "unknown": "hydroxocobalamin; kidney function not known",
    }


def test_after_a_reaction_the_row_about_cyanocobalamin_names_no_other_cobalamin(
    ruleset: Ruleset,
) -> None:
    assert "hydroxocobalamin or methylcobalamin" in ruleset.fragments["in_place_plain"]
    after_reaction = ruleset.fragments["in_place_reaction"]
    assert "specialist" in after_reaction
    assert re.findall(r"\w+cobalamin", after_reaction) == ["cyanocobalamin"]
    assert not re.findall(r"\w+cobalamin", ruleset.fragments["creatinine_reaction"].split(";")[0])
    assert "specialist" in ruleset.fragments["creatinine_reaction"]


def test_with_kidney_disease_recorded_the_row_about_creatinine_leaves_cyanocobalamin_out(
    ruleset: Ruleset,
) -> None:
    assert "creatinine before any cyanocobalamin" in ruleset.fragments["creatinine_open"]
    assert "avoid cyanocobalamin" in ruleset.fragments["creatinine_renal"]


def test_the_tokens_of_a_text_are_those_that_the_worklist_fills_in() -> None:
    filled = re.findall(r"'\{([a-z_]+)\}'", sql_text("worklists/listed.sql"))
    assert set(filled) == set(TOKENS)
