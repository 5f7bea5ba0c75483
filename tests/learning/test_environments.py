"""Games played from outside: the same runs, bit for bit; and policies that come from outside."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import Levers, Till, duopoly, fish_war, levers, till

import populace as pop
from populace.learning.environments import FunctionalEnvironment
from populace.learning.foreign import CallbackPolicy, FunctionPolicy, legal
from populace.learning.game import watched
from populace.learning.rollout import rollout, score

SHARE = pop.Continuous(0.0, 1.0)


def row(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


class Shifts(pop.Model):
    """Two sites: `work`, at which agents are asked in turns, and `rest`; with `told`, who rests sees who works."""

    told: bool = eqx.field(static=True, default=False)
    turns: bool = eqx.field(static=True, default=True)

    def init(self, draw: pop.Draw) -> Array:
        return draw.uniform("first", size=4)

    def step(self, draw: pop.Draw, energy: Array) -> Array:
        turn = (jnp.arange(4) % 2 == draw.time % 2).astype(jnp.float32) if self.turns else jnp.ones(4)
        worked = draw.decide("work", energy, lambda view, inner: inner.uniform("much", size=4), where=turn)
        seen = {"energy": energy, "others": worked.sum() - worked if self.told else jnp.zeros_like(worked)}
        rested = draw.decide("rest", seen, lambda view, inner: jnp.full(4, 0.5))
        return energy - worked + rested + draw.normal("luck", size=4)

    def observe(self, energy: Array) -> dict[str, Array]:
        return {"energy": energy}


def energy(step: pop.Step) -> Array:
    return step.after - step.before


def shifts(told: bool = False) -> pop.Game:
    """Agents 2 and 3 do not learn to work."""
    work = pop.Learner(energy, SHARE, who=jnp.array([1.0, 1.0, 0.0, 0.0]))
    return pop.Game(Shifts(told), 5, {"work": work, "rest": pop.Learner(energy, SHARE)})


class Tiring(pop.Policy):
    """Works the more, the more often it has worked."""

    def memory(self) -> Array:
        return jnp.float32(0.0)

    def act(self, view: Any, memory: Array, key: Any) -> pop.Act:
        return pop.Act(0.1 * memory, memory + 1)


def tiring() -> pop.Game:
    """Who rests sees who works, by a policy that remembers."""
    working = pop.Deciding("work", Tiring())
    return pop.Game(Shifts(told=True, turns=False), 5, {"rest": pop.Learner(energy, SHARE)}, plugs=(working,))


@pytest.mark.parametrize(
    "game",
    [fish_war(2, steps=12), duopoly(3), shifts(), tiring()],
    ids=["fishery", "cournot", "two sites, some by the rule", "with a plug that remembers"],
)
def test_the_rules_own_actions_give_the_runs_of_the_rule(game: pop.Game):
    environment, key, paths = FunctionalEnvironment(game), jr.key(3), tuple(game.learners)
    run = pop.simulate(game.model, key, game.steps, plugs=(pop.Record(paths), *game.plugs))
    watching = pop.simulate(watched(game), key, game.steps, plugs=watched(game).plugs({}))
    reset, step = eqx.filter_jit(environment.reset), eqx.filter_jit(environment.step)
    views, state = reset(key)
    for i in range(game.steps):
        assert eqx.tree_equal(views, {path: row(run.tape[path]["view"], i) for path in paths})
        actions = {path: done_by_learners(game.learners[path], row(run.tape[path], i)) for path in paths}
        views, state, rewards, done, info = step(jr.key(i), state, actions)  # whatever key is handed in
        assert all((rewards[path] == watching.observations[f"reward:{path}"][i]).all() for path in paths)
        assert info["welfare"] == watching.observations["welfare"][i]
        assert bool(done) == (i == game.steps - 1)
    assert eqx.tree_equal(state.here.state, watching.final.state)
    assert eqx.tree_equal(state.here.state.step.after, run.final.state)
    assert int(state.time) == game.steps


def done_by_learners(learner: pop.Learner, note: Any) -> Array:
    """Nonsense for those who do not learn or are not asked."""
    acting = note["where"] if learner.who is None else note["where"] * learner.who
    return jnp.where(acting > 0, note["value"], 0.123)


@pytest.mark.parametrize(
    ("game", "action"), [(fish_war(2, steps=12), 0.6), (duopoly(3), 20.0)], ids=["fishery", "cournot"]
)
def test_a_fixed_action_gives_the_rollout_of_the_fixed_policy(game: pop.Game, action: float):
    (path,) = game.learners
    environment, key = FunctionalEnvironment(game), jr.key(1)
    actions = {path: jnp.full(environment.agents[path], action)}

    @eqx.filter_jit
    def played(environment: FunctionalEnvironment, key: Any) -> Any:
        def one(state: Any, time: Any) -> Any:
            _, state, rewards, done, info = environment.step(key, state, actions)
            return state, (rewards, done, info)

        return jax.lax.scan(one, environment.reset(key)[1], length=game.steps)[1]

    rewards, done, info = played(environment, key)
    run = eqx.filter_jit(rollout)(watched(game), {path: pop.FixedPolicy(action)}, key, game.steps, ())
    assert (rewards[path] == run.seen[f"reward:{path}"]).all()
    assert (info["welfare"] == run.seen["welfare"]).all()
    assert all((values == run.seen[f"limit:{name}"]).all() for name, values in info["limits"].items())
    assert np.flatnonzero(done).tolist() == [game.steps - 1]


def test_runs_are_played_side_by_side():
    environment, keys = FunctionalEnvironment(fish_war(2)), jr.split(jr.key(2), 3)
    actions = {"harvest": jnp.array([[0.1, 0.1], [0.2, 0.3], [0.6, 0.6]])}
    reset, step = eqx.filter_jit(environment.reset), eqx.filter_jit(environment.step)
    views, states = eqx.filter_vmap(reset)(keys)
    _, _, rewards, _, info = eqx.filter_vmap(step)(keys, states, actions)
    assert views["harvest"].shape == (3, 2)
    assert info["limits"]["ration"].tolist() == [0, 0, 1]
    for i, key in enumerate(keys):
        alone = step(key, reset(key)[1], row(actions, i))[2]
        assert np.allclose(alone["harvest"], rewards["harvest"][i], rtol=1e-5)


def test_who_is_not_asked_does_nothing_whatever_is_given():
    environment = FunctionalEnvironment(shifts())
    _, state = environment.reset(jr.key(0))
    _, after, rewards, _, info = environment.step(jr.key(0), state, {"work": jnp.full(4, 0.7)})
    assert info["asked"]["work"].tolist() == [0, 1, 0, 1]
    assert after.here.state.step.actions["work"][:3].tolist() == [0, jnp.float32(0.7), 0]
    assert rewards["work"][::2].tolist() == [0, 0]
    assert (rewards["work"][1::2] != 0).all()
    assert np.allclose(after.here.state.step.actions["rest"], 0.5)  # not named: the rule


def test_who_does_not_learn_keeps_to_the_rule():
    environment = FunctionalEnvironment(levers(who=jnp.array([1.0, 0, 0, 1, 0, 0])))
    _, state = environment.reset(jr.key(0))
    _, state, *_ = environment.step(jr.key(0), state, {"pull": jnp.full(6, 2)})
    assert state.here.state.step.after.tolist() == [2, 0, 0, 2, 0, 0]


def test_sites_that_cannot_be_asked_at_once_are_refused():
    with pytest.raises(pop.MethodError, match=r"seen at 'rest' depends on what is done at 'work'"):
        FunctionalEnvironment(shifts(told=True))


def test_actions_are_made_legal():
    assert legal(pop.Continuous(0.1, 0.9), np.array([[-1.0], [0.5], [2.0]]), (3,)).tolist() == pytest.approx(
        [0.1, 0.5, 0.9]
    )
    both = pop.Mixed({"a": pop.Discrete(3), "b": pop.Continuous(high=1.0, shape=(2,))})
    made = legal(both, {"a": np.array([-1, 7]), "b": np.full((2, 2), 5.0)}, (2,))
    assert made["a"].tolist() == [0, 2]
    assert made["a"].dtype == jnp.int32
    assert made["b"].tolist() == [[1, 1], [1, 1]]


def test_a_masked_option_is_left_to_the_model():
    first_only = pop.Discrete(3, allowed=lambda view: jnp.array([1, 0, 0]))
    game = pop.Game(Levers(), 4, {"pull": pop.Learner(lambda step: step.after, first_only)})
    environment = FunctionalEnvironment(game)
    _, state = environment.reset(jr.key(0))
    assert environment.step(jr.key(0), state, {"pull": jnp.full(6, 2)})[2]["pull"].tolist() == [2] * 6


@pytest.mark.parametrize(
    ("actions", "error", "says"),
    [
        ({"harvest": jnp.zeros(3)}, pop.MethodError, r"shape \(3,\), not \(2,\)"),
        ({"harvset": jnp.zeros(2)}, pop.UnknownSiteError, "did you mean 'harvest'"),
    ],
)
def test_actions_that_do_not_fit_are_refused(actions: Any, error: type[Exception], says: str):
    environment = FunctionalEnvironment(fish_war(2))
    _, state = environment.reset(jr.key(0))
    with pytest.raises(error, match=says):
        environment.step(jr.key(0), state, actions)


def test_a_mixed_action_names_its_parts():
    with pytest.raises(pop.MethodError, match=r"dictionary of \['a'\], not \['b'\]"):
        legal(pop.Mixed({"a": SHARE}), {"b": 0.0})


def test_an_action_that_is_no_number_is_a_fault_from_then_on():
    environment = FunctionalEnvironment(till(Till()))
    _, state = environment.reset(jr.key(0))
    faults = []
    for asked in (1.0, jnp.nan, 1.0):
        _, state, _, _, info = environment.step(jr.key(0), state, {"take": jnp.full(3, asked)})
        faults.append(bool(info["fault"]))
    assert faults == [False, True, True]


def test_spaces_say_what_one_agent_sees_and_does():
    environment = FunctionalEnvironment(duopoly())
    assert environment.action_space("quantity") == pop.Continuous(0.0, 90.0)
    assert environment.view_shape("quantity")["own"].shape == ()
    assert environment.agents == {"quantity": 2}
    with pytest.raises(pop.UnknownSiteError, match="nobody learns at 'price'"):
        environment.action_space("price")


def test_foreign_policies_earn_and_are_audited_like_ours():
    game, keys, sizes = fish_war(2, steps=4), jr.split(jr.key(0), 8), set()

    def outside(rows: np.ndarray) -> np.ndarray:
        sizes.add(rows.shape)
        return np.full((len(rows), 1), 7.0)  # float64, a column, too large

    policies = (
        pop.FixedPolicy(1.0),
        FunctionPolicy(lambda vector: vector + 7.0, SHARE),
        CallbackPolicy(outside, SHARE),
    )
    own, function, callback = (
        score(watched(game), {"harvest": policy}, keys).returns("harvest") for policy in policies
    )
    assert np.allclose(function, own, rtol=1e-5)
    assert np.allclose(callback, own, rtol=1e-5)
    audit = pop.audit_policy(game, {"harvest": policies[2]}, jr.key(0), runs=8, points=3)
    longer = score(watched(game.to_the_end()), {"harvest": policies[0]}, keys).returns("harvest")
    assert audit.baselines["harvest"][0][1] == pytest.approx(longer.mean(), rel=0.05)
    assert all(rows % game.model.harvesters == 0 and d == 1 for rows, d in sizes)


def test_a_callback_is_asked_once_a_step_for_the_whole_population():
    game, calls = fish_war(5, steps=6), []

    def outside(rows: np.ndarray) -> np.ndarray:
        calls.append((type(rows), rows.dtype, rows.shape))
        return rows / 10

    run = pop.simulate(game.model, jr.key(0), 6, plugs=game.with_policies({"harvest": CallbackPolicy(outside, SHARE)}))
    own = FunctionPolicy(lambda vector: vector / 10, SHARE)
    same = pop.simulate(game.model, jr.key(0), 6, plugs=game.with_policies({"harvest": own}))
    assert calls == [(np.ndarray, np.float32, (5, 1))] * 6
    assert np.allclose(run.observations["stock"], same.observations["stock"], rtol=1e-5)


def test_a_callback_keeps_its_rows_through_jit_vmap_and_scan():
    """More rows than travel in one piece, and of several runs."""
    actions = pop.Mixed({"pick": pop.Discrete(3), "much": pop.Continuous(shape=(2,))})
    shapes = []

    def outside(rows: np.ndarray) -> dict[str, np.ndarray]:
        shapes.append(rows.shape)
        return {"pick": rows[:, 0] % 3, "much": rows[:, 1:]}

    policy = CallbackPolicy(outside, actions)
    views = {"a": jnp.arange(24_000).reshape(2, 12_000), "b": jnp.arange(48_000.0).reshape(2, 12_000, 2)}
    act = jax.vmap(jax.vmap(lambda view: policy.act(view, (), jr.key(0)).action))
    later = lambda i: {**views, "a": views["a"] + i}  # noqa: E731
    found = jax.jit(lambda: jax.lax.scan(lambda _, i: (None, act(later(i))), None, jnp.arange(2))[1])()
    assert shapes == [(24_000, 3)] * 2
    assert (found["pick"][1] == (views["a"] + 1) % 3).all()
    assert (found["much"] == views["b"]).all()
    alone = policy.act(row(row(views, 1), 7), (), jr.key(0)).action
    assert alone["much"].tolist() == views["b"][1, 7].tolist()


def test_a_network_is_an_array_of_its_policy():
    """One a type, as with policies of ours; and it goes through `jit` without being compiled into it."""
    game = duopoly(2)
    networks = eqx.filter_vmap(lambda key: eqx.nn.MLP(2, 1, 4, 1, key=key))(jr.split(jr.key(0), 2))
    learner = game.learners["quantity"]
    typed = pop.Learner(learner.reward, learner.actions, types=jnp.arange(2))
    game = pop.Game(game.model, game.steps, {"quantity": typed})
    policy = FunctionPolicy(networks, pop.Continuous())
    plugs = (pop.Record(("quantity",)), *game.with_policies({"quantity": policy}))
    note = pop.simulate(game.model, jr.key(0), 3, plugs=plugs).tape["quantity"]
    for agent in range(2):
        own = jax.tree.map(lambda leaf: leaf[agent] if eqx.is_array(leaf) else leaf, networks)  # noqa: B023
        vector = jnp.array([note["view"]["own"][2, agent], note["view"]["rivals"][2, agent]])
        assert note["value"][2, agent] == pytest.approx(float(own(vector)[0]), rel=1e-4)
    assert all(eqx.is_array(leaf) for leaf in jax.tree.leaves(policy))


def test_a_callback_of_another_shape_says_so():
    policy = CallbackPolicy(lambda rows: np.zeros((len(rows), 2)), SHARE)
    with pytest.raises(Exception, match=r"returned an array of shape \(1, 2\), not \(1,\)"):
        jax.block_until_ready(policy.act(jnp.float32(0.3), (), jr.key(0)))
