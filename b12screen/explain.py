"""Why a person is, or is not, on a worklist: the published night told in sentences.

Reads the published file and nothing else, so it says what the night knew. Decides nothing: every
statement is a row of the database, with its rule and its source. It speaks about one person, so
its lines belong on standard output only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from b12screen.errors import UsageError
from b12screen.warehouse import Warehouse

Row = dict[str, Any]

# The facts in the order a clinician asks for them, and the words they are told in.
SENTENCES: dict[str, dict[str, str]] = {
    "basis": {
        "baseline": "Treatment has begun, so the results from before it decide.",
        "current": "The results of the last year decide.",
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
        "none_recorded": "No neurological sign is recorded.",
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

# What would make an unknown fact known.
MISSING = {
    "mma_raised": "a serum MMA",
    "hcy_raised": "a homocysteine",
    "b12_level": "a total or active B12",
    "gate": "a creatinine or eGFR near the sample",
    "kidney": "a creatinine or eGFR of the last year",
    "anaemia": "a blood count of the last year",
    "neuro": "a fresh conditions extract",
    "pregnant": "a fresh conditions extract",
    "b12_treatment": "a medications extract",
}

ASKED = {
    "mma_raised": "MMA raised",
    "hcy_raised": "homocysteine raised",
    "b12_level": "B12",
    "gate": "kidney function at the sample",
    "mma_marked": "MMA marked",
    "nitrous_oxide": "nitrous oxide",
}
GATE_WORDS = {"open": "shown to be normal", "closed": "shown to be reduced"}

# Measurements of facts.patient: its columns, the analyte, the words of a clinician.
MEASUREMENTS = (
    ("mma_nmol_l", "mma_on", "mma_comparator", "mma", "MMA", "nmol/L"),
    ("hcy_umol_l", "hcy_on", "hcy_comparator", "hcy", "homocysteine", "umol/L"),
    ("b12_pmol_l", "b12_on", "b12_comparator", "b12", "total B12", "pmol/L"),
    ("holotc_pmol_l", "holotc_on", "holotc_comparator", "holotc", "active B12", "pmol/L"),
    ("egfr_ml_min", "egfr_on", "egfr_comparator", "egfr", "eGFR", "mL/min/1.73 m2"),
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
            "ORDER BY item_state DESC, priority, action, item_id"
        ),
        recheck=row("SELECT * FROM decisions.recheck WHERE patient_id = ?"),
        response=row("SELECT * FROM decisions.response WHERE patient_id = ?"),
    )
    if person.record is None and person.route is None:
        raise UsageError(
            "The published night knows nobody of the identifier that was asked for. Nothing was "
            "changed. Identifiers are compared as text, leading zeros included."
        )
    return person


def screening_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    if person.route is None:
        yield "The person is in the patients extract and was not screened on this night."
        return
    route = person.route["route"]
    yield f"Route: {said(route)}. {reason(warehouse, person.route['rule_id'])}"
    if route in ("opted_out", "deceased"):
        yield "No row is listed on any worklist."
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
        yield from ["", recheck_line(person.recheck)]
    if person.response is not None:
        yield from [
            "",
            f"Response to treatment: {said(person.response['response'])}. "
            + reason(warehouse, person.response["rule_id"]),
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
        line = f"  {label} {'' if comparator == '=' else comparator}{number(value)} {unit}"
        if day is not None:
            line += f", collected {day}" + (
                " on treatment" if facts.get(f"{analyte}_treated") else ""
            )
        found = warehouse.frame(
            "SELECT * FROM core.lab_result WHERE patient_id = ? AND analyte = ? "
            "AND value = ? AND (? IS NULL OR collected_on = ?) "
            "ORDER BY collected_at DESC, reported_at DESC NULLS LAST, result_id DESC LIMIT 1",
            [patient_id, analyte, value, day, day],
        ).to_dicts()
        if found:
            (result,) = found
            if day is None:
                line += f", collected {result['collected_on']}"
            if result["value_as_sent"] is not None or result["unit_as_sent"] is not None:
                sent = (result["value_as_sent"] or number(value), result["unit_as_sent"] or unit)
                line += f", sent as {' '.join(sent)}"
            line += f" (laboratory {result['laboratory']}, {place(result)})"
        elif analyte == "egfr":
            line += " (computed from the creatinine of that day by CKD-EPI 2021)"
        yield line


def condition_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """Recorded conditions that a code map names, with their groups."""
    found = warehouse.frame(
        """
        SELECT
            condition.code,
            condition.code_system,
            condition.recorded_on,
            condition.resolved_on,
            condition.file_name,
            condition.record,
            list_sort(list(DISTINCT concat_ws(', ', named.condition_group, nullif(named.tier, ''))))
                AS groups,
        FROM core.condition AS condition
        JOIN map.condition AS named
            ON named.code_system = condition.code_system
            AND CASE named.match
                WHEN 'prefix' THEN starts_with(
                    replace(upper(condition.code), '.', ''), named.code
                )
                ELSE replace(upper(condition.code), '.', '') = named.code
            END
        WHERE condition.patient_id = ?
            AND condition.recorded_on <= (SELECT as_of FROM run.night)
        GROUP BY ALL
        ORDER BY condition.recorded_on, condition.code_system, condition.code
        """,
        [person.patient_id],
    )
    for row in found.to_dicts():
        ended = f", resolved {row['resolved_on']}" if row["resolved_on"] else ""
        yield (
            f"  {row['code']} ({row['code_system']}), recorded {row['recorded_on']}{ended}: "
            f"{said('; '.join(row['groups']))} ({place(row)})"
        )


def treatment_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """Doses and prescriptions of B12 and folic acid; the newest few, and how many there are."""
    found = warehouse.frame(
        """
        SELECT DISTINCT
            medication.*,
            named.substance,
        FROM core.medication AS medication
        JOIN map.drug AS named
            ON named.code_system = medication.code_system
            AND CASE named.match
                WHEN 'prefix' THEN starts_with(upper(medication.code), named.code)
                ELSE upper(medication.code) = named.code
            END
        WHERE medication.patient_id = ?
            AND medication.started_on <= (SELECT as_of FROM run.night)
        ORDER BY medication.started_on DESC, medication.medication_id DESC
        """,
        [person.patient_id],
    ).to_dicts()
    for row in found[:4]:
        dose = f" {number(row['dose'])} {row['dose_unit'] or ''}".rstrip() if row["dose"] else ""
        way = f" {row['route']}" if row["route"] else ""
        ended = f" to {row['ended_on']}" if row["ended_on"] else ""
        yield (
            f"  {row['substance'].replace('_', ' ')}{dose}{way}, {row['kind']} of "
            f"{row['started_on']}{ended} ({place(row)})"
        )
    if len(found) > 4:
        yield f"  and {len(found) - 4} earlier rows of B12 or folic acid."


def recheck_line(recheck: Row) -> str:
    line = f"Recheck at {recheck['milestone']}: {recheck['recheck_state']}, due {recheck['due_on']}"
    if recheck["days_overdue"]:
        line += f", {recheck['days_overdue']} days overdue"
    if recheck["missing"]:
        line += f"; tests missing: {recheck['missing']}"
    if recheck["n_missed"]:
        line += f"; {recheck['n_missed']} earlier missed"
    return line + "."


def worklist_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """What is listed with its recommendation, and what was decided for or closed."""
    listed = [item for item in person.items if item["item_state"] != "closed"]
    closed = [item for item in person.items if item["item_state"] == "closed"]
    if not listed:
        yield "On no worklist: no rule asks for an action on this night."
    for item in listed:
        where = f"clinic {item['clinic_id']}" if item["clinic_id"] else "unrouted"
        yield (
            f"On the worklist ({where}): {said(item['action'])}, priority {item['priority']}, "
            f"rule {item['rule_id']}, {item['state']}, first listed {item['first_listed_on']}."
        )
        yield f"  Recommendation: {sentence(item['recommendation'])}"
        yield f"  Why: {sentence(item['why'])}"
        yield f"  {cited(warehouse, item['rule_id'])}"
    for item in closed:
        yield (
            f"Closed on {item['closed_on']}: {said(item['action'])} (rule {item['rule_id']}), "
            f"{said(item['close_reason'])}."
        )


def change_lines(warehouse: Warehouse, person: Person) -> Iterator[str]:
    """What is missing, and how the status would read if one known word were another."""
    facts = person.facts
    if facts is None or person.status is None:
        return
    unknown = (what for fact, what in MISSING.items() if facts.get(fact) == "unknown")
    missing = list(dict.fromkeys(unknown))
    yield "What is missing: " + (", ".join(missing) if missing else "nothing") + "."
    changes = list(status_changes(warehouse, facts, person.status))
    if changes:
        yield "What would change the functional status"
        yield from changes


def status_changes(warehouse: Warehouse, facts: Row, status: Row) -> Iterator[str]:
    """The published decision table asked again with one word changed.

    A word that contradicts the rest is left out: a marked MMA is a raised one.
    """
    asks = [
        name
        for (name,) in warehouse.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'rules' "
            "AND table_name = 'functional_status' "
            "AND column_name NOT IN ('rule_id', 'outcome', 'priority') ORDER BY ordinal_position"
        )
    ]
    if any(facts.get(ask) is None for ask in asks):
        return
    rules = warehouse.frame("SELECT * FROM rules.functional_status").to_dicts()
    by_words = {tuple(row[ask] for ask in asks): row for row in rules}
    for ask in ASKED:
        if ask not in asks:
            continue
        told: dict[tuple[str, str], list[str]] = {}
        for word in sorted({row[ask] for row in rules} - {facts[ask], "unknown"}):
            words = {name: facts[name] for name in asks} | {ask: word}
            if ask == "mma_raised" and "mma_marked" in asks:
                words["mma_marked"] = "no"
            if words.get("mma_marked") == "yes" and words.get("mma_raised") != "yes":
                continue
            row = by_words[tuple(words[name] for name in asks)]
            if row["outcome"] != status["functional_status"]:
                told.setdefault((row["outcome"], row["rule_id"]), []).append(word)
        for (outcome, rule_id), outcomes in told.items():
            shown = " or ".join(
                GATE_WORDS.get(word, word) if ask == "gate" else word for word in outcomes
            )
            yield f"  {ASKED[ask]} {shown}: {said(outcome)} ({rule_id})."


def reason(warehouse: Warehouse, rule_id: str) -> str:
    """A rule's reason, id and source."""
    reasons = warehouse.rows("SELECT reason FROM rules.row WHERE rule_id = ?", [rule_id])
    told = [sentence(text) for (text,) in reasons]
    return " ".join([*told, cited(warehouse, rule_id)])


def cited(warehouse: Warehouse, rule_id: str) -> str:
    """A rule's id, and the source and section or the assumption that it rests on."""
    rows = warehouse.frame("SELECT * FROM rules.row WHERE rule_id = ?", [rule_id]).to_dicts()
    grounds = [
        part for row in rows for part in (row["source"], row["section"], row["assumption"]) if part
    ]
    return sentence(f"Rule {rule_id}: {'; '.join(grounds)}" if grounds else f"Rule {rule_id}")


def sentence(text: str) -> str:
    """A text of the ruleset with a capital and a full stop."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def place(row: Row) -> str:
    return f"{row['file_name']}, record {row['record']}"


def said(word: str) -> str:
    return word.replace("_", " ")


def number(value: float) -> str:
    """A value to two decimals at most, as the worklists show it."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
