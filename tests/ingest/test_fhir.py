"""What FHIR resources become: rows of the extracts, refused rows with their place, withdrawals."""

import gzip
import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from b12screen.ingest import accounts, checks
from b12screen.ingest.delimited import FileRefused
from b12screen.ingest.fhir import FhirFile, Indexed, fhir_rows, line_outcomes
from b12screen.ingest.fhir_lines import split_lines
from b12screen.ingest.fhir_resource import Reader, Row
from b12screen.ingest.fhir_shape import USUALLY, AtOnce, Shapes
from b12screen.ingest.hl7v2_cells import dialect
from b12screen.ingest.keeping import kept
from b12screen.ingest.recognise import Extract
from b12screen.ingest.scan import exactly, faults_of, set_night
from b12screen.ingest.store import PERSONS, Intake, look_up, prepare
from b12screen.ingest.told_conditions import look_for_said
from b12screen.maps import Maps, load_maps
from b12screen.settings import Fhir, Laboratory, LocalTest, Settings
from b12screen.warehouse import Warehouse
from schemas.extracts import extract_columns

NIGHT = date(2026, 11, 22)
UCUM = "http://unitsofmeasure.org"
REAL = Path(__file__).resolve().parents[3] / "shared/data/fhir/ecqm_lab_observations.ndjson.gz"


BY_ITSELF = AtOnce(most_shapes=0)
# Whatever is like a line before it is read with others, however few they are.
EAGERLY = AtOnce(fewest_lines=1, first_lines=1)


class Feed:
    """Files of one site, read one by one; what they gave as plain dictionaries."""

    how = EAGERLY

    def __init__(self, folder: Path, maps: Maps, settings: Settings | None = None) -> None:
        self.folder = folder
        self.maps = maps
        self.settings = settings or Settings()
        self.warehouse = Warehouse.open(
            folder / "history.duckdb", temp_dir=folder / "spill", timezone=self.settings.timezone
        )
        self.warehouse.attach(folder / "private.duckdb", "private")
        self.intake = Intake(
            self.warehouse,
            self.settings,
            NIGHT,
            folder,
            lambda line: None,
            dialect(self.settings, maps),
            maps,
        )
        prepare(self.intake)
        look_up(self.intake, ("labs", "patients", "conditions", "medications"))
        self.n_file = 0

    def read(self, content: bytes) -> FhirFile:
        """Read one file of these bytes."""
        self.n_file += 1
        self.path = self.folder / f"{self.n_file}.ndjson"
        self.path.write_bytes(content)
        self.out = self.folder / f"parts-{self.n_file}"
        self.out.mkdir()
        self.found = fhir_rows(self.path, self.settings, self.maps, NIGHT, self.out, self.how)
        for kind in self.found.kinds:
            self.found.look_for_withdrawn(self.warehouse, kind)
        for kind, counts in self.found.kinds.items():
            assert len(self.rows(kind)) == counts.n_row
            assert len(self.broken(kind)) == counts.n_broken
            records = [row["record"] for row in self.rows(kind) + self.broken(kind)]
            assert len(set(records)) == len(records), "a record number stands twice"
        return self.found

    def say(self, *resources: Any) -> FhirFile:
        """Read one file of these resources, a line each."""
        return self.read("".join(json.dumps(one) + "\n" for one in resources).encode())

    def frame(self, kind: str, title: str) -> list[dict[str, Any]]:
        parts = sorted((self.out / kind).glob(f"{title}-*.parquet"))
        # What is the same in many rows is kept once; it is text all the same.
        frames = [pl.read_parquet(part).cast({pl.Categorical: pl.String}) for part in parts]
        return pl.concat(frames, how="vertical").sort("record").to_dicts() if frames else []

    def rows(self, kind: str = "labs") -> list[dict[str, Any]]:
        return self.frame(kind, "rows")

    def broken(self, kind: str = "labs") -> list[dict[str, Any]]:
        return self.frame(kind, "broken")

    def row(self, kind: str = "labs") -> dict[str, Any]:
        """The only row."""
        assert self.broken(kind) == []
        (row,) = self.rows(kind)
        return row

    def fault(self, kind: str = "labs") -> str:
        """The check of the only row, which is broken."""
        assert self.rows(kind) == []
        (row,) = self.broken(kind)
        return str(row["check_name"])

    def take(self, kind: str = "labs") -> accounts.FileAccount:
        """Bring one kind of the file just read into the store, as a taking does."""
        extract = Extract(self.path, self.path.name, kind, "ndjson", "")
        self._turn_of(kind, extract)
        counts = self.found.kinds[kind]
        scanned = exactly(
            self.intake, extract, counts.sent, counts.n_row, counts.n_broken, self.out / kind
        )
        if kind == "conditions":
            look_for_said(self.warehouse, self.out / kind)
        # A content hash is known once; here every kind has its own.
        content_hash = f"{self.n_file}-{kind}"
        account = accounts.FileAccount(extract.name, kind, content_hash, 1, NIGHT)
        account = kept(self.intake, extract, account, scanned, faults_of(self.intake), [], [])
        accounts.audit(account)
        return account

    def _turn_of(self, kind: str, extract: Extract) -> None:
        """What a taking does before the scan of a file."""
        set_night(self.intake, extract)
        if kind == "labs":
            self.warehouse.execute("DROP TABLE IF EXISTS taking.person")
            self.warehouse.execute(PERSONS)

    def scanned(self) -> list[tuple[Any, ...]]:
        """The checks that rows of a labs file failed in the scan, ``scope`` among them."""
        extract = Extract(self.path, self.path.name, "labs", "ndjson", "")
        self._turn_of("labs", extract)
        counts = self.found.kinds["labs"]
        exactly(self.intake, extract, counts.sent, counts.n_row, counts.n_broken, self.out / "labs")
        return self.warehouse.rows("SELECT record, fault FROM core.taken ORDER BY record")


@pytest.fixture
def feed(tmp_path: Path, maps: Maps) -> Iterator[Feed]:
    feed = Feed(tmp_path, maps)
    yield feed
    feed.warehouse.close()


def other(feed: Feed, settings: Settings) -> Feed:
    """The same feed at a site that is set otherwise."""
    feed.settings = settings
    feed.intake = replace(feed.intake, settings=settings)
    return feed


def coding(code: str, system: str = "http://loinc.org", **more: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, **more}]}


def quantity(value: Any = 412, unit: str = "pmol/L", **more: Any) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def observation(**more: Any) -> dict[str, Any]:
    """A total B12 of patient 1; an element given as None is left out."""
    said = {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": coding("14685-2"),
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-11-01T08:00:00+01:00",
        "issued": "2026-11-02T08:00:00Z",
        "valueQuantity": quantity(),
    } | more
    return {name: element for name, element in said.items() if element is not None}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "1", "birthDate": "1950-02-03", "gender": "female"} | (
        more
    )


def condition(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "id": "c1",
        "code": coding("D51.0", "http://hl7.org/fhir/sid/icd-10-cm"),
        "subject": {"reference": "Patient/1"},
        "recordedDate": "2020-05-06",
    } | more


def dose(**more: Any) -> dict[str, Any]:
    return {
        "resourceType": "MedicationAdministration",
        "id": "m1",
        "status": "completed",
        "medicationCodeableConcept": coding("B03BA03", "http://www.whocc.no/atc"),
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2026-10-01",
    } | more


def prescription(**more: Any) -> dict[str, Any]:
    said = dose() | {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "authoredOn": "2026-10-01",
    }
    del said["effectiveDateTime"]
    return said | more


# Observations


def test_a_plain_observation_is_one_row(feed: Feed) -> None:
    feed.say(observation())
    assert feed.row() == {
        "record": 1, "line": 1, "segment": "Observation", "result_id": "o1", "patient_id": "1",
        "collected_at": "2026-11-01T08:00:00+01:00", "reported_at": "2026-11-02T08:00:00Z",
        "code": "14685-2", "code_system": "loinc", "test_name": "", "specimen": "",
        "value": "412", "unit": "pmol/L", "status": "final", "clinic_id": "", "laboratory": "",
    }  # fmt: skip
    assert feed.found.kinds["labs"].sent == tuple(extract_columns("labs"))


@pytest.mark.parametrize("sent", ["1.50", "1.5", "0.10", "412", "412.0", "1e2", "-3", "7.000"])
def test_a_number_stays_the_text_it_was_sent_as(feed: Feed, sent: str) -> None:
    line = json.dumps(observation(valueQuantity=quantity("@"))) + "\n"
    # The first is loaded, the second known by its shape.
    feed.read((line.replace('"@"', "7") + line.replace('"@"', sent)).encode())
    assert [row["value"] for row in feed.rows()] == ["7", sent]


@pytest.mark.parametrize(
    ("comparator", "value", "fault"),
    [("<", "<50", None), (">", ">50", None), ("<=", "<=50", "val_sign"), (">=", ">=50", "val_sign"),
     ("ad", "ad 50", "val_text")],
)  # fmt: skip
def test_a_comparator_stands_before_the_value_and_others_than_two_are_rejected(
    feed: Feed, comparator: str, value: str, fault: str | None
) -> None:
    feed.say(observation(valueQuantity=quantity(50, comparator=comparator)))
    assert feed.row()["value"] == value
    assert feed.scanned() == [(1, fault)]


@pytest.mark.parametrize(
    ("status", "fault"),
    [("registered", None), ("preliminary", None), ("final", None), ("amended", None),
     ("corrected", None), ("cancelled", None), ("entered-in-error", None), ("unknown", "status"),
     (None, "status_blank")],
)  # fmt: skip
def test_every_status_is_handed_on_and_an_unknown_one_is_rejected(
    feed: Feed, status: str | None, fault: str | None
) -> None:
    feed.say(observation(status=status))
    assert feed.row()["status"] == (status or "")
    assert feed.scanned() == [(1, fault)]


def test_the_ucum_code_of_a_quantity_counts_before_its_unit(feed: Feed) -> None:
    feed.say(observation(valueQuantity=quantity(unit="picomole", code="pmol/L")))
    assert feed.row()["unit"] == "pmol/L"
    feed.say(observation(valueQuantity={"value": 412, "unit": "pmol/L"}))
    assert feed.row()["unit"] == "pmol/L"
    feed.say(observation(valueQuantity=quantity(code="XYZ", system="http://local.example")))
    assert feed.row()["unit"] == "pmol/L"


def test_a_unit_that_contradicts_its_code_is_rejected(feed: Feed) -> None:
    feed.say(observation(valueQuantity=quantity(unit="pg/mL", code="pmol/L")))
    assert feed.fault() == "unit_pair"


def test_the_coding_that_a_map_names_counts_whatever_its_place(feed: Feed) -> None:
    local = {"system": "http://lab.example", "code": "B12X", "display": "Vitamin B12"}
    second = {"system": "http://loinc.org", "code": "2132-9"}
    first = {"system": "http://loinc.org", "code": "99999-9"}
    feed.say(observation(code={"coding": [local, first, second]}))
    assert (feed.row()["code_system"], feed.row()["code"]) == ("loinc", "2132-9")
    feed.say(observation(code={"coding": [local, first]}))
    assert (feed.row()["code_system"], feed.row()["code"]) == ("loinc", "99999-9")
    feed.say(observation(code={"coding": [local]}))
    assert (feed.row()["code_system"], feed.row()["code"]) == ("http://lab.example", "B12X")
    assert feed.scanned() == [(1, "scope")]


@pytest.mark.parametrize("second", ["13964-2", "2171-7"])
def test_codings_that_name_different_tests_are_rejected(feed: Feed, second: str) -> None:
    both = coding("14685-2")["coding"] + coding(second)["coding"]
    feed.say(observation(code={"coding": both}))
    assert feed.fault() == "coding"


@pytest.mark.parametrize(
    "code", [{"text": "Culture"}, {"coding": [{"display": "Culture"}]}, {"coding": []}, None]
)
@pytest.mark.parametrize("subject", [{"reference": "Patient/1"}, {"reference": "Group/1"}, None])
def test_a_test_without_a_code_is_out_of_scope_and_told(
    feed: Feed, code: Any, subject: Any
) -> None:
    feed.say(observation(code=code, subject=subject, valueQuantity=quantity(1, "miles")))
    assert feed.fault() == "scope"
    assert [note[:25] for note in feed.found.notes] == ["1 results have words but "]
    assert feed.take().n_out_of_scope == 1


def test_an_emptied_withdrawal_that_cannot_be_followed_is_rejected_and_seen(feed: Feed) -> None:
    other(feed, Settings(fhir=Fhir(result_identifier="https://results.example")))
    key = [{"system": "https://results.example", "value": "R9"}]
    feed.say(observation(code=None, status="entered-in-error", identifier=key))
    assert feed.scanned() == [(1, "code")]


def test_a_component_without_a_code_costs_no_other_its_row(feed: Feed) -> None:
    parts = [
        {"code": {"text": "Remark"}, "valueString": "see letter"},
        {"code": coding("13964-2"), "valueQuantity": quantity(300, "nmol/L")},
    ]
    feed.say(observation(component=parts))
    assert [row["code"] for row in feed.rows()] == ["14685-2", "13964-2"]
    assert [row["check_name"] for row in feed.broken()] == ["scope"]


FOCUS = [{"reference": "Patient/baby"}]


def test_a_result_about_somebody_else_is_rejected(feed: Feed) -> None:
    part = {"code": coding("718-7"), "valueQuantity": quantity(120, "g/L")}
    feed.say(
        observation(),
        observation(id="o2", focus=FOCUS),
        observation(id="o3", focus=[]),
        observation(id="o4", focus=FOCUS, component=[part], valueQuantity=None),
        observation(id="o5", focus=FOCUS, code=coding("99999-9")),
        observation(id="o6", focus=FOCUS, code=coding("99999-9")),
        observation(id="o7", focus=FOCUS),
    )
    assert [row["result_id"] for row in feed.rows()] == ["o1", "o3", "o5", "o6"]
    assert [row["check_name"] for row in feed.broken()] == ["focus"] * 3
    assert [fault for _, fault in feed.scanned()] == [None, None, "scope", "scope"]
    feed.say(observation(), observation(focus=FOCUS, status="entered-in-error"))
    assert len(feed.rows()) == 2


NEGATED = [{"url": "http://example.org/StructureDefinition/negated", "valueBoolean": True}]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("labs", observation(modifierExtension=NEGATED)),
        ("labs", observation(component=[{
            "code": coding("718-7"), "valueQuantity": quantity(120, "g/L"),
            "modifierExtension": NEGATED,
        }], valueQuantity=None)),
        ("patients", patient(modifierExtension=NEGATED)),
        ("conditions", condition(modifierExtension=NEGATED)),
        ("medications", dose(modifierExtension=NEGATED)),
        ("medications", dose(dosage={"modifierExtension": NEGATED})),
        ("medications", prescription(dosageInstruction=[{"modifierExtension": NEGATED}])),
    ],
)  # fmt: skip
def test_what_an_extension_gives_another_meaning_is_rejected(
    feed: Feed, kind: str, said: Any
) -> None:
    feed.say(said)
    assert feed.fault(kind) == "modifier"


def test_what_means_nothing_here_or_takes_back_is_read_whatever_extends_it(feed: Feed) -> None:
    feed.say(observation(modifierExtension=NEGATED, status="entered-in-error"))
    assert feed.row()["status"] == "entered-in-error"
    feed.say(observation(modifierExtension=NEGATED, code=coding("99999-9")))
    assert feed.scanned() == [(1, "scope")]
    unused = coding("I10", "http://hl7.org/fhir/sid/icd-10-cm")
    feed.say(condition(modifierExtension=NEGATED, code=unused))
    assert feed.row("conditions")["code"] == "I10"
    feed.say(observation(modifierExtension=[]))
    assert feed.row()["code"] == "14685-2"


def test_a_name_that_says_another_test_rejects_the_row_whichever_name_it_is(feed: Feed) -> None:
    both = [*coding("14685-2")["coding"], {"code": "X", "display": "Vitamin B12 binding capacity"}]
    feed.say(observation(code={"text": "Vitamin B12", "coding": both}))
    assert feed.scanned() == [(1, "test_name")]


def test_a_laboratorys_own_system_and_performer_say_which_laboratory_it_is(
    tmp_path: Path, maps: Maps
) -> None:
    mma = LocalTest(analyte="mma", unit="nmol/L")
    laboratories = {
        "main": Laboratory(fhir_performers=["Organization/7"]),
        "east": Laboratory(
            code_system="east", fhir_system="https://east.example/codes", tests={"MMAS": mma}
        ),
    }
    feed = Feed(tmp_path, maps, Settings(laboratories=laboratories))
    local = coding("MMAS", "https://east.example/codes")
    feed.say(
        observation(code=local, valueQuantity={"value": 300}),
        observation(id="o2", performer=[{"reference": "Organization/7"}]),
        observation(id="o3", performer=[{"reference": "Organization/8"}]),
    )
    assert [(row["laboratory"], row["code_system"]) for row in feed.rows()] == [
        ("east", "east"), ("main", "loinc"), ("", "loinc"),
    ]  # fmt: skip
    assert feed.scanned() == [(1, None), (2, None), (3, None)]
    feed.warehouse.close()


@pytest.mark.parametrize(
    ("timing", "collected", "fault"),
    [
        ({"effectiveDateTime": "2026-11"}, "2026-11", "coll"),
        ({"effectiveDateTime": "2026"}, "2026", "coll"),
        ({"effectiveDateTime": "2026-11-01"}, "2026-11-01", None),
        ({"effectiveInstant": "2026-11-01T08:00:00.123Z"}, "2026-11-01T08:00:00.123Z", None),
        ({"effectivePeriod": {"start": "2026-11-01", "end": "2026-11-02"}}, "2026-11-01", None),
        ({"effectivePeriod": {"end": "2026-11-02"}}, "2026-11-02", None),
        ({"effectiveTiming": {"event": ["2026-11-03"]}}, "2026-11-03", None),
        ({}, "", "coll_blank"),
    ],
)
def test_the_effective_time_is_when_the_sample_was_taken_and_is_never_guessed(
    feed: Feed, timing: dict[str, Any], collected: str, fault: str | None
) -> None:
    feed.say(observation(**({"effectiveDateTime": None} | timing)))
    assert feed.row()["collected_at"] == collected
    assert feed.scanned() == [(1, fault)]


def test_an_offset_is_converted_to_the_sites_timezone(tmp_path: Path, maps: Maps) -> None:
    feed = Feed(tmp_path, maps, Settings(timezone="Europe/Helsinki"))
    feed.say(observation(effectiveDateTime="2026-11-01T23:30:00Z"))
    feed.take()
    assert feed.warehouse.rows("SELECT CAST(collected_at AS VARCHAR) FROM core.taken") == [
        ("2026-11-02 01:30:00",)
    ]
    feed.warehouse.close()


def test_the_issue_orders_versions_and_the_last_update_stands_in(feed: Feed) -> None:
    meta = {"versionId": "2", "lastUpdated": "2026-11-05T00:00:00Z"}
    feed.say(observation(meta=meta))
    assert feed.row()["reported_at"] == "2026-11-02T08:00:00Z"
    feed.say(observation(meta=meta, issued=None))
    assert feed.row()["reported_at"] == "2026-11-05T00:00:00Z"
    # A withdrawal keeps the first issue, and must not lose against it.
    feed.say(observation(meta=meta, status="entered-in-error"))
    assert feed.row()["reported_at"] == "2026-11-05T00:00:00Z"


@pytest.mark.parametrize(
    ("element", "value"),
    [
        ({"valueString": "haemolysed"}, "haemolysed"),
        ({"valueInteger": 412}, "412"),
        ({"valueBoolean": True}, "true"),
        ({"valueCodeableConcept": {"text": "not done"}}, "not done"),
        ({"valueCodeableConcept": coding("260385009", display="Negative")}, "Negative"),
        ({"dataAbsentReason": coding("not-performed")}, "not-performed"),
        ({}, ""),
    ],
)
def test_other_values_and_the_reason_for_none_are_text(
    feed: Feed, element: dict[str, Any], value: str
) -> None:
    feed.say(observation(valueQuantity=None, **element))
    assert feed.row()["value"] == value


def test_each_component_is_a_row_beside_the_observations_own(feed: Feed) -> None:
    parts = [
        {"code": coding("14685-2"), "valueQuantity": quantity()},
        {"code": coding("13964-2"), "valueQuantity": quantity(300, "nmol/L")},
        {"code": coding("13964-2"), "valueQuantity": quantity(310, "nmol/L")},
    ]
    feed.say(observation(component=parts), observation(id="o2"))
    columns = ("record", "line", "segment", "result_id")
    assert [tuple(row[name] for name in columns) for row in feed.rows()] == [
        (1, 1, "Observation", "o1"),
        (2, 1, "Observation.component[0]", "o1#14685-2"),
        (3, 1, "Observation.component[1]", "o1#13964-2"),
        (4, 1, "Observation.component[2]", "o1#13964-2#2"),
        (5, 2, "Observation", "o2"),
    ]  # fmt: skip
    feed.say(observation(component=parts[:1], valueQuantity=None, code=coding("panel")))
    assert feed.row()["segment"] == "Observation.component[0]"


# References


@pytest.mark.parametrize(
    ("reference", "person"),
    [
        ("Patient/12", "12"),
        ("Patient/12/_history/3", "12"),
        ("https://server.example/fhir/Patient/12", "12"),
        ("https://server.example/fhir/Patient/12/_history/1", "12"),
    ],
)
def test_a_person_is_referred_to_by_id(feed: Feed, reference: str, person: str) -> None:
    feed.say(observation(subject={"reference": reference}))
    assert feed.row()["patient_id"] == person


@pytest.mark.parametrize(
    "subject",
    [{"reference": "Group/1"}, {"reference": "#nobody"}, {"reference": "urn:uuid:0"},
     {"reference": "12"}, {"identifier": {"system": "s", "value": "12"}}],
)  # fmt: skip
def test_a_subject_that_cannot_be_followed_is_nobody(feed: Feed, subject: dict[str, Any]) -> None:
    feed.say(observation(subject=subject))
    assert feed.fault() == "subject"


def test_without_a_subject_the_person_is_blank_and_the_row_rejected(feed: Feed) -> None:
    feed.say(observation(subject=None))
    assert feed.scanned() == [(1, "patient_id")]


def test_a_urn_is_followed_within_the_file(feed: Feed) -> None:
    feed.say(
        observation(subject={"reference": "urn:uuid:aa-bb"}),
        patient(id="aa-bb"),
        {
            "resourceType": "Bundle",
            "entry": [
                {"fullUrl": "urn:uuid:cc", "resource": patient(id="77")},
                {"resource": observation(id="o2", subject={"reference": "urn:uuid:cc"})},
            ],
        },
    )
    assert [(row["patient_id"], row["segment"]) for row in feed.rows()] == [
        ("aa-bb", "Observation"), ("77", "Bundle.entry[1].Observation"),
    ]  # fmt: skip


def test_a_contained_person_is_known_by_an_identifier_and_never_by_its_local_id(feed: Feed) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    inside = [{"resourceType": "Patient", "id": "p", "identifier": [number]}]
    said = observation(subject={"reference": "#p"}, contained=inside)
    feed.say(said)
    assert feed.fault() == "subject"
    feed.say(said, patient(id="12", identifier=[number]))
    assert feed.row()["patient_id"] == "12"
    other(feed, Settings(fhir=Fhir(patient_identifier="https://numbers.example")))
    feed.say(said)
    assert feed.row()["patient_id"] == "900"


def test_where_the_settings_name_a_system_people_are_known_by_that_identifier(feed: Feed) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    other(feed, Settings(fhir=Fhir(patient_identifier="https://numbers.example")))
    feed.say(
        patient(id="12", identifier=[{"system": "else", "value": "1"}, number]),
        observation(subject={"reference": "Patient/12"}),
        observation(id="o2", subject={"identifier": number}),
        observation(id="o3", subject={"reference": "Patient/13"}),
    )
    assert [row["patient_id"] for row in feed.rows("patients")] == ["900"]
    assert [row["patient_id"] for row in feed.rows()] == ["900", "900"]
    assert [row["check_name"] for row in feed.broken()] == ["subject"]


def test_an_identifier_that_two_people_carry_names_neither(feed: Feed) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    feed.say(
        patient(id="1", identifier=[number]),
        patient(id="2", identifier=[number]),
        observation(subject={"identifier": number}),
    )
    assert feed.fault() == "subject"


OLD = [
    {"use": "old"},
    {"period": {"end": "2026-11-21"}},
    {"period": {"start": "2020-01-01", "end": "2026-10"}},
]


@pytest.mark.parametrize("old", OLD)
def test_an_identifier_that_is_no_longer_in_use_is_left_out(
    feed: Feed, old: dict[str, Any]
) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    other(feed, Settings(fhir=Fhir(patient_identifier="https://numbers.example")))
    until_tonight = number | {"use": "usual", "period": {"end": "2026-11-22"}}
    inside = {"resourceType": "Patient", "id": "p", "identifier": [number | old, until_tonight]}
    before = number | old | {"value": "800"}
    feed.say(
        patient(id="12", identifier=[before, until_tonight]),
        patient(id="13", identifier=[before]),
        observation(subject={"reference": "Patient/12"}),
        observation(id="o2", subject={"reference": "#p"}, contained=[inside]),
        observation(id="o3", subject={"reference": "Patient/13"}),
        observation(id="o4", subject={"identifier": before}),
        observation(id="o5", subject={"identifier": before, "reference": "Patient/12"}),
    )
    assert [row["patient_id"] for row in feed.rows("patients")] == ["900", ""]
    assert [(row["result_id"], row["patient_id"]) for row in feed.rows()] == [
        ("o1", "900"), ("o2", "900"), ("o5", "900"),
    ]  # fmt: skip
    assert [row["check_name"] for row in feed.broken()] == ["subject"] * 2
    other(feed, Settings())
    feed.say(
        patient(id="12", identifier=[before]),
        observation(subject={"identifier": number | {"value": "800"}}),
    )
    assert feed.fault() == "subject"


def test_who_has_two_identifiers_in_use_is_nobody(feed: Feed) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    second = number | {"value": "901"}
    other(feed, Settings(fhir=Fhir(patient_identifier="https://numbers.example")))
    inside = {"resourceType": "Patient", "id": "p", "identifier": [number, second]}
    feed.say(
        patient(id="12", identifier=[number, number | {"use": "official"}]),
        patient(id="13", identifier=[number]),
        patient(id="13", identifier=[number, second]),
        observation(subject={"reference": "Patient/12"}),
        observation(id="o2", subject={"reference": "Patient/13"}),
        observation(id="o3", subject={"reference": "#p"}, contained=[inside]),
        condition(subject={"reference": "Patient/13"}),
    )
    assert [row["patient_id"] for row in feed.rows("patients")] == ["900", "900"]
    assert [row["check_name"] for row in feed.broken("patients")] == ["identifiers"]
    assert [row["patient_id"] for row in feed.rows()] == ["900"]
    assert [row["check_name"] for row in feed.broken()] == ["subject"] * 2
    assert [row["check_name"] for row in feed.broken("conditions")] == ["subject"]


def test_a_result_with_two_identifiers_in_use_has_no_key(feed: Feed) -> None:
    key = {"system": "https://results.example", "value": "R9"}
    other(feed, Settings(fhir=Fhir(result_identifier="https://results.example")))
    feed.say(
        observation(identifier=[key | {"value": "R8", "use": "old"}, key]),
        observation(identifier=[key | {"value": "R8"}, key]),
    )
    assert [row["result_id"] for row in feed.rows()] == ["R9", ""]


def test_the_encounters_organisation_is_the_clinic_where_it_can_be_looked_up(feed: Feed) -> None:
    provider = {"reference": "Organization/north"}
    encounter = {"resourceType": "Encounter", "id": "e1", "serviceProvider": provider}
    feed.say(
        observation(encounter={"reference": "Encounter/e1"}),
        observation(id="o2", encounter={"reference": "Encounter/e2"}),
        encounter,
        observation(id="o3", encounter={"reference": "#e"}, contained=[encounter | {"id": "e"}]),
    )
    assert [row["clinic_id"] for row in feed.rows()] == ["north", "", "north"]


def test_a_specimen_is_named_by_its_type_wherever_it_stands(feed: Feed) -> None:
    serum = {"coding": [{"system": "http://snomed.info/sct", "code": "119364003"}]}
    urine = {"resourceType": "Specimen", "id": "s1", "type": {"text": "Urine"}}
    feed.say(
        observation(
            specimen={"reference": "#s"},
            contained=[{"resourceType": "Specimen", "id": "s", "type": serum}],
        ),
        observation(id="o2", specimen={"reference": "Specimen/s1"}),
        observation(id="o3", specimen={"display": "Plasma"}),
        urine,
    )
    assert [row["specimen"] for row in feed.rows()] == ["serum", "Urine", "Plasma"]
    assert [fault for _, fault in feed.scanned()] == [None, "specimen", None]


REFERENCES = [
    {"reference": "Specimen/s1"},
    {"reference": "https://server.example/Specimen/s1"},
    {"reference": "urn:uuid:s1"},
]


@pytest.mark.parametrize("refers", REFERENCES)
@pytest.mark.parametrize("how", [EAGERLY, BY_ITSELF])
def test_a_specimen_that_is_not_in_the_file_is_told(
    feed: Feed, refers: dict[str, Any], how: AtOnce
) -> None:
    feed.how = how
    unmapped = {"code": coding("99999-9"), "valueQuantity": quantity(3, "g/L")}
    part = {"code": coding("718-7"), "valueQuantity": quantity(120, "g/L")}
    results = [
        *[observation(id=f"a{n}", specimen=refers) for n in range(4)],
        *[observation(id=f"b{n}", specimen=refers, component=[part, unmapped]) for n in range(4)],
        *[observation(id=f"c{n}", specimen=refers | {"display": "Serum"}) for n in range(4)],
        *[observation(id=f"d{n}", specimen=refers, code=coding("99999-9")) for n in range(4)],
        *[observation(id=f"e{n}") for n in range(4)],
        observation(id="f", specimen=refers, status="cancelled"),
        observation(id="g", specimen=refers, subject={"reference": "Group/1"}),
        observation(id="h", specimen={"reference": "#s"},
                    contained=[{"resourceType": "Specimen", "id": "s"}]),
    ]  # fmt: skip
    feed.say(*results)
    n_row = len(feed.rows())
    assert {row["specimen"] for row in feed.rows()} == {"", "Serum"}
    (note,) = feed.found.notes
    assert note.startswith("12 results refer to a specimen that is not known")
    # One that does not say what it is is there all the same; nor is another one of any use.
    feed.say(*results, {"resourceType": "Specimen", "id": "s1"})
    assert len(feed.rows()) == n_row
    assert feed.found.notes == [
        "resources that are no extract of ours are out of scope: 1 Specimen"
    ]
    feed.say(*results, {"resourceType": "Specimen", "id": "s2", "type": {"text": "Urine"}})
    assert feed.found.notes[0] == note


def test_a_result_is_known_by_its_id_or_by_the_identifier_that_the_settings_name(
    feed: Feed,
) -> None:
    key = [{"system": "https://results.example", "value": "R9"}]
    feed.say(observation(identifier=key), observation(identifier=key, id=None))
    assert [row["result_id"] for row in feed.rows()] == ["o1", "R9"]
    other(feed, Settings(fhir=Fhir(result_identifier="https://results.example")))
    feed.say(observation(identifier=key))
    assert feed.row()["result_id"] == "R9"


def test_a_result_called_low_above_its_range_is_taken_and_told(feed: Feed) -> None:
    limits = [{"low": {"value": 140}, "high": {"value": 300}}]
    low = [{"coding": [{"code": "L"}]}]
    feed.say(
        observation(interpretation=low, referenceRange=limits),
        observation(id="o2", interpretation=low, referenceRange=limits, valueQuantity=quantity(90)),
    )
    assert [row["value"] for row in feed.rows()] == ["412", "90"]
    assert [note[:2] for note in feed.found.notes] == ["1 "]


# People


def test_a_patient_is_a_row_of_patients(feed: Feed) -> None:
    feed.say(patient(managingOrganization={"reference": "Organization/north"}))
    row = feed.row("patients")
    assert (row["patient_id"], row["birth_date"], row["sex"], row["clinic_id"]) == (
        "1", "1950-02-03", "female", "north",
    )  # fmt: skip


def test_a_partial_date_of_birth_leaves_what_is_known_and_is_told(feed: Feed) -> None:
    feed.say(patient(birthDate="1950"), patient(id="2", birthDate="1950-03"))
    assert [row["birth_date"] for row in feed.rows("patients")] == [None, None]
    assert feed.found.notes == ["2 dates of birth are partial and leave what is known"]


@pytest.mark.parametrize(
    ("element", "died"),
    [
        ({"deceasedDateTime": "2024-03-05"}, "2024-03-05"),
        ({"deceasedDateTime": "2024-02"}, "2024-02-29"),
        ({"deceasedDateTime": "2026"}, "2026-11-22"),
        ({"deceasedBoolean": True}, "2026-11-22"),
        ({"deceasedBoolean": True, "meta": {"lastUpdated": "2026-01-02T10:00:00Z"}}, "2026-01-02"),
        ({"deceasedBoolean": False}, ""),
        # A database's blank is no day.
        ({"deceasedBoolean": True, "deceasedDateTime": "1900-01-01"}, "2026-11-22"),
        ({"deceasedBoolean": False, "deceasedDateTime": "9999-12-31T00:00:00Z"}, ""),
    ],
)
def test_somebody_known_dead_without_a_day_is_dead_by_the_night(
    feed: Feed, element: dict[str, Any], died: str
) -> None:
    feed.say(patient(**element))
    assert feed.row("patients")["deceased_on"] == died
    assert "deceased_on" in feed.found.kinds["patients"].sent


def test_a_resource_that_says_nothing_of_a_death_leaves_what_is_known(feed: Feed) -> None:
    filled = patient(id="3", deceasedDateTime="1900-01-01")
    feed.say(patient(), patient(id="2", deceasedBoolean=True), filled)
    assert [row["deceased_on"] for row in feed.rows("patients")] == [None, "2026-11-22", None]
    assert "opted_out" not in feed.found.kinds["patients"].sent


# Conditions


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("http://hl7.org/fhir/sid/icd-10-cm", "icd10cm"),
        ("http://hl7.org/fhir/sid/icd-10", "icd10"),
        ("http://snomed.info/sct", "snomed"),
    ],
)
def test_a_condition_is_a_row_of_conditions(feed: Feed, uri: str, word: str) -> None:
    feed.say(condition(code=coding("D51.0", uri)))
    row = feed.row("conditions")
    assert (row["patient_id"], row["code"], row["code_system"], row["recorded_on"]) == (
        "1", "D51.0", word, "2020-05-06",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("element", "resolved"),
    [
        ({}, ""),
        ({"abatementDateTime": "2021-01-02"}, "2021-01-02"),
        ({"abatementPeriod": {"start": "2021-01-01", "end": "2021-01-03"}}, "2021-01-03"),
        ({"clinicalStatus": coding("resolved")}, "2020-05-06"),
        ({"clinicalStatus": coding("active")}, ""),
        ({"abatementDateTime": "9999-12-31"}, ""),
        ({"clinicalStatus": coding("resolved"), "abatementDateTime": "1900-01-01"}, "2020-05-06"),
        (
            {"clinicalStatus": coding("remission"), "meta": {"lastUpdated": "2022-02-02"}},
            "2022-02-02",
        ),
    ],
)
def test_a_condition_that_ended_is_resolved(
    feed: Feed, element: dict[str, Any], resolved: str
) -> None:
    feed.say(condition(**element))
    assert feed.row("conditions")["resolved_on"] == resolved


def test_the_onset_stands_in_for_the_day_recorded(feed: Feed) -> None:
    feed.say(condition(recordedDate=None, onsetDateTime="2019-01-02"))
    assert feed.row("conditions")["recorded_on"] == "2019-01-02"


@pytest.mark.parametrize("word", ["refuted", "entered-in-error"])
@pytest.mark.parametrize("same_file", [True, False])
def test_a_refuted_condition_is_no_fact_and_takes_an_earlier_row_back(
    feed: Feed, word: str, same_file: bool
) -> None:
    refuted = condition(verificationStatus=coding(word))
    feed.say(refuted)
    assert feed.fault("conditions") == "scope"
    if same_file:
        feed.say(condition(), refuted)
        account = feed.take("conditions")
    else:
        feed.say(condition())
        feed.take("conditions")
        feed.say(refuted)
        account = feed.take("conditions")
    # Codes whose facts never end, an inborn error for one, have to be gone, not only resolved.
    assert feed.warehouse.scalar("SELECT count(*) FROM core.condition") == 0
    assert feed.warehouse.scalar("SELECT count(*) FROM private.condition") == 2
    assert account.n_accepted == account.n_read


@pytest.mark.parametrize(
    ("word", "is_taken"),
    [("differential", False), ("unconfirmed", True), ("provisional", True), ("confirmed", True)],
)
def test_one_of_several_possibilities_is_no_condition(
    feed: Feed, word: str, is_taken: bool
) -> None:
    feed.say(condition(verificationStatus=coding(word)))
    assert len(feed.rows("conditions")) == is_taken
    assert [row["check_name"] for row in feed.broken("conditions")] == ["scope"] * (not is_taken)
    assert len(feed.found.notes) == (not is_taken)


def test_a_condition_that_is_stated_again_after_its_withdrawal_stands_again(feed: Feed) -> None:
    feed.say(condition(), condition(verificationStatus=coding("refuted")), condition())
    feed.take("conditions")
    feed.say(condition())
    feed.take("conditions")
    assert feed.warehouse.rows("SELECT resolved_on FROM core.condition") == [(None,)]


# Medications


def test_an_administration_is_a_row_of_medications(feed: Feed) -> None:
    given_by = {"coding": [{"system": "http://snomed.info/sct", "code": "78421000"}]}
    feed.say(dose(dosage={"dose": {"value": 1.0, "unit": "mg", "code": "mg"}, "route": given_by}))
    row = feed.row("medications")
    columns = ("medication_id", "kind", "code", "code_system", "started_on")
    assert [row[name] for name in columns] == [
        "MedicationAdministration/m1", "administration", "B03BA03", "atc", "2026-10-01",
    ]  # fmt: skip
    assert [row[name] for name in ("dose", "dose_unit", "route")] == ["1.0", "mg", "im"]


def test_a_dose_that_is_no_mass_and_a_route_unknown_to_us_are_blank(feed: Feed) -> None:
    feed.say(dose(dosage={"dose": {"value": 1, "unit": "mL"}, "route": {"text": "by ear"}}))
    row = feed.row("medications")
    assert [row[name] for name in ("dose", "dose_unit", "route")] == ["", "", ""]


def test_a_prescription_has_the_dose_of_a_day(feed: Feed) -> None:
    daily = {
        "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
        "doseAndRate": [{"doseQuantity": {"value": 0.5, "unit": "mg"}}],
        "route": {"text": "Oral"},
    }
    end = {"validityPeriod": {"end": "2027-01-01"}}
    feed.say(prescription(dosageInstruction=[daily], dispenseRequest=end))
    row = feed.row("medications")
    assert [row[name] for name in ("kind", "dose", "dose_unit", "route", "ended_on")] == [
        "prescription", "1", "mg", "oral", "2027-01-01",
    ]  # fmt: skip


def bounded(**bounds: Any) -> dict[str, Any]:
    return {"timing": {"repeat": bounds}}


def until(end: str) -> dict[str, Any]:
    return bounded(boundsPeriod={"start": "2026-10-01", "end": end})


def lasting(value: Any, code: str, **more: Any) -> dict[str, Any]:
    return bounded(boundsDuration=quantity(value, code, **more))


VALID = {"validityPeriod": {"end": "2027-01-01"}}


@pytest.mark.parametrize(
    ("instructions", "dispensed", "end"),
    [
        ([], {}, ""),
        ([until("2026-12-31")], {}, "2026-12-31"),
        ([until("2026-12-31"), until("2027-02-01T08:00:00Z"), until("2026-10-05")], {},
         "2027-02-01"),
        ([until("2027-02")], {}, "2027-02-28"),
        # What one of several instructions leaves open is open.
        ([until("2026-12-31"), bounded()], {}, ""),
        ([lasting(7, "d"), {}], {}, ""),
        ([lasting(7, "d"), lasting(2, "wk"), lasting(10, "d")], {}, "2026-10-15"),
        ([lasting(3, "mo")], {}, "2027-01-01"),
        ([lasting(0.5, "a")], {}, "2027-04-01"),
        ([lasting(1.5, "wk")], {}, "2026-10-12"),
        ([lasting(1.5, "mo")], {}, ""),
        ([lasting(7, "min")], {}, ""),
        ([lasting(7, "d", comparator=">")], {}, ""),
        ([lasting(0, "d")], {}, ""),
        ([lasting("many", "d")], {}, ""),
        ([bounded(boundsDuration={"value": 7, "unit": "d"})], {}, "2026-10-08"),
        ([], {"expectedSupplyDuration": quantity(30, "d")}, "2026-10-31"),
        ([], {"expectedSupplyDuration": quantity(30, "d"), "numberOfRepeatsAllowed": 2},
         "2026-12-30"),
        # What was stated goes before what was counted, an instruction before what may be dispensed.
        ([lasting(1, "mo")], VALID, "2027-01-01"),
        ([until("2026-12-31")], VALID, "2026-12-31"),
        ([until("2026-12-31"), bounded()], VALID, "2027-01-01"),
        ([until("2026-10-20"), lasting(1, "mo")], {}, "2026-11-01"),
        ([lasting(1, "mo")], {"expectedSupplyDuration": quantity(9, "d")}, "2026-11-01"),
        # No end that the contract refuses is made of what says so little.
        ([lasting(2, "a")], {}, ""),
        ([lasting(1e15, "a")], {}, ""),
        ([], {"expectedSupplyDuration": quantity(1e15, "a"), "numberOfRepeatsAllowed": 1e15}, ""),
        ([until("2098-12-31")], {}, ""),
    ],
)  # fmt: skip
def test_a_prescription_ends_as_stated_else_as_counted(
    feed: Feed, instructions: list[Any], dispensed: dict[str, Any], end: str
) -> None:
    feed.say(prescription(dosageInstruction=instructions, dispenseRequest=dispensed))
    assert feed.row("medications")["ended_on"] == end


@pytest.mark.parametrize(
    ("authored", "end"),
    [("2027-01-31", "2027-02-28"), ("2026-11-30", "2026-12-30"), ("2026-12-01", "2027-01-01"),
     ("2026", "")],
)  # fmt: skip
def test_a_month_from_its_last_day_ends_at_the_end_of_a_shorter_one(
    feed: Feed, authored: str, end: str
) -> None:
    feed.say(prescription(authoredOn=authored, dosageInstruction=[lasting(1, "mo")]))
    assert feed.row("medications")["ended_on"] == end


@pytest.mark.parametrize("status", ["stopped", "completed"])
def test_a_prescription_that_is_over_ends_on_the_day_that_tells_of_it(
    feed: Feed, status: str
) -> None:
    feed.say(prescription(status=status, meta={"lastUpdated": "2026-11-01"}))
    assert feed.row("medications")["ended_on"] == "2026-11-01"
    feed.say(prescription(status=status))
    assert feed.row("medications")["ended_on"] == "2026-10-01"
    known = {"dosageInstruction": [until("2026-10-20")], "meta": {"lastUpdated": "2026-11-01"}}
    feed.say(prescription(status=status, **known))
    assert feed.row("medications")["ended_on"] == (
        "2026-11-01" if status == "stopped" else "2026-10-20"
    )


def test_the_drug_may_be_contained(feed: Feed) -> None:
    drug = {
        "resourceType": "Medication",
        "id": "d",
        "code": coding("317106", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    }
    said = dose(medicationReference={"reference": "#d"}, contained=[drug])
    del said["medicationCodeableConcept"]
    feed.say(said)
    assert (feed.row("medications")["code_system"], feed.row("medications")["code"]) == (
        "rxnorm", "317106",
    )  # fmt: skip


def test_the_drug_may_be_told_elsewhere_in_the_file(feed: Feed) -> None:
    drug = {
        "resourceType": "Medication",
        "id": "d",
        "code": coding("B03BA03", "http://www.whocc.no/atc") | {"text": "Hydroxocobalamin"},
    }

    def refers(reference: str, **more: Any) -> dict[str, Any]:
        said = prescription(medicationReference={"reference": reference}, **more)
        del said["medicationCodeableConcept"]
        return said

    feed.say(
        refers("Medication/d"),
        refers("urn:uuid:aa", id="m2"),
        {"resourceType": "Bundle", "entry": [{"fullUrl": "urn:uuid:aa", "resource": drug}]},
        refers("Medication/e", id="m3"),
        refers("#d", id="m4"),
        refers("Medication/e", id="m5", status="entered-in-error"),
    )
    assert [
        (row["medication_id"], row["code_system"], row["code"], row["name"])
        for row in feed.rows("medications")
    ] == [
        ("MedicationRequest/m1", "atc", "B03BA03", "Hydroxocobalamin"),
        ("MedicationRequest/m2", "atc", "B03BA03", "Hydroxocobalamin"),
    ]
    assert [row["check_name"] for row in feed.broken("medications")] == [
        "scope", "drug", "drug", "scope",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        dose(status="not-done"),
        dose(status="entered-in-error"),
        dose(meta={"tag": [{"code": "DELETED"}]}),
    ],
)  # fmt: skip
def test_what_was_not_given_is_no_dose_and_takes_an_earlier_one_back(feed: Feed, said: Any) -> None:
    feed.say(said)
    assert feed.fault("medications") == "scope"
    feed.say(dose())
    feed.take("medications")
    feed.say(said)
    feed.take("medications")
    assert feed.warehouse.rows("SELECT medication_id, code FROM core.medication") == [
        ("MedicationAdministration/m1", "withdrawn")
    ]


@pytest.mark.parametrize(
    "element", [{"status": "cancelled"}, {"status": "draft"}, {"intent": "proposal"},
                {"doNotPerform": True}],
)  # fmt: skip
def test_what_was_not_prescribed_is_no_prescription(feed: Feed, element: dict[str, Any]) -> None:
    feed.say(prescription() | element)
    assert feed.fault("medications") == "scope"


# Deletes

TOMBSTONE = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {"lastUpdated": "2026-11-10T00:00:00Z", "tag": [{"code": "DELETED"}]},
}
DELETION = {
    "resourceType": "Bundle",
    "type": "transaction",
    "meta": {"lastUpdated": "2026-11-10T00:00:00Z"},
    "entry": [{"request": {"method": "DELETE", "url": "Observation/o1"}}],
}
EMPTIED = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "entered-in-error",
    "issued": "2026-11-10T00:00:00Z",
}


@pytest.mark.parametrize("said", [TOMBSTONE, DELETION, EMPTIED])
def test_a_deleted_result_is_entered_in_error_where_its_id_is_known(feed: Feed, said: Any) -> None:
    feed.say(said)
    assert feed.fault() == "scope"
    part = {"code": coding("13964-2"), "valueQuantity": quantity(300, "nmol/L")}
    feed.say(observation(component=[part]), said)
    withdrawn = [row for row in feed.rows() if row["line"] == 2]
    assert [(row["result_id"], row["status"], row["code"]) for row in withdrawn] == [
        ("o1", "entered-in-error", "14685-2"), ("o1#13964-2", "entered-in-error", "13964-2"),
    ]  # fmt: skip
    assert feed.take().n_accepted == 4
    # Tonight's earlier file is known, too.
    feed.say(said)
    assert [row["status"] for row in feed.rows()] == ["entered-in-error"] * 2
    assert all(row["reported_at"].startswith("2026-11-10") for row in feed.rows())


def test_a_deletion_without_a_time_is_as_new_as_what_it_withdraws(feed: Feed) -> None:
    feed.say(observation(), TOMBSTONE | {"meta": {"tag": [{"code": "DELETED"}]}})
    assert feed.rows()[1]["reported_at"].startswith("2026-11-02")


def test_a_deletion_that_nothing_can_express_is_rejected_and_seen(feed: Feed) -> None:
    feed.say(TOMBSTONE | {"resourceType": "Patient"})
    assert feed.fault("patients") == "deleted"


def test_a_deleted_condition_that_is_not_known_is_told_and_holds_nothing(feed: Feed) -> None:
    entries = [
        {"request": {"method": "DELETE", "url": f"Condition/c{number}"}} for number in range(20)
    ]
    entries.append({"request": {"method": "DELETE", "url": "Observation/o1"}})
    feed.say(observation())
    feed.take()
    found = feed.say({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert {row["check_name"] for row in feed.broken("conditions")} == {"scope"}
    assert [row["status"] for row in feed.rows()] == ["entered-in-error"]
    assert found.notes == []
    (note,) = found.look_for_withdrawn(feed.warehouse, "conditions")
    assert note.startswith("20 withdrawals of conditions name nothing that is known")


def test_the_newest_version_of_a_history_counts(feed: Feed) -> None:
    """A server gives the newest version first."""
    versions = [
        {"resourceType": "Patient", "id": "1", "deceasedDateTime": "2026-11-01"},
        {"resourceType": "Patient", "id": "1", "deceasedBoolean": False},
    ]
    entries = [{"resource": version} for version in versions]
    feed.say({"resourceType": "Bundle", "type": "history", "entry": entries})
    assert [row["deceased_on"] for row in feed.rows("patients")] == ["", "2026-11-01"]
    feed.say({"resourceType": "Bundle", "type": "collection", "entry": entries[::-1]})
    assert [row["deceased_on"] for row in feed.rows("patients")] == ["", "2026-11-01"]


@pytest.mark.parametrize(
    "said",
    [
        {"_deceasedDateTime": {"extension": [{"url": "x", "valueCode": "unknown"}]}},
        {"deceasedBoolean": "true"},
    ],
)
def test_a_death_without_its_day_is_one(feed: Feed, said: dict[str, Any]) -> None:
    feed.say({"resourceType": "Patient", "id": "1", **said})
    assert feed.row("patients")["deceased_on"] == str(NIGHT)


@pytest.mark.parametrize(
    "said",
    [
        {"code": {"text": "Asthma"}},
        {"code": coding("493.90", "http://hl7.org/fhir/sid/icd-9-cm")},
        {"code": coding("J45.909", "http://hl7.org/fhir/sid/icd-10-cm"), "recordedDate": None},
        {"code": coding("J45.909", "http://hl7.org/fhir/sid/icd-10-cm"), "recordedDate": "2015"},
    ],
)
def test_a_condition_that_no_map_could_name_is_out_of_scope_and_holds_nothing(
    feed: Feed, said: dict[str, Any]
) -> None:
    found = feed.say(condition(**said))
    assert feed.fault("conditions") == "scope"
    assert "conditions and drugs that no map could name" in found.notes[0]
    # One of ours is seen, and one that is only unused is accepted.
    named = {"code": coding("G32.0", "http://hl7.org/fhir/sid/icd-10-cm")}
    if "recordedDate" in said:
        feed.say(condition(**said) | named)
        assert feed.row("conditions")["recorded_on"] in ("", "2015")
    else:
        feed.say(condition(**named))
        assert feed.row("conditions")["code"] == "G32.0"
    feed.say(condition(code=coding("J45.909", "http://hl7.org/fhir/sid/icd-10-cm")))
    assert feed.row("conditions")["code"] == "J45.909"


def test_a_drug_that_no_map_could_name_is_out_of_scope_unless_it_is_called_like_one_of_ours(
    feed: Feed,
) -> None:
    feed.say(dose(medicationCodeableConcept={"text": "Vitamin C"}))
    assert feed.fault("medications") == "scope"
    feed.say(dose(medicationCodeableConcept=coding("4711", "urn:ours", display="Aspirin")))
    assert feed.fault("medications") == "scope"
    aspirin = coding("1191", "http://www.nlm.nih.gov/research/umls/rxnorm", display="Aspirin")
    feed.say(prescription(medicationCodeableConcept=aspirin, authoredOn=None))
    assert feed.fault("medications") == "scope"
    feed.say(prescription(medicationCodeableConcept=aspirin))
    assert feed.row("medications")["code"] == "1191"
    for name in ("Hydroxocobalamin 1 mg", "Vitamin B12", "Folic acid 5 mg"):
        feed.say(dose(medicationCodeableConcept={"text": name}))
        # Blank where a code is needed, so that it is rejected and seen.
        assert feed.row("medications")["code"] == ""


def test_a_withdrawal_without_a_performer_reaches_the_result_of_its_id(feed: Feed) -> None:
    other(feed, Settings(laboratories={
        "main": Laboratory(), "north": Laboratory(fhir_performers=["Organization/north"]),
    }))  # fmt: skip
    look_up(feed.intake, ("labs",))
    feed.say(observation(performer=[{"reference": "Organization/north"}]))
    feed.take()
    feed.say(observation(status="entered-in-error"))
    assert [(row["laboratory"], row["status"]) for row in feed.rows()] == [
        ("north", "entered-in-error")
    ]


# Lines


def test_an_empty_file_is_refused(feed: Feed) -> None:
    with pytest.raises(FileRefused):
        feed.read(b"")


@pytest.mark.parametrize(
    ("line", "check"),
    [
        (b"{", "json"),
        (b'{"resourceType": "Observation"} {}', "json"),
        (b'{"resourceType": "Observation",}', "json"),
        (b'{"resourceType": "Observation", "valueInteger": NaN}', "json"),
        (b'{"resourceType": "Observation", "id": "\\ud800"}', "json"),
        (b'{"resourceType": "Observation", "id": "a", "id": "b"}', "json_name"),
        (b'{"resourceType": "Observation", "id": "\xff"}', "encoding"),
        (b'{"resourceType": "Observation", "id": "\0"}', "nul_byte"),
        (b'{"resourceType": "Observation", "id": "\\u0000", "code": {"coding": [{"code": "c"}]}}',
         "nul_byte"),
        (b"[" * 100_000, "json"),
        (b"5", "resource"),
        (b'{"id": "o1"}', "resource"),
    ],
)  # fmt: skip
def test_a_malformed_line_costs_one_row_and_keeps_its_place(
    feed: Feed, line: bytes, check: str
) -> None:
    good = json.dumps(observation()).encode()
    feed.read(b"\n".join([good, b"", line, good, b""]))
    (broken,) = feed.broken()
    assert (broken["line"], broken["check_name"]) == (3, check)
    assert broken["raw"]
    assert [row["line"] for row in feed.rows()] == [1, 4]
    assert check in checks.SHAPES


def test_other_resources_are_out_of_scope_and_named(feed: Feed) -> None:
    feed.say(
        observation(), {"resourceType": "Claim"}, {"resourceType": "Claim"},
        {"resourceType": "Smith"}, {"resourceType": "Bundle", "entry": []},
    )  # fmt: skip
    assert [row["check_name"] for row in feed.broken()] == ["scope"] * 4
    assert feed.found.notes == [
        "resources that are no extract of ours are out of scope: 1 Bundle, 2 Claim, 1 another type"
    ]
    assert feed.take().n_out_of_scope == 4


TEST_DATA = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
}


@pytest.mark.parametrize("where", ["tag", "security"])
def test_test_data_gives_no_rows_and_is_told(feed: Feed, where: str) -> None:
    meta = {where: [{"code": "R"}, TEST_DATA]}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": observation(id="o9")}]}
    feed.say(
        observation(), observation(meta=meta), patient(meta=meta), condition(meta=meta),
        dose(meta=meta), prescription(meta=meta), bundle | {"meta": meta},
    )  # fmt: skip
    assert [row["result_id"] for row in feed.rows()] == ["o1"]
    broken = [row["check_name"] for kind in feed.found.kinds for row in feed.broken(kind)]
    assert broken == ["scope"] * 6
    assert feed.found.notes == [
        "6 resources are labelled as test data (HTEST) and are out of scope"
    ]


@pytest.mark.parametrize("where", ["tag", "security"])
def test_test_data_gives_no_rows_among_many_lines(feed: Feed, where: str) -> None:
    labels = ["R", "N", "V", "N", "HTEST", "R"]
    feed.say(
        *[observation(id=f"o{n}", meta={where: [{"code": code}]}) for n, code in enumerate(labels)]
    )
    assert [row["result_id"] for row in feed.rows()] == ["o0", "o1", "o2", "o3", "o5"]
    assert [row["check_name"] for row in feed.broken()] == ["scope"]


def test_a_deletion_of_test_data_is_one_all_the_same(feed: Feed) -> None:
    meta = TOMBSTONE["meta"] | {"security": [TEST_DATA]}
    feed.say(observation(), TOMBSTONE | {"meta": meta})
    assert [row["status"] for row in feed.rows()] == ["final", "entered-in-error"]


def test_lines_of_no_kind_count_with_what_most_of_the_file_is(feed: Feed) -> None:
    feed.read(json.dumps(patient()).encode() + b"\n{")
    assert [row["check_name"] for row in feed.broken("patients")] == ["json"]
    assert set(feed.found.kinds) == {"patients"}


def test_line_ends_and_a_byte_order_mark_do_not_matter(feed: Feed) -> None:
    good = json.dumps(observation()).encode()
    feed.read(b"\xef\xbb\xbf" + good + b"\r\n" + good + b"\r\n")
    assert [row["line"] for row in feed.rows()] == [1, 2]


def test_a_file_that_tells_of_too_many_people_is_refused_before_memory_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text("".join(json.dumps(patient(id=f"p{n}")) + "\n" for n in range(3)))
    reader = Reader(Settings(), load_maps(), NIGHT)
    assert Indexed(path, reader, 1000, most_known=3)().n_known() == 3
    with pytest.raises(FileRefused, match="more than 2 people"):
        Indexed(path, reader, 1000, most_known=2)()


@pytest.mark.parametrize(
    "twisted_text",
    [
        ('"status": "final"', '"status": "final", "status": "final"'),
        ('"value": 412', '"value": 412, "value": 41'),
        ('"value": 412', '"value": 412, '),
        ('"value": 412', '"value": 0412'),
        ('"value": 412', '"value": 412.'),
        ('"id": "o1"', '"id": "o\\ud8001"'),
        ('"id": "o1"', '"id": "o\t1"'),
    ],
)
def test_a_line_that_is_no_clean_json_is_refused_though_its_neighbours_are_plain(
    feed: Feed, twisted_text: tuple[str, str]
) -> None:
    good = json.dumps(observation())
    bad = good.replace(*twisted_text)
    assert bad != good
    feed.read("\n".join([good, good, bad, good]).encode())
    assert [row["line"] for row in feed.rows()] == [1, 2, 4]
    assert [row["line"] for row in feed.broken()] == [3]


def test_observations_of_one_shape_keep_what_is_their_own(feed: Feed) -> None:
    """Person, clinic, specimen, range and unit of each line, whichever line the shape came from."""
    provider = {"reference": "Organization/north"}
    limits = [{"low": {"value": 140}, "high": {"value": 300}}]
    lines = [
        observation(
            id=f"o{n}",
            subject={"reference": f"Patient/{n % 3}"},
            encounter={"reference": f"Encounter/e{n % 2}"},
            specimen={"display": ("Serum", "Plasma")[n % 2]},
            interpretation=[{"coding": [{"code": "LH"[n % 2]}]}],
            referenceRange=limits,
            valueQuantity=quantity(100 + n * 50, ("pmol/L", "pg/mL")[n // 4]),
        )
        for n in range(8)
    ]
    encounter = {"resourceType": "Encounter", "id": "e1", "serviceProvider": provider}
    said = []
    for feed.how in (EAGERLY, BY_ITSELF):
        feed.say(encounter, *lines)
        said.append((feed.rows(), feed.broken(), feed.found.notes))
    assert said[0] == said[1]
    columns = ("patient_id", "clinic_id", "specimen", "value", "unit")
    assert [tuple(row[name] for name in columns) for row in said[0][0]][6:] == [
        ("0", "", "Serum", "400", "pg/mL"), ("1", "north", "Plasma", "450", "pg/mL"),
    ]  # fmt: skip
    assert said[0][2][0].startswith("1 results are called low")


# Any file

READER = Reader(Settings(), load_maps(), NIGHT)
WORDS = st.sampled_from(
    ["final", "corrected", "entered-in-error", "Patient/1", "urn:uuid:1", "#c", "14685-2",
     "13964-2", "http://loinc.org", "pmol/L", "pg/mL", "2026-11-01", "2026-11", "<", "L", "", "é",
     "o1"]
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 900) | st.floats(0, 900, width=16) | WORDS,
    lambda inside: (
        st.lists(inside, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["value", "unit", "code", "system", "coding", "reference", "text", "id"]
            ),
            inside,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def twisted(base: Any, changes: dict[str, Any]) -> Any:
    return {name: changes.get(name, base.get(name)) for name in [*base, *changes]}


RESOURCES = st.one_of(
    st.builds(
        twisted,
        st.sampled_from([observation(), observation(id="o2"), patient(), condition(), dose(),
                         prescription(), TOMBSTONE, DELETION]),
        st.dictionaries(
            st.sampled_from(["status", "code", "subject", "effectiveDateTime", "issued", "id",
                             "valueQuantity", "component", "contained", "performer", "meta",
                             "encounter", "specimen", "interpretation", "referenceRange", "entry",
                             "resourceType", "dosage", "birthDate", "identifier"]),
            ANYTHING,
            max_size=2,
        ),
    ),
    st.builds(
        lambda value, unit, more: observation(valueQuantity=quantity(value, unit)) | more,
        st.integers(1, 900) | st.floats(0, 900, width=16),
        st.sampled_from(["pmol/L", "pg/mL", "x"]),
        st.sampled_from([{}, {"id": "o3"}, {"status": "preliminary"},
                         {"interpretation": [{"coding": [{"code": "L"}]}],
                          "referenceRange": [{"high": {"value": 300}}]}]),
    ),
)  # fmt: skip
LINES = st.one_of(
    RESOURCES.map(lambda one: json.dumps(one, ensure_ascii=False).encode()),
    st.binary(max_size=12),
)


@pytest.fixture(scope="module")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feed]:
    feed = Feed(tmp_path_factory.mktemp("site"), load_maps())
    yield feed
    feed.warehouse.close()


def read_of(feed: Feed) -> dict[str, tuple[Any, ...]]:
    """By kind, the rows that a reading gave and those that it could not, and what they are of."""
    return {
        kind: (feed.rows(kind), feed.broken(kind), counts.sent, feed.frame(kind, "whole"))
        for kind, counts in feed.found.kinds.items()
    }


@examples(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, min_size=1, max_size=6))
def test_any_file_gives_every_line_its_row_and_both_readings_say_the_same(
    empty_site: Feed, lines: list[bytes]
) -> None:
    content = b"\n".join(lines) + b"\n"
    said = []
    for empty_site.how in (EAGERLY, BY_ITSELF):
        empty_site.read(content)
        rows = read_of(empty_site)
        said.append((rows, empty_site.found.notes))
        placed = {row["line"] for found in rows.values() for row in found[0] + found[1]}
        assert placed == {
            number
            for number, line in enumerate(content.split(b"\n"), 1)
            if (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
        }
    assert said[0] == said[1]


@examples(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(LINES, min_size=1, max_size=6))
def test_the_accounts_of_any_file_add_up(lines: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        feed = Feed(Path(folder), load_maps())
        feed.read(b"\n".join(lines) + b"\n")
        # Labs last: what was taken of them waits for the end of the night.
        for kind in sorted(feed.found.kinds, key="labs".__eq__):
            feed.take(kind)
        feed.warehouse.close()


NAMES = tuple(extract_columns("labs"))
GOOD = json.dumps(observation(subject={"reference": "Patient/1", "display": "Ida"}))
# What stands between the texts of a line, and what may not.
MARKS = (
    b'"', b",", b":", b"{", b"}", b"[", b"]", b'""', b'"",', b',"', b" ", b"\r", b"\n", b"\\",
    b'\\"', b"\0", b"\t", b"\xff", b"0", b"-", b".", b"e1", b"null", b'"id":"x",',
)  # fmt: skip
CUTS = st.tuples(
    st.integers(0, 460), st.integers(0, 4), st.binary(max_size=3) | st.sampled_from(MARKS)
)


@examples(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CUTS, min_size=1, max_size=4), st.binary(max_size=40))
def test_any_cut_in_a_line_is_read_as_it_is_by_itself(
    cuts: list[tuple[int, int, bytes]], rest: bytes
) -> None:
    """A plain line with some of its bytes changed: the shape takes none amiss."""
    good = GOOD.encode()
    shapes = Shapes(READER, EAGERLY, 1_000_000)
    shapes.learn(good, line_outcomes(good, False, READER))
    changed = [good[:start] + put + good[start + n :] for start, n, put in cuts]
    block = b"\n".join([good, *changed, good + rest, b""])
    lines = split_lines(block)
    plain = shapes.plain(block)
    assert plain.n_line == len(lines)
    read = [row for frame in plain.frames for row in frame.to_dicts()]
    assert {row["at"] for row in read} | set(plain.left) == set(range(len(lines)))
    assert 0 in {row["at"] for row in read}
    for row in read:
        (found,) = line_outcomes(lines[row["at"]], False, READER)
        assert isinstance(found, Row)
        assert [row[name] for name in NAMES] == [found.cells.get(name, "") for name in NAMES]


PANEL = json.dumps(
    observation(
        id="o2",
        component=[
            {"code": coding("13964-2"), "valueQuantity": quantity("@", "nmol/L")},
            {"code": coding("14682-9"), "valueQuantity": quantity(70, "umol/L")},
        ],
    )
).replace('"@"', "300.10")
ODD = {
    "an escape in an id": GOOD.replace('"o1"', '"o\\u00e91"'),
    "an escape that is one character": GOOD.replace('"o1"', '"o\\/1"'),
    "half a character": GOOD.replace('"o1"', '"o\\ud8001"'),
    "half a character that nobody reads": GOOD.replace("Ida", "\\ud800"),
    "escapes that nobody reads": GOOD.replace("Ida", "I\\td\\\\a"),
    "a quote that nobody reads": GOOD.replace("Ida", 'I\\"da'),
    "a wrong escape that nobody reads": GOOD.replace("Ida", "I\\xda"),
    "letters of other languages": GOOD.replace('"o1"', '"ö\u2028😀"').replace("Ida", "Åsa"),
    "a comma that nobody reads": GOOD.replace("Ida", "Ida, born Berg"),
    "a comma in an id": GOOD.replace('"o1"', '"o,1"'),
    "a name twice": GOOD.replace('"id"', '"status": "final", "id"'),
    "a name twice inside": GOOD.replace('"value": 412', '"value": 412, "value": 41'),
    "a name twice where nobody reads": GOOD.replace('"Ida"', '"Ida", "display": "Eva"'),
    "not a number": GOOD.replace("412", "NaN"),
    "no end of a number": GOOD.replace("412", "-Infinity"),
    "a huge number": GOOD.replace("412", "9" * 400),
    "a huge exponent": GOOD.replace("412", "1e999999"),
    "a number with a zero at its end": GOOD.replace("412", "0.10"),
    "a negative nothing": GOOD.replace("412", "-0"),
    "a leading zero": GOOD.replace("412", "0412"),
    "a plus sign": GOOD.replace("412", "+412"),
    "no digit behind the point": GOOD.replace("412", "412."),
    "a number as text": GOOD.replace("412", '"412"'),
    "no number": GOOD.replace("412", ""),
    "an object for a text": GOOD.replace('"o1"', '{"o": 1}'),
    "a list for a text": GOOD.replace('"final"', '["final"]'),
    "a text for an object": GOOD.replace('{"reference": "Patient/1", "display": "Ida"}', '"1"'),
    "another reference": GOOD.replace("Patient/1", "https://x.example/fhir/Patient/1/_history/2"),
    "a reference to nobody": GOOD.replace("Patient/1", "Group/1"),
    "a reference within": GOOD.replace("Patient/1", "#p"),
    "something contained": GOOD.replace('"id"', '"contained": [], "id"'),
    "a component": GOOD.replace('"id"', '"component": [{}], "id"'),
    "a deletion": GOOD.replace('"id"', '"meta": {"tag": [{"code": "DELETED"}]}, "id"'),
    "a bracket too many": GOOD + "}",
    "a comma at the end": GOOD + ",",
    "commas at the end": GOOD + ",,",
    "a comma and a return at the end": GOOD + ",\r",
    "a comma at the beginning": "," + GOOD,
    "two commas": GOOD.replace(', "id"', ',, "id"'),
    "a piece left out": GOOD.replace('"display": "Ida"', ""),
    "a text without an end": GOOD.replace('"Ida"', '"'),
    "a text without an end that is read": GOOD.replace('"o1"', '"'),
    "an empty text that nobody reads": GOOD.replace('"Ida"', '""'),
    "a line feed for a comma": GOOD.replace(', "issued"', '\n "issued"'),
    "a return at the end": GOOD + "\r",
    "two returns at the end": GOOD + "\r\r",
    "a return inside": GOOD.replace(', "id"', ',\r"id"'),
    "blanks around": "  " + GOOD + " \t ",
    "blanks inside": GOOD.replace(', "id"', ' ,  "id"'),
    "nothing": "",
    "blanks": " \t\r",
    "a byte order mark": "\ufeff" + GOOD,
    "a control character in an id": GOOD.replace('"o1"', '"o\x1f1"'),
    "a tab in an id": GOOD.replace('"o1"', '"o\t1"'),
    "a control character that nobody reads": GOOD.replace("Ida", "I\x01da"),
    "a zero byte": GOOD.replace("Ida", "I\0da"),
    "a delete character": GOOD.replace('"o1"', '"o\x7f1"'),
    "an empty id": GOOD.replace('"o1"', '""'),
    "an empty time": GOOD.replace('"2026-11-02T08:00:00Z"', '""'),
    "a number for a time": GOOD.replace('"2026-11-02T08:00:00Z"', "5"),
    "a long id": GOOD.replace('"o1"', f'"{"o" * 2000}"'),
    "a long text that nobody reads": GOOD.replace("Ida", "I" * 3000),
    "a line of ten megabytes": GOOD.replace("Ida", "I" * 10_000_000),
    "a deep nest": GOOD.replace('"Ida"', "[" * 5000 + "]" * 5000),
    "a text that is cut": GOOD[:-40],
    "another test": GOOD.replace("14685-2", "13964-2"),
    "another unit": GOOD.replace("pmol/L", "nmol/L"),
    "another status": GOOD.replace("final", "corrected"),
    "a panel": PANEL,
    "a panel with no number": PANEL.replace("300.10", "[]"),
    "a panel with a wrong number": PANEL.replace("300.10", "300.1.0"),
    "a panel with a name twice": PANEL.replace('"value": 70', '"value": 70, "value": 7'),
    "a panel whose id has a mark": PANEL.replace('"o2"', '"o#2"'),
    "a panel without a moment": PANEL.replace('"issued": "2026-11-02T08:00:00Z", ', ""),
    "a list": f"[{GOOD}]",
    "two at once": f"{GOOD} {GOOD}",
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_line_among_plain_ones_is_read_as_it_is_by_itself(
    empty_site: Feed, name: str
) -> None:
    """Wherever it stands: before any like it, among many, between two blocks, without an end."""
    odd = ODD[name].encode()
    good, panel = GOOD.encode(), PANEL.encode()
    another = good.replace(b"412", b"77")
    lines = [odd, good, good, odd, good, panel, another, panel, odd, odd, good, odd]
    content = b"\n".join(lines)
    said = []
    for empty_site.how in (EAGERLY, replace(EAGERLY, block_bytes=900), BY_ITSELF):
        empty_site.read(content)
        rows = read_of(empty_site)
        said.append((rows, empty_site.found.notes))
    assert said[0] == said[1] == said[2]


def test_a_line_that_is_not_utf_8_costs_one_row_among_many(feed: Feed) -> None:
    good = GOOD.encode()
    feed.read(b"\n".join([good, good, good.replace(b"Ida", b"Id\xe4"), good, good]))
    assert [row["line"] for row in feed.rows()] == [1, 2, 4, 5]
    assert [(row["line"], row["check_name"]) for row in feed.broken()] == [(3, "encoding")]


@pytest.mark.parametrize("how", [EAGERLY, USUALLY])
def test_many_lines_of_one_feed_are_read_at_once(feed: Feed, how: AtOnce) -> None:
    """Nearly none of them is loaded; the rows are those of the loading, panels among them."""
    feed.how = how
    lines = [GOOD, GOOD.replace("pmol/L", "ng/L"), PANEL]
    content = "\n".join(
        lines[n % 3].replace('"o', f'"n{n}-').replace("412", f"{n % 90}.{n % 10}0")
        for n in range(900)
    )
    feed.read(content.encode())
    found = feed.rows()
    at_once = pl.concat(
        pl.read_parquet(part) for part in (feed.out / "labs").glob("rows-plain-*.parquet")
    )
    assert at_once["line"].n_unique() > 850
    assert [row["value"] for row in found[:3]] == ["0.00", "1.10", "2.20"]
    feed.how = BY_ITSELF
    feed.read(content.encode())
    assert found == feed.rows()


def test_people_clinics_and_specimens_are_followed_the_same_for_many_lines(
    tmp_path: Path, maps: Maps
) -> None:
    settings = Settings(fhir=Fhir(patient_identifier="urn:mrn"))
    feed = Feed(tmp_path, maps, settings)
    others = [
        patient(identifier=[{"system": "urn:mrn", "value": "m1"}]),
        {"resourceType": "Encounter", "id": "e1",
         "serviceProvider": {"reference": "Organization/north"}},
        {"resourceType": "Specimen", "id": "s1", "type": {"text": "Plasma"}},
    ]  # fmt: skip
    subjects = [
        {"identifier": {"system": "urn:mrn", "value": "m7"}},
        {"identifier": {"system": "urn:other", "value": "m8"}},
        {"reference": "Patient/1"},
        {"reference": "Patient/2"},
        {"reference": "Patient/1", "identifier": {"system": "urn:mrn", "value": "m9"}},
        {"identifier": {"use": "usual", "system": "urn:mrn", "value": "m6"}},
        {"identifier": {"use": "old", "system": "urn:mrn", "value": "m5"}},
        {"identifier": {"system": "urn:mrn", "value": "m6", "period": {"end": "2026-11-22"}}},
        {"identifier": {"system": "urn:mrn", "value": "m5", "period": {"end": "2026-11-21"}}},
    ]
    lines = [
        observation(
            id=f"o{n}",
            subject=subjects[n % 9],
            encounter={"reference": f"Encounter/e{n % 3}"},
            specimen=({"reference": f"Specimen/s{n % 2}"}, {"reference": "Specimen/s1",
                       "display": f"Serum, {n % 2}" if n % 4 else "Serum"})[n % 7 % 2],
        )
        for n in range(60)
    ]  # fmt: skip
    said = []
    for feed.how in (EAGERLY, BY_ITSELF):
        feed.say(*others, *lines)
        said.append((feed.rows(), feed.broken(), feed.found.notes))
    assert said[0] == said[1]
    assert {row["patient_id"] for row in said[0][0]} == {"m1", "m6", "m7", "m9"}
    assert {row["clinic_id"] for row in said[0][0]} == {"", "north"}
    assert {row["specimen"] for row in said[0][0]} >= {"", "Plasma", "Serum", "Serum, 1"}
    feed.warehouse.close()


@pytest.mark.parametrize(
    ("in_use", "old"),
    [
        ([{"use": "usual"}, {"use": "official"}], {"use": "old"}),
        ([{"period": {"end": "2026-11-22"}}, {"period": {"end": "2027-01-01"}}],
         {"period": {"end": "2026-11-21"}}),
    ],
)  # fmt: skip
def test_an_old_identifier_names_nobody_among_many_lines(
    feed: Feed, in_use: list[dict[str, Any]], old: dict[str, Any]
) -> None:
    number = {"system": "https://numbers.example", "value": "900"}
    other(feed, Settings(fhir=Fhir(patient_identifier="https://numbers.example")))
    feed.say(
        *[
            observation(id=f"o{n}", subject={"identifier": said | number})
            for n, said in enumerate([*in_use, *in_use, old])
        ]
    )
    assert [row["patient_id"] for row in feed.rows()] == ["900"] * 4
    assert [row["check_name"] for row in feed.broken()] == ["subject"]


@examples(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(["L", "H", "N"]), min_size=1, max_size=2),
    st.lists(st.sampled_from(["", "5", "5.0", "7", "-3", "0.1", "1e1"]), min_size=2, max_size=2),
    st.lists(
        st.sampled_from(["5", "5.000000000000000001", "4.9999", "7.0", "-3", "0.10", "1e30"]),
        min_size=2, max_size=12,
    ),
)  # fmt: skip
def test_contradictions_of_a_range_are_counted_exactly(
    empty_site: Feed, called: list[str], limits: list[str], numbers: list[str]
) -> None:
    low, high = limits
    sides = {name: {"value": f"@{text}@"} for name, text in (("low", low), ("high", high)) if text}
    line = json.dumps(
        observation(
            interpretation=[{"coding": [{"code": word}]} for word in called],
            referenceRange=[sides],
            valueQuantity=quantity("@#@"),
        )
    )
    content = "\n".join(line.replace("#", number) for number in numbers)
    content = content.replace('"@', "").replace('@"', "")
    said = []
    for empty_site.how in (EAGERLY, BY_ITSELF):
        empty_site.read(content.encode())
        said.append((empty_site.rows(), empty_site.broken(), empty_site.found.notes))
    assert said[0] == said[1]


@pytest.mark.realdata
@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not beside the checkout")
def test_real_observations_are_read_the_same_either_way_and_add_up(feed: Feed) -> None:
    with gzip.open(REAL) as file:
        resources = [json.loads(line)["resource"] for line in file]
    feed.say(*resources)
    by_shape = (feed.rows(), feed.broken())
    feed.how = BY_ITSELF
    feed.say(*resources)
    assert (feed.rows(), feed.broken()) == by_shape
    assert len(by_shape[0]) + len(by_shape[1]) == len(resources)
    faults = [fault for _, fault in feed.scanned()]
    assert faults.count(None) > 100
