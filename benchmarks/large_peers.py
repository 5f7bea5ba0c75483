"""Large populations in other frameworks, for `large.py`, which runs this file with the Python of their environments.

    python large_peers.py CASE SIZES_AS_JSON

reads seeds, one a line, and answers each with a JSON object: seconds of set-up and of the run (processor and wall),
summaries, and the peak memory so far. Written as each framework's own guide writes such a model.

Wealth: all who own something pay a unit to somebody at random, all at the same time, and a step's penniless share and
Gini coefficient are recorded. Epidemic: Starsim's own SIR on a static random network.
"""

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

    model, seen = Economy(), Seen()

    def run():
        for _ in range(sizes["steps"]):
            model.step()
            seen.look(model.agents.get("wealth")[model.money].to_numpy())
        return seen.summaries()

    return run


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

    model, seen = Economy(), Seen()

    def run():
        for _ in range(sizes["steps"]):
            model.step()
            seen.look(model.agents.get("wealth"))
        return seen.summaries()

    return run


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

    def run():
        sim.run()
        found = sim.results[sir.name]
        ever = np.asarray(found.n_infected) + np.asarray(found.n_recovered)
        days = {f"ever infected, day {day}": float(ever[day - 1]) for day in sizes["days"]}
        edges = len(sim.networks[0].edges.p1)
        steps = sizes["agents"] * len(ever)
        return {**days, "recovered, end": float(found.n_recovered[-1]), "edges": edges, "agent-steps": steps}

    return run


CASES = {"ambr": ambr, "agentpy": agentpy, "mesa-frames": mesa_frames, "mesa": mesa, "starsim": starsim}


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
