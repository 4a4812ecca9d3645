"""Who may import whom, read from the source: the rooms of CONTRIBUTING.md."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"schemas", "b12screen", "pipelines"}
# Where the name to import differs from the name to install.
IMPORTED_AS = {"pandera[polars]": "pandera"}

ONLY_IN = {
    "duckdb": {"b12screen/warehouse.py"},
    "pandera": {"b12screen/ingest/contracts.py"},
    "prefect": set(),
    "fastapi": set(),
    "pipelines": {"b12screen/cli.py"},
}


def modules(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The top-level name of everything imported, however deep inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full"
            yield (node.module or "").partition(".")[0], node.lineno


def foreign(path: Path) -> set[str]:
    found = {name for name, _ in imports(tree_of(path))}
    return found - set(sys.stdlib_module_names) - {"__future__"}


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = (line.split(">")[0].split("<")[0].strip() for line in project["dependencies"])
    return {IMPORTED_AS.get(name, name) for name in names}


def test_schemas_import_only_pandera_and_polars() -> None:
    for path in modules("schemas"):
        assert foreign(path) <= {"schemas", "pandera", "polars"}, named(path)


def test_the_package_imports_only_schemas_and_what_pyproject_declares() -> None:
    for path in modules("b12screen"):
        assert foreign(path) <= ROOMS | declared(), named(path)


@pytest.mark.parametrize("library", ONLY_IN)
def test_the_package_imports_each_engine_in_its_one_place(library: str) -> None:
    importers = {named(path) for path in modules("b12screen") if library in foreign(path)}
    assert importers <= ONLY_IN[library]


def test_pipelines_import_only_the_package_and_prefect() -> None:
    for path in modules("pipelines"):
        assert foreign(path) <= {"pipelines", "b12screen", "prefect"}, named(path)


def test_the_command_line_imports_pipelines_only_inside_serve() -> None:
    tree = tree_of(ROOT / "b12screen" / "cli.py")
    inside = {
        line
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "serve"
        for name, line in imports(node)
        if name == "pipelines"
    }
    everywhere = {line for name, line in imports(tree) if name == "pipelines"}
    assert everywhere == inside


FORBIDDEN_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
    ("os", "environ"),
    ("os", "environb"),
    ("os", "getenv"),
    ("os", "putenv"),
}
FORBIDDEN_NAMES = {"print", "input", "breakpoint"}
FORBIDDEN_LIBRARIES = {"secrets", "uuid", "getpass", "locale"}


def impurities(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            # Chance is seeded: random.Random(seed), never the module's own generator.
            unseeded = owner == "random" and node.attr != "Random"
            if unseeded or (owner, node.attr) in FORBIDDEN_CALLS:
                yield f"line {node.lineno}: {owner}.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield f"line {node.lineno}: {node.id}"
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if ((node.module or "").rpartition(".")[2], alias.name) in FORBIDDEN_CALLS:
                    yield f"line {node.lineno}: from {node.module} import {alias.name}"
    for name, line in imports(tree):
        if name in FORBIDDEN_LIBRARIES:
            yield f"line {line}: import {name}"


def test_only_the_command_line_reads_the_clock_or_the_environment_or_prints() -> None:
    found = {
        named(path): list(impurities(tree_of(path)))
        for room in ("b12screen", "schemas")
        for path in modules(room)
        if named(path) != "b12screen/cli.py"
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_module_is_named_for_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    named_so = [named(path) for room in ROOMS for path in modules(room) if path.stem in vague]
    assert named_so == []


HEAVY = ("prefect", "fastapi", "polars", "pandera", "duckdb", "pyarrow")


@pytest.mark.parametrize(
    "start",
    ["import b12screen", "from b12screen import cli; cli.main(['--help'])"],
    ids=["import", "help"],
)
def test_starting_loads_nothing_heavy(start: str) -> None:
    script = f"""
import sys
try:
    {start}
except SystemExit:
    pass
sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""


def test_importing_every_room_but_pipelines_never_loads_prefect() -> None:
    names = [
        named(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for room in ("schemas", "b12screen")
        for path in modules(room)
        if path.name != "__main__.py"
    ]
    script = f"""
import importlib, sys
for name in {names!r}:
    importlib.import_module(name)
sys.exit("prefect" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
