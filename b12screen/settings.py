"""What a site is set to: `b12screen.toml`, read once, checked completely, never changed here.

Refuses a key it does not know, a value of another type and a timezone that does not exist, and
names the key and the reason. Holds no clinical number: those stand in the ruleset.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from b12screen.date_formats import DIRECTIVES, ISO, date_pattern
from b12screen.errors import CannotWrite, SettingsInvalid, UsageError
from b12screen.maps import (
    CONDITION_SYSTEMS,
    DRUG_SYSTEMS,
    NEURO_GROUPS,
    NEURO_TIERS,
    OTHER_GROUPS,
    SUBSTANCES,
)
from schemas import words
from schemas.words import ANALYTES

SETTINGS_FILE = "b12screen.toml"

SHIPPED_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
GROUP_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}\$?")
LABORATORY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

LOOPBACK = (("http", "localhost"), ("http", "127.0.0.1"), ("http", "::1"))

Share = Annotated[float, Field(ge=0, le=1)]

ENCODINGS = ("utf-8", "latin-1", "windows-1252", "cp850", "utf-16", "utf-16-le", "utf-16-be")
DECIMALS = (".", ",")
# A column of a file without a header, as messages and the kept rows call it.
NUMBERED_COLUMN = re.compile("column [1-9][0-9]*")
THOUSANDS = ("", ".", ",", " ", "'", "\u2019", "\u00a0", "\u202f")
# The closed words that a sender may spell in its own way; a specimen has no closed list.
OWN_WORDS: dict[str, tuple[str, ...]] = {
    "status": words.STATUSES,
    "specimen": (),
    "sex": words.SEXES,
    "opted_out": ("true", "false"),
    "code_system": (),
    "kind": words.MEDICATION_KINDS,
    "dose_unit": words.DOSE_UNITS,
    "route": words.ROUTES_OF_ADMINISTRATION,
    "decision": words.DECISIONS,
}
# What stands between the columns of a sender that make one of the contract's: order number and test
# make a key, a day and its time a moment, a comparator and its number a value.
JOINED_BY = {
    "result_id": "/", "medication_id": "/", "collected_at": " ", "reported_at": " ",
    "recorded_on": " ", "started_on": " ", "value": "",
}  # fmt: skip
# What tells rows and people apart is never the same in all rows.
NEVER_CONSTANT = ("result_id", "medication_id", "patient_id")


class Section(BaseModel):
    """A table of the settings file: closed, frozen, and of exactly the types that TOML gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Publish(Section):
    """Who may read what is published, and how long what is kept.

    Published nights and archives for replays are counted in nights, replays in days.
    """

    group: str | None = None
    keep_nights: Annotated[int, Field(ge=1)] = 30
    keep_archive_nights: Annotated[int, Field(ge=1)] = 400
    keep_replay_days: Annotated[int, Field(ge=1)] = 30

    @field_validator("group")
    @classmethod
    def group_is_a_name(cls, group: str | None) -> str | None:
        if group is not None and not GROUP_NAME.fullmatch(group):
            raise ValueError("is not the name of a group")
        return group


class Limits(Section):
    """Memory in MB, cells in bytes, decompressed extracts in GB; shares are of the rows read.

    ``max_rows`` is of one file, whatever becomes of its rows.
    """

    memory_mb: Annotated[int, Field(ge=200, le=100_000_000)] = 900
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    reject_share: Share = 0.05
    reject_rows: Annotated[int, Field(ge=1)] = 20
    max_cell_bytes: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 1_000_000
    max_rows: Annotated[int, Field(ge=1)] = 500_000_000
    max_decompressed_gb: Annotated[float, Field(gt=0)] = 50

    @property
    def max_decompressed_bytes(self) -> int:
        """The same in bytes."""
        return int(self.max_decompressed_gb * 1_000_000_000)


class Freshness(Section):
    """Days after which a feed is stale: the night minus the newest day it tells about."""

    labs_days: Annotated[int, Field(ge=0)] = 3
    patients_days: Annotated[int, Field(ge=0)] = 35
    conditions_days: Annotated[int, Field(ge=0)] = 35
    medications_days: Annotated[int, Field(ge=0)] = 35


class Alarms(Section):
    """When a feed is said to be no longer as it usually is; none of these stops a night."""

    past_days: Annotated[int, Field(ge=14, le=366)] = 56
    recent_days: Annotated[int, Field(ge=1, le=90)] = 14
    least_rows: Annotated[int, Field(ge=5)] = 20
    volume_low: Annotated[float, Field(ge=0, le=1)] = 0.5
    volume_high: Annotated[float, Field(ge=1)] = 2.0
    share_rise: Annotated[float, Field(gt=0, le=1)] = 0.1
    median_change: Annotated[float, Field(gt=0)] = 0.2
    raised_pairs: Share = 0.15
    unknown_people: Share = 0.2
    least_pairs: Annotated[int, Field(ge=1)] = 50
    silent_nights: Annotated[int, Field(ge=1)] = 3


class Hl7v2(Section):
    """Which identifier of an HL7 v2 message (PID-3) is the patient's."""

    identifier_type: Annotated[str, Field(min_length=1)] = "MR"
    assigning_authority: Annotated[str, Field(min_length=1)] | None = None


class Fhir(Section):
    """Whose key a FHIR resource carries: its id, or the identifier of a system named here."""

    patient_identifier: str | None = None
    result_identifier: str | None = None


class Feedback(Section):
    """How the clinics' spreadsheets write a day of which both day and month could be the month."""

    date_order: Literal["day-first", "month-first"] | None = None


class Notify(Section):
    """Who is told of a night that fails, finds something or does not come; nobody by default."""

    command: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    webhook: str | None = None

    @field_validator("webhook")
    @classmethod
    def webhook_is_a_safe_address(cls, webhook: str | None) -> str | None:
        if webhook is None:
            return None
        try:
            parts = urlsplit(webhook)
            whole = bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole or parts.username is not None or not re.fullmatch(r"[!-~]+", webhook):
            raise ValueError("is not an address like https://example.org/hook")
        if parts.scheme != "https" and (parts.scheme, parts.hostname) not in LOOPBACK:
            raise ValueError("is not an https address, nor an http address of this machine")
        return webhook


class LocalTest(Section):
    """What a laboratory's own code measures; `unit` speaks only where the cell is blank."""

    analyte: str
    unit: str | None = None
    specimen: str | None = None

    @field_validator("analyte")
    @classmethod
    def analyte_is_known(cls, analyte: str) -> str:
        if analyte not in ANALYTES:
            raise ValueError("is not an analyte; one of " + ", ".join(ANALYTES))
        return analyte


class Accepted(Section):
    """What a reviewer said of a test that no map names, as one unit of it is sent.

    ``unit_as_sent`` blank: ``unit`` is meant where the cell is blank. ``unit`` blank: as is sent.
    A row whose decision is `ignore` maps nothing; it is only not asked about again.
    """

    laboratory: str
    code_system: str
    code: Annotated[str, Field(min_length=1)]
    unit_as_sent: str = ""
    decision: Literal["accept", "ignore"] = "accept"
    analyte: str = ""
    unit: str = ""
    specimen: str = ""
    note: str = ""
    accepted_on: date

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What the row speaks of."""
        return self.laboratory, self.code_system, self.code, self.unit_as_sent

    @model_validator(mode="after")
    def accepted_has_an_analyte(self) -> Self:
        if self.decision == "accept" and self.analyte not in ANALYTES:
            raise ValueError("analyte is none of " + ", ".join(ANALYTES))
        return self


class IdRule(Section):
    """How an identifier is made equal to the one other extracts use: cut a prefix, pad digits."""

    strip_prefix: str = ""
    pad: Annotated[int, Field(ge=1, le=64)] | None = None


class OwnFiles(Section):
    """Files of a laboratory that are written its own way, and how they are read.

    `columns` gives the file's name for a column of the contract, or in a file without a header its
    number, the first being 1; `constants` what stands in a column that the file lacks. Cells that
    do not fit what is said here are rejected, not guessed.
    """

    files: Annotated[list[str], Field(min_length=1)]
    kind: str | None = None
    encoding: str = "utf-8"
    skip_lines: Annotated[int, Field(ge=0, le=1_000)] = 0
    header: bool = True
    separator: str | None = None
    quote: str = '"'
    decimal: str = "."
    thousands: str = ""
    dates: list[str] = []
    columns: dict[str, str | list[str]] = {}
    constants: dict[str, str] = {}
    words: dict[str, dict[str, str]] = {}
    ids: dict[str, IdRule] = {}

    @property
    def n_before(self) -> int:
        """The lines that stand before the first row."""
        return self.skip_lines + self.header

    @model_validator(mode="before")
    @classmethod
    def columns_without_a_header_are_numbered(cls, said: Any) -> Any:
        if not isinstance(said, dict) or said.get("header") is not False:
            return said
        columns = said.get("columns")
        if not isinstance(columns, dict) or not columns:
            raise ValueError("without a header, columns gives the number of each; the first is 1")
        numbered: dict[str, list[str]] = {}
        for name, places in columns.items():
            numbered[name] = []
            for place in places if isinstance(places, list) else [places]:
                if isinstance(place, str) and NUMBERED_COLUMN.fullmatch(place):
                    numbered[name].append(place)
                elif isinstance(place, int) and not isinstance(place, bool) and place > 0:
                    numbered[name].append(numbered_column(place))
                else:
                    raise ValueError(
                        f"columns.{name}: without a header a column is a number; the first is 1"
                    )
        return said | {"columns": numbered}

    @field_validator("files")
    @classmethod
    def files_lie_below_the_inbox(cls, files: list[str]) -> list[str]:
        for pattern in files:
            parts = pattern.split("/")
            if "\\" in pattern or not {"", ".", ".."}.isdisjoint(parts):
                raise ValueError(
                    "is a path below the inbox such as lab-a/*.csv, with / and without . or .."
                )
        return files

    @field_validator("kind")
    @classmethod
    def kind_is_known(cls, kind: str | None) -> str | None:
        return None if kind is None else one_of(kind, words.EXTRACT_KINDS)

    @field_validator("encoding")
    @classmethod
    def encoding_is_known(cls, encoding: str) -> str:
        return one_of(encoding, ENCODINGS)

    @field_validator("decimal")
    @classmethod
    def decimal_is_known(cls, decimal: str) -> str:
        return one_of(decimal, DECIMALS)

    @field_validator("thousands")
    @classmethod
    def thousands_is_known(cls, thousands: str) -> str:
        if thousands not in THOUSANDS:
            raise ValueError("is none of . , ' and a blank")
        return thousands

    @field_validator("separator")
    @classmethod
    def separator_is_one_character(cls, separator: str | None) -> str | None:
        if separator is not None and (
            len(separator) != 1 or separator.isalnum() or separator in "\r\n\0\ufeff"
        ):
            raise ValueError("is not one character that can stand between cells")
        return separator

    @field_validator("quote")
    @classmethod
    def quote_is_one_character(cls, quote: str) -> str:
        if quote and (
            len(quote) != 1 or not quote.isascii() or quote.isalnum() or quote in "\r\n\0"
        ):
            raise ValueError('is not one character, nor "" for a file without quotes')
        return quote

    @field_validator("dates")
    @classmethod
    def dates_are_formats(cls, dates: list[str]) -> list[str]:
        for date_format in dates:
            if date_format != ISO and date_pattern(date_format) is None:
                raise ValueError(
                    "holds what is neither iso nor a format with a day, a month and a year, "
                    f"made of {' '.join(DIRECTIVES)}"
                )
        return dates

    @field_validator("words")
    @classmethod
    def words_are_of_the_contract(
        cls, own_words: dict[str, dict[str, str]]
    ) -> dict[str, dict[str, str]]:
        for column, spellings in own_words.items():
            if column not in OWN_WORDS:
                raise ValueError(f"{column} is none of " + ", ".join(OWN_WORDS))
            if len({fold(spelling) for spelling in spellings}) < len(spellings):
                raise ValueError(f"{column}: two spellings differ only by case")
            closed = OWN_WORDS[column]
            if closed and not set(spellings.values()) <= set(closed):
                raise ValueError(f"{column}: a word is none of " + ", ".join(closed))
        return own_words

    @model_validator(mode="after")
    def signs_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same sign")
        if self.separator is not None and self.separator == self.quote:
            raise ValueError("separator and quote are the same sign")
        return self

    @model_validator(mode="after")
    def columns_are_of_the_contract(self) -> Self:
        # Its import takes as long as the rest of a short command, and few sites need it.
        from schemas.extracts import extract_columns

        kinds = words.EXTRACT_KINDS if self.kind is None else (self.kind,)
        known = {name for kind in kinds for name in extract_columns(kind)} - {"laboratory"}
        for title, named in (
            ("columns", self.columns),
            ("constants", self.constants),
            ("words", self.words),
            ("ids", self.ids),
        ):
            strange = sorted(set(named) - known)
            if strange:
                near = difflib.get_close_matches(strange[0], sorted(known), n=1)
                raise ValueError(
                    f"{title}.{strange[0]} is no column of {' or '.join(kinds)}"
                    + (f"; meant is perhaps {near[0]}" if near else "")
                )
        for name, sources in self.columns.items():
            listed = [sources] if isinstance(sources, str) else sources
            if not listed or not all(source.strip() for source in listed):
                raise ValueError(f"columns.{name} names no column")
            if len(listed) > 1 and name not in JOINED_BY:
                raise ValueError(
                    f"columns.{name}: only {', '.join(JOINED_BY)} may be made of several columns"
                )
        strange = sorted(name for name in self.ids if not name.endswith("_id"))
        if strange:
            raise ValueError(f"ids.{strange[0]} is no identifier")
        for name in NEVER_CONSTANT:
            if name in self.constants:
                raise ValueError(f"constants.{name}: rows with one {name} could not be told apart")
        twice = sorted(self.columns.keys() & self.constants.keys())
        if twice:
            raise ValueError(f"{twice[0]} stands in columns and in constants")
        return self


def numbered_column(place: int) -> str:
    """What a column of a file without a header is called; the first is 1."""
    return f"column {place}"


def one_of(word: str, closed: tuple[str, ...]) -> str:
    """The word itself; ValueError where it is not one of a closed list."""
    if word not in closed:
        raise ValueError("is none of " + ", ".join(closed))
    return word


def fold(spelling: str) -> str:
    """A word as words are compared: trimmed, lower case."""
    return spelling.strip().lower()


class Laboratory(Section):
    """One laboratory: its own codes, and the units of tests whose unit cell it leaves blank."""

    reject_share: Share | None = None
    # Instead of `freshness.labs_days`, say of one that reports once a week.
    fresh_days: Annotated[int, Field(ge=0)] | None = None
    code_system: str | None = None
    sending_facilities: list[str] = []
    fhir_system: str | None = None
    fhir_performers: list[str] = []
    csv: list[OwnFiles] = []
    tests: dict[str, LocalTest] = {}
    default_units: dict[str, str] = {}

    @model_validator(mode="after")
    def own_tests_have_a_code_system(self) -> Self:
        if self.tests and self.code_system is None:
            raise ValueError("has tests of its own, so it needs the name of its code_system")
        return self


class OwnCondition(Section):
    """What a condition code of the site means; a neurological group needs a tier, others none."""

    group: str
    tier: str = ""
    meaning: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def group_and_tier_are_known(self) -> Self:
        if self.group not in (*NEURO_GROUPS, *OTHER_GROUPS):
            raise ValueError(
                "group is none of " + ", ".join(sorted((*NEURO_GROUPS, *OTHER_GROUPS)))
            )
        if self.group in NEURO_GROUPS and self.tier not in NEURO_TIERS:
            raise ValueError("a neurological group needs a tier: " + ", ".join(NEURO_TIERS))
        if self.group in OTHER_GROUPS and self.tier:
            raise ValueError("only a neurological group has a tier")
        return self


class OwnDrug(Section):
    """Which cobalamin, or folic acid, a drug code of the site stands for."""

    substance: str
    meaning: Annotated[str, Field(min_length=1)]

    @field_validator("substance")
    @classmethod
    def substance_is_known(cls, substance: str) -> str:
        if substance not in SUBSTANCES:
            raise ValueError("is none of " + ", ".join(SUBSTANCES))
        return substance

    @property
    def is_b12(self) -> bool:
        return self.substance != "folic_acid"

    @property
    def is_folic_acid(self) -> bool:
        return self.substance in ("folic_acid", "b12_with_folic_acid")


class Settings(Section):
    """Everything a site may set. The defaults work unedited."""

    timezone: str = "UTC"
    ruleset: str = "praxis-2025"
    medications_complete_from: date | None = None
    publish: Publish = Publish()
    limits: Limits = Limits()
    freshness: Freshness = Freshness()
    alarms: Alarms = Alarms()
    hl7v2: Hl7v2 = Hl7v2()
    fhir: Fhir = Fhir()
    feedback: Feedback = Feedback()
    notify: Notify = Notify()
    laboratories: Annotated[dict[str, Laboratory], Field(min_length=1)] = {"main": Laboratory()}
    conditions: dict[str, dict[str, OwnCondition]] = {}
    drugs: dict[str, dict[str, OwnDrug]] = {}
    # From the site's maps folder; no key of the settings file.
    accepted: tuple[Accepted, ...] = ()

    @field_validator("conditions")
    @classmethod
    def condition_systems_are_known(
        cls, conditions: dict[str, dict[str, OwnCondition]]
    ) -> dict[str, dict[str, OwnCondition]]:
        if not conditions.keys() <= set(CONDITION_SYSTEMS):
            raise ValueError("a code system is none of " + ", ".join(CONDITION_SYSTEMS))
        return conditions

    @field_validator("drugs")
    @classmethod
    def drug_systems_are_known(
        cls, drugs: dict[str, dict[str, OwnDrug]]
    ) -> dict[str, dict[str, OwnDrug]]:
        if not drugs.keys() <= set(DRUG_SYSTEMS):
            raise ValueError("a code system is none of " + ", ".join(DRUG_SYSTEMS))
        return drugs

    @field_validator("timezone")
    @classmethod
    def timezone_exists(cls, timezone: str) -> str:
        try:
            # Files beside the zones, as a system has them, that the engine does not know.
            if timezone.split("/")[0] in ("posix", "right", "posixrules", "localtime"):
                raise KeyError(timezone)
            ZoneInfo(timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError("is not a timezone; write one like Europe/London or UTC") from None
        return timezone

    @field_validator("ruleset")
    @classmethod
    def ruleset_is_named(cls, ruleset: str) -> str:
        if SHIPPED_NAME.fullmatch(ruleset):
            return ruleset
        path = PurePosixPath(ruleset)
        if path.suffix != ".toml" or path.is_absolute() or ".." in path.parts:
            raise ValueError("is neither the name of a shipped ruleset nor a .toml inside the site")
        return ruleset

    @field_validator("laboratories")
    @classmethod
    def laboratories_are_named(cls, laboratories: dict[str, Laboratory]) -> dict[str, Laboratory]:
        for name in laboratories:
            if not LABORATORY_NAME.fullmatch(name):
                raise ValueError("a laboratory's name is letters, digits, '-', '_' and '.'")
        return laboratories

    @field_validator("laboratories")
    @classmethod
    def senders_are_one_laboratorys(
        cls, laboratories: dict[str, Laboratory]
    ) -> dict[str, Laboratory]:
        every = laboratories.values()
        for what, senders in (
            (
                "a sending facility",
                [{name.strip().lower() for name in each.sending_facilities} for each in every],
            ),
            # A reference means something else in other letters.
            ("a FHIR performer", [set(each.fhir_performers) for each in every]),
        ):
            if len(set().union(*senders)) < sum(map(len, senders)):
                raise ValueError(f"two of them have {what} in common")
        return laboratories


INITIAL_SETTINGS = """\
# Settings of one site. Everything that is commented out shows its default, or an example where the
# default is none.

# Days and the night are counted in this timezone.
timezone = "UTC"

# A ruleset that b12screen ships (praxis-2025, ng239-2024), or a .toml of your own inside this
# folder, whole or based_on a shipped one. Try it first: b12screen compare SITE --rules R
ruleset = "praxis-2025"

# The day from which the medications extracts are complete. A treatment that starts soon
# after it may have started before, so it gets no loading rows and no baseline.
# medications_complete_from = 2024-01-01

[publish]
# The group that may read published/; the running user has to be in it. Without one it is the
# running user's own group.
# group = "b12-readers"
# keep_nights = 30
# For how many nights store/ keeps what `b12screen replay` needs beside the takings.
# keep_archive_nights = 400
# After how many days a night removes what `replay` and `compare` have written to replays/.
# keep_replay_days = 30

[limits]
# memory_mb = 900
# threads = 2
# A file with at least reject_rows rejected rows, and more than reject_share of its rows, is held.
# reject_share = 0.05
# reject_rows = 20
# A longer cell rejects its row; more rows, or more text, reject the whole file.
# max_cell_bytes = 1000000
# max_rows = 500000000
# max_decompressed_gb = 50.0

[freshness]
# Days after which a feed is called stale.
# labs_days = 3
# patients_days = 35
# conditions_days = 35
# medications_days = 35

[alarms]
# When a feed is said to be no longer as it usually is. Nothing of it stops a night.
# past_days = 56
# recent_days = 14
# least_rows = 20
# Rows of a night against the same weekday's usual.
# volume_low = 0.5
# volume_high = 2.0
# How far a share (rejected, without a unit, beyond a limit) or a median may move.
# share_rise = 0.1
# median_change = 0.2
# Both MMA and homocysteine raised though the kidneys are normal, as a share of such pairs.
# raised_pairs = 0.15
# People of conditions or medications whom no patients extract names.
# unknown_people = 0.2
# least_pairs = 50
# silent_nights = 3

[hl7v2]
# The identifier of PID-3 that is the patient's: of this type and, where one is set, of this
# assigning authority. Without one of this type the first is taken.
# identifier_type = "MR"
# assigning_authority = "HOSPITAL"
[fhir]
# A patient, and a result, is known by the resource's id; or by the identifier of this system. Ids
# hold within one folder of the inbox: give each server a folder.
# patient_identifier = "https://example.org/patient-number"
# result_identifier = "https://example.org/result-number"

[feedback]
# Spreadsheets write days their own way. 28/11/2026 can only be one day; 05/11/2026 is refused
# unless this says how the clinics' spreadsheets write it: "day-first" or "month-first".
# date_order = "day-first"

[notify]
# Who is told when a night fails, finds something or does not come (doctor --expect). The command
# gets the text as its input; {site}, {night} and {exit_code} in its words are replaced. The address
# gets JSON with the same. Neither is told anything of a patient.
# command = ["mail", "-s", "b12screen {site}: {exit_code}", "oncall@example.org"]
# webhook = "https://example.org/hook"

# One table for each laboratory; the first is meant where an extract names none.
# Codes are LOINC and units are UCUM unless the laboratory says otherwise.
[laboratories.main]
# reject_share = 0.05
# fresh_days = 3          # beside another laboratory; after more days its results are stale
# code_system = "main-local"
# Sending facilities (MSH-4) of its HL7 v2 messages.
# sending_facilities = ["MAINLAB"]
# In FHIR: the system URI of its own codes, and the references that name it as performer.
# fhir_system = "https://example.org/main/codes"
# fhir_performers = ["Organization/main"]

# Units of tests whose unit cell this laboratory leaves blank.
# [laboratories.main.default_units]
# "13964-2" = "nmol/L"

# The laboratory's own codes. Where its code_system is "loinc", also a LOINC code that it uses with
# the other kind of unit, say 2160-0, which means mass, with umol/L.
# [laboratories.main.tests.MMAS]
# analyte = "mma"
# unit = "nmol/L"
# specimen = "serum"

# Files that the laboratory writes its own way; one such table for each way. Files that are UTF-8
# with the contract's column names need none. `b12screen check SITE FILE` proposes one.
# [[laboratories.main.csv]]
# Its files, as paths below the inbox: * stays within a folder, **/ is any folders.
# files = ["lab-a/*.csv", "labs_a_*"]
# What they hold; without it the first word of the file's name says it, else labs are meant. A file
# that has the person in every row of its results gets two tables: one of labs, one of patients.
# kind = "labs"
# utf-8, latin-1, windows-1252, cp850, utf-16 (marked), utf-16-le, utf-16-be
# encoding = "windows-1252"
# Lines before the header that are no part of the table; and whether there is a header at all.
# Without one (false), columns below gives their numbers instead of names, the first being 1.
# skip_lines = 2
# header = true
# Without one: comma, semicolon or tab, whichever the header shows.
# separator = ";"
# quote = '"'
# 0,41 and 1.234,5; without a thousands sign 1.234,5 is rejected.
# decimal = ","
# thousands = "."
# Formats of strptime, or iso. Without any, ISO 8601 alone is read. A day that fits two of them
# differently is rejected.
# dates = ["%d.%m.%Y", "%d.%m.%Y %H:%M"]
# The file's names of the contract's columns. Several columns may make a key (A1/B12), a moment (a
# day and its time) or a value (a comparator and its number).
# columns = {result_id = ["Order", "Test"], patient_id = "No", collected_at = ["Day", "Time"]}
# What stands in a column that the file lacks.
# constants = {code_system = "main-local", specimen = "serum"}
# The file's own words for the contract's, in whatever case.
# words = {status = {"endgültig" = "final", "storniert" = "cancelled"}}
# Identifiers as the other extracts write them: without a prefix, digits filled up with noughts.
# ids = {patient_id = {strip_prefix = "P-", pad = 8}}

# Conditions and drugs that the shipped maps do not name; `b12screen unmapped` lists what was sent.
# A code added for a group also says that the feed can tell of that group: add them all or none.
# [conditions.snomed.123456789]
# group = "neuropathy"
# tier = "likely"
# meaning = "polyneuropathy of our own list"
# [drugs.snomed.987654321]
# substance = "hydroxocobalamin"
# meaning = "hydroxocobalamin of our own formulary"
"""


def load_settings(site: Path) -> Settings:
    """The settings of a site. SettingsInvalid names every key that is wrong and why."""
    path = site / SETTINGS_FILE
    if not site.is_dir():
        raise SettingsInvalid(
            f"{site} is not a folder. Nothing was read or published. `b12screen init` makes a site."
        )
    try:
        # Editors that mark a file as UTF-8 are not wrong.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsInvalid(
            f"{site} holds no {SETTINGS_FILE}, so it is not a site. Nothing was read or published. "
            "`b12screen init` makes a site."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(
            f"{path} cannot be read ({type(error).__name__}). Nothing was read or published. "
            "It has to be a text file in UTF-8 that the running user may read."
        ) from None
    try:
        written = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsInvalid(
            f"{path} is not TOML: {error}. Nothing was read or published. Mend that line."
        ) from None
    from b12screen.accepted import accepted_by

    findings = []
    if "accepted" in written:
        findings = ["accepted: is not a key of these settings; `b12screen unmapped --accept`"]
        del written["accepted"]
    try:
        settings = Settings.model_validate(written)
        if not findings:
            return settings.model_copy(update={"accepted": accepted_by(site)})
    except ValidationError as error:
        findings += [finding(problem) for problem in error.errors(include_url=False)]
    noun = "setting is" if len(findings) == 1 else "settings are"
    raise SettingsInvalid(
        f"{len(findings)} {noun} wrong in {path}: "
        + "; ".join(findings)
        + ". Nothing was read or published. Mend the file and run again."
    )


def notify_of(site: Path) -> Notify:
    """Who is told of nights, also where the other settings are wrong; nobody where that is not
    known.
    """
    try:
        written = tomllib.loads((site / SETTINGS_FILE).read_text(encoding="utf-8-sig"))
        return Notify.model_validate(written.get("notify", {}))
    except (OSError, ValueError, RecursionError):
        return Notify()


def finding(problem: Mapping[str, Any]) -> str:
    """One wrong setting as `key.path: reason`, without the value that was written."""
    path = [str(part) for part in problem["loc"]]
    reason = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        known = known_keys(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        reason = "is not a key of these settings" + (
            f"; meant is perhaps {near[0]}" if near else ""
        )
    elif not problem["msg"].startswith("Value error, "):
        reason = reason[:1].lower() + reason[1:]
    return f"{'.'.join(path)}: {reason}"


def known_keys(path: list[str]) -> list[str]:
    """The keys that may stand at a place of the settings file."""
    sections: dict[str, type[Section]] = {
        "publish": Publish,
        "limits": Limits,
        "freshness": Freshness,
        "alarms": Alarms,
        "hl7v2": Hl7v2,
        "fhir": Fhir,
        "feedback": Feedback,
        "notify": Notify,
    }
    match path:
        case []:
            return [name for name in Settings.model_fields if name != "accepted"]
        case [name]:
            return list(sections[name].model_fields) if name in sections else []
        case ["laboratories", _]:
            return list(Laboratory.model_fields)
        case ["laboratories", _, "tests", _]:
            return list(LocalTest.model_fields)
        case ["laboratories", _, "csv", _]:
            return list(OwnFiles.model_fields)
        case ["laboratories", _, "csv", _, "ids", _]:
            return list(IdRule.model_fields)
        case ["conditions", _, _]:
            return list(OwnCondition.model_fields)
        case ["drugs", _, _]:
            return list(OwnDrug.model_fields)
    return []


def make_site(site: Path) -> None:
    """An empty site in a folder that is new or empty; anything else is left as it is.

    `store/` is private from its first moment, as it will hold patient data.
    """
    try:
        if site.exists() and (not site.is_dir() or any(site.iterdir())):
            raise UsageError(
                f"{site} exists and is not an empty folder. Nothing in it was changed. "
                "Name a new folder for the site."
            )
        site.mkdir(parents=True, exist_ok=True)
        (site / "inbox").mkdir()
        (site / "store").mkdir(mode=0o700)
        (site / "published").mkdir()
        # Whatever the umask: a folder that is found closed further stays so, and no group gets in.
        (site / "published").chmod(0o750)
        # It may come to hold the address of a webhook, and names a command that nights run.
        (site / SETTINGS_FILE).touch(mode=0o640)
        (site / SETTINGS_FILE).write_text(INITIAL_SETTINGS, encoding="utf-8")
    except OSError as error:
        raise CannotWrite(
            f"The site {site} could not be made ({error.strerror}). Nothing was published. "
            "Check the permission of the folder and the free disk space."
        ) from None
