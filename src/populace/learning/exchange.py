"""What a gain hangs on: policies that see, in place of one part of their view, that of another run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._results import Code, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.distributions import Decision
from ..core.plug import Plug, Proceed
from ..core.site import Site
from . import findings
from .deviations import Play, repeated, tiled
from .game import Policies, Watched
from .policies import leaf_names
from .rollout import Score, rollout, score
from .statistics import Middle, middle_of

_SMALL = 0.02
_PARTS = 12
"""Parts of a view that are exchanged at most."""


class Exchanged(Plug):
    """At a decision, some parts of what agents see are what agents of another run saw at that step. `values`: the view,
    (steps, agents, ...); `chosen`: (parts,) 1 for those that are.
    """

    site: str = eqx.field(static=True)
    values: Any
    chosen: Float[Array, " parts"]

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site or not isinstance(site.mechanism, Decision):
            return proceed(site)
        own, form = jax.tree.flatten(site.mechanism.view)
        others = jax.tree.leaves(self.values)
        step = jnp.clip(site.time - 1, 0, others[0].shape[0] - 1)
        leaves = [jnp.where(self.chosen[i] > 0, others[i][step], leaf) for i, leaf in enumerate(own)]
        return proceed(site.with_mechanism(Decision(jax.tree.unflatten(form, leaves), site.mechanism.rule)))


def _notes(shared: tuple[Watched, Any], one: tuple[Key, Any]) -> Any:
    watched, static = shared
    key, arrays = one
    run = rollout(watched, eqx.combine(arrays, static), key, watched.game.steps, ())
    return {path: {part: note[part] for part in ("view", "where")} for path, note in run.notes.items()}


def notes(play: Play) -> dict[str, Any]:
    """Site to the `view` of all there and `where` they are asked: (sets, runs, steps, agents, ...)."""
    arrays, static = eqx.partition(dict(play.together), eqx.is_array)
    sets, runs = len(play.policies), play.keys.shape[0]
    many = (tiled(play.keys, sets), repeated(arrays, runs))
    size = executor.chunk_size(_notes, (play.made, static), many)
    rows = executor.stack_rows(list(executor.chunks(_notes, (play.made, static), many, size=size)))
    return jax.tree.map(lambda leaf: np.asarray(leaf).reshape(sets, runs, *leaf.shape[1:]), rows)


@dataclass(frozen=True)
class Reliance:
    """What becomes of the gain over the rule at a site where one part of the view is another run's.

    `hidden`: whether the learner declares that agents could not know it; `remains`: of the gain; `lost`: by those who
    learn; `looks`: whether the rule decides otherwise without it.
    """

    part: str
    hidden: bool
    remains: Middle
    lost: Middle
    looks: bool


def reliances(pair: tuple[Play, Play], path: str, generator: np.random.Generator) -> list[Reliance]:
    """Part by part of the view at a site. `pair`: the policies and the rule at play."""
    play, by_rule = pair
    made, sets = play.made, len(play.policies)
    seen_parts = leaf_names(made.views[path])
    names = seen_parts[:_PARTS]
    chosen = jnp.eye(len(names), len(seen_parts))
    # Each run gets what the next one saw, of the same set.
    seen = jax.tree.map(lambda leaf: jnp.asarray(np.roll(leaf, -1, axis=1)), notes(play)[path]["view"])
    without = _without(made, play.together, play.keys, Exchanged(path, seen, chosen), sets)
    one_set = jax.tree.map(lambda leaf: leaf[:1], seen)
    rule = _without(made, {}, play.keys, Exchanged(path, one_set, chosen), 1)
    own = findings.learners_mean(made, play.scores, path)
    usual = findings.learners_mean(made, by_rule.scores, path)
    out = []
    for number, part in enumerate(names):
        other = findings.learners_mean(made, without, path)[number * sets : (number + 1) * sets]
        looks = bool((rule.returns(path)[number] != by_rule.scores.returns(path)[0]).any())
        remains, lost = middle_of(other - usual, generator), middle_of(own - other, generator)
        out.append(Reliance(part, part in made.game.learners[path].hidden, remains, lost, looks))
    return out


def _without(made: Watched, together: Policies, keys: Key, swap: Exchanged, sets: int) -> Score:
    """Scores of all sets without the first part, then of all without the second, ..."""
    count, runs = swap.chosen.shape[0], keys.shape[0]
    chosen = jnp.broadcast_to(swap.chosen[:, None, None], (count, sets, runs, swap.chosen.shape[1]))
    around = Exchanged(swap.site, tiled(swap.values, count), chosen.reshape(count * sets, runs, -1))
    return score(made, tiled(dict(together), count), keys, sets=count * sets, around=(around,))


def leaks(path: str, gain: Middle, found: Sequence[Reliance], scale: float) -> list[Verdict]:
    """A verdict for each part that agents could not know."""
    out = []
    for one in found:
        if not one.hidden:
            continue
        subject = f"'{one.part}' at {path}"
        numbers = {"gain": gain.middle, "remains": one.remains.middle, "lost": one.lost.middle}
        what = f"with that of another run in its place, {one.remains.middle:+.3g} remains of {gain.middle:+.3g}"
        if one.lost.low > 0 and one.lost.middle > _SMALL * scale:
            sentence = f"{path}: the gain over the rule hangs on '{one.part}', which agents could not know: {what}."
            out.append(Verdict(subject, Code.LEAK, sentence, numbers))
        else:
            sentence = f"{path}: no pay hangs on '{one.part}', which agents could not know: {what}."
            out.append(Verdict(subject, Code.NO_LEAK, sentence, numbers))
    return out


def as_table(path: str, found: Sequence[Reliance]) -> Table:
    """For the page."""
    rows = tuple(
        (one.part, one.remains.middle, one.lost.middle, one.lost.low, one.lost.high, one.looks, one.hidden)
        for one in found
    )
    columns = ("part of the view", "gain that remains", "lost", "2.5 %", "97.5 %", "the rule looks at it", "hidden")
    note = "Agents see that part of another run, at the same step, in place of their own."
    return Table(f"What the gain hangs on at {path}", columns, rows, note)
