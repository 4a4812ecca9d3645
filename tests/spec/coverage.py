"""Which scenarios show each rule: a Markdown table, a row for every permanent id.

A scenario shows a rule that it names and that decides about one of its people in the night.
"""

import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path

from b12screen import rules
from tests.spec.published import SCENARIOS, Published, deciding, nights, published
from tests.spec.reading import Night, Scenario


def permanent_rules() -> dict[str, str]:
    """Every permanent id and what it means."""
    ids = Path(rules.__file__).parent / "ids.toml"
    meanings: dict[str, str] = tomllib.loads(ids.read_text(encoding="utf-8"))["rules"]
    return meanings


def shown(publish: Callable[[Night], Published]) -> dict[str, list[Scenario]]:
    """The scenarios that show each rule."""
    found: dict[str, list[Scenario]] = {rule: [] for rule in permanent_rules()}
    for scenario in SCENARIOS:
        for rule in deciding(scenario, publish(scenario.night)):
            found.setdefault(rule, []).append(scenario)
    return found


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        done = {
            night: published(night, Path(folder) / str(number))
            for number, night in enumerate(nights())
        }
    found, meanings = shown(done.__getitem__), permanent_rules()
    print("| rule | means | scenarios | among them |\n|---|---|---|---|")
    for rule, scenarios in found.items():
        first = "; ".join(f"{each.title} ({each.file}:{each.line})" for each in scenarios[:2])
        cells = (rule, meanings[rule], str(len(scenarios)), first or "-")
        print(f"| {' | '.join(cells)} |")
    lacking = [rule for rule, scenarios in found.items() if not scenarios]
    print(f"\n{len(SCENARIOS)} scenarios; without one: {', '.join(lacking) or 'none'}")
    return 1 if lacking else 0
