"""`check` says what would happen and touches nothing of the site."""

from pathlib import Path

from b12screen.ingest import check
from b12screen.maps import Maps
from b12screen.settings import Settings

from .inbox import LAB_HEADER, NIGHT, ROW, buckets


def test_files_are_checked_without_a_store(tmp_path: Path, maps: Maps) -> None:
    labs = tmp_path / "labs.csv"
    labs.write_text(f"{LAB_HEADER}\n{ROW}\n{ROW.replace('412', '4')}\n")
    notes = tmp_path / "notes.txt"
    notes.write_text("x")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = sorted(tmp_path.iterdir())
    taking = check([labs, notes], Settings(), maps, NIGHT, scratch, lambda line: None)
    assert buckets(taking.accounts[0]) == (2, 1, 0, 0, 0, 1)
    assert taking.left_alone == (notes.as_posix(),)
    assert sorted(tmp_path.iterdir()) == before
