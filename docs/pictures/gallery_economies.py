"""The gallery: economies of firms, households and banks."""

import bank
import economies
import jax.random as jr
import numpy as np
from gallery_panels import bare, beside, dots, law, panel, stacked
from matplotlib.figure import Figure
from scipy.special import gammaln

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT
from populace.zoo.axtell_firms import random_friends
from populace.zoo.boltzmann_wealth import BoltzmannWealth
from populace.zoo.interbank import Interbank, clearing_vector, random_banks
from populace.zoo.islands import Islands
from populace.zoo.sugarscape import GRAIN, Sugarscape
from populace.zoo.supply_chain import supply_chain


def axtell_firms(figure: Figure) -> None:
    """The size of the largest of 500 agents' firms, in another colour whenever it is another firm."""
    axes = panel(figure, "Axtell: firms grow, and none lasts")
    seen = pop.simulate(random_friends(jr.key(1), 500, 2), jr.key(2), 160).observations
    size, name = np.asarray(seen["largest"]), np.asarray(seen["name"])
    reign = np.cumsum(np.diff(name, prepend=name[0]) != 0)
    colours = [PALETTE[place % 4] for place in reign]
    axes.bar(0.2 * np.arange(1, 161), size, 0.205, color=colours, linewidth=0)
    axes.set(xlabel="turns an agent", ylabel="members of the largest firm", xlim=(0, 32.2))
    axes.annotate(
        f"another colour: another firm ({reign[-1] + 1} reigns)", (0.03, 0.97), xycoords="axes fraction", va="top"
    )
    axes.set_ylim(0, 1.15 * size.max())


def baseline_economy(figure: Figure) -> None:
    """Half-years of forty years."""
    out, rises = stacked(figure, "Baseline economy: Beveridge and Phillips")
    economies.curves(out, rises)
    out.set(title="", xlabel="", ylabel="vacancies,\n% of households")
    rises.set(title="", xlabel="unemployment, % (a dot a half-year)", ylabel="wage growth,\n% a year")
    figure.align_ylabels()


def boltzmann_wealth(figure: Figure) -> None:
    """What 20,000 agents own who all began with five units, and the exact law."""
    axes = panel(figure, "Boltzmann wealth: chance makes a few rich")
    agents, units = 20_000, 100_000
    model = pop.bind(BoltzmannWealth(agents=agents), {"mean": 5.0})
    wealth = pop.simulate(model, jr.key(1), 1_000, record=pop.Last()).final.state
    own = np.arange(48)
    count = np.bincount(np.asarray(wealth).astype(int), minlength=48)[:48]
    axes.bar(own, count / agents, color=PALETTE[0], alpha=0.55, label="20,000 agents, 5 units each at the start")
    ways = gammaln(units - own + agents - 1) - gammaln(units - own + 1) - gammaln(agents - 1)
    law(axes, own, np.exp(ways - gammaln(units + agents) + gammaln(units + 1) + gammaln(agents)), "Boltzmann law")
    axes.set(xlabel="units owned", ylabel="share of agents", yscale="log", ylim=(3e-5, 2.0), xlim=(-1, 47))
    axes.set_yticks([1e-4, 1e-3, 1e-2, 1e-1], ["0.0001", "0.001", "0.01", "0.1"])
    axes.legend(loc="upper right")


def bottom_up_economy(figure: Figure) -> None:
    """Who fails, by what it owes."""
    axes = panel(figure, "Bottom-up economy: debts make firms fail")
    bank.failures(axes, bank.seen())
    axes.set(title="", xlabel="debt by a firm's own money", ylabel="fail in the next quarter, %")


def interbank(figure: Figure) -> None:
    """What is not paid, by how much of its cash one bank loses; the line is the mean over who is struck."""
    axes = panel(figure, "Interbank: fire sales make a loss larger")
    banks, shocks = random_banks(jr.key(0), 50), np.linspace(0.0, 1.0, 11)
    owed = np.asarray(banks.owes.sum(1), np.float64)
    struck, cash = np.flatnonzero(owed).tolist(), np.asarray(banks.cash, np.float64)
    for parameters, colour, name in (
        ({"alpha": 0.05, "r": 0.02}, PALETTE[1], "runs with fire sales"),
        ({"alpha": 0.0, "r": 0.0}, PALETTE[0], "runs without"),
    ):
        seen = pop.ensemble(
            pop.bind(banks, parameters), jr.key(1), 40, runs=100, parameters={"shock": shocks}, record=pop.Last()
        )
        dots(axes, shocks, 100 * (1.0 - np.asarray(seen.observations["paid"])[:, :, 0]), name, colour)
    law(
        axes,
        shocks,
        [100 * np.mean([lost(banks, cash, i, shock) for i in struck]) for shock in shocks],
        "clearing vector",
    )
    axes.set(xlabel="share of its cash that one bank loses", ylabel="of all debts not paid, %", ylim=(0, None))
    axes.legend(loc="upper left")


def lost(banks: Interbank, cash: np.ndarray, struck: int, shock: float) -> float:
    """The share of all debts that is not paid where one bank is struck."""
    left = cash - shock * cash * (np.arange(len(cash)) == struck) + np.asarray(banks.holdings, np.float64)
    owed = float(np.asarray(banks.owes, np.float64).sum())
    return 1.0 - float(clearing_vector(banks.owes, left).sum()) / owed


def islands(figure: Figure) -> None:
    """Growth over a hundred steps by the probability of leaving to explore."""
    axes = panel(figure, "Islands: explore, but not too much")
    eps = np.array([0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
    for phi, colour in ((0.5, PALETTE[0]), (0.3, PALETTE[1])):
        model = pop.bind(Islands(), {"phi": phi, "rho": 0.1})
        output = pop.ensemble(model, jr.key(7), 100, runs=24, parameters={"eps": eps}).observations["log_output"]
        growth = np.asarray(output)[:, :, -1] - np.asarray(output)[:, :, 0]
        dots(axes, eps, growth, f"phi = {phi}", colour)
        axes.plot(eps, growth.mean(1), color=colour, linewidth=0.8)
    axes.set(xscale="log", xlabel="eps, probability that a miner leaves to explore", ylabel="growth, % a step")
    axes.set_xticks([0.001, 0.01, 0.1, 0.9], ["0.001", "0.01", "0.1", "0.9"])
    axes.legend(loc="upper left", title="how cumulative knowledge is", alignment="left")


def sugarscape(figure: Figure) -> None:
    """The land and who lives on it; how many do, by sight and trade."""
    land, lives = beside(figure, "Sugarscape: sight and trade feed more", (1.1, 1.0))
    for trade, style in ((True, "-"), (False, "--")):
        for sight, colour, name in ((1.0, PALETTE[0], "see 1 cell"), (5.0, PALETTE[1], "see 1 to 5 cells")):
            run = pop.simulate(pop.bind(Sugarscape(trade=trade), {"vision": sight}), jr.key(1), 90)
            label = name if trade else None
            lives.plot(run.times, run.observations["population"], style, color=colour, linewidth=1.2, label=label)
            if trade and sight > 1:
                folk = run.final.state.folk
                row, column = np.divmod(np.asarray(folk.cell)[np.asarray(folk.alive) > 0], 50)
                land.plot(column, row, ".", color=INK, markersize=2.5)
    grown = np.asarray(Sugarscape().capacity()).reshape(50, 50, 2) / GRAIN / 4.0
    land.imshow(1.0 - grown @ np.array([[0.03, 0.21, 0.53], [0.41, 0.26, 0.08]]), interpolation="nearest")
    bare(land, "sugar, spice, people")
    lives.plot([], [], "--", color=SOFT, linewidth=1.2, label="without trade")
    lives.set(xlabel="step", ylabel="people, of 200", ylim=(0, 200))
    lives.legend(loc="upper right")


def supply_chain_(figure: Figure) -> None:
    """Production of the firms that a shock hit and of the others, with small and large stocks."""
    axes = panel(figure, "Supply chain: a shock is handed on")
    for stocks, style in ((6.0, "-"), (24.0, "--")):
        model = supply_chain(jr.key(0), 1_000, stocks=stocks)
        made = 100 * np.asarray(pop.simulate(model, jr.key(1), 60).observations["production"])
        hit = np.asarray(model.hit) > 0
        for who, colour, name in ((hit, PALETTE[1], "hit by the shock"), (~hit, PALETTE[0], "not hit")):
            label = f"{name}, stocks of {stocks:.0f} days"
            axes.plot(np.arange(1, 61), made[:, who].mean(1), style, color=colour, linewidth=1.4, label=label)
    axes.set(xlabel="day after the shock", ylabel="production, % of usual", ylim=(0, 105), xlim=(0, 60))
    axes.legend(loc="lower right")


ECONOMIES = {
    "axtell-firms": axtell_firms,
    "baseline-economy": baseline_economy,
    "boltzmann-wealth": boltzmann_wealth,
    "bottom-up-economy": bottom_up_economy,
    "interbank": interbank,
    "islands": islands,
    "sugarscape": sugarscape,
    "supply-chain": supply_chain_,
}
