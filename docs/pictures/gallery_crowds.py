"""The gallery: opinions, habits and homes."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from adaptive_voter import PHI, society
from gallery_panels import bare, beside, dots, law, mark, panel
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from scipy import stats

import populace as pop
from populace.reporting.style import INK, PALETTE, SOFT
from populace.zoo.axelrod import Axelrod
from populace.zoo.bass import Bass
from populace.zoo.granovetter import Granovetter, Normal
from populace.zoo.hegselmann_krause import HegselmannKrause
from populace.zoo.logit_choice import LogitChoice
from populace.zoo.schelling import Schelling
from populace.zoo.voter import Voter
from populace.zoo.watts_cascade import WattsCascade


def adaptive_voter_(figure: Figure) -> None:
    """The largest camp of 320 people who began in 32, by how readily ties are moved."""
    axes = panel(figure, "Adaptive voter: a society falls apart")
    seen = pop.ensemble(society(320), jr.key(1), 2_000, runs=6, parameters={"phi": jnp.asarray(PHI)}, record=pop.Last())
    dots(axes, PHI, 100 * np.asarray(seen.observations["largest"])[:, :, 0], "runs, 320 people")
    mark(axes, 0.458, "0.458: where large\nsocieties fall apart", height=0.6)
    axes.set(xlabel="phi, probability of moving a tie and not one's mind", ylabel="largest camp, %", ylim=(0, 115))
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.legend(loc="upper right")


def axelrod(figure: Figure) -> None:
    """The cultures of a hundred sites where nobody can talk any more; and how many are left, by traits."""
    land, count = beside(figure, "Axelrod: few traits, one culture", (1.0, 1.05))
    end = pop.simulate(Axelrod(), jr.key(3), 4_000, record=pop.Last()).final.state
    table = np.unique(np.asarray(end), axis=0, return_inverse=True)[1].reshape(10, 10)
    shades = np.random.default_rng(1).permutation(table.max() + 1)[table]
    land.imshow(shades, cmap="tab20", interpolation="nearest", alpha=0.75)
    bare(land, f"15 traits: {table.max() + 1} cultures left")
    traits = np.array([5, 10, 15, 20, 30])
    seen = pop.ensemble(Axelrod(), jr.key(1), 2_500, runs=12, parameters={"q": traits * 1.0}, record=pop.Last())
    dots(count, traits, np.asarray(seen.observations["cultures"])[:, :, 0])
    count.set(xlabel="traits a feature", ylabel="cultures in the end", ylim=(0, None))


def bass(figure: Figure) -> None:
    """Owners over time for long and short steps, and the closed form."""
    axes = panel(figure, "Bass: a product that spreads by itself")
    p, q = 0.0104, 0.4185
    year = np.linspace(0, 20, 201)
    grown = np.exp(-(p + q) * year)
    law(axes, year, 100 * (1 - grown) / (1 + q / p * grown), "closed form")
    for dt, colour, point, name in (
        (0.25, PALETTE[0], ".", "a quarter"),
        (1.0, PALETTE[1], "o", "a year"),
        (4.0, PALETTE[2], "s", "four years"),
    ):
        run = pop.simulate(Bass(pop.WellMixed(100_000), dt=dt), jr.key(1), round(20 / dt))
        share = 100 * np.asarray(run.observations["share"])
        axes.plot(dt * run.times, share, point, color=colour, markersize=4, label=f"steps of {name}")
    mark(axes, np.log(q / p) / (p + q), "sales peak", height=0.2)
    axes.set(xlabel="year", ylabel="owners, % of 100,000", ylim=(0, 103), xlim=(0, 20.4))
    axes.legend(loc="upper left")


def granovetter(figure: Figure) -> None:
    """Whose threshold is reached by how many who act; and who acts in the end, by the spread of thresholds."""
    rule, ends = beside(figure, "Granovetter: a little more spread, a riot")
    r = np.linspace(0, 1, 2_001)
    for s, colour in ((0.1, PALETTE[0]), (0.15, PALETTE[1])):
        rule.plot(r, stats.norm.cdf(r, 0.25, s), color=colour, linewidth=1.4, label=f"F(r), s = {s}")
    rule.plot(r, r, "--", color=SOFT, linewidth=0.9, label="r")
    rule.set(xlabel="share r that acts", ylabel="share that would join")
    rule.legend(loc="lower right")
    fine = np.linspace(0.05, 0.2, 151)
    law(ends, fine, [r[np.argmax(stats.norm.cdf(r, 0.25, s) <= r)] for s in fine], "F(r) = r")
    spread = np.array([0.06, 0.08, 0.1, 0.11, 0.118, 0.126, 0.14, 0.16, 0.18])
    model = Granovetter(Normal(), 10_000)
    seen = pop.ensemble(model, jr.key(1), 120, runs=4, parameters={"thresholds.s": spread}, record=pop.Last())
    dots(ends, spread, np.asarray(seen.observations["acting"])[:, :, 0] / 10_000, "runs")
    ends.set(xlabel="s of thresholds", ylabel="share that acts in the end", ylim=(-0.02, 1.02))
    ends.legend(loc="center right")


def hegselmann_krause(figure: Figure) -> None:
    """The opinions of 300 people over time."""
    axes = panel(figure, "Hegselmann-Krause: opinions end in camps")
    film = pop.film(pop.bind(HegselmannKrause(300), {"epsilon": 0.15}), jr.key(0), 24)
    opinion = np.stack([np.asarray(shot.state["opinion"]) for shot in film.snapshots])
    axes.plot(film.times, opinion, color=PALETTE[0], linewidth=0.35)
    camps = int(film.run.observations["clusters"][-1])
    axes.annotate(f"{camps} camps; 1 / (2 epsilon) = {1 / 0.3:.1f}", (24, 0.02), ha="right", color=INK)
    axes.set(xlabel="step", ylabel="opinion", ylim=(0, 1), xlim=(0, 24))


def logit_choice(figure: Figure) -> None:
    """States of rest and their folds, and where runs end that begin with all for or all against."""
    axes = panel(figure, "Logit choice: two worlds between two folds")
    m = np.linspace(-0.995, 0.995, 400)
    law(axes, np.arctanh(m) - 1.5 * m, m, "states of rest")
    h = np.linspace(-0.4, 0.4, 17)
    for begin, colour, name in ((1.0, PALETTE[0], "from all for it"), (0.0, PALETTE[1], "from all against it")):
        model = pop.bind(LogitChoice(4_000, dt=0.5), {"J": 1.5, "begin": begin})
        seen = pop.ensemble(model, jr.key(1), 80, runs=2, parameters={"h": h}, record=pop.Last())
        dots(axes, h, np.asarray(seen.observations["mean"])[:, :, 0], name, colour)
    fold = np.sqrt(1 / 3)
    folds = np.array([-fold, fold])
    axes.plot(np.arctanh(folds) - 1.5 * folds, folds, "D", color=INK, markersize=5, label="folds")
    axes.set(xlabel="h, what pays", ylabel="mean opinion in the end", xlim=(-0.78, 0.42), ylim=(-1.05, 1.05))
    axes.legend(loc="upper left")


def schelling(figure: Figure) -> None:
    """Who lives where, before and after."""
    town = pop.bind(Schelling(pop.Grid(50, 50)), {"tolerance": 0.334})
    film = pop.film(town, jr.key(1), 60, every=60)
    alike = pop.simulate(pop.bind(town, {"tolerance": 0.0}), jr.key(1), 1).observations["alike"][0]
    shares = (float(alike), float(film.run.observations["alike"][-1]))
    for axes, shot, share, when in zip(
        beside(figure, "Schelling: a third wished for, far more reached"),
        film.snapshots,
        shares,
        ("start", "end"),
        strict=True,
    ):
        people = shot.state
        table = np.asarray(people.seats.lay(people.present * (1.0 + people.kind))).reshape(50, 50)
        axes.imshow(table, cmap=ListedColormap(["white", PALETTE[0], PALETTE[1]]), interpolation="nearest")
        bare(axes, f"{when}: {share:.0%} of neighbours alike")


def voter(figure: Figure) -> None:
    """Who wins, and when, among people who all know each other."""
    wins, lasts = beside(figure, "Voter: the start decides, and it takes time")
    x, agents, fine = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]), 60, np.linspace(0.01, 0.99, 99)
    seen = pop.ensemble(Voter(pop.WellMixed(agents)), jr.key(1), 900, runs=150, parameters={"x": x})
    share = np.asarray(seen.observations["share"])
    law(wins, [0, 1], [0, 1], "x itself")
    dots(wins, x, share[:, :, -1], "runs")
    wins.set(xlabel="share x at the start", ylabel="ends with all of opinion 1")
    wake = -np.expm1(-0.5)
    c = 2 * wake * (1 - wake) / (agents - 1) + wake**2 * (agents - 2) / (agents - 1) ** 2
    law(lasts, fine, -2 / c * (fine * np.log(fine) + (1 - fine) * np.log(1 - fine)) / 2, "closed form")
    dots(lasts, x, ((share > 0) & (share < 1)).sum(2) / 2, "runs")
    lasts.set(xlabel="share x at the start", ylabel="time to consensus", ylim=(0, None))
    for axes in (wins, lasts):
        axes.legend(loc="upper left" if axes is wins else "lower center")


def watts_cascade(figure: Figure) -> None:
    """Forty single agents on one network; and how often one sets off a cascade, and how far, by the neighbours."""
    runs, window = beside(figure, "Watts: one agent turns all, or nobody", (1.0, 1.3))
    runs.plot(np.arange(25), np.pad(cascades(4.0)[:40, :24], ((0, 0), (1, 0))).T, color=PALETTE[1], linewidth=0.7)
    runs.set(xlabel="step", ylabel="share active, z = 4", ylim=(-0.02, 1.02))
    z = np.array([0.8, 1.5, 2.2, 3.0, 4.0, 5.0, 6.5])
    sizes = np.stack([cascades(each)[:, -1] for each in z])
    large = sizes > 0.1
    dots(window, z, large, "how often")
    inside = np.flatnonzero(large.mean(1) > 0.1)
    far = [sizes[place][large[place]].mean() for place in inside]
    window.plot(z[inside], far, "s", color=PALETTE[2], markersize=4, label="how far")
    law(window, np.linspace(0.6, 7.0, 65), [often(each) for each in np.linspace(0.6, 7.0, 65)])
    law(window, np.linspace(1.1, 5.7, 47), [reach(each) for each in np.linspace(1.1, 5.7, 47)], "closed forms")
    window.set(xlabel="mean neighbours z", ylabel="share", ylim=(-0.02, 1.5), yticks=[0, 0.5, 1], xlim=(0.5, 7.0))
    window.legend(loc="upper left")


def cascades(z: float) -> np.ndarray:
    """The shares active (runs, steps) of what a hundred single agents set off."""
    model = WattsCascade(pop.random_network(jr.key(1), 2_000, float(z)))
    return np.asarray(pop.ensemble(model, jr.key(2), 60, runs=100).observations["active"])[0]


def often(z: float) -> float:
    """The probability that an agent sets off a global cascade: agents of up to five neighbours are vulnerable."""
    k = np.arange(1, 6)
    p, h = stats.poisson.pmf(k, z) * k / z, 0.0
    for _ in range(500):
        h = 1 - p.sum() + (p * h ** (k - 1.0)).sum()
    return 1.0 - np.exp(-z * (1.0 - h))


def reach(z: float) -> float:
    """The share that a global cascade turns (Gleeson and Cahalane 2007), by who turns of those one step nearer."""
    k = np.arange(1, 30)
    p, m, q = stats.poisson.pmf(k, z), np.arange(30)[:, None], 1.0
    enough = m >= 0.18 * k
    for _ in range(60):
        q = float((k * p / z * (stats.binom.pmf(m, k - 1, q) * enough).sum(0)).sum())
    return float((p * (stats.binom.pmf(m, k, q) * enough).sum(0)).sum())


CROWDS = {
    "adaptive-voter": adaptive_voter_,
    "axelrod": axelrod,
    "bass": bass,
    "granovetter": granovetter,
    "hegselmann-krause": hegselmann_krause,
    "logit-choice": logit_choice,
    "schelling": schelling,
    "voter": voter,
    "watts-cascade": watts_cascade,
}
