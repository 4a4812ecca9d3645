"""SIGTERM, from a service manager or a time limit, and Ctrl-C: a night ends as if never begun."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from b12screen.publish import Site, held
from b12screen.settings import SETTINGS_FILE
from b12screen.warehouse import Warehouse

from .conftest import SECOND_NIGHT, bytes_below, deliver, night
from .test_whole_or_absent import MORE, ROOT, accounted, no_leftovers, seen, whole

APPENDS = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def begun(site: Path) -> subprocess.Popen[str]:
    """A night in a process of its own, whose standard error is read."""
    return subprocess.Popen(
        [sys.executable, "-m", "b12screen", "run", str(site), "--as-of", SECOND_NIGHT.isoformat()],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(site: Path, stop_at: str) -> tuple[int, str]:
    """A night that is sent SIGTERM at a line of its progress; exit code and standard error."""
    with begun(site) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if stop_at in line:
                process.terminate()
                stop_at = "nothing more"
    return process.returncode, said


def test_a_night_that_is_stopped_while_it_starts_says_so_by_its_exit_code(site: Path) -> None:
    """An engine that is interrupted half loaded would end the process by a signal of its own."""
    for hundredths in range(10, 70, 6):
        with begun(site) as process:
            time.sleep(hundredths / 100)
            process.terminate()
            _, said = process.communicate()
        # Before Python itself is there nobody answers; a quick machine may be done before it.
        ended = process.returncode
        assert ended in (143, 0, 20) or (ended, said) == (-signal.SIGTERM, "")


@pytest.mark.long
@pytest.mark.parametrize("stop_at", ["taking extracts", "deciding: facts.person", "auditing"])
def test_a_night_that_is_stopped_publishes_nothing_says_so_and_can_be_run_again(
    site: Path, tmp_path: Path, stop_at: str
) -> None:
    command = [sys.executable, "-c", APPENDS, str(tmp_path / "told")]
    (site / SETTINGS_FILE).write_text(f"[notify]\ncommand = {json.dumps(command)}\n")
    deliver(site, MORE)
    yesterday = bytes_below(site / "published")
    ended, said = run(site, stop_at)
    assert ended == 143, said
    assert "Traceback" not in said
    told = "stopped by SIGTERM: nothing was published, yesterday's files stand; run it again\n"
    assert said.endswith(f"b12screen: {told}")
    head, text = (tmp_path / "told").read_text().splitlines()
    assert head == f"b12screen, site site, night of {SECOND_NIGHT}: exit code 143"
    assert f"{text}\n" == told
    assert bytes_below(site / "published") == yesterday
    no_leftovers(site)
    with held(Site(site)):
        pass
    night(site, SECOND_NIGHT)
    assert whole(site) == "2026-11-02.1"
    assert seen(site) != yesterday
    accounted(site)


def test_a_query_that_is_interrupted_says_so_and_is_no_bug(tmp_path: Path) -> None:
    long = "SELECT sum(range) FROM range(5000000000)"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # With one thread the query is always asked in between whether a signal came.
        with Warehouse.open(tmp_path / "empty.duckdb", threads=1) as warehouse:
            for ask in (warehouse.rows, warehouse.frame, warehouse.typed_by_a_person):
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
                with pytest.raises(KeyboardInterrupt):
                    ask(long)
            assert warehouse.rows("SELECT 1") == [(1,)]
    finally:
        signal.signal(signal.SIGINT, before)
