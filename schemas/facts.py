"""What is known of a person on the night: every fact a rule asks about, and its values."""

from typing import Annotated

import pandera.polars as pa
import polars as pl

from schemas import words
from schemas.columns import column, shared
from schemas.relation import relation

Moment = Annotated[pl.Datetime, "us", None]


@relation("facts.patient", key=("patient_id",))
class PatientFacts(pa.DataFrameModel):
    """One row per patient of any route but opted_out and deceased: every fact as a closed word.

    With the values that decided, their units and days; a word is never NULL, and absence is
    unknown, not normal.
    """

    patient_id: str = shared("patient_id")
    clinic_id: str = column(
        "The person's clinic, or else the one that ordered the newest result", nullable=True
    )
    age_years: int = column("Completed years on the night", nullable=True, ge=0)
    sex: str = column(
        "Sex by the word sent; unknown for people known only from results", words=words.SEXES
    )
    basis: str = column(
        "Which results decide: those before the current treatment, or current ones",
        words=words.BASES,
    )
    mma_raised: str = column("Whether methylmalonic acid is raised", words=words.YES_NO_UNKNOWN)
    mma_marked: str = column(
        "Whether methylmalonic acid is markedly raised", words=words.YES_NO_UNKNOWN
    )
    hcy_raised: str = column("Whether homocysteine is raised", words=words.YES_NO_UNKNOWN)
    b12_level: str = column("Total and active vitamin B12 together", words=words.B12_LEVELS)
    gate: str = column(
        "Kidney function at the deciding sample: closed where it may explain raised markers",
        words=words.GATES,
    )
    kidney: str = shared("kidney", words=words.KIDNEYS)
    ckd_stage: str = column("GFR category of the latest eGFR", words=words.CKD_STAGES)
    ckd_chronic: str = column(
        "Whether reduced kidney function is shown to be chronic", words=words.YES_NO_UNKNOWN
    )
    renal_dysfunction: str = column(
        "Whether the form of B12 has to respect the kidneys", words=words.YES_NO_UNKNOWN
    )
    neuro: str = shared("neuro", words=words.NEUROS)
    neuro_definite: str = column("Whether a definite neurological code stands", words=words.YES_NO)
    pregnant: str = column("Whether a pregnancy is recorded", words=words.YES_NO_UNKNOWN)
    nitrous_oxide: str = column("Whether nitrous oxide is recorded", words=words.YES_NO_UNKNOWN)
    inborn_error: str = column(
        "Whether an inborn error of cobalamin or homocysteine metabolism is recorded",
        words=words.YES_NO_UNKNOWN,
    )
    cobalamin_reaction: str = column(
        "Whether an adverse reaction to a cobalamin is recorded", words=words.YES_NO_UNKNOWN
    )
    irreversible_cause: str = column(
        "Whether a cause that does not go away is recorded", words=words.YES_NO_UNKNOWN
    )
    b12_treatment: str = column("Treatment with a cobalamin", words=words.TREATMENTS)
    cyanocobalamin_active: str = column(
        "Whether cyanocobalamin is taken", words=words.YES_NO_UNKNOWN
    )
    folic_acid_active: str = column("Whether folic acid is taken", words=words.YES_NO_UNKNOWN)
    anaemia: str = column("Whether haemoglobin is low", words=words.YES_NO_UNKNOWN)
    severe_anaemia: str = column("Whether haemoglobin is very low", words=words.YES_NO_UNKNOWN)
    macrocytosis: str = column("Whether the mean cell volume is raised", words=words.YES_NO_UNKNOWN)
    sample_on: pl.Date = column("Collection day of the deciding sample", nullable=True)
    mma_nmol_l: float = shared("mma_nmol_l", nullable=True)
    mma_comparator: str = column("Comparator of that value", nullable=True, words=words.COMPARATORS)
    mma_on: pl.Date = shared("mma_on", nullable=True)
    mma_treated: bool = column("Whether that methylmalonic acid was taken under treatment")
    hcy_umol_l: float = shared("hcy_umol_l", nullable=True)
    hcy_comparator: str = column("Comparator of that value", nullable=True, words=words.COMPARATORS)
    hcy_on: pl.Date = shared("hcy_on", nullable=True)
    hcy_treated: bool = column("Whether that homocysteine was taken under treatment")
    b12_pmol_l: float = shared("b12_pmol_l", nullable=True)
    b12_comparator: str = column("Comparator of that value", nullable=True, words=words.COMPARATORS)
    b12_on: pl.Date = shared("b12_on", nullable=True)
    b12_treated: bool = column("Whether that total vitamin B12 was taken under treatment")
    holotc_pmol_l: float = shared("holotc_pmol_l", nullable=True)
    holotc_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    holotc_on: pl.Date = shared("holotc_on", nullable=True)
    holotc_treated: bool = column("Whether that active vitamin B12 was taken under treatment")
    egfr_ml_min: float = shared("egfr_ml_min", nullable=True)
    egfr_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    egfr_on: pl.Date = shared("egfr_on", nullable=True)
    gate_egfr_ml_min: float = column(
        "eGFR nearest to the deciding sample, mL/min/1.73 m2", nullable=True
    )
    gate_egfr_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    gate_egfr_on: pl.Date = column("Collection day of that eGFR", nullable=True)
    kidney_finding: str = column(
        "Standing code or acute injury behind the word kidney; empty where the eGFR speaks",
        nullable=True,
    )
    gate_finding: str = column(
        "Standing code or acute injury that closes the gate; empty where the eGFR speaks",
        nullable=True,
    )
    neuro_code: str = column("The neurological code that speaks", nullable=True)
    neuro_recorded_on: pl.Date = column("The day it was recorded", nullable=True)
    hb_g_l: float = column("Latest haemoglobin of the look-back, g/L", nullable=True)
    hb_comparator: str = column("Comparator of that value", nullable=True, words=words.COMPARATORS)
    hb_on: pl.Date = column("Collection day of that haemoglobin", nullable=True)
    mcv_fl: float = column("Latest mean cell volume of the look-back, fL", nullable=True)
    mcv_comparator: str = column("Comparator of that value", nullable=True, words=words.COMPARATORS)
    mcv_on: pl.Date = column("Collection day of that mean cell volume", nullable=True)
    episode_started_on: pl.Date = column(
        "First dose of the current episode of treatment", nullable=True
    )
    last_dose_on: pl.Date = column("Last dose of the episode", nullable=True)
    next_dose_due_on: pl.Date = column(
        "When the next injection is due, by the last one and the interval", nullable=True
    )

    class Config:
        strict = True


@relation("facts.kidney", key=("patient_id",))
class Kidney(pa.DataFrameModel):
    """One row per person: kidney function on the night, and at the sample that decides (gate).

    Whoever is screened or not: facts.patient leaves out who has died or opted out.
    """

    patient_id: str = shared("patient_id")
    kidney: str = shared("kidney", words=words.KIDNEYS)
    gate: str = column("Kidney function at the deciding sample", words=words.GATES)
    ckd_stage: str = column("GFR category of the latest eGFR", words=words.CKD_STAGES)
    ckd_chronic: str = column(
        "Whether reduced kidney function is shown to be chronic", words=words.YES_NO_UNKNOWN
    )
    renal_dysfunction: str = column(
        "Whether the form of B12 has to respect the kidneys", words=words.YES_NO_UNKNOWN
    )
    egfr_ml_min: float = shared("egfr_ml_min", nullable=True)
    egfr_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    egfr_on: pl.Date = shared("egfr_on", nullable=True)
    gate_egfr_ml_min: float = column(
        "eGFR nearest to the deciding sample, mL/min/1.73 m2", nullable=True
    )
    gate_egfr_comparator: str = column(
        "Comparator of that value", nullable=True, words=words.COMPARATORS
    )
    gate_egfr_on: pl.Date = column("Collection day of that eGFR", nullable=True)
    kidney_finding: str = column("Standing code or acute injury behind kidney", nullable=True)
    gate_finding: str = column("Standing code or acute injury behind gate", nullable=True)

    class Config:
        strict = True


@relation("facts.neuro", key=("patient_id",))
class Neuro(pa.DataFrameModel):
    """One row per person, screened or not: what is recorded of neurological involvement."""

    patient_id: str = shared("patient_id")
    neuro: str = shared("neuro", words=words.NEUROS)
    neuro_definite: str = column("Whether a definite neurological code stands", words=words.YES_NO)
    neuro_code: str = column("The neurological code that speaks", nullable=True)
    neuro_recorded_on: pl.Date = column("The day it was recorded", nullable=True)
    past_neuro_code: str = column(
        "Where none speaks, one that stands and is too old to, else one that was resolved",
        nullable=True,
    )
    past_neuro_recorded_on: pl.Date = column("The day that one was recorded", nullable=True)
    past_neuro_resolved: str = column(
        "Whether that one is resolved", nullable=True, words=words.YES_NO
    )

    class Config:
        strict = True


@relation("facts.egfr", key=("patient_id", "collected_at"))
class Egfr(pa.DataFrameModel):
    """One row per sample with an eGFR that a rule may ask for: reported, or by CKD-EPI 2021.

    No history: of older samples only those are here on which kidney function could rest. None is
    computed for children, or where sex is not female or male.
    """

    patient_id: str = shared("patient_id")
    collected_at: Moment = column("When the sample was taken, in the site's timezone")
    collected_on: pl.Date = column("The day the sample was taken")
    egfr_ml_min: float = column("eGFR of the sample, mL/min/1.73 m2, unrounded")
    egfr_comparator: str = column("Comparator of that value", words=words.COMPARATORS)
    egfr_origin: str = column("Who computed it", words=("reported", "computed"))

    class Config:
        strict = True


@relation("facts.b12_course", key=("medication_id",))
class B12Course(pa.DataFrameModel):
    """One row per administration or prescription of B12 that counts as treatment, of anybody."""

    medication_id: str = column("The source's key of the row")
    patient_id: str = shared("patient_id")
    substance: str = column("The cobalamin by its INN")
    parenteral: bool = column("Whether it is injected")
    dose_mg: float = column("Dose, or dose per day, mg", nullable=True)
    first_on: pl.Date = column("First day with a dose")
    last_on: pl.Date = column("Last day with a dose, up to the night")
    covers_night: bool = column("Whether an oral prescription covers the night")
    without_end: bool = column("Whether it is an oral prescription that names no end")

    class Config:
        strict = True


@relation("facts.b12_episode", key=("patient_id",))
class B12Episode(pa.DataFrameModel):
    """One row per person with a dose of B12, screened or not: the current episode of treatment."""

    patient_id: str = shared("patient_id")
    started_on: pl.Date = column("First dose of the episode")
    last_dose_on: pl.Date = column("Last dose of the episode")
    last_dose_assumed: bool = column(
        "Whether that is the day up to which a prescription without an end counts"
    )
    last_parenteral_dose_on: pl.Date = column("Last injection of the episode", nullable=True)
    next_dose_due_on: pl.Date = column("When the next injection is due", nullable=True)
    n_parenteral_doses: int = column("Days with an injection in the episode", ge=0)
    started_parenteral: bool = column("Whether the first dose was an injection")
    oral_cover: bool = column("Whether an oral prescription covers the night")
    start_not_seen: bool = column(
        "Whether treatment may have begun before the medications feed was complete"
    )
    b12_treatment: str = column("Treatment on the night", words=words.TREATMENTS)

    class Config:
        strict = True


@relation("facts.unused_code", key=("kind", "code_system", "code"))
class UnusedCode(pa.DataFrameModel):
    """One row per code of conditions and medications that no map names, with counts, no patient."""

    kind: str = shared("kind", words=words.KINDS)
    code_system: str = shared("code_system")
    code: str = shared("code")
    n: int = column("Rows with it", ge=1)
    first_on: pl.Date = column("Earliest day among them")
    last_on: pl.Date = column("Latest day among them")

    class Config:
        strict = True
