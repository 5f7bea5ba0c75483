"""A game as a PettingZoo parallel environment (extra `environments`), for training libraries that speak it."""

from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import numpy as np

from .._errors import CapacityError, FaultError, MethodError, MissingExtraError
from .._types import Key
from ..core.population import overflow
from .actions import Actions, Continuous, Discrete, Mixed
from .environments import EnvironmentState, FunctionalEnvironment
from .game import Game
from .policies import as_vector

_OTHER_RUNS = 2**31
"""Runs without a seed of their own are folded from above the steps' numbers."""


def parallel_environment(game: Game, key: Key) -> Any:
    """A `pettingzoo.ParallelEnv` in which other libraries' agents play a game; compiled once.

    Agents are `"<site>/<number>"`, learners only (`Learner.who`). An agent observes its view as a float32 vector (d,),
    leaves one after the other, dictionaries by sorted names. Its action is a `Box` for `Continuous`, `Discrete`, or a
    `Dict` for `Mixed`; others are clipped and converted as in `FunctionalEnvironment`. An agent that is not asked in a
    step is listed all the same: its action is ignored, its reward 0 unless the learner says when lives end.

    `infos` of an agent: `asked`, whether it was asked in the step just made; `action_mask`, int8 (count,), where
    `Discrete(allowed=)` says what it may do next; `ends`, where the learner says when lives end.

    At the game's last step all are truncated, or terminated where the game is `finite`. `reset(seed=)` plays the run of
    `jax.random.key(seed)`, the same as `pop.simulate` with that key; without a seed, first that of `key`, and then each
    time another one that follows from the last key given.

    **Raises:** `MissingExtraError`; as `FunctionalEnvironment`. Its `step`: `MethodError` for an agent without an
    action or after the end; `FaultError`, `CapacityError` where the numbers can no longer be trusted.
    """
    pettingzoo, spaces = _load()
    table = _Table(FunctionalEnvironment(game), key)
    seen = {agent: spaces.Box(-np.inf, np.inf, table.width(agent), np.float32) for agent in table.agents}
    done = {agent: _space(spaces, table.actions(agent)) for agent in table.agents}

    class Parallel(pettingzoo.ParallelEnv):
        """Every method is the table's."""

        metadata = {"render_modes": [], "name": f"populace_{type(game.model).__name__.lower()}"}  # noqa: RUF012
        render_mode = None

        def __init__(self) -> None:
            self.possible_agents = list(table.agents)
            self.agents: list[str] = []
            self.observation_spaces, self.action_spaces = seen, done

        def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            found = table.reset(seed)
            self.agents = list(self.possible_agents)
            return found

        def step(self, actions: dict[str, Any]) -> Any:
            if not self.agents:
                raise MethodError("the run is over, or has not begun: reset the environment first")
            found = table.step(actions)
            if any(found[2].values()) or any(found[3].values()):
                self.agents = []
            return found

        def observation_space(self, agent: str) -> Any:
            return seen[agent]

        def action_space(self, agent: str) -> Any:
            return done[agent]

    return Parallel()


def _load() -> tuple[Any, Any]:
    """PettingZoo, and the spaces of gymnasium, which comes with it."""
    try:
        import pettingzoo
        from gymnasium import spaces
    except ImportError as error:
        raise MissingExtraError("pettingzoo", "environments") from error
    return pettingzoo, spaces


class _Table:
    """Agents by name around a functional environment, with the run that is being played."""

    def __init__(self, environment: FunctionalEnvironment, key: Key):
        self._environment, self._key, self._runs = environment, key, 0
        self._state: Any = None
        learners = environment.watched.game.learners
        learns = {path: np.asarray(learners[path].learns(n)) for path, n in environment.agents.items()}
        self.agents = {f"{path}/{i}": (path, int(i)) for path, who in learns.items() for i in np.flatnonzero(who > 0)}

    def width(self, agent: str) -> tuple[int]:
        """The shape of what an agent observes."""
        return jax.eval_shape(as_vector, self._environment.view_shape(self.agents[agent][0])).shape

    def actions(self, agent: str) -> Actions:
        """What an agent may do."""
        return self._environment.action_space(self.agents[agent][0])

    def reset(self, seed: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
        if seed is not None:
            self._key, self._runs = jr.key(seed), 0
        key = jr.fold_in(self._key, _OTHER_RUNS + self._runs) if self._runs else self._key
        self._runs += 1
        views, masks, state = _first(self._environment, key)
        self._state = _trusted(state)
        nobody = {path: np.zeros(n) for path, n in self._environment.agents.items()}
        return self._each(_host(views)), self._infos(_host(masks), nobody, {})

    def step(self, given: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        views, masks, state, rewards, last, info = _next(self._environment, self._state, self._stacked(given))
        self._state = _trusted(state)
        finite = self._environment.watched.game.finite
        rewards, over = _host(rewards), bool(last)
        return (
            self._each(_host(views)),
            {agent: float(rewards[path][i]) for agent, (path, i) in self.agents.items()},
            dict.fromkeys(self.agents, over and finite),
            dict.fromkeys(self.agents, over and not finite),
            self._infos(_host(masks), _host(info["asked"]), _host(info["ends"])),
        )

    def _stacked(self, given: dict[str, Any]) -> dict[str, Any]:
        """Actions by agent as actions by site, (agents, ...); 0 for who does not learn."""
        missing = [agent for agent in self.agents if agent not in given]
        if missing:
            raise MethodError(f"no action for {missing}: every agent acts at every step")
        blank = _host(self._environment.watched.blank)
        for agent, (path, i) in self.agents.items():
            _put(blank[path], i, given[agent], agent)
        return blank

    def _each(self, by_site: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {agent: by_site[path][i] for agent, (path, i) in self.agents.items()}

    def _infos(self, masks: Any, asked: Any, ends: Any) -> dict[str, dict[str, Any]]:
        infos: dict[str, dict[str, Any]] = {}
        for agent, (path, i) in self.agents.items():
            infos[agent] = {"asked": bool(asked[path][i] > 0)}
            if path in masks:
                infos[agent]["action_mask"] = masks[path][i]
            if path in ends:
                infos[agent]["ends"] = bool(ends[path][i] > 0)
        return infos


def _trusted(state: EnvironmentState) -> EnvironmentState:
    """The state, if its numbers can be trusted."""
    if bool(state.fault):
        raise FaultError(
            "a site was given a number outside its domain, or an action is NaN: mend the agents' actions, narrow what "
            "they may do, or mend the formula"
        )
    need = overflow(state.here.state.step.after)
    if need:
        raise CapacityError("; ".join(f"{where} needed room for {n} agents: give it capacity={n}" for where, n in need))
    return state


@eqx.filter_jit
def _first(environment: FunctionalEnvironment, key: Key) -> Any:
    views, state = environment.reset(key)
    return *_shown(environment, views), state


@eqx.filter_jit
def _next(environment: FunctionalEnvironment, state: EnvironmentState, actions: dict[str, Any]) -> Any:
    views, *rest = environment.step(state.key, state, actions)
    return *_shown(environment, views), *rest


def _shown(environment: FunctionalEnvironment, views: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Views as vectors, (agents, d), and what each agent may do where that is said, (agents, count)."""
    masks = {}
    for path, view in views.items():
        space = environment.action_space(path)
        if isinstance(space, Discrete) and space.allowed is not None:
            masks[path] = (jax.vmap(space.allowed)(view) > 0).astype(np.int8)
    return {path: jax.vmap(as_vector)(view) for path, view in views.items()}, masks


def _host(tree: Any) -> Any:
    return jax.tree.map(np.array, tree)


def _put(table: Any, row: int, action: Any, agent: str) -> None:
    """Write one agent's action into its row of the site's arrays."""
    if isinstance(table, dict):
        for name, part in table.items():
            if name not in action:
                raise MethodError(f"the action of {agent} lacks '{name}'")
            _put(part, row, action[name], agent)
        return
    value = np.asarray(action)
    if value.shape not in (table.shape[1:], (*table.shape[1:], 1)):
        raise MethodError(f"the action of {agent} has shape {value.shape}, not {table.shape[1:]}")
    table[row] = value.reshape(table.shape[1:])


def _space(spaces: Any, actions: Actions) -> Any:
    match actions:
        case Continuous(low=low, high=high, shape=shape):
            return spaces.Box(np.full(shape, low, np.float32), np.full(shape, high, np.float32), dtype=np.float32)
        case Discrete(count=count):
            return spaces.Discrete(count)
        case Mixed(parts=parts):
            return spaces.Dict({name: _space(spaces, part) for name, part in parts.items()})
        case _:
            raise MethodError(f"{type(actions).__name__} has no space in gymnasium: use Continuous, Discrete or Mixed")
