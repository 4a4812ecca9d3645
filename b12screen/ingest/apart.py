"""A function in a process of its own: what it reads may end the process that reads it.

A Parquet file of a few changed bytes can abort its reader, and what a reader says as it goes down
may quote the file. So a file of somebody else's that is not text is read by a child, which may die
in silence.
"""

import pickle
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

from b12screen.ingest.delimited import FileRefused

Value = TypeVar("Value")
CHILD = "from b12screen.ingest.apart import child; child()"


def apart(function: Callable[..., Value], *arguments: object) -> Value:
    """What the function gives or raises; FileRefused where its process ended without either."""
    told = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=pickle.dumps((function, arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if told.returncode:
        raise FileRefused(
            "reading it ended the process that read it: the file is damaged, holds days or times "
            "that no calendar has, or needs more memory than there is; write its columns as text"
        )
    is_raised, outcome = pickle.loads(told.stdout)
    if is_raised:
        raise outcome
    value: Value = outcome
    return value


def child() -> None:
    """Do what standard input says, and say on standard output what came of it."""
    # Its memory holds patients' rows, and has no business on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    function, arguments = pickle.load(sys.stdin.buffer)
    try:
        outcome = False, function(*arguments)
    except Exception as error:  # noqa: BLE001 - the parent has it raised again
        outcome = True, error
    pickle.dump(outcome, sys.stdout.buffer)
