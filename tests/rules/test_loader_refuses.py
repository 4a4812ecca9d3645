"""One mistake at a time in a copy of the shipped ruleset: each is named, nothing is loaded."""

import re
from pathlib import Path

import pytest

import b12screen.rules
from b12screen import cli
from b12screen.errors import RulesInvalid
from b12screen.rules import load_ruleset

SHIPPED = Path(b12screen.rules.__file__).parent / "praxis-2025.toml"

MISTAKES = {
    "an unknown key": (
        'form = "above"',
        'form = "above"\noperator = ">"',
        "unknown key 'operator'",
    ),
    "an unknown key in a line": (
        '{ rule = "SC1", outcome',
        '{ rule = "SC1", unless = "x", outcome',
        "tables.screening line 1: unknown key 'unless'",
    ),
    "a missing key": (
        'meaning = "macrocytosis"\n',
        "",
        "thresholds.mcv_raised: 'meaning' is missing",
    ),
    "a missing review date": ("review_by = 2027-06-30\n", "", "'review_by' is missing"),
    "a review date that is a text": ("2027-06-30", '"2027-06-30"', "'review_by' must be a date"),
    "a limit that is a text": ("value = 750", 'value = "750"', "'value' must be a number"),
    "a word that is not declared": (
        'basis = "baseline", mma_raised = "unknown"',
        'basis = "before", mma_raised = "unknown"',
        "'before' is no word of 'basis'",
    ),
    "a condition that the table does not ask": (
        'when = { opted_out = "yes" }',
        'when = { kidney = "normal" }',
        "the table does not ask 'kidney'",
    ),
    "a gap": (
        '    { rule = "FS21", outcome = "not_shown", when = { b12_level = "adequate" } },\n',
        "",
        "tables.functional_status: no line fits",
    ),
    "a dead line": (
        '    { rule = "SC6", outcome = "pregnant"',
        '    { rule = "SC7", outcome = "screened" },\n    { rule = "SC6", outcome = "pregnant"',
        "tables.screening line 7: never decides, SC6 is dead there",
    ),
    "an unknown that is silently treated like no": (
        'renal_dysfunction = "a precaution for known kidney disease"\n',
        "",
        "'renal_dysfunction' unknown is silently treated like 'no'",
    ),
    "an unknown that is declared and not so treated": (
        "[tables.cyanocobalamin.unknown_as]",
        '[tables.kidney_check.unknown_as]\nkidney = "?"\n\n[tables.cyanocobalamin.unknown_as]',
        "tables.kidney_check.unknown_as: 'kidney'",
    ),
    "an unknown that is declared without a reason": (
        'renal_dysfunction = "a precaution for known kidney disease"',
        'renal_dysfunction = ""',
        "tables.cyanocobalamin.unknown_as: 'renal_dysfunction' needs its reason",
    ),
    "a rule that is grounded in nothing": (
        'assumption = "everybody else"\n\n# ----',
        "\n# ----",
        "rules.SC7: has neither a source nor an assumption",
    ),
    "a limit that is grounded in nothing": (
        'meaning = "macrocytosis"\nassumption = "the usual laboratory limit"',
        'meaning = "macrocytosis"',
        "thresholds.mcv_raised: has neither a source nor an assumption",
    ),
    "a source without the section": (
        'section = "warnings, potassium"\n',
        "",
        "rules.SF4: cites a source without the section",
    ),
    "a source that is not declared": (
        'sources = ["label"]',
        'sources = ["leaflet"]',
        "source 'leaflet' is not declared",
    ),
    "an id that is declared twice": (
        "[rules.FS2]",
        "[rules.FS1]",
        "declares an id twice",
    ),
    "an id that nobody has entered": ("RW1", "RW2", "rules.RW2: the id is not in ids.toml"),
    "an id that is given another meaning": (
        'title = "deceased"',
        'title = "moved away"',
        "rules.SC2: the id means 'deceased' for good",
    ),
    "a limit in a unit that is not the analyte's": (
        'value = 148\nunit = "pmol/L"',
        'value = 200\nunit = "pg/mL"',
        "thresholds.b12_low: unit must be pmol/L",
    ),
    "a limit on another analyte": (
        'analyte = "holotc"\nform = "below"',
        'analyte = "b12"\nform = "below"',
        "thresholds.holotc_low: the screen holds holotc against it, not b12",
    ),
    "a dose in a unit that the screen does not read": (
        'value = 0.5\nunit = "mg"',
        'value = 500\nunit = "ug"',
        "quantities.oral_b12_least: unit must be mg",
    ),
    "a form that is no form": (
        'form = "at_or_below"',
        'form = "<="',
        "thresholds.holotc_borderline: form must be one of",
    ),
    "a limit that is met from the wrong side": (
        'form = "above"\nvalue = 271',
        'form = "at_or_below"\nvalue = 271',
        "thresholds.mma_raised: form must be above or at_or_above",
    ),
    "a low value that is met from above": (
        'form = "below"\nvalue = 148',
        'form = "above"\nvalue = 148',
        "thresholds.b12_low: form must be below or at_or_below",
    ),
    "a marked value that is not raised": (
        "value = 750",
        "value = 200",
        "thresholds.mma_raised: must not be more than thresholds.mma_marked",
    ),
    "a low value that is not borderline": (
        "value = 148",
        "value = 300",
        "thresholds.b12_low: must not be more than thresholds.b12_borderline",
    ),
    "a longer interval for who has neurological signs": (
        'n = 3\nunit = "months"\nmeaning = "longest interval',
        'n = 45\nunit = "days"\nmeaning = "longest interval',
        "periods.interval_neuro: must not be more than periods.interval",
    ),
    "a milestone that is called otherwise": (
        "months = 3\n",
        "months = 4\n",
        "milestones: '3 months' must be called '4 months'",
    ),
    "a misspelt limit": (
        "[thresholds.mma_raised]",
        "[thresholds.mma_rised]",
        "thresholds.mma_raised: is missing",
    ),
    "a window in weeks": (
        'n = 14\nunit = "days"',
        'n = 2\nunit = "weeks"',
        "periods.lapse_grace: unit",
    ),
    "yearly rechecks in days": (
        'n = 12\nunit = "months"\nmeaning = "the interval of rechecks',
        'n = 365\nunit = "days"\nmeaning = "the interval of rechecks',
        "periods.recheck_yearly: unit must be months",
    ),
    "a token that nobody knows": (
        "{lapsed_since}: consider",
        "{since}: consider",
        "unknown token 'since'",
    ),
    "a token that is not known in that decision": (
        "Review dose, route, adherence",
        "Review {doses}, route, adherence",
        "rules.RG11: the token 'doses' is not known in treatment_review",
    ),
    "a brace that is left open": (
        "Review dose, route, adherence",
        "Review {dose, route, adherence",
        "rules.RG11: the text has a brace",
    ),
    "a text that does not end in for clinician review": (
        "iron, folate and other causes; for clinician review",
        "iron, folate and other causes",
        "rules.RS7: the text must end in 'for clinician review'",
    ),
    "a text that recommends cyanocobalamin by a brand": (
        "Consider the next maintenance injection",
        "Consider the next Cytamen injection",
        "rules.RG9: the text must not recommend cyanocobalamin",
    ),
    "a text that recommends cyanocobalamin spelled otherwise": (
        "Consider the next maintenance injection",
        "Consider the next cyano-cobalamin injection",
        "rules.RG9: the text must not recommend cyanocobalamin",
    ),
    "a text that recommends cyanocobalamin": (
        "Consider the next maintenance injection",
        "Consider the next cyanocobalamin injection",
        "rules.RG9: the text must not recommend cyanocobalamin",
    ),
    "a text about stopping": (
        "whether it was meant to end",
        "whether it was meant to stop",
        "rules.RG14: the text must not speak of stopping",
    ),
    "a start that the kidneys are not asked of": (
        'start_listed = ["RG1", "RG2", "RG3", "RG4", "RG13"]',
        'start_listed = ["RG1", "RG2", "RG3", "RG4"]',
        "sets.start_listed: 'RG13' must be in it, as it lists consider_b12",
    ),
    "a regimen that reaches the pregnant": (
        'folded_pregnancy = ["RG1", "RG2", "RG3", "RG4",',
        'folded_pregnancy = ["RG1", "RG2", "RG3",',
        "sets.folded_pregnancy: 'RG4' must be in it, as it lists start_b12",
    ),
    "an order to a patient": (
        "Consider measuring potassium in",
        "Consider this. Take potassium in",
        "rules.SF4: the text must not give an order",
    ),
    "a start without the form of B12": (
        ' B12 form: {form}. {folic_acid}; for clinician review"\nsources = ["praxis", "bnf"]',
        '; for clinician review"\nsources = ["praxis", "bnf"]',
        "rules.RG1: the text must name {form} and {folic_acid}",
    ),
    "an untreated row that does not say to check treatment": (
        "{check_treatment}Review other causes",
        "Review other causes",
        "rules.RG8: the text must carry {check_treatment}",
    ),
    "a priority that is none": (
        "priority = 7\nreason",
        "priority = 8\nreason",
        "priority must be 1 to 7",
    ),
    "an action with another rule's name": (
        '{ rule = "RC2", outcome = "recheck_due"',
        '{ rule = "RC2", outcome = "recheck_overdue"',
        "RC2 asks for 'recheck_due'",
    ),
    "a rule that stands nowhere": (
        '    { rule = "RC2", outcome = "recheck_due", when = { recheck_state = "due" } },\n',
        "",
        "rules.RC2: must stand in a table",
    ),
    "a set that names no rule": (
        'dropped_reaction = ["SF4"]',
        'dropped_reaction = ["SF9"]',
        "is no rule",
    ),
    "a set with a rule that it is never asked about": (
        'dropped_reaction = ["SF4"]',
        'dropped_reaction = ["SF4", "SC5"]',
        "sets.dropped_reaction: 'SC5' is dead there",
    ),
    "a source that is no text": (
        'sources = ["label"]',
        "sources = [[1]]",
        "names a source that is no text",
    ),
    "a milestone out of order": ("months = 6\n", "months = 2\n", "milestones: months must rise"),
    "rechecks that pass some people by": (
        "yearly_from = true\n",
        'yearly_from = true\nwhen = { pregnant = ["yes", "no"] }\n',
        "milestones: the last one, and only it, is yearly_from, with pregnant unknown",
    ),
    "rechecks that end because nobody can tell": (
        "yearly_from = true\n",
        'yearly_from = true\nwhen = { response = ["no_response", "partial"] }\n',
        "milestones: '12 months' leaves out people with response cannot_tell",
    ),
    "rechecks by a fact that they do not ask": (
        "yearly_from = true\n",
        'yearly_from = true\nwhen = { kidney = "normal" }\n',
        "milestones 3: the table does not ask 'kidney'",
    ),
    "a panel test that is no analyte": (
        'tests = ["b12"',
        'tests = ["b6"',
        "panel: 'b6' is no analyte",
    ),
    "a table that the screen does not ask": (
        "[tables.folding",
        "[tables.bundling",
        "tables.folding: is missing",
    ),
    "a table that asks too little": (
        'asks = ["kidney", "b12_treatment", "b12_row_listed"]',
        'asks = ["kidney", "b12_treatment"]',
        "the table does not ask 'b12_row_listed'",
    ),
}


# What would end a night that lists somebody by it, and no other night: it is told, not refused.
DOUBTS = {
    "a text that only the night would have stopped": (
        "whether it was meant to end",
        "whether injections were meant to be tapered",
        "rules.RG14: the text speaks of stopping a drug",
    ),
    "folic acid before B12": (
        "Consider the next maintenance injection",
        "Consider folic acid with the next maintenance injection",
        "rules.RG9: the text recommends folic acid without saying that B12 comes first",
    ),
    "a text that reads as if a value were missing": (
        "Consider measuring potassium in",
        "Consider measuring none in",
        "rules.SF4: the text reads as if a value were missing",
    ),
    "a dose for somebody whom the screen suggests none": (
        "this screen suggests no regimen at this age",
        "1 mg IM is given at this age",
        "rules.SC4: the text names a dose or a cobalamin, and may list somebody who the screen",
    ),
    "the slow regimen where neurology may be recorded": (
        "every 2 months, long term; consider urgent",
        "every 3 months, long term; consider urgent",
        "rules.RG1: the text names a regimen that is not for recorded neurology",
    ),
    "a dose in a row that may list the pregnant": (
        "Consider asking about neurological symptoms at the visit",
        "Consider asking whether injections every two months are kept",
        "rules.RC1: the text names a dose or a cobalamin, and may list somebody who is pregnant",
    ),
}


def a_site_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "ours.toml").write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_ruleset_is_refused_for(mistake: str, tmp_path: Path) -> None:
    right, wrong, finding = MISTAKES[mistake]
    text = SHIPPED.read_text(encoding="utf-8")
    assert right in text
    site = a_site_with(tmp_path, text.replace(right, wrong))
    with pytest.raises(RulesInvalid, match=re.escape(finding)):
        load_ruleset("ours.toml", site)


@pytest.mark.parametrize("doubt", DOUBTS)
def test_the_check_tells_of_a_text_that_the_last_checks_would_stop(
    doubt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, finding = DOUBTS[doubt]
    text = SHIPPED.read_text(encoding="utf-8")
    assert right in text
    site = a_site_with(tmp_path, text.replace(right, wrong))
    assert load_ruleset("ours.toml", site)
    assert cli.main(["rules", "check", "--rules", str(site / "ours.toml")]) == 11
    assert finding in capsys.readouterr().err


def test_every_finding_is_reported_at_once(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    text = text.replace('unit = "fL"', 'unit = "L"').replace("was meant to end", "was to stop")
    with pytest.raises(RulesInvalid) as refused:
        load_ruleset("ours.toml", a_site_with(tmp_path, text))
    assert "2 finding(s)" in str(refused.value)
    assert "mcv_raised" in str(refused.value)
    assert "RG14" in str(refused.value)
    assert refused.value.exit_code == 11


@pytest.mark.parametrize("text", ["ruleset = ", "ruleset = " + "[" * 9000 + "]" * 9000])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RulesInvalid, match="not TOML"):
        load_ruleset("ours.toml", a_site_with(tmp_path, text))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RulesInvalid, match="not UTF-8"):
        load_ruleset("ours.toml", tmp_path)


def test_an_empty_file_is_refused_and_every_missing_part_named(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match="'tables' is missing"):
        load_ruleset("ours.toml", a_site_with(tmp_path, ""))


def test_a_name_that_is_not_shipped_is_refused_and_the_shipped_ones_named(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match="praxis-2025"):
        load_ruleset("praxis-2024", tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulesInvalid, match="cannot be read"):
        load_ruleset("ours.toml", tmp_path)


def test_a_file_outside_the_site_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    a_site_with(tmp_path, SHIPPED.read_text(encoding="utf-8"))
    with pytest.raises(RulesInvalid, match="inside the site"):
        load_ruleset("../ours.toml", site)


def test_a_clinic_may_change_an_assumption_in_its_own_copy(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8").replace('"b12", "hb", "mcv"', '"hb", "mcv"')
    ours = load_ruleset("ours.toml", a_site_with(tmp_path, text))
    assert "b12" not in ours.panel.tests
