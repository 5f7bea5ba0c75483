"""Whether a result is the model's or the declared reward's: in a field all answers are known."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import pytest
from jaxtyping import Array

import populace as pop
from populace.learning.audit_reward import Retold, judged
from populace.learning.statistics import Middle

AGENTS = pop.QLearning((1,), rate=0.5, fade=0.0)


class Field(pop.Model):
    """Who works k hours, of five, harvests (fertility - k) k; by the rule nobody works."""

    fertility: Array = pop.parameter(default=6.0)

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        return {"hours": jnp.zeros(3), "harvest": jnp.zeros(3)}

    def step(self, draw: pop.Draw, state: dict[str, Array]) -> dict[str, Array]:
        nothing = jnp.zeros(3, jnp.int32)
        hours = draw.decide("work", nothing, lambda view, inner: view).astype(jnp.float32)
        return {"hours": hours, "harvest": (self.fertility - hours) * hours}

    def observe(self, state: dict[str, Array]) -> dict[str, Array]:
        return {"harvest": state["harvest"].sum()}


class Pay(eqx.Module):
    """The harvest in some units, less the toil of an hour; or, with a `wish`, how near to it one works."""

    units: Array
    toil: Array
    wish: Array

    def __init__(self, units: float = 1.0, toil: float = 0.0, wish: float = -1.0):
        self.units, self.toil, self.wish = jnp.float32(units), jnp.float32(toil), jnp.float32(wish)

    def __call__(self, step: pop.Step) -> Array:
        hours = step.after["hours"]
        harvest = self.units * (step.after["harvest"] - self.toil * hours)
        return jnp.where(self.wish < 0, harvest, -((hours - self.wish) ** 2))


def worked(step: pop.Step) -> Array:
    return step.after["hours"].mean()


def field(pay: Pay, fertility: float = 6.0) -> pop.Game:
    """All go through one compiled program."""
    learner = pop.Learner(pay, pop.Discrete(5), discount=0.0)
    return pop.Game(Field(fertility=jnp.float32(fertility)), 4, {"work": learner}, welfare=worked)


def audited(declared: Pay, rewards: dict[str, Pay], fertility: float, **settings: Any) -> pop.RewardAudit:
    others = {name: field(pay) for name, pay in rewards.items()}
    models = {"another field": field(declared, fertility)}
    settings = {"budget": 40, "seeds": 2, "runs": 8} | settings
    return pop.audit_reward(field(declared), AGENTS, jr.key(0), rewards=others, models=models, **settings)


def test_harvests_in_other_units_tell_the_same_and_toil_does_not():
    """(fertility - toil) / 2 hours: three, and one with a toil of four; and the model has its say."""
    audit = audited(Pay(), {"in tenths": Pay(units=0.1), "with toil": Pay(toil=4.0)}, fertility=2.0)
    assert (audit.rule, audit.declared.level.middle, audit.margin) == (0.0, 3.0, 1.5)
    assert [one.change.middle for one in audit.others] == [0.0, -2.0, -2.0]
    codes = {subject: verdict.code for subject, verdict in audit.verdicts.items()}
    assert codes == {
        "reward 'in tenths'": pop.Code.ANY_REWARD,
        "reward 'with toil'": pop.Code.REWARD_DECIDES,
        "reward against model": pop.Code.MODEL_COUNTS,
    }
    assert "keep the rule" in audit.verdicts["reward 'with toil'"].code.mend
    (section,) = audit.sections()
    assert len(section.tables[0].rows) == 5 and audit.record()["margin"] == 1.5


def test_who_is_paid_for_what_he_does_does_it_in_any_model():
    """One hour, or four as the other reward would have it, however fertile the field."""
    audit = audited(Pay(wish=1.0), {"another wish": Pay(wish=4.0)}, fertility=2.0)
    assert audit.declared.level.middle == 1.0
    verdict = audit.verdicts["reward against model"]
    assert verdict.code is pop.Code.REWARD_ALONE and "keep the rule" in verdict.code.mend
    assert verdict.numbers["rewards"] == 3.0 and verdict.numbers["models"] == 0.0


def told(change: float, wide: float, kind: str = "reward", effect: float = 1.0) -> Retold:
    around = lambda x: Middle(x, x - wide, x + wide)  # noqa: E731
    return Retold(f"{kind} {change}", kind, around(effect + change), around(effect + change), around(change))


@pytest.mark.parametrize(
    ("change", "wide", "code"),
    [
        (0.1, 0.2, pop.Code.ANY_REWARD),
        (-0.9, 0.2, pop.Code.REWARD_DECIDES),
        (0.9, 0.2, pop.Code.REWARD_DECIDES),
        (0.6, 0.2, pop.Code.REWARD_OPEN),
        (0.0, 0.6, pop.Code.REWARD_OPEN),
    ],
)
def test_half_of_the_effect_is_what_matters_and_noise_leaves_it_open(change: float, wide: float, code: pop.Code):
    (verdict,) = judged(told(0.0, 0.01), [told(change, wide)], None)
    assert verdict.code is code


def test_what_cannot_be_said_is_not():
    (verdict,) = judged(told(0.0, 0.1, effect=0.05), [told(1.0, 0.1)], None)
    assert verdict.code is pop.Code.UNJUDGED and "margin=" in verdict.sentence
    open_ = judged(told(0.0, 0.01), [told(0.0, 0.1), told(0.0, 2.0, "model")], None)
    assert open_[-1].code is pop.Code.UNJUDGED
    same = judged(told(0.0, 0.01), [told(0.0, 0.1), told(0.1, 0.1, "model")], None)
    assert same[-1].code is pop.Code.ANY_REWARD


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"rewards": {}}, "one other reward"),
        ({"seeds": 1}, "2 seeds"),
        ({"budget": 0}, "one update"),
        ({"margin": 0.0}, "above 0"),
        ({"rewards": {"the declared reward": field(Pay())}}, "otherwise"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], says: str):
    given = {"rewards": {"other": field(Pay())}, "budget": 8} | settings
    with pytest.raises(pop.MethodError, match=says):
        pop.audit_reward(field(Pay()), AGENTS, jr.key(0), **given)


def test_the_headline_must_be_said():
    learner = field(Pay()).learners
    game = pop.Game(Field(), 2, learner)
    with pytest.raises(pop.MethodError, match="outcome="):
        pop.audit_reward(game, AGENTS, jr.key(0), rewards={"other": game}, budget=8)
