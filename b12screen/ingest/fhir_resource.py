"""What a FHIR R4 resource says, as rows of the extracts; the meaning of every element used here.

A resource is read, never repaired: a number stays the text it was sent as, a partial date is handed
on as it is and fails its check, a reference that cannot be followed for certain is no person. Codes
and units that no map knows are handed on, too: the scan says what becomes of them.

Refuses to decide by an interpretation or a reference range; where they contradict each other the
result is taken as sent and counted in a note.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from b12screen.ingest.ends import ended
from b12screen.ingest.fhir_dose import administered, prescribed, prescription_end
from b12screen.ingest.fhir_element import (
    FULL_DAY,
    LOINC,
    REFERENCE,
    SNOMED,
    VALUES,
    Json,
    contained,
    contradicts_range,
    day_of,
    identifier,
    identifier_pair,
    identifier_pairs,
    in_order,
    inner,
    is_modified,
    labels,
    last_day,
    later,
    objects,
    objects_or_texts,
    organisation,
    specimen_word,
    target_of,
    text,
    updated,
    value,
    word_of,
)
from b12screen.ingest.scan import DAYS_AHEAD
from b12screen.maps import Maps, fold_code, fold_unit, fold_words, is_code
from b12screen.settings import Settings
from schemas.extracts import extract_columns

UCUM = "http://unitsofmeasure.org"
CONDITION_SYSTEMS = {
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10cm",
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    SNOMED: "snomed",
}
DRUG_SYSTEMS = {
    "http://www.whocc.no/atc": "atc",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    SNOMED: "snomed",
}

WITHDRAWN = ("cancelled", "entered-in-error")
# Of these an earlier issue may be repeated in a later version, whose own time is its last update.
LATER_VERSIONS = ("amended", "corrected", *WITHDRAWN)
# A dose is given once the administration has begun; a prescription stands until it is taken back.
GIVEN = ("completed", "in-progress")
PRESCRIBED = ("active", "on-hold", "completed", "stopped", "unknown")
NO_ORDER = ("proposal", "plan", "option")

# Labels of a resource; test data by HL7 v3 ActReason, whichever system names it.
DELETED, TEST_DATA = "DELETED", "HTEST"

# What is remembered of names and codes; a feed has some hundreds.
MOST_NAMES = 10_000

# What a note may name; anything else is "another type", as a type that does not exist may be a word
# that belongs to a person.
OTHER_TYPES = frozenset(
    [
        "Account",
        "AllergyIntolerance",
        "Appointment",
        "Basic",
        "Binary",
        "BodyStructure",
        "Bundle",
        "CarePlan",
        "CareTeam",
        "Claim",
        "ClaimResponse",
        "Communication",
        "Composition",
        "Consent",
        "Coverage",
        "Device",
        "DeviceRequest",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "EpisodeOfCare",
        "ExplanationOfBenefit",
        "FamilyMemberHistory",
        "Flag",
        "Goal",
        "Group",
        "HealthcareService",
        "ImagingStudy",
        "Immunization",
        "Library",
        "List",
        "Location",
        "Measure",
        "MeasureReport",
        "Media",
        "Medication",
        "MedicationDispense",
        "MedicationStatement",
        "MessageHeader",
        "NutritionOrder",
        "OperationOutcome",
        "Organization",
        "Parameters",
        "Practitioner",
        "PractitionerRole",
        "Procedure",
        "Provenance",
        "Questionnaire",
        "QuestionnaireResponse",
        "RelatedPerson",
        "RequestGroup",
        "RiskAssessment",
        "Schedule",
        "ServiceRequest",
        "Slot",
        "Specimen",
        "Substance",
        "Task",
        "ValueSet",
    ]
)

# What a drug of this screen is called where its code does not say so.
OURS = re.compile(r"cobalamin|b\W?12|fol(?:ic|ate|in)|nitrous|metformin", re.IGNORECASE)
PARTIAL_DAY = re.compile(r"\d{4}(-\d{2})?")

KIND_OF = {
    "Observation": "labs",
    "Patient": "patients",
    "Condition": "conditions",
    "MedicationAdministration": "medications",
    "MedicationRequest": "medications",
}
COLUMNS = {
    kind: tuple(extract_columns(kind)) for kind in ("labs", "patients", "conditions", "medications")
}


@dataclass(frozen=True)
class Row:
    """A row of an extract; ``cells`` by column, what is absent is blank."""

    kind: str
    segment: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Refused:
    """A row that reaches no extract: the check it fails, ``scope`` where it is none of ours.

    ``kind`` is blank where the resource itself does not tell it.
    """

    kind: str
    segment: str
    check_name: str


@dataclass(frozen=True)
class Gone:
    """What was withdrawn: a row of the named kind that only the store, or this file, can complete.

    ``cells`` hold the key: ``result_id`` or ``medication_id``, or of a condition the id of its
    resource, its four columns, or both, and ``changed_at``; and for results ``reported_at``, the
    moment of the withdrawal. A medication that is ``over`` is withdrawn for good; one that is only
    a draft, say, may be given yet.
    """

    kind: str
    segment: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Whole:
    """No row: what the rows before it, one for each result, are of one observation.

    ``results`` hold result_id and laboratory of each, whatever becomes of it.
    """

    key: str
    reported_at: str
    results: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Told:
    """No row: which resource told the condition of the row before it, of whom, and when.

    ``tells`` is ``row`` where that row is a mapped condition, ``other`` where it is another, and
    ``nothing`` where it is out of scope whatever it holds.
    """

    resource_id: str
    patient_id: str
    changed_at: str
    tells: str


Outcome = Row | Refused | Gone | Whole | Told


@dataclass(frozen=True)
class Coded:
    """A code element of an observation as the contract's columns; ``analyte`` blank for no test.

    ``fault`` is the check that what stands beside it makes the row fail, blank for none.
    """

    code_system: str
    code: str
    test_name: str
    laboratory: str
    analyte: str
    fault: str


@dataclass(frozen=True)
class Index:
    """What is said of the resources that others refer to, by id and by the URL of an entry."""

    patients: MutableMapping[str, str]
    identified: dict[tuple[str, str], str]
    clinics: MutableMapping[str, str]
    specimens: MutableMapping[str, str]
    drugs: MutableMapping[str, tuple[str, str, str]]

    def n_known(self) -> int:
        """How many entries it holds."""
        n_person = len(self.patients) + len(self.identified)
        return n_person + len(self.clinics) + len(self.specimens) + len(self.drugs)


NOTHING = Index({}, {}, {}, {}, {})


@dataclass
class Reader:
    """Reads resources one by one; ``index`` gives what else is known, read when needed."""

    settings: Settings
    maps: Maps
    as_of: date
    index: Callable[[], Index] = lambda: NOTHING
    notes: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        fhir = self.settings.fhir
        self._patient_system = fhir.patient_identifier
        self._result_system = fhir.result_identifier
        self._uris: dict[str, tuple[str, str]] = {LOINC: ("loinc", ""), SNOMED: ("snomed", "")}
        self._tests: dict[tuple[str, str, str], str] = {
            ("", system, code): analyte
            for system, code, analyte, verified in self.maps.test.select(
                "code_system", "code", "analyte", "verified"
            ).iter_rows()
            if verified != "site"
        }
        self._refused = set(self.maps.refused_test.select("code_system", "code").iter_rows())
        self._performers: dict[str, str] = {}
        for name, laboratory in self.settings.laboratories.items():
            own = fold_words(laboratory.code_system or "")
            if uri := laboratory.fhir_system or laboratory.code_system:
                self._uris.setdefault(uri, (own, name))
            for code, test in laboratory.tests.items():
                self._tests[(name, own, code.strip())] = test.analyte
            for performer in laboratory.fhir_performers:
                self._performers[performer] = name
        for row in self.settings.accepted:
            if row.decision == "accept":
                systems = dict(self._uris.values())
                name = row.laboratory if systems.get(row.code_system) == row.laboratory else ""
                self._tests.setdefault((name, row.code_system, row.code), row.analyte)
        self._factors = {
            (analyte, spelling): factor
            for analyte, spelling, factor in self.maps.unit.select(
                "analyte", "spelling", "factor"
            ).iter_rows()
        }
        self._mapped = {
            name: [
                (system, code, match == "prefix")
                for system, code, match in table.select("code_system", "code", "match").iter_rows()
            ]
            for name, table in (("condition", self.maps.condition), ("drug", self.maps.drug))
        }
        self._named: dict[tuple[str, str, str], bool] = {}
        self._contradictions: dict[tuple[str, str], bool] = {}

    def outcomes(self, resource: Any, segment: str = "") -> list[Outcome]:
        """The rows of a resource, at least one; ``segment`` is where it lies in its line."""
        name = resource.get("resourceType") if isinstance(resource, dict) else None
        if not isinstance(name, str) or not name:
            return [Refused("", segment or "line", "resource")]
        place = f"{segment}.{name}" if segment else name
        told = labels(resource)
        if TEST_DATA in told and DELETED not in told:
            self.notes["test"] += 1
            return [Refused(KIND_OF.get(name, ""), place, "scope")]
        if name == "Bundle":
            return self._bundle(resource, place)
        if name not in KIND_OF:
            self.notes[name if name in OTHER_TYPES else "another type"] += 1
            return [Refused("", segment or "line", "scope")]
        if DELETED in told:
            return [self._deleted(name, text(resource.get("id")), updated(resource), place)]
        match name:
            case "Observation":
                return list(self._observation(resource, place))
            case "Patient":
                return [self._patient(resource, place)]
            case "Condition":
                return list(self._condition(resource, place))
        return [self._medication(resource, name, place)]

    def _bundle(self, bundle: Json, place: str) -> list[Outcome]:
        found: list[Outcome] = []
        for number, entry in in_order(bundle):
            segment = f"{place}.entry[{number}]"
            method = text(inner(entry, "request", "method")).upper()
            if method == "DELETE":
                target = REFERENCE.fullmatch(text(inner(entry, "request", "url")))
                when = updated(bundle)
                if target is None:
                    found.append(Refused("", segment, "deleted"))
                elif target[1] in KIND_OF:
                    found.append(
                        self._deleted(target[1], target[2], when, f"{segment}.{target[1]}")
                    )
                else:
                    self.notes[target[1] if target[1] in OTHER_TYPES else "another type"] += 1
                    found.append(Refused("", segment, "scope"))
            else:
                found += self.outcomes(entry.get("resource"), segment)
        if not found:
            self.notes["Bundle"] += 1
            found.append(Refused("", place, "scope"))
        return found

    def _deleted(self, name: str, key: str, when: str, place: str) -> Outcome:
        """The withdrawal of a resource of which only the id is left."""
        kind = KIND_OF[name]
        if kind == "labs" and key and self._result_system is None:
            return Gone(kind, place, {"result_id": key, "reported_at": when})
        if kind == "medications" and key:
            return Gone(kind, place, {"medication_id": f"{name}/{key}", "over": "yes"})
        if kind == "conditions" and key:
            return Gone(kind, place, {"resource_id": key, "changed_at": when})
        return Refused(kind, place, "deleted")

    # Observations

    def _observation(self, observation: Json, place: str) -> Iterator[Outcome]:
        status = text(observation.get("status"))
        issued = text(observation.get("issued"))
        changed = updated(observation)
        reported = issued or changed
        if issued and changed and status in LATER_VERSIONS:
            reported = later(issued, changed)
        key = self._result_key(observation)
        person = self.person(observation.get("subject"), observation)
        collected = self._collected(observation)
        specimen = self.specimen(observation)
        shared = {
            "patient_id": person or "",
            "collected_at": collected,
            "reported_at": reported,
            "status": status,
            "clinic_id": self.clinic(observation),
            "specimen": specimen or "",
        }
        performer = self._performer(observation)
        components = objects(observation.get("component"))
        own = any(name in observation for name in VALUES) or not components
        coded = self._coded(observation, observation)
        # A result is its performer's; where none is named its id tells whose it is.
        nameless = bool(self._performers) and not (performer or coded.laboratory)
        emptied = nameless or not (coded.analyte and person and collected)
        if status in WITHDRAWN and key and emptied and self._result_system is None:
            # Withdrawn results may be emptied: only what is known of them says what they were.
            yield Gone("labs", place, {"result_id": key, "reported_at": reported})
            return
        results = []
        if own:
            results.append((key, performer or coded.laboratory))
            yield self._result(observation, place, key, coded, shared, performer, person, specimen)
        seen: Counter[str] = Counter()
        for number, component in enumerate(components):
            part = self._coded(component, observation)
            seen[part.code] += 1
            again = f"#{seen[part.code]}" if seen[part.code] > 1 else ""
            own_key = f"{key}#{part.code or number}{again}" if key else ""
            segment = f"{place}.component[{number}]"
            results.append((own_key, performer or part.laboratory))
            yield self._result(
                component, segment, own_key, part, shared, performer, person, specimen
            )
        # Only an id is of one resource, and only a version with a moment is later than another.
        has_id = key != "" and "#" not in key and key == text(observation.get("id"))
        if components and reported and has_id and self._result_system is None:
            yield Whole(key, reported, tuple(results))

    def _result(
        self,
        element: Json,
        place: str,
        key: str,
        coded: Coded,
        shared: dict[str, str],
        performer: str,
        person: str | None,
        specimen: str | None,
    ) -> Outcome:
        """The row of an observation or of one of its components."""
        withdrawn = shared["status"] in WITHDRAWN
        if not coded.code and ("code" in element or not withdrawn):
            # What no map can name is never refused for its content; a withdrawal that was emptied
            # may be of anything, and is seen.
            self.notes["uncoded"] += 1
            return Refused("labs", place, "scope")
        if person is None:
            return Refused("labs", place, "subject" if coded.analyte else "scope")
        if coded.fault and not withdrawn:
            return Refused("labs", place, coded.fault)
        unit: str | None = ""
        if "valueQuantity" in element:
            unit = self.unit(element["valueQuantity"], coded.analyte)
            if unit is None and not withdrawn:
                return Refused("labs", place, "unit_pair")
        if contradicts_range(element):
            self.notes["contradiction"] += 1
        if specimen is None and coded.analyte and not withdrawn:
            self.notes["specimen"] += 1
        return Row(
            "labs",
            place,
            shared
            | {
                "result_id": key,
                "code": coded.code,
                "code_system": coded.code_system,
                "test_name": coded.test_name,
                "value": value(element),
                "unit": unit or "",
                "laboratory": performer or coded.laboratory,
            },
        )

    def _result_key(self, observation: Json) -> str:
        """The identifier that the settings name, else the id, else the only identifier."""
        if self._result_system is not None:
            return identifier(observation, self._result_system, self.as_of) or ""
        if key := text(observation.get("id")):
            return key
        found = {text(one.get("value")) for one in objects(observation.get("identifier"))} - {""}
        return found.pop() if len(found) == 1 else ""

    def _coded(self, element: Json, observation: Json) -> Coded:
        """The code of an observation or of a component; a fault where its meaning is changed."""
        coded = self.coded(element.get("code"))
        if coded.analyte and (is_modified(element) or is_modified(observation)):
            return replace(coded, fault="modifier")
        if coded.analyte and observation.get("focus") not in (None, []):
            return replace(coded, fault="focus")
        return coded

    def coded(self, concept: Any) -> Coded:
        """Which of several codings counts: the first that a map names, else the first known one."""
        codings = [one for one in objects(inner(concept, "coding")) if text(one.get("code"))]
        read = []
        for coding in codings:
            uri, code = text(coding.get("system")), text(coding.get("code")).strip()
            system, laboratory = self._uris.get(uri, (uri, ""))
            analyte = self._tests.get((laboratory, system, code), "")
            read.append((system, laboratory, code, analyte, uri in self._uris, coding))
        analytes = {analyte for *_, analyte, _, _ in read if analyte}
        refused = any((system, code) in self._refused for system, _, code, *_ in read)
        chosen = next((one for one in read if one[3]), None) or next(
            (one for one in read if one[4]), read[0] if read else None
        )
        if chosen is None:
            return Coded("", "", text(inner(concept, "text")), "", "", "")
        system, laboratory, code, analyte, _, coding = chosen
        displays = [text(one.get("display")) for one in [coding, *codings]]
        names = [name for name in [text(inner(concept, "text")), *displays] if name]
        name = names[0] if names else ""
        if analyte:
            # Any of the names may give the wrong code away.
            name = next((one for one in names if self._contradicts(analyte, one)), name)
        contradictory = len(analytes) > 1 or (refused and bool(analytes))
        fault = "coding" if contradictory else ""
        return Coded(system, code, name, laboratory, analyte, fault)

    def _contradicts(self, analyte: str, name: str) -> bool:
        """Whether a name says another test; a feed has few names, and comparing one is slow."""
        key = (analyte, name)
        if key not in self._contradictions:
            if len(self._contradictions) >= MOST_NAMES:
                self._contradictions.clear()
            self._contradictions[key] = self.maps.contradicts(analyte, name)
        return self._contradictions[key]

    def unit(self, quantity: Any, analyte: str) -> str | None:
        """The unit of a quantity, its UCUM code first; None where code and unit are two units."""
        code, unit = text(inner(quantity, "code")), text(inner(quantity, "unit"))
        system = text(inner(quantity, "system"))
        first, second = (code, unit) if system in (UCUM, "") else (unit, code)
        if code and unit and analyte:
            by_code = self._factors.get((analyte, fold_unit(code)))
            by_unit = self._factors.get((analyte, fold_unit(unit)))
            if by_code is not None and by_unit is not None and by_code != by_unit:
                return None
        return first or second

    def _collected(self, observation: Json) -> str:
        """When the sample was taken: the effective time, else what a contained specimen says."""
        timing = objects_or_texts(inner(observation, "effectiveTiming", "event"))
        specimen = contained(observation, inner(observation, "specimen", "reference")) or {}
        return (
            text(observation.get("effectiveDateTime"))
            or text(observation.get("effectiveInstant"))
            or text(inner(observation, "effectivePeriod", "start"))
            or text(inner(observation, "effectivePeriod", "end"))
            or (timing[0] if len(timing) == 1 else "")
            or text(inner(specimen, "collection", "collectedDateTime"))
        )

    def specimen(self, observation: Json) -> str | None:
        """What the sample is called, by the observation or by what it refers to.

        None where that is not known.
        """
        reference = inner(observation, "specimen", "reference")
        found = contained(observation, reference)
        if found is not None:
            return specimen_word(found)
        if shown := text(inner(observation, "specimen", "display")):
            return shown
        return self.index().specimens.get(target_of(reference, "Specimen")) if reference else ""

    def clinic(self, observation: Json) -> str:
        """The organisation that provided the encounter, where the encounter can be looked up."""
        reference = inner(observation, "encounter", "reference")
        if not reference:
            return ""
        found = contained(observation, reference)
        if found is not None:
            return organisation(found.get("serviceProvider"))
        return self.index().clinics.get(target_of(reference, "Encounter"), "")

    def _performer(self, observation: Json) -> str:
        """The laboratory that the settings name for a performer; blank where that is not clear."""
        found = {
            self._performers.get(text(one.get("reference")), "")
            for one in objects(observation.get("performer"))
        } - {""}
        return found.pop() if len(found) == 1 else ""

    # People

    def person(self, subject: Any, resource: Json) -> str | None:
        """The patient_id of a reference; blank where there is none, None where it stays unknown."""
        if not isinstance(subject, dict):
            return ""
        reference = text(subject.get("reference"))
        named = {"identifier": [subject.get("identifier")]}
        if given := identifier(named, self._patient_system, self.as_of):
            return given
        if reference.startswith("#"):
            found = contained(resource, reference)
            return self._contained_person(found) if found is not None else None
        if reference:
            key = target_of(reference, "Patient")
            if not key:
                return None
            if self._patient_system is None and not reference.startswith("urn:"):
                return key
            return self.index().patients.get(key)
        pair = identifier_pair(subject.get("identifier"))
        if pair is None:
            return ""
        is_known = pair in identifier_pairs(named, self.as_of)
        return self.index().identified.get(pair) or None if is_known else None

    def _contained_person(self, patient: Json) -> str | None:
        """Who a contained patient is: its id holds only inside its resource, its identifiers do."""
        if self._patient_system is not None:
            return identifier(patient, self._patient_system, self.as_of) or None
        known = self.index().identified
        found = {known[pair] for pair in identifier_pairs(patient, self.as_of) if known.get(pair)}
        return found.pop() if len(found) == 1 else None

    def patient_key(self, patient: Json) -> str | None:
        """A patient's own key: the identifier that the settings name, else the id.

        None where several are in use.
        """
        if self._patient_system is not None:
            return identifier(patient, self._patient_system, self.as_of)
        return text(patient.get("id"))

    def _patient(self, patient: Json, place: str) -> Outcome:
        if is_modified(patient):
            return Refused("patients", place, "modifier")
        key = self.patient_key(patient)
        if key is None:
            return Refused("patients", place, "identifiers")
        born = text(patient.get("birthDate"))
        if PARTIAL_DAY.fullmatch(born):
            self.notes["birth"] += 1
            born = ""
        said = {
            "birth_date": born,
            "sex": text(patient.get("gender")),
            "clinic_id": organisation(patient.get("managingOrganization")),
        }
        return Row(
            "patients",
            place,
            {"patient_id": key}
            | {name: cell for name, cell in said.items() if cell}
            | self._deceased(patient),
        )

    def _deceased(self, patient: Json) -> dict[str, str]:
        """The day of death. Somebody known dead without a day has died by the day that says so."""
        stated = text(patient.get("deceasedDateTime"))
        died = ended(stated)
        is_dead = patient.get("deceasedBoolean")
        # A day that is not known stands in an extension beside the day.
        without_day = is_dead is True or is_dead == "true" or "_deceasedDateTime" in patient
        if not died and not without_day:
            said = "deceasedBoolean" in patient or ("deceasedDateTime" in patient and not stated)
            return {"deceased_on": ""} if said else {}
        if died and not PARTIAL_DAY.fullmatch(died):
            return {"deceased_on": died}
        self.notes["deceased"] += 1
        last = last_day(died) or day_of(updated(patient)) or self.as_of
        return {"deceased_on": min(last, self.as_of).isoformat()}

    # Conditions

    def _condition(self, condition: Json, place: str) -> Iterator[Outcome]:
        person = self.person(condition.get("subject"), condition)
        outcome = self._condition_row(condition, person, place)
        yield outcome
        key = text(condition.get("id"))
        if not key or not person:
            return
        if isinstance(outcome, Row):
            cells = outcome.cells
            is_named = self._is_named("condition", cells["code_system"], cells["code"])
            yield Told(key, person, updated(condition), "row" if is_named else "other")
        elif isinstance(outcome, Refused) and outcome.check_name == "scope":
            yield Told(key, person, updated(condition), "nothing")

    def _condition_row(self, condition: Json, person: str | None, place: str) -> Outcome:
        """The row of a condition of a person."""
        code_system, code, _ = self._known_code(
            condition.get("code"), CONDITION_SYSTEMS, "condition"
        )
        is_named = self._is_named("condition", code_system, code)
        if person is None and is_named:
            return Refused("conditions", place, "subject")
        recorded = (
            text(condition.get("recordedDate"))
            or text(condition.get("onsetDateTime"))
            or text(inner(condition, "onsetPeriod", "start"))
        )
        cells = {
            "patient_id": person or "",
            "code": code,
            "code_system": code_system,
            "recorded_on": recorded,
        }
        verified = word_of(condition.get("verificationStatus"))
        if verified in ("refuted", "entered-in-error"):
            # Its person, code and day are its key in the store; what was emptied has its id alone.
            key = text(condition.get("id"))
            told = {"resource_id": key, "changed_at": updated(condition)}
            if all(cells.values()):
                return Gone("conditions", place, cells | told)
            if key and person is not None:
                return Gone("conditions", place, told | {"patient_id": person})
            self.notes["deleted"] += 1
            return Refused("conditions", place, "scope")
        if verified == "differential":
            self.notes["differential"] += 1
            return Refused("conditions", place, "scope")
        is_known = code and code_system in CONDITION_SYSTEMS.values()
        if person is None or not (is_named or (is_known and FULL_DAY.match(recorded))):
            self.notes["unused"] += 1
            return Refused("conditions", place, "scope")
        if is_modified(condition) and is_named:
            return Refused("conditions", place, "modifier")
        resolved = self._resolved(condition, recorded)
        if resolved.strip() == "withdrawn":
            # The word of a row that takes a condition back is no date of a resource.
            return Refused("conditions", place, "res")
        return Row("conditions", place, cells | {"resolved_on": resolved})

    def _resolved(self, condition: Json, recorded: str) -> str:
        """The day it ended; where only the end is known, the day that told of it."""
        abated = (
            ended(text(condition.get("abatementDateTime")))
            or ended(text(inner(condition, "abatementPeriod", "end")))
            or ended(text(inner(condition, "abatementPeriod", "start")))
        )
        if abated:
            return abated
        if word_of(condition.get("clinicalStatus")) not in ("resolved", "inactive", "remission"):
            return ""
        return updated(condition) or recorded

    def _known_code(
        self, concept: Any, systems: dict[str, str], table: str
    ) -> tuple[str, str, str]:
        """System, code and name: the first coding that a map names, else the first of ours."""
        codings = objects(inner(concept, "coding"))
        read = [
            (systems[uri], code, text(one.get("display")))
            for one in codings
            if (uri := text(one.get("system"))) in systems and (code := text(one.get("code")))
        ]
        read += [
            (text(one.get("system")), text(one.get("code")), text(one.get("display")))
            for one in codings[:1]
        ]
        name = text(inner(concept, "text"))
        if not read:
            return "", "", name
        system, code, shown = next(
            (one for one in read if self._is_named(table, one[0], one[1])), read[0]
        )
        return system, code, name or shown

    def _is_named(self, table: str, system: str, code: str) -> bool:
        """Whether a condition or drug map has a row for a code."""
        key = (table, system, code)
        if key not in self._named:
            if len(self._named) >= MOST_NAMES:
                self._named.clear()
            plain = fold_code(code)
            self._named[key] = any(
                of_system == system
                and (
                    plain == known
                    or (prefix and plain.startswith(known) and is_code(system, plain))
                )
                for of_system, known, prefix in self._mapped[table]
            )
        return self._named[key]

    # Medications

    def _medication(self, resource: Json, name: str, place: str) -> Outcome:
        person = self.person(resource.get("subject"), resource)
        given = name == "MedicationAdministration"
        known = self._drug(resource)
        code_system, code, drug = known or ("", "", "")
        is_named = self._is_named("drug", code_system, code)
        # Of a drug in words alone, or by a code that no map can name, only one of ours is missed.
        is_unused = known is not None and not is_named and not OURS.search(drug)
        if person is None:
            self.notes["unused"] += is_unused
            return Refused("medications", place, "scope" if is_unused else "subject")
        key = text(resource.get("id"))
        status = text(resource.get("status"))
        cells = {
            "medication_id": f"{name}/{key}" if key else "",
            "patient_id": person,
            "code": code,
            "code_system": code_system,
            "kind": "administration" if given else "prescription",
            "name": drug,
        }
        if given:
            cells["started_on"] = text(resource.get("effectiveDateTime")) or text(
                inner(resource, "effectivePeriod", "start")
            )
            stands = status in GIVEN
            cells |= administered(resource.get("dosage"))
        else:
            cells["started_on"] = text(resource.get("authoredOn"))
            cells["ended_on"] = prescription_end(resource, self.as_of + timedelta(days=DAYS_AHEAD))
            if status == "stopped" or (status == "completed" and not cells["ended_on"]):
                cells["ended_on"] = updated(resource) or cells["started_on"]
            stands = (
                status in PRESCRIBED
                and text(resource.get("intent")) not in NO_ORDER
                and resource.get("doNotPerform") is not True
            )
            cells |= prescribed(objects(resource.get("dosageInstruction")))
        if not stands:
            over = "yes" if status == "entered-in-error" else ""
            return Gone(
                "medications", place, {"medication_id": cells["medication_id"], "over": over}
            )
        if known is None:
            return Refused("medications", place, "drug")
        is_known = code and code_system in DRUG_SYSTEMS.values()
        if is_unused and not (is_known and FULL_DAY.match(cells["started_on"])):
            self.notes["unused"] += 1
            return Refused("medications", place, "scope")
        doses = (inner(resource, "dosage"), *objects(resource.get("dosageInstruction")))
        if any(map(is_modified, (resource, *doses))) and is_named:
            return Refused("medications", place, "modifier")
        return Row("medications", place, cells)

    def _drug(self, resource: Json) -> tuple[str, str, str] | None:
        """System, code and name of what was given; None where it refers to what is not here."""
        concept = resource.get("medicationCodeableConcept")
        reference = inner(resource, "medicationReference", "reference")
        if concept is not None or not reference:
            return self.drug({"code": concept})
        found = contained(resource, reference)
        if found is not None:
            return self.drug(found)
        return self.index().drugs.get(target_of(reference, "Medication"))

    def drug(self, medication: Json) -> tuple[str, str, str]:
        """System, code and name of a drug."""
        return self._known_code(medication.get("code"), DRUG_SYSTEMS, "drug")
