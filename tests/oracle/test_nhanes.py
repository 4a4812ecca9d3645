"""Real results that nobody here wrote: every adult decided as the plain Python decides them."""

import shutil
from collections import defaultdict
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


def as_messages() -> str:
    """The survey as a laboratory would send it: one ORU^R01 a person, a batch without an end."""
    results: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in nhanes.read("labs.csv.gz"):
        results[row["patient_id"]].append(row)
    segments = []
    for person in nhanes.read("patients.csv.gz"):
        patient_id = person["patient_id"]
        born, sex = person["birth_date"].replace("-", ""), person["sex"][:1].upper()
        segments += [
            f"MSH|^~\\&|LIS|SURVEY|EHR|CLINIC|20040129||ORU^R01|{patient_id}|P|2.5.1",
            f"PID|1||{patient_id}^^^SURVEY^MR||Doe^Jane||{born}|{sex}",
            f"PV1|1|O|{person['clinic_id']}",
        ]
        for number, row in enumerate(results[patient_id], 1):
            collected, reported = (
                row[name].replace("-", "") for name in ("collected_at", "reported_at")
            )
            kind = "ST" if row["value"][:1] in "<>" else "NM"
            if number == 1:
                segments.append(
                    f"OBR|1||{patient_id}|PANEL^Panel^L|||{collected}"
                    + "|" * 15
                    + reported
                    + "|||F"
                )
            segments.append(
                f"OBX|{number}|{kind}|{row['code']}^{row['test_name']}^LN||{row['value']}"
                f"|{row['unit']}|||||F|||{collected}"
            )
    return "\r".join([*segments, ""])


def test_the_survey_as_hl7_messages_gives_the_same_worklists(
    published: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    make_site(site)
    (site / "inbox" / "survey.hl7").write_text(as_messages(), encoding="utf-8")
    told = run_night(site, AS_OF, datetime(2004, 2, 1, 2, 30), lambda line: None).published
    sheets = [
        {path.name: path.read_bytes() for path in (night / "worklists").iterdir()}
        for night in (published, told)
    ]
    assert sum(sheet.count(b"\n") for sheet in sheets[0].values()) > 700
    assert sheets[1] == sheets[0]
    with Warehouse.open(told / "b12screen.duckdb", read_only=True) as warehouse:
        accounts = warehouse.rows(
            "SELECT kind, n_read, n_accepted FROM run.source_file ORDER BY kind"
        )
    assert accounts == [("labs", N_RESULTS, N_RESULTS), ("patients", 8327, 8327)]
