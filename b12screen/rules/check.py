"""Proofs about a ruleset: what must hold before anybody is decided on by it.

Every decision table is tried over every combination of its words: no combination without a verdict,
no line that can never decide, no unknown that quietly ends up like the harmless word. Around that:
permanent ids, units, grounds, and what a recommendation may and may not say.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from b12screen.rules.model import (
    FORMS,
    NOWHERE,
    PERIOD_UNITS,
    Grounds,
    Rule,
    Ruleset,
    Table,
    Verdict,
)
from b12screen.wording import recommendations
from schemas import words as published

ENDING = "for clinician review"
PRIORITIES = range(1, 8)
# Added to the months of a milestone as a number, without its unit.
COUNTED_IN_MONTHS = ("recheck_yearly",)
# The unknown among the words of a response.
UNTOLD = "cannot_tell"
# Limits that are met from above; all others are met from below. Turned round, a limit would list
# the well and leave out the ill.
FROM_ABOVE = frozenset({
    "mma_raised", "mma_marked", "hcy_raised", "mcv_raised",
    "ckd_g1", "ckd_g2", "ckd_g3a", "ckd_g3b", "ckd_g4",
})  # fmt: skip
# Of each two the second must not be less than the first, or the words between them mean nothing.
RISING: Mapping[str, tuple[tuple[str, str], ...]] = {
    "thresholds": (
        ("mma_at_target", "mma_raised"), ("mma_raised", "mma_marked"),
        ("hcy_at_target", "hcy_raised"), ("b12_low", "b12_borderline"),
        ("holotc_low", "holotc_borderline"), ("ckd_g4", "ckd_g3b"), ("ckd_g3b", "ckd_g3a"),
        ("ckd_g3a", "ckd_g2"), ("ckd_g2", "ckd_g1"), ("hb_severe", "hb_low_pregnant"),
        ("hb_severe", "hb_low_female"), ("hb_severe", "hb_low_male"),
    ),
    "periods": (
        ("interval_neuro", "interval"), ("loading_first", "loading_last"),
        ("loading_review_first", "loading_review_last"), ("rest", "rest_longest"),
        ("done_first", "done"),
    ),
    "quantities": (("fall_least", "fall_mma"), ("fall_least", "fall_hcy")),
}  # fmt: skip
DAYS_OF_A_UNIT = {"days": 1, "months": 30}
# Where the value that a token stands for is known; an empty set: everywhere.
TOKENS: Mapping[str, frozenset[str]] = {
    "form": frozenset(),
    "folic_acid": frozenset(),
    "check_treatment": frozenset(),
    "missing": frozenset({"regimen", "recheck"}),
    "due_on": frozenset({"maintenance", "recheck"}),
    "days": frozenset({"maintenance", "recheck"}),
    "when": frozenset({"maintenance", "recheck"}),
    "milestone": frozenset({"recheck"}),
    "lapsed_since": frozenset({"lapse"}),
    "doses": frozenset({"loading"}),
    "in_place": frozenset({"cyanocobalamin"}),
    "creatinine": frozenset({"kidney_check"}),
    "kidney_form": frozenset(),
    "after_reaction": frozenset(),
}
# Rows of people for whom this screen suggests no regimen.
WITHOUT_DOSE = ("check_record", "paediatric_review", "pregnancy_review", "specialist_review")
# By what they ask for, the rules that a set must hold, all of them: a check that keeps people safe
# hangs on those listed, and of those folded none may reach whoever is pregnant or has reacted to a
# cobalamin. An injection under way goes on in pregnancy.
MUST_HOLD: Mapping[str, tuple[str, ...]] = {
    "start_listed": published.STARTS,
    "replacement_listed": (*published.STARTS, "resume_b12"),
    "folded_pregnancy": tuple(
        action for action in published.REGIMENS if action != "maintenance_due"
    ),
    "folded_reaction": published.REGIMENS,
}
# Rows that put a cobalamin to the clinician name its form and the caution about folic acid.
_NAMES_A_FORM = re.compile(r"(start|consider|resume)_.*|review_renal")
_TOKEN = re.compile(r"\{([^{}]*)\}")
_CYANOCOBALAMIN = re.compile(
    r"(?<!avoid )(?<!before any )(?<!in place of )(?<!product for )\b(?:cyano|cn-?cbl\b|cytamen\b)",
    re.IGNORECASE,
)
_STOPS = re.compile(
    r"(?<!not )(?<!not be )\b(stop|discontinue|withhold|withdraw|cease)(ped|d|s|ping|ing)?\b",
    re.IGNORECASE,
)
# What the last checks of a night read in a text, whoever it is for, and would not publish.
_NEVER = {
    "cyanocobalamin": "recommends cyanocobalamin",
    "stop": "speaks of stopping a drug",
    "folic acid": "recommends folic acid without saying that B12 comes first",
    "hole": "reads as if a value were missing",
}
_ORDERS = re.compile(
    r"(?:^|[.:;}]\s*)(start|stop|give|take|change|prescribe|inject)\b", re.IGNORECASE
)
_VERBS = re.compile(r"\b(consider|review|suggest)(s|ed)?\b", re.IGNORECASE)
_PUBLISHED_WORDS: Mapping[str, tuple[str, ...]] = {
    "route": published.SCREENING_ROUTES,
    "functional_status": published.FUNCTIONAL_STATUSES,
    "action": published.ACTIONS,
    "response": published.RESPONSES,
}


@cache
def permanent() -> Mapping[str, Any]:
    """Every rule id ever used with its meaning, and the names by which SQL asks a ruleset."""
    text = (Path(__file__).resolve().parent / "ids.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def prove(ruleset: Ruleset) -> tuple[str, ...]:
    """Every finding, in the order of the file; empty when the ruleset may decide."""
    return (
        *_names(ruleset),
        *_grounds(ruleset),
        *_numbers(ruleset),
        *_order(ruleset),
        *_milestones(ruleset),
        *_words(ruleset),
        *_rules(ruleset),
        *_sets(ruleset),
        *(finding for table in ruleset.decisions.values() for finding in _table(ruleset, table)),
    )


def _names(ruleset: Ruleset) -> Iterator[str]:
    asked = permanent()
    for kind, given in (
        ("thresholds", ruleset.thresholds),
        ("periods", ruleset.periods),
        ("quantities", ruleset.quantities),
        ("fragments", ruleset.fragments),
        ("sets", ruleset.sets),
    ):
        for name in asked[kind]:
            if name not in given:
                yield f"{kind}.{name}: is missing, and the screen asks for it"
        for name in given:
            if name not in asked[kind]:
                yield f"{kind}.{name}: the screen asks for no such name"
    for name, asks in asked["tables"].items():
        if name not in ruleset.decisions:
            yield f"tables.{name}: is missing, and the screen asks it"
        elif set(asks) != set(ruleset.decisions[name].asks):
            yield f"tables.{name}: must ask {', '.join(asks)}"
    for name in ruleset.decisions:
        if name not in asked["tables"]:
            yield f"tables.{name}: the screen asks no such table"


def _grounds(ruleset: Ruleset) -> Iterator[str]:
    grounded: list[tuple[str, Grounds]] = [("panel", ruleset.panel.grounds)]
    grounded += [(f"thresholds.{key}", each.grounds) for key, each in ruleset.thresholds.items()]
    grounded += [(f"periods.{key}", each.grounds) for key, each in ruleset.periods.items()]
    grounded += [(f"quantities.{key}", each.grounds) for key, each in ruleset.quantities.items()]
    grounded += [(f"rules.{key}", each.grounds) for key, each in ruleset.rules.items()]
    cited: set[object] = set()
    for where, grounds in grounded:
        cited.update(grounds.sources)
        if not grounds.sources and not grounds.assumption:
            yield f"{where}: has neither a source nor an assumption"
        if grounds.sources and not grounds.section:
            yield f"{where}: cites a source without the section"
        for source in grounds.sources:
            if source not in ruleset.sources:
                yield f"{where}: source '{source}' is not declared"
    for source in ruleset.sources:
        if source not in cited:
            yield f"sources.{source}: nothing cites it"


def _numbers(ruleset: Ruleset) -> Iterator[str]:
    for key, limit in ruleset.thresholds.items():
        if limit.form not in FORMS:
            yield f"thresholds.{key}: form must be one of {', '.join(FORMS)}"
        if limit.analyte not in published.CANONICAL_UNITS:
            yield f"thresholds.{key}: '{limit.analyte}' is no analyte"
        elif limit.unit != published.CANONICAL_UNITS[limit.analyte]:
            unit = published.CANONICAL_UNITS[limit.analyte]
            yield f"thresholds.{key}: unit must be {unit}, the unit of {limit.analyte}"
        if limit.analyte != (meant := permanent()["thresholds"].get(key, limit.analyte)):
            yield f"thresholds.{key}: the screen holds {meant} against it, not {limit.analyte}"
        if not 0 < limit.value < math.inf:
            yield f"thresholds.{key}: value must be a number above 0"
    for key, period in ruleset.periods.items():
        if period.unit not in PERIOD_UNITS:
            yield f"periods.{key}: unit must be one of {', '.join(PERIOD_UNITS)}"
        elif key in COUNTED_IN_MONTHS and period.unit != "months":
            yield f"periods.{key}: unit must be months, they are counted on from a milestone"
        if period.n <= 0:
            yield f"periods.{key}: n must be above 0"
    for key, quantity in ruleset.quantities.items():
        if quantity.unit != (unit := permanent()["quantities"].get(key, quantity.unit)):
            yield f"quantities.{key}: unit must be {unit}, as the screen reads it"
        if not 0 < quantity.value < math.inf:
            yield f"quantities.{key}: value must be a number above 0"
    for test in ruleset.panel.tests:
        if test not in published.ANALYTES:
            yield f"panel: '{test}' is no analyte"


def _order(ruleset: Ruleset) -> Iterator[str]:
    """Limits that are met from the side that they mean, and do not lie beyond one another."""
    for key, limit in ruleset.thresholds.items():
        side = "above" if key in FROM_ABOVE else "below"
        if limit.form in FORMS and not limit.form.endswith(side):
            yield f"thresholds.{key}: form must be {side} or at_or_{side}"
    sizes: dict[str, dict[str, float]] = {
        "thresholds": {key: each.value for key, each in ruleset.thresholds.items()},
        "periods": {
            key: each.n * DAYS_OF_A_UNIT.get(each.unit, math.nan)
            for key, each in ruleset.periods.items()
        },
        "quantities": {key: each.value for key, each in ruleset.quantities.items()},
    }
    for table, pairs in RISING.items():
        for less, more in pairs:
            # A number that is none has its own finding.
            if 0 < sizes[table].get(more, math.inf) < sizes[table].get(less, 0):
                yield f"{table}.{less}: must not be more than {table}.{more}"


def _milestones(ruleset: Ruleset) -> Iterator[str]:
    """Whoever a person is, rechecks begin, go on, and do not end because nobody can tell."""
    for pregnant in ruleset.words["pregnant"].words if "pregnant" in ruleset.words else ():
        planned = [each for each in ruleset.milestones if pregnant in each.when["pregnant"]]
        months = [each.months for each in planned]
        of_whom = f"with pregnant {pregnant}"
        if not months or months[0] <= 0 or months != sorted(set(months)):
            yield f"milestones: months must rise from above 0, {of_whom}"
        if [each.yearly_from for each in planned] != [False] * (len(months) - 1) + [True]:
            yield f"milestones: the last one, and only it, is yearly_from, {of_whom}"
    for each in ruleset.milestones:
        noun = "month" if each.months == 1 else "months"
        if each.milestone != f"{each.months} {noun}":
            # The name is what a clinic reads, and part of the key of its row.
            yield f"milestones: '{each.milestone}' must be called '{each.months} {noun}'"
        if UNTOLD not in each.when["response"]:
            yield f"milestones: '{each.milestone}' leaves out people with response {UNTOLD}"


def _words(ruleset: Ruleset) -> Iterator[str]:
    used = {ask for table in ruleset.decisions.values() for ask in (*table.asks, table.gives)}
    for ask, each in ruleset.words.items():
        if ("unknown" in each.words) != bool(each.absent):
            yield f"words.{ask}: 'absent' belongs to words with unknown, and only to them"
        elif each.absent and (each.absent not in each.words or each.absent == "unknown"):
            yield f"words.{ask}: 'absent' must be one of the words, and not unknown"
        if ask not in used:
            yield f"words.{ask}: no table asks or gives it"
        for word in each.words:
            if word not in _PUBLISHED_WORDS.get(ask, each.words):
                yield f"words.{ask}: '{word}' is not a published word"


def _rules(ruleset: Ruleset) -> Iterator[str]:
    meanings = permanent()["rules"]
    known_actions = ruleset.words["action"].words if "action" in ruleset.words else ()
    listed_in: dict[str, set[str]] = {key: set() for key in ruleset.rules}
    for table in ruleset.decisions.values():
        for line in table.lines:
            listed_in.setdefault(line.rule, set()).add(table.name)
    for key, rule in ruleset.rules.items():
        where = f"rules.{key}"
        if key not in meanings:
            yield f"{where}: the id is not in ids.toml; enter a new id there before it is used"
        elif rule.title != meanings[key]:
            yield f"{where}: the id means '{meanings[key]}' for good; take a new id"
        if bool(listed_in[key]) == bool(rule.outside):
            yield f"{where}: must stand in a table, or say under 'outside' why it does not"
        if rule.priority is not None and rule.priority not in PRIORITIES:
            yield f"{where}: priority must be {PRIORITIES[0]} to {PRIORITIES[-1]}"
        if bool(rule.action) != bool(rule.text):
            yield f"{where}: an action needs a text, and a text an action"
        if rule.outside and rule.action and rule.priority is None:
            yield f"{where}: 'priority' is missing, and no table gives one"
        if rule.priority is not None and not rule.action:
            yield f"{where}: a priority without an action"
        if rule.action and rule.action not in known_actions:
            yield f"{where}: '{rule.action}' is no word of 'action'"
        if "{" in rule.reason or "}" in rule.reason:
            yield f"{where}: a reason has no tokens"
        if rule.text:
            yield from _text(ruleset, rule, listed_in[key])
    actions = {rule.action for rule in ruleset.rules.values()}
    for action in known_actions:
        if action not in actions:
            yield f"words.action: no rule asks for '{action}'"
    for key, fragment in ruleset.fragments.items():
        yield from _wording(f"fragments.{key}", fragment)


def _text(ruleset: Ruleset, rule: Rule, tables: set[str]) -> Iterator[str]:
    where = f"rules.{rule.rule_id}"
    if not rule.text.endswith(ENDING):
        yield f"{where}: the text must end in '{ENDING}'"
    tokens = _TOKEN.findall(rule.text)
    if re.search(r"[{}]", _TOKEN.sub("", rule.text)):
        yield f"{where}: the text has a brace that belongs to no token"
    for token in tokens:
        if token not in TOKENS:
            yield f"{where}: the text has an unknown token '{token}'"
        elif TOKENS[token] and not tables <= TOKENS[token]:
            yield f"{where}: the token '{token}' is not known in {', '.join(sorted(tables))}"
    if not _VERBS.search(rule.text.removesuffix(ENDING)):
        yield f"{where}: the text must say consider, review or suggest"
    if _NAMES_A_FORM.fullmatch(rule.action) and not {"form", "folic_acid"} <= set(tokens):
        yield f"{where}: the text must name {{form}} and {{folic_acid}}"
    asks = {ask for table in tables for ask in ruleset.decisions[table].asks}
    if "untreated" in asks and "check_treatment" not in tokens:
        yield f"{where}: the text must carry {{check_treatment}}"
    yield from _wording(where, rule.text)


def _meets_neurology(ruleset: Ruleset, rule: Rule, tables: set[str]) -> bool:
    """Whether the rule may list somebody with neurological involvement recorded."""
    for table in (ruleset.decisions[name] for name in tables):
        if "neuro" not in table.asks:
            return True
        place = table.asks.index("neuro")
        for combination, verdict in table.verdicts.items():
            decides = verdict.line and table.lines[verdict.line - 1].rule == rule.rule_id
            if decides and combination[place] == "recorded":
                return True
    return False


def _wording(where: str, text: str) -> Iterator[str]:
    if _CYANOCOBALAMIN.search(text):
        yield f"{where}: the text must not recommend cyanocobalamin"
    if _STOPS.search(text):
        yield f"{where}: the text must not speak of stopping a drug"
    if _ORDERS.search(text):
        yield f"{where}: the text must not give an order about a drug"


def doubts(ruleset: Ruleset) -> tuple[str, ...]:
    """Texts that the last checks of a night would not publish, as far as a text alone tells.

    Each night reads what it lists, so a text that lists nobody stops none; whoever writes one is
    told here, before somebody is listed by it.
    """
    return tuple(
        f"rules.{rule.rule_id}: the text {finding}; a night that lists somebody by it is not "
        "published"
        for rule in ruleset.rules.values()
        if rule.text
        for finding in _doubts(ruleset, rule)
    )


def _doubts(ruleset: Ruleset, rule: Rule) -> Iterator[str]:
    tables = {
        table.name
        for table in ruleset.decisions.values()
        if any(line.rule == rule.rule_id for line in table.lines)
    }
    says = recommendations(_filled(ruleset, rule.text))
    for what, finding in _NEVER.items():
        if what in says:
            yield finding
    if "regimen without neurology" in says and _meets_neurology(ruleset, rule, tables):
        yield "names a regimen that is not for recorded neurology"
    of_whom = {
        "the screen suggests no regimen": rule.action in WITHOUT_DOSE,
        "is pregnant": rule.rule_id not in ruleset.sets["folded_pregnancy"]
        and rule.action != "maintenance_due",
        "has reacted to a cobalamin": rule.rule_id
        not in (*ruleset.sets["folded_reaction"], *ruleset.sets["dropped_reaction"]),
    }
    for whom, may_be_listed in of_whom.items():
        too_much = {"dose"} if whom == "is pregnant" else {"dose", "cobalamin"}
        if may_be_listed and says & too_much:
            yield f"names a dose or a cobalamin, and may list somebody who {whom}"


def _filled(ruleset: Ruleset, text: str) -> str:
    """The text with the fragment that goes by a token's name; a word for any other value."""
    return _TOKEN.sub(lambda token: ruleset.fragments.get(token[1], "so"), text)


def _sets(ruleset: Ruleset) -> Iterator[str]:
    for name, rules in ruleset.sets.items():
        tables = [each for each in permanent()["sets"].get(name, ()) if each in ruleset.decisions]
        meant = {line.rule for table in tables for line in ruleset.decisions[table].lines}
        for rule in rules:
            if rule not in ruleset.rules:
                yield f"sets.{name}: '{rule}' is no rule"
            elif rule not in meant:
                yield f"sets.{name}: '{rule}' is dead there, no table asked with it lists it"
        for rule in sorted(meant & ruleset.rules.keys() - set(rules)):
            if (action := ruleset.rules[rule].action) in MUST_HOLD.get(name, ()):
                yield f"sets.{name}: '{rule}' must be in it, as it lists {action}"


def _table(ruleset: Ruleset, table: Table) -> Iterator[str]:
    where = f"tables.{table.name}"
    given = ruleset.words[table.gives].words
    lists = table.gives == "action"
    for number, line in enumerate(table.lines, start=1):
        place = f"{where} line {number}"
        if line.rule not in ruleset.rules:
            yield f"{place}: '{line.rule}' is no rule"
            continue
        if line.outcome not in given:
            yield f"{place}: '{line.outcome}' is no word of '{table.gives}'"
        if lists and line.outcome != ruleset.rules[line.rule].action:
            yield f"{place}: {line.rule} asks for '{ruleset.rules[line.rule].action}'"
        if lists and line.priority not in PRIORITIES:
            yield f"{place}: priority must be {PRIORITIES[0]} to {PRIORITIES[-1]}"
        if not lists and line.priority is not None:
            yield f"{place}: a priority in a table that lists nobody"
    if table.otherwise is not None and table.otherwise not in ((NOWHERE,) if lists else given):
        yield f"{where}: '{table.otherwise}' cannot be what is left otherwise"
    outcomes = {line.outcome for line in table.lines} | {table.otherwise}
    for word in () if lists else given:
        if word not in outcomes:
            yield f"{where}: nothing gives '{word}'"
    for ask in table.asks:
        if ask.endswith("_listed") and ask not in ruleset.sets:
            yield f"{where}: '{ask}' has no set of rules"
    yield from _space(ruleset, table)


def _space(ruleset: Ruleset, table: Table) -> Iterator[str]:
    """What only the whole space of combinations shows: gaps, dead lines, silent unknowns."""
    where = f"tables.{table.name}"
    gaps = [each for each in table.combinations() if each not in table.verdicts]
    if gaps:
        example = ", ".join(f"{ask} {word}" for ask, word in zip(table.asks, gaps[0], strict=True))
        yield f"{where}: no line fits {len(gaps)} combination(s), say {example}"
    deciding = {verdict.line for verdict in table.verdicts.values()}
    for number, line in enumerate(table.lines, start=1):
        if number not in deciding:
            yield f"{where} line {number}: never decides, {line.rule} is dead there"
    if table.otherwise is not None and 0 not in deciding:
        yield f"{where}: nothing is left for 'otherwise'"
    silent = {ask for ask in table.asks if _is_silent(ruleset, table, ask)}
    for ask in table.asks:
        if ask in silent and ask not in table.unknown_as:
            absent = ruleset.words[ask].absent
            yield f"{where}: '{ask}' unknown is silently treated like '{absent}' or left out"
    for ask in table.unknown_as:
        if ask not in silent:
            yield f"{where}.unknown_as: '{ask}' unknown is not treated like anything else"


def _is_silent(ruleset: Ruleset, table: Table, ask: str) -> bool:
    """Whether unknown somewhere shares the fate of the harmless word, or lists nobody, unsaid.

    Said is: the line that decides names unknown among its words. Fate is outcome and priority.
    It matters only where another word would have had another fate.
    """
    if "unknown" not in table.words[ask]:
        return False
    place = table.asks.index(ask)
    absent = ruleset.words[ask].absent
    for combination, verdict in table.verdicts.items():
        if combination[place] != "unknown":
            continue
        if verdict.line and "unknown" in table.lines[verdict.line - 1].when.get(ask, ()):
            continue
        others = {
            word: table.verdicts.get((*combination[:place], word, *combination[place + 1 :]))
            for word in table.words[ask]
            if word != "unknown"
        }
        harmless = others.get(absent)
        like_absent = harmless is not None and _fate(harmless) == _fate(verdict)
        differs = any(each and _fate(each) != _fate(verdict) for each in others.values())
        if differs and (like_absent or verdict.line == 0):
            return True
    return False


def _fate(verdict: Verdict) -> tuple[str, int | None]:
    return verdict.outcome, verdict.priority
