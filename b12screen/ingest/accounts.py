"""What became of every row of every file; a night whose accounts do not add up is not published."""

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from b12screen.errors import AuditFailed


@dataclass(frozen=True)
class FileAccount:
    """One file of one kind. A held or rejected file gave nothing, so its counts are all 0."""

    file_name: str
    kind: str
    sha256: str
    size_bytes: int
    taken_for: date
    n_read: int = 0
    n_accepted: int = 0
    n_duplicate: int = 0
    n_superseded: int = 0
    n_out_of_scope: int = 0
    n_rejected: int = 0
    held: bool = False
    reason: str | None = None
    taken_by: str = "run"
    attempt: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The account as a row of ``run.source_file``."""
        return asdict(self)

    def turned_away(self, reason: str, held: bool) -> "FileAccount":
        """The account of the same file when nothing of it is taken."""
        return FileAccount(
            self.file_name, self.kind, self.sha256, self.size_bytes, self.taken_for,
            held=held, reason=reason, taken_by=self.taken_by, attempt=self.attempt,
        )  # fmt: skip

    def with_versions(self, n_duplicate: int, n_superseded: int) -> "FileAccount":
        """The account once its rows have been compared with what was known."""
        return replace(
            self,
            n_duplicate=n_duplicate,
            n_superseded=n_superseded,
            n_accepted=self.n_accepted - n_duplicate - n_superseded,
        )


@dataclass(frozen=True)
class Taking:
    """What one run took in: its accounts in file order, the files it left alone, and remarks.

    Somebody has to look at a finding; a note is only worth knowing, say that a column was dropped.
    ``again`` says what came of rows that were to be taken again, ``n_taken_back`` how many rows are
    withdrawn because their file, taken again, does not give them any more.
    """

    accounts: tuple[FileAccount, ...] = ()
    left_alone: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    n_known: int = 0
    again: str = ""
    n_taken_back: int = 0

    @property
    def files(self) -> tuple[FileAccount, ...]:
        """The accounts under the name that the manifest uses."""
        return self.accounts


def audit(account: FileAccount) -> None:
    """Every row read ended in exactly one bucket; otherwise the night fails."""
    buckets = (
        account.n_accepted,
        account.n_duplicate,
        account.n_superseded,
        account.n_out_of_scope,
        account.n_rejected,
    )
    if min(buckets) < 0 or sum(buckets) != account.n_read:
        raise AuditFailed(
            f"the rows of {account.file_name} do not add up: {account.n_read} read, "
            f"{sum(buckets)} accounted for. Nothing was published; yesterday's files stand. "
            "This is a bug: report it with the file's name and size."
        )
