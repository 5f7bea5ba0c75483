"""What a gain hangs on: the audit names a part of the view that agents could not know, and only if they use it."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from tests.learning.games import tips

import populace as pop
from populace.learning import findings
from populace.learning.deviations import Play
from populace.learning.exchange import Exchanged, notes, reliances
from populace.learning.game import watched
from populace.learning.policies import leaf_names

KEY = jr.key(0)


class Holds(pop.Policy):
    """So much of the signal, so much of the tip."""

    signal: float = eqx.field(converter=jnp.float32)
    tip: float = eqx.field(converter=jnp.float32)

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> pop.Act:
        return pop.Act(self.signal * view["signal"] + self.tip * view["tip"])


@pytest.fixture(scope="module")
def reader() -> pop.PolicyAudit:
    """Holds as much as the tip says, and makes half of its square a step."""
    return pop.audit_policy(tips(), {"hold": Holds(0.0, 1.0)}, KEY, runs=32, points=3)


def test_who_reads_what_nobody_knows_is_named(reader: pop.PolicyAudit):
    verdict = reader.verdicts["'tip' at hold"]
    assert verdict.code is pop.Code.LEAK and verdict in reader.objections()
    assert "'tip'" in verdict.sentence and verdict.numbers["gain"] > 0 > verdict.numbers["remains"]


def test_the_table_says_what_the_gain_hangs_on(reader: pop.PolicyAudit):
    """Another run's tip is worth nothing and costs as much as one's own: a loss of E[r^2] a step. The rule does not
    look at it, and does at the signal, on which nothing of this policy hangs.
    """
    signal, tip = reader.reliances["hold"]
    assert (signal.part, tip.part, signal.hidden, tip.hidden) == ("signal", "tip", False, True)
    assert signal.lost.middle == 0.0 and (signal.looks, tip.looks) == (True, False)
    discounted = sum(0.5**t for t in range(16))
    assert tip.lost.middle == pytest.approx(1.25 * discounted, rel=0.3)


def test_who_reads_the_signal_alone_is_not_accused():
    audit = pop.audit_policy(tips(), {"hold": Holds(0.5, 0.0)}, KEY, runs=32, points=3)
    assert audit.verdicts["'tip' at hold"].code is pop.Code.NO_LEAK
    assert [v.sentence for v in audit.objections()] == []


def test_a_part_is_put_in_its_place_and_no_other_is_touched():
    play = Play(watched(tips()), ({"hold": Holds(0.5, 0.5)},), jr.split(KEY, 8))
    seen = notes(play)["hold"]["view"]
    assert leaf_names(seen) == ("signal", "tip") and seen["tip"].shape == (1, 8, 16, 3)
    given = {"signal": jnp.zeros((16, 3)), "tip": jnp.full((16, 3), 7.0)}
    swap = Exchanged("hold", given, jnp.array([0.0, 1.0]))
    plugs = (pop.Record(("hold",)), swap, *play.made.game.with_policies(play.policies[0]))
    run = pop.simulate(tips().model, play.keys[0], 16, plugs=plugs)
    value = np.asarray(run.tape["hold"]["value"])
    assert value == pytest.approx(0.5 * seen["signal"][0, 0] + 3.5, abs=1e-5)


def test_runs_get_the_views_of_other_runs():
    """Of two runs each gets the other's; the policy that reads the tip then holds what the other run would."""
    play = Play(watched(tips()), ({"hold": Holds(0.0, 1.0)},), jr.split(KEY, 8))
    found = reliances((play, Play(play.made, ({},), play.keys)), "hold", np.random.default_rng(0))
    assert found[1].lost.middle > 0.5


def test_a_part_that_is_not_seen_cannot_be_hidden():
    with pytest.raises(pop.MethodError, match="tip"):
        watched(tips(hidden=("tips",)))


def test_a_gain_that_hangs_on_the_generator_is_named():
    rng = np.random.default_rng(0)
    here = rng.normal(1.0, 0.5, size=(1, 64))
    assert findings.stream("x", here, here - 0.8, 2.0).code is pop.Code.STREAM
    assert findings.stream("x", here, rng.normal(1.0, 0.5, size=(1, 64)), 2.0).code is pop.Code.ANY_STREAM
    assert findings.stream("x", here, here - 0.8, 100.0).code is pop.Code.ANY_STREAM, "too little to matter"


def test_the_audit_asks_it_with_other_random_numbers(reader: pop.PolicyAudit):
    verdict = reader.verdicts["random numbers at hold"]
    assert verdict.code is pop.Code.ANY_STREAM
    assert verdict.numbers["other"] != verdict.numbers["gain"]
    assert abs(verdict.numbers["other"] - verdict.numbers["gain"]) < 4 * verdict.numbers["error"]
