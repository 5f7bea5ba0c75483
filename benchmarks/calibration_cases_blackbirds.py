"""The cases of `calibration_cases.py` in blackbirds (PyPI), run by its own interpreter.

Reads a case as JSON from the standard input (see `calibration_cases.peer`) and prints one JSON object: seconds, runs,
and draws of the fitted posterior. Everything is the package's own: its models, its variational inference, a spline flow
of normflows, Adam at 1e-3, five draws an epoch, gradients along the path.
"""

import json
import os
import sys
import tempfile
import time
import warnings

import networkx
import normflows as nf
import numpy as np
import torch
from blackbirds.infer.vi import VI
from blackbirds.losses import UnivariateMMDLoss
from blackbirds.models.brock_hommes import BrockHommes
from blackbirds.models.rama_cont import RamaCont
from blackbirds.models.sir import SIR
from blackbirds.simulate import simulate_and_observe_model

DRAWS = 5


class Flow(torch.nn.Module):
    """An autoregressive spline flow, as in the package's examples."""

    def __init__(self, size, mean):
        super().__init__()
        parts = []
        for _ in range(4):
            parts += [nf.flows.AutoregressiveRationalQuadraticSpline(size, 2, 32), nf.flows.LULinearPermute(size)]
        self.flow = nf.NormalizingFlow(q0=nf.distributions.DiagGaussian(size, trainable=False), flows=parts)
        self.mean = mean

    def sample(self, n):
        z, log_prob = self.flow.sample(n)
        return z + self.mean, log_prob

    def log_prob(self, x):
        return self.flow.log_prob(x - self.mean)


def model_of(case):
    if case["name"] == "network SIR":
        graph = networkx.Graph()
        graph.add_nodes_from(range(case["agents"]))
        graph.add_edges_from(case["edges"])
        return SIR(graph, case["steps"]), lambda p: p
    if case["name"] == "Brock-Hommes":
        fixed = torch.log(torch.tensor([case["beta"], case["sigma"], 0.01]))
        zero, trend = torch.zeros(1), torch.tensor([1.01])

        def whole(p):  # log beta, g1 .. g4, b1 .. b4, log sigma, log r
            p = torch.sigmoid(p) * torch.tensor([1.0, 1.0, 1.0, -1.0])  # the box of the prior
            parts = [fixed[:1], zero, p[:2], trend, zero, p[2:], zero, fixed[1:]]
            return torch.cat(parts)

        return BrockHommes(case["steps"]), whole
    return RamaCont(case["agents"], case["steps"], case["s"], 5.0), lambda p: 10**p


def main():
    case = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    os.chdir(tempfile.mkdtemp())
    model, whole = model_of(case)
    data = torch.tensor(case["data"], dtype=torch.float)
    runs = [0]
    mmd = UnivariateMMDLoss(data) if case["loss"] == "mmd" else None

    def loss(params, _):
        runs[0] += 1
        seen = simulate_and_observe_model(model, whole(params))[0][1:]
        return ((seen - data) ** 2).mean() if mmd is None else mmd(seen)

    mean, sd = torch.tensor(case["prior_mean"]), torch.tensor(case["prior_sd"])
    prior = torch.distributions.Independent(torch.distributions.Normal(mean, sd), 1)
    flow = Flow(len(mean), mean)
    fit = VI(
        loss,
        prior=prior,
        posterior_estimator=flow,
        w=1.0 / case["weight"],
        n_samples_per_epoch=DRAWS,
        n_samples_regularisation=1_000,
        gradient_clipping_norm=1.0,
        progress_bar=False,
    )
    start, used = time.time(), time.process_time()
    fit.run([data], n_epochs=case["epochs"], max_epochs_without_improvement=case["epochs"])
    seconds, processor = time.time() - start, time.process_time() - used
    flow.load_state_dict(fit.best_estimator_state_dict)
    with torch.no_grad():
        draws = np.asarray(flow.sample(200)[0])
    print(json.dumps({"seconds": seconds, "processor": processor, "runs": runs[0], "draws": draws.tolist()}))


if __name__ == "__main__":
    main()
