"""Whether conclusions hang on the order: one that does, one that cannot, and what cannot be judged."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array, Float

from populace._errors import ModelError
from populace._results import Code
from populace.core.activation import Activated, Activation, RandomBlocks, RandomSequential, Synchronous
from populace.identification.activation_audit import ActivationAudit, audit_activation
from populace.interact.grid import Grid
from populace.zoo.sir import SIR
from populace.zoo.spatial_dilemma import SpatialDilemma


class Alone(Activated):
    """Everybody decides by a coin of its own: the order cannot matter."""

    activation: Activation = Synchronous()

    @property
    def agents(self) -> int:
        return 50

    def init(self, draw: Any) -> Any:
        return jnp.zeros(50)

    def act(self, draw: Any, state: Any, who: Float[Array, " agents"]) -> Any:
        return jnp.where(who > 0, draw.bernoulli("coin", 0.5, where=who), state)

    def observe(self, state: Any) -> dict[str, Array]:
        return {"heads": state.mean()}


def test_who_is_alone_does_not_care():
    audit = audit_activation(Alone(), jr.key(0), 6, runs=60)
    assert audit.activations == ("as written", "4 random blocks", "random sequential", "random agents")
    assert audit.holds and audit.verdicts()[0].code is Code.ANY_ORDER
    assert audit.values["mean of heads"].shape == (4, 60)


def test_cooperation_on_a_lattice_hangs_on_the_clock():
    model = SpatialDilemma(grid=Grid(40, 40, periodic=True))
    audit = audit_activation(
        model,
        jr.key(0),
        60,
        conclusions={
            "cooperation survives": lambda run: run["cooperators"][-1] > 0.1,
            "cooperators": lambda run: run["cooperators"][-1],
        },
        activations={"8 blocks": RandomBlocks(8)},
        runs=8,
    )
    codes = [verdict.code for verdict in audit.verdicts()]
    assert codes == [Code.ORDER_DECIDES, Code.ORDER_DECIDES]
    assert audit.yes == {"cooperation survives"}
    assert "1 as written, 0 under 8 blocks" in audit.verdicts()[0].sentence
    assert audit.record()["means"]["cooperators"][0] > 0.2
    assert len(audit.sections()[0].figures) == 2


def test_few_runs_leave_it_open():
    rng = np.random.default_rng(0)
    values = {"x": rng.standard_normal((2, 6)) + np.array([[0.0], [0.9]])}
    (verdict,) = ActivationAudit(("as written", "other"), values, 1.0).verdicts()
    assert verdict.code is Code.ORDER_OPEN and verdict.code.mend


def test_intervals_hold_over_all_comparisons():
    """Of 400 audits of one law, about 5 % at most call it a difference (they ask for a large one, too)."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        audit = ActivationAudit(("a", "b", "c", "d"), {"x": rng.standard_normal((4, 20))}, 0.0)
        wrong += audit.verdicts()[0].code is Code.ORDER_DECIDES
    assert wrong / 400 < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_what_cannot_be_audited_is_refused():
    plain: Any = SIR(Grid(5, 5), jnp.float32(0.1), jnp.float32(0.2))
    with pytest.raises(ModelError, match="fixes who acts when"):
        audit_activation(plain, jr.key(0), 5)
    two = {"blocks": RandomBlocks(2)}
    with pytest.raises(ModelError, match="known in 0 runs"):
        audit_activation(Alone(), jr.key(0), 5, conclusions={"nan": lambda run: np.nan}, runs=5, activations=two)
    with pytest.raises(ModelError, match="give one or more"):
        audit_activation(Alone(activation=RandomSequential()), jr.key(0), 5, activations={})
