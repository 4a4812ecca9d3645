"""Whoever sends extracts, or has an account on the machine, gets no further than the contract."""

import csv
import grp
import io
import os
import re
import shutil
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from b12screen import cli, ingest
from b12screen.settings import SETTINGS_FILE, make_site
from b12screen.warehouse import Warehouse

from .conftest import EXTRACTS, FIRST_NIGHT, SECOND_NIGHT, deliver, night

CLINICS = (
    "../../../../escaped",
    "/etc/b12screen-escaped",
    "..",
    ".",
    "~root",
    "$(touch escaped)",
    "; touch escaped",
    "-rf",
    "con",
    "unrouted",
    "UNROUTED",
    "data_quality",
    "a\\b",
    "line\nend",
    "\x1b[2J",
    "=1+1",
    "'; DROP TABLE core.patient; --",
    "%2E%2E%2Fescaped",
    "\u202egpj",
    "x" * 300,
    "'@east",
    "'=1+1",
    "A",
    "a",
    # What the name of A's sheet is, and what it would be if it were cut.
    "A-559aead0",
    "a-559aead0",
)


# Whatever limit the shell has set.
CORE_FILES = """
import resource
import sys
from b12screen import cli
most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))
cli.main(["doctor", sys.argv[1]])
print(resource.getrlimit(resource.RLIMIT_CORE)[0])
"""


def test_no_name_of_a_clinic_leaves_its_folder_or_meets_another(tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_site(site)
    people = io.StringIO()
    rows = csv.writer(people)
    rows.writerow(["patient_id", "birth_date", "sex", "clinic_id"])
    rows.writerows([f"P{n}", "1950-02-03", "female", clinic] for n, clinic in enumerate(CLINICS))
    labs = ["result_id,patient_id,collected_at,code,value,unit"]
    for n in range(len(CLINICS)):
        labs.append(f"m{n},P{n},2026-10-30,13964-2,900,nmol/L")
        labs.append(f"h{n},P{n},2026-10-30,13965-9,31.5,umol/L")
    deliver(site, {"patients_1.csv": people.getvalue(), "labs_1.csv": "\n".join(labs)})
    outside = {path for path in tmp_path.rglob("*") if site not in path.parents}
    night(site, FIRST_NIGHT)
    assert {path for path in tmp_path.rglob("*") if site not in path.parents} == outside
    assert not Path("escaped").exists()
    worklists = (site / "published" / "current").resolve() / "worklists"
    sheets = list(worklists.rglob("*"))
    assert {path.parent for path in sheets} == {worklists}
    assert len({path.name.casefold() for path in sheets}) == len(CLINICS) + 2
    for path in sheets:
        assert path.name.isascii() and path.name.isprintable() and len(path.name) <= 104
    listed = {}
    for path in sheets:
        text = path.read_bytes().decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            listed.setdefault(path.name, set()).add(row["patient_id"])
    assert sorted(person for people in listed.values() for person in people) == sorted(
        f"P{n}" for n in range(len(CLINICS))
    )


@pytest.mark.long
def test_a_site_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    site = tmp_path / "it's a*b [1]; rm -rf x" / "\u00fcber uns"
    site.parent.mkdir()
    make_site(site)
    # A broken row, so that the rows go through files of the pipeline's own.
    deliver(
        site, EXTRACTS | {"labs_2.csv": "result_id,patient_id,collected_at,code,value,unit\nx\n"}
    )
    assert night(site, FIRST_NIGHT).findings == []
    assert night(site, SECOND_NIGHT).run_id == "2026-11-02.1"


def test_what_an_extract_holds_is_never_read_as_sql(site: Path) -> None:
    attack = "'); DROP TABLE core.patient; COPY (SELECT 1) TO 'escaped'; --"
    name = f"labs_{attack[:20]}.csv".replace("/", "")
    header = f'result_id,patient_id,collected_at,code,value,unit,"{attack}"'
    deliver(site, {name: f'{header}\n"{attack}","{attack}",2026-11-01,13964-2,450,nmol/L,x\n'})
    night(site, SECOND_NIGHT)
    # The rows of everybody else stand, and nothing was written where the statement would have.
    database = site / "published" / "current" / "b12screen.duckdb"
    with duckdb.connect(str(database), read_only=True) as published:
        assert published.execute("SELECT count(*) > 1 FROM core.patient").fetchall() == [(True,)]
    assert not list(site.rglob("escaped"))
    assert not Path("escaped").exists()


def test_the_engine_fetches_nothing_and_no_process_leaves_its_memory_behind(site: Path) -> None:
    with Warehouse.open(site / "store" / "asked.duckdb") as warehouse:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions"):
            assert warehouse.scalar("SELECT current_setting($1)", (name,)) is False, name
    done = subprocess.run(
        [sys.executable, "-c", CORE_FILES, str(site)], capture_output=True, check=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "0"


def test_doctor_says_who_could_steer_the_night_by_its_settings(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = site / SETTINGS_FILE
    settings.write_text('[notify]\nwebhook = "https://example.org/secret"\n')
    settings.chmod(0o640)
    cli.main(["doctor", str(site)])
    assert "chmod" not in capsys.readouterr().out
    settings.chmod(0o644)
    assert cli.main(["doctor", str(site)]) == 20
    assert f"{SETTINGS_FILE} holds an address and is open to other users" in capsys.readouterr().out
    settings.chmod(0o666)
    assert cli.main(["doctor", str(site)]) == 20
    out = capsys.readouterr().out
    assert f"{SETTINGS_FILE} may be written by other users" in out
    assert "secret" not in out


def test_doctor_says_where_the_group_of_readers_cannot_pass(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = grp.getgrgid(os.getegid()).gr_name
    (site / SETTINGS_FILE).write_text(f'[publish]\ngroup = "{group}"\n')
    site.chmod(0o700)
    assert cli.main(["doctor", str(site)]) == 20
    assert f"the group {group} cannot pass through {site}, and" in capsys.readouterr().out
    site.chmod(0o750)
    cli.main(["doctor", str(site)])
    assert f"cannot pass through {site}, and" not in capsys.readouterr().out


def test_a_new_sites_settings_are_its_owners_to_change(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        make_site(tmp_path / "site")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "site" / SETTINGS_FILE).stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "site" / "store").stat().st_mode) == 0o700


def test_a_check_reads_rows_where_nobody_else_may_look(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ingest.check
    modes = []

    def looking(*given: Any) -> ingest.Taking:
        scratch = given[4]
        modes.append(stat.S_IMODE(scratch.stat().st_mode))
        return real(*given)

    monkeypatch.setattr(ingest, "check", looking)
    before = os.umask(0o000)
    try:
        assert cli.main(["check", str(site), "--as-of", "2026-11-02"]) == 0
    finally:
        os.umask(before)
    assert modes == [0o700]


def test_a_link_planted_in_the_store_is_not_followed_out_of_it(site: Path, tmp_path: Path) -> None:
    """What a killed night left is cleared: a link there costs the link, not what it leads to."""
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "file").write_text("x")
    (site / "store" / "generations" / "2026-11-02.1").symlink_to(treasure)
    shutil.rmtree(site / "store" / "scratch", ignore_errors=True)
    (site / "published" / ".nights" / "2026-11-02.1").symlink_to(treasure)
    night(site, SECOND_NIGHT)
    assert (treasure / "file").read_text() == "x"


def test_no_text_of_a_rejected_result_is_left_in_the_bytes_of_the_published_file(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    make_site(site)
    good = [
        f"r{n},P{n % 40},2026-10-{n % 28 + 1:02},14685-2,{100 + n},pmol/L,final,C"
        for n in range(400)
    ]
    bad = [
        "b1,P1,2026-10-30,14685-2,100,CANARY UNIT,final,C",
        "b2,P1,2026-10-30,14685-2,CANARY VALUE,pmol/L,final,C",
        "b3,P1,2026-10-30,14685-2,100,pmol/L,CANARY STATUS,C",
        "b4,P1,2026-10-32,14685-2,100,pmol/L,final,CANARY CLINIC",
        "CANARY RESULT,P1,2026-10-32,14685-2,100,pmol/L,final,C",
        "b6,CANARY PERSON,2026-10-32,14685-2,100,pmol/L,final,C",
    ]
    header = "result_id,patient_id,collected_at,code,value,unit,status,clinic_id"
    deliver(site, {"labs_1.csv": "\n".join([header, *good, *bad])})
    for as_of in (FIRST_NIGHT, SECOND_NIGHT):
        night(site, as_of)
        published = site / "published" / "current" / "b12screen.duckdb"
        assert b"CANARY" not in published.read_bytes()
    private = max((site / "store" / "generations").glob("*/private.duckdb"))
    assert b"CANARY UNIT" in private.read_bytes()


def test_nothing_of_a_file_of_rejected_rows_is_left_in_the_published_file(tmp_path: Path) -> None:
    site = tmp_path / "site"
    make_site(site)
    # More than the engine keeps in memory until the end: such rows were on the disk for a while.
    rows = [f"r{n},P{n % 40},2026-10-01,14685-2,CANARY {n},pmol/L,final,C" for n in range(260_000)]
    header = "result_id,patient_id,collected_at,code,value,unit,status,clinic_id"
    deliver(site, {"labs_1.csv": "\n".join([header, *rows])})
    deliver(
        site, {"patients_1.csv": "patient_id,birth_date,sex,clinic_id\nP1,1950-01-01,female,C\n"}
    )
    night(site, FIRST_NIGHT)
    published = site / "published" / "current" / "b12screen.duckdb"
    state = max((site / "store" / "generations").glob("*/state.duckdb"))
    assert published.stat().st_size < 20_000_000
    assert b"CANARY" not in published.read_bytes() + state.read_bytes()


@pytest.mark.parametrize("is_first_night", [True, False])
def test_nothing_of_a_held_file_or_of_a_rejected_row_is_left_in_the_bytes_of_any_night(
    tmp_path: Path, is_first_night: bool
) -> None:
    site = tmp_path / "site"
    make_site(site)
    if not is_first_night:
        deliver(
            site, {"patients_0.csv": "patient_id,birth_date,sex,clinic_id\nP2,1950-01-01,male,C\n"}
        )
        night(site, FIRST_NIGHT - timedelta(days=1))
    header = "result_id,patient_id,collected_at,code,value,unit,status,clinic_id"
    good = [f"r{n},P{n % 900},2026-10-01,14685-2,250,pmol/L,final,C{n % 9}" for n in range(6000)]
    rejected = [f"XR{n},XREJECTED,2026-10-01,14685-2,much,pmol/L,final,XCLINIC" for n in range(9)]
    held = [
        f"h{n},HELDPERSON{n},2026-10-01,14685-2,{250 if n < 10 else 'none'},pmol/L,final,HELDCLINIC"
        for n in range(40)
    ]
    deliver(
        site,
        {
            "labs_0.csv": "\n".join([header, *held]),
            "labs_1.csv": "\n".join([header, *good, *rejected]),
            "patients_1.csv": "patient_id,birth_date,sex,clinic_id\nP1,1950-01-01,female,C\n",
        },
    )
    for as_of in (FIRST_NIGHT, SECOND_NIGHT):
        night(site, as_of)
        if as_of == FIRST_NIGHT:
            more = [line.replace("r", "s", 1) for line in good[:500]]
            deliver(site, {"labs_2.csv": "\n".join([header, *more, *rejected[:5]])})
        published = (site / "published" / "current" / "b12screen.duckdb").read_bytes()
        state = max((site / "store" / "generations").glob("*/state.duckdb")).read_bytes()
        for word in (b"HELDPERSON", b"HELDCLINIC", b"XREJECTED", b"XCLINIC"):
            assert word not in published + state


def test_what_stands_beside_a_code_neither_stops_the_night_nor_hides_the_code(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    make_site(site)
    sent = (
        "G32.0*",
        "g 32.0",
        "\tG320\t",
        "G32.0 Subacute degeneration",
        "T45.2X5A stop the vitamin",
        "E11.42/stop",
        "O2 sat low",
        "N 18.4",
    )
    deliver(
        site,
        {
            "patients.csv": "patient_id,birth_date,sex,clinic_id\n"
            + "".join(f"p{n},1950-01-01,male,north\n" for n in range(len(sent))),
            "labs.csv": "result_id,patient_id,collected_at,code,value,unit\n"
            + "".join(
                f"m{n},p{n},2026-10-20,13964-2,900,nmol/L\n"
                f"h{n},p{n},2026-10-20,13965-9,31.5,umol/L\n"
                for n in range(len(sent))
            ),
            "conditions.csv": "patient_id,code,code_system,recorded_on\n"
            + "".join(f"p{n},{code},icd10cm,2026-10-20\n" for n, code in enumerate(sent)),
        },
    )
    night(site, FIRST_NIGHT)
    current = site / "published" / "current"
    with duckdb.connect(str(current / "b12screen.duckdb"), read_only=True) as database:
        reasons = dict(
            database.execute(
                "SELECT patient_id, why FROM worklists.item "
                "WHERE action LIKE 'start_b12%' OR action IN ('specialist_review', 'review_renal')"
            ).fetchall()
        )
        neuro = dict(database.execute("SELECT patient_id, neuro FROM facts.patient").fetchall())
        routes = dict(
            database.execute("SELECT patient_id, route FROM decisions.screening").fetchall()
        )
    for n in range(4):
        assert neuro[f"p{n}"] == "recorded", sent[n]
        assert re.search(r"\(code G32\.?0 of 2026-10-20\)", reasons[f"p{n}"])
    # What is mapped by the beginning of a code counts whatever stands behind it.
    assert "code T45.2X5A of 2026-10-20" in reasons["p4"]
    assert "(code E11.42 of 2026-10-20)" in reasons["p5"]
    assert not any("stop" in why.lower() for why in reasons.values())
    assert neuro["p6"] == "none_recorded"
    assert routes["p6"] == "screened", "no pregnancy begins with the letter O alone"
    assert "kidney disease code N184 of 2026-10-20" in reasons["p7"]
