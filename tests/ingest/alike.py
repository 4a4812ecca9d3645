"""Both ways of reading FHIR lines over feeds whose lines were changed at random: the same, always.

    python -m tests.ingest.alike --files 500

Every file has observations of one to eight exporters, panels among them, and among these lines
that were cut, doubled, mixed or had letters changed. What is read many at a time must be what every
line gives by itself. A file that is read differently is kept.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from b12screen.ingest.fhir_shape import AtOnce
from b12screen.maps import Maps, load_maps
from b12screen.settings import Limits, Settings
from tests.bench.fhir import observations
from tests.ingest.fuzz import resources_read

# What JSON and its texts turn on.
LETTERS = '"\\,:{}[]#/0123456789.-+eE \t\r\x00\x1f\xe9€null'
BY_ITSELF = AtOnce(most_shapes=0)


def changed(line: str, other: str, chance: random.Random) -> str:
    """A line with something wrong, or only other, in it."""
    at = chance.randrange(len(line) + 1)
    pieces, others = line.split(","), other.split(",")
    where = chance.randrange(len(pieces))
    match chance.randrange(13):
        case 0:
            return line[:at] + chance.choice(LETTERS) + line[at:]
        case 1:
            return line[:at] + line[at + chance.randint(1, 3) :]
        case 2:
            return line[:at] + chance.choice(LETTERS) + line[at + 1 :]
        case 3:
            return line[:at]
        case 4:
            return line[:at] + other[at:]
        case 5:
            pieces.insert(where, pieces[where])
        case 6:
            del pieces[where]
        case 7:
            pieces[where] = chance.choice(others)
        case 8:
            pieces[where], pieces[-1 - where] = pieces[-1 - where], pieces[where]
        case 9:
            pieces[where] += chance.choice((",", ", ", "\\", '"', "}", "\\u0041", "\\n", "#1"))
        case 10:
            return line + chance.choice((",", " ", "\r", "\t", "}", "\ufeff", "{}"))
        case 11:
            # A text without its end, or without anything between its ends.
            start, end = line.find(':"', at), line.find('"', line.find(':"', at) + 2)
            return (
                line[: start + 2] + line[end + chance.randint(0, 1) :] if 0 < start < end else line
            )
        case _:
            start = line.find('"value":', at)
            end = line.find(",", start + 1)
            if start < 0 or end < 0:
                return line
            number = chance.choice(
                ("1e3", "-0", "00.5", "0.10", "1.", ".5", '"7"', "null", "1E400")
            )
            return f'{line[:start]}"value":{number}{line[end:]}'
    return ",".join(pieces)


def file_of(path: Path, chance: random.Random) -> None:
    """A feed with some lines changed, some sent twice, some blank."""
    observations(
        path, chance.choice((20, 60, 200)), chance.random() / 2, chance.randint(1, 8),
        chance.getrandbits(30),
    )  # fmt: skip
    lines = path.read_text(encoding="utf-8").splitlines()
    said = []
    for line in lines:
        if chance.random() < 0.2:
            line = changed(line, chance.choice(lines), chance)
        said.append(line)
        if chance.random() < 0.02:
            said.append(chance.choice(("", " ", "\r", line)))
    end = chance.choice(("\n", "\n", "\n", "\r\n"))
    text = end.join(said) + chance.choice((end, ""))
    start = chance.choice(("", "", "", "\ufeff"))
    path.write_bytes((start + text).encode("utf-8", "surrogatepass"))
    if chance.random() < 0.1:
        content = bytearray(path.read_bytes())
        content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)


def how(chance: random.Random) -> AtOnce:
    """Eagerly or not, in small blocks or one."""
    return AtOnce(
        most_shapes=chance.choice((2, 64)),
        fewest_lines=chance.choice((1, 5)),
        first_lines=chance.choice((1, 8)),
        block_bytes=chance.choice((2_000, 30_000, 16_000_000)),
    )


def alike(path: Path, maps: Maps, settings: Settings, chance: random.Random) -> bool:
    """Whether a file gives the same rows, broken rows, withdrawals and notes both ways."""
    said = [
        resources_read(path, path.parent / "rows", settings, maps, each)
        for each in (BY_ITSELF, how(chance))
    ]
    return said[0] == said[1]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.ingest.alike")
    parser.add_argument("--files", metavar="N", type=int, default=500)
    parser.add_argument("--seed", metavar="S", type=int, default=1)
    options = parser.parse_args(arguments)
    maps, settings = load_maps(), Settings(limits=Limits(max_cell_bytes=2_000))
    folder = Path(tempfile.mkdtemp(prefix="alike-"))
    n_wrong, began = 0, time.monotonic()
    for number in range(1, options.files + 1):
        chance = random.Random(f"{options.seed} {number}")
        path = folder / "a.ndjson"
        file_of(path, chance)
        if not alike(path, maps, settings, chance):
            n_wrong += 1
            shutil.copyfile(path, folder / f"differs-{options.seed}-{number}.ndjson")
        if number % 100 == 0:
            print(f"{number} files, {n_wrong} read differently", flush=True)
    took = time.monotonic() - began
    print(f"{options.files} files, {n_wrong} read differently, {took:.0f} s")
    if n_wrong:
        print(f"they lie in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
