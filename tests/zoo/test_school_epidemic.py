"""The boarding school: the facts that its docstring lists, and what its measures do."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import populace as pop
from populace.core.simulate import begin
from populace.zoo.school_epidemic import IsolateFirst, SchoolEpidemic, VaccinateShare

ERRORS = 4.0
"""Standard errors within which an average must lie."""
BETA, RECOVERY, CONVALESCENCE = 1.5, 0.5, 0.7


def school(beta: float = BETA, *, immune: float = 0.0, silent: float = 0.0, **settings: int) -> SchoolEpidemic:
    rates = (jnp.float32(rate) for rate in (beta, RECOVERY, CONVALESCENCE, immune, silent))
    return SchoolEpidemic(*rates, **settings)


def daily(model: SchoolEpidemic, *, days: int, runs: int, key: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The mean run by day and its standard error, (days,) each, of every observation."""
    record = pop.EveryStep(model.steps_per_day)
    many = pop.ensemble(model, jr.key(key), days * model.steps_per_day, runs=runs, record=record)
    return {name: mean_and_error(series[0]) for name, series in many.observations.items()}


def mean_and_error(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return runs.mean(axis=0), runs.std(axis=0, ddof=1) / np.sqrt(runs.shape[0])


# The differential equations


def in_bed_by_the_equations(boys: int, first: int, days: int) -> dict[str, np.ndarray]:
    def rates(_: float, state: np.ndarray) -> list[float]:
        s, i, c = state
        caught = BETA * s * i / boys
        return [-caught, caught - RECOVERY * i, RECOVERY * i - CONVALESCENCE * c]

    solved = solve_ivp(rates, (0, days), [boys - first, first, 0], t_eval=np.arange(1, days + 1), rtol=1e-9, atol=1e-9)
    return {"in_bed": solved.y[1], "convalescent": solved.y[2], "ever_in_bed": boys - solved.y[0]}


def test_the_mean_run_follows_the_equations_as_steps_get_short():
    """The gap is of first order in the step, and what extrapolation to no step leaves is noise."""
    boys, first, days = 4000, 400, 10
    found = {
        steps: daily(school(boys=boys, first=first, steps_per_day=steps), days=days, runs=128, key=steps)
        for steps in (2, 8, 16)
    }
    for name, exact in in_bed_by_the_equations(boys, first, days).items():
        means, errors = ({steps: seen[name][i] for steps, seen in found.items()} for i in (0, 1))
        gaps = [np.abs(mean - exact).max() for mean in means.values()]
        assert gaps[0] > 2 * gaps[1] and gaps[1] > gaps[2]
        error = np.hypot(2 * errors[16], errors[8])
        assert (np.abs(2 * means[16] - means[8] - exact) < ERRORS * error).all()


@pytest.mark.parametrize(("stages", "steps_per_day"), [(1, 6), (1, 2), (3, 6)])
def test_the_final_size_solves_its_equation(stages: int, steps_per_day: int):
    """R0 counts a stay in whole steps: its mean is `stages` geometric times."""
    boys, first = 4000, 200
    model = school(boys=boys, first=first, stages=stages, steps_per_day=steps_per_day)
    stay = stages / -np.expm1(-stages * RECOVERY / steps_per_day) / steps_per_day
    left = brentq(lambda s: s - (1 - first / boys) * np.exp(-BETA * stay * (1 - s)), 0.0, 0.9)
    many = pop.ensemble(model, jr.key(1), 60 * steps_per_day, runs=64, record=pop.Last()).observations
    assert many["in_bed"].max() == 0
    mean, error = mean_and_error(many["ever_in_bed"][0, :, 0] / boys)
    assert abs(mean - (1 - left)) < ERRORS * error


def test_stages_make_stays_vary_less_and_last_as_long():
    """Nobody is infected but the first: their stays alone are seen."""
    boys, days, steps = 2000, 30, 12
    for stages in (1, 3):
        model = school(1e-9, boys=boys, first=boys, stages=stages, steps_per_day=steps)
        every = np.asarray(pop.simulate(model, jr.key(2), days * steps).observations["in_bed"])
        left_at = -np.diff(np.concatenate([[boys], every]))
        times = np.repeat(np.arange(1, days * steps + 1) / steps, left_at.astype(int))
        chance = -np.expm1(-stages * RECOVERY / steps)
        mean, deviation = stages / chance / steps, np.sqrt(stages * (1 - chance)) / chance / steps
        assert abs(times.mean() - mean) < ERRORS * deviation / np.sqrt(boys)
        # A variance's error from the excess kurtosis of a sum of geometric times, below 6.1 / stages here.
        error = deviation**2 * np.sqrt((2 + 6.1 / stages) / boys)
        assert abs(times.var(ddof=1) - deviation**2) < ERRORS * error


# What no count of boys in bed tells apart


@pytest.mark.parametrize(("immune", "silent"), [(0.0, 0.4), (0.2, 0.25)])
def test_an_immune_share_and_a_silent_share_look_alike(immune: float, silent: float):
    """Equal (1 - immune) (1 - silent) and equal beta (1 - immune)."""

    def seen(immune: float, silent: float, key: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        model = school(BETA / (1 - immune), immune=immune, silent=silent, boys=3000, first=150)
        return daily(model, days=12, runs=128, key=key)

    one, other = seen(0.4, 0.0, 3), seen(immune, silent, 4)
    apart = {name: np.abs(one[name][0] - other[name][0]) / np.hypot(one[name][1], other[name][1]) for name in one}
    assert apart["in_bed"].max() < ERRORS and apart["ever_in_bed"].max() < ERRORS
    assert apart["ever_infected"].max() > ERRORS


# The start, and who lay in bed when


@pytest.mark.parametrize(("immune", "silent"), [(0.0, 0.0), (0.6, 0.0), (0.0, 0.7), (0.5, 0.5)])
def test_exactly_three_boys_lie_in_bed_at_time_0(immune: float, silent: float):
    model = school(immune=immune, silent=silent)
    for seed in range(5):
        state = begin(model, jr.key(seed)).state
        assert model.observe(state)["in_bed"] == 3
        assert model.observe(state)["ever_in_bed"] == 3
        ill = np.asarray(state.infectious * (1 - state.silent))
        assert sorted(np.asarray(state.order)[ill == 1].tolist()) == [1, 2, 3]
        assert np.asarray(state.susceptible * state.infectious).sum() == 0


def test_silent_infections_are_as_common_at_the_start():
    model = school(silent=0.5, boys=2000, first=200)
    counts = np.array([float(begin(model, jr.key(seed)).state.infectious.sum()) - 200 for seed in range(40)])
    assert abs(counts.mean() - 200) < ERRORS * counts.std(ddof=1) / np.sqrt(counts.size)


def test_boys_rank_in_the_order_in_which_they_went_to_bed():
    model = school(immune=0.1, silent=0.2, boys=300)
    here, before = None, np.zeros(300)
    for _ in range(30):
        run = pop.simulate(model, jr.key(6), 4, start=here)
        here, order = run.final, np.asarray(run.final.state.order)
        ranks = order[order > 0]
        assert sorted(ranks.tolist()) == list(range(1, ranks.size + 1))
        np.testing.assert_array_equal(order[before > 0], before[before > 0])
        assert not order[(before == 0) & (order > 0)].size or order[(before == 0) & (order > 0)].min() > before.max()
        before = order
    assert ranks.size == run.observations["ever_in_bed"][-1] > 3
    assert (np.asarray(run.final.state.silent)[order > 0] == 0).all()


# The measures


def plugged(plug: pop.Plug, key: int = 7, days: int = 20, **shares: float) -> tuple[pop.Run, pop.Run]:
    """A run without and with a measure, on the same random numbers."""
    model = school(**shares)
    steps = days * model.steps_per_day
    return pop.simulate(model, jr.key(key), steps), pop.simulate(model, jr.key(key), steps, plugs=(plug,))


def test_who_is_isolated_infects_nobody():
    _, run = plugged(pop.Replace("isolate", IsolateFirst(763, 0.0)))
    assert run.observations["ever_infected"][-1] == 3


def test_isolation_begins_on_its_day():
    free, run = plugged(pop.Replace("isolate", IsolateFirst(763, 4.0)))
    day = 6 * 4 - 1  # time of step t is t / 6 days: the first 23 steps are free
    for name in free.observations:
        np.testing.assert_array_equal(free.observations[name][:day], run.observations[name][:day])
    infected = np.asarray(run.observations["ever_infected"])
    assert infected[day - 1] > 3
    assert (infected[day:] == infected[day - 1]).all()
    assert free.observations["ever_infected"][-1] > infected[-1]


def test_isolation_takes_the_first_and_no_silent_boy():
    free, run = plugged(pop.Replace("isolate", IsolateFirst(50, 0.0)))
    assert run.observations["ever_infected"][-1] == 3  # the first three are among the first fifty
    free, run = plugged(pop.Replace("isolate", IsolateFirst(0, 0.0)))
    np.testing.assert_array_equal(free.observations["in_bed"], run.observations["in_bed"])
    _, run = plugged(pop.Replace("isolate", IsolateFirst(763, 0.0)), silent=0.6)
    assert run.observations["ever_infected"][-1] > run.observations["ever_in_bed"][-1] > 3


def test_a_vaccine_protects_its_share():
    _, run = plugged(pop.Replace("vaccinate", VaccinateShare(1.0)))
    assert run.observations["ever_infected"][-1] == 3
    free, run = plugged(pop.Replace("vaccinate", VaccinateShare(0.0)))
    np.testing.assert_array_equal(free.observations["in_bed"], run.observations["in_bed"])
    plug = pop.Replace("vaccinate", VaccinateShare(0.25))
    start = begin(school(boys=20_000), jr.key(8), (plug,)).state
    assert start.infectious.sum() == 3
    assert abs(start.susceptible.sum() - 0.75 * 19_997) < ERRORS * np.sqrt(20_000 * 0.25 * 0.75)


@pytest.mark.parametrize(
    "settings", [{"boys": 2}, {"boys": 0, "first": 0}, {"first": -1}, {"stages": 0}, {"steps_per_day": 0}]
)
def test_settings_that_make_no_school_are_refused(settings: dict[str, int]):
    with pytest.raises(pop.ModelError, match="each is 1 or more"):
        school(**settings)
