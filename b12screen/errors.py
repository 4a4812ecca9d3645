"""The ways a night can end badly, one class for each exit code of the command line.

A message says what, how many, where, what was and was not published, and what to do. It never
holds a patient's value or identifier: Prefect stores every exception that leaves a task.
"""

from typing import ClassVar


class B12ScreenError(Exception):
    """A failure with a message for the person on call; ``exit_code`` is the contract's."""

    exit_code: ClassVar[int] = 1


class UsageError(B12ScreenError):
    """The command was called in a way that cannot be carried out."""

    exit_code = 2


class SettingsInvalid(B12ScreenError):
    """``b12screen.toml`` is missing or wrong; the message names the key path."""

    exit_code = 10


class RulesInvalid(B12ScreenError):
    """A ruleset or a code map fails its own checks; the message lists every finding."""

    exit_code = 11


class NothingUsable(B12ScreenError):
    """Neither the inbox nor the store holds anything to decide on."""

    exit_code = 12


class AuditFailed(B12ScreenError):
    """Accounts, audits or interlocks do not hold; nothing was published."""

    exit_code = 13


class SiteLocked(B12ScreenError):
    """Another run holds the site."""

    exit_code = 14


class CannotWrite(B12ScreenError):
    """The disk is full, or a permission is missing."""

    exit_code = 15


class NightTooEarly(B12ScreenError):
    """The night lies before the last published one."""

    exit_code = 16
