"""The clinical specification decided for one person, in the plainest Python.

Written from the specification alone: no threshold, map or statement of the project is read here.
Every limit below is typed by hand; a limit that differs from the ruleset's is what this
file exists to find. Speed does not matter, resemblance to the specification does.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from statistics import median

from .people import (
    COBALAMINS,
    FOLIC_ACIDS,
    NEURO_GROUPS,
    Condition,
    Medication,
    Night,
    Person,
    Result,
)

YES, NO, UNKNOWN = "yes", "no", "unknown"

SPEAKING = ("final", "corrected", "amended")

# Section 6, "Panel".
PANEL = ("b12", "hb", "mcv", "mma", "hcy")

# Section 5: the rows in the order of the table (section 2, SC6: the first in the table wins).
SECTION_5_ORDER = (
    "RG1",
    "RG2",
    "RG3",
    "RG4",
    "RG13",
    "RG6",
    "RG7",
    "RG10",
    "RG8",
    "RG5",
    "RG14",
    "RG9",
    "RG11",
    "RG12",
    "RG15",
    "SF1",
)


# --------------------------------------------------------------------------------------------------
# Time, comparators, ties (section 1, opening paragraphs)


def add_months(day: date, months: int) -> date:
    """Section 1, "Time": calendar months, month ends clipped."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def within_days_before(day: date, reference: date, days: int) -> bool:
    """Section 1, "Time": N days before D means 0 <= D - d <= N."""
    return 0 <= (reference - day).days <= days


def within_months_before(day: date, reference: date, months: int) -> bool:
    """Section 1, "Time": N months are counted back with month ends clipped."""
    return add_months(reference, -months) <= day <= reference


def age_on(birth_date: date, day: date) -> int:
    """Completed years; somebody born on 29 February has the birthday on 1 March in other years."""
    before_birthday = (day.month, day.day) < (birth_date.month, birth_date.day)
    return day.year - birth_date.year - int(before_birthday)


@dataclass(frozen=True)
class Span:
    """Section 1, "Comparators": a value as the interval of what it may be."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False


def span(comparator: str, value: float) -> Span:
    """Section 1, "Comparators"."""
    if comparator == "<":
        return Span(0.0, value, False, True)
    if comparator == ">":
        return Span(value, math.inf, True, True)
    return Span(value, value)


def above(s: Span, limit: float) -> str:
    """Is the value > limit?"""
    if s.low > limit or (s.low == limit and s.low_open):
        return YES
    return NO if s.high <= limit else UNKNOWN


def below(s: Span, limit: float) -> str:
    """Is the value < limit?"""
    if s.high < limit or (s.high == limit and s.high_open):
        return YES
    return NO if s.low >= limit else UNKNOWN


def negated(word: str) -> str:
    return {YES: NO, NO: YES, UNKNOWN: UNKNOWN}[word]


def tie_key(result: Result) -> tuple[datetime, bool, datetime, str]:
    """Section 1, "Ties": collection instant, reported_at (missing first), result_id as text."""
    return (
        result.collected_at,
        result.reported_at is not None,
        result.reported_at or datetime.min,
        result.result_id,
    )


def latest(results: Iterable[Result]) -> Result | None:
    return max(results, key=tie_key, default=None)


def result_span(result: Result) -> Span:
    assert result.value is not None
    return span(result.comparator, result.value)


def current_versions(results: Iterable[Result]) -> list[Result]:
    """The order of versions: the latest version by reported_at, then by arrival."""
    newest: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.laboratory, result.result_id)
        known = newest.get(key)
        if known is None or _version_key(result) >= _version_key(known):
            newest[key] = result
    return list(newest.values())


def _version_key(result: Result) -> tuple[bool, datetime]:
    return (result.reported_at is not None, result.reported_at or datetime.min)


# --------------------------------------------------------------------------------------------------
# The case: what exists on D


@dataclass(frozen=True, eq=False)
class Case:
    """One person on one night: only what is dated on or before D, only results that speak.

    Compared by identity, so that the facts asked most often can be remembered for the case at hand.
    """

    person: Person
    results: tuple[Result, ...]
    conditions: tuple[Condition, ...]
    medications: tuple[Medication, ...]
    night: Night

    @property
    def d(self) -> date:
        return self.night.as_of


def open_case(
    person: Person,
    results: Iterable[Result],
    conditions: Iterable[Condition],
    medications: Iterable[Medication],
    night: Night,
) -> Case:
    """Section 1, "Time" (records dated after D do not exist) and "A result speaks"."""
    return Case(
        person,
        tuple(
            r
            for r in current_versions(results)
            if r.status in SPEAKING and r.value is not None and r.collected_on <= night.as_of
        ),
        tuple(c for c in conditions if c.recorded_on <= night.as_of),
        tuple(m for m in medications if m.started_on <= night.as_of),
        night,
    )


def of(case: Case, *analytes: str) -> list[Result]:
    return [r for r in case.results if r.analyte in analytes]


# --------------------------------------------------------------------------------------------------
# Codes


def in_group(condition: Condition, group: str) -> bool:
    return any(g == group for g, _ in condition.groups)


def stands(case: Case, condition: Condition) -> bool:
    """Section 1, "Time": a code that ended on D has ended."""
    return condition.resolved_on is None or condition.resolved_on > case.d


def standing_code(case: Case, *groups: str) -> bool:
    """Below the table of section 1: other codes count from their record until resolved."""
    return any(stands(case, c) and in_group(c, g) for c in case.conditions for g in groups)


def group_can_be_absent(case: Case, group: str) -> bool:
    """Section 8 and the row accounts: absence says no only in a fresh and mapped feed."""
    return case.night.conditions_feed == "fresh" and any(
        group in groups for groups in case.night.mapped_groups.values()
    )


def code_word(case: Case, group: str, found: bool) -> str:
    if found:
        return YES
    return NO if group_can_be_absent(case, group) else UNKNOWN


def pregnant(case: Case) -> str:
    """Section 1, row `pregnant`: a code in the last 280 days not ended."""
    found = any(
        in_group(c, "pregnancy")
        and within_days_before(c.recorded_on, case.d, 280)
        and stands(case, c)
        for c in case.conditions
    )
    return code_word(case, "pregnancy", found)


def nitrous_oxide(case: Case) -> str:
    """Section 1, row `nitrous_oxide`: a code in the last 365 days, resolved or not."""
    found = any(
        in_group(c, "nitrous_oxide") and within_days_before(c.recorded_on, case.d, 365)
        for c in case.conditions
    )
    return code_word(case, "nitrous_oxide", found)


def ever(case: Case, group: str) -> str:
    """Section 1, "ever": counts though it was resolved."""
    return code_word(case, group, any(in_group(c, group) for c in case.conditions))


def inborn_error(case: Case) -> str:
    """Section 1, row `inborn_error`."""
    return ever(case, "inborn_error")


def cobalamin_reaction(case: Case) -> str:
    """Section 1, row `cobalamin_reaction`."""
    return ever(case, "cobalamin_reaction")


def irreversible_cause(case: Case) -> str:
    """Section 1, row `irreversible_cause`."""
    return ever(case, "irreversible_cause")


def competing_cause_stands(case: Case) -> bool:
    """Section 1, row `neuro`: diabetic, alcoholic, chemotherapy."""
    return any(stands(case, c) and ("neuropathy", "competing") in c.groups for c in case.conditions)


def is_definite(condition: Condition) -> bool:
    return any(g in NEURO_GROUPS and tier == "definite" for g, tier in condition.groups)


def is_likely(case: Case, condition: Condition) -> bool:
    """Section 1, row `neuro`: a neuropathy beside a competing cause is not likely anywhere."""
    return any(
        g in NEURO_GROUPS
        and tier == "likely"
        and not (g == "neuropathy" and competing_cause_stands(case))
        for g, tier in condition.groups
    )


def neuro_definite(case: Case) -> bool:
    """Section 5, RG10 "definite code": one that makes `neuro` recorded."""
    return any(is_definite(c) and stands(case, c) for c in case.conditions)


def neuro_recorded(case: Case) -> bool:
    """Section 1, row `neuro`, `recorded`."""
    return neuro_definite(case) or any(
        is_likely(case, c) and stands(case, c) and within_months_before(c.recorded_on, case.d, 24)
        for c in case.conditions
    )


def neuro_possible(case: Case) -> bool:
    """Section 1, row `neuro`, `possible` (asked only where nothing is recorded)."""
    for c in case.conditions:
        if not stands(case, c):
            continue
        recent = within_months_before(c.recorded_on, case.d, 24)
        if recent and any(g in NEURO_GROUPS and tier == "weak" for g, tier in c.groups):
            return True
        if recent and ("neuropathy", "likely") in c.groups and competing_cause_stands(case):
            return True
        if ("neuropathy", "competing") in c.groups and is_itself_a_neuropathy(c):
            return True
    return False


def is_itself_a_neuropathy(condition: Condition) -> bool:
    """Z92.21 is a history of chemotherapy, a cause and no neuropathy; the others are both."""
    return condition.code.upper().replace(".", "") != "Z9221"


def neuro(case: Case) -> str:
    """Section 1, row `neuro`."""
    if neuro_recorded(case):
        return "recorded"
    if neuro_possible(case):
        return "possible"
    if case.night.conditions_feed == "fresh" and any(
        groups >= NEURO_GROUPS for groups in case.night.mapped_groups.values()
    ):
        return "none_recorded"
    return UNKNOWN


# --------------------------------------------------------------------------------------------------
# Treatment (section 4)


def route_of(medication: Medication) -> str:
    """Section 4, "Route": parenteral or oral."""
    if medication.route is None:
        return "parenteral" if medication.substance == "hydroxocobalamin" else "oral"
    return "parenteral" if medication.route in ("im", "iv", "sc") else "oral"


def counts_as_b12(medication: Medication) -> bool:
    """Section 4, opening: any cobalamin but the 5 g antidote and the small oral supplement."""
    if medication.substance not in COBALAMINS:
        return False
    dose = medication.dose_mg
    if dose is None:
        return True
    if medication.substance == "hydroxocobalamin" and dose >= 5000:
        return False
    return not (route_of(medication) == "oral" and dose < 0.5)


def covers(case: Case, medication: Medication) -> bool:
    """Section 1, rows cyanocobalamin_active and folic_acid_active: "covers D"."""
    if medication.kind != "prescription":
        return False
    if medication.ended_on is not None:
        return medication.ended_on > case.d
    return case.d <= medication.started_on + timedelta(days=365)


@lru_cache(maxsize=4)
def parenteral_dose_days(case: Case) -> list[date]:
    """Section 4, "Route": an administration or a parenteral prescription, one dose a day."""
    return sorted(
        {m.started_on for m in case.medications if counts_as_b12(m) and route_of(m) == "parenteral"}
    )


@lru_cache(maxsize=4)
def dose_days(case: Case) -> list[date]:
    """Section 4, "Route": every day with a dose of B12."""
    days: set[date] = set()
    for m in case.medications:
        if not counts_as_b12(m):
            continue
        days.add(m.started_on)
        if m.kind == "prescription" and route_of(m) == "oral":
            last = m.ended_on or m.started_on + timedelta(days=365)
            day = m.started_on
            while day <= min(last, case.d):
                days.add(day)
                day += timedelta(days=1)
    return sorted(days)


def episode_start(case: Case) -> date | None:
    """Section 4, "Episode": the first dose after a gap of more than 365 days."""
    start: date | None = None
    previous: date | None = None
    for day in dose_days(case):
        if previous is None or (day - previous).days > 365:
            start = day
        previous = day
    return start


def last_dose(case: Case) -> date | None:
    days = dose_days(case)
    return days[-1] if days else None


def start_not_seen(case: Case) -> bool:
    """Section 4, "Episode": within 120 days after the day the feed is complete from."""
    start, complete = episode_start(case), case.night.medications_complete_from
    if start is None or complete is None:
        return False
    return 0 <= (start - complete).days <= 120


def interval_months(case: Case) -> int:
    """Section 4, "Interval"."""
    start = episode_start(case)
    if neuro(case) == "recorded":
        return 2
    if start is not None and any(
        (is_definite(c) or is_likely(case, c)) and c.recorded_on >= add_months(start, -24)
        for c in case.conditions
    ):
        return 2
    return 3


def next_dose_due(case: Case) -> date | None:
    """Section 4: last parenteral dose + interval."""
    days = parenteral_dose_days(case)
    return add_months(days[-1], interval_months(case)) if days else None


def oral_cover(case: Case) -> bool:
    """Section 4, `active`: an oral prescription that counts covers D."""
    return any(
        counts_as_b12(m) and route_of(m) == "oral" and covers(case, m) for m in case.medications
    )


def parenteral_cover(case: Case) -> bool:
    """Section 4, `active`: last parenteral dose + interval + 14 days >= D."""
    due = next_dose_due(case)
    return due is not None and due + timedelta(days=14) >= case.d


@lru_cache(maxsize=4)
def b12_treatment(case: Case) -> str:
    """Section 4, `active`, `lapsed`, `none`, `unknown`."""
    if oral_cover(case) or parenteral_cover(case):
        return "active"
    if dose_days(case):
        return "lapsed"
    return UNKNOWN if case.night.medications_feed == "none" else "none"


def in_use(case: Case, medication: Medication) -> bool:
    """Section 1, rows cyanocobalamin_active and folic_acid_active."""
    if medication.kind == "administration":
        return within_days_before(medication.started_on, case.d, 120)
    return covers(case, medication)


def cyanocobalamin_active(case: Case) -> str:
    """Section 1, row `cyanocobalamin_active`; a small supplement is still a form (section 4)."""
    if any(m.substance == "cyanocobalamin" and in_use(case, m) for m in case.medications):
        return YES
    return UNKNOWN if case.night.medications_feed == "none" else NO


def folic_acid_active(case: Case) -> str:
    """Section 1, row `folic_acid_active`; a known daily dose of at most 0.4 mg does not count."""
    for m in case.medications:
        small = m.dose_mg is not None and m.dose_mg <= 0.4
        if m.substance in FOLIC_ACIDS and not small and in_use(case, m):
            return YES
    return UNKNOWN if case.night.medications_feed == "none" else NO


# --------------------------------------------------------------------------------------------------
# Which samples decide (section 1)


def treated(case: Case, result: Result) -> bool:
    """Section 1, "Treated results": a dose on one of the 120 days before the collection day."""
    return any(1 <= (result.collected_on - day).days <= 120 for day in dose_days(case))


@lru_cache(maxsize=4)
def basis(case: Case) -> str:
    """Section 1, "Which samples decide"."""
    treatment = b12_treatment(case)
    if treatment == "active":
        return "baseline"
    if treatment == "lapsed":
        last = last_dose(case)
        assert last is not None
        untreated_since = [
            r
            for r in of(case, "mma", "hcy", "b12", "holotc")
            if r.collected_on > last
            and within_days_before(r.collected_on, case.d, 365)
            and not treated(case, r)
        ]
        if not untreated_since:
            return "baseline"
    return "current"


def counting(case: Case, *analytes: str) -> list[Result]:
    """Section 1, "Which samples decide": the results in the window of the basis."""
    results = of(case, *analytes)
    if basis(case) == "baseline":
        start = episode_start(case)
        assert start is not None
        if start_not_seen(case):  # section 4: "no baseline"
            return []
        return [r for r in results if within_days_before(r.collected_on, start, 365)]
    window = [r for r in results if within_days_before(r.collected_on, case.d, 365)]
    last = last_dose(case)
    if b12_treatment(case) == "lapsed" and last is not None:
        window = [r for r in window if r.collected_on > last]
    return window


def deciding_sample_on(case: Case) -> date | None:
    """Section 1: the newest MMA or homocysteine in the window."""
    newest = latest(counting(case, "mma", "hcy"))
    return newest.collected_on if newest else None


def deciding(case: Case, analyte: str) -> Result | None:
    """Section 1: the marker of the deciding sample, or its latest in the 30 days before."""
    sample_on = deciding_sample_on(case)
    if sample_on is None:
        return None
    return latest(
        r for r in counting(case, analyte) if within_days_before(r.collected_on, sample_on, 30)
    )


def marker_above(case: Case, analyte: str, limit: float) -> str:
    """Section 1, "Treated results": treated and raised stays raised, otherwise unknown."""
    result = deciding(case, analyte)
    if result is None:
        return UNKNOWN
    word = above(result_span(result), limit)
    if basis(case) == "current" and treated(case, result) and word != YES:
        return UNKNOWN
    return word


def mma_raised(case: Case) -> str:
    """Section 1, row `mma_raised`: MMA > 271 nmol/L."""
    return marker_above(case, "mma", 271)


def mma_marked(case: Case) -> str:
    """Section 1, row `mma_marked`: MMA > 750 nmol/L."""
    return marker_above(case, "mma", 750)


def hcy_raised(case: Case) -> str:
    """Section 1, row `hcy_raised`: homocysteine > 15 umol/L."""
    return marker_above(case, "hcy", 15)


def b12_word(case: Case, result: Result) -> str:
    """Section 1, row `b12_level`: the word of one total or active B12."""
    if basis(case) == "current" and treated(case, result):
        return UNKNOWN
    s = result_span(result)
    if result.analyte == "b12":
        low, up_to_borderline = below(s, 148), below(s, 258)
    else:
        low, up_to_borderline = below(s, 25), negated(above(s, 70))
    if up_to_borderline == YES:
        # A censored value takes the most deficient word it may have.
        return "borderline" if low == NO else "low"
    return "adequate" if up_to_borderline == NO else UNKNOWN


def b12_speaking(case: Case) -> list[Result]:
    """Section 1, row `b12_level`: the newest of the two, and the other within 30 days of it."""
    newest = latest(counting(case, "b12", "holotc"))
    if newest is None:
        return []
    other = latest(counting(case, "holotc" if newest.analyte == "b12" else "b12"))
    if other is not None and abs((newest.collected_on - other.collected_on).days) <= 30:
        return [newest, other]
    return [newest]


def b12_level(case: Case) -> str:
    """Section 1, row `b12_level`."""
    words = {b12_word(case, r) for r in b12_speaking(case)}
    for word in ("low", "borderline", "adequate"):
        if word in words:
            return word
    return UNKNOWN


# --------------------------------------------------------------------------------------------------
# Kidney (section 1)


@dataclass(frozen=True)
class Egfr:
    """The estimated GFR of one sample, mL/min/1.73 m2."""

    collected_at: datetime
    span: Span

    @property
    def collected_on(self) -> date:
        return self.collected_at.date()


def ckd_epi_2021(creatinine_umol_l: float, age: int, sex: str) -> float:
    """CKD-EPI 2021 creatinine equation (Inker et al., NEJM 2021;385:1737); 113.12 g/mol."""
    creatinine_mg_dl = creatinine_umol_l * 113.12 / 10000
    kappa, alpha, factor = (0.7, -0.241, 1.012) if sex == "female" else (0.9, -0.302, 1.0)
    ratio = creatinine_mg_dl / kappa
    return float(142 * min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.200 * 0.9938**age * factor)


def computed_egfr(case: Case, creatinine: Result) -> Span | None:
    """Section 1, row `egfr`: not under 18 on that day, not for sex other or unknown."""
    born, sex = case.person.birth_date, case.person.sex
    if born is None or sex not in ("female", "male"):
        return None
    age = age_on(born, creatinine.collected_on)
    if age < 18:
        return None
    assert creatinine.value is not None
    value = ckd_epi_2021(creatinine.value, age, sex)
    # More creatinine is less filtration: a bound on one is the opposite bound on the other.
    return span({"<": ">", ">": "<"}.get(creatinine.comparator, "="), value)


@lru_cache(maxsize=4)
def egfrs(case: Case) -> list[Egfr]:
    """Section 1, row `egfr`: one per sample; reported unless censored, else computed."""
    best: dict[datetime, tuple[tuple[int, bool, datetime, str], Span]] = {}
    for r in of(case, "egfr", "creatinine"):
        if r.analyte == "egfr":
            rank, s = (2 if r.comparator == "=" else 0), result_span(r)
        else:
            computed = computed_egfr(case, r)
            if computed is None:
                continue
            rank, s = 1, computed
        key = (rank, *tie_key(r)[1:])
        if r.collected_at not in best or key > best[r.collected_at][0]:
            best[r.collected_at] = (key, s)
    return [Egfr(at, s) for at, (_, s) in sorted(best.items())]


def latest_egfr(case: Case) -> Egfr | None:
    """The latest eGFR of the 365 days before D."""
    recent = [e for e in egfrs(case) if within_days_before(e.collected_on, case.d, 365)]
    return recent[-1] if recent else None


def nearest_egfr(case: Case, day: date) -> Egfr | None:
    """Section 1, row `gate`: nearest within 90 days either side, the later if equally near."""
    near = [e for e in egfrs(case) if abs((e.collected_on - day).days) <= 90]
    return max(
        near, key=lambda e: (-abs((e.collected_on - day).days), e.collected_at), default=None
    )


@lru_cache(maxsize=4)
def creatinine_rises(case: Case) -> list[date]:
    """Section 1, row `creatinine rise`: the days of creatinines that rose."""
    creatinines = of(case, "creatinine")
    days = []
    for r in creatinines:
        earlier = [
            e.value
            for e in creatinines
            if e.comparator == "="
            and e.value is not None
            and e.collected_at < r.collected_at
            and within_days_before(e.collected_on, r.collected_on, 365)
        ]
        # Rounded, because 1.35 mg/dL is 1.5 times 0.9 mg/dL and floating point says a little less.
        if len(earlier) < 2 or r.comparator == "<" or r.value is None:
            continue
        if round(r.value - 1.5 * median(earlier), 6) >= 0:
            days.append(r.collected_on)
    return days


def acute_before(case: Case, day: date) -> bool:
    """An AKI code or a creatinine rise in the 90 days before a day."""
    return any(within_days_before(rise, day, 90) for rise in creatinine_rises(case)) or any(
        in_group(c, "aki") and within_days_before(c.recorded_on, day, 90) for c in case.conditions
    )


def gate(case: Case) -> str:
    """Section 1, row `gate`: kidney function at the deciding sample."""
    if standing_code(case, "dialysis", "transplant", "ckd_3_5"):
        return "closed"
    sample_on = deciding_sample_on(case)
    if sample_on is None:
        return UNKNOWN
    if acute_before(case, sample_on):
        return "closed"
    egfr = nearest_egfr(case, sample_on)
    if egfr is None:
        return UNKNOWN
    return {YES: "closed", NO: "open", UNKNOWN: UNKNOWN}[below(egfr.span, 60)]


def kidney(case: Case) -> str:
    """Section 1, row `kidney`: on D, the first that applies."""
    if standing_code(case, "dialysis"):
        return "dialysis"
    if acute_before(case, case.d):
        return "acute"
    egfr = latest_egfr(case)
    reduced = UNKNOWN if egfr is None else below(egfr.span, 60)
    if standing_code(case, "transplant", "ckd_3_5") or reduced == YES:
        return "reduced"
    return "normal" if reduced == NO else UNKNOWN


def ckd_stage(case: Case) -> str:
    """Section 1, row `ckd_stage`: half-open bands on the unrounded latest eGFR."""
    egfr = latest_egfr(case)
    if egfr is None:
        return UNKNOWN
    bands = (
        ("G1", 90, math.inf),
        ("G2", 60, 90),
        ("G3a", 45, 60),
        ("G3b", 30, 45),
        ("G4", 15, 30),
        ("G5", 0, 15),
    )
    for stage, low, high in bands:
        if below(egfr.span, low) == NO and (high == math.inf or below(egfr.span, high) == YES):
            return stage
    return UNKNOWN


def ckd_chronic(case: Case) -> str:
    """Section 1, row `ckd_stage`: two eGFR < 60 at least 90 days apart, none >= 60 between."""
    if standing_code(case, "ckd_3_5", "dialysis", "transplant"):
        return YES
    run_began_on: date | None = None
    for egfr in egfrs(case):
        word = below(egfr.span, 60)
        if word == NO:
            run_began_on = None
        elif word == YES:
            run_began_on = run_began_on or egfr.collected_on
            if (egfr.collected_on - run_began_on).days >= 90:
                return YES
    known = ckd_stage(case) != UNKNOWN and group_can_be_absent(case, "ckd_3_5")
    return NO if known else UNKNOWN


def renal_dysfunction(case: Case) -> str:
    """Section 1, row `renal_dysfunction`."""
    if standing_code(case, "dialysis", "transplant", "ckd_3_5", "diabetic_nephropathy"):
        return YES
    egfr, word = latest_egfr(case), kidney(case)
    if egfr is not None and below(egfr.span, 60) == YES and word != "acute":
        return YES
    return NO if word == "normal" else UNKNOWN


# --------------------------------------------------------------------------------------------------
# Blood (section 1)


def latest_of_year(case: Case, analyte: str) -> Result | None:
    return latest(r for r in of(case, analyte) if within_days_before(r.collected_on, case.d, 365))


def anaemia(case: Case) -> str:
    """Section 1, row `anaemia`."""
    hb = latest_of_year(case, "hb")
    if hb is None:
        return UNKNOWN
    s = result_span(hb)
    if pregnant(case) == YES:
        return below(s, 110)
    if case.person.sex == "male":
        return below(s, 130)
    if case.person.sex == "female":
        return below(s, 120)
    if below(s, 120) == YES:
        return YES
    return NO if below(s, 130) == NO else UNKNOWN


def severe_anaemia(case: Case) -> str:
    """Section 1, row `severe_anaemia`: Hb < 80 g/L."""
    hb = latest_of_year(case, "hb")
    return UNKNOWN if hb is None else below(result_span(hb), 80)


def macrocytosis(case: Case) -> str:
    """Section 1, row `macrocytosis`: MCV > 100 fL."""
    mcv = latest_of_year(case, "mcv")
    return UNKNOWN if mcv is None else above(result_span(mcv), 100)


def blood_abnormal_from(case: Case, day: date) -> bool:
    """Sections 5 (RS7) and 7 (RS2): anaemia or macrocytosis by a result from a day on."""
    hb, mcv = latest_of_year(case, "hb"), latest_of_year(case, "mcv")
    return (hb is not None and hb.collected_on >= day and anaemia(case) == YES) or (
        mcv is not None and mcv.collected_on >= day and macrocytosis(case) == YES
    )


# --------------------------------------------------------------------------------------------------
# Who is screened (section 2)


def screening(case: Case) -> tuple[str, str]:
    """Section 2: route and rule, the first that fits."""
    person = case.person
    if person.opted_out:
        return "opted_out", "SC1"
    if person.deceased_on is not None and person.deceased_on <= case.d:
        return "deceased", "SC2"
    if person.birth_date is None or person.birth_date > case.d:
        return "unroutable_age", "SC3"
    if age_on(person.birth_date, case.d) < 18:
        return "paediatric", "SC4"
    if inborn_error(case) == YES:
        return "inborn_error", "SC5"
    if pregnant(case) == YES:
        return "pregnant", "SC6"
    return "screened", "SC7"


# --------------------------------------------------------------------------------------------------
# Functional status (section 3)


def functional_status(case: Case) -> tuple[str, str]:
    """Section 3: status and rule, the first row that fits, in the order of the table."""
    mma, hcy = mma_raised(case), hcy_raised(case)
    b12, g = b12_level(case), gate(case)
    marked = mma_marked(case) == YES
    n2o = nitrous_oxide(case) == YES
    hcy_not_shown, mma_not_shown = hcy in (NO, UNKNOWN), mma in (NO, UNKNOWN)

    if basis(case) == "baseline" and mma == hcy == b12 == UNKNOWN:
        return "on_treatment", "FS0"
    if mma == YES and hcy == YES and g == "open":
        return "confirmed", "FS1"
    if mma == YES and hcy == YES and g == UNKNOWN and (b12 == "low" or marked):
        return "confirmed", "FS2"
    if mma == YES and hcy == YES and g == UNKNOWN:
        return "probable", "FS24"
    if mma == YES and hcy == YES and g == "closed" and b12 == "low":
        return "confirmed", "FS3"
    if mma == YES and hcy == YES and g == "closed" and marked:
        return "confirmed", "FS4"
    if mma == YES and hcy == YES and g == "closed":
        return "renal_confounded", "FS5"
    if mma == YES and hcy_not_shown and b12 == "low":
        return "probable", "FS6"
    if mma == YES and hcy_not_shown and marked:
        return "probable", "FS7"
    if mma == YES and hcy_not_shown and g == "closed":
        return "renal_confounded", "FS8"
    if mma == YES and hcy == UNKNOWN and b12 == "borderline" and g in ("open", UNKNOWN):
        return "probable", "FS25"
    if mma == YES and hcy_not_shown:
        return "possible", "FS9"
    if mma_not_shown and hcy == YES and n2o:
        return "probable", "FS26"
    if mma == NO and hcy == YES and b12 == "low":
        return "possible", "FS10"
    if mma == NO and hcy == YES:
        return "homocysteine_only", "FS11"
    if mma == UNKNOWN and hcy == YES and b12 == "low" and g in ("open", UNKNOWN):
        return "probable", "FS15"
    if mma == UNKNOWN and hcy == YES and b12 == "low":
        return "possible", "FS16"
    if mma == UNKNOWN and hcy == YES:
        return "possible", "FS17"
    if b12 == "low":
        return "possible", "FS13"
    if mma == UNKNOWN and hcy == UNKNOWN and n2o:
        return "indeterminate", "FS23"
    if mma == NO and hcy == NO:
        return "unlikely", "FS12"
    if mma == NO and hcy == UNKNOWN:
        return "unlikely", "FS14"
    if mma == UNKNOWN and b12 == "borderline":
        return "indeterminate", "FS19"
    if mma == UNKNOWN and hcy == NO:
        return "unlikely", "FS20"
    if b12 == "adequate":
        return "not_shown", "FS21"
    return "not_assessed", "FS22"


# --------------------------------------------------------------------------------------------------
# Rechecks (section 6)


@dataclass(frozen=True)
class Recheck:
    milestone: str
    due_on: date
    state: str
    days_overdue: int
    missing: tuple[str, ...]
    n_missed: int


def milestone_months(case: Case) -> list[int]:
    """Section 6, "Anchor": +3, +6, +12, then yearly; only the yearly ones, start not seen."""
    start = episode_start(case)
    assert start is not None
    months = [12] if start_not_seen(case) else [3, 6, 12]
    # On past D: the last window opens after D, so a milestone not done is always found.
    while add_months(start, months[-1]) - timedelta(days=30) <= case.d:
        months.append(months[-1] + 12)
    return months


def missing_of_panel(case: Case, months: int) -> tuple[str, ...]:
    """Section 6, "Window": [due - 30 days, next milestone's due - 30 days)."""
    start = episode_start(case)
    assert start is not None
    following = {3: 6, 6: 12}.get(months, months + 12)
    opens = add_months(start, months) - timedelta(days=30)
    closes = add_months(start, following) - timedelta(days=30)
    return tuple(
        analyte
        for analyte in PANEL
        if not any(opens <= r.collected_on < closes for r in of(case, analyte))
    )


def recheck(case: Case) -> Recheck | None:
    """Section 6."""
    start = episode_start(case)
    if start is None:
        return None
    all_months = milestone_months(case)
    complete = [m for m in all_months if not missing_of_panel(case, m)]
    last_complete = max(complete, default=0)

    def done(months: int) -> bool:  # or a later milestone is done
        return months <= last_complete

    due_ones = [m for m in all_months if add_months(start, m) <= case.d]
    counts = due_ones[-1] if due_ones else None
    if counts is None or done(counts):
        counts = next(m for m in all_months if m > (counts or 0) and not done(m))
    due_on = add_months(start, counts)
    if due_on + timedelta(days=30) < case.d:
        state = "overdue"
    elif (due_on - case.d).days <= 30:
        state = "due"
    else:
        state = "scheduled"
    return Recheck(
        milestone=f"{counts} months",
        due_on=due_on,
        state=state,
        days_overdue=(case.d - due_on).days if state == "overdue" else 0,
        missing=missing_of_panel(case, counts),
        n_missed=sum(1 for m in all_months if m < counts and not done(m)),
    )


# --------------------------------------------------------------------------------------------------
# Response (section 7)


@dataclass(frozen=True)
class Response:
    response: str
    rule_id: str
    mma_fall_pct: float | None
    hcy_fall_pct: float | None


def response_baseline(case: Case, analyte: str) -> Result | None:
    """Section 7, "Baseline": the last of the 365 days up to and including the start."""
    start = episode_start(case)
    if start is None or start_not_seen(case):
        return None
    return latest(r for r in of(case, analyte) if within_days_before(r.collected_on, start, 365))


def response_latest(case: Case, analyte: str) -> Result | None:
    """Section 7, "Latest": at least 60 days after the start, at most 365 before D."""
    start = episode_start(case)
    if start is None:
        return None
    return latest(
        r
        for r in of(case, analyte)
        if (r.collected_on - start).days >= 60 and within_days_before(r.collected_on, case.d, 365)
    )


def fall_span(case: Case, analyte: str) -> Span | None:
    """Section 7, "Fall %": 100 x (baseline - latest) / baseline, as what it may be.

    Rounded, because 12.4 is exactly 20 % below 15.5 and floating point says a little less.
    """
    baseline, now = response_baseline(case, analyte), response_latest(case, analyte)
    if baseline is None or now is None:
        return None
    b, n = result_span(baseline), result_span(now)
    low = -math.inf
    if b.low > 0 and n.high < math.inf:
        low = round(100 * (b.low - n.high) / b.low, 6)
    high = 100.0
    if b.high < math.inf:
        high = round(100 * (b.high - n.low) / b.high, 6)
    return Span(low, high, b.low_open or n.high_open, b.high_open or n.low_open)


def fall_at_least(case: Case, analyte: str, percent: float) -> str:
    """Section 7: a fall is known when its bound is enough."""
    s = fall_span(case, analyte)
    return UNKNOWN if s is None else negated(below(s, percent))


def fall_pct(case: Case, analyte: str) -> float | None:
    """The number, where both values are exact."""
    s = fall_span(case, analyte)
    return s.low if s is not None and s.low == s.high else None


def folic_acid_started_in_between(case: Case) -> bool:
    """Section 7, *Fall*: between the two homocysteines."""
    baseline, now = response_baseline(case, "hcy"), response_latest(case, "hcy")
    if baseline is None or now is None:
        return False
    return any(
        m.substance in FOLIC_ACIDS and baseline.collected_on <= m.started_on <= now.collected_on
        for m in case.medications
    )


def fall_speaker(case: Case) -> str | None:
    """Section 7, *Fall*: the marker whose fall is meant, or none."""
    if fall_at_least(case, "mma", 20) != UNKNOWN:
        return "mma"
    return None if folic_acid_started_in_between(case) else "hcy"


def fall(case: Case, percent: float) -> str:
    """Section 7, *Fall*."""
    speaker = fall_speaker(case)
    return UNKNOWN if speaker is None else fall_at_least(case, speaker, percent)


def at_target(case: Case) -> bool:
    """Section 7, RS2."""
    start = episode_start(case)
    mma, hcy = response_latest(case, "mma"), response_latest(case, "hcy")
    if start is None or mma is None or hcy is None:
        return False
    return (
        below(result_span(mma), 271) == YES
        and below(result_span(hcy), 10) == YES
        and not blood_abnormal_from(case, start + timedelta(days=1))
    )


def no_response(case: Case) -> bool:
    """Section 7, RS1."""
    start, mma = episode_start(case), response_latest(case, "mma")
    if start is None or mma is None or (mma.collected_on - start).days < 80:
        return False
    k = kidney(case)
    enough = 20 if k in ("reduced", "dialysis") else 48
    if above(result_span(mma), 750) == YES and fall(case, enough) != YES:
        return True
    return above(result_span(mma), 271) == YES and fall(case, 20) == NO and k == "normal"


def responding(case: Case) -> bool:
    """Section 7, RS4."""
    speaker = fall_speaker(case)
    if speaker == "mma":
        return fall_at_least(case, "mma", 48) == YES
    return speaker == "hcy" and fall_at_least(case, "hcy", 35) == YES


def response(case: Case) -> Response | None:
    """Section 7: the first that fits."""
    start = episode_start(case)
    if start is None:
        return None
    if (case.d - start).days < 60:
        word, rule = "too_early", "RS0"
    elif at_target(case):
        word, rule = "at_target", "RS2"
    elif no_response(case):
        word, rule = "no_response", "RS1"
    elif kidney(case) in ("reduced", "dialysis") and fall(case, 20) == YES:
        word, rule = "best_achievable", "RS3"
    elif responding(case):
        word, rule = "responding", "RS4"
    elif fall(case, 20) == YES:
        word, rule = "partial", "RS5"
    else:
        word, rule = "cannot_tell", "RS6"
    return Response(word, rule, fall_pct(case, "mma"), fall_pct(case, "hcy"))


# --------------------------------------------------------------------------------------------------
# Actions (section 5)


@dataclass(frozen=True)
class Action:
    action: str
    rule_id: str
    priority: int


def untreated(case: Case) -> bool:
    """Section 5: treatment none, unknown, or lapsed with basis current."""
    treatment = b12_treatment(case)
    return treatment in ("none", UNKNOWN) or (treatment == "lapsed" and basis(case) == "current")


def doses_in_episode(case: Case) -> int:
    start = episode_start(case)
    return 0 if start is None else sum(1 for day in parenteral_dose_days(case) if day >= start)


def regimen_rows(case: Case) -> list[Action]:
    """Section 5: RG1, RG2, RG3, RG4, RG13, RG6, RG7, RG10, RG8 (the untreated)."""
    if not untreated(case):
        return []
    status, _ = functional_status(case)
    start = status in ("confirmed", "probable")
    nerves, low = neuro(case), b12_level(case) == "low"
    recorded = nerves == "recorded"
    severe = severe_anaemia(case) == YES
    definite = recorded and neuro_definite(case)
    rows = []
    if start and recorded:
        rows.append(Action("start_b12_neuro", "RG1", 1))
    if status in ("renal_confounded", "possible") and recorded:
        rows.append(Action("start_b12_neuro", "RG2", 1))
    if start and nerves in ("possible", UNKNOWN):
        rows.append(Action("start_b12_assess", "RG3", 2))
    if start and nerves == "none_recorded":
        rows.append(Action("start_b12", "RG4", 2))
    if status == "possible" and low and not recorded:
        rows.append(Action("consider_b12", "RG13", 1 if severe else 2))
    if status == "renal_confounded" and not recorded:
        rows.append(Action("review_renal", "RG6", 4))
    if (status == "indeterminate" or (status == "possible" and not low)) and not recorded:
        rows.append(Action("complete_workup", "RG7", 5))
    if recorded and (
        status in ("indeterminate", "homocysteine_only")
        or (definite and status in ("unlikely", "not_shown", "not_assessed"))
    ):
        rows.append(Action("complete_workup", "RG10", 1 if definite else 2))
    if status == "homocysteine_only" and not recorded:
        rows.append(Action("review_homocysteine", "RG8", 6))
    return rows


def lapse_rows(case: Case, other_rows: list[Action]) -> list[Action]:
    """Section 5: RG5, RG14."""
    if b12_treatment(case) != "lapsed":
        return []
    recorded = neuro(case) == "recorded"
    resume = basis(case) == "baseline" or (
        not other_rows
        and (doses_in_episode(case) >= 6 or irreversible_cause(case) == YES or recorded)
    )
    if resume:
        return [Action("resume_b12", "RG5", 1 if recorded else 2)]
    return [] if other_rows else [Action("review_lapsed", "RG14", 6)]


def new_neuro_code(case: Case) -> bool:
    """Section 5, RG11: standing on D, first recorded after the episode's start."""
    start = episode_start(case)
    if start is None:
        return False
    for c in case.conditions:
        if not (stands(case, c) and (is_definite(c) or is_likely(case, c))):
            continue
        first = min(
            other.recorded_on
            for other in case.conditions
            if (other.code_system, other.code) == (c.code_system, c.code)
        )
        if first > start:
            return True
    return False


def mma_marked_on_treatment(case: Case) -> bool:
    """Section 5, RG11: the latest MMA of the 365 days, 30 days or more after the start, > 750."""
    start, mma = episode_start(case), latest_of_year(case, "mma")
    return (
        start is not None
        and mma is not None
        and (mma.collected_on - start).days >= 30
        and above(result_span(mma), 750) == YES
    )


def treatment_rows(case: Case) -> list[Action]:
    """Section 5: RG9, RG11, RG12, RG15 (the treated)."""
    rows = []
    active = b12_treatment(case) == "active"
    due, start = next_dose_due(case), episode_start(case)
    recorded = neuro(case) == "recorded"
    if active and parenteral_cover(case) and not oral_cover(case) and due and due <= case.d:
        rows.append(Action("maintenance_due", "RG9", 3))
    if active and (new_neuro_code(case) or mma_marked_on_treatment(case)):
        rows.append(Action("review_treatment", "RG11", 1 if new_neuro_code(case) else 3))
    if start is not None and not start_not_seen(case):
        age, doses = (case.d - start).days, doses_in_episode(case)
        if 14 <= age <= 60 and start in parenteral_dose_days(case) and doses < 6:
            rows.append(Action("loading_incomplete", "RG12", 1 if recorded else 2))
        if recorded and 21 <= age <= 60 and doses >= 6:
            rows.append(Action("review_loading", "RG15", 3))
    return rows


def safety_rows(case: Case, rg_rows: list[Action]) -> list[Action]:
    """Section 5: SF1 to SF5."""
    listed = {a.rule_id for a in rg_rows}
    treatment = b12_treatment(case)
    mma, hcy, b12 = mma_raised(case), hcy_raised(case), b12_level(case)
    rows = []
    if (
        folic_acid_active(case) == YES
        and treatment in ("none", "lapsed")
        and (mma == YES or b12 in ("low", "borderline") or (hcy == YES and mma == UNKNOWN))
    ):
        rows.append(Action("folic_acid_without_b12", "SF1", 1))
    if cyanocobalamin_active(case) == YES and renal_dysfunction(case) == YES:
        rows.append(Action("cyanocobalamin_in_renal", "SF2", 3))
    if listed & {"RG1", "RG2", "RG3", "RG4", "RG13"} and kidney(case) == UNKNOWN:
        rows.append(Action("check_kidney", "SF3", 3))
    if (
        listed & {"RG1", "RG2", "RG3", "RG4", "RG5", "RG7", "RG10", "RG13"}
        and severe_anaemia(case) == YES
    ):
        rows.append(Action("check_potassium", "SF4", 2))
    if (
        kidney(case) == "dialysis"
        and treatment == "none"
        and not listed & {"RG1", "RG2", "RG3", "RG4", "RG5", "RG6", "RG7", "RG13"}
    ):
        rows.append(Action("dialysis_vitamins", "SF5", 6))
    return rows


def follow_up_rows(case: Case) -> list[Action]:
    """Section 5: RC1, RC2, RS1, RS7."""
    rows = []
    check, answer, start = recheck(case), response(case), episode_start(case)
    if check is not None and check.state == "overdue":
        rows.append(Action("recheck_overdue", "RC1", 4))
    if check is not None and check.state == "due":
        rows.append(Action("recheck_due", "RC2", 7))
    if answer is not None and answer.response == "no_response":
        rows.append(Action("review_response", "RS1", 3))
    if start is not None and b12_treatment(case) == "active":
        day_80 = start + timedelta(days=80)
        if case.d >= day_80 and blood_abnormal_from(case, day_80):
            rows.append(Action("review_anaemia", "RS7", 3))
    return rows


def folded(rows: list[Action], into: str, rule_id: str | None) -> list[Action]:
    """Section 2: one row with the best priority; at equal priority the first of section 5."""
    if not rows:
        return []
    best = min(rows, key=lambda a: (a.priority, SECTION_5_ORDER.index(a.rule_id)))
    return [Action(into, rule_id or best.rule_id, best.priority)]


def fold(case: Case, rows: list[Action]) -> list[Action]:
    """Section 2, SC6 and the paragraph below the table (RG16, which comes first)."""
    if cobalamin_reaction(case) == YES:
        gone = [a for a in rows if a.rule_id.startswith("RG") or a.rule_id == "SF1"]
        rest = [a for a in rows if a not in gone and a.rule_id != "SF4"]
        return folded(gone, "specialist_review", "RG16") + rest
    if pregnant(case) == YES:
        gone = [
            a
            for a in rows
            if (a.rule_id.startswith("RG") and a.rule_id != "RG9") or a.rule_id == "SF1"
        ]
        return folded(gone, "pregnancy_review", None) + [a for a in rows if a not in gone]
    return rows


def actions(case: Case) -> list[Action]:
    """Sections 2 and 5: every row of a person."""
    route, rule_id = screening(case)
    if route in ("opted_out", "deceased"):
        return []
    if route == "unroutable_age":
        return [Action("check_record", rule_id, 7)]
    markers = mma_raised(case) == YES or hcy_raised(case) == YES or b12_level(case) == "low"
    review_priority = 1 if neuro(case) == "recorded" else 2
    if route == "paediatric":
        return [Action("paediatric_review", rule_id, review_priority)] if markers else []
    if route == "inborn_error":
        if markers or b12_treatment(case) == "lapsed":
            return [Action("specialist_review", rule_id, review_priority)]
        return []
    rows = regimen_rows(case)
    rows += treatment_rows(case)
    rows += lapse_rows(case, rows)
    rows += safety_rows(case, rows)
    rows += follow_up_rows(case)
    return fold(case, rows)


# --------------------------------------------------------------------------------------------------
# The decision


FACTS = {
    f.__name__: f
    for f in (
        basis,
        mma_raised,
        mma_marked,
        hcy_raised,
        b12_level,
        gate,
        kidney,
        ckd_stage,
        ckd_chronic,
        renal_dysfunction,
        neuro,
        pregnant,
        nitrous_oxide,
        inborn_error,
        cobalamin_reaction,
        irreversible_cause,
        b12_treatment,
        cyanocobalamin_active,
        folic_acid_active,
        anaemia,
        severe_anaemia,
        macrocytosis,
    )
}


@dataclass(frozen=True)
class Decision:
    """Everything the clinical specification decides about one person on one night."""

    patient_id: str
    route: str
    route_rule_id: str
    facts: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Result | None] = field(default_factory=dict)
    functional_status: str | None = None
    functional_status_rule_id: str | None = None
    actions: tuple[Action, ...] = ()
    recheck: Recheck | None = None
    response: Response | None = None


def decide(
    person: Person,
    results: Iterable[Result],
    conditions: Iterable[Condition],
    medications: Iterable[Medication],
    night: Night,
) -> Decision:
    """Sections 1 to 7 for one person."""
    case = open_case(person, results, conditions, medications, night)
    route, route_rule = screening(case)
    if route in ("opted_out", "deceased"):
        return Decision(person.patient_id, route, route_rule)
    facts = {name: fact(case) for name, fact in FACTS.items()}
    speaking = {r.analyte: r for r in b12_speaking(case)}
    samples = {
        "mma": deciding(case, "mma"),
        "hcy": deciding(case, "hcy"),
        "b12": speaking.get("b12"),
        "holotc": speaking.get("holotc"),
        "hb": latest_of_year(case, "hb"),
        "mcv": latest_of_year(case, "mcv"),
    }
    rows = tuple(sorted(actions(case), key=lambda a: (a.priority, a.action)))
    if route not in ("screened", "pregnant"):
        return Decision(person.patient_id, route, route_rule, facts, samples, actions=rows)
    status, status_rule = functional_status(case)
    return Decision(
        person.patient_id,
        route,
        route_rule,
        facts,
        samples,
        status,
        status_rule,
        rows,
        recheck(case),
        response(case),
    )


def compare_rows(decision: Decision) -> dict[str, object]:
    """The decision as the published relations say it, plain values only.

    `facts` are the words of facts.patient (none for opted out and deceased), `values` its numbers
    with their days and comparators, `actions` the set of (action, rule_id, priority).
    """
    check, answer = decision.recheck, decision.response
    return {
        "patient_id": decision.patient_id,
        "screening": {"route": decision.route, "rule_id": decision.route_rule_id},
        "facts": dict(decision.facts),
        "values": {
            analyte: None if r is None else (r.comparator, r.value, r.collected_on.isoformat())
            for analyte, r in decision.samples.items()
        },
        "functional_status": None
        if decision.functional_status is None
        else {
            "functional_status": decision.functional_status,
            "rule_id": decision.functional_status_rule_id,
        },
        "actions": {(a.action, a.rule_id, a.priority) for a in decision.actions},
        "recheck": None
        if check is None
        else {
            "milestone": check.milestone,
            "due_on": check.due_on.isoformat(),
            "recheck_state": check.state,
            "days_overdue": check.days_overdue,
            "missing": ",".join(check.missing),
            "n_missed": check.n_missed,
        },
        "response": None
        if answer is None
        else {
            "response": answer.response,
            "rule_id": answer.rule_id,
            "mma_fall_pct": answer.mma_fall_pct,
            "hcy_fall_pct": answer.hcy_fall_pct,
        },
    }
