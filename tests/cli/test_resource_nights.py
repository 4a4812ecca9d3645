"""Nights of sites that are fed with FHIR resources, through the commands."""

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from b12screen import cli
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse

Deliver = Callable[[Path, dict[str, str]], None]
Capture = pytest.CaptureFixture[str]

ICD10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def of(patient: str) -> dict[str, Any]:
    return {"subject": {"reference": f"Patient/{patient}"}}


def result(key: str, patient: str, code: str, value: float, unit: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": key,
        "status": "final",
        "code": coded("http://loinc.org", code),
        "effectiveDateTime": "2026-10-30",
        "valueQuantity": {"value": value, "unit": unit},
    } | of(patient)


def person(key: str, born: str, sex: str, clinic: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": key,
        "birthDate": born,
        "gender": sex,
        "managingOrganization": {"reference": f"Organization/{clinic}"},
    }


def condition(patient: str, code: str, recorded: str) -> dict[str, Any]:
    said = {"resourceType": "Condition", "code": coded(ICD10, code), "recordedDate": recorded}
    return said | of(patient)


RESULTS = [
    result("r1", "0001", "13964-2", 900, "nmol/L"),
    result("r2", "0001", "13965-9", 31.5, "umol/L"),
    result("r3", "0001", "2132-9", 100, "pg/mL"),
    result("r4", "0002", "13964-2", 950, "nmol/L"),
    result("r5", "0002", "13965-9", 33, "umol/L"),
]
# Results stand before the people they are of, as in an export by type they may.
RESOURCES = [
    *RESULTS,
    person("0001", "1950-02-03", "female", "north"),
    person("0002", "1960-05-06", "male", "north"),
    condition("0001", "R20.2", "2026-06-01"),
    condition("0002", "I10", "2026-10-30"),
    {
        "resourceType": "MedicationAdministration",
        "id": "m1",
        "status": "completed",
        "medicationCodeableConcept": coded(ATC, "B03BA03"),
        "effectiveDateTime": "2026-10-20",
        "dosage": {"dose": {"value": 1, "unit": "mg"}, "route": {"text": "im"}},
    }
    | of("0002"),
]  # fmt: skip
EXTRACTS = {
    "patients_1.csv": "patient_id,birth_date,sex,clinic_id\n"
    "0001,1950-02-03,female,north\n0002,1960-05-06,male,north\n",
    "conditions_1.csv": "patient_id,code,code_system,recorded_on,resolved_on\n"
    "0001,R20.2,icd10,2026-06-01,\n0002,I10,icd10,2026-10-30,\n",
    "medications_1.csv": "medication_id,patient_id,code,code_system,kind,started_on,dose,"
    "dose_unit,route\n"
    "MedicationAdministration/m1,0002,B03BA03,atc,administration,2026-10-20,1,mg,im\n",
    "labs_1.csv": "result_id,patient_id,collected_at,code,value,unit\n"
    "r1,0001,2026-10-30,13964-2,900,nmol/L\n"
    "r2,0001,2026-10-30,13965-9,31.5,umol/L\n"
    "r3,0001,2026-10-30,2132-9,100,pg/mL\n"
    "r4,0002,2026-10-30,13964-2,950,nmol/L\n"
    "r5,0002,2026-10-30,13965-9,33,umol/L\n",
}


def lines(*resources: dict[str, Any]) -> str:
    return "".join(json.dumps(one) + "\n" for one in resources)


def run(site: Path, as_of: str) -> int:
    return cli.main(["run", str(site), "--as-of", as_of])


def sheet(site: Path) -> list[dict[str, str]]:
    path = site / "published" / "current" / "worklists" / "north.csv"
    with path.open(encoding="utf-8-sig", newline="") as rows:
        return list(csv.DictReader(rows))


def ask(site: Path, query: str) -> list[tuple[object, ...]]:
    path = site / "published" / "current" / "b12screen.duckdb"
    with Warehouse.open(path, read_only=True) as warehouse:
        return warehouse.rows(query)


@pytest.fixture(name="same", scope="module")
def same_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site and its night of the same as extracts; for reading only."""
    other = tmp_path_factory.mktemp("same") / "site"
    make_site(other)
    for name, text in EXTRACTS.items():
        (other / "inbox" / name).write_text(text, encoding="utf-8")
    assert run(other, "2026-11-01") == 0
    return other


@pytest.fixture(name="told", scope="module")
def told_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that was told of everything as resources, and its night; for copying only."""
    site = tmp_path_factory.mktemp("told") / "site"
    make_site(site)
    (site / "inbox" / "a.ndjson").write_text(lines(*RESOURCES))
    assert run(site, "2026-11-01") == 0
    return site


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.long)])
def test_a_night_of_resources_gives_the_worklist_of_the_same_extracts(
    site: Path, same: Path, packed: bool, capsys: Capture
) -> None:
    content = lines(*RESOURCES).encode()
    name = "export.ndjson.gz" if packed else "export.ndjson"
    (site / "inbox" / name).write_bytes(gzip.compress(content) if packed else content)
    assert run(site, "2026-11-01") == 0
    assert sheet(site) == sheet(same)
    assert {row["patient_id"] for row in sheet(site)} >= {"0001"}
    for table in ("patient", "condition", "medication", "lab_result"):
        query = f"SELECT * EXCLUDE (file_name, record) FROM core.{table} ORDER BY ALL"
        assert ask(site, query) == ask(same, query)
    feeds = "SELECT labs_feed, patients_feed, conditions_feed, medications_feed FROM run.night"
    assert ask(site, feeds) == ask(same, feeds)
    assert "Files: 1 taken, 0 held, 0 known already" in capsys.readouterr().out


def test_a_malformed_line_is_told_by_rejects_with_file_line_and_reason(
    site: Path, capsys: Capture
) -> None:
    (site / "inbox" / "a.ndjson").write_text(lines(*RESOURCES[:5]) + "{\n" + lines(*RESOURCES[5:]))
    assert run(site, "2026-11-01") == 0
    capsys.readouterr()
    assert cli.main(["rejects", str(site), "--rows"]) == 0
    (told,) = capsys.readouterr().out.splitlines()[1:]
    assert told.startswith("a.ndjson,6,6,line,,json,the line is no JSON")
    assert ask(site, "SELECT file_name, line, check_name FROM core.reject") == [
        ("a.ndjson", 6, "json")
    ]
    assert {row["patient_id"] for row in sheet(site)} >= {"0001"}


def test_results_entered_in_error_leave_the_list_with_that_reason(
    told: Path, copy: Callable[[Path], Path], capsys: Capture
) -> None:
    site = copy(told)
    listed = {row["action"] for row in sheet(site) if row["patient_id"] == "0001"}
    (site / "inbox" / "b.ndjson").write_text(
        lines(*[one | {"status": "entered-in-error"} for one in RESULTS[:3]])
    )
    capsys.readouterr()
    assert run(site, "2026-11-02") == 0
    assert "Files: 1 taken, 0 held, 1 known already" in capsys.readouterr().out
    left = {row["action"] for row in sheet(site) if row["patient_id"] == "0001"}
    assert listed and not listed & left
    closed = ask(
        site,
        "SELECT DISTINCT close_reason FROM worklists.item "
        "WHERE closed_on IS NOT NULL AND patient_id = '0001'",
    )
    assert closed == [("result_withdrawn",)]


@pytest.mark.long
def test_nights_that_withdraw_what_was_dropped_are_replayed_as_they_were(
    site: Path, capsys: Capture
) -> None:
    parts = [{name: one[name] for name in ("code", "valueQuantity")} for one in RESULTS[:2]]
    panel = {name: said for name, said in RESULTS[0].items() if name != "valueQuantity"}
    panel |= {"id": "p1", "code": coded("http://loinc.org", "panel")}
    late = {"resourceType": "Observation", "id": "r9", "status": "entered-in-error"}
    first = panel | {"issued": "2026-10-31T08:00:00Z", "component": parts}
    (site / "inbox" / "a.ndjson").write_text(lines(*RESOURCES[5:], first, late))
    run(site, "2026-11-01")
    other = {"code": coded("http://loinc.org", "6690-2")}
    second = first | {"issued": "2026-11-01T20:00:00Z", "component": [other]}
    mma = result("r9", "0002", "13964-2", 900, "nmol/L")
    (site / "inbox" / "b.ndjson").write_text(lines(second, mma))
    assert run(site, "2026-11-02") == 0
    assert ask(
        site, "SELECT result_id FROM core.lab_result WHERE status = 'entered-in-error' ORDER BY ALL"
    ) == [("p1#13964-2",), ("p1#13965-9",), ("r9",)]
    closed = ask(
        site,
        "SELECT DISTINCT close_reason FROM worklists.item "
        "WHERE closed_on IS NOT NULL AND patient_id = '0001'",
    )
    assert closed == [("result_withdrawn",)]
    for night in ("2026-11-01", "2026-11-02"):
        assert cli.main(["replay", str(site), "--as-of", night]) == 0
    capsys.readouterr()


@pytest.mark.long
def test_results_alone_are_no_feed_of_the_other_kinds(site: Path, deliver: Deliver) -> None:
    deliver(site, {"patients_1.csv": EXTRACTS["patients_1.csv"]})
    (site / "inbox" / "a.ndjson").write_text(lines(*RESULTS))
    run(site, "2026-11-01")
    assert ask(site, "SELECT conditions_feed, medications_feed FROM run.night") == [
        ("none", "none")
    ]


@pytest.mark.long
@pytest.mark.parametrize("first", ["extract", "resources"])
def test_people_keep_the_patients_feed_fresh_by_either_source(
    site: Path, deliver: Deliver, first: str
) -> None:
    extract = {"patients_1.csv": EXTRACTS["patients_1.csv"]}
    resources = {"people.ndjson": lines(*RESOURCES[5:7])}
    deliver(site, extract if first == "extract" else resources)
    run(site, "2026-11-01")
    deliver(site, resources if first == "extract" else extract)
    query = "SELECT patients_feed, CAST(patients_newest_on AS VARCHAR) FROM run.night"
    run(site, "2026-12-20")
    assert ask(site, query) == [("fresh", "2026-12-20")]
    run(site, "2027-02-20")
    assert ask(site, query) == [("stale", "2026-12-20")]


@pytest.mark.long
def test_resources_without_people_do_not_hide_that_the_patients_extract_stopped(
    site: Path, deliver: Deliver
) -> None:
    deliver(site, {"patients_1.csv": EXTRACTS["patients_1.csv"]})
    run(site, "2026-11-01")
    deliver(site, {"a.ndjson": lines(*RESULTS)})
    run(site, "2026-12-20")
    assert ask(site, "SELECT patients_feed FROM run.night") == [("stale",)]


def test_check_tells_the_rows_of_each_kind(site: Path, capsys: Capture) -> None:
    path = site / "a.ndjson"
    path.write_text(lines(*RESOURCES) + "{\n")
    assert cli.main(["check", str(site), str(path)]) == 0
    told = capsys.readouterr().out
    assert "(patients): 2 rows read" in told
    assert "(labs): 6 rows read" in told
    assert "the line is no JSON" in told
    assert "Nothing was written: 0 of 1 files refused." in told
