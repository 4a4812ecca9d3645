"""`check` says what would happen and touches nothing of the site."""

import os
from pathlib import Path

from b12screen.ingest import check
from b12screen.maps import Maps
from b12screen.settings import Settings

from .inbox import LAB_HEADER, NIGHT, ROW, buckets


def test_the_inbox_is_looked_into_as_a_night_would(tmp_path: Path, maps: Maps) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "labs.csv").write_text(f"{LAB_HEADER}\n{ROW}\n")
    (inbox / "labs_link.csv").symlink_to("/etc/passwd")
    (inbox / "labs_\nforged.csv").write_text("x")
    os.close(os.open(os.fsencode(inbox) + b"/labs_\xff.csv", os.O_CREAT))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    taking = check([], Settings(), maps, NIGHT, scratch, lambda line: None, inbox=inbox)
    assert [account.file_name for account in taking.accounts] == ["labs.csv"]
    findings = " ".join(taking.findings)
    for name in ("labs_\\nforged.csv", "labs_\\xff.csv"):
        assert f"{name} was left alone: its name" in findings
    assert "symbolic link" in findings


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
