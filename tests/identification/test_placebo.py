"""Placebos keep what they say and destroy the rest; fits to them tell who explains from who fits anything."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest

import populace as pop
from populace.identification.placebo_fits import PlaceboFits, PlaceboKind, Scored
from populace.identification.telltales import telltales

TIMES = 120
METHOD = pop.SequentialABC(particles=40, adjust=False)


def wave(parameters, key):
    """An autoregression with innovations of variance 1."""

    def step(x, e):
        x = parameters["phi"] * x + e
        return x, x

    _, y = jax.lax.scan(step, jnp.float32(0.0), jr.normal(key, (TIMES,)))
    return {"y": parameters["mu"] + y}


def halves(parameters, key):
    """Two levels, one a half: whatever the halves of the data are, it has them."""
    level = jnp.repeat(jnp.stack([parameters["a"], parameters["b"]]), TIMES // 2)
    return {"y": level + jr.normal(key, (TIMES,))}


def _halves(y):
    return y.reshape(2, -1).mean(1)


DATA = np.asarray(wave({"phi": 0.8, "mu": 1.0}, jr.key(5))["y"])
TREND = np.linspace(-5.0, 5.0, TIMES)


def of(values, moments, errors, held_out=(), simulator=wave, space=None):
    space = space or pop.Space(phi=dist.Uniform(-0.95, 0.95), mu=dist.Uniform(-3.0, 3.0))
    target = pop.Target({"y": values}, moments, held_out, pop.Given(np.array(errors)))
    return pop.Problem(pop.Traceable(simulator), space, target)


def given(values, name="y", **more):
    """A target of series alone."""
    data = {name: values, **more}
    return pop.Target(data, [pop.mean(one) for one in data])


def draws(placebo, target, count=1, seed=0):
    rng = np.random.default_rng(seed)
    return [placebo.draw(target, rng) for _ in range(count)]


# The data that are made


def test_phases_keep_the_spectrum_and_the_cross_spectrum():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 51))
    target = given(x, "x", y=y + x)
    drawn = draws(pop.PhaseRandomised(), target)[0]
    before, after = ([np.fft.rfft(d[n]) for n in ("x", "y")] for d in ({"x": x, "y": y + x}, drawn))
    np.testing.assert_allclose(np.abs(after[0]), np.abs(before[0]), rtol=1e-9)
    np.testing.assert_allclose(after[0] * after[1].conj(), before[0] * before[1].conj(), atol=1e-9)
    assert drawn["x"].mean() == pytest.approx(x.mean(), abs=1e-12)
    assert np.abs(drawn["x"] - x).max() > 0.5


def test_phases_are_uniform():
    """At any time the draws vary by the series' own variance: the sum of the squared moduli."""
    rows = np.stack([d["y"] for d in draws(pop.PhaseRandomised(), given(DATA), 800)])
    ratio = rows.var(0).mean() / DATA.var()
    assert ratio == pytest.approx(1.0, abs=1e-9 + 4 * np.sqrt(2.0 / 800))


def test_amplitudes_keep_the_values_exactly_and_the_spectrum_nearly():
    skewed = np.exp(DATA)
    drawn = draws(pop.AmplitudeAdjusted(), given(skewed))[0]["y"]
    np.testing.assert_array_equal(np.sort(drawn), np.sort(skewed))
    whole, error, shuffled = (
        np.abs(np.fft.rfft(v)) for v in (skewed, drawn, np.random.default_rng(0).permutation(skewed))
    )
    assert ((error - whole) ** 2).sum() < 0.1 * ((shuffled - whole) ** 2).sum()


def test_equal_values_make_no_trend():
    """Ranks of equal values go by lot: late and early ones are as often large."""
    ill = np.zeros(40)
    ill[::7] = 1.0
    late = [d["y"][20:].sum() - d["y"][:20].sum() for d in draws(pop.AmplitudeAdjusted(), given(ill), 200)]
    assert np.mean(late) == pytest.approx(0.0, abs=4 * np.std(late) / np.sqrt(200))


def test_permuting_keeps_pairs_together_and_gaps_where_they_are():
    x = np.ma.masked_array(np.arange(20.0), np.arange(20) == 3)
    target = given(x, "x", y=np.ma.masked_array(10.0 * np.arange(20), np.arange(20) == 3))
    drawn = draws(pop.Permuted(), target)[0]
    kept = np.arange(20) != 3
    np.testing.assert_array_equal(drawn["y"][kept], 10.0 * drawn["x"][kept])
    np.testing.assert_array_equal(np.sort(drawn["x"][kept]), np.arange(20)[kept])
    assert not np.array_equal(drawn["x"][kept], np.arange(20)[kept])


def test_reversing_twice_is_the_data():
    once = draws(pop.Reversed(), given(DATA))[0]["y"]
    np.testing.assert_array_equal(once, DATA[::-1])
    np.testing.assert_array_equal(draws(pop.Reversed(), given(once))[0]["y"], DATA)


def test_a_number_beside_a_series_stays():
    target = pop.Target({"y": DATA, "end": 7.0}, [pop.mean("y"), pop.final("end")])
    assert draws(pop.Permuted(), target)[0]["end"] == 7.0


@pytest.mark.parametrize(
    ("placebo", "target", "match"),
    [
        (pop.Permuted(), given(np.float64(3.0)), "no course in time.*AnotherPlace"),
        (pop.PhaseRandomised(), given(np.arange(9.0)), "counts.*AmplitudeAdjusted"),
        (pop.AmplitudeAdjusted(), given(np.ma.masked_array(DATA, np.arange(TIMES) == 3)), "without gaps.*Permuted"),
        (pop.Reversed(), given(np.arange(3.0)), "4 or more"),
        (pop.AnotherPlace("Hull", {"x": DATA}), given(DATA), "'Hull' has no series 'y'"),
        (pop.AnotherPlace("Hull", {"y": DATA[1:]}), given(DATA), "cut them to the same times"),
        (pop.AnotherPlace("Hull", {"y": np.ma.masked_less(DATA, 0)}), given(DATA), "fill them"),
    ],
)
def test_what_cannot_be_made_says_what_mends_it(placebo, target, match):
    with pytest.raises(pop.TargetError, match=match):
        draws(placebo, target)


def test_another_place_may_be_numbers():
    target = given(np.float64(3.0))
    assert pop.AnotherPlace("Hull", {"y": 4.0}).drawn(target, np.random.default_rng(0)).moments[0] == 4.0


# What fits to them say


@pytest.fixture(scope="module")
def problem():
    moments = [pop.mean("y"), pop.variance("y"), pop.autocorrelation("y", [1])]
    return of(DATA, moments, [0.45, 0.7, 0.07, 0.5], [pop.maximum("y")])


@pytest.fixture(scope="module")
def found(problem):
    placebos = (pop.Permuted(), pop.Reversed(), pop.AnotherPlace("elsewhere", {"y": DATA + 30.0}))
    return pop.placebo(problem, METHOD, jr.key(0), budget=300, placebos=placebos, predictive=100, progress=False)


def test_a_model_with_dynamics_does_not_fit_permuted_data(found):
    kind = found.of("permuted")
    assert kind.as_good(found.data) == 0 and max(one.p for one in kind.scores) < 0.02 < found.data.p
    assert kind.verdict(found.data).code is pop.Code.FITS_DATA
    assert found.verdict().code is pop.Code.FITS_DATA
    assert found.data.reached and not any(one.held_out for one in kind.scores)


def test_what_the_moments_do_not_see_is_not_fitted(found):
    kind = found.of("reversed in time")
    assert kind.blind and kind.scores == () and kind.shift[0] < 1e-4
    assert kind.verdict(found.data).code is pop.Code.PLACEBO_UNSEEN
    assert "reversed in time" in found.verdict().sentence


def test_a_place_out_of_the_priors_reach_is_not_fitted(found):
    verdict = found.of("elsewhere").verdict(found.data)
    assert verdict.code is pop.Code.FITS_DATA and verdict.numbers["times"] > 10.0


def test_a_model_with_a_parameter_a_moment_fits_anything():
    space = pop.Space(a=dist.Uniform(-6.0, 6.0), b=dist.Uniform(-6.0, 6.0))
    flexible = of(TREND, [pop.moment("halves", _halves, of="y")], [0.15, 0.15], simulator=halves, space=space)
    kinds = (pop.Permuted(),)
    found = pop.placebo(flexible, METHOD, jr.key(1), budget=400, placebos=kinds, predictive=100, progress=False)
    assert found.kinds[0].shift.min() > 10.0  # the placebos are other data
    assert found.verdict().code is pop.Code.FITS_ANYTHING


def test_moments_without_order_are_told_which_would_see_it():
    """Of an autoregression, the autocorrelation of lag 1 is the first; of a rising series the direction of time."""
    rng = np.random.default_rng(0)
    seen = telltales(given(DATA), pop.Permuted(), rng)
    assert seen[0].label in ("autocorrelation(y)[1]", "variance(changes of y)")
    assert seen[0].apart == pytest.approx(0.75 * np.sqrt(TIMES), rel=0.35)  # Bartlett: error 1 / sqrt(times)
    saw = np.tile(np.r_[np.arange(9.0), 0.0], 12) + 0.1 * rng.normal(size=TIMES)
    assert telltales(given(saw), pop.Reversed(), rng)[0].label == "skewness(changes of y)"


def scored(distance, reached=True):
    return Scored(distance, 0.01, reached, 0.5, 1.0, None)


def kind(distances, chance=True, name="permuted", shift=9.0):
    return PlaceboKind(name, "values", chance, np.full(5, shift), tuple(map(scored, distances)), (), ())


@pytest.mark.parametrize(
    ("distances", "reached", "share", "code"),
    [
        ([4.0] * 5, True, (0.0, 1.0 - 0.05**0.2), pop.Code.FITS_DATA),
        ([1.3] * 5, True, (0.05**0.2, 1.0), pop.Code.FITS_ANYTHING),
        ([1.3] * 5, False, (0.05**0.2, 1.0), pop.Code.FITS_NEITHER),
        ([1.3, 4.0, 4.0, 4.0, 4.0], True, (1.0 - 0.95**0.2, 0.6574), pop.Code.FITS_SOME_PLACEBOS),
        ([1.3] + [4.0] * 19, True, (1.0 - 0.95**0.05, 0.2161), pop.Code.FITS_DATA),
    ],
)
def test_the_share_of_placebos_fitted_as_well_has_its_exact_bounds(distances, reached, share, code):
    """Clopper and Pearson: none of m leaves 1 - .05^(1/m), all of m .05^(1/m)."""
    one, data = kind(distances), scored(1.3, reached)
    assert one.share(data) == pytest.approx(share, abs=1e-4)
    assert one.verdict(data).code is code


def test_distances_within_the_datas_error_are_alike():
    """A fit to .1 and one to .9 standard errors are both fits."""
    assert scored(0.9).farther(scored(0.1))[0] == 0.0
    assert kind([0.9], chance=False).verdict(scored(0.1)).code is pop.Code.FITS_ANYTHING


def test_an_outlier_is_not_fitted_however_near_runs_come():
    """Unless the data are one, too."""
    beside = dataclasses.replace(scored(1.0), p=0.003)
    assert not beside.as_good(scored(1.0))
    assert beside.as_good(dataclasses.replace(scored(1.0), p=0.002))


def test_the_word_for_several_placebos(found):
    def code(*kinds, reached=True):
        return PlaceboFits(found.fit, scored(1.0, reached), kinds, 1).verdict().code

    far, near = kind([9.0] * 5), kind([1.0], chance=False, name="reversed in time")
    same = kind([], name="amplitude-adjusted", shift=0.0)
    assert code(far, same) is pop.Code.FITS_DATA
    assert code(near, same) is pop.Code.FITS_ANYTHING
    assert code(near, reached=False) is pop.Code.FITS_NEITHER
    assert code(far, near) is pop.Code.FITS_SOME_PLACEBOS
    assert code(same) is pop.Code.PLACEBO_UNSEEN


def test_identify_shows_it(problem, found, tmp_path):
    report = pop.identify(problem, found.fit, jr.key(2), replicates=50, beside=(found,))
    assert report.sections()[-1].title == "Placebos"
    pop.write(report, tmp_path / "report.html")
    pop.write(found, tmp_path / "placebo.json")
    other = problem.with_target(problem.target.with_values(problem.target.values + 1.0))
    with pytest.raises(pop.ProblemError, match="other data"):
        pop.identify(other, found.fit, jr.key(2), beside=(found,))


def test_an_unknown_covariance_is_found_once_for_all():
    bare = pop.Target({"y": DATA}, [pop.mean("y"), pop.autocorrelation("y", [1])])
    problem = pop.Problem(pop.Traceable(wave), pop.Space(phi=dist.Uniform(0.0, 0.95), mu=dist.Uniform(-3, 3)), bare)
    where = (pop.AnotherPlace("elsewhere", {"y": DATA + 30.0}),)
    found = pop.placebo(problem, METHOD, jr.key(0), budget=1_000, placebos=where, predictive=100, progress=False)
    (fit,) = found.kinds[0].fits
    np.testing.assert_array_equal(fit.problem.target.covariance, found.fit.problem.target.covariance)
    assert found.fit.calls <= 1_000 - 200  # the pilot's share is taken off


class Killed(BaseException):
    """What no simulator catches."""


def test_what_was_fitted_is_not_lost(tmp_path):
    calls = [0]
    stop = [10**9]

    def simulator(parameters, key):
        calls[0] += 1
        if calls[0] > stop[0]:
            raise Killed
        rng = np.random.default_rng(np.asarray(jr.key_data(key)))
        return {"y": parameters["mu"] + rng.normal(size=16)}

    target = pop.Target({"y": DATA[:16]}, [pop.mean("y")], covariance=pop.Given(np.array([0.25])))
    problem = pop.Problem(simulator, pop.Space(mu=dist.Uniform(-3.0, 3.0)), target)
    places = tuple(pop.AnotherPlace(f"place {i}", {"y": DATA[:16] + i}) for i in (1, 2))

    def fitted(folder):
        calls[0] = 0
        method = pop.SequentialABC(particles=20, adjust=False)
        return pop.placebo(
            problem, method, jr.key(0), budget=100, placebos=places, predictive=20, folder=folder, progress=False
        )

    whole = fitted(tmp_path / "whole").record()
    needed = calls[0]
    stop[0] = needed - 60
    with pytest.raises(Killed):
        fitted(tmp_path / "killed")
    stop[0] = 10**9
    assert fitted(tmp_path / "killed").record() == whole
    assert calls[0] < needed - 100


def test_bad_input_is_refused_before_work(problem, found):
    def ask(**changed):
        return pop.placebo(problem, METHOD, jr.key(0), **{"budget": 300, "placebos": (pop.Permuted(),), **changed})

    for changed, match in (
        ({"placebos": ()}, "no placebo"),
        ({"draws": 4}, "none fitted as well would not decide"),
        ({"placebos": (pop.Permuted(), pop.Permuted())}, "called alike"),
        ({"budget": 100, "fit": found.fit}, "give budget="),
    ):
        with pytest.raises(pop.MethodError, match=match):
            ask(**changed)
    with pytest.raises(pop.ProblemError, match="by SequentialABC"):
        pop.placebo(problem, pop.EnsembleSmoother(), jr.key(0), budget=300, fit=found.fit)
    with pytest.raises(pop.TargetError, match="not defined on elsewhere"):
        ask(placebos=(pop.AnotherPlace("elsewhere", {"y": np.ones(TIMES)}),))
    moved = dataclasses.replace(found.fit, problem=problem.with_target(problem.target.with_values(np.zeros(4))))
    with pytest.raises(pop.ProblemError, match="another problem"):
        ask(fit=moved)
