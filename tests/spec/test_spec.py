"""The scenarios of this folder, each through a real night: extracts in, published file out."""

from collections.abc import Callable, Iterable

import pytest

from b12screen.rules import Ruleset, load_ruleset, shipped_rulesets
from tests.spec.coverage import permanent_rules, shown
from tests.spec.published import SCENARIOS, Published, disagreements, published
from tests.spec.reading import Night, Scenario

Publish = Callable[[Night], Published]


@pytest.fixture(scope="module")
def publish(tmp_path_factory: pytest.TempPathFactory) -> Publish:
    """Each night is run once, when the first of its scenarios asks for it."""
    done: dict[Night, Published] = {}

    def of(night: Night) -> Published:
        if night not in done:
            done[night] = published(night, tmp_path_factory.mktemp("spec") / "site")
        return done[night]

    return of


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.title)
def test_a_clinic_sees(scenario: Scenario, publish: Publish) -> None:
    wrong = disagreements(scenario, publish(scenario.night))
    assert not wrong, "\n".join([f"{scenario.title} ({', '.join(scenario.rules)})", *wrong])


def shown_by_its_own_page(ruleset: Ruleset, section: str, names: Iterable[str]) -> set[str]:
    """What the scenarios of a ruleset have to show: all of it, or what differs from its base."""
    if not ruleset.based_on:
        return set(names)
    return {name for name in names if f"{section}.{name}" in ruleset.own}


@pytest.mark.parametrize("name", shipped_rulesets())
def test_every_rule_decides_in_a_scenario_that_names_it(name: str, publish: Publish) -> None:
    ruleset = load_ruleset(name)
    decided = {
        rule
        for rule, scenarios in shown(publish).items()
        if any(scenario.night.ruleset == name for scenario in scenarios)
    }
    own = shown_by_its_own_page(ruleset, "rules", ruleset.rules)
    assert sorted(own - decided) == []


def test_no_rule_has_gone_without_a_word() -> None:
    used = {rule for name in shipped_rulesets() for rule in load_ruleset(name).rules}
    assert sorted(permanent_rules().keys() - used) == []


def test_every_rule_that_is_named_exists() -> None:
    rules = {name: load_ruleset(name).rules for name in shipped_rulesets()}
    for scenario in SCENARIOS:
        unknown = set(scenario.rules) - set(rules[scenario.night.ruleset])
        assert not unknown, f"{scenario.file}:{scenario.line} names {sorted(unknown)}"


@pytest.mark.parametrize("name", shipped_rulesets())
def test_every_limit_has_a_scenario_at_it_and_another_past_it(name: str) -> None:
    ruleset = load_ruleset(name)
    kinds = {
        "thresholds": ruleset.thresholds,
        "periods": ruleset.periods,
        "quantities": ruleset.quantities,
    }
    limits = {limit for kind in kinds.values() for limit in kind}
    named: dict[str, set[str]] = {side: set() for side in ("at", "past")}
    for scenario in SCENARIOS:
        if scenario.night.ruleset != name:
            continue
        for limit, side in scenario.limits:
            named[side].add(limit)
            assert limit in limits, f"{scenario.file}:{scenario.line} names {limit}, no limit"
        sides = [limit for limit, _ in scenario.limits]
        assert len(sides) == len(set(sides)), f"{scenario.file}:{scenario.line} is both sides"
    shown = set()
    for kind, limits_of_kind in kinds.items():
        shown |= shown_by_its_own_page(ruleset, kind, limits_of_kind)
    lacking = {side: sorted(shown - names) for side, names in named.items()}
    assert lacking == {"at": [], "past": []}
