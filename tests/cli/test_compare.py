"""Who would move under other rules: counts on the screen, people in one private file."""

import csv
import fcntl
import os
import shutil
import stat
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path

import duckdb
import pytest

import b12screen
from b12screen import cli
from b12screen.night import run_night
from b12screen.settings import SETTINGS_FILE, make_site
from b12screen.synth import deliver, demo_nights, synth

Capture = pytest.CaptureFixture[str]

NIGHT = date(2026, 11, 1)
EXTRACTS = {
    "patients_1.csv": """\
patient_id,birth_date,sex,clinic_id
CANARY-1,1950-02-03,female,north
CANARY-2,1960-05-06,male,north
CANARY-3,1970-07-08,female,south
CANARY-4,1970-07-08,female,south
CANARY-5,1970-07-08,female,south
=CANARY-6,1970-07-08,female,
""",
    "conditions_1.csv": """\
patient_id,code,code_system,recorded_on
CANARY-4,I10,icd10cm,2026-10-30
""",
    "medications_1.csv": """\
medication_id,patient_id,code,code_system,kind,started_on
m1,CANARY-4,C07AB02,atc,prescription,2026-10-30
""",
    # 1 low B12 alone; 2 raised markers, adequate B12; 3 low B12 and raised markers;
    # 4 nothing raised; 5 and 6 MMA a little raised
    "labs_1.csv": """\
result_id,patient_id,collected_at,code,value,unit
r10,CANARY-1,2026-10-30,14685-2,100,pmol/L
r11,CANARY-1,2026-10-30,98979-8,88,mL/min/{1.73_m2}
r20,CANARY-2,2026-10-30,14685-2,300,pmol/L
r21,CANARY-2,2026-10-30,13964-2,900,nmol/L
r22,CANARY-2,2026-10-30,13965-9,31.5,umol/L
r23,CANARY-2,2026-10-30,98979-8,88,mL/min/{1.73_m2}
r30,CANARY-3,2026-10-30,14685-2,100,pmol/L
r31,CANARY-3,2026-10-30,13964-2,900,nmol/L
r32,CANARY-3,2026-10-30,13965-9,31.5,umol/L
r33,CANARY-3,2026-10-30,98979-8,88,mL/min/{1.73_m2}
r40,CANARY-4,2026-10-30,13964-2,150,nmol/L
r41,CANARY-4,2026-10-30,13965-9,9,umol/L
r50,CANARY-5,2026-10-30,13964-2,300,nmol/L
r51,CANARY-5,2026-10-30,13965-9,31.5,umol/L
r52,CANARY-5,2026-10-30,98979-8,88,mL/min/{1.73_m2}
r60,=CANARY-6,2026-10-30,13964-2,300,nmol/L
r61,=CANARY-6,2026-10-30,98979-8,88,mL/min/{1.73_m2}
""",
}
OURS = """
ruleset = "ours"
based_on = "praxis-2025"
title = "Ours"
version = "3"
review_by = 2027-06-30
note = "MMA by the limit of our laboratory"
[thresholds.mma_raised]
analyte = "mma"
form = "above"
value = 376
unit = "nmol/L"
meaning = "methylmalonic acid is raised"
assumption = "the limit of our laboratory"
"""
# Each makes other items of the same rows: another milestone, another episode.
OTHER_ITEMS = {
    "earlier": """
[[milestones]]
milestone = "2 months"
months = 2
[[milestones]]
milestone = "12 months"
months = 12
yearly_from = true
""",
    "shorter": """
[periods.episode_gap]
n = 20
unit = "days"
meaning = "a dose more than this after the one before starts a new episode"
assumption = "for a test"
""",
}
MOVERS = "movements.csv"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "site"
    make_site(root)
    for name, text in EXTRACTS.items():
        (root / "inbox" / name).write_text(text, encoding="utf-8")
    run_night(root, NIGHT, datetime(2026, 11, 1, 2, 30, tzinfo=UTC), lambda step: None)
    (root / "ours.toml").write_text(OURS, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of every story on the night after half of its rows were answered."""
    root = tmp_path_factory.mktemp("answered") / "site"
    make_site(root)
    extracts = root.parent / "extracts"
    synth(extracts, 250, 2, 5)
    first, second = demo_nights(nights=2)
    deliver(extracts, root / "inbox", first)
    run_night(root, first, datetime(2026, 11, 1, tzinfo=UTC), lambda step: None)
    rows = [
        row
        for sheet in sorted((root / "published" / "current" / "worklists").glob("*.csv"))
        for row in csv.DictReader(sheet.open(encoding="utf-8-sig", newline=""))
    ]
    decisions = ("done", "declined", "deferred", "already_treated", "not_our_patient")
    answers = "".join(
        f"{row['item_id']},{decisions[place // 2 % len(decisions)]},{first}\n"
        for place, row in enumerate(rows)
        if place % 2
    )
    (root / "inbox" / "feedback_1.csv").write_text(f"item_id,decision,as_of\n{answers}")
    deliver(extracts, root / "inbox", second)
    run_night(root, second, datetime(2026, 11, 2, tzinfo=UTC), lambda step: None)
    for name, changed in OTHER_ITEMS.items():
        head = OURS.partition("[thresholds")[0].replace('"ours"', f'"{name}"')
        (root / f"{name}.toml").write_text(head + changed, encoding="utf-8")
    return root


def open_items(folder: Path) -> dict[str, tuple[str, str, str]]:
    with duckdb.connect(folder / "b12screen.duckdb", read_only=True) as database:
        rows = database.execute(
            "SELECT item_id, patient_id, rule_id, CAST(priority AS VARCHAR) "
            "FROM worklists.item WHERE item_state = 'open'"
        ).fetchall()
    return {item_id: (patient, rule, priority) for item_id, patient, rule, priority in rows}


def below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def links_below(folder: Path) -> dict[str, str]:
    return {path.name: os.readlink(path) for path in folder.iterdir() if path.is_symlink()}


def movers(site: Path, named: str) -> list[dict[str, str]]:
    path = site / "replays" / f"compare-2026-11-01-{named}" / MOVERS
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_it_names_who_would_join_leave_and_change(night: Path) -> None:
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    moved = {
        (row["patient_id"], row["action"]): (
            row["movement"],
            row["rule_before"],
            row["rule_after"],
            row["priority_before"],
            row["priority_after"],
        )
        for row in movers(night, "ng239-2024")
    }
    assert moved == {
        ("CANARY-1", "consider_b12"): ("leaves", "RG13", "", "2", ""),
        ("CANARY-1", "start_b12"): ("joins", "", "RG4", "", "2"),
        ("CANARY-2", "start_b12"): ("leaves", "RG4", "", "2", ""),
        # raised markers without a B12 do not decide
        ("CANARY-5", "start_b12"): ("leaves", "RG4", "", "2", ""),
        ("CANARY-5", "complete_workup"): ("joins", "", "RG7", "", "5"),
    }


@pytest.mark.long
def test_what_an_answer_keeps_off_the_lists_neither_leaves_nor_joins_them(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    site = tmp_path / "site"
    shutil.copytree(night, site, symlinks=True)
    sheets = site / "published" / "current" / "worklists"
    rows = [
        row
        for sheet in ("north.csv", "south.csv")
        for row in csv.DictReader((sheets / sheet).open(encoding="utf-8-sig", newline=""))
    ]
    items = {(row["patient_id"], row["action"]): row["item_id"] for row in rows}
    (site / "inbox" / "feedback_1.csv").write_text(
        "item_id,decision,as_of\n"
        f"{items['CANARY-2', 'start_b12']},done,{NIGHT}\n"
        f"{items['CANARY-5', 'start_b12']},not_our_patient,{NIGHT}\n"
    )
    run_night(site, date(2026, 11, 2), datetime(2026, 11, 2, tzinfo=UTC), lambda step: None)
    assert cli.main(["compare", str(site), "--rules", "ng239-2024"]) == 0
    said = capsys.readouterr().out
    assert "1 rows are off the lists by an answer" in said
    sent = sum(
        len(list(csv.DictReader(sheet.open(encoding="utf-8-sig", newline=""))))
        for sheet in sheets.glob("*.csv")
        if sheet.stem != "data_quality"
    )
    assert f"Rows: {sent} before" in said
    path = site / "replays" / "compare-2026-11-02-ng239-2024" / MOVERS
    moved = list(csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    assert "CANARY-2" not in {row["patient_id"] for row in moved}
    assert {row["clinic_id"] for row in moved if row["movement"] == "leaves"} == {"north", ""}


@pytest.mark.parametrize(
    "rules", [pytest.param("ng239-2024", marks=pytest.mark.long), *OTHER_ITEMS]
)
def test_it_foretells_the_lists_that_a_replay_by_the_rules_writes(
    answered: Path, rules: str, capsys: Capture
) -> None:
    named = f"{rules}.toml" if rules in OTHER_ITEMS else rules
    second = demo_nights(nights=2)[-1]
    assert cli.main(["compare", str(answered), "--rules", named]) == 0
    said = capsys.readouterr().out
    assert cli.main(["replay", str(answered), "--as-of", str(second), "--rules", named]) == 0
    before = open_items(answered / "published" / "current")
    after = open_items(answered / "replays" / f"{second}-{rules}")
    path = answered / "replays" / f"compare-{second}-{rules}" / MOVERS
    moved = {
        (row["movement"], row["item_id"])
        for row in csv.DictReader(path.open(encoding="utf-8-sig", newline=""))
    }
    assert moved == {
        *(("joins", item) for item in after.keys() - before.keys()),
        *(("leaves", item) for item in before.keys() - after.keys()),
        *(("changes", item) for item in before if after.get(item, before[item]) != before[item]),
    }
    n_people = [len({patient for patient, _, _ in items.values()}) for items in (before, after)]
    assert f"People on a list: {n_people[0]:,} before, {n_people[1]:,} after" in said
    assert f"Rows: {len(before):,} before, {len(after):,} after" in said
    if rules in OTHER_ITEMS:
        assert "have another one of the same action in their place" in said


def test_rules_whose_night_would_not_be_published_are_told_before_they_go_live(
    answered: Path, capsys: Capture
) -> None:
    # Of a fragment the loader does not know into which row it comes.
    shipped = resources.files("b12screen") / "rules" / "praxis-2025.toml"
    text = shipped.read_text(encoding="utf-8").replace(
        'form_yes = "hydroxocobalamin or', 'form_yes = "every 3 months hydroxocobalamin or'
    )
    (answered / "odd.toml").write_text(text, encoding="utf-8")
    assert cli.main(["rules", "check", "--rules", str(answered / "odd.toml")]) == 0
    capsys.readouterr()
    assert cli.main(["compare", str(answered), "--rules", "odd.toml"]) == 13
    said = capsys.readouterr().out
    assert "A night by these rules would NOT be published: 1 checks of its lists fail" in said
    assert "regimen than the neurological one with neurology recorded: " in said


def test_a_row_that_moves_comes_with_its_clinic_and_both_reasons(night: Path) -> None:
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    rows = {(row["patient_id"], row["action"]): row for row in movers(night, "ng239-2024")}
    joins = rows["CANARY-1", "start_b12"]
    assert joins["clinic_id"] == "north"
    assert joins["why_before"] == ""
    assert "total B12 100 pmol/L on 2026-10-30 (low)" in joins["why_after"]
    leaves = rows["CANARY-2", "start_b12"]
    assert "MMA 900 nmol/L on 2026-10-30 (above 750)" in leaves["why_before"]
    assert leaves["why_after"] == ""


def test_it_tells_counts_by_rule_clinic_and_status(night: Path, capsys: Capture) -> None:
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    out = capsys.readouterr().out
    assert "Night 2026-11-01 (2026-11-01.1, rules praxis-2025) decided again" in out
    assert "by ng239-2024, version 1. Nothing was published or changed." in out
    assert (
        "People on a list: 5 before, 4 after; 0 who were on none, 1 who would be on none"
    ) in out
    assert "Rows: 5 before, 4 after" in out
    table = [cells(line) for line in out.splitlines() if line.startswith("|")]
    #      priority, action, rule, stays, changes, joins, leaves
    assert ["2", "start_b12", "RG4", "1", "0", "1", "2"] in table
    assert ["2", "consider_b12", "RG13", "0", "0", "0", "1"] in table
    assert ["5", "complete_workup", "RG7", "1", "0", "1", "0"] in table
    #      clinic, before, after, stays, changes, joins, leaves
    assert ["north", "2", "1", "0", "0", "1", "2"] in table
    assert ["south", "2", "2", "1", "0", "1", "1"] in table
    assert ["(unrouted)", "1", "1", "1", "0", "0", "0"] in table
    #      before, then after: confirmed, possible, unlikely, not_shown, not_assessed
    assert ["confirmed", "1", "1", "0", "1", "0"] in table
    assert ["possible", "1", "1", "0", "0", "0"] in table
    assert ["unlikely", "0", "0", "0", "0", "1"] in table


def test_a_limit_of_the_sites_own_is_tried_before_it_goes_live(
    night: Path, capsys: Capture
) -> None:
    assert cli.main(["compare", str(night), "--rules", "ours.toml"]) == 0
    out = capsys.readouterr().out
    assert "by ours.toml, version 3." in out
    moved = [(row["patient_id"], row["action"], row["movement"]) for row in movers(night, "ours")]
    assert moved == [
        ("'=CANARY-6", "complete_workup", "leaves"),
        ("CANARY-5", "review_homocysteine", "joins"),
        ("CANARY-5", "start_b12", "leaves"),
    ]
    by_path = str(night / "ours.toml")
    assert cli.main(["compare", str(night), "--rules", by_path]) == 0


def test_the_same_rules_move_nobody(night: Path, capsys: Capture) -> None:
    assert cli.main(["compare", str(night), "--rules", "praxis-2025"]) == 0
    out = capsys.readouterr().out
    assert "5 before, 5 after; 0 who were on none, 0 who would be on none" in out
    assert "The 0 rows that move" in out
    assert movers(night, "praxis-2025") == []


def test_no_identifier_and_no_value_is_told(night: Path, capsys: Capture) -> None:
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    captured = capsys.readouterr()
    for told in ("CANARY", "31.5", "nmol", "pmol"):
        assert told not in captured.out + captured.err
    assert str(night / "replays" / "compare-2026-11-01-ng239-2024" / MOVERS) in captured.out


def test_nothing_but_one_private_file_is_written(night: Path) -> None:
    published, store = below(night / "published"), below(night / "store")
    links = links_below(night / "published")
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    assert below(night / "published") == published
    assert below(night / "store") == store
    assert links_below(night / "published") == links
    replays = night / "replays"
    folder = replays / "compare-2026-11-01-ng239-2024"
    assert [path.name for path in folder.iterdir()] == [MOVERS]
    assert stat.S_IMODE((folder / MOVERS).stat().st_mode) == 0o600
    for private in (replays, folder):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert not (replays / ".building").exists()


def test_the_same_night_and_rules_give_the_same_bytes(night: Path, capsys: Capture) -> None:
    told = []
    for _ in range(2):
        assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
        told.append((capsys.readouterr().out, below(night / "replays")))
    assert told[0] == told[1]


def test_it_neither_waits_for_a_night_nor_stops_one(night: Path) -> None:
    with (night / "store" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0


def test_a_second_comparison_at_once_ends_with_14(night: Path, capsys: Capture) -> None:
    (night / "replays").mkdir(exist_ok=True)
    with (night / "replays" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 14
    assert "another comparison" in capsys.readouterr().err


def test_what_a_killed_comparison_left_is_cleared(night: Path) -> None:
    left = night / "replays" / ".building"
    left.mkdir(parents=True)
    (left / "night.duckdb").write_bytes(b"half a copy")
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    assert not left.exists()


def test_wrong_rules_end_with_11_and_every_finding(night: Path, capsys: Capture) -> None:
    (night / "wrong.toml").write_text(
        OURS.replace("nmol/L", "umol/L").replace("376", "0"), encoding="utf-8"
    )
    assert cli.main(["compare", str(night), "--rules", "wrong.toml"]) == 11
    assert cli.main(["compare", str(night), "--rules", "nowhere.toml"]) == 11
    assert cli.main(["compare", str(night), "--rules", "nothing-2020"]) == 11
    err = capsys.readouterr().err
    assert "2 finding(s)" in err
    assert "unit must be nmol/L" in err
    assert "ng239-2024, praxis-2025" in err


def test_a_site_without_a_night_ends_with_12(site: Path, capsys: Capture) -> None:
    assert cli.main(["compare", str(site), "--rules", "ng239-2024"]) == 12
    assert "nothing was written" in capsys.readouterr().err
    assert not (site / "replays").exists()


def test_wrong_settings_end_with_10(site: Path) -> None:
    (site / SETTINGS_FILE).write_text("[limits]\nthreds = 2")
    assert cli.main(["compare", str(site), "--rules", "ng239-2024"]) == 10


def test_a_night_of_another_version_is_told(
    night: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("b12screen.__version__", "9.9")
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    assert "decided again by version 9.9" in capsys.readouterr().out


def test_a_night_of_an_older_version_that_lacks_something_asks_for_a_new_one(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    site = tmp_path / "site"
    shutil.copytree(night, site, symlinks=True)
    folder = (site / "published" / "current").resolve()
    for name in ("b12screen.duckdb", "manifest.json"):
        (folder / name).chmod(0o640)
    with duckdb.connect(folder / "b12screen.duckdb") as database:
        database.execute("ALTER TABLE map.drug DROP COLUMN strength_mg")
    compared = ["compare", str(site), "--rules", "ng239-2024"]
    assert cli.main(compared) == 1
    capsys.readouterr()
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace(b12screen.__version__, "0.1.0"))
    assert cli.main(compared) == 2
    said = capsys.readouterr().err
    assert "was published by version 0.1.0" in said and "Traceback" not in said
    assert f"`b12screen run {site}`" in said


@pytest.mark.long
def test_a_site_chooses_the_second_ruleset_and_then_sees_what_was_told(
    night: Path, tmp_path: Path
) -> None:
    """The comparison foretells the night: whoever it lists under the rules is listed by them."""
    site = tmp_path / "site"
    make_site(site)
    shutil.copytree(night / "inbox", site / "inbox", dirs_exist_ok=True)
    settings = (site / SETTINGS_FILE).read_text()
    (site / SETTINGS_FILE).write_text(settings.replace("praxis-2025", "ng239-2024"))
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    # Seen from the other side, everybody moves the other way.
    assert cli.main(["compare", str(site), "--rules", "praxis-2025"]) == 0
    assert cli.main(["compare", str(night), "--rules", "ng239-2024"]) == 0
    opposite = {"joins": "leaves", "leaves": "joins", "changes": "changes"}
    there = {
        (row["patient_id"], row["action"], row["movement"], row["why_after"])
        for row in movers(night, "ng239-2024")
    }
    back = {
        (row["patient_id"], row["action"], opposite[row["movement"]], row["why_before"])
        for row in movers(site, "praxis-2025")
    }
    assert there == back
