"""SQL that folds what the rows of one key tell, column by column, into the row that stands.

A column is what the last row that tells it says, in the order of versions: the night that its file
first came, the file, the record. A row that lacks the column, or that is taken later but comes
earlier in that order, leaves it alone, so that the order of taking decides nothing. Where the row
that stands is not itself the last one to tell every column, a private table says which rows were.
"""

from dataclasses import dataclass

from schemas.ddl import quoted_name, sql_type
from schemas.relation import RELATIONS, Relation

# The night of the file, the file and the record, then the night that took it: of a row read twice
# the later reading counts.
_PLACE = {
    "told_for": ("DATE", "coalesce(one.sent_for, one.taken_for)"),
    "told_in": ("VARCHAR", "one.file_name"),
    "told_at": ("BIGINT", "one.record"),
    "told_since": ("DATE", "one.taken_for"),
}
# A row that no file holds: what takes back what a file gave, or withdraws what came too late.
_OURS = "is_ours"
_PROVENANCE = ("file_name", "record", "taken_for", "sent_for")


@dataclass(frozen=True)
class Fold:
    """A relation and its columns that a row may leave alone.

    ``may_go``: a row may take its key back, without leaving one that stands (``is_gone``).
    """

    relation: Relation
    optional: tuple[str, ...]
    may_go: bool = False

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Flag -> the columns that are told together: those of every row, each of the others."""
        known = {*self.relation.key, *self.optional, *_PROVENANCE}
        rest = tuple(column for column in self.relation.columns if column not in known)
        # Where that is nothing but the key, a row still says that it is there, or is not.
        each = {f"tells_{column}": (column,) for column in self.optional}
        return {"tells_rest": (*(rest or self.relation.key), *self.virtual)} | each

    @property
    def virtual(self) -> tuple[str, ...]:
        """What a row says beside the relation's columns."""
        return ("is_gone",) if self.may_go else ()

    @property
    def flags(self) -> dict[str, str]:
        """What a scan says beside the relation's columns; where it says nothing, the row tells."""
        return {f"tells_{column}": "BOOLEAN" for column in self.optional}

    @property
    def scanned(self) -> dict[str, str]:
        """The columns that a scan has beside those of the relation, and their types."""
        return self.flags | dict.fromkeys((*self.virtual, _OURS), "BOOLEAN")

    @property
    def told(self) -> str:
        """The table of the rows that were the last to tell something."""
        return f"private.{self.relation.name.split('.')[1]}_told"


def fold_of(name: str) -> Fold:
    """How a relation is folded; ``KeyError`` where it is none that is."""
    return Fold(RELATIONS[name], _OPTIONAL[name], name == "core.condition")


_OPTIONAL = {
    "core.patient": ("birth_date", "sex", "clinic_id", "deceased_on", "opted_out"),
    "core.condition": ("resolved_on",),
    "core.medication": ("ended_on", "drug_name", "dose", "dose_unit", "route"),
}


def create_told(fold: Fold) -> str:
    """The table of rows that were the last to tell something, unless it is there."""
    columns = {key: sql_type(fold.relation.columns[key]) for key in fold.relation.key}
    columns |= {name: kind for name, (kind, _) in _PLACE.items()}
    columns |= dict.fromkeys(fold.groups, "BOOLEAN")
    listed = ", ".join(f"{quoted_name(name)} {kind}" for name, kind in columns.items())
    return f"CREATE TABLE IF NOT EXISTS {quoted_name(fold.told)} ({listed})"


def create_events(fold: Fold) -> tuple[str, ...]:
    """Statements that make ``taking.event``: every row that tells of a key just taken, judged.

    A known row stands there once for each row that was the last to tell something of it;
    ``is_row`` says which of them is the row itself. ``bucket`` is the account of a row just taken,
    ``is_current`` whether it is what stands from now on, with the columns as they are then, and the
    flags say what it was the last to tell.
    """
    relation, keys = fold.relation, fold.relation.key
    columns = ", ".join(f"one.{quoted_name(name)}" for name in relation.columns)
    known_places = ", ".join(
        f"coalesce(told.{name}, {own}) AS {name}" for name, (_, own) in _PLACE.items()
    )
    own_places = ", ".join(f"{own} AS {name}" for name, (_, own) in _PLACE.items())
    known_flags = ", ".join(f"coalesce(told.{flag}, TRUE) AS {flag}" for flag in fold.groups)
    own_flags = ", ".join(
        f"coalesce(one.{flag}, TRUE) AS {flag}" if flag in fold.flags else f"TRUE AS {flag}"
        for flag in fold.groups
    )
    key = ", ".join(f"one.{quoted_name(name)}" for name in keys)
    beside = (*fold.virtual, _OURS)
    stays = "".join(f", FALSE AS {name}" for name in beside)
    says = "".join(f", coalesce(one.{name}, FALSE) AS {name}" for name in beside)
    return (
        f"""CREATE OR REPLACE TABLE taking.known AS
SELECT 'core' AS origin, one.rowid AS place, {columns}{stays}, {known_places}, {known_flags},
    row_number() OVER (PARTITION BY one.rowid) = 1 AS is_row
FROM {quoted_name(relation.name)} AS one
SEMI JOIN core.taken AS told ON {_same(keys, "told")}
LEFT JOIN {quoted_name(fold.told)} AS told ON {_same(keys, "told")}
{_gone(fold) if fold.may_go else ""}""",
        f"""CREATE OR REPLACE TABLE taking.fresh AS
SELECT 'taken' AS origin, one.rowid AS place, {columns}{says}, {own_places}, {own_flags},
    TRUE AS is_row
FROM core.taken AS one""",
        # What comes once, on a later night than all that is known of its key, needs no order.
        f"""CREATE OR REPLACE TABLE taking.entangled AS
SELECT {key} FROM taking.fresh AS one GROUP BY ALL HAVING count(*) > 1
UNION
SELECT {key} FROM taking.known AS one
INNER JOIN taking.fresh AS told ON {_same(keys, "told")}
WHERE one.told_for >= told.told_for""",
        f"CREATE OR REPLACE TABLE taking.event AS {_in_line(fold)}",
        f"INSERT INTO taking.event BY NAME {_in_order(fold)}",
    )


def _gone(fold: Fold) -> str:
    """The keys at hand that a row took back, as a row that is none."""
    keys = fold.relation.key
    key = ", ".join(f"one.{quoted_name(name)}" for name in keys)
    places = ", ".join(f"one.{name}" for name in _PLACE)
    flags = ", ".join(f"{flag == 'tells_rest'} AS {flag}" for flag in fold.groups)
    return f"""UNION ALL BY NAME
SELECT 'gone' AS origin, {key}, TRUE AS is_gone, {places}, {flags}, FALSE AS is_row
FROM {quoted_name(fold.told)} AS one
SEMI JOIN core.taken AS told ON {_same(keys, "told")}
ANTI JOIN {quoted_name(fold.relation.name)} AS told ON {_same(keys, "told")}
WHERE one.tells_rest"""


def _in_line(fold: Fold) -> str:
    """Events of keys of which one row came that counts in everything it tells."""
    keys, groups = fold.relation.key, fold.groups
    is_new = " AND ".join(f"stands.{quoted_name(name)} IS NULL" for name in keys)
    stays = "".join(f", FALSE AS {name}" for name in fold.virtual)
    changes = " OR ".join(
        f"(one.{flag} AND {_said(group)} IS DISTINCT FROM {_said(group, 'stands')})"
        for flag, group in groups.items()
    )
    folded = ", ".join(
        f"CASE WHEN one.{flag} OR {is_new} THEN one.{quoted_name(name)} "
        f"ELSE stands.{quoted_name(name)} END AS {quoted_name(name)}"
        for name, flag in _told_by(fold).items()
    )
    key = ", ".join(f"one.{quoted_name(name)}" for name in keys)
    names = ", ".join(
        f"one.{name}" for name in ("origin", "place", *_PLACE, *_PROVENANCE, "is_row", _OURS)
    )
    return f"""WITH fresh AS (
    SELECT {names}, {key}, {folded}, {", ".join(f"one.{flag}" for flag in groups)},
        CASE WHEN {is_new} OR {changes} THEN 'accepted' ELSE 'duplicate' END AS bucket
    FROM taking.fresh AS one
    ANTI JOIN taking.entangled AS told ON {_same(keys, "told")}
    LEFT JOIN (SELECT kept.*{stays} FROM {quoted_name(fold.relation.name)} AS kept) AS stands
        ON {_same(keys, "stands")}
)
SELECT one.*, one.bucket = 'accepted'{_is_there(fold)} AS is_current FROM fresh AS one
UNION ALL BY NAME
SELECT one.* REPLACE (
        {", ".join(f"one.{flag} AND NOT told.{flag} AS {flag}" for flag in groups)}
    ), 'known' AS bucket, one.origin = 'core' AND told.bucket <> 'accepted' AS is_current
FROM taking.known AS one
INNER JOIN fresh AS told ON {_same(keys, "told")}"""


def _in_order(fold: Fold) -> str:
    """Events of all other keys, each row weighed against those that were known before it."""
    keys, groups = fold.relation.key, fold.groups
    key = ", ".join(f"one.{quoted_name(name)}" for name in keys)
    places = ", ".join(f"one.{name}" for name in _PLACE)
    before = ", ".join(
        f"max({{'nth': CASE WHEN one.{flag} THEN one.nth ELSE 0 END, 'said': {_said(group)}}}) "
        f"OVER before AS {flag}_before"
        for flag, group in groups.items()
    )
    last = ", ".join(
        f"coalesce(one.nth = max(CASE WHEN one.{flag} THEN one.nth END) OVER in_all, FALSE) "
        f"AS {flag}"
        for flag in groups
    )
    differs = {
        flag: f"one.{flag} AND {_said(group)} IS DISTINCT FROM one.{flag}_before.said"
        for flag, group in groups.items()
    }
    changes = " OR ".join(
        f"({told} AND one.nth > one.{flag}_before.nth)" for flag, told in differs.items()
    )
    is_older = " OR ".join(f"({told})" for told in differs.values())
    folded = ", ".join(
        f"CASE WHEN one.origin <> 'taken' OR one.turn = 1 OR (one.{flag} "
        f"AND (one.bucket = 'superseded' OR one.nth > one.{flag}_before.nth)) "
        f"THEN one.{quoted_name(name)} ELSE one.{flag}_before.said.{quoted_name(name)} END "
        f"AS {quoted_name(name)}"
        for name, flag in _told_by(fold).items()
    )
    names = ", ".join(
        f"one.{name}"
        for name in ("origin", "place", *_PLACE, *_PROVENANCE, "is_row", _OURS, "bucket")
    )
    return f"""WITH event AS (
    SELECT one.* FROM taking.known AS one
    SEMI JOIN taking.entangled AS told ON {_same(keys, "told")}
    UNION ALL BY NAME
    SELECT one.* FROM taking.fresh AS one
    SEMI JOIN taking.entangled AS told ON {_same(keys, "told")}
),
placed AS (
    SELECT one.*,
        row_number() OVER (
            PARTITION BY {key} ORDER BY {places}, one.origin = 'taken', one.place
        ) AS nth,
        row_number() OVER (
            PARTITION BY {key}
            ORDER BY one.origin = 'taken', one.file_name, one.record, one.place, {places}
        ) AS turn
    FROM event AS one
),
weighed AS (
    SELECT one.*, {before}
    FROM placed AS one
    WINDOW before AS (
        PARTITION BY {key} ORDER BY one.turn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    )
),
judged AS (
    SELECT one.*,
        CASE
            WHEN one.origin <> 'taken' THEN 'known'
            WHEN one.turn = 1 OR {changes} THEN 'accepted'
            WHEN {is_older} THEN 'superseded'
            ELSE 'duplicate'
        END AS bucket
    FROM weighed AS one
),
settled AS (
    SELECT one.*,
        max(CASE WHEN one.bucket = 'accepted' THEN one.turn END) OVER (PARTITION BY {key}) AS newest
    FROM judged AS one
)
SELECT one.* REPLACE (one.is_current{_is_there(fold)} AS is_current)
FROM (
    SELECT {names}, {key}, {folded}, {last},
        CASE WHEN one.newest IS NULL THEN one.origin = 'core' ELSE one.turn = one.newest END
            AS is_current
    FROM settled AS one
    WINDOW in_all AS (PARTITION BY {key})
) AS one"""


def _is_there(fold: Fold) -> str:
    """What stands has not been taken back."""
    return " AND NOT coalesce(one.is_gone, FALSE)" if fold.may_go else ""


def _same(keys: tuple[str, ...], name: str) -> str:
    """Whether another table's row is of the same key."""
    return " AND ".join(f"{name}.{quoted_name(key)} = one.{quoted_name(key)}" for key in keys)


def _said(group: tuple[str, ...], name: str = "one") -> str:
    """What a row says of the columns of a group."""
    said = (f"{quoted_name(column)}: {name}.{quoted_name(column)}" for column in group)
    return "{" + ", ".join(said) + "}"


def _told_by(fold: Fold) -> dict[str, str]:
    """Every column beside the key -> the flag that says whether a row tells it."""
    return {
        name: flag
        for flag, group in fold.groups.items()
        for name in group
        if name not in fold.relation.key
    }


WORKING = ("taking.event", "taking.entangled", "taking.fresh", "taking.known")
# The accounts of the rows that the files hold.
BUCKETS = (
    "SELECT version.file_name, version.bucket, count(*) FROM taking.version "
    "WHERE version.origin = 'taken' AND NOT version.is_ours "
    "GROUP BY version.file_name, version.bucket"
)
# The rows whose accounts and versions are kept.
EVENT_ROWS = "SELECT event.* FROM taking.event WHERE event.is_row"


def insert_current(fold: Fold) -> str:
    """The rows just taken that stand from now on into the relation, as folded."""
    columns = ", ".join(quoted_name(column) for column in fold.relation.columns)
    return (
        f"INSERT INTO {quoted_name(fold.relation.name)} BY NAME SELECT {columns} "
        "FROM taking.version WHERE origin = 'taken' AND is_current"
    )


def keep_told(fold: Fold) -> tuple[str, str]:
    """Which rows were the last to tell what of the keys at hand, where the standing one is not."""
    columns = ", ".join(quoted_name(key) for key in fold.relation.key)
    flags = ", ".join(fold.groups)
    is_own = " AND ".join(
        f"one.{name} IS NOT DISTINCT FROM {own}" for name, (_, own) in _PLACE.items()
    )
    return (
        f"DELETE FROM {quoted_name(fold.told)} AS told USING taking.event AS one "
        f"WHERE {_same(fold.relation.key, 'told')}",
        f"INSERT INTO {quoted_name(fold.told)} BY NAME "
        f"SELECT {columns}, {', '.join(_PLACE)}, {flags} FROM taking.event AS one "
        f"WHERE ({' OR '.join(f'one.{flag}' for flag in fold.groups)}) "
        f"AND NOT (one.is_current AND {is_own} AND {' AND '.join(fold.groups)})",
    )
