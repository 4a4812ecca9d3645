"""The closed words. A fact is one of these words, never NULL; ``unknown`` is a word."""

ANALYTES = (
    "mma",
    "hcy",
    "b12",
    "holotc",
    "folate",
    "red_cell_folate",
    "creatinine",
    "egfr",
    "hb",
    "mcv",
    "platelets",
    "potassium",
)
CANONICAL_UNITS = {
    "mma": "nmol/L",
    "hcy": "umol/L",
    "b12": "pmol/L",
    "holotc": "pmol/L",
    "folate": "nmol/L",
    "red_cell_folate": "nmol/L",
    "creatinine": "umol/L",
    "egfr": "mL/min/{1.73_m2}",
    "hb": "g/L",
    "mcv": "fL",
    "platelets": "10*9/L",
    "potassium": "mmol/L",
}
COMPARATORS = ("=", "<", ">")
STATUSES = (
    "registered",
    "preliminary",
    "final",
    "amended",
    "corrected",
    "cancelled",
    "entered-in-error",
)
SEXES = ("female", "male", "other", "unknown")
# The feeds: what comes regularly, so that its silence is a finding.
KINDS = ("labs", "patients", "conditions", "medications")
# The clinics' answers come when somebody gives one.
FEEDBACK = "feedback"
EXTRACT_KINDS = (*KINDS, FEEDBACK)
# The command that took a file, or rows of it.
TAKEN_BY = ("run", "retry", "retake")
# What is watched of a feed, and how it is: unknown where there is too little of its past.
HEALTH_MEASURES = (
    "volume",
    "rejected",
    "unitless",
    "median",
    "raised",
    "raised_pairs",
    "unknown_people",
    "silent_laboratory",
    "silent_analyte",
    "silent_clinic",
    "stale_laboratory",
)
HEALTH_STATES = ("usual", "alarm", "unknown")
CONDITION_SYSTEMS = ("icd10cm", "icd10", "snomed")
DRUG_SYSTEMS = ("atc", "rxnorm", "snomed")
MEDICATION_KINDS = ("administration", "prescription")
DOSE_UNITS = ("mg", "ug", "mcg", "g")
ROUTES_OF_ADMINISTRATION = ("im", "iv", "sc", "oral", "sublingual", "nasal")
FEEDS = ("fresh", "stale", "none")

YES_NO = ("yes", "no")
YES_NO_UNKNOWN = ("yes", "no", "unknown")
B12_LEVELS = ("low", "borderline", "adequate", "unknown")
GATES = ("open", "closed", "unknown")
KIDNEYS = ("dialysis", "acute", "reduced", "normal", "unknown")
CKD_STAGES = ("G1", "G2", "G3a", "G3b", "G4", "G5", "unknown")
NEUROS = ("recorded", "possible", "none_recorded", "unknown")
BASES = ("baseline", "current")
TREATMENTS = ("none", "active", "lapsed", "unknown")

SCREENING_ROUTES = (
    "opted_out",
    "deceased",
    "unroutable_age",
    "paediatric",
    "inborn_error",
    "pregnant",
    "screened",
)
FUNCTIONAL_STATUSES = (
    "on_treatment",
    "confirmed",
    "probable",
    "renal_confounded",
    "possible",
    "homocysteine_only",
    "indeterminate",
    "unlikely",
    "not_shown",
    "not_assessed",
)
ACTIONS = (
    "start_b12_neuro",
    "start_b12_assess",
    "start_b12",
    "consider_b12",
    "review_renal",
    "complete_workup",
    "review_homocysteine",
    "resume_b12",
    "review_lapsed",
    "maintenance_due",
    "review_treatment",
    "loading_incomplete",
    "review_loading",
    "folic_acid_without_b12",
    "cyanocobalamin_in_renal",
    "check_kidney",
    "check_potassium",
    "dialysis_vitamins",
    "recheck_overdue",
    "recheck_due",
    "review_response",
    "review_anaemia",
    "paediatric_review",
    "specialist_review",
    "pregnancy_review",
    "check_record",
    "result_withdrawn",
)
# Rows that begin replacement, and all that name a regimen.
STARTS = ("start_b12_neuro", "start_b12_assess", "start_b12", "consider_b12")
REGIMENS = (
    *STARTS,
    "resume_b12",
    "review_renal",
    "maintenance_due",
    "loading_incomplete",
    "review_loading",
)
RECHECK_STATES = ("scheduled", "due", "overdue")
RESPONSES = (
    "too_early",
    "at_target",
    "no_response",
    "best_achievable",
    "responding",
    "partial",
    "cannot_tell",
)
ITEM_STATES = ("open", "resting", "closed")
LIST_STATES = ("new", "carried", "changed", "reopened")
DECISIONS = (
    "done",
    "already_treated",
    "declined",
    "deferred",
    "not_our_patient",
    "acknowledged",
)
GIVERS = ("clinic", "site")
ANSWER_ENDS = ("day", "worse", "moved")
CLOSE_REASONS = (
    "treated",
    "resolved_by_result",
    "result_withdrawn",
    "rule_change",
    "moved",
    "deceased",
    "opted_out",
    "superseded_by_action",
    "declined",
    "done",
    "already_treated",
    "not_our_patient",
)
