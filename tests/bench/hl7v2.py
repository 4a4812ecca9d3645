"""HL7 v2 messages beside a plain split of the same bytes (`python -m tests.bench.hl7v2`).

The floor cuts every message into segments and every segment into fields, and keeps nothing. The
reader is measured to its rows, and to its Parquet parts. CPU seconds of this process; nothing here
asserts a time.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from b12screen.ingest import hl7v2
from b12screen.ingest.hl7v2_cells import dialect
from b12screen.maps import load_maps
from b12screen.settings import Settings

TESTS = (
    ("14685-2^Cobalamin (Vitamin B12)^LN^B12^Vitamin B12^L", "pmol/L"),
    ("13964-2^Methylmalonate^LN^MMA^Methylmalonic acid^L", "nmol/L"),
    ("14682-9^Creatinine^LN^CREA^Creatinine^L", "umol/L"),
)


def message(number: int) -> str:
    """One result message as laboratories send them: three results, one patient, one sample."""
    day = f"202611{number % 28 + 1:02}"
    order = f"{number:08}^LAB^2.16.840.1.113883.19^ISO"
    return "\r".join(
        [
            f"MSH|^~\\&|LIS|MAINLAB^2.16.840.1.113883.19^ISO|EHR|CLINIC|{day}10{number % 60:02}"
            f"{number // 60 % 60:02}+0000||ORU^R01^ORU_R01|M{number}|P|2.5.1|||AL|NE|||UNICODE",
            "SFT|Vendor|1.0|LIS|1",
            f"PID|1||{number % 50_000:07}^^^HOSP^MR~99{number % 50_000:07}^^^NAT^NI||Doe^Jane||"
            "19550203|F|||1 Main Street^^Town^^12345||555-0100",
            "PV1|1|O|WARD^1^2^NORTH",
            f"ORC|RE|P{order}|{order}|||||||||||||||||||North Practice^L^^^^^^^^N12",
            f"OBR|1|P{order}|{order}|B12P^B12 panel^L|||{day}0800|||||||||||||||{day}1000|||F",
            *(
                f"OBX|{place}|NM|{code}||{number % 400 + 100}|{unit}|100-700|N|||F|||{day}0800|||"
                for place, (code, unit) in enumerate(TESTS, 1)
            ),
            "SPM|1|||119364003^Serum specimen^SCT^SER^Serum^L|||||||||||||" + day,
        ]
    )


def split(path: Path) -> int:
    """The floor: every field of every message."""
    n_fields = 0
    for text in path.read_bytes().decode().split("\rMSH"):
        for segment in text.split("\r"):
            n_fields += len(segment.split("|"))
    return n_fields


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process for a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="HL7 v2 messages beside a plain split.")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    known = dialect(Settings(), load_maps())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "messages.hl7"
        with path.open("w", encoding="utf-8", newline="") as file:
            for number in range(options.messages):
                file.write(message(number) + "\r")
        print(f"{options.messages:,} messages, {path.stat().st_size / 1e6:,.0f} MB")
        print("round  split s   rows s  ratio  messages/s   Parquet s  ratio  messages/s")
        for number in range(1, options.rounds + 1):
            target = Path(folder) / str(number)
            least = cpu(lambda: split(path))
            rows = cpu(lambda: sum(len(found.labs) for found in hl7v2.Reader(known).read(path)))
            parts = cpu(lambda: hl7v2.messages_as_parquet(path, known, target))  # noqa: B023
            print(
                f"{number:5} {least:8.2f} {rows:8.2f} {rows / least:6.1f} "
                f"{options.messages / rows:11,.0f} {parts:11.2f} {parts / least:6.1f} "
                f"{options.messages / parts:11,.0f}",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {peak * (1 if sys.platform == 'darwin' else 1024) / 1e9:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
