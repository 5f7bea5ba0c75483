"""What a derivative survives: a walk over a traced program that follows the sites' values to its outputs.

A comparison, a cast to an integer or an argmax has the derivative zero, and says nothing: what hangs on it gets a
gradient of exactly 0 where the model's true derivative may be anything. The walk finds such places and their lines.
"""

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.extend.core import Literal, Primitive
from jax.extend.source_info_util import summarize
from jaxtyping import Array

_CORE = Path(__file__).parent
_HELPERS = (_CORE, _CORE.parent / "interact")
_DRIVERS = (_CORE / "simulate.py", _CORE / "sites.py")
_FRAME = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::\d+)? \(.*\)$")
_STOPS = {"floor", "ceil", "round", "sign", "stop_gradient", "nextafter"}
_PLAIN = {
    **{"gt": ">", "lt": "<", "ge": ">=", "le": "<=", "eq": "==", "ne": "!="},
    **{"convert_element_type": "integer cast", "is_finite": "isfinite", "sort": "sort order", "top_k": "top_k order"},
}
_INTEGER = "integer value"
_LARGE = {"nn", "ops", "scipy", "stats"}


@dataclass(frozen=True)
class Loss:
    """A place that no derivative passes: the user's line (file:number, or nothing), what is done there, and whether
    it is a library's own way (a site's mask, a softmax's maximum), which is no loss where a gradient passes beside it.
    """

    line: str
    what: str
    ours: bool = False

    def order(self) -> tuple[bool, str, int, str]:
        """To sort by: file, line, what; those without a line come last."""
        file, _, number = self.line.rpartition(":")
        return (not self.line, file, int(number or 0), self.what)

    def __str__(self) -> str:
        return f"{self.what} ({self.line})" if self.line else self.what


@dataclass(frozen=True)
class Flow:
    """How an array depends on sites: `smooth`: with a derivative; `whole`: it is a site's integer value, not yet
    used; `lost`: only through a place that no derivative passes.
    """

    smooth: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()
    lost: frozenset[tuple[str, Loss]] = frozenset()

    def __or__(self, other: "Flow") -> "Flow":
        return Flow(self.smooth | other.smooth, self.whole | other.whole, self.lost | other.lost)


def join(flows: Sequence[Flow]) -> Flow:
    """What depends on all of them."""
    return Flow(
        frozenset().union(*(f.smooth for f in flows)),
        frozenset().union(*(f.whole for f in flows)),
        frozenset().union(*(f.lost for f in flows)),
    )


@dataclass(frozen=True)
class Place:
    """Where an equation was written: the user's line; whether populace's core wrote it; whether some library did."""

    line: str = ""
    core: bool = False
    ours: bool = False


NOWHERE = Place()


class Source:
    """Finds an equation's place when it is asked for: most equations lose nothing and never are."""

    def __init__(self, equation: Any, outer: "Source | None"):
        self._info, self._outer = equation.source_info, outer

    @functools.cached_property
    def place(self) -> Place:
        """JAX's own compiled functions keep no lines inside: theirs is the caller's."""
        found = [match for text in summarize(self._info, 100).splitlines() if (match := _FRAME.match(text))]
        frames = [(Path(match["file"]), match["line"]) for match in reversed(found)]
        drivers = [i for i, (file, _) in enumerate(frames) if file in _DRIVERS]
        frames = frames[: drivers[0]] if drivers else frames
        if not frames:
            return NOWHERE if self._outer is None else self._outer.place
        file, line = next(((file, line) for file, line in frames if _of_model(file)), frames[0])
        core = frames[0][0].is_relative_to(_CORE)
        return Place(f"{file.name}:{line}", core, core or _of_jax_nn(self._info))


_mark = Primitive("populace_site")
_mark.def_abstract_eval(lambda value, *_, site, mask: value)


def mark(value: Array, causes: Sequence[Array], site: str) -> Array:
    """`value`, marked for the walk as drawn at `site` from `causes`. For traces that are read, never run."""
    return _mark.bind(jnp.asarray(value), *causes, site=site, mask=False)


def mark_mask(where: Array, site: str) -> Array:
    """`where`, marked for the walk as the mask of `site`."""
    return _mark.bind(where, site=site, mask=True)


def walk(jaxpr: Any, inputs: Sequence[Flow], outer: Source | None = None) -> list[Flow]:
    """The flow of each output of `jaxpr`, given that of each input."""
    known: dict[Any, Flow] = dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Flow:
        return Flow() if isinstance(atom, Literal) else known.get(atom, Flow())

    for equation in jaxpr.eqns:
        flows = _through(equation, [read(atom) for atom in equation.invars], Source(equation, outer))
        known.update(zip(equation.outvars, flows, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _through(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    special = _SPECIAL.get(equation.primitive.name)
    if special is not None:
        return special(equation, inputs, source)
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    inner = getattr(inner, "jaxpr", inner)
    if inner is None or len(inner.invars) != len(inputs) or len(inner.outvars) != len(equation.outvars):
        return _plain(equation, inputs, source)
    flows = walk(inner, inputs, source)
    if any(summarize(each.source_info) for each in inner.eqns):
        return flows
    return [_as_one(flow, join(inputs), _name(equation)) for flow in flows]


def _as_one(flow: Flow, before: Flow, name: str) -> Flow:
    """A compiled function of JAX's own is one operation: what passes it is not lost in it, and a loss has its name."""
    new = {(site, loss) for site, loss in flow.lost - before.lost if site not in flow.smooth}
    named = {(site, loss if loss.what == _INTEGER else Loss(loss.line, name, loss.ours)) for site, loss in new}
    return Flow(flow.smooth, flow.whole, (flow.lost & before.lost) | named)


def _plain(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    """An operation on arrays: what it makes of floats is smooth, unless it is a step function."""
    cause = join(inputs)
    smooth = [_is_float(out) and equation.primitive.name not in _STOPS for out in equation.outvars]
    if not cause.whole and (all(smooth) or not cause.smooth):
        return [cause for _ in smooth]
    place, lost, whole = source.place, cause.lost, cause.whole
    if not place.core:
        lost, whole = lost | {(site, Loss(place.line, _INTEGER)) for site in whole}, frozenset()
    loss = Loss(place.line, _name(equation), place.ours)
    passed = Flow(cause.smooth, whole, lost)
    stopped = Flow(frozenset(), whole, lost | {(site, loss) for site in cause.smooth})
    return [passed if passes else stopped for passes in smooth]


def _of_mark(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    cause, site = join(inputs), equation.params["site"]
    if equation.params["mask"]:
        loss = Loss("", f"where= of '{site.partition(':')[2]}'", ours=True)
        return [Flow(frozenset(), cause.whole, cause.lost | {(s, loss) for s in cause.smooth})]
    sites = cause.smooth | {site}
    if _is_float(equation.outvars[0]):
        return [Flow(sites, cause.whole, cause.lost)]
    return [Flow(frozenset(), cause.whole | sites, cause.lost)]


def _custom(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    """A function with its own derivative is trusted to have one. (`Choice.take` needs the index it is given.)"""
    if any(flow.whole for flow in inputs) and source.place.core:
        inputs = [Flow(flow.smooth, frozenset(), flow.lost) for flow in inputs]
    return _plain(equation, inputs, source)


def _sort(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    """A sorted array is smooth in itself; another array in its order is not smooth in it."""
    keys = equation.params["num_keys"]
    out = []
    for position, flow in enumerate(_plain(equation, inputs, source)):
        order = [f for i, f in enumerate(inputs[:keys]) if i != position]
        loss = Loss(source.place.line, _name(equation), source.place.ours)
        lost = flow.lost | {(site, loss) for f in order for site in f.smooth}
        out.append(Flow(inputs[position].smooth, flow.whole, lost))
    return out


def _scan(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    body, first, n = equation.params["jaxpr"].jaxpr, equation.params["num_consts"], equation.params["num_carry"]

    def turn(carry: list[Flow]) -> list[Flow]:
        return walk(body, inputs[:first] + carry + inputs[first + n :], source)

    carry = settle(lambda carry: turn(carry)[:n], inputs[first : first + n])
    return carry + turn(carry)[n:]


def _while(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    cond, body = equation.params["cond_jaxpr"].jaxpr, equation.params["body_jaxpr"].jaxpr
    a, b = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    carry = settle(lambda carry: walk(body, inputs[a : a + b] + carry, source), inputs[a + b :])
    (going,) = walk(cond, inputs[:a] + carry, source)
    return [flow | going for flow in carry]


def _cond(equation: Any, inputs: list[Flow], source: Source) -> list[Flow]:
    which, rest = inputs[0], inputs[1:]
    branches = [walk(branch.jaxpr, rest, source) for branch in equation.params["branches"]]
    return [join([which, *flows]) for flows in zip(*branches, strict=True)]


def settle(turn: Callable[[list[Flow]], list[Flow]], start: list[Flow]) -> list[Flow]:
    """The flows that come back as they went in, from `start` upwards: a loop's fixed point."""
    now = list(start)
    while True:
        after = [old | new for old, new in zip(now, turn(now), strict=True)]
        if after == now:
            return now
        now = after


_SPECIAL: dict[str, Callable[[Any, list[Flow], Source], list[Flow]]] = {
    "populace_site": _of_mark,
    "custom_jvp_call": _custom,
    "custom_vjp_call": _custom,
    "custom_vjp_call_jaxpr": _custom,
    "sort": _sort,
    "scan": _scan,
    "while": _while,
    "cond": _cond,
}


def _is_float(variable: Any) -> bool:
    return jnp.issubdtype(variable.aval.dtype, jnp.inexact)


def _name(equation: Any) -> str:
    name = equation.primitive.name
    if "name" in equation.params:
        return str(equation.params["name"]).strip("_")
    return str(_PLAIN.get(name, name))


def _of_jax_nn(info: Any) -> bool:
    """Whether one of JAX's larger functions that it does not compile as one (softmax, logsumexp) wrote this."""
    for frame in getattr(info.traceback, "frames", None) or ():
        parts = Path(frame.file_name).parts
        if "jax" not in parts:
            return False
        if parts[-2] in _LARGE:
            return True
    return False


def _of_model(file: Path) -> bool:
    if any(file.is_relative_to(helper) for helper in _HELPERS):
        return False
    return file.is_relative_to(_CORE.parent) or "site-packages" not in file.parts
