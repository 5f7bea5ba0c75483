"""What stands around sites: recording, forcing, interventions, rival rules, policies.

A plug is middleware. It gets the site and `proceed`, which draws; it may change the site before, the value after, or
answer by itself. In a tuple of plugs the first is outermost and has the last word on the value.
"""

import abc
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import SiteError
from .choice import Choice, chosen
from .distributions import Bernoulli, Binomial, Decision, Exponential, Geometric, Mechanism, Normal, Poisson
from .policy import Policy
from .schedule import Schedule, at_time
from .shapes import masked
from .site import Memory, Site

Proceed: TypeAlias = Callable[[Site], Any]

FOREVER = 2**31 - 1


class Plug(eqx.Module):
    """Stands around sites. Implement two methods."""

    @abc.abstractmethod
    def around(self, site: Site, proceed: Proceed) -> Any:
        """The value of the site; `proceed(site)` is the value without this plug."""

    @abc.abstractmethod
    def sites(self) -> tuple[str, ...]:
        """The paths that must exist in the model for this plug to make sense; a missing one is an error."""


def _who(given: Any) -> Any:
    return given if given is None or callable(given) else jnp.asarray(given, jnp.float32)


class Window(eqx.Module):
    """Which agents an intervention reaches, and when: steps `start` to `stop` inclusive (init is step 0).

    `who`: everybody, an array of the population's shape, above 0 for those whom it reaches, or a function that makes
    such an array of the state at the beginning of the step: `Window(who=lambda people: people.age > 65)`.
    """

    start: Int[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.int32), default=0)
    stop: Int[Array, ""] = eqx.field(converter=lambda x: jnp.asarray(x, jnp.int32), default=FOREVER)
    who: Float[Array, " agents"] | Callable[[Any], Array] | None = eqx.field(converter=_who, default=None)

    def reaches(self, site: Site) -> Array:
        """Boolean, broadcastable to the population."""
        now = (site.time >= self.start) & (site.time <= self.stop)
        if self.who is None:
            return now
        who = self._chosen(site, self.who) if callable(self.who) else self.who
        if site.shape[: who.ndim] != who.shape:
            raise SiteError(
                f"intervention at site '{site.path}': `who` has shape {who.shape}, the population {site.shape}"
            )
        return now & (who > 0).reshape(who.shape + (1,) * (len(site.shape) - who.ndim))

    def _chosen(self, site: Site, of: Callable[[Any], Array]) -> Array:
        if site.frame.state is None:
            raise SiteError(
                f"intervention at site '{site.path}': `who` is a function of the state, and there is none in init: "
                "give an array of who it is"
            )
        return jnp.asarray(of(site.frame.state), jnp.float32)


def _select(reached: Array, new: Any, old: Any) -> Any:
    def one(a: Array, b: Array) -> Array:
        a = jnp.asarray(a, b.dtype)
        mask = reached.reshape(reached.shape + (1,) * (b.ndim - reached.ndim)) if reached.ndim else reached
        return jnp.where(mask, a, b)

    return jax.tree.map(one, new, old)


class Override(Plug):
    """The site's value is `value` for the chosen agents and times; elsewhere and before nothing changes.

    `value` is a number, an array of the population's shape, an action tree, or for a categorical site the index of
    an option; or a `Schedule` of numbers or arrays. Masked agents (`where`) stay masked.
    """

    site: str = eqx.field(static=True)
    value: Any = eqx.field(converter=lambda tree: jax.tree.map(jnp.asarray, tree))
    window: Window = eqx.field(default_factory=Window)

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        old = proceed(site)
        if site.path != self.site:
            return old
        new, begun = at_time(self.value, site.time)
        options = None
        if isinstance(old, Choice) and not isinstance(new, Choice):
            options = old.one_hot.shape[-1]
            new = chosen(jnp.broadcast_to(new, old.index.shape), options)
        reached = self.window.reaches(site) & begun
        if site.where is not None:
            reached = reached & (site.where > 0)
        self._note(site, reached)
        if options is not None:
            site.fault((reached & ((new.index < 0) | (new.index >= options))).any())
        if jax.tree.structure(new) != jax.tree.structure(old):
            new = jax.tree.map(lambda leaf: new, old)
        return _select(reached, new, old)

    def _note(self, site: Site, reached: Array) -> None:
        """Whoever is overridden did not act by its policy."""
        noted = site.frame.tape.get(site.path)
        if isinstance(noted, dict) and "acting" in noted:
            site.emit({"acting": jnp.where(reached, 0.0, noted["acting"])})


class Scale(Plug):
    """The site's probability, rate or mean is multiplied by `factor` for the chosen agents and times: a number, an
    array of the population's shape, or a `Schedule` of either.
    """

    site: str = eqx.field(static=True)
    factor: Float[Array, "..."] | Schedule = eqx.field(
        converter=lambda x: x if isinstance(x, Schedule) else jnp.asarray(x, jnp.float32)
    )
    window: Window = eqx.field(default_factory=Window)

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site:
            return proceed(site)
        factor, begun = at_time(self.factor, site.time)
        if factor.shape not in ((), site.shape):
            raise SiteError(
                f"Scale at site '{site.path}': `factor` has shape {factor.shape}, the population {site.shape}"
            )
        factor = jnp.where(self.window.reaches(site) & begun, factor, 1.0)
        return proceed(site.with_mechanism(_scaled(site, factor)))


def _scaled(site: Site, factor: Array) -> Mechanism:
    match site.mechanism:
        case Bernoulli(p=p):
            return Bernoulli(p * factor)
        case Binomial(n=n, p=p):
            return Binomial(n, p * factor)
        case Geometric(p=p):
            return Geometric(p * factor)
        case Poisson(rate=rate):
            return Poisson(rate * factor)
        case Exponential(rate=rate):
            return Exponential(rate * factor)
        case Normal(mean=mean, sd=sd):
            return Normal(mean * factor, sd)
        case other:
            raise SiteError(f"site '{site.path}' is of kind {other.kind}, which has nothing to scale; use Override")


class Replace(Plug):
    """Another mechanism at the same site: a rival rule, or a measure that a government takes.

    At a `decide` site `rule(view, draw)` stands in for the rule. At any other, `rule(mechanism)` returns the
    mechanism to draw from instead.
    """

    site: str = eqx.field(static=True)
    rule: Callable[..., Any]

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site:
            return proceed(site)
        if isinstance(site.mechanism, Decision):
            return proceed(site.with_mechanism(Decision(site.mechanism.view, self.rule)))
        return proceed(site.with_mechanism(self.rule(site.mechanism)))


class Deciding(Plug):
    """A policy decides at a `decide` site, for everyone or for `who`; the rule decides for the rest.

    With `individual`, every array of the policy has agents on its leading axis: each agent has its own policy.
    The policy's memory travels with the simulation; it is reset where an agent is masked, so that a slot that is
    used again starts afresh. View, action, info and mask go on the tape.
    """

    site: str = eqx.field(static=True)
    policy: Policy
    who: Float[Array, " agents"] | None = None
    individual: bool = eqx.field(static=True, default=False)

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        if site.path != self.site:
            return proceed(site)
        if not isinstance(site.mechanism, Decision):
            raise SiteError(f"site '{site.path}' is of kind {site.mechanism.kind}: a policy stands only at a decision")
        if not site.shape:
            raise SiteError(f"site '{site.path}': a policy decides for agents, on the leading axis of the view")
        agents = site.shape[0]
        acting = site.mask() if self.who is None else site.mask() * self.who
        others = None if self.who is None else proceed(site)
        slot = _slot(site)
        before = self._memory(site, slot, agents)
        keys = jax.vmap(lambda i: jax.random.fold_in(site.key, i))(
            jnp.arange(agents) if site.follow is None else site.follow
        )
        of_policy = eqx.if_array(0) if self.individual else None
        act = eqx.filter_vmap(lambda p, v, m, k: p.act(v, m, k), in_axes=(of_policy, 0, 0, 0))(
            self.policy, site.mechanism.view, before, keys
        )
        after = _select(acting > 0, act.memory, self._fresh(agents))
        site.frame.memory_after[slot] = Memory(jnp.array(True), after)
        action = act.action
        if self.who is not None:
            action = _select(acting > 0, action, others)
        elif site.where is not None:
            action = masked(site.path, action, acting)
        site.emit({"view": site.mechanism.view, "action": action, "info": act.info, "acting": acting})
        return action

    def _fresh(self, agents: int) -> Any:
        if self.individual:
            return eqx.filter_vmap(lambda p: p.memory())(self.policy)
        spread = lambda leaf: jnp.broadcast_to(leaf, (agents, *jnp.shape(leaf)))  # noqa: E731
        return jax.tree.map(spread, self.policy.memory())

    def _memory(self, site: Site, slot: str, agents: int) -> Any:
        fresh = self._fresh(agents)
        if site.frame.memory is None or slot not in site.frame.memory:
            return fresh
        kept = site.frame.memory[slot]
        return _select(kept.started, kept.tree, fresh)


def _slot(site: Site) -> str:
    """Where the next policy at a site keeps its memory: policies may stand one behind the other, innermost first."""
    behind = sum(key == site.path or key.startswith(f"{site.path}//") for key in site.frame.memory_after)
    return f"{site.path}//{behind}" if behind else site.path


class Record(Plug):
    """Puts sites on the tape: value, mask, and the mechanism's parameters (of a decision, what the agents saw).

    No names: every site.
    """

    paths: tuple[str, ...] = eqx.field(static=True, default=())

    def sites(self) -> tuple[str, ...]:
        return self.paths

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if not self.paths or site.path in self.paths:
            decision = site.mechanism if isinstance(site.mechanism, Decision) else None
            seen = {"mechanism": site.mechanism} if decision is None else {"view": decision.view}
            site.emit({"value": value, "where": site.mask(), **seen})
        return value


class Forced(Plug):
    """Where a value was handed in for a site (`Draw(given=...)`), it replaces the draw: the twin's flipped number.

    What is handed in is `{"mask": ..., "value": ...}`, of the value's shape; loops slice it.
    """

    def sites(self) -> tuple[str, ...]:
        return ()

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if site.given is None:
            return value
        return _select(site.given["mask"], site.given["value"], value)
