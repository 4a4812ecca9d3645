"""People who cannot be as their record says, so that somebody asks before it harms them.

A day of death keeps a person off every list, and an age is in every computed eGFR. Where a sender
fills a blank with a day, both are believed; what came beside it tells that they are wrong.
"""

from datetime import date

from b12screen.resources import sql_text
from b12screen.warehouse import Warehouse

# Some samples are taken on the day of death, and days of death are told a day or two off.
DAYS_AFTER_DEATH = 31
# Nobody has reached this age by much more than a year.
YEARS_OF_AGE = 121


def doubtful_people(warehouse: Warehouse, as_of: date) -> list[str]:
    """A finding for each sort of people whom tonight's files show to be recorded wrongly."""
    ((n_dead, n_old),) = warehouse.rows(
        sql_text("core/doubtful_person.sql"), (as_of, DAYS_AFTER_DEATH, YEARS_OF_AGE)
    )
    findings = []
    if n_dead:
        findings.append(
            f"{n_dead} people have results of samples taken more than a month after their day of "
            "death: they are on no list, though the day may be wrong, or the results may be "
            "somebody else's. Have the sender look, and send the patients' rows again without the "
            "day, or the results under the right identifier"
        )
    if n_old:
        findings.append(
            f"{n_old} people are older than 120 years by their birth date, as where a day stands "
            "for none: an eGFR is computed too low for them, and the kidneys seem to explain what "
            "they do not. Have the sender mend the date or leave it out"
        )
    return findings
