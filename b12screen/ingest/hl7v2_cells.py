"""What the cells of an HL7 v2 message say, in the words of the contract.

Separators and escapes, HL7's own tables of statuses and sexes, coding systems, identifiers,
specimens, times. Knows nothing of the order of segments; refuses what is not one value.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from b12screen.ingest import lookups
from b12screen.maps import SPECIMEN_CODES, Maps, fold_words
from b12screen.settings import Settings

# Bounds of what is remembered of the texts read so far.
MOST_KEPT = 20_000
LONGEST_KEPT = 200
# As many fields as are looked at of any segment; a sender may leave out blank ones at the end.
MOST_FIELDS = 31

# HL7 null: the sender says that there is nothing. A blank field says nothing at all.
NULL = '""'
# HL7 table 0085, beyond the letters that every form of extract may use.
RESULT_STATUS = {letter.upper(): word for letter, word in lookups.STATUS_LETTERS.items()} | {
    "A": "amended",
    "B": "final",  # a comment was appended to a final result
    "I": "registered",
    "N": "cancelled",  # not asked
    "O": "registered",
    "R": "preliminary",  # entered, not verified
    "S": "preliminary",  # partial
    "U": "final",
    "V": "final",  # verified
}
# HL7 table 0123, which stands in where an OBX has no status of its own. Y and Z answer queries.
ORDER_STATUS = {
    "A": "preliminary",
    "C": "corrected",
    "F": "final",
    "I": "registered",
    "M": "preliminary",  # corrected, not final
    "N": "registered",
    "O": "registered",
    "P": "preliminary",
    "R": "preliminary",
    "S": "registered",
    "X": "cancelled",
}
# HL7 table 0001. Unknown and not applicable tell nothing, so they leave what is known.
SEX = {"F": "female", "M": "male", "O": "other", "A": "other", "U": None, "N": None, "": None}
# The table may be added to. A letter of somebody's own tells no sex, and loses no death.
OWN_SEX = re.compile(r"[A-Z]")
CODED = ("CE", "CWE", "CNE", "CF", "IS", "ID")
WRITTEN = ("NM", "ST", "TX", "FT", "")

TIME = re.compile(
    r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?([+-]\d{4})?", re.ASCII
)
PLAIN_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
HEX = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")


Sent = TypeVar("Sent", str, tuple[str, ...])
Meaning = TypeVar("Meaning")


@dataclass(frozen=True)
class Dialect:
    """What a site's settings and maps say of laboratories, codes, specimens and identifiers."""

    laboratory: str
    facilities: Mapping[str, str]
    local_systems: Mapping[str, str]
    analytes: Mapping[tuple[str, str, str], str]
    refused: frozenset[tuple[str, str]]
    specimens: Mapping[str, frozenset[str]]
    identifier_type: str
    assigning_authority: str
    max_cell_bytes: int


def dialect(settings: Settings, maps: Maps) -> Dialect:
    """How the messages of a site are read."""
    tests = lookups.known_tests(settings, maps)
    specimens: dict[str, set[str]] = {}
    for analyte, word in maps.specimen.select("analyte", "specimen").iter_rows():
        specimens.setdefault(analyte, set()).add(word)
    return Dialect(
        laboratory=next(iter(settings.laboratories)),
        facilities={
            fold_words(facility): name
            for name, laboratory in settings.laboratories.items()
            for facility in laboratory.sending_facilities
        },
        local_systems={
            name: fold_words(laboratory.code_system or "")
            for name, laboratory in settings.laboratories.items()
        },
        analytes={
            (laboratory, system, code): analyte
            for laboratory, system, code, analyte in tests.select(
                "laboratory", "code_system", "code", "analyte"
            ).iter_rows()
        },
        refused=frozenset(maps.refused_test.select("code_system", "code").iter_rows()),
        specimens={analyte: frozenset(found) for analyte, found in specimens.items()},
        identifier_type=settings.hl7v2.identifier_type,
        assigning_authority=fold_words(settings.hl7v2.assigning_authority or ""),
        max_cell_bytes=settings.limits.max_cell_bytes,
    )


class Memo(dict[Sent, Meaning], Generic[Sent, Meaning]):
    """Texts with what they were read as: the same few stand in every message."""

    def __init__(self, read: Callable[[Sent], Meaning]) -> None:
        super().__init__()
        self._read: Callable[[Sent], Meaning] = read

    def __missing__(self, text: Sent) -> Meaning:
        meaning = self._read(text)
        if (len(text) if isinstance(text, str) else sum(map(len, text))) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
            self[text] = meaning
        return meaning


class Marks:
    """The separators of a message, and its texts without escapes."""

    def __init__(self, separator: str, encoding: str) -> None:
        self.signs = separator + encoding
        self.padding = separator * MOST_FIELDS
        self.types = Memo(lambda text: self.components(text, 2))
        self.field = separator
        self.component, self.repetition, self.escape, self.subcomponent = list(encoding[:4])
        escape = re.escape(self.escape)
        self._sequence = re.compile(f"{escape}([^{escape}]*){escape}")
        self._meaning = {
            "F": separator,
            "S": self.component,
            "R": self.repetition,
            "E": self.escape,
            "T": self.subcomponent,
            "P": encoding[4:] or "#",
            "H": "",
            "N": "",
            ".br": "\n",
        }

    def plain(self, text: str) -> str:
        """The text that a field, component or subcomponent stands for, trimmed; null is blank."""
        if self.escape in text:
            text = self._sequence.sub(self._meant, text)
        text = text.strip()
        return "" if text == NULL else text

    def _meant(self, sequence: re.Match[str]) -> str:
        meaning = self._meaning.get(sequence[1])
        if meaning is None and (code := HEX.fullmatch(sequence[1])):
            text = bytes.fromhex(code[1]).decode("utf-8", "replace")
            meaning = text if text.isprintable() or text.isspace() else None
        return sequence[0] if meaning is None else meaning

    def components(self, text: str, n: int) -> list[str]:
        """The first ``n`` components of the first repetition as plain text, blank where absent."""
        found = text.split(self.repetition, 1)[0].split(self.component, n)[:n]
        return [part and self.plain(part) for part in found] + [""] * (n - len(found))

    def first(self, text: str) -> str:
        """The first component of the first repetition as plain text."""
        return self.plain(text.split(self.component, 1)[0].split(self.repetition, 1)[0])


class Test(NamedTuple):
    """What an OBX-3 means: its part of the key, the code to look up, and the analyte if mapped."""

    key: str
    code: str
    system: str
    name: str
    analyte: str | None
    fault: str


class Tongue:
    """How one laboratory writes: its separators, its codes, and what its cells were read as."""

    def __init__(self, known: Dialect, laboratory: str, marks: Marks) -> None:
        self.known = known
        self.laboratory = laboratory
        self.marks = marks
        self.local_system = known.local_systems[laboratory]
        self.tests = Memo(self._test)
        self.units = Memo(self._unit)
        self.result_status = Memo(lambda text: self._status(text, RESULT_STATUS))
        self.order_status = Memo(lambda text: self._status(text, ORDER_STATUS))
        self.sexes = Memo(self._sex)
        self.days = Memo(self._day)
        self.orders = Memo(self._order)
        self.organisations = Memo(self._organisation)
        self.locations = Memo(self._location)
        self.specimens: Memo[tuple[str, ...], str] = Memo(self._specimen)
        self.is_elsewhere = False

    def _test(self, text: str) -> Test:
        code, name, system, code_2, name_2, system_2 = self.marks.components(text, 6)
        system, system_2 = self._system(system, code), self._system(system_2, code_2)
        analytes, refused = self.known.analytes, self.known.refused
        first = analytes.get((self.laboratory, system, code))
        second = analytes.get((self.laboratory, system_2, code_2))
        key = code or code_2
        if first is None and second is not None and (system, code) not in refused:
            return Test(key, code_2, system_2, name_2, second, "")
        if first is None and not code:
            return Test(key, code_2, system_2, name_2, None, "")
        disagree = first is not None and (
            (system_2, code_2) in refused or second not in (None, first)
        )
        return Test(key, code, system, name, first, "codes" if disagree else "")

    def _system(self, system: str, code: str) -> str:
        """The contract's word for a coding system of HL7 table 0396."""
        folded = fold_words(system)
        if folded == "ln":
            return "loinc"
        if folded == "sct":
            return "snomed"
        if folded == "l" or folded.startswith("99"):
            return self.local_system or folded
        if not folded:
            is_own = (self.laboratory, self.local_system, code) in self.known.analytes
            return self.local_system if is_own else "loinc"
        return folded

    def _unit(self, text: str) -> str:
        unit, name, _, alternate, other_name, *_, original = self.marks.components(text, 9)
        if unit in ("10", "x10", "X10") or (unit.endswith("m") and name[:1] in ("2", "3")):
            # A power, of ten or of a length, whose ^ was not escaped.
            return f"{unit}^{name}"
        # Coded elements may hold words alone; a unit that is somewhere there is not a blank one.
        return unit or alternate or name or other_name or original

    def _status(self, text: str, table: Mapping[str, str]) -> str:
        status = self.marks.first(text)
        return table.get(status, status)

    def _sex(self, text: str) -> str | None:
        if text.strip() == NULL:
            return ""
        sex = self.marks.first(text)
        return SEX.get(sex, None if OWN_SEX.fullmatch(sex) else sex)

    def _day(self, text: str) -> str | None:
        """The day of a time as ISO 8601, blank for HL7 null, None for a blank field."""
        if not text.strip():
            return None
        found = moment(self.marks.first(text), "")
        return found[:10] if found[10:11] == "T" else found

    def _order(self, text: str) -> str:
        """An order number with the names of who gave it, which alone make it one of its own."""
        parts = self.marks.components(text, 4)
        return "^".join(parts).rstrip("^") if parts[0] else ""

    def _organisation(self, text: str) -> str:
        """The id of an organisation (ORC-21), else its name."""
        parts = self.marks.components(text, 10)
        return parts[9] or parts[2] or parts[0]

    def _location(self, text: str) -> str:
        """The facility of a patient's location (PV1-3), else the point of care."""
        parts = text.split(self.marks.repetition, 1)[0].split(self.marks.component)
        facility = parts[3].split(self.marks.subcomponent)[0] if len(parts) > 3 else ""
        return self.marks.plain(facility) or self.marks.plain(parts[0])

    def value(self, kind: str, text: str, flags: str) -> tuple[str, str]:
        """The fault of an OBX-5 or nothing, and its value as text."""
        marks = self.marks
        if kind not in WRITTEN:
            kind = marks.first(kind)
        elif not flags and PLAIN_NUMBER.fullmatch(text):
            return "", text
        if marks.repetition in text:
            return "repetition", text
        written = marks.plain(text)
        if not written:
            return "", ""
        if kind in WRITTEN:
            return "", self._bounded(written, flags)
        if kind == "SN":
            return self._structured(text, flags)
        if kind in CODED:
            found = marks.components(text, 9)
            name = found[1] or found[8] or found[4]
            return ("", name) if name else ("coded", text)
        return "value_type", text

    def _structured(self, text: str, flags: str) -> tuple[str, str]:
        if self.marks.component not in text:
            return "", self._bounded(self.marks.plain(text), flags)
        comparator, number, separator, second = self.marks.components(text, 4)
        if separator or second or comparator not in ("", "=", "<", ">", "<=", ">="):
            return "structured", text
        return "", self._bounded(("" if comparator == "=" else comparator) + number, flags)

    def _bounded(self, value: str, flags: str) -> str:
        """The value with the sign of OBX-8, where that says that it lies beyond the instrument."""
        if ("<" in flags or ">" in flags) and PLAIN_NUMBER.fullmatch(value):
            for flag in flags.split(self.marks.repetition):
                if (sign := self.marks.first(flag)) in ("<", ">"):
                    return sign + value
        return value

    def identifier(self, text: str) -> tuple[str, str, str]:
        """The patient of a PID-3; the fault or nothing; the type where it is not the wanted one.

        The wanted type (of the wanted authority, where one is set), else the first.
        """
        marks, known = self.marks, self.known
        found = []
        for one in text.split(marks.repetition):
            parts = one.split(marks.component)
            number = marks.plain(parts[0])
            if number and (not known.assigning_authority or self._is_of_authority(parts)):
                found.append((number, marks.plain(parts[4]) if len(parts) > 4 else ""))
        wanted = {number for number, kind in found if kind == known.identifier_type}
        if len(wanted) > 1 or (known.assigning_authority and not found and marks.plain(text)):
            return "", "identifier", ""
        if wanted:
            return wanted.pop(), "", ""
        if not found:
            return "", "", ""
        number, kind = found[0]
        return number, "", kind or ("several" if len(found) > 1 else "")

    def _is_of_authority(self, identifier: list[str]) -> bool:
        names = identifier[3].split(self.marks.subcomponent) if len(identifier) > 3 else []
        return self.known.assigning_authority in [
            fold_words(self.marks.plain(name)) for name in names
        ]

    def _specimen(self, sent: tuple[str, ...]) -> str:
        """The specimen of a group in the map's words: from its SPM-4, else OBR-15.

        ``sent``: the analyte, OBR-15 and every SPM-4. Of several specimens the one that does not
        fit the test speaks, and of one the spelling that fits.
        """
        marks = self.marks
        analyte, order, *kinds = sent
        samples = [marks.components(text, 9) for text in kinds if text]
        if not samples and order:
            within = order.split(marks.component, 1)[0].split(marks.subcomponent)
            samples = [[marks.plain(part) for part in within] + [""] * 9]
        fitting = self.known.specimens.get(analyte, frozenset())
        chosen = ""
        for sample in samples:
            spellings = [
                SPECIMEN_CODES.get(word, fold_words(word))
                for word in (sample[1], sample[4], sample[8], sample[0], sample[3])
                if word
            ]
            fits = next((word for word in spellings if word in fitting), "")
            if spellings and not fits:
                return spellings[0]
            chosen = chosen or fits
        return chosen


def told_at(reported: str, sent_at: str) -> str:
    """When a correction or withdrawal was told: the later of its result's time and its message's.

    Senders leave the first report's time standing, or give the day alone.
    """
    try:
        first, second = datetime.fromisoformat(reported), datetime.fromisoformat(sent_at)
    except ValueError:
        return reported or sent_at
    if (first.tzinfo is None) != (second.tzinfo is None) or "T" not in reported:
        return sent_at if sent_at[:10] >= reported[:10] else reported
    return max((first, reported), (second, sent_at))[1]


def moment(text: str, offset: str) -> str:
    """An HL7 time as ISO 8601, at least a day long; what is none stays as it is, to be refused.

    ``offset`` is meant where a time of day has none of its own; a day has none.
    """
    found = TIME.fullmatch(text)
    if found is None:
        return text
    year, month, day, hour, minute, second, fraction, own = found.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    zone = f"{own[:3]}:{own[3:]}" if own else offset
    return f"{year}-{month}-{day}T{hour}:{minute or '00'}:{second or '00'}{fraction or ''}{zone}"
