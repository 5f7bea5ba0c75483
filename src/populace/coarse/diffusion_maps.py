"""Which few numbers say where a population is: diffusion maps of snapshots.

Snapshots that a random walk passes between easily are near each other, however the numbers that describe them wind. The
slowest modes of that walk are coordinates, and where the rates of its modes make a jump, so many variables are enough
(Ronald Coifman and Stephane Lafon 2006, Applied and Computational Harmonic Analysis 21:5). Modes that only repeat an
earlier one, as the second overtone of a string repeats the first, are told by a local regression on the ones before and
left out (Carmeline Dsilva and others 2018, Applied and Computational Harmonic Analysis 44:759).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from .._errors import MethodError
from .._results import Code, Figure, Result, ScatterPanel, Section, Table, Verdict

_MODES = 10
_NEW = 0.5
"""A mode is new if a local regression on the new ones before leaves so much of it unexplained."""
_CLEAR = 2.0
"""A gap is clear if the next new mode decays so many times as fast."""
_MOST = 4000


@dataclass(frozen=True)
class MacroVariables(Result):
    """Coordinates of snapshots, slowest first.

    `coordinates` (snapshots, found); `eigenvalues` (modes,) of the walk; `unexplained` (modes,): what of a mode no
    earlier new one explains, 1 for the first; `count`: how many variables; `correlations`: candidate to its rank
    correlation with each of the coordinates, (found,); `explained`: candidate to the share of its variance that a
    local regression on the `count` coordinates explains.
    """

    coordinates: np.ndarray
    eigenvalues: np.ndarray
    unexplained: np.ndarray
    count: int
    correlations: Mapping[str, np.ndarray]
    explained: Mapping[str, float]
    verdict: Verdict

    def sections(self) -> tuple[Section, ...]:
        found = self.coordinates.shape[1]
        columns = ("candidate", *(f"with coordinate {i + 1}" for i in range(found)), "explained by the coordinates")
        rows = tuple((name, *map(float, c), self.explained[name]) for name, c in self.correlations.items())
        tables = [Table("Candidates", columns, rows, "Rank correlations.")] if rows else []
        modes = tuple(
            (i + 1, float(v), float(u), bool(u > _NEW))
            for i, (v, u) in enumerate(zip(self.eigenvalues, self.unexplained, strict=True))
        )
        tables.append(Table("Modes", ("mode", "eigenvalue", "unexplained by earlier", "new"), modes))
        return (Section("Macro variables", (), (self.verdict,), self._figures(), tuple(tables)),)

    def _figures(self) -> tuple[Figure, ...]:
        if self.coordinates.shape[1] < 2:
            return ()
        x, y = self.coordinates[:, 0], self.coordinates[:, 1]
        panel = ScatterPanel("", "coordinate 1", "coordinate 2", x, y)
        return (Figure("coordinates", "Snapshots by their first two coordinates.", (panel,)),)

    def record(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "eigenvalues": self.eigenvalues.tolist(),
            "unexplained": self.unexplained.tolist(),
            "correlations": {name: c.tolist() for name, c in self.correlations.items()},
            "explained": dict(self.explained),
            **self.verdict.record(),
        }


def macro_variables(
    snapshots: Any, *, candidates: Mapping[str, Any] | None = None, scale: float = 1.0
) -> MacroVariables:
    """The leading coordinates of snapshots of a population, and which named candidates they are.

    **Arguments:**

    - `snapshots` (snapshots, features): features of states, such as counts, quantiles or correlations, of many runs and
      times after healing. Each is brought to the same spread first.
    - `candidates`: name to (snapshots,), numbers that might be the coordinates.
    - `scale`: the kernel's width, in units of the median distance.

    **Returns:** `MacroVariables`. **Raises:** `MethodError`.
    """
    x = np.asarray(snapshots, np.float64)
    named = {name: np.asarray(v, np.float64) for name, v in (candidates or {}).items()}
    _check(x, named, scale)
    spread = x.std(0)
    x = (x - x.mean(0))[:, spread > 0] / spread[spread > 0]
    distance = cdist(x, x)
    width = float(scale * np.median(distance[np.triu_indices(len(x), 1)]) / 3.0)
    values, modes = _modes(distance, width)
    unexplained = np.ones(len(values))
    new = [0]
    for i in range(1, len(values)):
        unexplained[i] = _left(modes[:, new], modes[:, i])
        if unexplained[i] > _NEW:
            new.append(i)
    rates = -np.log(np.maximum(values[new], 1e-12))
    jumps = rates[1:] / rates[:-1]
    count = 1 if not len(jumps) else int(np.argmax(jumps)) + 1
    clear = not len(jumps) or jumps[count - 1] >= _CLEAR
    coordinates = modes[:, new[: max(2, count)]]
    ranks = [rankdata(c) for c in coordinates.T]
    correlations = {n: np.array([np.corrcoef(rankdata(v), r)[0, 1] for r in ranks]) for n, v in named.items()}
    explained = {n: 1.0 - _left(coordinates[:, :count], v) ** 2 for n, v in named.items()}
    verdict = _judge(count, clear, jumps, explained)
    return MacroVariables(coordinates, values, unexplained, count, correlations, explained, verdict)


def _check(x: np.ndarray, named: Mapping[str, np.ndarray], scale: float) -> None:
    if x.ndim != 2 or not 30 <= len(x) <= _MOST or not np.isfinite(x).all() or not (x.std(0) > 0).any():
        raise MethodError(f"snapshots are 30 to {_MOST} rows of finite numbers that differ, not {x.shape}")
    for name, v in named.items():
        if v.shape != (len(x),) or v.std() == 0:
            raise MethodError(f"candidate '{name}' has shape {v.shape}, not ({len(x)},), or never changes")
    if not scale > 0:
        raise MethodError(f"the kernel's scale is above 0, not {scale}")


def _modes(distance: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and modes of the walk, the constant one left out; where snapshots crowd does not matter."""
    kernel = np.exp(-0.5 * (distance / width) ** 2)
    density = kernel.sum(1)
    kernel /= np.outer(density, density)
    root = np.sqrt(kernel.sum(1))
    values, vectors = np.linalg.eigh(kernel / np.outer(root, root))
    order = np.argsort(-values)[1 : 1 + _MODES]
    modes = vectors[:, order] / root[:, None]
    return values[order], modes / modes.std(0)


def _left(by: np.ndarray, what: np.ndarray) -> float:
    """The root mean square of what local lines in `by` (snapshots, inputs) leave of `what` (snapshots,), each snapshot
    left out of its own line, as a share of its standard deviation.
    """
    distance = cdist(by, by)
    width = np.median(distance) / 3.0
    weights = np.exp(-0.5 * (distance / width) ** 2)
    np.fill_diagonal(weights, 0.0)
    phi = np.concatenate([np.ones((len(by), 1)), by], 1)
    terms = phi.shape[1]
    pairs = (phi[:, :, None] * phi[:, None, :]).reshape(len(by), -1)
    gram = (weights @ pairs).reshape(len(by), terms, terms) + 1e-9 * np.eye(terms)
    side = weights @ (phi * what[:, None])
    guess = (phi * np.linalg.solve(gram, side[..., None])[..., 0]).sum(1)
    return float(min(1.0, np.sqrt(np.mean((what - guess) ** 2)) / what.std()))


def _judge(count: int, clear: bool, jumps: np.ndarray, explained: Mapping[str, float]) -> Verdict:
    many = "One variable says" if count == 1 else f"{count} variables say"
    best = max(explained, key=lambda name: explained[name], default=None)
    named = "" if best is None else f" '{best}' is explained best by them, {100 * explained[best]:.0f} % of it."
    gap = float(jumps[count - 1]) if len(jumps) else float("inf")
    size = f"the next mode decays {gap:.2g} times as fast" if np.isfinite(gap) else "no other mode is new"
    start = f"{many} where a snapshot is" if clear else f"{many} most of where a snapshot is, with no clear gap after"
    numbers = {"count": float(count)} | ({"gap": gap} if np.isfinite(gap) else {})
    return Verdict("count", Code.CLEAR_GAP if clear else Code.NO_GAP, f"{start}: {size}.{named}", numbers)
