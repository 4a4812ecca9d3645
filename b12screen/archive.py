"""The archive of a night: what it was given beside its takings, kept so that it can be replayed.

Takings stay in the store for good, each with the night it was taken for and, where a later one
replaced it, with the night that did. What is not among them is kept here: the history that the
night began with, its rules and settings, what was counted or turned away, and the
manifest of what was sent. It is written before the switch and counts when its generation does.
Private.
"""

import json
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError
from pydantic import ValidationError

import b12screen
from b12screen.errors import AuditFailed, RulesInvalid, SettingsInvalid, UsageError
from b12screen.publish import settle
from b12screen.rules import Ruleset, kept_ruleset
from b12screen.settings import Settings, finding
from b12screen.warehouse import Warehouse
from schemas import ddl
from schemas.declared import LAYERS  # noqa: F401 - declares what RELATIONS holds
from schemas.relation import RELATIONS

# The newest published file holds every earlier run of nights: it is cut from there, not kept again.
CUT_FROM_THE_NEWEST = "history.decision"
TURNED_AWAY = "turned_away"
COUNTED = "core.unmapped_code"
OWN_RULES = "ruleset"
STORE_SIZES = "store.json"
# What a replay reads of every archive, whichever version wrote it.
ALWAYS = ("manifest.json", "settings.json", f"rules/{OWN_RULES}.toml", "history.night.parquet")
_TURNED_AWAY = """
SELECT file.*
FROM run.source_file AS file
WHERE file.reason IS NOT NULL
ORDER BY ALL
"""


def past_relations() -> list[str]:
    """The relations of ``history`` that a night's archive holds as the night knew them."""
    declared = sorted(name for name in RELATIONS if name.startswith("history."))
    return [name for name in declared if name != CUT_FROM_THE_NEWEST]


def keep_rules(folder: Path, ruleset: Ruleset) -> None:
    """The text of the rules that decide the night, with the text of those they are based on."""
    rules = folder / "rules"
    rules.mkdir(mode=0o700, exist_ok=True)
    for name, written in ruleset.files:
        (rules / f"{name or OWN_RULES}.toml").write_bytes(written)


def keep(
    folder: Path, warehouse: Warehouse, settings: Settings, store: Iterable[Path], manifest: Path
) -> None:
    """Everything else, from the finished file; on the disk when this returns."""
    for name in (COUNTED, *past_relations()):
        warehouse.copy_out(ddl.ordered_rows(RELATIONS[name]), folder / f"{name}.parquet")
    warehouse.copy_out(_TURNED_AWAY, folder / f"{TURNED_AWAY}.parquet")
    (folder / "settings.json").write_text(settings.model_dump_json(indent=2), encoding="utf-8")
    sizes = {path.name: path.stat().st_size for path in store}
    (folder / STORE_SIZES).write_text(json.dumps(sizes), encoding="utf-8")
    shutil.copyfile(manifest, folder / "manifest.json")
    settle(folder)


def hold_store(folder: Path, store: Path) -> None:
    """AuditFailed where the store's files are not as long as the night left them."""
    kept = folder / STORE_SIZES
    if not kept.exists():
        return
    try:
        sizes = dict(json.loads(kept.read_bytes()))
    except (ValueError, TypeError):
        raise AuditFailed(
            f"{kept.name} of the last night's archive is damaged: nothing was published, "
            "yesterday's sheets stand; bring store/ back from its backup"
        ) from None
    for name, size in sizes.items():
        found = (store / name).stat().st_size if (store / name).exists() else 0
        if found != size:
            raise AuditFailed(
                f"{name} of the store is damaged: {found:,} bytes, where the last night left "
                f"{size:,}; nothing was published, yesterday's sheets stand; bring store/ back "
                "from its backup"
            )


def hold_whole(folder: Path) -> None:
    """AuditFailed where files of a night's archive are gone or cannot be read."""
    wanted = {folder / name for name in ALWAYS}
    if is_whole(folder / "manifest.json") and version_of(folder) == b12screen.__version__:
        wanted |= {folder / f"{name}.parquet" for name in (TURNED_AWAY, COUNTED, *past_relations())}
    found = {path for path in folder.rglob("*") if path.is_file() and path.name != STORE_SIZES}
    damaged = [path for path in sorted(wanted | found) if not is_whole(path)]
    if damaged:
        named = ", ".join(path.relative_to(folder).as_posix() for path in damaged)
        raise AuditFailed(
            f"{len(damaged)} files of store/nights/{folder.name} are gone or damaged ({named}): "
            "nothing was written, and what was published stands; bring store/nights back from its "
            "backup, or replay another night"
        )


def is_whole(path: Path) -> bool:
    """Whether a file of an archive is there and can be read to its end."""
    try:
        if path.suffix == ".parquet":
            pl.read_parquet(path, glob=False)
        elif path.suffix == ".json":
            json.loads(path.read_bytes())
        else:
            return bool(tomllib.loads(path.read_text(encoding="utf-8-sig")))
    except (OSError, ValueError, PolarsError):
        return False
    return True


def settings_of(folder: Path) -> Settings:
    """The settings that were in force; ``SettingsInvalid`` where this version knows others."""
    try:
        return Settings.model_validate_json((folder / "settings.json").read_bytes())
    except ValidationError as error:
        findings = "; ".join(finding(problem) for problem in error.errors(include_url=False))
        raise SettingsInvalid(
            f"the settings of that night are none of this version ({findings}): nothing was "
            f"written; replay it with version {version_of(folder)}"
        ) from None


def ruleset_of(folder: Path) -> Ruleset:
    """The rules that were in force; ``RulesInvalid`` where this version refuses them."""
    files = {path.stem: path.read_bytes() for path in (folder / "rules").glob("*.toml")}
    files[""] = files.pop(OWN_RULES)
    try:
        return kept_ruleset("of that night", files, str(manifest_of(folder)["ruleset"]))
    except RulesInvalid as error:
        raise RulesInvalid(
            f"{error}\nNothing was written: replay it with version {version_of(folder)}, or by "
            "other rules, with --rules"
        ) from None


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of what was sent."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def version_of(folder: Path) -> str:
    """The version of b12screen that ran the night."""
    return str(manifest_of(folder)["versions"]["b12screen"])


def nights_before(folder: Path) -> list[Any]:
    """The days of the nights that the night knew before it."""
    return pl.read_parquet(folder / "history.night.parquet", glob=False)["as_of"].to_list()


def fill(warehouse: Warehouse, name: str, path: Path) -> None:
    """Fill a declared relation from a file of an archive.

    UsageError where another version kept it with other columns.
    """
    found = set(pl.scan_parquet(path, glob=False).collect_schema()) if path.exists() else set()
    columns = RELATIONS[name].columns
    added = columns.keys() - found
    if not found <= columns.keys() or not all(columns[column].nullable for column in added):
        raise UsageError(
            f"the archive {path.parent.name} holds {name} as version {version_of(path.parent)} had "
            "it, with other columns: nothing was written; replay that night with that version"
        )
    warehouse.fill(name, ddl.read_parquet(str(path)))
