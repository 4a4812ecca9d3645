"""Make ``.venv`` from a bare Python: the locked packages, checked by hash, and this checkout.

Standard library only, and readable by any Python 3, so that an old one can be told what it lacks.
Does nothing when the environment is already made from this lock; ``--fresh`` makes it anew.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
STAMP = os.path.join(VENV, "made-from")
LOCK = os.path.join(ROOT, "requirements.lock")
WANTED = ("b12screen", "pytest", "ruff", "mypy")

PYTHON_TOO_OLD = """\
b12screen needs Python {oldest} or newer; this is Python {found} ({executable}).
Nothing was installed. Name a newer one:  make setup PYTHON=python3.12"""

VENV_MISSING = """\
This Python ({executable}) cannot make a virtual environment: its module `{module}` is missing.
Nothing was installed. On Debian and Ubuntu:  apt-get install python3-venv
or name another Python:  make setup PYTHON=python3.12"""

INSTALL_FAILED = """\
Installing stopped: {step} ended with code {code}. What pip said stands above.
The unfinished environment is not used; run `make setup` again once the cause is mended.
Without an internet connection:  PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER_OF_WHEELS make setup"""


def stop(message):
    sys.stderr.write(message + "\n")
    raise SystemExit(1)


def say(text):
    print(text, flush=True)


def digest_of(*texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def content_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def fingerprints():
    """Of what the packages depend on (Python, place, lock), and of the project's metadata."""
    return [
        digest_of(sys.version, sys.executable, ROOT, content_of(LOCK)),
        digest_of(content_of(os.path.join(ROOT, "pyproject.toml"))),
    ]


def made_from():
    """The fingerprints of the environment that stands; none where it is absent or unfinished."""
    if not all(os.path.exists(os.path.join(VENV, "bin", name)) for name in WANTED):
        return [None, None]
    try:
        packages, project = content_of(STAMP).split()
    except (FileNotFoundError, ValueError):
        return [None, None]
    return [packages, project]


def check_python():
    if sys.version_info < OLDEST:
        stop(
            PYTHON_TOO_OLD.format(
                oldest=".".join(map(str, OLDEST)),
                found=".".join(map(str, sys.version_info[:3])),
                executable=sys.executable,
            )
        )
    for module in ("venv", "ensurepip"):
        try:
            __import__(module)
        except ImportError:
            stop(VENV_MISSING.format(executable=sys.executable, module=module))


def run(step, *command):
    # The environment is to be exactly the lock: nothing of the user's own may leak in.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    environment.update(PYTHONNOUSERSITE="1", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    code = subprocess.call(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    if code:
        stop(INSTALL_FAILED.format(step=step, code=code))


def main():
    check_python()
    packages, project = fingerprints()
    old_packages, old_project = [None, None] if "--fresh" in sys.argv[1:] else made_from()
    if (old_packages, old_project) == (packages, project):
        return
    started = time.monotonic()
    python = os.path.join(VENV, "bin", "python")
    # Of most packages only a few modules are ever used: each is compiled when it first is.
    pip = (python, "-m", "pip", "install", "-qq", "--no-compile")

    if old_packages != packages:
        shutil.rmtree(VENV, ignore_errors=True)
        say(
            "setup 1/3  virtual environment in .venv (Python {}.{}.{})".format(
                *sys.version_info[:3]
            )
        )
        run("making the environment", sys.executable, "-m", "venv", VENV)
        count = sum("==" in line for line in content_of(LOCK).splitlines())
        say("setup 2/3  up to {} locked packages, checked by hash (a minute or two)".format(count))
        # The lock is complete, so nothing is resolved: pip would look past it for the extras.
        run("installing the locked packages", *pip, "--no-deps", "--require-hashes", "-r", LOCK)

    say("setup 3/3  this checkout, editable")
    run("installing b12screen", *pip, "--no-deps", "--no-build-isolation", "-e", ROOT)

    with open(STAMP, "w") as file:
        file.write(packages + "\n" + project + "\n")
    say("setup done in {:.0f} s".format(time.monotonic() - started))


if __name__ == "__main__":
    main()
