"""HL7 v2 result messages (ORU^R01) as the text rows that delimited extracts give.

A row of labs is an OBX, a row of patients a PID that says a birth date, a sex or a death. Messages
are split by hand, a piece of the file at a time; what a code, a unit or a number means is judged
by the same scan as for every other form. Only what that scan cannot see any more is refused here:
several values in one cell, a code that stands where a number should, one result sent twice in a
message with two contents. An OBX of a test that no map names is never refused for its content.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from b12screen.ingest import lookups
from b12screen.ingest.delimited import BOM, FileRefused, Parts
from b12screen.ingest.ends import ended
from b12screen.ingest.hl7v2_cells import (
    LONGEST_KEPT,
    MOST_FIELDS,
    TIME,
    Dialect,
    Marks,
    Memo,
    Tongue,
    moment,
    told_at,
)
from b12screen.maps import fold_words

CHUNK = 4 * 1024 * 1024
# A message is looked at as a whole, so its size bounds the memory; larger ones are one broken row.
LARGEST_MESSAGE = 8 * 1024 * 1024
# A file has few senders; more than these are read anew each time.
MOST_TONGUES = 20
MOST_TYPES = 100
MOST_TYPES_TOLD = 8
# Debugging and training (HL7 table 0103). Some senders mark all of their messages so.
TESTING = ("D", "T")

LAB_COLUMNS = (
    "result_id", "patient_id", "collected_at", "reported_at", "code", "code_system", "test_name",
    "specimen", "value", "unit", "status", "clinic_id", "laboratory",
)  # fmt: skip
# No clinic: a message names the one that ordered, which need not be the patient's own.
PATIENT_COLUMNS = ("patient_id", "birth_date", "sex", "deceased_on")
PLACE = ("record", "line", "segment")
BROKEN_COLUMNS = (*PLACE, "check_name", "raw")
# Where the cells stand that are filled in later.
RESULT_ID, PATIENT_ID, COLLECTED_AT, REPORTED_AT, SPECIMEN, VALUE, STATUS = (
    len(PLACE) + LAB_COLUMNS.index(column)
    for column in (
        "result_id", "patient_id", "collected_at", "reported_at", "specimen", "value", "status",
    )
)  # fmt: skip
# How many fields of each segment are looked at.
HEADER_FIELDS, PERSON_FIELDS, LOCATION_FIELDS = 11, MOST_FIELDS, 4
ORDER_FIELDS, RESULT_FIELDS, SAMPLE_FIELDS = 26, 15, 18
STATUS_FIELD = 11
# The shortest line that is a segment: a line feed, a name and a separator.
SHORTEST_LINE = 5
FRAME = b"\n\x1c\x0b"
PUNCTUATION = frozenset(string.punctuation)

# Segments of result messages and batches; any other line may be the rest of a broken one.
SEGMENTS = frozenset((
    "MSH", "SFT", "UAC", "PID", "PD1", "PRT", "NTE", "NK1", "ARV", "PV1", "PV2", "ORC", "OBR",
    "TQ1", "TQ2", "CTD", "OBX", "FT1", "CTI", "SPM", "DSC", "ROL", "AL1", "IN1", "IN2", "IN3",
    "GT1", "DG1", "CON", "DEV", "SAC", "FHS", "BHS", "BTS", "FTS",
))  # fmt: skip
BATCH = (b"FHS", b"BHS", b"BTS", b"FTS")

SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
# Words of the tables 0203 and 0076. No other word is told: in a message whose fields
# have shifted, a surname may stand there.
IDENTIFIER_TYPE = re.compile(
    r"AN|ANON|DL|EN|MA|MC|MI|MR|MRT|NH|NI|NIIP|PE|PEN|PI|PN|PPN|PT|RI|SS|U|VN|VS|WP|XX|several"
)
MESSAGE_TYPE = re.compile(
    r"(ACK|ADT|BAR|DFT|MDM|MFK|MFN|OMG|OMI|OML|OMP|ORL|ORM|ORR|ORU|OUL|PPR|QBP|RAS|RDE|RDS|RGV"
    r"|RSP|SIU|VXQ|VXU)(\^[A-Z][0-9]{2})?"
)
LATIN = re.compile(r"8859[/-](1?\d)")
Row = list[Any]


class Piece(NamedTuple):
    """A stretch of the file that begins a message, or what stands before the first one.

    Every line ends in LF, whatever it ended in. ``open_end``: the file stops within its last line.
    """

    line: int
    content: bytes
    too_large: bool
    open_end: bool


def pieces(path: Path) -> Iterator[Piece]:
    """Split a file before every segment MSH; LF, CR, CRLF, MLLP frames and BOMs are seen to."""
    line = 1
    held = pending = b""
    skipping = False
    with path.open("rb") as file:
        if file.read(len(BOM)) != BOM:
            file.seek(0)
        while chunk := file.read(CHUNK):
            chunk = pending + chunk
            # The first half of a CRLF may be the last byte that was read.
            pending = b"\r" if chunk.endswith(b"\r") else b""
            chunk = chunk[: len(chunk) - len(pending)]
            parts = split_before_headers(held + with_line_feeds(chunk))
            for number, part in enumerate(parts[:-1]):
                if not (skipping and number == 0):
                    yield Piece(line, part, False, False)
                skipping = skipping and number > 0
                line += part.count(b"\n") + 1
            if len(parts) > 1:
                skipping = False
            held = parts[-1]
            if len(held) > LARGEST_MESSAGE:
                if not skipping:
                    yield Piece(line, held, True, False)
                skipping = True
                # Enough to know the beginning of the next message by.
                line += held[:-4].count(b"\n")
                held = held[-4:]
    if not skipping:
        rest = held + with_line_feeds(pending)
        yield Piece(line, rest, False, not rest.endswith((b"\n", b"\x1c", b"\x0b")))


def with_line_feeds(chunk: bytes) -> bytes:
    """The same lines, each ended by LF."""
    if b"\r" not in chunk:
        return chunk
    return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def split_before_headers(block: bytes) -> list[bytes]:
    """The block cut before every line that begins with MSH and a separator; frames taken off."""
    if b"\x0b" in block or b"\x1c" in block:
        for frame, line_end in (
            (b"\n\x1c", b"\n"), (b"\x1c\x0b", b"\n"), (b"\n\x0b", b"\n"), (b"\x1c\n", b"\n"),
        ):  # fmt: skip
            block = block.replace(frame, line_end)
        block = block.removeprefix(b"\x0b")
    if BOM in block:
        block = block.replace(b"\n" + BOM + b"MSH", b"\nMSH")
    parts = block.split(b"\nMSH")
    whole = parts[:1]
    for part in parts[1:]:
        if part[:1].isalnum():
            whole[-1] += b"\nMSH" + part
        else:
            whole.append(b"MSH" + part)
    return whole


class Message(NamedTuple):
    """The rows of one message, or the one broken row that it is."""

    labs: Sequence[Row] = ()
    broken: Sequence[Row] = ()
    patients: Sequence[Row] = ()
    broken_patients: Sequence[Row] = ()
    n_bytes: int = 0


class Reader:
    """Reads the messages of one file in order; counts what becomes no row."""

    def __init__(self, known: Dialect) -> None:
        self.known = known
        self.n_message = self.n_lab = self.n_patient = 0
        self.n_silent = self.n_elsewhere = 0
        self.other_types: Counter[str] = Counter()
        self.n_testing = 0
        self.identifier_types: Counter[str] = Counter()
        self.findings: list[str] = []
        self._marks: dict[str, Marks] = {}
        self._tongues: dict[tuple[str, str], Tongue] = {}
        self._moments: dict[tuple[str, str], Memo[str, str]] = {}
        self.beginnings = Memo(lambda sign: frozenset(name + sign for name in SEGMENTS))
        self._n_in_batch = self._n_short = 0
        self._is_batch = self._open_file = False

    def read(self, path: Path) -> Iterator[Message]:
        """Every message of the file that gives rows. FileRefused where there is none at all."""
        if path.stat().st_size == 0:
            raise FileRefused("it is empty (0 bytes); a night without messages needs no file")
        for piece in pieces(path):
            if piece.content.startswith(b"MSH"):
                self.n_message += 1
                self._n_in_batch += 1
                yield self._message(piece)
            else:
                lines = piece.content.strip(FRAME).split(b"\n")
                if any(line.strip() and line[:3] not in BATCH for line in lines):
                    yield self._unreadable(piece, "no_message")
            self._envelope(piece.content)
        if not self.n_message and not self._is_batch:
            raise FileRefused(
                "it holds no HL7 v2 message: no line of it begins with MSH; send the messages as "
                "they are, in UTF-8"
            )
        if self._n_short:
            self.findings.append(
                f"batches whose trailer (BTS) announces another number of messages than arrived: "
                f"{self._n_short}; ask the sender for them again"
            )
        if self._open_file:
            self.findings.append("its trailer (FTS) is missing, so it may have been cut short")

    def remarks(self) -> list[str]:
        """What is worth knowing of a file, without a word that could be a patient's."""
        told = []
        if self.other_types:
            commonest = sorted(self.other_types.items(), key=lambda item: (-item[1], item[0]))
            listed = ", ".join(f"{n} x {name}" for name, n in commonest[:MOST_TYPES_TOLD])
            told.append(
                f"messages that are no results (ORU^R01) give no rows: "
                f"{self.other_types.total()} ({listed})"
            )
        if self.n_testing:
            told.append(
                "result messages that are marked as tests or for training (MSH-11) are taken like "
                f"any other: {self.n_testing}; where they hold nobody's results, have the sender "
                "leave them out"
            )
        if self.n_silent:
            told.append(f"result messages without any result (OBX): {self.n_silent}")
        if self.n_elsewhere:
            told.append(
                f"messages of a facility (MSH-4) that no laboratory's sending_facilities name: "
                f"{self.n_elsewhere}, read as those of {self.known.laboratory}"
            )
        if self.identifier_types:
            listed = ", ".join(sorted(self.identifier_types)[:MOST_TYPES_TOLD])
            told.append(
                f"patients without an identifier of type {self.known.identifier_type} in PID-3: "
                f"{self.identifier_types.total()}, known by the first one ({listed}); set "
                "hl7v2.identifier_type where another is meant"
            )
        return told

    def _message(self, piece: Piece) -> Message:
        if piece.too_large:
            return self._unreadable(piece, "message_size")
        content = piece.content.rstrip(FRAME)
        if piece.open_end and len(content) - content.rfind(b"\n") < SHORTEST_LINE:
            self.findings.append("it ends within a segment, so it was cut short")
        text, careful = self._decoded(content)
        lines = text.split("\n")
        separator = text[3:4] or "|"
        header = (lines[0] + separator * HEADER_FIELDS).split(separator, HEADER_FIELDS)
        marks = self._marks_of(separator, header[1])
        if marks is None:
            return self._unreadable(piece, "separators")
        kind, trigger = marks.types[header[8]]
        if not kind:
            return self._unreadable(piece, "message_type")
        if kind != "ORU" or trigger not in ("R01", ""):
            count(self.other_types, f"{kind}^{trigger}" if trigger else kind, MESSAGE_TYPE)
            return Message()
        if marks.first(header[10]).strip().upper() in TESTING:
            self.n_testing += 1
        walk = Walk(self, marks, header, piece, careful)
        if not walk.through(enumerate(lines, piece.line)):
            whole = mended(lines, marks.field, piece)
            if whole is None:
                return self._unreadable(piece, "header")
            walk = Walk(self, marks, header, piece, careful)
            walk.through(whole, is_mended=True)
        return walk.message()

    def _decoded(self, content: bytes) -> tuple[str, bool]:
        """The text of a message, and whether its cells need a second look."""
        careful = b"\0" in content or len(content) > self.known.max_cell_bytes
        try:
            return content.decode("utf-8"), careful
        except UnicodeDecodeError:
            pass
        fields = content.split(b"\n", 1)[0].split(content[3:4] or b"|")
        declared = LATIN.search(fields[17].decode("latin-1").upper()) if len(fields) > 17 else None
        if declared:
            try:
                return content.decode(f"iso8859-{declared[1]}"), careful
            except (LookupError, UnicodeDecodeError):
                pass
        # Mostly it is a name that is in another encoding; what no row needs costs no row.
        return content.decode("utf-8", "surrogateescape"), True

    def _marks_of(self, separator: str, encoding: str) -> Marks | None:
        """The separators, or None where they are none."""
        signs = separator + encoding
        marks = self._marks.get(signs)
        if marks is None and (
            len(signs) in (5, 6) and len(set(signs)) == len(signs) and set(signs) <= PUNCTUATION
        ):
            if len(self._marks) >= MOST_TONGUES:
                self._marks.clear()
            marks = self._marks[signs] = Marks(separator, encoding)
        return marks

    def tongue(self, facility: str, marks: Marks) -> Tongue:
        """The tongue of the laboratory that MSH-4 names, else of the first."""
        tongue = self._tongues.get((facility, marks.signs))
        if tongue is None:
            known = self.known
            names = [fold_words(name) for name in marks.components(facility, 2)]
            named = [known.facilities[name] for name in names if name in known.facilities]
            tongue = Tongue(known, named[0] if named else known.laboratory, marks)
            tongue.is_elsewhere = bool(known.facilities) and not named
            if len(self._tongues) >= MOST_TONGUES:
                self._tongues.clear()
            self._tongues[facility, marks.signs] = tongue
        return tongue

    def moments(self, marks: Marks, sent_at: str) -> Memo[str, str]:
        """How times are read in a message of MSH-7, whose offset holds for all of them."""
        found = TIME.fullmatch(marks.first(sent_at))
        offset = f"{found[8][:3]}:{found[8][3:]}" if found and found[8] else ""
        memo = self._moments.get((offset, marks.signs))
        if memo is None:
            memo = Memo(lambda text: moment(marks.first(text), offset))
            if len(self._moments) >= MOST_TONGUES:
                self._moments.clear()
            self._moments[offset, marks.signs] = memo
        return memo

    def _envelope(self, content: bytes) -> None:
        """Compare what the headers and trailers of files and batches announce."""
        if b"\nB" not in content and b"\nF" not in content and content[:3] not in BATCH:
            return
        for line in content.split(b"\n"):
            name = line[:3]
            if name == b"FHS":
                self._open_file = self._is_batch = True
            elif name == b"FTS":
                self._open_file = False
            elif name == b"BHS":
                self._is_batch = True
                self._n_in_batch = 0
            elif name == b"BTS":
                announced = line[4:].split(line[3:4] or b"|")[0].strip()
                if announced.isdigit() and int(announced[:9]) != self._n_in_batch:
                    self._n_short += 1
                self._n_in_batch = 0

    def _unreadable(self, piece: Piece, check_name: str) -> Message:
        self.n_lab += 1
        raw = shown(piece.content[: self.known.max_cell_bytes].decode("utf-8", "surrogateescape"))
        broken = [[self.n_lab, piece.line, "MSH", check_name, raw]]
        return Message(broken=broken, n_bytes=len(raw))


def count(types: Counter[str], name: str, allowed: re.Pattern[str]) -> None:
    """Count a type by its name, where that can be nothing but a name."""
    types[name if allowed.fullmatch(name) and len(types) < MOST_TYPES else "another type"] += 1


def mended(lines: list[str], separator: str, piece: Piece) -> list[tuple[int, str]] | None:
    """Segments with their lines, a broken one joined again to what it was broken off.

    None where a line looks like the header of another message, but is not one.
    """
    whole: list[tuple[int, list[str]]] = []
    for number, line in enumerate(lines, piece.line):
        if SEGMENT_NAME.match(line) and line[3:4] in ("", separator):
            whole.append((number, [line]))
        elif line.strip().upper().startswith("MSH"):
            return None
        elif line.strip() and not (piece.open_end and len(line) < SHORTEST_LINE - 1):
            whole[-1][1].append(line)
    return [(number, "\n".join(together)) for number, together in whole]


class Found(NamedTuple):
    """A row of a mapped test: its analyte, the segment, and its fault or nothing."""

    row: Row
    analyte: str
    segment: str
    fault: str


class Walk:
    """One pass over the segments of a result message. What it finds counts once it is closed."""

    def __init__(
        self, reader: Reader, marks: Marks, header: list[str], piece: Piece, careful: bool
    ) -> None:
        self.reader = reader
        self.marks = marks
        self.tongue = reader.tongue(header[3], marks)
        self.moments = reader.moments(marks, header[6])
        self.sent_at = self.moments[header[6]]
        self.open_end = piece.open_end
        self.n_bytes = len(piece.content)
        self.careful = careful
        self.rows: list[Row] = []
        self.found: list[Found] = []
        self.patients: list[Row] = []
        self.broken_patients: list[Row] = []
        self.identifier_types: list[str] = []

    def through(self, lines: Iterable[tuple[int, str]], is_mended: bool = False) -> bool:
        """Read every segment; False at a line that is none, unless the lines were mended."""
        marks, tongue, moments, rows = self.marks, self.tongue, self.moments, self.rows
        separator, padding, plain = marks.field, marks.padding, marks.plain
        beginnings, silent = self.reader.beginnings[separator], lookups.WITHOUT_VALUE
        tests, units, statuses = tongue.tests, tongue.units, tongue.result_status
        laboratory = tongue.laboratory
        record = self.reader.n_lab
        patient = patient_fault = clinic = ward = filler = ordered = ""
        collected = order_status = order_specimen = ""
        reported = self.sent_at
        samples: list[list[str]] = []
        n_obx = 0
        begun = (0, 0)
        name = segment = ""
        for line, segment in lines:
            if not segment:
                continue
            name = segment[:3]
            if segment[:4] not in beginnings and not is_mended and not self._is_local(segment):
                return False
            if name == "OBX":
                fields = (segment + padding).split(separator, RESULT_FIELDS)
                n_obx += 1
                test = tests[fields[3]]
                sub_id = fields[4] and plain(fields[4])
                row: Row = [
                    record + n_obx, line, f"OBX[{n_obx}]", f"{filler}|{test.key}|{sub_id}",
                    patient, moments[fields[14]] or collected, reported, test.code, test.system,
                    test.name, "", "", units[fields[6]], statuses[fields[11]] or order_status,
                    clinic, laboratory,
                ]  # fmt: skip
                rows.append(row)
                if row[STATUS] in lookups.REVISING:
                    row[REPORTED_AT] = told_at(reported, self.sent_at)
                if test.analyte is None:
                    # Out of scope whatever else it says; nothing of these two is kept.
                    row[PATIENT_ID] = patient or "-"
                    row[VALUE] = fields[5][:LONGEST_KEPT]
                    continue
                fault = test.fault or patient_fault or ("" if filler else "filler")
                if row[STATUS] in silent:
                    row[VALUE] = plain(fields[5])
                else:
                    value_fault, row[VALUE] = tongue.value(fields[2], fields[5], fields[8])
                    fault = fault or value_fault
                self.found.append(Found(row, test.analyte, segment, fault))
            elif name == "OBR":
                self._close(begun, samples, order_specimen)
                begun, samples = (len(rows), len(self.found)), []
                fields = (segment + padding).split(separator, ORDER_FIELDS)
                # An order number of ORC holds for the one OBR that follows it.
                filler, ordered = tongue.orders[fields[3]] or ordered, ""
                collected = moments[fields[7]]
                if not filler and collected and (placer := tongue.orders[fields[2]]):
                    # A placer's number may span several samples, and be another placer's too.
                    filler = f"{placer}@{collected}@{patient}"
                reported = moments[fields[22]] or self.sent_at
                order_specimen = fields[15]
                order_status = tongue.order_status[fields[25]]
            elif name == "SPM":
                samples.append((segment + padding).split(separator, SAMPLE_FIELDS))
            elif name == "ORC":
                fields = (segment + padding).split(separator, ORDER_FIELDS)
                ordered = tongue.orders[fields[3]]
                clinic = tongue.organisations[fields[21]] or ward
            elif name == "PID":
                self._close(begun, samples, order_specimen)
                begun, samples = (len(rows), len(self.found)), []
                clinic = ward = filler = ordered = ""
                collected = order_status = order_specimen = ""
                reported = self.sent_at
                patient, patient_fault = self._person(line, segment)
            elif name == "PV1":
                fields = (segment + padding).split(separator, LOCATION_FIELDS)
                clinic = ward = tongue.locations[fields[3]]
        self._close(begun, samples, order_specimen)
        is_short = name == "OBX" and segment.count(separator) < STATUS_FIELD
        if self.open_end and is_short and self.found:
            last = self.found[-1]
            if last.row is rows[-1]:
                # Its value may have lost digits, and no status of its own vouches for it.
                self.found[-1] = last._replace(fault=last.fault or "cut_short")
        return True

    def _is_local(self, segment: str) -> bool:
        """Whether it is a segment that the sender has agreed on with somebody else."""
        return segment[:1] == "Z" and segment[3:4] == self.marks.field

    def _person(self, line: int, segment: str) -> tuple[str, str]:
        """The patient that a PID names and the fault of its identifiers; what it tells, as a row.

        None leaves what is known, a blank says that there is nothing.
        """
        tongue = self.tongue
        fields = (segment + self.marks.padding).split(self.marks.field, PERSON_FIELDS)
        patient, fault, kind = tongue.identifier(fields[3])
        if kind:
            self.identifier_types.append(kind)
        sex = tongue.sexes[fields[8]]
        birth_date, died = tongue.days[fields[7]], tongue.days[fields[29]]
        is_dead = self.marks.first(fields[30])
        if died and not ended(died):
            died = None
        if is_dead == "N" and died:
            died = None
        elif is_dead == "Y" and not died:
            # Dead on some day before the message; nobody writes to the dead until it is known.
            died = self.sent_at[:10] or None
        if birth_date is None and sex is None and died is None:
            return patient, fault
        place = [self.reader.n_patient + len(self.patients) + len(self.broken_patients) + 1, line]
        cells = [patient, birth_date, sex, died]
        problem = fault or (self.careful and self._problem(cells)) or ""
        if problem:
            self.broken_patients.append([*place, "PID", problem, self._raw(segment)])
        else:
            self.patients.append([*place, "PID", *cells])
        return patient, fault

    def _close(self, begun: tuple[int, int], samples: list[list[str]], order: str) -> None:
        """What the samples of a group tell of its results; they stand behind them."""
        taken_at = ""
        for sample in samples:
            taken_at = taken_at or self.moments[sample[17]]
        if taken_at:
            for row in self.rows[begun[0] :]:
                row[COLLECTED_AT] = row[COLLECTED_AT] or taken_at
        kinds = [sample[4] for sample in samples]
        specimens = self.tongue.specimens
        for found in self.found[begun[1] :]:
            found.row[SPECIMEN] = specimens[(found.analyte, order, *kinds)]

    def message(self) -> Message:
        """The rows, those that cannot be taken apart from the others; counts them."""
        reader = self.reader
        if not self.rows:
            reader.n_silent += 1
        reader.n_lab += len(self.rows)
        reader.n_patient += len(self.patients) + len(self.broken_patients)
        reader.n_elsewhere += self.tongue.is_elsewhere
        for kind in self.identifier_types:
            count(reader.identifier_types, kind, IDENTIFIER_TYPE)
        broken: dict[int, Row] = {}
        for found in self._told_apart():
            problem = found.fault or (self.careful and self._problem(found.row))
            if problem:
                place = found.row[: len(PLACE)]
                broken[place[0]] = [*place, problem, self._raw(found.segment)]
        labs = self.rows
        if broken:
            labs = [row for row in labs if row[0] not in broken]
        if self.careful:
            for row in labs:
                if self._problem(row):
                    row[len(PLACE) :] = [clean(cell) for cell in row[len(PLACE) :]]
        return Message(
            labs, list(broken.values()), self.patients, self.broken_patients, self.n_bytes
        )

    def _told_apart(self) -> Iterable[Found]:
        """The rows of mapped tests; results that a message holds twice and differently are faults.

        Neither may win: which of them is meant is known to the laboratory only.
        """
        if len({found.row[RESULT_ID] for found in self.found}) == len(self.found):
            return self.found
        keyed: dict[str, list[Found]] = {}
        for found in self.found:
            keyed.setdefault(found.row[RESULT_ID], []).append(found)
        told = []
        for same in keyed.values():
            first = same[0].row[len(PLACE) :]
            disagree = any(found.row[len(PLACE) :] != first for found in same)
            told += [
                found._replace(fault=found.fault or ("repeated" if disagree else ""))
                for found in same
            ]
        return told

    def _problem(self, cells: Sequence[Any]) -> str:
        """The first check that a cell fails as text, or nothing."""
        for cell in cells:
            if not isinstance(cell, str):
                continue
            if len(cell) > self.reader.known.max_cell_bytes:
                return "cell_size"
            if "\0" in cell:
                return "nul_byte"
            if not cell.isascii() and cell != clean(cell):
                return "encoding"
        return ""

    def _raw(self, segment: str) -> str:
        return shown(segment[: self.reader.known.max_cell_bytes])


def clean(cell: str) -> str:
    """A cell that is kept for its place only, as text that can be stored."""
    return cell[:LONGEST_KEPT].replace("\0", "").encode("utf-8", "replace").decode()


def shown(raw: str) -> str:
    """The text of a broken row; bytes that are no text stand as escapes."""
    if raw.isascii() and "\0" not in raw:
        return raw
    return (
        raw.encode("utf-8", "surrogateescape")
        .decode("utf-8", "backslashreplace")
        .replace("\0", "\\x00")
    )


@dataclass(frozen=True)
class Written:
    """How many rows of a kind were written, and how many broken ones beside them."""

    n_row: int
    n_broken: int


def messages_as_parquet(
    path: Path, known: Dialect, folder: Path
) -> tuple[dict[str, Written], list[str], list[str]]:
    """Split a file of messages into ``folder/labs`` and ``folder/patients``.

    Each holds ``rows-*.parquet`` (record, line, segment and the columns as text; of patients NULL
    leaves what is known) and ``broken-*.parquet`` (record, line, segment, check_name, raw).
    Returns what was written of each kind, remarks, and findings that somebody has to look at.
    """
    tables = {}
    for kind, columns in (("labs", LAB_COLUMNS), ("patients", PATIENT_COLUMNS)):
        (folder / kind).mkdir(parents=True)
        tables[kind] = (
            Parts(folder / kind, "rows", (*PLACE, *columns)),
            Parts(folder / kind, "broken", BROKEN_COLUMNS),
        )
    (labs, broken), (patients, broken_patients) = tables["labs"], tables["patients"]
    reader = Reader(known)
    for message in reader.read(path):
        for part, found in (
            (labs, message.labs),
            (broken, message.broken),
            (patients, message.patients),
            (broken_patients, message.broken_patients),
        ):
            if found:
                # A cell of the header may stand in every row of a message.
                part.extend(found, message.n_bytes * len(found))
    written = {kind: Written(rows.close(), bad.close()) for kind, (rows, bad) in tables.items()}
    return written, reader.remarks(), reader.findings
