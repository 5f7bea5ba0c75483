"""Walks: along a hyperbola from bound to bound, to the ends of an ellipse, and past what enters nowhere."""

import jax.random as jr
import numpy as np
import pytest
from tests.identification.profile_cases import fitted, problem

import populace as pop

BUDGET = 1_200


def found(task, directions=1, **kind):
    where = {name: [value] for name, value in kind.items()}
    return pop.walks(task, fitted(task, **where), jr.key(1), budget=BUDGET, directions=directions, progress=False)


@pytest.fixture(scope="module")
def hyperbola():
    task = problem(lambda p: [p["a"] * p["b"]], [1.0], (0.02,), a=(0.0, 5.0), b=(0.0, 5.0))
    return found(task, 2, a=1.0, b=1.0)


def test_a_product_is_walked_from_bound_to_bound(hyperbola):
    walk = hyperbola.walks[0]
    a, b = walk.path.T
    assert a * b == pytest.approx(1.0, abs=0.06)
    assert (a.min(), a.max()) == pytest.approx((0.2, 5.0), abs=0.02)
    assert set(walk.ends) == {"the upper bound of a", "the upper bound of b"}
    assert walk.verdict.code is pop.Code.FLAT
    assert (np.diff(a) > 0).all() or (np.diff(a) < 0).all()


def test_runs_along_it_fit_alike(hyperbola):
    assert hyperbola.checks[0].code is pop.Code.CONFIRMED
    _, rise, error = hyperbola.walks[0].fresh.T
    assert (rise < hyperbola.threshold + 4.0 * error).all()


def test_across_the_valley_the_data_end_it(hyperbola):
    walk = hyperbola.walks[1]
    assert walk.ends == ("the data", "the data") and walk.verdict.code is pop.Code.BOUNDED
    product = walk.path.prod(1)
    # 1.96 errors of the product to either side, and what luck allows
    assert (product.min(), product.max()) == pytest.approx((1.0 - 0.0392, 1.0 + 0.0392), abs=0.02)


def test_a_linear_model_is_walked_to_the_ends_of_its_long_axis():
    rows = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.array([[0.1], [0.3]])
    task = problem(lambda p: [p["a"] + p["b"], p["a"] - p["b"]], [0.5, 0.1], (0.1, 0.3), a=(-2.0, 2.0), b=(-2.0, 2.0))
    walk = found(task, a=0.3, b=0.2).walks[0]
    values, vectors = np.linalg.eigh(rows.T @ rows)
    ends = 1.96 / np.sqrt(values[0]) * np.outer([-1.0, 1.0], vectors[:, 0]) + [0.3, 0.2]
    seen = walk.path[[0, -1]]
    seen = seen if np.sum((seen - ends) ** 2) < np.sum((seen[::-1] - ends) ** 2) else seen[::-1]
    assert seen == pytest.approx(ends, abs=0.08)


def test_what_enters_nowhere_is_walked_alone(tmp_path):
    task = problem(lambda p: [p["x"]], [20.0], (1.0,), x=(0.0, 50.0), mood=(0.0, 50.0))
    one = found(task, x=20.0, mood=25.0)
    assert set(one.walks[0].ends) == {"the lower bound of mood", "the upper bound of mood"}
    assert "x hardly moves" in one.walks[0].verdict.sentence
    pop.write(one, tmp_path / "walks.html")
    pop.write(one, tmp_path / "walks.json")


def test_bad_input_is_refused_before_work():
    task = problem(lambda p: [p["x"]], [1.0], (0.1,), x=(-3.0, 3.0))
    fit = fitted(task, x=[1.0])
    with pytest.raises(pop.MethodError, match="1 to 1 directions"):
        pop.walks(task, fit, jr.key(0), budget=2_000, directions=2)
    with pytest.raises(pop.MethodError, match="too few"):
        pop.walks(task, fit, jr.key(0), budget=50)
