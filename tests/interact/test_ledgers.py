"""The audit of ledgers finds the step at which something is made or destroyed."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import populace as pop
from populace.zoo.voter import Voter


class Till(pop.Model):
    """Five people of whom one pays the next each step; in one step what is paid is lost."""

    lost: int = eqx.field(static=True, default=0)
    floats: bool = eqx.field(static=True, default=False)
    paid: int = eqx.field(static=True, default=1)

    def init(self, draw):
        return jnp.full(5, 0.1 if self.floats else 7)

    def step(self, draw, money):
        payer = draw.time % 5
        paid = jnp.asarray(self.paid, money.dtype)
        got = jnp.where(draw.time == self.lost, 0, paid)
        return money.at[payer].add(-paid).at[(payer + 1) % 5].add(got)

    def observe(self, money):
        return {"first": money[0]}

    def conserved(self):
        return {"money": lambda money: money, "heads": lambda money: jnp.int32(money.shape[0])}


@pytest.mark.parametrize("floats", [False, True])
def test_it_names_the_first_step_that_breaks(floats: bool):
    sound = pop.audit_ledgers(Till(floats=floats), jr.key(0), 8)
    assert sound.holds and {v.code for v in sound.verdicts} == {pop.Code.LEDGER_HOLDS}
    broken = pop.audit_ledgers(Till(6, floats), jr.key(0), 8)
    assert broken.broke == {"money": 6} and not broken.holds
    assert broken.verdicts[0].code is pop.Code.BREAKS_LEDGER and "step 6 is the first" in broken.verdicts[0].sentence
    assert broken.record()["broke"] == {"money": 6} and broken.sections()[0].figures
    assert np.isclose(broken.totals["money"][6] - broken.totals["money"][5], -1)


def test_an_account_that_turns_over_is_found():
    """32-bit accounts sum to the same modulo 2^32; the audit sums in 64."""
    broken = pop.audit_ledgers(Till(paid=2**31 - 1), jr.key(0), 8)
    assert "money" in broken.broke


def test_slow_drift_of_floats_is_found():
    """Each step changes the total by less than it may, and all together by more."""
    drifting = pop.audit_ledgers(Till(), jr.key(0), 8, conserved={"x": lambda money: jnp.float32(1.0)})
    assert drifting.holds

    class Leak(Till):
        def step(self, draw, money):
            return money * 0.999995

    assert 2 <= pop.audit_ledgers(Leak(floats=True), jr.key(0), 30).broke["money"] <= 30


def test_a_model_must_declare_something():
    with pytest.raises(pop.ModelError, match="Voter declares nothing that is conserved"):
        pop.audit_ledgers(Voter(), jr.key(0), 2)
