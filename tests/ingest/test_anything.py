"""Any bytes in: no traceback, every row in one bucket, every rejected row with its reason."""

import shutil
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b12screen.maps import Maps
from b12screen.settings import Limits, Settings

from .inbox import LAB_HEADER, Box

FEW = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CELLS = st.one_of(
    st.sampled_from(
        [
            "R1",
            "R2",
            "P1",
            "2026-11-01",
            "2026-11-02T10:00:00Z",
            "14685-2",
            "2951-2",
            "412",
            "<50",
            "1,5",
            "NaN",
            "pmol/L",
            "pg/mL",
            "final",
            "C",
            "cancelled",
            "",
            " ",
            '"x"',
            '"a,b"',
            '"a\nb"',
            '"',
            "a\rb",
            "\0",
            "\u00e9",
            "=cmd()",
        ]
    ),
    st.text(max_size=5),
)
GOOD = st.builds(
    "{},P1,2026-11-01,{},14685-2,{},pmol/L,final".format,
    st.sampled_from(["R1", "R2", "R3", '"R,4"', '"R\n5"']),
    st.sampled_from(["", "2026-11-02", "2026-11-03"]),
    st.sampled_from(["100", "200", "<50"]),
)
ROWS = st.lists(st.one_of(GOOD, st.lists(CELLS, min_size=7, max_size=9).map(",".join)), max_size=12)


def checked(folder: Path, maps: Maps, files: list[bytes], name: str = "labs_{}.csv") -> None:
    """Take the files on one night; the store must hold what the accounts say."""
    shutil.rmtree(folder / "site", ignore_errors=True)
    box = Box(folder / "site", maps, Settings(limits=Limits(max_cell_bytes=1000)))
    try:
        for number, content in enumerate(files):
            box.put(name.format(number), content)
        accounts = box.take().accounts
        for account in accounts:
            rejects = box.warehouse.scalar(
                "SELECT count(*) FROM core.reject WHERE file_name = ? AND kind = ?",
                (account.file_name, account.kind),
            )
            assert rejects == account.n_rejected
        kept = box.warehouse.scalar(
            "SELECT (SELECT count(*) FROM core.lab_result) + "
            "(SELECT count(*) FROM private.lab_result)"
        )
        assert kept == sum(
            account.n_accepted + account.n_superseded
            for account in accounts
            if account.kind == "labs"
        )
        people = box.warehouse.scalar(
            "SELECT (SELECT count(*) FROM core.patient) + (SELECT count(*) FROM private.patient)"
        )
        assert people == sum(
            account.n_accepted + account.n_superseded
            for account in accounts
            if account.kind == "patients"
        )
        repeated = box.warehouse.scalar(
            "SELECT count(*) - count(DISTINCT (laboratory, result_id)) FROM core.lab_result"
        )
        assert repeated == 0
        assert box.warehouse.scalar("SELECT count(*) FROM private.reject_row") == sum(
            account.n_rejected for account in accounts
        )
    finally:
        box.warehouse.close()


@FEW
@given(content=st.binary(max_size=200), with_header=st.booleans())
def test_any_bytes_are_accounted_for(
    tmp_path: Path, maps: Maps, content: bytes, with_header: bool
) -> None:
    checked(tmp_path, maps, [(LAB_HEADER.encode() + b"\n" if with_header else b"") + content])


@FEW
@given(files=st.lists(ROWS, min_size=1, max_size=3), line_end=st.sampled_from(["\n", "\r\n"]))
def test_any_rows_in_any_files_are_accounted_for(
    tmp_path: Path, maps: Maps, files: list[list[str]], line_end: str
) -> None:
    contents = [
        line_end.join([LAB_HEADER, *rows, ""]).encode("utf-8", "surrogatepass") for rows in files
    ]
    checked(tmp_path, maps, contents)


SEGMENTS = st.one_of(
    st.sampled_from(
        [
            b"MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1",
            b"MSH|^~\\&|L|M|E|C|20261103||ADT^A01|1|P|2.5.1",
            b"PID|1||P1^^^H^MR||Doe^Jane||19550203|F",
            b"PID|1||P1^^^H^MR|||||M",
            b'PID|1||P2^^^H^MR~P3^^^H^MR||||"||Q',
            b'PID|1||P2||||""|X|||||||||||||||||||||20261101|Y',
            b"OBR|1||F1||||20261101|||||||||||||||20261102|||F",
            b"OBX|1|NM|14685-2^^LN||412|pmol/L|||||F",
            b"OBX|2|ST|14685-2^^LN||<50|pmol/L|||||C",
            b"OBX|3|SN|13964-2^^LN||<^7|nmol/L|||||X",
            b"OBX|4|NM|2951-2^^LN||140|mmol/L|||||F",
            b"OBX|5|NM|13964-2^^LN||60~120|nmol/L|||||F",
            b"BTS|2",
            b"\x1c",
        ]
    ),
    st.binary(max_size=8),
)


@FEW
@given(files=st.lists(st.lists(SEGMENTS, max_size=12), min_size=1, max_size=2))
def test_any_messages_in_any_files_are_accounted_for(
    tmp_path: Path, maps: Maps, files: list[list[bytes]]
) -> None:
    begun = b"MSH|^~\\&|L|M|E|C|20261102||ORU^R01|1|P|2.5.1"
    checked(tmp_path, maps, [b"\r".join([begun, *lines]) for lines in files], "{}.hl7")


def test_resources_of_other_types_leave_no_text_among_the_rejects(
    tmp_path: Path, maps: Maps
) -> None:
    other = b'{"resourceType":"Encounter","id":"1"}\n'
    checked(tmp_path, maps, [other + b'{"resourceType":"\xff"}\n', other], "{}.ndjson")


@FEW
@given(rows=ROWS)
def test_the_fast_and_the_exact_reading_agree(tmp_path: Path, maps: Maps, rows: list[str]) -> None:
    """A NUL in one more row forces the exact reading of the very same rows."""
    told = []
    for number, more in enumerate([[], ["\0"]]):
        folder = tmp_path / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        box = Box(folder, maps, Settings(limits=Limits(reject_rows=1000)))
        box.put("labs.csv", "\n".join([LAB_HEADER, *rows, *more]).encode("utf-8", "replace"))
        box.take()
        told.append(
            (
                box.rows("SELECT * EXCLUDE (file_name) FROM core.lab_result ORDER BY ALL"),
                [row for row in box.rejects() if row[3] != "nul_byte"],
            )
        )
        box.warehouse.close()
    assert told[0] == told[1]
