"""The tables that SQL joins, and the page that clinicians read."""

import hashlib
from pathlib import Path

import polars
import pytest

import b12screen.rules
from b12screen.maps import load_maps
from b12screen.rules import Ruleset, load_ruleset, render

FOLDER = Path(b12screen.rules.__file__).parent


def test_every_combination_of_words_stands_once_in_its_table(shipped: Ruleset) -> None:
    tables = shipped.tables()
    for name, decision in shipped.decisions.items():
        frame = tables[name]
        assert frame.columns == [*decision.asks, "rule_id", "outcome", "priority"]
        assert frame.height == len(list(decision.combinations()))
        assert frame.select(decision.asks).is_unique().all()


def test_a_combination_that_lists_nobody_has_neither_rule_nor_priority(shipped: Ruleset) -> None:
    nothing = shipped.tables()["regimen"].filter(polars.col("outcome") == "none")
    assert nothing.height > 0
    assert set(nothing["rule_id"]) == {""}
    assert nothing["priority"].is_null().all()


def test_a_relation_holds_no_null_but_the_priority_of_what_lists_nobody(shipped: Ruleset) -> None:
    for name, frame in shipped.tables().items():
        for column in set(frame.columns) - {"priority"}:
            assert frame[column].null_count() == 0, (name, column)


def test_there_is_one_row_for_each_rule_in_one_order(shipped: Ruleset) -> None:
    rows = shipped.tables()["row"]
    assert rows["rule_id"].to_list() == list(shipped.rules)
    assert rows["position"].to_list() == list(range(1, len(shipped.rules) + 1))


def test_the_citation_of_a_row_says_where_it_is_an_assumption(ruleset: Ruleset) -> None:
    source = dict(ruleset.tables()["row"].select("rule_id", "source").iter_rows())
    assert source["RG1"] == "praxis; BNF"
    assert source["RG3"] == "assumption"
    assert source["RG6"] == "praxis; assumption"


def test_the_ruleset_carries_the_hash_of_its_file(ruleset: Ruleset) -> None:
    content = (FOLDER / "praxis-2025.toml").read_bytes()
    assert ruleset.sha256 == hashlib.sha256(content).hexdigest()


def test_a_shipped_ruleset_has_no_finding(shipped: Ruleset) -> None:
    assert shipped.findings() == ()


def test_the_page_for_clinicians_is_current(shipped: Ruleset) -> None:
    page = (FOLDER / f"{shipped.ruleset}.md").read_text(encoding="utf-8")
    assert page == render(shipped, load_maps()), "render the page again: b12screen rules render"


def test_the_page_shows_every_rule_limit_window_and_assumption(shipped: Ruleset) -> None:
    page = render(shipped, load_maps())
    for rule in shipped.rules.values():
        assert rule.rule_id in page
        assert rule.text in page
        assert f"**assumption: {rule.grounds.assumption}**" in page or not rule.grounds.assumption
    for name in (*shipped.thresholds, *shipped.periods, *shipped.quantities):
        assert f"`{name}`" in page
    assert f"**{shipped.review_by.isoformat()}**" in page


def test_the_page_is_the_same_bytes_every_time(shipped: Ruleset) -> None:
    assert render(shipped, load_maps()) == render(load_ruleset(shipped.ruleset), load_maps())


@pytest.mark.parametrize("fact", ["inborn_error", "pregnant"])
def test_the_page_says_where_an_unknown_counts_as_nothing_found(
    shipped: Ruleset, fact: str
) -> None:
    assert f"- `{fact}` unknown counts as nothing found" in render(shipped, load_maps())
