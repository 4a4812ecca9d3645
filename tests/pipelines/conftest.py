"""One Prefect for the whole session: its own home, a server of its own that it starts itself.

Prefect reads its environment once, so nothing may import it before these fixtures do.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from b12screen.settings import make_site

# Planted where a patient's identifier stands, and in the cell that is broken.
CANARY = "canary7734"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    make_site(root)
    return root


@pytest.fixture
def sound() -> dict[str, str]:
    """Extracts that are taken without a finding, of a person with the canary for an identifier."""
    return {
        "patients_1.csv": "patient_id,birth_date,sex,clinic_id\n"
        f"{CANARY},1950-02-03,female,north\n",
        "conditions_1.csv": "patient_id,code,code_system,recorded_on\n"
        f"{CANARY},R20.2,icd10,2026-10-30\n",
        "medications_1.csv": "medication_id,patient_id,code,code_system,kind,started_on\n"
        f"m1,{CANARY},C07AB02,atc,prescription,2026-10-30\n",
        "labs_1.csv": "result_id,patient_id,collected_at,code,value,unit\n"
        f"r1,{CANARY},2026-10-30,13964-2,900,nmol/L\n"
        f"r2,{CANARY},2026-10-30,13965-9,31.5,umol/L\n",
    }


@pytest.fixture
def deliver(site: Path) -> Callable[[dict[str, str]], None]:
    def write(extracts: dict[str, str]) -> None:
        for name, text in extracts.items():
            (site / "inbox" / name).write_text(text, encoding="utf-8")

    return write


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    assert "prefect" not in sys.modules, "a test outside tests/pipelines has imported prefect"
    home = tmp_path_factory.mktemp("prefect")
    before = dict(os.environ)
    os.environ["PREFECT_HOME"] = str(home)
    from pipelines.environment import prepare

    prepare(home)
    yield home
    if "prefect" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogHandler
        from prefect.server.api.server import SubprocessASGIServer

        # What is on its way is delivered first; Prefect would wait long for a server that is gone.
        APILogHandler().flush()
        EventsWorker.drain_all()
        for server in list(SubprocessASGIServer._instances.values()):
            server.stop()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def flows(prefect_home: Path) -> ModuleType:
    """The module of the flow, with Prefect at home in a folder of this session."""
    from pipelines import nightly

    return nightly


def holding(folder: Path, text: str) -> list[str]:
    """Files below a folder in whose name or bytes a text occurs."""
    wanted = text.encode()
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (wanted in path.read_bytes() or text in path.name)
    ]


@pytest.fixture(name="holding", scope="session")
def holding_fixture() -> Callable[[Path, str], list[str]]:
    return holding


@pytest.fixture(scope="session")
def prefect_knows(flows: ModuleType, prefect_home: Path) -> Callable[[str], list[str]]:
    """Files of Prefect's home in which a text occurs, once the logs on their way have arrived."""
    from prefect.logging.handlers import APILogHandler

    def search(text: str) -> list[str]:
        APILogHandler().flush()
        return holding(prefect_home, text)

    return search


@pytest.fixture(scope="session")
def canary() -> str:
    return CANARY
