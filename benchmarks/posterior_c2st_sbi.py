"""sbi's neural posterior estimation, with its defaults, on runs that were made elsewhere: a JSON line of what to do on
stdin, draws into a file. Runs in an environment of its own (`pip install sbi`).
"""

import json
import sys
import time
import warnings

import numpy as np
import torch
from sbi.inference import NPE
from sbi.utils import BoxUniform

warnings.simplefilter("ignore")


def prior(name: str, extra: dict) -> torch.distributions.Distribution:
    if name == "two_moons":
        return BoxUniform(-torch.ones(2), torch.ones(2))
    if name == "gaussian_mixture":
        return BoxUniform(-10 * torch.ones(2), 10 * torch.ones(2))
    if name == "gaussian_linear":
        return torch.distributions.MultivariateNormal(torch.zeros(10), 0.1 * torch.eye(10))
    if name == "bernoulli_glm":
        covariance = torch.tensor(extra["covariance"], dtype=torch.float32)
        return torch.distributions.MultivariateNormal(torch.zeros(10), covariance)
    middle = torch.log(torch.tensor([0.4, 0.125]))
    return torch.distributions.Independent(torch.distributions.LogNormal(middle, torch.tensor([0.5, 0.2])), 1)


def main() -> None:
    given = json.loads(sys.stdin.readline())
    data = np.load(given["runs"])
    torch.manual_seed(0)
    torch.set_num_threads(given["threads"])
    theta, x = (torch.tensor(data[name], dtype=torch.float32) for name in ("theta", "x"))
    wall, processor = time.perf_counter(), time.process_time()
    inference = NPE(prior=prior(given["task"], given), show_progress_bars=False)
    inference.append_simulations(theta, x).train()
    spent = time.perf_counter() - wall, time.process_time() - processor
    posterior = inference.build_posterior()
    found = [
        posterior.sample((given["draws"],), x=torch.tensor(one, dtype=torch.float32), show_progress_bars=False)
        for one in data["observed"]
    ]
    np.save(given["out"], np.stack([one.numpy() for one in found]))
    print(json.dumps({"seconds": spent[0], "processor": spent[1]}))


if __name__ == "__main__":
    main()
