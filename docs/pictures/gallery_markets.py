"""The gallery: markets of assets and of goods."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from gallery_panels import beside, correlations, law, mark, panel, stacked
from matplotlib.figure import Figure
from scipy import stats

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT
from populace.studies.brock_hommes import BOX
from populace.zoo.brock_hommes import BrockHommes, log_likelihood
from populace.zoo.cont_volatility import ContVolatility
from populace.zoo.franke_westerhoff import FrankeWesterhoff
from populace.zoo.kirman import Kirman
from populace.zoo.lux_marchesi import LuxMarchesi
from populace.zoo.two_beliefs import TwoBeliefs
from populace.zoo.zero_intelligence import ZeroIntelligence, unconstrained


def brock_hommes(figure: Figure) -> None:
    """A series, and where its exact likelihood is highest, in two of the parameters that made it."""
    series, plane = beside(figure, "Brock-Hommes: swings with a likelihood", (1.15, 1.0))
    x = pop.simulate(BrockHommes(), jr.key(1), 400).observations["x"]
    series.plot(np.arange(1, 401), x, color=PALETTE[0], linewidth=0.7)
    series.set(xlabel="period", ylabel="price less fundamental")
    g2, b2 = np.linspace(0.75, 1.05, 41), np.linspace(0.12, 0.28, 41)
    each = jax.vmap(lambda g, b: log_likelihood(BrockHommes(g2=g, b2=b), x))
    found = np.asarray(each(*(jnp.float32(a.ravel()) for a in np.meshgrid(g2, b2))), np.float64).reshape(41, 41)
    levels = [-50, -20, -9.2, -4.6, -1.4, 0.0]
    plane.contourf(g2, b2, found - found.max(), levels, cmap="Blues")
    plane.plot(0.9, 0.2, "+", color=PALETTE[1], markersize=10, markeredgewidth=2.0)
    plane.set(xlabel="trend g2 (+: the true)", ylabel="bias b2")


def cont_volatility(figure: Figure) -> None:
    """Correlations of returns and of their sizes, where traders look anew at their thresholds every 67 periods."""
    axes = panel(figure, "Cont: sizes of returns cluster, returns do not")
    market = pop.bind(ContVolatility(), {"s": 0.015})
    returns = np.asarray(pop.simulate(market, jr.key(4), 20_000).observations["returns"])[4_000:]
    lags = np.arange(1, 121)
    axes.axhline(0, color=SOFT, linewidth=0.8)
    axes.plot(lags, correlations(np.abs(returns), 120), color=PALETTE[0], label="sizes of returns")
    axes.plot(lags, correlations(returns, 120), color=PALETTE[1], label="returns")
    mark(axes, 1 / 0.015, "1 / s", height=0.55)
    axes.set(xlabel="lag, periods", ylabel="autocorrelation", xlim=(0, 120), ylim=(-0.08, 0.3))
    axes.legend(loc="upper right", ncols=2)


def franke_westerhoff(figure: Figure) -> None:
    """Chartists take the price away from its fundamental value, until so far off a price scares them."""
    price, returns = stacked(figure, "Franke-Westerhoff: bubbles, and clusters")
    run = pop.simulate(FrankeWesterhoff(), jr.key(2), 2_500)
    price.axhline(0, color=SOFT, linewidth=0.8)
    price.plot(run.times, run.observations["price"], color=PALETTE[0], linewidth=0.8)
    price.set(ylabel="log price less\nfundamental", xlim=(0, 2_500))
    returns.plot(run.times, run.observations["returns"], color=PALETTE[1], linewidth=0.5)
    returns.set(xlabel="day", ylabel="daily return, %")
    figure.align_ylabels()


def kirman(figure: Figure) -> None:
    """Shares of 50 agents in the long run, and the beta-binomial law."""
    axes = panel(figure, "Kirman: herds make two peaks out of one")
    share = np.arange(51) / 50
    for b, colour, name in ((0.02, PALETTE[1], "weak herding"), (0.25, PALETTE[0], "strong herding")):
        model = pop.bind(Kirman(50, turns=170), {"a1": 0.1, "a2": 0.1, "b": b, "start": 0.5})
        seen = pop.ensemble(model, jr.key(1), 2_000, runs=40, record=pop.EveryStep(20)).observations["share"]
        count = np.bincount(np.round(50 * np.asarray(seen[0, :, 5:])).astype(int).ravel(), minlength=51)
        axes.bar(share, count / count.sum(), 0.018, color=colour, alpha=0.45, linewidth=0, label=name)
        law(axes, share, stats.betabinom.pmf(np.arange(51), 50, 0.1 / b, 0.1 / b))
    axes.plot([], [], color=INK, linewidth=1.1, label="beta-binomial law")
    axes.set(xlabel="share of agents with the first opinion", ylabel="probability")
    axes.legend(loc="upper center")


def lux_marchesi(figure: Figure) -> None:
    """Returns and the news behind them on one scale."""
    top, below = stacked(figure, "Lux-Marchesi: calm news, turbulent prices")
    seen = pop.simulate(LuxMarchesi(), jr.key(3), 1_000).observations
    news = 100 * np.diff(np.log(np.asarray(seen["fundamental"], np.float64)), prepend=np.nan)
    for axes, values, colour, name in (
        (top, 100 * np.asarray(seen["returns"]), PALETTE[0], "returns"),
        (below, news, PALETTE[1], "news of the fundamental"),
    ):
        axes.plot(np.arange(1, 1_001), values, color=colour, linewidth=0.6)
        kurtosis = stats.kurtosis(values[1:])
        axes.set(ylabel="%", ylim=(-22, 22), yticks=[-20, 0, 20], xlim=(0, 1_000))
        axes.set_title(f"{name}, excess kurtosis {kurtosis:.1f}", fontsize=8.5, fontweight="normal")
    below.set(xlabel="unit of time")


def two_beliefs(figure: Figure) -> None:
    """Which biases and trends hold a market for a hundred days, and how much of the whole box does."""
    axes = panel(figure, "Two beliefs: few parameters hold a market")
    side = np.linspace(-2, 2, 61)
    g, b = (jnp.asarray(a.ravel(), jnp.float32) for a in np.meshgrid(side, side))
    market = pop.bind(TwoBeliefs(), {"b1": 0.3, "g1": 0.2})
    held = holds(market, {"g2": g, "b2": b}).reshape(61, 61)
    axes.contourf(side, side, held, [0.5, 1.5], colors=[PALETTE[0]], alpha=0.8)
    axes.annotate("a market", (-0.8, 1.1), color="white", ha="center")
    axes.annotate("no market: it breaks down", (0.0, -1.1), color=SOFT, ha="center")
    points = np.random.default_rng(1).random((4_000, len(BOX)))
    low, high = np.array(list(BOX.values())).T
    box = dict(zip(BOX, jnp.asarray(low + (high - low) * points, jnp.float32).T, strict=True))
    axes.annotate(
        f"(in {holds(market, box).mean():.0%} of the box of all nine there is one)",
        (0.0, -1.4),
        color=SOFT,
        ha="center",
    )
    axes.set(xlabel="trend g2 of the second belief", ylabel="its bias b2", xlim=(-2, 2), ylim=(-2, 2))


def holds(market: TwoBeliefs, parameters: dict[str, jax.Array]) -> np.ndarray:
    """1 for each set of parameters with which the market still trades after a hundred days."""
    seen = pop.ensemble(market, jr.key(0), 100, runs=1, parameters=parameters, record=pop.Last())
    return np.isfinite(seen.observations["returns"]).astype(float).ravel()


def zero_intelligence(figure: Figure) -> None:
    """The efficiency of 60 markets with budgets and without."""
    axes = panel(figure, "Zero intelligence: budgets make it efficient")
    bins = np.arange(-100.0, 102.5, 2.5).tolist()
    for model, colour, name in (
        (ZeroIntelligence(rule=unconstrained), PALETTE[1], "any price"),
        (ZeroIntelligence(), PALETTE[0], "within budgets"),
    ):
        seen = 100 * np.asarray(pop.ensemble(model, jr.key(4), 1, runs=60).observations["efficiency"]).ravel()
        label = f"{name}: median {np.median(seen):.0f} %"
        axes.hist(np.maximum(seen, bins[0]), bins, color=colour, alpha=0.75, label=label)
    axes.set(xlabel="efficiency: surplus made, % of the largest", ylabel="markets, of 60", xlim=(-100, 103))
    axes.set_xticks([-100, -50, 0, 50, 100], ["-100 or less", "-50", "0", "50", "100"])
    axes.legend(loc="upper left")


MARKETS = {
    "brock-hommes": brock_hommes,
    "cont-volatility": cont_volatility,
    "franke-westerhoff": franke_westerhoff,
    "kirman": kirman,
    "lux-marchesi": lux_marchesi,
    "two-beliefs": two_beliefs,
    "zero-intelligence": zero_intelligence,
}
