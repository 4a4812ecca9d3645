"""What must never stand on a list is planted in a finished night; the night has to stop.

The breach is written into the finished sheets or tables, behind the back of the rules, between the
stages `write` and `audit`: an interlock may not lean on the rule table being right.
"""

import csv
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path

import pytest

from b12screen import night as stages
from b12screen.errors import AuditFailed
from b12screen.night import Lists, Night
from b12screen.resources import sql_folder
from b12screen.rules import load_ruleset
from b12screen.wording import recommendations
from b12screen.worklists import guarded, read_sheet
from schemas.worklists import SHEET

from .conftest import SECOND_NIGHT, bytes_below, night

REVIEW = "; for clinician review"
Row = dict[str, str]


def write_sheet(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        sheet = csv.writer(file, lineterminator="\r\n")
        sheet.writerow(SHEET)
        sheet.writerows(map(guarded, row.values()) for row in rows)


@dataclass
class Built:
    """A second night, written and not yet audited, beside a published first one."""

    night: Night
    lists: Lists

    def sheet(self, name: str) -> Path:
        return self.night.folder / "worklists" / name

    def edit(self, change: Callable[[Row], None], *patients: str) -> None:
        """Change the rows of some people on the sheets they stand on."""
        touched = 0
        for name in self.lists.sheets:
            rows = list(read_sheet(self.sheet(name)))
            for row in rows:
                if row["patient_id"] in patients:
                    change(row)
                    touched += 1
            write_sheet(self.sheet(name), rows)
        assert touched, "nobody to plant the breach on"

    def says(self, text: str, *patients: str) -> None:
        self.edit(lambda row: row.update(recommendation=text + REVIEW), *patients)

    def execute(self, *statements: str) -> None:
        with self.night.open(self.night.database) as warehouse:
            for statement in statements:
                warehouse.execute(statement)

    def audit(self) -> None:
        stages.audit(self.night, self.lists, lambda step: None)

    def stops(self, *breaches: str) -> None:
        with pytest.raises(AuditFailed) as stopped:
            self.audit()
        assert stopped.value.exit_code == 13
        for breach in breaches:
            assert breach in str(stopped.value)


@pytest.fixture(scope="module")
def written(first_night: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    root = tmp_path_factory.mktemp("second") / "site"
    shutil.copytree(first_night, root, symlinks=True)
    before = bytes_below(root / "published")
    with stages.started(root, SECOND_NIGHT, datetime(2026, 11, 2, 2, 30, tzinfo=UTC)) as tonight:
        taking = stages.take(tonight, lambda step: None)
        stages.decide(tonight, taking, lambda step: None)
        yield Built(tonight, stages.write(tonight, lambda step: None))
        shutil.rmtree(tonight.folder)
        assert bytes_below(root / "published") == before
    assert bytes_below(root / "published") == before


@pytest.fixture
def built(written: Built, tmp_path: Path) -> Iterator[Built]:
    """The written night, put back as it was after each test; yesterday must not have moved."""
    folder, kept = written.night.folder, tmp_path / "kept"
    shutil.copytree(folder, kept)
    published = written.night.site.published
    yesterday = bytes_below(published / "current")
    assert yesterday
    yield written
    assert bytes_below(published / "current") == yesterday
    assert written.night.site.current.resolve().name == "2026-11-01.1"
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)


def test_the_night_as_it_was_written_holds(built: Built) -> None:
    built.audit()
    actions = {
        row["action"] for name in built.lists.sheets for row in read_sheet(built.sheet(name))
    }
    assert {
        "start_b12",
        "start_b12_neuro",
        "cyanocobalamin_in_renal",
        "pregnancy_review",
    } <= actions


@pytest.mark.parametrize(
    "text",
    [
        "Consider cyanocobalamin 1 mg IM every 2 months",
        "Consider methylcobalamin or cyanocobalamin",
        "Consider CYANOCOBALAMIN tablets",
        "Consider cyano-cobalamin",
        "Consider CN-Cbl 1 mg",
        "Do not avoid cyanocobalamin",
        "Consider Cytamen 1 mg IM",
        "No need to avoid cyanocobalamin",
        "Avoid cyanocobalamin in summer, consider cyanocobalamin in winter",
        "Consider not only cyanocobalamin but folate",
        "Review the form of B12: consider cyanocobalamin in place of hydroxocobalamin",
    ],
)
def test_a_wording_that_recommends_cyanocobalamin_is_found(text: str) -> None:
    assert "cyanocobalamin" in recommendations(text + REVIEW)


def test_cyanocobalamin_is_never_recommended_with_renal_dysfunction(built: Built) -> None:
    built.says("Consider methylcobalamin or cyanocobalamin", "kidney")
    built.stops("cyanocobalamin recommended with renal dysfunction")


def test_not_even_the_row_about_cyanocobalamin_may_recommend_it(built: Built) -> None:
    def swap(row: Row) -> None:
        if row["action"] == "cyanocobalamin_in_renal":
            row["recommendation"] = "Consider cyanocobalamin" + REVIEW

    built.edit(swap, "kidney")
    built.stops("cyanocobalamin recommended with renal dysfunction: 1")


def test_neurology_recorded_never_gets_another_regimen(built: Built) -> None:
    built.edit(lambda row: row.update(action="start_b12"), "neuro")
    built.stops("another regimen than the neurological one")


@pytest.mark.parametrize(
    "text",
    [
        "Consider hydroxocobalamin 1 mg IM three times a week for 2 weeks",
        "Consider hydroxocobalamin 1 mg IM 3 times a week",
        "Consider hydroxocobalamin 1 mg IM every 2-3 months",
        "Consider hydroxocobalamin 1 mg IM every three months",
        "Consider hydroxocobalamin 1 mg IM every 2 to 3 months",
    ],
)
def test_a_wording_of_the_other_regimen_is_found(text: str) -> None:
    assert "regimen without neurology" in recommendations(text + REVIEW)


def test_the_other_regimen_is_found_under_the_neurological_action_too(built: Built) -> None:
    built.says("Consider hydroxocobalamin 1 mg IM three times a week", "neuro")
    built.stops("another regimen than the neurological one")


@pytest.mark.parametrize(
    "text",
    [
        "Stop B12",
        "Consider stopping B12 once levels are normal",
        "B12 may be discontinued",
        "Consider to withhold hydroxocobalamin",
        "Levels are normal: injections can be ended",
        "Do not forget to stop injections",
        "There is no reason not to stop B12",
        "Do not continue B12 injections",
        "No further injections are due",
        "B12 is no longer needed",
        "Stop",
    ],
)
def test_a_wording_that_stops_b12_is_found(text: str) -> None:
    assert "stop" in recommendations(text + REVIEW)


def test_no_row_recommends_stopping_b12(built: Built) -> None:
    built.says("B12 may be discontinued", "plain")
    built.stops("a row recommends stopping B12")


@pytest.mark.parametrize("column", ["opted_out = TRUE", "deceased_on = DATE '2026-11-02'"])
def test_no_row_stands_for_a_deceased_or_opted_out_person(built: Built, column: str) -> None:
    built.execute(f"UPDATE core.patient SET {column} WHERE patient_id = 'plain'")
    built.stops("a row for a deceased or opted-out person")


def test_a_route_that_is_lost_counts_as_opted_out(built: Built) -> None:
    built.execute("UPDATE decisions.screening SET route = 'opted_out' WHERE patient_id = 'plain'")
    built.stops("a row for a deceased or opted-out person")


PROTECTED = ("ageless", "child", "inborn", "pregnant", "reaction")


@pytest.mark.parametrize("patient", PROTECTED)
def test_no_regimen_outside_the_screen_or_after_a_reaction(built: Built, patient: str) -> None:
    built.edit(lambda row: row.update(action="start_b12"), patient)
    built.stops("a regimen outside the screen or after a cobalamin reaction")


@pytest.mark.parametrize("text", ["Consider hydroxocobalamin 1 mg", "Inject on alternate days"])
def test_no_regimen_hides_in_a_review(built: Built, text: str) -> None:
    built.says(text, *PROTECTED)
    built.stops("a regimen outside the screen or after a cobalamin reaction: 5")


@pytest.mark.parametrize(
    "text",
    [
        "Review the form of B12: consider hydroxocobalamin or methylcobalamin in place of another",
        "Consider B12 by mouth",
        "Start cobalamin",
    ],
)
def test_after_a_reaction_no_cobalamin_is_recommended_whatever_its_dose(
    built: Built, text: str
) -> None:
    built.says(text, "reaction")
    built.stops("a regimen outside the screen or after a cobalamin reaction")


@pytest.mark.parametrize(
    "text",
    [
        "Consider folic acid",
        "Give folic acid 5 mg before B12",
        "Folic acid 5 mg daily",
        "Consider folic acid without B12",
        "Begin folinic acid, B12 can follow",
        "Consider B12. Offer folic acid",
    ],
)
def test_a_wording_that_puts_folic_acid_before_b12_is_found(text: str) -> None:
    assert "folic acid" in recommendations(text + REVIEW)


def test_no_row_recommends_folic_acid_without_b12(built: Built) -> None:
    built.says("Give folic acid 5 mg before B12", "plain")
    built.stops("folic acid recommended without B12")


def test_no_row_lacks_its_rule_its_source_its_reason_or_its_ending(built: Built) -> None:
    for column, patient in {
        "rule_id": "plain",
        "source": "neuro",
        "why": "child",
        "recommendation": "pregnant",
    }.items():
        built.edit(lambda row, column=column: row.update({column: ""}), patient)
    built.stops("a row without rule, reason, source or a whole recommendation: 5")


@pytest.mark.parametrize(
    "text", ["Consider {form}", "Lapsed since : consider", "Due on , consider", "B12 form: None"]
)
def test_no_recommendation_has_a_blank_that_nothing_filled(text: str) -> None:
    assert "hole" in recommendations(text + REVIEW)


@pytest.mark.parametrize(
    "why",
    [
        "B12 low",
        "B12 low: ",
        "B12 low: total B12 low",
        "B12 low: total B12 90 pmol/L (low); homocysteine 20 µmol/L on 2026-10-01",
        "kidneys: dialysis code; no B12 treatment recorded",
        "neurology: neurological involvement recorded (code G62.9); MMA missing",
    ],
)
def test_a_reason_without_the_day_of_its_value_or_code_stops_the_night(
    built: Built, why: str
) -> None:
    built.execute(f"UPDATE worklists.item SET why = '{why}' WHERE patient_id = 'plain'")
    built.stops("reason without day")


@pytest.mark.parametrize(
    "why", ["MMA raised: consider folic acid, MMA missing", "MMA raised: STOP B12; MMA missing"]
)
def test_a_reason_recommends_nothing(built: Built, why: str) -> None:
    built.execute(f"UPDATE worklists.item SET why = '{why}' WHERE patient_id = 'plain'")
    built.stops("reason that recommends")


def test_a_row_without_a_clinic_stands_only_on_the_sheets_for_that(built: Built) -> None:
    built.edit(lambda row: row.update(clinic_id=""), "plain")
    built.stops("a row without its clinic, or at another one")


def test_a_row_never_stands_on_another_clinics_sheet(built: Built) -> None:
    north = list(read_sheet(built.sheet("north.csv")))
    south = list(read_sheet(built.sheet("south.csv")))
    south.append(north.pop())
    for name, rows in (("north.csv", north), ("south.csv", south)):
        write_sheet(built.sheet(name), rows)
    built.stops("a row without its clinic, or at another one: 1")


def test_a_row_never_carries_the_item_of_another_person(built: Built) -> None:
    built.edit(lambda row: row.update(patient_id="neuro"), "plain")
    built.stops("a row that names another person or rule than its item")


def test_an_item_that_is_lost_or_doubled_stops_the_night(built: Built) -> None:
    rows = list(read_sheet(built.sheet("north.csv")))
    write_sheet(built.sheet("north.csv"), [*rows[1:], rows[1]])
    built.stops("an item on no sheet: 1", "a row without an item, or listed twice: 1")


def test_a_sheet_too_many_or_too_few_stops_the_night(built: Built) -> None:
    built.sheet("north.csv").rename(built.sheet("elsewhere.csv"))
    built.stops("a sheet too many or too few", "an item on no sheet")


def test_a_sheet_with_other_columns_stops_the_night(built: Built) -> None:
    text = built.sheet("north.csv").read_text(encoding="utf-8-sig")
    built.sheet("north.csv").write_text(text.replace("patient_id", "patient", 1), encoding="utf-8")
    built.stops("a sheet with other columns: 1", "an item on no sheet")


def test_a_message_names_no_person(built: Built) -> None:
    built.says("Stop B12", "plain", "child")
    with pytest.raises(AuditFailed) as stopped:
        built.audit()
    assert "plain" not in str(stopped.value)
    assert "child" not in str(stopped.value)


AUDITS = {
    "accounts_do_not_add_up": "UPDATE run.source_file SET n_read = n_read + 1",
    "action_listed_twice": (
        "UPDATE worklists.item SET action = 'start_b12' WHERE patient_id = 'plain'"
    ),
    "action_without_item": "DELETE FROM decisions.action WHERE patient_id = 'plain'",
    "item_off_the_list_without_answer": (
        "UPDATE worklists.item SET item_state = 'resting' WHERE patient_id = 'plain'"
    ),
    "patient_without_one_route": "DELETE FROM decisions.screening WHERE patient_id = 'well'",
    "patient_without_one_status": (
        "DELETE FROM decisions.functional_status WHERE patient_id = 'well'"
    ),
    "reason_that_recommends": "UPDATE worklists.item SET why = 'a: avoid it, B12 missing'",
    "reason_without_day": "UPDATE worklists.item SET why = 'a'",
}


def test_every_audit_has_its_breach_here() -> None:
    assert {path.stem for path in (sql_folder() / "audits").glob("*.sql")} == AUDITS.keys()


@pytest.mark.parametrize("audit", AUDITS)
def test_every_audit_stops_the_night(built: Built, audit: str) -> None:
    built.execute(AUDITS[audit])
    built.stops(audit.replace("_", " "))


def of_its_own(site: Path, old: str, new: str) -> None:
    """Give a site a ruleset of its own, with one wording changed."""
    shipped = Path(stages.__file__).parent / "rules" / "praxis-2025.toml"
    text = shipped.read_text(encoding="utf-8")
    assert old in text
    (site / "own.toml").write_text(text.replace(old, new), encoding="utf-8")
    settings = (site / "b12screen.toml").read_text(encoding="utf-8")
    assert 'ruleset = "praxis-2025"' in settings
    (site / "b12screen.toml").write_text(
        settings.replace('ruleset = "praxis-2025"', 'ruleset = "own.toml"'), encoding="utf-8"
    )


def test_a_sites_own_wording_is_stopped_like_any_other(site: Path) -> None:
    # Of a fragment the loader does not know into which row it comes.
    of_its_own(
        site, 'form_yes = "hydroxocobalamin or', 'form_yes = "every 3 months hydroxocobalamin or'
    )
    yesterday = bytes_below(site / "published")
    with pytest.raises(
        AuditFailed, match="the neurological one with neurology recorded: 1, by RG1"
    ):
        night(site, SECOND_NIGHT)
    assert bytes_below(site / "published") == yesterday


RULESETS = sorted(
    path.stem for path in (Path(stages.__file__).parent / "rules").glob("*-[0-9]*.toml")
)


@pytest.mark.parametrize("ruleset", RULESETS)
def test_no_text_of_a_shipped_ruleset_is_a_false_alarm(ruleset: str) -> None:
    texts = load_ruleset(ruleset).tables()
    fragments = dict(texts["fragment"].select("fragment_id", "text").iter_rows())
    blanks = {
        "{missing}": "MMA, homocysteine, B12 (repeat), creatinine",
        "{due_on}": "2026-11-01",
        "{days}": "3",
        "{lapsed_since}": "2026-01-01",
        "{milestone}": "24 months",
        "{when}": "in 12 days",
        "{doses}": "4 of 6 doses given",
        "{in_place}": fragments["in_place_plain"],
        "{creatinine}": fragments["creatinine_sex"],
        "{folic_acid}": fragments["folic_acid"],
        "{check_treatment}": fragments["check_treatment_stale"] + fragments["check_conditions"],
        "{kidney_form}": fragments["kidney_form"],
        "{after_reaction}": fragments["after_reaction"],
    }
    for rule_id, text in texts["row"].select("rule_id", "text").iter_rows():
        for form, missing in product(
            ("form_yes", "form_no", "form_unknown"),
            (blanks["{missing}"], fragments["missing_none"]),
        ):
            filled = (text or "").replace("{form}", fragments[form]).replace("{missing}", missing)
            for blank, word in blanks.items():
                filled = filled.replace(blank, word)
            says = recommendations(filled)
            assert not says & {"stop", "folic acid", "hole", "cyanocobalamin"}, (rule_id, filled)


@pytest.mark.parametrize(
    "text",
    [
        "Normal levels are no reason to end treatment",
        "Treatment should not be stopped when levels are normal",
        "Never stop B12 without advice",
        "Consider hydroxocobalamin, not cyanocobalamin",
        "Cyanocobalamin should be avoided",
        "Consider folic acid only once B12 is replaced",
        "Do not give folic acid before B12",
        "The result was withdrawn by the laboratory",
    ],
)
def test_a_warning_is_not_taken_for_what_it_warns_of(text: str) -> None:
    assert not recommendations(text) & {"stop", "cyanocobalamin", "folic acid"}


def test_words_in_names_of_people_and_clinics_are_no_breach(built: Built) -> None:
    built.audit()
    assert "cyanocobalamin.csv" in built.lists.sheets
    assert any("stop B12" in str(sheet.get("clinic_id")) for sheet in built.lists.sheets.values())
    rows = [row for name in built.lists.sheets for row in read_sheet(built.sheet(name))]
    assert "give folic acid" in {row["patient_id"] for row in rows}
    assert all(tuple(row) == SHEET for row in rows)
    assert all(date.fromisoformat(row["as_of"]) == SECOND_NIGHT for row in rows)
