"""A traceback without values: where a bug happened, not on whose data.

The texts of foreign exceptions (a cast that failed, a key that is missing) may quote a cell, so
only the texts of exceptions that speak about code are kept.
"""

import traceback

from b12screen.errors import B12ScreenError

ABOUT_CODE = (B12ScreenError, ImportError, NameError, AttributeError, NotImplementedError)


def trace(error: BaseException) -> str:
    """The frames and types of an exception and of what it arose from, oldest first."""
    links: list[str] = []
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        # Frames are written from file, line and name alone; the source line is code, not data.
        frames = "".join(traceback.format_tb(current.__traceback__))
        links.append(f"Traceback (most recent call last):\n{frames}{named(current)}\n")
        if current.__cause__ is not None:
            current = current.__cause__
        elif current.__suppress_context__:
            current = None
        else:
            current = current.__context__
    return "\nand from it:\n\n".join(reversed(links))


def named(error: BaseException) -> str:
    """The type of an exception, with its text only where that cannot quote a cell."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, ABOUT_CODE) else name
