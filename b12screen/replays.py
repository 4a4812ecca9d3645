"""The private folder ``replays/``: nights decided again, one at a time, beside the nights that run.

What is written here is read from published generations and the store, which never change once they
count, so that nothing waits for a night and no night waits for it.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from b12screen.publish import Site, no_replay
from b12screen.rules import Ruleset, load_ruleset

_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9_.-]")


def other_rules(rules: str, root: Path) -> Ruleset:
    """A shipped ruleset by name, or a ``.toml`` of the site or elsewhere.

    Raises ``RulesInvalid`` with every finding.
    """
    inside = rules.endswith(".toml") and (root / rules).resolve().is_relative_to(root.resolve())
    return load_ruleset(rules, root if inside and (root / rules).is_file() else None)


def named(rules: str) -> str:
    """A ruleset's name as part of a folder's name."""
    return _NOT_IN_A_FILE_NAME.sub("_", Path(rules).stem if rules.endswith(".toml") else rules)


@contextmanager
def scratch(site: Site) -> Iterator[Path]:
    """A private folder to build in; one at a time for a site, and whoever comes second is told."""
    site.replays.mkdir(mode=0o700, exist_ok=True)
    site.replays.chmod(0o700)
    with no_replay(site):
        folder = site.building
        # What one that was killed has left.
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "spill").mkdir(mode=0o700, parents=True)
        folder.chmod(0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def put(built: Path, place: Path, scratch: Path) -> None:
    """Give a finished folder its place, for the running user alone; an earlier one goes."""
    for path in [built, *built.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    if place.exists():
        os.replace(place, scratch / f"former-{place.name}")
    os.replace(built, place)
