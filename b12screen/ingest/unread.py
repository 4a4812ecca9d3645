"""What the rejected rows of a night would have changed, as findings of it.

Nothing is known of such a row but that it came. Where it was to end what is known of a person or a
result, that stands for want of it, and whoever looks at a list cannot see so.
"""

from collections.abc import Iterator

from b12screen.ingest.store import Intake

# A death or an opt-out that is not read leaves the person on the lists, whatever the fault was.
STATES = (
    "SELECT reject.file_name, count(*) FROM private.reject_row AS reject "
    "WHERE reject.kind = 'patients' AND reject.taken_for = ? AND reject.replaced_on IS NULL "
    "AND json_valid(reject.raw) "
    "AND (trim(coalesce(json_extract_string(reject.raw, 'deceased_on'), '')) <> '' "
    "OR trim(lower(coalesce(json_extract_string(reject.raw, 'opted_out'), ''))) "
    "NOT IN ('', 'false')) GROUP BY ALL ORDER BY ALL"
)
N_REJECTED = (
    "SELECT count(*) FROM private.reject_row AS reject "
    "WHERE reject.kind = 'labs' AND reject.taken_for = ? AND reject.replaced_on IS NULL"
)
# Looking for what an earlier night knew reads the ids of the whole history.
VERSIONS = (
    "WITH unread AS (SELECT reject.file_name, json_extract_string(reject.raw, 'result_id') AS "
    "result_id, json_extract_string(reject.raw, 'laboratory') AS laboratory, "
    "try_cast(json_extract_string(reject.raw, 'reported_at') AS TIMESTAMP) AS reported_at "
    "FROM private.reject_row AS reject WHERE reject.kind = 'labs' AND reject.taken_for = $1 "
    "AND reject.replaced_on IS NULL AND json_valid(reject.raw)) "
    "SELECT unread.file_name, count(*) FROM unread SEMI JOIN ("
    "SELECT stored.result_id, word.laboratory, stored.reported_at FROM core.lab_row AS stored "
    "INNER JOIN core.lab_word AS word ON word.word_id = stored.word_id "
    "INNER JOIN core.lab_file AS file ON file.file_id = stored.file_id "
    "WHERE file.taken_for < $1) AS known "
    "ON known.result_id = unread.result_id AND known.laboratory = unread.laboratory "
    # An older version changes nothing.
    "AND coalesce(unread.reported_at >= known.reported_at, TRUE) "
    "GROUP BY ALL ORDER BY ALL"
)
MEND = "see `b12screen rejects`, and have them sent so that they can be read"


def unread(intake: Intake) -> Iterator[str]:
    """A finding for each file; counts, and nothing of a row."""
    for name, n in intake.warehouse.rows(STATES, (intake.as_of,)):
        yield (
            f"{name}: {n} rejected rows of patients hold a deceased_on or an opted_out, so these "
            f"people stay on the lists as they were; {MEND}"
        )
    if not intake.warehouse.scalar(N_REJECTED, (intake.as_of,)):
        return
    for name, n in intake.warehouse.rows(VERSIONS, (intake.as_of,)):
        yield (
            f"{name}: {n} of its rejected rows tell of results that are known, whose "
            f"values stand as they were and may be on a list; {MEND}"
        )
