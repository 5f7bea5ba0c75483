"""The classics as one would write them in plain JAX without a library, for `classics.py`: a yardstick for the core.

Whole arrays, one `lax.scan` over the steps, no sites, no plugs, no checks, and the same rules and sizes. Birds keep
their coordinates apart; people jump by two sorts; animals have slots, the free ones filled in order.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

Series = dict[str, np.ndarray]


def flocking(side: float, birds: int, vision: float, steps: int) -> Callable[[Any], Any]:
    def apart(x: Any) -> Any:
        way = x[None, :] - x[:, None]
        return way - side * jnp.round(way / side)

    def step(bird: Any, _: Any) -> Any:
        x, y, u, v = bird
        dx, dy = apart(x), apart(y)
        square = dx * dx + dy * dy
        near = (square <= vision * vision) & ~jnp.eye(birds, dtype=bool)
        crowd = near & (square < 1.0)
        count = jnp.maximum(near.sum(1), 1)

        def pull(way: Any, mates: Any) -> Any:
            cohere, separate = jnp.where(near, way, 0.0).sum(1), jnp.where(crowd, way, 0.0).sum(1)
            return (0.03 * cohere - 0.015 * separate + 0.05 * jnp.where(near, mates[None, :], 0.0).sum(1)) / count

        u, v = u + pull(dx, u), v + pull(dy, v)
        length = jnp.sqrt(u * u + v * v)
        u, v = u / length, v / length
        return ((x + u) % side, (y + v) % side, u, v), jnp.hypot(u.mean(), v.mean())

    def run(key: Any) -> Any:
        one, two, three = jr.split(key, 3)
        angle = jr.uniform(three, (birds,), maxval=2 * jnp.pi)
        places = (jr.uniform(k, (birds,), maxval=side) for k in (one, two))
        return {"order": jax.lax.scan(step, (*places, jnp.cos(angle), jnp.sin(angle)), None, steps)[1]}

    return run


def schelling(side: int, people: int, radius: int, wanted: int, steps: int) -> Callable[[Any], Any]:
    cells = side * side
    width = 2 * radius + 1

    def around(field: Any) -> Any:
        table = field.reshape(side, side)
        box = jax.lax.reduce_window(table, 0.0, jax.lax.add, (width, width), (1, 1), "SAME")
        return (box - table).ravel()

    def seen(kind: Any) -> Any:
        first, all_ = around((kind == 1).astype(jnp.float32)), around((kind > 0).astype(jnp.float32))
        return jnp.where(kind == 1, first, all_ - first), all_

    def step(kind: Any, key: Any) -> Any:
        leaves = (kind > 0) & (seen(kind)[0] < wanted)
        luck = jr.uniform(key, (cells,))
        movers = jnp.argsort(jnp.where(leaves, luck, 2.0))
        empties = jnp.argsort(jnp.where(kind == 0, luck, 2.0))
        pairs = jnp.minimum(leaves.sum(), (kind == 0).sum())
        go = jnp.arange(cells) < pairs
        left, taken = jnp.where(go, movers, cells), jnp.where(go, empties, cells)
        after = kind.at[taken].set(kind[movers], mode="drop").at[left].set(0, mode="drop")
        return after, pairs

    def run(key: Any) -> Any:
        first, later = jr.split(key)
        start = (jnp.arange(cells) < people).astype(jnp.int32) + (jnp.arange(cells) < people // 2)
        kind, moved = jax.lax.scan(step, jr.permutation(first, start), jr.split(later, steps))
        alike, all_ = seen(kind)
        met = (kind > 0) & (all_ > 0)
        share = jnp.where(met, alike / jnp.maximum(all_, 1.0), 0.0).sum() / met.sum()
        return {"moved": moved, "alike": share[None]}

    return run


def forest_fire(side: int, density: float, steps: int) -> Callable[[Any], Any]:
    def step(forest: Any, _: Any) -> Any:
        standing, burning, burned = forest
        wide = jnp.pad(burning, 1)
        lit = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        caught, burned = lit & standing, burned | burning
        return (standing & ~caught, caught, burned), (burned.sum(), caught.sum())

    def run(key: Any) -> Any:
        trees = jr.uniform(key, (side, side)) < density
        left = jnp.zeros((side, side), bool).at[:, 0].set(True)
        start = trees & ~left, trees & left, jnp.zeros_like(trees)
        burned, burning = jax.lax.scan(step, start, None, steps)[1]
        return {"burned": burned, "burning": burning}

    return run


def wolf_sheep(
    side: int,
    sheep: int,
    wolves: int,
    regrowth: int,
    lambing: float,
    cubbing: float,
    rooms: tuple[int, int],
    steps: int,
) -> Callable[[Any], Any]:
    cells = side * side

    def moved(key: Any, cell: Any) -> Any:
        """To one of the neighbours on a bounded grid, by trying each of the eight in an order of its own."""
        row, column = cell // side, cell % side
        ways = jnp.array([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)])
        rows, columns = row[:, None] + ways[:, 0], column[:, None] + ways[:, 1]
        inside = (rows >= 0) & (rows < side) & (columns >= 0) & (columns < side)
        place = jnp.floor(jr.uniform(key, cell.shape) * inside.sum(1)).astype(jnp.int32)
        pick = jnp.argmax(jnp.cumsum(inside, 1) > place[:, None], 1)[:, None]
        rows, columns = (jnp.take_along_axis(x, pick, 1)[:, 0] for x in (rows, columns))
        return rows * side + columns

    def ranked(key: Any, cell: Any, alive: Any) -> Any:
        """Animals sorted by cell, in random order within, and each one's rank in its cell."""
        where = jnp.where(alive, cell, cells)
        order = jnp.lexsort((jr.bits(key, cell.shape), where))
        first = jnp.searchsorted(where[order], jnp.arange(cells + 1))
        return order, jnp.zeros_like(cell).at[order].set(jnp.arange(cell.size) - first[where[order]]), first

    def bred(key: Any, cell: Any, energy: Any, alive: Any, chance: float) -> Any:
        alive = alive & (energy >= 0)
        born = alive & (jr.uniform(key, cell.shape) < chance)
        energy = jnp.where(born, energy / 2, energy)
        parents = jnp.nonzero(born, size=cell.size, fill_value=0)[0]
        free = jnp.cumsum(~alive) - 1
        taken = ~alive & (free < born.sum())
        source = parents[jnp.clip(free, 0, cell.size - 1)]
        cell, energy = (jnp.where(taken, x[source], x) for x in (cell, energy))
        return cell, energy, alive | taken

    def step(world: Any, key: Any) -> Any:
        (sc, se, sa), (wc, we, wa), wait = world
        keys = jr.split(key, 7)
        sc, se = moved(keys[0], sc), se - sa
        rank = ranked(keys[1], sc, sa)[1]
        eats = sa & (rank == 0) & (wait[sc] <= 0)
        wait = wait.at[jnp.where(eats, sc, cells)].set(regrowth + 1.0, mode="drop")
        sc, se, sa = bred(keys[2], sc, se + 5.0 * eats, sa, lambing)
        wc, we = moved(keys[3], wc), we - wa
        rank, (order, _, first) = ranked(keys[4], wc, wa)[1], ranked(keys[5], sc, sa)
        caught = wa & (rank < first[wc + 1] - first[wc])
        eaten = jnp.where(caught, order[jnp.clip(first[wc] + rank, 0, sc.size - 1)], sc.size)
        sa = sa.at[eaten].set(False, mode="drop")
        wc, we, wa = bred(keys[6], wc, we + 13.0 * caught, wa, cubbing)
        seen = {"sheep": sa.sum(), "wolves": wa.sum(), "grazed": eats.sum(), "hunted": caught.sum()}
        return ((sc, se, sa), (wc, we, wa), jnp.maximum(wait - 1.0, 0.0)), seen

    def herd(key: Any, count: int, room: int, gain: int) -> Any:
        one, two = jr.split(key)
        energy = jr.randint(two, (room,), 0, 2 * gain).astype(jnp.float32)
        return jr.randint(one, (room,), 0, cells), energy, jnp.arange(room) < count

    def run(key: Any) -> Any:
        keys = jr.split(key, 5)
        bare = jr.bernoulli(keys[0], 0.5, (cells,))
        wait = bare * jr.randint(keys[1], (cells,), 1, regrowth + 1).astype(jnp.float32)
        start = herd(keys[2], sheep, rooms[0], 5), herd(keys[3], wolves, rooms[1], 13), wait
        return jax.lax.scan(step, start, jr.split(keys[4], steps))[1]

    return run


MODELS: dict[str, Callable[..., Callable[[Any], Any]]] = {
    "flocking": flocking,
    "schelling": schelling,
    "wolf-sheep": wolf_sheep,
    "forest-fire": forest_fire,
}
