"""What named sites cost: an epidemic on a network through populace, and written by hand in JAX.

1,000,000 agents with 10 contacts each (10,000,000 directed edges), 50 steps. By hand means what a JAX programmer would
write: one jitted `lax.scan`, `jax.random.bernoulli`, and `jax.ops.segment_sum` over the sorted edge list. A third
contestant, by hand but with populace's own sum over contacts, shows what draws, checks and drivers cost alone.

No time without a proof of the same work: sums over contacts agree exactly, as many agents take as many steps, and
mean epidemic curves agree within standard errors, on a smaller network over many seeds and on the large one over the
seeds that were timed.

    python benchmarks/overhead.py [--json] [--agents 1000000] [--steps 50] [--repeats 7]
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array
from measure import alternated, arguments, finish, ratio, show, timed

import populace as pop
from populace.zoo.sir import SIR

BETA, GAMMA, SEEDED, DEGREE = 0.05, 0.1, 0.01, 10


@functools.partial(jax.jit, static_argnames=("agents", "steps"))
def by_hand(key: Array, senders: Array, receivers: Array, beta: Array, gamma: Array, agents: int, steps: int) -> Any:
    """Infected and recovered after each step."""

    def step(state: tuple[Array, Array], key: Array) -> Any:
        infected, recovered = state
        infect, recover = jr.split(key)
        pressure = jax.ops.segment_sum(infected[senders], receivers, num_segments=agents, indices_are_sorted=True)
        susceptible = 1 - infected - recovered
        caught = susceptible * jr.bernoulli(infect, -jnp.expm1(-beta * pressure))
        healed = infected * jr.bernoulli(recover, gamma, (agents,))
        infected, recovered = infected + caught - healed, recovered + healed
        return (infected, recovered), {"infected": infected.sum(), "recovered": recovered.sum()}

    first, later = jr.split(key)
    ill = jr.bernoulli(first, SEEDED, (agents,)).astype(jnp.float32)
    return jax.lax.scan(step, (ill, jnp.zeros_like(ill)), jr.split(later, steps))[1]


@functools.partial(jax.jit, static_argnames="steps")
def by_hand_on(key: Array, contacts: pop.Topology, beta: Array, gamma: Array, steps: int) -> Any:
    """The same with populace's sum over contacts."""

    def step(state: tuple[Array, Array], key: Array) -> Any:
        infected, recovered = state
        infect, recover = jr.split(key)
        susceptible = 1 - infected - recovered
        caught = susceptible * jr.bernoulli(infect, -jnp.expm1(-beta * contacts.sum(infected)))
        healed = infected * jr.bernoulli(recover, gamma, (contacts.size,))
        infected, recovered = infected + caught - healed, recovered + healed
        return (infected, recovered), {"infected": infected.sum(), "recovered": recovered.sum()}

    first, later = jr.split(key)
    ill = jr.bernoulli(first, SEEDED, (contacts.size,)).astype(jnp.float32)
    return jax.lax.scan(step, (ill, jnp.zeros_like(ill)), jr.split(later, steps))[1]


class Contest:
    """The three contestants on one network."""

    def __init__(self, agents: int, steps: int):
        self.town = pop.random_network(jr.key(0), agents, degree=DEGREE)
        senders, receivers, _ = self.town.edges()
        self.edges = jnp.asarray(senders), jnp.asarray(receivers)
        self.model = SIR(self.town, beta=BETA, gamma=GAMMA, seeded=SEEDED)
        self.agents, self.steps = agents, steps

    def populace(self, seed: int) -> dict[str, np.ndarray]:
        return _host(pop.simulate(self.model, jr.key(seed), self.steps).observations)

    def hand(self, seed: int) -> dict[str, np.ndarray]:
        beta, gamma = jnp.float32(BETA), jnp.float32(GAMMA)
        return _host(by_hand(jr.key(seed), *self.edges, beta, gamma, self.agents, self.steps))

    def hand_with_blocks(self, seed: int) -> dict[str, np.ndarray]:
        return _host(by_hand_on(jr.key(seed), self.town, jnp.float32(BETA), jnp.float32(GAMMA), self.steps))

    def all(self) -> dict[str, Any]:
        return {"populace": self.populace, "by hand": self.hand, "by hand, populace's sum": self.hand_with_blocks}


def _host(observations: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(observations[name]) for name in ("infected", "recovered")}


def same_sums(contest: Contest) -> None:
    """Both sums over contacts count the same infected contacts of every agent."""
    ill = jr.bernoulli(jr.key(1), 0.3, (contest.agents,)).astype(jnp.float32)
    senders, receivers = contest.edges
    listed = jax.ops.segment_sum(ill[senders], receivers, num_segments=contest.agents, indices_are_sorted=True)
    assert bool((listed == contest.town.sum(ill)).all()), "the sums over contacts differ"


def same_curves(one: list[dict[str, np.ndarray]], other: list[dict[str, np.ndarray]], errors: float) -> float:
    """The largest gap of mean curves, at ten times, in standard errors of the difference; below `errors`."""
    worst = 0.0
    for name in ("infected", "recovered"):
        a, b = (np.stack([run[name] for run in runs]).astype(np.float64) for runs in (one, other))
        assert a.shape == b.shape, f"{name}: not as many steps"
        at = np.unique(np.linspace(a.shape[1] // 5, a.shape[1] - 1, 10).astype(int))
        spread = np.sqrt((a.var(0, ddof=1) + b.var(0, ddof=1)) / len(a))[at]
        worst = max(worst, float((np.abs(a.mean(0) - b.mean(0))[at] / spread).max()))
    assert worst < errors, f"mean curves are {worst:.1f} standard errors apart"
    return worst


def proof(steps: int, agents: int = 20_000, seeds: int = 48) -> float:
    """Same work on a small network, by many seeds; the contestants' numbers are not the same ones."""
    small = Contest(agents, steps)
    same_sums(small)
    runs = {name: [work(seed) for seed in range(seeds)] for name, work in small.all().items()}
    return max(same_curves(runs["populace"], runs[name], 4.5) for name in list(runs)[1:])


def compile_seconds(contest: Contest, repeats: int) -> dict[str, list[float]]:
    """Processor seconds from the first call to compiled code: a cold call less the median of two warm ones."""
    cold: dict[str, list[float]] = {name: [] for name in contest.all()}
    for _ in range(repeats):
        for name, work in contest.all().items():
            jax.clear_caches()
            first = timed(lambda: work(0))[1]  # noqa: B023
            warm = min(timed(lambda: work(0))[1] for _ in range(2))  # noqa: B023
            cold[name].append(max(first - warm, 0.0))
    return cold


def main() -> None:
    given = arguments(__doc__ or "", agents=1_000_000, steps=50, repeats=7)
    apart = proof(given.steps)
    cold = compile_seconds(Contest(10_000, given.steps), 3)
    contest = Contest(given.agents, given.steps)
    same_sums(contest)
    for work in contest.all().values():
        work(0)
    times, runs = alternated(contest.all(), given.repeats)
    if given.repeats >= 5:
        apart = max(apart, same_curves(runs["populace"], runs["by hand"], 6.0))
    steps = given.agents * given.steps
    rows = [
        (name, *time.median(), steps / time.median()[0], *ratio(times["populace"], time), float(np.median(cold[name])))
        for name, time in times.items()
    ]
    columns = ("", "wall s", "processor s", "agent-steps/s", "populace takes, wall", "processor", "compile s")
    show(f"{given.agents} agents, {len(contest.edges[0])} edges, {given.steps} steps", columns, rows)
    print(f"Same work: sums equal, mean curves within {apart:.1f} standard errors at ten times.")
    finish(
        given,
        {
            "over_handwritten": ratio(times["populace"], times["by hand"])[0],
            "over_handwritten_processor": ratio(times["populace"], times["by hand"])[1],
            "over_handwritten_same_sum": ratio(times["populace"], times["by hand, populace's sum"])[1],
            "agent_steps_per_second": steps / times["populace"].median()[0],
            "seconds": {name: time.wall for name, time in times.items()},
            "compile_seconds": float(np.median(cold["populace"])),
            "handwritten_compile_seconds": float(np.median(cold["by hand"])),
            "handwritten_agent_steps_per_second": steps / times["by hand"].median()[0],
            "agents": given.agents,
            "edges": len(contest.edges[0]),
            "steps": given.steps,
            "same_work_gap_in_standard_errors": apart,
        },
    )


if __name__ == "__main__":
    main()
