"""Straight-through: a draw has the derivative of its mean.

Y. Bengio, N. Leonard and A. Courville, Estimating or propagating gradients through stochastic neurons for conditional
computation (2013), arXiv:1308.3432.
"""

from jaxtyping import Array

from ..core.site import Site
from .relaxation import Relaxation, mean


class StraightThrough(Relaxation):
    """dX = d E[X]: exact for whatever is linear in the draw, whatever the probability, and without spread of its own.

    Of a readout f that is not linear it sees E[f'(X)] where the difference f(X + 1) - f(X) counts.

    | kind | dX |
    |---|---|
    | Bernoulli | dp |
    | binomial | n dp + p dn |
    | Poisson | d rate |
    | geometric | -dp / p^2 |
    | categorical (one-hot) | d softmax(logits) |
    """

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        return mean(site.mechanism)
