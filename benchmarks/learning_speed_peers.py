"""The peers of `learning_speed.py`, each in an environment of its own.

Started with the name of a task, it reads JSON lines: first what to do, then a seed a line, and answers each with one
line. What the first answer says was compiled before it; the others are timed.

- `spread-random`, `spread-train`: jaxmarl's MPE simple spread, random play and shared PPO. Its baselines are not in its
  wheel; the training here is of our own writing, after what its documentation says of IPPO (one feed-forward network
  that all agents share, two hidden layers with tanh for the policy and two for the critic, orthogonal first weights,
  Adam, a linear fall of the step, clipped values).
- `lean-train`: the fish war in plain JAX with the same training, in networks of the kind that populace has: no sites,
  no plugs, no tape, no masks.
- `ai-economist`: its scenario of wood and stone, four agents and a planner, random play, one world.
"""

import itertools
import json
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import Any

OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # peers greet; only answers go out


def answer(**what: Any) -> None:
    print(json.dumps(what), file=OUT, flush=True)


def timed(work: Any) -> tuple[Any, dict[str, float]]:
    wall, processor = time.perf_counter(), time.process_time()
    out = work()
    return out, {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}


# A shared PPO: `env` has `agents`, `reset(key)` -> (state, views) and `step(key, state, actions)` ->
# (state, views, rewards, ended); `law` has `sample`, `log_prob` and `entropy` of outputs; `network(weights, views)` ->
# (outputs, value).


def collected(env, network, law, weights, key, given):
    """Episodes from their start, (steps, worlds, agents, ...): views, raw actions, rewards, ends, values, odds; and the
    values after them.
    """
    import jax

    starting, going = jax.random.split(key)
    worlds = given["worlds"]
    begun = jax.vmap(env.reset)(jax.random.split(starting, worlds))

    def one(carry, k):
        state, views = carry
        acting, stepping = jax.random.split(k)
        outputs, value = network(weights, views)
        raw = law.sample(outputs, acting)
        keys = jax.random.split(stepping, worlds)
        state, seen, reward, ended = jax.vmap(env.step)(keys, state, law.action(raw))
        return (state, seen), (views, raw, reward, ended, value, law.log_prob(outputs, raw))

    (_, views), rows = jax.lax.scan(one, begun, jax.random.split(going, given["steps"]))
    return rows, network(weights, views)[1]


def advantages(rewards, ended, values, last, given):
    import jax
    import jax.numpy as jnp

    def back(carry, now):
        later, value = carry
        reward, end, here = now
        on = given["discount"] * (1.0 - end)
        gained = reward + on * value - here + on * given["decay"] * later
        return (gained, here), gained

    return jax.lax.scan(back, (jnp.zeros_like(last), last), (rewards, ended, values), reverse=True)[1]


def loss(network, law, weights, part, given, left):
    import jax.numpy as jnp

    views, raw, old, said, gain, target = part
    outputs, value = network(weights, views)
    odds = jnp.exp(law.log_prob(outputs, raw) - said)
    if given["standardise"] == "part":
        gain = (gain - gain.mean()) / (gain.std() + 1e-8)
    near = given["near"]
    kept = jnp.minimum(odds * gain, jnp.clip(odds, 1.0 - near, 1.0 + near) * gain).mean()
    off = jnp.square(value - target)
    if given["clip_values"]:
        off = jnp.maximum(off, jnp.square(old + jnp.clip(value - old, -near, near) - target))
    return 0.5 * given["value"] * off.mean() - kept - given["entropy"] * left * law.entropy(outputs).mean()


def training(env, network, law, given):
    """From first weights and a key to weights and the curve: the mean discounted return of each update's episodes."""
    import jax
    import jax.numpy as jnp
    import optax

    parts, epochs, updates = given["minibatches"], given["epochs"], given["updates"]
    weigh = given["discount"] ** jnp.arange(given["steps"])

    def fall(count):
        done = (count // (parts * epochs)) / updates
        return given["rate"] * (1.0 - done if given["fall"] == "line" else jnp.maximum((1.0 - done) ** 2, 0.01))

    adam = optax.adam(fall, eps=given["epsilon"])
    optimiser = optax.chain(optax.clip_by_global_norm(given["longest"]), adam)

    def update(carry, at):
        weights, state = carry
        key, number = at
        running, mixing = jax.random.split(key)
        (views, raw, rewards, ended, values, odds), last = collected(env, network, law, weights, running, given)
        gained = advantages(rewards, ended, values, last, given)
        target = gained + values
        if given["standardise"] == "all":
            gained = (gained - gained.mean()) / (gained.std() + 1e-6)
        left = 1.0 - number / updates if given["entropy_falls"] else 1.0
        whole = (views, raw, values, odds, gained, target)
        axes = given["mixed"]  # (steps, worlds) are mixed as rows of agents, or each agent's row on its own
        whole = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[axes:]), whole)
        rows = rewards.size if axes == 3 else rewards.size // rewards.shape[-1]
        size = rows // parts

        def one(carry, index):
            weights, state = carry
            part = jax.tree.map(lambda leaf: leaf[index], whole)
            slope = jax.grad(lambda w: loss(network, law, w, part, given, left))(weights)
            change, state = optimiser.update(slope, state)
            return (optax.apply_updates(weights, change), state), None

        order = jax.vmap(lambda k: jax.random.permutation(k, rows)[: size * parts])(jax.random.split(mixing, epochs))
        carry, _ = jax.lax.scan(one, (weights, state), order.reshape(-1, size))
        return carry, (weigh[:, None, None] * rewards).sum(0).mean()

    def train(weights, key):
        keys = jax.random.split(key, updates)
        (weights, _), curve = jax.lax.scan(update, (weights, optimiser.init(weights)), (keys, jnp.arange(updates)))
        return weights, curve

    return train


@dataclass(frozen=True)
class Options:
    """Choices, by log odds."""

    def sample(self, outputs, key):
        import jax

        return jax.random.categorical(key, outputs)

    def action(self, raw):
        return raw

    def log_prob(self, outputs, raw):
        import jax
        import jax.numpy as jnp

        return jnp.take_along_axis(jax.nn.log_softmax(outputs), raw[..., None], -1)[..., 0]

    def entropy(self, outputs):
        import jax
        import jax.numpy as jnp

        logs = jax.nn.log_softmax(outputs)
        return -(jnp.exp(logs) * logs).sum(-1)


@dataclass(frozen=True)
class Share:
    """A number from 0 to 1: a normal law, bent; `first` at the middle of the first one."""

    first: float

    def _law(self, outputs):
        import jax.numpy as jnp

        return outputs[..., 0], jnp.clip(outputs[..., 1] + math.log(0.5), math.log(0.06), 1.0)

    def sample(self, outputs, key):
        import jax
        import jax.numpy as jnp

        mean, log_sd = self._law(outputs)
        return mean + jnp.exp(log_sd) * jax.random.normal(key, mean.shape)

    def action(self, raw):
        import jax

        return jax.nn.sigmoid(raw + math.log(self.first / (1.0 - self.first)))

    def log_prob(self, outputs, raw):
        import jax.numpy as jnp

        mean, log_sd = self._law(outputs)
        return -0.5 * ((raw - mean) * jnp.exp(-log_sd)) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)

    def entropy(self, outputs):
        return self._law(outputs)[1] + 0.5 * (1.0 + math.log(2 * math.pi))


# Simple spread of jaxmarl


class Spread:
    """Its environment with agents on an axis; it begins anew by itself where an episode ends."""

    def __init__(self):
        import jaxmarl

        self.env = jaxmarl.make("MPE_simple_spread_v3")
        self.agents = self.env.num_agents

    def _stacked(self, by_name):
        import jax.numpy as jnp

        return jnp.stack([by_name[name] for name in self.env.agents])

    def reset(self, key):
        views, state = self.env.reset(key)
        return state, self._stacked(views)

    def step(self, key, state, actions):
        chosen = {name: actions[i] for i, name in enumerate(self.env.agents)}
        views, state, rewards, ended, _ = self.env.step(key, state, chosen)
        return state, self._stacked(views), self._stacked(rewards), self._stacked(ended).astype("float32")


def spread_random(given):
    """Worlds of one episode each, actions drawn evenly: the sum of each world's rewards, (worlds, agents)."""
    import jax

    env = Spread()

    def world(key):
        starting, going = jax.random.split(key)
        state, _ = env.reset(starting)

        def one(state, k):
            acting, stepping = jax.random.split(k)
            actions = jax.random.randint(acting, (env.agents,), 0, 5)
            state, _, rewards, _ = env.step(stepping, state, actions)
            return state, rewards

        return jax.lax.scan(one, state, jax.random.split(going, given["steps"]))[1].sum(0)

    def play(seed):
        return jax.vmap(world)(jax.random.split(jax.random.key(seed), given["worlds"]))

    return play, lambda out: {"mean": float(out.mean()), "error": float(out.mean(1).std() / len(out) ** 0.5)}


def spread_train(given):
    import flax.linen as nn
    import jax
    import numpy as np
    from flax.linen.initializers import orthogonal

    env = Spread()

    class ActorCritic(nn.Module):
        @nn.compact
        def __call__(self, views):
            def tower(width, last):
                hidden = views
                for size in given["hidden"]:
                    hidden = nn.tanh(nn.Dense(size, kernel_init=orthogonal(np.sqrt(2)))(hidden))
                return nn.Dense(width, kernel_init=orthogonal(last))(hidden)

            return tower(5, 0.01), tower(1, 1.0)[..., 0]

    module = ActorCritic()
    seen = env.env.observation_space(env.env.agents[0]).shape
    first = jax.jit(lambda key: module.init(key, np.zeros(seen, np.float32)))
    train = training(env, module.apply, Options(), given)
    keys = [jax.random.key(seed) for seed in range(given["seeds"] + 1)]
    weights = [first(key) for key in keys]  # apart: there is a factorisation in it
    together = given.get("together", 1)
    jitted = jax.jit(jax.vmap(train))

    def play(seed):
        some = jax.tree.map(lambda leaf: np.stack([leaf] * together), weights[seed])
        return jitted(some, jax.random.split(jax.random.fold_in(keys[seed], 1), together))

    return play, lambda out: {"curve": np.asarray(out[1]).tolist()}


def spread_proof(given):
    """One episode of its own: where all stand, what they do, see and earn."""
    import jax
    import numpy as np

    env = Spread()
    state, _ = env.reset(jax.random.key(given["seed"]))
    begun = np.asarray(state.p_pos).tolist()
    rows = []
    for number in range(given["steps"] - 1):  # the last step begins anew
        key = jax.random.key(number)
        actions = jax.random.randint(key, (env.agents,), 0, 5)
        state, views, rewards, _ = env.step(key, state, actions)
        rows.append({"actions": actions.tolist(), "views": views.tolist(), "rewards": rewards.tolist()})
    *_, ended = env.step(key, state, actions)
    answer(begun=begun, rows=rows, ended=float(ended.min()))


# The fish war in plain JAX


class Fishery:
    """Utility log c, growth (x - sum c)^a, everything rationed to .98 of the stock."""

    elasticity, shock, most, least = 0.36, 0.1, 0.98, 1e-6

    def __init__(self, agents):
        self.agents = agents

    def _views(self, stock):
        import jax.numpy as jnp

        return jnp.broadcast_to(stock, (self.agents, 1))

    def _shocked(self, key):
        import jax
        import jax.numpy as jnp

        return jnp.exp(self.shock * jax.random.normal(key))

    def reset(self, key):
        stock = 0.5 * self._shocked(key)
        return stock, self._views(stock)

    def step(self, key, stock, asked):
        import jax.numpy as jnp

        total = asked.sum()
        catch = stock * asked * jnp.where(total > self.most, self.most / total, 1.0)
        stock = self._shocked(key) * (stock - catch.sum()) ** self.elasticity
        return stock, self._views(stock), jnp.log(jnp.maximum(catch, self.least)), jnp.zeros(self.agents)


def lean_train(given):
    import jax
    import jax.numpy as jnp

    env, law = Fishery(given["agents"]), Share(given["first"])

    def perceptron(weights, views):
        hidden = views
        for matrix, shift in weights[:-1]:
            hidden = jax.nn.silu(hidden @ matrix + shift)
        return hidden @ weights[-1][0] + weights[-1][1]

    def first(key, width, last):
        sizes = (1, *given["hidden"], width)
        layers = []
        for i, (inward, outward) in enumerate(itertools.pairwise(sizes)):
            scale = math.sqrt(2.0 / inward) * (last if i == len(sizes) - 2 else 1.0)
            matrix = scale * jax.random.normal(jax.random.fold_in(key, i), (inward, outward))
            layers.append((matrix, jnp.zeros(outward)))
        return layers

    def network(weights, views):
        # The stock is near .5 and what it is worth near -40: constants, where populace has running scales.
        views = (views - 0.5) / 0.1
        return perceptron(weights[0], views), given["middle"] + given["spread"] * perceptron(weights[1], views)[..., 0]

    train = training(env, network, law, given)

    @jax.jit
    def whole(key):
        acting, judging, going = jax.random.split(key, 3)
        weights, curve = train((first(acting, 2, 0.01), first(judging, 1, 0.1)), going)
        return law.action(network(weights, jnp.array([[0.45]]))[0][:, 0]).mean(), curve

    return lambda seed: whole(jax.random.key(seed)), lambda out: {"share": float(out[0])}


# ai-economist


def ai_economist(given):
    import numpy as np
    from ai_economist import foundation

    made = {
        "scenario_name": "layout_from_file/simple_wood_and_stone",
        "components": [
            ("Build", {"skill_dist": "pareto", "payment_max_skill_multiplier": 3}),
            ("ContinuousDoubleAuction", {"max_num_orders": 5}),
            ("Gather", {}),
            ("PeriodicBracketTax", {}),
        ],
        "env_layout_file": "quadrant_25x25_20each_30clump.txt",
        "starting_agent_coin": 10,
        "fixed_four_skill_and_loc": True,
        "n_agents": 4,
        "world_size": [25, 25],
        "episode_length": 1000,
        "multi_action_mode_agents": False,
        "multi_action_mode_planner": True,
        "flatten_observations": True,
        "flatten_masks": True,
    }
    env = foundation.make_env_instance(**made)

    def drawn(agent, mask):
        if not agent.multi_action_mode:
            return np.random.choice(len(mask), p=mask / mask.sum())
        split = np.split(mask, np.cumsum(agent.action_spaces)[:-1])
        return [np.random.choice(len(one), p=one / one.sum()) for one in split]

    def play(seed):
        np.random.seed(seed)
        seen = env.reset()
        began = time.perf_counter()
        for _ in range(given["steps"]):
            actions = {name: drawn(env.get_agent(name), what["action_mask"]) for name, what in seen.items()}
            seen, _, _, _ = env.step(actions)
        return time.perf_counter() - began

    return play, lambda seconds: {"wall": seconds}  # without the reset


TASKS = {
    "spread-random": spread_random,
    "spread-train": spread_train,
    "lean-train": lean_train,
    "ai-economist": ai_economist,
}


def main() -> None:
    task, given = sys.argv[1], json.loads(sys.stdin.readline())
    if task == "spread-proof":
        return spread_proof(given)
    play, said = TASKS[task](given)
    if task != "ai-economist":
        import jax

        plain = play if task != "spread-random" else jax.jit(play)
        play = lambda seed: jax.block_until_ready(plain(seed))  # noqa: E731
    _, first = timed(lambda: play(0))
    again = timed(lambda: play(0))[1] if given.get("warm", True) else first
    answer(compile=first["wall"] - again["wall"])
    for line in sys.stdin:
        out, spent = timed(lambda: play(int(line)))  # noqa: B023
        answer(**{**spent, **said(out)})


if __name__ == "__main__":
    main()
