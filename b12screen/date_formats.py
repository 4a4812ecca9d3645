"""The formats in which a sender may write days and moments, as patterns: strict, in English.

A format is written with the directives of `strptime`. It fits a cell as a whole or not at all; a
day or a month may have one digit only where something stands between it and its neighbours. A
two-digit year is of this century. ISO 8601 is one more format, under the name ``iso``.
"""

import re

ISO = "iso"
ISO_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$"
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip

# Pattern of a directive; digits that may be fewer where a neighbour cannot be taken for theirs.
DIRECTIVES = {
    "%Y": "[0-9]{4}",
    "%y": "[0-9]{2}",
    "%m": "[0-9]{1,2}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%d": "[0-9]{1,2}",
    "%H": "[0-9]{1,2}",
    "%I": "[0-9]{1,2}",
    "%M": "[0-9]{2}",
    "%S": "[0-9]{2}",
    "%f": "[0-9]{1,9}",
    "%p": "[AaPp][Mm]",
    "%z": "Z|[+-][0-9]{2}:?[0-9]{2}",
}
_PART = re.compile(r"%.|[^%]", re.DOTALL)


def date_pattern(date_format: str) -> str | None:
    """The pattern of a format, a group named by its letter for each directive.

    None where it is no format: an unknown directive, one that stands twice, no day, month or year,
    a time without hour or minute, or half a twelve-hour clock.
    """
    parts = _PART.findall(date_format)
    if "".join(parts) != date_format:
        return None
    named = [part for part in parts if part.startswith("%")]
    letters = {part[1] for part in named}
    is_whole = (
        len(letters) == len(named)
        and set(named) <= DIRECTIVES.keys()
        and len(letters & {"Y", "y"}) == len(letters & {"m", "b", "B"}) == 1
        and "d" in letters
        and ("I" in letters) == ("p" in letters)
        and len(letters & {"H", "I"}) == ("M" in letters)
        and ("M" in letters or not letters & {"S", "f", "z"})
        and ("S" in letters or "f" not in letters)
    )
    if not is_whole:
        return None
    pattern = ""
    for place, part in enumerate(parts):
        if part in DIRECTIVES:
            beside = parts[max(place - 1, 0) : place] + parts[place + 1 : place + 2]
            digits = DIRECTIVES[part]
            if any(other in DIRECTIVES or other.isdigit() for other in beside):
                digits = digits.replace("{1,2}", "{2}")
            pattern += f"(?P<{part[1]}>{digits})"
        else:
            pattern += " +" if part.isspace() else re.escape(part)
    return f"^{pattern}$"
