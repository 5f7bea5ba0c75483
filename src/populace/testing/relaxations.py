"""What every relaxation must do: the laws of `populace.Relaxation`, for those who write their own."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float

from .._types import Key
from ..core.choice import Choice
from ..core.draw import Draw
from ..core.ensemble import OneRun, one_run
from ..core.model import Model, parameter, parameters
from ..core.plug import Plug, Proceed
from ..core.record import EveryStep
from ..core.site import Site
from ..gradients.relaxation import Relaxation, guarded
from .plugs import check_plug

AGENTS = 2_000
"""Agents at a checked site."""
STEPS = 3
"""Steps of a checked run."""
SIGMAS = 4.0
"""How clear a mean must be, in standard errors."""
CLOSE = 1e-4
"""How far two ways to one derivative may differ, of the sum of its parts: rounding of float32."""

Law = Callable[["Probe"], None]


def check_relaxation(relaxation: Plug, key: Key, models: tuple[Model, ...] | None = None) -> None:
    """Check every law that `Relaxation` states; return if all hold.

    The sites that are checked are named for their kinds ("bernoulli", "binomial", "poisson", "geometric",
    "categorical", "threshold", "top_k", "sort", "match"); kinds that the relaxation leaves alone are passed over. Runs
    of `models` are compared to the bit with runs without it, and differentiated.

    **Arguments:** `relaxation`: a `Relaxation`, or any plug that means to be one; `models`: small ones, with
    parameters (`Chances` and `Kinks` if none are given); on one named `apart` no observation may depend.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    probes = [Probe(relaxation, name, key) for name in (*KINDS, "categorical")]
    for probe in (probe for probe in probes if probe.known()):
        for law in LAWS:
            law(probe)
    for model in (Chances(), Kinks()) if models is None else models:
        check_plug(relaxation, model, key, unchanged=True)
        _differentiates_runs(relaxation, model, key)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of site: `ask` draws for the parameters (agents,) and a mask, `inner` is an ordinary parameter at which
    the mean rises (1) or falls (-1), as `sign` says; `ends` are the numbers where formulas break.
    """

    ask: Callable[[Draw, Array, Array | None], Array]
    inner: float
    sign: int
    ends: tuple[float, ...]


KINDS: dict[str, Kind] = {
    "bernoulli": Kind(lambda d, p, where: d.bernoulli("bernoulli", p, where=where), 0.3, 1, (0.0, 1e-38, 1e-9, 1.0)),
    "binomial": Kind(lambda d, p, where: d.binomial("binomial", 4, p, where=where), 0.3, 1, (0.0, 1e-38, 1e-9, 1.0)),
    "poisson": Kind(lambda d, rate, where: d.poisson("poisson", rate, where=where), 2.0, 1, (0.0, 1e-38, 1e-9, 1e4)),
    "geometric": Kind(lambda d, p, where: d.geometric("geometric", p, where=where), 0.4, -1, (1e-30, 1e-9, 1.0)),
    "threshold": Kind(lambda d, m, where: d.threshold("threshold", m, where=where), 0.01, 1, (-1e9, 0.0, 1e9)),
}
"""The kinds with one parameter an agent."""

LOGITS = np.array([[0.0, 1.0, -np.inf], [0.0, 0.0, 0.0], [1e4, 0.0, -1e4], [-np.inf, -np.inf, 3.0]], np.float32)
"""Rows of logits at which formulas break, and a plain one."""
TASTES = np.array([0.5, 0.0, -0.5], np.float32)
"""Ordinary logits."""


class Chances(Model):
    """Agents gain and lose by each kind of chance, on which all that is observed depends; `apart` moves nothing."""

    p: Float[Array, ""] = parameter(default=0.3)
    rate: Float[Array, ""] = parameter(default=0.7)
    taste: Float[Array, ""] = parameter(default=0.2)
    apart: Float[Array, ""] = parameter(default=0.5)

    def init(self, draw: Draw) -> dict[str, Array]:
        return {"wealth": draw.normal("start", 0.0, 1.0, size=8), "idle": jnp.zeros(8)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        wealth = state["wealth"]
        active = draw.bernoulli("bernoulli", jax.nn.sigmoid(wealth + self.p))
        gain = draw.poisson("poisson", self.rate * jnp.ones(8), where=active)
        tries = draw.geometric("geometric", jax.nn.sigmoid(self.rate + 0.1 * wealth), where=active)
        wins = draw.binomial("binomial", 3.0, 0.5 * self.p + 0.25 * jax.nn.sigmoid(wealth))
        kind = draw.categorical("categorical", self.taste * wealth[:, None] * jnp.arange(3.0))
        idle = draw.child("apart").bernoulli("idle", self.apart, size=8)
        flow = 0.2 * (gain + 0.5 * wins - 0.3 * tries) + kind.take(jnp.array([-0.2, 0.0, 0.3]))
        return {"wealth": 0.7 * wealth + flow, "idle": state["idle"] + idle}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"wealth": state["wealth"].mean(), "gap": (state["wealth"] ** 2).mean()}


class Kinks(Model):
    """Agents get prizes at each kind of kink, on which all that is observed depends; `apart` moves nothing."""

    bar: Float[Array, ""] = parameter(default=0.2)
    taste: Float[Array, ""] = parameter(default=0.5)
    apart: Float[Array, ""] = parameter(default=0.5)

    def init(self, draw: Draw) -> dict[str, Array]:
        return {"wealth": draw.normal("start", 0.0, 1.0, size=6), "idle": jnp.zeros(6)}

    def step(self, draw: Draw, state: dict[str, Array]) -> dict[str, Array]:
        wealth = state["wealth"]
        rich = draw.threshold("threshold", wealth - self.bar)
        first = draw.top_k("top_k", wealth * (1.0 + self.bar), 3)
        ranked = draw.sort("sort", wealth * self.taste)
        seats = draw.match("match", self.taste * wealth[:, None] * jnp.linspace(0.5, 1.5, 4))
        idle = draw.child("apart").threshold("idle", self.apart * wealth)
        prize = 0.1 * rich + 0.2 * first + 0.05 * ranked + seats.take(jnp.array([0.1, 0.2, 0.3, 0.4]))
        return {"wealth": 0.7 * wealth + prize, "idle": state["idle"] + idle}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"wealth": state["wealth"].mean(), "gap": (state["wealth"] ** 2).mean()}


class Asking(Plug):
    """Notes at which sites a relaxation has something to say."""

    relaxation: Relaxation
    known: list[str]

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        hard = value.one_hot if isinstance(value, Choice) else value
        if self.relaxation.soft(site.with_mechanism(guarded(site)), hard) is not None:
            self.known.append(site.path)
        return value


class Probe:
    """The derivatives of one kind of site, compiled once: AGENTS agents, a mask, and weights of what is drawn."""

    def __init__(self, plug: Plug, name: str, key: Key):
        self.plug, self.name, self.choice = plug, name, name == "categorical"
        self.sign = 1 if self.choice else KINDS[name].sign
        self.plain = np.resize(TASTES if self.choice else KINDS[name].inner, (AGENTS, *TASTES.shape[: self.choice]))
        self.weights = np.array([1.0, -2.0, 5.0] if self.choice else 1.0, np.float32)
        self.ends = LOGITS if self.choice else np.asarray(KINDS[name].ends, np.float32)

        def values(at: Array, where: Array) -> Array:
            draw = Draw(key, 1, plugs=(plug,))
            return draw.categorical(name, at, where=where).one_hot if self.choice else KINDS[name].ask(draw, at, where)

        def total(at: Array, where: Array) -> Array:
            return (values(at, where) * self.weights).sum()

        self._values = values
        self._forward = jax.jit(lambda at, along, where: jax.jvp(lambda x: values(x, where), (at,), (along,))[1])
        self._reverse = jax.jit(jax.grad(total, (0, 1)))

    def known(self) -> bool:
        """Whether the plug gives a derivative to such a site."""
        if not isinstance(self.plug, Relaxation):
            return bool((self.forward(self.plain, np.arange(self.plain.size)) != 0).any())
        asking = Asking(self.plug, [])
        asked = Probe(asking, self.name, jr.key(0))
        jax.eval_shape(asked._values, self.plain, np.ones(AGENTS, np.float32))
        return bool(asking.known)

    def forward(self, at: np.ndarray, along: np.ndarray) -> np.ndarray:
        """The derivative of each agent's value in one direction, nobody masked."""
        given = (at, along.reshape(at.shape), np.ones(AGENTS))
        return np.asarray(self._forward(*(each.astype(np.float32) for each in given)), np.float64)

    def reverse(self, at: np.ndarray, where: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The gradient of the weighted sum of all values, with respect to parameters and to the mask."""
        given = (at, np.ones(AGENTS) if where is None else where)
        of_parameters, of_mask = self._reverse(*(each.astype(np.float32) for each in given))
        return np.asarray(of_parameters, np.float64), np.asarray(of_mask, np.float64)

    def demand(self, holds: Any, otherwise: str) -> None:
        """A law of this kind of site."""
        _require(bool(holds), self.plug, f"at a {self.name} site {otherwise}")


def _points_the_right_way(probe: Probe) -> None:
    """The mean derivative of what is drawn has the sign of the derivative of its mean."""
    along = np.ones_like(probe.plain)
    if probe.choice:
        along[:, 1:] = 0.0
    slopes = probe.forward(probe.plain, along).reshape(AGENTS, -1)[:, 0] * probe.sign
    mean, error = slopes.mean(), slopes.std() / np.sqrt(AGENTS)
    wanted = "positive" if probe.sign > 0 else "negative"
    found = f"{mean * probe.sign:.3g} +- {error:.2g}"
    probe.demand(mean > SIGMAS * error and mean > 0, f"the mean has a {wanted} derivative, and here it is {found}")


def _stays_finite(probe: Probe) -> None:
    """At probabilities of 0 and 1, next to them, and at excluded options."""
    rows = np.resize(probe.ends, (AGENTS, *probe.ends.shape[1:]))
    forward = probe.forward(rows, np.ones_like(rows))
    for way, found in (("jvp", forward), ("gradient", probe.reverse(rows)[0])):
        sound = np.isfinite(found).reshape(AGENTS, -1).all(axis=1)
        probe.demand(sound.all(), f"with {rows[np.argmin(sound)]} the {way} is not finite")


def _keeps_choices_whole(probe: Probe) -> None:
    """To raise all logits alike moves nothing, and shares that move add up to nothing."""
    if not probe.choice:
        return
    reverse = probe.reverse(probe.plain)[0]
    off = np.abs(reverse.sum(-1)).max() / np.abs(reverse).max()
    probe.demand(off < CLOSE, f"the gradient along the logits must sum to 0 for each choice; it is off by {off:.2g}")
    forward = probe.forward(probe.plain, probe.plain)
    off = np.abs(forward.sum(-1)).max() / np.abs(forward).max()
    probe.demand(off < CLOSE, f"the one-hot must keep its sum of 1; its derivative is off by {off:.2g} of it")


def _leaves_masked_agents_alone(probe: Probe) -> None:
    """Who does not draw has no derivative, whatever stands in its parameters; the mask has its own."""
    where = np.arange(AGENTS) % 2
    out, spoilt = where == 0, probe.plain.copy()
    spoilt[out] = np.nan
    own, of_mask = probe.reverse(spoilt, where)
    probe.demand((own[out] == 0).all(), "agents whose where is 0 get a derivative")
    finite = np.isfinite(own).all() and np.isfinite(of_mask).all()
    probe.demand(finite, "a NaN of an agent whose where is 0 spoils the gradient")
    of_mask = probe.reverse(probe.plain, where)[1][out]
    message = "`where` has no derivative of its own: multiply by site.mask(), do not only compare"
    probe.demand(of_mask.sum() > 0, message)


def _keeps_agents_apart(probe: Probe) -> None:
    """One agent's draw does not move with another's parameters."""
    along = np.arange(probe.plain.size).reshape(probe.plain.shape)
    along[AGENTS // 2 :] = 0
    foreign = (probe.forward(probe.plain, along)[AGENTS // 2 :] != 0).any()
    probe.demand(not foreign, "an agent has a derivative of another's parameters")


LAWS: tuple[Law, ...] = (
    _points_the_right_way,
    _stays_finite,
    _keeps_choices_whole,
    _leaves_masked_agents_alone,
    _keeps_agents_apart,
)
"""The laws of single sites, each a function of the relaxation's derivatives there."""


def _differentiates_runs(plug: Plug, model: Model, key: Key) -> None:
    """Forward and reverse mode agree through a run, with and without recomputation; what is apart stays apart."""
    at = {name: each.value for name, each in parameters(model).items()}
    along = {name: jnp.ones_like(value) for name, value in at.items()}
    shared = OneRun(model, (plug,), EveryStep(), STEPS)

    def loss(at: dict[str, Array]) -> Array:
        seen = one_run(shared, (key, at)).observations
        return sum((jnp.asarray(series, jnp.float32).mean() for series in seen.values()), jnp.zeros(()))

    @jax.jit
    def derivatives(at: dict[str, Array]) -> tuple[Array, dict[str, Array], dict[str, Array]]:
        return jax.jvp(loss, (at,), (along,))[1], jax.grad(loss)(at), jax.grad(jax.checkpoint(loss))(at)

    forward, reverse, again = derivatives(at)
    flat, kept = (np.concatenate([np.ravel(tree[name]) for name in at]) for tree in (reverse, again))
    scale = float(np.abs(flat).sum()) or 1.0
    _require(bool(np.isfinite(flat).all()), plug, f"through {_name(model)} the gradient is not finite: {reverse}")
    off = abs(float(forward) - float(flat.sum())) / scale
    _require(off < CLOSE, plug, f"through {_name(model)} jvp and vjp disagree by {off:.2g} of the gradient")
    off = float(np.abs(flat - kept).max()) / scale
    _require(off < CLOSE, plug, f"through {_name(model)} jax.checkpoint changes the gradient by {off:.2g} of it")
    apart = float(reverse.get("apart", jnp.zeros(())))
    _require(apart == 0.0, plug, f"a parameter that no observation depends on has the gradient {apart}")


def _name(thing: object) -> str:
    return type(thing).__name__


def _require(holds: bool, plug: Plug, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(plug)}: {otherwise}")
