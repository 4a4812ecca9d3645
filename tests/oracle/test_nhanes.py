"""Real results that nobody here wrote: every adult decided as the plain Python decides them."""

import json
import shutil
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from b12screen.night import run_night
from b12screen.settings import SETTINGS_FILE, make_site
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


def as_resources() -> str:
    """The survey as FHIR resources, one a line: every person, then every observation."""
    lines: list[dict[str, Any]] = [
        {
            "resourceType": "Patient",
            "id": person["patient_id"],
            "birthDate": person["birth_date"],
            "gender": person["sex"],
            "managingOrganization": {"reference": f"Organization/{person['clinic_id']}"},
        }
        for person in nhanes.read("patients.csv.gz")
    ]
    for row in nhanes.read("labs.csv.gz"):
        comparator = {"comparator": row["value"][0]} if row["value"][:1] in "<>" else {}
        lines.append(
            {
                "resourceType": "Observation",
                "id": row["result_id"],
                "status": row["status"],
                "code": {
                    "coding": [{"system": "http://loinc.org", "code": row["code"]}],
                    "text": row["test_name"],
                },
                "subject": {"reference": f"Patient/{row['patient_id']}"},
                "effectiveDateTime": row["collected_at"],
                "issued": f"{row['reported_at']}T00:00:00Z",
                "valueQuantity": {
                    **comparator,
                    "value": Decimal(row["value"].lstrip("<> ")),
                    "unit": row["unit"],
                },
            }
        )
    # Doubles print as they were sent, but for noughts at the end.
    return "".join(json.dumps(line, default=float) + "\n" for line in lines)


# The laboratory's own code for each code of the survey, and the unit that it writes.
LOCAL_TESTS = {
    "13964-2": ("MMAS", "mma", "µmol/l"),
    "13965-9": ("HCYP", "hcy", ""),
    "2132-9": ("B12", "b12", "pg/ml"),
    "2160-0": ("KREA", "creatinine", "mg/dl"),
    "2284-8": ("FOLS", "folate", "ng/ml"),
    "2283-0": ("FOLE", "red_cell_folate", "ng/ml"),
}
OWN_SETTINGS = """
[laboratories.main]
code_system = "haus"

[[laboratories.main.csv]]
files = ["labor/*.txt"]
encoding = "latin-1"
separator = ";"
decimal = ","
dates = ["%d.%m.%Y"]
constants = {code_system = "haus"}
words = {status = {"endgültig" = "final"}}
ids = {patient_id = {strip_prefix = "Pat. "}}

[laboratories.main.csv.columns]
result_id = ["Auftrag", "Kürzel"]
patient_id = "Patient"
clinic_id = "Einsender"
collected_at = "Abnahme"
reported_at = "Befunddatum"
code = "Kürzel"
test_name = "Untersuchung"
value = "Ergebnis"
unit = "Einheit"
status = "Stand"

[[laboratories.main.csv]]
files = ["adt/*.csv"]
kind = "patients"
encoding = "utf-16"
separator = "|"
dates = ["%d-%b-%Y"]
columns = {patient_id = "Nr", birth_date = "geboren", sex = "Geschlecht", clinic_id = "Einsender"}
words = {sex = {"weiblich" = "female", "männlich" = "male"}}
"""


def own_tables() -> tuple[bytes, bytes]:
    """The survey as a laboratory's own table, and its people as a hospital's."""
    labs = [
        "Auftrag;Patient;Einsender;Abnahme;Befunddatum;Kürzel;Untersuchung;Ergebnis;Einheit;Stand"
    ]
    for row in nhanes.read("labs.csv.gz"):
        code, _, unit = LOCAL_TESTS[row["code"]]
        collected, reported = (
            date.fromisoformat(row[name]).strftime("%d.%m.%Y")
            for name in ("collected_at", "reported_at")
        )
        labs.append(
            f"{row['result_id']};Pat. {row['patient_id']};{row['clinic_id']};{collected};{reported}"
            f";{code};{row['test_name']};{row['value'].replace('.', ',')};{unit};Endgültig"
        )
    people = ["Nr|geboren|Geschlecht|Einsender"]
    sexes = {"male": "männlich", "female": "weiblich"}
    for person in nhanes.read("patients.csv.gz"):
        born = date.fromisoformat(person["birth_date"]).strftime("%d-%b-%Y").upper()
        people.append(f"{person['patient_id']}|{born}|{sexes[person['sex']]}|{person['clinic_id']}")
    return (
        "\r\n".join([*labs, ""]).encode("latin-1"),
        "\r\n".join([*people, ""]).encode("utf-16"),
    )


def write_messages(site: Path) -> None:
    (site / "inbox" / "survey.hl7").write_text(as_messages(), encoding="utf-8")


def write_resources(site: Path) -> None:
    (site / "inbox" / "survey.ndjson").write_text(as_resources(), encoding="utf-8")


def write_own_tables(site: Path) -> None:
    tests = "".join(
        f'[laboratories.main.tests.{code}]\nanalyte = "{analyte}"\nspecimen = "serum"\n'
        + ("" if unit else 'unit = "umol/L"\n')
        for code, analyte, unit in LOCAL_TESTS.values()
        if analyte != "red_cell_folate"
    )
    tests += '[laboratories.main.tests.FOLE]\nanalyte = "red_cell_folate"\n'
    (site / SETTINGS_FILE).write_text(OWN_SETTINGS + tests, encoding="utf-8")
    for folder, name, content in zip(
        ("labor", "adt"), ("export.txt", "stamm.csv"), own_tables(), strict=True
    ):
        (site / "inbox" / folder).mkdir()
        (site / "inbox" / folder / name).write_bytes(content)


def write_parquet(site: Path) -> None:
    """With the types that a warehouse would give it, but for the values, which are text."""
    for kind, days in (("labs", ("collected_at", "reported_at")), ("patients", ("birth_date",))):
        frame = pl.DataFrame(list(nhanes.read(f"{kind}.csv.gz")))
        frame = frame.with_columns(pl.col(day).str.to_date() for day in days)
        frame.write_parquet(site / "inbox" / f"{kind}.parquet")


@pytest.mark.long
@pytest.mark.parametrize(
    "write", [write_resources, write_messages, write_own_tables, write_parquet]
)
def test_the_survey_written_in_another_form_gives_the_same_worklists(
    published: Path, tmp_path: Path, write: Callable[[Path], None]
) -> None:
    site = tmp_path / "site"
    make_site(site)
    write(site)
    told = run_night(site, AS_OF, datetime(2004, 2, 1, 2, 30), lambda line: None).published
    with Warehouse.open(told / "b12screen.duckdb", read_only=True) as warehouse:
        accounts = warehouse.rows(
            "SELECT kind, n_read, n_accepted FROM run.source_file ORDER BY kind"
        )
    assert accounts == [("labs", N_RESULTS, N_RESULTS), ("patients", 8327, 8327)]
    sheets = [
        {path.name: path.read_bytes() for path in (night / "worklists").iterdir()}
        for night in (published, told)
    ]
    assert sum(sheet.count(b"\n") for sheet in sheets[0].values()) > 700
    assert sheets[1] == sheets[0]
