"""The draw: every chance event and every choice of a model is asked of it by name."""

import operator
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Bool, Float, Int

from .._errors import SiteError
from .._types import Key
from . import distributions as d
from .choice import Choice
from .noise import MANY_TURNS, as_float, fold
from .plug import Plug
from .shapes import check_name, check_shapes, masked, same_tree, strong, zeros
from .site import Frame, Listed, Site, stable_hash

Carry = TypeVar("Carry")
Number = float | int | Array
Size = int | tuple[int, ...] | None


class Draw:
    """Asked by name for every number that a model leaves to chance or to choice.

    The numbers of a site are folded from the run's key, the time and the site's name: reordering statements, adding
    sites or changing capacity changes no other draw, and two runs with one key share them (common random numbers).

    Shapes: the non-scalar arguments, `where` and `size` of a site all have one shape, the population's; all sites of
    one draw share its leading axis. A sub-population takes a `child`. If every argument is a scalar, `size` is needed
    (`size=()` for one number).

    `where` masks: an agent whose `where` is 0 gets 0, its parameters are not checked, and no gradient passes
    through them.

    Numbers returned are float32. A draw belongs to one trace: inside a `vmap`, `scan`, `cond` or `jit` of your own it
    raises a `SiteError` (use shapes, `draw.loop` and `where=`).
    """

    def __init__(
        self,
        key: Key,
        time: Int[Array, ""] | int = 0,
        *,
        plugs: tuple[Plug, ...] = (),
        frame: Frame | None = None,
        path: str = "",
        follow: Int[Array, " agents"] | None = None,
    ):
        self._key = key
        self._time = jnp.asarray(time, jnp.int32)
        self._plugs = plugs
        self._frame = Frame() if frame is None else frame
        self._path = path
        self._follow = follow
        self._trace = get_opaque_trace_state(convention="nnx")
        self._names: dict[int, str | int] = {}
        self._texts: set[str] = set()
        self._children: list[Draw] = []
        self._agents: int | None = None if follow is None else follow.shape[0]
        self._closed = False

    # Chance

    def bernoulli(
        self, name: str, p: Number, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """1 with probability `p`, else 0."""
        return self._site(name, d.Bernoulli(as_float(p)), where, size)

    def binomial(
        self, name: str, n: Number, p: Number, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """The number of successes in `n` trials, each with probability `p`."""
        return self._site(name, d.Binomial(as_float(n), as_float(p)), where, size)

    def poisson(
        self, name: str, rate: Number, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """A count with mean `rate`."""
        return self._site(name, d.Poisson(as_float(rate)), where, size)

    def geometric(
        self, name: str, p: Number, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """The number of trials, from 1, until the first success of probability `p`."""
        return self._site(name, d.Geometric(as_float(p)), where, size)

    def exponential(
        self, name: str, rate: Number, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """A waiting time with hazard `rate` (mean 1/`rate`)."""
        return self._site(name, d.Exponential(as_float(rate)), where, size)

    def normal(
        self, name: str, mean: Number = 0.0, sd: Number = 1.0, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """A Gaussian number."""
        return self._site(name, d.Normal(as_float(mean), as_float(sd)), where, size)

    def uniform(
        self, name: str, low: Number = 0.0, high: Number = 1.0, *, where: Array | None = None, size: Size = None
    ) -> Float[Array, "*population"]:
        """A number evenly spread between `low` and `high`."""
        return self._site(name, d.Uniform(as_float(low), as_float(high)), where, size)

    def categorical(self, name: str, logits: Array, *, where: Array | None = None, size: Size = None) -> Choice:
        """One option an agent, with probabilities softmax(`logits`) over the last axis; logits (options,) are shared
        by the population and need `size`.
        """
        return self._site(name, d.Categorical(as_float(logits)), where, size)

    def choice(self, name: str, options: int, count: int, *, weights: Array | None = None) -> Int[Array, " count"]:
        """`count` distinct indices out of `options`, one by one in proportion to `weights` (options,)."""
        if not 0 <= count <= options:
            raise SiteError(f"site '{self._at(name)}': cannot choose {count} of {options} without replacement")
        logs = jnp.zeros(options, jnp.float32) if weights is None else jnp.log(as_float(weights))
        if logs.shape != (options,):
            raise SiteError(f"site '{self._at(name)}': weights have shape {logs.shape}, not ({options},)")
        return self._site(name, d.Subset(logs, count), None, None, free=True)

    def permutation(self, name: str, options: int) -> Int[Array, " options"]:
        """The numbers 0 to `options` - 1 in random order."""
        return self._site(name, d.Permutation(options), None, None, free=True)

    # Kinks: deterministic sites, through which a relaxation can send a gradient

    def threshold(self, name: str, margin: Array, *, where: Array | None = None) -> Float[Array, "*population"]:
        """1 where `margin` > 0, else 0."""
        return self._site(name, d.Threshold(as_float(margin)), where, None, lone=True)

    def top_k(self, name: str, scores: Float[Array, " agents"], k: int) -> Float[Array, " agents"]:
        """1 for the `k` largest scores (the earlier of equals), else 0."""
        scores = as_float(scores)
        if scores.ndim != 1 or not 0 <= k <= scores.shape[0]:
            raise SiteError(
                f"site '{self._at(name)}': top_k wants scores (agents,) and k <= agents, not {k} of {scores.shape}"
            )
        return self._site(name, d.TopK(scores, k), None, None)

    def sort(self, name: str, values: Float[Array, " agents"]) -> Float[Array, " agents"]:
        """The values in rising order."""
        values = as_float(values)
        if values.ndim != 1:
            raise SiteError(f"site '{self._at(name)}': sort wants values (agents,), not {values.shape}")
        return self._site(name, d.Sort(values), None, None)

    def match(self, name: str, scores: Float[Array, "rows columns"]) -> Choice:
        """The one-to-one assignment of rows to columns with the largest total score: each row's column."""
        scores = as_float(scores)
        if scores.ndim != 2:
            raise SiteError(f"site '{self._at(name)}': match wants scores (rows, columns), not {scores.shape}")
        return self._site(name, d.Match(scores), None, None, free=True)

    # Choice

    def decide(self, name: str, view: Any, rule: Callable[[Any, "Draw"], Any], *, where: Array | None = None) -> Any:
        """What each agent does on what it sees.

        **Arguments:** `view`: a tree of arrays with agents on the leading axis; `rule(view, draw)`: the actions of
        the whole population, a tree of arrays with agents on the leading axis, its chance events asked of its own
        draw; `where`: who decides (the others' actions are 0). A policy, an intervention or a rival rule may stand
        in; the rule stays the baseline.
        """
        return self._site(name, d.Decision(jax.tree.map(jnp.asarray, view), rule), where, None, lone=True)

    # Structure

    @property
    def time(self) -> Int[Array, ""]:
        """The step being taken: 0 in `init`, then 1, 2, ..."""
        self._guard("time")
        return self._time

    @property
    def tape(self) -> dict[str, Any]:
        """What plugs have noted so far in this step, site path to note."""
        self._guard("tape")
        return self._frame.tape

    def child(self, name: str | int, *, follow: Int[Array, " agents"] | None = None) -> "Draw":
        """A draw for a sub-population, or for one of several alike (a static integer).

        **Arguments:** `follow`: the agents' identities, (agents,) integers: each agent's numbers then follow it and
        not its slot.
        """
        if isinstance(name, bool) or not isinstance(name, (str, int)):
            raise SiteError(
                f"child of '{self._path or 'draw'}': the name must be a text or a plain integer, "
                f"not {type(name).__name__}; for a loop use draw.loop"
            )
        check_name("child", name)
        made = self._make(self._claim(name), self._at(name), self._frame, follow=follow)
        self._children.append(made)
        return made

    def around(self, plug: Plug) -> "Draw":
        """The same draw with one more plug around its sites, outermost: for a model that governs another."""
        self._guard("around")
        made = self._make(self._key, self._path, self._frame, follow=self._follow)
        made._plugs = (plug, *self._plugs)
        self._children.append(made)
        return made

    def loop(self, name: str, n: int, body: Callable[["Draw", Int[Array, ""], Carry], Carry], carry: Carry) -> Carry:
        """`carry = body(draw, i, carry)` for i = 0 .. n-1, each with its own numbers, compiled once.

        `n` is a plain integer; for fewer turns on some runs or agents, mask with where=.
        """
        check_name("loop", name)
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise SiteError(f"loop '{self._at(name)}': the number of turns is a plain integer from 0, not {n}")
        key, path, outer = self._claim(name), self._at(name), self._frame
        long = outer.long or n >= MANY_TURNS
        carry = jax.tree.map(strong, carry)
        memory = outer.memory
        if memory is None:
            memory = self._discover(body, carry, key, path)
        inside = {site: tree for site, tree in memory.items() if site.startswith(f"{path}/")}
        given = {site: tree for site, tree in outer.given.items() if site.startswith(f"{path}/")}
        listed: dict[str, Listed] = {}

        def turn(state: tuple[Carry, dict[str, Any]], at: tuple[Array, dict[str, Any]]) -> Any:
            i, here = at
            frame = Frame(given=here, memory=state[1], state=outer.state, long=long)
            inner = self._make(fold(key, i, written=long), path, frame, follow=self._follow)
            after = same_tree(f"loop '{path}'", "carry", state[0], body(inner, i, state[0]))
            inner.close()
            listed.update(frame.listed)
            return (after, {**state[1], **frame.memory_after}), (frame.tape, frame.faults)

        (carry, memory_after), (tape, faults) = jax.lax.scan(turn, (carry, inside), (jnp.arange(n), given))
        outer.tape.update(tape)
        for site, flags in faults.items():
            outer.faults[site] = flags.any()
        outer.memory_after.update(memory_after)
        for site, row in listed.items():
            outer.listed[site] = Listed(row.path, row.kind, row.shape, row.repeats * n)
        return carry

    def close(self) -> None:
        """No site after this: called when `init` or `step` returns."""
        self._closed = True
        for child in self._children:
            child.close()

    def faulty(self) -> Bool[Array, ""]:
        """Whether any site so far was given a number outside its domain."""
        flags = list(self._frame.faults.values())
        return jnp.stack(flags).any() if flags else jnp.array(False)

    # Inside

    def _make(self, key: Key, path: str, frame: Frame, follow: Array | None = None) -> "Draw":
        return Draw(key, self._time, plugs=self._plugs, frame=frame, path=path, follow=follow)

    def _discover(self, body: Callable[..., Any], carry: Any, key: Key, path: str) -> dict[str, Any]:
        """Zeros shaped like the memory of the policies inside a loop."""

        def once(carry: Any, key: Key) -> dict[str, Any]:
            frame = Frame(state=self._frame.state)
            inner = self._make(key, path, frame, follow=self._follow)
            body(inner, jnp.int32(0), carry)
            return frame.memory_after

        shapes = jax.eval_shape(once, carry, key)
        return zeros(shapes)

    def _at(self, name: str | int) -> str:
        return f"{self._path}/{name}" if self._path else str(name)

    def _guard(self, what: str | int) -> None:
        path = self._at(what)
        if self._closed:
            raise SiteError(f"site '{path}': this draw is closed; a draw lives only until its init or step returns")
        if get_opaque_trace_state(convention="nnx") != self._trace:
            raise SiteError(
                f"site '{path}': a draw is used in another trace than its own "
                "(inside a vmap, scan, cond, grad or jit). "
                "Draw for the whole population at once, loop with draw.loop, and choose with where="
            )

    def _claim(self, name: str | int) -> Key:
        """The key of a name, which nothing else may take in this step."""
        self._guard(name)
        code = stable_hash(name)
        if str(name) in self._texts:
            raise SiteError(
                f"site '{self._at(name)}' is drawn twice in one step: give each its own name, or use a child"
            )
        known = self._names.get(code)
        if known is not None:
            raise SiteError(f"sites '{self._at(name)}' and '{self._at(known)}' share a hash: rename one of them")
        self._names[code] = name
        self._texts.add(str(name))
        return fold(self._key, code, written=self._frame.long)

    def _site(
        self,
        name: str,
        mechanism: d.Mechanism,
        where: Array | None,
        size: Size,
        *,
        free: bool = False,
        lone: bool = False,
    ) -> Any:
        if not isinstance(name, str):
            raise SiteError(f"a site's name is a text, not {name!r}")
        check_name("site", name)
        key, path = self._claim(name), self._at(name)
        mask = None if where is None else as_float(where)
        shape = mechanism.batch if free else self._shape(path, mechanism, mask, size, lone)
        mask = None if mask is None else jnp.broadcast_to(mask, shape)
        site = Site(path, mechanism, mask, shape, key, self._time, None if free else self._follow, self._frame)
        self._frame.listed[path] = Listed(path, mechanism.kind, shape)
        return self._through(0)(site)

    def _through(self, plug: int) -> Callable[[Site], Any]:
        if plug == len(self._plugs):
            return self._natural
        return lambda site: self._plugs[plug].around(site, self._through(plug + 1))

    def _natural(self, site: Site) -> Any:
        mechanism = site.mechanism
        check_shapes(site.path, mechanism, site.shape)
        if isinstance(mechanism, d.Decision):
            inner = self._make(site.key, site.path, self._frame, follow=self._follow)
            value = mechanism.rule(mechanism.view, inner)
            inner.close()
        else:
            value = mechanism.sample(site.noise, site.shape)
            wrong = ~mechanism.valid()
            if site.where is not None:
                wrong = wrong & (site.where > 0)
            site.fault(wrong.any())
        return value if site.where is None else masked(site.path, value, site.where)

    def _shape(self, path: str, mechanism: d.Mechanism, where: Array | None, size: Size, lone: bool) -> tuple[int, ...]:
        check_shapes(path, mechanism, mechanism.batch)
        shapes = {"its parameters": mechanism.batch}
        if where is not None:
            shapes["where"] = where.shape
        full = {label: shape for label, shape in shapes.items() if shape}
        if size is not None:
            full["size"] = tuple(size) if isinstance(size, (tuple, list)) else (operator.index(size),)
        if len(set(full.values())) > 1:
            listed = ", ".join(f"{label} {shape}" for label, shape in full.items())
            raise SiteError(f"site '{path}': shapes do not fit: {listed}; all must be the population's")
        if not any(full.values()):
            if size is None and not lone:
                raise SiteError(
                    f"site '{path}': every argument is shared by all, so one number would serve everyone; "
                    "say size=agents for one each, or size=() for one in all"
                )
            return ()
        shape = next(iter(full.values()))
        if self._agents is None:
            self._agents = shape[0]
        if shape[0] != self._agents:
            raise SiteError(
                f"site '{path}' has {shape[0]} agents, the draw's other sites {self._agents}; "
                "give a sub-population a draw of its own: draw.child('name')"
            )
        return shape
