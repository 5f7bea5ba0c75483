"""Bursts of logit choosers whose equation is known, drawn as binomial counts: nothing is compiled."""

import numpy as np

import populace as pop
from populace.core.noise import host_generator

DT = 0.1
REDRAW = 1.0 - np.exp(-DT)


def rate(m, h=0.1, J=1.5):
    """What the mean does a unit of time, of steps of DT."""
    return REDRAW * (np.tanh(h + J * m) - m) / DT


def choosers(agents=10_000, length=3.0, h=0.1, J=1.5):
    """Bursts of `agents` with intensity of choice 1."""
    steps = round(length / DT)

    def move(macro, parameters, key):
        generator, up, path = host_generator(key), np.rint(0.5 * (1 + macro[:, 0]) * agents).astype(int), []
        for _ in range(steps):
            pull = np.tanh(parameters["h"] + parameters["J"] * (2 * up / agents - 1))
            left = generator.binomial(up, 0.5 * REDRAW * (1 - pull))
            up = up - left + generator.binomial(agents - up, 0.5 * REDRAW * (1 + pull))
            path.append(2 * up / agents - 1)
        return np.stack(path, 1)[:, :, None]

    return pop.CoarseFunction(move, within={"mean": (-1.0, 1.0)}, values={"h": h, "J": J}, time=length, times=steps)


def fold(J=1.5):
    """The upper branch's fold: mean and h."""
    m = np.sqrt(1 - 1 / J)
    return np.array([m, np.arctanh(m) - J * m])
