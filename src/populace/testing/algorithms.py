"""What every algorithm must do: the laws of `populace.Algorithm`, for those who write their own."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from .._types import Key
from ..core.policy import Policy
from ..learning.algorithm import Algorithm, News
from ..learning.game import Game, Watched, watched
from ..learning.rollout import score


def check_algorithm(algorithm: Algorithm, game: Game, key: Key) -> None:
    """Check every law that `Algorithm` states, in a small game; return if all hold.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    made = watched(game)
    _counts_its_runs(algorithm)
    learned = algorithm.begin(made, key)
    _is_arrays(algorithm, learned)
    after, news = _updated(algorithm, made, learned, key)
    _keeps_its_shape(algorithm, learned, after)
    _tells_the_news(algorithm, made, news)
    again, _ = _updated(algorithm, made, learned, key)
    _require(_same(after, again), algorithm, "the same key gives another update: all chance comes from the key")
    other, _ = _updated(algorithm, made, learned, jr.fold_in(key, 1))
    _require(not _same(after, other), algorithm, "another key gives the same update: it learns from no run of its own")
    _hands_out_policies(algorithm, made, after, key)


def _updated(algorithm: Algorithm, made: Watched, learned: Any, key: Key) -> tuple[Any, News]:
    return jax.jit(lambda state, k: algorithm.update(made, state, k, jnp.float32(0.5), ()))(learned, key)


def _counts_its_runs(algorithm: Algorithm) -> None:
    runs = algorithm.runs
    _require(isinstance(runs, int) and runs > 0, algorithm, f"runs is {runs!r}, not a whole number from 1")


def _is_arrays(algorithm: Algorithm, learned: Any) -> None:
    odd = [leaf for leaf in jax.tree.leaves(learned) if not eqx.is_array(leaf)]
    _require(not odd, algorithm, f"what is known holds {odd[:1]}, no array: it could not be checkpointed")


def _keeps_its_shape(algorithm: Algorithm, before: Any, after: Any) -> None:
    one, other = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (before, after))
    message = "an update changes structure, shapes or dtypes of what is known: it cannot go round a loop"
    _require(jax.tree.structure(before) == jax.tree.structure(after) and one == other, algorithm, message)


def _tells_the_news(algorithm: Algorithm, made: Watched, news: News) -> None:
    sites = set(made.game.learners)
    _require(
        set(news.returns) == sites, algorithm, f"it tells returns of {sorted(news.returns)}, not of {sorted(sites)}"
    )
    finite = all(np.isfinite(float(value)) for value in news.returns.values())
    _require(
        finite and not int(news.broken) and not int(news.faults), algorithm, "its news of a sound game are not sound"
    )


def _hands_out_policies(algorithm: Algorithm, made: Watched, learned: Any, key: Key) -> None:
    playing = algorithm.playing(made, learned)
    _require(set(playing) == set(made.game.learners), algorithm, f"its policies at play stand at {sorted(playing)}")
    policies = algorithm.policies(made, learned)
    _require(set(policies) == set(made.game.learners), algorithm, f"it hands out policies at {sorted(policies)}")
    odd = [path for path, policy in policies.items() if not isinstance(policy, Policy)]
    _require(not odd, algorithm, f"what it hands out at {odd} is no Policy")
    keys = jr.split(key, 2)
    twice = [score(made, policies, keys).numbers for _ in range(2)]
    same = all((twice[0][name] == twice[1][name]).all() for name in twice[0])
    _require(same, algorithm, "its policies do otherwise in the same runs")


def _same(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)


def _require(holds: bool, algorithm: Algorithm, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{type(algorithm).__name__}: {otherwise}")
