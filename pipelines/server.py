"""A Prefect server of our own, on the loopback, for as long as the process that needs one.

Prefect can start one by itself, which goes on for good where the process that began it is killed.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from b12screen.errors import CannotWrite

LOOPBACK = "127.0.0.1"
SERVER_START_SECONDS = 120
PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def server() -> Iterator["subprocess.Popen[bytes] | None"]:
    """A Prefect server: the process of our own, or None where the operator names one.

    To be entered before Prefect is imported. CannotWrite where it does not start.
    """
    if "PREFECT_API_URL" in os.environ:
        yield None
        return
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    address = f"http://{LOOPBACK}:{port}/api"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "prefect", "server", "start", "--no-ui"),
            *("--host", LOOPBACK, "--port", str(port)),
        ],
        stdout=subprocess.DEVNULL,
        preexec_fn=ended_with_us if sys.platform == "linux" else None,
    )
    try:
        wait_for(f"{address}/health", process)
        os.environ["PREFECT_API_URL"] = address
        yield process
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        process.terminate()
        process.wait()


def ended_with_us() -> None:
    """In the server's process: the system ends it when ours ends, also by kill -9.

    It would go on planning nights, beside the server of the next start and on the same files.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    """Until the server answers; an error when it ends or stays silent."""
    for _ in range(SERVER_START_SECONDS):
        if process.poll() is not None:
            break
        with (
            contextlib.suppress(OSError, urllib.error.URLError),
            urllib.request.urlopen(address, timeout=5),
        ):
            return
        time.sleep(1)
    raise CannotWrite(
        "The Prefect server did not start. No night was run or planned and nothing was changed. "
        "Check the disk, or start one with `prefect server start` and set "
        "PREFECT_API_URL."
    )
