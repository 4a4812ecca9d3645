"""Real results that nobody here wrote: every adult decided as the plain Python decides them."""

import shutil
from datetime import date, datetime
from pathlib import Path

import pytest

from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse
from tests.oracle import nhanes

AS_OF = date(2004, 2, 1)
N_RESULTS = 46_699

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif(not nhanes.available(), reason="../shared/data is not there"),
]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("nhanes") / "site"
    make_site(site)
    for extract in nhanes.FOLDER.glob("*.csv.gz"):
        shutil.copy(extract, site / "inbox")
    return run_night(site, AS_OF, datetime(2004, 2, 1, 2, 30), lambda line: None).published


def test_every_adults_status_and_rule_equal_the_plain_recomputation(published: Path) -> None:
    survey = nhanes.survey()
    with Warehouse.open(published / "b12screen.duckdb", read_only=True) as warehouse:
        found = {
            patient_id: (status, rule_id)
            for patient_id, status, rule_id in warehouse.rows(
                "SELECT patient_id, functional_status, rule_id FROM decisions.functional_status"
            )
        }
    assert survey.adults == 5_039
    assert found == survey.statuses


def test_every_persons_actions_equal_the_plain_recomputation(published: Path) -> None:
    expected = {
        (patient_id, row.action, row.rule_id, row.priority)
        for patient_id, decision in nhanes.survey().decisions.items()
        for row in decision.actions
    }
    with Warehouse.open(published / "b12screen.duckdb", read_only=True) as warehouse:
        found = set(
            warehouse.rows("SELECT patient_id, action, rule_id, priority FROM decisions.action")
        )
    assert found == expected


def test_every_result_of_the_survey_is_accounted_for(published: Path) -> None:
    with Warehouse.open(published / "b12screen.duckdb", read_only=True) as warehouse:
        ((n_read, n_in_buckets),) = warehouse.rows(
            "SELECT n_read, n_accepted + n_duplicate + n_superseded + n_out_of_scope + n_rejected "
            "FROM run.source_file WHERE kind = 'labs'"
        )
        n_stored = warehouse.scalar("SELECT count(*) FROM core.lab_result")
    assert (n_read, n_in_buckets, n_stored) == (N_RESULTS, N_RESULTS, N_RESULTS)
