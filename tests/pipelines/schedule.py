"""The nightly schedule for real, step by step: `python -m tests.pipelines.schedule`.

`b12screen serve` plans nights with a Prefect server that was started apart from it, and with the
one that it brings: they fire at their minute, a second one beside one that is running is refused,
one that fails is told, one that was missed is noticed, and the schedule is alive again after
SIGTERM and kill -9, also in the middle of a night. Each step is printed with the time, how long it
took, and ok or failed. It waits for real minutes, and so takes about half an hour.

Needs Linux (it looks for processes in /proc) and starts no run near midnight UTC.
"""

import argparse
import base64
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from b12screen.settings import SETTINGS_FILE, make_site

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = "b12screen-nightly/nightly"
# A scheduler that has just started needs about so long to know of a deployment.
AHEAD_SECONDS = 50
EXTRACTS = {
    "patients_1.csv": "patient_id,birth_date,sex,clinic_id\nsome,1950-02-03,female,north\n",
    "conditions_1.csv": "patient_id,code,code_system,recorded_on\nsome,R20.2,icd10,{day}\n",
    "medications_1.csv": "medication_id,patient_id,code,code_system,kind,started_on\n"
    "m1,some,C07AB02,atc,prescription,{day}\n",
    "labs_1.csv": "result_id,patient_id,collected_at,code,value,unit\n"
    "r1,some,{day},13964-2,900,nmol/L\nr2,some,{day},13965-9,31.5,umol/L\n",
}


class Failed(Exception):
    """A step did not come to what it should."""


def now() -> datetime:
    return datetime.now(UTC)


def until(what: str, check: Callable[[], Any], seconds: float) -> Any:
    """What a check gives once it gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := check():
            return value
        time.sleep(0.5)
    raise Failed(f"not within {seconds:.0f} s: {what}")


def family(pid: int) -> list[int]:
    """A process and all that it started and they started, youngest last."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def words(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Schedule:
    """One site, one way to have a server, and the steps that were gone through."""

    def __init__(self, folder: Path, title: str, apart: bool) -> None:
        self.folder = folder
        self.title = title
        self.apart = apart
        self.site = folder / "site"
        self.told = folder / "told"
        self.log = folder / "serve.log"
        self.n_failed = 0
        self.key = f"tests:{secrets.token_urlsafe(16)}"
        self.address = ""
        self.started: list[subprocess.Popen[bytes]] = []
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
        } | {
            "PYTHONPATH": str(ROOT),
            "PREFECT_SERVER_API_AUTH_STRING": self.key,
            "PREFECT_API_AUTH_STRING": self.key,
        }

    @contextlib.contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Print a step with its time and its ending; what is appended is printed behind it."""
        began, remarks = time.monotonic(), list[str]()
        try:
            yield remarks
            verdict = "ok"
        except (Failed, subprocess.TimeoutExpired, OSError) as error:
            verdict = "failed"
            remarks.append(str(error))
            self.n_failed += 1
        took = time.monotonic() - began
        remark = f" ({'; '.join(remarks)})" if remarks else ""
        print(f"{now():%H:%M:%S}  {took:6.1f} s  {verdict:<6}  {text}{remark}", flush=True)

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "b12screen", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self, *words: str, **environment: str) -> "subprocess.Popen[bytes]":
        """A process of its own session, so that nothing of ours reaches it."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def start_server(self) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}/api"
        home = self.folder / "prefect"
        home.mkdir()
        self.begin(
            *("prefect", "server", "start", "--no-ui", "--host", "127.0.0.1", "--port", str(port)),
            PREFECT_HOME=str(home),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
        )
        self.environment["PREFECT_API_URL"] = self.address
        until("the server answers", self.answers, 120)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask("/health"))
        return False

    def ask(self, path: str, content: dict[str, Any] | None = None) -> Any:
        """What the server says; with content it is a POST."""
        request = urllib.request.Request(
            self.address + path,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": "Basic " + base64.b64encode(self.key.encode()).decode(),
            },
        )
        end = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as error:
                # The server's file is locked for a moment.
                if error.code != 503 or time.monotonic() > end:
                    raise
            time.sleep(1)

    def serve(self, at: datetime) -> "subprocess.Popen[bytes]":
        """`b12screen serve` at a minute, once the server knows of it."""
        process = self.begin("b12screen", "serve", str(self.site), "--at", f"{at:%H:%M}")
        if not self.apart:
            self.address = until("serve has a server", lambda: self.brought(process), 60)
        until("the deployment is planned", lambda: self.is_planned(at), 120)
        return process

    def brought(self, process: "subprocess.Popen[bytes]") -> str:
        for pid in family(process.pid):
            line = words(pid)
            if "--port" in line:
                return f"http://127.0.0.1:{line[line.index('--port') + 1]}/api"
        return ""

    def is_planned(self, at: datetime) -> bool:
        try:
            deployment = self.ask(f"/deployments/name/{DEPLOYMENT}")
        except (OSError, ValueError):
            return False
        crons = [each["schedule"].get("cron") for each in deployment["schedules"] if each["active"]]
        return crons == [f"{at.minute} {at.hour} * * *"] and not deployment["paused"]

    def runs(self) -> list[dict[str, Any]]:
        """Every run that is not merely planned, newest first."""
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", {"sort": "START_TIME_DESC"})
        return [run for run in found if run["state_type"] != "SCHEDULED"]

    def is_running(self) -> bool:
        return any(run["state_type"] == "RUNNING" for run in self.runs())

    def current(self) -> str:
        return (self.site / "published" / "current").resolve().name

    def stop(
        self, process: "subprocess.Popen[bytes]", number: signal.Signals, all_of: bool
    ) -> None:
        """Send a signal to serve, or to it and all that it started."""
        for pid in family(process.pid) if all_of else [process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        process.wait(60)

    def fires(self, at: datetime, before: str, seconds: float = 180) -> str:
        """Wait until the minute and for a night that is published after it."""
        time.sleep(max(0.0, (at - now()).total_seconds()))
        if self.current() != before:
            raise Failed(f"published as {self.current()} before its minute")
        until("a new night is published", lambda: self.current() != before, seconds)
        return f"at {at:%H:%M}, published as {self.current()} at {now():%H:%M:%S}"

    def notices(self) -> int:
        return self.told.read_text().count("exit code") if self.told.exists() else 0

    def end(self) -> None:
        for process in self.started:
            for pid in reversed(family(process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def minute_ahead() -> datetime:
    """The first whole minute that is far enough away."""
    return (now() + timedelta(seconds=AHEAD_SECONDS + 60)).replace(second=0, microsecond=0)


def prepared(schedule: Schedule) -> None:
    """A site whose last night is yesterday's, and which tells by appending to a file."""
    make_site(schedule.site)
    appends = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
    command = json.dumps([sys.executable, "-c", appends, str(schedule.told)])
    (schedule.site / SETTINGS_FILE).write_text(f"[notify]\ncommand = {command}\n")
    yesterday = now().date() - timedelta(days=1)
    for name, text in EXTRACTS.items():
        (schedule.site / "inbox" / name).write_text(text.replace("{day}", str(yesterday)))
    done = schedule.command("run", str(schedule.site), "--as-of", str(yesterday))
    if done.returncode not in (0, 20):
        raise Failed(done.stderr)


def go_through(schedule: Schedule, bulk: Path) -> None:
    """Every step, for one way to have a server."""
    print(f"{now():%H:%M:%S}  {schedule.title}", flush=True)
    site = str(schedule.site)
    with schedule.step("a site is made, and yesterday's night published"):
        prepared(schedule)
    if schedule.apart:
        with schedule.step("`prefect server start` answers on a port of its own"):
            schedule.start_server()

    at = minute_ahead() + timedelta(minutes=1)
    with schedule.step("serve is started, and stopped by SIGTERM before its minute") as remarks:
        process = schedule.serve(at)
        schedule.stop(process, signal.SIGTERM, all_of=False)
        if now() >= at:
            raise Failed("the machine is too busy: the minute has come before serve was stopped")
        remarks.append(f"planned for {at:%H:%M}, exit code {process.returncode}")
        if schedule.apart and not schedule.is_planned(at):
            raise Failed("the deployment is paused or has another schedule")
    with schedule.step("the night that was missed meanwhile is noticed, and told") as remarks:
        time.sleep(max(0.0, (at - now()).total_seconds()) + 5)
        n_told = schedule.notices()
        done = schedule.command("doctor", site, "--expect", f"{at:%H:%M}")
        remarks.append(f"doctor --expect {at:%H:%M}: exit code {done.returncode}")
        if done.returncode != 20 or schedule.notices() != n_told + 1:
            raise Failed(done.stdout)

    with schedule.step(
        "serve is started again: what becomes of the night that was missed"
    ) as remarks:
        before = schedule.current()
        process = schedule.serve(at + timedelta(hours=2))
        with contextlib.suppress(Failed):
            until("a night is published", lambda: schedule.current() != before, 60)
        made_up = schedule.current() != before
        remarks.append("it is made up for" if made_up else "it is not made up for")
    schedule.stop(process, signal.SIGTERM, all_of=False)

    at, before = minute_ahead(), schedule.current()
    with schedule.step("the night fires at its minute") as remarks:
        process = schedule.serve(at)
        remarks.append(schedule.fires(at, before))
        done = schedule.command("doctor", site, "--expect", f"{at:%H:%M}")
        remarks.append(f"doctor --expect {at:%H:%M}: exit code {done.returncode}")
        if done.returncode:
            raise Failed(done.stdout)
    schedule.stop(process, signal.SIGTERM, all_of=False)

    at, before = minute_ahead(), schedule.current()
    with schedule.step("after SIGTERM serve is started again, and the night fires") as remarks:
        process = schedule.serve(at)
        remarks.append(schedule.fires(at, before))
    schedule.stop(process, signal.SIGKILL, all_of=False)
    with schedule.step("kill -9 of serve leaves no server of its own behind"):
        if not schedule.apart:
            until("the server that serve brought ends", lambda: not schedule.answers(), 20)

    at, before = minute_ahead(), schedule.current()
    with schedule.step("after kill -9 serve is started again, and the night fires") as remarks:
        process = schedule.serve(at)
        remarks.append(schedule.fires(at, before))
    schedule.stop(process, signal.SIGTERM, all_of=False)

    state = schedule.site / "store" / "generations" / schedule.current() / "state.duckdb"
    at, before = minute_ahead(), schedule.current()
    with schedule.step("a night on a damaged store fails, and is told") as remarks:
        shutil.copy2(state, schedule.folder / "state")
        os.truncate(state, state.stat().st_size - 1)
        n_told = schedule.notices()
        process = schedule.serve(at)
        until("a notice", lambda: schedule.notices() > n_told, 180)
        remarks += schedule.told.read_text().splitlines()[-2:-1]
        if "exit code 13" not in schedule.told.read_text() or schedule.current() != before:
            raise Failed("it was published, or the notice says something else")
    shutil.copy2(schedule.folder / "state", state)
    schedule.stop(process, signal.SIGTERM, all_of=False)

    for name in bulk.glob("*.csv"):
        shutil.copy2(name, schedule.site / "inbox" / name.name)
    at, before = minute_ahead(), schedule.current()
    with schedule.step("serve is stopped by SIGTERM in a long night, and that is told") as remarks:
        process = schedule.serve(at)
        until("the night takes extracts", lambda: is_taking(schedule), 240)
        n_told = schedule.notices()
        schedule.stop(process, signal.SIGTERM, all_of=False)
        until("a notice", lambda: schedule.notices() > n_told, 30)
        remarks += schedule.told.read_text().splitlines()[-2:]
        if schedule.current() != before:
            raise Failed("it was published")
    at, before = minute_ahead(), schedule.current()
    with schedule.step("all is killed with kill -9 in a long night"):
        process = schedule.serve(at)
        until("the night takes extracts", lambda: is_taking(schedule), 240)
        schedule.stop(process, signal.SIGKILL, all_of=True)
        if schedule.current() != before:
            raise Failed("it was published")
    at, n_told = minute_ahead(), schedule.notices()
    with schedule.step("serve is started again: that is told, and the long night fires") as remarks:
        process = schedule.serve(at)
        until("a notice", lambda: schedule.notices() > n_told, 30)
        remarks += schedule.told.read_text().splitlines()[-2:-1]
        until("the night takes extracts", lambda: is_taking(schedule), 240)
        remarks.append(f"at {at:%H:%M}, taking at {now():%H:%M:%S}")
    with schedule.step("a second run beside it is refused, and told") as remarks:
        beside_it(schedule, remarks)
    with schedule.step("the long night is published") as remarks:
        until("the long night is published", lambda: schedule.current() != before, 600)
        remarks.append(f"published as {schedule.current()}")
    schedule.stop(process, signal.SIGTERM, all_of=False)


def is_taking(schedule: Schedule) -> bool:
    """Whether a night is at its large extract."""
    return any((schedule.site / "store" / "scratch" / "extract").glob("*"))


def asked_for(schedule: Schedule) -> str:
    """Ask for a run beside those that are planned; its id."""
    deployment = schedule.ask(f"/deployments/name/{DEPLOYMENT}")
    made = schedule.ask(
        f"/deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}}
    )
    return str(made["id"])


def beside_it(schedule: Schedule, remarks: list[str]) -> None:
    """While a night is running, another one is refused, and that is told."""
    n_told = schedule.notices()
    run_id = asked_for(schedule)
    state = until("the second run has failed", lambda: failed(schedule, run_id), 120)
    until("a notice", lambda: schedule.notices() > n_told, 30)
    done = schedule.command("run", str(schedule.site))
    remarks.append(f"a second run was refused: {state!r}")
    remarks.append(f"`b12screen run` ended with {done.returncode}")
    if "another run holds this site" not in state or done.returncode != 14:
        raise Failed(done.stderr)


def failed(schedule: Schedule, run_id: str) -> str:
    run = schedule.ask(f"/flow_runs/{run_id}")
    if run["state_type"] == "COMPLETED":
        raise Failed("a second run beside one that is running went through")
    return str(run["state"]["message"]) if run["state_type"] == "FAILED" else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.pipelines.schedule", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the long night")
    parser.add_argument("--only", choices=["apart", "own"], default=None)
    arguments = parser.parse_args()
    n_failed = 0
    with tempfile.TemporaryDirectory(prefix="b12screen-schedule-") as folder:
        bulk = Path(folder) / "bulk"
        subprocess.run(
            [
                *(sys.executable, "-m", "b12screen", "synth", str(bulk), "--seed", "1"),
                *("--bulk", str(arguments.rows), "--first-night", str(now().date())),
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
        for name, title in (("apart", "A server started apart"), ("own", "The server of serve")):
            if arguments.only not in (None, name):
                continue
            (Path(folder) / name).mkdir()
            schedule = Schedule(Path(folder) / name, title, apart=name == "apart")
            try:
                go_through(schedule, bulk)
            finally:
                schedule.end()
            n_failed += schedule.n_failed
    print(f"{n_failed} steps failed")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
