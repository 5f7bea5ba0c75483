"""A campaign of two hundred runs of a few milliseconds, for the tests to kill.

`driven.py FOLDER ADDRESS` makes it in a folder and on a server, at once, and a batch that does not end in workers.
"""

import sys
import threading
import time

import jax.random as jr
import numpy as np
from tests.campaigns.outside_cases import endless

from populace.campaigns.campaign import Campaign, run_campaign
from populace.campaigns.plan import Plan
from populace.campaigns.processes import InProcesses
from populace.campaigns.store import Store
from populace.campaigns.worker import Seeded
from populace.core.executor import Ticker

pace = {"pause": 0.0}
"""Not in capitals: it is no part of what the runs are."""


def walk(parameters, key):
    time.sleep(pace["pause"])
    random = np.random.default_rng(int(jr.bits(key)))
    return {"x": parameters["drift"] + random.standard_normal(20).cumsum()}


def campaign(store: Store) -> Campaign:
    return Campaign(walk, Plan({"drift": np.linspace(0.1, 1.0, 20)}, jr.key(0), replicates=10), store)


def without_end() -> None:
    InProcesses(Seeded(endless), 2).simulate({"a": np.zeros(2)}, jr.split(jr.key(0), 2), Ticker(None, "", 2))


if __name__ == "__main__":
    pace["pause"] = 0.015
    threading.Thread(target=without_end).start()
    for address in (None, sys.argv[2]):
        store = Store(sys.argv[1], database=address)
        threading.Thread(target=run_campaign, args=(campaign(store),)).start()
