"""What looks like one told twice: results, and people whose identifiers differ by blanks alone.

Two such results have other keys, the same person, test and value, and lie a day apart. Only of the
markers that the screen decides on: an equal potassium a day later is ordinary, an equal
methylmalonic acid is not. None is dropped on a guess; they are counted and listed, so that whoever
reads two results of one sample can ask. The same key sent again is a version, and not meant here.
"""

from datetime import date

import polars as pl

from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse
from schemas import ddl

MARKERS = ("mma", "hcy", "b12", "holotc")
SPEAKING = ("final", "amended", "corrected")

WORDS = (
    "SELECT word.word_id, dense_rank() OVER (ORDER BY word.laboratory, word.code_system, "
    "word.code, word.comparator) AS test FROM core.lab_word AS word "
    "WHERE list_contains(?, word.analyte) AND list_contains(?, word.status) ORDER BY word.word_id"
)
COUNT_TONIGHT = "SELECT count(*) FROM core.near_duplicate AS near WHERE near.taken_for = ?"


def named_twice(warehouse: Warehouse, as_of: date) -> list[str]:
    """A finding where tonight's files name people with blanks around an identifier known without.

    An identifier is the text that was sent: to the screen they are two, and a treatment, a death or
    an opt-out of the one says nothing of the other.
    """
    n = int(warehouse.scalar(sql_text("core/padded_person.sql"), (as_of,)))
    if not n:
        return []
    return [
        f"{n} people are named with blanks around their identifier and without, and count as two "
        "each: what is known of the one (a treatment, an opt-out) is not known of the other. Have "
        "the sender leave the blanks off, and send these rows again"
    ]


def near_duplicates(warehouse: Warehouse, as_of: date) -> int:
    """List what arrived for this night and looks like another result; how many there are."""
    warehouse.write("taking.near_word", warehouse.frame(WORDS, (MARKERS, SPEAKING)))
    # Where every file was turned away before its scan, no other table knows the night.
    warehouse.write("taking.near_night", pl.DataFrame({"as_of": [as_of]}))
    warehouse.execute(ddl.create_table_as("taking.near_span", sql_text("core/near_span.sql")))
    rows = warehouse.frame(sql_text("core/near_key.sql"))
    suspect = rows.filter(pl.col("key").is_duplicated()).select("place")
    if suspect.height:
        warehouse.write("taking.suspect", suspect)
        warehouse.fill("core.near_duplicate", sql_text("core/near_duplicate.sql"))
    return int(warehouse.scalar(COUNT_TONIGHT, (as_of,)))
