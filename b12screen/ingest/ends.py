"""Days that stand in the place of an end and say that there is none."""

import re
from datetime import date

# From here on a day is how warehouses fill a column that must not be empty.
NO_END = date(2099, 12, 31)
# What a database makes of a blank.
BLANK_END = date(1900, 1, 1)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def ended(told: str) -> str:
    """A day or moment in ISO form, or any other text, as it was told; blank where it is no end."""
    found = _DAY.match(told)
    if found and (found[0] == BLANK_END.isoformat() or found[0] >= NO_END.isoformat()):
        return ""
    return told
