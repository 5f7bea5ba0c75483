"""What becomes of an action that is not allowed: refused, taken for another one, or done.

A mask of options and the ends of an interval bind those who learn, and nobody else: an intervention, a policy from
elsewhere or a planner may ask for anything. A model in which that pays, or breaks a ledger, holds only as long as all
are polite.
"""

import math
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._results import Code, Verdict
from .._types import Key
from ..core import executor
from ..core.plug import Override, Window
from ..core.simulate import NEVER
from .actions import Actions, Continuous, Discrete
from .deviations import Deviation, Play, repeated, said, tiled
from .exchange import notes
from .findings import ROUNDING
from .game import Watched
from .rollout import rolled

_EARLY = 0.05
"""Steps whose pay counts for less, of the first step's, are looked at only where there are no others."""
_SAME = 1e-6
"""Pay that differs by less than this part of the largest is the same."""


@dataclass(frozen=True)
class Seen:
    """What is seen of runs in which one agent takes each action once, and last of runs in which it does not.

    (actions + 1, sets, runs, ...): `paid` (numbers) to everybody, and welfare; `own` (steps) pay of the agent;
    `counted` (limits); `residual`, the largest change of a ledger in a step; `fault`, whether the run met one.
    """

    paid: np.ndarray
    own: np.ndarray
    counted: np.ndarray
    residual: np.ndarray
    fault: np.ndarray


@dataclass(frozen=True)
class Tried:
    """What came of it, (actions, sets, runs) each: what was not allowed was `bad`; of that `refused`, by a fault;
    `broken`, so that pay was not finite; taken `alike` to an allowed action, which pays everybody the same; or `done`;
    and `shown`, where a limit counts it. `gain`: what the agent gained from that step on by what was done, and
    `usual`: by what was allowed, over its policy. `worst`: the largest change of a ledger by what was not allowed, and
    `before`: without it.
    """

    bad: np.ndarray
    refused: np.ndarray
    broken: np.ndarray
    alike: np.ndarray
    done: np.ndarray
    shown: np.ndarray
    gain: np.ndarray
    usual: np.ndarray
    worst: float
    before: float

    def share(self, part: np.ndarray) -> float:
        """Of all that was not allowed."""
        return float((self.bad & part).sum() / self.bad.sum())


def outside(actions: Actions, beyond: float) -> Any:
    """Actions to be tried, on a leading axis: all options where some are masked; the finite ends of an interval and
    what lies `beyond` them, in parts of the interval (in units of its own where the other end is open). None where
    nothing can be forbidden.
    """
    if isinstance(actions, Discrete) and actions.allowed is not None:
        return jnp.arange(actions.count, dtype=jnp.int32)
    if not isinstance(actions, Continuous) or not beyond:
        return None
    width = actions.high - actions.low
    far = beyond * (width if math.isfinite(width) else 1.0)
    tried = [
        x for end, step in ((actions.low, -far), (actions.high, far)) if math.isfinite(end) for x in (end, end + step)
    ]
    return jnp.array(tried, jnp.float32) if tried else None


def forbidden(play: Play, path: str, agent: int, beyond: float, at: tuple[float, np.random.Generator]) -> list[Verdict]:
    """A verdict on what the model makes of one agent's forbidden actions; none where nothing can be forbidden.

    `at`: the scale of returns at the site, and what steps are drawn by.
    """
    scale, generator = at
    learner = play.made.game.learners[path]
    actions = outside(learner.actions, beyond)
    if actions is None:
        return []
    may, asked = _may(play, path, agent, actions)
    weights = learner.discount ** np.arange(asked.shape[-1])
    times = _times((~may).any(0) & asked, weights < _EARLY, generator)
    if (times < 0).all():
        sentence = f"{path}: nothing was ever forbidden to agent {agent} in these runs, so that this was not asked."
        return [Verdict(_subject(path, agent), Code.UNJUDGED, sentence)]
    then = np.take_along_axis(may, np.maximum(times, 0)[None, ..., None], -1)[..., 0]
    found = _tried(_runs(play, path, agent, actions, times), then, times, learner.discount)
    return [_verdict(path, agent, found, actions, scale / float(weights.sum()))]


def _subject(path: str, agent: int) -> str:
    return f"what is forbidden at {path} to agent {agent}"


def _may(play: Play, path: str, agent: int, actions: Array) -> tuple[np.ndarray, np.ndarray]:
    """(actions, sets, runs, steps) whether each is allowed to an agent, and (sets, runs, steps) whether it is asked."""
    note = jax.tree.map(lambda leaf: leaf[:, :, :, agent], notes(play)[path])
    asked, kind = note["where"] > 0, play.made.game.learners[path].actions
    if isinstance(kind, Discrete):
        flat = jax.tree.map(lambda leaf: jnp.asarray(leaf.reshape(-1, *leaf.shape[3:])), note["view"])
        allowed = np.asarray(jax.vmap(kind.may)(flat)).reshape(*asked.shape, -1) > 0
        return np.moveaxis(allowed, -1, 0), asked
    assert isinstance(kind, Continuous)
    line = np.asarray(actions).reshape(actions.shape[0], -1)[:, 0]
    within = (line >= np.float32(kind.low)) & (line <= np.float32(kind.high))
    return np.broadcast_to(within[:, None, None, None], (within.size, *asked.shape)), asked


def _times(something: np.ndarray, late: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(sets, runs): a step drawn among those with something forbidden, early ones if there are any; -1 for none."""
    early = something & ~late
    among = np.where(early.any(-1, keepdims=True), early, something)
    drawn = np.where(among, generator.random(among.shape), -1.0)
    return np.where(among.any(-1), drawn.argmax(-1), -1)


def _run(shared: tuple[Watched, Any], one: tuple[Key, Any]) -> tuple[dict[str, Array], Array]:
    made, static = shared
    key, arrays = one
    policies, around = eqx.combine(arrays, static)
    first, *plugs = made.plugs(policies)
    run = rolled(made, (first, around, *plugs), key, made.game.steps)
    return run.seen, run.fault != NEVER


def _runs(play: Play, path: str, agent: int, actions: Array, times: np.ndarray) -> Seen:
    """Runs of each action at `times` (sets, runs), and last of the policies alone."""
    count, (sets, runs), agents = actions.shape[0], times.shape, play.made.agents[path]
    shape = (count + 1, sets, runs)
    at = np.concatenate([np.broadcast_to(times + 1, (count, sets, runs)), np.zeros((1, sets, runs), int)]).ravel()
    who = jnp.broadcast_to(jnp.arange(agents) == agent, (at.size, agents)).astype(jnp.float32)
    step = jnp.asarray(np.where(at > 0, at, -1))
    around = Override(path, repeated(jnp.concatenate([actions, actions[:1]]), sets * runs), Window(step, step, who))
    policies = tiled(repeated(dict(play.together), runs), count + 1)
    arrays, static = eqx.partition((policies, around), eqx.is_array)
    many, shared = (tiled(play.keys, (count + 1) * sets), arrays), (play.made, static)
    size = executor.chunk_size(_run, shared, many)
    rows, fault = executor.stack_rows(list(executor.chunks(_run, shared, many, size=size)))
    seen = {name: np.asarray(leaf, np.float64).reshape(*shape, *leaf.shape[1:]) for name, leaf in rows.items()}
    of = lambda kind: [leaf for name, leaf in seen.items() if name.startswith(kind)]  # noqa: E731
    none = [np.zeros((*shape, 1))]
    return Seen(
        paid=np.concatenate([leaf.reshape(*shape, -1) for leaf in (*of("reward:"), *of("welfare"))], axis=-1),
        own=seen[f"reward:{path}"][..., agent],
        counted=np.stack([leaf.reshape(*shape, -1).sum(-1) for leaf in of("limit:") or none], axis=-1),
        residual=np.max([leaf.max(-1) for leaf in of("residual:") or none], axis=0),
        fault=np.asarray(fault).reshape(shape),
    )


def _tried(seen: Seen, may: np.ndarray, times: np.ndarray, discount: float) -> Tried:
    """`may` (actions, sets, runs): what is allowed at the step at which it is tried; `times`: -1 for no such step."""
    fault, valid = seen.fault[:-1], times >= 0
    bad, good = ~may & valid, may & valid & ~fault
    finite = np.asarray(np.isfinite(seen.paid).all(-1), bool)
    broken = bad & ~fault & ~finite[:-1]
    close = _SAME * np.abs(seen.paid[finite]).max()
    alike, shown = np.zeros_like(bad), np.zeros_like(bad)
    for one in range(len(may)):
        for other in range(len(may)):
            both = bad[one] & good[other] & finite[one] & ~fault[one]
            same = both & (np.abs(seen.paid[one] - seen.paid[other]) <= close).all(-1)
            alike[one] |= same
            shown[one] |= same & (seen.counted[one] > seen.counted[other]).any(-1)
    done = bad & ~fault & ~broken & ~alike
    since = np.arange(seen.own.shape[-1]) - times[..., None]
    weights = np.where(since >= 0, float(discount) ** np.maximum(since, 0), 0.0)
    gain = (weights * np.where(finite[:-1, ..., None], seen.own[:-1] - seen.own[-1], 0.0)).sum(-1)
    return Tried(
        bad=bad,
        refused=bad & fault,
        broken=broken,
        alike=alike,
        done=done,
        shown=shown | (done & (seen.counted[:-1] > seen.counted[-1]).any(-1)),
        gain=np.where(done, gain, 0.0),
        usual=np.where(good, gain, 0.0),
        worst=float(np.where(bad & ~fault, seen.residual[:-1], 0.0).max()),
        before=float(seen.residual[-1].max()),
    )


def _best(gains: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sets,) the action with the largest mean in half of the runs, and (sets, runs) its gains in the others."""
    half = gains.shape[2] // 2
    chosen = gains[:, :, :half].mean(2).argmax(0)
    return chosen, gains[chosen, np.arange(chosen.size)][:, half:]


def _verdict(path: str, agent: int, found: Tried, actions: Array, scale: float) -> Verdict:
    """`scale`: of the pay of a step."""
    chosen, best = _best(found.gain)
    _, usual = _best(np.concatenate([np.zeros_like(found.usual[:1]), found.usual]))  # its policy is allowed too
    paid = Deviation(path, agent, said(np.asarray(actions)[chosen[0]]), usual, best)
    shares = {name: found.share(getattr(found, name)) for name in ("refused", "alike", "done", "broken", "shown")}
    breaks = found.worst > ROUNDING >= found.before
    numbers = {"tried": float(found.bad.sum()), **shares, "gain": paid.gain, "error": paid.error, "ledger": found.worst}
    refused, alike, done, shown = (f"{100 * shares[name]:.3g} %" for name in ("refused", "alike", "done", "shown"))
    told = (
        f"{path}: of what is forbidden to agent {agent}, tried once in a run, {refused} met a fault, {alike} was taken "
        f"for what is allowed and {done} was done"
    )
    harms = [f"one such step earns {paid.gain:.3g} (error {paid.error:.2g}) more than what is allowed ({paid.how})"]
    harms = harms if paid.pays(scale) else []
    harms += [f"it changes a ledger by up to {100 * found.worst:.2g} %"] if breaks else []
    harms += ["pay is not finite after it"] if found.broken.any() else []
    if harms:
        return Verdict(_subject(path, agent), Code.FORBIDDEN_DONE, f"{told}: {'; '.join(harms)}.", numbers)
    if (found.bad & ~found.refused & ~(found.alike & found.shown)).any():
        sentence = f"{told}. It pays nobody who does it, and a limit shows {shown} of it."
        return Verdict(_subject(path, agent), Code.FORBIDDEN_UNSEEN, sentence, numbers)
    return Verdict(
        _subject(path, agent), Code.FORBIDDEN_REFUSED, f"{told}. A limit shows all that was let pass.", numbers
    )
