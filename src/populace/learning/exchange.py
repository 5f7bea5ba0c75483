"""What a gain hangs on: policies that see, in place of one part of their view, that of another run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._results import Code, Table, Verdict
from .._types import Key
from ..core import executor
from ..core.distributions import Decision
from ..core.plug import Plug, Proceed
from ..core.site import Site
from . import findings
from .deviations import Play
from .game import Watched
from .policies import leaf_name
from .rollout import rollout, score
from .statistics import Middle, middle_of

_SMALL = 0.02
_PARTS = 12
"""Parts of a view that are exchanged at most."""


def parts(view: Any) -> tuple[str, ...]:
    """The names of a view's leaves."""
    return tuple(leaf_name(where) for where, _ in jax.tree_util.tree_flatten_with_path(view)[0])


class Exchanged(Plug):
    """At a decision, one part of what agents see is what agents of another run saw at that step. `values`: (steps,
    agents, ...).
    """

    site: str = eqx.field(static=True)
    part: str = eqx.field(static=True)
    values: Array

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site or not isinstance(site.mechanism, Decision):
            return proceed(site)
        here = self.values[jnp.clip(site.time - 1, 0, self.values.shape[0] - 1)]
        swapped = lambda where, leaf: here if leaf_name(where) == self.part else leaf  # noqa: E731
        view = jax.tree_util.tree_map_with_path(swapped, site.mechanism.view)
        return proceed(site.with_mechanism(Decision(view, site.mechanism.rule)))


def _views(shared: tuple[Watched, Any], one: tuple[Key, Any]) -> Any:
    watched, static = shared
    key, arrays = one
    run = rollout(watched, eqx.combine(arrays, static), key, watched.game.steps, ())
    return {path: note["view"] for path, note in run.notes.items()}


def views(play: Play) -> dict[str, Any]:
    """Site to what all who are asked there see: (sets, runs, steps, agents, ...)."""
    arrays, static = eqx.partition(dict(play.together), eqx.is_array)
    sets, runs = len(play.policies), play.keys.shape[0]
    many = (jnp.tile(play.keys, sets), jax.tree.map(lambda leaf: jnp.repeat(leaf, runs, axis=0), arrays))
    first = jax.tree.map(lambda leaf: leaf[0], many)
    size = executor.chunk_size(_views, (play.made, static), first, sets * runs)
    rows = executor.stack_rows(list(executor.chunks(_views, (play.made, static), many, size=size)))
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
    learner = play.made.game.learners[path]
    seen, by_rule_seen = views(play)[path], views(by_rule)[path]
    out = []
    for part in parts(play.made.views[path])[:_PARTS]:
        without = score(play.made, play.together, play.keys, sets=len(play.policies), around=(_swap(path, part, seen),))
        rule = score(play.made, {}, play.keys, around=(_swap(path, part, by_rule_seen),))
        own, other = (findings.learners_mean(play.made, one, path) for one in (play.scores, without))
        usual = findings.learners_mean(play.made, by_rule.scores, path)
        out.append(
            Reliance(
                part,
                part in learner.hidden,
                middle_of(other - usual, generator),
                middle_of(own - other, generator),
                bool((rule.returns(path) != by_rule.scores.returns(path)).any()),
            )
        )
    return out


def _swap(path: str, part: str, seen: Any) -> Exchanged:
    """Each run gets the part that the next one saw, of the same set."""
    leaf = dict(zip(parts(seen), jax.tree.leaves(seen), strict=True))[part]
    return Exchanged(path, part, jnp.asarray(np.roll(leaf, -1, axis=1)))


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
