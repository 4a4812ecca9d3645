"""b12screen.toml: what is refused, and that the message names the key."""

from pathlib import Path

import pytest

from b12screen.errors import SettingsInvalid, UsageError
from b12screen.settings import SETTINGS_FILE, Settings, load_settings, make_site
from b12screen.site_maps import maps_of

OWN = "[[laboratories.a.csv]]\nfiles = ['lab-a/*.csv']\n"


def test_a_new_site_works_unedited_with_the_defaults(site: Path) -> None:
    assert load_settings(site) == Settings()
    assert list(load_settings(site).laboratories) == ["main"]


def test_every_key_that_a_new_site_comments_out_is_a_key_and_shows_its_default(site: Path) -> None:
    text = (site / SETTINGS_FILE).read_text()
    lines = [
        line.removeprefix("# ")
        if line.startswith("# ") and (" = " in line or "[" in line)
        else line
        for line in text.splitlines()
    ]
    uncommented = "\n".join(lines).replace("medications_complete_from = 2024-01-01\n", "")
    (site / SETTINGS_FILE).write_text(uncommented)
    settings = load_settings(site)
    assert settings.limits == Settings().limits
    assert settings.freshness == Settings().freshness
    assert settings.publish.keep_nights == Settings().publish.keep_nights
    assert settings.laboratories["main"].tests["MMAS"].analyte == "mma"
    assert settings.laboratories["main"].csv[0].words["status"]["storniert"] == "cancelled"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\nmemry_mb = 3", "limits.memry_mb: is not a key of these settings; meant"),
        ('[limits]\nthreads = "two"', "limits.threads: input should be a valid integer"),
        ('timezone = "Mars/Olympus"', "timezone: is not a timezone"),
        ("timezone = 3", "timezone: input should be a valid string"),
        ("[laboratories]", "laboratories: "),
        (
            '[laboratories.a]\ncode_system = "x"\n[laboratories.a.tests.T]\nanalyte = "mm"',
            "laboratories.a.tests.T.analyte: is not an analyte",
        ),
        (
            '[laboratories.a.tests.T]\nanalyte = "mma"',
            "laboratories.a: has tests of its own, so it needs the name of its code_system",
        ),
        ('ruleset = "../other.toml"', "ruleset: is neither"),
        ('medications_complete_from = "soon"', "medications_complete_from: input should be"),
        ("[freshness]\nlabs_days = -1", "freshness.labs_days: "),
        ("[publish]\nkeep_nights = 0", "publish.keep_nights: "),
        ("reject_share = 0.1", "reject_share: is not a key"),
        ('[feedback]\ndate_order = "dmy"', "feedback.date_order: input should be 'day-first' or"),
        ("[feedback]\ndate_oder = 1", "feedback.date_oder: is not a key of these settings; meant"),
        ("[notify]\ncommand = []", "notify.command: "),
        ("[[laboratories.a.csv]]", "laboratories.a.csv.0.files: "),
        (OWN + "seperator = ';'", "csv.0.seperator: is not a key of these settings; meant is"),
        (OWN + "separator = ';;'", "csv.0.separator: is not one character"),
        (OWN + "quote = '«'", "csv.0.quote: is not one character"),
        (OWN + "encoding = 'ascii'", "csv.0.encoding: is none of utf-8, latin-1"),
        (OWN + "decimal = ';'", "csv.0.decimal: is none of"),
        (OWN + "decimal = ','\nthousands = ','", "csv.0: decimal and thousands are the same"),
        (OWN + "dates = ['%d.%m']", "csv.0.dates: holds what is neither iso nor a format"),
        (OWN + "kind = 'lab'", "csv.0.kind: is none of labs, patients"),
        (OWN + "columns = {resultid = 'x'}", "columns.resultid is no column of labs or"),
        (OWN + "kind = 'patients'\ncolumns = {value = 'x'}", "columns.value is no column of pat"),
        (OWN + "columns = {laboratory = 'x'}", "columns.laboratory is no column"),
        (
            OWN + "columns = {code = ['x', 'y']}",
            "columns.code: only result_id, medication_id, coll",
        ),
        (OWN + "columns = {code = ' '}", "columns.code names no column"),
        (OWN + "columns = {unit = 'u'}\nconstants = {unit = 'g/L'}", "unit stands in columns and"),
        (OWN + "constants = {patient_id = '7'}", "constants.patient_id: rows with one patient_id"),
        (OWN + "words = {status = {ok = 'done'}}", "csv.0.words: status: a word is none of"),
        (OWN + "words = {status = {a = 'final', A = 'final'}}", "words: status: two spellings"),
        (OWN + "words = {value = {neg = '0'}}", "csv.0.words: value is none of"),
        (OWN + "ids = {code = {pad = 8}}", "csv.0: ids.code is no identifier"),
        (OWN + "ids = {patient_id = {pad = 0}}", "csv.0.ids.patient_id.pad: "),
        ("[[laboratories.a.csv]]\nfiles = ['../x.csv']", "csv.0.files: is a path below the inbox"),
        ("[[laboratories.a.csv]]\nfiles = ['/etc/*']", "csv.0.files: is a path below the inbox"),
        ("[[laboratories.a.csv]]\nfiles = ['a//b']", "csv.0.files: is a path below the inbox"),
        ("[[laboratories.a.csv]]\nfiles = ['']", "csv.0.files: is a path below the inbox"),
    ],
)
def test_a_wrong_setting_is_named_with_its_key_and_reason(site: Path, text: str, says: str) -> None:
    (site / SETTINGS_FILE).write_text(text)
    with pytest.raises(SettingsInvalid) as raised:
        load_settings(site)
    assert says in str(raised.value)
    assert "Nothing was read or published" in str(raised.value)


def test_two_laboratories_have_no_sender_in_common(site: Path) -> None:
    for key, other in (("sending_facilities", "org/1 "), ("fhir_performers", "Org/1")):
        (site / SETTINGS_FILE).write_text(
            f'[laboratories.a]\n{key} = ["Org/1"]\n[laboratories.b]\n{key} = ["{other}"]\n'
        )
        with pytest.raises(SettingsInvalid, match="laboratories: two of them have a"):
            load_settings(site)


def test_settings_that_an_editor_marked_as_utf_8_are_read(site: Path) -> None:
    (site / SETTINGS_FILE).write_text('timezone = "Europe/Berlin"\n', encoding="utf-8-sig")
    assert load_settings(site).timezone == "Europe/Berlin"


def test_every_wrong_setting_is_named_at_once(site: Path) -> None:
    (site / SETTINGS_FILE).write_text('timezone = "x"\n[limits]\nthreads = 0\nmemory = 1')
    with pytest.raises(SettingsInvalid, match="3 settings are wrong"):
        load_settings(site)


@pytest.mark.parametrize("limits", ["[\n", "[" * 9000 + "]" * 9000])
def test_a_file_that_is_not_toml_is_named(site: Path, limits: str) -> None:
    (site / SETTINGS_FILE).write_text(f'timezone = "UTC"\nlimits = {limits}')
    with pytest.raises(SettingsInvalid, match="is not TOML"):
        load_settings(site)


def test_a_folder_without_settings_is_not_a_site(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="is not a site"):
        load_settings(tmp_path)
    with pytest.raises(SettingsInvalid, match="is not a folder"):
        load_settings(tmp_path / "nowhere")


def test_a_site_is_made_with_a_private_store(site: Path) -> None:
    assert {path.name for path in site.iterdir()} == {
        SETTINGS_FILE,
        "inbox",
        "store",
        "published",
    }
    assert (site / "store").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_holds_something_is_not_made_a_site(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match="not an empty folder"):
        make_site(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            'unit = "nmol per l"',
            "laboratories.a.tests.T.unit: the unit map has no such unit for mma",
        ),
        ('unit = "pmol/L"', "laboratories.a.tests.T.unit: the unit map has no such unit for mma"),
        ('specimen = "urine"', "laboratories.a.tests.T.specimen: mma is not made from it"),
        (
            '[laboratories.a.default_units]\nT = "nmol/L"',
            "laboratories.a.default_units.T: is no code of the shipped map",
        ),
        (
            '[laboratories.a.default_units]\n"13964-2" = "g/L"',
            "laboratories.a.default_units.13964-2: the unit map has no such unit for this test",
        ),
    ],
)
def test_a_test_whose_results_could_never_be_read_is_named(
    site: Path, text: str, says: str
) -> None:
    (site / SETTINGS_FILE).write_text(
        f'[laboratories.a]\ncode_system = "ours"\n[laboratories.a.tests.T]\nanalyte = "mma"\n{text}'
    )
    with pytest.raises(SettingsInvalid) as raised:
        maps_of(load_settings(site))
    assert says in str(raised.value)


def test_a_unit_and_a_specimen_are_read_in_any_spelling_of_the_maps(site: Path) -> None:
    (site / SETTINGS_FILE).write_text(
        '[laboratories.a]\ncode_system = "ours"\n[laboratories.a.tests.T]\nanalyte = "mma"\n'
        'unit = "\u00b5mol / l"\nspecimen = " Serum "\n'
        '[laboratories.a.default_units]\n"14685-2" = "pmol/l"\n'
    )
    assert maps_of(load_settings(site)).tables()
