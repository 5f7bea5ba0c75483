"""What is read off policies is what closed forms say. Policies here are written by hand: nothing is trained."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import duopoly, fish_war, levers

import populace as pop
from populace._results import BandPanel
from populace.core.plug import Deciding, Plug
from populace.core.policy import Act, Policy
from populace.learning.interpretation import Interpretation, bins, interpret
from populace.learning.visited import Beside

KEY = jr.key(0)


class Root(Policy):
    """Takes .3 times the square root of the stock: elasticity one half."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        return Act(0.3 * jnp.sqrt(view))


class Reply(Policy):
    """`haste` of the way to the best reply in Cournot's market, and `jump` more where rivals made less than 10."""

    haste: float = 0.5
    jump: float = 0.0

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        best = 0.5 * (90.0 - view["rivals"])
        return Act(view["own"] + self.haste * (best - view["own"]) + self.jump * (view["rivals"] < 10.0))


class Next(Policy):
    """Pulls the lever after the one that was pulled last."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        return Act((view.astype(jnp.int32) + 1) % 3)


class Shop(pop.Model):
    """Five agents see a signal of two numbers of either sign, and a kind, and answer with a number; the rule asks for
    a number of its own.
    """

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(5)

    def step(self, draw: pop.Draw, last: Array) -> Array:
        signal = jnp.stack([draw.normal(name, size=5) for name in "ab"], axis=1)
        view = {"kind": jnp.arange(5), "signal": signal}
        return draw.decide("answer", view, self.rule)

    def observe(self, last: Array) -> dict[str, Array]:
        return {"answer": last.sum()}

    def rule(self, view: Any, draw: pop.Draw) -> Array:
        return jnp.exp(draw.normal("mood", 0.5 * view["signal"][:, 0], 1.0))


class Remembers(Policy):
    """Goes with the signal, and with what it answered the last time; its logarithm or itself."""

    logarithm: bool = eqx.field(static=True)

    def memory(self) -> Any:
        return jnp.float32(0.0)

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        index = 0.3 * view["signal"][0] - 0.2 * view["signal"][1] + 0.1 * memory
        return Act(jnp.exp(index) if self.logarithm else index, index)


def shop() -> pop.Game:
    learner = pop.Learner(lambda step: step.after, pop.Continuous())
    return pop.Game(Shop(), 6, {"answer": learner})


@pytest.fixture(scope="module")
def roots() -> Interpretation:
    return interpret(fish_war(2), {"harvest": Root()}, KEY)


def test_an_elasticity_is_what_it_is_written_to_be(roots: Interpretation):
    (one,) = roots.elasticities["harvest"]
    assert (one.action, one.component, one.measure, one.share) == ("harvest", "view", "elasticity", 1.0)
    assert one.learned == pytest.approx((0.5, 0.5, 0.5), abs=1e-5)
    assert one.rule == (0.0, 0.0, 0.0)


def test_from_a_rule_that_never_changes_distance_is_in_its_size(roots: Interpretation):
    (found,), stock = roots.apart["harvest"], roots.visited["harvest"].x[:, 0]
    gap = 0.3 * np.sqrt(stock) / 0.32 - 1.0
    assert found.distance == pytest.approx(np.sqrt((gap**2).mean()), rel=1e-4)
    lowest = stock <= np.quantile(stock, 0.2)
    assert (found.component, found.low) == ("view", pytest.approx(stock.min()))
    assert found.there == pytest.approx(np.sqrt((gap[lowest] ** 2).mean()), rel=0.01)
    assert "always the same" in found.sentence


def test_in_cournots_market_both_are_known():
    """a = b own + (1 - b) (90 - rivals) / 2, b = .5 of the policy and .7 of the rule."""
    read = interpret(duopoly(), {"quantity": Reply()}, KEY)
    own, rivals = (read.visited["quantity"].x[:, d] for d in range(2))
    for who, b in (("learned", 0.5), ("rule", 0.7)):
        action = b * own + (1 - b) * (90 - rivals) / 2
        for one, wanted in zip(read.elasticities["quantity"], (b * own, (b - 1) / 2 * rivals), strict=True):
            assert one.measure == "elasticity"
            assert getattr(one, who) == pytest.approx(np.quantile(wanted / action, [0.05, 0.5, 0.95]), rel=1e-3)
    assert read.sections()[0].figures[0].panels[0].x_label == "own"


def test_where_policy_and_rule_differ_is_found():
    read = interpret(duopoly(), {"quantity": Reply(0.3, 5.0)}, KEY)
    (found,), visited = read.apart["quantity"], read.visited["quantity"]
    sd, rivals = visited.rule.std(), visited.x[:, 1]
    assert found.distance == pytest.approx(5.0 * np.sqrt((rivals < 10.0).mean()) / sd, rel=1e-4)
    assert (found.component, found.low) == ("rivals", rivals.min())
    assert (rivals <= found.high).mean() == pytest.approx(0.2, abs=0.01)
    most = rivals[rivals <= found.high] < 10.0
    assert 0 < most.mean() < 1 and found.there == pytest.approx(5.0 * np.sqrt(most.mean()) / sd, rel=1e-4)


def test_of_what_is_not_positive_there_are_semi_elasticities_and_slopes():
    """The policy remembers, the rule draws; whole numbers have no derivative."""
    half = interpret(shop(), {"answer": Remembers(True)}, KEY).elasticities["answer"]
    assert [(one.component, one.measure) for one in half] == [
        ("signal[0]", "semi-elasticity"),
        ("signal[1]", "semi-elasticity"),
    ]
    for one, learned, rule in zip(half, (0.3, -0.2), (0.5, 0.0), strict=True):
        assert one.learned == pytest.approx([learned] * 3, abs=1e-5)
        assert one.rule == pytest.approx([rule] * 3, abs=1e-5)
    plain = interpret(shop(), {"answer": Remembers(False)}, KEY).elasticities["answer"]
    assert [one.measure for one in plain] == ["slope", "slope"]
    assert plain[0].learned == pytest.approx([0.3] * 3, abs=1e-5)


def test_noting_changes_nothing():
    """Not the run, and not what other plugs note of the sites inside the rule."""

    def run(plug: Plug) -> pop.Run:
        return pop.simulate(Shop(), KEY, 6, plugs=(pop.Record(), plug, pop.Record()))

    deciding = Deciding("answer", Remembers(True), who=jnp.array([1.0, 1.0, 0.0, 1.0, 0.0]))
    plain, noted = run(deciding), run(Beside(deciding, slopes=True))
    assert np.array_equal(plain.observations["answer"], noted.observations["answer"])
    assert set(plain.tape) == set(noted.tape)
    assert np.array_equal(plain.tape["answer/mood"]["value"], noted.tape["answer/mood"]["value"])


def test_of_options_the_shares_are_told():
    read = interpret(levers(), {"pull": Next()}, KEY)
    (section,) = read.sections()
    (table,) = section.tables
    shares = {(row[2], row[4]): row[5:] for row in table.rows}
    assert shares == {
        (float(seen), option): (float(option == (seen + 1) % 3), float(option == 0))
        for seen in range(3)
        for option in range(3)
    }
    (found,) = read.apart["pull"]
    assert found.distance == 0.75  # the levers seen are 0, 1, 2, 0 and the rule's is 0
    assert (found.low, found.high, found.there) == (0.0, 0.0, 1.0)
    assert [panel.title for panel in section.figures[0].panels] == ["pull = 0", "pull = 1", "pull = 2"]


def test_only_learners_are_read():
    who = jnp.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])
    visited = interpret(levers(who=who), {"pull": Next()}, KEY, runs=5).visited["pull"]
    assert visited.x.shape == (5 * 4 * 3, 1)
    assert np.array_equal(visited.learned, (visited.x + 1) % 3)


def test_trainings_are_pooled_and_many_points_thinned():
    sets = tuple({"harvest": pop.FixedPolicy(share)} for share in (0.2, 0.3))
    read = interpret(fish_war(2), sets, KEY, points=100)
    visited = read.visited["harvest"]
    assert visited.x.shape == (96, 1)
    assert np.unique(visited.learned, return_counts=True)[1].tolist() == [48, 48]
    assert "of each training" in read.sections()[0].text[0]


def test_the_picture_is_of_what_was_visited(roots: Interpretation, tmp_path: Path):
    (panel,) = roots.sections()[0].figures[0].panels
    assert isinstance(panel, BandPanel)
    policy, rule = panel.bands
    stock = roots.visited["harvest"].x[:, 0]
    assert stock.min() <= policy.x.min() and policy.x.max() <= stock.max()
    assert np.allclose(policy.median, 0.3 * np.sqrt(policy.x), rtol=1e-3) and np.allclose(rule.median, 0.32)
    assert f"{stock.min():.3g} to {stock.max():.3g}" in roots.sections()[0].text[0]
    (file,) = pop.write(roots, tmp_path / "read.html")
    assert roots.apart["harvest"][0].sentence in file.read_text().replace("&#x27;", "'")
    json.dumps(roots.record(), allow_nan=False)


def test_bins_are_in_order_and_share_all_points():
    few = bins(np.array([2.0, *[0.0] * 10, 1.0]), 5)
    assert [np.flatnonzero(mask).tolist() for mask in few] == [list(range(1, 11)), [11], [0]]
    masks = bins(np.arange(100.0)[::-1], 5)
    assert [int(mask.sum()) for mask in masks] == [20] * 5 and masks[0][-1]
    lumped = bins(np.concatenate([np.zeros(90), np.arange(1.0, 11.0)]), 5)
    assert sum(mask.sum() for mask in lumped) == 100


@pytest.mark.parametrize(
    ("policies", "settings", "says"),
    [
        ((), {}, "no policy"),
        (({"pull": Next()}, {}), {}, "one structure"),
        ({"pull": Next()}, {"runs": 1}, "two runs"),
        ({"push": Next()}, {}, "nobody learns"),
    ],
)
def test_what_cannot_be_read_is_told_before_any_run(policies: Any, settings: dict[str, int], says: str):
    with pytest.raises((pop.MethodError, pop.UnknownSiteError), match=says):
        interpret(levers(), policies, KEY, **settings)
