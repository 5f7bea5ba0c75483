"""Small models of Mesa. Workers import this file: it must not import JAX."""

import random

import mesa
import numpy as np


class Jar(mesa.Model):
    """Grains fall into a jar: a random number each step, and it is full at a hundred."""

    def __init__(self, rate=2.0, grains=0, name="jar", seed=None):
        super().__init__(seed=seed)
        assert isinstance(grains, int)
        self.rate, self.grains, self.name = rate, grains, name
        self.common = 0.0
        self.datacollector = mesa.DataCollector({"grains": "grains", "common": "common"})
        self.datacollector.collect(self)

    def step(self):
        self.grains += self.np_random().poisson(self.rate)
        self.common = random.random() + np.random.random()
        self.running = self.grains < 100
        self.datacollector.collect(self)

    def np_random(self):
        return self.rng


class Handed(Jar):
    """Hands all on, the seed too."""

    def __init__(self, rate=2.0, **rest):
        super().__init__(rate, **rest)


class Newer(mesa.Model):
    """Calls its seed rng."""

    def __init__(self, rate, *, rng=None):
        super().__init__(rng=rng)
        self.total = 0.0
        self.rate = rate

    def step(self):
        self.total += self.rng.normal(self.rate)


class Seedless(mesa.Model):
    """Cannot be repeated."""

    def __init__(self, rate):
        super().__init__()
