"""Made-up weeks through the pipeline, every row of every night held against the simulator."""

from pathlib import Path

import pytest

from tests.night.weeks import Story, tell


@pytest.mark.long
def test_the_items_of_ten_nights_are_those_of_an_independent_simulation(tmp_path: Path) -> None:
    story = Story(tmp_path / "site", seed=1, n_people=120)
    assert tell(story, range(10)) == []
    # A story in which nothing happens would agree as well.
    happened = story.now.seen
    wanted = {
        *(f"open: {state}" for state in ("new", "carried", "changed", "reopened")),
        *(f"off the list: {word}" for word in ("done", "already_treated", "declined", "deferred")),
        *(
            f"closed: {reason}"
            for reason in ("moved", "not_our_patient", "treated", "result_withdrawn", "deceased",
                           "opted_out", "declined", "superseded_by_action")
        ),
        *(f"ended: {word} by worse" for word in ("deferred", "unasked")),
        "ended: deferred by day",
    }  # fmt: skip
    assert wanted - happened.keys() == set()


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 4])
def test_closed_items_go_after_a_year_and_what_comes_back_is_new(tmp_path: Path, seed: int) -> None:
    story = Story(tmp_path / "site", seed=seed, n_people=60)
    assert tell(story, (0, 1, 367, 368)) == []
    gone = {key for night in story.published.values() for key in keys_of(night.rows)}
    assert gone - story.now.rows.keys()


def keys_of(rows: list[dict[str, object]]) -> set[tuple[object, object]]:
    return {(row["item_id"], row["clinic_id"]) for row in rows}
