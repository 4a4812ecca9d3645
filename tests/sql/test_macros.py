"""The questions that every relation asks."""

import pytest

from b12screen.warehouse import WarehouseError

from .conftest import Decide, Decided


@pytest.fixture(scope="module")
def night(decided: Decide) -> Decided:
    return decided()


@pytest.mark.parametrize(
    ("limit", "value", "comparator", "expected"),
    [
        ("mma_raised", 271, "=", "no"),
        ("mma_raised", 271.01, "=", "yes"),
        ("mma_raised", 300, ">", "yes"),
        ("mma_raised", 271, ">", "yes"),
        ("mma_raised", 200, ">", "unknown"),
        ("mma_raised", 150, "<", "no"),
        ("mma_raised", 271, "<", "no"),
        ("mma_raised", 400, "<", "unknown"),
        ("mma_raised", None, "=", "unknown"),
        ("mma_at_target", 271, "=", "no"),
        ("mma_at_target", 270.9, "=", "yes"),
        ("mma_at_target", 271, "<", "yes"),
        ("mma_at_target", 271, ">", "no"),
        ("mma_at_target", 272, "<", "unknown"),
        ("mma_at_target", 270, ">", "unknown"),
        ("holotc_borderline", 70, "=", "yes"),
        ("holotc_borderline", 70, ">", "no"),
        ("holotc_borderline", 70, "<", "yes"),
        ("holotc_borderline", 71, "<", "unknown"),
        ("holotc_borderline", 70.1, "=", "no"),
        ("ckd_g2", 60, "=", "yes"),
        ("ckd_g2", 60, ">", "yes"),
        ("ckd_g2", 60, "<", "no"),
        ("ckd_g2", 59.99, "=", "no"),
    ],
)
def test_a_limit_is_met_when_the_whole_interval_meets_it(
    night: Decided, limit: str, value: float | None, comparator: str, expected: str
) -> None:
    assert (
        night.warehouse.scalar(
            f"SELECT meets('{limit}', CAST(? AS DOUBLE), ?)", [value, comparator]
        )
        == expected
    )


@pytest.mark.parametrize(
    "asked",
    ["meets('mma_rased', 1.0, '=')", "span('look_bak')", "quantity('doses')", "fragment_text('x')"],
)
def test_a_misspelt_name_raises(night: Decided, asked: str) -> None:
    with pytest.raises(WarehouseError):
        night.warehouse.rows(f"SELECT {asked}")


@pytest.mark.parametrize(
    ("birth_date", "day", "age"),
    [
        ("2004-02-29", "2022-02-28", 17),
        ("2004-02-29", "2022-03-01", 18),
        ("2004-02-29", "2024-02-28", 19),
        ("2004-02-29", "2024-02-29", 20),
        ("1980-06-15", "2026-06-14", 45),
        ("1980-06-15", "2026-06-15", 46),
    ],
)
def test_age_is_counted_in_completed_years(
    night: Decided, birth_date: str, day: str, age: int
) -> None:
    asked = "SELECT age_on(CAST(? AS DATE), CAST(? AS DATE))"
    assert night.warehouse.scalar(asked, [birth_date, day]) == age


# Worked with the published coefficients of CKD-EPI 2021 by hand calculator; mg/dL, years.
@pytest.mark.parametrize(
    ("creatinine", "age", "sex", "egfr"),
    [
        (0.7, 50, "female", 105.3),
        (0.9, 50, "male", 104.0),
        (1.4, 65, "female", 41.8),
        (1.4, 65, "male", 55.8),
        (0.5, 30, "female", 129.3),
    ],
)
def test_egfr_follows_ckd_epi_2021(
    night: Decided, creatinine: float, age: int, sex: str, egfr: float
) -> None:
    asked = "SELECT ckd_epi_2021(CAST(? AS DOUBLE), ?, ?)"
    assert night.warehouse.scalar(asked, [creatinine, age, sex]) == pytest.approx(egfr, abs=0.06)


def test_months_are_clipped_at_month_ends(night: Decided) -> None:
    asked = "SELECT CAST(before(DATE '2026-08-31', 'neuro_recent') AS VARCHAR)"
    assert night.warehouse.scalar(asked) == "2024-08-31"
    asked = "SELECT CAST(after(DATE '2025-12-31', 'interval_neuro') AS VARCHAR)"
    assert night.warehouse.scalar(asked) == "2026-02-28"


@pytest.mark.parametrize(
    ("value", "text"),
    [(310.0, "310"), (300.0, "300"), (0.1 + 0.2, "0.3"), (271.04, "271.04"), (60000.0, "60000")],
)
def test_numbers_are_written_without_float_noise(night: Decided, value: float, text: str) -> None:
    assert night.warehouse.scalar("SELECT number_text(?)", [value]) == text


@pytest.mark.parametrize(
    ("value", "text"), [(15.002, "just above 15"), (15.02, "above 15"), (14.998, "not above 15")]
)
def test_a_value_that_reads_as_its_limit_says_that_it_is_beyond(
    night: Decided, value: float, text: str
) -> None:
    asked = "SELECT close_text(meets('hcy_raised', $1, '='), 'hcy_raised', $1)"
    assert night.warehouse.scalar(asked, [value]) == f" ({text})"


def test_an_egfr_just_below_sixty_does_not_read_as_sixty(night: Decided) -> None:
    assert night.warehouse.scalar("SELECT egfr_text(59.99, '=')") == "59.9"


@pytest.mark.parametrize(
    ("earlier", "earlier_as", "later", "later_as", "expected"),
    [
        (1000.0, "=", 520.0, "=", "yes"),
        (1000.0, "=", 521.0, "=", "no"),
        (1000.0, ">", 520.0, "=", "yes"),
        (1000.0, ">", 600.0, "=", "unknown"),
        (1000.0, "=", 520.0, "<", "yes"),
        (1000.0, "=", 520.0, ">", "no"),
        (1000.0, "<", 520.0, "=", "no"),
        (1000.0, "<", 400.0, "=", "unknown"),
        (1000.0, "<", 400.0, "<", "unknown"),
        (1000.0, ">", 100.0, ">", "unknown"),
    ],
)
def test_a_bound_shows_a_fall_as_far_as_it_carries(
    night: Decided, earlier: float, earlier_as: str, later: float, later_as: str, expected: str
) -> None:
    asked = "SELECT fall_reaches(48, CAST(? AS DOUBLE), ?, CAST(? AS DOUBLE), ?)"
    given = [earlier, earlier_as, later, later_as]
    assert night.warehouse.scalar(asked, given) == expected
