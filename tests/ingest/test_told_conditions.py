"""A condition is known by person, code and day, the FHIR resource that tells it by an id."""

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from b12screen.ingest import Again
from b12screen.maps import Maps
from b12screen.settings import Limits, Settings

from .inbox import NIGHT, Box, buckets
from .test_fhir import condition
from .test_resource_files import BY_NUMBER, lines, numbered

OTHER = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "G32.0"}]}
WRONG = {"verificationStatus": {"coding": [{"code": "entered-in-error"}]}}


def told(box: Box, number: int, *resources: dict[str, Any]) -> int:
    """How many conditions stand once another file of resources is taken."""
    # A content that came before would be known.
    box.put(f"f{number}.ndjson", lines(*resources) + "\n" * number)
    box.take(date(2026, 11, 22 + number))
    return len(box.rows("SELECT code FROM core.condition"))


def test_a_diagnosis_that_was_entered_twice_stands_until_both_entries_are_withdrawn(
    box: Box,
) -> None:
    """To delete the one of two is ordinary, and says nothing of the other."""
    first, second = condition(id="a"), condition(id="b")
    assert told(box, 0, first) == 1
    assert told(box, 1, second | WRONG) == 1
    assert told(box, 2, second) == 1
    assert told(box, 3, first | WRONG) == 1
    assert told(box, 4, second | WRONG) == 0
    assert told(box, 5, second, first, second | WRONG) == 1
    assert told(box, 6, first | WRONG) == 0


def test_a_condition_that_was_taken_before_resources_were_remembered_is_withdrawn(
    box: Box,
) -> None:
    assert told(box, 0, condition(id="a")) == 1
    box.warehouse.execute("DELETE FROM private.condition_said")
    assert told(box, 1, condition(id="a") | WRONG) == 0


def test_a_condition_that_is_corrected_is_no_longer_what_it_was(box: Box) -> None:
    assert told(box, 0, condition(id="a")) == 1
    box.put("f1.ndjson", lines(condition(id="a", code=OTHER, recordedDate="2020-05-07")))
    taking = box.take(date(2026, 11, 23))
    assert box.rows("SELECT code, recorded_on FROM core.condition") == [("G32.0", date(2020, 5, 7))]
    assert taking.notes == (
        "f1.ndjson: 1 conditions are withdrawn, as the resource that told them tells another one, "
        "another day, or none of ours by now",
    )
    assert {buckets(account) for account in taking.accounts} == {(1, 1, 0, 0, 0, 0)}
    # The file of before, taken again, does not bring it back.
    box.take(date(2026, 11, 24), Again(files=(box.inbox / "f0.ndjson",)))
    assert box.rows("SELECT code FROM core.condition") == [("G32.0",)]
    # As it was once more.
    assert told(box, 4, condition(id="a")) == 1
    assert box.rows("SELECT code FROM core.condition") == [("D51.0",)]


@pytest.mark.parametrize(
    "change",
    [
        {"verificationStatus": {"coding": [{"code": "differential"}]}},
        {"code": {"text": "something else"}},
        {"code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "H00"}]}},
        {"recordedDate": "2020-05-09"},
    ],
)
@pytest.mark.parametrize("same_file", [True, False])
def test_what_a_condition_was_before_stands_only_where_another_one_tells_it(
    box: Box, change: dict[str, Any], same_file: bool
) -> None:
    changed = condition(id="a") | change
    first = (condition(id="a"), condition(id="b"))
    known = (
        "SELECT count(*) FROM core.condition WHERE code = 'D51.0' AND recorded_on = '2020-05-06'"
    )
    told(box, 0, *first, *([changed] if same_file else []))
    if not same_file:
        told(box, 1, changed)
    assert box.rows(known) == [(1,)]
    told(box, 2, condition(id="b") | change)
    assert box.rows(known) == [(0,)]


def test_a_deleted_condition_is_gone_by_its_id(box: Box) -> None:
    deleted = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"request": {"method": "DELETE", "url": "Condition/a"}}],
    }
    assert told(box, 0, condition(id="a"), condition(id="b", code=OTHER)) == 2
    assert told(box, 1, deleted) == 1
    emptied = {"resourceType": "Condition", "id": "b"} | WRONG
    assert told(box, 2, emptied) == 0
    assert told(box, 3, condition(id="a"), deleted) == 0


def test_a_condition_of_somebody_else_under_the_same_id_leaves_the_first(box: Box) -> None:
    assert told(box, 0, condition(id="a")) == 1
    box.put("f1.ndjson", lines(condition(id="a", subject={"reference": "Patient/2"})))
    taking = box.take(date(2026, 11, 23))
    assert box.rows("SELECT patient_id FROM core.condition ORDER BY ALL") == [("1",), ("2",)]
    assert taking.notes[0].startswith("f1.ndjson: 1 conditions came under the id of a condition")
    assert told(box, 2, condition(id="a", subject={"reference": "Patient/2"}) | WRONG) == 1
    assert box.rows("SELECT patient_id FROM core.condition") == [("1",)]


CORD = ("1", "G32.0")
PERNICIOUS = ("1", "D51.0")


# Night, file and record, the day of the last update or 0, the kind, and the condition's day.
Saying = tuple[tuple[int, str, int], int, str, str]


def night(number: int) -> date:
    return NIGHT + timedelta(days=number)


def stand(box: Box) -> list[tuple[object, ...]]:
    return box.rows("SELECT patient_id, code FROM core.condition ORDER BY ALL")


def of(patient: str) -> dict[str, Any]:
    return {"subject": {"reference": f"Patient/{patient}"}}


def deleted(key: str) -> dict[str, Any]:
    entry = {"request": {"method": "DELETE", "url": f"Condition/{key}"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


@pytest.mark.parametrize(
    "bad",
    [
        {"recordedDate": "2020-13-01"},
        {"recordedDate": "2020-05"},
        {"code": OTHER, "abatementDateTime": "soon"},
    ],
)
@pytest.mark.parametrize("same_file", [True, False])
def test_a_version_that_is_rejected_changes_nothing(
    box: Box, bad: dict[str, Any], same_file: bool
) -> None:
    good, rejected = condition(id="a"), condition(id="a") | bad
    told(box, 0, good, *([rejected] if same_file else []))
    if not same_file:
        told(box, 1, rejected)
    assert stand(box) == [PERNICIOUS]
    assert told(box, 2, condition(id="a") | WRONG) == 0


def test_an_id_is_a_folders_own(box: Box) -> None:
    box.put("north/a.ndjson", lines(condition(id="17")))
    box.take()
    box.put("south/a.ndjson", lines(deleted("17")))
    box.put("south/b.ndjson", lines(condition(id="17", code=OTHER)))
    unknown = {"resourceType": "Condition", "id": "17", "subject": {"reference": "Group/1"}}
    box.put("north/c.ndjson", lines(unknown | WRONG))
    box.take(night(1))
    assert stand(box) == [PERNICIOUS, CORD]
    box.put("north/b.ndjson", lines(deleted("17")) + "\n")
    box.take(night(2))
    assert stand(box) == [CORD]


def test_a_withdrawal_for_somebody_else_leaves_what_the_id_told_of_the_first(box: Box) -> None:
    told(box, 0, condition(id="a"), condition(id="b"))
    told(box, 1, condition(id="a", **of("2")))
    told(box, 2, condition(id="a", **of("2")) | WRONG)
    told(box, 3, condition(id="b") | WRONG)
    assert stand(box) == [PERNICIOUS]
    assert told(box, 4, condition(id="a") | WRONG) == 0


def test_a_file_that_is_taken_again_says_nothing_of_what_came_later(box: Box) -> None:
    told(box, 0, condition(id="a"))
    told(box, 1, condition(id="a") | WRONG)
    told(box, 2, condition(id="a"), condition(id="b"))
    box.take(night(3), Again(files=(box.inbox / "f1.ndjson",)))
    told(box, 4, condition(id="b") | WRONG)
    assert stand(box) == [PERNICIOUS]
    told(box, 5, condition(id="a") | WRONG)
    told(box, 6, condition(id="b"))
    box.take(night(7), Again(files=(box.inbox / "f0.ndjson",)))
    assert told(box, 8, condition(id="b") | WRONG) == 0


def test_what_a_file_says_behind_a_withdrawal_stands(box: Box) -> None:
    told(box, 0, condition(id="a", code=OTHER), condition(id="b"))
    told(box, 1, condition(id="a") | WRONG, condition(id="c", code=OTHER))
    assert stand(box) == [PERNICIOUS, CORD]
    told(box, 2, deleted("c"), condition(id="c", code=OTHER))
    assert stand(box) == [PERNICIOUS, CORD]


@pytest.mark.parametrize("is_last", [True, False])
def test_what_an_extract_of_another_form_said_last_stands(box: Box, is_last: bool) -> None:
    def extract(number: int) -> None:
        row = "1,D51.0,icd10cm,2020-05-06"
        header = "patient_id,code,code_system,recorded_on"
        box.put(f"conditions{number}.csv", f"{header}\n{row}\n" + "\n" * number)
        box.take(night(number))

    if not is_last:
        extract(0)
    told(box, 1, condition(id="a"))
    if is_last:
        extract(2)
    told(box, 3, condition(id="a", code=OTHER))
    assert stand(box) == ([PERNICIOUS, CORD] if is_last else [CORD])


def test_blanks_around_a_code_are_no_other_condition(box: Box) -> None:
    blank = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "D51.0 "}]}
    told(box, 0, condition(id="a"))
    told(box, 1, condition(id="a", code=blank))
    assert stand(box) == [PERNICIOUS]
    told(box, 2, condition(id="a", code=OTHER))
    assert stand(box) == [CORD]


@pytest.mark.parametrize("same_night", [True, False])
def test_the_last_update_says_which_version_is_the_later(box: Box, same_night: bool) -> None:
    def version(day: int, **more: Any) -> dict[str, Any]:
        return condition(id="a", meta={"lastUpdated": f"2026-11-{day:02}T00:00:00Z"}, **more)

    box.put("Condition-10.ndjson", lines(version(21, code=OTHER)))
    if not same_night:
        box.take()
    box.put("Condition-9.ndjson", lines(version(11)))
    box.take(night(1))
    assert stand(box) == [CORD]
    # A deletion has no time of its own.
    assert told(box, 2, deleted("a")) == 0


@pytest.mark.parametrize("later", [{"code": OTHER}, WRONG])
def test_a_rejected_version_that_is_taken_again_is_as_old_as_it_was(
    tmp_path: Path, maps: Maps, later: dict[str, Any]
) -> None:
    box = Box(tmp_path, maps, BY_NUMBER)
    first = box.put("f0.ndjson", lines(condition(id="a")))
    box.take()
    box.put("f1.ndjson", lines(numbered("1"), condition(id="a") | later))
    box.take(night(1))
    box.take(night(2), Again(files=(first,)))
    assert stand(box) == ([CORD] if later is not WRONG else [])


@pytest.mark.parametrize("in_turn", [True, False])
def test_a_correction_and_the_withdrawal_of_its_twin_leave_nothing(box: Box, in_turn: bool) -> None:
    changes = [condition(id="a", code=OTHER), condition(id="b") | WRONG]
    told(box, 0, condition(id="a"), condition(id="b"), *(changes if in_turn else changes[::-1]))
    assert stand(box) == [CORD]


def test_a_second_run_of_a_night_keeps_the_order_of_its_files(box: Box) -> None:
    box.put("b.ndjson", lines(condition(id="a", code=OTHER)))
    box.take()
    box.put("a.ndjson", lines(condition(id="a")))
    box.take()
    assert stand(box) == [CORD]


def at(moment: str) -> dict[str, Any]:
    return {"meta": {"lastUpdated": f"2026-11-{moment}Z"}}


@pytest.mark.parametrize("gone", [condition(id="b") | WRONG, deleted("b")])
def test_a_rejected_version_is_no_reason_to_withdraw_what_its_resource_says(
    box: Box, gone: dict[str, Any]
) -> None:
    told(box, 0, condition(id="a"), condition(id="b"))
    told(box, 1, condition(id="a", recordedDate="2020-13-01"), gone)
    assert stand(box) == [PERNICIOUS]


@pytest.mark.parametrize("emptied", [True, False])
def test_a_withdrawal_that_is_older_than_what_is_known_changes_nothing(
    box: Box, emptied: bool
) -> None:
    older = {"resourceType": "Condition", "id": "a"} if emptied else condition(id="a")
    told(box, 0, condition(id="a", **at("15T00:00:00")))
    told(box, 1, older | WRONG | at("09T00:00:00"))
    assert stand(box) == [PERNICIOUS]
    told(box, 2, older | WRONG | at("16T00:00:00"))
    assert stand(box) == []


def test_what_a_resource_of_another_folder_says_stands(box: Box) -> None:
    box.put("n/a.ndjson", lines(condition(id="17")))
    box.put("s/a.ndjson", lines(condition(id="99")))
    box.take()
    box.put("s/b.ndjson", lines(condition(id="99") | WRONG))
    box.take(night(1))
    assert stand(box) == [PERNICIOUS]
    box.put("n/b.ndjson", lines(condition(id="17") | WRONG))
    box.take(night(2))
    assert stand(box) == []


def test_what_has_no_last_update_is_as_new_as_what_came_before(box: Box) -> None:
    told(box, 0, condition(id="a", **at("15T00:00:00")))
    assert told(box, 1, deleted("a")) == 0
    # Undone in the course of the day that told of the deletion.
    assert told(box, 2, condition(id="a", **at("23T09:00:00"))) == 1
    told(box, 3, condition(id="b"))
    told(box, 4, condition(id="b", code=OTHER, **at("22T15:00:00")))
    assert stand(box) == [PERNICIOUS, CORD]
    told(box, 5, condition(id="c", meta={"lastUpdated": "2036-01-01T00:00:00Z"}))
    told(box, 6, condition(id="a", code=OTHER), condition(id="c", code=OTHER, **at("28T09:00:00")))
    assert stand(box) == [CORD]


@pytest.mark.parametrize("later", [{"code": OTHER}, WRONG])
def test_an_older_version_that_comes_last_does_not_stand(box: Box, later: dict[str, Any]) -> None:
    told(box, 0, condition(id="a", **at("10T00:00:00")))
    told(box, 1, condition(id="a", **at("15T00:00:00")) | later)
    told(box, 2, condition(id="a", **at("05T00:00:00")))
    assert stand(box) == ([CORD] if later is not WRONG else [])


KINDS = ("is", "is", "is", "other day", "differs", "rejected", "wrong", "emptied", "deleted")


@pytest.mark.parametrize("seed", range(2))
def test_what_stands_is_what_every_resource_says_last(
    tmp_path: Path, maps: Maps, seed: int
) -> None:
    """Many small histories at once, each of a person of its own, against the plainest reading."""
    chance = random.Random(seed)
    box = Box(tmp_path, maps, Settings(limits=Limits(reject_rows=1_000_000)))
    said: dict[tuple[int, str, str], list[Saying]] = {}
    files: list[Path] = []
    for number in range(4):
        for name in sorted(chance.sample(["a", "b", "n/c", "n/d"], 2)):
            name = f"{name}{chance.randrange(9)}{number}.ndjson"
            resources: list[dict[str, Any]] = []
            for history in [*range(80)] * 2:
                key, kind = chance.choice("xyz"), chance.choice(KINDS)
                # Only some senders have last updates; deletions never do.
                day = chance.randint(1, 20) if history % 2 and kind != "deleted" else 0
                if day and kind == "differs":
                    continue
                resource, condition_said = version(f"{history}{key}", f"P{history}", kind)
                resources.append(
                    resource | ({"meta": {"lastUpdated": f"2026-11-{day:02}"}} if day else {})
                )
                if kind != "rejected":
                    place = (number, name, len(resources))
                    group = said.setdefault((history, name.rpartition("/")[0], key), [])
                    group.append((place, day, kind, condition_said))
            files.append(box.put(name, lines(*resources)))
        again = Again(files=(chance.choice(files[:-2]),)) if number > 1 else None
        box.take(night(number), again)
    expected = sorted(
        {
            (f"P{history}", "D51.0", last)
            for (history, _, _), sayings in said.items()
            if (last := said_last(sayings))
        }
    )
    found = box.rows(
        "SELECT patient_id, code, CAST(recorded_on AS VARCHAR) FROM core.condition "
        "WHERE code = 'D51.0' ORDER BY ALL"
    )
    assert found == expected
    assert len(expected) > 50


def version(key: str, person: str, kind: str) -> tuple[dict[str, Any], str]:
    """A version of a resource, and the day of the condition that it says."""
    if kind == "deleted":
        return deleted(key), ""
    resource = condition(id=key, **of(person))
    match kind:
        case "is":
            return resource, "2020-05-06"
        case "other day":
            return resource | {"recordedDate": "2020-05-07"}, "2020-05-07"
        case "differs":
            return resource | {"verificationStatus": {"coding": [{"code": "differential"}]}}, ""
        case "rejected":
            return resource | {"abatementDateTime": "soon"}, ""
        case "emptied":
            return {"resourceType": "Condition", "id": key} | WRONG, ""
    return resource | WRONG, ""


def said_last(sayings: list[Saying]) -> str:
    """What was said last: by last updates as far as there are any, then as it came."""
    newest, order, last = 0, (-1, (-1, "", 0)), ""
    for place, day, _, condition_said in sorted(sayings):
        newest = max(newest, day)
        if (day or newest, place) > order:
            order, last = (day or newest, place), condition_said
    return last
