"""What Prefect has to know before it is imported: where it may write, and that it may not call out.

Prefect keeps logs, parameters and every exception that leaves a task in its home, so its home lies
in the site's private store. Whatever the operator has set already is left as it is.
"""

import os
import resource
import secrets
from pathlib import Path

from b12screen.errors import CannotWrite

SETTINGS = {
    # Both keep the server and the client from reporting to the vendor.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # A night without a server starts one of its own, which on a busy machine takes more than the
    # default of 20 seconds.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


# What a server of our own asks for, and what we answer.
KEYS = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")


def prepare(site: Path) -> None:
    """Set Prefect's environment for a site; to be called before prefect is imported."""
    # What is in memory are patients' rows, which have no business in a core file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    home = site.resolve() / "store" / "prefect"
    if "PREFECT_HOME" not in os.environ:
        try:
            home.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotWrite(
                f"Prefect's folder in the site's store cannot be made ({error.strerror}). Nothing "
                "was published. Check that the site exists and that the running user may write it."
            ) from None
        os.environ["PREFECT_HOME"] = str(home)
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if not os.environ.keys() & {"PREFECT_API_URL", *KEYS}:
        # Our own server listens on the loopback, where every account of the machine may call it:
        # whoever starts a night there starts it as the running user, on a site of his choice.
        key = f"b12screen:{secrets.token_urlsafe(32)}"
        os.environ.update(dict.fromkeys(KEYS, key))
