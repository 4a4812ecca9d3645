"""Every action reached by a person's records, the folding, and what a clinic reads."""

from datetime import date, timedelta

import pytest

from .conftest import D, Decide, Decided, Person, ago


def deficient(name: str, **who: object) -> Person:
    """Both markers raised with open kidneys: confirmed."""
    person = Person(name, **who)  # type: ignore[arg-type]
    return person.result("mma", 412, ago(20)).result("hcy", 21, ago(20)).result("egfr", 88, ago(20))


def loading(name: str, start: int, doses: int) -> Person:
    return Person(name).injection(*(ago(start - 2 * n) for n in range(doses)))


def maintained(name: str) -> Person:
    """Two years of injections every three months, the last one recent, and markers before them."""
    person = Person(name).injection(*(ago(730 - 90 * n) for n in range(9)))
    return person.result("mma", 1000, ago(740)).result("hcy", 30, ago(740))


def panel(person: Person, on: date) -> Person:
    values = {"b12": 500, "hb": 140, "mcv": 90, "mma": 200, "hcy": 8}
    for analyte, value in values.items():
        person.result(analyte, value, on)
    return person


PEOPLE = {
    "RG1": deficient("RG1").code("G32.0", ago(30)),
    "RG2": Person("RG2").result("mma", 400, ago(20)).code("R20.2", ago(30)),
    "RG3": deficient("RG3").code("R41.3", ago(30)),
    "RG4": deficient("RG4"),
    "RG13": Person("RG13").result("b12", 100, ago(20)),
    "RG13-anaemia": Person("RG13-anaemia").result("b12", 100, ago(20)).result("hb", 79, ago(20)),
    "RG6": Person("RG6").result("mma", 400, ago(20)).result("egfr", 40, ago(20)),
    "RG7": Person("RG7").result("b12", 200, ago(20)),
    "RG10-definite": Person("RG10-definite").code("G32.0", ago(30)),
    "RG10": Person("RG10").result("b12", 200, ago(20)).code("R20.2", ago(30)),
    "RG8": Person("RG8").result("mma", 100, ago(20)).result("hcy", 20, ago(20)),
    "RG5-baseline": Person("RG5-baseline").injection(ago(300)),
    "RG5-cause": Person("RG5-cause")
    .injection(ago(300))
    .result("mma", 200, ago(20))
    .code("D51.0", ago(3000)),
    "RG14": Person("RG14").injection(ago(300)).result("mma", 200, ago(20)),
    "RG9": Person("RG9").injection(ago(95)),
    "RG9-oral": Person("RG9-oral").injection(ago(95)).tablets(ago(50)),
    "RG11-code": Person("RG11-code").injection(ago(200), ago(110), ago(20)).code("R26.0", ago(40)),
    "RG11-respelled": Person("RG11-respelled")
    .injection(ago(200), ago(110), ago(20))
    .code("R26.0", ago(400))
    .code("r260", ago(40)),
    "RG11-mma": Person("RG11-mma").injection(ago(200), ago(20)).result("mma", 800, ago(40)),
    "RG12": loading("RG12", 14, 3),
    "RG12-early": loading("RG12-early", 13, 3),
    "RG12-late": loading("RG12-late", 61, 3),
    "RG15": loading("RG15", 21, 6).code("G32.0", ago(40)),
    "SF1": Person("SF1").result("b12", 200, ago(20)).medication("B03BB01", ago(10)),
    "SF2": Person("SF2").tablets(ago(50), dose=0.05).code("Z99.2", ago(400)),
    "SF3": Person("SF3").result("mma", 900, ago(20)),
    "SF5": Person("SF5").code("Z99.2", ago(400)),
    "RC1": Person("RC1").injection(date(2026, 7, 20), date(2026, 10, 10)),
    "RC2": Person("RC2").injection(date(2026, 8, 20), date(2026, 10, 10)),
    "RS1": maintained("RS1").result("mma", 800, ago(30)),
    "RS7": maintained("RS7").result("mcv", 101, ago(30)),
    "SC3": Person("SC3", birth_date=None).result("mma", 900, ago(20)),
    "SC4": Person("SC4", birth_date=date(2010, 1, 1)).result("mma", 900, ago(20)),
    "SC4-fine": Person("SC4-fine", birth_date=date(2010, 1, 1)).result("mma", 90, ago(20)),
    "SC5": deficient("SC5").code("E71.120", ago(4000)).code("G32.0", ago(30)),
    "SC6": deficient("SC6")
    .code("O26.9", ago(30))
    .medication("B03BB01", ago(10))
    .code("G32.0", ago(30)),
    "SC6-kidney": Person("SC6-kidney")
    .result("mma", 900, ago(20))
    .result("hb", 70, ago(20))
    .code("O26.9", ago(30)),
    "RG16": deficient("RG16").code("T45.2X5A", ago(4000)).result("hb", 70, ago(20)),
    "RG16-pregnant": deficient("RG16-pregnant").code("T45.2X5A", ago(4000)).code("O26.9", ago(9)),
    "opted-out": deficient("opted-out", opted_out=True),
    "deceased": deficient("deceased", deceased_on=D),
    "dies-later": deficient("dies-later", deceased_on=D + timedelta(days=1)),
    "stranger": deficient("stranger", in_patients=False),
    "quiet": Person("quiet"),
}
EXPECTED = {
    "RG1": {"start_b12_neuro": ("RG1", 1)},
    "RG2": {"start_b12_neuro": ("RG2", 1), "check_kidney": ("SF3", 3)},
    "RG3": {"start_b12_assess": ("RG3", 2)},
    "RG4": {"start_b12": ("RG4", 2)},
    "RG13": {"consider_b12": ("RG13", 2), "check_kidney": ("SF3", 3)},
    "RG13-anaemia": {
        "consider_b12": ("RG13", 1),
        "check_kidney": ("SF3", 3),
        "check_potassium": ("SF4", 2),
    },
    "RG6": {"review_renal": ("RG6", 4)},
    "RG7": {"complete_workup": ("RG7", 5)},
    "RG10-definite": {"complete_workup": ("RG10", 1)},
    "RG10": {"complete_workup": ("RG10", 2)},
    "RG8": {"review_homocysteine": ("RG8", 6)},
    "RG5-baseline": {"resume_b12": ("RG5", 2), "recheck_overdue": ("RC1", 4)},
    "RG5-cause": {"resume_b12": ("RG5", 2), "recheck_overdue": ("RC1", 4)},
    "RG14": {"review_lapsed": ("RG14", 6), "recheck_overdue": ("RC1", 4)},
    "RG9": {"maintenance_due": ("RG9", 3), "recheck_due": ("RC2", 7)},
    "RG9-oral": {"recheck_due": ("RC2", 7)},
    "RG11-code": {"review_treatment": ("RG11", 1), "recheck_due": ("RC2", 7)},
    "RG11-respelled": {"recheck_due": ("RC2", 7)},
    "RG11-mma": {
        "review_treatment": ("RG11", 3),
        "review_response": ("RS1", 3),
        "recheck_due": ("RC2", 7),
    },
    "RG12": {"loading_incomplete": ("RG12", 2)},
    "RG12-early": {},
    "RG12-late": {"recheck_due": ("RC2", 7)},
    "RG15": {"review_loading": ("RG15", 3)},
    "SF1": {"complete_workup": ("RG7", 5), "folic_acid_without_b12": ("SF1", 1)},
    "SF2": {"cyanocobalamin_in_renal": ("SF2", 3), "dialysis_vitamins": ("SF5", 6)},
    "SF3": {"start_b12": ("RG4", 2), "check_kidney": ("SF3", 3)},
    "SF5": {"dialysis_vitamins": ("SF5", 6)},
    "RC1": {"recheck_overdue": ("RC1", 4)},
    "RC2": {"recheck_due": ("RC2", 7)},
    "RS1": {
        "review_response": ("RS1", 3),
        "review_treatment": ("RG11", 3),
        "recheck_due": ("RC2", 7),
    },
    "RS7": {"review_anaemia": ("RS7", 3), "recheck_due": ("RC2", 7)},
    "SC3": {"check_record": ("SC3", 7)},
    "SC4": {"paediatric_review": ("SC4", 2)},
    "SC4-fine": {},
    "SC5": {"specialist_review": ("SC5", 1)},
    "SC6": {"pregnancy_review": ("RG1", 1)},
    "SC6-kidney": {
        "pregnancy_review": ("RG4", 2),
        "check_kidney": ("SF3", 3),
        "check_potassium": ("SF4", 2),
    },
    "RG16": {"specialist_review": ("RG16", 2)},
    "RG16-pregnant": {"specialist_review": ("RG16", 2)},
    "opted-out": {},
    "deceased": {},
    "dies-later": {"start_b12": ("RG4", 2)},
    "stranger": {"check_record": ("SC3", 7)},
    "quiet": {},
}


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    return decided(*PEOPLE.values())


@pytest.mark.parametrize("name", list(PEOPLE))
def test_who_is_listed_for_what(night: Decided, name: str) -> None:
    assert night.actions(name) == EXPECTED[name]


def test_every_row_of_the_night_is_listed_once_with_text_reason_and_source(night: Decided) -> None:
    listed = night.warehouse.frame("SELECT * FROM worklists.listed")
    actions = night.warehouse.scalar("SELECT count(*) FROM decisions.action")
    assert len(listed) == actions == len(listed.unique(["patient_id", "action"]))
    for row in listed.to_dicts():
        assert row["recommendation"].endswith("for clinician review")
        assert "{" not in row["recommendation"]
        assert row["why"]
        assert row["source"]


def test_every_person_has_one_route_and_every_screened_one_a_status(night: Decided) -> None:
    everyone = night.warehouse.scalar("SELECT count(*) FROM decisions.screening")
    assert everyone == len(PEOPLE) + 1
    screened, judged = night.warehouse.rows(
        "SELECT count(*) FROM decisions.screening WHERE route IN ('screened', 'pregnant')"
        " UNION ALL SELECT count(*) FROM decisions.functional_status"
    )
    assert screened == judged


def test_nobody_who_opted_out_or_died_has_facts(night: Decided) -> None:
    assert night.rows("facts.patient", "opted-out") == []
    assert night.rows("facts.patient", "deceased") == []


def test_a_start_names_the_form_and_the_findings(night: Decided) -> None:
    row = night.listed("RG4", "start_b12")
    assert "B12 form: hydroxocobalamin. Folic acid alone" in row["recommendation"]
    assert f"MMA 412 nmol/L on {ago(20)} (above 271)" in row["why"]
    assert (row["mma_nmol_l"], row["egfr_ml_min"], row["clinic_id"]) == ("412", "88", "C1")
    unknown = night.listed("SF3", "start_b12")
    assert "hydroxocobalamin; kidney function not known" in unknown["recommendation"]
    reduced = night.listed("RG6", "review_renal")
    assert "avoid cyanocobalamin" in reduced["recommendation"]


def test_a_workup_names_exactly_what_is_missing(night: Decided) -> None:
    assert (
        ": MMA, homocysteine, creatinine;"
        in night.listed("RG7", "complete_workup")["recommendation"]
    )


def test_in_pregnancy_one_review_without_regimen_keeps_the_best_rule(night: Decided) -> None:
    row = night.listed("SC6", "pregnancy_review")
    assert row["recommendation"].startswith("Consider review with maternity care")
    assert "pregnancy recorded" in row["why"]
    assert "folic acid taken" in row["why"]


def test_maintenance_names_its_day_and_is_about_it(night: Decided) -> None:
    row = night.listed("RG9", "maintenance_due")
    due_on = night.facts("RG9")["next_dose_due_on"]
    assert (row["due_on"], row["anchor"]) == (due_on, due_on.isoformat())
    assert row["days_overdue"] == (D - due_on).days


def test_a_person_without_a_clinic_goes_where_the_newest_result_came_from(decided: Decide) -> None:
    night = decided(
        deficient("p", clinic_id=None)
        .result("hb", 140, ago(10), clinic_id="C7")
        .result("hb", 140, ago(30), clinic_id="C9"),
        deficient("q", clinic_id=None),
    )
    assert night.listed("p", "start_b12")["clinic_id"] == "C7"
    assert night.listed("q", "start_b12")["clinic_id"] is None


def test_a_stale_medications_feed_is_said_where_a_dose_may_be_missing_from_it(
    decided: Decide,
) -> None:
    night = decided(
        deficient("new"),
        Person("lapsed").injection(ago(400), ago(200)).code("D51.0", ago(900)),
        Person("due").injection(ago(95)),
        medications_feed="stale",
    )
    said = "Check treatment first: no new record of medicines"
    assert night.listed("new", "start_b12")["recommendation"].startswith(said)
    assert night.listed("lapsed", "resume_b12")["recommendation"].startswith(said)
    assert night.listed("due", "maintenance_due")["recommendation"].startswith(said)


def test_a_row_about_injections_names_their_form_with_kidney_disease(decided: Decide) -> None:
    night = decided(
        Person("dialysis").injection(ago(95), code="B03BA01").code("Z99.2", ago(300)),
        Person("plain").injection(ago(95), code="B03BA01"),
        Person("loading").injection(ago(20), code="B03BA01").code("N18.5", ago(300)),
    )
    form = "consider hydroxocobalamin or methylcobalamin, avoid cyanocobalamin; for clinician"
    assert form in night.listed("dialysis", "maintenance_due")["recommendation"]
    assert form in night.listed("loading", "loading_incomplete")["recommendation"]
    assert "cobalamin" not in night.listed("plain", "maintenance_due")["recommendation"]


def test_what_withholds_a_regimen_is_named_by_its_code_and_day(decided: Decide) -> None:
    night = decided(
        deficient("reaction").code("T45.2X5A", ago(700)).code("T45.2X5A", ago(900)),
        deficient("inborn").code("E71.120", ago(900)),
        deficient("pregnant").code("O09.9", ago(40)),
        deficient("both").code("O09.9", ago(40)).code("T45.2X5A", ago(700)),
    )
    reaction, pregnancy = (
        f"code T45.2X5A of {ago(700)}, counted as a reaction to a cobalamin; ",
        f"pregnancy code O09.9 of {ago(40)}; ",
    )
    assert f": {reaction}MMA" in night.listed("reaction", "specialist_review")["why"]
    why = night.listed("inborn", "specialist_review")["why"]
    assert f"inborn error code E71.120 of {ago(900)}" in why
    row = night.listed("pregnant", "pregnancy_review")
    assert f": {pregnancy}MMA" in row["why"]
    assert row["source"] == "NG239; assumption; praxis"
    assert f": {reaction}{pregnancy}MMA" in night.listed("both", "specialist_review")["why"]


def test_without_a_medications_feed_a_start_says_to_check_treatment_first(decided: Decide) -> None:
    row = decided(deficient("p"), medications_feed="none").listed("p", "start_b12")
    assert row["recommendation"].startswith("Check treatment first")


def test_item_ids_depend_on_person_action_and_anchor(night: Decided) -> None:
    ids = night.warehouse.rows(
        "SELECT DISTINCT item_id(patient_id, action, anchor) FROM worklists.listed"
    )
    assert len(ids) == night.warehouse.scalar("SELECT count(*) FROM worklists.listed")
    assert all(len(each) == 17 and each.startswith("i") for (each,) in ids)


def test_no_reason_changes_by_the_passing_of_a_night(decided: Decide) -> None:
    """A prescription is a dose of every day that it covers, the night's as well."""
    person = Person("tablets").tablets(ago(140), D + timedelta(200))
    whys = [
        decided(person, as_of=night).listed("tablets", "recheck_overdue")["why"]
        for night in (D, D + timedelta(1))
    ]
    assert whys[0] == whys[1]
    assert f"on B12 (since {ago(140)}, by a prescription that covers the night)" in whys[0]
