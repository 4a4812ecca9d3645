"""The workbook of tests and units that no map names: written, reviewed, given back."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from b12screen import accepted, cli
from b12screen.errors import CannotWrite, SettingsInvalid
from b12screen.settings import Accepted, make_site

Capture = pytest.CaptureFixture[str]
Row = dict[str, str]

HEADER = "result_id,patient_id,collected_at,code,code_system,test_name,value,unit\n"


def labs(rows: list[str]) -> str:
    return HEADER + "\n".join(rows) + "\n"


# A homocysteine under a local code, 30 times; a total B12 in a spelling of its own, and blank.
FEED = labs(
    [
        f"h{n},CANARY-{n:02},2026-10-{n % 20 + 1:02},HCYS,own,Homocystein,{10 + n},"
        # Some come with a blank, which no spreadsheet gives back.
        + " " * (n % 2)
        + "umol/L"
        for n in range(30)
    ]
    + [
        f"b{n},CANARY-{n:02},2026-10-20,14685-2,loinc,Vitamin B12,{300 + n},pmol per litre"
        for n in range(3)
    ]
    + ["b9,CANARY-09,2026-10-20,14685-2,loinc,Vitamin B12,333,"]
    + ["x1,CANARY-01,2026-10-20,=CMD(1),own,seen once by CANARY Smith,5,g/L"]
    + ["c1,CANARY-01,2026-10-20,16695-9,loinc,B12 binding capacity,900,pmol/L"]
)


@pytest.fixture(name="fed", scope="module")
def fed_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site whose night saw the feed; for copying only."""
    site = tmp_path_factory.mktemp("fed") / "site"
    make_site(site)
    (site / "inbox" / "labs_feed.csv").write_text(FEED, encoding="utf-8")
    (site / "inbox" / "patients.csv").write_text(
        "patient_id,birth_date,sex,clinic_id\nCANARY-01,1950-01-01,female,north\n"
    )
    assert cli.main(["run", str(site), "--as-of", "2026-11-01"]) in (0, 20)
    return site


@pytest.fixture(name="night")
def night_fixture(fed: Path, copy: Callable[[Path], Path], capsys: Capture) -> Path:
    """A site of one's own whose night saw the feed."""
    capsys.readouterr()
    return copy(fed)


def book(site: Path, tmp_path: Path) -> tuple[Path, list[Row]]:
    """The workbook as it is written."""
    path = tmp_path / "book.csv"
    assert cli.main(["unmapped", str(site), "--workbook", str(path)]) == 0
    text = path.read_bytes().decode("utf-8-sig")
    return path, list(csv.DictReader(io.StringIO(text, newline="")))


def asked(rows: list[Row]) -> list[Row]:
    """Without those that are in force, which are shown so that they can be removed."""
    return [row for row in rows if not row["why"].startswith("in force")]


def save(path: Path, rows: list[Row], separator: str = ";") -> None:
    """The same as another spreadsheet saves it."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)


def filled(rows: list[Row], **answers: Callable[[Row], Row | None] | Row) -> list[Row]:
    """The rows, those of a code answered; the code's signs stand as words in the argument."""
    found = []
    for row in rows:
        answer = answers.get(row["code"].replace("-", "_").strip("'="), {})
        found.append(row | (answer(row) or {} if callable(answer) else answer))
    return found


HCY = {"analyte": "hcy", "decision": "accept"}


def accept(site: Path, path: Path) -> int:
    return cli.main(["unmapped", str(site), "--accept", str(path)])


def test_the_workbook_counts_and_shows_nobody(night: Path, tmp_path: Path) -> None:
    path, rows = book(night, tmp_path)
    assert b"CANARY" not in path.read_bytes()
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") and path.read_bytes().endswith(b"\r\n")
    first = rows[0]
    assert (first["code"], first["n"], first["unit_as_sent"]) == ("HCYS", "30", "umol/L")
    assert (first["first_on"], first["last_on"]) == ("2026-10-01", "2026-10-20")
    assert first["test_names"] == "Homocystein"
    assert first["p50"] in ("24", "23", "25")
    assert (first["analyte"], first["unit"], first["decision"]) == ("", "", "")


def test_a_test_that_was_seen_a_few_times_shows_no_value_and_no_name(
    night: Path, tmp_path: Path
) -> None:
    _, rows = book(night, tmp_path)
    few = [row for row in rows if row["code"] != "HCYS"]
    assert len(few) == 4
    assert {row["p50"] + row["test_names"] for row in few} == {""}
    units = {row["unit_as_sent"]: row for row in few if row["code"] == "14685-2"}
    assert units["pmol per litre"]["why"] == "the unit map has no such unit for this test"
    assert units[""]["why"] == "the unit is blank and none is declared"
    assert {row["analyte"] for row in units.values()} == {"b12"}
    assert [row["code"] for row in few if "refuses" in row["why"]] == ["16695-9"]
    # A spreadsheet would run it.
    assert [row["code"] for row in few if "CMD" in row["code"]] == ["'=CMD(1)"]


def test_an_accepted_test_is_taken_from_the_files_that_it_names(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    before = (night / "b12screen.toml").read_bytes()
    save(path, filled(rows, HCYS=HCY))
    capsys.readouterr()
    assert accept(night, path) == 0
    out = capsys.readouterr().out
    assert "maps/tests.1.csv: 1 accepted, 0 ignored, 0 removed, 4 left open" in out
    assert f"b12screen retake {night} labs_feed.csv" in out
    assert cli.main(["unmapped", str(night)]) == 0
    assert "What is mapped since is taken by `b12screen retake`" in capsys.readouterr().out
    assert (night / "b12screen.toml").read_bytes() == before
    assert cli.main(["retake", str(night), "labs_feed.csv", "--as-of", "2026-11-02"]) in (0, 20)
    question = "SELECT count(*), min(value), max(value) FROM core.lab_result WHERE analyte = 'hcy'"
    capsys.readouterr()
    assert cli.main(["query", str(night), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "30,10.0,39.0"
    question = "SELECT code, analyte, meaning, verified FROM map.test WHERE verified = 'site'"
    assert cli.main(["query", str(night), question, "--csv"]) == 0
    assert capsys.readouterr().out.split()[-1] == "HCYS,hcy,main,site"
    _, rows = book(night, tmp_path)
    assert "HCYS" not in {row["code"] for row in asked(rows)}
    # What the file still holds of no map is counted once, though it was read twice.
    assert [row["n"] for row in rows if row["code"] == "16695-9"] == ["1"]


def test_an_accepted_unit_is_taken_by_retry(night: Path, tmp_path: Path, capsys: Capture) -> None:
    path, rows = book(night, tmp_path)
    save(path, filled(rows, **{"14685_2": {"unit": "pmol/L", "decision": "accept"}}), ",")
    assert accept(night, path) == 0
    assert f"Next: b12screen retry {night}" in capsys.readouterr().out
    assert cli.main(["retry", str(night), "--as-of", "2026-11-02"]) in (0, 20)
    assert "4 of 4 rejected rows taken after all" in capsys.readouterr().out
    question = "SELECT value, unit_as_sent FROM core.lab_result ORDER BY value"
    assert cli.main(["query", str(night), question, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "300.0,pmol per litre",
        "301.0,pmol per litre",
        "302.0,pmol per litre",
        '333.0,""',
    ]


def test_of_two_reviewers_at_once_the_second_is_told_and_changes_nothing(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(unit: str) -> list[Accepted]:
        said = {"laboratory": "main", "code_system": "own", "code": "HCYS", "unit_as_sent": unit}
        said |= {"analyte": "hcy", "unit": "umol/L", "specimen": "", "decision": "accept"}
        return [Accepted.model_validate_strings(said | {"note": "", "accepted_on": "2026-11-01"})]

    link = Path.hardlink_to

    def meanwhile(path: Path, beside: Path) -> None:
        monkeypatch.setattr(Path, "hardlink_to", link)
        monkeypatch.setattr("b12screen.accepted.os.getpid", lambda: 1)
        accepted.write(site, rows("second"))
        link(path, beside)

    monkeypatch.setattr(Path, "hardlink_to", meanwhile)
    with pytest.raises(CannotWrite, match="Nothing was accepted"):
        accepted.write(site, rows("first"))
    assert [row.unit_as_sent for row in accepted.accepted_by(site)] == ["second"]
    assert [path.name for path in (site / "maps").iterdir()] == ["tests.1.csv"]


def test_what_is_accepted_is_written_as_numbered_files_that_stay(
    night: Path, tmp_path: Path
) -> None:
    path, rows = book(night, tmp_path)
    save(path, filled(rows, HCYS=HCY))
    assert accept(night, path) == 0
    first = (night / "maps" / "tests.1.csv").read_bytes()
    assert first.count(b"\n") == 2
    path_2, rows_2 = book(night, tmp_path)
    save(path_2, [row | {"decision": "ignore"} for row in rows_2 if "CMD" in row["code"]])
    assert accept(night, path_2) == 0
    assert (night / "maps" / "tests.1.csv").read_bytes() == first
    second = (night / "maps" / "tests.2.csv").read_bytes()
    assert set(first.splitlines()) < set(second.splitlines())
    assert not [row for row in asked(book(night, tmp_path)[1]) if "CMD" in row["code"]]


def test_the_workbook_shows_what_is_in_force_so_that_it_can_be_removed(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    ignored = {"decision": "ignore"}
    unit = {"analyte": "b12", "unit": "pmol/L", "decision": "accept"}
    save(
        path,
        filled(
            rows,
            HCYS=ignored,
            **{"14685_2": lambda row: unit if row["unit_as_sent"] == "pmol per litre" else None},
        ),
    )
    assert accept(night, path) == 0
    capsys.readouterr()
    assert cli.main(["unmapped", str(night)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split("|")[-2].strip() for line in lines if "HCYS" in line} == {"ignored"}
    path, rows = book(night, tmp_path)
    known = [row for row in rows if row["why"].startswith("in force")]
    assert [(row["code"], row["why"][:16], row["decision"]) for row in known] == [
        ("14685-2", "in force: accept", ""),
        ("HCYS", "in force: ignore", ""),
    ]
    save(path, [row | {"decision": "remove"} for row in known])
    capsys.readouterr()
    assert accept(night, path) == 0
    said = capsys.readouterr().out
    assert "0 accepted, 0 ignored, 2 removed, 0 left open" in said
    assert "retake" in said


def test_what_was_accepted_by_mistake_can_be_removed(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    save(path, filled(rows, HCYS=HCY))
    assert accept(night, path) == 0
    save(path, filled(rows, HCYS=HCY | {"analyte": "mma"}))
    assert accept(night, path) == 10
    save(path, filled(rows, HCYS={"decision": "remove"}))
    assert accept(night, path) == 0
    assert "1 removed" in capsys.readouterr().out
    assert "HCYS" in {row["code"] for row in book(night, tmp_path)[1]}


WRONG = {
    "no_analyte": ({"analyte": "CANARY"}, "analyte"),
    "no_unit_of_it": ({"unit": "CANARY"}, "unit"),
    "the_unit_contradicts_the_map": ({"unit": "mg/L"}, "unit"),
    "not_its_specimen": ({"specimen": "CANARY"}, "specimen"),
    "no_decision_of_ours": ({"decision": "CANARY"}, "decision"),
    "the_code_was_changed": ({"code": "CANARY"}, "code"),
    "the_laboratory_was_changed": ({"laboratory": "CANARY"}, "code"),
    "the_unit_as_sent_was_changed": ({"unit_as_sent": "nmol/L"}, "code"),
    "the_name_says_another_test": ({"analyte": "creatinine"}, "analyte"),
}


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_row_refuses_the_workbook_and_says_where(
    night: Path, tmp_path: Path, capsys: Capture, name: str
) -> None:
    change, column = WRONG[name]
    path, rows = book(night, tmp_path)
    save(path, filled(rows, HCYS=HCY | change))
    assert accept(night, path) == 10
    error = capsys.readouterr().err
    assert f"row 2, {column}: " in error
    assert "CANARY" not in error
    assert not (night / "maps").exists()


def test_a_code_that_the_shipped_map_refuses_is_refused_from_the_reviewer_too(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    save(path, filled(rows, **{"16695_9": {"analyte": "b12", "decision": "accept"}}))
    assert accept(night, path) == 10
    assert "the shipped map refuses it" in capsys.readouterr().err


def test_a_shipped_code_stays_what_the_map_says(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    answer = {"analyte": "holotc", "unit": "pmol/L", "decision": "accept"}
    save(path, filled(rows, **{"14685_2": answer}))
    assert accept(night, path) == 10
    assert "the shipped map names another analyte" in capsys.readouterr().err


def test_a_workbook_without_a_decision_changes_nothing(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, _ = book(night, tmp_path)
    assert accept(night, path) == 2
    assert "no row of the workbook has a decision" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lacks the columns"),
        (b"code,unit\n1,2\n", "lacks the columns"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (
            b'laboratory,code_system,code,unit_as_sent,analyte,unit,specimen,decision\n"x',
            "readable",
        ),
    ],
)
def test_what_is_no_workbook_is_refused(
    night: Path, tmp_path: Path, capsys: Capture, content: bytes, said: str
) -> None:
    path = tmp_path / "book.csv"
    path.write_bytes(content)
    assert accept(night, path) == 2
    assert said in capsys.readouterr().err


def test_a_map_of_the_site_that_was_edited_wrongly_stops_the_night_and_names_the_row(
    night: Path, tmp_path: Path, capsys: Capture
) -> None:
    path, rows = book(night, tmp_path)
    save(path, filled(rows, HCYS=HCY))
    assert accept(night, path) == 0
    written = night / "maps" / "tests.1.csv"
    written.write_text(written.read_text(encoding="utf-8").replace(",hcy,", ",CANARY,"))
    capsys.readouterr()
    assert cli.main(["run", str(night), "--as-of", "2026-11-02"]) == 10
    error = capsys.readouterr().err
    assert "maps/tests.1.csv row 1" in error
    assert "CANARY" not in error


@pytest.mark.parametrize("left", [b"", b"\0" * 120, b"analyte\n"])
def test_an_accepted_file_that_lost_its_content_is_not_one_that_accepts_nothing(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "tests.1.csv").write_bytes(left)
    with pytest.raises(SettingsInvalid, match=r"tests\.1\.csv cannot be read"):
        accepted.accepted_by(tmp_path)


def test_the_same_workbook_on_the_same_day_writes_the_same_bytes(
    night: Path, tmp_path: Path
) -> None:
    path, rows = book(night, tmp_path)
    text = path.read_bytes()
    assert book(night, tmp_path)[0].read_bytes() == text
    save(path, filled(rows, HCYS=HCY))
    assert accept(night, path) == 0
    first = (night / "maps" / "tests.1.csv").read_bytes()
    (night / "maps" / "tests.1.csv").unlink()
    assert accept(night, path) == 0
    assert (night / "maps" / "tests.1.csv").read_bytes() == first
