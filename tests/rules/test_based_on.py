"""A ruleset that says only what differs from a shipped one."""

import hashlib
import re
from pathlib import Path

import pytest

import b12screen.rules
from b12screen.errors import RulesInvalid
from b12screen.maps import load_maps
from b12screen.rules import Ruleset, load_ruleset, render

FOLDER = Path(b12screen.rules.__file__).parent
HEAD = """
ruleset = "ours"
based_on = "praxis-2025"
title = "Ours"
version = "1"
review_by = 2027-06-30
note = "MMA by the limit of our laboratory"
"""
LIMIT = """
[thresholds.mma_raised]
analyte = "mma"
form = "above"
value = 376
unit = "nmol/L"
meaning = "methylmalonic acid is raised"
assumption = "the limit of our laboratory"
"""


def ours(site: Path, text: str) -> Ruleset:
    (site / "ours.toml").write_text(text, encoding="utf-8")
    return load_ruleset("ours.toml", site)


def test_a_site_changes_one_limit_in_a_few_lines(tmp_path: Path, ruleset: Ruleset) -> None:
    changed = ours(tmp_path, HEAD + LIMIT)
    assert changed.thresholds["mma_raised"].value == 376
    assert changed.thresholds["mma_raised"].grounds.sources == ()
    assert list(changed.thresholds) == list(ruleset.thresholds)
    assert changed.rules == ruleset.rules
    assert changed.decisions == ruleset.decisions
    assert changed.own == ("thresholds.mma_raised",)


def test_what_differs_never_goes_by_the_name_of_what_it_is_based_on(tmp_path: Path) -> None:
    assert ours(tmp_path, HEAD + LIMIT).ruleset == "ours"
    unnamed = ours(tmp_path, 'based_on = "praxis-2025"\n' + LIMIT)
    assert unnamed.ruleset == "praxis-2025-changed"
    named = ours(tmp_path, HEAD.replace('"ours"', '"ng239-2024"') + LIMIT)
    assert named.ruleset == "ng239-2024-changed"
    whole = (FOLDER / "praxis-2025.toml").read_text(encoding="utf-8")
    assert ours(tmp_path, whole.replace("271", "300")).ruleset == "praxis-2025-changed"
    assert load_ruleset("praxis-2025").ruleset == "praxis-2025"


def test_its_page_shows_the_whole_ruleset_and_names_what_differs(tmp_path: Path) -> None:
    page = render(ours(tmp_path, HEAD + LIMIT), load_maps())
    assert "All of it stands as in `praxis-2025` but for:" in page
    assert "- thresholds: `mma_raised`\n" in page
    assert "MMA above 376 nmol/L" in page
    assert "homocysteine above 15 µmol/L" in page


def test_its_hash_is_of_both_files(tmp_path: Path) -> None:
    changed = ours(tmp_path, HEAD + LIMIT)
    both = (FOLDER / "praxis-2025.toml").read_bytes() + (HEAD + LIMIT).encode()
    assert changed.sha256 == hashlib.sha256(both).hexdigest()


def test_it_may_be_based_on_one_that_is_based_on_another(tmp_path: Path) -> None:
    changed = ours(tmp_path, HEAD.replace("praxis-2025", "ng239-2024") + LIMIT)
    assert changed.thresholds["mma_raised"].value == 376
    assert changed.thresholds["b12_low"].value == 133
    assert "RG13" not in changed.rules


REFUSED = {
    "a base that is not shipped": (
        HEAD.replace("praxis-2025", "elsewhere") + LIMIT,
        "based_on: is not the name of a shipped ruleset",
    ),
    "itself as the base": (
        HEAD.replace("praxis-2025", "ours") + LIMIT,
        "based_on: is not the name of a shipped ruleset",
    ),
    "an entry of which a part is left to the base": (
        HEAD + LIMIT.replace('unit = "nmol/L"\n', ""),
        "thresholds.mma_raised: 'unit' is missing",
    ),
    "a limit whose grounds are left to the base": (
        HEAD + LIMIT.replace('assumption = "the limit of our laboratory"\n', ""),
        "thresholds.mma_raised: has neither a source nor an assumption",
    ),
    "leaving out what is not there": (
        HEAD + '[without]\nrules = ["RG99"]\n' + LIMIT,
        "without.rules: there is no 'RG99' to leave out",
    ),
    "leaving out what a table still asks": (
        HEAD + '[without]\nrules = ["RG13"]\n' + LIMIT,
        "tables.regimen line 5: 'RG13' is no rule",
    ),
    "an own part that no ruleset has": (HEAD + LIMIT + "[limits.x]\ny = 1\n", "key 'limits'"),
    "leaving out without a base": (
        HEAD.replace('based_on = "praxis-2025"\n', "") + '[without]\nrules = ["RG13"]\n' + LIMIT,
        "unknown key 'without'",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_it_is_refused_for(mistake: str, tmp_path: Path) -> None:
    text, finding = REFUSED[mistake]
    with pytest.raises(RulesInvalid, match=re.escape(finding)):
        ours(tmp_path, text)
