"""Ten problems, five of them sound: does the guard speak where there is no answer, and keep quiet where there is?

Each is run at 150 points of its prior, a Gaussian process learns the moments, and the surrogate's own posterior (the
likelihood of `pop.SurrogatePosterior`, variances of noise and ignorance in it) is its answer. `pop.guard` speaks if the
data are out of reach, if the posterior leans on a bound, if most of it extrapolates, or if runs at its best point
refute the surrogate or the data. Of the unsound, two have the truth outside the prior, two have data that the model
cannot show, and one has been run in the half of its prior only in which the truth is not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array
from surrogate_accuracy import STEPS, rate

import populace as pop
from populace.calibration.surrogate_posterior import surrogate_draws
from populace.core.executor import Ticker
from populace.zoo.islands import Islands

RUNS, CONFIRMING = 150, 20
RIGHT = 0.9
U = dist.Uniform

Seen = dict[str, Array]


@dataclass(frozen=True)
class Case:
    """A simulator, its prior, the truth (low and high, drawn between), what becomes of the data's moments, whether the
    guard is right to keep quiet, and where runs may be made.
    """

    name: str
    simulator: pop.Simulator
    space: pop.Space
    moments: list[pop.Moment]
    low: dict[str, float]
    high: dict[str, float]
    sound: bool
    bent: Callable[[np.ndarray], np.ndarray] = lambda data: data
    allowed: Callable[[dict[str, np.ndarray]], np.ndarray] | None = None


def pair(at: Seen, key: Array) -> Seen:
    """Two numbers, one of them nonlinear, both noisy."""
    noise = 0.05 * jr.normal(key, (2,))
    return {"x": jnp.stack([at["a"] + at["b"], jnp.sin(2.0 * at["a"]) * at["b"]]) + noise}


def parabola(at: Seen, key: Array) -> Seen:
    """A number and its square: most pairs of them are never shown."""
    return {"x": jnp.stack([at["a"], at["a"] ** 2]) + 0.03 * jr.normal(key, (2,)) + 0.0 * at["b"]}


def uneven(at: Seen, key: Array) -> Seen:
    """Noise that grows with a parameter."""
    return {"x": jnp.stack([at["a"], at["b"]]) + 0.15 * at["a"] * jr.normal(key, (2,))}


def failing(at: Seen, key: Array) -> Seen:
    """Runs of a corner fail."""
    shown = pair(at, key)["x"]
    return {"x": jnp.where((at["a"] > 0.75) & (at["b"] > 0.75), jnp.nan, shown)}


def epidemic(at: Seen, key: Array) -> Seen:
    """Peak, its day, and final size of a chain-binomial epidemic among 2,000."""

    def day(state: Array, key: Array) -> tuple[Array, Array]:
        s, i = state
        one, other = jr.split(key)
        new = jr.binomial(one, s, -jnp.expm1(-at["a"] * i / 2_000.0))
        healed = jr.binomial(other, i, at["b"])
        return jnp.stack([s - new, i + new - healed]), i

    (s, _), ill = jax.lax.scan(day, jnp.array([1_980.0, 20.0]), jr.split(key, 120))
    return {"x": jnp.stack([ill.max() / 2_000.0, ill.argmax() / 120.0, 1.0 - s / 2_000.0])}


def cases() -> list[Case]:
    two, level = {"a": U(0.0, 1.0), "b": U(0.0, 1.0)}, [pop.level("x")]
    inner = ({"a": 0.2, "b": 0.2}, {"a": 0.8, "b": 0.8})

    def plain(
        name: str, simulate: Callable[[Seen, Array], Seen], low: dict, high: dict, sound: bool, **more: object
    ) -> Case:
        return Case(name, pop.Traceable(simulate), pop.Space(two), level, low, high, sound, **more)  # type: ignore[arg-type]

    rates = {"a": U(0.2, 0.8), "b": U(0.05, 0.3)}
    islands = {"rho": U(0.0, 10.0), "lambda_": U(0.0, 5.0), "alpha": U(0.8, 2.0), "phi": U(0.0, 1.0), "pi": U(0.0, 1.0)}
    middle = {"rho": 2.0, "lambda_": 1.5, "alpha": 1.1, "phi": 0.3, "pi": 0.3}
    end = {"rho": 8.0, "lambda_": 3.5, "alpha": 1.5, "phi": 0.7, "pi": 0.7}
    of_islands = [pop.moment("growth", rate, of="log_output"), pop.standard_deviation("log_output")]
    fifth = Case(
        *("islands", pop.Simulation(Islands(eps=0.1), STEPS), pop.Space(islands), of_islands, middle, end, True)
    )
    return [
        plain("a pair", pair, *inner, True),
        plain("noise that grows", uneven, *inner, True),
        plain("runs that fail elsewhere", failing, {"a": 0.2, "b": 0.2}, {"a": 0.6, "b": 0.6}, True),
        Case(
            *("an epidemic", pop.Traceable(epidemic), pop.Space(rates), level),
            *({"a": 0.35, "b": 0.1}, {"a": 0.65, "b": 0.2}, True),
        ),
        fifth,
        plain("truth beyond the prior", pair, {"a": 1.2, "b": 0.3}, {"a": 1.4, "b": 0.7}, False),
        plain("an epidemic beyond the prior", epidemic, {"a": 1.3, "b": 0.1}, {"a": 1.6, "b": 0.2}, False),
        plain("data too large", pair, *inner, False, bent=lambda data: data + np.array([2.0, 0.0])),
        plain("data off the parabola", parabola, *inner, False, bent=lambda data: data + np.array([0.0, 0.3])),
        plain(
            "half of the prior run",
            *(pair, {"a": 0.75, "b": 0.3}, {"a": 0.95, "b": 0.7}, False),
            allowed=lambda batch: np.asarray(batch["a"]) < 0.5,
        ),
    ]


def spoken(case: Case, key: Array) -> str:
    """What the guard says of a case: why it speaks, or nothing."""
    where, make, points, simulate, learn, draw, check = jr.split(key, 7)
    share = dict(zip(case.low, np.asarray(jr.uniform(where, (len(case.low),))), strict=True))
    truth = {n: jnp.float32(case.low[n] + share[n] * (case.high[n] - case.low[n]))[None] for n in case.low}
    batch = case.simulator.simulate(truth, make[None], Ticker(None, "", 1))
    data = {name: np.asarray(value[0], np.float64) for name, value in batch.observations.items()}
    target = pop.Target(data, case.moments)
    target = target.with_values(case.bent(target.values))
    problem = pop.Problem(case.simulator, case.space, target)
    runs = pop.run_design(problem, pop.design(case.space, points, RUNS, allowed=case.allowed), simulate)
    surrogate = pop.fit_surrogate(runs, learn, regressors=[pop.GaussianProcess()])
    draws = surrogate_draws(surrogate, target, draw)
    batch = case.space.from_real(jnp.asarray(draws.points, jnp.float32))
    said = pop.guard(problem, surrogate, batch, check, weights=draws.weights, best=draws.best, runs=CONFIRMING)
    return next((verdict.code.value for verdict in said.objections()), "")


def contest(*, quick: bool) -> list[dict[str, object]]:
    """A row a problem: keys for which the guard was right, and what it said how often."""
    rows = []
    for number, case in enumerate(cases()):
        if quick and number % 5:
            continue
        keys = 2 if quick else 20
        words = [spoken(case, jr.fold_in(jr.key(50 + number), i)) for i in range(keys)]
        right = sum((word == "") == case.sound for word in words)
        told = {word: words.count(word) for word in sorted(set(words)) if word}
        rows.append({"problem": case.name, "sound": case.sound, "right": right, "keys": keys, "said": str(told or "")})
        print(f"  guard, {case.name}: right in {right} of {keys} {told}", flush=True)
    return rows
