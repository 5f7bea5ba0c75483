"""The audit says of estimators what is known of them, and of losses whether they have a derivative at all."""

import json
import math

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float
from tests.gradients.known import Outbreak, Seen

import populace as pop


class Coins(pop.Model):
    """The number of heads."""

    coins: int = eqx.field(static=True)
    p: Float[Array, ""] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> Seen:
        return Seen(jnp.float32(0))

    def step(self, draw: pop.Draw, state: Seen) -> Seen:
        return Seen(draw.bernoulli("coin", self.p, size=self.coins).sum())

    def observe(self, state: Seen) -> dict[str, Array]:
        return {"heads": state.total}


class Stairs(pop.Model):
    """How many of nine cells like it where they are: all share one tolerance, and the share of likes is k / 9."""

    tolerance: Float[Array, ""] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> Seen:
        return Seen(jnp.float32(0))

    def step(self, draw: pop.Draw, state: Seen) -> Seen:
        alike = draw.binomial("alike", 9.0, 0.5, size=9) / 9.0
        return Seen((alike >= self.tolerance).sum().astype(jnp.float32))

    def observe(self, state: Seen) -> dict[str, Array]:
        return {"content": state.total}


class Cut(pop.Model):
    """How many of nine uniform numbers lie above a cut."""

    cut: Float[Array, ""] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> Seen:
        return Seen(jnp.float32(0))

    def step(self, draw: pop.Draw, state: Seen) -> Seen:
        return Seen(draw.threshold("above", draw.uniform("u", 0.0, 1.0, size=9) - self.cut).sum())

    def observe(self, state: Seen) -> dict[str, Array]:
        return {"above": state.total}


def audited(model, loss, *estimators, steps=1, **settings):
    expected = pop.ExpectedLoss(pop.Simulation(model, steps), loss)
    return pop.audit_gradient(expected, list(estimators), jr.key(4), horizons=[steps], progress=False, **settings)


@pytest.fixture(scope="module")
def squares():
    """E S^2 of two coins: n (1 - 2 p) + 2 n^2 p is the truth, 2 n^2 p what straight-through makes of it."""
    return audited(Coins(2, p=0.3), lambda seen: seen["heads"] ** 2, pop.Pathwise(), pop.Differences(), keys=16_000)


def test_straight_through_gives_the_direction_of_a_square(squares):
    verdict = squares.verdicts["Pathwise(StraightThrough)"]
    assert verdict.code is pop.Code.DIRECTION_ONLY
    assert verdict.numbers["bias"] == pytest.approx(0.8 / 3.2, abs=0.05)
    assert squares.verdicts["Differences"].code is pop.Code.BELIEVE
    assert squares.recommended == "Differences"


def test_the_two_truths_are_the_derivative_and_agree(squares):
    (case,) = squares.cases
    assert abs(case.truth.value[0] - 3.2) < 4 * case.truth.error[0] < 0.8
    assert case.agreement < 4


def test_a_linear_readout_is_believed_and_its_cheapest_estimator_recommended():
    found = audited(Coins(2, p=0.3), lambda seen: 3.0 * seen["heads"], pop.Pathwise(), pop.Differences(), keys=16_000)
    assert found.verdicts["Pathwise(StraightThrough)"].code is pop.Code.BELIEVE
    assert found.recommended == "Pathwise(StraightThrough)"
    assert isinstance(found.estimator, pop.Pathwise)


def test_the_wrong_sign_is_said():
    """E (x - .9)^2 falls by .8 p; straight-through has 2 p - 1.8, above 0 from p = .9 on."""
    found = audited(Coins(1, p=0.95), lambda seen: (seen["heads"] - 0.9) ** 2, pop.Pathwise(), keys=4_000, step=0.05)
    assert found.verdicts["Pathwise(StraightThrough)"].code is pop.Code.WRONG_SIGN
    assert found.verdicts["Pathwise(StraightThrough)"].numbers["bias"] > 1


def test_what_passes_no_gradient_is_called_blind():
    """Straight-through gives a threshold no derivative; that of 9 P(U > t), U uniform, is -9."""
    found = audited(Cut(cut=0.4), lambda seen: seen["above"], pop.Pathwise(), pop.Differences(), keys=2_000)
    assert found.verdicts["Pathwise(StraightThrough)"].code is pop.Code.BLIND
    assert "0 in every run" in found.verdicts["Pathwise(StraightThrough)"].sentence
    assert found.recommended == "Differences"


def test_what_is_0_in_every_run_is_not_recommended_where_all_is_too_noisy():
    """Nothing can be told with so few keys; what never varies would seem the most accurate."""
    found = audited(Cut(cut=0.4), lambda seen: seen["above"], pop.Score(), pop.Differences(), keys=16)
    assert {verdict.code for verdict in found.verdicts.values()} == {pop.Code.TOO_NOISY}
    assert found.recommended == "Differences"


def test_a_staircase_has_no_derivative():
    found = audited(Stairs(tolerance=0.5), lambda seen: seen["content"], pop.Pathwise(), pop.Differences(), keys=200)
    assert {verdict.code for verdict in found.verdicts.values()} == {pop.Code.NO_DERIVATIVE}
    assert "staircase" in found.verdicts["Pathwise(StraightThrough)"].sentence
    assert not found.cases[0].truth.exists.any() and found.recommended is None


def test_what_parameters_go_through_is_differentiated_too():
    """E S = 2 p with p = exp(x): the derivative is 2 p."""
    simulation = pop.Simulation(Coins(2, p=0.3), 1)
    expected = pop.ExpectedLoss(simulation, lambda seen: seen["heads"], lambda at: {"p": jnp.exp(at["x"])})
    found = pop.audit_gradient(
        expected, [pop.Pathwise()], jr.key(4), at=[{"x": np.log(0.3)}], horizons=[1], keys=4_000, progress=False
    )
    assert abs(found.cases[0].truth.value[0] - 0.6) < 4 * found.cases[0].truth.error[0] < 0.2
    assert found.verdicts["Pathwise(StraightThrough)"].code is pop.Code.BELIEVE


def test_too_few_keys_are_no_verdict():
    found = audited(Coins(40, p=0.3), lambda seen: (seen["heads"] - 12) ** 2, pop.Score(), keys=32)
    assert found.verdicts["Score(LeaveOneOut)"].code is pop.Code.TOO_NOISY


class Many(pop.Model):
    """A coin a place, for eighty places."""

    p: Float[Array, " places"] = pop.parameter(domain=pop.unit)

    def init(self, draw: pop.Draw) -> Array:
        return jnp.zeros(self.p.size)

    def step(self, draw: pop.Draw, state: Array) -> Array:
        return draw.bernoulli("coin", self.p)

    def observe(self, state: Array) -> dict[str, Array]:
        return {"heads": state}


@pytest.mark.parametrize(("power", "factor", "code"), [(1, 1.0, pop.Code.BELIEVE), (2, 2.0, pop.Code.DIRECTION_ONLY)])
def test_many_parameters_are_looked_at_along_the_gradient_itself(power, factor, code):
    """Heads are 0 or 1, so their squares are themselves: straight-through makes 2 p of a derivative of 1."""
    p, size = 0.6, np.linspace(1.0, 2.0, 80)
    found = audited(
        Many(p=np.full(80, p)),
        lambda seen: (jnp.asarray(size) * seen["heads"] ** power).sum(),
        pop.Pathwise(),
        pop.RandomDirections(),
        keys=1_000,
    )
    (case,) = found.cases
    assert case.compared.names[0] == "along Pathwise(StraightThrough)" and case.truth.exists.all()
    # The guide points along size * p; one unit of it moves each parameter by `reach` / norm of its share.
    share = size / np.linalg.norm(size)
    exact = p * (size @ share) * case.compared.reach[0]
    assert abs(case.truth.value[0] - exact) < 4 * case.truth.error[0] < 0.05 * exact
    verdict = found.verdicts["Pathwise(StraightThrough)"]
    factor_found = case.samples("Pathwise(StraightThrough)")[:, 0].mean() / case.truth.value[0]
    bias = factor if power == 1 else factor * p
    assert factor_found == pytest.approx(bias, rel=0.05) and verdict.code is code
    assert case.tried["RandomDirections"].judged.work > 1_000  # of whole gradients: its spread grows with their number


def problem(steps: int) -> pop.Problem:
    model = Outbreak(30, beta=0.8, gamma=0.3, noise=0.5)
    data = {"ill": np.asarray(pop.simulate(model, jr.key(1), steps).observations["ill"])}
    space = pop.Space(beta=dist.LogUniform(0.3, 2.0), gamma=dist.Uniform(0.1, 0.6))
    return pop.Problem(pop.Simulation(model, steps), space, pop.Target(data, [pop.level("ill")]))


@pytest.fixture(scope="module")
def of_problem():
    return pop.audit_gradient(problem(6), [pop.Differences(), pop.Pathwise()], jr.key(2), keys=64, progress=False)


def test_a_problem_is_audited_at_points_of_its_prior_and_two_horizons(of_problem):
    titles = [one.case.title for one in of_problem.cases]
    assert titles[0] == "the prior's median, 2 steps" and titles[3] == "the prior's median, 6 steps"
    assert len(titles) == 6
    assert all(set(one.case.at) == {"beta", "gamma"} for one in of_problem.cases)


def test_the_audit_as_a_result(of_problem, tmp_path):
    record = json.loads(json.dumps(of_problem.record()))
    assert record["recommended"] in record["verdicts"]
    assert all(math.isfinite(x) for case in record["cases"] for x in case["truth"])
    for suffix in ("html", "md", "json"):
        pop.write(of_problem, tmp_path / f"audit.{suffix}")
        assert (tmp_path / f"audit.{suffix}").stat().st_size > 500


def test_what_cannot_be_audited_is_said():
    black_box = pop.Problem(
        lambda parameters, key: {"ill": np.ones(6)},
        pop.Space(beta=dist.Uniform(0, 1)),
        pop.Target({"ill": np.arange(6.0)}, [pop.level("ill")]),
    )
    with pytest.raises(pop.GradientError, match="has no sites"):
        pop.audit_gradient(black_box, None, jr.key(0))
    loss = pop.ExpectedLoss(pop.Simulation(Coins(2, p=0.3), 2), lambda seen: seen["heads"])
    through = pop.ExpectedLoss(loss.simulation, loss.loss, lambda at: {"p": jnp.exp(at["log p"])})
    with pytest.raises(pop.GradientError, match="pass at="):
        pop.audit_gradient(through, None, jr.key(0))
    with pytest.raises(pop.GradientError, match="between 1 and the simulation's 2 steps"):
        pop.audit_gradient(loss, None, jr.key(0), horizons=[3])
