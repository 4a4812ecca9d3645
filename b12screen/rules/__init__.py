"""Rules as data: load a ruleset, prove it, hand it to SQL as tables, render it for clinicians."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from b12screen.errors import RulesInvalid
from b12screen.rules import model
from b12screen.rules.model import Ruleset
from b12screen.rules.render import render

__all__ = ["Ruleset", "kept_ruleset", "load_ruleset", "render", "shipped_rulesets"]

_SHIPPED = Path(__file__).resolve().parent


def load_ruleset(name_or_path: str, site: Path | None = None) -> Ruleset:
    """Load a shipped ruleset by name, or a site's own by the path of its ``.toml`` inside the site.

    Raises ``RulesInvalid`` with every finding: a ruleset with a finding decides nothing.
    """
    path = _locate(name_or_path, site)
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RulesInvalid(f"ruleset {name_or_path} cannot be read: {reason}") from None
    ruleset = _proved_once(name_or_path, content)
    # A site's own rules never go by the name of shipped ones.
    is_own = path.parent.resolve() != _SHIPPED
    if is_own and ruleset.ruleset in shipped_rulesets():
        return replace(ruleset, ruleset=f"{ruleset.ruleset}-changed")
    return ruleset


def kept_ruleset(named: str, files: Mapping[str, bytes], ruleset: str) -> Ruleset:
    """A ruleset again from the ``files`` of one that was loaded before, by whatever version.

    ``ruleset`` is the name that it went by. What this version ships is not asked. Raises
    ``RulesInvalid`` where this version refuses it.
    """
    return replace(_proved(named, files[""], files.get), ruleset=ruleset)


def shipped_rulesets() -> list[str]:
    """The names of the rulesets that b12screen ships."""
    return sorted(each.stem for each in _SHIPPED.glob("*-*.toml"))


@lru_cache(maxsize=8)
def _proved_once(named: str, content: bytes) -> Ruleset:
    """A replay of many nights asks for the same rules every night; the proof takes a while."""
    return _proved(named, content, _shipped_content)


def _proved(named: str, content: bytes, shipped: model.Shipped) -> Ruleset:
    ruleset, findings = model.read(content, shipped)
    if ruleset is not None:
        findings = ruleset.findings()
    if ruleset is None or findings:
        listed = "".join(f"\n- {finding}" for finding in findings)
        raise RulesInvalid(f"ruleset {named} has {len(findings)} finding(s):{listed}")
    return ruleset


def _shipped_content(name: str) -> bytes | None:
    return (_SHIPPED / f"{name}.toml").read_bytes() if name in shipped_rulesets() else None


def _locate(name_or_path: str, site: Path | None) -> Path:
    if not name_or_path.endswith(".toml"):
        if name_or_path not in shipped_rulesets():
            shipped = ", ".join(shipped_rulesets())
            raise RulesInvalid(f"no ruleset is named {name_or_path}; shipped: {shipped}")
        return _SHIPPED / f"{name_or_path}.toml"
    if site is None:
        return Path(name_or_path)
    path = (site / name_or_path).resolve()
    if not path.is_relative_to(site.resolve()):
        raise RulesInvalid(f"ruleset {name_or_path} does not lie inside the site")
    return path
