"""What learned policies do where they lead, and what the rule would have done there.

A `Beside` plug notes in one run what a policy does and what the rule would do on the same views, so that both are
compared where the policy really comes to stand, and nowhere else.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._errors import FaultError, MethodError
from .._types import Key
from ..core import executor
from ..core.distributions import Decision
from ..core.plug import Deciding, Plug, Proceed
from ..core.policy import Policy
from ..core.record import EveryStep
from ..core.simulate import NEVER, advance, first_fault, initial
from ..core.site import Frame, Site
from .actions import Actions, Continuous, Discrete, Mixed
from .game import Game, Policies, Watched
from .policies import NetworkPolicy, as_vector, leaf_name


def span(low: float, high: float) -> str:
    """A range in words."""
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"


class Beside(Plug):
    """A policy decides at its site, and what the rule would have done on the same views is noted beside it.

    On the tape, with agents on the leading axis: `x` (agents, d) the views as vectors, `learned` and `rule` (agents, k)
    the actions as vectors; with `slopes` also `dlearned` and `drule` (agents, k, d), the derivatives of the actions by
    the views, all agents' views moved together and random numbers held.
    """

    deciding: Deciding
    slopes: bool = eqx.field(static=True, default=False)

    def sites(self) -> tuple[str, ...]:
        return self.deciding.sites()

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.deciding.site or not isinstance(site.mechanism, Decision):
            return proceed(site)
        rule = proceed(site)
        behind = dict(site.frame.memory_after)
        action = self.deciding.around(site, lambda _: rule)
        site.emit({"x": _vectors(site.mechanism.view), "learned": _vectors(action), "rule": _vectors(rule)})
        if self.slopes:
            aside = dataclasses.replace(
                site, frame=Frame(memory=site.frame.memory, memory_after=behind, state=site.frame.state)
            )
            of_policy = _slopes(aside, site.mechanism, lambda moved: self.deciding.around(moved, lambda _: rule))
            with _undisturbed(site.frame):
                of_rule = _slopes(site, site.mechanism, proceed)
            site.emit({"dlearned": of_policy, "drule": of_rule})
        return action


def _vectors(tree: Any) -> Float[Array, "agents d"]:
    return jax.vmap(as_vector)(tree)


def _slopes(site: Site, seen: Decision, answer: Proceed) -> Float[Array, "agents k d"]:
    """Derivatives of an answer by every number of the view; 0 by whole numbers."""
    leaves, tree = jax.tree.flatten(seen.view)

    def at(shift: Float[Array, " d"]) -> Float[Array, "agents k"]:
        moved, start = [], 0
        for leaf in leaves:
            size = leaf[0].size
            own, start = shift[start : start + size].reshape(leaf.shape[1:]), start + size
            moved.append(leaf + own if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf)
        return _vectors(answer(site.with_mechanism(Decision(jax.tree.unflatten(tree, moved), seen.rule))))

    return jax.jacfwd(at)(jnp.zeros(sum(leaf[0].size for leaf in leaves)))


@contextlib.contextmanager
def _undisturbed(frame: Frame) -> Iterator[None]:
    """What sites note inside is forgotten: it belongs to a derivative's trace."""
    parts: tuple[Any, ...] = (frame.tape, frame.faults, frame.memory_after, frame.listed)
    kept = [dict(part) for part in parts]
    frame.memory_after.clear()  # policies find their memory by how many have written theirs before
    yield
    for part, before in zip(parts, kept, strict=True):
        part.clear()
        part.update(before)


@dataclass(frozen=True)
class Output:
    """One number of an action: its name, and how many options it has (0 for a number on a scale)."""

    name: str
    options: int = 0


def outputs(name: str, actions: Actions) -> tuple[Output, ...]:
    """The numbers of an action, in the order in which it becomes a vector.

    **Raises:** `MethodError` for actions other than `Continuous`, `Discrete` and `Mixed`.
    """
    match actions:
        case Discrete(count=count):
            return (Output(name, count),)
        case Continuous(shape=shape):
            return tuple(Output(one) for one in _indexed(name, shape))
        case Mixed(parts=parts):
            return tuple(out for part in sorted(parts) for out in outputs(f"{name}.{part}", parts[part]))
        case other:
            raise MethodError(
                f"'{name}': {type(other).__name__} cannot be read number by number; use Continuous, Discrete or Mixed"
            )


def components(view: Any) -> tuple[tuple[str, bool], ...]:
    """The numbers of one agent's view, in the order in which it becomes a vector: name, and whether it is real."""
    found: list[tuple[str, bool]] = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(view)[0]:
        label = leaf_name(path)
        real = bool(jnp.issubdtype(leaf.dtype, jnp.inexact))
        found += [(name, real) for name in _indexed(label, leaf.shape)]
    return tuple(found)


def _indexed(name: str, shape: tuple[int, ...]) -> list[str]:
    return [name + (f"[{','.join(map(str, at))}]" if at else "") for at in np.ndindex(*shape)]


@dataclass(frozen=True)
class Visited:
    """Points at which policies have decided at a site: `x` (n, d) the views, `learned` and `rule` (n, k) the actions on
    them; `dlearned` and `drule` (n, k, d) their derivatives, empty where nobody asked for them.
    """

    names: tuple[str, ...]
    real: tuple[bool, ...]
    outputs: tuple[Output, ...]
    x: np.ndarray
    learned: np.ndarray
    rule: np.ndarray
    dlearned: np.ndarray
    drule: np.ndarray

    def range(self, component: int) -> str:
        """What was visited of one component, in words."""
        return f"{self.names[component]} {span(self.x[:, component].min(), self.x[:, component].max())}"


def visits(
    made: Watched, sets: Sequence[Policies], keys: Key, points: int, *, slopes: bool = False
) -> dict[str, Visited]:
    """The points that policies visit in the runs of `keys` (runs,), for each set of policies; of more than `points` at
    a site about so many, drawn evenly from all runs.

    **Raises:** `FaultError` when a run met one; `MethodError` where nobody decided, or an action is not finite.
    """
    calm = [{path: settled(policy) for path, policy in one.items()} for one in sets]
    static = eqx.partition(calm[0], eqx.is_array)[1]
    arrays = [eqx.filter(one, eqx.is_array) for one in calm]
    runs, each = keys.shape[0], max(1, points // (keys.shape[0] * len(sets)))
    stacked = jax.tree.map(lambda *leaves: jnp.repeat(jnp.stack(leaves), runs, axis=0), *arrays)
    many, shared = (jnp.tile(keys, len(sets)), stacked), (made.game, static, each, slopes)
    size = executor.chunk_size(_one_run, shared, many)
    rows = executor.stack_rows(list(executor.chunks(_one_run, shared, many, size=size)))
    notes, fault = rows
    if (fault != NEVER).any():
        raise FaultError(
            f"{int((fault != NEVER).sum())} of {fault.size} runs gave a site a number outside its domain, under these "
            "policies or when the rule was asked on the same views: narrow the actions, or mend the formula"
        )
    return {path: _gathered(made, path, notes[path]) for path in calm[0]}


def settled(policy: Policy) -> Policy:
    """The policy as it acts when it does not explore: in the middle of its law."""
    return policy.settled() if isinstance(policy, NetworkPolicy) else policy


def _one_run(shared: tuple[Game, Any, int, bool], one: tuple[Key, Any]) -> tuple[dict[str, Any], Array]:
    game, static, each, slopes = shared
    key, arrays = one
    policies = eqx.combine(arrays, static)
    plugs = (*(Beside(game.deciding(path, policy), slopes) for path, policy in policies.items()), *game.plugs)
    here, early = initial(game.model, key, plugs)
    _, _, _, tape, late = advance(game.model, key, here, plugs, None, EveryStep(), game.steps)
    return {path: _picked(tape[path], jr.fold_in(key, NEVER), each) for path in policies}, first_fault(early, late)


def _picked(note: dict[str, Any], key: Key, each: int) -> dict[str, Array]:
    """Some of a run's points, those first at which the policy decided."""
    wanted = ("x", "learned", "rule", "dlearned", "drule", "acting")
    flat = {name: note[name].reshape(-1, *note[name].shape[2:]) for name in wanted if name in note}
    acting = flat["acting"]
    chosen = jnp.argsort(-acting * (1.0 + jr.uniform(key, acting.shape)))[:each]
    return {name: leaf[chosen] for name, leaf in flat.items()}


def _gathered(made: Watched, path: str, note: dict[str, np.ndarray]) -> Visited:
    acting = note["acting"].ravel() > 0
    if not acting.any():
        raise MethodError(f"nobody decided at '{path}' in these runs: give more runs, or a longer game")
    flat = {name: leaf.reshape(-1, *leaf.shape[2:])[acting].astype(np.float64) for name, leaf in note.items()}
    if not all(np.isfinite(flat[name]).all() for name in ("x", "learned", "rule")):
        raise MethodError(f"'{path}': a view or an action is not finite: mend the rule, the policy or what is seen")
    names, real = zip(*components(made.views[path]), strict=True)
    made_of = outputs(path.rpartition("/")[2], made.game.learners[path].actions)
    none = np.empty((0, len(made_of), len(names)))
    slopes = flat.get("dlearned", none), flat.get("drule", none)
    return Visited(names, real, made_of, flat["x"], flat["learned"], flat["rule"], *slopes)
