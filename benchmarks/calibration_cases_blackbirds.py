"""The cases of `calibration_cases.py` in blackbirds (PyPI), run by its own interpreter.

Reads a case as JSON from the standard input (see `calibration_cases.peer`) and prints one JSON object: `series` of
`runs` runs at the truth; and of a fit of `epochs`: seconds, runs, and draws of the posterior. Everything is the
package's own: its models, its variational inference, a spline flow of normflows, Adam at 1e-3, five draws an epoch,
gradients along the path.

Its Brock-Hommes model bends each g by a soft maximum and minimum; here g is given so that what comes out is what the
case asks for. Its epidemic bends powers of ten by a soft minimum with 0: draws are read with that (`Case.theirs`).
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


def unbent(g):
    """What the model's soft maximum with .001 and soft minimum with 1 turn into g."""
    low, high = torch.tensor(1e-3), torch.tensor(1.0)
    y = torch.log((torch.exp(2 * g) - torch.exp(2 * low)).clamp(min=1e-6)) / 2
    return -torch.log(torch.exp(-2 * y) - torch.exp(-2 * high)) / 2


def model_of(case):
    """The model, what turns the fitted parameters into its own, and how many first times its series has too many."""
    if case["model"] == "sir":
        graph = networkx.Graph()
        graph.add_nodes_from(range(case["agents"]))
        graph.add_edges_from(case["edges"])
        return SIR(graph, case["steps"]), lambda p: p, 1
    if case["model"] == "brock-hommes":
        fixed = torch.log(torch.tensor([case["beta"], case["sigma"], 0.01]))
        zero, trend = torch.zeros(1), torch.tensor([1.01])
        box = torch.tensor([1.0, 1.0, 1.0, -1.0])

        def whole(p):  # log beta, g1 .. g4, b1 .. b4, log sigma, log r
            p = torch.sigmoid(p) * box
            g = unbent(torch.cat([zero, p[:2], trend]))
            return torch.cat([fixed[:1], g, zero, p[2:], zero, fixed[1:]])

        return BrockHommes(case["steps"]), whole, 3
    return RamaCont(case["agents"], case["steps"], case["s"], 5.0), lambda p: 10**p, 1


def main():
    case = json.load(sys.stdin)
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    os.chdir(tempfile.mkdtemp())
    model, whole, start = model_of(case)

    def seen(params):
        return simulate_and_observe_model(model, whole(params))[0][start:]

    with torch.no_grad():
        series = [seen(torch.tensor(case["at"])).tolist() for _ in range(case["runs"])]
    found = fit(case, seen) if case["epochs"] else {}
    print(json.dumps({"series": series, **found}))


def fit(case, seen):
    data = torch.tensor(case["data"], dtype=torch.float)
    runs = [0]
    mmd = None if case["model"] == "sir" else UnivariateMMDLoss(data)

    def loss(params, _):
        runs[0] += 1
        series = seen(params)
        return ((series - data) ** 2).mean() if mmd is None else mmd(series)

    mean, sd = torch.tensor(case["prior_mean"]), torch.tensor(case["prior_sd"])
    flow = Flow(len(mean), mean)
    inference = VI(
        loss,
        prior=torch.distributions.Independent(torch.distributions.Normal(mean, sd), 1),
        posterior_estimator=flow,
        w=1.0 / case["weight"],
        n_samples_per_epoch=DRAWS,
        n_samples_regularisation=1_000,
        gradient_clipping_norm=1.0,
        progress_bar=False,
    )
    start, used = time.time(), time.process_time()
    inference.run([data], n_epochs=case["epochs"], max_epochs_without_improvement=case["epochs"])
    seconds, processor = time.time() - start, time.process_time() - used
    flow.load_state_dict(inference.best_estimator_state_dict)
    with torch.no_grad():
        draws = np.asarray(flow.sample(case["draws"])[0])
    return {"seconds": seconds, "processor": processor, "runs": runs[0], "draws": draws.tolist()}


if __name__ == "__main__":
    main()
