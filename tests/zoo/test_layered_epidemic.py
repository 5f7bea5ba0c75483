"""The layered epidemic: its closed-form limits, what each policy spares, whom tracing reaches.

All runs stand behind the same plugs with other numbers in them, so that all share one compiled program.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom, chi2

import populace as pop
from populace.core.simulate import Snapshot, begin
from populace.zoo.layered_encounters import flipped, partners
from populace.zoo.layered_epidemic import SUSCEPTIBLE, LayeredEpidemic
from populace.zoo.layered_policies import OldestFirst
from populace.zoo.layered_town import AGES, HOUSEHOLDS, SCHOOL, WORK, Town, synthetic_town

PEOPLE, DAYS, CHUNK, ERRORS = 1500, 70, 10, 4.0
ONES = np.ones(9, np.float32)
Runs = list[dict[str, np.ndarray]]


def policies(
    school: float = 1.0,
    work: float = 1.0,
    meet: float = 1.0,
    test: float = 0.0,
    trace: float = 0.0,
    pace: float = 0.0,
    before: float = 0.0,
) -> tuple[pop.Plug, ...]:
    """Doing nothing, but for what is said. `before`: the share vaccinated before the start."""
    levels = {"school": school, "work": work, "meet": meet, "test": test, "trace": trace}
    return (
        *(pop.Override(site, level) for site, level in levels.items()),
        pop.Override("vaccinate", before, pop.Window(0, 0)),
        pop.Replace("vaccinate", OldestFirst(pace)),
    )


def run(
    model: LayeredEpidemic, seed: int = 0, days: int = DAYS, *, start: Snapshot | None = None, **levels: float
) -> pop.Run:
    return pop.simulate(model, jr.key(seed), days, plugs=policies(**levels), start=start, chunk=CHUNK)


def series(model: LayeredEpidemic, seed: int = 0, days: int = DAYS, **levels: float) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in run(model, seed, days, **levels).observations.items()}


@pytest.fixture(scope="module")
def model() -> LayeredEpidemic:
    return LayeredEpidemic(synthetic_town(jr.key(0), PEOPLE), beta=0.08, seeded=0.02)


@pytest.fixture(scope="module")
def free(model: LayeredEpidemic) -> Runs:
    """Three runs with no policy."""
    return [series(model, seed) for seed in range(3)]


@pytest.fixture(scope="module")
def testing(model: LayeredEpidemic) -> Runs:
    """The same three, in which four fifths of those with new symptoms are tested."""
    return [series(model, seed, test=0.8) for seed in range(3)]


# Closed forms


def test_encounters_alone_end_in_the_final_size_of_a_well_mixed_epidemic():
    """Everybody lives alone and meets 3.1 people a day; those of a day are drawn anew."""
    town = synthetic_town(jr.key(1), PEOPLE, households=(1.0,), dispersion=np.inf)
    alone = LayeredEpidemic(
        town, beta=0.075, school=0.0, work=0.0, meeting=1.0, susceptibility=ONES, silent=0.0, ill=8.0, seeded=0.02
    )
    reproduction = 8 * -np.expm1(-4.0 / 8) * -np.expm1(-0.075) * (2.0 + 8.0)
    gaps = []
    for seed in range(6):
        seen = series(alone, seed, 130)
        assert seen["infectious"][-1] + seen["exposed"][-1] < 0.005 * PEOPLE
        left = 1.0 - begin(alone, jr.key(seed), policies()).state.infections / PEOPLE
        stays = brentq(lambda x, left=left: x - left * np.exp(-reproduction * (1.0 - x)), 0.0, 0.9)
        gaps.append(seen["infections"][-1] / PEOPLE - (1.0 - stays))
    assert abs(np.mean(gaps)) < ERRORS * np.std(gaps, ddof=1) / np.sqrt(len(gaps))
    assert np.std(gaps) < 0.04


def reed_frost(susceptible: int, infected: int, p: float) -> np.ndarray:
    """The law of how many of the susceptible are infected in the end (susceptible + 1,)."""
    law = np.zeros(susceptible + 1)
    for new in range(susceptible + 1):
        chance = binom.pmf(new, susceptible, 1.0 - (1.0 - p) ** infected)
        law[new:] += chance * (reed_frost(susceptible - new, new, p) if new else np.eye(susceptible + 1)[0])
    return law


def test_homes_alone_follow_the_chain_binomial_law():
    """Homes of four, of whom one is exposed at the start; each is infectious for exactly four days."""
    town = synthetic_town(jr.key(2), PEOPLE, households=(0.0, 0.0, 0.0, 1.0), ages=(0.0, 0.0, 1.0))
    homes = LayeredEpidemic(
        town, beta=0.1, school=0.0, work=0.0, meeting=0.0, silent=0.0, latent=2.0, ill=2.0, seeded=0.1
    )
    home = np.asarray(town.home.members.group)
    counts = np.zeros(4)
    for seed in range(3):
        first = np.bincount(home, np.asarray(begin(homes, jr.key(seed), policies()).state.status) != SUSCEPTIBLE)
        last = np.bincount(home, np.asarray(run(homes, seed, 60).final.state.status) != SUSCEPTIBLE)
        counts += np.bincount((last - first)[first == 1].astype(int), minlength=4)
        assert (last[first == 0] == 0).all()
    expected = counts.sum() * reed_frost(3, 1, -np.expm1(-0.1 * 4))
    assert counts.sum() > 250 and ((counts - expected) ** 2 / expected).sum() < chi2.isf(1e-3, 3)


def test_people_are_conserved(free: Runs):
    states = ("susceptible", "exposed", "infectious", "recovered", "dead")
    for seen in free:
        assert (sum(seen[name] for name in states) == PEOPLE).all() and seen["infections"][-1] > 0.3 * PEOPLE
        assert (seen["infections"] == PEOPLE - seen["susceptible"]).all()
        assert seen["tests"][-1] == seen["doses"][-1] == seen["isolated"].max() == 0


# Encounters


def test_who_is_whose_partner_is_mutual():
    who = np.arange(7)
    for turn in range(7):
        other = np.asarray(partners(flipped(jnp.arange(7)), jnp.int32(turn)))
        assert (other[other] == who).all() and other[0] == 6 - turn


def test_the_met_know_each_other_and_are_as_many_as_the_rates_say():
    """With all activities alike, the mean number met a day is rounds (1 - exp(-encounters / rounds))."""
    town = synthetic_town(jr.key(1), PEOPLE, households=(1.0,), dispersion=np.inf)
    met, numbers = [], flipped(jnp.arange(PEOPLE))
    state = run(LayeredEpidemic(town), 4, CHUNK).final.state
    for day, turns in zip(state.met, state.turns, strict=True):
        for r in range(8):
            bit, other = (np.asarray(day) >> r) & 1, np.asarray(partners(numbers, turns[r]))
            assert (bit[other] == bit).all() and not bit[other == np.arange(PEOPLE)].any()
            met.append(bit.mean())
    p = -np.expm1(-4.0 / 8)
    assert abs(np.mean(met) - p) < ERRORS * np.sqrt(p * (1 - p) * 2 / (PEOPLE * len(met)))


# Policies


def spared(without: Runs, behind: Runs) -> np.ndarray:
    """Infections spared on the same random numbers, a number a run."""
    return np.array(
        [one["infections"][-1] - other["infections"][-1] for one, other in zip(without, behind, strict=True)]
    )


@pytest.mark.parametrize("levels", [{"school": 0.0}, {"work": 0.0}, {"meet": 0.5}, {"pace": 0.02}], ids=str)
def test_a_policy_spares_infections(model: LayeredEpidemic, free: Runs, levels: dict[str, float]):
    """In each of three runs, and a twentieth of all people on average."""
    less = spared(free, [series(model, seed, **levels) for seed in range(3)])
    assert less.min() > 0 and less.mean() > 0.05 * PEOPLE


def test_tests_spare_infections_and_tracing_spares_more(model: LayeredEpidemic, free: Runs, testing: Runs):
    traced = [series(model, seed, test=0.8, trace=1.0) for seed in range(3)]
    for without, behind in ((free, testing), (testing, traced)):
        less = spared(without, behind)
        assert less.min() > 0 and less.mean() > 0.05 * PEOPLE
    assert all((seen["isolated"] > 0).any() for seen in testing)


def test_tracing_without_tests_and_tests_that_nobody_heeds_do_nothing(model: LayeredEpidemic, free: Runs):
    traced, alone = series(model, trace=1.0), free[0]
    assert all((traced[name] == alone[name]).all() for name in alone)
    unheeded = series(pop.bind(model, {"adherence": 0.0}), test=1.0, trace=1.0)
    assert unheeded["tests"][-1] > 0
    assert all((unheeded[name] == alone[name]).all() for name in alone if name != "tests")


def test_a_perfect_vaccine_for_all_before_the_start_leaves_nothing(model: LayeredEpidemic):
    seen = series(pop.bind(model, {"efficacy": 1.0}), before=1.0)
    assert seen["infections"][-1] == 0 and (seen["doses"] == PEOPLE).all()
    half = series(model, before=0.5)
    assert abs(half["doses"][0] - PEOPLE / 2) < ERRORS * np.sqrt(PEOPLE / 4)


def test_the_oldest_are_vaccinated_first_and_protected_two_weeks_later(model: LayeredEpidemic):
    state = run(model, days=20, pace=0.01).final.state
    shield, place = np.asarray(state.shield), np.asarray(model.town.place)
    turn = np.minimum(place // (PEOPLE // 100), 20)
    alive = np.asarray(state.alive)
    assert (shield[alive] == np.where(turn < 20, np.maximum(14 - (19 - turn), 0), -1)[alive]).all()
    assert (np.diff(np.asarray(model.town.age)[np.argsort(place)]) <= 0).all()


def test_tracing_reaches_home_class_and_the_met_and_nobody_else(model: LayeredEpidemic):
    """One person's positive result is due. All are named, or none of those met by chance, or those at home alone."""
    town, quiet = model.town, pop.bind(model, {"adherence": 1.0, "seeded": 0.0})
    before = run(quiet, 5, CHUNK).final
    case = int(np.flatnonzero(np.asarray(town.kind) == WORK)[0])
    home, daily = (np.asarray(groups.members.group) for groups in (town.home, town.daily))
    state = eqx.tree_at(lambda s: s.pending, before.state, before.state.pending.at[case].set(1))
    start = eqx.tree_at(lambda snapshot: snapshot.state, before, state)
    numbers, met = flipped(jnp.arange(PEOPLE)), np.zeros(PEOPLE, bool)
    for day, turns in zip(before.state.met, before.state.turns, strict=True):
        for r in range(8):
            if (int(day[case]) >> r) & 1:
                met[int(partners(numbers, turns[r])[case])] = True
    others = {(1.0, 1.0): (daily == daily[case]) | met, (1.0, 0.0): daily == daily[case], (0.0, 0.0): False}
    for (group, meeting), besides in others.items():
        named = pop.bind(quiet, {"named_group": group, "named_meeting": meeting})
        after = run(named, 5, CHUNK, start=start, trace=1.0).final.state
        assert ((np.asarray(after.isolated) > 0) == ((home == home[case]) | besides)).all()
    assert met.sum() > 5


# The town


def test_the_town_has_the_shares_that_it_was_given(model: LayeredEpidemic):
    town = synthetic_town(jr.key(3), 20_000)
    age, home, kind = (np.asarray(values) for values in (town.age, town.home.members.group, town.kind))
    expected = 20_000 * np.array(AGES)
    assert ((np.bincount(age // 10) - expected) ** 2 / expected).sum() < chi2.isf(1e-3, 8)
    sizes = np.bincount(np.bincount(home))[1:]
    expected = sizes.sum() * np.array(HOUSEHOLDS)
    assert ((sizes - expected) ** 2 / expected).sum() < chi2.isf(1e-3, 5)
    assert np.bincount(home, age >= 20)[np.bincount(home) > 0].min() > 0, "children live with adults"
    in_class = np.asarray(town.daily.members.group)[(kind == SCHOOL) & (age < 19)]
    years = age[(kind == SCHOOL) & (age < 19)]
    assert all(len(set(years[in_class == room])) == 1 for room in range(0, in_class.max(), 7))
    assert np.bincount(in_class).max() <= 25 and ((age[kind == WORK] >= 19) & (age[kind == WORK] <= 66)).all()
    together = np.bincount(np.asarray(town.daily.members.group)[kind == WORK])
    assert together[together > 0].mean() == pytest.approx(10.0, abs=ERRORS * 3.0 / np.sqrt((together > 0).sum()))


def test_settings_that_make_no_town_are_refused():
    key = jr.key(0)
    for make in (
        lambda: synthetic_town(key, 0),
        lambda: synthetic_town(key, 10, ages=(0.5, 0.4)),
        lambda: synthetic_town(key, 10, class_size=0),
        lambda: synthetic_town(key, 10, dispersion=0.0),
    ):
        with pytest.raises(pop.ModelError, match=r"are 1 or more|that sum to 1"):
            make()


def test_settings_that_make_no_epidemic_are_refused(model: LayeredEpidemic):
    town: Town = model.town
    for make in (
        lambda: LayeredEpidemic(town, rounds=9),
        lambda: LayeredEpidemic(town, delay=0),
        lambda: LayeredEpidemic(town, isolation=200),
    ):
        with pytest.raises(pop.ModelError, match="are from 1 to 100"):
            make()
