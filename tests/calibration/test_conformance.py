"""Every method keeps the laws of `Method`."""

from typing import Any

import jax.random as jr
import optax
import pytest

from populace.calibration.acceptable_region import AcceptableRegion
from populace.calibration.bayesian_optimisation import BayesianOptimisation
from populace.calibration.differences import DifferencesDescent
from populace.calibration.ensemble_smoother import EnsembleSmoother
from populace.calibration.history_matching import HistoryMatching
from populace.calibration.importance_sampling import ImportanceSampling
from populace.calibration.minimum_distance import SimulatedMinimumDistance
from populace.calibration.neural_likelihood import NeuralLikelihood
from populace.calibration.neural_posterior import NeuralPosterior
from populace.calibration.neural_ratio import NeuralRatio
from populace.calibration.sequential_abc import SequentialABC
from populace.calibration.surrogate_posterior import SurrogatePosterior
from populace.calibration.synthetic_likelihood import SyntheticLikelihood
from populace.surrogates.acquisitions import Evolving
from populace.surrogates.bandit import Bandit
from populace.surrogates.flow_matching import FlowMatching
from populace.surrogates.margin_ensemble import MarginEnsemble
from populace.surrogates.neural_ensemble import NeuralEnsemble
from populace.surrogates.optimum_acquisitions import ExpectedImprovement, Thompson
from populace.surrogates.polynomial import Polynomial
from populace.surrogates.ratio import ContrastiveRatio
from populace.surrogates.transitions import Transitions
from populace.testing.methods import check_method

METHODS = {
    "acceptable region": AcceptableRegion(
        2.0, classifier=MarginEnsemble(members=2, width=8, depth=1, steps=40), candidates=Evolving(200, 50)
    ),
    "Bayesian optimisation": BayesianOptimisation(
        Bandit((ExpectedImprovement(), Thompson())), rounds=2, regressors=(Polynomial(degree=1),)
    ),
    "ensemble smoother": EnsembleSmoother(draws=30, waves=6),
    "history matching": HistoryMatching(waves=2, regressors=(Polynomial(degree=2),)),
    "importance sampling": ImportanceSampling(SyntheticLikelihood(8), rounds=2),
    "minimum distance": SimulatedMinimumDistance(restarts=2),
    "neural likelihood": NeuralLikelihood(
        Transitions(lags=0, memory=0, members=1, components=1, width=8, depth=1, steps=20, batch=32), draws=50
    ),
    "neural posterior": NeuralPosterior(FlowMatching(members=1, width=8, depth=1, steps=20, batch=32)),
    "neural ratio": NeuralRatio(
        ContrastiveRatio(contrasts=2, members=1, width=8, depth=1, steps=20, batch=32), chains=2, draws=50
    ),
    "sequential ABC": SequentialABC(particles=40, check=40),
    "sequential ABC, unadjusted": SequentialABC(particles=40, adjust=False),
    "surrogate posterior": SurrogatePosterior(
        1, (NeuralEnsemble(members=2, width=8, depth=1, steps=20, decays=(1.0,)),)
    ),
    "descent": DifferencesDescent(starts=2, replicates=6, judged=20),
    "descent from one start, by a schedule": DifferencesDescent(
        optax.sgd(optax.exponential_decay(1e-3, 5, 0.9), momentum=0.5), starts=1, judged=20
    ),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_the_laws(linear: Any, name: str):
    check_method(METHODS[name], linear[0], jr.key(3), budget=700)
