"""The folders of a site keep their modes, whatever the umask of the run."""

import os
import stat
from datetime import date, datetime
from pathlib import Path

import pytest

from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse

NIGHT = date(2026, 11, 22)
LABS = """result_id,patient_id,collected_at,reported_at,code,value,unit
R1,P1,2026-11-20,2026-11-21,14685-2,120,pmol/L
"""
PATIENTS = "patient_id,birth_date,sex,clinic_id\nP1,1960-01-01,female,C1\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    make_site(folder)
    (folder / "inbox" / "labs.csv").write_text(LABS)
    (folder / "inbox" / "patients.csv").write_text(PATIENTS)
    return folder


@pytest.mark.parametrize(
    "umask", [0o000, *(pytest.param(umask, marks=pytest.mark.long) for umask in (0o022, 0o077))]
)
def test_folders_have_their_modes_under_any_umask(site: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run_night(site, NIGHT, datetime(2026, 11, 22), lambda line: None)
    finally:
        os.umask(before)
    modes = {
        path.relative_to(site).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in [site / "published", *(site / "published").rglob("*"), site / "store"]
        if not path.is_symlink()
    }
    assert {mode for name, mode in modes.items() if (site / name).is_file()} == {0o440}
    assert {mode for name, mode in modes.items() if (site / name).is_dir() and name != "store"} == {
        0o750
    }
    assert modes["store"] == 0o700
    assert stat.S_IMODE((site / "store" / "generations").stat().st_mode) == 0o700


@pytest.mark.long
def test_a_night_run_again_tells_the_takings_of_every_attempt(site: Path) -> None:
    for _ in range(2):
        result = run_night(site, NIGHT, datetime(2026, 11, 22), lambda line: None)
    assert result.run_id == "2026-11-22.2"
    with Warehouse.open(result.published / "b12screen.duckdb", read_only=True) as warehouse:
        assert warehouse.rows("SELECT n_files, n_read, n_accepted FROM run.night") == [(2, 2, 2)]
