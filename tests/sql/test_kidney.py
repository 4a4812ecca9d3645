"""Kidney function on the night and at the sample that decides."""

from datetime import date

import pytest

from b12screen.resources import sql_text

from .conftest import D, Decide, Decided, Person, ago


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    return decided(
        Person("reported").result("egfr", 59.9, ago(5)).result("creatinine", 60, ago(5)),
        Person("bound").result("egfr", 60, ago(5), ">").result("creatinine", 200, ago(5)),
        Person("computed").result("creatinine", 200, ago(5)),
        Person("other-sex", sex="other").result("creatinine", 200, ago(5)),
        Person("child-then", birth_date=date(2008, 5, 1)).result(
            "creatinine", 200, date(2026, 4, 30)
        ),
        Person("low-creatinine").result("creatinine", 40, ago(5), "<"),
        Person("high-creatinine")
        .result("creatinine", 60, ago(5), "<")
        .result("egfr", 30, ago(5), ">"),
        Person("undecided").result("egfr", 50, ago(5), ">").result("egfr", 80, ago(9)),
        Person("near")
        .result("mma", 400, ago(100))
        .result("egfr", 50, ago(10))
        .result("egfr", 80, ago(190)),
        Person("equally-near")
        .result("mma", 400, ago(100))
        .result("egfr", 50, ago(120))
        .result("egfr", 80, ago(80)),
        Person("far").result("mma", 400, ago(100)).result("egfr", 50, ago(9)),
        Person("dialysis").code("Z99.2", ago(400)).result("egfr", 80, ago(5)),
        Person("dialysis-ended").code("Z99.2", ago(400), D).result("egfr", 80, ago(5)),
        Person("aki").code("N17.9", ago(90), ago(80)).result("egfr", 80, ago(5)),
        Person("aki-past").code("N17.9", ago(91)).result("egfr", 80, ago(5)),
        Person("rise")
        .result("creatinine", 80, ago(300))
        .result("creatinine", 90, ago(200))
        .result("creatinine", 500, ago(150), ">")
        .result("creatinine", 127.5, ago(20)),
        Person("no-rise")
        .result("creatinine", 80, ago(300))
        .result("creatinine", 90, ago(200))
        .result("creatinine", 127, ago(20)),
        Person("one-earlier").result("creatinine", 60, ago(300)).result("creatinine", 300, ago(20)),
        Person("rise-too-old")
        .result("creatinine", 80, ago(386))
        .result("creatinine", 90, ago(200))
        .result("creatinine", 300, ago(20)),
        Person("chronic").result("egfr", 50, ago(200)).result("egfr", 55, ago(110)),
        Person("not-chronic")
        .result("egfr", 50, ago(200))
        .result("egfr", 61, ago(150))
        .result("egfr", 55, ago(110)),
        Person("nephropathy").code("E11.21", ago(900)).result("egfr", 80, ago(5)),
        Person("acute-and-low").code("N17.9", ago(10)).result("egfr", 30, ago(5)),
    )


@pytest.mark.parametrize(
    ("name", "kidney", "gate", "stage", "renal_dysfunction"),
    [
        ("reported", "reduced", "unknown", "G3a", "yes"),
        ("bound", "reduced", "unknown", "G4", "yes"),
        ("computed", "reduced", "unknown", "G4", "yes"),
        ("other-sex", "unknown", "unknown", "unknown", "unknown"),
        ("child-then", "unknown", "unknown", "unknown", "unknown"),
        ("low-creatinine", "normal", "unknown", "G1", "no"),
        ("high-creatinine", "normal", "unknown", "G1", "no"),
        ("undecided", "unknown", "unknown", "unknown", "unknown"),
        ("near", "reduced", "closed", "G3a", "yes"),
        ("equally-near", "normal", "open", "G2", "no"),
        ("far", "reduced", "unknown", "G3a", "yes"),
        ("dialysis", "dialysis", "closed", "G2", "yes"),
        ("dialysis-ended", "normal", "unknown", "G2", "no"),
        ("aki", "acute", "unknown", "G2", "unknown"),
        ("aki-past", "normal", "unknown", "G2", "no"),
        ("nephropathy", "normal", "unknown", "G2", "yes"),
        ("acute-and-low", "acute", "unknown", "G3b", "unknown"),
    ],
)
def test_kidney_gate_stage_and_dysfunction(
    night: Decided, name: str, kidney: str, gate: str, stage: str, renal_dysfunction: str
) -> None:
    facts = night.facts(name)
    assert (facts["kidney"], facts["gate"]) == (kidney, gate)
    assert (facts["ckd_stage"], facts["renal_dysfunction"]) == (stage, renal_dysfunction)


@pytest.mark.parametrize(
    ("name", "acute"),
    [("rise", True), ("no-rise", False), ("one-earlier", False), ("rise-too-old", False)],
)
def test_a_creatinine_rise_needs_half_more_than_the_median_of_two_earlier_ones(
    night: Decided, name: str, acute: bool
) -> None:
    assert (night.facts(name)["kidney"] == "acute") is acute


def test_chronic_needs_ninety_days_without_a_better_one_between(night: Decided) -> None:
    assert night.facts("chronic")["ckd_chronic"] == "yes"
    assert night.facts("not-chronic")["ckd_chronic"] == "unknown"


def test_thousands_of_creatinines_under_one_id_are_no_reason_to_run_out_of_memory(
    decided: Decide,
) -> None:
    """Quality controls, say, all sent for a person who is nobody in particular."""
    warehouse = decided().warehouse
    warehouse.execute("SET memory_limit = '200MB'")
    warehouse.execute(
        "INSERT INTO facts.kidney_result SELECT 'nobody', 'creatinine', '=', "
        "CASE WHEN n % 3 = 2 THEN 130 ELSE 80 END, moment, CAST(moment AS DATE), TRUE "
        "FROM (SELECT n, TIMESTAMP '2025-11-22' + to_minutes(n * 26) AS moment "
        "FROM range(20000) AS number(n))"
    )
    rises = warehouse.frame(sql_text("facts/creatinine_rise.sql"))
    assert rises["creatinine_umol_l"].to_list() == [130.0] * 6666
    assert set(rises["earlier_median_umol_l"].to_list()) == {80.0}
