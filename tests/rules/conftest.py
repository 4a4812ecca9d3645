"""The shipped rulesets, loaded once for all tests of the rules."""

import pytest

from b12screen.rules import Ruleset, load_ruleset, shipped_rulesets


@pytest.fixture(scope="session")
def ruleset() -> Ruleset:
    """The default one, which the clinical specification states number by number."""
    return load_ruleset("praxis-2025")


@pytest.fixture(scope="session", params=shipped_rulesets())
def shipped(request: pytest.FixtureRequest) -> Ruleset:
    """Each one that is shipped."""
    return load_ruleset(request.param)
