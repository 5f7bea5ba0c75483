"""Expected moments of the cases of `identification_cases.py` that have them in closed form, in numpy alone, so that
peers can have them too: exact, or in the limit of many where a note says so.

`EXPECTED[name](at)`: parameters (n,) each to moments (n, k), in the order of the case's target.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

At = dict[str, np.ndarray]


def _columns(*values: np.ndarray | float) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*values), axis=1)


def product(at: At) -> np.ndarray:
    slope = at["a"] * at["b"]
    return _columns(np.log(0.05), slope, slope)


def local(at: At) -> np.ndarray:
    both = (at["t1"] > 2.0) & (at["t2"] > 2.0)
    return _columns(np.where(both, at["t1"], 0.0), np.where(both, at["t2"], 1.0))


def herd(at: At) -> np.ndarray:
    """Births and deaths from 50: log(1 + mean) at times 2, 5, 10."""
    return np.log1p(50.0 * np.exp(np.outer(at["l"] - at["m"], [2.0, 5.0, 10.0])))


def herd_spread(at: At) -> np.ndarray:
    """And log(1 + variance)."""
    r, t = (at["l"] - at["m"])[:, None], np.array([2.0, 5.0, 10.0])
    q = np.where(np.abs(r) < 1e-9, t, np.expm1(r * t) / np.where(np.abs(r) < 1e-9, 1.0, r))
    variance = 50.0 * (at["l"] + at["m"])[:, None] * np.exp(r * t) * q
    return np.concatenate([herd(at), np.log1p(variance)], axis=1)


def epidemic(days: int, window: int) -> Callable[[At], np.ndarray]:
    """The square roots of reported cases; E 2 (N + 3/8)^1/2 = 2 (mean + 1/8)^1/2 but for terms in mean^-3/2."""

    def expected(at: At) -> np.ndarray:
        # One set of parameters as plain numbers: many times faster than arrays of one.
        used = {name: value.item() if value.size == 1 else value for name, value in at.items()}
        b, g, rho, ill = used["b"], used["g"], used.get("rho", 0.2), used.get("I0", 50.0)
        s, i = 1e5 - ill + 0.0 * b, ill + 0.0 * b
        seen = [s]

        def slope(s: Any, i: Any) -> tuple[Any, Any]:
            caught = b * s * i / 1e5
            return -caught, caught - g * i

        for step in range(1, 4 * days + 1):
            s1, i1 = slope(s, i)
            s2, i2 = slope(s + s1 / 8, i + i1 / 8)
            s3, i3 = slope(s + s2 / 8, i + i2 / 8)
            s4, i4 = slope(s + s3 / 4, i + i3 / 4)
            s, i = s + (s1 + 2 * s2 + 2 * s3 + s4) / 24, i + (i1 + 2 * i2 + 2 * i3 + i4) / 24
            if step % (4 * window) == 0:
                seen.append(s)
        cases = np.maximum(-rho * np.diff(np.stack([np.atleast_1d(one) for one in seen]), axis=0), 0.0)
        return 2.0 * np.sqrt(cases + 0.125).T

    return expected


def kirman_mean(at: At) -> np.ndarray:
    rate = at["a1"] + at["a2"]
    times = np.array([1, 2, 4, 6, 9, 12, 16, 20])
    return (at["a1"] / rate)[:, None] * -np.expm1(-np.outer(rate, times))


def kirman_rest(at: At) -> np.ndarray:
    """The moments of a beta-binomial law of 50."""
    rate = at["a1"] + at["a2"]
    mean = at["a1"] / rate
    return _columns(np.log(mean * (1.0 - mean) * (0.02 + 0.98 / (1.0 + rate / at["b"])) + 1e-6), mean)


def kirman_path(at: At) -> np.ndarray:
    slow = np.exp(-np.outer(at["a1"] + at["a2"], [1.0, 2.0, 4.0, 8.0]))
    return np.concatenate([slow, kirman_rest(at)], axis=1)


def logit_line(at: At) -> np.ndarray:
    """The rest above 0, in the limit of many: m = tanh(field + coupling m)."""
    low, high = np.zeros_like(at["field"]), np.ones_like(at["field"])
    for _ in range(60):
        m = 0.5 * (low + high)
        above = np.tanh(at["field"] + at["coupling"] * m) > m
        low, high = np.where(above, m, low), np.where(above, high, m)
    return (0.5 * (low + high))[:, None]


def logit_mean(at: At) -> np.ndarray:
    return logit_line({"field": at["beta"] * at["h"], "coupling": at["beta"] * at["J"]})


def logit_moves(at: At) -> np.ndarray:
    m = logit_mean(at)
    slope = 1.0 - (at["beta"] * at["J"])[:, None] * (1.0 - m * m)
    return np.concatenate([np.exp(-slope * [1.0, 2.0, 4.0]), np.log((1.0 - m * m) / slope + 1e-6), m], axis=1)


def sis_mean(at: At) -> np.ndarray:
    """In the limit of many."""
    return np.maximum(0.0, 1.0 - at["g"] / at["b"])[:, None]


def sis_rest(at: At) -> np.ndarray:
    """N Var = g / b above the threshold, in the limit of many."""
    mean = sis_mean(at)
    return np.concatenate([np.log(np.where(mean > 0, (at["g"] / at["b"])[:, None], 0.0) + 1e-3), mean], axis=1)


def sis_path(at: At) -> np.ndarray:
    """The logistic curve from .05, at 2, 4, .. 20."""
    r = (at["b"] - at["g"])[:, None]
    grown = np.exp(r * np.arange(2, 21, 2))
    share = np.where(np.abs(r) < 1e-9, np.arange(2.0, 21.0, 2.0), (grown - 1.0) / np.where(np.abs(r) < 1e-9, 1.0, r))
    return 0.05 * grown / (1.0 + 0.05 * at["b"][:, None] * share)


EXPECTED: dict[str, Callable[[At], np.ndarray]] = {
    "product": product,
    "sum": lambda at: _columns(at["w1"] + at["w2"]),
    "nothing": lambda at: _columns(at["x"], at["x"], at["x"]),
    "local, seen": local,
    "local, not seen": local,
    "square": lambda at: _columns(at["x"] ** 2),
    "birth-death, mean": herd,
    "birth-death, out of reach": herd,
    "birth-death, mean and variance": herd_spread,
    "SIR T = 20": epidemic(20, 1),
    "SIR T = 30": epidemic(30, 2),
    "SIR T = 40": epidemic(40, 2),
    "SIR T = 60": epidemic(60, 3),
    "SIR T = 100": epidemic(100, 5),
    "SIR T = 20, two known": epidemic(20, 1),
    "Kirman, mean path": kirman_mean,
    "Kirman, stationary": kirman_rest,
    "Kirman, autocorrelation": kirman_path,
    "logit, line": logit_line,
    "logit, mean": logit_mean,
    "logit, fluctuations": logit_moves,
    "SIS, mean": sis_mean,
    "SIS, mean and variance": sis_rest,
    "SIS, transient": sis_path,
}
