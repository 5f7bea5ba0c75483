"""The gallery: epidemics."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from gallery_panels import dots, law, mark, panel
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import populace as pop
from populace.reporting.style import INK, PALETTE
from populace.studies import influenza
from populace.zoo.lattice_sir import LatticeSIR
from populace.zoo.layered_epidemic import LayeredEpidemic
from populace.zoo.layered_policies import OldestFirst
from populace.zoo.layered_town import synthetic_town
from populace.zoo.pair_epidemic import PairEpidemic
from populace.zoo.school_epidemic import SchoolEpidemic
from populace.zoo.sir import SIR
from populace.zoo.sublattices import Sublattices


def lattice_sir(figure: Figure) -> None:
    """The ill by how much people move between infections, and the mean field, which is the same for both."""
    axes = panel(figure, "Lattice SIR: who stays put infects fewer")
    span = np.linspace(0.0, 4.0, 201)
    field = solve_ivp(lambda _, y: [-10 * y[0] * y[1], 10 * y[0] * y[1] - y[1]], (0, 4), [0.49, 0.01], t_eval=span)
    law(axes, span, 100 * field.y[1], "mean field")
    for moves, turns, colour, name in (
        (300, 540, PALETTE[0], "300 moves"),
        (30, 72, PALETTE[1], "30 moves"),
        (3, 28, PALETTE[2], "3 moves"),
    ):
        rate = 1.0 / moves  # of recovery, where people move at rate 1
        rates = {"infect": 10 * rate, "recover": rate, "interval": 0.1 * moves}
        model = pop.bind(LatticeSIR(Sublattices(120, 120, 4), turns), rates)
        ill = 100 * np.asarray(pop.simulate(model, jr.key(1), 40).observations["ill"])
        label = f"a run: {name} before one recovers"
        axes.plot(0.1 * np.arange(1, 41), ill, color=colour, linewidth=1.5, label=label)
    axes.set(xlabel="time, mean stays ill", ylabel="ill, % of cells", ylim=(0, 39), xlim=(0, 4))
    axes.legend(loc="upper right")


def layered_epidemic(figure: Figure) -> None:
    """Infections in one town under one measure each, from day 15 on."""
    axes = panel(figure, "Layered epidemic: measures spare infections")
    model = pop.bind(LayeredEpidemic(synthetic_town(jr.key(0), 2_000)), {"seeded": 0.004})
    for colour, name, plugs in (
        (INK, "nothing done", measures(1.0, 0.0, 0.0)),
        (PALETTE[0], "no school", measures(0.0, 0.0, 0.0)),
        (PALETTE[1], "test and trace", measures(1.0, 0.8, 0.0)),
        (PALETTE[2], "2 % vaccinated a day", measures(1.0, 0.0, 0.02)),
    ):
        seen = np.asarray(pop.ensemble(model, jr.key(1), 120, runs=4, plugs=plugs).observations["infections"][0]) / 20
        axes.plot(np.arange(1, 121), seen.mean(0), color=colour, linewidth=1.6, label=name)
        axes.fill_between(np.arange(1, 121), seen.min(0), seen.max(0), color=colour, alpha=0.15, linewidth=0)
    axes.set(xlabel="day", ylabel="infected so far, % of the town", ylim=(0, 75), xlim=(0, 120))
    axes.legend(loc="upper left")


def measures(school: float, found: float, pace: float) -> tuple[pop.Plug, ...]:
    """Time in class, those with symptoms tested and the named reached, and doses a day: one program for all."""
    late = pop.Window(15)
    decided = (pop.Override(site, part, late) for site, part in (("school", school), ("test", found), ("trace", found)))
    return (*decided, pop.Replace("vaccinate", OldestFirst(pace, start=15)))


def pair_epidemic(figure: Figure) -> None:
    """The infected in the long run by the hazard within a couple: runs, equations of couples, and mass action."""
    axes = panel(figure, "Pair epidemic: couples waste contacts")
    beta, fine = np.array([0.08, 0.14, 0.3, 0.4, 0.6, 0.8, 1.0]), np.linspace(0.02, 1.0, 99)
    model = pop.bind(PairEpidemic(agents=3_000), {"seeded": 0.4})
    seen = pop.ensemble(model, jr.key(1), 1_200, runs=2, parameters={"beta": beta}, record=pop.Last())
    law(axes, fine, 100 * couples_at_rest(fine), "equations of couples")
    axes.plot(fine, 100 * np.maximum(1 - 0.05 / (fine * 2 / 3), 0), ":", color=INK, linewidth=1.4, label="mass action")
    dots(axes, beta, 100 * np.asarray(seen.observations["infected"])[:, :, 0], "runs")
    mark(axes, 0.05 * 0.35 * 0.2 / (0.1 * 0.15), "threshold", height=0.98)
    axes.set(
        xlabel="beta, hazard of infection from a partner",
        ylabel="infected in the long run, %",
        ylim=(0, 130),
        xlim=(0, 1.03),
        yticks=[0, 25, 50, 75, 100],
    )
    axes.legend(loc="upper right", ncols=2)


def couples_at_rest(beta: np.ndarray) -> np.ndarray:
    """The share infected after long, of singles s, i and couples of two, one and none who are susceptible."""
    gamma, rho, sigma, dt = 0.05, 0.2, 0.1, 0.25
    s, i, both, one, none = (share * np.ones_like(beta) for share in (0.17, 0.17, 0.05, 0.05, 0.23))
    for _ in range(8_000):
        n = s + i
        heals = gamma * one
        flows = (
            gamma * i - rho * s + sigma * (2 * both + one),
            sigma * (one + 2 * none) - (rho + gamma) * i,
            rho * s**2 / (2 * n) - sigma * both + heals,
            rho * s * i / n - (sigma + beta) * one - heals + 2 * gamma * none,
            rho * i**2 / (2 * n) + beta * one - (sigma + 2 * gamma) * none,
        )
        s, i, both, one, none = (x + dt * dx for x, dx in zip((s, i, both, one, none), flows, strict=True))
    return i + one + 2 * none


def school_epidemic(figure: Figure) -> None:
    """Outbreaks, the equations of their mean, and what was counted in January 1978."""
    axes = panel(figure, "School epidemic: 763 boys, January 1978")
    model = SchoolEpidemic(jnp.float32(1.7), jnp.float32(0.45), first=3, steps_per_day=24)
    runs = np.asarray(pop.ensemble(model, jr.key(1), 14 * 24, runs=40).observations["in_bed"][0])
    day = 1 + np.arange(1, 14 * 24 + 1) / 24
    axes.plot(day, runs.T, color=PALETTE[0], linewidth=0.4, alpha=0.5)
    axes.plot([], [], color=PALETTE[0], linewidth=1.0, label="40 runs")
    field = solve_ivp(
        lambda _, y: [-1.7 * y[0] * y[1] / 763, 1.7 * y[0] * y[1] / 763 - 0.45 * y[1]],
        (0, 14),
        [760, 3],
        t_eval=day - 1,
    )
    law(axes, day, field.y[1], "equations of the mean")
    counted = np.asarray(influenza.data()["in_bed"])
    axes.plot(2 + np.arange(len(counted)), counted, "o", color=PALETTE[1], markersize=4, label="counted")
    axes.set(xlabel="day", ylabel="boys in bed", ylim=(0, None), xlim=(1, 15))
    axes.legend(loc="upper right")


def sir(figure: Figure) -> None:
    """Who is ever infected, where everybody meets everybody and on a small world."""
    axes = panel(figure, "SIR: the final size")
    r0, fine = np.array([0.5, 0.8, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0]), np.linspace(0.4, 4.1, 100)
    law(axes, fine, [100 * final_size(each) for each in fine], "1 - z = .99 exp(-R0 z)")
    town = pop.small_world(jr.key(0), 2_000, degree=8, rewire=0.05)
    for contacts, met, colour, name in (
        (pop.WellMixed(2_000), 1_999, PALETTE[0], "everybody meets everybody"),
        (town, 8, PALETTE[1], "8 neighbours, a small world"),
    ):
        model, beta = SIR(contacts, jnp.float32(0.1), jnp.float32(0.2)), r0 * 0.2 / met
        seen = pop.ensemble(model, jr.key(1), 200, runs=8, parameters={"beta": beta}, record=pop.Last()).observations
        dots(axes, r0, np.asarray(seen["infected"] + seen["recovered"])[:, :, 0] / 20, name, colour)
    axes.set(xlabel="R0: hazard of one contact x contacts / recovery", ylabel="ever infected, %", ylim=(0, 145))
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.legend(loc="upper left")


def final_size(r0: float) -> float:
    """The share ever infected of a large population that mixes, a hundredth of which is infected at first."""
    z = 1.0
    for _ in range(1_000):
        z = 1 - 0.99 * np.exp(-r0 * z)
    return z


EPIDEMICS = {
    "lattice-sir": lattice_sir,
    "layered-epidemic": layered_epidemic,
    "pair-epidemic": pair_epidemic,
    "school-epidemic": school_epidemic,
    "sir": sir,
}
