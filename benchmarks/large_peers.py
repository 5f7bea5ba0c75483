"""Large populations in other frameworks, for `large.py`, which runs this file with the Python of their environments.

    python large_peers.py CASE SIZES_AS_JSON

reads seeds, one a line, and answers each with a JSON object: seconds of set-up and of the run (processor and wall),
summaries, and the peak memory so far. Written as each framework's own guide writes such a model.

Wealth: all who own something pay a unit to somebody at random, all at the same time, and a step's penniless share and
Gini coefficient are recorded. Epidemic: Starsim's own SIR and Covasim, each on Starsim's static random network.
"""

import functools
import json
import resource
import sys
import time

import numpy as np


def gini(wealth):
    """From counts, which costs less than a sort."""
    count = np.bincount(wealth)
    owned = np.cumsum(count * np.arange(len(count)))
    area = (count * (2.0 * owned - count * np.arange(len(count)))).sum()
    return 1.0 - area / (len(wealth) * owned[-1])


class Seen:
    """What is recorded of wealth, a step."""

    def __init__(self):
        self.penniless, self.gini, self.units, self.agent_steps = [], [], 0, 0

    def look(self, wealth):
        wealth = np.asarray(wealth).astype(np.int64)
        self.penniless.append(float((wealth == 0).mean()))
        self.gini.append(float(gini(wealth)))
        self.units = int(wealth.sum())
        self.agent_steps += len(wealth)

    def summaries(self):
        mean = {"penniless, mean": np.mean(self.penniless), "gini, mean": np.mean(self.gini)}
        return {**mean, "gini, end": self.gini[-1], "units": self.units, "agent-steps": self.agent_steps}


def stepped(model, steps, wealth):
    """The run of a model that steps, and what is seen of its wealth after each step."""
    seen = Seen()

    def run():
        for _ in range(steps):
            model.step()
            seen.look(wealth(model))
        return seen.summaries()

    return run


def ambr(sizes, seed):
    import ambr as am

    seen = Seen()

    class Wealth(am.Model):
        def setup(self):
            self.add_agents(sizes["agents"], wealth=1)

        def step_vectorized(self):
            donors = self.agents.where(self.agents.wealth > 0)
            count = len(donors)
            donors.wealth -= 1
            self.agents.at[self.rng.choice(self.agents.ids.to_numpy(), size=count)].scatter_add(wealth=1)
            seen.look(self.agents.wealth.to_numpy())

    model = Wealth({"steps": sizes["steps"], "seed": seed, "show_progress": False}).cpu(mode="vectorized")
    return lambda: (model.run(), seen.summaries())[1]


def mesa_frames(sizes, seed):
    import polars as pl
    from mesa_frames import AgentSetPolars, ModelDF

    class Money(AgentSetPolars):
        def __init__(self, n, model):
            super().__init__(model)
            self += pl.DataFrame(
                {"unique_id": pl.arange(n, eager=True), "wealth": pl.ones(n, dtype=pl.Int64, eager=True)}
            )

        def step(self):
            self.do("give_money")

        def give_money(self):
            self.select(self.wealth > 0)
            others = self.agents.sample(
                n=len(self.active_agents), with_replacement=True, seed=self.random.integers(2**62)
            )
            self["active", "wealth"] -= 1
            income = others.group_by("unique_id").len()
            self[income, "wealth"] += income["len"]

    class Economy(ModelDF):
        def __init__(self):
            super().__init__(seed=seed)
            self.money = Money(sizes["agents"], self)
            self.agents += self.money

        def step(self):
            self.agents.do("step")

    return stepped(Economy(), sizes["steps"], lambda model: model.agents.get("wealth")[model.money].to_numpy())


def mesa(sizes, seed):
    from mesa import Agent, Model

    class Person(Agent):
        def __init__(self, model):
            super().__init__(model)
            self.wealth = 1

        def look(self):
            self.pays = self.wealth > 0

        def act(self):
            if self.pays:
                self.wealth -= 1
                people = self.model.people
                people[int(self.model.random.random() * len(people))].wealth += 1

    class Economy(Model):
        def __init__(self):
            super().__init__(seed=seed)
            self.people = list(Person.create_agents(self, sizes["agents"]))

        def step(self):
            self.agents.do("look")
            self.agents.do("act")

    return stepped(Economy(), sizes["steps"], lambda model: model.agents.get("wealth"))


def agentpy(sizes, seed):
    import agentpy as ap

    class Person(ap.Agent):
        def setup(self):
            self.wealth = 1

        def look(self):
            self.pays = self.wealth > 0

        def act(self):
            if self.pays:
                self.wealth -= 1
                somebody = self.model.people.random()
                somebody.wealth += 1

    seen = Seen()

    class Economy(ap.Model):
        def setup(self):
            self.people = ap.AgentList(self, sizes["agents"], Person)

        def step(self):
            self.people.look()
            self.people.act()

        def update(self):
            if self.t > 0:
                seen.look(list(self.people.wealth))

    model = Economy({"steps": sizes["steps"], "seed": seed})
    return lambda: (model.run(display=False), seen.summaries())[1]


@functools.cache
def abmax_money():
    """How people of abmax are made, and the compiled run of them, which seeds share.

    Two updates of all agents and what passes between them, as its guide has it: an interaction gives each agent its
    input, here a sum at an index, since a matrix of who meets whom would have agents^2 entries.
    """
    import jax
    import jax.numpy as jnp
    from abmax.functions import create_agents, jit_step_agents
    from abmax.structs import Agent, Params, Set, Signal, State
    from flax import struct

    @struct.dataclass
    class Person(Agent):
        @staticmethod
        def create_agent(agent_type, params, id, active_state, key):
            state = State({"wealth": params.content["wealth"], "gives": jnp.array([0]), "to": jnp.array([0])})
            return Person(id, active_state, 0.0, agent_type, None, state, None, key)

        @staticmethod
        def give(agent, input, step_params):
            key, mine = jax.random.split(agent.key)
            wealth = agent.state.content["wealth"]
            gives = jnp.where(wealth > 0, 1, 0)
            to = jax.random.randint(mine, (1,), 0, step_params.content["people"])
            return agent.replace(state=State({"wealth": wealth - gives, "gives": gives, "to": to}), key=key)

        @staticmethod
        def receive(agent, input, step_params):
            content = agent.state.content
            return agent.replace(state=State({**content, "wealth": content["wealth"] + input.content["income"]}))

    def create(agents, seed):
        one = Params({"wealth": jnp.tile(1, (agents, 1))})
        people = create_agents(Person, one, agents, agents, 0, jax.random.PRNGKey(seed))
        return Set(agents, agents, people, id=0, set_type=0, params=None, state=None, policy=None, key=None)

    @functools.partial(jax.jit, static_argnums=1)
    def run(people, steps):
        def step(people, _):
            params = Params({"people": people.num_agents})
            people = jit_step_agents(Person.give, params, None, people)
            given = people.agents.state.content
            income = jnp.zeros_like(given["wealth"]).at[given["to"].reshape(-1)].add(given["gives"])
            people = jit_step_agents(Person.receive, params, Signal({"income": income}), people)
            return people, people.agents.state.content["wealth"].reshape(-1)

        return jax.lax.scan(step, people, None, length=steps)

    return create, run


def abmax(sizes, seed):
    import jax

    create, run = abmax_money()
    people, seen = jax.block_until_ready(create(sizes["agents"], seed)), Seen()

    def runs():
        for wealth in np.asarray(run(people, sizes["steps"])[1]):
            seen.look(wealth)
        return seen.summaries()

    return runs


def course(sim, results, sizes):
    """Runs an epidemic of Starsim's kind."""
    sim.run()
    ever = np.asarray(results.n_infected) + np.asarray(results.n_recovered)
    days = {f"ever infected, day {day}": float(ever[day - 1]) for day in sizes["days"]}
    edges = len(sim.networks[0].edges.p1)
    steps = sizes["agents"] * len(ever)
    return {**days, "recovered, end": float(results.n_recovered[-1]), "edges": edges, "agent-steps": steps}


def starsim(sizes, seed):
    import starsim as ss

    net = ss.RandomNet(n_contacts=2 * sizes["half"], dynamic=False, uniform_targets=True)
    sir = ss.SIR(
        init_prev=ss.bernoulli(sizes["seeded"]),
        beta=ss.probperday(sizes["beta"]),
        dur_inf=ss.expon(ss.days(sizes["days_ill"])),
        p_death=0,
    )
    sim = ss.Sim(
        n_agents=sizes["agents"],
        networks=net,
        diseases=sir,
        dt=ss.days(1),
        start="2020-01-01",
        dur=ss.days(sizes["steps"] - 1),
        rand_seed=seed,
        verbose=0,
    )
    sim.init()
    return lambda: course(sim, sim.results[sir.name], sizes)


def covasim(sizes, seed):
    """Covasim with its one layer of random contacts, `a`, as many for each as Starsim's; all cases silent and alike:
    infectious at once and at a constant rate, for days of an exponential law, and immune afterwards.
    """
    import covasim as cv
    import starsim as ss

    sim = cv.Sim(
        pop_size=sizes["agents"],
        networks=ss.RandomNet(name="a", n_contacts=2 * sizes["half"], dynamic=False, uniform_targets=True),
        n_days=sizes["steps"] - 1,
        rand_seed=seed,
        verbose=0,
        init_prev=ss.bernoulli(sizes["seeded"]),
        beta=sizes["beta"],
        beta_dist={"dist": "uniform", "par1": 1.0, "par2": 1.0},
        viral_dist={"frac_time": 0.3, "load_ratio": 1, "high_cap": 4},
        prog_by_age=False,
        rel_symp_prob=0.0,
        dur_exp2inf=ss.constant(ss.days(0)),
        dur_asym2rec=ss.expon(ss.days(sizes["days_ill"])),
        use_waning=False,
    )
    sim.init()
    return lambda: course(sim, sim.results.covid, sizes)


MONEY = {"abmax": abmax, "agentpy": agentpy, "ambr": ambr, "mesa-frames": mesa_frames, "mesa": mesa}
CASES = {**MONEY, "covasim": covasim, "starsim": starsim}


def serve(make, sizes):
    """Answers seeds until there are none."""
    for line in sys.stdin:
        start = time.process_time()
        run = make(sizes, int(line))
        setup = time.process_time() - start
        start, wall = time.process_time(), time.perf_counter()
        summaries = run()
        seconds = {"setup": setup, "run": time.process_time() - start, "wall": time.perf_counter() - wall}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            json.dumps({**seconds, "peak_gb": peak, "summaries": {k: float(v) for k, v in summaries.items()}}),
            flush=True,
        )


if __name__ == "__main__":
    serve(CASES[sys.argv[1]], json.loads(sys.argv[2]))
