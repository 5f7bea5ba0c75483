"""The verb `audit_slopes`: slopes of returns that run backwards through a model, against differences of returns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import MethodError
from .._results import Code, Result, Section, Table, Verdict
from .._types import Key
from .climbing import Copies
from .game import Game, Policies, Watched, watched
from .policies import NetworkPolicy, RecurrentPolicy
from .rollout import rolled

_STEP = 0.05
"""How far weights are moved along a direction of length 1, both ways, for a difference."""
_SURE, _NEAR = 3.0, 0.1


@dataclass(frozen=True)
class SlopeAudit(Result):
    """`verdicts`: site to verdict; `slopes`: site to rows (direction, by derivative, by difference, the standard error
    of what lies between them, that of the difference).
    """

    verdicts: dict[str, Verdict]
    slopes: dict[str, tuple[tuple[int, float, float, float, float], ...]]
    worlds: int

    def sections(self) -> tuple[Section, ...]:
        columns = ("direction", "derivative", "difference", "error between", "error of the difference")
        note = f"{self.worlds} runs; weights of one agent moved by {_STEP} both ways, with the same random numbers."
        tables = tuple(Table(f"Slopes at {path}", columns, rows, note) for path, rows in self.slopes.items())
        return (Section("Slopes of returns", verdicts=tuple(self.verdicts.values()), tables=tables),)

    def record(self) -> dict[str, Any]:
        return {
            "verdicts": {path: verdict.record() for path, verdict in self.verdicts.items()},
            "slopes": {path: [list(row) for row in rows] for path, rows in self.slopes.items()},
        }


def audit_slopes(game: Game, policies: Policies, key: Key, *, worlds: int = 64, directions: int = 4) -> SlopeAudit:
    """Hold the slope that `ModelGradient` takes of one agent's return against common-random-number differences.

    **Arguments:** `policies`: site to a network, where the slope is asked for: of a training after its first round
    (`LearnedPolicies.history[0][1]`, which has seen how large views are), or the last; of a learner with types, types
    on the leading axis. `worlds`: runs; `directions`: random ones in the space of the weights.

    **Returns:** a `SlopeAudit`: per site whether the slope can be believed.

    **Raises:** `MethodError` for policies that are no networks; `UnknownSiteError`.
    """
    if worlds < 8 or directions < 1:
        raise MethodError(
            f"audit_slopes(worlds={worlds}, directions={directions}): 8 runs and a direction are the least"
        )
    game.with_policies(policies)
    for path, policy in policies.items():
        if not isinstance(policy, NetworkPolicy | RecurrentPolicy):
            raise MethodError(
                f"audit_slopes at '{path}': slopes are of a network's weights, not of a {type(policy).__name__}"
            )
    made = watched(game)
    verdicts, rows = {}, {}
    for number, path in enumerate(policies):
        both = np.asarray(_both(made, dict(policies), path, jr.split(jr.fold_in(key, number), directions), worlds))
        rows[path] = tuple(_row(k, *one) for k, one in enumerate(both))
        verdicts[path] = _verdict(path, np.array(rows[path]))
    return SlopeAudit(verdicts, rows, worlds)


@eqx.filter_jit
def _both(made: Watched, policies: Mapping[str, Any], path: str, keys: Key, worlds: int) -> Array:
    """(directions, derivative or difference, worlds): slopes of the first learner's return along directions."""
    sites = {at: Copies(made, at, policy) for at, policy in policies.items()}
    site = sites[path]
    agent = jnp.argmax(site.learns > 0)

    def earned(luck: Key, shift: Array) -> Array:
        shifts = {at: jnp.zeros(one.shape) for at, one in sites.items()}
        shifts[path] = shifts[path].at[agent].set(shift)
        plugs = tuple(one.shifted(shifts[at]) for at, one in sites.items())
        run = rolled(made, made.around(plugs), luck, made.game.steps)
        return site.returns(run.seen[f"reward:{path}"])[agent]

    def along(key: Key) -> Array:
        toward = jr.normal(key, site.shape[1:])
        toward = toward / jnp.linalg.norm(toward)

        def one(luck: Key) -> tuple[Array, Array]:
            slope = jax.grad(lambda shift: earned(luck, shift))(jnp.zeros(site.shape[1]))
            ends = jax.vmap(lambda sign: earned(luck, sign * _STEP * toward))(jnp.array([1.0, -1.0]))
            return slope @ toward, (ends[0] - ends[1]) / (2.0 * _STEP)

        return jnp.stack(jax.vmap(one)(jr.split(jr.fold_in(key, 1), worlds)))

    return jax.lax.map(along, keys)


def _row(number: int, derivative: np.ndarray, difference: np.ndarray) -> tuple[int, float, float, float, float]:
    root = np.sqrt(derivative.size)
    between, own = (values.std(ddof=1) / root for values in (derivative - difference, difference))
    return number, float(derivative.mean()), float(difference.mean()), float(between), float(own)


def _verdict(path: str, rows: np.ndarray) -> Verdict:
    _, slope, truth, between, own = rows.T
    numbers = {"derivative": float(np.abs(slope).max()), "difference": float(np.abs(truth).max())}
    size = float(np.abs(truth).max())
    if not (np.abs(truth) > _SURE * own).any():
        sentence = f"{path}: differences of returns are within their errors along all directions: take more runs."
        return Verdict(path, Code.TOO_NOISY, sentence, numbers)
    if not slope.any():
        sentence = (
            f"{path}: no derivative passes from what an agent does to what it earns, and differences say that it does."
        )
        return Verdict(path, Code.BLIND, sentence, numbers)
    ratio = float(slope @ truth / (truth @ truth))
    numbers["ratio"] = ratio
    said = f"along random directions the derivative is {ratio:.3g} times the difference"
    if ratio <= 0:
        return Verdict(path, Code.WRONG_SIGN, f"{path}: {said}.", numbers)
    close = np.abs(slope - truth) <= np.maximum(_SURE * between, _NEAR * size)
    if abs(ratio - 1.0) <= _NEAR + _SURE * float(between.max()) / size and close.all():
        return Verdict(path, Code.BELIEVE, f"{path}: {said}, which is within errors.", numbers)
    return Verdict(path, Code.DIRECTION_ONLY, f"{path}: {said}.", numbers)
