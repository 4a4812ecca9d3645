"""SQL against the plain Python: the same people, two implementations, no disagreement.

`python -m tests.oracle.test_agreement PEOPLE SEED` runs a longer soak and prints what it compared.
"""

import csv
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from b12screen.maps import load_maps
from b12screen.night import run_night
from b12screen.settings import make_site
from b12screen.warehouse import Warehouse
from tests.oracle.generate import Population, generate
from tests.oracle.oracle import compare_rows, decide

PEOPLE = 20_000
SETTINGS = """
[laboratories.main]
code_system = "local"
[laboratories.main.tests.holotc]
analyte = "holotc"
unit = "pmol/L"
"""


def night_of(population: Population, site: Path) -> Path:
    """Publish the night of the generated people; the path of the published database."""
    make_site(site)
    complete_from = population.night.medications_complete_from
    first = f"medications_complete_from = {complete_from}\n" if complete_from else ""
    (site / "b12screen.toml").write_text(first + SETTINGS, encoding="utf-8")
    for kind, rows in population.rows().items():
        with (site / "inbox" / f"{kind}.csv").open("w", encoding="utf-8", newline="") as file:
            sheet = csv.DictWriter(file, fieldnames=list(rows[0]))
            sheet.writeheader()
            sheet.writerows(rows)
    as_of = population.night.as_of
    result = run_night(site, as_of, datetime(2026, 1, 1), lambda line: None)
    return result.published / "b12screen.duckdb"


def published(database: Path) -> dict[str, dict[str, Any]]:
    """What the night decided, in the words of ``compare_rows``, by patient."""
    with Warehouse.open(database, read_only=True) as warehouse:
        rows = {
            row["patient_id"]: {
                "screening": {"route": row["route"], "rule_id": row["rule_id"]},
                "facts": {},
                "functional_status": None,
                "actions": set(),
                "recheck": None,
                "response": None,
            }
            for row in warehouse.frame("SELECT * FROM decisions.screening").iter_rows(named=True)
        }
        for row in warehouse.frame("SELECT * FROM facts.patient").iter_rows(named=True):
            rows[row["patient_id"]]["facts"] = row
        for row in warehouse.frame("SELECT * FROM decisions.functional_status").iter_rows(
            named=True
        ):
            rows[row["patient_id"]]["functional_status"] = row
        for row in warehouse.frame("SELECT * FROM decisions.action").iter_rows(named=True):
            rows[row["patient_id"]]["actions"].add((row["action"], row["rule_id"], row["priority"]))
        for relation in ("recheck", "response"):
            frame = warehouse.frame(f"SELECT * FROM decisions.{relation}")
            for row in frame.iter_rows(named=True):
                rows[row["patient_id"]][relation] = row
    return rows


def disagreements(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """Every place where the two say something else, as ``what: oracle / SQL``."""
    for part in ("screening", "facts", "functional_status", "recheck", "response"):
        oracle, sql = expected[part], found[part]
        if not oracle or not sql:
            if bool(oracle) != bool(sql):
                yield f"{part}: {oracle} / {sql}"
            continue
        for name, word in oracle.items():
            said = sql.get(name)
            if isinstance(said, date):
                said = said.isoformat()
            if isinstance(word, float) and isinstance(said, float):
                same = abs(word - said) < 1e-6
            else:
                same = word == said
            if name == "ckd_chronic":
                same = (word == "yes") == (said == "yes")
            if not same:
                yield f"{part}.{name}: {word} / {said}"
    if expected["actions"] != found["actions"]:
        yield (
            f"actions: {sorted(expected['actions'] - found['actions'])} / "
            f"{sorted(found['actions'] - expected['actions'])}"
        )


def compare(population: Population, site: Path) -> tuple[int, list[str]]:
    """Number of people compared, and every disagreement with the person it concerns."""
    found = published(night_of(population, site))
    mapped = mapped_groups(population)
    different = []
    for subject in population.subjects:
        decision = decide(
            subject.as_person(), subject.results, subject.conditions, subject.medications, mapped
        )
        expected = compare_rows(decision)
        patient_id = str(expected["patient_id"])
        if patient_id not in found:
            different.append(f"{patient_id} is missing")
            continue
        different += [f"{patient_id} {line}" for line in disagreements(expected, found[patient_id])]
    return len(population.subjects), different


def mapped_groups(population: Population) -> Any:
    """The night as the shipped condition map makes it: which system has codes for which group."""
    return population.night


@pytest.mark.parametrize("seed", [2026, 2027])
def test_sql_and_the_oracle_agree_on_generated_people(seed: int, tmp_path: Path) -> None:
    n_people, different = compare(generate(seed, PEOPLE // 2), tmp_path / "site")
    assert n_people == PEOPLE // 2
    assert different[:20] == []


if __name__ == "__main__":
    assert load_maps()
    people, first_seed = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        count, found_different = compare(generate(first_seed, people), Path(folder) / "site")
    for each in found_different[:50]:
        print(each)
    print(f"{count} people compared, {len(found_different)} disagreements")
    sys.exit(1 if found_different else 0)
