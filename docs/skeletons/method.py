"""Skeleton of a method; copy to `src/populace/calibration/`, one file a method.

Rejection ABC: draw parameters from the prior, run the simulator at each, and keep the share of draws whose moments
come nearest to the data. As the tolerance falls the kept draws tend to the posterior given the moments.

S. Tavare, D. J. Balding, R. C. Griffiths and P. Donnelly (1997), "Inferring coalescence times from DNA sequence
data", Genetics 145, 505-518; J. K. Pritchard et al. (1999), Molecular Biology and Evolution 16, 1791-1798.
"""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

import populace as pop
from populace.calibration.tally import Tally
from populace.problem.problem import Simulate
from populace.testing.methods import check_method


# 1. The state is a tree of arrays whose structure never changes (shapes may). The loop writes it down after each
#    round and can go on from it, so nothing that the method knows may live anywhere else.
class Nearest(eqx.Module):
    """The draws kept so far: `real` (n, d) parameters, `moments` (n, k), `distance` (n,); which runs did not count."""

    real: np.ndarray
    moments: np.ndarray
    distance: np.ndarray
    tally: Tally


# 2. Settings are fields. A method holds no state and calls no simulator.
class Rejection(pop.Method):
    """Keep the `kept` nearest of all draws, `batch` draws a round."""

    kept: int = eqx.field(static=True, default=100)
    batch: int = eqx.field(static=True, default=500)
    distance: pop.Distance = eqx.field(default_factory=pop.Quadratic)

    # 3. Say at once what cannot work, and what would.
    def start(self, task, key, budget):
        least = self.batch * -(-self.kept // self.batch)
        if budget < least:
            raise pop.MethodError(f"a budget of {budget} calls is too small to keep {self.kept} draws: give {least}")
        real, moments = np.zeros((0, task.space.size)), np.zeros((0, len(task.target.labels)))
        return Nearest(real, moments, np.zeros(0), Tally.empty())

    # 4. What to work out next. All chance comes from `key`, which belongs to the round.
    def ask(self, task, state, key):
        draw, run = jr.split(key)
        return Simulate(task.space.sample(draw, self.batch), jr.split(run, self.batch))

    # 5. Take the answer in. A run that could not be used is excluded and its moments are NaN.
    def tell(self, task, state, ask, answer):
        distance = np.where(answer.excluded, np.inf, self.distance(answer.moments, task.target))
        real = np.asarray(task.space.to_real(ask.parameters), np.float64)
        rows = (
            np.concatenate([state.real, real]),
            np.concatenate([state.moments, answer.moments]),
            np.concatenate([state.distance, distance]),
        )
        nearest = np.argsort(rows[2], kind="stable")[: self.kept]
        return Nearest(*(row[nearest] for row in rows), state.tally.with_(answer))

    # 6. Why to stop, as a class and a sentence; None to go on. `left` is what remains of the budget.
    def done(self, task, state, left):
        if left >= self.batch:
            return None
        worst = state.distance.max()
        return pop.Done(pop.Code.BUDGET_SPENT, f"the {self.kept} nearest draws lie within {worst:.3g} of the data")

    # 7. What is known in the end, and what the reader must be told: excluded runs among it.
    def finish(self, task, state, key):
        if not np.isfinite(state.distance).all():
            raise pop.MethodError(f"fewer than {self.kept} runs could be used: raise the budget, or look at the model")
        weights = np.full(self.kept, 1 / self.kept)
        remarks = (f"The {self.kept} nearest draws were kept.", state.tally.sentence())
        return pop.Posterior(state.real, weights, state.moments, remarks)


# 8. The test: a posterior that is known in closed form.
class Coins(pop.Model):
    """A hundred coins with one unknown bias, thrown once."""

    bias: Float[Array, ""] = pop.parameter(default=0.5, domain=pop.unit)

    def init(self, draw):
        return jnp.zeros(100)

    def step(self, draw, heads):
        return draw.bernoulli("throw", self.bias, size=100)

    def observe(self, heads):
        return {"heads": heads.sum()}


def coins():
    """30 heads of 100 and a uniform prior: the bias is Beta(31, 71)."""
    target = pop.Target({"heads": np.array([30.0])}, [pop.level("heads")], covariance=pop.Given(np.eye(1)))
    return pop.Problem(pop.Simulation(Coins(), steps=1), pop.Space(bias=dist.Uniform(0, 1)), target)


def recovers_a_known_posterior(method, errors=4.0):
    """The mean of the posterior, within standard errors."""
    fit = pop.calibrate(coins(), method, jr.key(0), budget=5_000)
    bias = np.asarray(fit.problem.space.from_real(jnp.asarray(fit.estimate.real))["bias"])
    mean, variance = 31 / 102, 31 * 71 / (102**2 * 103)
    assert abs(bias.mean() - mean) < errors * (variance / bias.size) ** 0.5, bias.mean()


if __name__ == "__main__":
    # 9. The laws that every method keeps: it resumes to the same numbers, keeps to its budget, bears excluded runs.
    check_method(Rejection(), coins(), jr.key(1))
    recovers_a_known_posterior(Rejection())
