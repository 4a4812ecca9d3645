"""The mutation command itself, on a handful of mutants; `make mutate` tries them all."""

import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from b12screen.rules import load_ruleset
from tests.mutation.killers import (
    REFUSED,
    SAME,
    SCENARIO,
    TYPED,
    Fate,
    Killers,
    run_nights,
    typed_otherwise,
)
from tests.mutation.mutants import Mutant, mutants, read_back
from tests.mutation.report import Reason, Reasons, printed, read_reasons
from tests.mutation.run import SHIPPED, every_mutant
from tests.mutation.store import differing

NO_REASONS = Reasons((), ())


@pytest.fixture(scope="module")
def killers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killers]:
    """The night of most scenarios, and some generated people."""
    folder = tmp_path_factory.mktemp("nights")
    ran = run_nights(folder, 300, [6], lambda line: None, first=1)
    killers = Killers(ran, load_ruleset("praxis-2025"))
    yield killers
    killers.close()


@pytest.fixture(scope="module")
def every() -> dict[str, Mutant]:
    return every_mutant()


@pytest.mark.long
def test_nobody_notices_a_ruleset_that_was_not_changed(killers: Killers) -> None:
    shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    fate = killers.fate(Mutant("none", "nothing changed", shipped))
    assert fate.by == SAME
    assert killers.unmutated() == []
    assert not typed_otherwise(load_ruleset("praxis-2025"))
    assert not any(each.kills(killers.shipped) for each in killers.populations)


def test_a_ruleset_that_is_written_back_gives_the_same_tables() -> None:
    shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    written, findings = read_back(Mutant("none", "nothing changed", shipped))
    assert written is not None and findings == written.findings() == ()
    assert not differing(load_ruleset("praxis-2025").tables(), written.tables())


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "thresholds.mma_raised.value: 271 -> 271.1",
        "thresholds.holotc_borderline.form: at_or_below -> below",
        "periods.lapse_grace.n: 14 -> 15",
        "quantities.loading_doses.value: 6 -> 7",
        "panel.tests.2: without hb",
        "sets.regimen_listed: without RG13",
        "tables.regimen.lines.1.when.neuro: recorded -> possible",
        "rules.SF3.priority: 3 -> 4",
        "rules.SF4.text: number 1, 48 -> 49",
    ],
)
def test_a_scenario_notices(killers: Killers, every: dict[str, Mutant], name: str) -> None:
    assert killers.fate(every[name]).by == SCENARIO


@pytest.mark.long
def test_the_generated_people_notice_a_limit(killers: Killers, every: dict[str, Mutant]) -> None:
    mutant, _ = read_back(every["thresholds.egfr_reduced.form: below -> at_or_below"])
    assert mutant is not None
    assert any(each.kills(mutant.tables()) for each in killers.populations)


@pytest.mark.long
def test_rules_check_refuses_a_limit_in_another_unit(
    killers: Killers, every: dict[str, Mutant]
) -> None:
    assert killers.fate(every["thresholds.b12_low.unit: pmol/L -> nmol/L"]).by == REFUSED


@pytest.mark.long
def test_a_decided_mutant_leaves_nothing_behind(killers: Killers, every: dict[str, Mutant]) -> None:
    killers.fate(every["thresholds.mma_raised.value: 271 -> 271.1"])
    assert killers.unmutated() == []


def test_no_two_mutants_have_one_name() -> None:
    shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    names = [mutant.name for mutant in mutants(shipped)]
    assert len(names) == len(set(names))


def test_every_reason_names_a_mutant_that_there_is(every: dict[str, Mutant]) -> None:
    patterns = [each for reason in read_reasons().survivors for each in reason.mutants]
    assert [each for each in patterns if not any(fnmatchcase(name, each) for name in every)] == []


def test_every_impossible_combination_is_of_declared_words() -> None:
    words = load_ruleset("praxis-2025").words
    for each in read_reasons().impossible:
        for ask, wanted in each.words.items():
            assert set(wanted) <= set(words[ask].words), each.why


def test_a_survivor_without_a_reason_and_a_reason_without_a_survivor_are_told(
    every: dict[str, Mutant],
) -> None:
    name = "rules.RW1.priority: 1 -> 2"
    lived, killed = Fate(name, "priority of a rule", TYPED), Fate("x", "x", REFUSED)
    shipped = load_ruleset("praxis-2025")
    lines, is_explained = printed([lived, killed], every, shipped, NO_REASONS)
    assert not is_explained
    assert f"UNEXPLAINED {name}" in lines
    reasons = Reasons((), (Reason(("rules.RW1.*",), "nothing asks for it"),))
    lines, is_explained = printed([lived, killed], every, shipped, reasons)
    assert is_explained
    lines, is_explained = printed([killed], every, shipped, reasons)
    assert not is_explained
    assert "STALE, explains no survivor: nothing asks for it" in lines
