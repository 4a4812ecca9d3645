"""The life of worklist items again, in the plainest Python, from contract.md and never from SQL.

Goes in: what the rules ask for on a night, what is known of the people, and what was delivered,
answered and put off up to it. Comes out: every row that `worklists.item` has to hold on that night.
Only nights before a night bear on it: :func:`advance` takes the state they left and gives a new
one.
"""

import copy
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

from tests.oracle.oracle import age_on, ckd_epi_2021

TOLD = "result_withdrawn"
REST, REST_LONGEST, REST_LONGEST_FIRST = 14, 90, 14
DONE, DONE_FIRST = 30, 7
WORSE = 1.5
RAISED = {"mma": 271, "hcy": 15}
SPREAD = 14
# These wait for results, or for a word of the clinic.
NOT_BY_A_DOSE = ("recheck_overdue", "recheck_due", "review_response", "review_anaemia", TOLD)
KEPT = 365
SPEAKING = ("final", "amended", "corrected")
# Codes that wake a row, by codes.md; everything else that a story records does not.
WAKING = {
    "R20.2": "likely", "R26.0": "likely", "G62.9": "likely", "G32.0": "definite", "R41.3": "weak",
    "R29.6": "weak", "E11.42": "weak", "O09.9": "pregnancy", "Z33.1": "pregnancy",
}  # fmt: skip
LABELS = {
    "MMA": "mma",
    "homocysteine": "hcy",
    "total B12": "b12",
    "active B12": "holotc",
    "Hb": "hb",
    "MCV": "mcv",
    "eGFR": "egfr",
    "creatinine": "creatinine",
}
UNITS = {
    "mma": " nmol/L",
    "hcy": " µmol/L",
    "b12": " pmol/L",
    "holotc": " pmol/L",
    "hb": " g/L",
    "mcv": " fL",
    "egfr": "",
}
RW1 = "a result that an earlier row rested on has been corrected or withdrawn: "
_VALUE = re.compile(
    rf"({'|'.join(LABELS)}) ([<>]?[0-9.]+)(?: [^ ]+)? on ([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})"
)

Key = tuple[str, str | None]
Value = tuple[str, date, str]
GroundKey = tuple[str, str | None, Value]


def days(n: int) -> timedelta:
    return timedelta(days=n)


def number_text(value: float) -> str:
    """At most two decimals, no zeros at the end."""
    rounded = Decimal(str(value)).quantize(Decimal("0.01"), ROUND_HALF_UP)
    return f"{rounded:f}".rstrip("0").rstrip(".")


def item_id(patient: str, action: str, anchor: str) -> str:
    """`i` and 80 bits of a hash in base 32."""
    digest = hashlib.sha256("\x1f".join((patient, action, anchor)).encode()).hexdigest()
    return "i" + "".join(_base32(int(part, 16)) for part in (digest[:10], digest[10:20]))


def _base32(number: int) -> str:
    places = [(number >> 5 * place) & 31 for place in range(7, -1, -1)]
    return "".join("0123456789abcdefghijklmnopqrstuv"[place] for place in places)


def spread_days(item: str) -> int:
    return int.from_bytes(hashlib.md5(item.encode()).digest()[8:], "little") % SPREAD


@dataclass(frozen=True)
class Result:
    """A version of a result, its value in the canonical unit."""

    result_id: str
    patient: str
    analyte: str
    day: date
    reported: date
    value: float | None
    status: str
    night: date
    record: int

    @property
    def speaks(self) -> bool:
        return self.status in SPEAKING


@dataclass(frozen=True)
class Answer:
    """A row of a sheet that came back with a decision."""

    item: str
    decision: str
    note: str | None
    decided_on: date
    until: date | None
    sheet_on: date | None
    night: date
    file: str
    record: int

    @property
    def place(self) -> tuple[date, str, int]:
        return self.night, self.file, self.record

    @property
    def seen_on(self) -> date:
        """The night whose sheet was answered."""
        return self.sheet_on or min(self.decided_on, self.night - days(1))


@dataclass(frozen=True)
class Deferral:
    """An action that the site put off as a whole."""

    number: int
    action: str
    until: date
    declared_on: date
    night: date


@dataclass
class Delivered:
    """Everything that was sent up to a night, as it stands."""

    results: dict[str, Result] = field(default_factory=dict)
    # Day resolved, and night on which the row came as it is.
    conditions: dict[tuple[str, str, date], tuple[date | None, date]] = field(default_factory=dict)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    deferrals: list[Deferral] = field(default_factory=list)

    def result(self, new: Result) -> None:
        old = self.results.get(new.result_id)
        order = (new.reported, new.night, new.record)
        if old is None or (old.reported, old.night, old.record) <= order:
            self.results[new.result_id] = new

    def condition(
        self, patient: str, code: str, recorded_on: date, resolved_on: date | None, night: date
    ) -> None:
        key = (patient, code, recorded_on)
        if key not in self.conditions or self.conditions[key][0] != resolved_on:
            self.conditions[key] = (resolved_on, night)

    def answer(self, rows: Iterable[tuple[Answer, bool]]) -> None:
        """Take the rows of one file; each with whether it names its day of decision."""
        for new, dated in rows:
            same = [
                old
                for old in self.answers
                if (old.item, old.decision, old.note, old.until, old.sheet_on)
                == (new.item, new.decision, new.note, new.until, new.sheet_on)
            ]
            if any(old.decided_on == new.decided_on for old in same):
                continue
            # The same sheet again, of which the first night said when it was decided.
            if not dated and any(old.decided_on == old.night for old in same):
                continue
            self.answers.append(new)

    def standing_answers(self) -> list[Answer]:
        """Another decision on the same sheet and day takes the place of what came before it."""
        groups: dict[tuple[str, date | None, date], list[Answer]] = {}
        for answer in self.answers:
            groups.setdefault((answer.item, answer.sheet_on, answer.decided_on), []).append(answer)
        kept = []
        for group in groups.values():
            last = max(group, key=lambda answer: answer.place)
            others = [a.place for a in group if a.decision != last.decision]
            kept += [a for a in group if not others or a.place > max(others)]
        return kept

    def of(self, patient: str) -> list[Result]:
        return [result for result in self.results.values() if result.patient == patient]


@dataclass(frozen=True)
class Facts:
    """What `facts.patient` and `decisions.*` say of a person tonight."""

    clinic: str | None
    mma_raised: str
    mma: tuple[float, str] | None
    hcy_raised: str
    hcy: tuple[float, str] | None
    severe_anaemia: str
    hb_on: date | None
    last_dose_on: date | None
    # The newest day on which a dose was given or became known.
    dose_known_on: date | None
    on_treatment: bool
    # Status, neuro, kidney, and the values of the sheet with their days.
    shown: tuple[object, ...]


@dataclass(frozen=True)
class Asked:
    """A row that a rule asks for tonight."""

    item: str
    patient: str
    action: str
    rule: str
    priority: int
    clinic: str | None
    why: str
    shown: tuple[object, ...]
    mma: tuple[float, str] | None
    hcy: tuple[float, str] | None


@dataclass(frozen=True)
class Night:
    as_of: date
    ruleset: str
    asked: tuple[Asked, ...]
    people: dict[str, Facts]


@dataclass
class Row:
    item: str
    clinic: str | None
    patient: str
    action: str
    rule: str
    priority: int
    why: str
    shown: tuple[object, ...]
    mma: tuple[float, str] | None
    hcy: tuple[float, str] | None
    state: str
    first_listed_on: date
    asked_on: date
    item_state: str = "open"
    decision: str | None = None
    until: date | None = None
    closed_on: date | None = None
    close_reason: str | None = None

    def compared(self) -> dict[str, object]:
        return {
            "action": self.action,
            "priority": self.priority,
            "state": self.state,
            "first_listed_on": self.first_listed_on,
            "item_state": self.item_state,
            "decision": self.decision,
            "until": self.until,
            "closed_on": self.closed_on,
            "close_reason": self.close_reason,
            # What RW1 says is known here; of the other rows it is what the rules gave.
            "why": self.why,
        }


@dataclass(frozen=True)
class Sight:
    """What a row showed to a clinic on a night."""

    night: date
    clinic: str | None
    priority: int
    mma: tuple[float, str] | None
    hcy: tuple[float, str] | None


@dataclass
class Noted:
    """What was seen when an answer was given, and what has ended it."""

    key: object
    seen_on: date
    sight: Sight
    ended: Literal["moved", "worse", "day"] | None = None
    # Whether it was the site's deferral that kept the row off the list on the last night.
    held: bool = False


@dataclass
class Ground:
    """A value that a list named: when last, and when it was found to stand no longer."""

    patient: str
    listed_on: date
    withdrawn_on: date | None = None


@dataclass
class State:
    """What the nights up to one left behind."""

    as_of: date | None = None
    ruleset: str | None = None
    nights: list[date] = field(default_factory=list)
    rows: dict[Key, Row] = field(default_factory=dict)
    sights: dict[str, list[Sight]] = field(default_factory=dict)
    noted: dict[Key, Noted] = field(default_factory=dict)
    put_off: dict[str, Noted] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    grounds: dict[GroundKey, Ground] = field(default_factory=dict)
    # What happened, counted: the story has to reach every corner.
    seen: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def of(self, item: str) -> list[Row]:
        return [row for row in self.rows.values() if row.item == item]

    def last(self, item: str) -> Row | None:
        """An item's row where it was last asked for, rather than where it had left from."""
        rows = self.of(item)
        there = [row for row in rows if row.close_reason not in ("moved", "not_our_patient")]
        return max(there or rows, key=lambda row: row.asked_on, default=None)


def values_named(why: str) -> list[Value]:
    return [
        (LABELS[label], date.fromisoformat(day), text) for label, text, day in _VALUE.findall(why)
    ]


def stands(value: Value, patient: str, delivered: Delivered) -> bool:
    """Whether a speaking result of the person says of that day what was told."""
    analyte, day, text = value
    results = [r for r in delivered.of(patient) if r.speaks and r.day == day]
    if analyte != "egfr":
        return any(
            r.analyte == analyte and r.value is not None and number_text(r.value) == text
            for r in results
        )
    return egfr_of_day(patient, day, delivered) == text


def egfr_of_day(patient: str, day: date, delivered: Delivered) -> str | None:
    """The eGFR of a day as a list would name it."""
    kidney = [
        r
        for r in delivered.of(patient)
        if r.analyte == "creatinine" and r.speaks and r.day == day and r.value is not None
    ]
    if not kidney:
        return None
    person = delivered.people[patient]
    newest = max(kidney, key=lambda r: (r.reported, r.result_id))
    assert newest.value is not None
    egfr = ckd_epi_2021(newest.value, age_on(person["birth_date"], day), person["sex"])
    return number_text(int(egfr * 10) / 10)


def got_worse(
    noted: Noted,
    priority: int | None,
    patient: str,
    night: Night,
    delivered: Delivered,
    before: State,
) -> bool:
    """Whether tonight is worse than what was seen; no priority where no rule asks for the row."""
    facts = night.people[patient]
    for (person, code, recorded_on), (resolved_on, taken) in delivered.conditions.items():
        stands_tonight = recorded_on <= night.as_of and (
            resolved_on is None or resolved_on > night.as_of
        )
        if (
            person == patient
            and code in WAKING
            and stands_tonight
            and max(recorded_on, taken) > noted.seen_on
        ):
            return True
    if facts.severe_anaemia == "yes" and any(
        r.analyte == "hb"
        and r.speaks
        and r.day == facts.hb_on
        and max(r.day, r.night) > noted.seen_on
        for r in delivered.of(patient)
    ):
        return True
    return (
        (priority is not None and priority < noted.sight.priority)
        or _marker_worse(facts.mma_raised, facts.mma, noted.sight.mma)
        or _marker_worse(facts.hcy_raised, facts.hcy, noted.sight.hcy)
        or (facts.on_treatment and _rose(noted.seen_on, patient, night, delivered, before))
    )


def _rose(seen_on: date, patient: str, night: Night, delivered: Delivered, before: State) -> bool:
    """Whether a newest marker is up over what was known of it on the night of the sheet.

    On treatment the facts keep the values of before it, which do not change. What was known of a
    day that was corrected since is what a list named of it; where nothing was known, a raised one
    is enough.
    """
    for analyte in ("mma", "hcy"):
        said = [
            (r.day, r.reported, r.result_id, r.value, r)
            for r in delivered.of(patient)
            if r.analyte == analyte and r.speaks and r.value is not None and r.day <= night.as_of
        ]
        recent = [each for each in said if each[0] >= night.as_of - days(KEPT)]
        if not recent:
            continue
        newest = max(recent)[-1]
        if max(newest.day, newest.night) <= seen_on:
            continue
        assert newest.value is not None
        known = [each for each in said if max(each[-1].day, each[-1].night) <= seen_on]
        named = [
            (ground.listed_on, text)
            for (_, _, (what, day, text)), ground in before.grounds.items()
            if (ground.patient, what, day) == (patient, analyte, newest.day)
            and day <= seen_on
            # What an earlier run of tonight named was not seen before tonight.
            and ground.listed_on < night.as_of
        ]
        if named:
            was: float | None = float(max(named)[1].lstrip("<>"))
        else:
            was = max(known)[3] if known else None
        if newest.value > RAISED[analyte] if was is None else newest.value >= WORSE * was - 5e-7:
            return True
    return False


def _marker_worse(
    raised: str, now: tuple[float, str] | None, seen: tuple[float, str] | None
) -> bool:
    if now is None or now[1] == "<":
        return False
    return raised == "yes" if seen is None else round(now[0] - WORSE * seen[0], 6) >= 0


def with_named(before: State, first_run: State) -> State:
    """The state before a night that is run again: what its first run was the first to name."""
    known = copy.deepcopy(before)
    for key, ground in first_run.grounds.items():
        if key not in known.grounds and ground.listed_on == first_run.as_of:
            known.grounds[key] = copy.copy(ground)
    return known


def advance(before: State, night: Night, delivered: Delivered) -> State:
    """The state after tonight; ``before`` is left as it is."""
    after = copy.deepcopy(before)
    after.as_of, after.ruleset = night.as_of, night.ruleset
    tonight = night.as_of
    after.noted, newest = _answered(before, delivered, tonight)
    found = _withdraw(after, delivered, tonight)
    asked = {row.item: row for row in (*night.asked, *_told_again(after, before, night, delivered))}

    places: dict[str, str | None] = {}
    for item, row in asked.items():
        clinic = row.clinic
        for (answered, by), answer in newest.items():
            noted = after.noted[answered, by]
            if (
                answered == item
                and answer.decision == "not_our_patient"
                and by is not None
                and noted.ended is None
            ):
                if by == clinic:
                    after.refused[item] = by
                elif clinic is not None:
                    noted.ended = "moved"
        # Until the record names another clinic.
        if item in after.refused and clinic is not None:
            if after.refused[item] == clinic:
                clinic = None
            else:
                del after.refused[item]
        places[item] = clinic

    for item, noted in after.put_off.items():
        noted.held = noted.held and item in asked
    _end_unasked(after, before, asked, newest, night, delivered)
    after.rows = {}
    for item, row in asked.items():
        held = _held(after, before, row, places[item], newest, night, delivered)
        past = before.rows.get((item, places[item]))
        first = min((one.first_listed_on for one in before.of(item)), default=tonight)
        after.rows[item, places[item]] = _row(after, row, places[item], past, first, held, tonight)

    listed = list(after.rows.values())
    for key, past in before.rows.items():
        if key not in after.rows:
            left = replace(past, until=None)
            sent_back = (
                past.item in asked
                and past.clinic is not None
                and after.refused.get(past.item) == past.clinic == asked[past.item].clinic
            )
            if sent_back and past.item_state == "closed":
                # Also of a row that was done.
                if past.close_reason != "not_our_patient":
                    left.close_reason, left.closed_on = "not_our_patient", tonight
            elif past.item_state != "closed":
                left.item_state, left.closed_on = "closed", tonight
                left.close_reason = _reason(
                    past, before, after, asked, listed, newest, found, night, delivered
                )
                after.count(f"closed: {left.close_reason}")
            assert left.closed_on is not None
            # That a clinic sent it back has to be known as long as it waits for another one.
            if sent_back or tonight - left.closed_on <= days(KEPT):
                after.rows[key] = left

    for row in after.rows.values():
        if row.item_state == "open":
            after.sights.setdefault(row.item, []).append(
                Sight(tonight, row.clinic, row.priority, row.mma, row.hcy)
            )
            if row.action not in (TOLD, "check_record"):
                for value in values_named(row.why):
                    ground = after.grounds.setdefault(
                        (row.item, row.clinic, value), Ground(row.patient, tonight)
                    )
                    ground.listed_on = tonight
    after.nights = [*before.nights, tonight]
    for item, sights in after.sights.items():
        after.sights[item] = _remembered(sights, after.nights)
    return after


def _remembered(sights: list[Sight], nights: list[date]) -> list[Sight]:
    """What lists showed is forgotten as a closed row is, an unbroken run of nights at once."""
    kept: list[Sight] = []
    for sight in reversed(sights):
        is_recent = sight.night >= nights[-1] - days(KEPT)
        after = kept[-1] if kept else None
        goes_on = (
            after is not None
            and replace(after, night=sight.night) == sight
            and nights.index(after.night) == nights.index(sight.night) + 1
        )
        if is_recent or goes_on:
            kept.append(sight)
    return kept[::-1]


def _answered(
    before: State, delivered: Delivered, tonight: date
) -> tuple[dict[Key, Noted], dict[Key, Answer]]:
    """The newest answer of each clinic to an item, and what it saw."""
    # What was noted of an answer outlives the row: who sent somebody back is not asked again while
    # the record names the same clinic, even where the row went a year ago.
    known = {item for item, _ in before.rows}
    noted = {(item, one.key): one for (item, _), one in before.noted.items()}
    seen: dict[Key, Noted] = {}
    newest: dict[Key, Answer] = {}
    for answer in sorted(delivered.standing_answers(), key=lambda a: (a.decided_on, *a.place)):
        # A night run again says the same to whoever answers its own sheet: that counts tomorrow.
        if answer.decided_on > tonight or answer.seen_on >= tonight:
            continue
        one = noted.get((answer.item, answer.place))
        if one is None:
            sights = before.sights.get(answer.item, [])
            from_on = max(answer.night, answer.decided_on)
            if answer.sheet_on is not None:
                from_on = max(from_on, answer.sheet_on + days(1))
            # What was not the newest of its clinic when it came is not asked again.
            if before.as_of is None or from_on <= before.as_of:
                continue
            if answer.item not in known and not sights:
                continue
            # Nobody knows any more whose sheet it was.
            if (
                sights
                and sights[0].night > answer.seen_on
                and answer.seen_on < tonight - days(KEPT)
            ):
                continue
            one = Noted(answer.place, answer.seen_on, _sight(before, answer))
        key = answer.item, one.sight.clinic
        seen[key], newest[key] = copy.copy(one), answer
    return seen, newest


def _sight(before: State, answer: Answer) -> Sight:
    """What the clinic saw: its row on the night of the sheet."""
    item, seen_on = answer.item, answer.seen_on
    sights = before.sights.get(item, [])
    earlier = [sight for sight in sights if sight.night <= seen_on]
    if earlier:
        return earlier[-1]
    if sights:
        return sights[0]
    past = before.last(item)
    assert past is not None
    return Sight(seen_on, past.clinic, past.priority, past.mma, past.hcy)


def _acknowledged(delivered: Delivered, tonight: date) -> dict[str, date]:
    """Up to which night's sheet an item was acknowledged."""
    known: dict[str, date] = {}
    for answer in delivered.standing_answers():
        if (
            answer.decision in ("done", "already_treated", "acknowledged")
            and answer.decided_on <= tonight
            and answer.seen_on < tonight
        ):
            known[answer.item] = max(known.get(answer.item, date.min), answer.seen_on)
    return known


def _told_id(patient: str, clinic: str | None) -> str:
    return item_id(patient, TOLD, " " if clinic is None else clinic)


def _withdraw(after: State, delivered: Delivered, tonight: date) -> set[str]:
    """Find what stands no longer; returns the items that had named it, and their people.

    Of a value that several lists named, the clinics are told whose lists named it last.
    """
    acknowledged = _acknowledged(delivered, tonight)
    found: set[str] = set()
    fresh: dict[tuple[str, Value], list[tuple[date, GroundKey]]] = {}
    for key, ground in list(after.grounds.items()):
        item, clinic, value = key
        known = acknowledged.get(_told_id(ground.patient, clinic), date.min)
        waits = ground.withdrawn_on is not None and ground.withdrawn_on > known
        if ground.listed_on < tonight - days(KEPT) and not waits:
            del after.grounds[key]
            continue
        if not stands(value, ground.patient, delivered):
            # Once, and again when it had been told anew since.
            if ground.withdrawn_on is None or ground.withdrawn_on <= ground.listed_on:
                if ground.withdrawn_on is not None:
                    after.count("withdrawn again")
                ground.withdrawn_on = tonight
                found |= {item, ground.patient}
                fresh.setdefault((ground.patient, value), []).append((ground.listed_on, key))
        elif ground.withdrawn_on is not None and ground.withdrawn_on <= known:
            ground.withdrawn_on = None
    for told in fresh.values():
        last = max(listed_on for listed_on, _ in told)
        clinics = {key[1] for listed_on, key in told if listed_on == last}
        for _, key in told:
            if key[1] not in clinics:
                del after.grounds[key]
    return found


def _told_again(after: State, before: State, night: Night, delivered: Delivered) -> Iterable[Asked]:
    """RW1: one row for each person and clinic that was told."""
    acknowledged = _acknowledged(delivered, night.as_of)
    pending: dict[tuple[str, str | None], dict[Value, set[str]]] = {}
    for (item, clinic, value), ground in after.grounds.items():
        known = acknowledged.get(_told_id(ground.patient, clinic), date.min)
        if ground.withdrawn_on is not None and ground.withdrawn_on > known:
            values = pending.setdefault((ground.patient, clinic), {})
            values.setdefault(value, set()).update(row.action for row in before.of(item))
    for (patient, clinic), values in pending.items():
        if _route(patient, night, delivered) is None:
            facts = night.people[patient]
            yield Asked(
                item=_told_id(patient, clinic),
                patient=patient,
                action=TOLD,
                rule="RW1",
                priority=1,
                clinic=clinic,
                why=RW1
                + "; ".join(
                    _told_text(value, actions, patient, night, delivered)
                    for value, actions in sorted(values.items(), key=_in_order)
                ),
                shown=facts.shown,
                mma=facts.mma,
                hcy=facts.hcy,
            )


def _in_order(told: tuple[Value, set[str]]) -> tuple[date, str, str]:
    (analyte, day, text), _ = told
    return day, analyte, text


def _told_text(
    value: Value, actions: set[str], patient: str, night: Night, delivered: Delivered
) -> str:
    """What was named of a day, under which actions, and what is said of that day now."""
    analyte, day, text = value
    label = next(label for label, name in LABELS.items() if name == analyte)
    unit = UNITS[analyte]
    now = sorted(
        {
            number_text(r.value)
            for r in delivered.of(patient)
            if r.analyte == analyte and r.speaks and r.day == day and r.value is not None
        }
    )
    if analyte == "egfr":
        computed = egfr_of_day(patient, day, delivered)
        now = [] if computed is None else [computed]
    more = [f"named under {', '.join(sorted(actions))}"] if actions else []
    if text in now:
        more.append("it stands again")
    elif now:
        more.append("now " + " and ".join(f"{label} {text}{unit} on {day}" for text in now))
    elif analyte != "egfr":
        more.append("now none of that day")
    return f"{label} {text}{unit} on {day}" + (f" ({', '.join(more)})" if more else "")


def _route(patient: str, night: Night, delivered: Delivered) -> str | None:
    person = delivered.people[patient]
    if person["opted_out"]:
        return "opted_out"
    if person["deceased_on"] is not None and person["deceased_on"] <= night.as_of:
        return "deceased"
    return None


def _end_unasked(
    after: State,
    before: State,
    asked: dict[str, Asked],
    newest: dict[Key, Answer],
    night: Night,
    delivered: Delivered,
) -> None:
    """End what was answered of rows that no rule asks for, where it is worse than what was seen."""
    given = [
        (item, after.noted[item, by])
        for (item, by), answer in newest.items()
        if (past := before.last(item)) is not None
        and past.clinic == by
        and answer.decision
        in (
            ("declined", "deferred")
            if past.action == TOLD
            else ("declined", "deferred", "done", "already_treated")
        )
    ]
    for item, noted in (*given, *after.put_off.items()):
        past = before.last(item)
        if past is None or item in asked or noted.ended is not None:
            continue
        if past.patient not in night.people:
            continue
        if got_worse(noted, None, past.patient, night, delivered, before):
            noted.ended = "worse"
            after.count("ended: unasked by worse")


def _held(
    after: State,
    before: State,
    row: Asked,
    place: str | None,
    newest: dict[Key, Answer],
    night: Night,
    delivered: Delivered,
) -> tuple[str, date, bool] | None:
    """What keeps a row off the list tonight: the decision, the day it is back, whether it is new.

    New is what the site puts off tonight: that row shows what it would say tonight.
    """
    tonight = night.as_of
    put_off = _put_off(after, before, row, night, delivered)
    site = after.put_off.get(row.item)
    if site is not None:
        site.held = False
    held = None
    for (item, by), answer in newest.items():
        if item != row.item or answer.decision not in (
            ("declined", "deferred")
            if row.action == TOLD
            else ("declined", "deferred", "done", "already_treated")
        ):
            continue
        noted = after.noted[item, by]
        back_on = _back_on(answer, row, night, delivered)
        if noted.ended is None:
            if place != by:
                noted.ended = "moved"
            elif got_worse(noted, row.priority, row.patient, night, delivered, before):
                noted.ended = "worse"
            elif tonight >= back_on:
                noted.ended = "day"
            if noted.ended is not None:
                after.count(f"ended: {answer.decision} by {noted.ended}")
                if noted.ended == "day":
                    first = " first" if row.priority == 1 else ""
                    after.count(f"back after {(tonight - answer.decided_on).days}{first}")
        if noted.ended is None:
            held = answer.decision, back_on, False
    if held is not None:
        return held
    if site is not None:
        site.held = put_off is not None
    return put_off


def _back_on(answer: Answer, row: Asked, night: Night, delivered: Delivered) -> date:
    first, decided_on = row.priority == 1, answer.decided_on
    longest = decided_on + days(REST_LONGEST_FIRST if first else REST_LONGEST)
    if answer.decision in ("declined", "deferred"):
        return min(answer.until or decided_on + days(REST), longest)
    recorded = [r.day for r in delivered.of(row.patient) if r.speaks and r.day <= night.as_of]
    dose = night.people[row.patient].last_dose_on
    evidence = max([decided_on, *recorded, *([dose] if dose is not None else [])])
    return min(evidence + days(DONE_FIRST if first else DONE), longest)


def _put_off(
    after: State, before: State, row: Asked, night: Night, delivered: Delivered
) -> tuple[str, date, bool] | None:
    """What the site put off: every row of the action but those of priority 1."""
    known = [
        d for d in delivered.deferrals if d.action == row.action and d.declared_on <= night.as_of
    ]
    if not known:
        return None
    deferral = max(known, key=lambda one: one.number)
    noted = after.put_off.get(row.item)
    was_held = noted is not None and noted.held
    if noted is not None and noted.key != deferral.number:
        noted = None
    if row.priority == 1:
        if noted is not None and noted.ended is None:
            noted.ended = "worse"
            after.count("put off: ended by priority")
        return None
    if noted is None:
        last = before.last(row.item) or row
        sight = Sight(night.as_of, None, last.priority, last.mma, last.hcy)
        noted = Noted(deferral.number, deferral.declared_on, sight, held=was_held)
        after.put_off[row.item] = noted
    until = deferral.until + days(spread_days(row.item))
    if noted.ended is None:
        if got_worse(noted, row.priority, row.patient, night, delivered, before):
            noted.ended = "worse"
        elif night.as_of >= until:
            noted.ended = "day"
        if noted.ended is not None:
            after.count(f"put off: ended by {noted.ended}")
    return ("deferred", until, not noted.held) if noted.ended is None else None


def _row(
    after: State,
    row: Asked,
    place: str | None,
    past: Row | None,
    first: date,
    held: tuple[str, date, bool] | None,
    tonight: date,
) -> Row:
    fresh = Row(
        item=row.item, clinic=place, patient=row.patient, action=row.action, rule=row.rule,
        priority=row.priority, why=row.why, shown=row.shown, mma=row.mma, hcy=row.hcy,
        state="new", first_listed_on=first, asked_on=tonight,
    )  # fmt: skip
    if held is not None:
        made = (
            fresh
            if past is None or held[2]
            else replace(past, first_listed_on=first, asked_on=tonight)
        )
        made.state = "new" if past is None else past.state
        if past is not None:
            made.closed_on, made.close_reason = past.closed_on, past.close_reason
        made.decision, made.until, _ = held
        made.close_reason = None if made.decision == "deferred" else made.decision
        if made.decision in ("done", "already_treated"):
            made.item_state = "closed"
            if past is None or past.close_reason != made.decision:
                made.closed_on = tonight
        else:
            made.item_state, made.closed_on = "resting", None
        after.count(f"off the list: {made.decision}")
        return made
    if past is not None:
        if past.item_state != "open":
            fresh.state = "reopened"
        elif (fresh.rule, fresh.priority, fresh.shown, fresh.why) != (
            past.rule,
            past.priority,
            past.shown,
            past.why,
        ):
            fresh.state = "changed"
        else:
            fresh.state = "carried"
    after.count(f"open: {fresh.state}")
    return fresh


def _reason(
    past: Row,
    before: State,
    after: State,
    asked: dict[str, Asked],
    rows: list[Row],
    newest: dict[Key, Answer],
    found: set[str],
    night: Night,
    delivered: Delivered,
) -> str:
    route = _route(past.patient, night, delivered)
    if route is not None:
        return route
    key = past.item, past.clinic
    answer, earlier = newest.get(key), before.noted.get(key)
    # Given to this row, in this life of it, by the clinic that has it, and in force last night.
    if answer is not None and (
        answer.night <= past.first_listed_on
        or (earlier is not None and earlier.key == answer.place and earlier.ended is not None)
    ):
        answer = None
    if answer is not None and answer.decision == "not_our_patient" and past.clinic is not None:
        return "not_our_patient"
    if past.item in asked:
        return "moved"
    if past.item in found:
        return "result_withdrawn"
    known_on = night.people[past.patient].dose_known_on if past.patient in night.people else None
    assert before.as_of is not None
    if known_on is not None and known_on > before.as_of and past.action not in NOT_BY_A_DOSE:
        return "treated"
    # Nor is it what closes a row that something worse than what was seen has replaced tonight.
    if answer is not None and after.noted[key].ended is None:
        if answer.decision in ("done", "already_treated", "declined"):
            return answer.decision
        if answer.decision == "acknowledged" and past.action == TOLD:
            return "done"
    if night.ruleset != before.ruleset:
        return "rule_change"
    # It hung on another row of the person.
    if past.patient in found:
        return "result_withdrawn"
    for row in rows:
        there = before.rows.get((row.item, row.clinic))
        is_new = there is None or there.item_state != "open"
        if (
            row.patient == past.patient
            and row.action != TOLD
            and row.item_state == "open"
            and is_new
        ):
            return "superseded_by_action"
    return "resolved_by_result"
