"""Results that look like one told twice: counted and listed, never dropped."""

from datetime import date

from .inbox import LAB_HEADER, Box, buckets

NEXT = date(2026, 11, 23)


def mma(name: str, on: str, value: str = "412", patient: str = "P1", status: str = "final") -> str:
    return f"{name},{patient},{on},2026-11-21,13964-2,{value},nmol/L,{status}"


def near(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT result_id, like_result_id, CAST(taken_for AS VARCHAR) FROM core.near_duplicate "
        "ORDER BY ALL"
    )


def test_an_equal_marker_a_day_apart_under_another_key_is_listed_and_kept(box: Box) -> None:
    box.labs(mma("R1", "2026-11-01T08:00:00"), mma("R2", "2026-11-02T07:30:00"))
    taking = box.take()
    assert buckets(taking.accounts[0]) == (2, 2, 0, 0, 0, 0)
    assert near(box) == [("R2", "R1", "2026-11-22")]
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(2,)]
    assert taking.notes[-1].startswith("1 results look like another of the same person")
    assert "P1" not in str(taking.notes) + str(box.lines)


def test_what_differs_in_more_than_the_key_is_no_near_duplicate(box: Box) -> None:
    box.labs(
        mma("R1", "2026-11-01T08:00:00"),
        mma("R2", "2026-11-01T08:00:00", value="413"),
        mma("R3", "2026-11-01T08:00:00", patient="P2"),
        mma("R4", "2026-11-02T08:00:01"),
        mma("R5", "2026-11-01T08:00:00", status="cancelled", value=""),
        mma("R6", "2026-11-01T08:00:00", status="preliminary"),
    )
    taking = box.take()
    assert near(box) == []
    assert taking.notes == ()


def test_an_equal_potassium_a_day_later_is_ordinary(box: Box) -> None:
    rows = [f"K{day},P1,2026-11-0{day},,2823-3,4.1,mmol/L,final" for day in (1, 2, 3)]
    box.labs(*rows, header=LAB_HEADER)
    box.take()
    assert near(box) == []


def test_a_later_night_is_compared_with_what_is_known_and_lists_each_pair_once(box: Box) -> None:
    box.labs(mma("R1", "2026-11-01"))
    box.take()
    box.labs(mma("R2", "2026-11-02"), name="labs2.csv")
    box.take(NEXT)
    box.labs(mma("R9", "2026-10-01"), name="labs3.csv")
    box.take(NEXT)
    assert near(box) == [("R2", "R1", "2026-11-23")]


def test_a_correction_of_the_same_key_is_a_version_and_no_near_duplicate(box: Box) -> None:
    box.labs(mma("R1", "2026-11-01"), mma("R1", "2026-11-02", status="corrected"))
    box.take()
    assert near(box) == []
