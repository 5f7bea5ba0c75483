"""Watched runs with policies in them: step by step for learning, summed up for judging."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._errors import FaultError
from .._types import Key
from ..core import executor
from ..core.ensemble import OneRun, Outcome, one_run
from ..core.host import taken
from ..core.plug import Plug
from ..core.record import EveryStep, Recording, Reduced
from ..core.simulate import NEVER, advance, first_fault, initial
from .game import Policies, Watched


class Rollout(eqx.Module):
    """One watched run inside a trace: `notes` of the learners' sites and `seen`, each with steps on the leading axis,
    and the step of the first fault (`NEVER` for none).
    """

    notes: dict[str, Any]
    seen: dict[str, Array]
    fault: Array


def rollout(watched: Watched, policies: Policies, key: Key, steps: int, frozen: tuple[Plug, ...]) -> Rollout:
    """Run a watched model once, keeping every step. `frozen`: what decides for those who do not learn."""
    return rolled(watched, watched.plugs(policies, frozen), key, steps)


def rolled(watched: Watched, plugs: tuple[Plug, ...], key: Key, steps: int) -> Rollout:
    """The same, with all plugs that stand around sites, as `Watched.around` puts them."""
    here, early = initial(watched, key, plugs)
    _, _, rows, tape, late = advance(watched, key, here, plugs, None, EveryStep(), steps)
    return Rollout({path: tape[path] for path in watched.game.learners}, rows, first_fault(early, late))


class _Start(eqx.Module):
    def __call__(self, observation: dict[str, Array]) -> dict[str, Any]:
        zeros = {name: jnp.zeros(leaf.shape, jnp.float32) for name, leaf in observation.items()}
        returns = {n: z for n, z in zeros.items() if n.startswith("reward:")}
        return {"sums": zeros, "returns": returns, "weights": {n: jnp.float32(1.0) for n in returns}}


class _Add(eqx.Module):
    """Adds a step: sums of all, discounted sums of rewards, largest residuals."""

    discounts: tuple[tuple[str, float], ...] = eqx.field(static=True)

    def __call__(self, carry: dict[str, Any], time: Array, seen: dict[str, Array]) -> dict[str, Any]:
        sums, returns, weights = dict(carry["sums"]), dict(carry["returns"]), dict(carry["weights"])
        for name, value in seen.items():
            worst = name.startswith("residual:")
            sums[name] = jnp.maximum(sums[name], value) if worst else sums[name] + value
        for name, discount in self.discounts:
            returns[name] = returns[name] + weights[name] * seen[name]
            weights[name] = weights[name] * discount
        return {"sums": sums, "returns": returns, "weights": weights}


class _Result(eqx.Module):
    """The tally as a flat dictionary."""

    steps: int = eqx.field(static=True)

    def __call__(self, carry: dict[str, Any]) -> dict[str, Array]:
        out = {f"return:{n.partition(':')[2]}": v for n, v in carry["returns"].items()}
        for name, value in carry["sums"].items():
            if name.startswith("residual:"):
                out[name] = value
            elif name.startswith("limit:"):
                out[name] = value.mean() / self.steps
            else:
                out[name] = value / self.steps
        return out


def tallying(watched: Watched) -> Recording:
    """What makes a watched run keep its sums only."""
    discounts = tuple((f"reward:{path}", learner.discount) for path, learner in watched.game.learners.items())
    return Reduced(_Start(), _Add(discounts), _Result(watched.game.steps))


@dataclass(frozen=True)
class Score:
    """Tallies of many runs, host arrays with policy sets and runs on the leading axes: (sets, runs, ...)."""

    numbers: dict[str, np.ndarray]

    def of(self, which: int) -> "Score":
        """Of one set alone."""
        return Score({name: leaf[which : which + 1] for name, leaf in self.numbers.items()})

    def returns(self, path: str) -> np.ndarray:
        """(sets, runs, agents): discounted sums of pay."""
        return self.numbers[f"return:{path}"]

    def welfare(self) -> np.ndarray:
        """(sets, runs): the mean a step."""
        return self.numbers["welfare"]

    def bound(self, name: str) -> np.ndarray:
        """(sets, runs): the share of agent-steps in which a limit binds."""
        return self.numbers[f"limit:{name}"]

    def residual(self, name: str) -> np.ndarray:
        """(sets, runs): the largest relative change of a ledger in a step."""
        return self.numbers[f"residual:{name}"]


def _scored(shared: tuple[Watched, Any, Any], one: tuple[Key, Any, Any]) -> Outcome:
    watched, static, plain = shared
    key, arrays, parts = one
    policies, frozen = eqx.combine(arrays, static)
    plugs = watched.plugs(policies, frozen)
    plugs = (plugs[0], *eqx.combine(parts, plain), *plugs[1:])
    run = OneRun(watched, plugs, tallying(watched), watched.game.steps)
    return one_run(run, (key, {}))


def score(
    watched: Watched,
    policies: Policies,
    keys: Key,
    *,
    frozen: tuple[Plug, ...] = (),
    sets: int = 0,
    around: tuple[Plug, ...] = (),
) -> Score:
    """Run policies under common random numbers.

    **Arguments:** `policies`: what decides for the learners (a site that is not named: the rule); `frozen`: for those
    who do not learn; `sets`: how many of each stand on the leading axes of their arrays (every set meets the same
    keys), 0 for one without such an axis; `keys` (runs,); `around`: plugs around all who decide, sets and runs on the
    leading axes of their arrays.

    **Returns:** a `Score`.

    **Raises:** `FaultError` when a run met one.
    """
    runs = keys.shape[0]
    arrays, static = eqx.partition((dict(policies), frozen), eqx.is_array)
    if not sets:
        arrays, sets = taken(arrays, np.newaxis), 1
    parts, plain = eqx.partition(around, eqx.is_array)
    parts = jax.tree.map(lambda leaf: leaf.reshape(sets * runs, *leaf.shape[2:]), parts)
    each, every = np.repeat(np.arange(sets), runs), np.tile(np.arange(runs), sets)
    many = (taken(keys, every), taken(arrays, each), parts)
    shared = (watched, static, plain)
    size = executor.chunk_size(_scored, shared, many)
    out = executor.stack_rows(list(executor.chunks(_scored, shared, many, size=size)))
    if (out.fault != NEVER).any():
        raise FaultError(
            f"{int((out.fault != NEVER).sum())} of {out.fault.size} runs gave a site a number outside its domain under "
            "these policies: narrow the actions, or mend the formula"
        )
    numbers = {name: np.asarray(leaf, np.float64)[:, 0] for name, leaf in out.observations.items()}
    return Score({name: leaf.reshape(sets, runs, *leaf.shape[1:]) for name, leaf in numbers.items()})
