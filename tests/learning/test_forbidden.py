"""Forbidden actions: refused, taken for allowed ones, or done, with what that earns and breaks."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import duopoly

import populace as pop
from populace.learning.deviations import Play
from populace.learning.forbidden import forbidden, outside
from populace.learning.game import watched

KEY = jr.key(0)


def number(default: float) -> Any:
    return eqx.field(default=default, converter=lambda x: jnp.asarray(x, jnp.float32))


class Bench(pop.Model):
    """Two may fetch wood (0), make a chair of it (1) or rest (2). Who makes one without wood is paid `without`; or it
    `refuses`; is counted where it `shows`; and takes `coins` from nowhere.
    """

    without: Array = number(0.0)
    refuses: Array = number(0.0)
    shows: Array = number(0.0)
    coins: Array = number(0.0)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"wood": jnp.zeros(2), "paid": jnp.zeros(2), "shown": jnp.zeros(2), "till": jnp.float32(10.0)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        wood = state["wood"]
        does = draw.decide("do", wood, lambda wood, inner: jnp.full(wood.shape, 2, jnp.int32))
        empty = (does == 1) & (wood < 1)
        draw.bernoulli("luck", jnp.where(empty, 0.5 + self.refuses, 0.5))  # above 1 it is a fault
        paid = jnp.where(empty, self.without, (does == 1) * 1.0)
        wood = wood + (does == 0) - ((does == 1) & ~empty)
        return {
            "wood": wood,
            "paid": paid,
            "shown": empty * self.shows,
            "till": state["till"] + empty.sum() * self.coins,
        }

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"paid": state["paid"].sum()}


def asked(**settings: float) -> pop.Verdict:
    """Of two who always rest."""
    may = lambda wood: jnp.array([True, False, True]) | (wood >= 1)  # noqa: E731
    game = pop.Game(
        Bench(**settings),
        6,
        {"do": pop.Learner(lambda step: step.after["paid"], pop.Discrete(3, may), discount=0.9)},
        limits={"no wood": lambda step: step.after["shown"]},
        conserved={"till": lambda state: state["till"]},
    )
    play = Play(watched(game), ({"do": pop.FixedPolicy(jnp.int32(2))},), jr.split(KEY, 8))
    (verdict,) = forbidden(play, "do", 0, 0.0, (1.0, np.random.default_rng(0)))
    assert verdict.numbers["tried"] == 8
    return verdict


def test_what_pays_is_named_with_what_it_earns():
    """Resting earns nothing, and fetching nothing to who rests ever after: a chair of no wood earns its whole price."""
    verdict = asked(without=0.7)
    assert verdict.code is pop.Code.FORBIDDEN_DONE and verdict.numbers["done"] == 1.0
    assert verdict.numbers["gain"] == pytest.approx(0.7) and "(1)" in verdict.sentence


@pytest.mark.parametrize(
    ("settings", "code", "share", "says"),
    [
        ({"refuses": 1.0, "without": 1.0}, "FORBIDDEN_REFUSED", "refused", "100 % met a fault"),
        ({"shows": 1.0}, "FORBIDDEN_REFUSED", "alike", "A limit shows all"),
        ({}, "FORBIDDEN_UNSEEN", "alike", "a limit shows 0 % of it"),
        ({"without": -1.0}, "FORBIDDEN_UNSEEN", "done", "It pays nobody"),
        ({"coins": 1.0}, "FORBIDDEN_DONE", "alike", "ledger by up to 10 %"),
        ({"without": np.nan}, "FORBIDDEN_DONE", "broken", "not finite"),
    ],
)
def test_what_becomes_of_it_is_said(settings: dict[str, float], code: str, share: str, says: str):
    verdict = asked(**settings)
    assert verdict.code is pop.Code[code]
    assert verdict.numbers[share] == 1.0 and says in verdict.sentence


def test_beyond_an_interval_nothing_is_gained_in_cournot_s_market():
    play = Play(watched(duopoly()), ({"quantity": pop.FixedPolicy(30.0)},), jr.split(KEY, 8))
    (verdict,) = forbidden(play, "quantity", 0, 0.5, (900.0, np.random.default_rng(0)))
    assert verdict.code is pop.Code.FORBIDDEN_UNSEEN and verdict.numbers["done"] == 1.0
    assert forbidden(play, "quantity", 0, 0.0, (900.0, np.random.default_rng(0))) == []


def test_what_is_tried_beyond_the_ends():
    tried = lambda *ends: np.ravel(outside(pop.Continuous(*ends), 0.5)).tolist()  # noqa: E731
    assert tried(0.0, 2.0) == [0.0, -1.0, 2.0, 3.0]
    assert tried(1.0, np.inf) == [1.0, 0.5]
    assert outside(pop.Continuous(), 0.5) is None and outside(pop.Discrete(3), 0.5) is None
