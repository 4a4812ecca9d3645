"""Rejected rows that are tried again once a map or a setting is mended."""

from datetime import date
from pathlib import Path

from b12screen.ingest import Again, FileAccount, checks
from b12screen.ingest.again import READ_AS_ROWS
from b12screen.maps import Maps
from b12screen.settings import Laboratory, LocalTest, Settings

from .inbox import LAB_HEADER, NIGHT, ROW, Box, buckets

NEXT = date(2026, 11, 23)
LATER = date(2026, 11, 24)
AGAIN = Again(rejected=True)
# Its code names a total B12 but its unit cell is blank.
UNITLESS = "R2,P2,2026-11-01T08:00:00,2026-11-02T08:00:00,14685-2,150,,final"
MENDED = Settings(laboratories={"main": Laboratory(default_units={"14685-2": "pmol/L"})})


def retried(box: Box, night: date = NEXT) -> list[FileAccount]:
    """The accounts of what was tried again."""
    return [account for account in box.take(night, AGAIN).accounts if account.taken_by == "retry"]


def current(box: Box) -> list[tuple[object, ...]]:
    return box.rows(
        "SELECT result_id, value, CAST(taken_for AS VARCHAR), CAST(sent_for AS VARCHAR) "
        "FROM core.lab_result ORDER BY ALL"
    )


def open_rejects(box: Box) -> list[tuple[object, ...]]:
    assert box.rows(
        "SELECT file_name, kind, record, taken_for, replaced_on FROM core.reject ORDER BY ALL"
    ) == box.rows(
        "SELECT file_name, kind, record, taken_for, replaced_on FROM private.reject_row "
        "ORDER BY ALL"
    )
    return box.rows(
        "SELECT file_name, record, check_name FROM core.reject WHERE replaced_on IS NULL "
        "ORDER BY ALL"
    )


def test_a_row_without_a_unit_is_taken_once_the_settings_declare_one(box: Box) -> None:
    box.labs(ROW, UNITLESS)
    assert buckets(box.account()) == (2, 1, 0, 0, 0, 1)
    box.settings = MENDED
    (account,) = retried(box)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert (account.file_name, account.taken_for, account.attempt) == ("labs.csv", NEXT, 1)
    assert current(box) == [
        ("R1", 412.0, "2026-11-22", None),
        ("R2", 150.0, "2026-11-23", "2026-11-22"),
    ]
    assert open_rejects(box) == []


def test_moles_under_a_code_of_mass_are_taken_once_the_laboratory_is_known_to_mean_them(
    box: Box,
) -> None:
    box.labs(ROW, UNITLESS.replace("14685-2,150,", "2132-9,150,pmol/L"))
    assert buckets(box.account()) == (2, 1, 0, 0, 0, 1)
    ((column, reason),) = box.rows("SELECT column_name, reason FROM core.reject")
    assert "code_system" in checks.mend("labs", str(column), str(reason))
    box.settings = Settings(
        laboratories={
            "main": Laboratory(code_system="loinc", tests={"2132-9": LocalTest(analyte="b12")})
        }
    )
    (account,) = retried(box)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert current(box)[1] == ("R2", 150.0, "2026-11-23", "2026-11-22")


def test_the_first_account_of_the_file_stays_as_it_was(box: Box) -> None:
    box.labs(ROW, UNITLESS)
    box.take()
    box.settings = MENDED
    retried(box)
    assert box.rows(
        "SELECT taken_for, taken_by, n_read, n_accepted, n_rejected FROM run.source_file "
        "ORDER BY taken_for"
    ) == [(NIGHT, "run", 2, 1, 1), (NEXT, "retry", 1, 1, 0)]
    assert box.rows("SELECT count(*) FROM core.reject") == [(1,)]


def test_a_row_that_still_fails_stays_rejected_and_is_not_counted_again(box: Box) -> None:
    box.labs(UNITLESS, UNITLESS.replace("R2", "R3").replace("150", "haemolysed"))
    box.take()
    before = box.rows("SELECT * FROM core.reject ORDER BY record")
    assert retried(box) == []
    assert box.rows("SELECT * FROM core.reject ORDER BY record") == before
    box.settings = MENDED
    (account,) = retried(box, LATER)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert open_rejects(box) == [("labs.csv", 2, "number")]
    assert "1 of 2 rejected rows" not in box.take(LATER, AGAIN).again


def test_the_summary_says_how_many_rows_were_taken_and_how_many_need_their_file(box: Box) -> None:
    box.labs(UNITLESS, "R9,too,few,cells")
    box.take()
    box.settings = MENDED
    again = box.take(NEXT, AGAIN).again
    assert again == (
        "1 of 1 rejected rows taken after all, 1 more need their file (`retake`, or a new one)"
    )


def test_a_row_that_was_taken_is_not_tried_a_third_time(box: Box) -> None:
    box.labs(UNITLESS)
    box.take()
    box.settings = MENDED
    assert len(retried(box)) == 1
    assert retried(box) == []
    assert retried(box, LATER) == []
    assert len(current(box)) == 1


def test_rows_tried_again_on_the_night_that_rejected_them_have_an_account_of_their_own(
    box: Box,
) -> None:
    box.labs(UNITLESS, UNITLESS.replace("R2", "R3").replace("14685-2", "13964-2"))
    box.take()
    box.settings = MENDED
    assert [account.attempt for account in retried(box, NIGHT)] == [1]
    box.settings = Settings(
        laboratories={"main": Laboratory(default_units={"14685-2": "pmol/L", "13964-2": "nmol/L"})}
    )
    assert [account.attempt for account in retried(box, NIGHT)] == [2]
    assert box.rows(
        "SELECT taken_by, attempt, n_read FROM run.source_file ORDER BY taken_by, attempt"
    ) == [("retry", 1, 1), ("retry", 2, 1), ("run", 1, 2)]


def test_a_version_that_came_after_the_rejected_one_stays_current(box: Box) -> None:
    plain = "result_id,patient_id,collected_at,code,value,unit"
    box.labs("R2,P2,2026-11-01,14685-2,150,", header=plain)
    box.take()
    box.labs("R2,P2,2026-11-01,14685-2,240,pmol/L", name="labs2.csv", header=plain)
    box.take(NEXT)
    box.settings = MENDED
    (account,) = retried(box, LATER)
    assert buckets(account) == (1, 0, 0, 1, 0, 0)
    assert [row[:2] for row in current(box)] == [("R2", 240.0)]
    assert box.rows("SELECT value, taken_for, sent_for, replaced_on FROM private.lab_result") == [
        (150.0, LATER, NIGHT, LATER)
    ]


def test_a_new_file_of_the_same_name_on_the_same_night_keeps_its_own_account(box: Box) -> None:
    box.labs(ROW, UNITLESS)
    box.take()
    box.settings = MENDED
    box.labs(ROW, ROW.replace("R1", "R4"))
    accounts = {account.taken_by: buckets(account) for account in box.take(NEXT, AGAIN).accounts}
    assert accounts == {"run": (2, 1, 1, 0, 0, 0), "retry": (1, 1, 0, 0, 0, 0)}
    assert [row[0] for row in current(box)] == ["R1", "R2", "R4"]


def test_a_rejected_patient_does_not_overtake_a_later_row_of_the_person(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id,deceased_on\n"
    far = "2027-12-20"
    box.put("patients.csv", f"{head}P1,1950-01-01,male,north,{far}\nP2,1960-01-01,male,,{far}\n")
    box.take()
    box.put("patients2.csv", f"{head}P1,1950-01-01,female,south,\n")
    box.take(NEXT)
    (account,) = retried(box, date(2027, 1, 1))
    assert buckets(account) == (2, 1, 0, 1, 0, 0)
    assert box.rows("SELECT patient_id, sex, clinic_id FROM core.patient ORDER BY 1") == [
        ("P1", "female", "south"),
        ("P2", "male", None),
    ]


def test_a_rejected_patient_does_not_overtake_a_row_that_repeats_what_was_known(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id,deceased_on\n"
    known = "P1,1950-01-01,female,north,\n"
    box.put("patients.csv", head + known)
    box.take()
    box.put("patients2.csv", f"{head}P1,1950-01-01,female,south,2027-12-20\n")
    assert buckets(box.account(NEXT)) == (1, 0, 0, 0, 0, 1)
    box.put("patients3.csv", f"{head}{known}{known}")
    assert buckets(box.account(LATER)) == (2, 0, 2, 0, 0, 0)
    (account,) = retried(box, date(2027, 1, 1))
    assert buckets(account) == (1, 0, 0, 1, 0, 0)
    assert box.rows("SELECT clinic_id, deceased_on FROM core.patient") == [("north", None)]


def test_a_blank_cell_of_a_rejected_person_still_clears_what_is_known(box: Box) -> None:
    head = "patient_id,birth_date,sex,clinic_id\n"
    box.put("patients.csv", f"{head}P1,1950-01-01,female,north\n")
    box.take()
    box.put("patients2.csv", f"{head}P1,1950-01-01,femme,\n")
    box.take(NEXT)
    ((raw,),) = box.rows("SELECT raw ->> 'clinic_id' FROM private.reject_row")
    assert raw == ""


def test_conditions_and_medications_are_tried_again_too(box: Box) -> None:
    box.put(
        "conditions.csv", "patient_id,code,code_system,recorded_on\nP1,D51.0,icd10,2028-01-01\n"
    )
    box.put(
        "medications.csv",
        "medication_id,patient_id,code,code_system,kind,started_on\n"
        "M1,P1,B03BA03,atc,administration,2028-01-01\n",
    )
    box.take()
    assert len(open_rejects(box)) == 2
    accounts = retried(box, date(2027, 2, 1))
    assert [(account.kind, buckets(account)[:2]) for account in accounts] == [
        ("conditions", (1, 1)),
        ("medications", (1, 1)),
    ]
    assert open_rejects(box) == []


def test_a_result_of_a_message_is_tried_again_with_its_cells(box: Box) -> None:
    message = (
        "MSH|^~\\&|LAB|MAIN|||20261102080000||ORU^R01|1|P|2.5\r"
        "PID|1||P7^^^H^MR||X^Y||19500101|F\r"
        "OBR|1||F77|CHEM|||20261101080000\r"
        "OBX|1|NM|14685-2^B12^LN||150||||||F\r"
    )
    box.put("feed.hl7", message)
    box.take()
    assert [row[2] for row in open_rejects(box)] == ["not_blank"]
    box.settings = MENDED
    (account,) = retried(box)
    assert (account.file_name, buckets(account)) == ("feed.hl7", (1, 1, 0, 0, 0, 0))
    assert box.rows("SELECT patient_id, value, collected_on FROM core.lab_result") == [
        ("P7", 150.0, date(2026, 11, 1))
    ]


def test_a_code_that_a_map_no_longer_names_leaves_the_rejected_rows_for_out_of_scope(
    box: Box,
) -> None:
    own = Laboratory(code_system="own", tests={"X1": LocalTest(analyte="b12")})
    box.settings = Settings(laboratories={"main": own})
    box.labs("R1,P1,2026-11-01,,X1,150,,final,own", header=f"{LAB_HEADER},code_system")
    box.take()
    assert [row[2] for row in open_rejects(box)] == ["not_blank"]
    box.settings = Settings()
    (account,) = retried(box)
    assert buckets(account) == (1, 0, 0, 0, 1, 0)
    assert open_rejects(box) == []


def test_twenty_and_more_rows_that_still_fail_hold_nothing(box: Box) -> None:
    rows = [UNITLESS.replace("R2", f"R{n}").replace("P2", f"P{n}") for n in range(100, 1000)]
    box.labs(*rows[:30], *(row.replace(",,final", ",pmol/L,final") for row in rows[30:]))
    box.settings = Settings(limits=box.settings.limits.model_copy(update={"reject_share": 0.5}))
    assert box.account().n_rejected == 30
    box.settings = Settings()
    assert (retried(box), len(open_rejects(box))) == ([], 30)
    box.settings = MENDED
    assert [buckets(account) for account in retried(box)] == [(30, 30, 0, 0, 0, 0)]


def test_no_check_of_a_row_shares_its_name_with_one_of_bytes_that_make_no_row() -> None:
    """What was kept of a rejected row is cells for the one and bytes for the other."""
    assert not set(READ_AS_ROWS) & set(checks.SHAPES)


def test_a_store_of_before_rows_could_be_taken_again_is_brought_along(
    tmp_path: Path, maps: Maps
) -> None:
    box = Box(tmp_path, maps)
    box.labs(ROW, UNITLESS)
    box.put("patients.csv", "patient_id,birth_date,sex,clinic_id\nP1,1950-01-01,female,north\n")
    box.take()
    box.forget_format()
    box.warehouse.execute("DROP VIEW core.lab_result")
    for table in ("core.patient", "core.condition", "core.medication", "core.lab_file"):
        box.warehouse.execute(f"ALTER TABLE {table} DROP COLUMN sent_for")
    for name in ("patient", "condition", "medication", "lab_result"):
        box.warehouse.execute(f"ALTER TABLE private.{name} DROP COLUMN sent_for")
    for table, column in (
        ("core.lab_file", "sha256"),
        ("core.lab_file", "taken_by"),
        ("core.reject", "sha256"),
        ("core.reject", "replaced_on"),
        ("private.reject_row", "replaced_on"),
        ("run.source_file", "taken_by"),
        ("run.source_file", "attempt"),
    ):
        box.warehouse.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    box.settings = MENDED
    (account,) = retried(box)
    assert buckets(account) == (1, 1, 0, 0, 0, 0)
    assert open_rejects(box) == []
    assert [row[0] for row in current(box)] == ["R1", "R2"]
    box.warehouse.close()
