"""A map proposed for a file that the site does not know, for a person to read and to accept.

Nothing is applied. What is printed names columns and words of the file, never a row: a word that
is not known here is told only where it stands in 20 rows of 5 people.
"""

import difflib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from b12screen.date_formats import ISO
from b12screen.ingest import lookups
from b12screen.ingest.candidates import (
    FEWEST_PEOPLE,
    FEWEST_RESULTS,
    NAMED_LOINC,
    SURE,
    inline,
    quoted,
    test_lines,
)
from b12screen.ingest.delimited import (
    SEPARATOR_LINE,
    FileRefused,
    Record,
    header_text,
    measured,
    names,
    split,
    unpacked,
    with_line_feeds,
)
from b12screen.ingest.own_csv import as_utf8, own_header, sources_of, translated
from b12screen.ingest.recognise import Own, kind_named, recognised
from b12screen.ingest.sniffed import (
    Days,
    Found,
    days_of,
    decimals_of,
    encoding_of,
    is_header,
    separator_of,
)
from b12screen.ingest.vocabulary import CASE_NAME, NAMES, SEX_WORDS, STATUS_WORDS
from b12screen.maps import Maps, fold_unit
from b12screen.settings import NEVER_CONSTANT, OwnFiles, Settings, fold, numbered_column
from schemas import words
from schemas.extracts import extract_columns

MOST_RECORDS = 100_000
MOST_BYTES = 4_000_000_000
LOINC = f"^[0-9]{{1,5}}-[0-9]$|^{NAMED_LOINC}"
# How many columns that are not used are named.
MOST_REST = 20
# Two names are alike from here on, as difflib counts.
ALIKE = 0.8
# The score of a name that senders are known to use.
KNOWN = 0.95
# A column is of a sort where so many of its cells are.
MOSTLY = 0.8
NO_CODES_SHOWN = (
    "# Codes and words are told by how many people have them: once the person's column is named, "
    "check again"
)
# What a name of a person looks like: words without a digit, or two of them around a comma.
PERSON = r"^(\p{L}[\p{L} ,.'’^-]*|\p{L}{2}[\p{L} .'’-]*[,^] ?\p{L}.*)$"
# The time of the day behind a day.
CLOCK = "[T ]+[0-9]{1,2}:[0-9]{2}.*$"
# What tells rows and people apart.
KEYS = ("result_id", "medication_id", "patient_id")


@dataclass(frozen=True)
class Table:
    """The first records of a file: its columns as c0, c1 …, cells without blanks around."""

    names: tuple[str, ...]
    separator: str
    cells: pl.DataFrame
    n_broken: int
    is_whole: bool
    n_skipped: int = 0


def proposal(
    path: Path, name: str, settings: Settings, maps: Maps, known: Own | None, scratch: Path
) -> list[str]:
    """The lines to print for a delimited file; none where there is nothing to propose.

    ``name`` is its path below the inbox, or only its name. ``known`` is what the settings say of
    the file where it could be read: then only its unknown codes are left to map. FileRefused where
    the file cannot be looked into.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    base = path.name.lower()
    if base.endswith((".gz", ".zst")):
        unpacked(path, base.rpartition(".")[2], scratch / "unpacked.csv", MOST_BYTES)
        path, base = scratch / "unpacked.csv", base.rpartition(".")[0]
    if known is not None:
        table = read(path, known.files.encoding, known.files, "labs", scratch)
        return test_lines(canonical(table, known, "labs"), known.laboratory, settings, maps)
    encoding = encoding_of(path)
    table = read(path, encoding.choices[0], None, "", scratch)
    named = kind_named(base)
    kinds = words.KINDS if named is None else (named,)
    columns, kind = max(
        ((columns_of(table, kind, maps), kind) for kind in kinds),
        key=lambda found: sum(
            declared.required and name in found[0]
            for name, declared in extract_columns(found[1]).items()
        ),
    )
    # Many systems write the person into every row of their results.
    people = columns_of(table, "patients", maps) if kind == "labs" else {}
    if not {"patient_id", "birth_date", "sex"} <= people.keys():
        people = {}
    used = {*columns.values(), *people.values()}
    lines = file_lines(name, table, encoding, columns, kind, named, settings, maps)
    lines += lines_of_the_rest(table, used)
    if people:
        lines += file_lines(name, table, encoding, people, "patients", None, settings, maps)
    return lines


def read(path: Path, encoding: str, files: OwnFiles | None, kind: str, scratch: Path) -> Table:
    """The first records of a file, as it is said or guessed to be written."""
    path = as_utf8(path, encoding, scratch / "utf8.csv")
    _, shape = measured(path, hashed=False)
    if shape.n_newline == 0 and shape.n_return > 0:
        path = with_line_feeds(path, scratch / "lines.csv", b"\r")
    n_skipped = 0
    if files is None:
        if path.stat().st_size and SEPARATOR_LINE.fullmatch(header_text(path, 1_000_000)[0]):
            n_skipped = 1
        separator = separator_of(path, n_skipped)
        if separator is None:
            raise FileRefused("no separator divides its lines into equally many cells")
        header = names(header_text(path, 1_000_000, n_skipped)[0], separator)
        quote = '"'
        if not is_header(header):
            raise FileRefused(
                "its first line looks like a row and not like a header; where there is none, set "
                "header = false and number the columns, where other lines stand before it, "
                "skip_lines"
            )
    else:
        header, separator = own_header(path, files, kind, 1_000_000)
        quote = files.quote
    rows: list[list[str]] = []
    n_broken = 0
    is_whole = True
    n_before = n_skipped + 1 if files is None else files.n_before
    for row in split(path, separator, len(header), 100_000, quote, n_before=n_before):
        if len(rows) == MOST_RECORDS:
            is_whole = False
            break
        if isinstance(row, Record):
            rows.append([cell.decode().strip() for cell in row.cells])
        else:
            n_broken += 1
    schema = {f"c{place}": pl.String for place in range(len(header))}
    cells = pl.DataFrame(rows, schema, orient="row")
    return Table(header, separator, cells, n_broken, is_whole, n_skipped)


def canonical(table: Table, own: Own, kind: str) -> pl.DataFrame:
    """The records under the contract's names, as the settings or a proposal have them."""
    sources = sources_of(table.names, own, kind)
    sent = table.cells.with_row_index("record").with_columns(line=pl.lit(None, pl.Int64))
    return translated(sent, sources, own, kind, frozenset(range(len(table.names))))


def plain(name: str) -> str:
    """A column name as names are compared: letters and digits, no accents."""
    parts = unicodedata.normalize("NFKD", name.lower().replace("ß", "ss"))
    return "".join(letter for letter in parts if letter.isalnum())


def name_score(column: str, name: str) -> float:
    """How much a column of the file is called like one of the contract: from 0 to 1."""
    folded = plain(name)
    if not folded:
        return 0.0
    own = plain(column)
    if folded == own:
        return 1.0
    if column in KEYS and is_case(name):
        return 0.0
    known = NAMES.get(column, ())
    if folded in known:
        return KNOWN
    likeness = max(
        difflib.SequenceMatcher(None, folded, other, autojunk=False).ratio()
        for other in (own, *known)
    )
    return likeness * 0.9 if likeness >= ALIKE else 0.0


def is_case(name: str) -> bool:
    """Whether a column is called like the number of a stay or a visit."""
    return re.fullmatch(CASE_NAME, plain(name)) is not None


def is_called_status(name: str) -> bool:
    """Whether a column is called like a status and not like a state, which may be a country's."""
    return any(word in plain(name) for word in ("status", "statut"))


def holds_names(cells: pl.Series) -> bool:
    """Whether most filled cells of a column look like names of people."""
    return share_of(cells.filter(cells != "").str.contains(PERSON)) >= MOSTLY


def content_score(column: str, cells: pl.Series, maps: Maps) -> float | None:
    """The share of a column's cells that could stand in one of the contract; None: any could."""
    filled = cells.filter(cells != "")
    if filled.is_empty():
        return None
    if column.endswith(("_at", "_on", "_date")):
        return days_of(filled).n_read / filled.len()
    folded = filled.str.to_lowercase()
    closed: dict[str, frozenset[str]] = {
        "status": frozenset(known_words(STATUS_WORDS, lookups.statuses()["spelling"].to_list())),
        "sex": frozenset(known_words(SEX_WORDS, ["f", "m"])),
        "opted_out": frozenset(("true", "false")),
        "dose_unit": frozenset(words.DOSE_UNITS),
        "route": frozenset(words.ROUTES_OF_ADMINISTRATION),
    }
    if column == "unit":
        known = set(maps.unit["spelling"])
        looks = [fold_unit(unit) in known or "/" in unit for unit in filled.unique()]
        return sum(looks) / len(looks)
    if column == "value":
        return share_of(folded.str.contains(r"^[<>]?=? ?[+-]?[0-9][0-9.,' ]*$"))
    if column == "specimen":
        # Urine is a specimen too, although none of ours; a number of a specimen is none.
        is_known = folded.is_in(maps.specimen["specimen"].to_list())
        return share_of(is_known | ~filled.str.contains("[0-9]"))
    if column in closed:
        return share_of(folded.is_in(list(closed[column])))
    if column == "code" and share_of(filled.str.contains(LOINC)) >= MOSTLY:
        # Of several codes the one that everybody knows.
        return 1.0
    return None


def share_of(fits: pl.Series) -> float:
    """The share of cells that fit; of none, nought."""
    return int(fits.sum()) / max(fits.len(), 1)


def known_words(spelled: Mapping[str, Sequence[str]], also: Sequence[str]) -> list[str]:
    """Every spelling of closed words that is known here."""
    return sorted({*spelled, *also, *(word for many in spelled.values() for word in many)})


def columns_of(table: Table, kind: str, maps: Maps) -> dict[str, int]:
    """Which column of the file is which of the contract's, by name and content."""
    scored: list[tuple[float, int, str, int]] = []
    for order, column in enumerate(extract_columns(kind)):
        if column == "laboratory":
            continue
        for place, name in enumerate(table.names):
            by_name = name_score(column, name)
            if by_name == 0.0 and column != "unit":
                continue
            cells = table.cells[f"c{place}"]
            if column in KEYS and holds_names(cells):
                continue
            # A column without a cell is none; only of units a laboratory may send none at all.
            if cells.len() and not (cells != "").any() and (column != "unit" or by_name < KNOWN):
                continue
            by_content = content_score(column, cells, maps)
            if column == "status" and by_content == 0.0 and not is_called_status(name):
                continue
            # A column of unknown statuses is asked about: left out, its rows would all be final.
            strict = column in ("value", "specimen") or column.endswith(("_at", "_on", "_date"))
            if by_content is not None and by_content < 0.5 and (by_name < KNOWN or strict):
                continue
            if by_name == 0.0 and (by_content or 0.0) < SURE:
                continue
            score = 0.8 * by_name + 0.2 * (by_content if by_content is not None else 0.5)
            scored.append((-score, order, column, place))
    found: dict[str, int] = {}
    for _, _, column, place in sorted(scored):
        if column not in found and place not in found.values():
            found[column] = place
    if "code" not in found and "test_name" in found:
        found |= code_among_names(table, found.pop("test_name"), {*found.values()})
    return {column: found[column] for column in extract_columns(kind) if column in found}


def code_among_names(table: Table, named: int, used: Set[int]) -> dict[str, int]:
    """Code and name where no column is called like a code: the shorter of two, if it tells apart.

    A laboratory without codes tells its tests apart by their names; what is one column is the code
    alone. A word that stands beside several names is a panel's and no code of a test.
    """
    places = [
        place
        for place, name in enumerate(table.names)
        if place == named
        or (
            place not in used
            and name_score("test_name", name) >= KNOWN
            and (table.cells[f"c{place}"] != "").any()
        )
    ]
    by_length = sorted(places, key=lambda place: length_of(table.cells[f"c{place}"]))
    code, name = by_length[0], by_length[-1]
    if code == name:
        return {"code": named}
    both = table.cells.select(f"c{code}", f"c{name}").filter(pl.col(f"c{name}") != "")
    if both[f"c{code}"].n_unique() < MOSTLY * both.n_unique():
        return {"code": name}
    return {"code": code, "test_name": name}


def length_of(cells: pl.Series) -> float:
    """How long the different filled cells of a column are on average."""
    lengths = cells.filter(cells != "").unique().str.len_chars()
    return int(lengths.sum()) / max(lengths.len(), 1)


def file_lines(
    name: str,
    table: Table,
    encoding: Found,
    columns: Mapping[str, int],
    kind: str,
    named: str | None,
    settings: Settings,
    maps: Maps,
) -> list[str]:
    """The table of the settings for a file that could not be read, then its codes."""
    laboratory = next(iter(settings.laboratories))
    n = table.cells.height
    about = "all" if table.is_whole else "the first"
    lines = [f"# {about} {n} records of {kind} were looked at"]
    if len(settings.laboratories) > 1:
        lines.append(f"# {laboratory} stands for the laboratory that sends it")
    if table.n_broken:
        lines.append(f"# {table.n_broken} more make no record with this separator")
    lines += [f"[[laboratories.{laboratory}.csv]]", f"files = [{quoted(pattern_of(name))}]"]
    if named != kind:
        lines.append(f'kind = "{kind}"')
    said = OwnFiles(files=["x"], kind=kind)
    if encoding.choices[0] != "utf-8":
        lines.append(f'encoding = "{encoding.choices[0]}"{remark(encoding.why)}')
    if table.n_skipped:
        lines.append("skip_lines = 1  # its first line only says the separator")
    lines.append(f"separator = {quoted(table.separator)}")
    more: dict[str, object] = {"separator": table.separator}
    number = next((name for name in ("value", "dose") if name in columns), None)
    if number is not None:
        cells = table.cells[f"c{columns[number]}"]
        decimal, thousands = decimals_of(cells.filter(cells != ""))
        lines += sign_lines(decimal, thousands)
        if decimal.is_certain:
            more |= {"decimal": decimal.choices[0], "thousands": thousands.choices[0]}
    date_lines, formats = lines_of_days(table, columns)
    lines += date_lines
    more["dates"] = formats
    column_lines, named_columns = lines_of_columns(table, columns)
    lines += column_lines
    lines += lines_of_missing_keys(table, columns, kind)
    lines += lines_of_no_status(table, columns, kind)
    more["columns"] = named_columns
    spelled: dict[str, dict[str, str]] = {}
    for column, known in (("status", STATUS_WORDS), ("sex", SEX_WORDS)):
        if column in columns:
            word_lines, spelled_words = lines_of_words(table, columns, column, known)
            lines += word_lines
            if spelled_words:
                spelled[column] = spelled_words
    if spelled:
        lines.append(f"words = {inline(spelled)}")
        more["words"] = spelled
    lines += identifier_lines(table, columns)
    missing = [
        name
        for name, declared in extract_columns(kind).items()
        if declared.required and name not in columns
    ]
    if missing:
        lines.append(f"# Not found: {', '.join(missing)}. Name the columns above")
        if possible := [name for name in missing if name not in NEVER_CONSTANT]:
            lines[-1] += ", or constants here:"
            said_of_all = ", ".join(f'{name} = "..."' for name in possible)
            lines.append(f"# constants = {{{said_of_all}}}")
    if kind != "labs" or not {"code", "value"} <= columns.keys():
        return lines
    constants = dict.fromkeys(missing, "")
    own_system = settings.laboratories[laboratory].code_system or f"{laboratory}-local"
    codes = table.cells[f"c{columns['code']}"]
    is_loinc = share_of(codes.str.contains(LOINC)) >= MOSTLY
    if "code_system" not in columns and not is_loinc:
        lines.append(f"constants = {inline({'code_system': own_system})}")
        if settings.laboratories[laboratory].code_system is None:
            lines.append(
                f"# and in [laboratories.{laboratory}]: code_system = {quoted(own_system)}"
            )
        constants["code_system"] = own_system
    more["constants"] = {name: text for name, text in constants.items() if name not in columns}
    if repeated_names(table, columns):
        numbers = tuple(numbered_column(place) for place, _ in enumerate(table.names, start=1))
        table = replace(table, names=numbers)
    own = Own(laboratory, said.model_copy(update=more))
    return lines + test_lines(canonical(table, own, kind), laboratory, settings, maps)


def pattern_of(name: str) -> str:
    """The pattern of a file's name: its numbers, which are dates and counters, may be any."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + re.sub(r"[0-9][0-9_.-]*[0-9]", "*", base)


def remark(why: str) -> str:
    """A reason behind a setting."""
    return f"  # {why}" if why else ""


def sign_lines(decimal: Found, thousands: Found) -> list[str]:
    """The signs of numbers, or the choice that is left to a person."""
    if not decimal.choices:
        return [f"# decimal: {decimal.why}; no setting reads both, ask the sender"]
    if not decimal.is_certain:
        return [
            f"# decimal: {decimal.why}. Choose one; without it ',' is rejected:",
            *(f'# decimal = "{sign}"' for sign in decimal.choices),
        ]
    lines = []
    if decimal.choices[0] != ".":
        lines.append(f'decimal = "{decimal.choices[0]}"{remark(decimal.why)}')
    if thousands.choices[0]:
        lines.append(f'thousands = "{thousands.choices[0]}"{remark(thousands.why)}')
    return lines


def lines_of_days(table: Table, columns: Mapping[str, int]) -> tuple[list[str], list[str]]:
    """The formats of the days, with every ambiguity; also those that are certain."""
    lines: list[str] = []
    certain: list[str] = []
    open_orders: list[dict[str, list[str]]] = []
    for column, place in columns.items():
        if not column.endswith(("_at", "_on", "_date")):
            continue
        cells = table.cells[f"c{place}"]
        days = days_of(cells.filter(cells != ""))
        if not days.n_cell:
            continue
        n_short = n_of_short_years(days) if "birth_date" in columns else 0
        if n_short:
            lines += [
                f"# {column}: {n_short} of {days.n_cell} rows have a year of two digits, and in a "
                "file with days of birth",
                "# these are not read (50 may be 1950): ask the sender for years of four digits",
            ]
            # A run refuses the file with such a format, whichever of its columns needs it.
            longer = {written: n for written, n in days.fits.items() if "%y" not in written}
            days = Days(days.n_cell, longer)
        orders = orders_of(days)
        n_read = max((n for n, _ in orders.values()), default=0)
        best = {order: formats for order, (n, formats) in orders.items() if n == n_read}
        about = "all" if n_read == days.n_cell else f"{n_read} of"
        if n_read + n_short < days.n_cell:
            n_none = days.n_cell - n_read - n_short
            lines.append(f"# {column}: {n_none} of {days.n_cell} rows hold no day")
        if len(best) > 1:
            open_orders.append(best)
            both = " and ".join(" or ".join(formats) for formats in best.values())
            lines.append(
                f"# {column}: {both} both fit {about} {days.n_cell} rows (12/11 may be day-first "
                "or month-first); ask the sender"
            )
        for order, formats in best.items() if len(best) == 1 else ():
            certain += formats
            others = {n: each for other, (n, each) in orders.items() if other != order}
            if others:
                n_other = max(others)
                lines.append(
                    f"# {column}: {n_read - n_other} of {days.n_cell} rows cannot be "
                    f"{' or '.join(others[n_other])}"
                )
    formats = list(dict.fromkeys(certain))
    # What another column proves reads this one, too; the question above stands all the same.
    still_open = [
        best for best in open_orders if not any(set(each) <= set(formats) for each in best.values())
    ]
    if still_open:
        proven = {order_of(written) for written in formats}
        ways = dict.fromkeys(order for best in still_open for order in best)
        for order in sorted(ways, key=lambda order: order not in proven):
            added = [written for best in still_open for written in best.get(order, ())]
            alike = "  # as the other days" if order in proven else ""
            listed = list(dict.fromkeys([*formats, *added]))
            lines.append(f"# dates = {json.dumps(listed)}{alike}")
        return lines, []
    if not formats or formats == [ISO]:
        return lines, []
    return [*lines, f"dates = {json.dumps(formats)}"], formats


def n_of_short_years(days: Days) -> int:
    """How many cells are days with a year of two digits, whose century would be guessed."""
    return max((n for written, n in days.fits.items() if "%y" in written), default=0)


def orders_of(days: Days) -> dict[str, tuple[int, list[str]]]:
    """By the order of day, month and year: how many rows its formats read together, and which.

    Formats of one order differ by their signs and times, so that no cell fits two of them. ISO 8601
    stands beside each.
    """
    n_iso = days.fits.get(ISO, 0)
    iso = [ISO] if n_iso else []
    orders: dict[str, tuple[int, list[str]]] = {}
    for written, n in days.fits.items():
        if written != ISO:
            total, formats = orders.get(order_of(written), (n_iso, iso))
            # May is written alike in short and in full.
            orders[order_of(written)] = (min(total + n, days.n_cell), [*formats, written])
    return orders or ({ISO: (n_iso, iso)} if n_iso else {})


def order_of(date_format: str) -> str:
    """Which of day, month and year comes first, second and third."""
    return re.sub("%[^dmybBY]|[^dmybBY]", "", date_format).lower().replace("b", "m")


def lines_of_columns(
    table: Table, columns: Mapping[str, int]
) -> tuple[list[str], dict[str, str | list[str]]]:
    """The names of the columns that are called otherwise than in the contract."""
    made = {column: [column] for column in columns}
    lines: list[str] = []
    key = next((name for name in ("result_id", "medication_id") if name in columns), None)
    if key is not None:
        made[key], lines = key_of_rows(table, columns, key)
    if repeated := repeated_names(table, columns):
        places = {name: [columns[part] + 1 for part in parts] for name, parts in made.items()}
        by_number = {name: many[0] if len(many) == 1 else many for name, many in places.items()}
        lines += [
            f"# its header names {' and '.join(quoted(name) for name in repeated)} more than once: "
            "choose the columns by their numbers,",
            "# for without a header, whose line is skipped, numbers are read:",
            f"# skip_lines = {table.n_skipped + 1}",
            "# header = false",
            f"# columns = {inline(by_number)}",
        ]
        return lines, {
            name: [numbered_column(place) for place in many] for name, many in places.items()
        }
    named: dict[str, str | list[str]] = {}
    for column, parts in made.items():
        names_of_parts = [table.names[columns[part]] for part in parts]
        if len(parts) > 1:
            named[column] = names_of_parts
        elif fold(names_of_parts[0]) != column:
            named[column] = names_of_parts[0]
    if named:
        lines.append(f"columns = {inline(named)}")
    return lines, named


def repeated_names(table: Table, columns: Mapping[str, int]) -> list[str]:
    """The names of columns that are used and that the header holds more than once."""
    used = {table.names[place] for place in columns.values()}
    return sorted(name for name in used if table.names.count(name) > 1)


def key_of_rows(table: Table, columns: Mapping[str, int], key: str) -> tuple[list[str], list[str]]:
    """The columns of the contract that make the key of a row, and what has to be said of it.

    Two rows of one key are one result, the later a correction of the earlier: a number that is
    used again for other people or days would put one's result in the place of another's.
    """
    moment = "collected_at" if key == "result_id" else "started_on"
    cells = table.cells.select(
        pl.col(f"c{columns[part]}").alias(part)
        for part in (key, "code", moment, "patient_id")
        if part in columns
    ).filter(pl.col(key) != "")
    if moment in columns:
        day = pl.col(moment).str.replace(CLOCK, "").str.replace("^([0-9]{8})[0-9]{4,6}$", "$1")
        cells = cells.with_columns(day=day)
    n_repeated = n_repeating(cells, [key])
    if not n_repeated:
        return [key], []
    said = f"# {n_repeated} rows repeat the {key} of another"
    parts = [key]
    n_left = n_repeating(cells, [key, "code"]) if "code" in columns else n_repeated
    if n_left < n_repeated:
        parts.append("code")
        said += f"; with the code {n_left} do, so the key is made of both"
    if "patient_id" not in columns:
        said += "; without patient_id nobody can tell whether it is used again for other people"
        return parts, [said]
    n_people = n_repeating(cells, parts, "patient_id")
    n_days = n_repeating(cells, parts, "day") if "day" in cells.columns else 0
    if n_people or n_days:
        # The code too, where one order of this file has one test: another may have more.
        wanted = [key, "code", moment, *(["patient_id"] if n_people else [])]
        parts = [part for part in wanted if part in columns]
        who = " or ".join(word for word, n in (("people", n_people), ("days", n_days)) if n)
        told = said.partition(", so the key")[0]
        more = f": a row whose {moment} is corrected would become a second one"
        return parts, [
            f"{told}. It is used again for other {who}: the key is made of {', '.join(parts)}",
            f"# ask the sender whether that is so{more if moment in parts else ''}",
        ]
    if n_left:
        said += ": corrections, or a key that is none"
    several = n_repeating(cells, [key], "patient_id")
    lines = [said]
    if several:
        lines.append(
            f"# the {key} alone is several people's: ask the sender whether it is used again"
        )
    return parts, lines


def n_repeating(cells: pl.DataFrame, parts: Sequence[str], differing: str = "") -> int:
    """How many rows repeat the key of another; with a column, how many more of its cells there are.

    A key that has two different cells in the column counts one.
    """
    if not differing:
        return cells.height - cells.select(parts).n_unique()
    return cells.select(*parts, differing).n_unique() - cells.select(parts).n_unique()


def lines_of_missing_keys(table: Table, columns: Mapping[str, int], kind: str) -> list[str]:
    """What is called like a key that was not found, and why it is none.

    One person under several numbers, or several under one, is a wrong list and no rejected row.
    """
    missing = [key for key in KEYS if key in extract_columns(kind) and key not in columns]
    lines: list[str] = []
    for place, name in enumerate(table.names):
        cells = table.cells[f"c{place}"]
        filled = cells.filter(cells != "")
        if "patient_id" in missing and is_case(name) and filled.len() and not days_of(filled).fits:
            lines += [
                f"# {quoted(name)} is the number of a case, which changes with every admission: "
                "one person would be many.",
                "# Ask the sender for the person's own number; not among the columns above:",
                f"# patient_id = {quoted(name)}",
            ]
        elif any(name_score(key, name) for key in missing) and holds_names(cells):
            lines += [
                f"# {quoted(name)} holds what looks like names, which are no key: two people may "
                "have one, and one person two.",
                "# Ask the sender for a number.",
            ]
    return [*lines, NO_CODES_SHOWN] if lines and "patient_id" in missing else lines


def lines_of_no_status(table: Table, columns: Mapping[str, int], kind: str) -> list[str]:
    """What may be a status and is left out: without one every result counts as final."""
    if kind != "labs" or "status" in columns:
        return []
    lines: list[str] = []
    for place, name in enumerate(table.names):
        if name_score("status", name) < KNOWN or place in columns.values():
            continue
        is_empty = not (table.cells[f"c{place}"] != "").any()
        why = "is empty" if is_empty else "holds no word that is known of a status"
        lines.append(
            f"# {quoted(name)} {why} and is left out, so that every result counts as final: ask "
            "the sender"
        )
    return lines


def lines_of_words(
    table: Table, columns: Mapping[str, int], column: str, spelled: Mapping[str, Sequence[str]]
) -> tuple[list[str], dict[str, str]]:
    """The file's words for closed ones; unknown ones are told where they are many people's."""
    meaning = {spelling: word for word, many in spelled.items() for spelling in many}
    contract = {*lookups.statuses()["spelling"]} if column == "status" else {*words.SEXES, "f", "m"}
    cells = table.cells[f"c{columns[column]}"]
    folded = cells.str.to_lowercase()
    found: dict[str, str] = {}
    lines: list[str] = []
    n_unsaid = 0
    counts = folded.value_counts().sort("count", cells.name, descending=[True, False])
    for word, n in counts.iter_rows():
        if word in contract:
            continue
        if word in meaning:
            found[word] = meaning[word]
        elif word == "":
            lines.append(f"# {column} is blank in {n} rows, which are rejected")
        elif may_be_said(table, columns, folded == word):
            lines.append(f"# {column} {quoted(word)} stands in {n} rows: what does it mean?")
        else:
            n_unsaid += n
    if n_unsaid:
        lines.append(f"# {column}: {n_unsaid} rows hold rarer words, which are not shown")
    return lines, found


def may_be_said(table: Table, columns: Mapping[str, int], rows: pl.Series) -> bool:
    """Whether a word stands in enough rows of enough people to be no secret of one of them."""
    if "patient_id" not in columns or rows.sum() < FEWEST_RESULTS:
        return False
    people = table.cells[f"c{columns['patient_id']}"].filter(rows)
    return people.filter(people != "").n_unique() >= FEWEST_PEOPLE


def identifier_lines(table: Table, columns: Mapping[str, int]) -> list[str]:
    """A question where numbers of people differ in length: noughts may have been lost."""
    if "patient_id" not in columns:
        return []
    cells = table.cells[f"c{columns['patient_id']}"]
    digits = cells.filter(cells.str.contains("^[0-9]+$")).str.len_chars()
    lengths = sorted(set(digits))
    if digits.len() < FEWEST_RESULTS or len(lengths) < 2:
        return []
    return [
        f"# the numbers of the patients have {lengths[0]} to {lengths[-1]} digits: if leading "
        "noughts were lost,",
        f"# ids = {{patient_id = {{pad = {lengths[-1]}}}}}",
    ]


def lines_of_the_rest(table: Table, used: Set[int]) -> list[str]:
    """The columns that nothing was made of, so that a person sees what the proposal missed."""
    # By their places: where the first line is no header after all, its names are a row's.
    rest = [
        f"{place + 1} ({table.cells[f'c{place}'].n_unique()} different)"
        for place, name in enumerate(table.names)
        if name and place not in used
    ]
    if not used or not rest:
        # Where no name is known it may be no header.
        return []
    more = f" and {len(rest) - MOST_REST} more" if len(rest) > MOST_REST else ""
    return [f"# Columns not used: {', '.join(rest[:MOST_REST])}{more}"]


def may_be_text(path: Path) -> bool:
    """Whether a file may be delimited text: its name promises no messages and no Parquet."""
    return all(extract.form == "csv" for extract in recognised(path, path.name))
