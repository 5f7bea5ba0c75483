"""How a value reads on a page: 3 to 4 significant digits, a true minus, thousands separators."""

import math
import numbers
from collections.abc import Sequence

import numpy as np

from populace._results import Cell

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_GROUP_FROM = 10_000  # four-digit numbers (years, days) stay in one piece
_LARGE, _SMALL = 1e7, 1e-4  # fixed notation between these
_RATIO = 1e3  # a column whose numbers differ by more gives each its own decimals


def number(value: float) -> str:
    """One number as a person reads it: `1.234`, `12,345`, `−0.05`, `1.23×10⁻⁹`."""
    if isinstance(value, numbers.Integral) and abs(int(value)) < 10**15:
        return _signed(int(value), f"{abs(int(value)):{_comma(value)}d}")
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return _signed(value, "∞")
    size = abs(value)
    if size == 0:
        return "0"
    if _SMALL <= size < _LARGE:
        return fixed(value, _decimals(size), trim=True)
    return scientific(value, 2, trim=True)


def fixed(value: float, decimals: int, *, trim: bool = False, group: bool | None = None) -> str:
    """Fixed notation with `decimals`; `trim` drops trailing zeros, `group` asks for thousands separators."""
    group = abs(value) >= _GROUP_FROM if group is None else group
    text = f"{abs(value):{',' if group else ''}.{decimals}f}"
    text = _trimmed(text) if trim else text
    return text if not text.strip("0.,") else _signed(value, text)


def scientific(value: float, decimals: int, *, trim: bool = False) -> str:
    """`1.23×10⁻⁹`."""
    mantissa, exponent = f"{abs(value):.{decimals}e}".split("e")
    mantissa = _trimmed(mantissa) if trim else mantissa
    return _signed(value, f"{mantissa}×10{superscript(int(exponent))}")


def superscript(exponent: int) -> str:
    """An integer in raised digits."""
    return str(exponent).translate(_SUPERSCRIPTS)


def cell(value: Cell) -> str:
    """One table cell, or a value of a manifest, on its own."""
    if value is None:
        return NONE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, numbers.Real):
        return number(value)  # pyright: ignore[reportArgumentType]
    return str(value)


def is_number(value: Cell) -> bool:
    """Whether the cell holds a number (a bool is none)."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def is_numeric(values: Sequence[Cell]) -> bool:
    """Whether a column holds numbers only, gaps aside: such columns are set flush right."""
    held = [value for value in values if value is not None]
    return bool(held) and all(is_number(value) for value in held)


def column(values: Sequence[Cell]) -> list[str]:
    """A table's column, its numbers written with common decimals where their sizes allow."""
    if not is_numeric(values):
        return [cell(value) for value in values]
    if all(value is None or isinstance(value, numbers.Integral) for value in values):
        group = max(abs(int(value)) for value in values if value is not None) >= _GROUP_FROM
        return [NONE if value is None else _integer(int(value), group) for value in values]
    sizes = [abs(float(value)) for value in values if value is not None]
    sizes = [size for size in sizes if math.isfinite(size) and size > 0]
    if not sizes or min(sizes) < _SMALL or max(sizes) >= _LARGE or max(sizes) / min(sizes) > _RATIO:
        return [_ragged(value) for value in values]
    smallest = _exponent(min(sizes))
    decimals = max(_decimals(max(sizes)), 1 - smallest, min(2 - smallest, 1), 0)
    decimals = _needed([value for value in values if value is not None], decimals)
    group = max(sizes) >= _GROUP_FROM
    return [_common(value, decimals, group) for value in values]


def _ragged(value: Cell) -> str:
    """A number of a column too wide for common decimals: all its digits, trailing zeros too."""
    if value is None or value == 0 or not _SMALL <= abs(float(value)) < _LARGE:
        return cell(value)
    return fixed(float(value), _decimals(abs(float(value))))


def _common(value: Cell, decimals: int, group: bool) -> str:
    if value is None or not math.isfinite(float(value)):
        return cell(value)
    return fixed(float(value), decimals, group=group)


def _integer(value: int, group: bool) -> str:
    if abs(value) >= 10**15:
        return number(value)
    return _signed(value, f"{abs(value):{',' if group else ''}d}")


def _needed(values: Sequence[Cell], decimals: int) -> int:
    """The fewest decimals that lose nothing of what `decimals` would show."""
    texts = [f"{float(value):.{decimals}f}" for value in values if math.isfinite(float(value))]  # pyright: ignore[reportArgumentType]
    kept = [len(text.partition(".")[2].rstrip("0")) for text in texts]
    return max(kept, default=0)


def _decimals(size: float) -> int:
    """Decimals that show 4 significant digits from 1 upwards, 3 below."""
    exponent = _exponent(size)
    return 2 - exponent if exponent < 0 else max(3 - exponent, 0)


def _exponent(size: float) -> int:
    return int(f"{size:.3e}".partition("e")[2])


def _comma(value: float) -> str:
    return "," if abs(value) >= _GROUP_FROM else ""


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(value: float, text: str) -> str:
    return MINUS + text if value < 0 else text
