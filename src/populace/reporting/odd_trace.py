"""What a model does in `init`, in a step and in `observe`, read off a trace: sites in order, and what hangs on what.

The model is traced and not run. Every site's value is replaced by a number that comes from nowhere but the site, so
that what a site, a state variable or an observation hangs on is what it hangs on directly: the parameters, state
variables and sites that stand in its own formula.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from .._types import Key
from ..core.distributions import Decision
from ..core.flow import Flow, mark, walk
from ..core.model import Model, parameters, settled
from ..core.plug import Plug, Proceed
from ..core.simulate import first_state, next_state
from ..core.site import Frame, Listed, Site

TIME = "the step's number"


@dataclass(frozen=True)
class Variable:
    """An array of the state, a view or an observation: dotted `name` ("" for a bare array), `shape`, `dtype`."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> str:
        """The shape in words."""
        return " x ".join(map(str, self.shape)) or "one"


@dataclass(frozen=True)
class Causes:
    """What something hangs on directly: names of parameters, of other arrays of the model, of state variables and of
    sites; and whether the step's number enters.
    """

    parameters: tuple[str, ...] = ()
    world: tuple[str, ...] = ()
    state: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    time: bool = False

    def names(self) -> str:
        """All of them, in one line."""
        shown = [*self.parameters, *self.world, *self.state, *self.sites, *([TIME] if self.time else [])]
        return ", ".join(dict.fromkeys(shown))


@dataclass(frozen=True)
class Asked:
    """A site: what is `listed`; how many arrays it was `given`; whether it is `masked`; the `rule` and the `view` of a
    decision; its `causes`.
    """

    listed: Listed
    given: int
    masked: bool
    rule: Any | None
    view: tuple[Variable, ...]
    causes: Causes = field(default_factory=Causes)


@dataclass(frozen=True)
class Traced:
    """A model's `state` and `observations` with their causes, and its sites in `init` and in a step, as asked.

    `start`, `change`, `seen`: the name of a state variable or observation to what it hangs on at time 0, after a step,
    and when it is observed. `empty`: the state as shapes.
    """

    empty: Any
    state: tuple[Variable, ...]
    observations: tuple[Variable, ...]
    init: tuple[Asked, ...]
    step: tuple[Asked, ...]
    start: dict[str, Causes]
    change: dict[str, Causes]
    seen: dict[str, Causes]

    def asked(self) -> tuple[Asked, ...]:
        """All sites, those of `init` first."""
        return (*self.init, *self.step)


class _Reading(Plug):
    """Notes what each site is given, and answers with a value that comes from the site alone."""

    found: dict[str, Asked] = eqx.field(static=True)

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        mechanism = site.mechanism
        decides = isinstance(mechanism, Decision)
        given = jax.tree.leaves(mechanism.view if decides else mechanism)
        given += [] if site.where is None else [site.where]
        site.emit({"given": given})
        rule, view = (mechanism.rule, variables(mechanism.view)) if decides else (None, ())
        self.found[site.path] = Asked(site.frame.listed[site.path], len(given), site.where is not None, rule, view)
        return jax.tree.map(lambda leaf: mark(jnp.zeros_like(leaf), (), f"site:{site.path}"), proceed(site))


def traced(model: Model) -> Traced:
    """Read a model.

    **Raises:** `SiteError` and `StateError`, as running it would.
    """
    model = settled(model)
    arrays, static = eqx.partition(model, eqx.is_array)
    found: dict[str, dict[str, Asked]] = {"init": {}, "step": {}}
    listed: dict[str, dict[str, Listed]] = {}

    def at_first(arrays: Any, key: Key) -> Any:
        frame = Frame()
        state = first_state(eqx.combine(arrays, static), key, (_Reading(found["init"]),), frame)
        listed["init"] = frame.listed
        return state, _given(frame)

    def at_step(arrays: Any, state: Any, time: Any, key: Key) -> Any:
        frame = Frame()
        after = next_state(eqx.combine(arrays, static), key, time, state, (_Reading(found["step"]),), frame)
        listed["step"] = frame.listed
        return after, _given(frame)

    def at_end(arrays: Any, state: Any) -> Any:
        return eqx.combine(arrays, static).observe(state)

    key, time = jr.key(0), jnp.int32(1)
    names = _names_of(model, arrays)
    first, (empty, _) = jax.make_jaxpr(at_first, return_shape=True)(arrays, key)
    state = variables(empty)
    later, _ = jax.make_jaxpr(at_step, return_shape=True)(arrays, empty, time, key)
    end, seen = jax.make_jaxpr(at_end, return_shape=True)(arrays, empty)
    of_model = [Flow(smooth=frozenset({name})) for name in names]
    of_state = [Flow(smooth=frozenset({f"state:{each.name}"})) for each in state]
    start = _causes(walk(first.jaxpr, [*of_model, Flow()]))
    change = _causes(walk(later.jaxpr, [*of_model, *of_state, Flow(smooth=frozenset({"time:"})), Flow()]))
    shown = _causes(walk(end.jaxpr, [*of_model, *of_state]))
    observations = variables(seen)
    return Traced(
        empty,
        state,
        observations,
        _joined(listed["init"], found["init"], start[len(state) :]),
        _joined(listed["step"], found["step"], change[len(state) :]),
        {each.name: causes for each, causes in zip(state, start, strict=False)},
        {each.name: causes for each, causes in zip(state, change, strict=False)},
        {each.name: causes for each, causes in zip(observations, shown, strict=True)},
    )


def variables(tree: Any) -> tuple[Variable, ...]:
    """The arrays of a tree, which may be shapes only."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return tuple(Variable(dotted(path), tuple(leaf.shape), str(leaf.dtype)) for path, leaf in leaves)


def dotted(path: Sequence[Any]) -> str:
    """A path in a tree as people write it: `sheep.energy`."""
    pieces = []
    for key in path:
        match key:
            case GetAttrKey(name=name):
                pieces.append(name)
            case DictKey(key=name) | FlattenedIndexKey(key=name):
                pieces.append(str(name))
            case SequenceKey(idx=place):
                pieces.append(str(place))
            case _:
                pieces.append(str(key).strip("."))
    return ".".join(pieces)


def _given(frame: Frame) -> list[list[Any]]:
    """What each site was given, in the order in which they are listed; loops hand theirs up on the tape."""
    return [frame.tape[path]["given"] for path in frame.listed]


def _names_of(model: Model, arrays: Any) -> list[str]:
    """What each array of the model is called: a parameter, or the field of the model that it is a part of."""
    known = parameters(model)
    names = []
    for path, _ in jax.tree_util.tree_flatten_with_path(arrays)[0]:
        name = dotted(path)
        names.append(f"parameter:{name}" if name in known else f"world:{name.partition('.')[0]}")
    return names


def _causes(flows: Sequence[Flow]) -> list[Causes]:
    return [_sorted_out(flow.smooth | flow.whole | {site for site, _ in flow.lost}) for flow in flows]


def _sorted_out(names: frozenset[str]) -> Causes:
    kinds: dict[str, list[str]] = {"parameter": [], "world": [], "state": [], "time": [], "site": []}
    for name in sorted(names):
        kind, _, rest = name.partition(":")
        kinds[kind].append(rest)
    picked = (tuple(kinds[kind]) for kind in ("parameter", "world", "state", "site"))
    return Causes(*picked, time=bool(kinds["time"]))


def _joined(listed: dict[str, Listed], found: dict[str, Asked], flows: Sequence[Causes]) -> tuple[Asked, ...]:
    """The sites as listed, each with the causes of all that it was given; `flows` holds an entry an array given."""
    rows, place = [], 0
    for path, row in listed.items():
        asked = found[path]
        causes = _union(flows[place : place + asked.given])
        rows.append(dataclasses.replace(asked, listed=row, causes=causes))
        place += asked.given
    return tuple(rows)


def _union(causes: Sequence[Causes]) -> Causes:
    kinds = [(each.parameters, each.world, each.state, each.sites) for each in causes]
    together = [tuple(sorted(set().union(*kind))) for kind in zip(*kinds, strict=True)] or [()] * 4
    return Causes(*together, time=any(each.time for each in causes))
