"""Plain observations many at a time: lines that differ from one that was loaded only in places.

Nearly all lines of a laboratory's feed are written by one system in a few dozen shapes. Lines are
cut at their commas, many at once, whatever the commas stand in. Of a line that was loaded by itself
the pieces that hold its id, person, times and numbers have a place for these; all other pieces are
kept as they are. A line of as many pieces whose kept ones are, letter by letter, those of a line
that was loaded, and whose texts are clean and stand between the same, is the same JSON: no name
stands twice in it, and it says the same of test, unit and status. Everything else is left to the
loading.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import reduce
from itertools import accumulate
from operator import and_
from typing import NamedTuple

import polars as pl

from b12screen.ingest.fhir_element import (
    Json,
    Number,
    contradicts_range,
    decimal,
    inner,
    loaded,
    objects,
    unfit,
)
from b12screen.ingest.fhir_lines import MOST_BYTES_CUT, Cut, Own, cut, is_text, n_lines, split_lines
from b12screen.ingest.fhir_resource import (
    COLUMNS,
    LATER_VERSIONS,
    MOST_NAMES,
    Outcome,
    Reader,
    Row,
    Whole,
)

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[{}\[\]:,]|true|false|null')
# What no text holds as it is, and what no text that is read holds as an escape either.
UNCLEAN = r'["\\\x00-\x1f]'
UNCLEAN_BYTES = bytes([*range(0x20), *b'"\\'])
# Other escapes than these may be half a character, which is no text.
ANY_TEXT = r'(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*'
ANYTHING = r".*"
UNMARKED = r'[^"\\\x00-\x1f#]+'
NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
ID = r"[A-Za-z0-9\-.]{1,64}"

Path = tuple[str | int, ...]

# What every line has for itself, by its place in the resource.
OWN: dict[Path, str] = {
    ("id",): "id",
    ("effectiveDateTime",): "collected",
    ("issued",): "issued",
    ("meta", "lastUpdated"): "changed",
}
# Elements that refer to something; read as a whole where what matters is not a text of theirs.
REFERRED = ("subject", "encounter", "specimen")
# Ids that are looked up in what else the file tells.
LOOKED_UP = {"encounter_id": "clinics", "specimen_id": "specimens"}
# A reference that is looked up, or the whole element.
SPECIMENS = ("specimen_id", "specimen")
# For what a specimen is called where the file does not hold it: no cell is this.
NOT_HERE = "\0"
# Elements that together say what a result is; so do all whose names begin with "value".
SAYING = (
    "resourceType", "code", "status", "performer", "interpretation", "referenceRange", "component",
    "dataAbsentReason",
)  # fmt: skip
SAYING_PATHS: tuple[Path, ...] = (
    ("subject", "identifier", "system"),
    ("subject", "identifier", "use"),
    ("subject", "identifier", "period", "end"),
    ("specimen", "display"),
)
LABELS = (("meta", "tag"), ("meta", "security"))
NUMBER_NAMES = "number{}"
COMPONENT = re.compile(r"Observation\.component\[([0-9]+)\]")

# How many lines are tried for something new before a file is taken to be irregular.
MOST_TRIES = 2_000
# Longer lines, or ones of more pieces, are loaded each time: what is remembered stays small.
MOST_BYTES = 10_000
MOST_PIECES = 400
# Numbers that lie this near a limit are compared with it exactly.
NEAR = 1e-9
# Cells that are the same in many rows.
SAME = pl.Categorical()
SAID_CELLS = ("code", "code_system", "test_name", "unit", "status", "laboratory")


class Scalar(NamedTuple):
    """A text, number or constant of a line, by the names and turns that lead to it."""

    path: Path
    start: int
    end: int


class Place(NamedTuple):
    """What a piece has for itself between ``before`` and ``after``; without a name nobody reads it.

    ``pattern`` is what may stand there, blank for a clean text.
    """

    piece: int
    name: str
    before: str
    after: str
    pattern: str


class Region(NamedTuple):
    """The pieces from ``first`` to ``last``: a whole element between ``before`` and ``after``."""

    name: str
    first: int
    last: int
    before: str
    after: str


class Form(NamedTuple):
    """What two lines have in common whose kept pieces can be compared.

    ``rows`` are the segments of their rows, and the places of the numbers in these. Of one that
    ``is_whole`` the rows are kept as all results of one observation.
    """

    n_piece: int
    is_whole: bool
    rows: tuple[tuple[str, str], ...]
    places: tuple[Place, ...]
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Said:
    """What the kept pieces of a line say of one of its rows.

    ``key_end`` and ``sign`` stand behind its id and before its number; ``ranged`` is what the
    number is compared with. Of a test that ``is_mapped`` the specimen is checked.
    """

    key_end: str
    sign: str
    cells: dict[str, str]
    ranged: Json | None
    is_mapped: bool


@dataclass
class Known:
    """What lines of one form said: by their kept pieces, a row or more each.

    ``usual`` are those pieces of the first such line that nobody reads, without the ones in which a
    later line differed; ``prepared`` is made of what is known when it is needed. ``n_found`` lines
    were read by it.
    """

    kept: tuple[int, ...]
    usual: dict[int, str]
    said: dict[tuple[str, ...], list[Said]] = field(default_factory=dict)
    prepared: "Prepared | None" = None
    n_found: int = 0

    def of(self, pieces: list[str]) -> tuple[str, ...]:
        """The kept ones of the pieces of a line."""
        return tuple([pieces[at] for at in self.kept])

    def piece(self, kept: tuple[str, ...], at: int) -> str:
        """One of the kept pieces, or one that nobody reads, of a line that was loaded."""
        return self.usual[at] if at in self.usual else kept[self.kept.index(at)]


class Right(NamedTuple):
    """What may stand in a column: a pattern, blank for clean texts, and at most so many bytes."""

    name: str
    pattern: str
    most_bytes: int


@dataclass(frozen=True)
class Prepared:
    """What is known of a form, for many lines at once.

    ``own`` is what a line has for itself, ``marks`` are what some of its pieces begin with.
    ``names`` are those of its place, of what stands before, in and behind ``own``. Some of this is
    ``fixed``; of what is not ``known`` holds all that was said, with its number, and ``keys`` are
    columns that tell it apart. What is a line's own has to be ``right``.
    """

    own: list[Own]
    marks: list[tuple[int, str]]
    names: list[str]
    fixed: list[tuple[str, str]]
    known: pl.DataFrame
    keys: list[str]
    right: list[Right]
    tables: list[pl.DataFrame]
    cells: list[dict[str, pl.Expr]]
    said: list[list[Said]]


@dataclass(frozen=True)
class AtOnce:
    """How lines are read many at once; whatever it says, the rows are the same.

    ``most_shapes`` are remembered (one exporting system writes a few dozen; 0: every line is loaded
    by itself). Fewer than ``fewest_lines`` like each other are sooner loaded. ``first_lines`` are
    loaded before others are tried by what they told. ``block_bytes`` of lines are read together.
    """

    most_shapes: int = 64
    fewest_lines: int = 10
    first_lines: int = 32
    block_bytes: int = 24 * 1024 * 1024


USUALLY = AtOnce()


@dataclass(frozen=True)
class Plain:
    """Rows with the positions ``at`` of their lines; ``left`` are the others, by theirs.

    Every frame has a row for each of some lines, ``nth`` says which of theirs; a ``result_key``
    have only rows that are kept as all results of one observation. Where there are no
    frames all lines are left, and ``left`` is empty.
    """

    n_line: int
    frames: list[pl.DataFrame]
    left: dict[int, bytes]


class Shapes:
    """The shapes of one file, learnt while it is read."""

    def __init__(self, reader: Reader, how: AtOnce, max_cell_bytes: int) -> None:
        self._reader = reader
        self._how = how
        self._max_cell_bytes = max_cell_bytes
        self._n_tries = 0
        self.n_said = 0
        self._known: dict[Form, Known] = {}
        self._referred: dict[str, dict[str, str | None]] = {name: {} for name in REFERRED}

    def plain(self, block: bytes) -> Plain:
        """The rows of the lines of a block that are like others, and the rest if there are any."""
        if not self._known or len(block) > MOST_BYTES_CUT:
            return Plain(n_lines(block), [], {})
        block_cut = cut(block)
        if block_cut is None:
            return self._without_spoiled(block)
        for form, known in self._known.items():
            most = self._max_cell_bytes // (2 * len(form.places))
            known.prepared = known.prepared or prepared_for(form, known, most)
        frames: list[pl.DataFrame] = []
        is_left = pl.Series([True]).new_from_index(0, block_cut.n_line)
        # What most lines are like is tried first.
        for form, known in sorted(self._known.items(), key=lambda one: -one[1].n_found):
            found = self._like(form, known, block_cut, is_left)
            if known.prepared and not found.is_empty():
                known.n_found += found.height
                frames += self._rows(form, known.prepared, found)
                is_left.scatter(found["at"], False)
        if not frames:
            return Plain(is_left.len(), [], {})
        left = is_left.arg_true().to_list()
        # Where ends of lines were changed for the cutting a line is looked for as it was sent.
        lines = split_lines(block) if left and b"\r" in block else None
        return Plain(
            is_left.len(), frames, {at: lines[at] if lines else block_cut.raw(at) for at in left}
        )

    def _without_spoiled(self, block: bytes) -> Plain:
        """The same without the lines that are no text."""
        lines = split_lines(block)
        clean = [at for at, line in enumerate(lines) if is_text(line)]
        if not clean or len(clean) == len(lines):
            return Plain(len(lines), [], {})
        plain = self.plain(b"\n".join(lines[at] for at in clean) + b"\n")
        if not plain.frames:
            return Plain(len(lines), [], {})
        places = pl.Series(clean, dtype=pl.UInt32)
        frames = [frame.with_columns(at=places.gather(frame["at"])) for frame in plain.frames]
        left = set(range(len(lines))) - set(clean) | {clean[at] for at in plain.left}
        return Plain(len(lines), frames, {at: lines[at] for at in sorted(left)})

    def _like(self, form: Form, known: Known, block: Cut, is_left: pl.Series) -> pl.DataFrame:
        """Of the lines that are left those of a form whose kept pieces are known: their texts."""
        prepared = known.prepared
        at = (is_left & (block.n_piece == form.n_piece)).arg_true()
        if prepared is None or at.len() < self._how.fewest_lines:
            return pl.DataFrame()
        for piece, before in self._marks(form, prepared):
            is_here = block.piece(block.first[at], piece).str.starts_with(before)
            at = at.filter(is_here)
            if at.len() < self._how.fewest_lines:
                return pl.DataFrame()
        first = block.first[at]
        places = [block.places(first, own) for own in prepared.own]
        is_right = reduce(and_, (block.are_texts(*place) for place in places))
        if not is_right.all():
            at = at.filter(is_right)
            places = [(start.filter(is_right), end.filter(is_right)) for start, end in places]
        if at.is_empty():
            return pl.DataFrame()
        found = known_ones(
            pl.DataFrame(
                dict(zip(prepared.names, [at, *block.stretches(at, places)], strict=True))
            ),
            prepared,
        )
        if not are_right(found, prepared.right):
            found = found.filter(*[is_right_text(*one) for one in prepared.right])
        referring = [name for name in LOOKED_UP if name in prepared.names]
        for name in [*[region.name for region in form.regions], *referring]:
            found = self._followed(name, found)
        return found

    def _marks(self, form: Form, prepared: Prepared) -> list[tuple[int, str]]:
        """With what a piece has to begin so that a line is of no other form of as many pieces."""
        others = [
            set(known.prepared.marks)
            for other, known in self._known.items()
            if known.prepared and other.n_piece == form.n_piece and other != form
        ]
        if not others:
            return []
        return [min(prepared.marks, key=lambda mark: (sum(mark in one for one in others), mark))]

    def _followed(self, name: str, lines: pl.DataFrame) -> pl.DataFrame:
        """Elements and ids as what they refer to, without the lines where that is not clear."""
        if lines.is_empty():
            return lines
        if name in LOOKED_UP and not getattr(self._reader.index(), LOOKED_UP[name]):
            return lines.with_columns(pl.lit(not_here(name)).alias(name))
        meant = {said: self._meant(name, said) for said in lines[name].unique().to_list()}
        return lines.with_columns(
            pl.col(name).replace_strict(
                list(meant), list(meant.values()), default=None, return_dtype=pl.String
            )
        ).drop_nulls(name)

    def _meant(self, name: str, said: str) -> str | None:
        """What a text means; None where the line has to be loaded."""
        if name in LOOKED_UP:
            cell = getattr(self._reader.index(), LOOKED_UP[name]).get(said)
            if cell is None:
                return not_here(name)
            return None if unfit({name: cell}, self._max_cell_bytes) else str(cell)
        if name not in REFERRED:
            return said
        known = self._referred[name]
        if said not in known:
            if len(known) >= MOST_NAMES:
                known.clear()
            known[said] = self._read_element(name, said)
        return known[said]

    def _read_element(self, name: str, element: str) -> str | None:
        try:
            said = loaded(f'{{"{name}":{element}}}'.encode())
        except (ValueError, RecursionError):
            return None
        if list(said) != [name]:
            return None
        match name:
            case "subject":
                cell = self._reader.person(said[name], said)
            case "encounter":
                cell = self._reader.clinic(said)
            case _:
                cell = self._reader.specimen(said)
                if cell is None:
                    return not_here(name)
        return None if cell is None or unfit({name: cell}, self._max_cell_bytes) else cell

    def _rows(self, form: Form, prepared: Prepared, lines: pl.DataFrame) -> list[pl.DataFrame]:
        """The rows of lines, a frame for each that a line has."""
        frames = []
        name = next((name for name in SPECIMENS if name in lines.columns), None)
        is_not_here = pl.Series([False]).new_from_index(0, lines.height)
        if name is not None:
            is_not_here = lines[name] == NOT_HERE
            lines = lines.with_columns(pl.col(name).replace(NOT_HERE, ""))
        for nth, (_, number) in enumerate(form.rows):
            rows = lines.hstack(prepared.tables[nth][lines["said"]])
            if number:
                self._note_contradictions(rows, number, nth, prepared)
            self._reader.notes["specimen"] += int((is_not_here & rows["is_mapped"]).sum())
            frames.append(rows.select("at", **prepared.cells[nth]))
        return frames

    def _note_contradictions(
        self, rows: pl.DataFrame, name: str, nth: int, prepared: Prepared
    ) -> None:
        """Count the numbers that lie on the other side of their range than they are called."""
        if not any(said[nth].ranged for said in prepared.said):
            return
        number = pl.col(name).cast(pl.Float64, strict=False)
        doubtful = rows.filter(
            number.is_null()
            | (number > pl.col("high") - NEAR * pl.col("high").abs())
            | (number < pl.col("low") + NEAR * pl.col("low").abs())
        )
        for sent, at in doubtful.select(name, "said").iter_rows():
            ranged = prepared.said[at][nth].ranged
            if ranged and contradicts_range(ranged | {"valueQuantity": {"value": Number(sent)}}):
                self._reader.notes["contradiction"] += 1

    def learn(self, line: bytes, outcomes: list[Outcome]) -> None:
        """Remember what a line that was loaded turned out to say."""
        if self._n_tries >= MOST_TRIES or len(line) > min(MOST_BYTES, self._max_cell_bytes):
            return
        if not self._how.most_shapes or self._reader.settings.fhir.result_identifier is not None:
            return
        rows = [row for row in outcomes if isinstance(row, Row) and row.kind == "labs"]
        is_whole = any(isinstance(one, Whole) for one in outcomes)
        if len(rows) + is_whole < len(outcomes) or "Bundle" in rows[0].segment:
            return
        if rows[0].cells["status"] in LATER_VERSIONS:
            return
        whole = line.removesuffix(b"\r").decode()
        if self._is_known(whole.split(",")):
            return
        self._n_tries += 1
        observation = loaded(line)
        segments = [row.segment for row in rows]
        found = form_of(whole, observation, segments, self._reader.settings.fhir.patient_identifier)
        if found is None:
            return
        form, texts = found
        if observation.get("component"):
            # With this in its id an observation is not told whole.
            if "#" in texts["id"]:
                return
            form = form._replace(is_whole=is_whole, places=tuple(map(without_mark, form.places)))
        said = self._said(form, observation, rows, texts)
        if said is None or (form not in self._known and len(self._known) >= self._how.most_shapes):
            return
        pieces = whole.split(",")
        if form not in self._known:
            own = own_pieces(form)
            self._known[form] = Known(
                tuple(at for at in range(form.n_piece) if at not in own),
                {place.piece: pieces[place.piece] for place in form.places if not place.name},
            )
        known = self._known[form]
        kept = known.of(pieces)
        if kept not in known.said:
            self.n_said += 1
            known.prepared = None
            known.said[kept] = said

    def _is_known(self, pieces: list[str]) -> bool:
        """Whether a line has the kept pieces of one that was loaded before.

        Where it differs from that one otherwise is remembered.
        """
        for form, known in self._known.items():
            if form.n_piece == len(pieces) and known.of(pieces) in known.said:
                different = {at for at, piece in known.usual.items() if pieces[at] != piece}
                if different:
                    self.n_said += 1
                    known.prepared = None
                    known.usual = {
                        at: piece for at, piece in known.usual.items() if at not in different
                    }
                return True
        return False

    def _said(
        self, form: Form, observation: Json, rows: list[Row], texts: dict[str, str]
    ) -> list[Said] | None:
        """What rows say beside a line's own texts; None where they are not made of these."""
        own = {
            "patient_id": self._told(("person", "subject"), texts),
            "collected_at": texts["collected"],
            "reported_at": self._told(("issued", "changed"), texts),
            "clinic_id": self._told(("encounter", "encounter_id"), texts),
            "specimen": self._told(("specimen_word", "specimen_id", "specimen"), texts),
        }
        elements = [observation, *objects(observation.get("component"))]
        said = []
        for row, (segment, number) in zip(rows, form.rows, strict=True):
            cells = dict.fromkeys(COLUMNS["labs"], "") | row.cells
            key, sent = texts["id"], texts.get(number, "")
            element = elements[turn_of(segment)]
            # Half of a cell is left for what is a line's own.
            if unfit(cells, self._max_cell_bytes // 2) or any(
                cells[name] != cell for name, cell in own.items()
            ):
                return None
            if not cells["result_id"].startswith(key) or not cells["value"].endswith(sent):
                return None
            said.append(
                Said(
                    cells["result_id"].removeprefix(key),
                    cells["value"].removesuffix(sent),
                    {name: cells[name] for name in (*SAID_CELLS, "value")},
                    range_of(element),
                    bool(self._reader.coded(element.get("code")).analyte),
                )
            )
        return said

    def _told(self, names: tuple[str, ...], texts: dict[str, str]) -> str | None:
        """What the first text says that there is."""
        name = next((name for name in names if name in texts), None)
        meant = "" if name is None else self._meant(name, texts[name])
        return "" if meant == NOT_HERE else meant


def prepared_for(form: Form, known: Known, most_bytes: int) -> Prepared:
    """What is known of a form; ``most_bytes`` is the longest text that a place may hold."""
    own = owned(form, known)
    names, fixed, varying = ["at"], [], {}
    for nth, stretch in enumerate(stretches_of(form, known)):
        names += [f"stretch{nth}", *[one.name for one in own[nth : nth + 1]]]
        if len(set(stretch)) == 1:
            fixed.append((f"stretch{nth}", stretch[0]))
        else:
            varying[f"stretch{nth}"] = stretch
    said = list(known.said.values())
    by_row = [[one[nth] for one in said] for nth in range(len(form.rows))]
    return Prepared(
        own,
        [(place.piece, place.before) for place in form.places if place.name],
        names,
        fixed,
        pl.DataFrame(
            [pl.Series(name, stretch, pl.String) for name, stretch in varying.items()]
            + [pl.Series("said", range(len(said)), pl.UInt32)]
        ),
        keys_of(varying, len(said)),
        [Right(one.name, one.pattern, most_bytes) for one in own],
        [table_of(of_row) for of_row in by_row],
        [cells_of(form, nth, of_row) for nth, of_row in enumerate(by_row)],
        said,
    )


def owned(form: Form, known: Known) -> list[Own]:
    """What a line has for itself, in its order."""
    own = [
        Own(
            place.name or column(place.piece), place.piece, place.piece,
            len(place.before.encode()), len(place.after.encode()), place.pattern,
        )
        for place in form.places
        if place.piece not in known.usual
    ]  # fmt: skip
    own += [
        Own(name, first, last, len(before.encode()), len(after.encode()), ANYTHING)
        for name, first, last, before, after in form.regions
    ]
    return sorted(own, key=lambda one: one.first)


def ended(form: Form, at: int, text: str) -> str:
    """The end of a piece with what ends the piece."""
    return text + ("," if at + 1 < form.n_piece else "\n")


def stretches_of(form: Form, known: Known) -> list[list[str]]:
    """What stands before, between and behind what a line has for itself, in each of the known."""
    found: list[list[str]] = []
    text = [""] * len(known.said)
    places = {place.piece: place for place in form.places if place.piece not in known.usual}
    regions = {region.first: region for region in form.regions}
    at = 0
    while at < form.n_piece:
        own = places.get(at) or regions.get(at)
        if own is None:
            text = [
                one + ended(form, at, known.piece(pieces, at))
                for one, pieces in zip(text, known.said, strict=True)
            ]
        else:
            found.append([one + own.before for one in text])
            at = own.last if isinstance(own, Region) else at
            text = [ended(form, at, own.after)] * len(text)
        at += 1
    return [*found, text]


def are_right(lines: pl.DataFrame, right: list[Right]) -> bool:
    """Whether all texts of all lines are as they have to be; False where that is not sure.

    Behind each other they are looked through at once. None of them holds an end of a line.
    """
    if lines.is_empty():
        return True
    wanted: list[pl.Expr] = []
    for name, pattern, most_bytes in right:
        sizes = pl.col(name).str.len_bytes()
        wanted.append((sizes.max() <= most_bytes).alias(f"{name} size"))
        if not pattern:
            wanted.append((sizes.min() > 0).alias(f"{name} blank"))
        elif pattern != ANYTHING:
            joined = pl.col(name).str.join("\n")
            each = f"(?:{pattern})"
            wanted.append(joined.str.contains(f"^{each}(?:\n{each})*$").alias(name))
    clean = [pl.col(name).str.join("").alias(name) for name, pattern, _ in right if not pattern]
    found = lines.select_seq(*clean, *wanted).row(0)
    texts = [text.encode() for text in found[: len(clean)]]
    return all(found[len(clean) :]) and all(
        len(text.translate(None, UNCLEAN_BYTES)) == len(text) for text in texts
    )


def is_right_text(name: str, pattern: str, most_bytes: int) -> pl.Expr:
    """Whether a text is a clean one, or as a pattern has it, and not too long."""
    text = pl.col(name)
    if not pattern:
        is_as_it_has_to_be = (text != "") & ~text.str.contains(UNCLEAN)
    else:
        is_as_it_has_to_be = text.str.contains(f"^(?:{pattern})$")
    return is_as_it_has_to_be & (text.str.len_bytes() <= most_bytes)


def table_of(said: list[Said]) -> pl.DataFrame:
    """What is said of a row beside what is a line's own."""
    limits = [limits_of(one.ranged) for one in said]
    columns = {
        name: pl.Series([one.cells[name] for one in said], dtype=SAME)
        for name in (*SAID_CELLS, "value")
    }
    return pl.DataFrame(columns).with_columns(
        pl.Series("key_end", [one.key_end for one in said], dtype=pl.String),
        pl.Series("sign", [one.sign for one in said], dtype=pl.String),
        pl.Series("is_mapped", [one.is_mapped for one in said], dtype=pl.Boolean),
        pl.Series("low", [low for low, _ in limits], dtype=pl.Float64),
        pl.Series("high", [high for _, high in limits], dtype=pl.Float64),
    )


def cells_of(form: Form, nth: int, said: list[Said]) -> dict[str, pl.Expr]:
    """The cells of a row, from the texts of its line and what is said."""
    names = [place.name for place in form.places] + [region.name for region in form.regions]
    segment, number = form.rows[nth]
    blank = pl.lit("", SAME)

    def own(*wanted: str) -> pl.Expr:
        return next((pl.col(name) for name in wanted if name in names), blank)

    key, value = pl.col("id"), pl.col(number or "value")
    if any(one.key_end for one in said):
        key += pl.col("key_end")
    if number and any(one.sign for one in said):
        value = pl.col("sign") + value
    return {
        "nth": pl.lit(nth, pl.Int64),
        "segment": pl.lit(segment, SAME),
        "result_id": key,
        "patient_id": own("person", "subject"),
        "collected_at": pl.col("collected"),
        "reported_at": own("issued", "changed"),
        "specimen": own("specimen_word", "specimen_id", "specimen"),
        "value": value,
        "clinic_id": own("encounter_id", "encounter"),
        **({"result_key": pl.col("id")} if form.is_whole else {}),
    } | {name: pl.col(name) for name in SAID_CELLS}


def keys_of(varying: dict[str, list[str]], n_said: int) -> list[str]:
    """The columns that tell apart what lines say: comparing few is cheaper."""
    keys: list[str] = []
    told: list[tuple[str, ...]] = [()] * n_said
    while len(set(told)) < n_said:
        best = max(
            (name for name in varying if name not in keys),
            key=lambda name: len(set(zip(told, varying[name], strict=True))),
        )
        keys.append(best)
        told = [(*one, text) for one, text in zip(told, varying[best], strict=True)]
    return keys


def known_ones(lines: pl.DataFrame, prepared: Prepared) -> pl.DataFrame:
    """The lines that say what is known, beside what is their own, with its number."""
    is_same = [pl.col(name) == text for name, text in prepared.fixed]
    are_same = lines.select_seq(pl.all_horizontal(True, *is_same)).to_series()
    lines = lines.drop(name for name, _ in prepared.fixed)
    if not are_same.all():
        lines = lines.filter(are_same)
    if not prepared.keys:
        return lines.with_columns(said=pl.lit(0, pl.UInt32))
    found = lines.join(
        prepared.known, on=prepared.keys, how="inner", suffix=" known", maintain_order="left"
    )
    others = sorted({*prepared.known.columns} - {"said", *prepared.keys})
    is_same = [pl.col(name) == pl.col(f"{name} known") for name in others]
    are_same = found.select_seq(pl.all_horizontal(True, *is_same)).to_series()
    found = found.select("at", "said", *[one.name for one in prepared.own])
    return found if are_same.all() else found.filter(are_same)


def not_here(name: str) -> str:
    """What a reference means that names nothing in the file."""
    return NOT_HERE if name in SPECIMENS else ""


def range_of(element: Json) -> Json | None:
    """What the number of a result is compared with, where there is anything."""
    names = ("interpretation", "referenceRange")
    return {name: element[name] for name in names} if set(names) <= set(element) else None


def limits_of(ranged: Json | None) -> tuple[float | None, float | None]:
    """Below which and above which number a result may contradict its range."""
    if ranged is None:
        return None, None
    called = {
        str(coding.get("code"))[:1]
        for concept in objects(ranged["interpretation"])
        for coding in objects(concept.get("coding"))
    }
    sides: dict[str, list[float]] = {"low": [], "high": []}
    for limits in objects(ranged["referenceRange"]):
        for side, found in sides.items():
            quantity = limits.get(side)
            number = decimal(quantity.get("value")) if isinstance(quantity, dict) else None
            if number is not None:
                found.append(float(number))
    return (
        max(sides["low"], default=None) if "H" in called else None,
        min(sides["high"], default=None) if "L" in called else None,
    )


# Forms


def own_pieces(form: Form) -> set[int]:
    """The pieces that are not kept as they are."""
    own = {place.piece for place in form.places}
    return own.union(*(range(region.first, region.last + 1) for region in form.regions))


def without_mark(place: Place) -> Place:
    """A place for an id as one that may not look like the id of a component's result."""
    return place._replace(pattern=UNMARKED) if place.name == "id" else place


def turn_of(segment: str) -> int:
    """0 for an observation itself, and from 1 on for its components."""
    part = COMPONENT.fullmatch(segment)
    return int(part[1]) + 1 if part else 0


def form_of(
    line: str, observation: Json, segments: list[str], patient_system: str | None
) -> tuple[Form, dict[str, str]] | None:
    """The form of a line and the texts of its places and regions; None where it has none."""
    parts = observation.get("component", [])
    if "contained" in observation or not isinstance(parts, list) or parts != objects(parts):
        return None
    pieces = line.split(",")
    found = scalars_of(line)
    if found is None or "" in pieces or len(pieces) > MOST_PIECES:
        return None
    scalars, spans = found
    ends = [*accumulate(len(piece) + 1 for piece in pieces)]
    referring = referring_places(observation, patient_system)
    whole = [
        name for name in REFERRED if name in spans and name not in {path[0] for path in referring}
    ]
    texts: dict[str, str] = {}
    places: list[Place] = []
    regions: list[Region] = []

    def cut(start: int, end: int) -> tuple[int, int, str, str]:
        """First and last piece of a stretch, and what stands before and after it in them."""
        first, last = bisect_right(ends, start), bisect_right(ends, end - 1)
        return (
            first,
            last,
            line[ends[first] - len(pieces[first]) - 1 : start],
            line[end : ends[last] - 1],
        )

    for name in whole:
        start, end = spans[name]
        texts[name] = line[start:end]
        regions.append(Region(name, *cut(start, end)))
    for path, start, end in scalars:
        word = line[start:end]
        is_text = word.startswith('"')
        if is_text:
            start, end = start + 1, end - 1
        first, last, before, after = cut(start, end)
        said = line[start:end]
        if path[0] in whole or not (is_text or word[0] in "-0123456789"):
            continue
        if path in referring:
            name, target, pattern = referring[path]
            texts[name] = said.removeprefix(target)
            places.append(Place(first, name, before + target, after, pattern))
        elif (name := name_of(path, is_text)) and first == last and is_clean(said):
            texts[name] = said
            places.append(Place(first, name, before, after, "" if is_text else NUMBER))
        elif not is_saying(path):
            pattern = ANY_TEXT if is_text else NUMBER
            for piece in range(first, last + 1):
                ahead, behind = before if piece == first else "", after if piece == last else ""
                places.append(Place(piece, "", ahead, behind, pattern))
    if not {"id", "collected"} <= set(texts):
        return None
    numbers = [NUMBER_NAMES.format(turn_of(segment)) for segment in segments]
    rows = [
        (segment, name if name in texts else "")
        for segment, name in zip(segments, numbers, strict=True)
    ]
    return Form(len(pieces), False, tuple(rows), tuple(places), tuple(regions)), texts


def referring_places(
    observation: Json, patient_system: str | None
) -> dict[Path, tuple[str, str, str]]:
    """Texts that alone tell the person, clinic or specimen: name, what leads to it, its pattern."""
    wanted: list[tuple[Path, str, str, str]] = [
        (("encounter", "reference"), "encounter_id", "Encounter/", ID),
        (("specimen", "display"), "specimen_word", "", ""),
    ]
    if not inner(observation, "specimen", "display"):
        wanted.append((("specimen", "reference"), "specimen_id", "Specimen/", ID))
    if patient_system is None:
        wanted.append((("subject", "reference"), "person", "Patient/", ID))
    elif inner(observation, "subject", "identifier", "system") == patient_system:
        wanted.append((("subject", "identifier", "value"), "person", "", ""))
    found: dict[Path, tuple[str, str, str]] = {}
    for path, name, target, pattern in wanted:
        said = inner(observation, *map(str, path))
        if isinstance(said, str) and not isinstance(said, Number) and "," not in said:
            rest = said.removeprefix(target)
            if is_clean(rest) and said == target + rest and re.fullmatch(pattern or ".*", rest):
                found[path] = (name, target, pattern)
    return found


def scalars_of(line: str) -> tuple[list[Scalar], dict[str, tuple[int, int]]] | None:
    """The scalars of a JSON object, and from where to where each of its elements stands.

    None where a name holds an escape.
    """
    scalars: list[Scalar] = []
    spans: dict[str, tuple[int, int]] = {}
    # Of every open bracket the name at hand, or the turn in a list.
    path: list[str | int] = []
    is_name_next = False
    for token in TOKEN.finditer(line):
        word = token[0]
        if word == ":":
            is_name_next = False
        elif word == ",":
            turn = path[-1]
            is_name_next = not isinstance(turn, int)
            if isinstance(turn, int):
                path[-1] = turn + 1
        elif is_name_next and word != "}":
            if "\\" in word:
                return None
            path[-1] = word[1:-1]
        else:
            if len(path) == 1 and word not in "]}":
                spans[str(path[0])] = token.span()
            if word in "{[":
                path.append("" if word == "{" else 0)
            elif word in "]}":
                path.pop()
            else:
                scalars.append(Scalar(tuple(path), *token.span()))
            is_name_next = word == "{"
            if len(path) == 1 and word != "{":
                spans[str(path[0])] = (spans[str(path[0])][0], token.end())
    return scalars, spans


def name_of(path: Path, is_text: bool) -> str:
    """What a text or number is called that every line has for itself; blank for any other."""
    if is_text:
        return OWN.get(path, "")
    match path:
        case ("valueQuantity", "value"):
            return NUMBER_NAMES.format(0)
        case ("component", int(turn), "valueQuantity", "value"):
            return NUMBER_NAMES.format(turn + 1)
    return ""


def is_clean(said: str) -> bool:
    """Whether a text stands for itself."""
    return bool(said) and re.search(UNCLEAN, said) is None


def is_saying(path: Path) -> bool:
    """Whether anything is read of an element beside its own places."""
    return (
        path[0] in SAYING or str(path[0]).startswith(("value", "effective")) or path in OWN
        or path in SAYING_PATHS or path[:2] in LABELS
    )  # fmt: skip


# Columns


def column(at: int) -> str:
    """The name of a piece's column."""
    return f"piece{at}"
