"""Equations solved, many at once, with the derivative of the solution by every coefficient; and fitted to a path.

du/dt = c theta(u), with theta (terms,) and c (variables, terms). The derivative S of u by the numbers p = (c, u(0)):
dS/dt = (c dtheta/du) S + df/dp, S(0) = du(0)/dp, and is integrated beside u (Runge and Kutta's fourth order, two steps
between observations). Coefficients are first found without solving, in weak form: for functions phi that vanish at both
ends of a window, - int phi' u dt = c int phi theta(u) dt, which needs no derivative of noisy data (Messenger and Bortz
2021, Multiscale Modeling and Simulation 19:1474); then by Levenberg and Marquardt's steps on the solution.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .library import Monomials

_SUBSTEPS = 2
_ROUNDS = 30
_GAIN = 1e-5
"""Of the squared error: who gains less in a round is done."""
_FAR = 3.0
"""A solution is stopped this many ranges away from the data."""


@dataclass(frozen=True)
class Fitted:
    """Equations fitted to one path. `numbers` (B, P): coefficients variable by variable, then starting values; `mask`
    (B, P): which of them are free; `path` (B, T, d): the solutions; `slopes` (B, T d, P): their derivatives.
    """

    numbers: np.ndarray
    mask: np.ndarray
    path: np.ndarray
    slopes: np.ndarray


@np.errstate(over="ignore", invalid="ignore")
def solve(library: Monomials, numbers: np.ndarray, times: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The solutions (B, T, d) of equations with these numbers (B, P), held inside `far` (2, d)."""
    d, terms = far.shape[1], library.size
    c, u = numbers[:, : d * terms].reshape(-1, d, terms), numbers[:, d * terms :]
    path = [u]
    for step in np.diff(times):
        for _ in range(_SUBSTEPS):
            u = np.clip(_runge(lambda u: _right(library, c, u), u, step / _SUBSTEPS), *far)
        path.append(u)
    return np.stack(path, axis=1)


def _right(library: Monomials, c: np.ndarray, u: np.ndarray) -> np.ndarray:
    return (c @ library.values(u)[..., None])[..., 0]


def _runge(f: Callable[[np.ndarray], np.ndarray], u: np.ndarray, h: float) -> np.ndarray:
    k1 = f(u)
    k2 = f(u + h / 2 * k1)
    k3 = f(u + h / 2 * k2)
    return u + h / 6 * (k1 + 2 * k2 + 2 * k3 + f(u + h * k3))


def solve_with_slopes(
    library: Monomials, numbers: np.ndarray, times: np.ndarray, far: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The solutions (B, T, d) and their derivatives (B, T, d, P)."""
    rows, d, terms = len(numbers), far.shape[1], library.size
    c = numbers[:, : d * terms].reshape(-1, d, terms)
    both = np.zeros((rows, d, 1 + d * terms + d))
    both[..., 0] = numbers[:, d * terms :]
    both[..., 1 + d * terms :] = np.eye(d)

    def right(both: np.ndarray) -> np.ndarray:
        theta, bend = library.both(both[..., 0])
        out = np.empty_like(both)
        out[..., 0] = (c @ theta[..., None])[..., 0]
        out[..., 1:] = (c @ bend) @ both[..., 1:]
        for i in range(d):
            out[:, i, 1 + i * terms : 1 + (i + 1) * terms] += theta
        return out

    kept = [both]
    for step in np.diff(times):
        for _ in range(_SUBSTEPS):
            both = _runge(right, both, step / _SUBSTEPS)
            held = np.clip(both[..., 0], *far)
            both[..., 1:] *= (held == both[..., 0])[..., None]
            both[..., 0] = held
        kept.append(both)
    whole = np.stack(kept, axis=1)
    return whole[..., 0], whole[..., 1:]


def weak_form(library: Monomials, path: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The regression in weak form: (windows, terms) and (windows, d) of a path (T, d)."""
    weights = np.gradient(times)
    weights[[0, -1]] /= 2
    span = times[-1] - times[0]
    left, right = [], []
    theta = library.values(path)
    for width in (span / 2, span / 5, span / 12):
        for centre in np.linspace(times[0] + width / 2, times[-1] - width / 2, 12):
            s = 2 * (times - centre) / width
            inside = np.abs(s) < 1
            if inside.sum() < 4:
                continue
            phi = np.where(inside, (1 - s**2) ** 3, 0.0)
            slope = np.where(inside, -6 * s * (1 - s**2) ** 2, 0.0) * 2 / width
            size = np.sqrt((weights * slope**2).sum())
            left.append((weights * phi) @ theta / size)
            right.append(-(weights * slope) @ path / size)
    return np.array(left), np.array(right)


@np.errstate(over="ignore", invalid="ignore")  # what runs away has an infinite loss, and its step is not taken
def fit(library: Monomials, masks: np.ndarray, path: np.ndarray, times: np.ndarray, *, known_start: bool) -> Fitted:
    """Equations with the terms of `masks` (B, d, terms), fitted to a path (T, d) by their solutions."""
    d, rows = path.shape[1], len(masks)
    span, far = reach(path)
    mask = np.concatenate([masks.reshape(rows, -1), np.full((rows, d), not known_start)], axis=1)
    numbers = np.concatenate([_first(library, masks, path, times), np.repeat(path[:1], rows, axis=0)], axis=1)
    damping = np.full(rows, 1e-4)
    found, slopes = solve_with_slopes(library, numbers, times, far)
    loss = _loss(found, path, span)
    on = np.arange(rows)
    for _ in range(_ROUNDS):
        step = _step((path - found[on]) / span, slopes[on] / span[:, None], mask[on], damping[on])
        tried = numbers[on] + step
        new, new_slopes = solve_with_slopes(library, tried, times, far)
        new_loss = _loss(new, path, span)
        better = new_loss < loss[on]
        gained = np.where(better, (loss[on] - new_loss) / np.maximum(loss[on], 1e-300), 1.0)
        at = on[better]
        numbers[at], found[at], slopes[at], loss[at] = tried[better], new[better], new_slopes[better], new_loss[better]
        damping[on] = np.clip(np.where(better, damping[on] / 10, damping[on] * 10), 1e-12, 1e8)
        on = on[(gained > _GAIN) & (damping[on] < 1e3)]
        if not on.size:
            break
    return Fitted(numbers, mask, found, slopes.reshape(rows, -1, slopes.shape[-1]))


def reach(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The range (d,) of a path (T, d), and the bounds (2, d) that hold a solution."""
    span = np.ptp(path, axis=0) + 1e-12
    return span, np.stack([path.min(0) - _FAR * span, path.max(0) + _FAR * span])


def _loss(found: np.ndarray, path: np.ndarray, span: np.ndarray) -> np.ndarray:
    loss = (((found - path) / span) ** 2).mean((1, 2))
    return np.where(np.isfinite(loss), loss, np.inf)


def _first(library: Monomials, masks: np.ndarray, path: np.ndarray, times: np.ndarray) -> np.ndarray:
    left, right = weak_form(library, path, times)
    out = np.zeros((len(masks), path.shape[1], library.size))
    for b, i in np.ndindex(out.shape[:2]):
        chosen = masks[b, i]
        if chosen.any():
            out[b, i, chosen] = np.linalg.lstsq(left[:, chosen], right[:, i], rcond=1e-9)[0]
    return out.reshape(len(masks), -1)


def _step(residual: np.ndarray, slopes: np.ndarray, mask: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """One damped Gauss-Newton step, in units in which every column of the slopes has length 1."""
    rows, count = mask.shape
    flat = np.nan_to_num(slopes.reshape(rows, -1, count)) * mask[:, None]
    size = np.sqrt((flat**2).sum(1)) + 1e-300
    flat = flat / size[:, None]
    gram = np.einsum("bnp,bnq->bpq", flat, flat) + damping[:, None, None] * np.eye(count)
    gram += np.eye(count) * ((~mask) | (size <= 1e-200))[:, None]
    slope = np.einsum("bnp,bn->bp", flat, np.nan_to_num(residual).reshape(rows, -1))
    return np.linalg.solve(gram, slope[..., None])[..., 0] / size * mask


def sensitivity_to_path(fitted: Fitted, span: np.ndarray) -> np.ndarray:
    """How the fitted numbers move with the path that they are fitted to: (B, P, T d), the linear part."""
    scale = np.tile(1 / span, fitted.path.shape[1])
    flat = np.nan_to_num(fitted.slopes) * fitted.mask[:, None] * scale[None, :, None]
    size = np.sqrt((flat**2).sum(1)) + 1e-300
    inverse = np.linalg.pinv(flat / size[:, None], rcond=1e-8)
    return inverse * (fitted.mask / size)[..., None] * scale
