"""The way in: extracts become typed, checked, converted rows with an account for every one of them.

Refuses to guess. What does not fit its contract is rejected with a reason; nothing is repaired,
nothing is lost, and a file that mostly fails is held back whole.
"""

from b12screen.ingest.accounts import FileAccount, Taking
from b12screen.ingest.again import Again
from b12screen.ingest.take import check, take

__all__ = ["Again", "FileAccount", "Taking", "check", "take"]
