"""Where the project's own SQL lies: in a checkout (``sql/``) or in a wheel (``b12screen/_sql``)."""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def sql_folder() -> Path:
    """The folder of SQL files; raises ``FileNotFoundError`` in a broken installation."""
    for candidate in (_PACKAGE / "_sql", _PACKAGE.parent / "sql"):
        if (candidate / "macros.sql").is_file():
            return candidate
    raise FileNotFoundError("the sql folder is missing: reinstall b12screen")


def sql_text(name: str) -> str:
    """One statement file by its path below the SQL folder, say ``core/lab_scan.sql``."""
    return (sql_folder() / name).read_text(encoding="utf-8")
