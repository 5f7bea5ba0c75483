"""What of a gradient is compared with the truth: each number of it, or, where they are many, a few directions.

Along a random direction a gradient of d numbers shows a share 1 / d of its square only, and an audit would see noise.
So the first directions are those in which cheap gradients point, found with runs of their own: whatever the truth
is, along these an estimator that steers by them must be right. Random ones show what they leave out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from .._types import Key
from .cases import Case
from .differences import bounds
from .estimator import Estimator, differentiate
from .loss import ExpectedLoss
from .pathwise import Pathwise
from .truth import flat, labels

RANDOM = 2
"""Random directions beside the guides."""
_NAME = "along"


@final
@dataclass(frozen=True)
class Compared:
    """`expected`, `at`: the loss as a function of the k numbers compared; `scale`: what each is measured in; `names`
    (k,); `parts` (d,): what the parameters are measured in; `directions` (k, d), in these units, of each number (None
    where the numbers are the parameters), and `reach` (k,), how long each is.
    """

    expected: ExpectedLoss
    at: dict[str, Array]
    scale: dict[str, Array]
    names: tuple[str, ...]
    parts: np.ndarray
    directions: np.ndarray | None
    reach: np.ndarray

    @property
    def unit(self) -> np.ndarray:
        """`scale` in the order of the names, (k,)."""
        return _flat(self.scale)

    def of(self, samples: np.ndarray) -> np.ndarray:
        """Of gradients (keys, d) by the parameters what is compared, (keys, k)."""
        return samples if self.directions is None else (samples * self.parts) @ self.directions.T

    def spread(self, samples: np.ndarray) -> float:
        """The standard deviation of whole gradients (keys, d), in units of the parameters."""
        return float(np.linalg.norm(samples.std(0, ddof=1) * self.parts))

    def length(self, truth: np.ndarray) -> float:
        """The length of the gradient as far as it is compared, in units of the parameters."""
        return float(np.linalg.norm(truth * self.unit / self.reach))


class _Along(eqx.Module):
    """A point moved along directions: `{"along": (k,)}` to what the loss takes."""

    start: dict[str, Array]
    moves: Float[Array, "k d"]
    ends: tuple[Array, Array]
    through: Callable[[dict[str, Array]], dict[str, Array]] | None

    def __call__(self, at: dict[str, Array]) -> dict[str, Array]:
        flat_, unravel = ravel_pytree(self.start)
        moved = unravel(jnp.clip(flat_ + at[_NAME] @ self.moves, *self.ends))
        return moved if self.through is None else self.through(moved)


def one_by_one(case: Case, scale: Mapping[str, Array]) -> Compared:
    """Every number of the parameters; `scale`: what each is measured in."""
    unit = _flat(scale)
    return Compared(case.expected, case.at, dict(scale), labels(case.at), unit, None, np.ones(unit.size))


def along_guides(
    case: Case, scale: Mapping[str, Array], estimators: Sequence[Estimator], key: Key, keys: int
) -> Compared:
    """The directions of the pathwise gradients among `estimators`, then random ones; all orthogonal.

    Each is so long that its parameters move by about a unit: a difference along it then shows against the noise.
    """
    unit = _flat(scale)
    guides = [one for one in estimators if isinstance(one, Pathwise)]
    found = [_guide(case, one, jr.fold_in(key, i), keys) * unit for i, one in enumerate(guides)]
    names = [f"along {one.name}" for one in guides] + [f"random direction {i + 1}" for i in range(RANDOM)]
    signs = np.asarray(jr.rademacher(jr.fold_in(key, len(guides)), (RANDOM, unit.size)), np.float64)
    rows = np.stack([*found, *signs])
    sound = np.isfinite(rows).all(1) & (np.abs(rows).max(1) > 0)
    columns, triangle = np.linalg.qr(rows[sound].T)
    basis = (columns * np.sign(np.diag(triangle))).T  # each as its own guide points
    reach = (basis**4).sum(1) ** -0.5
    directions = basis * reach[:, None]
    moves, start = jnp.asarray(directions * unit, jnp.float32), case.at
    along = _Along(start, moves, bounds(case.expected, start), case.expected.through)
    expected = ExpectedLoss(case.expected.simulation, case.expected.loss, along)
    kept = tuple(name for name, ok in zip(names, sound, strict=True) if ok)
    at, ones = {_NAME: jnp.zeros(len(kept))}, {_NAME: jnp.ones(len(kept))}
    return Compared(expected, at, ones, kept, unit, directions, reach)


def guiding_runs(estimators: Sequence[Estimator], at: Mapping[str, Array]) -> float:
    """Runs a key that finding the guides takes."""
    return sum(one.runs(at) for one in estimators if isinstance(one, Pathwise))


def _guide(case: Case, one: Estimator, key: Key, keys: int) -> np.ndarray:
    found = differentiate(case.expected, one, key, at=case.at, keys=keys, progress=False)
    return flat(found.samples).mean(0)


def _flat(by_name: Mapping[str, Array]) -> np.ndarray:
    return flat({name: np.asarray(jax.device_get(value))[None] for name, value in by_name.items()})[0]
