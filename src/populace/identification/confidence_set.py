"""The models that the data do not reject: a model confidence set from evidences of simulated data.

For each model in turn, suppose that it is true. The statistic is by how much the best model's log-evidence exceeds its
own; how large that is by chance alone is seen on data simulated from the model's posterior (D. R. Cox 1961, Proceedings
of the Fourth Berkeley Symposium 1:105; D. A. Williams 1970, Biometrics 26:23). What is not rejected at level a holds
the true model, if it is among them, with probability 1 - a: a set in the sense of Peter Hansen, Asger Lunde and James
Nason (2011, Econometrica 79:453), for one data set instead of a series of losses.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .evidence import Weighed

LEVEL = 0.1


@dataclass(frozen=True)
class ConfidenceSet:
    """`p` (models,): the chance of so large a lead of the best over a model, were that model true; `power` (models,
    models): how often data from the model of the row would reject that of the column; `weight` (models, models): the
    median log-odds for the row's model against the column's, on data from the row's.
    """

    p: np.ndarray
    power: np.ndarray
    weight: np.ndarray

    @property
    def kept(self) -> np.ndarray:
        """Which models stay in, (models,)."""
        return self.p > LEVEL


def confidence_set(at: Mapping[str, Weighed], simulated: Mapping[str, np.ndarray], data: np.ndarray) -> ConfidenceSet:
    """The set at 90 %.

    **Arguments:** `at`: importance draws by model; `simulated`: fitted moments (n, k) of runs from each model's
    posterior; `data` (k,).
    """
    # leads[i][a, j]: on run a of model i, the lead of the best over model j.
    logs = [np.stack([one.log_evidence(rows) for one in at.values()], axis=1) for rows in simulated.values()]
    leads = [each.max(1, keepdims=True) - each for each in logs]
    here = np.array([one.log_evidence(data[None])[0] for one in at.values()])
    lead, number = here.max() - here, len(logs)
    p = np.array([(1.0 + (leads[i][:, i] >= lead[i]).sum()) / (1.0 + len(leads[i])) for i in range(number)])
    limits = np.array([np.quantile(leads[j][:, j], 1.0 - LEVEL) for j in range(number)])
    power = np.stack([(each > limits).mean(0) for each in leads])
    weight = np.stack([np.median(each[:, [i]] - each, axis=0) for i, each in enumerate(logs)])
    return ConfidenceSet(p, power, weight)
