"""What may stand in no file of the project, and that the generated pages are those of today."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Written with classes of one character, so that this file does not contain what it looks for.
REGISTRIES = re.compile(
    r"(?i)(pypi[.]org|pythonhosted[.]org|registry[.]npmjs|npmjs[.]org|deb[.]debian|anaconda[.]org)"
)
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:home|root|work|farm|Users)/\w")


@cache
def texts() -> dict[str, str]:
    """Every text that git tracks or would track; without git, every text that is not made here."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
    else:
        made = {".venv", ".git", "demo-site", "build", "dist", "__pycache__", ".hypothesis"}
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = [
            path.as_posix()
            for path in paths
            if not made & set(path.parts) and not path.parts[0].endswith("_cache")
        ]
    found = {}
    for name in names:
        path = ROOT / name
        if not path.is_file():
            continue
        content = path.read_bytes()
        if b"\0" not in content:
            found[name] = content.decode("utf-8", errors="replace")
    assert found, "no file of the project was found"
    return found


def places(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    return [
        f"{name}:{number}"
        for name, text in texts().items()
        if name.endswith(suffixes or ("",))
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_package_registry_is_named() -> None:
    assert places(REGISTRIES) == []


def test_no_path_of_a_machine_is_written_down() -> None:
    assert places(MACHINE_PATHS) == []


def test_no_result_is_read_one_row_at_a_time() -> None:
    # After a half-read result the same connection refuses the next query (DuckDB 2.0).
    assert places(re.compile(r"[.]fetch(?:one|many)[(]"), ".py") == []


def test_nothing_is_left_for_later() -> None:
    assert places(re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|raise NotImplemented[E]rror)\b")) == []


def test_the_lock_has_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert not re.search(r"(?m)^\s*--(?!hash=)", lock), "an index or a folder got into the lock"
    packages = re.findall(r"(?m)^[\w.\-\[\]]+==.*(?:\n    --hash=sha256:[0-9a-f]{64}.*)*", lock)
    assert len(packages) > 50
    assert [text.split()[0] for text in packages if "--hash=sha256:" not in text] == []


def test_the_lock_pins_everything_that_pyproject_names() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.findall(r'(?m)^    "([\w\-]+)(?:\[\w+\])?>=', project)
    assert len(named) > 10
    assert [name for name in named if f"\n{name}==" not in f"\n{lock}"] == []


def test_the_data_dictionary_is_current() -> None:
    from schemas import dictionary

    page = ROOT / "schemas" / "DICTIONARY.md"
    assert page.read_text(encoding="utf-8") == dictionary.render(), (
        "write it again: .venv/bin/python -m schemas.dictionary"
    )


RULESETS = sorted(
    path.stem
    for path in (ROOT / "b12screen" / "rules").glob("*.toml")
    if path.with_suffix(".md").exists() or re.search(r"-\d{4}$", path.stem)
)


def test_a_ruleset_is_shipped() -> None:
    assert "praxis-2025" in RULESETS


@pytest.mark.parametrize("name", RULESETS)
def test_the_page_of_a_ruleset_is_current(name: str) -> None:
    from b12screen.maps import load_maps
    from b12screen.rules import load_ruleset, render

    page = ROOT / "b12screen" / "rules" / f"{name}.md"
    assert page.read_text(encoding="utf-8") == render(load_ruleset(name), load_maps()), (
        f"write it again: .venv/bin/b12screen rules render > b12screen/rules/{name}.md"
    )


def links() -> list[tuple[str, str]]:
    return [
        (name, target)
        for name, text in texts().items()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)\s]+)\)", text)
        if "://" not in target
    ]


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = []
    for name, target in links():
        path, _, section = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        if not page.exists():
            broken.append(f"{name}: {target}")
        elif section and page.suffix == ".md":
            titles = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            if section not in slugs:
                broken.append(f"{name}: {target}")
    assert broken == []
