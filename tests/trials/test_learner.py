"""Trial 4: a policy at a decide site, trained inside the compiled simulation by REINFORCE (Williams 1992)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float

import populace as pop
from populace.core.record import EveryStep
from populace.core.simulate import advance, initial

AGENTS, STEPS, WORLDS = 8, 40, 32


class Commons(pop.Model):
    """A stock that grows by itself; who goes out takes a share of it and pays (Gordon 1954)."""

    share: Float[Array, ""] = pop.parameter(default=0.1, domain=pop.unit)
    cost: Float[Array, ""] = pop.parameter(default=0.02, domain=pop.nonnegative)

    def init(self, draw):
        return jnp.float32(1), jnp.float32(0)

    def step(self, draw, state):
        stock = state[0]
        view = jnp.broadcast_to(stock, (AGENTS,))
        out = draw.decide("go out", view, lambda view, own: own.bernoulli("coin", 0.5, size=AGENTS))
        taken = out.sum() * self.share * stock
        profit = taken - self.cost * out.sum()
        return jnp.clip(stock + 0.5 * stock * (1 - stock) - taken, 0.0, 1.0), profit

    def observe(self, state):
        return {"stock": state[0], "profit": state[1]}


class Logistic(pop.Policy):
    """Goes out with a probability that hangs on the stock; the log-probability is what a learner wants to know."""

    weights: Float[Array, "2"]

    def memory(self):
        return ()

    def act(self, view, memory, key):
        logit = self.weights[0] + self.weights[1] * (view - 0.5)
        action = (jr.uniform(key) < jax.nn.sigmoid(logit)).astype(jnp.float32)
        return pop.Act(action, memory, log_prob(logit, action))


class Remembering(pop.Policy):
    """One unit of memory, h' = keep h + read x, and a bet on its sign."""

    keep: Float[Array, ""]
    read: Float[Array, ""]
    gain: Float[Array, ""]

    def memory(self):
        return jnp.float32(0)

    def act(self, view, memory, key):
        memory = jnp.tanh(self.keep * memory + self.read * view)
        logit = self.gain * memory
        action = (jr.uniform(key) < jax.nn.sigmoid(logit)).astype(jnp.float32)
        return pop.Act(action, memory, log_prob(logit, action))


def log_prob(logit, action):
    return action * jax.nn.log_sigmoid(logit) + (1 - action) * jax.nn.log_sigmoid(-logit)


class Recall(pop.Model):
    """Each agent is shown a sign at step 1 and nothing later; a bet on it pays at every step."""

    def init(self, draw):
        return {"sign": 2 * draw.bernoulli("sign", 0.5, size=AGENTS) - 1, "paid": jnp.zeros(AGENTS)}

    def step(self, draw, state):
        view = jnp.where(draw.time == 1, state["sign"], 0.0)
        bet = draw.decide("bet", view, lambda view, own: own.bernoulli("coin", 0.5, size=AGENTS))
        return {"sign": state["sign"], "paid": (2 * bet - 1 == state["sign"]).astype(jnp.float32)}

    def observe(self, state):
        return {"profit": state["paid"].mean()}


def played(model, site, policy, key, steps):
    """One run inside a trace: observations and what went on the tape."""
    plugs = () if policy is None else (pop.Deciding(site, policy),)
    here, _ = initial(model, key, plugs)
    _, _, seen, tape, _ = advance(model, key, here, plugs, None, EveryStep(), steps)
    return seen, tape


@eqx.filter_jit
def trained(model, site, policy, key, steps, rate, updates):
    """The policy after so many compiled updates, and the mean profit before each. Reward to go, less its mean."""
    optimiser = optax.adam(rate)

    def surrogate(policy, key):
        seen, tape = jax.vmap(lambda k: played(model, site, policy, k, steps))(jr.split(key, WORLDS))
        to_go = jnp.cumsum(seen["profit"][:, ::-1], axis=1)[:, ::-1]
        advantage = jax.lax.stop_gradient(to_go - to_go.mean(0))
        note = tape[site]
        loss = -(note["info"] * note["acting"] * advantage[..., None]).sum((1, 2)).mean()
        return loss, seen["profit"].sum(1).mean()

    def update(carry, key):
        policy, state = carry
        (_, profit), slope = eqx.filter_value_and_grad(surrogate, has_aux=True)(policy, key)
        change, state = optimiser.update(slope, state, policy)
        return (eqx.apply_updates(policy, change), state), profit

    carry, profits = jax.lax.scan(update, (policy, optimiser.init(policy)), jr.split(key, updates))
    return carry[0], profits


def profit(model, policy, key, steps):
    plugs = () if policy is None else (pop.Deciding("go out", policy),)
    return pop.ensemble(model, key, steps, runs=WORLDS, plugs=plugs).observations["profit"].sum(-1)


def test_a_policy_learns_to_spare_the_commons():
    model, start = Commons(), Logistic(jnp.zeros(2))
    policy, profits = trained(model, "go out", start, jr.key(0), STEPS, 0.05, 150)
    rule, learned = (profit(model, who, jr.key(1), STEPS) for who in (None, policy))
    gain = learned.mean() - rule.mean()
    assert gain > 4 * np.sqrt((learned.var() + rule.var()) / WORLDS)
    assert learned.mean() > 1.5 * rule.mean() and profits[-10:].mean() > profits[:10].mean()


def test_the_tape_is_what_a_learner_replays():
    """Probabilities computed anew from the views and actions on the tape are those that were noted."""
    policy = Logistic(jnp.array([0.3, -0.7]))
    run = pop.simulate(Commons(), jr.key(2), 5, plugs=(pop.Deciding("go out", policy),))
    note = run.tape["go out"]
    again = jax.vmap(jax.vmap(lambda v, a: log_prob(policy.weights[0] + policy.weights[1] * (v - 0.5), a)))
    np.testing.assert_allclose(again(note["view"], note["action"]), note["info"], rtol=1e-6)
    assert note["view"].shape == note["acting"].shape == (5, AGENTS) and (note["acting"] == 1).all()


def test_who_is_overridden_is_no_example_to_learn_from():
    plugs = (pop.Override("go out", 0.0, pop.Window(start=3)), pop.Deciding("go out", Logistic(jnp.zeros(2))))
    note = pop.simulate(Commons(), jr.key(2), 5, plugs=plugs).tape["go out"]
    assert note["acting"][:2].all() and not note["acting"][2:].any()


def test_memory_carries_gradients_from_step_to_step():
    """Half of the bets are won without memory; what is learned goes through twelve steps of the memory."""
    start = Remembering(jnp.float32(0.5), jnp.float32(0.3), jnp.float32(0.5))
    _, profits = trained(Recall(), "bet", start, jr.key(0), 12, 0.1, 120)
    assert profits[0] / 12 < 0.65
    assert profits[-10:].mean() / 12 > 0.9


def test_a_run_with_memory_can_be_stopped_and_resumed():
    policy = Remembering(jnp.float32(1.0), jnp.float32(1.0), jnp.float32(5.0))
    plugs = (pop.Deciding("bet", policy),)
    whole = pop.simulate(Recall(), jr.key(3), 6, plugs=plugs)
    half = pop.simulate(Recall(), jr.key(3), 2, plugs=plugs)
    rest = pop.simulate(Recall(), jr.key(3), 4, plugs=plugs, start=half.final)
    np.testing.assert_array_equal(whole.observations["profit"][2:], rest.observations["profit"])
