"""A small site with hand-made extracts, and one night of it published."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from b12screen.settings import make_site

NIGHT = date(2026, 11, 1)

EXTRACTS = {
    "patients_1.csv": """\
patient_id,birth_date,sex,clinic_id,opted_out
0001,1950-02-03,female,north,false
0002,1960-05-06,male,north,false
0003,1970-07-08,female,south,true
""",
    "conditions_1.csv": """\
patient_id,code,code_system,recorded_on,resolved_on
0001,R20.2,icd10,2026-06-01,
0002,I10,icd10,2026-10-30,
""",
    "medications_1.csv": """\
medication_id,patient_id,code,code_system,kind,started_on,ended_on
m1,0002,C07AB02,atc,prescription,2026-10-30,
""",
    "labs_1.csv": """\
result_id,patient_id,collected_at,code,value,unit
r1,0001,2026-10-30,13964-2,900,nmol/L
r2,0001,2026-10-30,13965-9,31.5,umol/L
r3,0001,2026-10-30,2132-9,100,pg/mL
r4,0002,2026-10-30,13964-2,150,nmol/L
r5,0002,2026-10-30,13965-9,9,umol/L
r6,0002,2026-10-30,13964-2,many,nmol/L
""",
}


def deliver(site: Path, extracts: dict[str, str]) -> None:
    for name, text in extracts.items():
        (site / "inbox" / name).write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An empty site."""
    root = tmp_path / "site"
    make_site(root)
    return root


@pytest.fixture
def extracts() -> dict[str, str]:
    return dict(EXTRACTS)


@pytest.fixture(name="deliver")
def deliver_fixture() -> Callable[[Path, dict[str, str]], None]:
    return deliver


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[Path], Path]:
    """A site of one's own with the nights of another: a night costs seconds, a copy none."""

    def copied(night: Path) -> Path:
        return shutil.copytree(night, tmp_path / "copied", symlinks=True)

    return copied


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose one night is published; for reading only."""
    from b12screen.night import run_night

    root = tmp_path_factory.mktemp("published") / "site"
    make_site(root)
    deliver(root, EXTRACTS)
    run_night(root, NIGHT, datetime(2026, 11, 1, 2, 30, tzinfo=UTC), lambda step: None)
    return root
