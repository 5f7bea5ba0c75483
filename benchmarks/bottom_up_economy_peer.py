"""The peer of `bottom_up_economy.py`: bamengine, in an environment of its own. Prints one JSON object.

python bottom_up_economy_peer.py RUNS BURN_IN QUARTERS FIRMS HOUSEHOLDS
"""

import json
import logging
import sys
import time

import bamengine
import numpy as np

logging.disable(logging.WARNING)
runs, burn_in, quarters, firms, households = map(int, sys.argv[1:])
seconds, idle, phillips, skewness = [], [], [], []
for seed in range(runs):
    simulation = bamengine.Simulation.init(n_firms=firms, n_households=households, n_banks=10, seed=seed)
    begun = time.process_time()
    out, wages = [], []
    for _ in range(burn_in + quarters):
        simulation.step()
        works = simulation.wrk.employer >= 0
        out.append(1.0 - works.mean())
        wages.append(simulation.wrk.wage[works].mean())
    seconds.append((time.process_time() - begun) / (burn_in + quarters))
    rise = np.diff(np.log(wages))[burn_in:]
    idle.append(float(np.mean(out[burn_in:])))
    phillips.append(float(np.corrcoef(rise, np.asarray(out)[burn_in + 1 :])[0, 1]))
    size = np.asarray(simulation.prod.production, float)
    skewness.append(float((((size - size.mean()) / size.std()) ** 3).mean()))
print(json.dumps({"seconds": seconds, "unemployment": idle, "phillips": phillips, "skewness": skewness}))
