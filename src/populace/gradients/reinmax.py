"""ReinMax: straight-through of second order.

L. Liu, C. Dong, X. Liu, B. Yu and J. Gao, Bridging discrete and backpropagation: straight-through and beyond, NeurIPS
2023 (arXiv:2304.08612).
"""

from jaxtyping import Array

from ..core.site import Site
from .relaxation import Relaxation
from .smoothed import Smoothed


class ReinMax(Relaxation):
    """Heun's method where straight-through is Euler's: exact for readouts that are linear or quadratic in the draw.

    The rule of the paper is 2 J((D + p) / 2) - J(p) / 2 for the derivative with respect to the logits l, with D the
    one-hot choice, p the probabilities and J(q) = diag(q) - q q' the Jacobian of the softmax. Multiplied out it is

        dX = 1/2 sum_k p_k (e_k - D) (dl_k - dl_D):

    the flips that `Smoothed()` weighs, up and down alike. So this is that relaxation by its better known name, and it
    goes beyond the paper at counts, which get their trapezoid rule from there.
    """

    def sites(self) -> tuple[str, ...]:
        return ()

    def soft(self, site: Site, value: Array) -> Array | None:
        return Smoothed().soft(site, value)
