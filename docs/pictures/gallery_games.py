"""The gallery: games, by their rules and by those who learn to play."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from gallery_panels import bare, beside, law, panel
from jaxtyping import Array
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT
from populace.zoo.commons import Commons
from populace.zoo.cournot import Cournot
from populace.zoo.fishery import Fishery, cooperative_share, nash_share
from populace.zoo.pricing import Pricing, one_period_price, pricing
from populace.zoo.rock_paper_scissors import RockPaperScissors
from populace.zoo.spatial_dilemma import SpatialDilemma


def commons(figure: Figure) -> None:
    """Effort at rest by the number of players: the house's rule, best replies, and best replies under a tax."""
    axes = panel(figure, "Commons: more players, too much effort")
    players = np.array([1, 2, 3, 5, 8])
    for known, rule, colour, name in (
        (0.8 + 0 * players, lambda n: (), PALETTE[1], "open access: more effort while it earns"),
        (0.8 * players / (players + 1), lambda n: replying(0.0), PALETTE[0], "players who reply best to each other"),
        (0.4 + 0 * players, lambda n: replying(0.4 * (n - 1) / n), PALETTE[2], "the same, under the right tax"),
    ):
        law(axes, players, known)
        found = [at_rest(Commons(n), "effort", rule(n)) for n in players.tolist()]
        axes.plot(players, found, "o", color=colour, markersize=5, label=name)
    axes.plot([], [], color=INK, linewidth=1.1, label="closed form")
    axes.set(xlabel="players", ylabel="effort of all at rest", ylim=(0.3, 1.2))
    axes.legend(loc="upper left")


def at_rest(model: pop.Model, name: str, plugs: tuple[pop.Plug, ...] = ()) -> float:
    """What is observed after two hundred steps."""
    return float(pop.simulate(model, jr.key(0), 200, plugs=plugs).observations[name][-1])


def replying(tax: float) -> tuple[pop.Plug, ...]:
    """Players who go some of the way to the effort that earns most beside the others', at the default prices."""

    def rule(view: dict[str, Array], draw: pop.Draw) -> Array:
        others = 1.0 - view["stock"] - view["effort"]
        return view["effort"] + 0.2 * (jnp.maximum((0.8 - tax - others) / 2.0, 0.0) - view["effort"])

    return (pop.Replace("effort", rule),)


def cournot(figure: Figure) -> None:
    """The price at rest by the number of firms."""
    axes = panel(figure, "Cournot: the more firms, the lower the price")
    firms = [1, 2, 3, 4, 6, 8, 11]
    many = np.linspace(1, 11, 101)
    law(axes, many, 10 + 90 / (many + 1), "Cournot's equilibrium")
    found = [at_rest(Cournot(n), "price") for n in firms]
    axes.plot(firms, found, "o", color=PALETTE[0], markersize=5, label="firms that reply to each other, at rest")
    for price, name in ((55, "a cartel"), (10, "what a unit costs")):
        axes.axhline(price, color=SOFT, linewidth=0.9, linestyle="--")
        axes.annotate(name, (11, price), xytext=(0, 3), textcoords="offset points", color=SOFT, ha="right")
    axes.set(xlabel="firms", ylabel="price", ylim=(0, 78), xticks=firms)
    axes.legend(loc="upper right")


def fishery(figure: Figure) -> None:
    """The stock under the shares of the game and of one owner, and where it rests without luck."""
    axes = panel(figure, "Fishery: a fish war leaves less than one owner")
    for n, share, colour, name in (
        (2, cooperative_share(2), PALETTE[2], "two as one owner"),
        (2, nash_share(2), PALETTE[0], "two at war"),
        (5, nash_share(5), PALETTE[1], "five at war"),
    ):
        plugs = (pop.Deciding("harvest", pop.FixedPolicy(share)),)
        run = pop.simulate(Fishery(n), jr.key(1), 60, plugs=plugs)
        axes.plot(run.times, run.observations["stock"], color=colour, linewidth=1.2, label=name)
        rest = (1.0 - n * share) ** (0.36 / 0.64)
        axes.axhline(rest, color=INK, linewidth=0.9, linestyle="--")
        axes.annotate(f"{rest:.2f}", (60, rest), xytext=(3, 0), textcoords="offset points", va="center")
    axes.set(xlabel="season", ylabel="stock of fish", xlim=(1, 60), ylim=(0, 1.0))
    axes.plot([], [], "--", color=INK, linewidth=0.9, label="rest, without luck")
    axes.legend(loc="upper center", ncols=2)


def pricing_(figure: Figure) -> None:
    """What two firms earn while they learn by tables of worth, between the profits of Nash and cartel."""
    axes = panel(figure, "Pricing: learners end near the cartel")
    market, discount, updates, periods = pricing(), 0.95, 150, 2_000
    learner = pop.Learner(lambda step: step.after.profit, pop.Discrete(15), discount=discount, types=jnp.arange(2))
    first = earned(market).mean(1) / (1 - discount)
    algorithm = pop.QLearning((15, 15), rate=0.15, fade=4e-5, first=first)
    game = pop.Game(market, periods, {"price": learner})
    learned = pop.learn(game, algorithm, jr.key(0), budget=updates, seeds=8, runs=2, progress=False)
    curve = (1 - discount) * learned.curve["price"].reshape(8, -1, 5).mean(2)  # pay a period, of five updates
    at = (np.arange(curve.shape[1]) + 0.5) * 5 * periods / 1_000
    axes.plot(at, curve.T, color=PALETTE[0], linewidth=0.5, alpha=0.6)
    axes.plot(at, curve.mean(0), color=PALETTE[0], linewidth=1.8, label="mean of 8 pairs of learners")
    for price, name in ((one_period_price(2), "Nash"), (one_period_price(2, 2), "cartel")):
        profit = float(market.profits(jnp.full(2, price))[0])
        axes.axhline(profit, color=INK, linewidth=1.0, linestyle="--")
        axes.annotate(name, (300, profit), xytext=(0, 3), textcoords="offset points", ha="right")
    axes.set(xlabel="period, thousands", ylabel="profit of a firm, a period", xlim=(0, 300), ylim=(0.2, 0.36))
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.2))


def earned(market: Pricing) -> np.ndarray:
    """What a firm earns in a period, by its price and its rival's, as numbers of the grid."""
    own, rival = np.meshgrid(np.asarray(market.prices), np.asarray(market.prices), indexing="ij")
    both = jnp.asarray(np.stack([own.ravel(), rival.ravel()], axis=1))
    return np.asarray(jax.vmap(market.profits)(both))[:, 0].reshape(own.shape)


def rock_paper_scissors(figure: Figure) -> None:
    """The mean pay of who draws at random, against fixed moves and against one who plays rock too often."""
    axes = panel(figure, "Rock, paper, scissors: chance loses to nobody")
    rounds = np.arange(1, 3_001)
    for move, name in enumerate(("rock", "paper", "scissors")):
        rival = pop.Deciding("move", pop.FixedPolicy(jnp.int32(move)), jnp.array([0.0, 1.0]))
        paid = np.asarray(pop.simulate(RockPaperScissors(), jr.key(move), 3_000, plugs=(rival,)).observations["paid"])
        axes.plot(rounds, np.cumsum(paid) / rounds, color=PALETTE[move], linewidth=1.2, label=f"against {name}")
    for sign in (-1, 1):
        law(axes, rounds, sign * 2 * np.sqrt(2 / 3 / rounds), "two standard errors" if sign > 0 else None)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.set(xscale="log", xlabel="round", ylabel="mean pay so far, a round", ylim=(-1.1, 1.1), xlim=(1, 3_000))
    axes.set_xticks([1, 10, 100, 1_000], ["1", "10", "100", "1,000"])
    axes.legend(loc="lower right")


def spatial_dilemma(figure: Figure) -> None:
    """What one defector makes of a land of cooperators; and how many cooperate by who acts when."""
    land, time = beside(figure, "Nowak-May: cooperation hangs on the clock", (1.0, 1.15))
    pattern = SpatialDilemma(grid=pop.Grid(69, 69))
    first = pop.film(pattern, jr.key(0), 1).snapshots[0]
    alone = eqx.tree_at(lambda run: run.state, first, jnp.ones(69 * 69).at[34 * 69 + 34].set(0.0))
    table = np.asarray(pop.simulate(pattern, jr.key(0), 30, start=alone).final.state).reshape(69, 69)
    land.imshow(table, cmap=ListedColormap([PALETTE[1], PALETTE[0]]), interpolation="nearest")
    bare(land, "one defector's, step 30")
    for activation, colour, name in (
        (pop.Synchronous(), PALETTE[0], "all at once"),
        (pop.RandomBlocks(8), PALETTE[1], "in random order"),
    ):
        model = SpatialDilemma(grid=pop.Grid(99, 99, periodic=True), activation=activation)
        seen = pop.simulate(model, jr.key(0), 100).observations["cooperators"]
        time.plot(np.arange(1, 101), seen, color=colour, linewidth=1.4, label=name)
    time.axhline(12 * np.log(2) - 8, color=INK, linewidth=0.9, linestyle="--")
    time.annotate("line: 12 log 2 - 8", (100, 0.42), ha="right", va="bottom")
    time.set(xlabel="step", ylabel="share of cooperators", ylim=(0, 0.75))
    time.legend(loc="upper right")


GAMES = {
    "commons": commons,
    "cournot": cournot,
    "fishery": fishery,
    "pricing": pricing_,
    "rock-paper-scissors": rock_paper_scissors,
    "spatial-dilemma": spatial_dilemma,
}
