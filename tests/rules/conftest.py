"""The shipped ruleset, loaded once for all tests of the rules."""

import pytest

from b12screen.rules import Ruleset, load_ruleset


@pytest.fixture(scope="session")
def ruleset() -> Ruleset:
    return load_ruleset("praxis-2025")
