"""A past night again, byte for byte; and what others would have said: other rules, later knowledge.

One site lives through nights on which results are corrected, cancelled and late, people move, die
and opt out, conditions are refuted, clinics answer and answer otherwise, an action is put off,
rules and settings change, and a night is run twice.
"""

import fcntl
import json
import os
import re
import shutil
import stat
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import pandera.polars as pa
import polars as pl
import pytest

from b12screen import cli
from b12screen.archive import past_relations, settings_of
from b12screen.deferral import declare
from b12screen.errors import AuditFailed, NothingUsable, RulesInvalid, SiteLocked, UsageError
from b12screen.night import NightResult, run_night
from b12screen.publish import Site, leftovers, no_replay
from b12screen.replay import Replay, replay
from b12screen.rules import load_ruleset
from b12screen.settings import SETTINGS_FILE, load_settings, make_site
from schemas import ddl
from schemas.declared import LAYERS  # noqa: F401 - declares what RELATIONS holds
from schemas.relation import RELATIONS, Relation

pytestmark = pytest.mark.long
Capture = pytest.CaptureFixture[str]

LABS = "result_id,patient_id,collected_at,reported_at,code,value,unit,status\n"
PEOPLE = "patient_id,birth_date,sex,clinic_id,deceased_on,opted_out\n"
CONDITIONS = "patient_id,code,code_system,recorded_on\n"
DRUGS = "medication_id,patient_id,code,code_system,kind,started_on,dose,dose_unit,route\n"
OURS = """
ruleset = "ours"
based_on = "praxis-2025"
title = "Ours"
version = "{version}"
review_by = 2027-06-30
note = "MMA by the limit of our laboratory"
[thresholds.mma_raised]
analyte = "mma"
form = "above"
value = {limit}
unit = "nmol/L"
meaning = "methylmalonic acid is raised"
assumption = "the limit of our laboratory"
"""
NAMES = ("CANARY-1", "CANARY-2", "CANARY-3", "CANARY-4", "CANARY-5", "CANARY-6", "CANARY-7")


def lab(key: str, person: int, day: str, code: str, value: str, unit: str, told: str = "") -> str:
    reported, _, status = told.partition(" ")
    cells = (key, f"CANARY-{person}", f"2026-10-{day}", reported, code, value, unit)
    return ",".join((*cells, status or "final")) + "\n"


def mma(key: str, person: int, day: str, value: str, told: str = "") -> str:
    return lab(key, person, day, "13964-2", value, "nmol/L", told)


def hcy(key: str, person: int, day: str, value: str, told: str = "") -> str:
    return lab(key, person, day, "13965-9", value, "umol/L", told)


def day(n: int) -> date:
    return date(2026, 11, n)


def refuted(person: int) -> str:
    code = {"system": "http://hl7.org/fhir/sid/icd-10", "code": "R20.2"}
    return json.dumps(
        {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/CANARY-{person}"},
            "code": {"coding": [code]},
            "recordedDate": "2026-06-01",
            "verificationStatus": {"coding": [{"code": "refuted"}]},
        }
    )


EXTRACTS = {
    1: {
        "patients_1.csv": PEOPLE
        + "".join(
            f"{name},19{50 + n}-02-03,female,{'north' if n % 2 else 'south'},,false\n"
            for n, name in enumerate(NAMES)
        ),
        "conditions_1.csv": CONDITIONS + "CANARY-1,R20.2,icd10,2026-06-01\n"
        "CANARY-2,I10,icd10,2026-10-30\nCANARY-3,Z99.99,icd10,2026-10-01\n",
        "medications_1.csv": DRUGS + "d1,CANARY-2,C07AB02,atc,prescription,2026-10-30,,,\n",
        "labs_1.csv": LABS
        + "".join(mma(f"m{n}", n, "20", str(300 + 200 * n)) for n in range(1, 8))
        + "".join(hcy(f"h{n}", n, "20", str(20 + n)) for n in range(1, 8))
        + lab("b1", 1, "20", "2132-9", "100", "pg/mL")
        + lab("x1", 1, "20", "99999-9", "1", "g"),
    },
    2: {
        # a correction, a cancellation, a result of a day long past, a person who moves
        "labs_2.csv": LABS
        + mma("m3", 3, "20", "450", "2026-11-02 corrected")
        + mma("m4", 4, "20", "", "2026-11-02 cancelled")
        + hcy("h4", 4, "20", "", "2026-11-02 cancelled")
        + mma("late", 5, "01", "2000", "2026-11-02"),
        "patients_2.csv": PEOPLE + "CANARY-5,1954-02-03,female,west,,false\n",
        "resources_2.ndjson": refuted(1) + "\n",
        "messages_2.hl7": "MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1\r"
        "PID|1||CANARY-8^^^H^MR||||19500203|F\rOBR|1||F1||||20261101\r"
        "OBX|1|NM|13964-2^^LN||950|nmol/L|||||F\r",
    },
    3: {
        # what is older than what is known; a file that is held; codes that nobody maps
        "labs_3.csv": LABS
        + mma("m3", 3, "20", "9999", "2026-11-01 corrected")
        + lab("x2", 2, "20", "99999-9", "1", "g"),
        "labs_3_held.csv": LABS + mma("bad", 2, "20", "none at all") * 30,
    },
    4: {
        "patients_4.csv": PEOPLE + "CANARY-6,1955-02-03,female,north,2026-11-03,false\n"
        "CANARY-7,1956-02-03,female,south,,true\n",
        "labs_4.csv": LABS + mma("m4", 4, "20", "1100", "2026-11-04 corrected"),
    },
    5: {
        # the one moves back, another's clinic is cleared, a third is treated
        "patients_5.csv": PEOPLE + "CANARY-5,1954-02-03,female,south,,false\n"
        "CANARY-3,1952-02-03,female,,,false\n",
        "medications_5.csv": DRUGS + "d2,CANARY-2,B03BA03,atc,administration,2026-11-04,1,mg,im\n",
        "labs_5.csv": LABS + mma("m3", 3, "20", "480", "2026-11-05 corrected"),
    },
    # Nobody runs the sixth and the seventh; on the eighth the feeds are stale.
    8: {"conditions_8.csv": CONDITIONS + "CANARY-3,Z99.99,icd10,2026-10-01\n"},
}
# What the night that is run a second time finds, whose name sorts before the others'.
AGAIN = {"patients_0.csv": PEOPLE + "CANARY-2,1951-02-03,female,east,,false\n"}
NIGHTS = tuple(EXTRACTS)
# What the clinics answer to the sheets of the third night, and how one of them changes its mind.
ANSWERS = {
    4: [
        ("CANARY-1", "check_kidney", "deferred", "2026-11-20"),
        ("CANARY-2", "check_kidney", "not_our_patient", ""),
        ("CANARY-4", "result_withdrawn", "acknowledged", ""),
        ("CANARY-5", "check_kidney", "done", ""),
    ],
    5: [("CANARY-1", "check_kidney", "declined", "2026-11-07")],
}


def deliver(site: Path, extracts: dict[str, str]) -> None:
    for name, text in extracts.items():
        (site / "inbox" / name).write_text(text, encoding="utf-8")


def night(site: Path, n: int) -> NightResult:
    return run_night(site, day(n), datetime(2026, 11, n, 2, 30, 5, tzinfo=UTC), lambda step: None)


def set_ruleset(site: Path, name: str) -> None:
    path = site / SETTINGS_FILE
    path.write_text(path.read_text().replace('"praxis-2025"', f'"{name}"', 1))


def answers(site: Path, n: int) -> dict[str, str]:
    """The sheets of the third night sent back on a later one."""
    database = site / "published" / day(3).isoformat() / "b12screen.duckdb"
    ids = {
        (person, action): item_id
        for person, action, item_id in asked_of(
            database,
            "SELECT patient_id, action, item_id FROM worklists.item WHERE item_state = 'open'",
        )
    }
    return {
        f"feedback_{n}.csv": "item_id,decision,decided_on,until,as_of\n"
        + "".join(
            f"{ids[person, action]},{decision},2026-11-04,{until},2026-11-03\n"
            for person, action, decision, until in ANSWERS.get(n, [])
        )
    }


def lived(site: Path) -> Path:
    make_site(site)
    (site / "inbox" / "sub").mkdir()
    for n, extracts in EXTRACTS.items():
        deliver(site, extracts)
        if n == 4:
            (site / "ours.toml").write_text(OURS.format(version=1, limit=600))
            set_ruleset(site, "ours.toml")
        if n in ANSWERS:
            deliver(site, answers(site, n))
        if n == 5:
            ruleset = load_ruleset("praxis-2025")
            declare(Site(site), ruleset, "start_b12", day(7), "none left", day(4))
            (site / "ours.toml").write_text(OURS.format(version=2, limit=500))
            with (site / SETTINGS_FILE).open("a") as settings:
                settings.write(
                    '\n[conditions.icd10."Z99.99"]\ngroup = "neuropathy"\ntier = "likely"\n'
                    'meaning = "of our own"\n'
                )
        night(site, n)
        if n == 3:
            deliver(site, AGAIN)
            assert night(site, n).run_id == "2026-11-03.2"
    return site


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with all its nights; for copying, and for replays that others may find."""
    return lived(tmp_path_factory.mktemp("lived") / "site")


@pytest.fixture
def site(once: Path, tmp_path: Path) -> Path:
    """A copy, to do with as a test likes."""
    without = shutil.ignore_patterns("replays")
    shutil.copytree(once, tmp_path / "site", symlinks=True, ignore=without)
    return tmp_path / "site"


@pytest.fixture(scope="module")
def replayed(once: Path) -> dict[int, Replay]:
    """Every night on its own, replayed as it was; for reading only."""
    site = once.parent / "replayed"
    shutil.copytree(once, site, symlinks=True)
    return {n: again(site, n) for n in NIGHTS}


def again(site: Path, n: int, **asked: object) -> Replay:
    (done,) = replay(site, day(n), lambda step: None, **asked)  # type: ignore[arg-type]
    return done


def sheets(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "worklists").iterdir())}


def sent(site: Path, n: int) -> dict[str, bytes]:
    return sheets(site / "published" / day(n).isoformat())


def asked_of(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(path), read_only=True) as database:
        return database.execute(query).fetchall()


def test_the_nights_that_are_replayed_are_worth_replaying(once: Path) -> None:
    """Every state and most reasons occur, and no night is the one before it under another date."""
    states, reasons, answered, seen = set(), set(), set(), []
    for n in NIGHTS:
        database = once / "published" / day(n).isoformat() / "b12screen.duckdb"
        rows = asked_of(
            database,
            "SELECT item_id, state, item_state, close_reason, closed_on, clinic_id, why"
            " FROM worklists.item ORDER BY ALL",
        )
        states |= {row[1] for row in rows if row[2] == "open"}
        reasons |= {row[3] for row in rows if row[2] == "closed"}
        answered |= set(asked_of(database, "SELECT given_by, holds FROM worklists.answer"))
        seen.append(rows)
    assert {"new", "carried", "changed", "reopened"} <= states
    assert {
        *("deceased", "opted_out", "result_withdrawn", "treated"),
        *("moved", "rule_change", "not_our_patient", "done"),
    } <= reasons
    assert answered == {("clinic", True), ("clinic", False), ("site", True), ("site", False)}
    assert all(before != after for before, after in pairwise(seen))


@pytest.mark.parametrize("n", NIGHTS)
def test_a_night_replayed_is_byte_for_byte_what_was_sent(
    once: Path, replayed: dict[int, Replay], n: int
) -> None:
    done = replayed[n]
    assert sheets(done.folder) == sent(once, n)
    assert done.differing == [] and len(done.sheets) == len(sent(once, n)) > 3
    assert (done.exit_code, done.remarks) == (0, [])


@pytest.mark.parametrize("n", NIGHTS)
def test_every_table_of_a_replay_is_the_one_that_was_published(
    once: Path, replayed: dict[int, Replay], n: int
) -> None:
    """Not the sheets alone: what was known, turned away, counted, remembered and decided."""
    published = once / "published" / day(n).isoformat() / "b12screen.duckdb"
    with duckdb.connect() as database:
        now = replayed[n].folder / "b12screen.duckdb"
        database.execute(f"ATTACH '{now}' AS now (READ_ONLY)")
        database.execute(f"ATTACH '{published}' AS sent (READ_ONLY)")
        tables = database.execute(
            "SELECT table_schema || '.' || table_name FROM information_schema.tables"
            " WHERE table_catalog = 'sent' ORDER BY ALL"
        ).fetchall()
        # Results by the numbers under which they are stored, of which the view knows nothing.
        compared = {name for (name,) in tables} - {"core.lab_row", "core.lab_word", "core.lab_file"}
        assert len(compared) > 50
        for name in sorted(compared):
            ((n_more,),) = database.execute(
                f"SELECT count(*) FROM ((FROM sent.{name} EXCEPT ALL FROM now.{name})"
                f" UNION ALL (FROM now.{name} EXCEPT ALL FROM sent.{name}))"
            ).fetchall()
            assert n_more == 0, name


def test_a_range_replays_each_night_from_the_one_replayed_before_it(once: Path) -> None:
    done = replay(once, day(2), lambda step: None, through=day(8))
    assert [each.as_of for each in done] == [day(n) for n in (2, 3, 4, 5, 8)]
    for each in done:
        assert sheets(each.folder) == sent(once, each.as_of.day), each.as_of


def test_other_rules_say_what_they_would_have_said(once: Path, tmp_path: Path) -> None:
    """A range by other rules is a site that had them from its first night."""
    other = tmp_path / "other"
    make_site(other)
    set_ruleset(other, "ng239-2024")
    for n in (1, 2, 3):
        deliver(other, EXTRACTS[n])
        night(other, n)
    deliver(other, AGAIN)
    night(other, 3)
    done = replay(once, day(1), lambda step: None, through=day(3), rules="ng239-2024")
    for each in done:
        assert each.folder.name == f"{each.as_of}-ng239-2024"
        assert sheets(each.folder) == sent(other, each.as_of.day), each.as_of
    # Nobody says that anything is wrong: other rules list others.
    assert done[0].differing and done[0].exit_code == 0


def test_rules_of_the_sites_own_are_those_of_that_night_not_todays(once: Path) -> None:
    before = again(once, 4)
    assert before.rules == "ours, version 1"
    assert "ours.toml" not in [path.name for path in before.folder.iterdir()]
    today = again(once, 4, rules="ours.toml")
    assert today.rules == "ours.toml, version 2"
    assert today.differing


def test_what_is_known_later_is_what_a_site_would_have_known(once: Path, tmp_path: Path) -> None:
    """The first night with the knowledge of the fifth is a site to which all of it came at once."""
    other = tmp_path / "other"
    make_site(other)
    for n in (1, 2, 3, 4, 5):
        deliver(other, EXTRACTS[n])
    # Of two rows for one person the later one counts, and these were taken on another night.
    deliver(other, {"patients_2b.csv": AGAIN["patients_0.csv"]})
    night(other, 1)
    replayed = again(once, 1, known_on=day(5))
    assert replayed.folder.name == "2026-11-01-praxis-2025-known-2026-11-05"
    assert sheets(replayed.folder) == sent(other, 1)
    assert replayed.differing and replayed.exit_code == 0


def test_what_was_known_earlier_leaves_out_what_came_later(once: Path) -> None:
    replayed = again(once, 2, known_on=day(1))
    database = replayed.folder / "b12screen.duckdb"
    assert asked_of(database, "SELECT max(taken_for) FROM core.lab_result") == [(day(1),)]
    assert asked_of(database, "SELECT value FROM core.lab_result WHERE result_id = 'm3'") == [
        (900.0,)
    ]
    assert replayed.differing


def test_a_night_run_again_is_replayed_as_it_was_left(
    once: Path, replayed: dict[int, Replay]
) -> None:
    assert replayed[3].run_id == "2026-11-03.2"
    ((clinic,),) = asked_of(
        replayed[3].folder / "b12screen.duckdb",
        "SELECT clinic_id FROM core.patient WHERE patient_id = 'CANARY-2'",
    )
    assert clinic == "east"
    kept = [path.name for path in (once / "store" / "nights").iterdir()]
    assert sorted(kept) == [
        "2026-11-01.1",
        "2026-11-02.1",
        "2026-11-03.2",
        "2026-11-04.1",
        "2026-11-05.1",
        "2026-11-08.1",
    ]


def test_a_replay_reads_no_clock(replayed: dict[int, Replay]) -> None:
    manifest = json.loads((replayed[2].folder / "manifest.json").read_text())
    assert manifest["started_at"] == "2026-11-02T02:30:05+00:00"
    assert asked_of(
        replayed[2].folder / "b12screen.duckdb", "SELECT started_at FROM run.night"
    ) == [(datetime(2026, 11, 2, 2, 30, 5),)]


def test_nothing_is_published_and_all_that_is_written_is_private(site: Path) -> None:
    def below(folder: Path) -> dict[str, object]:
        return {
            path.relative_to(site).as_posix(): os.readlink(path)
            if path.is_symlink()
            else path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    published, store = below(site / "published"), below(site / "store")
    folder = again(site, 2).folder
    assert (below(site / "published"), below(site / "store")) == (published, store)
    assert folder == site / "replays" / "2026-11-02-praxis-2025"
    for path in [site / "replays", folder, *folder.rglob("*")]:
        mode = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == mode, path.name
    assert sorted(path.name for path in (site / "replays").iterdir()) == [".lock", folder.name]
    assert sorted(path.name for path in folder.iterdir()) == [
        "b12screen.duckdb",
        "manifest.json",
        "worklists",
    ]


def test_a_site_in_a_folder_that_looks_like_a_pattern_replays(site: Path) -> None:
    place = site.with_name("a[1]*")
    site.rename(place)
    assert again(place, 2).differing == []


def test_what_a_killed_replay_was_building_is_removed_where_none_is_running(site: Path) -> None:
    folders = Site(site)
    (site / "replays").mkdir()
    folders.building.mkdir()
    with no_replay(folders):
        assert leftovers(folders) == []
    assert leftovers(folders) == [folders.building]
    night(site, 9)
    assert not folders.building.exists()


def test_the_command_tells_days_and_counts_and_nobody(site: Path, capsys: Capture) -> None:
    assert cli.main(["replay", str(site), "--as-of", "2026-11-02"]) == 0
    told = capsys.readouterr()
    assert "2026-11-02.1) replayed with what was known then, by praxis-2025, version 1" in told.out
    assert "are byte for byte what was sent" in told.out
    assert cli.main(["replay", str(site), "--as-of", "2026-11-02", "--rules", "ng239-2024"]) == 0
    told = capsys.readouterr()
    assert re.search(r"  north[.]csv: \d rows sent, \d now", told.out)
    for secret in ("CANARY", "nmol", "950"):
        assert secret not in told.out + told.err


def test_a_replay_neither_waits_for_a_night_nor_is_disturbed_by_one(site: Path) -> None:
    """A whole night runs, and retires the store that the replay began with, while it works."""
    before = sent(site, 5)
    deliver(site, {"patients_9.csv": PEOPLE + "CANARY-1,1950-02-03,female,west,,true\n"})
    ran = []

    def a_night_meanwhile(step: str) -> None:
        if step.startswith("replaying") and not ran:
            ran.append(night(site, 9).run_id)

    with (site / "store" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sheets(again(site, 5).folder) == before
    (replayed,) = replay(site, day(5), a_night_meanwhile)
    assert ran == ["2026-11-09.1"]
    assert sheets(replayed.folder) == before


def test_a_second_replay_at_once_is_turned_away(site: Path) -> None:
    (site / "replays").mkdir()
    with (site / "replays" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SiteLocked) as locked:
            again(site, 2)
    assert locked.value.exit_code == 14


def test_a_day_without_a_night_is_said_to_be_none(site: Path, tmp_path: Path) -> None:
    for n in (6, 30):
        with pytest.raises(NothingUsable, match="6 nights were, the last on 2026-11-08") as none:
            again(site, n)
        assert none.value.exit_code == 12
    make_site(tmp_path / "empty")
    with pytest.raises(NothingUsable, match="`b12screen run` makes one"):
        again(tmp_path / "empty", 1)
    assert not (tmp_path / "empty" / "replays").exists()


def test_a_night_whose_archive_is_gone_is_refused_and_says_what_can_be_done(site: Path) -> None:
    shutil.rmtree(site / "store" / "nights" / "2026-11-02.1")
    for asked in ({}, {"rules": "ng239-2024"}, {"known_on": day(5)}):
        with pytest.raises(UsageError, match="keep_archive_nights") as gone:
            again(site, 2, **asked)
        assert gone.value.exit_code == 2
    with pytest.raises(UsageError, match="1 of 3 nights"):
        again(site, 1, through=day(3))
    # The nights beside it have all that they need.
    assert sheets(again(site, 3).folder) == sent(site, 3)


def test_every_file_of_an_archive_that_is_gone_or_damaged_is_named(site: Path) -> None:
    nights = site / "store" / "nights"
    files = [path for path in sorted((nights / "2026-11-02.1").rglob("*")) if path.is_file()]
    read = [path for path in files if path.name != "store.json"]
    assert len(read) >= 10
    for path in read:
        whole = path.read_bytes()
        named = path.relative_to(nights / "2026-11-02.1").as_posix()
        # A ruleset that is cut between two lines is one that the loader refuses.
        cut = () if path.suffix == ".toml" else (whole[: len(whole) // 2], whole[:-3])
        for left in (*cut, b"", None):
            if left is None:
                path.unlink()
            else:
                path.write_bytes(left)
            with pytest.raises(AuditFailed, match="gone or damaged") as damaged:
                again(site, 2)
            assert f"({named})" in str(damaged.value)
        path.write_bytes(whole)
    assert not (site / "replays" / "2026-11-02-praxis-2025").exists()
    assert again(site, 2).differing == []


def test_a_site_of_before_there_were_archives_is_told_so(site: Path) -> None:
    shutil.rmtree(site / "store" / "nights")
    with pytest.raises(UsageError, match="is no longer, or was never, kept"):
        again(site, 2)
    night(site, 9)
    assert sheets(again(site, 9).folder) == sent(site, 9)
    with pytest.raises(UsageError, match="first night that can be replayed is 2026-11-09"):
        again(site, 2)


def test_archives_beyond_their_retention_go(site: Path) -> None:
    path = site / SETTINGS_FILE
    path.write_text(
        path.read_text().replace("# keep_archive_nights = 400", "keep_archive_nights=2")
    )
    night(site, 9)
    assert [each.isoformat() for each in Site(site).archives()] == ["2026-11-08", "2026-11-09"]


def test_old_replays_go_with_a_later_night(site: Path) -> None:
    kept, old = again(site, 2).folder, again(site, 3).folder
    compared = site / "replays" / "compare-2026-11-05-ng239-2024"
    notes = site / "replays" / "notes"
    for folder in (compared, notes):
        folder.mkdir()
    written = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    for folder in (old, compared, notes):
        os.utime(folder, (written, written))
    night(site, 9)
    assert kept.exists() and notes.exists()
    assert not old.exists() and not compared.exists()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"known_on": day(9)}, "after the last published night, 2026-11-08"),
        ({"through": day(1)}, "lies before --as-of"),
    ],
)
def test_a_day_that_cannot_be_meant_is_refused(
    once: Path, asked: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        again(once, 2, **asked)


def test_wrong_rules_end_with_11_before_anything_is_done(site: Path) -> None:
    with pytest.raises(RulesInvalid) as wrong:
        again(site, 2, rules="nothing-2020")
    assert wrong.value.exit_code == 11
    assert not (site / "replays").exists()


def test_rules_of_then_that_this_version_refuses_are_named(site: Path) -> None:
    rules = site / "store" / "nights" / "2026-11-02.1" / "rules" / "ruleset.toml"
    rules.write_bytes(rules.read_bytes().replace(b'form = "above"', b'form = "over"'))
    with pytest.raises(RulesInvalid, match="by other rules, with --rules"):
        again(site, 2)
    assert again(site, 2, rules="praxis-2025").differing == []


def test_another_version_is_told_and_its_difference_is_no_alarm(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("b12screen.__version__", "9.9")
    replayed = again(site, 2)
    assert "is replayed by version 9.9" in " ".join(replayed.summary)
    assert replayed.exit_code == 0


def test_items_that_another_version_kept_otherwise_are_never_read_as_none(site: Path) -> None:
    items = site / "store" / "nights" / "2026-11-02.1" / "history.item.parquet"
    pl.read_parquet(items).drop("why").write_parquet(items)
    with pytest.raises(UsageError, match=r"holds history[.]item as version .+ had it"):
        again(site, 2)


def test_sheets_that_should_be_the_same_and_are_not_are_an_alarm(
    site: Path, capsys: Capture
) -> None:
    manifest = site / "store" / "nights" / "2026-11-02.1" / "manifest.json"
    told = json.loads(manifest.read_text())
    told["outputs"]["worklists/north.csv"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(told))
    assert cli.main(["replay", str(site), "--as-of", "2026-11-02"]) == 20
    assert "Look at: the sheets are not what was sent" in capsys.readouterr().out


def test_a_store_that_is_gone_or_damaged_is_named(site: Path) -> None:
    state = site / "store" / "generations" / "2026-11-08.1" / "state.duckdb"
    os.truncate(state, state.stat().st_size // 2)
    with pytest.raises(AuditFailed, match=r"store/generations/2026-11-08[.]1 is damaged"):
        again(site, 2)
    state.unlink()
    with pytest.raises(AuditFailed, match="does not hold the published night"):
        again(site, 2)


def test_a_site_whose_published_nights_were_moved_away_still_replays(site: Path) -> None:
    before = sent(site, 5)
    (site / "published").rename(site / "elsewhere")
    replayed = again(site, 5)
    assert sheets(replayed.folder) == before
    assert "history.decision is empty" in replayed.remarks[0]


def test_a_replay_that_was_killed_is_cleared_away_and_done_again(site: Path) -> None:
    left = site / "replays" / ".building"
    (left / "night").mkdir(parents=True)
    (left / "night" / "b12screen.duckdb").write_bytes(b"half a night")
    assert sheets(again(site, 2).folder) == sent(site, 2)
    assert not left.exists()


def test_every_table_of_the_store_is_one_that_a_past_night_can_be_cut_from() -> None:
    otherwise = {"core.lab_result", "core.lab_row", "core.lab_word", "core.unmapped_code"}
    for name, relation in RELATIONS.items():
        if name.startswith("core.") and name not in otherwise:
            assert "taken_for" in relation.columns, name


class Waiting(pa.DataFrameModel):
    """One row per row that waits until a night takes it after all."""

    record: int
    replaced_on: pl.Date = pa.Field(nullable=True)
    taken_for: pl.Date


def test_a_row_that_a_later_night_took_after_all_was_waiting_until_then() -> None:
    relation = Relation("core.waiting", Waiting, ())
    with duckdb.connect() as database:
        database.execute("ATTACH ':memory:' AS known")
        database.execute("CREATE SCHEMA known.core")
        database.execute(
            "CREATE TABLE known.core.waiting AS SELECT * FROM (VALUES"
            " (1, DATE '2026-11-03', DATE '2026-11-01'), (2, NULL, DATE '2026-11-02'),"
            " (3, NULL, DATE '2026-11-03')) AS row(record, replaced_on, taken_for)"
        )
        known = ddl.known_rows(relation, "known", None)
        assert database.execute(known, [day(2)]).fetchall() == [
            (1, None, day(1)),
            (2, None, day(2)),
        ]
        assert database.execute(known, [day(3)]).fetchall()[0] == (1, day(3), day(1))


def test_everything_that_a_night_remembers_is_kept_or_can_be_cut() -> None:
    remembered = {name for name in RELATIONS if name.startswith("history.")}
    assert set(past_relations()) == remembered - {"history.decision"}


def test_settings_in_force_come_back_as_they_were(once: Path) -> None:
    archives = Site(once).archives()
    assert settings_of(archives[day(8)]) == load_settings(once)
    assert settings_of(archives[day(1)]) != load_settings(once)
