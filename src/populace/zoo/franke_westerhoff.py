"""An asset market of fundamentalists and chartists who herd, lean, and shun a price that is far off.

Franke and Westerhoff (2012, Journal of Economic Dynamics and Control 36:1193), the structural stochastic volatility
model DCA-HPM: discrete choice, with herding, predisposition and misalignment. p is the logarithm of the price less that
of its fundamental value, n the share of fundamentalists. With two independent Gaussian demands,

    p[t+1] = p[t] + mu (n[t] phi (-p[t]) + (1 - n[t]) chi (p[t] - p[t-1])) + mu s[t] e[t],    e ~ N(0, 1),
    s[t]^2 = (n[t] sigma_f)^2 + ((1 - n[t]) sigma_c)^2,
    n[t+1] = 1 / (1 + exp(-beta a[t])),    a[t] = alpha_0 + alpha_n (2 n[t] - 1) + alpha_p p[t]^2.

Facts it must reproduce (tests/zoo): the next price is Gaussian given the past, with the log-likelihood below; without
herding and misalignment (alpha_n = alpha_p = 0) p is an AR(2), and with chi = 0 an AR(1) of slope 1 - mu phi n; of
daily returns the tail is fat (an index of 3 to 5 by Hill's estimator over 5 %), sizes go together for a hundred days,
and returns themselves do not.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.domain import nonnegative, positive
from ..core.draw import Draw
from ..core.model import Model, parameter


class Prices(NamedTuple):
    """The attitude towards fundamentalism that decides who trades now, the price, and the price before it."""

    attitude: Float[Array, ""]
    price: Float[Array, ""]
    before: Float[Array, ""]


class FrankeWesterhoff(Model):
    """The defaults are the paper's estimates for the S&P 500, a step a day.

    Site: `demand`. Observed: `returns`, in per cent; `price`, p; `share`, n, which sets the next price.
    """

    mu: Float[Array, ""] = parameter(default=0.01, domain=positive, doc="price impact of demand")
    beta: Float[Array, ""] = parameter(default=1.0, domain=nonnegative, doc="intensity of choice")
    phi: Float[Array, ""] = parameter(default=0.12, domain=nonnegative, doc="demand of fundamentalists")
    chi: Float[Array, ""] = parameter(default=1.5, domain=nonnegative, doc="demand of chartists")
    sigma_f: Float[Array, ""] = parameter(default=0.758, domain=nonnegative, doc="noise of fundamentalists' demand")
    sigma_c: Float[Array, ""] = parameter(default=2.087, domain=nonnegative, doc="noise of chartists' demand")
    alpha_0: Float[Array, ""] = parameter(default=-0.327, doc="predisposition to fundamentalism")
    alpha_n: Float[Array, ""] = parameter(default=1.79, domain=nonnegative, doc="herding")
    alpha_p: Float[Array, ""] = parameter(default=18.43, domain=nonnegative, doc="weight of misalignment")

    def init(self, draw: Draw) -> Prices:
        return self.start()

    def step(self, draw: Draw, now: Prices) -> Prices:
        mean, sd, attitude = self.next(now)
        return Prices(attitude, draw.normal("demand", mean, sd, size=()), now.price)

    def observe(self, now: Prices) -> dict[str, Array]:
        returns = 100.0 * (now.price - now.before)
        return {"returns": returns, "price": now.price, "share": self.share(now.attitude)}

    def start(self) -> Prices:
        """At the fundamental value, where it was the time before; fundamentalists are the predisposed."""
        return Prices(self.alpha_0, jnp.zeros_like(self.alpha_0), jnp.zeros_like(self.alpha_0))

    def next(self, now: Prices) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
        """Mean and standard deviation of the next price, and the attitude that goes with it."""
        share = self.share(now.attitude)
        return *self.expected(share, now.price, now.before), self.attitude(share, now.price)

    def share(self, attitude: Float[Array, ""]) -> Float[Array, ""]:
        """n, the share of fundamentalists."""
        return jax.nn.sigmoid(self.beta * attitude)

    def expected(
        self, share: Float[Array, ""], price: Float[Array, ""], before: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Mean and standard deviation of the next price, with the share, the price and the price before it."""
        rest = 1.0 - share
        drift = self.mu * (share * self.phi * -price + rest * self.chi * (price - before))
        return price + drift, self.mu * jnp.sqrt((share * self.sigma_f) ** 2 + (rest * self.sigma_c) ** 2)

    def attitude(self, share: Float[Array, ""], price: Float[Array, ""]) -> Float[Array, ""]:
        """a, what makes traders fundamentalists."""
        return self.alpha_0 + self.alpha_n * (share - (1.0 - share)) + self.alpha_p * price**2


def log_likelihood(model: FrankeWesterhoff, series: Float[Array, " steps"]) -> Float[Array, ""]:
    """The log-density of p at times 1, 2, .., which is exact: each is Gaussian given those before it."""

    def step(now: Prices, price: Array) -> tuple[Prices, Array]:
        mean, sd, attitude = model.next(now)
        return Prices(attitude, price, now.price), jax.scipy.stats.norm.logpdf(price, mean, sd)

    return jax.lax.scan(step, model.start(), series)[1].sum()
