"""What is written as a tree or a formula is found again; what is not is reported. Nothing is trained."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jaxtyping import Array
from tests.learning.games import duopoly, fish_war, levers

import populace as pop
from populace.core.plug import Deciding
from populace.core.policy import Act, Policy
from populace.learning.distillation import Distilled, DistilledPolicy, Fidelity, _verdict, distil
from populace.learning.students import Formula, Readable, Sum, Tree, best_split, subsets
from populace.learning.visited import Output, Visited

KEY = jr.key(0)


class Steps(Policy):
    """Takes .2 of a stock below .5, .35 below .6, and .3 of more."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        return Act(jnp.where(view < 0.5, 0.2, jnp.where(view < 0.6, 0.35, 0.3)))


class Reply(Policy):
    """The rule of Cournot's market: 13.5 + .7 own - .15 rivals."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        best = jnp.maximum(90.0 - view["rivals"], 0.0) / 2.0
        return Act(view["own"] + 0.3 * (best - view["own"]))


class Next(Policy):
    """Pulls the lever after the one that was pulled last."""

    def memory(self) -> Any:
        return ()

    def act(self, view: Any, memory: Any, key: Any) -> Act:
        return Act((view.astype(jnp.int32) + 1) % 3)


def points(x: np.ndarray, y: np.ndarray, options: int = 0) -> Visited:
    """Made-up points: x (n, d), y (n,)."""
    names = tuple(f"x{d}" for d in range(x.shape[1]))
    empty = np.empty((0, 1, len(names)))
    return Visited(names, (True,) * len(names), (Output("a", options),), x, y[:, None], y[:, None], empty, empty)


def said(part: Readable, visited: Visited) -> str:
    return part.text("a", visited.names)


@pytest.fixture(scope="module")
def steps() -> Distilled:
    return distil(fish_war(2), {"harvest": Steps()}, KEY, into=Tree())


def test_a_split_is_the_best_of_all():
    generator = np.random.default_rng(1)
    error = lambda rows: ((rows - rows.mean(0)) ** 2).sum()  # noqa: E731
    for _ in range(20):
        x = generator.integers(0, 6, (25, 3)).astype(float)
        y = generator.normal(size=(25, 2)) + x[:, :1]
        gain = lambda left, y=y: error(y) - error(y[left]) - error(y[~left])  # noqa: E731
        lefts = [x[:, d] <= at for d in range(3) for at in range(5)]
        best = max(gain(left) for left in lefts if min(left.sum(), (~left).sum()) >= 4)
        found = best_split(x, y, 4)
        assert found is not None
        feature, threshold, taken = found
        assert taken == pytest.approx(best) and gain(x[:, feature] <= threshold) == pytest.approx(best)


def test_there_is_no_split_of_what_is_alike_or_few():
    y = np.arange(6.0)[:, None]
    assert best_split(np.ones((6, 1)), y, 1) is None
    assert best_split(np.arange(6.0)[:, None], y, 4) is None


def test_neighbours_in_32_bits_are_told_apart():
    """Half of the way rounds to the upper one."""
    low = np.float32(1.0) + np.float32(2.0**-23)
    x = np.array([[low], [np.nextafter(low, np.float32(2))]], np.float64)
    found = best_split(x, np.array([[0.0], [1.0]]), 1)
    assert found is not None and x[0, 0] <= found[1] < x[1, 0]


def test_a_step_policy_is_found_again(steps: Distilled):
    assert steps.texts["harvest"] == ("harvest = if view <= 0.5002: 0.2 else (if view <= 0.6001: 0.35 else 0.3)",)
    (fidelity,) = steps.fidelity["harvest"]
    assert (fidelity.measure, fidelity.fitted, fidelity.fresh) == ("R^2", pytest.approx(1.0), pytest.approx(1.0))
    policy = steps.policies["harvest"]
    for stock, share in ((0.2, 0.2), (0.49, 0.2), (0.55, 0.35), (0.65, 0.3), (5.0, 0.3)):
        assert policy.act(jnp.float32(stock), (), KEY).action == pytest.approx(share)
    assert steps.faithful and steps.verdicts["harvest"].numbers["change"] == pytest.approx(0.0, abs=1e-5)


def test_its_rule_in_a_model_makes_the_run_that_the_policy_makes(steps: Distilled):
    sea = fish_war(2).model
    by_rule = pop.simulate(sea, KEY, 40, plugs=(pop.Replace("harvest", steps.rules["harvest"]),))
    by_copy = pop.simulate(sea, KEY, 40, plugs=(Deciding("harvest", steps.policies["harvest"]),))
    by_policy = pop.simulate(sea, KEY, 40, plugs=(Deciding("harvest", Steps()),))
    for name in ("stock", "caught"):
        assert np.array_equal(by_rule.observations[name], by_copy.observations[name])
        assert np.allclose(by_rule.observations[name], by_policy.observations[name], rtol=1e-5)


def test_a_tree_that_is_too_shallow_is_reported():
    found = distil(fish_war(2), {"harvest": Steps()}, KEY, into=Tree(depth=1))
    verdict = found.verdicts["harvest"]
    assert not found.faithful and verdict.numbers["fidelity"] < 0.9
    assert "does not follow" in verdict.sentence


def test_what_follows_closely_may_yet_earn_less():
    """One run in which the copy goes astray is no matter of R^2: returns decide too."""
    generator, close = np.random.default_rng(0), (Fidelity("a", "R^2", 1.0, 0.99),)
    learned = generator.normal(10.0, 1.0, (1, 32))
    worse = _verdict("a", close, [learned, learned - 1.0, learned - 2.0], generator)
    same = _verdict("a", close, [learned, learned - 0.01, learned - 2.0], generator)
    assert (worse.numbers["faithful"], same.numbers["faithful"]) == (0.0, 1.0)
    assert worse.numbers["change"] == pytest.approx(-1.0) and worse.numbers["gain"] == pytest.approx(2.0)


def test_cournots_rule_is_found_again():
    found = distil(duopoly(), {"quantity": Reply()}, KEY, into=Formula())
    orders = ("quantity = 13.5 + 0.7*own - 0.15*rivals", "quantity = 13.5 - 0.15*rivals + 0.7*own")  # both say as much
    assert found.texts["quantity"] in [(order,) for order in orders]
    (part,) = found.policies["quantity"].parts
    assert isinstance(part, Sum)
    assert float(part.constant) == pytest.approx(13.5, rel=1e-4)
    assert np.allclose(np.sort(part.coefficients), [-0.15, 0.7], rtol=1e-4)
    assert found.faithful and found.fidelity["quantity"][0].fresh == pytest.approx(1.0, abs=1e-6)


X = np.random.default_rng(2).uniform([0.5, -1.0], [4.0, 1.0], (400, 2)).astype(np.float32).astype(float)
FORMULAS = {
    "a = 0.3*sqrt(x0)": 0.3 * np.sqrt(X[:, 0]),
    "a = 2 - 1.5*1/x0": 2.0 - 1.5 / X[:, 0],
    "a = 0.7*log(x0)": 0.7 * np.log(X[:, 0]),
    "a = -1 + 3*x0*x1": 3.0 * X[:, 0] * X[:, 1] - 1.0,
    "a = 0.25*x1^2": 0.25 * X[:, 1] ** 2,
    "a = 5": np.full(400, 5.0),
    "a = 0": np.zeros(400),
    "a = 1 + 2*x1 - 0.5*x0^2 + 1*x0*x1": 1.0 + 2.0 * X[:, 1] - 0.5 * X[:, 0] ** 2 + X[:, 0] * X[:, 1],
}


@pytest.mark.parametrize("text", list(FORMULAS))
def test_every_term_is_found_again(text: str):
    visited = points(X, FORMULAS[text])
    part = Formula().fit(visited, 0)
    parts = lambda formula: sorted(formula.removeprefix("a = ").replace(" - ", " + -").split(" + "))  # noqa: E731
    assert parts(said(part, visited)) == parts(text)
    values = np.array([part(jnp.asarray(row))[0] for row in X[:5].astype(np.float32)])
    assert np.allclose(values, FORMULAS[text][:5], rtol=1e-4, atol=1e-4)


def test_noise_is_given_no_terms():
    noise = 3.0 + np.random.default_rng(3).normal(size=400)
    assert said(Formula().fit(points(X, noise), 0), points(X, noise)) == f"a = {noise.mean():.3g}"


def test_the_best_two_are_found_where_the_best_one_is_not_of_them():
    first, between, noise = np.random.default_rng(5).normal(size=(3, 300))
    columns = np.column_stack([first, first + 0.5 * between, between + 0.3 * noise])
    chosen = [sorted(one) for one in subsets(columns, between, 2)]
    assert chosen == [[], [2], [0, 1]]


def test_of_many_candidates_terms_are_taken_one_by_one():
    x = np.random.default_rng(4).normal(size=(300, 25))
    y = 2.0 * x[:, 3] - x[:, 7] * x[:, 8]
    assert said(Formula().fit(points(x, y), 0), points(x, y)) == "a = 2*x3 - 1*x7*x8"


def test_a_choice_becomes_a_tree_and_no_formula():
    found = distil(levers(), {"pull": Next()}, KEY, into=Tree())
    assert found.texts["pull"] == ("pull = if view <= 0.5: 1 else (if view <= 1.5: 2 else 0)",)
    assert found.fidelity["pull"] == (Fidelity("pull", "equal decisions", 1.0, 1.0),)
    assert found.faithful
    with pytest.raises(pop.MethodError, match="into a Tree"):
        distil(levers(), {"pull": Next()}, KEY, into=Formula())


def test_branches_that_decide_alike_are_read_as_one():
    option = np.where(np.arange(400) % 10 < np.where(X[:, 0] > 2.0, 10, 8), 1.0, 0.0)
    visited = points(X, option, options=2)
    assert said(Tree(depth=2, least=50).fit(visited, 0), visited) == "a = 1"


def test_types_share_one_rule():
    kinds = jnp.arange(6) % 3
    each = pop.FixedPolicy(jnp.arange(3, dtype=jnp.int32))
    found = distil(levers(types=kinds), {"pull": each}, KEY, into=Tree())
    assert found.fidelity["pull"][0].fresh > 0.7  # from the second step each sees which lever is its own
    assert found.fidelity["pull"][0].fresh < 1.0


def test_an_option_that_is_not_allowed_is_not_taken():
    visited = points(X, (X[:, 0] > 2.0).astype(float) * 2, options=3)
    part, low, high = Tree(depth=1).fit(visited, 0), jnp.zeros(2), jnp.full(2, 9.0)
    for allowed, option in (((1, 1, 1), 2), ((1, 1, 0), 0)):
        actions = pop.Discrete(3, allowed=lambda view, mask=allowed: jnp.array(mask))
        policy = DistilledPolicy((part,), low, high, actions)
        assert int(policy.act(jnp.array([3.9, 0.0]), (), KEY).action) == option


def test_several_actions_are_put_together_by_name():
    number = lambda value: Sum(jnp.float32(value), jnp.zeros(0), ())  # noqa: E731
    tree = Tree(depth=1).fit(points(X, (X[:, 0] > 2.0).astype(float), options=2), 0)
    actions = pop.Mixed({"b": pop.Discrete(2), "a": pop.Continuous(0.0, 3.0, shape=(2,))})
    policy = DistilledPolicy((number(1.0), number(7.0), tree), jnp.zeros(2), jnp.full(2, 9.0), actions)
    action: dict[str, Array] = policy.act(jnp.array([3.0, 0.0]), (), KEY).action
    assert action["a"].tolist() == [1.0, 3.0] and int(action["b"]) == 1


def test_the_page_begins_with_the_rule(steps: Distilled, tmp_path: Path):
    (file,) = pop.write(steps, tmp_path / "rule.md")
    text = file.read_text()
    assert text.index("if view") < text.index("follows the policy") < text.index("Fidelity")
    json.dumps(steps.record(), allow_nan=False)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Tree(depth=0), "1 or more"),
        (lambda: Formula(terms=0), "one term"),
        (lambda: distil(levers(), ({"pull": Next()},), KEY, into=Tree()), "one set"),  # type: ignore[arg-type]
        (lambda: distil(levers(), {"pull": Next()}, KEY, into=Tree(), runs=4), "8 are the least"),
        (lambda: distil(levers(), {}, KEY, into=Tree()), "no policy"),
    ],
)
def test_what_cannot_be_distilled_is_told_before_any_run(make: Any, says: str):
    with pytest.raises(pop.MethodError, match=says):
        make()
