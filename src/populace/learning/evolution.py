"""Evolution strategies: policies whose weights are shaken, agent by agent, and moved towards what earned more.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever (2017), "Evolution strategies as a scalable alternative to
reinforcement learning", arXiv:1703.03864; the gradient of a smoothed objective by mirrored draws: Y. Nesterov and V.
Spokoiny (2017), "Random gradient-free minimization of convex functions", Foundations of Computational Mathematics 17,
527-566.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._errors import MethodError
from .._types import Key
from ..core.plug import Plug
from ..core.simulate import NEVER
from .algorithm import Algorithm, News
from .climbing import Climber, Copies, at_play, climbed, first_climbers, handed_out
from .game import Policies, Watched
from .rollout import Rollout, rolled

_LEAST = 0.1
"""The part of the spread that is left in the end: others who are shaken much are not the others that will play."""


class EvolutionStrategies(Algorithm):
    """In each pair of runs every learner's weights are shaken by a draw of its own, once one way and once the other,
    and the weights of all move by what the difference in each one's own return says.

    What is climbed is d/dw E[R_i(w + s e_i)] for agent i's own draw e_i while the others' draws are independent of it:
    each one's own advantage, as in a Nash equilibrium; with `together` the return of all is put in its place, and what
    is found is what a planner would have them do. Nothing is differentiated and no value is learned, so rewards may
    come late and models jump. The price: more runs than PPO takes where it works, pay behind the end of a run is not
    seen, and shaken others are not quite the others (docs/design/learning.md has figures).

    **Arguments:** `worlds`: pairs of runs an update learns from; `spread`: s, of the shaking at first; it falls to a
    tenth; `rate`: the first step of Adam, which falls as the square of what is left; `hidden`: the layers; `memory`:
    how many numbers an agent remembers (`RecurrentPolicy`), 0 for none; `together`.
    """

    worlds: int = eqx.field(static=True, default=32)
    spread: float = eqx.field(static=True, default=0.2)
    rate: float = eqx.field(static=True, default=0.05)
    hidden: tuple[int, ...] = eqx.field(static=True, default=(8,))
    memory: int = eqx.field(static=True, default=0)
    together: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        if self.worlds < 1 or self.spread <= 0 or self.rate <= 0:
            raise MethodError("EvolutionStrategies: worlds from 1, spread and rate above 0")

    @property
    def runs(self) -> int:
        return 2 * self.worlds

    def begin(self, watched: Watched, key: Key) -> dict[str, Climber]:
        return first_climbers(watched, key, self.hidden, self.memory)

    def update(
        self,
        watched: Watched,
        learned: dict[str, Climber],
        key: Key,
        progress: Float[Array, ""],
        frozen: tuple[Plug, ...],
    ) -> tuple[dict[str, Climber], News]:
        sites = {path: Copies(watched, path, climber.policy) for path, climber in learned.items()}
        spread = self.spread * jnp.maximum(1.0 - progress, _LEAST)

        def pair(key: Key) -> tuple[dict[str, Array], Rollout]:
            """Both runs of a pair share their luck and their draws, turned round in the second."""
            luck, shaking = jr.split(key)
            draws = {p: jr.normal(jr.fold_in(shaking, n), site.shape) for n, (p, site) in enumerate(sites.items())}

            def run(sign: Array) -> Rollout:
                plugs = tuple(site.shifted(sign * spread * draws[p]) for p, site in sites.items())
                return rolled(watched, watched.around(plugs, frozen), luck, watched.game.steps)

            return draws, jax.vmap(run)(jnp.array([1.0, -1.0]))

        draws, both = jax.vmap(pair)(jr.split(key, self.worlds))
        returns = {p: site.returns(both.seen[f"reward:{p}"]) for p, site in sites.items()}
        after, mean = {}, {}
        for path, climber in learned.items():
            own = returns[path]
            worth = sum(r.sum(-1, keepdims=True) for r in returns.values()) if self.together else own
            learns = sites[path].learns
            slope = self._slope(sites[path], draws[path], jnp.broadcast_to(worth, own.shape), learns)
            after[path] = climbed(climber, slope, both.notes[path], self.rate, progress, watched.game.learners[path])
            mean[path] = (own * learns).sum() / (own[..., 0].size * jnp.maximum(learns.sum(), 1.0))
        broken = jnp.stack([(~jnp.isfinite(r)).sum() for r in returns.values()]).sum()
        return after, News(mean, (both.fault != NEVER).sum(), broken)

    def playing(self, watched: Watched, learned: dict[str, Climber]) -> Policies:
        return at_play(learned)

    def policies(self, watched: Watched, learned: dict[str, Climber]) -> Policies:
        return handed_out(learned)

    def _slope(self, site: Copies, draws: Array, worth: Array, learns: Array) -> Float[Array, "types parameters"]:
        """The estimated slope of each type's weights, in standard deviations of the differences. `draws` (worlds,
        agents, parameters); `worth` (worlds, 2, agents).
        """
        change = (worth[:, 0] - worth[:, 1]) * learns
        of_type = (site.types == jnp.arange(site.groups)[:, None]) * learns
        mass = jnp.maximum(of_type.sum(1), 1.0)
        size = jnp.sqrt((of_type * (change**2).mean(0)).sum(1) / mass)
        slopes = jnp.einsum("ta,wa,wap->tp", of_type, change, draws) / (mass * draws.shape[0])[:, None]
        return slopes / jnp.maximum(size, 1e-12)[:, None]
