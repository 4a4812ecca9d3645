"""The wheel by itself: built from this checkout, installed without it, it runs a night anywhere."""

import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_"))}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def needed_at_run_time(name: str, extras: frozenset[str] = frozenset()) -> dict[str, Distribution]:
    """What the project requires, without its extras, and what that requires in turn."""
    found: dict[str, Distribution] = {}
    waiting, seen = [(name, extras)], set()
    while waiting:
        wanted, with_extras = waiting.pop()
        if (wanted, with_extras) in seen:
            continue
        seen.add((wanted, with_extras))
        package = found[wanted] = distribution(wanted)
        for line in package.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if not marker or any(marker.evaluate({"extra": e}) for e in {"", *with_extras}):
                canonical = re.sub(r"[-_.]+", "-", requirement.name).lower()
                waiting.append((canonical, frozenset(requirement.extras)))
    del found[name]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps")
    done = run(*pip, "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it needs at run time, and no tool of ours."""
    home = tmp_path_factory.mktemp("bare") / "env"
    made = run(sys.executable, "-m", "venv", "--without-pip", home, cwd=home.parent)
    assert made.returncode == 0, made.stderr
    (packages,) = home.glob("lib/python*/site-packages")
    for package in needed_at_run_time("b12screen").values():
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            source, target = Path(str(package.locate_file(top))), packages / top
            if source.exists() and not target.exists():
                target.symlink_to(source)
    with zipfile.ZipFile(wheel) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} & {"sql", "tests"} == set()
    pip = (sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install", "--quiet")
    done = run(*pip, "--no-index", "--no-deps", wheel, cwd=home.parent)
    assert done.returncode == 0, done.stderr
    return home / "bin"


def test_the_wheel_ships_every_file_that_a_night_reads(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    rooms = [
        path.relative_to(ROOT).as_posix()
        for room in ("b12screen", "schemas", "pipelines")
        for path in (ROOT / room).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    statements = [
        f"b12screen/_sql/{path.relative_to(ROOT / 'sql').as_posix()}"
        for path in (ROOT / "sql").rglob("*.sql")
    ]
    assert set(rooms + statements) - shipped == set()


def test_a_bare_installation_has_no_tool_of_ours(bare: Path, tmp_path: Path) -> None:
    script = "import b12screen, importlib.util as u, sys; print(b12screen.__file__);"
    script += "sys.exit(any(map(u.find_spec, ('pytest', 'mypy', 'hypothesis', 'sqlglot'))))"
    done = run(bare / "python", "-c", script, cwd=tmp_path)
    assert done.returncode == 0
    assert Path(done.stdout.strip()).is_relative_to(bare.parent)


def test_a_bare_installation_runs_a_night_from_an_empty_folder(bare: Path, tmp_path: Path) -> None:
    command = bare / "b12screen"
    assert run(command, "init", "site", cwd=tmp_path).returncode == 0
    synth = ("--patients", "60", "--nights", "1", "--seed", "7", "--first-night", "2026-11-01")
    made = run(command, "synth", "site/inbox", *synth, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    night = run(command, "run", "site", "--as-of", "2026-11-01", cwd=tmp_path)
    assert night.returncode in (0, 20), night.stderr
    published = tmp_path / "site" / "published" / "current"
    assert (published / "b12screen.duckdb").is_file()
    assert list((published / "worklists").glob("*.csv"))
    doctor = run(command, "doctor", "site", cwd=tmp_path)
    assert doctor.returncode in (0, 20), doctor.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site"]
