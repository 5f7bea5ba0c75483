"""Products of two expectations, estimated without bias from one set of replicates.

E[X]'E[Y] is not the expectation of mean(X)'mean(Y): the replicates that are in both means add Cov(X, Y) / R. The
product of means over two halves of the replicates has the right expectation, for the halves are independent; so has
its average over swapping them, and over all ways to halve. That average is the U-statistic

    U = 1 / (R (R - 1)) sum over r != s of X_r' Y_s

(Hoeffding 1948), which has the least variance of all of them (Rao and Blackwell: it is their mean given the unordered
sample). Its variance is estimated by leaving out each replicate in turn (Arvesen 1969): never too small on average
(Efron and Stein 1981), and 2 (R - 1) / (R - 2) times too large at the most, where both expectations are 0.
"""

from dataclasses import dataclass
from typing import final

import numpy as np


@final
@dataclass(frozen=True)
class Products:
    """The products of expectations of the columns of random matrices.

    `value` (m, m), symmetric: estimates of E[B]'E[B], B the (k, m) matrix of a replicate. It need not be positive
    definite: what noise alone would add is taken out. `changes` (R, m, m): how it changes when a replicate is left out.
    """

    value: np.ndarray
    changes: np.ndarray

    def variance(self, of: np.ndarray) -> np.ndarray:
        """The jackknife variance of numbers that are linear in `value`.

        **Arguments:** `of` (R, ...): these numbers, computed from each of `changes`.
        """
        count = self.changes.shape[0]
        return (count - 1) / count * (of**2).sum(0)


def products(replicates: np.ndarray) -> Products:
    """The products of expectations of the columns.

    **Arguments:** `replicates` (R, k, m), R independent matrices of one distribution, R >= 3.

    With T = sum_r B_r and h_r = sym(B_r'(T - B_r)) / (R - 1), the mean product with all others: U = mean_r h_r, and
    without replicate r it is (R U - 2 h_r) / (R - 2).
    """
    count = replicates.shape[0]
    rest = replicates.sum(0) - replicates
    each = np.swapaxes(replicates, 1, 2) @ rest / (count - 1)
    each = (each + np.swapaxes(each, 1, 2)) / 2.0
    value = each.mean(0)
    return Products(value, 2.0 * (value - each) / (count - 2))
