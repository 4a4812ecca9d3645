"""Files of FHIR resources in the inbox: parsed once, every kind taken in its turn."""

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from b12screen.ingest import Again, check, messages
from b12screen.ingest.fhir_known import folder_of
from b12screen.ingest.recognise import Extract
from b12screen.maps import Maps
from b12screen.settings import Limits, Settings

from .inbox import NIGHT, Box, buckets
from .test_fhir import condition, dose, observation, patient

NEXT = date(2026, 11, 23)
REAL = Path(__file__).resolve().parents[3] / "shared/data/fhir/ecqm_lab_observations.ndjson.gz"
WITHDRAWN_RESULT = {"status": "entered-in-error", "issued": "2026-11-10T00:00:00Z"}
GONE = {"status": "entered-in-error"}
WITHDRAWN_BY_ID = {"resourceType": "Observation", "id": "o1"} | WITHDRAWN_RESULT


def lines(*resources: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in resources)


EVERYTHING = lines(patient(), observation(), condition(), dose())


def counts(box: Box, night: date = NIGHT) -> dict[tuple[str, str], tuple[int, ...]]:
    return {
        (account.file_name, account.kind): buckets(account) for account in box.take(night).accounts
    }


def stored(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT 'patients', patient_id FROM core.patient "
        "UNION ALL SELECT 'labs', result_id FROM core.lab_result "
        "UNION ALL SELECT 'conditions', code FROM core.condition "
        "UNION ALL SELECT 'medications', code FROM core.medication ORDER BY ALL"
    )


@pytest.mark.parametrize("name", ["a.ndjson", "labs.NDJSON", "a.ndjson.gz"])
def test_one_file_gives_rows_of_every_kind_that_it_holds(box: Box, name: str) -> None:
    content = EVERYTHING.encode()
    box.put(name, gzip.compress(content) if name.endswith("gz") else content)
    one = (1, 1, 0, 0, 0, 0)
    assert counts(box) == {
        (name, kind): one for kind in ("conditions", "labs", "medications", "patients")
    }
    assert stored(box) == [
        ("conditions", "D51.0"), ("labs", "o1"), ("medications", "B03BA03"), ("patients", "1"),
    ]  # fmt: skip
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


def test_a_kind_that_a_file_does_not_hold_has_no_account(box: Box) -> None:
    box.put("a.ndjson", lines(observation()))
    taking = box.take()
    assert [account.kind for account in taking.accounts] == ["labs"]
    assert taking.n_known == 0


def test_a_file_without_any_row_has_an_account(box: Box) -> None:
    box.put("a.ndjson", "\n\n")
    assert counts(box) == {("a.ndjson", "labs"): (0,) * 6}


def test_a_file_that_lies_there_the_next_night_is_known(box: Box) -> None:
    box.put("a.ndjson", lines(observation()))
    box.take()
    box.put("b.ndjson", lines(observation()))
    taking = box.take(NEXT)
    assert (taking.accounts, taking.n_known) == ((), 2)
    assert taking.notes == ("b.ndjson has the content of a.ndjson, taken before; not taken again",)


def test_the_same_content_twice_in_one_night_is_taken_once(box: Box) -> None:
    # Nothing of it is in the store before the last turn, so its name alone is not enough.
    box.put("a.ndjson", lines(observation()))
    box.put("b.ndjson", lines(observation()))
    taking = box.take()
    assert [account.file_name for account in taking.accounts] == ["a.ndjson"]
    assert (taking.n_known, len(taking.notes)) == (1, 1)


def test_a_malformed_line_is_one_rejected_row_with_its_place_and_reason(box: Box) -> None:
    box.put("a.ndjson", lines(observation()) + "{broken\n" + lines(observation(id="o2")))
    assert counts(box) == {("a.ndjson", "labs"): (3, 2, 0, 0, 0, 1)}
    assert box.rows(
        "SELECT file_name, kind, record, line, segment, check_name, reason FROM core.reject"
    ) == [
        (
            "a.ndjson", "labs", 2, 2, "line", "json",
            "the line is no JSON; every line of NDJSON is one whole object",
        )
    ]  # fmt: skip
    assert box.rows("SELECT line, raw FROM private.reject_row") == [(2, "{broken")]


def test_a_row_that_fails_in_the_scan_keeps_its_line_and_resource(box: Box) -> None:
    box.put("a.ndjson", lines(patient(), observation(valueQuantity={"value": 4, "unit": "miles"})))
    box.take()
    assert box.rows("SELECT line, segment, check_name FROM core.reject") == [
        (2, "Observation", "known_unit")
    ]


@pytest.mark.parametrize("withdrawal", [observation(**WITHDRAWN_RESULT), WITHDRAWN_BY_ID])
@pytest.mark.parametrize("same_night", [True, False])
def test_a_later_file_withdraws_a_result(
    box: Box, withdrawal: dict[str, Any], same_night: bool
) -> None:
    box.put("a.ndjson", lines(patient(), observation()))
    if not same_night:
        box.take()
    box.put("b.ndjson", lines(withdrawal))
    taking = box.take(NEXT)
    assert box.rows("SELECT result_id, status, value FROM core.lab_result") == [
        ("o1", "entered-in-error", None)
    ]
    assert taking.notes == ()


@pytest.mark.parametrize("same_night", [True, False])
def test_a_later_file_takes_a_condition_and_a_dose_back(box: Box, same_night: bool) -> None:
    refuted = condition(verificationStatus={"coding": [{"code": "entered-in-error"}]})
    box.put("a.ndjson", lines(condition(), dose()))
    if not same_night:
        box.take()
    box.put("b.ndjson", lines(refuted, dose(status="entered-in-error")))
    box.take(NEXT)
    assert stored(box) == [("medications", "withdrawn")]


REFUTED = condition(verificationStatus={"coding": [{"code": "entered-in-error"}]})


def test_a_condition_taken_back_stays_so_whatever_older_file_is_taken_after_it(box: Box) -> None:
    first = box.put("b.ndjson", lines(condition()))
    box.put("c.ndjson", lines(REFUTED))
    box.take()
    assert stored(box) == []
    box.put("a.ndjson", lines(patient(), condition()))
    accounts = {account.kind: buckets(account) for account in box.take().accounts}
    assert accounts["conditions"] == (1, 0, 0, 1, 0, 0)
    (again,) = box.take(NEXT, Again(files=(first,))).accounts
    assert buckets(again) == (1, 0, 0, 1, 0, 0)
    assert stored(box) == [("patients", "1")]
    # Stated anew, it stands; and is taken back once more.
    box.put("d.ndjson", lines(condition(), patient(gender="male")))
    box.take(NEXT)
    assert stored(box) == [("conditions", "D51.0"), ("patients", "1")]
    box.put("e.ndjson", lines(REFUTED, patient(gender="other")))
    box.take(NEXT)
    assert stored(box) == [("patients", "1")]


def test_a_dose_withdrawn_before_it_came_stays_so_when_its_file_is_taken_again(box: Box) -> None:
    box.put("a.ndjson", lines({"resourceType": "MedicationAdministration", "id": "m1", **GONE}))
    box.take()
    path = box.put("b.ndjson", lines(patient(), dose()))
    box.take(NEXT)
    for night in (date(2026, 11, 24), date(2026, 11, 25)):
        box.take(night, Again(files=(path,)))
        assert stored(box) == [("medications", "withdrawn"), ("patients", "1")]
    box.put("c.ndjson", lines(dose()))
    box.take(date(2026, 11, 26))
    assert stored(box) == [("medications", "B03BA03"), ("patients", "1")]


def test_a_withdrawal_that_a_retake_repeats_is_no_row_of_its_file(box: Box) -> None:
    by_id = {"resourceType": "MedicationAdministration", "id": "m1", **GONE}
    box.put("a.ndjson", lines(by_id))
    box.take()
    path = box.put("b.ndjson", lines(dose()))
    box.take(NEXT)
    box.put("c.ndjson", lines(dose(), patient()))
    box.take(date(2026, 11, 24))
    (account,) = box.take(date(2026, 11, 25), Again(files=(path,))).accounts
    assert (account.n_read, account.n_accepted + account.n_duplicate + account.n_superseded) == (
        1,
        1,
    )
    assert stored(box) == [("medications", "B03BA03"), ("patients", "1")]


def test_a_condition_that_was_taken_back_by_an_earlier_version_stays_so(box: Box) -> None:
    path = box.put("b.ndjson", lines(condition()))
    box.take()
    # As versions of before formats had numbers kept it.
    box.forget_format()
    box.warehouse.execute(
        "INSERT INTO private.condition BY NAME SELECT known.* REPLACE (DATE '1899-12-31' AS "
        "resolved_on, DATE '2026-11-23' AS taken_for), DATE '2026-11-23' AS replaced_on "
        "FROM core.condition AS known"
    )
    box.warehouse.execute("DELETE FROM core.condition")
    box.warehouse.execute("DELETE FROM private.condition_told")
    (again,) = box.take(date(2026, 11, 24), Again(files=(path,))).accounts
    assert buckets(again) == (1, 0, 0, 1, 0, 0)
    assert stored(box) == []


def test_a_death_without_a_day_keeps_its_day_when_its_file_is_taken_again(box: Box) -> None:
    path = box.put("a.ndjson", lines(patient(deceasedBoolean=True)))
    box.take()
    (account,) = box.take(NEXT, Again(files=(path,))).accounts
    assert buckets(account) == (1, 0, 1, 0, 0, 0)
    assert box.rows("SELECT deceased_on FROM core.patient") == [(NIGHT,)]


def test_what_a_resource_does_not_say_of_a_person_stays_as_it_is_known(box: Box) -> None:
    known = patient(birthDate="1950-02-03", gender="female", deceasedDateTime="2026-09-01")
    known["managingOrganization"] = {"reference": "Organization/north"}
    box.put("a.ndjson", lines(known))
    box.take()
    bare = {"resourceType": "Patient", "id": "1", "birthDate": "1950"}
    box.put("b.ndjson", lines(bare, patient(id="2", deceasedBoolean=True)))
    box.take(NEXT)
    assert box.rows(
        "SELECT birth_date, sex, clinic_id, deceased_on FROM core.patient WHERE patient_id = '1'"
    ) == [(date(1950, 2, 3), "female", "north", date(2026, 9, 1))]


def test_a_withdrawal_of_what_nobody_knows_is_out_of_scope_and_noted(box: Box) -> None:
    box.put("a.ndjson", lines(WITHDRAWN_BY_ID))
    taking = box.take()
    assert [buckets(account) for account in taking.accounts] == [(1, 0, 0, 0, 1, 0)]
    assert taking.notes == (
        "a.ndjson: 1 withdrawals of labs name nothing that is known, or not yet; they are out of "
        "scope",
    )


def test_only_a_resource_can_take_a_condition_back(box: Box) -> None:
    header = "patient_id,code,code_system,recorded_on,resolved_on\n"
    box.put("conditions.csv", header + "1,D51.0,icd10cm,2020-05-06,withdrawn\n")
    box.put("a.ndjson", lines(condition(), condition(abatementDateTime=" withdrawn")))
    box.take()
    assert stored(box) == [("conditions", "D51.0")]
    assert box.rows("SELECT file_name, column_name FROM core.reject ORDER BY ALL") == [
        ("a.ndjson", "resolved_on"),
        ("conditions.csv", "resolved_on"),
    ]


def test_too_many_rejected_rows_of_one_kind_hold_the_whole_file(box: Box) -> None:
    bad = [observation(id=f"x{n}", valueQuantity={"value": 4, "unit": "miles"}) for n in range(20)]
    path = box.put("a.ndjson", lines(patient(), condition(), *bad))
    box.put("b.ndjson", lines(observation()))
    taking = box.take()
    assert {account.file_name for account in taking.accounts if account.held} == {"a.ndjson"}
    (finding,) = taking.findings
    assert finding.startswith("a.ndjson was held: of its labs, 20 of 20 rows were rejected")
    assert stored(box) == [("labs", "o1")]
    path.write_text(lines(patient(), condition()))
    box.take(NEXT)
    assert stored(box) == [("conditions", "D51.0"), ("labs", "o1"), ("patients", "1")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.ndjson", b""),
        ("a.ndjson.gz", gzip.compress(b"", mtime=0)),
        ("a.ndjson.gz", b"no archive"),
    ],
    ids=["empty", "packed and empty", "no archive"],
)
def test_a_file_that_cannot_be_read_is_rejected_and_the_others_are_taken(
    box: Box, name: str, content: bytes
) -> None:
    box.put(name, content)
    box.put("b.ndjson", EVERYTHING)
    taking = box.take()
    assert len(taking.findings) == 1
    assert taking.findings[0].startswith(f"{name} was rejected: it")
    assert len(stored(box)) == 4
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


def test_check_tells_what_a_file_of_resources_would_give(tmp_path: Path, maps: Maps) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text(EVERYTHING + "{broken\n" + lines(observation(id="o2")))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    taking = check([path], Settings(), maps, NIGHT, scratch, lambda line: None)
    one = (1, 1, 0, 0, 0, 0)
    assert {account.kind: buckets(account) for account in taking.accounts} == {
        "patients": one, "conditions": one, "medications": one, "labs": (3, 2, 0, 0, 0, 1),
    }  # fmt: skip


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not beside the checkout")
def test_every_row_of_the_real_observations_ends_in_a_bucket(box: Box) -> None:
    with gzip.open(REAL) as file:
        resources = [json.loads(line)["resource"] for line in file]
    box.put("ecqm.ndjson.gz", gzip.compress(lines(*resources).encode()))
    (account,) = box.take().accounts
    assert account.reason is None
    # The decks repeat a case from measure to measure, and most of its tests are none of ours.
    assert buckets(account) == (len(resources), 62, 62, 0, 443, 0)
    assert box.rows("SELECT count(*), count(line), count(segment) FROM core.reject") == [
        (account.n_rejected,) * 3
    ]


@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.gz"])
def test_a_file_that_changes_while_it_is_read_is_held_whole_and_taken_the_next_night(
    box: Box, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    content = (EVERYTHING.encode(), EVERYTHING.encode() + lines(observation(id="o2")).encode())
    first, second = map(gzip.compress, content) if name.endswith("gz") else content
    path = box.put(name, first)
    box.put("b.ndjson", lines(observation(id="o3")))
    real = messages.fhir_rows

    def slowly(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        path.write_bytes(second)
        return found

    monkeypatch.setattr(messages, "fhir_rows", slowly)
    taking = box.take()
    assert {account.kind for account in taking.accounts if account.held} == {
        "conditions", "labs", "medications", "patients",
    }  # fmt: skip
    (finding,) = taking.findings
    assert finding.startswith(f"{name} was held: changed while it was read")
    assert stored(box) == [("labs", "o3")]
    monkeypatch.undo()
    assert counts(box, NEXT)[name, "labs"] == (2, 2, 0, 0, 0, 0)
    assert len(stored(box)) == 6
    assert [path for path in box.scratch.rglob("*") if path.is_file()] == []


def test_a_line_that_is_nested_without_end_costs_one_row(box: Box) -> None:
    lists = "[" * 200_000 + "]" * 200_000
    objects = '{"b":' * 200_000 + "1" + "}" * 200_000
    box.put(
        "deep.ndjson",
        "".join(f'{{"resourceType":"Observation","a":{deep}}}\n' for deep in (lists, objects)),
    )
    assert buckets(box.account()) == (2, 0, 0, 0, 0, 2)
    assert [row[3] for row in box.rejects()] == ["json", "json"]


def test_packed_resources_that_unpack_beyond_their_limit_are_rejected(box: Box) -> None:
    box.settings = Settings(limits=Limits(max_decompressed_gb=0.001))
    box.put("bomb.ndjson.gz", gzip.compress(b" " * 2_000_000))
    assert {account.n_read for account in box.take().accounts} == {0}
    ((reason,),) = box.rows("SELECT DISTINCT reason FROM run.source_file")
    assert "unpacks to more than" in str(reason)


# What a resource refers to may lie in another file: a bulk export writes one for each type.

NUMBER = "https://example.org/patient-number"
BY_NUMBER = Settings.model_validate({"fhir": {"patient_identifier": NUMBER}})


def numbered(number: str, **changes: Any) -> dict[str, Any]:
    return patient(identifier=[{"system": NUMBER, "value": number}], **changes)


def prescribed(name: str) -> dict[str, Any]:
    said = dose(id="m9", medicationReference={"reference": f"Medication/{name}"})
    del said["medicationCodeableConcept"]
    return said


VITAMIN = {
    "resourceType": "Medication",
    "id": "drug-1",
    "code": {"coding": [{"system": "http://www.whocc.no/atc", "code": "B03BA03"}]},
}
VISIT = {
    "resourceType": "Encounter",
    "id": "e1",
    "serviceProvider": {"reference": "Organization/ward"},
}
SAMPLE = {"resourceType": "Specimen", "id": "s1", "type": {"text": "Urine"}}


@pytest.mark.parametrize(
    ("nights", "names", "ending"),
    [
        ((NIGHT, NIGHT), ("a", "b"), ""),
        ((NIGHT, NIGHT), ("b", "a"), ".gz"),
        ((NIGHT, NEXT), ("b", "a"), ""),
    ],
)
def test_what_another_file_of_the_folder_tells_is_followed(
    tmp_path: Path, maps: Maps, nights: tuple[date, date], names: tuple[str, str], ending: str
) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    told, asking = (f"export/{name}.ndjson{ending}" for name in names)
    content = lines(numbered("N7"), VITAMIN, VISIT, SAMPLE).encode()
    box.put(told, gzip.compress(content) if ending else content)
    if nights[0] != nights[1]:
        box.take(nights[0])
    visited = observation(encounter={"reference": "Encounter/e1"})
    tested = observation(id="o2", specimen={"reference": "Specimen/s1"})
    content = lines(visited, tested, condition(), prescribed("drug-1")).encode()
    box.put(asking, gzip.compress(content) if ending else content)
    box.take(nights[1])
    assert box.rows("SELECT result_id, patient_id, clinic_id FROM core.lab_result") == [
        ("o1", "N7", "ward")
    ]
    assert box.rows("SELECT patient_id, code FROM core.condition") == [("N7", "D51.0")]
    assert box.rows("SELECT patient_id, code FROM core.medication") == [("N7", "B03BA03")]
    assert box.rows("SELECT segment, check_name FROM core.reject") == [("Observation", "fits_code")]
    assert box.rows("SELECT DISTINCT told_for FROM private.fhir_told") == [(nights[0],)]


def test_ids_of_another_folder_are_another_senders(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    box.put("north/Patient.ndjson", lines(numbered("N7")))
    box.put("south/Observation.ndjson", lines(observation()))
    box.take()
    assert box.rows("SELECT file_name, check_name FROM core.reject") == [
        ("south/Observation.ndjson", "reference")
    ]


@pytest.mark.parametrize(
    "folders",
    [
        ("2026-11-22", "2026-11-23"),
        ("north/20261122", "north/20261123"),
        ("2026/11/22", "2026/11/23"),
        ("2026-11-22T02-00-00Z", "2026-11-23T02-05-11.123Z"),
        (".", "2026-11-23"),
        ("export", "export/202611230205"),
    ],
)
def test_the_days_folder_is_the_same_senders(folders: tuple[str, str]) -> None:
    one, other = (folder_of(in_folder(folder)) for folder in folders)
    assert one == other


@pytest.mark.parametrize("folders", [("20101234", "20987654"), ("h/19123456", "h/20999999")])
def test_a_number_that_is_no_day_is_a_folder_of_its_own(folders: tuple[str, str]) -> None:
    one, other = (folder_of(in_folder(folder)) for folder in folders)
    assert one != other


def in_folder(folder: str) -> Extract:
    return Extract(Path("a.ndjson"), f"{folder}/a.ndjson", "labs", "ndjson", "")


def test_what_a_days_folder_told_is_known_on_the_next_day(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    box.put("2026-11-22/Patient.ndjson", lines(numbered("N7")))
    box.take()
    box.put("2026-11-23/Observation.ndjson", lines(observation()))
    box.take(NEXT)
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N7",)]


def test_the_file_itself_comes_before_others(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    box.put("a.ndjson", lines(numbered("N7"), observation()))
    box.put("b.ndjson", lines(numbered("N8"), observation(id="o2")))
    box.put("c.ndjson", lines(observation(id="o3")))
    box.take()
    assert box.rows("SELECT result_id, patient_id FROM core.lab_result ORDER BY ALL") == [
        ("o1", "N7"), ("o2", "N8"),
    ]  # fmt: skip
    # Whom two files of one night call differently is nobody for a third one, also later.
    assert box.rows("SELECT file_name, check_name FROM core.reject") == [("c.ndjson", "reference")]
    box.put("d.ndjson", lines(observation(id="o4")))
    assert buckets(box.account(NEXT)) == (1, 0, 0, 0, 0, 1)


def test_what_was_told_last_counts(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    first = box.put("a.ndjson", lines(numbered("N7")))
    box.take()
    # Of one file its last line.
    box.put("b.ndjson", lines(numbered("N0"), numbered("N8")))
    box.take(NEXT)
    # An old file that comes again, under another name or by a retake, does not tell anew.
    box.put("c.ndjson", first.read_text())
    later = date(2026, 11, 24)
    box.take(later, Again(files=(first,)))
    box.put("d.ndjson", lines(observation()))
    box.take(date(2026, 11, 25))
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N8",)]


def test_people_of_several_nights_that_are_taken_again_at_once_are_as_last_told(
    tmp_path: Path, maps: Maps
) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    files = [box.put("a.ndjson", lines(numbered("N7"))), box.inbox / "b.ndjson"]
    box.take()
    box.put("b.ndjson", lines(numbered("N8")))
    box.take(NEXT)
    # As of before they were remembered.
    box.warehouse.execute("DELETE FROM private.fhir_told")
    box.take(date(2026, 11, 24), Again(files=tuple(files)))
    box.put("c.ndjson", lines(observation()))
    box.take(date(2026, 11, 25))
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N8",)]


def test_a_retake_after_another_number_is_set_follows_that(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    person = numbered("N7")
    person["identifier"].append({"system": "https://example.org/other", "value": "X1"})
    files = (box.put("a.ndjson", lines(person)), box.put("b.ndjson", lines(observation())))
    box.take()
    other = {"fhir": {"patient_identifier": "https://example.org/other"}}
    box.settings = Settings.model_validate(other)
    box.take(NEXT, Again(files=files))
    box.put("c.ndjson", lines(observation(id="o2")))
    box.take(date(2026, 11, 24))
    current = "SELECT patient_id FROM core.lab_result WHERE value IS NOT NULL"
    assert box.rows(current) == [("X1",), ("X1",)]


def test_the_newest_version_of_a_history_tells(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    entries = [{"resource": numbered("N8")}, {"resource": numbered("N7")}]
    box.put("a.ndjson", lines({"resourceType": "Bundle", "type": "history", "entry": entries}))
    box.put("b.ndjson", lines(observation()))
    box.take()
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N8",)]


def test_a_file_that_was_moved_into_its_senders_folder_tells_there(
    tmp_path: Path, maps: Maps
) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    path = box.put("p.ndjson", lines(numbered("N7")))
    box.take()
    (box.inbox / "north").mkdir()
    path.rename(box.inbox / "north" / "p.ndjson")
    box.take(NEXT)
    box.put("north/o.ndjson", lines(observation()))
    box.take(date(2026, 11, 24))
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N7",)]


def test_a_code_that_is_nested_without_end_ends_no_night(box: Box) -> None:
    deep = '{"a":' * 950 + "1" + "}" * 950
    said = '{"resourceType":"Medication","id":"drug-1","code":' + deep + "}\n"
    box.put("a.ndjson", said)
    box.put("b.ndjson", lines(prescribed("drug-1")))
    box.take()
    assert box.rows("SELECT count(*) FROM private.fhir_told") == [(0,)]


def test_a_file_that_is_held_tells_tonight_and_is_asked_again(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    wrong = [
        observation(id=f"x{n}", valueQuantity={"value": 4, "unit": "miles"}) for n in range(30)
    ]
    box.put("a.ndjson", lines(numbered("N7"), *wrong))
    box.put("b.ndjson", lines(observation()))
    held = {(account.file_name, account.held) for account in box.take().accounts}
    assert held == {("a.ndjson", True), ("b.ndjson", False)}
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("N7",)]
    assert box.rows("SELECT count(*) FROM private.fhir_told") == [(0,)]


def test_of_a_person_no_other_number_is_kept(tmp_path: Path, maps: Maps) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    person = numbered("N7")
    person["identifier"].append({"system": "https://example.org/insurance", "value": "INS-1"})
    box.put("a.ndjson", lines(person))
    box.take()
    ((said,),) = box.rows("SELECT said FROM private.fhir_told")
    assert "N7" in str(said) and "INS-1" not in str(said)


def test_without_a_number_in_the_settings_people_are_not_kept(box: Box) -> None:
    box.put("a.ndjson", lines(numbered("N7"), VISIT))
    box.take()
    assert box.rows("SELECT kind FROM private.fhir_told") == [("Encounter",)]


def test_encounters_are_forgotten_after_a_year(box: Box) -> None:
    box.put("a.ndjson", lines(VISIT, VITAMIN))
    box.take()
    box.take(date(2027, 12, 1))
    assert box.rows("SELECT kind FROM private.fhir_told") == [("Medication",)]


def test_a_file_that_changes_before_its_turn_is_held(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put("a.ndjson", lines(VISIT))
    path = box.put("b.ndjson", EVERYTHING)
    real = messages.parse_resources

    def meanwhile(*given: Any) -> Any:
        path.write_text(EVERYTHING + lines(observation(id="o2")))
        return real(*given)

    monkeypatch.setattr(messages, "parse_resources", meanwhile)
    held = {(account.file_name, account.held) for account in box.take().accounts}
    assert held == {("a.ndjson", False), ("b.ndjson", True)}
