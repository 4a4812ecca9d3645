"""A file of the store, or the last published one, that is cut off or changed on the disk.

The night says which and what to do, publishes nothing, and leaves yesterday's sheets to be read.
"""

import os
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from b12screen import cli
from b12screen import publish as publishing
from b12screen.errors import AuditFailed
from b12screen.warehouse import Damaged, Warehouse

from .conftest import FIRST_NIGHT, SECOND_NIGHT, bytes_below, night
from .test_whole_or_absent import whole

pytestmark = pytest.mark.long
Damage = Callable[[Path], None]
Capture = pytest.CaptureFixture[str]
THIRD_NIGHT = date(2026, 11, 3)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def without_its_end(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def without_all_but_its_head(path: Path) -> None:
    os.truncate(path, 12_288)


def another(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def turned(path: Path) -> None:
    """Every block changed in one byte, none longer or shorter."""
    content = bytearray(path.read_bytes())
    for place in range(12_288 + 4096, len(content), 262_144):
        content[place] ^= 0xFF
    path.write_bytes(content)


CUT = [emptied, without_its_end, halved, without_all_but_its_head, another]


def worklists(site: Path) -> dict[str, str]:
    return bytes_below(site / "published" / "current" / "worklists")


@pytest.mark.parametrize("damage", [*CUT, longer, turned])
@pytest.mark.parametrize("name", ["state.duckdb", "private.duckdb"])
def test_a_damaged_store_is_named_and_nothing_is_published(
    site: Path, name: str, damage: Damage
) -> None:
    yesterday = bytes_below(site / "published")
    path = site / "store" / "generations" / "2026-11-01.1" / name
    shutil.copyfile(path, site / "backup")
    damage(path)
    with pytest.raises(AuditFailed, match="bring store/ back from its backup") as damaged:
        night(site, SECOND_NIGHT)
    assert damaged.value.exit_code == 13
    assert "is damaged" in str(damaged.value)
    assert "nothing was published, yesterday's sheets stand" in str(damaged.value)
    assert bytes_below(site / "published") == yesterday
    # What was said to be done mends it.
    shutil.copyfile(site / "backup", path)
    assert night(site, SECOND_NIGHT).run_id == "2026-11-02.1"


def test_a_store_without_its_note_of_sizes_is_still_held_to_its_checksums(site: Path) -> None:
    """Stores of an earlier version have no archive; the engine's own checks speak."""
    shutil.rmtree(site / "store" / "nights")
    turned(site / "store" / "generations" / "2026-11-01.1" / "state.duckdb")
    yesterday = bytes_below(site / "published")
    with pytest.raises(AuditFailed, match=r"store/generations/2026-11-01[.]1 is damaged"):
        night(site, SECOND_NIGHT)
    assert bytes_below(site / "published") == yesterday


@pytest.mark.parametrize("damage", [emptied, halved, without_all_but_its_head, another, turned])
def test_a_damaged_last_night_is_never_taken_for_one_without_items(
    site: Path, damage: Damage, capsys: Capture
) -> None:
    whole = site.parent / "whole"
    shutil.copytree(site, whole, symlinks=True)
    night(whole, SECOND_NIGHT)
    last = site / "published" / ".nights" / "2026-11-01.1" / "b12screen.duckdb"
    last.chmod(0o640)
    damage(last)
    yesterday = bytes_below(site / "published")
    assert cli.main(["run", str(site), "--as-of", "2026-11-02"]) == 13
    said = capsys.readouterr().err
    assert "published/.nights/2026-11-01.1/b12screen.duckdb is damaged" in said
    assert "without which every row would be new" in said
    assert bytes_below(site / "published") == yesterday
    # What was said to be done mends it, and nobody's row is new again.
    assert cli.main(["replay", str(site), "--as-of", "2026-11-01"]) == 0
    shutil.copyfile(site / "replays" / "2026-11-01-praxis-2025" / "b12screen.duckdb", last)
    night(site, SECOND_NIGHT)
    assert worklists(site) == worklists(whole)


def test_a_damaged_published_file_is_no_bug_to_whoever_reads_it(
    site: Path, capsys: Capture
) -> None:
    last = site / "published" / ".nights" / "2026-11-01.1" / "b12screen.duckdb"
    last.chmod(0o640)
    halved(last)
    for command in (["rejects", str(site)], ["compare", str(site), "--rules", "ng239-2024"]):
        assert cli.main(command) == 13
        said = capsys.readouterr().err
        assert "is damaged" in said and "Traceback" not in said and "bug" not in said


def test_what_a_damaged_file_held_is_in_no_message(tmp_path: Path) -> None:
    path = tmp_path / "canary.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.execute(
            "CREATE TABLE main.told AS SELECT 'CANARY' || i AS who FROM range(99) r(i)"
        )
    turned(path)
    with pytest.raises(Damaged) as damaged, Warehouse.open(path, read_only=True) as warehouse:
        warehouse.rows("SELECT max(who) FROM main.told")
    assert "CANARY" not in str(damaged.value)
    assert damaged.value.exit_code == 13


def test_a_night_after_a_mended_one_goes_on_from_it(site: Path) -> None:
    """The night before is what counts, not the one before that."""
    assert night(site, FIRST_NIGHT).run_id == "2026-11-01.2"
    halved(site / "store" / "generations" / "2026-11-01.2" / "private.duckdb")
    with pytest.raises(AuditFailed):
        night(site, THIRD_NIGHT)
    assert (site / "published" / "current").resolve().name == "2026-11-01.2"


def test_a_damaged_last_night_is_named_where_an_answer_asks_for_its_items(site: Path) -> None:
    """They are asked for while extracts are taken into the store, which is whole."""
    (site / "inbox" / "feedback_1.csv").write_text("item_id,decision\nx,done\n", encoding="utf-8")
    last = site / "published" / ".nights" / "2026-11-01.1" / "b12screen.duckdb"
    last.chmod(0o640)
    halved(last)
    named = r"published/[.]nights/2026-11-01[.]1/b12screen[.]duckdb is damaged"
    with pytest.raises(AuditFailed, match=named):
        night(site, SECOND_NIGHT)


def test_a_night_that_does_not_find_the_last_one_says_that_history_begins_anew(site: Path) -> None:
    (site / "published").rename(site / "elsewhere")
    result = night(site, SECOND_NIGHT)
    assert result.exit_code == 20
    assert "published/.nights/2026-11-01.1 was not there: history begins anew" in result.findings[0]
    assert any("history begins anew" in line for line in result.summary)
    # Once: the night after that has one to follow.
    assert not any("anew" in finding for finding in night(site, THIRD_NIGHT).findings)


def cut_off(folder: Path) -> None:
    path = folder / "b12screen.duckdb"
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)


def one_byte_of_a_sheet(folder: Path) -> None:
    path = folder / "worklists" / "north.csv"
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.chmod(0o640)
    path.write_bytes(content)


def a_sheet_taken_away(folder: Path) -> None:
    (folder / "worklists" / "south.csv").unlink()


def a_file_put_beside_them(folder: Path) -> None:
    (folder / "worklists" / "copy of north.csv").write_text("item_id\n")


def another_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.chmod(0o640)
    path.write_text(path.read_text().replace('"findings": []', '"findings": [ ]'))


def test_a_file_that_is_not_as_it_was_written_is_never_published(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is damaged when all is written, and before `current` is re-pointed."""
    yesterday = bytes_below(site / "published")
    seal = publishing.seal
    for damage in (
        *(cut_off, one_byte_of_a_sheet, a_sheet_taken_away),
        *(a_file_put_beside_them, another_manifest),
    ):

        def sealed_and_damaged(folder: Path, group: str | None, damage: Damage = damage) -> None:
            seal(folder, group)
            damage(folder)

        with monkeypatch.context() as disk:
            disk.setattr(publishing, "seal", sealed_and_damaged)
            with pytest.raises(AuditFailed, match=r"1 of \d+ finished files are not") as failed:
                night(site, SECOND_NIGHT)
        assert failed.value.exit_code == 13
        assert bytes_below(site / "published") == yesterday, damage.__name__
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"


def test_a_published_file_put_back_from_an_older_night_is_not_taken_for_the_last_one(
    site: Path, capsys: Capture
) -> None:
    older = site / "published" / ".nights" / "2026-11-01.1" / "b12screen.duckdb"
    night(site, SECOND_NIGHT)
    last = site / "published" / ".nights" / "2026-11-02.1" / "b12screen.duckdb"
    shutil.copyfile(last, site / "backup")
    last.chmod(0o640)
    shutil.copyfile(older, last)
    yesterday = bytes_below(site / "published")
    with pytest.raises(
        AuditFailed, match=r"2026-11-02[.]1/b12screen[.]duckdb holds the night 2026-11-01[.]1"
    ):
        night(site, THIRD_NIGHT)
    assert bytes_below(site / "published") == yesterday
    assert cli.main(["doctor", str(site)]) == 20
    assert "b12screen.duckdb first" in capsys.readouterr().out
    shutil.copyfile(site / "backup", last)
    assert night(site, THIRD_NIGHT).run_id == "2026-11-03.1"


def test_doctor_tells_of_a_sheet_that_somebody_saved_over_and_of_one_put_beside(
    site: Path, capsys: Capture
) -> None:
    folder = (site / "published" / "current").resolve()
    cli.main(["doctor", str(site)])
    assert "files, each what the night wrote" in capsys.readouterr().out
    sheet = next(iter(sorted((folder / "worklists").glob("*.csv"))))
    sheet.chmod(0o640)
    with sheet.open("a") as file:
        file.write("x")
    (folder / "worklists").chmod(0o750)
    (folder / "worklists" / "~lock.csv").write_text("")
    assert cli.main(["doctor", str(site)]) == 20
    said = capsys.readouterr().out
    assert "2 of " in said
    assert f"are not what the night wrote, worklists/{sheet.name} first" in said
    (folder / "manifest.json").chmod(0o640)
    (folder / "manifest.json").write_text("{")
    assert cli.main(["doctor", str(site)]) == 20
    assert "manifest.json is damaged" in capsys.readouterr().out
    (folder / "manifest.json").unlink()
    assert cli.main(["doctor", str(site)]) == 20
    assert "manifest.json is not there" in capsys.readouterr().out
