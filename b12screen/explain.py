"""Why a person is, or is not, on a worklist: the published night told in sentences.

Reads the published file and nothing else, so it says what the night knew. Decides nothing: every
statement is a row of the database, with its rule and its source. It speaks about one person, so
its lines belong on standard output only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import floor
from typing import Any

from b12screen.errors import UsageError
from b12screen.maps import fold_code, is_code
from b12screen.warehouse import Warehouse

Row = dict[str, Any]

TABLES = {
    "functional_status": "SELECT * FROM rules.functional_status",
    "regimen": "SELECT * FROM rules.regimen",
    "folding": "SELECT * FROM rules.folding",
}

WAYS = {"im": "IM", "iv": "IV", "sc": "SC"}

# The facts in the order a clinician asks for them, and the words they are told in.
SENTENCES: dict[str, dict[str, str]] = {
    "basis": {
        "baseline": "Treatment has begun, so the results from before it decide.",
        "current": "The newest results within the look-back decide.",
    },
    "mma_raised": {
        "yes": "MMA is raised.",
        "no": "MMA is not raised.",
        "unknown": "Whether MMA is raised is not known.",
    },
    "mma_marked": {"yes": "The rise of MMA is marked."},
    "hcy_raised": {
        "yes": "Homocysteine is raised.",
        "no": "Homocysteine is not raised.",
        "unknown": "Whether homocysteine is raised is not known.",
    },
    "b12_level": {
        "low": "B12 is low.",
        "borderline": "B12 is borderline.",
        "adequate": "B12 is adequate.",
        "unknown": "The B12 level is not known.",
    },
    "gate": {
        "open": "Kidney function at the time of the sample does not explain a raised marker.",
        "closed": "Kidney disease at the time of the sample may itself raise the markers.",
        "unknown": "Kidney function at the time of the sample is not known.",
    },
    "kidney": {
        "dialysis": "The person is on dialysis.",
        "acute": "There is a recent acute kidney injury.",
        "reduced": "Kidney function is reduced.",
        "normal": "Kidney function is not reduced.",
        "unknown": "Kidney function now is not known.",
    },
    "renal_dysfunction": {
        "yes": "For the choice of the B12 form the kidney counts as impaired.",
        "unknown": "Whether the kidney limits the choice of the B12 form is not known.",
    },
    "neuro": {
        "recorded": "A neurological sign that counts is recorded.",
        "possible": "A neurological sign is recorded that may have another cause.",
        "none_recorded": "No neurological sign that counts is recorded.",
        "unknown": "Whether there are neurological signs is not known.",
    },
    "b12_treatment": {
        "none": "No B12 treatment is recorded.",
        "active": "B12 treatment is active.",
        "lapsed": "B12 treatment has lapsed.",
        "unknown": "Whether B12 is given is not known.",
    },
    "cyanocobalamin_active": {"yes": "Cyanocobalamin is being taken."},
    "folic_acid_active": {"yes": "Folic acid is being taken."},
    "severe_anaemia": {"yes": "Anaemia is severe."},
    "anaemia": {"yes": "There is anaemia.", "unknown": "Whether there is anaemia is not known."},
    "macrocytosis": {"yes": "There is macrocytosis."},
    "pregnant": {"yes": "A pregnancy is recorded."},
    "nitrous_oxide": {"yes": "Nitrous oxide is recorded."},
    "inborn_error": {"yes": "An inborn error of this metabolism is recorded."},
    "cobalamin_reaction": {"yes": "An adverse reaction to a cobalamin is recorded."},
    "irreversible_cause": {"yes": "A cause that does not go away is recorded."},
}

# A fact, its value and comparator in facts.patient, and what is measured.
MARKERS = {
    "mma_raised": ("mma_nmol_l", "mma_comparator", "mma_treated", "MMA", "mma_raised"),
    "hcy_raised": ("hcy_umol_l", "hcy_comparator", "hcy_treated", "homocysteine", "hcy_raised"),
    "b12_level": ("b12_pmol_l", "b12_comparator", "b12_treated", "total B12", "b12_borderline"),
}

# What a change of one word means: the fact, its word, how it is said; a limit stands in braces.
CHANGES = (
    ("mma_raised", "yes", "MMA is {mma_raised}"),
    ("mma_raised", "no", "MMA is not {mma_raised}"),
    ("mma_marked", "yes", "MMA is {mma_marked}"),
    ("mma_marked", "no", "MMA is {mma_raised}, but not {mma_marked}"),
    ("hcy_raised", "yes", "homocysteine is {hcy_raised}"),
    ("hcy_raised", "no", "homocysteine is not {hcy_raised}"),
    ("b12_level", "low", "total B12 is {b12_low}, or active B12 {holotc_low}"),
    (
        "b12_level",
        "borderline",
        "B12 is borderline: total B12 {b12_borderline}, or active B12 {holotc_borderline}, "
        "and neither low",
    ),
    ("b12_level", "adequate", "B12 is adequate: total B12 not {b12_borderline}"),
    ("gate", "open", "the eGFR at the sample is shown not to be {egfr_reduced}"),
    ("gate", "closed", "the eGFR at the sample is shown to be {egfr_reduced}"),
    ("nitrous_oxide", "yes", "nitrous oxide use is recorded"),
    ("neuro", "recorded", "a neurological sign is recorded that counts"),
    ("neuro", "none_recorded", "no neurological sign counts"),
    ("severe_anaemia", "yes", "haemoglobin is {hb_severe}"),
)
# The marker that counts with another one, taken close enough: its fact, its day, its label.
OTHER_MARKER = {
    "mma_raised": ("hcy_raised", "hcy_on", "homocysteine"),
    "mma_marked": ("hcy_raised", "hcy_on", "homocysteine"),
    "hcy_raised": ("mma_raised", "mma_on", "MMA"),
}

# Why an answered row is on the list again.
ENDED = {
    "day": "its time is over and the row still stands",
    "worse": "something has got worse since, or a new finding came",
    "moved": "it is another clinic's now",
}

# What takes a row off the list that no change of status or neurology does.
LEAVES = {
    "resume_b12": "a dose of B12 is recorded",
    "review_lapsed": "a dose of B12 is recorded",
    "maintenance_due": "an injection is recorded",
    "loading_incomplete": "{loading_doses} doses since the start are recorded",
    "review_loading": "more than {loading_review_last} have passed since the start",
    "review_treatment": "no sign that came after the start stands, and MMA is not {mma_marked}",
    "folic_acid_without_b12": "B12 treatment is recorded, or the markers speak against deficiency",
    "cyanocobalamin_in_renal": "another form of B12 is recorded in its place",
    "check_kidney": "a creatinine or eGFR of the {look_back} before the night is known",
    "check_potassium": "haemoglobin is not {hb_severe}",
    "dialysis_vitamins": "B12 treatment is recorded",
    "recheck_overdue": "the missing tests are collected",
    "recheck_due": "the missing tests are collected",
    "review_response": "MMA is not {mma_raised}, or has fallen as far as is expected",
    "review_anaemia": "haemoglobin and MCV are within their limits",
    "paediatric_review": "MMA and homocysteine are not raised and B12 is not low",
    "specialist_review": "none of the findings in its reason stands any more",
}

# The rules of these routes also list people, so that their reason may not hold for everybody.
ROUTE_REASON = {
    "paediatric": "The person is under the age of the screen.",
    "inborn_error": "An inborn error of metabolism is recorded.",
}

# What would change the route of somebody who is not screened like everybody else.
OTHER_ROUTE = {
    "opted_out": "The person is screened when the patients extract says opted_out false.",
    "deceased": "The person is screened when the patients extract gives no day of death.",
    "unroutable_age": "The person is screened when the patients extract gives a birth date that is "
    "not after the night.",
    "paediatric": "The person is screened from the age of {adult_age} on.",
    "inborn_error": "The person is screened when no code for an inborn error is recorded.",
    "pregnant": "Rows about replacement stand by themselves, with their regimen, when the "
    "pregnancy has ended or its code is older than {pregnancy}.",
}

# Measurements of facts.patient: its columns, the analyte, the words of a clinician.
MEASUREMENTS = (
    ("mma_nmol_l", "mma_on", "mma_comparator", "mma", "MMA", "nmol/L"),
    ("hcy_umol_l", "hcy_on", "hcy_comparator", "hcy", "homocysteine", "µmol/L"),
    ("b12_pmol_l", "b12_on", "b12_comparator", "b12", "total B12", "pmol/L"),
    ("holotc_pmol_l", "holotc_on", "holotc_comparator", "holotc", "active B12", "pmol/L"),
    ("egfr_ml_min", "egfr_on", "egfr_comparator", "egfr", "eGFR", "mL/min/1.73 m²"),
    ("hb_g_l", "hb_on", "hb_comparator", "hb", "haemoglobin", "g/L"),
    ("mcv_fl", "mcv_on", "mcv_comparator", "mcv", "MCV", "fL"),
)


@dataclass(frozen=True)
class Person:
    """Everything a published night says about one person."""

    night: Row
    patient_id: str
    record: Row | None
    route: Row | None
    facts: Row | None
    status: Row | None
    actions: list[Row]
    items: list[Row]
    answers: list[Row]
    recheck: Row | None
    response: Row | None


def explanation(warehouse: Warehouse, patient_id: str) -> list[str]:
    """The lines about one person; UsageError when the night knows nobody of that id."""
    person = known_person(warehouse, patient_id)
    title = (
        f"Patient {patient_id}, on the night of {person.night['as_of']} "
        f"(run {person.night['run_id']}, rules {person.night['ruleset']})"
    )
    return [title, "", *screening_lines(warehouse, person)]


def known_person(warehouse: Warehouse, patient_id: str) -> Person:
    def rows(sql: str) -> list[Row]:
        return warehouse.frame(sql, [patient_id]).to_dicts()

    def row(sql: str) -> Row | None:
        found = rows(sql)
        return found[0] if found else None

    (night,) = warehouse.frame("SELECT * FROM run.night").to_dicts()
    person = Person(
        night=night,
        patient_id=patient_id,
        record=row("SELECT * FROM core.patient WHERE patient_id = ?"),
        route=row("SELECT * FROM decisions.screening WHERE patient_id = ?"),
        facts=row("SELECT * FROM facts.patient WHERE patient_id = ?"),
        status=row("SELECT * FROM decisions.functional_status WHERE patient_id = ?"),
        actions=rows(
            "SELECT * FROM decisions.action WHERE patient_id = ? ORDER BY priority, action"
        ),
        items=rows(
            "SELECT * FROM worklists.item WHERE patient_id = ? "
            "ORDER BY item_state DESC, priority, action, item_id, clinic_id"
        ),
        answers=rows(
            "SELECT answer.* FROM worklists.answer AS answer "
            "SEMI JOIN worklists.item AS item "
            "ON item.item_id = answer.item_id AND item.patient_id = ? "
            "ORDER BY answer.item_id, answer.given_by"
        )
        if warehouse.has("worklists.answer")
        else [],
        recheck=row("SELECT * FROM decisions.recheck WHERE patient_id = ?"),
        response=row("SELECT * FROM decisions.response WHERE patient_id = ?"),
    )
    if person.record is None and person.route is None and not person.items:
        raise UsageError(
            "The published night knows nobody of the identifier that was asked for. Nothing was "
            "changed. Identifiers are compared as text, leading zeros included."
        )
    return person


def screening_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    if person.route is None:
        yield (
            "No record and no result of the person is left: what was listed rested on results that "
            "are withdrawn or another person's."
            if person.record is None
            else "The person is in the patients extract and was not screened on this night."
        )
        if person.items:
            yield from worklist_lines(warehouse, person)
        return
    route = person.route["route"]
    rule_id = person.route["rule_id"]
    why = (
        f"{ROUTE_REASON[route]} {cited(warehouse, rule_id)}"
        if route in ROUTE_REASON
        else reason(warehouse, rule_id)
    )
    yield f"Route: {said(route)}. {why}"
    if route in ("opted_out", "deceased"):
        yield "No row is listed on any worklist."
        yield f"What would change it: {OTHER_ROUTE[route]}"
        return
    if person.facts is not None:
        yield from ["", "What is known"]
        yield from fact_lines(person.facts)
        yield from ["", "What it rests on"]
        evidence = [
            *measurement_lines(warehouse, person.patient_id, person.facts),
            *condition_lines(warehouse, person),
            *treatment_lines(warehouse, person),
        ]
        yield from evidence or ["  nothing: no result, condition or dose that counts."]
    if person.status is not None:
        yield from ["", f"Functional status: {said(person.status['functional_status'])}."]
        yield f"  {sentence(person.status['why'])}"
        yield f"  {cited(warehouse, person.status['rule_id'])}"
    if person.recheck is not None:
        yield from ["", recheck_line(warehouse, person.recheck)]
    if person.response is not None:
        yield from [
            "",
            f"Response to treatment: {said(person.response['response'])}. "
            + reason(warehouse, person.response["rule_id"]),
            *response_lines(person.response),
        ]
    yield from ["", *worklist_lines(warehouse, person)]
    yield from ["", *change_lines(warehouse, person)]


def fact_lines(facts: Row) -> Iterator[str]:
    for fact, words in SENTENCES.items():
        told = words.get(str(facts.get(fact)))
        if told:
            yield f"  {told}"


def measurement_lines(warehouse: Warehouse, patient_id: str, facts: Row) -> Iterator[str]:
    """Each value that decided, with the row of the extract that it came in."""
    for value_column, day_column, comparator_column, analyte, label, unit in MEASUREMENTS:
        value, day = facts.get(value_column), facts.get(day_column)
        if value is None:
            continue
        comparator = facts.get(comparator_column) or "="
        shown = value if analyte != "egfr" else floor(value * 10) / 10
        line = f"  {label} {'' if comparator == '=' else comparator}{number(shown)} {unit}"
        if day is not None:
            line += f", collected {day}" + (
                " on treatment" if facts.get(f"{analyte}_treated") else ""
            )
        result = result_of(warehouse, patient_id, analyte, value, day)
        if result is None and analyte == "egfr":
            result = result_of(warehouse, patient_id, "creatinine", None, day)
            line += ", computed by CKD-EPI 2021"
            if result is not None:
                line += f" from creatinine {number(result['value'])} µmol/L of that day"
        if result is not None:
            if day is None:
                line += f", collected {result['collected_on']}"
            if result["value_as_sent"] is not None or result["unit_as_sent"] is not None:
                sent = (
                    result["value_as_sent"] or number(result["value"]),
                    result["unit_as_sent"] or result["unit"],
                )
                line += f", sent as {' '.join(sent)}"
            line += f" (laboratory {result['laboratory']}, {place(result)})"
        yield line


def result_of(
    warehouse: Warehouse, patient_id: str, analyte: str, value: float | None, day: date | None
) -> Row | None:
    """The newest result of that analyte, value and day that speaks; None where there is none."""
    found = warehouse.frame(
        "SELECT * FROM core.lab_result WHERE patient_id = ? AND analyte = ? "
        "AND (? IS NULL OR value = ?) AND (? IS NULL OR collected_on = ?) "
        "AND status IN ('final', 'corrected', 'amended') "
        "ORDER BY collected_at DESC, reported_at DESC NULLS LAST, result_id DESC, laboratory DESC "
        "LIMIT 1",
        [patient_id, analyte, value, value, day, day],
    ).to_dicts()
    return found[0] if found else None


def condition_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """Recorded conditions that a code map names, with their groups."""
    known = warehouse.frame("SELECT * FROM map.condition").to_dicts()
    for row in warehouse.frame(
        "SELECT * FROM core.condition WHERE patient_id = ? "
        "AND recorded_on <= (SELECT as_of FROM run.night) "
        "ORDER BY recorded_on, code_system, code",
        [person.patient_id],
    ).to_dicts():
        named = named_by(known, row, "condition_group")
        if not named:
            continue
        meaning = min(named, key=lambda one: (-len(one["code"]), one["meaning"]))["meaning"]
        groups = {", ".join(filter(None, (one["condition_group"], one["tier"]))) for one in named}
        ended = f", resolved {row['resolved_on']}" if row["resolved_on"] else ""
        yield (
            f"  {row['code']} ({row['code_system']}), recorded {row['recorded_on']}{ended}: "
            f"{meaning} [{said('; '.join(sorted(groups)))}] ({place(row)})"
        )


def named_by(known: list[Row], sent: Row, group: str) -> list[Row]:
    """The rows of a code map that a code as sent falls under: of each group the closest ones."""
    plain = fold_code(sent["code"])
    may_begin = is_code(sent["code_system"], plain)
    closest: dict[Any, tuple[tuple[bool, int], list[Row]]] = {}
    for row in known:
        begins = may_begin and row["match"] == "prefix" and plain.startswith(row["code"])
        if row["code_system"] != sent["code_system"] or not (plain == row["code"] or begins):
            continue
        near = (row["match"] == "exact", len(row["code"]))
        best, rows = closest.get(row[group], (near, []))
        if near >= best:
            closest[row[group]] = (near, [*rows, row] if near == best else [row])
    return [row for _, rows in closest.values() for row in rows]


def treatment_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """Doses and prescriptions of B12 and folic acid; the newest few, and how many there are."""
    known = warehouse.frame("SELECT * FROM map.drug ORDER BY code, substance").to_dicts()
    found = [
        row | {"substance": named[0]["substance"]}
        for row in warehouse.frame(
            "SELECT * FROM core.medication WHERE patient_id = ? "
            "AND started_on <= (SELECT as_of FROM run.night) "
            "ORDER BY started_on DESC, medication_id DESC",
            [person.patient_id],
        ).to_dicts()
        if (named := named_by(known, row, "code_system"))
    ]
    facts = person.facts or {}
    if facts.get("episode_started_on") is not None:
        due = facts["next_dose_due_on"]
        yield (
            f"  B12 treatment since {facts['episode_started_on']}, last dose "
            f"{facts['last_dose_on']}"
            + (
                ""
                if not due
                else f", next injection {'was ' if due < person.night['as_of'] else ''}due {due}"
            )
        )
    for row in found[:4]:
        dose = f" {number(row['dose'])} {row['dose_unit'] or ''}".rstrip() if row["dose"] else ""
        way = f" {WAYS.get(row['route'], row['route'])}" if row["route"] else ""
        ended = f" to {row['ended_on']}" if row["ended_on"] else ""
        yield (
            f"  {said(row['substance'])}{dose}{way}, {row['kind']} of "
            f"{row['started_on']}{ended} ({place(row)})"
        )
    if len(found) > 4:
        yield f"  and {len(found) - 4} earlier rows of B12 or folic acid."


def recheck_line(warehouse: Warehouse, recheck: Row) -> str:
    line = f"Recheck at {recheck['milestone']}: {recheck['recheck_state']}, due {recheck['due_on']}"
    if recheck["days_overdue"]:
        line += f", {recheck['days_overdue']} days overdue"
    if recheck["missing"]:
        labels = dict(warehouse.rows("SELECT analyte, label FROM map.analyte"))
        tests = [labels.get(test, test) for test in recheck["missing"].split(",")]
        line += f"; tests missing: {', '.join(tests)}"
    if recheck["n_missed"]:
        line += f"; earlier rechecks missed: {recheck['n_missed']}"
    return line + "."


def response_lines(response: Row) -> Iterator[str]:
    """The two values of MMA that are compared, and how far both markers fell."""
    for what, when in (("Before treatment", "before"), ("Latest", "after")):
        value = response[f"mma_{when}_nmol_l"]
        if value is not None:
            comparator = response[f"mma_{when}_comparator"]
            yield (
                f"  {what}: MMA {'' if comparator == '=' else comparator}{number(value)} nmol/L, "
                f"collected {response[f'mma_{when}_on']}"
            )
    for label, fall in (
        ("MMA", response["mma_fall_pct"]),
        ("Homocysteine", response["hcy_fall_pct"]),
    ):
        if fall is not None:
            yield f"  {label} {'fell' if fall >= 0 else 'rose'} by {abs(fall):.1f} %"


def worklist_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """What is listed with its recommendation, and what was decided for or closed."""
    listed = [item for item in person.items if item["item_state"] == "open"]
    resting = [item for item in person.items if item["item_state"] == "resting"]
    closed = [item for item in person.items if item["item_state"] == "closed"]
    if not listed and not resting:
        answered = any(item["decision"] for item in closed)
        yield (
            "On no worklist: what the rules ask for was answered."
            if answered
            else "On no worklist: no rule asks for an action on this night."
        )
    for item in listed:
        yield (
            f"On the worklist ({list_of(item)}): {said(item['action'])}, priority "
            f"{item['priority']}, rule {item['rule_id']}, {item['state']}, first listed "
            f"{item['first_listed_on']}."
        )
        yield f"  Recommendation: {sentence(item['recommendation'])}"
        yield f"  Why: {sentence(item['why'])}"
        yield f"  {cited(warehouse, item['rule_id'])}"
        for answer in person.answers:
            if answer["item_id"] == item["item_id"] and answer["ended_by"] is not None:
                yield (
                    f"  Answered {said(answer['decision'])} on {answer['decided_on']}; on the list "
                    f"again since {answer['ended_on']}: {ENDED[answer['ended_by']]}."
                )
    for item in resting:
        yield (
            f"At rest until {item['until']} ({list_of(item)}): {said(item['action'])}, priority "
            f"{item['priority']}, rule {item['rule_id']}, {said(item['decision'])}."
        )
    for item in closed:
        until = f", comes back on {item['until']}" if item.get("until") else ""
        yield (
            f"Closed on {item['closed_on']} ({list_of(item)}): {said(item['action'])} (rule "
            f"{item['rule_id']}), {said(item['close_reason'])}{until}."
        )


def list_of(item: Row) -> str:
    """Whose list an item is on."""
    if item["action"] == "check_record":
        return "data_quality"
    return f"clinic {item['clinic_id']}" if item["clinic_id"] else "unrouted"


def change_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """What is missing, and what the published tables would say if one known word were another."""
    facts = person.facts
    if facts is None or person.route is None:
        return
    numbers = rule_numbers(warehouse)
    missing = list(missing_lines(person.night, facts, numbers))
    recheck = person.recheck
    if recheck is not None and recheck["recheck_state"] in ("due", "overdue"):
        missing.append(
            f"  Cannot judge the recheck at {recheck['milestone']}: see the tests missing there."
        )
    yield "What is missing" if missing else "What is missing: nothing."
    yield from missing
    changes: list[str] = []
    if person.status is not None:
        changes += decision_changes(warehouse, facts, person, numbers)
    for item in person.items:
        if item["item_state"] != "closed" and item["action"] in LEAVES:
            leaves = LEAVES[item["action"]].format(**numbers)
            changes.append(
                f"  {said(item['action'])} ({item['rule_id']}) leaves the list when {leaves}."
            )
    if person.route["route"] in OTHER_ROUTE:
        changes.append(f"  {OTHER_ROUTE[person.route['route']].format(**numbers)}")
    if changes:
        yield "The nearest rows that did not fit, and what would change the answer"
        yield from changes


def rule_numbers(warehouse: Warehouse) -> dict[str, str]:
    """Every limit, window and quantity of the ruleset in words, by its name."""
    numbers = {}
    for name, form, value, unit in warehouse.rows(
        "SELECT threshold_id, form, value, unit FROM rules.threshold"
    ):
        measured = unit.replace("umol", "µmol").replace("{1.73_m2}", "1.73 m²")
        numbers[name] = f"{said(form)} {number(value)} {measured}"
    for name, n, unit in warehouse.rows("SELECT period_id, n, unit FROM rules.period"):
        numbers[name] = f"{n} {unit}"
    for name, value in warehouse.rows("SELECT quantity_id, value FROM rules.quantity"):
        numbers[name] = number(value)
    return numbers


def missing_lines(night: Row, facts: Row, numbers: dict[str, str]) -> Iterator[str]:
    """What cannot be judged, and the result or extract that it would take."""
    since = facts["episode_started_on"]
    window = (
        f"in the {numbers['look_back']} up to the start of treatment on {since}"
        if facts["basis"] == "baseline"
        else f"in the {numbers['look_back']} before the night"
        + (" and after the last dose" if facts["b12_treatment"] == "lapsed" else "")
    )
    for fact, (value_column, comparator_column, treated, label, limit) in MARKERS.items():
        if facts[fact] != "unknown":
            continue
        value, comparator = facts[value_column], facts[comparator_column]
        if value is None and not (fact == "b12_level" and facts["holotc_pmol_l"] is not None):
            none = "total or active B12" if fact == "b12_level" else label
            near = ""
            if fact != "b12_level" and facts["sample_on"] is not None:
                near = f", or not near enough to the sample of {facts['sample_on']}"
            judged = none.removeprefix("total or active ")
            yield f"  Cannot judge {judged}: no {none} {window}{near}."
        elif facts[treated]:
            yield f"  Cannot judge {label}: taken under treatment, it does not exclude deficiency."
        elif value is None:
            yield "  Cannot judge B12: the active B12 leaves the level open."
        else:
            yield (
                f"  Cannot judge {label}: {comparator}{number(value)} leaves open whether it is "
                f"{numbers[limit]}."
            )
    if facts["gate"] == "unknown":
        if facts["sample_on"] is None:
            yield "  Cannot judge kidneys at the sample: no MMA or homocysteine decides."
        else:
            yield "  Cannot judge kidneys at the sample: " + no_egfr(
                facts, "gate_", f"within {numbers['gate']} of the sample of {facts['sample_on']}"
            )
    if facts["kidney"] == "unknown":
        yield "  Cannot judge kidneys on the night: " + no_egfr(
            facts, "", f"in the {numbers['look_back']} before it"
        )
    if facts["anaemia"] == "unknown":
        yield "  Cannot judge anaemia: " + (
            f"no haemoglobin in the {numbers['look_back']} before the night."
            if facts["hb_g_l"] is None
            else "sex or comparator leaves open on which side of the limit the haemoglobin is."
        )
    feed = night["conditions_feed"]
    if "unknown" in (facts["neuro"], facts["pregnant"]):
        yield "  Cannot tell silence from absence of conditions: " + (
            "the code maps do not cover the code systems of the conditions extract."
            if feed == "fresh"
            else f"the conditions feed is {'missing' if feed == 'none' else feed}."
        )
    if facts["b12_treatment"] == "unknown":
        yield "  Cannot judge treatment: no medications extract has been received."


def no_egfr(facts: Row, which: str, window: str) -> str:
    """Why an eGFR does not decide."""
    if facts[f"{which}egfr_ml_min"] is not None:
        comparator = facts[f"{which}egfr_comparator"]
        shown = number(floor(facts[f"{which}egfr_ml_min"] * 10) / 10)
        return f"eGFR {comparator}{shown} leaves it open."
    told = f"no creatinine or eGFR {window}"
    if facts["sex"] not in ("female", "male"):
        told += f"; from a creatinine nothing is computed with sex {facts['sex']}"
    return told + "."


def decision_changes(
    warehouse: Warehouse, facts: Row, person: Person, numbers: dict[str, str]
) -> Iterator[str]:
    """The decision tables of status and regimen asked again with one word changed.

    A word that contradicts the rest is left out: a marked MMA is a raised one.
    """
    untreated = facts["b12_treatment"] in ("none", "unknown") or (
        facts["b12_treatment"] == "lapsed" and facts["basis"] == "current"
    )
    known = facts | {"untreated": "yes" if untreated else "no"}
    before = decided(warehouse, known)
    if before is None:
        return
    when = "results from before treatment show that " if known["basis"] == "baseline" else ""
    for fact, word, words in CHANGES:
        changed = known | {fact: word}
        if known[fact] == word or (fact == "mma_marked" and known["mma_raised"] != "yes"):
            continue
        if fact == "mma_raised":
            changed["mma_marked"] = "no"
        if fact == "mma_marked" and word == "no" and known["mma_marked"] == "unknown":
            continue
        if fact == "neuro" and word == "none_recorded":
            changed["neuro_definite"] = "no"
        after = decided(warehouse, changed)
        if after is None or after == before:
            continue
        parts = []
        if after[0][0] != before[0][0]:
            parts.append(f"the status is {said(after[0][0])} ({after[0][1]})")
        if after[1] != before[1]:
            parts.append(moved(*(listed_as(warehouse, person, one[1]) for one in (before, after))))
        if parts:
            shown = words.format(**numbers) + beside_other(fact, known, numbers)
            yield f"  When {when}{shown}: {', '.join(parts)}."


def beside_other(fact: str, known: Row, numbers: dict[str, str]) -> str:
    """When a marker that is not known would have to be taken to count with the other one."""
    if fact not in OTHER_MARKER or known[fact] != "unknown":
        return ""
    other, day_column, label = OTHER_MARKER[fact]
    if known[other] == "unknown":
        return ""
    return f" in a sample within {numbers['marker_pairing']} of the {label} of {known[day_column]}"


def listed_as(warehouse: Warehouse, person: Person, regimen: tuple[str, str]) -> str:
    """The row that a regimen makes, folded or not, with its rule; blank where it makes none."""
    action, rule_id = regimen
    if action == "none":
        return ""
    words = {"cobalamin_reaction": "no"} | (person.facts or {}) | (person.route or {})
    outcome, folding_rule = row_that_fits(warehouse, "folding", words) or ("plain", "")
    folded = warehouse.rows(
        "SELECT rule.action FROM rules.row AS rule JOIN rules.rule_set AS member "
        "ON member.rule_id = $2 AND member.set_id = 'folded_' || $1 WHERE rule.rule_id = $3",
        [outcome, rule_id, folding_rule],
    )
    for (review,) in folded:
        shown = folding_rule if outcome == "reaction" else rule_id
        return f"{said(review)} ({shown})"
    return f"{said(action)} ({rule_id})"


def moved(before: str, after: str) -> str:
    """How the row of the list changes."""
    if before == after:
        return f"{before} stays on the list"
    if not after:
        return f"{before} leaves the list"
    return f"{after} is listed" + (f" in place of {before}" if before else "")


def decided(warehouse: Warehouse, words: Row) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Status and regimen with their rules for these words; None where a word is missing."""
    marked = "yes" in (words["mma_raised"], words["hcy_raised"]) or words["b12_level"] == "low"
    open_ = "unknown" in (words["mma_raised"], words["hcy_raised"], words["b12_level"])
    asked = words | {"markers_raised": "yes" if marked else "unknown" if open_ else "no"}
    status = row_that_fits(warehouse, "functional_status", asked)
    if status is None:
        return None
    regimen = row_that_fits(warehouse, "regimen", asked | {"functional_status": status[0]})
    return None if regimen is None else (status, regimen)


def row_that_fits(warehouse: Warehouse, table: str, words: Row) -> tuple[str, str] | None:
    """Outcome and rule of the one combination of a decision table that these words make."""
    rows = warehouse.frame(TABLES[table]).to_dicts()
    asks = [name for name in rows[0] if name not in ("rule_id", "outcome", "priority")]
    for row in rows:
        if all(row[ask] == words.get(ask) for ask in asks):
            return row["outcome"], row["rule_id"]
    return None


def reason(warehouse: Warehouse, rule_id: str) -> str:
    """A rule's reason, id and source."""
    reasons = warehouse.rows("SELECT reason FROM rules.row WHERE rule_id = ?", [rule_id])
    told = [sentence(text) for (text,) in reasons]
    return " ".join([*told, cited(warehouse, rule_id)])


def cited(warehouse: Warehouse, rule_id: str) -> str:
    """A rule's id, and the source and section or the assumption that it rests on."""
    rows = warehouse.frame("SELECT * FROM rules.row WHERE rule_id = ?", [rule_id]).to_dicts()
    grounds = []
    for row in rows:
        if row["section"]:
            grounds.append(f"{row['source'].removesuffix('; assumption')}: {row['section']}")
        if row["assumption"]:
            grounds.append(f"assumption: {row['assumption']}")
    return f"Rule {rule_id} ({'; '.join(grounds)})." if grounds else f"Rule {rule_id}."


def sentence(text: str) -> str:
    """A text of the ruleset with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def place(row: Row) -> str:
    return f"{row['file_name']}, record {row['record']}"


def said(word: str) -> str:
    return word.replace("_", " ").replace("b12", "B12")


def number(value: float) -> str:
    """A value to two decimals at most, rounded as the worklists round it."""
    hundredths = floor(abs(value) * 100 + 0.5)
    return f"{'-' if value < 0 else ''}{hundredths / 100:.2f}".rstrip("0").rstrip(".")
