"""Files that were taken under a wrong map and are read again under today's."""

from datetime import date
from pathlib import Path

import pytest

from b12screen.errors import UsageError
from b12screen.ingest import Again, FileAccount
from b12screen.settings import Fhir, Laboratory, LocalTest, Settings
from b12screen.synth import synth

from .inbox import LAB_HEADER, NIGHT, ROW, Box, buckets

NEXT = date(2026, 11, 23)
LATER = date(2026, 11, 24)
LAST = date(2026, 11, 25)
OWN = f"{LAB_HEADER},code_system"


def result(code: str, value: str, name: str = "R1", reported: str = "2026-11-02") -> str:
    """A result under one of the laboratory's own codes."""
    return f"{name},P1,2026-11-01,{reported},{code},{value},,final,own"


def reading(**tests: tuple[str, str]) -> Settings:
    """Settings whose laboratory has these codes of its own, each an analyte and a unit."""
    known = {code: LocalTest(analyte=analyte, unit=unit) for code, (analyte, unit) in tests.items()}
    return Settings(laboratories={"main": Laboratory(code_system="own", tests=known)})


def retaken(box: Box, *files: Path, night: date = NEXT) -> list[FileAccount]:
    """The accounts of files that were taken again."""
    accounts = box.take(night, Again(files=files)).accounts
    return [account for account in accounts if account.taken_by == "retake"]


def current(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT result_id, analyte, value, status, CAST(taken_for AS VARCHAR) "
        "FROM core.lab_result ORDER BY ALL"
    )


def older(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT value, status, CAST(taken_for AS VARCHAR), CAST(replaced_on AS VARCHAR) "
        "FROM private.lab_result ORDER BY ALL"
    )


def test_a_file_read_under_a_wrong_unit_is_corrected(box: Box) -> None:
    path = box.labs(result("B", "200"), ROW.replace("R1", "R9") + ",loinc", header=OWN)
    box.settings = reading(B=("b12", "pg/mL"))
    box.take()
    box.settings = reading(B=("b12", "pmol/L"))
    (account,) = retaken(box, path)
    assert buckets(account) == (2, 1, 1, 0, 0, 0)
    assert current(box) == [
        ("R1", "b12", 200.0, "final", "2026-11-23"),
        ("R9", "b12", 412.0, "final", "2026-11-22"),
    ]
    assert older(box) == [(pytest.approx(147.5611826), "final", "2026-11-22", "2026-11-23")]


def test_a_file_that_reads_as_before_changes_nothing(box: Box) -> None:
    path = box.labs(ROW, ROW.replace("R1", "R2"))
    box.take()
    before = (current(box), older(box))
    (account,) = retaken(box, path)
    assert buckets(account) == (2, 0, 2, 0, 0, 0)
    assert (current(box), older(box)) == before


def test_a_result_of_another_test_is_withdrawn_and_stays_to_be_seen(box: Box) -> None:
    """What was called B12 is its binding capacity, so its code leaves the map."""
    path = box.labs(result("BIND", "900"), result("B", "200", "R2"), header=OWN)
    box.settings = reading(B=("b12", "pmol/L"), BIND=("b12", "pmol/L"))
    box.take()
    box.settings = reading(B=("b12", "pmol/L"))
    taking = box.take(NEXT, Again(files=(path,)))
    assert [buckets(account) for account in taking.accounts] == [(2, 0, 1, 0, 1, 0)]
    assert current(box) == [
        ("R1", "b12", None, "entered-in-error", "2026-11-23"),
        ("R2", "b12", 200.0, "final", "2026-11-22"),
    ]
    assert older(box) == [(900.0, "final", "2026-11-22", "2026-11-23")]
    assert "labs.csv: 1 rows of labs that it gave before are withdrawn" in taking.notes[-1]


def test_a_result_that_is_rejected_now_is_withdrawn(box: Box) -> None:
    path = box.labs(result("B", "200"), header=OWN)
    box.settings = reading(B=("b12", "pmol/L"))
    box.take()
    own = Laboratory(code_system="own", tests={"B": LocalTest(analyte="b12")})
    box.settings = Settings(laboratories={"main": own})
    (account,) = retaken(box, path)
    assert buckets(account) == (1, 0, 0, 0, 0, 1)
    assert current(box) == [("R1", "b12", None, "entered-in-error", "2026-11-23")]
    assert box.rows("SELECT taken_for, replaced_on FROM core.reject") == [(NEXT, None)]


def test_a_withdrawn_result_speaks_again_once_the_map_reads_it(box: Box) -> None:
    path = box.labs(result("B", "200"), header=OWN)
    good = reading(B=("b12", "pmol/L"))
    box.settings = good
    box.take()
    box.settings = Settings()
    retaken(box, path)
    # A second time there is nothing left to withdraw.
    retaken(box, path)
    assert len(older(box)) == 1
    box.settings = good
    (account,) = retaken(box, path, night=LATER)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", "b12", 200.0, "final", "2026-11-24")]


def test_a_map_that_is_turned_back_gives_the_first_reading_back(box: Box) -> None:
    path = box.labs(result("B", "200"), header=OWN)
    for night, unit in ((NIGHT, "pmol/L"), (NEXT, "pg/mL"), (LATER, "pmol/L"), (LATER, "pg/mL")):
        box.settings = reading(B=("b12", unit))
        box.take(night, Again(files=(path,) if night > NIGHT else ()))
        ((_, _, value, _, taken_for),) = current(box)
        assert taken_for == str(night)
        assert value == (200.0 if unit == "pmol/L" else pytest.approx(147.5611826))


@pytest.mark.parametrize("reported", ["2026-11-03", ""])
def test_a_later_correction_stays_current(box: Box, reported: str) -> None:
    path = box.labs(result("B", "200", reported=reported and "2026-11-02"), header=OWN)
    box.settings = reading(B=("b12", "pg/mL"), C=("b12", "pmol/L"))
    box.take()
    box.labs(result("C", "333", reported=reported), header=OWN, name="labs2.csv")
    box.take(NEXT)
    box.settings = reading(B=("b12", "pmol/L"), C=("b12", "pmol/L"))
    (account,) = retaken(box, path, night=LATER)
    assert buckets(account) == (1, 0, 0, 1, 0, 0)
    assert current(box) == [("R1", "b12", 333.0, "final", "2026-11-23")]
    box.settings = reading(C=("b12", "pmol/L"))
    retaken(box, path, night=LAST)
    assert current(box) == [("R1", "b12", 333.0, "final", "2026-11-23")]


def test_a_retaken_correction_does_not_bring_back_what_it_corrected(box: Box) -> None:
    """The laboratory replaced the first value; that its second cannot be read revives nothing."""
    box.labs(result("B", "200"), header=OWN)
    box.settings = reading(B=("b12", "pmol/L"), C=("b12", "pmol/L"))
    box.take()
    path = box.labs(result("C", "90", reported="2026-11-03"), header=OWN, name="labs2.csv")
    box.take(NEXT)
    box.settings = reading(B=("b12", "pmol/L"))
    retaken(box, path, night=LATER)
    assert current(box) == [("R1", "b12", None, "entered-in-error", "2026-11-24")]


def test_of_two_versions_in_one_file_the_one_that_is_still_read_stands(box: Box) -> None:
    path = box.labs(result("B", "200"), result("C", "90", reported="2026-11-03"), header=OWN)
    box.settings = reading(B=("b12", "pmol/L"), C=("b12", "pmol/L"))
    box.take()
    box.settings = reading(B=("b12", "pmol/L"))
    (account,) = retaken(box, path)
    assert buckets(account) == (2, 1, 0, 0, 1, 0)
    assert current(box) == [("R1", "b12", 200.0, "final", "2026-11-23")]


def test_rows_that_were_out_of_scope_or_rejected_come_in(box: Box) -> None:
    path = box.labs(
        result("B", "200"), result("C", "90", "R2"), ROW.replace("R1", "R3") + ",loinc", header=OWN
    )
    box.settings = Settings(
        laboratories={"main": Laboratory(code_system="own", tests={"C": LocalTest(analyte="b12")})}
    )
    assert buckets(box.account()) == (3, 1, 0, 0, 1, 1)
    box.settings = reading(B=("b12", "pmol/L"), C=("b12", "pmol/L"))
    (account,) = retaken(box, path)
    assert buckets(account) == (3, 2, 1, 0, 0, 0)
    assert [row[:3] for row in current(box)] == [
        ("R1", "b12", 200.0),
        ("R2", "b12", 90.0),
        ("R3", "b12", 412.0),
    ]
    assert box.rows("SELECT taken_for, replaced_on FROM core.reject") == [(NIGHT, NEXT)]
    assert box.take(LATER, Again(rejected=True)).again == "0 of 0 rejected rows taken after all"


def test_what_retry_took_of_a_file_is_a_former_reading_of_it_too(box: Box) -> None:
    path = box.labs(result("B", "200"), header=OWN)
    own = Laboratory(code_system="own", tests={"B": LocalTest(analyte="b12")})
    box.settings = Settings(laboratories={"main": own})
    box.take()
    box.settings = reading(B=("b12", "pg/mL"))
    box.take(NEXT, Again(rejected=True))
    box.settings = reading(B=("b12", "pmol/L"))
    (account,) = retaken(box, path, night=LATER)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert current(box) == [("R1", "b12", 200.0, "final", "2026-11-24")]


def test_a_result_that_moves_to_another_laboratory_leaves_nothing_behind(box: Box) -> None:
    header = LAB_HEADER
    path = box.labs(ROW, header=header)
    box.settings = Settings(laboratories={"main": Laboratory(), "north": Laboratory()})
    box.take()
    box.settings = Settings(laboratories={"north": Laboratory(), "main": Laboratory()})
    (account,) = retaken(box, path)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert box.rows("SELECT laboratory, value, status FROM core.lab_result ORDER BY 1") == [
        ("main", None, "entered-in-error"),
        ("north", 412.0, "final"),
    ]


def test_only_the_content_that_is_named_is_taken_again(box: Box, tmp_path: Path) -> None:
    """Senders write over the file of the day before; an older one is named by its copy."""
    old = OWN + "\n" + result("B", "200") + "\n"
    box.settings = reading(B=("b12", "pg/mL"))
    box.put("labs.csv", old)
    box.take()
    box.put("labs.csv", OWN + "\n" + result("B", "100", "R2") + "\n")
    box.take(NEXT)
    copy = tmp_path / "from-the-backup"
    copy.write_text(old)
    box.settings = reading(B=("b12", "pmol/L"))
    (account,) = retaken(box, copy, night=LATER)
    assert (account.file_name, buckets(account)) == ("labs.csv", (1, 1, 0, 0, 0, 0))
    assert [row[2] for row in current(box)] == [200.0, pytest.approx(73.7805913)]


def test_two_files_of_one_name_are_taken_again_together(box: Box, tmp_path: Path) -> None:
    box.settings = reading(B=("b12", "pg/mL"))
    copies = []
    for number, night in ((1, NIGHT), (2, NEXT)):
        path = box.labs(result("B", "200", f"R{number}"), header=OWN)
        copies.append(tmp_path / f"copy{number}")
        copies[-1].write_bytes(path.read_bytes())
        box.take(night)
    box.settings = reading(B=("b12", "pmol/L"))
    accounts = retaken(box, *copies, night=LATER)
    assert [buckets(account) for account in accounts] == [(1, 1, 0, 0, 0, 0)] * 2
    assert [row[2] for row in current(box)] == [200.0, 200.0]


def test_a_file_that_would_mostly_fail_now_is_held_and_nothing_of_it_changes(box: Box) -> None:
    rows = [result("B", "200", f"R{number}") for number in range(30)]
    path = box.labs(*rows, header=OWN)
    box.settings = reading(B=("b12", "pmol/L"))
    box.take()
    before = (current(box), older(box))
    own = Laboratory(code_system="own", tests={"B": LocalTest(analyte="b12")})
    box.settings = Settings(laboratories={"main": own})
    (account,) = retaken(box, path)
    assert account.held and "what was taken of it before stands" in str(account.reason)
    assert (current(box), older(box)) == before
    assert box.rows("SELECT count(*) FROM core.reject") == [(0,)]


def test_a_file_that_was_never_taken_is_refused(box: Box, tmp_path: Path) -> None:
    box.labs(ROW)
    box.take()
    strange = tmp_path / "labs_new.csv"
    strange.write_text(f"{LAB_HEADER}\n{ROW.replace('412', '413')}\n")
    for file, said in ((strange, "was never taken"), (tmp_path / "absent.csv", "is not there")):
        with pytest.raises(UsageError, match=said) as error:
            box.take(NEXT, Again(files=(file,)))
        assert file.name not in str(error.value)


def test_a_file_is_named_by_its_path_below_the_inbox_too(box: Box) -> None:
    box.labs(ROW, name="deep/labs.csv")
    box.take()
    (account,) = retaken(box, Path("deep/labs.csv"))
    assert buckets(account) == (1, 0, 1, 0, 0, 0)


def test_every_account_of_a_retaken_file_adds_up_and_keeps_its_own_key(box: Box) -> None:
    path = box.labs(ROW, ROW, ROW.replace("412", "haemolysed"))
    box.take()
    retaken(box, path, night=NIGHT)
    retaken(box, path, night=NIGHT)
    rows = box.rows(
        "SELECT taken_by, attempt, n_read = n_accepted + n_duplicate + n_superseded "
        "+ n_out_of_scope + n_rejected FROM run.source_file ORDER BY ALL"
    )
    assert rows == [("retake", 1, True), ("retake", 2, True), ("run", 1, True)]
    assert box.rows(
        "SELECT count(*), count(*) FILTER (WHERE replaced_on IS NULL) FROM core.reject"
    ) == [(3, 1)]


def test_messages_are_taken_again_kind_by_kind(box: Box) -> None:
    message = (
        "MSH|^~\\&|LAB|MAIN|||20261102080000||ORU^R01|1|P|2.5\r"
        "PID|1||P7^^^H^MR~Q7^^^G^MR||X^Y||19500101|F\r"
        "OBR|1||F77|CHEM|||20261101080000\r"
        "OBX|1|NM|14685-2^B12^LN||150|pmol/L|||||F\r"
    )
    path = box.put("feed.hl7", message)
    before = [(account.kind, buckets(account)) for account in box.take().accounts]
    assert before == [("labs", (1, 0, 0, 0, 0, 1)), ("patients", (1, 0, 0, 0, 0, 1))]
    hl7v2 = box.settings.hl7v2.model_copy(update={"assigning_authority": "H"})
    box.settings = Settings(hl7v2=hl7v2)
    accounts = [(account.kind, buckets(account)) for account in retaken(box, path)]
    assert accounts == [("labs", (1, 1, 0, 0, 0, 0)), ("patients", (1, 1, 0, 0, 0, 0))]
    assert box.rows("SELECT patient_id FROM core.lab_result") == [("P7",)]
    assert box.rows("SELECT count(*) FROM core.reject WHERE replaced_on IS NULL") == [(0,)]


def test_a_resource_that_is_known_by_another_number_now_is_withdrawn_under_the_old(
    box: Box,
) -> None:
    line = (
        '{"resourceType": "Observation", "id": "o1", "status": "final", '
        '"identifier": [{"system": "urn:acc", "value": "A1"}], '
        '"code": {"coding": [{"system": "http://loinc.org", "code": "14685-2"}]}, '
        '"subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-11-01", '
        '"valueQuantity": {"value": 150, "unit": "pmol/L"}}\n'
    )
    path = box.put("feed.ndjson", line)
    box.take()
    box.settings = Settings(fhir=Fhir(result_identifier="urn:acc"))
    retaken(box, path)
    assert box.rows("SELECT result_id, value, status FROM core.lab_result ORDER BY 1") == [
        ("A1", 150.0, "final"),
        ("o1", None, "entered-in-error"),
    ]


def test_a_dose_that_is_not_read_again_is_no_dose_any_more(box: Box) -> None:
    head = "medication_id,patient_id,code,code_system,kind,started_on\n"
    path = box.put("medications.csv", f"{head}M1,P1,B03BA03,atc,administration,2026-11-01\n")
    box.put("conditions.csv", "patient_id,code,code_system,recorded_on\nP1,D51,icd10,2026-01-01\n")
    box.take()
    # A reading of before: today's rejects it, say as its kind was mapped wrongly.
    box.warehouse.execute(
        "INSERT INTO core.medication BY NAME SELECT known.* REPLACE ('M2' AS medication_id, "
        "2 AS record) FROM core.medication AS known"
    )
    box.warehouse.execute(
        "INSERT INTO core.condition BY NAME SELECT known.* REPLACE ('E11' AS code, 2 AS record) "
        "FROM core.condition AS known"
    )
    accounts = retaken(box, path, box.inbox / "conditions.csv")
    assert [buckets(account) for account in accounts] == [(1, 0, 1, 0, 0, 0)] * 2
    assert box.rows("SELECT medication_id, code FROM core.medication ORDER BY 1") == [
        ("M1", "B03BA03"),
        ("M2", "withdrawn"),
    ]
    assert box.rows("SELECT code FROM core.condition") == [("D51",)]
    assert box.rows("SELECT code, replaced_on FROM private.condition ORDER BY resolved_on") == [
        ("E11", NEXT),
        ("E11", NEXT),
    ]


def test_what_a_later_file_said_again_is_not_taken_back_with_the_first(box: Box) -> None:
    doses = "medication_id,patient_id,code,code_system,kind,started_on\n"
    codes = "patient_id,code,code_system,recorded_on\n"
    first = [
        box.put("medications.csv", f"{doses}M1,P1,B03BA03,atc,administration,2026-06-01\n"),
        box.put("conditions.csv", f"{codes}P1,D51,icd10,2026-06-01\n"),
    ]
    box.take()
    # What an earlier version read in the same files, and both say again.
    box.warehouse.execute(
        "INSERT INTO core.medication BY NAME SELECT known.* "
        "REPLACE ('M2' AS medication_id, 2 AS record) FROM core.medication AS known"
    )
    box.warehouse.execute(
        "INSERT INTO core.condition BY NAME SELECT known.* REPLACE ('E11' AS code, 2 AS record) "
        "FROM core.condition AS known"
    )
    box.put("medications2.csv", f"{doses}M2,P1,B03BA03,atc,administration,2026-06-01\n")
    box.put("conditions2.csv", f"{codes}P1,E11,icd10,2026-06-01\n")
    assert [account.n_duplicate for account in box.take(NEXT).accounts] == [1, 1]
    retaken(box, *first, night=LATER)
    told = "SELECT code FROM core.medication UNION ALL SELECT code FROM core.condition ORDER BY 1"
    assert box.rows(told) == [("B03BA03",), ("B03BA03",), ("D51",), ("E11",)]
    # As if it were these files that had said it last.
    for kind in ("medication", "condition"):
        box.warehouse.execute(
            f"UPDATE private.{kind}_told SET told_in = '{kind}s.csv', told_for = ?", (NIGHT,)
        )
    retaken(box, *first, night=LATER)
    assert box.rows(told) == [("B03BA03",), ("D51",), ("withdrawn",)]


def test_a_person_who_is_not_read_again_stays_and_it_is_said(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id\n"
    path = box.put("patients.csv", f"{head}P1,1950-01-01,female,north\n")
    box.take()
    box.warehouse.execute(
        "INSERT INTO core.patient BY NAME SELECT known.* REPLACE ('P2' AS patient_id, 2 AS record) "
        "FROM core.patient AS known"
    )
    taking = box.take(NEXT, Again(files=(path,)))
    assert "1 rows of patients stay as they were taken before" in taking.findings[0]
    assert box.rows("SELECT count(*) FROM core.patient") == [(2,)]


def test_a_retaken_person_is_corrected_but_not_over_a_later_row(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id\n"
    path = box.put("patients.csv", f"{head}P1,1950-01-01,male,north\nP2,1960-01-01,male,north\n")
    box.take()
    box.put("patients2.csv", f"{head}P2,1960-01-01,female,south\n")
    box.take(NEXT)
    # What an earlier version made of the row.
    box.warehouse.execute("UPDATE core.patient SET birth_date = '1905-01-01' WHERE sex = 'male'")
    (account,) = retaken(box, path, night=LATER)
    assert buckets(account) == (2, 1, 0, 1, 0, 0)
    assert box.rows("SELECT patient_id, birth_date, sex FROM core.patient ORDER BY 1") == [
        ("P1", date(1950, 1, 1), "male"),
        ("P2", date(1960, 1, 1), "female"),
    ]


def test_a_file_of_answers_is_not_read_again_but_its_rejected_rows_are(box: Box) -> None:
    path = box.put("feedback.csv", "item_id,decision\niabc,done\n")
    box.take()
    with pytest.raises(UsageError, match="answers of a clinic"):
        box.take(NEXT, Again(files=(path,)))
    assert box.take(NEXT, Again(rejected=True)).again == "0 of 1 rejected rows taken after all"


def test_a_retake_under_the_same_map_changes_nothing_of_any_kind(box: Box, tmp_path: Path) -> None:
    """Two nights of invented people with corrections, cancellations and rejected rows."""
    synth(tmp_path / "made", 40, 2, 7)
    nights = sorted({path.stem[-10:] for path in (tmp_path / "made").glob("labs_*.csv")})
    for night in nights:
        for path in (tmp_path / "made").glob(f"*_{night}.csv"):
            box.put(path.name, path.read_bytes())
        box.take(date.fromisoformat(night))
    tables = ("core.lab_result", "core.patient", "core.condition", "core.medication")
    before = [box.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in tables]
    taking = box.take(LAST, Again(files=tuple(sorted(box.inbox.iterdir()))))
    assert {account.taken_by for account in taking.accounts} == {"retake"}
    assert len(taking.accounts) == 4 * len(nights)
    assert [box.rows(f"SELECT * FROM {table} ORDER BY ALL") for table in tables] == before
    assert (sum(account.n_accepted for account in taking.accounts), taking.findings) == (0, ())
