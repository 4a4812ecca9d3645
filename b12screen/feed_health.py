"""Whether the feeds are as they usually are; said aloud, and never a reason to stop a night.

Each measure of a laboratory, an analyte or a clinic is compared with its own past. Where there is
too little of it the answer is unknown, and unknown alarms nobody. Results older than the window are
never looked at. A message names laboratories, analytes and clinics, with ratios and shares alone.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from statistics import median
from typing import Any, NamedTuple

import polars as pl

from b12screen.ingest.recognise import shown
from b12screen.resources import sql_text
from b12screen.settings import Alarms
from b12screen.warehouse import Warehouse

# Of a normal spread: the standard deviation by the median deviation, and the error of a median.
DEVIATION = 1.4826
ERROR_OF_MEDIAN = 1.2533
# How often in 16,000 a measure may alarm by chance alone: there are many, every night.
ERRORS = 4
WEEK = 7
SAME_WEEKDAYS = 8
LEAST_WEEKDAYS = 4
LEAST_NIGHTS = 8
# A gap has to be so much longer than the longest one before it.
LONGER = 1.5
ALL = "all"
MEANINGS = {
    "past_days": "Days of the past that a feed is compared with",
    "recent_days": "Days whose samples count as recent",
    "least_rows": "Rows below which nothing is said of a share or a volume",
    "volume_low": "Rows of a night, as a share of the same weekday's usual, below which it alarms",
    "volume_high": "The same, above which it alarms",
    "share_rise": "By how much a share may rise over the usual one",
    "median_change": "By how much the median of an analyte may change, as a share of the usual one",
    "raised_pairs": "Share of raised MMA and homocysteine pairs with normal kidneys that alarms",
    "unknown_people": "Share of the people of conditions or medications unknown to patients",
    "least_pairs": "Pairs below which nothing is said of them",
    "silent_nights": "Nights without a result after which somebody who usually sends is silent",
}

ARRIVED = """
SELECT feed.taken_for, feed.laboratory, sum(feed.n_read), sum(feed.n_rejected), sum(feed.n_unitless)
FROM core.lab_feed AS feed
WHERE feed.taken_by = 'run' AND feed.taken_for > ?
GROUP BY ALL
ORDER BY ALL
"""
NIGHTS = "SELECT night.as_of FROM history.night AS night ORDER BY night.as_of"
ALARMING = """
SELECT health.*
FROM run.feed_health AS health
WHERE health.state = 'alarm'
ORDER BY health.measure, health.laboratory, health.subject
"""


class Health(NamedTuple):
    """One measure: of what, its value tonight and usually, what both rest on, and the verdict."""

    measure: str
    laboratory: str
    subject: str
    value: float | None
    usual: float | None
    n: int
    n_usual: int
    state: str


def measure(
    warehouse: Warehouse, alarms: Alarms, as_of: date, fresh_days: Mapping[str, int] | None = None
) -> None:
    """Fill ``run.alarm`` and ``run.feed_health`` of a night whose facts are built.

    ``fresh_days``: the days after which the results of a laboratory are stale, by its name.
    """
    warehouse.create(["run.alarm", "run.feed_health"])
    limits = [
        {"name": name, "value": float(getattr(alarms, name)), "meaning": meaning}
        for name, meaning in MEANINGS.items()
    ]
    for row in limits:
        warehouse.insert("run.alarm", row)
    nights = [night for (night,) in warehouse.rows(NIGHTS)]
    rows = [
        *of_arrivals(warehouse, alarms, as_of, nights),
        *of_values(warehouse, alarms),
        of_pairs(warehouse, alarms),
        *of_people(warehouse, alarms),
        *of_freshness(warehouse, as_of, fresh_days or {}),
    ]
    frame = pl.DataFrame(sorted(rows, key=lambda row: row[:3]), orient="row", schema=SCHEMA)
    warehouse.write("run.feed_measure", frame)
    warehouse.fill("run.feed_health", "SELECT measured.* FROM run.feed_measure AS measured")
    warehouse.execute("DROP TABLE run.feed_measure")


SCHEMA = {
    "measure": pl.String,
    "laboratory": pl.String,
    "subject": pl.String,
    "value": pl.Float64,
    "usual": pl.Float64,
    "n": pl.Int64,
    "n_usual": pl.Int64,
    "state": pl.String,
}


def of_arrivals(
    warehouse: Warehouse, alarms: Alarms, as_of: date, nights: list[date]
) -> Iterator[Health]:
    """Volume, shares and silence, by the nights on which rows came.

    The first night of a site brings its past and says nothing of a usual night.
    """
    since = as_of - timedelta(days=alarms.past_days)
    usual_nights = [night for night in nights[1:] if night > since]
    arrived: dict[str, dict[date, tuple[int, int, int]]] = defaultdict(dict)
    for night, laboratory, *counts in warehouse.rows(ARRIVED, (since,)):
        if not nights or night != nights[0]:
            arrived[laboratory or ALL][night] = tuple(map(int, counts))  # type: ignore[assignment]
    for laboratory, by_night in sorted(arrived.items()):
        read = {night: counts[0] for night, counts in by_night.items()}
        yield volume(laboratory, read, alarms, as_of, usual_nights)
        for place, name in ((1, "rejected"), (2, "unitless")):
            part = {night: counts[place] for night, counts in by_night.items()}
            yield share(name, laboratory, part, read, alarms, as_of)
    came: dict[tuple[str, str, str], set[date]] = defaultdict(set)
    rows = warehouse.rows(sql_text("analysis/feed_arrival.sql"))
    for night, laboratory, analyte, clinic, of_clinic, of_analyte in rows:
        if of_clinic:
            if clinic is not None:
                came["silent_clinic", ALL, clinic].add(night)
        elif of_analyte:
            came["silent_analyte", laboratory, analyte].add(night)
        else:
            came["silent_laboratory", laboratory, ALL].add(night)
    for (name, laboratory, subject), seen in sorted(came.items()):
        yield silence(name, laboratory, subject, seen, alarms, [*usual_nights, as_of])


def volume(
    laboratory: str,
    read: dict[date, int],
    alarms: Alarms,
    as_of: date,
    usual_nights: Iterable[date],
) -> Health:
    """Rows of tonight against the median of the same weekday, of those nights that there were."""
    ran = set(usual_nights)
    days = [as_of - timedelta(days=WEEK * week) for week in range(1, SAME_WEEKDAYS + 1)]
    past = [read.get(day, 0) for day in days if day in ran]
    n = read.get(as_of, 0)
    usual = median(past) if past else None
    state = "unknown"
    if usual is not None and len(past) >= LEAST_WEEKDAYS and usual >= alarms.least_rows:
        fits = alarms.volume_low * usual <= n <= alarms.volume_high * usual
        state = "usual" if fits else "alarm"
    return Health("volume", laboratory, ALL, float(n), usual, n, len(past), state)


def share(
    name: str,
    laboratory: str,
    part: dict[date, int],
    read: dict[date, int],
    alarms: Alarms,
    as_of: date,
) -> Health:
    """A share of tonight's rows against the same share of the nights before it."""
    n, n_part = read.get(as_of, 0), part.get(as_of, 0)
    n_usual = sum(count for night, count in read.items() if night < as_of)
    n_usual_part = sum(count for night, count in part.items() if night < as_of)
    value = n_part / n if n else None
    usual = n_usual_part / n_usual if n_usual else None
    state = "unknown"
    if (
        value is not None
        and usual is not None
        and min(n, n_usual) >= alarms.least_rows
        and len(read) > LEAST_WEEKDAYS
    ):
        rises = value - usual > alarms.share_rise and differs(n_part, n, n_usual_part, n_usual)
        state = "alarm" if rises else "usual"
    return Health(name, laboratory, ALL, value, usual, n, n_usual, state)


def silence(
    name: str, laboratory: str, subject: str, seen: set[date], alarms: Alarms, nights: list[date]
) -> Health:
    """Nights in a row without a result, against the longest such gap before."""
    gaps: list[int] = []
    gap = 0
    for night in nights:
        if night in seen:
            gaps.append(gap)
            gap = 0
        else:
            gap += 1
    # Nights before the first result are no gap: the laboratory may be new.
    longest = max(gaps[1:], default=0)
    state = "unknown"
    if len(seen) >= LEAST_NIGHTS:
        silent = gap >= alarms.silent_nights and gap > longest * LONGER
        state = "alarm" if silent else "usual"
    return Health(name, laboratory, subject, float(gap), float(longest), gap, len(seen), state)


def of_values(warehouse: Warehouse, alarms: Alarms) -> Iterator[Health]:
    """Median, and share beyond the screen's limit, of recent samples against those before."""
    found: dict[tuple[str, str], dict[bool, Any]] = defaultdict(dict)
    for row in warehouse.rows(sql_text("analysis/feed_value.sql")):
        laboratory, analyte, is_recent, *numbers = row
        found[laboratory, analyte][is_recent] = numbers
    nothing = (0, None, None, 0, 0)
    for (laboratory, analyte), ages in sorted(found.items()):
        n, value, _, n_judged, n_beyond = ages.get(True, nothing)
        n_usual, usual, spread, n_usual_judged, n_usual_beyond = ages.get(False, nothing)
        state = "unknown"
        if min(n, n_usual) >= alarms.least_rows and value is not None and usual is not None:
            change = abs(math.log(value / usual))
            error = ERROR_OF_MEDIAN * DEVIATION * spread / math.sqrt(n)
            moved = change > math.log1p(alarms.median_change) and change > ERRORS * error
            state = "alarm" if moved else "usual"
        yield Health("median", laboratory, analyte, value, usual, n, n_usual, state)
        if not n_judged and not n_usual_judged:
            continue
        part = n_beyond / n_judged if n_judged else None
        usual_part = n_usual_beyond / n_usual_judged if n_usual_judged else None
        state = "unknown"
        if min(n_judged, n_usual_judged) >= alarms.least_rows:
            far = abs((part or 0) - (usual_part or 0)) > alarms.share_rise
            far = far and differs(n_beyond, n_judged, n_usual_beyond, n_usual_judged)
            state = "alarm" if far else "usual"
        yield Health(
            "raised", laboratory, analyte, part, usual_part, n_judged, n_usual_judged, state
        )


def of_pairs(warehouse: Warehouse, alarms: Alarms) -> Health:
    """Both markers raised in people with normal kidneys, against the site's limit."""
    ((n, n_raised),) = warehouse.rows(sql_text("analysis/raised_pair.sql"))
    value = n_raised / n if n else None
    state = "unknown"
    if value is not None and n >= alarms.least_pairs:
        state = "alarm" if value > alarms.raised_pairs else "usual"
    return Health("raised_pairs", ALL, ALL, value, alarms.raised_pairs, n, 0, state)


def of_people(warehouse: Warehouse, alarms: Alarms) -> Iterator[Health]:
    """The people of conditions and medications whom no patients extract names."""
    for kind, n, n_unknown in warehouse.rows(sql_text("analysis/unknown_person.sql")):
        value = n_unknown / n
        state = "unknown"
        if n >= alarms.least_rows:
            state = "alarm" if value > alarms.unknown_people else "usual"
        yield Health("unknown_people", ALL, kind, value, alarms.unknown_people, n, 0, state)


def of_freshness(
    warehouse: Warehouse, as_of: date, fresh_days: Mapping[str, int]
) -> Iterator[Health]:
    """Days since the newest result of each laboratory, where there are several.

    Of a single one the feed itself says it. One that the settings name no more sends no more.
    """
    newest = {
        laboratory: day
        for laboratory, day in warehouse.rows(sql_text("analysis/feed_newest.sql"))
        if laboratory in fresh_days
    }
    if len(newest) < 2:
        return
    for laboratory, day in newest.items():
        n_days = 0 if day is None else (as_of - day).days
        limit = fresh_days[laboratory]
        state = "unknown" if day is None else "alarm" if n_days > limit else "usual"
        value = None if day is None else float(n_days)
        yield Health("stale_laboratory", laboratory, ALL, value, float(limit), n_days, 0, state)


def differs(n_part: int, n: int, n_usual_part: int, n_usual: int) -> bool:
    """Whether two shares lie further apart than chance puts them."""
    pooled = (n_part + n_usual_part + 1) / (n + n_usual + 2)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / n_usual))
    return abs(n_part / n - n_usual_part / n_usual) > ERRORS * error


def alarming(warehouse: Warehouse) -> list[Health]:
    """The measures of a finished night that alarm."""
    if not warehouse.has("run.feed_health"):
        return []
    return [Health(*row) for row in warehouse.rows(ALARMING)]


def told(health: Health) -> str:
    """An alarm as the person on call reads it: what, of whom, how much, what to look for."""
    value, usual = health.value or 0.0, health.usual or 0.0
    whose = f"labs of {health.laboratory}" if health.laboratory != ALL else "labs"
    match health.measure:
        case "volume":
            says = f"{health.n:,} rows tonight, {usual:,.0f} on the same weekday usually"
            ask = "ask the sender"
        case "rejected":
            says = f"{value:.0%} of the rows were rejected, usually {usual:.0%}"
            ask = "look with `b12screen rejects`"
        case "unitless":
            says = f"{value:.0%} of the rows have no unit, usually {usual:.0%}"
            ask = "ask the sender"
        case "median":
            ratio = value / usual if usual else 0.0
            says = f"the median of recent {health.subject} is {ratio:.2g} times its usual one"
            ask = "ask for a new unit or method; no value was changed"
        case "raised":
            says = (
                f"{value:.0%} of recent {health.subject} lie beyond the screen's limit, usually "
                f"{usual:.0%}"
            )
            ask = "ask for a new unit or method"
        case "raised_pairs":
            says = f"{value:.0%} of MMA and homocysteine pairs with normal kidneys are both raised"
            ask = f"more than {usual:.0%} is rare; ask the laboratory for its method and units"
        case "unknown_people":
            return (
                f"{health.subject}: {value:.0%} of their people are in no patients extract, so "
                "that nothing of them reaches a decision; look whether the identifiers are written "
                "otherwise (leading noughts), or raise alarms.unknown_people where it is right"
            )
        case "stale_laboratory":
            says = (
                f"stale, its newest day is {health.n} days before the night, the limit {usual:.0f}"
            )
            ask = "ask the sender"
        case _:
            whom = {
                "silent_laboratory": whose,
                "silent_analyte": f"{health.subject} of {health.laboratory}",
            }.get(health.measure, f"clinic {shown(health.subject)}")
            return (
                f"{whom}: no result for {health.n} nights, at most {usual:.0f} before; ask the "
                "sender"
            )
    return f"{whose}: {says}; {ask}"
