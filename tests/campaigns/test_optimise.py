"""The best decision: against a closed form, confirmed on fresh runs, and honest where the optimum is flat or at an
end."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
import pytest
from jaxtyping import Array, Float

import populace as pop
from populace.campaigns.decision_descent import _still
from populace.campaigns.optimise import _better


class Harm(pop.Model):
    """Harm is the square of need less dose, with chance that a dose does not change."""

    need: Float[Array, ""] = pop.parameter(default=1.0)
    dose: Float[Array, ""] = pop.parameter(default=0.0)

    def init(self, draw):
        return jnp.zeros(())

    def step(self, draw, state):
        return draw.normal("lack", self.need - self.dose, 0.3, size=1)[0] ** 2

    def observe(self, state):
        return {"harm": state}


def give(decision):
    return pop.Intervention(parameters={"dose": decision["dose"]}, cost=decision["dose"])


@pytest.fixture(scope="module")
def fit():
    target = pop.Target({"harm": np.array([1.0])}, [pop.final("harm")], covariance=pop.Given(np.array([0.5])))
    problem = pop.Problem(pop.Simulation(Harm(), 1), pop.Space(need=dist.Uniform(0.5, 2.0)), target)
    return pop.calibrate(
        problem, pop.SequentialABC(particles=100), jr.key(0), budget=600, predictive=20, progress=False
    )


DOSES = pop.Space(dose=dist.Uniform(0.0, 2.0))


def asked(fit, measure=give, price=1.0, space=DOSES, **options):
    by = options.pop("by", pop.BySurrogate(first=10, rounds=1, batch=2))
    return pop.optimise(
        fit, space, measure, jr.key(3), outcome="harm", of=lambda seen: seen["harm"][:, 0], price=price, by=by,
        draws=100, confirming=100, progress=False, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def found(fit):
    return asked(fit, fixed={"as usual": {"dose": 1.8}})


def test_it_is_the_closed_form(found, fit):
    """Expected loss price ((E need - dose)^2 + Var need) + dose is least at E need - 1 / 2."""
    need = fit.draws["need"].mean()
    error = fit.draws["need"].std() / np.sqrt(100)
    assert abs(found.decision["dose"] - (need - 0.5)) < 3 * error + 0.02
    gain, doubt = found.mean()
    assert abs(gain - ((need - 0.5) ** 2)) < 4 * doubt + 0.02
    assert found.verdicts()[0].code is pop.Code.PAYS
    assert found.mean("as usual")[0] == pytest.approx((1.8 - need + 0.5) ** 2, abs=0.15)
    assert "'as usual', the best fixed choice" in found.verdicts()[0].sentence


def test_chance_is_shared_and_the_search_is_confirmed(found, tmp_path):
    codes = {one.subject: one.code for one in found.verdicts()}
    assert codes["the search's word"] is pop.Code.CONFIRMED and codes["the search"] is pop.Code.INSIDE
    assert codes["the optimum"] is pop.Code.CLEAR_OPTIMUM
    assert (found.tied()[:, 0] == found.best[0]).any() and np.ptp(found.tied()) < 0.5
    low, middle, high = found.known[:, 0]
    assert low < middle < high, "needs differ between draws, and so do the best doses"
    pop.write(found, tmp_path / "best.html")
    assert found.record()["decision"] == found.decision


def test_where_only_the_cost_counts_nothing_is_done(fit):
    free = asked(fit, price=0.0)
    codes = {one.subject: one.code for one in free.verdicts()}
    assert codes["the best decision"] is pop.Code.DOES_NOT_PAY and codes["dose"] is pop.Code.AT_BOUND


def test_a_flat_optimum_is_said_in_words(fit):
    idle = asked(fit, measure=lambda decision: ())
    said = {one.subject: one for one in idle.verdicts()}
    assert said["the optimum"].code is pop.Code.FLAT_OPTIMUM and "dose from" in said["the optimum"].sentence
    assert said["the best decision"].code is pop.Code.DOES_NOT_PAY


def test_a_gradient_finds_the_closed_form(fit):
    """Harm need^2 (1 - share)^2 and a cost of 0.8 share: least where 1 - share = 0.4 / E need^2."""

    def spare(decision):
        return pop.Intervention((pop.Scale("lack", 1.0 - decision["share"]),), cost=0.8 * decision["share"])

    shares = pop.Space(share=dist.Uniform(0.0, 1.0))
    found = asked(fit, measure=spare, space=shares, by=pop.ByGradient(steps=40, keys=1024))
    squares = fit.draws["need"] ** 2
    assert abs(found.decision["share"] - (1.0 - 0.4 / squares.mean())) < 0.05 + 0.04 * squares.std()
    codes = {one.subject: one.code for one in found.verdicts()}
    assert codes["the gradient"] is pop.Code.BELIEVE and codes["the best decision"] is pop.Code.PAYS


def test_what_has_no_derivative_is_refused(fit):
    by = pop.ByGradient()
    with pytest.raises(pop.GradientError, match="BySurrogate"):
        asked(fit, measure=lambda d: pop.Intervention((pop.Scale("lack", float(d["dose"])),)), by=by)
    with pytest.raises(pop.GradientError, match="plugs and a cost"):
        asked(fit, measure=give, by=by)
    by_steps, smooth = np.zeros(3), np.array([0.0, 0.0, 0.1])
    assert _still([{"day": by_steps, "dose": by_steps}, {"day": by_steps, "dose": smooth}]) == ["day"]


def test_a_runner_up_that_is_better_is_seen():
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(100, 1)) + np.array([1.0, 1.0, 0.5, 2.0]) + 0.1 * rng.normal(size=(100, 4))
    assert _better(losses, 0.0) == 1 and _better(losses[:, [2, 0, 1, 3]], 0.0) is None
    assert _better(losses, 0.6) is None, "by too little to matter"


def test_what_is_no_decision_is_refused(fit):
    with pytest.raises(pop.MethodError, match="two ends"):
        asked(fit, space=pop.Space(dose=dist.LogNormal(0.0, 1.0)))
    with pytest.raises(pop.MethodError, match="decisions are"):
        asked(fit, fixed={"usual": {"doze": 1.0}})
