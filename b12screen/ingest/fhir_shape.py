"""Plain observations by the shape of their text: one like another that was loaded is the same row.

Nearly all lines of a laboratory's feed are written by one system in a few dozen shapes. From a line
that was loaded by itself comes a pattern of its text: names, brackets and blanks as they stand, any
text where a text stood, any number where a number stood. A line that fits is the same JSON, no name
stands twice in it, and what it says of test, unit and status was read already where those texts are
the same. Only its id, person, times, number, encounter and specimen are its own. Everything else,
such as a component or an escape in a text that is read, is left to the loading.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from b12screen.ingest.fhir_resource import (
    COLUMNS,
    LATER_VERSIONS,
    MOST_NAMES,
    Json,
    Number,
    Outcome,
    Reader,
    Row,
    contradicts_range,
    inner,
    loaded,
)

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[{}\[\]:,]|true|false|null')
TEXT = r'[^"\\\x00-\x1f]'
# Other escapes than these may be half a character, which is no text.
ANY_TEXT = rf'"{TEXT}*+(?:\\["\\/bfnrt]{TEXT}*+)*+"'
NUMBER = r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+"

# What every line has for itself, by its place in the resource.
OWN = {
    "id": "id",
    "effectiveDateTime": "collected",
    "issued": "issued",
    "meta.lastUpdated": "changed",
    "valueQuantity.value": "number",
}
NUMBERS = list(OWN.values()).index("number")
# Elements of many different texts, each read by itself.
REFERRED = ("subject", "encounter", "specimen")
# Elements that together say what a result is; a quantity but for its number is one of them.
SAID = ("code", "status", "performer", "interpretation", "referenceRange")
# Elements with which an observation is none of these.
NOT_PLAIN = ("contained", "component")

# How many lines are tried for a new shape before a file is taken to be irregular.
MOST_TRIES = 2_000


@dataclass(frozen=True)
class Said:
    """What the texts of a shape say together: cells, and what its numbers are compared with."""

    code: str
    code_system: str
    test_name: str
    comparator: str
    unit: str
    status: str
    laboratory: str
    ranged: Json | None


@dataclass
class Shape:
    """The pattern of a line's text, which of its groups are what, and what was read of it."""

    pattern: re.Pattern[str]
    own: Callable[[tuple[str, ...]], tuple[str, ...]]
    key: Callable[[tuple[str, ...]], Any]
    said: dict[Any, Said] = field(default_factory=dict)


class Shapes:
    """The shapes of one file, learnt while it is read."""

    def __init__(self, reader: Reader, most: int) -> None:
        self._reader = reader
        self._most = most if reader.settings.fhir.result_identifier is None else 0
        self._n_tries = 0
        # By the number of quotes of a line, which says nearly always which of them it can be.
        self._shapes: dict[int, list[Shape]] = {}
        self._referred: dict[str, dict[str, str | None]] = {name: {} for name in REFERRED}

    def cells(self, line: bytes) -> tuple[str, ...] | None:
        """The row of a line in the contract's order of columns; None where it has to be loaded."""
        shape, groups = self._fitting(line)
        if shape is None:
            return None
        said = shape.said.get(shape.key(groups))
        if said is None:
            return None
        key, collected, issued, changed, number, subject, encounter, specimen = shape.own(groups)
        person = self._followed("subject", subject)
        if person is None:
            return None
        if said.ranged is not None and contradicts_range(
            said.ranged | {"valueQuantity": {"value": Number(number)}}
        ):
            self._reader.notes["contradiction"] += 1
        return (
            key,
            person,
            collected,
            issued or changed,
            said.code,
            said.code_system,
            said.test_name,
            (self._followed("specimen", specimen) or "") if specimen else "",
            said.comparator + number,
            said.unit,
            said.status,
            (self._followed("encounter", encounter) or "") if encounter else "",
            said.laboratory,
        )

    def learn(self, line: bytes, outcomes: list[Outcome]) -> None:
        """Remember what a line that was loaded turned out to say."""
        row = outcomes[0]
        if len(outcomes) != 1 or not isinstance(row, Row):
            return
        if row.segment != "Observation" or row.cells["status"] in LATER_VERSIONS:
            return
        shape, groups = self._fitting(line)
        if shape is None:
            if self._n_tries >= MOST_TRIES or sum(map(len, self._shapes.values())) >= self._most:
                return
            self._n_tries += 1
            shape = shape_of(line.decode())
            if shape is None:
                return
            self._shapes.setdefault(line.count(b'"'), []).append(shape)
            shape, groups = self._fitting(line)
            if shape is None:
                return
        if len(shape.said) >= MOST_NAMES:
            shape.said.clear()
        observation = loaded(line)
        ranged = {
            name: observation[name]
            for name in ("interpretation", "referenceRange")
            if observation.get(name)
        }
        shape.said[shape.key(groups)] = Said(
            row.cells["code"],
            row.cells["code_system"],
            row.cells["test_name"],
            row.cells["value"].removesuffix(shape.own(groups)[NUMBERS]),
            row.cells["unit"],
            row.cells["status"],
            row.cells["laboratory"],
            ranged if len(ranged) == 2 else None,
        )

    def _fitting(self, line: bytes) -> tuple[Shape | None, tuple[str, ...]]:
        """The shape that a line fits, and its texts."""
        candidates = self._shapes.get(line.count(b'"'))
        if candidates:
            try:
                text = line.decode()
            except UnicodeDecodeError:
                return None, ()
            for shape in candidates:
                if found := shape.pattern.fullmatch(text):
                    # A blank at the end stands for what the shape has not.
                    return shape, (*found.groups(), "")
        return None, ()

    def _followed(self, name: str, element: str) -> str | None:
        """What an element that refers to something means: a person, a clinic, a specimen."""
        known = self._referred[name]
        if element not in known:
            if len(known) >= MOST_NAMES:
                known.clear()
            said = {name: loaded(element.encode())} if element else {}
            match name:
                case "subject":
                    known[element] = self._reader.person(said.get("subject"), said)
                case "encounter":
                    known[element] = self._reader.clinic(said)
                case _:
                    known[element] = self._reader.specimen(said)
        return known[element]


def shape_of(line: str) -> Shape | None:
    """The shape of a line that is an observation; None where its like is loaded each time."""
    observation = loaded(line.encode())
    if any(name in observation for name in NOT_PLAIN) or inner(observation, "meta", "tag"):
        return None
    pattern = ""
    end = 0
    # Of every open bracket the name at hand, blank in a list.
    names: list[str] = []
    is_list: list[bool] = []
    names_next = False
    for token in TOKEN.finditer(line):
        pattern += re.escape(line[end : token.start()])
        end = token.end()
        word = token[0]
        whole = names[0] if len(names) == 1 and names[0] in (*SAID, *REFERRED) else ""
        if word in ("{", "["):
            pattern += (f"(?P<{whole}>" if whole else "") + re.escape(word)
            names.append("")
            is_list.append(word == "[")
            names_next = word == "{"
        elif word in ("}", "]"):
            names.pop()
            is_list.pop()
            whole = names[0] if len(names) == 1 and names[0] in (*SAID, *REFERRED) else ""
            pattern += re.escape(word) + (")" if whole else "")
        elif word in (",", ":"):
            pattern += word
            names_next = word == "," and not is_list[-1]
        elif names_next:
            if "\\" in word:
                return None
            names[-1] = word[1:-1]
            pattern += re.escape(word)
        else:
            pattern += slot(".".join(names), word, whole)
    compiled = re.compile(pattern + re.escape(line[end:]))
    places = {name: place - 1 for name, place in compiled.groupindex.items()}
    if not {"id", "collected", "number", "code", "status"} <= set(places):
        return None
    free = (*OWN.values(), *REFERRED)
    return Shape(
        compiled,
        itemgetter(*[places.get(name, -1) for name in free]),
        itemgetter(*[place for name, place in places.items() if name not in free]),
    )


def slot(path: str, word: str, whole: str) -> str:
    """What may stand where a text, a number or a constant stands in a line."""
    if path == "resourceType" or word in ("true", "false", "null"):
        return re.escape(word)
    is_text = word.startswith('"')
    if path in OWN:
        if is_text == (path == "valueQuantity.value"):
            return re.escape(word)
        return f'"(?P<{OWN[path]}>{TEXT}++)"' if is_text else f"(?P<{OWN[path]}>{NUMBER})"
    any_of_it = ANY_TEXT if is_text else NUMBER
    name = whole or (path.replace(".", "_") if path.startswith("valueQuantity.") else "")
    return f"(?P<{name}>{any_of_it})" if name.isidentifier() else any_of_it


# The row above is written in this order.
assert COLUMNS["labs"] == (
    "result_id", "patient_id", "collected_at", "reported_at", "code", "code_system", "test_name",
    "specimen", "value", "unit", "status", "clinic_id", "laboratory",
)  # fmt: skip
