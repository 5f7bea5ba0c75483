"""A campaign of four hundred runs of a few milliseconds, for the tests to kill.

`driven.py FOLDER ADDRESS` makes it in a folder and on a server, at once.
"""

import sys
import threading
import time

import jax.random as jr
import numpy as np

from populace.campaigns.campaign import Campaign, run_campaign
from populace.campaigns.plan import Plan
from populace.campaigns.store import Store

pace = {"pause": 0.0}
"""Not in capitals: it is no part of what the runs are."""


def walk(parameters, key):
    time.sleep(pace["pause"])
    random = np.random.default_rng(int(jr.bits(key)))
    return {"x": parameters["drift"] + random.standard_normal(20).cumsum()}


def campaign(store: Store) -> Campaign:
    return Campaign(walk, Plan({"drift": np.linspace(0.1, 1.0, 40)}, jr.key(0), replicates=10), store)


if __name__ == "__main__":
    pace["pause"] = 0.01
    for address in (None, sys.argv[2]):
        store = Store(sys.argv[1], database=address)
        threading.Thread(target=run_campaign, args=(campaign(store),)).start()
