"""The value of information against its closed form: two interventions, Gaussian benefits, the unit normal loss."""

import jax.random as jr
import numpy as np
import pytest
from scipy.stats import norm

import populace as pop
from populace.campaigns.conditional_means import conditional_means

N = 4_000


def loss(mean, sd):
    """E[max(Z, 0)] - max(E Z, 0) of Z ~ N(mean, sd^2)."""
    return sd * norm.pdf(mean / sd) - abs(mean) * norm.cdf(-abs(mean) / sd)


@pytest.fixture(scope="module")
def found():
    """The benefit of acting is 0.3 + effect + 0.5 rate + luck: by hand, what knowing each part is worth."""
    rng = np.random.default_rng(0)
    effect, rate, idle = rng.normal(size=(3, N))
    trial = effect + rng.normal(scale=0.5, size=N)
    act = 0.3 + effect + 0.5 * rate + rng.normal(scale=2.0, size=N)
    return pop.value_of_information(
        {"nothing": np.zeros(N), "act": act},
        {"effect": effect, "rate": rate, "idle": idle},
        jr.key(0),
        measurements={"trial": trial, "useless": rng.normal(size=N)},
        costs={"effect": 0.1, "rate": 5.0},
    )


def worth(found, name):
    return next(one for one in (*found.worths, found.ceiling) if one.name == name)


@pytest.mark.parametrize(
    ("name", "sd"),
    [("effect", 1.0), ("rate", 0.5), ("trial", np.sqrt(1.0 / 1.25)), ("all parameters", np.sqrt(1.25))],
)
def test_it_is_the_unit_normal_loss(found, name, sd):
    one, exact = worth(found, name), loss(0.3, sd)
    assert abs(one.value - exact) < 3 * one.error
    assert abs(one.promised - exact) < 4 * one.promised_error + 3 * 2.0 / np.sqrt(N)
    assert one.value <= worth(found, "all parameters").value + 3 * one.error


def test_what_tells_nothing_is_worth_nothing(found, tmp_path):
    codes = {one.subject: one.code for one in found.verdicts()}
    assert codes["what to measure next"] is pop.Code.WORTH_MEASURING and found.worths[0].name in ("effect", "trial")
    assert codes["rate"] is pop.Code.CHANGES_NOTHING, "it costs more than it is worth"
    for name in ("idle", "useless"):
        assert codes[name] is not pop.Code.WORTH_MEASURING
        assert abs(worth(found, name).value) < 3 * worth(found, name).error + 1e-12
    assert worth(found, "effect").net == pytest.approx(worth(found, "effect").value - 0.1)
    pop.write(found, tmp_path / "voi.html")
    assert found.record()["best"] == "act"


def test_a_plain_decision_is_changed_by_nothing():
    rng = np.random.default_rng(1)
    effect = rng.normal(size=1_000)
    found = pop.value_of_information(
        {"nothing": np.zeros(1_000), "act": 6.0 + effect + rng.normal(size=1_000)}, {"effect": effect}, jr.key(0)
    )
    assert found.verdict().code is pop.Code.CHANGES_NOTHING and "nothing that was offered" in found.verdict().sentence


def test_many_interventions_and_a_bent_regression_do_not_promise_what_is_not_there():
    """With luck alone, fitted predictions gain; choices for draws left out do not."""
    rng = np.random.default_rng(2)
    luck = rng.normal(size=(300, 4))
    found = pop.value_of_information(
        {str(i): one for i, one in enumerate(luck.T)}, {"x": rng.normal(size=(300, 2))}, jr.key(1),
        regressors=[pop.Polynomial(4)],
    )  # fmt: skip
    assert found.worths[0].promised >= 0 and abs(found.worths[0].value) < 3.5 * found.worths[0].error + 1e-12
    assert found.verdict().code is not pop.Code.WORTH_MEASURING
    x = rng.uniform(-1, 1, 400)
    bent = conditional_means((x**2)[:, None] + 0.1 * rng.normal(size=(400, 1)), x[:, None], jr.key(0))
    assert np.abs(bent.held_out[:, 0] - x**2).max() < 0.1 and bent.explained > 0.85


def test_what_does_not_fit_is_refused():
    x = np.zeros(100)
    with pytest.raises(pop.MethodError, match="two interventions"):
        pop.value_of_information({"act": x}, {"a": x}, jr.key(0))
    with pytest.raises(pop.MethodError, match="100 draws"):
        pop.value_of_information({"act": x, "not": x}, {"a": x[:50]}, jr.key(0))
    with pytest.raises(pop.MethodError, match="'b', which is neither"):
        pop.value_of_information({"act": x, "not": x}, {"a": x}, jr.key(0), costs={"b": 1.0})
    with pytest.raises(pop.MethodError, match="50 or more"):
        pop.value_of_information({"act": x[:9], "not": x[:9]}, {"a": x[:9]}, jr.key(0))
