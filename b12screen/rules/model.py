"""A ruleset as data: read from TOML into frozen dataclasses, handed to SQL as tables.

A file may state ``based_on``: then it holds only what differs, in whole entries (a limit, a rule, a
table), and every other entry is that of the shipped ruleset it names. Nothing within an entry is
shared, so that a number never keeps the grounds of another.

Refuses an unknown key, a missing key and a value of the wrong kind; what the rules *mean* is proved
in ``check``. Holds no clinical number and no clinical word of its own.
"""

import hashlib
import itertools
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars

FORMS = ("above", "at_or_above", "below", "at_or_below")
PERIOD_UNITS = ("days", "months")
NOWHERE = "none"
MILESTONE_ASKS = ("pregnant", "response")
# What a ruleset holds by name; with `based_on`, each entry stands in place of one of that name.
NAMED = (
    "sources",
    "thresholds",
    "periods",
    "quantities",
    "words",
    "fragments",
    "sets",
    "rules",
    "tables",
)
WHOLE = ("milestones", "panel")


@dataclass(frozen=True)
class Source:
    """A document that a rule rests on, cited and never copied."""

    source_id: str
    short: str
    title: str
    citation: str


@dataclass(frozen=True)
class Grounds:
    """Why something stands in the ruleset: sources with the section, an assumption, or both."""

    sources: tuple[str, ...] = ()
    section: str = ""
    assumption: str = ""


@dataclass(frozen=True)
class Threshold:
    """A limit on an analyte; ``form`` says on which side of it the limit is met."""

    threshold_id: str
    analyte: str
    form: str
    value: float
    unit: str
    meaning: str
    grounds: Grounds


@dataclass(frozen=True)
class Period:
    """A length of time in days or calendar months."""

    period_id: str
    n: int
    unit: str
    meaning: str
    grounds: Grounds


@dataclass(frozen=True)
class Quantity:
    """A number that is neither a limit on a result nor a length of time."""

    quantity_id: str
    value: float
    unit: str
    meaning: str
    grounds: Grounds


@dataclass(frozen=True)
class Milestone:
    """A recheck, months after the start of treatment; the last one is followed by yearly ones.

    ``when`` holds, for each of ``MILESTONE_ASKS``, the words for which it is planned.
    """

    milestone: str
    months: int
    yearly_from: bool
    when: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Panel:
    """The tests of a recheck, in the order in which missing ones are named."""

    tests: tuple[str, ...]
    meaning: str
    grounds: Grounds


@dataclass(frozen=True)
class Words:
    """The closed words of one fact; ``absent`` is the harmless one where unknown is a word."""

    ask: str
    words: tuple[str, ...]
    meaning: str
    absent: str = ""


@dataclass(frozen=True)
class Rule:
    """One permanent id: what it means, why in words, and what it recommends if it lists anybody."""

    rule_id: str
    title: str
    reason: str
    grounds: Grounds
    action: str = ""
    priority: int | None = None
    text: str = ""
    outside: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a decision table: fits when every condition holds its word."""

    rule: str
    outcome: str
    priority: int | None
    when: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Verdict:
    """What a table says for one combination of words; ``line`` 0 is ``otherwise``."""

    rule_id: str
    outcome: str
    priority: int | None
    line: int


@dataclass(frozen=True)
class Table:
    """A decision: lines tried from the top over closed words, the first that fits decides."""

    name: str
    question: str
    gives: str
    asks: tuple[str, ...]
    lines: tuple[Line, ...]
    words: Mapping[str, tuple[str, ...]]
    otherwise: str | None = None
    unknown_as: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def verdicts(self) -> Mapping[tuple[str, ...], Verdict]:
        """The verdict for every combination of words, in the order of ``asks``.

        A combination that no line fits is absent unless the table has an ``otherwise``.
        """
        decided: dict[tuple[str, ...], Verdict] = {}
        for number, line in enumerate(self.lines, start=1):
            verdict = Verdict(line.rule, line.outcome, line.priority, number)
            spans = (line.when.get(ask, self.words[ask]) for ask in self.asks)
            for combination in itertools.product(*spans):
                decided.setdefault(combination, verdict)
        if self.otherwise is not None:
            rest = Verdict("", self.otherwise, None, 0)
            for combination in self.combinations():
                decided.setdefault(combination, rest)
        return MappingProxyType(decided)

    def combinations(self) -> "itertools.product[tuple[str, ...]]":
        """Every combination of the words asked, in the order in which they are declared."""
        return itertools.product(*(self.words[ask] for ask in self.asks))

    def decide(self, **facts: str) -> Verdict:
        """The verdict for one person's words; raises ``KeyError`` for a word the table lacks."""
        return self.verdicts[tuple(facts[ask] for ask in self.asks)]


@dataclass(frozen=True)
class Ruleset:
    """One guideline as data. Order of every mapping is the order of the file.

    ``own`` and ``left_out`` name the entries, as ``rules.RG4``, in which a ruleset that is
    ``based_on`` another differs from it. ``files`` are what it was read from, those it is based on
    first, under their names, and its own last, without one; ``sha256`` is of all of them.
    """

    ruleset: str
    title: str
    version: str
    review_by: date
    note: str
    sha256: str
    sources: Mapping[str, Source]
    thresholds: Mapping[str, Threshold]
    periods: Mapping[str, Period]
    quantities: Mapping[str, Quantity]
    milestones: tuple[Milestone, ...]
    panel: Panel
    words: Mapping[str, Words]
    fragments: Mapping[str, str]
    sets: Mapping[str, tuple[str, ...]]
    rules: Mapping[str, Rule]
    decisions: Mapping[str, Table]
    based_on: str = ""
    own: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = field(default=(), repr=False, compare=False)

    def findings(self) -> tuple[str, ...]:
        """Everything that is wrong with these rules; empty for a ruleset that may be used."""
        from b12screen.rules.check import prove

        return prove(self)

    def short_source(self, grounds: Grounds) -> str:
        """The citation of a worklist row: short names, and ``assumption`` where one is made."""
        names = [self.sources[each].short for each in grounds.sources]
        return "; ".join(names + ["assumption"] * bool(grounds.assumption))

    def tables(self) -> "dict[str, polars.DataFrame]":
        """The relations of schema ``rules``; decision tables expanded over all combinations.

        SQL joins a decision table on plain equality of every ask. A combination that lists nobody
        has an empty ``rule_id``; ``priority`` is NULL where no worklist row comes of it.
        """
        import polars

        text, whole, real = polars.String(), polars.Int64(), polars.Float64()
        cited = {"source": text, "section": text, "assumption": text}

        def frame(schema: "dict[str, Any]", rows: Sequence[Sequence[object]]) -> polars.DataFrame:
            return polars.DataFrame(rows, schema=schema, orient="row", strict=True)

        def texts(*names: str) -> "dict[str, Any]":
            return dict.fromkeys(names, text)

        def cite(grounds: Grounds) -> tuple[str, str, str]:
            return self.short_source(grounds), grounds.section, grounds.assumption

        first: dict[str, tuple[str, str]] = {}
        for table in self.decisions.values():
            for line in table.lines:
                first.setdefault(line.rule, (table.name, line.outcome))
        relations = {
            "ruleset": frame(
                texts("ruleset", "title", "version")
                | {"review_by": polars.Date()}
                | texts("sha256"),
                [(self.ruleset, self.title, self.version, self.review_by, self.sha256)],
            ),
            "source": frame(
                texts("source_id", "title", "citation"),
                [(each.source_id, each.title, each.citation) for each in self.sources.values()],
            ),
            "threshold": frame(
                texts("threshold_id", "analyte", "form")
                | {"value": real}
                | texts("unit", "meaning")
                | cited,
                [
                    (
                        t.threshold_id,
                        t.analyte,
                        t.form,
                        t.value,
                        t.unit,
                        t.meaning,
                        *cite(t.grounds),
                    )
                    for t in self.thresholds.values()
                ],
            ),
            "period": frame(
                texts("period_id") | {"n": whole} | texts("unit", "meaning") | cited,
                [
                    (p.period_id, p.n, p.unit, p.meaning, *cite(p.grounds))
                    for p in self.periods.values()
                ],
            ),
            "quantity": frame(
                texts("quantity_id") | {"value": real} | texts("unit", "meaning") | cited,
                [
                    (q.quantity_id, q.value, q.unit, q.meaning, *cite(q.grounds))
                    for q in self.quantities.values()
                ],
            ),
            "milestone": frame(
                {"milestone": text, "months": whole, "yearly_from": polars.Boolean()}
                | dict.fromkeys(MILESTONE_ASKS, polars.List(text)),
                [
                    (
                        each.milestone,
                        each.months,
                        each.yearly_from,
                        *(list(each.when[ask]) for ask in MILESTONE_ASKS),
                    )
                    for each in self.milestones
                ],
            ),
            "panel_test": frame(
                {"analyte": text, "position": whole},
                [(test, place) for place, test in enumerate(self.panel.tests, start=1)],
            ),
            "fragment": frame(texts("fragment_id", "text"), list(self.fragments.items())),
            "rule_set": frame(
                texts("set_id", "rule_id"),
                [(name, rule) for name, rules in self.sets.items() for rule in rules],
            ),
            "row": frame(
                texts("rule_id", "table_name")
                | {"position": whole}
                | texts("outcome", "action")
                | {"priority": whole}
                | texts("text", "reason")
                | cited,
                [
                    (
                        rule.rule_id,
                        first.get(rule.rule_id, ("", ""))[0],
                        position,
                        first.get(rule.rule_id, ("", ""))[1],
                        rule.action,
                        rule.priority,
                        rule.text,
                        rule.reason,
                        *cite(rule.grounds),
                    )
                    for position, rule in enumerate(self.rules.values(), start=1)
                ],
            ),
        }
        for table in self.decisions.values():
            relations[table.name] = frame(
                texts(*table.asks, "rule_id", "outcome") | {"priority": whole},
                [
                    (*combination, verdict.rule_id, verdict.outcome, verdict.priority)
                    for combination, verdict in table.verdicts.items()
                ],
            )
        return relations


class _Reader:
    """Takes typed values out of TOML tables and collects what is wrong instead of raising."""

    def __init__(self) -> None:
        self.findings: list[str] = []

    def fields(
        self, where: str, given: object, required: Mapping[str, type], optional: Mapping[str, type]
    ) -> dict[str, Any]:
        """The values of one TOML table; a key unknown, missing or of another kind is named."""
        if not isinstance(given, dict):
            self.findings.append(f"{where}: must be a table")
            given = {}
        kinds = {**required, **optional}
        taken: dict[str, Any] = {}
        for key, value in given.items():
            if key not in kinds:
                self.findings.append(f"{where}: unknown key '{key}'")
            elif not _is(value, kinds[key]):
                self.findings.append(f"{where}: '{key}' must be {_KIND_NAMES[kinds[key]]}")
            else:
                taken[key] = float(value) if kinds[key] is float else value
        for key in required:
            if key not in given:
                self.findings.append(f"{where}: '{key}' is missing")
            elif taken.get(key) == "":
                self.findings.append(f"{where}: '{key}' is empty")
        return {key: taken.get(key, kind()) for key, kind in _empty(kinds).items()} | taken

    def strings(self, where: str, given: object) -> tuple[str, ...]:
        """A list of words without repetition."""
        values = given if isinstance(given, list) else []
        if not values or not all(isinstance(each, str) and each for each in values):
            self.findings.append(f"{where}: must be a list of words")
            return ()
        if len(set(values)) < len(values):
            self.findings.append(f"{where}: names a word twice")
        return tuple(values)

    def grounded(
        self,
        where: str,
        given: object,
        required: Mapping[str, type],
        optional: Mapping[str, type] = MappingProxyType({}),
    ) -> dict[str, Any]:
        """As ``fields``, with the grounds put together; whether they suffice ``check`` says."""
        taken = self.fields(where, given, required, {**optional, **_GROUNDS})
        listed, section, assumption = (taken.pop(key) for key in _GROUNDS)
        sources = tuple(each for each in listed if isinstance(each, str))
        if len(sources) < len(listed):
            self.findings.append(f"{where}: names a source that is no text")
        return taken | {"grounds": Grounds(sources, section, assumption)}


_KIND_NAMES: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date",
    list: "a list",
    dict: "a table",
}
_GROUNDS: Mapping[str, type] = {"sources": list, "section": str, "assumption": str}
_THRESHOLD: Mapping[str, type] = {
    "analyte": str,
    "form": str,
    "value": float,
    "unit": str,
    "meaning": str,
}
_PERIOD: Mapping[str, type] = {"n": int, "unit": str, "meaning": str}
_QUANTITY: Mapping[str, type] = {"value": float, "unit": str, "meaning": str}
_RULE: Mapping[str, type] = {"action": str, "priority": int, "text": str, "outside": str}


def _is(value: object, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is date:
        return type(value) is date
    return isinstance(value, kind)


def _empty(kinds: Mapping[str, type]) -> dict[str, Any]:
    """What stands in for a value that is not given, so that reading goes on to the next finding."""
    return {key: (lambda: date.min) if kind is date else kind for key, kind in kinds.items()}


Shipped = Callable[[str], bytes | None]


def read(content: bytes, shipped: Shipped) -> tuple[Ruleset | None, tuple[str, ...]]:
    """Read a ruleset file; with any finding about its shape there is no ruleset to go on with.

    ``shipped`` gives the file of a shipped ruleset by its name, or None.
    """
    reader = _Reader()
    given, files, own, left_out = _assembled(reader, content, shipped)
    if reader.findings:
        return None, tuple(reader.findings)
    take = reader.fields
    top = take(
        "ruleset",
        given,
        {
            "ruleset": str,
            "title": str,
            "version": str,
            "review_by": date,
            "note": str,
            "sources": dict,
            "thresholds": dict,
            "periods": dict,
            "quantities": dict,
            "milestones": list,
            "panel": dict,
            "words": dict,
            "fragments": dict,
            "sets": dict,
            "rules": dict,
            "tables": dict,
        },
        {"based_on": str},
    )
    sources = {
        key: Source(
            key,
            **take(f"sources.{key}", each, dict.fromkeys(("short", "title", "citation"), str), {}),
        )
        for key, each in top["sources"].items()
    }
    thresholds = {
        key: Threshold(key, **reader.grounded(f"thresholds.{key}", each, _THRESHOLD))
        for key, each in top["thresholds"].items()
    }
    periods = {
        key: Period(key, **reader.grounded(f"periods.{key}", each, _PERIOD))
        for key, each in top["periods"].items()
    }
    quantities = {
        key: Quantity(key, **reader.grounded(f"quantities.{key}", each, _QUANTITY))
        for key, each in top["quantities"].items()
    }
    got = reader.grounded("panel", top["panel"], {"tests": list, "meaning": str})
    panel = Panel(**got | {"tests": reader.strings("panel.tests", got["tests"])})
    words = {}
    for key, each in top["words"].items():
        got = take(f"words.{key}", each, {"words": list, "meaning": str}, {"absent": str})
        words[key] = Words(
            key, reader.strings(f"words.{key}", got["words"]), got["meaning"], got["absent"]
        )
    milestones = tuple(
        _milestone(reader, f"milestones {number}", each, words)
        for number, each in enumerate(top["milestones"], start=1)
    )
    fragments = take("fragments", top["fragments"], {}, dict.fromkeys(top["fragments"], str))
    sets = {key: reader.strings(f"sets.{key}", each) for key, each in top["sets"].items()}
    rules = {}
    for key, each in top["rules"].items():
        got = reader.grounded(f"rules.{key}", each, {"title": str, "reason": str}, _RULE)
        rules[key] = Rule(key, **got | {"priority": got["priority"] or None})
    decisions = {
        key: _table(reader, key, each, words, rules) for key, each in top["tables"].items()
    }
    if reader.findings:
        return None, tuple(reader.findings)
    return (
        Ruleset(
            top["ruleset"],
            top["title"],
            top["version"],
            top["review_by"],
            top["note"],
            hashlib.sha256(b"".join(written for _, written in files)).hexdigest(),
            sources,
            thresholds,
            periods,
            quantities,
            milestones,
            panel,
            words,
            fragments,
            sets,
            rules,
            decisions,
            top["based_on"],
            own,
            left_out,
            files,
        ),
        (),
    )


def _assembled(
    reader: _Reader, content: bytes, shipped: Shipped, name: str = ""
) -> tuple[dict[str, Any], tuple[tuple[str, bytes], ...], tuple[str, ...], tuple[str, ...]]:
    """The whole ruleset that a file stands for, the files that it was put together from, and the
    names of the entries that are its own and that it leaves out."""
    files = ((name, content),)
    try:
        own = tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        reader.findings.append("the file is not UTF-8")
        return {}, files, (), ()
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reader.findings.append(f"the file is not TOML, or declares an id twice: {error}")
        return {}, files, (), ()
    if "based_on" not in own:
        return own, files, (), ()
    base = shipped(own["based_on"]) if isinstance(own["based_on"], str) else None
    if base is None:
        reader.findings.append("based_on: is not the name of a shipped ruleset")
        return {}, files, (), ()
    given, base_files, *_ = _assembled(reader, base, shipped, own["based_on"])
    if reader.findings:
        return {}, files, (), ()
    without = own.pop("without", {})
    if not isinstance(without, dict):
        reader.findings.append("without: must be a table")
        without = {}
    left_out = []
    for section, names in without.items():
        for each in reader.strings(f"without.{section}", names):
            if section not in NAMED or given[section].pop(each, None) is None:
                reader.findings.append(f"without.{section}: there is no '{each}' to leave out")
            left_out.append(f"{section}.{each}")
    differs = [section for section in WHOLE if section in own]
    for key, value in own.items():
        if key in NAMED and isinstance(value, dict):
            differs += [f"{key}.{each}" for each in value]
            value = given[key] | value
        given[key] = value
    return given, base_files + files, tuple(differs), tuple(left_out)


def _milestone(reader: _Reader, where: str, given: object, words: Mapping[str, Words]) -> Milestone:
    """One recheck; without a condition it is planned for every word."""
    got = reader.fields(
        where, given, {"milestone": str, "months": int}, {"yearly_from": bool, "when": dict}
    )
    when = {ask: words[ask].words if ask in words else () for ask in MILESTONE_ASKS}
    return Milestone(
        got["milestone"],
        got["months"],
        got["yearly_from"],
        when | _conditions(reader, where, got["when"], MILESTONE_ASKS, words),
    )


def _conditions(
    reader: _Reader,
    where: str,
    given: Mapping[str, object],
    asks: Sequence[str],
    words: Mapping[str, Words],
) -> dict[str, tuple[str, ...]]:
    """The words that a line or a milestone holds for; one that nobody asks for is a finding."""
    when = {}
    for ask, condition in given.items():
        listed = [condition] if isinstance(condition, str) else condition
        when[ask] = reader.strings(f"{where}, condition '{ask}'", listed)
        if ask not in asks:
            reader.findings.append(f"{where}: the table does not ask '{ask}'")
        elif ask in words:
            for word in sorted(set(when[ask]) - set(words[ask].words)):
                reader.findings.append(f"{where}: '{word}' is no word of '{ask}'")
    return when


def _table(
    reader: _Reader,
    name: str,
    given: object,
    words: Mapping[str, Words],
    rules: Mapping[str, Rule],
) -> Table:
    """One decision table; words and asks that are not declared are findings."""
    where = f"tables.{name}"
    got = reader.fields(
        where,
        given,
        {"question": str, "gives": str, "asks": list, "lines": list},
        {"otherwise": str, "unknown_as": dict},
    )
    asks = reader.strings(f"{where}.asks", got["asks"])
    for ask in (*asks, got["gives"]):
        if ask not in words:
            reader.findings.append(f"{where}: the words of '{ask}' are not declared")
    lines = []
    for number, each in enumerate(got["lines"], start=1):
        place = f"{where} line {number}"
        line = reader.fields(
            place, each, {"rule": str, "outcome": str}, {"when": dict, "priority": int}
        )
        when = _conditions(reader, place, line["when"], asks, words)
        priority = line["priority"] or None
        if got["gives"] == "action" and priority is None and line["rule"] in rules:
            priority = rules[line["rule"]].priority
        lines.append(Line(line["rule"], line["outcome"], priority, when))
    for ask, why in got["unknown_as"].items():
        if not isinstance(why, str) or not why:
            reader.findings.append(f"{where}.unknown_as: '{ask}' needs its reason")
    return Table(
        name,
        got["question"],
        got["gives"],
        asks,
        tuple(lines),
        {ask: words[ask].words for ask in asks if ask in words},
        got["otherwise"] or None,
        got["unknown_as"],
    )
