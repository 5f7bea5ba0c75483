"""What a planner may decide about: a site of the model, a quota on what agents do, a parameter of the model.

All are one thing in the end, a `decide` site that a step asks: the model has it, or `Governed` stands around the model
and asks for it. What holds without a planner is the site's rule: what the model says, a quota that nobody meets, the
parameter as it is.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._errors import DomainError, MethodError, UnknownParameterError, UnknownSiteError, did_you_mean
from ..core.draw import Draw
from ..core.model import Model, bind, parameters
from ..core.plug import Deciding, Plug, Proceed
from ..core.policy import Policy
from ..core.site import Site
from ..core.sites import sites
from .actions import Actions, probes
from .game import Game
from .policies import FixedPolicy

Sees = Callable[[Any], Any]
"""From a state to what the planner sees of it, with one row on the leading axis."""

_TRIED = 16
"""Actions that are held against a parameter's domain."""


class Instrument(eqx.Module):
    """What a planner decides about. Implement two methods."""

    @property
    @abc.abstractmethod
    def site(self) -> str:
        """The path of the `decide` site at which it is asked for."""

    @abc.abstractmethod
    def governed(self, model: Model, actions: Actions) -> Model:
        """The model with that site. Raises `MethodError`, `DomainError` where the actions do not fit it."""

    def placed(self, game: Game, actions: Actions, policy: Policy) -> Game:
        """The game in which a policy decides about it."""
        plugs = (Deciding(self.site, policy), *game.plugs)
        return dataclasses.replace(game, model=self.governed(game.model, actions), plugs=plugs)


class AtSite(Instrument):
    """A `decide` site that the model has: what a text stands for where an instrument is asked for."""

    path: str = eqx.field(static=True)

    @property
    def site(self) -> str:
        return self.path

    def governed(self, model: Model, actions: Actions) -> Model:
        return model


class Quota(Instrument):
    """What each may do at a site at most: who asks for more gets the quota. Actions there are numbers.

    Asked for at the site `quota/<at>`.

    **Arguments:** `at`: the agents' site; `sees`: what the planner sees of the state, one row on the leading axis; None
    for nothing.
    """

    at: str = eqx.field(static=True)
    sees: Sees | None = eqx.field(static=True, default=None)

    @property
    def site(self) -> str:
        return f"quota/{_name(self.at)}"

    def governed(self, model: Model, actions: Actions) -> Model:
        return _capped(model, self.at, self.sees, _each)


class SharedQuota(Instrument):
    """What all may do at a site together at most: who ask for more together get it in proportion to what they ask.
    Actions there are numbers from 0.

    Asked for at the site `shared_quota/<at>`. With rations in proportion, each gains by asking for more than he wants.

    **Arguments:** as of `Quota`.
    """

    at: str = eqx.field(static=True)
    sees: Sees | None = eqx.field(static=True, default=None)

    @property
    def site(self) -> str:
        return f"shared_quota/{_name(self.at)}"

    def governed(self, model: Model, actions: Actions) -> Model:
        return _capped(model, self.at, self.sees, _together)


class Setting(Instrument):
    """A parameter of the model, by its dotted name: its value in every step, and in `init` where the planner sees
    nothing.

    Asked for at the site `setting/<parameter>`. Actions have the parameter's shape and lie in its domain. What reads
    the parameter anywhere but in the model's `init` and `step` (a reward that has the model in it) reads the old one.

    **Arguments:** `parameter`; `sees`: as of `Quota`.
    """

    parameter: str = eqx.field(static=True)
    sees: Sees | None = eqx.field(static=True, default=None)

    @property
    def site(self) -> str:
        return f"setting/{_name(self.parameter)}"

    def governed(self, model: Model, actions: Actions) -> Model:
        known = parameters(model)
        if self.parameter not in known:
            near = did_you_mean(self.parameter, list(known))
            raise UnknownParameterError(f"{type(model).__name__} has no parameter '{self.parameter}'; {near}")
        domain = known[self.parameter].domain
        tried = probes(actions, _TRIED)
        if not isinstance(tried, jax.Array) or not jnp.issubdtype(tried.dtype, jnp.floating):
            raise MethodError(f"Setting('{self.parameter}'): a parameter is a number: give `Continuous` actions")
        if not domain.contains(np.asarray(tried)):
            raise DomainError(f"Setting('{self.parameter}'): actions leave its domain {domain}: narrow the interval")
        return Governed(model, _Set(parameter=self.parameter, sees=self.sees))

    def placed(self, game: Game, actions: Actions, policy: Policy) -> Game:
        """Where it is always the same, simply the model with that value."""
        if isinstance(policy, FixedPolicy):
            self.governed(game.model, actions)
            return dataclasses.replace(game, model=bind(game.model, {self.parameter: policy.action}))
        return super().placed(game, actions, policy)


class _Measure(eqx.Module):
    """How what a planner says reaches the model."""

    sees: eqx.AbstractVar[Sees | None]

    @abc.abstractmethod
    def asked(self, draw: Draw, model: Model, view: Any) -> Any:
        """What the planner says, of one row."""

    @abc.abstractmethod
    def applied(self, draw: Draw, model: Model, said: Any) -> tuple[Draw, Model]:
        """The draw and the model with it."""


class _Capped(_Measure):
    at: str = eqx.field(static=True)
    sees: Sees | None = eqx.field(static=True)
    cap: Callable[[Array, Array], Array] = eqx.field(static=True)

    def asked(self, draw: Draw, model: Model, view: Any) -> Array:
        child = "quota" if self.cap is _each else "shared_quota"
        return draw.child(child).decide(_name(self.at), view, _unlimited)[0]

    def applied(self, draw: Draw, model: Model, said: Array) -> tuple[Draw, Model]:
        return draw.around(_Cap(self.at, said, self.cap)), model


class _Set(_Measure):
    parameter: str = eqx.field(static=True)
    sees: Sees | None = eqx.field(static=True)

    def asked(self, draw: Draw, model: Model, view: Any) -> Array:
        own = parameters(model)[self.parameter].value
        return draw.child("setting").decide(_name(self.parameter), view, lambda view, inner: own[None])[0]

    def applied(self, draw: Draw, model: Model, said: Array) -> tuple[Draw, Model]:
        return draw, bind(model, {self.parameter: said})


def _capped(model: Model, at: str, sees: Sees | None, cap: Callable[[Array, Array], Array]) -> Model:
    decided = [row.path for row in sites(model).rows if row.phase == "step" and row.kind == "decision"]
    if at not in decided:
        raise UnknownSiteError(f"a quota at '{at}': nobody decides there; {did_you_mean(at, decided)}")
    return Governed(model, _Capped(at=at, sees=sees, cap=cap))


class Governed(Model):
    """A model with a site more, at which a measure of the government is asked for, once in `init` and once a step.
    Where the planner sees the state, `init` goes by the rule.
    """

    model: Model
    measure: _Measure

    def init(self, draw: Draw) -> Any:
        if self.measure.sees is not None:
            return self.model.init(draw)
        said = self.measure.asked(draw, self.model, jnp.ones(1))
        draw, model = self.measure.applied(draw, self.model, said)
        return model.init(draw)

    def step(self, draw: Draw, state: Any) -> Any:
        view = jnp.ones(1) if self.measure.sees is None else self.measure.sees(state)
        said = self.measure.asked(draw, self.model, view)
        draw, model = self.measure.applied(draw, self.model, said)
        return model.step(draw, state)

    def observe(self, state: Any) -> dict[str, Array]:
        return self.model.observe(state)


class _Cap(Plug):
    """Holds what is done at a site to a quota, whoever decided."""

    site: str = eqx.field(static=True)
    quota: Float[Array, ""]
    cap: Callable[[Array, Array], Array] = eqx.field(static=True)

    def sites(self) -> tuple[str, ...]:
        return (self.site,)

    def around(self, site: Site, proceed: Proceed) -> Any:
        value = proceed(site)
        if site.path != self.site:
            return value
        if not isinstance(value, jax.Array) or not jnp.issubdtype(value.dtype, jnp.floating):
            raise MethodError(f"site '{site.path}': a quota holds where one number an agent is decided")
        held = self.cap(value, self.quota)
        noted = site.frame.tape.get(site.path)
        if isinstance(noted, dict) and "value" in noted:
            site.emit({"value": held})
        return held


def _each(value: Float[Array, " agents"], quota: Float[Array, ""]) -> Float[Array, " agents"]:
    return jnp.minimum(value, quota)


def _together(value: Float[Array, " agents"], quota: Float[Array, ""]) -> Float[Array, " agents"]:
    total = value.sum()
    some = total > 0
    return value * jnp.where(some, jnp.minimum(total, quota) / jnp.where(some, total, 1.0), 1.0)


def _unlimited(view: Any, draw: Draw) -> Float[Array, " rows"]:
    """A quota that nobody meets."""
    return jnp.full(jax.tree.leaves(view)[0].shape[0], jnp.inf)


def _name(path: str) -> str:
    """A path as the name of one site."""
    return path.replace("/", ".")
