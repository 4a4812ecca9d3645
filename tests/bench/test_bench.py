"""The benchmark itself runs and its nights agree; how long they take is for people to read."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_benchmark_runs_two_pairs_of_twenty_thousand_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--rows", "20000", "--pairs", "2"]
    done = subprocess.run(
        [*command, "--work", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "median ratio" in done.stdout
    assert "worklists are the same bytes every time" in done.stdout
