"""An identifier planted in broken extracts is found nowhere that may be read by others."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HEADER = "result_id,patient_id,collected_at,code,value,unit\n"

BREAKAGES = {
    "a day that is no day": HEADER + "r1,{id},{id},13964-2,900,nmol/L\n",
    "a value that is no number": HEADER + "r1,{id},2026-10-30,13964-2,{id},nmol/L\n",
    "a unit that is no unit": HEADER + "r1,{id},2026-10-30,13964-2,900,{id}\n",
    "a record with too many fields": HEADER + "r1,{id},2026-10-30,13964-2,9,nmol/L,{id},{id}\n",
    "a record with too few fields": HEADER + "r1,{id}\n",
    "a quote that does not end": HEADER + 'r1,"{id},2026-10-30,13964-2,900,nmol/L\n',
    "a column that is missing": "result_id,patient_id\nr1,{id}\n",
    "a header that is a person": "{id},2026-10-30,13964-2,900,nmol/L\n",
    "bytes that are no text": HEADER + "r1,{id},2026-10-30,13964-2,900,\x00\udcff{id}\n",
}
MESSAGES = (
    "MSH|^~\\&|{id}|{id}|E|C|{id}||ORU^R01|1|P|2.5.1\rPID|1||{id}^^^{id}^{id}||{id}||{id}|{id}\r"
    "OBR|1||{id}|||||{id}\rOBX|1|{id}|13964-2^{id}^LN||{id}|{id}|||||{id}\r"
    "{id}\rMSH|{id}\rMSH|^~\\&|L|M|E|C|1||{id}^{id}|1\rOBX|1|{id}"
)

RESOURCES = (
    '{{"resourceType": "{id}", "id": "{id}"}}',
    '{{"resourceType": "Patient", "id": "{id}", "birthDate": "{id}", "gender": "{id}"}}',
    '{{"resourceType": "Observation", "id": "{id}", "status": "{id}", "subject": '
    '{{"reference": "Patient/{id}"}}, "effectiveDateTime": "{id}", "issued": "{id}", "code": '
    '{{"text": "{id}", "coding": [{{"system": "http://loinc.org", "code": "13964-2", "display": '
    '"{id}"}}]}}, "valueQuantity": {{"value": "{id}", "unit": "{id}"}}}}',
    '{{"resourceType": "Observation", "id": "{id}", "status": "entered-in-error"}}',
    '{{"resourceType": "Observation", "id": "{id}", "{id}": 1, "{id}": 2}}',
    '{{"resourceType": "Condition", "subject": {{"reference": "{id}"}}, "code": {{"coding": '
    '[{{"system": "{id}", "code": "{id}"}}]}}, "recordedDate": "{id}"}}',
    '{{"resourceType": "MedicationRequest", "id": "{id}", "status": "{id}", "intent": "{id}", '
    '"subject": {{"reference": "Patient/{id}"}}, "authoredOn": "{id}"}}',
    '{{"resourceType": "Bundle", "entry": [{{"request": {{"method": "DELETE", "url": "{id}"}}}}, '
    '{{"resource": {{"resourceType": "Observation/{id}"}}}}]}}',
    '{{"resourceType": "Patient", "id": "{id}"',
    "{id}",
)


def some(site: Path, canary: str, sound: dict[str, str]) -> None:
    """Extracts that are sound, and one breakage of each form."""
    for name, content in sound.items():
        (site / "inbox" / name).write_text(content, encoding="utf-8")
    broken = BREAKAGES["a value that is no number"].format(id=canary)
    (site / "inbox" / "labs_broken.csv").write_text(broken, encoding="utf-8")
    (site / "inbox" / "broken.hl7").write_text(MESSAGES.format(id=canary), encoding="utf-8")
    resources = "".join(f"{line.format(id=canary)}\n" for line in RESOURCES)
    (site / "inbox" / "broken.ndjson.gz").write_bytes(gzip.compress(resources.encode()))


def delivered(site: Path, canary: str, sound: dict[str, str]) -> None:
    """The same, and every breakage in a file of its own."""
    some(site, canary, sound)
    for number, text in enumerate(BREAKAGES.values()):
        broken = text.format(id=canary).encode("utf-8", errors="surrogateescape")
        (site / "inbox" / f"labs_broken{number}.csv").write_bytes(broken)
    # All of them stand in one file already; some by themselves, as the only line of theirs.
    for number, line in list(enumerate(RESOURCES))[2::3]:
        text = f"{line.format(id=canary)}\n"
        (site / "inbox" / f"broken{number}.ndjson").write_text(text, encoding="utf-8")


def test_broken_extracts_name_nobody_on_the_command_line(
    site: Path,
    canary: str,
    sound: dict[str, str],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    from b12screen import cli

    delivered(site, canary, sound)
    assert cli.main(["check", str(site), "--as-of", "2026-11-01"]) == 20
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 20
    assert cli.main(["doctor", str(site)]) == 20
    out, err = capfd.readouterr()
    assert "labs_broken0.csv" in out and "broken2.ndjson" in out
    assert canary not in out + err
    assert canary not in caplog.text
    manifest = (site / "published" / "current" / "manifest.json").read_text()
    assert "labs_broken0.csv" in manifest and "broken.ndjson.gz" in manifest
    assert canary not in manifest


def test_broken_extracts_name_nobody_in_prefect(
    flows: ModuleType,
    site: Path,
    canary: str,
    sound: dict[str, str],
    prefect_knows: Callable[[str], list[str]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    delivered(site, canary, sound)
    assert flows.nightly(str(site), "2026-11-01") == 20
    out, err = capfd.readouterr()
    assert canary not in out + err
    assert prefect_knows("labs_broken0.csv") != []
    assert prefect_knows(canary) == []


@pytest.mark.long
def test_a_failing_audit_names_nobody(
    flows: ModuleType,
    site: Path,
    canary: str,
    sound: dict[str, str],
    prefect_knows: Callable[[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from b12screen import cli

    some(site, canary, sound)
    # A sheet that was changed between writing and auditing has to stop the night.
    real = flows.write

    def tampering(night: "object", *given: object) -> object:
        lists = real(night, *given)
        sheet = next((night.folder / "worklists").glob("north*"))  # type: ignore[attr-defined]
        text = sheet.read_bytes()
        sheet.write_bytes(text + text.split(b"\r\n")[-2] + b"\r\n")
        return lists

    monkeypatch.setattr("b12screen.night.write", tampering)
    monkeypatch.setattr(flows, "write", tampering)
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) == 13
    with pytest.raises(flows.StageError) as raised:
        flows.nightly(str(site), "2026-11-01")
    assert raised.value.exit_code == 13
    assert canary not in repr(raised.value)
    out, err = capfd.readouterr()
    assert canary not in out + err
    assert prefect_knows(canary) == []
    assert not (site / "published" / "current").exists()


@pytest.mark.long
def test_the_flow_as_a_command_keeps_prefect_in_the_private_store(
    site: Path,
    canary: str,
    sound: dict[str, str],
    holding: Callable[[Path, str], list[str]],
) -> None:
    some(site, canary, sound)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT")
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.nightly", str(site), "--as-of", "2026-11-01"],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode in (0, 20), done.stderr
    home = site / "store" / "prefect"
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "prefect.db").exists()
    assert holding(home, canary) == []
    assert canary not in done.stdout + done.stderr
