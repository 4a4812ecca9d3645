"""A small site of made-up people, one of each kind that an interlock speaks of."""

import hashlib
import os
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from b12screen.night import NightResult, run_night
from b12screen.settings import make_site

FIRST_NIGHT = date(2026, 11, 1)
SECOND_NIGHT = date(2026, 11, 2)

PEOPLE = """\
patient_id,birth_date,sex,clinic_id,deceased_on,opted_out
neuro,1950-02-03,female,north,,false
plain,1960-05-06,male,north,,false
opted,1970-07-08,female,south,,true
dead,1941-07-08,male,south,2026-10-31,false
child,2015-01-01,male,south,,false
pregnant,1995-01-01,female,south,,false
inborn,1990-01-01,female,south,,false
reaction,1980-01-01,male,south,,false
kidney,1955-03-04,male,north,,false
well,1966-05-06,female,"West, stop B12",,false
ageless,,female,north,,false
homeless,1958-05-06,female,,,false
'=2,1957-05-06,male,=1+1,,false
give folic acid,1956-05-06,male,cyanocobalamin,,false
"""
CONDITIONS = """\
patient_id,code,code_system,recorded_on
neuro,R20.2,icd10cm,2026-06-01
pregnant,O09.9,icd10cm,2026-06-01
inborn,D51.2,icd10cm,2026-06-01
reaction,T45.2X5A,icd10cm,2026-06-01
kidney,N18.4,icd10cm,2026-06-01
neuro,E11.21,icd10cm,2026-06-01
well,I10,icd10cm,2026-10-30
"""
MEDICATIONS = """\
medication_id,patient_id,code,code_system,kind,started_on
m1,kidney,B03BA01,atc,prescription,2026-06-30
m2,plain,B03BB01,atc,prescription,2026-10-30
"""
RAISED = [line.split(",")[0] for line in PEOPLE.splitlines()[1:] if line[:5] != "well,"]
EXTRACTS = {
    "patients_1.csv": PEOPLE,
    "conditions_1.csv": CONDITIONS,
    "medications_1.csv": MEDICATIONS,
    "labs_1.csv": "result_id,patient_id,collected_at,code,value,unit\n"
    + "".join(
        f"m{n},{person},2026-10-{day},13964-2,900,nmol/L\n"
        f"h{n},{person},2026-10-{day},13965-9,31.5,umol/L\n"
        f"b{n},{person},2026-10-{day},2132-9,100,pg/mL\n"
        f"c{n},{person},2026-10-{day},14682-9,80,umol/L\n"
        for n, person in enumerate(RAISED)
        for day in [20 + n % 10]
    )
    + "w1,well,2026-10-30,13964-2,150,nmol/L\nw2,well,2026-10-30,13965-9,9,umol/L\n",
}


def deliver(site: Path, extracts: dict[str, str]) -> None:
    for name, text in extracts.items():
        (site / "inbox" / name).write_text(text, encoding="utf-8")


def night(site: Path, as_of: date) -> NightResult:
    started_at = datetime(as_of.year, as_of.month, as_of.day, 2, 30, tzinfo=UTC)
    return run_night(site, as_of, started_at, lambda step: None)


def bytes_below(folder: Path) -> dict[str, str]:
    """Every path below a folder with its hash, or where it leads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="session")
def first_night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose first night is published; for copying only."""
    root = tmp_path_factory.mktemp("first") / "site"
    make_site(root)
    deliver(root, EXTRACTS)
    assert night(root, FIRST_NIGHT).findings == []
    return root


@pytest.fixture
def site(first_night: Path, tmp_path: Path) -> Path:
    """The same site, to do with as a test likes."""
    root = tmp_path / "site"
    shutil.copytree(first_night, root, symlinks=True)
    return root
