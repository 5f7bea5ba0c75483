"""The picture of ties that change in docs/howto/worlds.md: a society that falls apart, and when it does.

python docs/pictures/adaptive_voter.py docs/pictures/adaptive-voter.png
"""

import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import populace as pop
from populace.reporting.drawing_scenes import fill
from populace.reporting.style import PALETTE, SOFT, styled
from populace.zoo.adaptive_voter import AdaptiveVoter

PHI = np.linspace(0.0, 1.0, 11)


def society(agents: int) -> AdaptiveVoter:
    """Ten agents an opinion, four ties an agent."""
    return AdaptiveVoter(pop.DynamicNetwork.of(pop.random_network(jr.key(0), agents, 4.0)), opinions=agents // 10)


def scenes(axes: list[Axes]) -> None:
    """The start and the end of one run, at the same places."""
    model = society(300)
    film = pop.film(AdaptiveVoter(model.network, jnp.float32(0.6), model.opinions), jr.key(0), 400, every=400)
    for each, panel, title in zip(axes, film.panels(np.arange(2)), ("At the start", "After 400 steps"), strict=True):
        each.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[], aspect="equal")
        each.set_title(f"{title}, phi = 0.6")
        each.spines[:].set_visible(False)
        fill(panel, each)


def transition(axes: Axes) -> None:
    """The largest camp by phi, means and standard errors over runs."""
    for (agents, runs), colour in zip(((320, 10), (960, 3)), PALETTE, strict=False):
        seen = pop.ensemble(
            society(agents), jr.key(1), 3_000, runs=runs, parameters={"phi": jnp.asarray(PHI)}, record=pop.Last()
        ).observations["largest"][..., -1]
        spread = np.asarray(seen).std(axis=1, ddof=1) / np.sqrt(runs)
        axes.errorbar(PHI, np.asarray(seen).mean(axis=1), spread, color=colour, marker="o", markersize=3, capsize=2)
        axes.plot([], [], color=colour, marker="o", markersize=3, label=f"{agents} agents")
    axes.axvline(0.458, color=SOFT, linewidth=0.8, linestyle="--")
    axes.annotate("0.458", (0.47, 0.93), color=SOFT)
    axes.set(xlabel="phi", ylim=(0, 1), title="Share of the largest camp, step 3,000")
    axes.legend(loc="upper right", bbox_to_anchor=(1.0, 0.9))


def main(path: str) -> None:
    """Make it."""
    with styled():
        figure = Figure(figsize=(10.5, 3.6), layout="constrained")
        axes = figure.subplots(1, 3)
        scenes(list(axes[:2]))
        transition(axes[2])
        figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main(sys.argv[1])
