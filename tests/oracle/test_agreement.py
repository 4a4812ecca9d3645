"""SQL against the plain Python: the same people, two implementations, no disagreement.

`python -m tests.oracle` soaks with more people.
"""

from pathlib import Path

import pytest

from tests.oracle.agreement import compare
from tests.oracle.generate import generate
from tests.oracle.scenario import as_scenario


@pytest.mark.parametrize(
    ("seed", "people"), [(2026, 2_000), pytest.param(2027, 10_000, marks=pytest.mark.long)]
)
def test_sql_and_the_oracle_agree_on_generated_people(
    seed: int, people: int, tmp_path: Path
) -> None:
    population = generate(seed, people)
    n_people, different = compare(population, tmp_path / "site")
    assert n_people == people
    assert not different, as_scenario(different[0], population.night)
