"""The page on which a clinician reads, and signs, what the screen decides.

Generated from the ruleset and the code maps alone, so that the page and the decisions cannot
differ; assumptions are set in bold because they are ours and not a guideline's.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl

from b12screen.maps import NEURO_GROUPS, NEURO_TIERS, Maps
from b12screen.rules.model import Grounds, Line, Ruleset, Table

_FORMS: Mapping[str, str] = {
    "above": "above",
    "at_or_above": "at or above",
    "below": "below",
    "at_or_below": "at or below",
}
_TOKENS: Mapping[str, str] = {
    "missing": "tests missing or to be repeated",
    "due_on": "day on which it was or is due",
    "days": "number of days",
    "when": "how far that day is from the night: in so many days, today, so many days ago",
    "milestone": "which recheck",
    "lapsed_since": "day of the last dose of the treatment that has lapsed",
    "doses": "doses given, and how many were expected where there are fewer",
}


def render(ruleset: Ruleset, maps: Maps) -> str:
    """The page as Markdown, ending in a newline; the same rules and maps give the same bytes."""
    sections = (
        _head(ruleset),
        _decisions(ruleset),
        _recommendations(ruleset),
        _rechecks(ruleset),
        _answers(ruleset),
        _limits(ruleset, maps),
        _codes(maps),
        _assumptions(ruleset),
        _vocabulary(ruleset),
        _sources(ruleset),
        _signature(ruleset),
    )
    return "\n".join(line for section in sections for line in section) + "\n"


def _head(ruleset: Ruleset) -> Iterator[str]:
    n_assumed = sum(bool(rule.grounds.assumption) for rule in ruleset.rules.values())
    yield (
        f"<!-- Generated from the ruleset {ruleset.ruleset} by `b12screen rules render`. Change "
        "the rules in its file, never here. -->"
    )
    yield ""
    yield f"# {ruleset.title}"
    yield ""
    yield from _grid(
        ("ruleset", "version", "to be reviewed by", "rules", "of these resting on an assumption"),
        [
            (
                f"`{ruleset.ruleset}`",
                ruleset.version,
                f"**{ruleset.review_by.isoformat()}**",
                str(len(ruleset.rules)),
                str(n_assumed),
            )
        ],
    )
    yield ruleset.note
    yield ""
    yield from _differences(ruleset)
    yield "Every row of a worklist is a recommendation for clinician review. Nothing here tells a"
    yield "patient to start, stop or change a drug."
    yield ""
    yield "How to read a decision: its lines are tried from the top, and the first line that fits"
    yield "decides. A condition that a line does not name may hold any word. An **assumption** is a"
    yield "choice of ours where the sources are silent; a clinic may change it in its own copy."
    yield ""


def _differences(ruleset: Ruleset) -> Iterator[str]:
    """Which entries of this page are the ruleset's own, and which are taken over."""
    if not ruleset.based_on:
        return
    yield f"This page is complete. All of it stands as in `{ruleset.based_on}` but for:"
    yield ""
    for section in dict.fromkeys(each.partition(".")[0] for each in ruleset.own):
        names = [name for kind, _, name in _parts(ruleset.own) if kind == section and name]
        yield f"- {section}" + (f": {_listed(names)}" if names else "")
    for section in dict.fromkeys(each.partition(".")[0] for each in ruleset.left_out):
        names = [name for kind, _, name in _parts(ruleset.left_out) if kind == section]
        yield f"- {section} left out: {_listed(names)}"
    yield ""


def _parts(names: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    return (name.partition(".") for name in names)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _decisions(ruleset: Ruleset) -> Iterator[str]:
    yield "## Decisions"
    yield ""
    for table in ruleset.decisions.values():
        lists = table.gives == "action"
        yield f"### {table.question} (`{table.name}`)"
        yield ""
        header = ["", "rule", "when", "then"] + ["priority"] * lists + ["meaning", "grounds"]
        rows = []
        for number, line in enumerate(table.lines, start=1):
            rule = ruleset.rules[line.rule]
            row = [str(number), rule.rule_id, _condition(line), f"`{line.outcome}`"]
            row += [str(line.priority)] * lists
            rows.append([*row, rule.title, _because(ruleset, rule.grounds)])
        yield from _grid(header, rows)
        if table.otherwise is not None:
            rest = "nothing is listed" if lists else f"`{table.otherwise}`"
            yield f"Otherwise: {rest}."
            yield ""
        for ask, why in table.unknown_as.items():
            yield f"- `{ask}` unknown counts as nothing found; {why}."
        if table.unknown_as:
            yield ""
        for ask in _sets_asked(table, ruleset):
            yield f"`{ask}` yes: one of {', '.join(ruleset.sets[ask])} has listed the person."
            yield ""
    folded = ", ".join(ruleset.sets["folded_reaction"])
    dropped = ", ".join(ruleset.sets["dropped_reaction"])
    yield f"**reaction**: rows of {folded} become one row of RG16 with the best priority among"
    yield f"them, and {dropped} is not listed."
    yield ""
    folded = ", ".join(ruleset.sets["folded_pregnancy"])
    yield f"**pregnancy**: rows of {folded} become one row with the text of SC6, the best priority"
    yield "among them and that rule's id. Every other row stands."
    yield ""


def _recommendations(ruleset: Ruleset) -> Iterator[str]:
    yield "## What a worklist row says"
    yield ""
    rows = [
        (
            rule.rule_id,
            f"`{rule.action}`",
            "best of the rows it replaces" if rule.priority is None else str(rule.priority),
            rule.reason,
            rule.text,
            _because(ruleset, rule.grounds),
        )
        for rule in ruleset.rules.values()
        if rule.action
    ]
    yield from _grid(("rule", "action", "priority", "why", "recommendation", "grounds"), rows)
    yield "The priority is the one where no line of a decision says another. In braces:"
    yield ""
    for fragment, text in ruleset.fragments.items():
        yield f"- `{fragment}`: {text.strip()}"
    for token, meaning in _TOKENS.items():
        yield f"- `{{{token}}}`: {meaning}"
    yield ""
    yield "`{form}` is one of the forms, by renal dysfunction yes, no or unknown."
    yield "`{check_treatment}` stands only where treatment is unknown, as `check_treatment_stale`"
    yield "where nobody is known to be on treatment by a stale medications feed, or where such a"
    yield "feed says that an injection is due; a text that names a form says `check_conditions` too"
    yield "where a reaction, pregnancy or an inborn error cannot be ruled out. `{missing}` is"
    yield "`missing_none` where no test is missing. `{kidney_form}` stands only with renal"
    yield "dysfunction, `{after_reaction}` only after a reaction to a cobalamin. Then `{in_place}`"
    yield "is `in_place_reaction` and `{creatinine}` is `creatinine_reaction`; else `{creatinine}`"
    yield "is `creatinine_renal` with renal dysfunction, and `creatinine_sex` where there is a"
    yield "creatinine and no sex to compute with."
    yield ""
    outside = [rule for rule in ruleset.rules.values() if rule.outside]
    for rule in outside:
        yield f"{rule.rule_id} ({rule.title}): {rule.outside}."
        yield ""


def _rechecks(ruleset: Ruleset) -> Iterator[str]:
    yield "## Rechecks"
    yield ""
    for each in ruleset.milestones:
        months = "month" if each.months == 1 else "months"
        again = ", then again every `recheck_yearly`" if each.yearly_from else ""
        only = "".join(
            f"; only with {ask} *{' or '.join(words)}*"
            for ask, words in each.when.items()
            if set(words) < set(ruleset.words[ask].words)
        )
        yield f"- {each.months} calendar {months} after the start of treatment{again}{only}"
    yield ""
    panel = ruleset.panel
    yield f"Panel: {', '.join(panel.tests)} ({panel.meaning}). {_because(ruleset, panel.grounds)}."
    yield ""


def _answers(ruleset: Ruleset) -> Iterator[str]:
    """What an answer of the clinic does to a row, in days of this ruleset."""
    days = {name: f"{each.n} {each.unit}" for name, each in ruleset.periods.items()}
    worse = ruleset.quantities["marker_worse"].value
    yield "## What becomes of a row that a clinic has answered"
    yield ""
    yield from _grid(
        ("answer", "the row", "with priority 1"),
        [
            (
                "`done`, `already_treated`",
                f"closes; it is back after {days['done']} without a recorded dose or result, and "
                f"after {days['rest_longest']} in any case, if its rule still asks for it",
                f"after {days['done_first']}, and after {days['rest_longest_first']} in any case",
            ),
            (
                "`declined`, `deferred`",
                f"rests until the day that is named, at most {days['rest_longest']}; "
                f"{days['rest']} where none is named",
                f"at most {days['rest_longest_first']}",
            ),
            (
                "`not_our_patient`",
                "goes to unrouted.csv until the record names another clinic",
                "the same",
            ),
            ("`acknowledged`", "ends a `result_withdrawn` row, as `done` does", "the same"),
        ],
    )
    yield "A row is back at once when a neurological or pregnancy code has come since the sheet"
    yield f"that was answered, when MMA or homocysteine is {worse:g} times what it showed or newly"
    yield "raised, with severe anaemia, or with a better priority. A row that has come back stays"
    yield "until it is answered again. What one clinic answered does not bind the next one."
    yield ""
    yield "The site may put off an action as a whole, never a row of priority 1; its rows come back"
    yield "spread over some days."
    yield ""


def _codes(maps: Maps) -> Iterator[str]:
    """The condition and drug codes that facts rest on, by what they stand for."""
    yield "## Codes"
    yield ""
    yield "A code that ends in * stands for every code that begins so. One in **bold** could not be"
    yield "checked against a published list. A neurological code has a tier: definite counts at any"
    yield "age, likely and weak while recent; a competing cause explains a neuropathy otherwise."
    yield ""
    tier = pl.col("tier").replace_strict(
        {word: place for place, word in enumerate(NEURO_TIERS)}, default=len(NEURO_TIERS)
    )
    conditions = maps.condition.with_columns(
        (~pl.col("condition_group").is_in(NEURO_GROUPS)).alias("is_other"), tier.alias("place")
    ).sort("is_other", "place", "condition_group", "code_system", "code")
    yield from _grid(
        ("group", "tier", "system", "codes"),
        [
            (group.replace("_", " "), tier_word, system, _code_list(part))
            for (group, tier_word, system), part in conditions.group_by(
                "condition_group", "tier", "code_system", maintain_order=True
            )
        ],
    )
    drugs = maps.drug.sort("substance", "code_system", "code").with_columns(
        pl.when("antidote")
        .then(pl.col("substance") + " (antidote)")
        .otherwise("substance")
        .alias("substance")
    )
    yield from _grid(
        ("drug", "system", "codes"),
        [
            (substance.replace("_", " "), system, _code_list(part))
            for (substance, system), part in drugs.group_by(
                "substance", "code_system", maintain_order=True
            )
        ],
    )


def _code_list(codes: pl.DataFrame) -> str:
    named = []
    for code, match, meaning, verified in codes.select(
        "code", "match", "meaning", "verified"
    ).iter_rows():
        text = f"{code}{'*' if match == 'prefix' else ''} {meaning}"
        named.append(text if verified == "V" else f"**{text}**")
    return "; ".join(named)


def _limits(ruleset: Ruleset, maps: Maps) -> Iterator[str]:
    labels = dict(maps.analyte.select("analyte", "label").iter_rows())
    yield "## Limits, windows and quantities"
    yield ""
    yield from _grid(
        ("limit", "is met", "means", "grounds"),
        [
            (
                f"`{key}`",
                f"{labels[each.analyte]} {_FORMS[each.form]} {each.value:g} "
                f"{each.unit.replace('umol', 'µmol').replace('{1.73_m2}', '1.73 m²')}",
                each.meaning,
                _because(ruleset, each.grounds),
            )
            for key, each in ruleset.thresholds.items()
        ],
    )
    yield from _grid(
        ("window", "length", "means", "grounds"),
        [
            (f"`{key}`", f"{each.n} {each.unit}", each.meaning, _because(ruleset, each.grounds))
            for key, each in ruleset.periods.items()
        ],
    )
    yield from _grid(
        ("quantity", "value", "means", "grounds"),
        [
            (
                f"`{key}`",
                f"{each.value:g} {each.unit}",
                each.meaning,
                _because(ruleset, each.grounds),
            )
            for key, each in ruleset.quantities.items()
        ],
    )


def _assumptions(ruleset: Ruleset) -> Iterator[str]:
    assumed: dict[str, list[str]] = {}
    for kind, named in (
        ("limit", ruleset.thresholds),
        ("window", ruleset.periods),
        ("quantity", ruleset.quantities),
        ("recheck", {"panel": ruleset.panel}),
        ("rule", ruleset.rules),
    ):
        for key, each in named.items():
            if each.grounds.assumption:
                assumed.setdefault(kind, []).append(f"`{key}` {each.grounds.assumption}")
    yield "## Every assumption on one list"
    yield ""
    for kind, entries in assumed.items():
        yield f"- {kind}:"
        for entry in entries:
            yield f"  - **{entry}**"
    yield ""


def _vocabulary(ruleset: Ruleset) -> Iterator[str]:
    yield "## Words"
    yield ""
    yield from _grid(
        ("fact", "words", "meaning"),
        [(f"`{key}`", ", ".join(each.words), each.meaning) for key, each in ruleset.words.items()],
    )


def _sources(ruleset: Ruleset) -> Iterator[str]:
    yield "## Sources"
    yield ""
    yield "Restated in our own words; sections are named by their topic."
    yield ""
    for source in ruleset.sources.values():
        yield f"- **{source.short}**: {source.title}. {source.citation}."
    yield ""


def _signature(ruleset: Ruleset) -> Iterator[str]:
    yield "## Review"
    yield ""
    yield f"Ruleset `{ruleset.ruleset}` version {ruleset.version}, sha256 `{ruleset.sha256}`."
    yield ""
    yield from _grid(("read by", "role", "date", "signature"), [(" ", " ", " ", " ")])


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _bars(header)
    yield _bars(["---"] * len(header))
    for row in rows:
        yield _bars(row)
    yield ""


def _bars(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _condition(line: Line) -> str:
    """The conditions of a line as words, say ``gate open or unknown, hcy_raised no``."""
    if not line.when:
        return "everybody else"
    return ", ".join(f"{ask} *{' or '.join(words)}*" for ask, words in line.when.items())


def _because(ruleset: Ruleset, grounds: Grounds) -> str:
    parts = []
    if grounds.sources:
        names = ", ".join(ruleset.sources[each].short for each in grounds.sources)
        parts.append(f"{names} ({grounds.section})")
    if grounds.assumption:
        parts.append(f"**assumption: {grounds.assumption}**")
    return "; ".join(parts)


def _sets_asked(table: Table, ruleset: Ruleset) -> list[str]:
    return [ask for ask in table.asks if ask in ruleset.sets]
