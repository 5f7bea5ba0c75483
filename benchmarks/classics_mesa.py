"""The classics in Mesa 3, for `classics.py`, which runs this file with the Python of an environment of Mesa's own.

Written as Mesa's own examples are: `AgentSet.do` and `shuffle_do`, cell spaces, the experimental continuous space, and
events for grass. Where the model is synchronous, agents first look and then act (`do("look")`, `do("act")`); in turn
they do both (`shuffle_do("step")`). Wolves and sheep go one after another in random order, which has the law of a
synchronous step there (see zoo/wolf_sheep.py).

    python classics_mesa.py MODEL SIZES_AS_JSON SEEDS

prints one JSON object: for each seed the summaries, agent-steps, and seconds of processor time of set-up and run.
"""

import json
import math
import sys
import time

import numpy as np
from mesa import Model
from mesa.agent import AgentSet
from mesa.discrete_space import CellAgent, FixedAgent, OrthogonalMooreGrid, OrthogonalVonNeumannGrid
from mesa.experimental.continuous_space import ContinuousSpace, ContinuousSpaceAgent
from mesa.experimental.devs import ABMSimulator


class Bird(ContinuousSpaceAgent):
    """Looks at its neighbours, then turns and flies."""

    def __init__(self, model, space, position, direction, vision):
        super().__init__(space, model)
        self.position, self.direction, self.vision = position, direction, vision

    def look(self):
        neighbours, distances = self.get_neighbors_in_radius(radius=self.vision)
        self.turned = self.direction
        if not neighbours:
            return
        delta = self.space.calculate_difference_vector(self.position, agents=neighbours)
        cohere = delta.sum(axis=0) * 0.03
        separate = -delta[distances < 1.0].sum(axis=0) * 0.015
        match = np.asarray([bird.direction for bird in neighbours]).sum(axis=0) * 0.05
        turned = self.direction + (cohere + separate + match) / len(neighbours)
        self.turned = turned / np.linalg.norm(turned)

    def act(self):
        self.direction = self.turned
        self.position = self.position + self.direction

    def step(self):
        self.look()
        self.act()


class Flocking(Model):
    """Birds on a torus, all at the same time or in turn."""

    def __init__(self, seed, side, birds, vision, in_turn):
        super().__init__(seed=seed)
        self.in_turn = in_turn
        space = ContinuousSpace([[0, side], [0, side]], torus=True, random=self.random, n_agents=birds)
        angle = self.rng.uniform(0, 2 * np.pi, birds)
        places = self.rng.uniform(0, side, (birds, 2))
        for place, heading in zip(places, np.stack([np.cos(angle), np.sin(angle)], axis=1), strict=True):
            Bird(self, space, place, heading, vision)
        self.order, self.agent_steps = [], 0

    def step(self):
        if self.in_turn:
            self.agents.shuffle_do("step")
        else:
            self.agents.do("look")
            self.agents.do("act")
        self.agent_steps += len(self.agents)
        self.order.append(float(np.linalg.norm(np.mean([bird.direction for bird in self.agents], axis=0))))

    def summaries(self):
        return {"order, first half": np.mean(self.order[:50]), "order, end": np.mean(self.order[-10:])}


class Person(CellAgent):
    """Counts its neighbours."""

    def __init__(self, model, cell, kind, radius, wanted):
        super().__init__(model)
        self.cell, self.kind, self.radius, self.wanted = cell, kind, radius, wanted

    def look(self):
        kinds = [other.kind for other in self.cell.get_neighborhood(radius=self.radius).agents]
        self.alike, self.around = kinds.count(self.kind), len(kinds)

    def step(self):
        self.look()
        if self.alike < self.wanted:
            self.cell = self.model.grid.select_random_empty_cell()
            self.model.moved[-1] += 1


class Schelling(Model):
    """Unhappy people move to empty cells, all at the same time or in turn."""

    def __init__(self, seed, side, people, radius, wanted, in_turn):
        super().__init__(seed=seed)
        self.in_turn = in_turn
        self.grid = OrthogonalMooreGrid((side, side), torus=False, capacity=1, random=self.random)
        cells = self.random.sample(self.grid.all_cells.cells, people)
        for number, cell in enumerate(cells):
            Person(self, cell, int(number < people // 2), radius, wanted)
        self.moved, self.agent_steps = [], 0

    def step(self):
        self.agent_steps += len(self.agents)
        if self.in_turn:
            self.moved.append(0)
            self.agents.shuffle_do("step")
        else:
            self.all_at_once()

    def all_at_once(self):
        self.agents.do("look")
        movers = [person for person in self.agents if person.alike < person.wanted]
        empties = self.grid.empties.cells
        count = min(len(movers), len(empties))
        pairs = zip(self.random.sample(movers, count), self.random.sample(empties, count), strict=True)
        for person, cell in pairs:
            person.cell = cell
        self.moved.append(count)

    def summaries(self):
        self.agents.do("look")
        alike = np.mean([person.alike / person.around for person in self.agents if person.around])
        moves = {"moves, first three": sum(self.moved[:3]), "moves, all": sum(self.moved)}
        return {"alike, end": alike, **moves}


class Animal(CellAgent):
    """Moves, eats, dies, has young."""

    def __init__(self, model, cell, energy, gain, chance):
        super().__init__(model)
        self.cell, self.energy, self.gain, self.chance = cell, energy, gain, chance

    def step(self):
        self.cell = self.cell.neighborhood.select_random_cell()
        self.energy -= 1
        self.feed()
        if self.energy < 0:
            self.remove()
        elif self.random.random() < self.chance:
            self.energy /= 2
            type(self)(self.model, self.cell, self.energy, self.gain, self.chance)


class Sheep(Animal):
    """Eats grass."""

    def feed(self):
        grass = next(each for each in self.cell.agents if isinstance(each, Grass))
        if grass.grown:
            grass.eaten()
            self.energy += self.gain
            self.model.grazed += 1


class Wolf(Animal):
    """Eats sheep."""

    def feed(self):
        sheep = [each for each in self.cell.agents if isinstance(each, Sheep)]
        if sheep:
            self.random.choice(sheep).remove()
            self.energy += self.gain
            self.model.hunted += 1


class Grass(FixedAgent):
    """Grows again some time after it was eaten."""

    def __init__(self, model, cell, regrowth, wait):
        super().__init__(model)
        self.cell, self.regrowth, self.grown = cell, regrowth, wait == 0
        if wait:
            model.simulator.schedule_event_relative(self.grow, wait)

    def grow(self):
        self.grown = True

    def eaten(self):
        self.grown = False
        self.model.simulator.schedule_event_relative(self.grow, self.regrowth)


class WolfSheep(Model):
    """Sheep, then wolves, in random order; grass by events."""

    def __init__(self, seed, side, sheep, wolves, regrowth, lambing, cubbing):
        super().__init__(seed=seed)
        self.simulator = ABMSimulator()
        self.simulator.setup(self)
        grid = OrthogonalMooreGrid((side, side), torus=False, capacity=math.inf, random=self.random)
        cells = grid.all_cells.cells
        for cell in cells:
            wait = self.random.randrange(1, regrowth + 1) if self.random.random() < 0.5 else 0
            Grass(self, cell, regrowth, wait)
        for kind, count, gain, chance in ((Sheep, sheep, 5, lambing), (Wolf, wolves, 13, cubbing)):
            for _ in range(count):
                kind(self, self.random.choice(cells), self.random.randrange(2 * gain), gain, chance)
        self.series, self.agent_steps, self.grazed, self.hunted = [], 0, 0, 0

    def step(self):
        for kind in (Sheep, Wolf):
            self.agent_steps += len(self.agents_by_type[kind])
            self.agents_by_type[kind].shuffle_do("step")
        self.series.append([len(self.agents_by_type[kind]) for kind in (Sheep, Wolf)])

    def run_model(self, steps):
        self.simulator.run_for(steps)

    def summaries(self):
        sheep, wolves = np.mean(self.series, axis=0)
        meals = {"grazed": self.grazed, "hunted": self.hunted}
        return {"sheep, mean": sheep, "wolves, mean": wolves, **meals}


class Tree(FixedAgent):
    """Stands, is lit by a burning neighbour, burns, is burned."""

    def __init__(self, model, cell):
        super().__init__(model)
        self.cell, self.state = cell, "standing"

    def look(self):
        """Only burning trees act: they burn out, and light those that stand beside them."""
        self.state = "burned"
        for tree in self.cell.neighborhood.agents:
            if tree.state == "standing":
                self.model.lit.add(tree)


class ForestFire(Model):
    """Trees on a grid, lit along one side."""

    def __init__(self, seed, side, density):
        super().__init__(seed=seed)
        grid = OrthogonalVonNeumannGrid((side, side), torus=False, capacity=1, random=self.random)
        for cell in grid.all_cells.cells:
            if self.random.random() < density:
                Tree(self, cell)
        self.burning = self.agents.select(lambda tree: tree.cell.coordinate[1] == 0)
        self.burning.set("state", "burning")
        self.agent_steps = 0

    def step(self):
        self.lit = set()
        self.agent_steps += len(self.burning)
        self.burning.do("look")
        self.burning = AgentSet(self.lit, random=self.random)
        self.burning.set("state", "burning")

    def summaries(self):
        return {"burned": self.agent_steps, "burning": len(self.burning)}


MODELS = {"flocking": Flocking, "schelling": Schelling, "wolf-sheep": WolfSheep, "forest-fire": ForestFire}


def measured(model, sizes, steps, seed):
    began = time.process_time()
    made = MODELS[model](seed, **sizes)
    ready = time.process_time()
    if isinstance(made, WolfSheep):
        made.run_model(steps)
    else:
        for _ in range(steps):
            made.step()
    done = time.process_time()
    summaries = {name: float(value) for name, value in made.summaries().items()}
    return {"summaries": {**summaries, "agent-steps": made.agent_steps}, "setup": ready - began, "run": done - ready}


def main():
    model, sizes, seeds = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    steps = sizes.pop("steps")
    print(json.dumps([measured(model, sizes, steps, seed) for seed in range(1, seeds + 1)]))


if __name__ == "__main__":
    main()
