"""The catalogue of clinical stories that synthetic people are made from, with their planted truth.

A story says what happens to a person, in days around an anchor, and what the screen must then
decide. The truth is written by hand beside the evidence, with the rule it follows from: nothing
here computes a fact, so the catalogue can disagree with the pipeline. Days are chosen so that one
truth holds on every night from the first to the thirtieth, unless the story says when it changes.
Numbers are drawn from ranges well away from the limits that they illustrate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

# The longest run of nights for which the days of the stories have been worked out.
LONGEST_RUN = 30

# Tests in the years that no window reaches. A treated or renal person's old results stay QUIET:
# they keep out of the way of baselines, rechecks and kidney function.
OLD_TESTS = ("b12", "hb", "mcv", "creatinine", "potassium", "platelets", "folate")
QUIET = ("potassium", "platelets", "folate")

Range = tuple[float, float]
Result = Range | str


@dataclass(frozen=True)
class When:
    """A day drawn between two numbers, counted from the anchor, from the anchor's day some years
    earlier, or from the first night."""

    origin: Literal["anchor", "first_night"]
    low: int
    high: int
    years_before: int = 0


def after(low: int, high: int | None = None, years_before: int = 0) -> When:
    """Days after the anchor, which may lie whole years earlier."""
    return When("anchor", low, low if high is None else high, years_before)


def back(low: int, high: int | None = None) -> When:
    """Days before the first night."""
    far = low if high is None else high
    return When("first_night", -far, -low)


def on_night(night: int) -> When:
    """The day of a night; the first is 0."""
    return When("first_night", night, night)


ANCHOR = after(0)


@dataclass(frozen=True)
class Sample:
    """Results of one collection, in canonical units; a text is sent as it stands.

    A later version of a sample has the same label, and so the same result ids.
    """

    tests: Mapping[str, Result]
    when: When = ANCHOR
    status: str = "final"
    label: str = ""
    sent: int = 0
    version: int = 0


@dataclass(frozen=True)
class Code:
    """A condition; ``ended`` is days after its record."""

    code: str
    when: When
    system: str = "icd10cm"
    ended: int | None = None


@dataclass(frozen=True)
class Dose:
    """One administration."""

    when: When
    code: str = "B03BA03"
    dose: tuple[str, str] = ("1", "mg")
    route: str = "im"
    system: str = "atc"


@dataclass(frozen=True)
class Injections:
    """Six loading doses from the start, then one every ``every`` days, and one on the last day."""

    start: When
    last: When
    every: int = 80


@dataclass(frozen=True)
class Prescription:
    """Something taken daily; ``days`` counts to its end, none is open-ended."""

    code: str
    when: When
    dose: tuple[str, str]
    days: int | None = None
    route: str = "oral"


@dataclass(frozen=True)
class Change:
    """The patient's row comes again on a night, with something new."""

    night: int
    what: Literal["moves", "dies", "opts_out"]


@dataclass(frozen=True)
class Truth:
    """What holds from a night on; a blank status is a route that is given none."""

    functional_status: str
    actions: tuple[str, ...] = ()
    from_night: int = 0


Event = Sample | Code | Dose | Injections | Prescription


@dataclass(frozen=True)
class Story:
    """One kind of person: what is recorded, and what must be decided."""

    name: str
    truths: tuple[Truth, ...]
    events: tuple[Event, ...] = ()
    anchor: tuple[int, int] = (15, 300)
    weight: int = 2
    ages: tuple[int, int] = (20, 78)
    sex: Literal["any", "female", "unknown"] = "any"
    # Old results that no window reaches: the first delivery holds five years.
    old_tests: tuple[str, ...] = OLD_TESTS
    changes: tuple[Change, ...] = ()
    listed: bool = True
    birth_known: bool = True
    clinic_known: bool = True
    deceased: bool = False
    opted_out: bool = False

    @property
    def constant(self) -> bool:
        """Does the same truth hold every night, whenever the person is first delivered?"""
        return len(self.truths) == 1 and not self.changes and not any(map(_comes_late, self.events))


def _comes_late(event: Event) -> bool:
    if isinstance(event, Sample) and event.sent:
        return True
    day = event.last if isinstance(event, Injections) else event.when
    return day.origin == "first_night" and day.high > 0


def is_(functional_status: str, *actions: str, from_night: int = 0) -> Truth:
    return Truth(functional_status, tuple(sorted(actions)), from_night)


NONE = ""

MMA_NORMAL = (110.0, 240.0)
MMA_RAISED = (330.0, 680.0)
MMA_MARKED = (900.0, 2600.0)
HCY_NORMAL = (6.0, 9.4)
HCY_MIDDLE = (10.5, 14.0)
HCY_RAISED = (18.0, 34.0)
B12_LOW = (70.0, 140.0)
B12_BORDERLINE = (165.0, 245.0)
B12_ADEQUATE = (290.0, 620.0)
# So close together that no rise from one to another comes near 1.5 times, and far from eGFR 60 at
# any adult age used here.
CREATININE_NORMAL = (58.0, 72.0)
CREATININE_HIGH = (170.0, 210.0)
EGFR_NORMAL = (76.0, 112.0)
EGFR_LOW = (22.0, 50.0)
EGFR_DIALYSIS = (5.0, 11.0)
HB_NORMAL = (139.0, 158.0)
HB_LOW = (90.0, 104.0)
HB_SEVERE = (58.0, 74.0)
MCV_NORMAL = (84.0, 94.0)
MCV_HIGH = (104.0, 114.0)

KIDNEY_OK: dict[str, Result] = {"creatinine": CREATININE_NORMAL}
BOTH_RAISED: dict[str, Result] = {"mma": MMA_RAISED, "hcy": HCY_RAISED}
BLOOD: dict[str, Result] = {"hb": HB_NORMAL, "mcv": MCV_NORMAL}
CONFIRMED: dict[str, Result] = {**BOTH_RAISED, "b12": B12_BORDERLINE, **KIDNEY_OK, **BLOOD}
# What the schedule asks for, on target.
PANEL: dict[str, Result] = {
    "b12": B12_ADEQUATE,
    "mma": MMA_NORMAL,
    "hcy": HCY_NORMAL,
    **BLOOD,
    **KIDNEY_OK,
}

CKD = Code("N18.4", back(120, 900))
CORD = Code("G32.0", back(30, 1500))
TINGLING = Code("R20.2", back(30, 400))
FALLS = Code("R29.6", back(30, 400))
NITROUS = Code("F18.10", back(20, 200))
PERNICIOUS = Code("D51.0", back(500, 1500))
PREGNANT = Code("Z34.90", back(20, 200))
FOLIC = Prescription("B03BB01", back(20, 200), ("5", "mg"))

# Six doses in a fortnight, or the beginning of them.
LOADING = tuple(Dose(after(day)) for day in (0, 2, 4, 7, 9, 11))
BEGUN = tuple(Dose(after(day)) for day in (0, 3, 7))
ALTERNATE = tuple(Dose(after(day)) for day in range(0, 16, 2))
BASELINE = Sample({**BOTH_RAISED, "b12": B12_LOW, **KIDNEY_OK, **BLOOD}, after(-10, -2))


def baseline(years_before: int) -> Sample:
    """Both markers raised with normal kidneys, just before a treatment that began years ago."""
    return Sample(BASELINE.tests, after(-10, -4, years_before))


# Anchors of treated people, as days before the first night. The first recheck is due three months
# after the start, the second at six: these keep its state the same for thirty nights.
JUST_STARTED = (14, 28)  # recheck more than 30 days ahead
TWO_WEEKS_OF_LOADING = (22, 28)
NEARLY_THREE_MONTHS = (66, 86)  # recheck due, in its grace at most
FOUR_MONTHS = (100, 118)  # three-month panel taken, six months more than 30 days ahead
FIVE_MONTHS = (125, 150)  # three-month panel missed, six months not yet due
# Long-term people: the anchor is the last anniversary of the start.
ANNIVERSARY = (100, 250)
MAINTAINED = Injections(after(0, years_before=3), back(5, 25))


def at_four_months(name: str, first: Mapping[str, Result], second: Mapping[str, Result],
                   *events: Event, truth: Truth) -> Story:  # fmt: skip
    """On injections since about 110 days, with a baseline and the three-month panel."""
    return Story(
        name,
        (truth,),
        (
            Sample({**BASELINE.tests, **first}, after(-10, -2)),
            *LOADING,
            Dose(after(95)),
            Sample({**PANEL, **second}, after(82, 90)),
            *events,
        ),
        FOUR_MONTHS,
        old_tests=QUIET,
    )


def untreated(name: str, status: str, actions: tuple[str, ...], tests: Mapping[str, Result],
              *events: Event, weight: int = 2, sex: Literal["any", "female", "unknown"] = "any",
              ages: tuple[int, int] = (20, 78), renal: bool = False) -> Story:  # fmt: skip
    """Never treated; one sample decides."""
    return Story(
        name,
        (is_(status, *actions),),
        (Sample(tests), *events),
        weight=weight,
        sex=sex,
        ages=ages,
        old_tests=QUIET if renal else OLD_TESTS,
    )


# Never treated -----------------------------------------------------------------------------------
UNTREATED = (
    # FS1 RG4
    untreated("confirmed_normal_kidneys", "confirmed", ("start_b12",), CONFIRMED, weight=14),
    untreated("confirmed_with_reported_egfr_and_sex_unknown", "confirmed", ("start_b12",),
              {**BOTH_RAISED, "b12": B12_BORDERLINE, "egfr": EGFR_NORMAL}, sex="unknown"),
    # FS2 RG4 SF3: nobody has measured the kidneys, and B12 is low
    untreated("confirmed_kidney_unknown", "confirmed", ("start_b12", "check_kidney"),
              {**BOTH_RAISED, "b12": B12_LOW}, renal=True, weight=3),
    # FS24 RG4 SF3
    untreated("probable_kidney_unknown", "probable", ("start_b12", "check_kidney"),
              {**BOTH_RAISED, "b12": B12_ADEQUATE}, renal=True, weight=3),
    # FS3 RG4
    untreated("confirmed_low_b12_in_ckd", "confirmed", ("start_b12",),
              {**BOTH_RAISED, "b12": B12_LOW, "egfr": EGFR_LOW}, CKD, renal=True),
    # FS4 RG4
    untreated("confirmed_marked_mma_in_ckd", "confirmed", ("start_b12",),
              {"mma": MMA_MARKED, "hcy": HCY_RAISED, "b12": B12_ADEQUATE,
               "creatinine": CREATININE_HIGH}, CKD, renal=True),
    # FS5 RG6, the gate closed in five ways
    untreated("renal_confounded", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_LOW}, renal=True, weight=8),
    untreated("renal_confounded_by_creatinine", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "creatinine": CREATININE_HIGH}, renal=True),
    untreated("renal_confounded_by_snomed_code", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_BORDERLINE},
              Code("433144002", back(120, 900), "snomed"), renal=True),
    untreated("renal_confounded_transplant", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_NORMAL},
              Code("Z94.0", back(400, 1500)), renal=True),
    untreated("renal_confounded_acute_injury", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_NORMAL},
              Code("N17.9", after(-60, -10)), renal=True),
    untreated("renal_confounded_creatinine_rise", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "creatinine": (140.0, 160.0)},
              Sample(KIDNEY_OK, after(-60, -40)), Sample(KIDNEY_OK, after(-120, -90)),
              renal=True),
    # FS6 RG4
    untreated("probable_low_b12", "probable", ("start_b12",),
              {"mma": MMA_RAISED, "hcy": HCY_MIDDLE, "b12": B12_LOW, **KIDNEY_OK}, weight=4),
    # FS7 RG4
    untreated("probable_marked_mma", "probable", ("start_b12",),
              {"mma": MMA_MARKED, "hcy": HCY_MIDDLE, "b12": B12_ADEQUATE, **KIDNEY_OK}),
    # FS8 RG6
    untreated("renal_confounded_mma_only", "renal_confounded", ("review_renal",),
              {"mma": MMA_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_LOW}, renal=True, weight=3),
    # FS25 RG4
    untreated("probable_borderline_b12", "probable", ("start_b12",),
              {"mma": MMA_RAISED, "b12": B12_BORDERLINE, **KIDNEY_OK}),
    # FS9 RG7
    untreated("isolated_mma", "possible", ("complete_workup",),
              {"mma": MMA_RAISED, "hcy": HCY_NORMAL, "b12": B12_ADEQUATE, **KIDNEY_OK}, weight=6),
    # FS26 RG4
    untreated("nitrous_oxide_with_homocysteine", "probable", ("start_b12",),
              {"hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK}, NITROUS, ages=(20, 40)),
    # FS10 RG13
    untreated("low_b12_with_homocysteine", "possible", ("consider_b12",),
              {"mma": MMA_NORMAL, "hcy": HCY_RAISED, "b12": B12_LOW, **KIDNEY_OK}),
    # FS11 RG8; folic acid there is no danger, MMA being normal and B12 adequate
    untreated("homocysteine_only", "homocysteine_only", ("review_homocysteine",),
              {"mma": MMA_NORMAL, "hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK}, weight=6),
    untreated("homocysteine_only_on_folic_acid", "homocysteine_only", ("review_homocysteine",),
              {"mma": MMA_NORMAL, "hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK}, FOLIC),
    # FS15 RG4
    untreated("low_b12_homocysteine_no_mma", "probable", ("start_b12",),
              {"hcy": HCY_RAISED, "b12": B12_LOW, **KIDNEY_OK}),
    # FS16 RG13
    untreated("low_b12_homocysteine_no_mma_in_ckd", "possible", ("consider_b12",),
              {"hcy": HCY_RAISED, "b12": B12_LOW, "egfr": EGFR_LOW}, CKD, renal=True),
    # FS17 RG7
    untreated("homocysteine_without_mma", "possible", ("complete_workup",),
              {"hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK}, weight=4),
    # FS13 RG13, with SF3 where the kidneys are unknown, SF4 in severe anaemia
    untreated("low_b12_only", "possible", ("consider_b12",),
              {"b12": B12_LOW, **KIDNEY_OK, **BLOOD}, weight=10),
    untreated("low_b12_only_kidney_unknown", "possible", ("consider_b12", "check_kidney"),
              {"b12": B12_LOW}, renal=True, weight=3),
    untreated("low_b12_severe_anaemia", "possible", ("consider_b12", "check_potassium"),
              {"b12": B12_LOW, **KIDNEY_OK, "hb": HB_SEVERE, "mcv": MCV_HIGH}),
    untreated("low_b12_normal_markers", "possible", ("consider_b12",),
              {"mma": MMA_NORMAL, "hcy": HCY_NORMAL, "b12": B12_LOW, **KIDNEY_OK}),
    # FS1 RG4 SF4
    untreated("confirmed_severe_anaemia", "confirmed", ("start_b12", "check_potassium"),
              {**CONFIRMED, "hb": HB_SEVERE}),
    # FS23 RG7
    untreated("nitrous_oxide_adequate_b12", "indeterminate", ("complete_workup",),
              {"b12": B12_ADEQUATE, **KIDNEY_OK}, NITROUS, ages=(20, 40)),
    # FS12 FS14 FS20
    untreated("markers_normal", "unlikely", (),
              {"mma": MMA_NORMAL, "hcy": HCY_NORMAL, "b12": B12_ADEQUATE, **KIDNEY_OK}, weight=20),
    untreated("mma_normal", "unlikely", (), {"mma": MMA_NORMAL, "b12": B12_ADEQUATE}, weight=8),
    untreated("homocysteine_normal", "unlikely", (),
              {"hcy": HCY_NORMAL, "b12": B12_ADEQUATE, **KIDNEY_OK}, weight=8),
    # FS19 RG7, SF4 with it
    untreated("borderline_b12_only", "indeterminate", ("complete_workup",),
              {"b12": B12_BORDERLINE, **KIDNEY_OK}, weight=12),
    untreated("borderline_b12_severe_anaemia", "indeterminate",
              ("complete_workup", "check_potassium"),
              {"b12": B12_BORDERLINE, **KIDNEY_OK, "hb": HB_SEVERE}),
    # FS21
    untreated("adequate_b12_only", "not_shown", (), {"b12": B12_ADEQUATE, **KIDNEY_OK, **BLOOD},
              weight=60),
    # FS22
    untreated("nothing_but_a_blood_count", "not_assessed", (), {**BLOOD, **KIDNEY_OK}, weight=20),
    Story("nothing_measured", (is_("not_assessed"),), weight=10),
)  # fmt: skip

# What a number may look like, and whether it speaks ----------------------------------------------
WORDS_AND_VERSIONS = (
    # Silent while preliminary: FS22
    Story("preliminary_only", (is_("not_assessed"),),
          (Sample({"b12": B12_LOW}, status="preliminary"),)),
    Story("cancelled_in_history", (is_("not_assessed"),),
          (Sample({"b12": B12_LOW}, label="b12"),
           Sample({"b12": ""}, status="cancelled", label="b12", version=1))),
    Story("corrected_in_history", (is_("not_shown"),),
          (Sample({"b12": B12_LOW, **KIDNEY_OK}, label="b12"),
           Sample({"b12": B12_ADEQUATE}, status="corrected", label="b12", version=1))),
    # FS13 RG13: wholly below the limit
    untreated("censored_low_b12", "possible", ("consider_b12",), {"b12": "<50", **KIDNEY_OK}),
    untreated("censored_below_borderline", "possible", ("consider_b12",),
              {"b12": "<200", **KIDNEY_OK}),
    # FS22: it may be low, borderline or adequate
    untreated("censored_undecidable", "not_assessed", (), {"b12": "<400", **KIDNEY_OK}),
    # FS21
    untreated("censored_high_b12", "not_shown", (), {"b12": "> 1476"}),
    # FS1 RG4
    untreated("censored_raised_markers", "confirmed", ("start_b12",),
              {"mma": ">2000", "hcy": ">50", "b12": B12_LOW, **KIDNEY_OK}),
    # FS12
    untreated("censored_normal_markers", "unlikely", (),
              {"mma": "<100", "hcy": "<5", "b12": B12_ADEQUATE}),
    # FS22: more than a year old
    Story("adequate_long_ago", (is_("not_assessed"),),
          (Sample({"b12": B12_ADEQUATE}, back(400, 700)),), weight=6),
)  # fmt: skip

# Nerves ------------------------------------------------------------------------------------------
NERVES = (
    # FS1 RG1, a definite and a likely code
    untreated("confirmed_cord_degeneration", "confirmed", ("start_b12_neuro",), CONFIRMED, CORD),
    untreated("probable_paraesthesia", "probable", ("start_b12_neuro",),
              {"mma": MMA_RAISED, "b12": B12_LOW, **KIDNEY_OK}, TINGLING, weight=3),
    # FS2 RG1 SF3
    untreated("neurological_kidney_unknown", "confirmed", ("start_b12_neuro", "check_kidney"),
              {**BOTH_RAISED, "b12": B12_LOW}, TINGLING, renal=True),
    # FS5 RG2
    untreated("renal_confounded_neuropathy", "renal_confounded", ("start_b12_neuro",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_LOW},
              Code("G62.9", back(30, 400)), renal=True),
    # FS13 FS9 RG2
    untreated("low_b12_with_ataxia", "possible", ("start_b12_neuro",),
              {"b12": B12_LOW, **KIDNEY_OK}, Code("R27.0", back(30, 400))),
    untreated("isolated_mma_with_paraesthesia", "possible", ("start_b12_neuro",),
              {"mma": MMA_RAISED, "hcy": HCY_NORMAL, "b12": B12_ADEQUATE, **KIDNEY_OK}, TINGLING),
    # FS1 RG3: weak code; neuropathy with a competing cause
    untreated("confirmed_with_falls", "confirmed", ("start_b12_assess",), CONFIRMED, FALLS),
    untreated("confirmed_diabetic_neuropathy", "confirmed", ("start_b12_assess",), CONFIRMED,
              Code("E11.42", back(30, 400))),
    # FS1 RG4: the likely code is too old, or resolved
    untreated("confirmed_old_paraesthesia", "confirmed", ("start_b12",), CONFIRMED,
              Code("R20.2", back(800, 1400))),
    untreated("confirmed_resolved_paraesthesia", "confirmed", ("start_b12",), CONFIRMED,
              Code("R20.2", back(200, 400), ended=60)),
    # FS1 RG1 SF4
    untreated("neurological_severe_anaemia", "confirmed", ("start_b12_neuro", "check_potassium"),
              {**CONFIRMED, "hb": HB_SEVERE}, CORD),
    # RG10: FS19 FS11 with any recorded code, FS21 FS22 FS12 with a definite one only
    untreated("borderline_with_paraesthesia", "indeterminate", ("complete_workup",),
              {"b12": B12_BORDERLINE, **KIDNEY_OK}, TINGLING),
    untreated("homocysteine_only_with_neuropathy", "homocysteine_only", ("complete_workup",),
              {"mma": MMA_NORMAL, "hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK},
              Code("G62.9", back(30, 400))),
    untreated("adequate_b12_with_cord_degeneration", "not_shown", ("complete_workup",),
              {"b12": B12_ADEQUATE, **KIDNEY_OK}, CORD),
    Story("cord_degeneration_nothing_measured", (is_("not_assessed", "complete_workup"),), (CORD,)),
    untreated("adequate_b12_with_paraesthesia", "not_shown", (),
              {"b12": B12_ADEQUATE, **KIDNEY_OK}, TINGLING, weight=6),
)  # fmt: skip

# Folic acid, forms of B12, dialysis --------------------------------------------------------------
DRUGS = (
    # FS19 RG7 SF1
    untreated("folic_acid_borderline_b12", "indeterminate",
              ("complete_workup", "folic_acid_without_b12"),
              {"b12": B12_BORDERLINE, **KIDNEY_OK}, FOLIC, weight=3),
    # FS1 RG4 SF1
    untreated("folic_acid_confirmed", "confirmed", ("start_b12", "folic_acid_without_b12"),
              CONFIRMED, FOLIC),
    # FS17 RG7 SF1
    untreated("folic_acid_homocysteine_no_mma", "possible",
              ("complete_workup", "folic_acid_without_b12"),
              {"hcy": HCY_RAISED, "b12": B12_ADEQUATE, **KIDNEY_OK}, FOLIC),
    # a small daily dose, and a prescription that has ended, do not count
    untreated("folic_acid_small_dose", "indeterminate", ("complete_workup",),
              {"b12": B12_BORDERLINE, **KIDNEY_OK},
              Prescription("B03BB01", back(20, 200), ("0.4", "mg"))),
    untreated("folic_acid_ended", "indeterminate", ("complete_workup",),
              {"b12": B12_BORDERLINE, **KIDNEY_OK},
              Prescription("B03BB01", back(120, 200), ("5", "mg"), days=90)),
    # FS5 RG6 SF2: a supplement is no treatment, but it is a form
    untreated("supplement_in_ckd", "renal_confounded",
              ("review_renal", "cyanocobalamin_in_renal"),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_LOW}, CKD,
              Prescription("B03BA01", back(20, 200), ("50", "ug")), renal=True),
    # FS3 SF2: active by mouth
    Story("oral_cyanocobalamin_in_ckd", (is_("confirmed", "cyanocobalamin_in_renal"),),
          (Sample({**BOTH_RAISED, "b12": B12_LOW, "egfr": EGFR_LOW}, after(-10, -2)), CKD,
           Prescription("B03BA01", ANCHOR, ("1", "mg"))),
          JUST_STARTED, old_tests=QUIET),
    Story("oral_methylcobalamin_in_ckd", (is_("confirmed"),),
          (Sample({**BOTH_RAISED, "b12": B12_LOW, "egfr": EGFR_LOW}, after(-10, -2)), CKD,
           Prescription("B03BA05", ANCHOR, ("1000", "mcg"))),
          JUST_STARTED, old_tests=QUIET),
    # FS1 SF2: nephropathy with a normal filtration
    Story("cyanocobalamin_in_diabetic_nephropathy", (is_("confirmed", "cyanocobalamin_in_renal"),),
          (BASELINE, Code("E11.21", back(120, 900)),
           *(Dose(day.when, "B03BA01") for day in LOADING)),
          JUST_STARTED, old_tests=QUIET),
    # FS21: 5 g is the antidote to cyanide
    untreated("cyanide_antidote", "not_shown", (), {"b12": B12_ADEQUATE, **KIDNEY_OK},
              Dose(back(30, 200), dose=("5", "g"), route="iv")),
    # FS21 SF5, FS11 RG8 SF5, FS5 RG6
    untreated("dialysis_adequate_b12", "not_shown", ("dialysis_vitamins",),
              {"b12": B12_ADEQUATE, "egfr": EGFR_DIALYSIS},
              Code("Z99.2", back(100, 900)), Code("N18.6", back(100, 900)), renal=True),
    untreated("dialysis_homocysteine", "homocysteine_only",
              ("review_homocysteine", "dialysis_vitamins"),
              {"mma": MMA_NORMAL, "hcy": HCY_RAISED, "b12": B12_ADEQUATE},
              Code("Z99.2", back(100, 900)), renal=True),
    untreated("dialysis_both_raised", "renal_confounded", ("review_renal",),
              {**BOTH_RAISED, "b12": B12_ADEQUATE, "egfr": EGFR_DIALYSIS},
              Code("Z99.2", back(100, 900)), renal=True),
)  # fmt: skip

# On treatment ------------------------------------------------------------------------------------
TREATED = (
    # FS1 RG12, quietly with no nerves and with them
    Story("loading_incomplete", (is_("confirmed", "loading_incomplete"),), (BASELINE, *BEGUN),
          JUST_STARTED, weight=3, old_tests=QUIET),
    Story("loading_incomplete_neurological", (is_("confirmed", "loading_incomplete"),),
          (BASELINE, *BEGUN, CORD), JUST_STARTED, old_tests=QUIET),
    # FS1 RG15
    Story("loading_to_review", (is_("confirmed", "review_loading"),),
          (BASELINE, *ALTERNATE, Code("R26.0", after(-40, -15))),
          TWO_WEEKS_OF_LOADING, old_tests=QUIET),
    # FS1, nothing to do yet; folic acid is covered
    Story("loading_complete", (is_("confirmed"),), (BASELINE, *LOADING), JUST_STARTED,
          old_tests=QUIET, weight=3),
    Story("loading_complete_on_folic_acid", (is_("confirmed"),), (BASELINE, *LOADING, FOLIC),
          JUST_STARTED, old_tests=QUIET),
    # RC2
    Story("recheck_due", (is_("confirmed", "recheck_due"),),
          (BASELINE, *LOADING, Dose(after(45))), NEARLY_THREE_MONTHS, weight=3, old_tests=QUIET),
    # RC1, with nothing and with half of the panel taken
    Story("recheck_overdue", (is_("confirmed", "recheck_overdue"),),
          (BASELINE, *LOADING, Dose(after(95))), FIVE_MONTHS, weight=5, old_tests=QUIET),
    Story("recheck_overdue_in_part", (is_("confirmed", "recheck_overdue"),),
          (BASELINE, *LOADING, Dose(after(95)),
           Sample({"b12": B12_ADEQUATE, **BLOOD}, after(86, 92))),
          FIVE_MONTHS, old_tests=QUIET),
    # the three-month panel: RS2, RS4 or RS5 with nothing to do
    at_four_months("treated_to_target", {}, {}, truth=is_("confirmed")),
    at_four_months("treated_partial_response", {"mma": (900.0, 980.0)}, {"mma": (500.0, 600.0)},
                   truth=is_("confirmed")),
    # RS1
    at_four_months("no_response", {"mma": (500.0, 520.0)},
                   {"mma": (480.0, 500.0), "hcy": HCY_MIDDLE},
                   truth=is_("confirmed", "review_response")),
    # RS1 RG11: marked, and hardly lower
    at_four_months("marked_and_no_response", {"mma": (920.0, 960.0)},
                   {"mma": (820.0, 880.0), "hcy": HCY_MIDDLE},
                   truth=is_("confirmed", "review_response", "review_treatment")),
    # RG11: a known fall of half or more, and still marked
    at_four_months("marked_but_responding", {"mma": (2500.0, 3000.0)},
                   {"mma": (820.0, 980.0), "hcy": HCY_MIDDLE},
                   truth=is_("confirmed", "review_treatment")),
    # RG11 by a code first recorded on treatment
    at_four_months("new_paraesthesia_on_treatment", {}, {}, Code("R20.2", after(50)),
                   truth=is_("confirmed", "review_treatment")),
    # RS7
    at_four_months("anaemia_on_treatment", {"hb": HB_LOW}, {"hb": HB_LOW},
                   truth=is_("confirmed", "review_anaemia")),
    at_four_months("macrocytosis_on_treatment", {}, {"mcv": MCV_HIGH},
                   truth=is_("confirmed", "review_anaemia")),
    # Years of injections: FS1 by the old baseline, FS0 without one
    Story("pernicious_anaemia_on_injections", (is_("confirmed"),),
          (baseline(3), PERNICIOUS, MAINTAINED, Sample(PANEL, after(-15, 20))),
          ANNIVERSARY, weight=6, old_tests=QUIET),
    Story("long_on_injections", (is_("on_treatment"),),
          (MAINTAINED, Sample(PANEL, after(-15, 20))), ANNIVERSARY, weight=6, old_tests=QUIET),
    # FS0 RC1
    Story("long_on_injections_recheck_overdue", (is_("on_treatment", "recheck_overdue"),),
          (MAINTAINED,), ANNIVERSARY, weight=4, old_tests=QUIET),
    # FS0 RG9 until the injection of the tenth night
    Story("maintenance_due",
          (is_("on_treatment", "maintenance_due"), is_("on_treatment", from_night=10)),
          (Injections(after(0, years_before=3), back(92, 94)), Dose(on_night(10)),
           Sample(PANEL, after(-15, 20))),
          ANNIVERSARY, weight=4, old_tests=QUIET),
)  # fmt: skip

# Treatment that stopped --------------------------------------------------------------------------
STOPPED_LATELY = Injections(after(0, years_before=2), after(10))
LAPSED = (200, 250)
# Here the panel was taken months after the last dose, so it is untreated and the basis current.
LAPSED_AND_MEASURED = (100, 150)
LAPSES = (
    # FS1 by the baseline, RG5
    Story("lapsed_maintenance", (is_("confirmed", "resume_b12"),),
          (baseline(2), STOPPED_LATELY, Sample(PANEL, after(5))), LAPSED, weight=3,
          old_tests=QUIET),
    Story("lapsed_maintenance_neurological", (is_("confirmed", "resume_b12"),),
          (baseline(2), STOPPED_LATELY, Sample(PANEL, after(5)), Code("G32.0", after(-9, -3, 2))),
          LAPSED, old_tests=QUIET),
    # RG5 RC1
    Story("lapsed_and_overdue", (is_("confirmed", "resume_b12", "recheck_overdue"),),
          (baseline(2), STOPPED_LATELY), LAPSED, weight=3, old_tests=QUIET),
    # RG5 RC1 SF1
    Story("lapsed_on_folic_acid",
          (is_("confirmed", "resume_b12", "recheck_overdue", "folic_acid_without_b12"),),
          (baseline(2), STOPPED_LATELY, FOLIC), LAPSED, old_tests=QUIET),
    # FS12 now, RG5: six doses had been given, and the cause stays
    Story("lapsed_pernicious_anaemia", (is_("unlikely", "resume_b12"),),
          (PERNICIOUS, Injections(after(0, years_before=2), back(292, 320)),
           Sample(PANEL, after(0, 15))),
          LAPSED_AND_MEASURED, old_tests=QUIET),
    # FS12 RG14: two doses a year ago
    Story("short_course_long_ago", (is_("unlikely", "review_lapsed"),),
          (Dose(after(0, years_before=1)), Dose(after(7, years_before=1)),
           Sample(PANEL, after(0, 20))),
          LAPSED_AND_MEASURED, weight=3, old_tests=QUIET),
    # FS1 RG4
    Story("relapsed_after_short_course", (is_("confirmed", "start_b12"),),
          (Dose(after(0, years_before=1)), Dose(after(7, years_before=1)),
           Sample(CONFIRMED, after(0, 20))),
          LAPSED_AND_MEASURED, old_tests=QUIET),
)  # fmt: skip

# Who is not screened like everybody else ---------------------------------------------------------
ROUTES = (
    # SC6 folds RG4, RG13, RG4 with SF1, RG12; SF3 and SF4 stand
    untreated("pregnant_confirmed", "confirmed", ("pregnancy_review",), CONFIRMED, PREGNANT,
              sex="female", ages=(20, 42)),
    untreated("pregnant_low_b12_kidney_unknown", "possible", ("pregnancy_review", "check_kidney"),
              {"b12": B12_LOW}, PREGNANT, sex="female", ages=(20, 42), renal=True),
    untreated("pregnant_severe_anaemia", "confirmed", ("pregnancy_review", "check_potassium"),
              {**CONFIRMED, "hb": HB_SEVERE}, PREGNANT, sex="female", ages=(20, 42)),
    untreated("pregnant_on_folic_acid", "confirmed", ("pregnancy_review",), CONFIRMED, PREGNANT,
              FOLIC, sex="female", ages=(20, 42)),
    Story("pregnant_loading", (is_("confirmed", "pregnancy_review"),),
          (BASELINE, *BEGUN, PREGNANT), JUST_STARTED, sex="female", ages=(20, 42),
          old_tests=QUIET),
    untreated("pregnant_adequate_b12", "not_shown", (), {"b12": B12_ADEQUATE}, PREGNANT,
              sex="female", ages=(20, 42)),
    # RG16
    untreated("cobalamin_reaction", "confirmed", ("specialist_review",), CONFIRMED,
              Code("293396006", back(100, 1500), "snomed"), renal=True),
    untreated("cobalamin_reaction_severe_anaemia", "confirmed", ("specialist_review",),
              {**CONFIRMED, "hb": HB_SEVERE}, Code("293396006", back(100, 1500), "snomed")),
    # SC4
    Story("child_raised", (is_(NONE, "paediatric_review"),), (Sample(CONFIRMED),), ages=(3, 16),
          old_tests=QUIET),
    Story("child_low_b12", (is_(NONE, "paediatric_review"),), (Sample({"b12": B12_LOW}),),
          ages=(3, 16), old_tests=QUIET),
    Story("child_normal", (is_(NONE),),
          (Sample({"mma": MMA_NORMAL, "hcy": HCY_NORMAL, "b12": B12_ADEQUATE}),), ages=(3, 16),
          old_tests=QUIET, weight=4),
    # SC5
    Story("inborn_error_raised", (is_(NONE, "specialist_review"),),
          (Sample({"mma": (4000.0, 9000.0), "hcy": HCY_RAISED, "b12": B12_ADEQUATE}),
           Code("E71.120", back(400, 1700))), ages=(19, 50)),
    Story("inborn_error_normal", (is_(NONE),),
          (Sample({"mma": MMA_NORMAL, "hcy": HCY_NORMAL, "b12": B12_ADEQUATE}),
           Code("E72.11", back(400, 1700))), ages=(19, 50)),
    # SC3
    Story("birth_date_missing", (is_(NONE, "check_record"),), (Sample(CONFIRMED),),
          birth_known=False),
    Story("not_in_the_register", (is_(NONE, "check_record"),), (Sample({"b12": B12_LOW}),),
          listed=False),
    # FS1 RG4, for the list of those whom no clinic is known to care for
    Story("no_clinic_known", (is_("confirmed", "start_b12"),), (Sample(CONFIRMED),),
          clinic_known=False),
    # SC1 SC2
    Story("opted_out", (is_(NONE),), (Sample(CONFIRMED),), opted_out=True),
    Story("deceased", (is_(NONE),), (Sample(CONFIRMED),), deceased=True),
)  # fmt: skip

# What the nights bring ---------------------------------------------------------------------------
NEWS = (
    Story("low_b12_corrected", (is_("possible", "consider_b12"), is_("not_shown", from_night=1)),
          (Sample({"b12": B12_LOW, **KIDNEY_OK}, label="b12"),
           Sample({"b12": B12_ADEQUATE}, status="corrected", label="b12", sent=1)), (15, 40)),
    Story("low_b12_cancelled",
          (is_("possible", "consider_b12"), is_("not_assessed", from_night=1)),
          (Sample({"b12": B12_LOW, **KIDNEY_OK}, label="b12"),
           Sample({"b12": ""}, status="cancelled", label="b12", sent=1)), (15, 40)),
    Story("preliminary_becomes_final",
          (is_("not_assessed"), is_("possible", "consider_b12", from_night=1)),
          (Sample({"b12": B12_LOW, **KIDNEY_OK}, status="preliminary", label="b12"),
           Sample({"b12": B12_LOW, **KIDNEY_OK}, label="b12", sent=1)), (2, 6)),
    Story("workup_completed",
          (is_("indeterminate", "complete_workup"), is_("confirmed", "start_b12", from_night=1)),
          (Sample({"b12": B12_BORDERLINE, **KIDNEY_OK}), Sample(BOTH_RAISED, on_night(1))),
          (15, 25), weight=3),
    Story("loading_begins", (is_("confirmed", "start_b12"), is_("confirmed", from_night=1)),
          (Sample(CONFIRMED), *(Dose(on_night(night)) for night in (1, 3, 5, 8, 10, 12))),
          (15, 40), weight=3, old_tests=QUIET),
    Story("neurological_code_arrives",
          (is_("confirmed", "start_b12"), is_("confirmed", "start_b12_neuro", from_night=2)),
          (Sample(CONFIRMED), Code("R20.2", on_night(2)))),
    Story("moves_to_another_clinic", (is_("confirmed", "start_b12"),), (Sample(CONFIRMED),),
          changes=(Change(1, "moves"),), weight=3),
    Story("dies", (is_("confirmed", "start_b12"), is_(NONE, from_night=1)), (Sample(CONFIRMED),),
          changes=(Change(1, "dies"),)),
    Story("opts_out", (is_("confirmed", "start_b12"), is_(NONE, from_night=2)),
          (Sample(CONFIRMED),), changes=(Change(2, "opts_out"),)),
)  # fmt: skip

STORIES = (
    *UNTREATED,
    *WORDS_AND_VERSIONS,
    *NERVES,
    *DRUGS,
    *TREATED,
    *LAPSES,
    *ROUTES,
    *NEWS,
)
