"""A site's store and inbox in a temporary folder, and the words to fill them with."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

from b12screen.ingest import Again, FileAccount, Taking, take
from b12screen.maps import Maps
from b12screen.settings import Settings
from b12screen.warehouse import Warehouse

NIGHT = date(2026, 11, 22)
LAB_HEADER = "result_id,patient_id,collected_at,reported_at,code,value,unit,status"
ROW = "R1,P1,2026-11-01T08:00:00,2026-11-02T08:00:00,14685-2,412,pmol/L,final"


class Box:
    """An inbox and the store it is taken into, night after night."""

    def __init__(self, folder: Path, maps: Maps, settings: Settings | None = None) -> None:
        self.inbox = folder / "inbox"
        self.inbox.mkdir(parents=True)
        self.maps = maps
        self.settings = settings or Settings()
        self.lines: list[str] = []
        self.listed: Path | None = None
        self.progress: Callable[[str], None] = self.lines.append
        self.scratch = folder / "scratch"
        # A store of a few rows is taken into a fifth quicker by one thread.
        self.warehouse = Warehouse.open(
            folder / "history.duckdb",
            threads=1,
            temp_dir=folder / "spill",
            timezone=self.settings.timezone,
        )
        self.warehouse.attach(folder / "private.duckdb", "private")

    def put(self, name: str, content: str | bytes) -> Path:
        """Drop a file into the inbox."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def labs(self, *rows: str, name: str = "labs.csv", header: str = LAB_HEADER) -> Path:
        """Drop a labs extract into the inbox."""
        return self.put(name, "\n".join([header, *rows]) + "\n")

    def take(self, night: date = NIGHT, again: Again | None = None) -> Taking:
        """Take what is new, and what is to be taken again."""
        return take(
            self.warehouse,
            self.inbox,
            self.settings,
            self.maps,
            night,
            self.scratch,
            self.progress,
            self.listed,
            again,
        )

    def account(self, night: date = NIGHT) -> FileAccount:
        """Take, and give the account of the only file that is new."""
        (account,) = self.take(night).accounts
        return account

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the store."""
        return self.warehouse.rows(sql)

    def forget_format(self) -> None:
        """Make the store one of before formats had numbers."""
        self.warehouse.execute("DROP TABLE private.store_format")

    def rejects(self) -> list[tuple[object, ...]]:
        """Record, line, column and check of every rejected row."""
        return self.rows(
            "SELECT record, line, column_name, check_name FROM core.reject "
            "ORDER BY file_name, record, line"
        )


def buckets(account: FileAccount) -> tuple[int, int, int, int, int, int]:
    """Read, accepted, duplicate, superseded, out of scope, rejected."""
    return (
        account.n_read,
        account.n_accepted,
        account.n_duplicate,
        account.n_superseded,
        account.n_out_of_scope,
        account.n_rejected,
    )
