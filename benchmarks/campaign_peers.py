"""One peer at storing runs, for `campaign_throughput.py`, in the peer's own environment.

`campaign_peers.py PEER RUNS FOLDER`: the runs of a simulator that costs nothing, each stored so that a program that is
killed goes on from it, and the seconds that it took as JSON. Settings are to the peers' advantage: the cheapest
sampler, no pruning, no output; optuna stores one number a run where populace stores a series.
"""

import importlib.metadata
import json
import sys
import time

import numpy as np

LENGTH, BATCH = 20, 50


def series(drift, seed):
    return drift + np.random.default_rng(seed).standard_normal(LENGTH).cumsum()


def by_optuna(runs, folder):
    """A study in SQLite, a trial a run, at random."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=f"sqlite:///{folder}/study.db", sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial):
        return float(series(trial.suggest_float("drift", 0.1, 1.0), trial.number).mean())

    began = time.perf_counter()
    study.optimize(objective, n_trials=runs)
    seconds = time.perf_counter() - began
    assert len(study.trials) == runs
    return seconds


def by_blackit(runs, folder):
    """A calibration at random, with its checkpoint after each batch."""
    from black_it.calibrator import Calibrator
    from black_it.loss_functions.minkowski import MinkowskiLoss
    from black_it.samplers.random_uniform import RandomUniformSampler

    def model(theta, length, seed):
        return series(theta[0], seed)[:, None]

    calibrator = Calibrator(
        samplers=[RandomUniformSampler(batch_size=BATCH)],
        real_data=np.zeros((LENGTH, 1)),
        model=model,
        parameters_bounds=[[0.1], [1.0]],
        parameters_precision=[1e-6],
        ensemble_size=1,
        loss_function=MinkowskiLoss(),
        saving_folder=folder,
        verbose=False,
        random_state=0,
        n_jobs=1,
    )
    began = time.perf_counter()
    calibrator.calibrate(runs // BATCH)
    seconds = time.perf_counter() - began
    assert len(calibrator.losses_samp) == runs
    return seconds


PEERS = {"optuna": by_optuna, "black-it": by_blackit}


if __name__ == "__main__":
    peer, runs, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    seconds = PEERS[peer](runs, folder)
    print(json.dumps({"seconds": seconds, "version": importlib.metadata.version(peer)}))
