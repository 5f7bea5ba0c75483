"""A crowd on a beach: its mean-field game, solved by dynamic programming and exact fictitious play.

For `learning_known_responses.py` and a test.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import populace as pop

PLACES, STEPS, BATHERS, CROWD = 5, 3, 60, 2.0


class Beach(pop.Model):
    """Bathers on five places with a bar at the second; each pays for the way to the bar and for the crowd where it
    lies. They see where they are, and the time.
    """

    def init(self, draw: pop.Draw) -> dict[str, Array]:
        place = draw.categorical("first", jnp.zeros(PLACES), size=BATHERS).index
        return {"place": place, "time": jnp.zeros(BATHERS, jnp.int32), "paid": jnp.zeros(BATHERS)}

    def step(self, draw: pop.Draw, here: dict[str, Array]) -> dict[str, Array]:
        view = {"place": here["place"], "time": here["time"]}
        move = draw.decide("go", view, lambda view, inner: jnp.ones(view["place"].shape, jnp.int32))
        place = jnp.clip(here["place"] + move - 1, 0, PLACES - 1)
        share = (place[:, None] == jnp.arange(PLACES)).mean(0)
        paid = -0.5 * jnp.abs(place - 1) - CROWD * share[place]
        return {"place": place, "time": here["time"] + 1, "paid": paid}

    def observe(self, here: dict[str, Array]) -> dict[str, Array]:
        return {"paid": here["paid"].mean()}


TO = np.clip(np.arange(PLACES)[:, None] + np.arange(3) - 1, 0, PLACES - 1)
"""(places, moves): where each leads."""
WAY = -0.5 * np.abs(np.arange(PLACES) - 1)


def flow(policy: np.ndarray) -> np.ndarray:
    """(steps, places): shares after each step, where all do what a policy (steps, places) says."""
    now, out = np.full(PLACES, 1 / PLACES), []
    for moves in policy:
        now = np.bincount(TO[np.arange(PLACES), moves], now, minlength=PLACES)
        out.append(now)
    return np.array(out)


def response(flows: np.ndarray) -> tuple[np.ndarray, float]:
    """The best response to a flow by dynamic programming, and what it earns."""
    value, policy = np.zeros(PLACES), []
    for crowd in flows[::-1]:
        worth = (WAY - CROWD * crowd + value)[TO]
        value = worth.max(1)
        policy.append(worth.argmax(1))
    return np.array(policy[::-1]), float(value.mean())


def earned(flows: np.ndarray, own: np.ndarray) -> float:
    """What those whose flow is `own` earn on average, in a population whose flow is `flows`."""
    return float((own * (WAY - CROWD * flows)).sum())


def exploitability(flows: np.ndarray, own: np.ndarray) -> float:
    """What a response gains on them."""
    return response(flows)[1] - earned(flows, own)


def equilibrium(rounds: int = 3000) -> np.ndarray:
    """The flow of the mean-field equilibrium, by exact fictitious play: one flow, as crowds are paid for."""
    flows = flow(np.ones((STEPS, PLACES), int))
    for number in range(1, rounds):
        flows += (flow(response(flows)[0]) - flows) / (number + 1)
    assert exploitability(flows, flows) < 0.003
    return flows
