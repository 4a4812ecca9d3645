"""What senders take back without a row that says so: dropped components, early withdrawals."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from b12screen.ingest import Again
from b12screen.maps import Maps
from b12screen.settings import Fhir, Laboratory, Settings

from .inbox import NIGHT, Box, buckets
from .test_fhir import coding, dose, observation, quantity

NEXT = date(2026, 11, 23)
THIRD = date(2026, 11, 24)
FIRST, SECOND, LAST = "2026-11-02T08:00:00Z", "2026-11-05T08:00:00Z", "2026-11-08T08:00:00Z"
B12, MMA, FOLATE = "14685-2", "13964-2", "14732-2"


def lines(*resources: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in resources)


def part(code: str, value: float = 300, unit: str = "nmol/L") -> dict[str, Any]:
    return {"code": coding(code), "valueQuantity": quantity(value, unit)}


def panel(issued: str | None, *codes: str, **elements: Any) -> dict[str, Any]:
    parts = [part(code, 300, "pmol/L" if code == B12 else "nmol/L") for code in codes]
    said = observation(
        code=coding("panel"), valueQuantity=None, component=parts, issued=issued, **elements
    )
    return {name: element for name, element in said.items() if element is not None}


def deleted(key: str = "o1", moment: str | None = SECOND) -> dict[str, Any]:
    meta = {"tag": [{"code": "DELETED"}]} | ({"lastUpdated": moment} if moment else {})
    return {"resourceType": "Observation", "id": key, "meta": meta}


def results(box: Box) -> dict[object, object]:
    return dict(box.rows("SELECT result_id, status FROM core.lab_result"))  # type: ignore[arg-type]


def gone(box: Box) -> set[object]:
    return {key for key, status in results(box).items() if status == "entered-in-error"}


def take_in(box: Box, together: bool, *files: tuple[str, str]) -> None:
    """Each file on a night of its own, or all in one."""
    for number, (name, content) in enumerate(files):
        box.put(name, content)
        if not together:
            box.take(date(2026, 11, 22 + number))
    if together:
        box.take(date(2026, 11, 22))


# Dropped components


@pytest.mark.parametrize("together", [True, False])
def test_a_component_that_a_later_version_drops_is_withdrawn(box: Box, together: bool) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(panel(FIRST, B12, MMA))),
        ("b.ndjson", lines(panel(SECOND, B12))),
    )
    assert results(box) == {f"o1#{B12}": "final", f"o1#{MMA}": "entered-in-error"}
    assert box.rows(
        "SELECT CAST(reported_at AS VARCHAR), value, file_name FROM core.lab_result "
        "WHERE status = 'entered-in-error'"
    ) == [("2026-11-05 08:00:00", None, "b.ndjson")]


def test_what_is_withdrawn_so_is_in_no_account_and_is_noted(box: Box) -> None:
    box.put("a.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take()
    box.put("b.ndjson", lines(panel(SECOND, B12)))
    taking = box.take(NEXT)
    assert [buckets(account) for account in taking.accounts] == [(1, 1, 0, 0, 0, 0)]
    assert taking.notes == (
        "1 results are withdrawn, as a later version of their observation does not have them any "
        "more",
    )
    assert box.take(THIRD).notes == ()


@pytest.mark.parametrize("together", [True, False])
def test_a_dropped_component_that_is_sent_again_stands_again(box: Box, together: bool) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(panel(FIRST, B12, MMA))),
        ("b.ndjson", lines(panel(SECOND, B12))),
        ("c.ndjson", lines(panel(LAST, B12, MMA))),
    )
    assert gone(box) == set()


@pytest.mark.parametrize("together", [True, False])
def test_an_older_version_that_comes_late_neither_withdraws_nor_revives(
    box: Box, together: bool
) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(panel(SECOND, B12, MMA))),
        ("b.ndjson", lines(panel(FIRST, B12, FOLATE))),
    )
    # Folate stood in the older version alone, so it was dropped before it came.
    assert results(box) == {
        f"o1#{B12}": "final", f"o1#{MMA}": "final", f"o1#{FOLATE}": "entered-in-error",
    }  # fmt: skip


def test_an_old_version_that_is_sent_again_withdraws_nothing(box: Box) -> None:
    # The same issue of both, as where a system never changes it.
    box.put("a.ndjson", lines(panel(FIRST, B12)))
    box.take()
    box.put("b.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take(NEXT)
    box.put("c.ndjson", lines(panel(FIRST, B12)) + "\n")
    box.take(THIRD)
    assert gone(box) == set()


def test_a_component_that_is_rejected_in_the_later_version_is_not_dropped(box: Box) -> None:
    box.put("a.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take()
    bad = panel(SECOND, B12)
    bad["component"].append(part(MMA, 300, "miles"))
    box.put("b.ndjson", lines(bad))
    box.take(NEXT)
    assert gone(box) == set()


def test_a_component_that_was_never_accepted_gives_no_withdrawal(box: Box) -> None:
    bad = panel(FIRST, B12)
    bad["component"].append(part(MMA, 300, "miles"))
    box.put("a.ndjson", lines(bad))
    box.take()
    box.put("b.ndjson", lines(panel(SECOND, B12)))
    assert box.take(NEXT).notes == ()
    assert results(box) == {f"o1#{B12}": "final"}


def test_a_version_of_which_every_row_is_rejected_withdraws_nothing(box: Box) -> None:
    box.put("a.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take()
    box.put("b.ndjson", lines(panel(SECOND, B12, effectiveDateTime="2026-13-01")))
    box.take(NEXT)
    assert gone(box) == set()


def test_a_later_version_without_any_test_of_ours_withdraws_what_was(box: Box) -> None:
    box.put("a.ndjson", lines(panel(FIRST, B12)))
    box.take()
    other = panel(SECOND)
    other["component"] = [part("6690-2")]
    box.put("b.ndjson", lines(other))
    box.take(NEXT)
    assert results(box) == {f"o1#{B12}": "entered-in-error"}


@pytest.mark.parametrize("together", [True, False])
def test_a_plain_value_that_becomes_a_panel_is_withdrawn(box: Box, together: bool) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(observation(issued=FIRST), observation(id="o2", issued=FIRST))),
        ("b.ndjson", lines(panel(SECOND, B12, MMA))),
    )
    assert gone(box) == {"o1"}
    assert len(results(box)) == 4


@pytest.mark.parametrize("together", [True, False])
def test_a_panel_that_becomes_a_plain_value_is_withdrawn(box: Box, together: bool) -> None:
    # Others of the same shape, so that the version is read by its pattern.
    others = [observation(id=f"x{number}", issued=FIRST) for number in range(3)]
    take_in(
        box,
        together,
        ("a.ndjson", lines(panel(FIRST, B12, MMA))),
        ("b.ndjson", lines(*others, observation(issued=SECOND))),
    )
    assert gone(box) == {f"o1#{B12}", f"o1#{MMA}"}
    assert results(box)["o1"] == "final"


def test_a_panel_that_keeps_its_own_value_loses_only_what_it_drops(box: Box) -> None:
    own = observation(issued=FIRST, component=[part(MMA)])
    box.put("a.ndjson", lines(own))
    box.take()
    box.put("b.ndjson", lines(own | {"issued": SECOND, "component": [part(FOLATE)]}))
    box.take(NEXT)
    assert results(box) == {"o1": "final", f"o1#{MMA}": "entered-in-error", f"o1#{FOLATE}": "final"}


def test_an_observation_of_another_laboratory_with_the_same_id_withdraws_nothing(
    tmp_path: Any, maps: Maps
) -> None:
    settings = Settings(
        laboratories={
            "main": Laboratory(),
            "other": Laboratory(fhir_performers=["Organization/other"]),
        }
    )
    box = Box(tmp_path, maps, settings)
    box.put("a.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take()
    box.put(
        "b.ndjson",
        lines(panel(SECOND, B12, performer=[{"reference": "Organization/other"}])),
    )
    box.take(NEXT)
    assert gone(box) == set()
    box.warehouse.close()


def test_observations_that_are_called_by_an_identifier_withdraw_nothing(
    tmp_path: Any, maps: Maps
) -> None:
    # An accession number may be shared by several observations.
    box = Box(tmp_path, maps, Settings(fhir=Fhir(result_identifier="urn:acc")))
    shared = {"identifier": [{"system": "urn:acc", "value": "A1"}]}
    box.put("a.ndjson", lines(panel(FIRST, B12, MMA, **shared)))
    box.take()
    box.put("b.ndjson", lines(panel(SECOND, B12, id="o2", **shared)))
    box.take(NEXT)
    assert gone(box) == set()
    box.warehouse.close()


def test_a_retake_of_either_file_keeps_the_withdrawal(box: Box) -> None:
    first = box.put("a.ndjson", lines(panel(FIRST, B12, MMA)))
    box.take()
    second = box.put("b.ndjson", lines(panel(SECOND, B12)))
    box.take(NEXT)
    for path in (first, second):
        box.take(THIRD, Again(files=(path,)))
        assert results(box) == {f"o1#{B12}": "final", f"o1#{MMA}": "entered-in-error"}


# Withdrawals that come first


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("moment", [SECOND, None])
def test_a_withdrawal_that_comes_first_takes_effect_when_its_result_comes(
    box: Box, together: bool, moment: str | None
) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(deleted("o1", moment), deleted("p1", moment))),
        ("b.ndjson", lines(observation(issued=FIRST), panel(FIRST, B12, MMA, id="p1"))),
    )
    assert gone(box) == {"o1", f"p1#{B12}", f"p1#{MMA}"}


def test_the_row_of_a_withdrawal_that_comes_first_stays_where_it_was_counted(box: Box) -> None:
    box.put("a.ndjson", lines(deleted()))
    assert [buckets(account) for account in box.take().accounts] == [(1, 0, 0, 0, 1, 0)]
    box.put("b.ndjson", lines(observation(issued=FIRST)))
    taking = box.take(NEXT)
    assert [buckets(account) for account in taking.accounts] == [(1, 1, 0, 0, 0, 0)]
    assert taking.notes == (
        "1 results came after their withdrawal by id or key, and are withdrawn",
    )
    query = "SELECT n_out_of_scope, n_accepted FROM run.source_file ORDER BY file_name"
    assert box.rows(query) == [(1, 0), (0, 1)]


def test_a_withdrawal_takes_effect_on_a_delimited_extract_too(box: Box) -> None:
    box.put("a.ndjson", lines(deleted("R1")))
    box.take()
    box.labs("R1,P1,2026-11-01T08:00:00,2026-11-02T08:00:00,14685-2,412,pmol/L,final")
    box.take(NEXT)
    assert gone(box) == {"R1"}


def test_a_result_reported_after_its_withdrawal_stands(box: Box) -> None:
    box.put("a.ndjson", lines(deleted()))
    box.take()
    box.put("b.ndjson", lines(observation(issued=LAST)))
    taking = box.take(NEXT)
    assert (gone(box), taking.notes) == (set(), ())


def test_a_withdrawal_without_a_moment_reaches_what_was_reported_by_its_night(box: Box) -> None:
    box.put("a.ndjson", lines(deleted("o1", None), deleted("o2", None)))
    box.take()
    box.put(
        "b.ndjson",
        lines(
            observation(issued="2026-11-22T23:00:00Z"),
            observation(id="o2", issued="2026-11-23T01:00:00Z"),
        ),
    )
    box.take(NEXT)
    assert gone(box) == {"o1"}


def test_in_one_file_what_is_put_back_behind_its_withdrawal_stands(box: Box) -> None:
    box.put("a.ndjson", lines(deleted("o1", None), observation(issued=FIRST)))
    box.take()
    assert gone(box) == set()


def test_a_withdrawal_takes_effect_once(box: Box) -> None:
    box.put("a.ndjson", lines(deleted()))
    box.take()
    box.put("b.ndjson", lines(observation(issued=FIRST)))
    box.take(NEXT)
    box.put("c.ndjson", lines(observation(issued=LAST, status="corrected")))
    box.take(THIRD)
    assert results(box) == {"o1": "corrected"}


def test_a_withdrawal_of_a_held_file_waits_for_nothing(box: Box) -> None:
    bad = [observation(id=f"x{n}", valueQuantity={"value": 4, "unit": "miles"}) for n in range(20)]
    box.put("a.ndjson", lines(deleted(), *bad))
    box.put("b.ndjson", lines(observation(issued=FIRST)))
    box.take()
    assert gone(box) == set()


def test_a_retake_of_the_results_file_keeps_the_withdrawal(box: Box) -> None:
    box.put("a.ndjson", lines(deleted()))
    path = box.put("b.ndjson", lines(observation(issued=FIRST)))
    box.take()
    assert gone(box) == {"o1"}
    box.take(NEXT, Again(files=(path,)))
    assert gone(box) == {"o1"}


@pytest.mark.parametrize("together", [True, False])
def test_a_dose_entered_in_error_before_it_came_is_no_dose(box: Box, together: bool) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(dose(status="entered-in-error"))),
        ("b.ndjson", lines(dose())),
    )
    assert box.rows("SELECT code FROM core.medication") == [("withdrawn",)]
    assert box.rows("SELECT n_accepted FROM run.source_file WHERE file_name = 'b.ndjson'") == [(1,)]


@pytest.mark.parametrize("together", [True, False])
def test_a_dose_that_was_not_given_yet_counts_once_it_is(box: Box, together: bool) -> None:
    take_in(
        box,
        together,
        ("a.ndjson", lines(dose(status="on-hold"))),
        ("b.ndjson", lines(dose())),
    )
    assert box.rows("SELECT code FROM core.medication") == [("B03BA03",)]


def test_what_waits_is_forgotten_after_a_year(box: Box) -> None:
    box.put("a.ndjson", lines(deleted()))
    box.take(NIGHT)
    box.take(date(2027, 11, 24))
    assert box.rows("SELECT count(*) FROM private.late_withdrawal") == [(0,)]


# By a code that no map names only the key says which result is meant.

RESULT = "R1,P1,2026-11-01,2026-11-02,14685-2,412,pmol/L,final"
CANCELLED = "R1,P1,2026-11-01,2026-11-03,CANC,,,cancelled"


def current(box: Box) -> list[tuple[object, ...]]:
    return box.rows("SELECT result_id, status, value FROM core.lab_result")


@pytest.mark.parametrize("nights", [(NIGHT, NIGHT), (NIGHT, NEXT)])
def test_a_withdrawal_by_an_unmapped_code_waits_for_its_result(
    box: Box, nights: tuple[date, date]
) -> None:
    box.labs(CANCELLED, name="labs1.csv")
    if nights[0] != nights[1]:
        box.take(nights[0])
    box.labs(RESULT, name="labs2.csv")
    taking = box.take(nights[1])
    assert current(box) == [("R1", "entered-in-error", None)]
    assert taking.notes == (
        "1 results came after their withdrawal by id or key, and are withdrawn",
    )
    later = NEXT + timedelta(days=1)
    box.labs(RESULT.replace("2026-11-02", "2026-11-04"), name="labs3.csv")
    box.take(later)
    assert current(box) == [("R1", "final", 412.0)]


@pytest.mark.parametrize(
    "row",
    [
        # Reported after the withdrawal, at an unknown time, of somebody else, by another key.
        RESULT.replace("2026-11-02", "2026-11-04"),
        RESULT.replace("2026-11-02", ""),
        RESULT.replace("P1", "P2"),
        RESULT.replace("R1", "R1#2"),
    ],
)
def test_what_an_early_withdrawal_does_not_name_stands(box: Box, row: str) -> None:
    box.labs(CANCELLED, name="labs1.csv")
    box.labs(row, name="labs2.csv")
    box.take()
    assert [value for _, _, value in current(box)] == [412.0]


def test_a_withdrawal_without_a_time_does_not_wait(box: Box) -> None:
    """It may be of another test of the same order."""
    box.labs(CANCELLED.replace("2026-11-03", ""), name="labs1.csv")
    box.labs(RESULT, name="labs2.csv")
    box.take()
    assert current(box) == [("R1", "final", 412.0)]


def test_the_withdrawals_of_a_file_that_is_held_do_not_wait(box: Box) -> None:
    box.labs(
        CANCELLED, *(f"X{n},P1,soon,,14685-2,1,pmol/L,final" for n in range(30)), name="labs1.csv"
    )
    box.labs(RESULT, name="labs2.csv")
    box.take()
    assert current(box) == [("R1", "final", 412.0)]


def test_a_waiting_withdrawal_is_not_used_up_by_what_it_does_not_name(box: Box) -> None:
    box.labs(CANCELLED, name="labs1.csv")
    box.take()
    box.labs(RESULT.replace("P1", "P2"), name="labs2.csv")
    box.take(NEXT)
    box.labs(RESULT, name="labs3.csv")
    box.take(NEXT + timedelta(days=1))
    assert current(box) == [("R1", "entered-in-error", None)]


def test_an_early_withdrawal_leaves_what_was_corrected_to_another_person(box: Box) -> None:
    moved = RESULT.replace("P1", "P2").replace("2026-11-02", "2026-11-02T12:00:00")
    box.labs(CANCELLED, name="labs1.csv")
    box.labs(RESULT, moved.replace("final", "corrected"), name="labs2.csv")
    box.take()
    assert current(box) == [("R1", "corrected", 412.0)]


def test_a_rejected_row_of_the_same_order_is_no_reason_to_wait(box: Box) -> None:
    box.labs(RESULT.replace("pmol/L", "miles"), CANCELLED, name="labs1.csv")
    box.take()
    box.labs(RESULT, name="labs2.csv")
    box.take(NEXT)
    assert current(box) == [("R1", "final", 412.0)]


def test_an_early_withdrawal_leaves_what_is_another_persons_by_now(box: Box) -> None:
    box.labs(CANCELLED, name="labs1.csv")
    box.take()
    moved = RESULT.replace("P1", "P2").replace("2026-11-02", "2026-11-02T12:00:00")
    box.labs(moved.replace("final", "corrected"), name="labs2.csv")
    box.take(NEXT)
    box.labs(RESULT, name="labs3.csv")
    box.take(NEXT + timedelta(days=1))
    assert current(box) == [("R1", "corrected", 412.0)]


def test_a_withdrawal_waits_where_its_key_is_another_persons(box: Box) -> None:
    box.labs(RESULT.replace("P1", "P2").replace("2026-11-02", "2026-11-01"), name="labs1.csv")
    box.take()
    box.labs(CANCELLED, name="labs2.csv")
    assert len(box.take(NEXT).findings) == 1
    box.labs(RESULT.replace("final", "corrected"), name="labs3.csv")
    box.take(NEXT + timedelta(days=1))
    assert current(box) == [("R1", "entered-in-error", None)]
