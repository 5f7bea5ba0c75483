"""Q-learning in tables: each agent, or each type, keeps what every action is worth in every state that it can see.

C. J. C. H. Watkins and P. Dayan (1992), "Q-learning", Machine Learning 8, 279-292. Several agents who learn so at once,
without knowing of each other: E. Calvano, G. Calzolari, V. Denicolo and S. Pastorello (2020), "Artificial intelligence,
algorithmic pricing, and collusion", American Economic Review 110, 3267-3297.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._errors import MethodError
from .._types import Key, State
from ..core.plug import Plug
from ..core.simulate import NEVER, Snapshot, first_fault, initial, onward
from ..core.site import Frame
from .actions import Discrete
from .algorithm import Algorithm, News
from .game import Game, Learner, Policies, Watched
from .tables import Cells, Pending, TablePolicy, Trying, nothing_pending

_LEAST = 1e-3
"""How often an agent still tries at the end of a training, where no `fade` is given."""


class Learning(eqx.Module):
    """Where one training stands. `tables`: site to (types, states, actions); `state`, `time`: of the world, which goes
    on from run to run; `steps`: taken so far; `calm`: steps since any table last changed its best action somewhere.
    """

    tables: dict[str, Float[Array, "types states actions"]]
    pending: dict[str, Pending]
    state: State
    time: Int[Array, ""]
    steps: Int[Array, ""]
    calm: Int[Array, ""]


class QLearning(Algorithm):
    """Each agent moves the worth of what it did towards what it was paid and what it now expects, and takes the best
    action it knows, or at times any.

    Q(s, a) += rate (reward + discount max Q(s', .) - Q(s, a)), step by step, as the game goes on; where the game is not
    finite the world goes on from one run to the next. With `Learner(types=)` each type has a table of its own; agents
    who share a table and do the same in the same state move it by the mean.

    **Arguments:**

    - `cells`: how many values each number of a view can take, in the order of its leaves: (15, 15) for two prices of
      fifteen. Views are whole numbers from 0.
    - `rate`: of learning.
    - `fade`: an agent tries with probability exp(-fade t) at step t. None: it falls to a thousandth over the training.
    - `first`: what tables hold at first, as wide as the actions or (states, actions).
    - `patience`: at rest once no table has changed its best action in any state for so many steps; nothing is learned
      after that. 0: never.
    """

    cells: tuple[int, ...] = eqx.field(static=True)
    rate: float = eqx.field(static=True, default=0.1)
    fade: float | None = eqx.field(static=True, default=None)
    first: Float[Array, "..."] = eqx.field(default=0.0, converter=lambda x: jnp.asarray(x, jnp.float32))
    patience: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        if not self.cells or min(self.cells) < 1:
            raise MethodError(f"QLearning(cells={self.cells}): say how many values each number of the view takes")
        if not 0 < self.rate <= 1 or (self.fade is not None and self.fade < 0) or self.patience < 0:
            raise MethodError("QLearning: rate lies above 0, up to 1; fade and patience from 0")

    @property
    def runs(self) -> int:
        return 1

    def begin(self, watched: Watched, key: Key) -> Learning:
        tables, pending = {}, {}
        for path, learner in watched.game.learners.items():
            self._check(watched, path)
            agents, cells = watched.agents[path], Cells(self.cells)
            shape = (learner.groups, cells.count, learner.actions.width)
            try:
                tables[path] = jnp.broadcast_to(self.first, shape)
            except ValueError as error:
                said = f"{self.first.shape} does not fit states by actions, {shape[1:]}"
                raise MethodError(f"QLearning(first=): {said}") from error
            pending[path] = nothing_pending(agents, learner.actions.width)
        here, _ = initial(watched, key, watched.plugs({}))
        return Learning(tables, pending, here.state, jnp.int32(0), jnp.int32(0), jnp.int32(0))

    def update(
        self, watched: Watched, learned: Learning, key: Key, progress: Float[Array, ""], frozen: tuple[Plug, ...]
    ) -> tuple[Learning, News]:
        game = watched.game
        here, early = initial(watched, key, watched.around(self._trying(watched, learned, progress), frozen))
        if not game.finite:
            here = Snapshot(learned.state, here.memory, learned.time)

        def one(carry: Any, number: Array) -> tuple[Any, Any]:
            learned, memory, returns = carry
            plugs = watched.around(self._trying(watched, learned, progress), frozen)
            now = Snapshot(learned.state, memory, learned.time)
            after, frame = onward(watched, key, now, plugs)
            seen, notes = watched.observe(after.state), {path: frame.tape[path] for path in learned.tables}
            learned = _learned(game, learned, after, notes, seen)
            returns = {
                p: r + game.learners[p].discount ** number * _earned(notes[p], seen[f"reward:{p}"])
                for p, r in returns.items()
            }
            broken = sum(~jnp.isfinite(seen[f"reward:{p}"]).all() for p in returns)
            return (learned, after.memory, returns), (_faulty(frame), broken)

        nothing = {path: jnp.float32(0.0) for path in learned.tables}
        start = eqx.tree_at(lambda w: (w.state, w.time), learned, (here.state, here.time))
        (learned, _, returns), (faults, broken) = jax.lax.scan(
            one, (start, here.memory, nothing), jnp.arange(game.steps)
        )
        if game.finite:
            learned = self._ended(watched, learned, progress)
        faulty = faults.any() | (first_fault(early, {}) != NEVER)
        rest = jnp.asarray(self.patience > 0) & (learned.calm >= self.patience)
        return learned, News(returns, faulty.astype(jnp.int32), jnp.asarray(broken).sum(), rest)

    def playing(self, watched: Watched, learned: Learning) -> Policies:
        return self.policies(watched, learned)

    def policies(self, watched: Watched, learned: Learning) -> Policies:
        out, cells = {}, Cells(self.cells)
        for path, learner in watched.game.learners.items():
            table = learned.tables[path]
            made = partial(TablePolicy, actions=_discrete(path, learner), cells=cells)
            out[path] = made(table[0]) if learner.types is None else jax.vmap(made)(table)
        return out

    def _trying(self, watched: Watched, learned: Learning, progress: Array) -> tuple[Trying, ...]:
        return tuple(
            Trying(
                path,
                learned.tables[path],
                learner.types_of(watched.agents[path]),
                learned.pending[path],
                _discrete(path, learner),
                learner.who,
                learner.ends is not None,
                jnp.where((self.patience > 0) & (learned.calm >= self.patience), 0.0, self.rate),
                jnp.exp(-self.fade * learned.steps) if self.fade is not None else _LEAST**progress,
                Cells(self.cells),
            )
            for path, learner in watched.game.learners.items()
        )

    def _ended(self, watched: Watched, learned: Learning, progress: Array) -> Learning:
        """After the last step of a game that ends: nothing follows what was done last."""
        tables, pending = {}, {}
        for trying in self._trying(watched, learned, progress):
            last, path = trying.pending, trying.site
            known = trying.table[trying.types, last.state]
            change = last.on * trying.rate * last.change(known, jnp.zeros_like(last.reward))
            tables[path] = _moved(learned.tables[path], trying.types, last, change, last.on)
            pending[path] = nothing_pending(*last.may.shape)
        return eqx.tree_at(lambda w: (w.tables, w.pending), learned, (tables, pending))

    def _check(self, watched: Watched, path: str) -> None:
        learner, view = watched.game.learners[path], watched.views[path]
        _discrete(path, learner)
        leaves = jax.tree.leaves(view)
        if not all(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in leaves):
            raise MethodError(
                f"QLearning at '{path}': agents see numbers that are not whole; let the model show them in steps, or "
                "learn with PPO"
            )
        numbers = sum(leaf.size for leaf in leaves)
        if numbers != len(self.cells):
            raise MethodError(f"QLearning(cells={self.cells}): at '{path}' an agent sees {numbers} numbers")


def _discrete(path: str, learner: Learner) -> Discrete:
    if not isinstance(learner.actions, Discrete):
        raise MethodError(f"QLearning at '{path}': tables are of Discrete actions; give such, or learn with PPO")
    return learner.actions


def _learned(game: Game, before: Learning, after: Snapshot, notes: Any, seen: Any) -> Learning:
    """Tables and what is pending after a step."""
    tables, pending, changed = {}, {}, jnp.array(False)
    for path, table in before.tables.items():
        learner, note, last = game.learners[path], notes[path], before.pending[path]
        tables[path] = _moved(table, learner.types_of(last.on.size), last, note["change"], note["ripe"])
        changed = changed | (note["changed"] > 0).any()
        reward, acting = seen[f"reward:{path}"], note["acting"] > 0
        ended = seen.get(f"ends:{path}", jnp.zeros_like(reward))
        kept = last.on * (1.0 - note["ripe"])
        pending[path] = Pending(
            jnp.where(acting, note["state"], last.state),
            jnp.where(acting, note["action"], last.action),
            jnp.where(acting[:, None], note["may"], last.may),
            jnp.where(acting, reward, last.reward + last.weight * reward),
            jnp.where(acting, learner.discount, last.weight * learner.discount),
            jnp.where(acting, 1.0, kept),
            ended,
        )
    calm = jnp.where(changed, 0, before.calm + 1)
    return Learning(tables, pending, after.state, after.time, before.steps + 1, calm)


def _moved(table: Array, types: Array, last: Pending, change: Array, ripe: Array) -> Array:
    """The table with the changes of all agents; of those that change the same number, by the mean."""
    same = (types[:, None] == types) & (last.state[:, None] == last.state) & (last.action[:, None] == last.action)
    sharing = jnp.maximum((same * ripe).sum(1), 1.0)
    return table.at[types, last.state, last.action].add(change / sharing)


def _faulty(frame: Frame) -> Array:
    return jnp.stack([*frame.faults.values(), jnp.array(False)]).any()


def _earned(note: Any, reward: Array) -> Array:
    """The mean pay of those who learn."""
    learns = note["acting"]
    return (learns * reward).sum() / jnp.maximum(learns.sum(), 1.0)
