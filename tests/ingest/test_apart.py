"""What is read in a process of its own: the night outlives it, and nothing of it is repeated."""

import os
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b12screen.ingest.apart import apart
from b12screen.ingest.columnar import parquet_kinds
from b12screen.ingest.delimited import FileRefused

from .inbox import Box, buckets

DAY_WITHOUT_END = pl.Series([2_147_483_647, -2_147_483_648, 20_000], dtype=pl.Int32).cast(pl.Date)
PEOPLE = {"patient_id": ["P1", "P2", "P3"], "sex": ["female"] * 3, "clinic_id": ["C1"] * 3}


def test_what_a_child_gives_or_raises_is_what_its_parent_gets(tmp_path: Path) -> None:
    assert apart(max, 3, 5) == 5
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(FileRefused, match="not a readable Parquet file"):
        apart(parquet_kinds, tmp_path / "x.parquet")
    with pytest.raises(FileNotFoundError):
        apart(os.stat, "/nowhere")


def test_a_reader_that_goes_down_takes_its_file_along_and_nothing_else(
    capfd: pytest.CaptureFixture[str],
) -> None:
    for end in (os.abort, os._exit):
        with pytest.raises(FileRefused, match="ended the process that read it"):
            apart(end, *((7,) if end is os._exit else ()))
    assert capfd.readouterr() == ("", "")


def test_an_infinite_day_of_an_end_is_none_and_of_a_birth_a_rejected_row(box: Box) -> None:
    frame = pl.DataFrame(
        PEOPLE | {"birth_date": [date(1950, 2, 3)] * 3, "deceased_on": DAY_WITHOUT_END}
    )
    frame.write_parquet(box.inbox / "patients_1.parquet")
    assert buckets(box.account()) == (3, 2, 0, 0, 0, 1)
    assert box.rows("SELECT patient_id, deceased_on FROM core.patient ORDER BY ALL") == [
        ("P1", None),
        ("P3", date(2024, 10, 4)),
    ]
    born = pl.DataFrame(PEOPLE | {"birth_date": DAY_WITHOUT_END})
    born.write_parquet(box.inbox / "patients_2.parquet")
    assert buckets(box.account()) == (3, 1, 0, 0, 0, 2)


def test_a_timezone_that_is_none_is_not_repeated(
    box: Box, capfd: pytest.CaptureFixture[str]
) -> None:
    born = pa.array([0] * 3, pa.timestamp("us", tz="CANARY JONES"))
    pq.write_table(pa.table(PEOPLE | {"birth_date": born}), box.inbox / "patients.parquet")
    account = box.account()
    assert account.reason is not None
    assert "CANARY" not in account.reason + "".join(capfd.readouterr())


def test_a_parquet_file_may_be_named_like_a_pattern(box: Box) -> None:
    pl.DataFrame(PEOPLE | {"birth_date": ["1950-02-03"] * 3}).write_parquet(
        box.inbox / "patients[1].parquet"
    )
    assert buckets(box.account()) == (3, 3, 0, 0, 0, 0)
