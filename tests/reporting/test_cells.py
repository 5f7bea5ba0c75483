import math

import numpy as np
import pytest

from populace.reporting import cells


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.23456, "1.235"),
        (-0.05, "−0.05"),
        (0.0123456, "0.0123"),
        (123456.7, "123,457"),
        (9999, "9999"),
        (10000, "10,000"),
        (-12345, "−12,345"),
        (0.99999, "1"),
        (1.23e-9, "1.23×10⁻⁹"),
        (-3.1e12, "−3.1×10¹²"),
        (10**20, "1×10²⁰"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (np.float32(0.25), "0.25"),
        (np.int64(12345), "12,345"),
    ],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert cells.number(value) == text


def test_cells_that_are_no_numbers() -> None:
    assert [cells.cell(v) for v in (None, True, False, "a−b", np.True_)] == ["–", "yes", "no", "a−b", "yes"]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.5, 2.25, None, 3], ["1.50", "2.25", "–", "3.00"]),
        ([1.0, 2.0], ["1", "2"]),
        ([12.3456, 1234.5], ["12.3", "1234.5"]),
        ([1, 20000, -3], ["1", "20,000", "−3"]),
        ([1990, 2020], ["1990", "2020"]),
        ([120.5, 0.0123, -4, math.nan], ["120.5", "0.0123", "−4.000", "NaN"]),
        ([1e-9, 5.0], ["1×10⁻⁹", "5.000"]),
        ([0.0, 0.0], ["0", "0"]),
        (["a", 1.23456, True], ["a", "1.235", "yes"]),
        ([], []),
    ],
)
def test_columns_share_their_decimals(values: list[cells.Cell], texts: list[str]) -> None:
    assert cells.column(values) == texts


def test_a_column_never_writes_a_nonzero_number_as_zero() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = [float(v) for v in 10.0 ** rng.uniform(-12, 12, 4) * rng.choice([-1, 1], 4)]
        for value, text in zip(values, cells.column(values), strict=True):
            assert any(digit in text for digit in "123456789")
            assert text.startswith(cells.MINUS) == (value < 0)


def test_which_columns_are_set_flush_right() -> None:
    assert cells.is_numeric([1, 2.5, None]) and cells.is_numeric([np.int32(1)])
    assert not cells.is_numeric([None, None]) and not cells.is_numeric([1, "a"]) and not cells.is_numeric([True, False])
