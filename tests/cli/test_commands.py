"""The command line: exit codes, what it says on which stream, and what it does not import."""

import csv
import grp
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from b12screen import cli, publish
from b12screen.errors import B12ScreenError
from b12screen.maps import load_maps
from b12screen.rules import load_ruleset, render
from b12screen.settings import SETTINGS_FILE
from schemas.words import ACTIONS

Deliver = Callable[[Path, dict[str, str]], None]
Capture = pytest.CaptureFixture[str]

LABS = """\
result_id,patient_id,collected_at,code,value,unit
r1,0001,2026-10-30,13964-2,900,nmol/L
"""
HEAVY = ("duckdb", "polars", "pandera", "pydantic", "prefect", "pyarrow")


def usage(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom b12screen import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    print(f"help answered in {time.monotonic() - began:.2f} s")
    assert done.stdout.splitlines()[-1] == "[]"
    assert "demo" in done.stdout


def test_a_run_does_not_import_prefect(
    site: Path, deliver: Deliver, extracts: dict[str, str]
) -> None:
    deliver(site, extracts)
    script = (
        "import sys\nfrom b12screen import cli\n"
        f"code = cli.main(['run', {str(site)!r}, '--as-of', '2026-11-01'])\n"
        "print(code, 'prefect' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] in ("0 False", "20 False")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("unknown",),
        ("run",),
        ("run", "site", "--as-of", "2026-13-01"),
        ("run", "site", "--as-of", "20261101"),
        ("serve", "site", "--at", "25:00"),
        ("serve", "site"),
        ("synth", "folder", "--patients", "0", "--nights", "1", "--seed", "1"),
        ("replay", "site"),
    ],
)
def test_a_command_that_is_not_understood_is_a_mistake_of_usage(words: tuple[str, ...]) -> None:
    assert usage(*words) == 2


def test_what_was_typed_is_not_repeated(capsys: Capture) -> None:
    usage("explain", "site", "CANARY-77", "CANARY-78")
    usage("CANARY-77")
    usage("explain", "site", "p", "--as-of", "CANARY-77")
    usage("O'CANARY")
    usage("rejects", "site", "--rows=CANARY-77")
    usage("synth", "site", "--seed", "CANARY-77")
    usage("synth", "site", "--p=CANARY-77", "--f=CANARY-77")
    assert "CANARY" not in capsys.readouterr().err


def test_a_night_far_in_the_future_is_refused(site: Path, capsys: Capture) -> None:
    assert cli.main(["run", str(site), "--as-of", "2206-11-01"]) == 2
    assert "Nothing was done" in capsys.readouterr().err


def test_init_makes_a_site_and_refuses_to_make_it_again(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["init", str(tmp_path / "new")]) == 0
    assert "b12screen run" in capsys.readouterr().out
    before = (tmp_path / "new" / SETTINGS_FILE).read_text()
    assert cli.main(["init", str(tmp_path / "new")]) == 2
    assert (tmp_path / "new" / SETTINGS_FILE).read_text() == before


def test_wrong_settings_end_with_10(site: Path, capsys: Capture) -> None:
    (site / SETTINGS_FILE).write_text("[limits]\nthreds = 2")
    for words in (["run"], ["check"], ["rejects"], ["doctor"]):
        assert cli.main([*words, str(site)]) == 10
    assert "limits.threds" in capsys.readouterr().err


def test_a_group_that_is_not_there_ends_with_10(
    site: Path, deliver: Deliver, extracts: dict[str, str], capsys: Capture
) -> None:
    deliver(site, extracts)
    (site / SETTINGS_FILE).write_text('[publish]\ngroup = "no-such-group"\n')
    for words in (["run", str(site), "--as-of", "2026-11-01"], ["doctor", str(site)]):
        assert cli.main(words) == 10
        captured = capsys.readouterr()
        assert (
            "publish.group: this machine has no group no-such-group" in captured.err + captured.out
        )
    assert not list((site / "published").glob("generations/*"))


STRANGER = """
import os, sys
from b12screen.publish import group_trouble

if os.geteuid() == 0:
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
print(group_trouble(sys.argv[1]))
"""


def test_a_group_that_the_running_user_is_not_in_is_said_before_the_night() -> None:
    mine = {0, 65534, os.getegid(), *os.getgroups()}
    other = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in mine)
    run = subprocess.run(
        [sys.executable, "-c", STRANGER, other], capture_output=True, text=True, check=True
    )
    assert f"the running user is no member of {other}" in run.stdout
    own = grp.getgrgid(os.getegid()).gr_name
    assert publish.group_trouble(own) is None


def test_a_folder_that_is_no_site_ends_with_10(tmp_path: Path, capsys: Capture) -> None:
    assert cli.main(["run", str(tmp_path)]) == 10
    assert "b12screen init" in capsys.readouterr().err


def test_wrong_rules_end_with_11(site: Path, capsys: Capture) -> None:
    (site / "mine.toml").write_text('ruleset = "mine"')
    (site / SETTINGS_FILE).write_text('ruleset = "mine.toml"')
    assert cli.main(["rules", "check", str(site)]) == 11
    assert "finding" in capsys.readouterr().err
    assert cli.main(["rules", "check", str(site), "--rules", "mine.toml"]) == 11
    assert "finding" in capsys.readouterr().err
    # Before anything is taken, which may be an hour's work.
    (site / "inbox" / "labs_1.csv").write_text(LABS)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 11
    said = capsys.readouterr().err
    assert "Nothing was published, yesterday's files stand" in said
    assert "taking extracts" not in said


def test_an_empty_site_ends_with_12(site: Path, capsys: Capture) -> None:
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 12
    assert "inbox" in capsys.readouterr().err


def test_a_first_file_that_is_held_is_said_with_the_reason(site: Path, capsys: Capture) -> None:
    rows = "".join(f"r{n},P1,2026-10-01,14685-2,{n},miles,final\n" for n in range(30))
    header = "result_id,patient_id,collected_at,code,value,unit,status\n"
    (site / "inbox" / "labs_1.csv").write_text(header + rows, encoding="utf-8")
    (site / "inbox" / "labs_2.csv").write_text("result_id\n1\n", encoding="utf-8")
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 12
    error = capsys.readouterr().err
    assert "labs_1.csv was held: 30 of 30 rows were rejected" in error
    assert "(And 1 more.)" in error


def test_a_held_site_ends_with_14(site: Path, capsys: Capture) -> None:
    import fcntl

    with (site / "store" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 14
        assert cli.main(["doctor", str(site)]) == 20
    captured = capsys.readouterr()
    assert "another run" in captured.err
    assert "a run holds the site" in captured.out


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_store_that_may_not_be_written_ends_with_15(
    site: Path, deliver: Deliver, extracts: dict[str, str]
) -> None:
    deliver(site, extracts)
    (site / "store").chmod(0o500)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 15
    assert cli.main(["doctor", str(site)]) == 15
    (site / "store").chmod(0o700)


def test_a_full_disk_ends_with_15(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("b12screen.night.run_night", full)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 15


def test_a_night_before_the_last_one_ends_with_16(published: Path, capsys: Capture) -> None:
    assert cli.main(["run", str(published), "--as-of", "2026-10-31"]) == 16
    assert "replay" in capsys.readouterr().err


def test_a_bug_keeps_its_frames_and_loses_its_text(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # A traceback shows lines of code, so the canary must not stand in one.
    cell = "-".join(("CANARY", "77"))

    def broken(*_: object) -> None:
        try:
            int(cell)
        except ValueError:
            raise KeyError(cell) from None

    monkeypatch.setattr("b12screen.night.run_night", broken)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 1
    error = capsys.readouterr().err
    assert cell not in error
    assert "in broken" in error
    assert "KeyError" in error


def test_an_error_that_the_core_calls_a_bug_keeps_its_frames(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def broken(*_: object) -> None:
        raise B12ScreenError("BinderException in: SELECT")

    monkeypatch.setattr("b12screen.night.run_night", broken)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 1
    assert "in broken" in capsys.readouterr().err


def test_a_run_tells_its_summary_on_stdout_and_its_steps_on_stderr(
    site: Path, deliver: Deliver, extracts: dict[str, str], capsys: Capture
) -> None:
    deliver(site, extracts)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    captured = capsys.readouterr()
    assert 1 <= len(captured.out.splitlines()) <= 10
    assert " s] " in captured.err
    assert "\x1b" not in captured.err
    assert "0001" not in captured.out + captured.err
    manifest = (site / "published" / "current" / "manifest.json").read_text()
    assert '"Open: published/current/worklists"' in manifest
    assert str(site) not in manifest


def test_check_writes_nothing_in_the_site(
    site: Path, deliver: Deliver, extracts: dict[str, str], capsys: Capture
) -> None:
    deliver(site, extracts)
    before = sorted(site.rglob("*"))
    assert cli.main(["check", str(site), "--as-of", "2026-11-01"]) == 0
    assert sorted(site.rglob("*")) == before
    out = capsys.readouterr().out
    assert "labs_1.csv" in out
    assert "1 rejected" in out


def test_check_ends_with_20_where_a_file_would_not_be_taken(
    site: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "labs_bad.csv").write_text("result_id,patient_id\nr1,CANARY-77\n")
    assert cli.main(["check", str(site), str(tmp_path / "labs_bad.csv")]) == 20
    captured = capsys.readouterr()
    assert "labs_bad.csv" in captured.out
    assert "CANARY" not in captured.out + captured.err


def test_check_of_a_file_that_is_not_there_is_a_mistake_of_usage(site: Path) -> None:
    assert cli.main(["check", str(site), str(site / "nothing.csv")]) == 2


def test_rejects_tells_the_reason_and_each_row_on_request(published: Path, capsys: Capture) -> None:
    assert cli.main(["rejects", str(published)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\| 1 +\| labs +\| value +\| number +\| labs_1.csv +\| value is no", out)
    assert "ask the sender for the row again" in out
    assert re.search(r"\| labs_1.csv +\| 6 +\|.*number", out)
    assert "many" not in out
    assert cli.main(["rejects", str(published), "--rows"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split(",")[:4] == ["file_name", "record", "line", "segment"]
    assert row.startswith("labs_1.csv,6,") and "many" in row


def test_a_site_without_a_night_has_nothing_to_ask(site: Path, capsys: Capture) -> None:
    for words in (["query", str(site), "SELECT 1"], ["explain", str(site), "0001"]):
        assert cli.main(words) == 2
    assert "No night is published" in capsys.readouterr().err


def test_query_answers_from_the_published_file(published: Path, capsys: Capture) -> None:
    sql = "SELECT patient_id, route FROM decisions.screening ORDER BY patient_id"
    assert cli.main(["query", str(published), sql]) == 0
    assert "| 0001" in capsys.readouterr().out
    assert cli.main(["query", str(published), sql, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "patient_id,route"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("DATE 'infinity'", "infinity"),
        ("TIMESTAMPTZ '-infinity'", "-infinity"),
        ("TIMESTAMP '290000-01-01'", "290000-01-01 00:00:00"),
        ("[DATE 'infinity', DATE '2026-11-01']", "[infinity, 2026-11-01]"),
        ("INTERVAL 40 DAY", "40 days"),
        ("[INTERVAL 1 DAY]", "[1 day]"),
        ("BLOB 'a'", "a"),
        ("CAST(1 AS VARIANT)", "1"),
        ("CAST(1234567.891 AS DOUBLE)", "1234567.891"),
        ("CAST(147.9999999 AS DOUBLE)", "147.9999999"),
    ],
)
def test_query_shows_what_no_frame_can_hold(
    published: Path, value: str, shown: str, capsys: Capture
) -> None:
    assert cli.main(["query", str(published), f"SELECT {value} AS told"]) == 0
    assert f"| {shown} " in capsys.readouterr().out
    assert cli.main(["query", str(published), f"SELECT {value} AS told", "--csv"]) == 0
    told, cell = csv.reader(io.StringIO(capsys.readouterr().out))
    assert told == ["told"]
    assert cell[0].lstrip("'") == shown


@pytest.mark.parametrize(("form", "letter"), [((), b"\\xfc"), (("--csv",), "ü".encode())])
def test_query_goes_on_where_the_terminal_lacks_a_letter(
    published: Path, form: tuple[str, ...], letter: bytes
) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "b12screen", "query", str(published), "SELECT 'ü' AS n", *form],
        env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True,
    )  # fmt: skip
    assert letter in told.stdout


def test_query_as_csv_gives_a_spreadsheet_no_formula_and_leaves_numbers(
    published: Path, capsys: Capture
) -> None:
    sql = (
        "SELECT '=1+1' AS a, '+1' AS b, '-1' AS c, '@x' AS d, chr(9) || 'x' AS e, "
        "chr(13) || 'x' AS f, 'a=b' AS g, CAST(NULL AS VARCHAR) AS h, -1 AS i, "
        "CAST('-x' AS ENUM ('-x')) AS j, ['=1'] AS k"
    )
    assert cli.main(["query", str(published), sql, "--csv"]) == 0
    header, row = csv.reader(io.StringIO(capsys.readouterr().out, newline=""))
    assert header == list("abcdefghijk")
    assert row == [
        "'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "a=b", "", "-1", "'-x", '["=1"]'
    ]  # fmt: skip
    sql = "SELECT unnest(['x', NULL, NULL]) AS a"
    assert cli.main(["query", str(published), sql, "--csv"]) == 0
    assert capsys.readouterr().out == 'a\nx\n""\n""\n'
    sql = "SELECT [TRUE, NULL] AS a, {'b': 1, 'c': NULL} AS d"
    assert cli.main(["query", str(published), sql, "--csv"]) == 0
    _, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert row == ["[true, null]", '{"b": 1, "c": null}']
    named = "PIVOT (SELECT '=1+1' AS a, 1 AS n) ON a USING sum(n)"
    assert cli.main(["query", str(published), named, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines() == ["'=1+1", "1"]
    # A person reads the table as it is.
    assert cli.main(["query", str(published), "SELECT '=1+1' AS a"]) == 0
    assert "| =1+1" in capsys.readouterr().out


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM core.patient",
        "CREATE TABLE core.x AS SELECT 1",
        "SELECT * FROM read_csv('/etc/passwd')",
        "ATTACH 'other.duckdb'",
        "COPY core.patient TO 'out.csv'",
        "SET enable_external_access = true",
        'SELECT * FROM core.patient WHERE patient_id = "CANARY-77"',
        "SELECT * FROM CANARY77",
        "SELECT CAST('CANARY-77' AS INTEGER)",
        "SELECT 'CANARY-77' 'x' FROM",
        "SELECT Canary77(1)",
        "",
        "SELECT 1; SELECT 2",
        "SET VARIABLE v = (SELECT min(patient_id) FROM core.patient)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "PRAGMA table_info('core.patient')",
    ],
)
def test_a_query_that_cannot_be_run_changes_and_repeats_nothing(
    published: Path, sql: str, capsys: Capture
) -> None:
    assert cli.main(["query", str(published), sql]) == 2
    error = capsys.readouterr().err
    assert "CANARY" not in error
    assert "unchanged" in error


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{}' (FORMAT csv)",
        "COPY (PIVOT (SELECT 'a' AS p, 1 AS x) ON p USING sum(x)) TO '{}'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{}'",
        "/* */ -- \n explain (analyze) copy (SELECT 1) TO '{}'",
    ],
)
def test_a_query_writes_no_log_beside_the_file_that_it_asks(published: Path, sql: str) -> None:
    log = (published / "published" / "current" / "b12screen.duckdb.wal").resolve()
    assert cli.main(["query", str(published), sql.format(log)]) == 2
    assert not log.exists()
    assert cli.main(["query", str(published), "EXPLAIN SELECT 1"]) == 0


def test_a_query_that_misspells_a_column_is_told_the_real_names() -> None:
    said = cli.without_words_of(
        "SELECT mma FROM facts.patient",
        'the query was not run: column "mma" not found, candidates: "mma_nmol_l"',
        {"facts", "patient", "mma_nmol_l"},
    )
    assert said == 'the query was not run: column "…" not found, candidates: "mma_nmol_l"'


def test_a_query_that_misspells_a_table_is_told_the_nearest(
    published: Path, capsys: Capture
) -> None:
    assert cli.main(["query", str(published), "SELECT * FROM facts.pateint"]) == 2
    assert '(perhaps "patient"). The published file' in capsys.readouterr().err
    assert cli.main(["query", str(published), "SELECT mma_nmol FROM facts.patient"]) == 2
    said = capsys.readouterr().err
    assert '(perhaps "' in said
    assert "mma_nmol " not in said
    # A query may make a name of an identifier.
    pivot = "(PIVOT (SELECT patient_id, sex FROM core.patient) ON patient_id USING count(*))"
    assert cli.main(["query", str(published), f"SELECT sexes FROM {pivot}"]) == 2
    said = capsys.readouterr().err
    assert "0001" not in said and "0002" not in said


def test_words_behind_an_option_are_understood(site: Path, tmp_path: Path) -> None:
    extract = tmp_path / "labs_1.csv"
    extract.write_text("result_id,patient_id,collected_at,code,value,unit\n")
    assert cli.main(["check", str(site), "--as-of", "2026-11-01", str(extract)]) == 0
    assert cli.main(["rules", "check", "--rules", "ng239-2024", str(site)]) == 0
    for words in (["rules", "--rulez", "x"], ["run", str(site), "--as-of", "2026-11-01", "x"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(words)
        assert ended.value.code == 2


def test_rules_are_shown_checked_and_rendered(site: Path, capsys: Capture) -> None:
    assert cli.main(["rules"]) == 0
    assert "RG1" in capsys.readouterr().out
    assert cli.main(["rules", "check", str(site)]) == 0
    assert "No finding" in capsys.readouterr().out
    assert cli.main(["rules", "render", "--rules", "praxis-2025"]) == 0
    assert capsys.readouterr().out == render(load_ruleset("praxis-2025"), load_maps())
    assert cli.main(["rules", "show", str(site), "too", "many"]) == 2


def test_doctor_says_what_it_found(published: Path, capsys: Capture) -> None:
    assert cli.main(["doctor"]) == 0
    assert "duckdb" in capsys.readouterr().out
    assert cli.main(["doctor", str(published)]) in (0, 20)
    out = capsys.readouterr().out
    assert "last night" in out
    assert "2026-11-01" in out


def test_what_a_killed_check_left_goes_with_the_next_one(
    site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (site / "inbox" / "labs_1.csv").write_text(LABS)
    with cli.checking() as running:
        left = tmp_path / "b12screen-check-killed"
        left.mkdir()
        (left / "lock").touch()
        (left / "check.duckdb").touch()
        another = tmp_path / "b12screen-check-unknown"
        another.mkdir()
        assert cli.main(["check", str(site), "--as-of", "2026-11-01"]) == 0
        assert not left.exists()
        assert running.exists() and another.exists()
    assert not running.exists()


def test_doctor_says_what_the_last_night_found(site: Path, capsys: Capture) -> None:
    (site / "inbox" / "labs_1.csv").write_text(LABS)
    (site / "inbox" / "labs_2.csv").write_text("result_id\nr1\n")
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 20
    capsys.readouterr()
    assert cli.main(["doctor", str(site)]) == 20
    assert re.search(
        r"look +findings +1 of that night; labs_2\.csv was rejected", capsys.readouterr().out
    )


def test_a_terminal_of_few_letters_ends_no_night(
    site: Path, extracts: dict[str, str], deliver: Callable[[Path, dict[str, str]], None]
) -> None:
    deliver(site, extracts)
    (site / "inbox" / "labs_é🧪.csv").write_bytes(b"")
    words = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "b12screen", "run", str(site), "--as-of", "2026-11-01"],
        capture_output=True, text=True, env=os.environ | words, check=False,
    )  # fmt: skip
    assert done.returncode == 20, done.stderr
    assert "Open: " in done.stdout and "Traceback" not in done.stderr


def test_codes_without_a_map_are_listed_with_counts_and_days_and_nobody(
    published: Path, capsys: Capture
) -> None:
    assert cli.main(["unmapped", str(published)]) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"conditions +\|[^|]*\| icd10 +\| I10 +\|.* 1 +\| 2026-10-30 \| 2026-10-30", out
    )
    assert re.search(r"medications +\|[^|]*\| atc +\| C07AB02 +\|", out)
    assert "R20.2" not in out
    assert "0002" not in out


OWN_CODES = """
[conditions.icd10.I10]
group = "neuropathy"
tier = "definite"
meaning = "a code of our own"
[drugs.atc.C07AB02]
substance = "hydroxocobalamin"
meaning = "a product of our own"
"""


def test_codes_that_a_site_adds_count_and_are_listed_no_more(
    site: Path, extracts: dict[str, str], deliver: Deliver, capsys: Capture
) -> None:
    settings = site / "b12screen.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + OWN_CODES, encoding="utf-8")
    deliver(site, extracts)
    cli.main(["run", str(site), "--as-of", "2026-11-01"])
    capsys.readouterr()
    assert cli.main(["unmapped", str(site)]) == 0
    assert "Every code" in capsys.readouterr().out
    question = "SELECT neuro, b12_treatment FROM facts.patient WHERE patient_id = '0002'"
    assert cli.main(["query", str(site), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "recorded,active"
    question = "SELECT source, verified FROM map.condition WHERE code = 'I10'"
    assert cli.main(["query", str(site), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "b12screen.toml,site"


@pytest.mark.parametrize(
    ("added", "finding"),
    [
        ('[conditions.icd10."R20.2"]\ngroup = "paraesthesia"\ntier = "weak"\n', "in the map"),
        ('[conditions.icd10.I10]\ngroup = "neuropathy"\n', "needs a tier"),
        ('[conditions.icd10.I10]\ngroup = "heart"\n', "group is none of"),
        ('[conditions.icd11.I10]\ngroup = "dialysis"\n', "code system"),
        ('[drugs.atc.C07AB02]\nsubstance = "aspirin"\n', "drugs.atc.C07AB02.substance"),
    ],
)
def test_a_code_that_a_site_adds_wrongly_is_named(
    site: Path, capsys: Capture, added: str, finding: str
) -> None:
    settings = site / "b12screen.toml"
    text = settings.read_text(encoding="utf-8") + added + 'meaning = "ours"\n'
    settings.write_text(text, encoding="utf-8")
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 10
    assert finding in capsys.readouterr().err


@pytest.mark.parametrize(
    "most", [2, pytest.param(len(ACTIONS), marks=pytest.mark.long)], ids=["two", "all"]
)
def test_the_demo_lists_somebody_for_every_action_and_explains_them(
    tmp_path: Path, capsys: Capture, most: int
) -> None:
    site = tmp_path / "demo"
    assert cli.main(["demo", str(site)]) == 0
    capsys.readouterr()
    question = (
        "SELECT action, min(patient_id) FROM worklists.item WHERE item_state = 'open' GROUP BY ALL"
    )
    assert cli.main(["query", str(site), question, "--csv"]) == 0
    listed = dict(line.split(",") for line in capsys.readouterr().out.split()[1:])
    # A result that is withdrawn after a clinic was told is a row of the way back.
    assert listed.keys() | {"result_withdrawn"} == set(ACTIONS)
    for action, patient_id in sorted(listed.items())[:most]:
        assert cli.main(["explain", str(site), patient_id]) == 0
        out = capsys.readouterr().out
        assert f": {action.replace('_', ' ').replace('b12', 'B12')}, priority" in out
        assert "what would change the answer" in out
