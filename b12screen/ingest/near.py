"""Results that look like one told twice: another key, the same person, test and value, a day apart.

Only of the markers that the screen decides on: an equal potassium a day later is ordinary, an equal
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
