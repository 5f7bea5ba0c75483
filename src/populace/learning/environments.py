"""A game as an environment for training loops that are not ours: pure functions, to be compiled and vectorised."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.interpreters import partial_eval
from jaxtyping import Array, Bool, Float, Int

from .._errors import MethodError, UnknownSiteError, did_you_mean
from .._types import Key
from ..core.plug import Deciding, Plug, Record
from ..core.simulate import Snapshot, initial, onward
from .actions import Actions
from .foreign import legal
from .game import Game, Watched, Watching, watched
from .policies import FixedPolicy


class EnvironmentState(eqx.Module):
    """Where a run stands between two steps. `here`: the model's state and the step that led to it (`Watching`), what
    plugs remember, and the time; `key`: the run's; `fault`: whether any site so far was given a number outside its
    domain, or the model a NaN for an action.
    """

    here: Snapshot
    key: Key
    fault: Bool[Array, ""]

    @property
    def time(self) -> Int[Array, ""]:
        """Steps made."""
        return self.here.time


class FunctionalEnvironment(eqx.Module):
    """A game played from outside, in the manner of gymnax: `reset` and `step` are pure, for `eqx.filter_jit`,
    `eqx.filter_vmap` over keys, states and actions, and `jax.lax.scan`. Nothing resets itself.

    Views and actions are dictionaries by the learners' sites; their arrays have agents on the leading axis. All agents
    of all sites act at once. Agents who do not learn (`Learner.who` 0) keep to the rule and those who are not asked do
    nothing, whatever is given for them; at a site that is not named the rule decides. Other actions than the learner's
    are made into one of its own: see `populace.learning.foreign.legal`.

    The numbers are those of a simulation: the actions that a policy would have taken, played here with the run's key,
    give the states and rewards of `pop.simulate` with that policy.

    **Raises:** as `pop.learn` does of a game before any run; `MethodError` where what is seen at one site depends on
    what is done at another in the same step, which cannot be shown before both are done.
    """

    watched: Watched

    def __init__(self, game: Game):
        self.watched = watched(game)
        if len(game.learners) > 1:
            _check_at_once(self)

    def reset(self, key: Key) -> tuple[dict[str, Any], EnvironmentState]:
        """What agents see at first, and the state. `key`: the run's; all its numbers come from it."""
        here, faults = initial(self.watched, key, self._plugs(self.watched.blank))
        state = EnvironmentState(here, key, _any(faults))
        return self._views(state), state

    def step(
        self, key: Key, state: EnvironmentState, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], EnvironmentState, dict[str, Float[Array, " agents"]], Bool[Array, ""], dict[str, Any]]:
        """One step of the model.

        **Arguments:** `key`: is not used, and here for loops that hand one in: the model's luck is folded from the
        run's key and the time; `actions`: site to what its agents do, (agents, ...).

        **Returns:** the views before the next step; the state; site to each agent's pay, (agents,); whether this was
        the game's last step (a further one goes on as the model does); and `asked`, site to (agents,) 1 for who
        was asked in this step; `ends` (agents,), of learners that say when lives end; `welfare` (); `limits` and
        `residuals` by name; `fault` () as in the state, after which numbers are not to be trusted.

        **Raises:** `UnknownSiteError`; `MethodError` for actions of other shapes.
        """
        del key
        chosen = self._legal(actions)
        here, frame = onward(self.watched, state.key, state.here, self._plugs(chosen))
        after = here.state
        wrong = state.fault | _any(frame.faults) | _nan({path: after.step.actions[path] for path in chosen})
        there = EnvironmentState(here, state.key, wrong)
        seen = self.watched.observe(after)
        rewards = {path: seen[f"reward:{path}"] for path in self.watched.blank}
        return self._views(there), there, rewards, here.time >= self.watched.game.steps, _info(after, seen, wrong)

    def action_space(self, path: str) -> Actions:
        """What one agent may do at a site."""
        return self._known(path, self.watched.game.learners).actions

    def view_shape(self, path: str) -> Any:
        """What one agent sees at a site: a tree of `jax.ShapeDtypeStruct`."""
        view = self._known(path, self.watched.views)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), view)

    @property
    def agents(self) -> dict[str, int]:
        """Site to the number of agents that it asks."""
        return self.watched.agents

    def _known(self, path: str, table: dict[str, Any]) -> Any:
        if path not in table:
            raise UnknownSiteError(f"nobody learns at '{path}'; {did_you_mean(path, list(table))}")
        return table[path]

    def _legal(self, actions: dict[str, Any]) -> dict[str, Any]:
        return {path: legal(self.action_space(path), given, (self.agents[path],)) for path, given in actions.items()}

    def _plugs(self, actions: dict[str, Any]) -> tuple[Plug, ...]:
        """Each agent has a policy of its own, which is to do what was given."""
        learners = self.watched.game.learners
        playing = [Deciding(path, FixedPolicy(given), learners[path].who, True) for path, given in actions.items()]
        return (Record(tuple(self.watched.blank)), *playing, *self.watched.game.plugs)

    def _views(self, state: EnvironmentState) -> dict[str, Any]:
        """What agents will see in the step to come: it is begun under the rule, which no view depends on; what does
        not lead to a view is dropped when this is compiled.
        """
        game, paths = self.watched.game, tuple(self.watched.blank)
        here = Snapshot(state.here.state.step.after, state.here.memory, state.here.time)
        _, frame = onward(game.model, state.key, here, (Record(paths), *game.plugs))
        return {path: frame.tape[path]["view"] for path in paths}


def _any(faults: Any) -> Bool[Array, ""]:
    return jnp.stack([jnp.array(False), *faults.values()]).any()


def _nan(tree: Any) -> Bool[Array, ""]:
    return jnp.stack([jnp.array(False), *(jnp.isnan(leaf).any() for leaf in jax.tree.leaves(tree))]).any()


def _info(after: Watching, seen: dict[str, Array], fault: Array) -> dict[str, Any]:
    def of(kind: str) -> dict[str, Array]:
        return {name.removeprefix(kind): value for name, value in seen.items() if name.startswith(kind)}

    return {
        "asked": after.asked,
        "ends": of("ends:"),
        "welfare": seen["welfare"],
        "limits": of("limit:"),
        "residuals": of("residual:"),
        "fault": fault,
    }


def _check_at_once(environment: FunctionalEnvironment) -> None:
    """Traces a step, and asks of each site's view which sites' actions it is made of."""
    made = environment.watched
    _, state = jax.eval_shape(environment.reset, jr.key(0))

    def seen(actions: dict[str, Any], state: EnvironmentState) -> dict[str, Any]:
        _, frame = onward(made, state.key, state.here, environment._plugs(actions))
        return {path: frame.tape[path]["view"] for path in made.blank}

    program, views = jax.make_jaxpr(seen, return_shape=True)(made.blank, state)
    owners_in, owners_out = _owners(made.blank), _owners(views)
    for path in made.blank:
        _, used = partial_eval.dce_jaxpr(program.jaxpr, [owner == path for owner in owners_out])
        first = next((owner for owner, one in zip(owners_in, used, strict=False) if one), None)
        if first is not None:
            raise MethodError(
                f"what is seen at '{path}' depends on what is done at '{first}' in the same step, and an environment "
                f"asks all sites at once: leave one of them to the rule (out of the game's learners)"
            )


def _owners(by_site: dict[str, Any]) -> list[str]:
    """The site of each leaf, in the order of the leaves."""
    leaves = jax.tree_util.tree_flatten_with_path(by_site)[0]
    return [where[0].key for where, _ in leaves]
