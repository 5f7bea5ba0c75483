"""Plain policy gradients: one step on the runs at hand, and none of the care that `PPO` takes to reuse them.

With one pass over all runs the odds that PPO compares are still 1, nothing is held back, and the slope is that of the
logarithm of the law times the advantage: the actor-critic of Volodymyr Mnih et al. (2016), "Asynchronous methods for
deep reinforcement learning", ICML, without its threads, and with whole returns REINFORCE with a learned baseline
(Ronald Williams 1992, Machine Learning 8, 229-256). They are here as what PPO is held against.
"""

from .ppo import PPO


def actor_critic(
    *,
    worlds: int = 32,
    decay: float = 0.9,
    rate: float = 5e-3,
    entropy: float = 0.0,
    hidden: tuple[int, ...] = (32, 32),
) -> PPO:
    """Advantage actor-critic: a step an update, up the slope of log-odds times generalised advantages.

    **Arguments:** as of `PPO`.
    """
    return PPO(worlds=worlds, epochs=1, minibatches=1, decay=decay, rate=rate, entropy=entropy, hidden=hidden)


def reinforce(*, worlds: int = 32, rate: float = 5e-3, entropy: float = 0.0, hidden: tuple[int, ...] = (32, 32)) -> PPO:
    """REINFORCE: a step an update, up the slope of log-odds times what was earned to the end of the run, less what the
    critic expected. Beyond the end of a run of a game that goes on, the critic says what is left.

    **Arguments:** as of `PPO`.
    """
    return actor_critic(worlds=worlds, decay=1.0, rate=rate, entropy=entropy, hidden=hidden)
