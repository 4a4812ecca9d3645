"""What FHIR files tell of the resources that others refer to: people, encounters, specimens, drugs.

A file's own resources come first. What a reference names and its file does not hold is looked for
in the other files of the same folder of the inbox, tonight's and those of earlier nights: an export
writes a file for each type of resource, and later ones hold only what changed. A day in the name of
a folder is passed over, as many exports have a folder each.
"""

import json
import re
import shutil
from collections import ChainMap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from b12screen.ingest.delimited import BOM, FileRefused, content_hash, unpacked
from b12screen.ingest.fhir_element import (
    URN,
    Json,
    identifier_pairs,
    in_order,
    inner,
    labels,
    loaded,
    objects,
    organisation,
    specimen_word,
    text,
)
from b12screen.ingest.fhir_lines import blocks, holds, split_lines
from b12screen.ingest.fhir_resource import DELETED, TEST_DATA, Index, Reader
from b12screen.ingest.recognise import Extract, Stamp, stamp
from b12screen.ingest.store import Intake
from b12screen.resources import sql_text
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse

# Files are looked through in blocks of so many bytes.
BLOCK = 16 * 1024 * 1024
# People, encounters, specimens and drugs that one file may tell of, some 300 MB of them.
MOST_KNOWN = 1_000_000
# What other files tell is kept from so many resources on at once.
MOST_TOLD = 50_000
INDEXED = re.compile(rb'"resourceType"\s*:\s*"(?:Patient|Encounter|Specimen|Medication)"')
# The element of a resource that counts for what refers to it.
ELEMENT = {
    "Patient": "identifier",
    "Encounter": "serviceProvider",
    "Specimen": "type",
    "Medication": "code",
}
# A line is a resource of many elements, or a bundle of many resources.
CELLS_OF_A_LINE = 16
# No id is longer, with what may stand behind it.
REFERENCE_BYTES = 200
# A day, perhaps of parts that are folders, and a time of it, as exports name theirs.
DAY = re.compile(
    r"(?<!\d)(?:19|20)\d{2}[-_./]?(?:0[1-9]|1[0-2])[-_./]?(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T_ -]?[0-2]\d(?:[-_.:]?[0-5]\d){1,2}(?:[.,]\d+)?)?Z?(?!\d)"
)
# Encounters and specimens are over by then; people and drugs stay.
DAYS_KEPT = 366

NOTHING_TOLD = (
    "CREATE TABLE taking.fhir_told (folder VARCHAR, kind VARCHAR, id VARCHAR, system VARCHAR, "
    "said VARCHAR, place BIGINT, told_for DATE, file_name VARCHAR, is_new BOOLEAN)"
)
KINDS = (
    "SELECT told.kind FROM taking.fhir_told AS told WHERE told.folder = $1 "
    "UNION SELECT told.kind FROM private.fhir_told AS told WHERE told.folder = $1"
)
TELL = "INSERT INTO taking.fhir_told BY NAME SELECT part.* FROM taking.fhir_part AS part"
# The last of what one file says of the same.
SAID_LAST = (
    "DELETE FROM taking.fhir_told WHERE fhir_told.file_name = $1 AND fhir_told.place NOT IN ("
    "SELECT max(told.place) FROM taking.fhir_told AS told WHERE told.file_name = $1 "
    "GROUP BY told.kind, told.id)"
)
WITHOUT = "DELETE FROM taking.fhir_told WHERE list_contains(?, fhir_told.file_name)"
TOLD_ANEW = (
    "DELETE FROM private.fhir_told AS known USING taking.fhir_told AS told "
    "WHERE told.folder = known.folder AND told.kind = known.kind AND told.id = known.id "
    "AND told.system = known.system AND (known.told_for < told.told_for "
    "OR (known.told_for = told.told_for AND told.is_new))"
)
# Of several nights that are taken again at once the last, where none later is known.
KEEP = (
    "INSERT INTO private.fhir_told BY NAME SELECT told.folder, told.kind, told.id, told.system, "
    "told.said, told.place, told.told_for FROM taking.fhir_told AS told "
    "ANTI JOIN private.fhir_told AS known ON known.folder = told.folder "
    "AND known.kind = told.kind AND known.id = told.id AND known.system = told.system "
    "QUALIFY told.told_for = max(told.told_for) "
    "OVER (PARTITION BY told.folder, told.kind, told.id, told.system)"
)
KNOWN_FOR = "SELECT min(taken.taken_for) FROM private.taken_file AS taken WHERE taken.sha256 = ?"
NO_LONGER = "DELETE FROM private.fhir_told WHERE kind IN ('Encounter', 'Specimen') AND told_for < ?"


@dataclass(frozen=True)
class Elsewhere:
    """What the other files of a folder tell, as the store has it."""

    warehouse: Warehouse
    folder: str
    system: str
    kinds: frozenset[str]

    @classmethod
    def of(cls, intake: Intake, extract: Extract) -> "Elsewhere":
        """For a file of the inbox."""
        folder = folder_of(extract)
        kinds = frozenset(str(kind) for (kind,) in intake.warehouse.rows(KINDS, [folder]))
        return cls(intake.warehouse, folder, intake.settings.fhir.patient_identifier or "", kinds)

    def find(self, asked: Iterable[tuple[str, str]]) -> list[Json]:
        """The resources of these types and ids that are known, with the elements that count.

        One that was told twice in the same night, and not as the same, is there twice.
        """
        frame = pl.DataFrame(list(asked), schema={"kind": pl.String, "id": pl.String}, orient="row")
        if frame.is_empty():
            return []
        self.warehouse.write("taking.fhir_asked", frame)
        rows = self.warehouse.rows(sql_text("core/fhir_told.sql"), (self.folder, self.system))
        return [
            {"resourceType": kind, "id": key, ELEMENT[kind]: json.loads(said)}
            for kind, key, said in rows
        ]


@dataclass
class Indexed:
    """What a reader may follow: a file's own resources, read when first asked for, and others'."""

    path: Path
    reader: Reader
    most_bytes: int
    elsewhere: Elsewhere | None = None
    most_known: int = MOST_KNOWN
    _index: Index | None = None
    _others: Index = field(default_factory=lambda: Index({}, {}, {}, {}, {}))

    def __call__(self) -> Index:
        if self._index is None:
            own = Index({}, {}, {}, {}, {})
            for resource, url in told_in(self.path, self.most_bytes):
                note(own, self.reader, resource, url)
                if own.n_known() > self.most_known:
                    raise FileRefused(
                        f"it tells of more than {self.most_known} people, encounters, specimens "
                        "and drugs that its other resources refer to; send it in parts"
                    )
            self._index = replace(
                own,
                patients=ChainMap(own.patients, self._others.patients),
                clinics=ChainMap(own.clinics, self._others.clinics),
                specimens=ChainMap(own.specimens, self._others.specimens),
                drugs=ChainMap(own.drugs, self._others.drugs),
            )
        return self._index

    def look_up(self, block: bytes) -> None:
        """Ask once for all that the lines of a block refer to in other files."""
        others = self._others
        for known in (others.patients, others.clinics, others.specimens, others.drugs):
            known.clear()
        if self.elsewhere is None:
            return
        kinds = set(self.elsewhere.kinds)
        if self.reader.settings.fhir.patient_identifier is None:
            kinds.discard("Patient")
        said: dict[str, set[str]] = {}
        for resource in self.elsewhere.find(referred_to(block, sorted(kinds))):
            key = resource["id"]
            if resource["resourceType"] == "Patient":
                person = self.reader.patient_key(resource)
                said.setdefault(key, set()).add(person or "")
            else:
                note(others, self.reader, resource, "")
        # Whom two files call differently in one night is nobody.
        others.patients.update(
            {key: person for key, (person, *more) in said.items() if person and not more}
        )


def referred_to(block: bytes, kinds: Sequence[str]) -> set[tuple[str, str]]:
    """Type and id of what the references in some lines name."""
    found: set[tuple[str, str]] = set()
    for kind in kinds:
        marks = [f"{kind}/".encode()]
        if b"\\/" in block:
            marks.append(f"{kind}\\/".encode())
        for mark in marks:
            for rest in block.split(mark)[1:]:
                key = rest[:REFERENCE_BYTES].partition(b'"')[0].partition(b"/")[0]
                found.add((kind, key.decode("ascii", "replace").removesuffix("\\")))
    return found


def told_in(path: Path, most_bytes: int) -> Iterator[tuple[Json, str]]:
    """The resources of a file that others may refer to, with the URLs of their entries."""
    for block in blocks(path, BLOCK, most_bytes):
        if not holds(block, INDEXED):
            continue
        for line in split_lines(block):
            if INDEXED.search(line) is None or len(line) >= most_bytes:
                continue
            try:
                resource = loaded(line.removeprefix(BOM))
            except (ValueError, RecursionError):
                continue
            if isinstance(resource, dict):
                entries = [(resource, "")]
                entries += [
                    (entry["resource"], text(entry.get("fullUrl")))
                    for _, entry in in_order(resource)
                    if isinstance(entry.get("resource"), dict)
                ]
                yield from (one for one in entries if text(one[0].get("resourceType")) in ELEMENT)


def note(index: Index, reader: Reader, resource: Json, url: str) -> None:
    """Enter into an index what a resource of those types says."""
    name, key = text(resource.get("resourceType")), text(resource.get("id"))
    references = {key, url.removeprefix(URN)} - {""}
    if name == "Medication":
        index.drugs.update(dict.fromkeys(references, reader.drug(resource)))
        return
    said: str | None
    if name == "Patient":
        said, found = reader.patient_key(resource), index.patients
        for pair in identifier_pairs(resource, reader.as_of):
            # An identifier that two people carry names neither.
            if said and index.identified.setdefault(pair, said) != said:
                index.identified[pair] = ""
    elif name == "Encounter":
        said, found = organisation(inner(resource, "serviceProvider")), index.clinics
    else:
        said, found = specimen_word(resource), index.specimens
    for reference in references:
        if said:
            found[reference] = said
        elif said is None:
            found.pop(reference, None)
        elif name == "Specimen":
            # It is here, though it does not say what it is.
            found.setdefault(reference, "")


def tell(intake: Intake, extracts: Sequence[Extract]) -> dict[Path, Stamp]:
    """Note what tonight's files tell, before any of them is parsed, so that no order counts.

    A file that cannot be read tells nothing; it is turned away in its turn. Returns how the others
    lay when they were read.
    """
    lay: dict[Path, Stamp] = {}
    intake.warehouse.execute(NOTHING_TOLD)
    intake.warehouse.execute(NO_LONGER, (intake.as_of - timedelta(days=DAYS_KEPT),))
    files = {(extract.taken_by, extract.path): extract for extract in extracts}
    for extract in files.values():
        if extract.form != "ndjson" or extract.taken_by == "retry":
            continue
        folder = intake.scratch / "told"
        try:
            before = stamp(extract.path)
            tell_of(intake, extract, unpacked_resources(intake, extract, folder))
            lay[extract.path] = before
        except FileRefused:
            continue
        except OSError as error:
            if error.filename is None or Path(error.filename) != extract.path:
                raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return lay


def tell_of(intake: Intake, extract: Extract, path: Path) -> None:
    """The same of one file, unpacked; of a content that was taken before, as of that night."""
    system = intake.settings.fhir.patient_identifier or ""
    place: dict[str, Any] = {"folder": folder_of(extract), "file_name": extract.name}
    rows: list[dict[str, Any]] = []
    n_told = int(
        intake.warehouse.scalar("SELECT coalesce(max(told.place), 0) FROM taking.fhir_told AS told")
    )
    for resource, _ in told_in(path, most_line_bytes(intake.settings)):
        name, key = text(resource.get("resourceType")), text(resource.get("id"))
        said = element_of(resource, system)
        # What is made up or gone is in no place of another.
        if not key or not said or labels(resource) & {DELETED, TEST_DATA}:
            continue
        if "told_for" not in place:
            before = extract.sent_for or intake.warehouse.scalar(
                KNOWN_FOR, (content_hash(extract.path),)
            )
            place |= {"told_for": before or intake.as_of, "is_new": before is None}
        n_told += 1
        told = {"kind": name, "id": key, "said": json.dumps(said), "place": n_told}
        rows.append(place | told | {"system": system if name == "Patient" else ""})
        if len(rows) >= MOST_TOLD:
            add(intake.warehouse, rows)
            rows = []
    add(intake.warehouse, rows)
    intake.warehouse.execute(SAID_LAST, (extract.name,))


def element_of(resource: Json, system: str) -> Any:
    """What counts of a resource for who refers to it, and no more: it is kept for long."""
    match text(resource.get("resourceType")):
        case "Patient":
            return [
                {
                    "system": system,
                    "value": text(one.get("value")),
                    "use": text(one.get("use")),
                    "period": {"end": text(inner(one, "period", "end"))},
                }
                for one in objects(resource.get("identifier"))
                if system and text(one.get("system")) == system
            ]
        case "Encounter":
            named = {"reference": text(inner(resource, "serviceProvider", "reference"))}
            return named if organisation(named) else None
    concept = resource.get(ELEMENT[text(resource.get("resourceType"))])
    codings = [
        {name: text(one.get(name)) for name in ("system", "code", "display")}
        for one in objects(inner(concept, "coding"))
    ]
    words = text(inner(concept, "text"))
    return {"coding": codings, "text": words} if codings or words else None


def add(warehouse: Warehouse, rows: list[dict[str, Any]]) -> None:
    """Rows into ``taking.fhir_told``."""
    if rows:
        warehouse.write("taking.fhir_part", pl.DataFrame(rows))
        warehouse.execute(TELL)
        warehouse.execute("DROP TABLE taking.fhir_part")


def keep(warehouse: Warehouse, turned_away: Sequence[str]) -> None:
    """Remember what tonight's files told, but for those of these names, which were not taken."""
    warehouse.execute(WITHOUT, (list(turned_away),))
    warehouse.execute(TOLD_ANEW)
    warehouse.execute(KEEP)


def unpacked_resources(intake: Intake, extract: Extract, folder: Path) -> Path:
    """The file itself, or what it unpacks to, in a folder; FileRefused where it is damaged."""
    if not extract.packing:
        return extract.path
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "unpacked.ndjson"
    unpacked(extract.path, extract.packing, path, intake.settings.limits.max_decompressed_bytes)
    return path


def most_line_bytes(settings: Settings) -> int:
    """How long a line may be."""
    return settings.limits.max_cell_bytes * CELLS_OF_A_LINE


def folder_of(extract: Extract) -> str:
    """The folder within which ids are one sender's: the file's own without the day in its name."""
    return DAY.sub("", str(PurePosixPath(extract.name).parent)).strip("./")
