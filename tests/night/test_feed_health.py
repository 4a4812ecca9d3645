"""A feed that is no longer as it usually is: a unit slip, a new method, a silent laboratory."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from b12screen import feed_health
from b12screen.feed_health import Health
from b12screen.ingest import take
from b12screen.maps import Maps, load_maps
from b12screen.night import run_night
from b12screen.resources import sql_text
from b12screen.rules import load_ruleset
from b12screen.settings import Alarms, Laboratory, Settings, make_site
from b12screen.warehouse import Warehouse
from schemas.relation import RELATIONS

TONIGHT = date(2026, 11, 22)
HEADER = "result_id,patient_id,collected_at,code,value,unit,laboratory,clinic_id\n"
MMA, HCY, B12 = "13964-2", "13965-9", "14685-2"
TWO = Settings(laboratories={"main": Laboratory(), "north": Laboratory()})


class Feed:
    """Nights of a laboratory's rows, and what is said of the last one."""

    def __init__(self, folder: Path, maps: Maps) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.inbox.mkdir()
        self.maps = maps
        self.settings = TWO
        self.random = random.Random(5)
        self.nights: list[date] = []
        self.n_row = 0
        self.warehouse = Warehouse.open(folder / "b12screen.duckdb", threads=1)
        self.warehouse.attach(folder / "private.duckdb", "private")

    def rows(
        self,
        n: int,
        on: date,
        code: str = B12,
        middle: float = 300.0,
        unit: str = "pmol/L",
        laboratory: str = "main",
        clinic: str = "C1",
    ) -> list[str]:
        """Results of a day around a middle, spread as such tests are."""
        found = []
        for _ in range(n):
            self.n_row += 1
            value = middle * self.random.lognormvariate(0, 0.35)
            found.append(
                f"R{self.n_row},P{self.n_row},{on},{code},{value:.2f},{unit},{laboratory},{clinic}"
            )
        return found

    def night(self, on: date, rows: list[str]) -> None:
        """Take a night's rows; a night without rows brings no file."""
        if rows:
            (self.inbox / f"labs_{on}.csv").write_text(HEADER + "\n".join(rows) + "\n")
        take(
            self.warehouse, self.inbox, self.settings, self.maps, on, self.folder / "scratch",
            lambda line: None,
        )  # fmt: skip
        self.nights.append(on)

    def health(self, alarms: Alarms | None = None) -> list[Health]:
        """What is measured of the last night."""
        warehouse = self.warehouse
        for name, frame in load_ruleset("praxis-2025").tables().items():
            warehouse.write(f"rules.{name}", frame)
        for name, frame in self.maps.tables().items():
            warehouse.write(f"map.{name}", frame)
        warehouse.create(["run.night", "history.night", "facts.patient"])
        *past, tonight = self.nights
        for on in past:
            self._insert("history.night", {"as_of": on})
        self._insert("run.night", {"as_of": tonight})
        warehouse.define(sql_text("macros.sql"))
        feed_health.measure(warehouse, alarms or Alarms(), tonight)
        return [
            Health(*row) for row in warehouse.rows("SELECT * FROM run.feed_health ORDER BY ALL")
        ]

    def alarms(self, alarms: Alarms | None = None) -> list[Health]:
        """What alarms of the last night."""
        return [health for health in self.health(alarms) if health.state == "alarm"]

    def _insert(self, name: str, known: dict[str, object]) -> None:
        row: dict[str, object] = {}
        for column, declared in RELATIONS[name].columns.items():
            kind = str(declared.dtype)
            plain: object = 0 if kind.startswith("Int") else "fresh"
            if kind.startswith("Datetime"):
                plain = datetime(2026, 1, 1)
            row[column] = known.get(column, None if declared.nullable else plain)
        self.warehouse.insert(name, row)


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    return Feed(tmp_path, load_maps())


Nightly = Callable[[date], list[str]]


def weeks(feed: Feed, nightly: Nightly, n: int = 9, step: int = 7) -> list[date]:
    """Nights of so many weeks up to the last one, which is left to the test."""
    days = [TONIGHT - timedelta(days=step * week) for week in range(n, 0, -1)]
    for day in days:
        feed.night(day, nightly(day))
    return days


def named(found: list[Health]) -> list[tuple[str, str, str]]:
    return [health[:3] for health in found]


def test_a_feed_as_it_always_is_alarms_nobody(feed: Feed) -> None:
    weeks(feed, lambda day: feed.rows(40, day))
    feed.night(TONIGHT, feed.rows(44, TONIGHT))
    found = feed.health()
    assert {health.state for health in found if health.measure == "volume"} == {"usual"}
    assert not [health for health in found if health.state == "alarm"]


def test_the_first_night_brings_its_past_and_is_no_flood(feed: Feed) -> None:
    rows = [row for n in range(60) for row in feed.rows(10, TONIGHT - timedelta(days=n))]
    feed.night(TONIGHT, rows)
    found = feed.health()
    assert not [health for health in found if health.state == "alarm"]
    assert {health.state for health in found if health.measure == "volume"} == {"unknown"}
    # A median needs no night before.
    assert [h.state for h in found if h.measure == "median"] == ["usual"]


def test_a_unit_slip_is_seen_though_every_value_is_plausible(feed: Feed) -> None:
    """pg/mL under the name of pmol/L: a third too high, and still a believable B12."""
    feed.night(
        TONIGHT - timedelta(days=1),
        [row for n in range(15, 60) for row in feed.rows(6, TONIGHT - timedelta(days=n))],
    )
    slipped = [
        row for n in range(8) for row in feed.rows(20, TONIGHT - timedelta(days=n), middle=406)
    ]
    feed.night(TONIGHT, slipped)
    (median,) = [health for health in feed.alarms() if health.measure == "median"]
    assert median[:3] == ("median", "main", "b12")
    assert 1.2 < (median.value or 0) / (median.usual or 1) < 1.5
    told = feed_health.told(median)
    assert told.startswith("labs of main: the median of recent b12 is 1.")
    assert str(round(median.value or 0)) not in told


def test_a_new_method_shows_in_the_share_that_is_raised(feed: Feed) -> None:
    feed.night(
        TONIGHT - timedelta(days=1),
        [
            row
            for n in range(15, 60)
            for row in feed.rows(6, TONIGHT - timedelta(days=n), HCY, 9.5, "umol/L")
        ],
    )
    feed.night(
        TONIGHT,
        [
            row
            for n in range(8)
            for row in feed.rows(20, TONIGHT - timedelta(days=n), HCY, 16.0, "umol/L")
        ],
    )
    assert ("raised", "main", "hcy") in named(feed.alarms())


def test_a_few_results_that_lie_high_alarm_nobody(feed: Feed) -> None:
    feed.night(
        TONIGHT - timedelta(days=1),
        [row for n in range(15, 60) for row in feed.rows(6, TONIGHT - timedelta(days=n))],
    )
    feed.night(TONIGHT, feed.rows(19, TONIGHT, middle=900))
    assert not [health for health in feed.alarms() if health.measure in ("median", "raised")]


def test_a_slip_of_one_laboratory_is_not_hidden_by_the_other(feed: Feed) -> None:
    feed.night(
        TONIGHT - timedelta(days=1),
        [
            row
            for n in range(15, 60)
            for name in ("main", "north")
            for row in feed.rows(6, TONIGHT - timedelta(days=n), laboratory=name)
        ],
    )
    feed.night(
        TONIGHT,
        [
            row
            for n in range(8)
            for name, middle in (("main", 300), ("north", 450))
            for row in feed.rows(9, TONIGHT - timedelta(days=n), middle=middle, laboratory=name)
        ],
    )
    assert named([h for h in feed.alarms() if h.measure == "median"]) == [
        ("median", "north", "b12")
    ]


def test_a_laboratory_that_is_suddenly_silent_is_said_aloud(feed: Feed) -> None:
    def both(day: date) -> list[str]:
        north = feed.rows(30, day, laboratory="north", clinic="C2")
        return feed.rows(30, day) + (north if day <= TONIGHT - timedelta(days=4) else [])

    weeks(feed, both, n=14, step=1)
    feed.night(TONIGHT, feed.rows(30, TONIGHT))
    found = feed.alarms()
    assert ("silent_laboratory", "north", "all") in named(found)
    assert ("silent_clinic", "all", "C2") in named(found)
    assert not [health for health in found if "main" in health[:3] or "C1" in health[:3]]
    told = [feed_health.told(health) for health in found if health.laboratory == "north"]
    assert "labs of north: no result for 4 nights, at most 0 before; ask the sender" in told


@pytest.mark.long
def test_a_laboratory_that_rests_every_weekend_is_not_called_silent(feed: Feed) -> None:
    """No blood is taken on Saturday and Sunday; the last night is a Monday's."""
    tonight = date(2026, 11, 23)
    for n in range(20, -1, -1):
        day = tonight - timedelta(days=n)
        feed.night(day, feed.rows(30, day) if day.weekday() < 5 and n > 0 else [])
    assert not [health for health in feed.alarms() if health.measure.startswith("silent")]


@pytest.mark.long
def test_a_night_with_half_of_the_same_weekdays_rows_is_said(feed: Feed) -> None:
    weeks(feed, lambda day: feed.rows(60, day))
    feed.night(TONIGHT, feed.rows(20, TONIGHT))
    (volume,) = feed.alarms()
    assert volume[:3] == ("volume", "main", "all")
    assert feed_health.told(volume) == (
        "labs of main: 20 rows tonight, 60 on the same weekday usually; ask the sender"
    )


@pytest.mark.long
def test_the_limits_are_the_sites(feed: Feed) -> None:
    weeks(feed, lambda day: feed.rows(60, day))
    feed.night(TONIGHT, feed.rows(20, TONIGHT))
    assert not feed.alarms(Alarms(volume_low=0.3))


def test_too_few_weeks_say_nothing_of_a_volume(feed: Feed) -> None:
    weeks(feed, lambda day: feed.rows(60, day), n=4)
    feed.night(TONIGHT, feed.rows(5, TONIGHT))
    assert not feed.alarms()


def test_rows_that_are_rejected_or_lose_their_unit_are_said(feed: Feed) -> None:
    feed.settings = Settings(
        laboratories={"main": Laboratory(default_units={B12: "pmol/L"}), "north": Laboratory()},
        limits=feed.settings.limits.model_copy(update={"reject_share": 0.9}),
    )
    weeks(feed, lambda day: feed.rows(50, day), n=9)
    feed.night(
        TONIGHT,
        feed.rows(20, TONIGHT) + feed.rows(15, TONIGHT, unit="") + feed.rows(15, TONIGHT, unit="?"),
    )
    found = {health.measure: health for health in feed.alarms()}
    assert found.keys() == {"rejected", "unitless"}
    assert (found["rejected"].value, found["unitless"].value) == (0.3, 0.3)
    assert feed_health.told(found["unitless"]) == (
        "labs of main: 30% of the rows have no unit, usually 0%; ask the sender"
    )


def test_one_laboratory_of_three_that_has_gone_stale_is_named_though_the_kind_is_fresh(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    make_site(site)
    with (site / "b12screen.toml").open("a") as settings:
        settings.write(
            "\n[laboratories.north]\n[laboratories.weekly]\nfresh_days = 7\n[laboratories.new]\n"
        )
    rows = [
        f"R{name},P1,{day},{B12},300,pmol/L,{name},C1\n"
        for name, day in (
            ("main", TONIGHT), ("north", date(2026, 11, 18)), ("weekly", date(2026, 11, 15)),
        )
    ]  # fmt: skip
    (site / "inbox" / "labs.csv").write_text(HEADER + "".join(rows))
    result = run_night(site, TONIGHT, datetime(2026, 11, 22), lambda line: None)
    assert result.exit_code == 20
    assert result.findings == [
        "labs of north: stale, its newest day is 4 days before the night, the limit 3; ask the "
        "sender"
    ]
    summary = "\n".join(result.summary)
    assert "labs fresh (2026-11-22)" in summary
    assert "1 not as usual" in summary
    with Warehouse.open(result.published / "b12screen.duckdb", read_only=True) as warehouse:
        assert warehouse.rows(
            "SELECT laboratory, n, usual, state FROM run.feed_health "
            "WHERE measure = 'stale_laboratory' ORDER BY laboratory"
        ) == [("main", 0, 3.0, "usual"), ("north", 4, 3.0, "alarm"), ("weekly", 7, 7.0, "usual")]


@pytest.mark.parametrize(
    ("days", "stale"),
    [
        ({"main": 3}, []),
        ({"main": 3, "north": 3}, ["main"]),
        ({"main": 4, "north": 3}, []),
        ({"north": 3, "gone": 3}, []),
    ],
    ids=["one alone", "a day too old", "its own limit", "no more in the settings"],
)
def test_a_laboratory_is_stale_by_its_limit_beside_another_one(
    feed: Feed, days: dict[str, int], stale: list[str]
) -> None:
    older = feed.rows(1, TONIGHT - timedelta(days=4))
    feed.night(TONIGHT, older + feed.rows(1, TONIGHT, laboratory="north"))
    feed.health()
    feed_health.measure(feed.warehouse, Alarms(), TONIGHT, days)
    alarming = [health.laboratory for health in feed_health.alarming(feed.warehouse)]
    assert alarming == stale


LABS = "result_id,patient_id,collected_at,code,value,unit\n"
PATIENTS = "patient_id,birth_date,sex,clinic_id\n"


def test_a_night_says_that_too_many_pairs_are_raised_and_ends_with_20(tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_site(site)
    rows = []
    for n in range(60):
        mma, hcy = (900, 30) if n < 12 else (150, 8)
        for code, value, unit in (
            (MMA, mma, "nmol/L"), (HCY, hcy, "umol/L"), ("33914-3", 95, "mL/min/1.73m2"),
        ):  # fmt: skip
            rows.append(f"R{n}-{code},P{n},2026-11-20,{code},{value},{unit}")
    (site / "inbox" / "labs.csv").write_text(LABS + "\n".join(rows) + "\n")
    people = [f"P{n},1960-01-01,female,C1" for n in range(60)]
    (site / "inbox" / "patients.csv").write_text(PATIENTS + "\n".join(people) + "\n")
    told = [f"{n if n < 40 else f'0{n}'},I10,icd10cm,2026-11-20" for n in range(60)]
    header = "patient_id,code,code_system,recorded_on\n"
    (site / "inbox" / "conditions.csv").write_text(header + "P" + "\nP".join(told) + "\n")
    result = run_night(site, TONIGHT, datetime(2026, 11, 22), lambda line: None)
    (unknown,) = (finding for finding in result.findings if "patients extract" in finding)
    assert unknown.startswith("conditions: 33% of their people are in no patients extract")
    said = [finding for finding in result.findings if "pairs" in finding]
    assert said == [
        "labs: 20% of MMA and homocysteine pairs with normal kidneys are both raised; more than "
        "15% is rare; ask the laboratory for its method and units"
    ]
    assert result.exit_code == 20
    assert "2 not as usual" in "\n".join(result.summary)
    manifest = (result.published / "manifest.json").read_text(encoding="utf-8")
    assert said[0] in manifest
    with Warehouse.open(result.published / "b12screen.duckdb", read_only=True) as warehouse:
        assert warehouse.rows(
            "SELECT value, usual, n FROM run.feed_health WHERE measure = 'raised_pairs'"
        ) == [(0.2, 0.15, 60)]
        assert warehouse.rows("SELECT value FROM run.alarm WHERE name = 'raised_pairs'") == [
            (0.15,)
        ]
