"""The store says which format it has: this one is taken as it lies, a later one is refused."""

import hashlib
from datetime import date

import pytest

from b12screen.ingest import store_format
from b12screen.ingest.store_format import FORMAT, StoreIsLater, StoreIsUnsound

from .inbox import ROW, Box

NEXT = date(2026, 11, 23)
# The tables of each format, as :func:`shape` spells them. A change of them is another format.
SHAPES = {1: "d9f713db87efb7b8"}


def shape(box: Box) -> str:
    """Every column of the store's two files, in no order: what an upgrade adds stands last."""
    columns = box.rows(
        "SELECT database_name = 'private', schema_name, table_name, column_name, data_type "
        "FROM duckdb_columns() WHERE NOT internal AND table_name <> 'lab_result' "
        "OR database_name = 'private' ORDER BY ALL"
    )
    return hashlib.sha256(repr(columns).encode()).hexdigest()[:16]


def test_whoever_changes_a_table_of_the_store_raises_its_format(box: Box) -> None:
    box.labs(ROW)
    box.take()
    assert shape(box) == SHAPES[FORMAT], "raise FORMAT, add a step to bring_up, and this shape"


def test_a_store_of_before_formats_is_brought_to_this_one_once(box: Box) -> None:
    box.labs(ROW)
    box.take()
    box.forget_format()
    for table, column in (
        ("core.reject", "replaced_on"),
        ("run.source_file", "attempt"),
        ("private.reject_row", "segment"),
        ("private.late_withdrawal", "laboratory"),
    ):
        box.warehouse.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    box.warehouse.execute("DROP TABLE private.fhir_told")
    box.warehouse.execute("CREATE TABLE private.condition_teller (resource_id VARCHAR)")
    box.labs(ROW.replace("R1", "R2"), name="labs2.csv")
    box.take(NEXT)
    assert shape(box) == SHAPES[FORMAT]
    assert box.rows("SELECT number FROM private.store_format") == [(FORMAT,)]
    box.take(date(2026, 11, 24))
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(2,)]


def test_a_store_of_a_later_format_is_refused_as_it_lies(box: Box) -> None:
    box.labs(ROW)
    box.take()
    box.warehouse.execute("UPDATE private.store_format SET number = ?", (FORMAT + 1,))
    box.labs(ROW.replace("R1", "R2"), name="labs2.csv")
    with pytest.raises(StoreIsLater, match=rf"its format is {FORMAT + 1}, this version knows"):
        box.take(NEXT)
    assert box.rows("SELECT result_id FROM core.lab_result") == [("R1",)]


def test_a_store_of_before_formats_that_holds_a_result_twice_is_not_gone_on_with(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_format, "KEYS_AT_ONCE", 2)
    box.labs(*(ROW.replace("R1", f"R{number}") for number in range(1, 10)))
    box.take()
    doubled = "INSERT INTO core.lab_row SELECT * FROM core.lab_row WHERE result_id IN ('R3', 'R7')"
    box.warehouse.execute(doubled)
    box.forget_format()
    box.labs(ROW.replace("R1", "R10"), name="labs2.csv")
    with pytest.raises(
        StoreIsUnsound, match=r"2 results .* Move store/ and published/ away"
    ) as told:
        box.take(NEXT)
    assert told.value.exit_code == 13
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(11,)]
    # Whoever says that there is nothing to see runs into it again.
    with pytest.raises(StoreIsUnsound):
        box.take(NEXT)


def test_one_key_of_two_laboratories_is_two_results(box: Box) -> None:
    box.labs(ROW, name="labs1.csv")
    box.take()
    box.warehouse.execute(
        "INSERT INTO core.lab_word SELECT word.* REPLACE ('other' AS laboratory, "
        "word.word_id + 100000 AS word_id) FROM core.lab_word AS word "
        "SEMI JOIN core.lab_row USING (word_id)"
    )
    box.warehouse.execute(
        "INSERT INTO core.lab_row SELECT * REPLACE (word_id + 100000 AS word_id) FROM core.lab_row"
    )
    box.forget_format()
    box.take(NEXT)
    assert box.rows("SELECT count(*) FROM core.lab_result") == [(2,)]
