"""What a search for novelty finds of what a model can do, against Sobol points at as many runs.

    python benchmarks/patterns.py [--keys N] [--json] [--quick]

Three maps whose attainable cells can be counted: a disc whose rim is rare (radius a^4), a disc seen with noise, and a
corner of the prior in which alone a model does something else; and three models of the zoo, by two moments each
(Schelling: people alike and people moving; Kirman: mean and spread of the share; flocking: those of the order).

`found`: the share of the attainable cells that the search, and Sobol points, found; `unseen`: what the search estimates
to have missed, over what it did miss; `same`, `touched`: of its cells, run again under other keys. Medians over keys.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import measure


@dataclass(frozen=True)
class Case:
    """A problem, its runs, and, where they can be counted, its attainable cells: from a grid to their number."""

    problem: Any
    budget: int
    replicates: int
    cells: int = 20
    attainable: Callable[[Any], int] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="one key and smaller budgets, about a minute")
    parser.add_argument("--keys", type=int, default=5, help="searches a case (default 5)")
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if given.quick:
        measure.hasty()
    keys = 1 if given.quick else given.keys
    found = {name: searched(case, keys) for name, case in cases(0.25 if given.quick else 1.0).items()}
    columns = ("case", "runs", "search", "Sobol", "ratio", "of Sobol's", "attainable", "found by search", "by Sobol",
               "unseen, said / true", "late", "same", "touched", "seconds")  # fmt: skip
    measure.show(
        "Cells found", columns, [(name, *("" if v is None else v for v in r.values())) for name, r in found.items()]
    )
    measure.finish(given, {"keys": keys, "cases": found})


def searched(case: Case, keys: int) -> dict[str, float | None]:
    """The medians of some searches."""
    import jax.random as jr

    import populace as pop

    rows = []
    for number in range(keys):
        started = time.perf_counter()
        space = pop.pattern_space(
            case.problem,
            jr.key(number),
            budget=case.budget,
            replicates=case.replicates,
            cells=case.cells,
            progress=False,
        )
        rows.append(row(case, space, time.perf_counter() - started))
    return {name: middle([one[name] for one in rows]) for name in rows[0]}


def row(case: Case, space: Any, seconds: float) -> dict[str, float | None]:
    all_ = None if case.attainable is None else case.attainable(space.grid)
    missed = None if all_ is None else all_ - space.by_search
    return {
        "runs": float(space.calls),
        "search": float(space.by_search),
        "sobol": float(space.by_design),
        "ratio": space.by_search / space.by_design,
        "of_sobol": space.by_both / space.by_design,
        "attainable": None if all_ is None else float(all_),
        "found": None if all_ is None else space.by_search / all_,
        "found_by_sobol": None if all_ is None else space.by_design / all_,
        "unseen": None if not missed or missed < 0 else space.unseen.count / missed,
        "late": space.late,
        "same": space.confirmed.same / space.confirmed.cells,
        "touched": space.confirmed.touched / space.confirmed.cells,
        "seconds": seconds,
    }


def middle(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return statistics.median(known) if known else None


def cases(size: float) -> dict[str, Case]:
    """All, with budgets times `size`."""
    return {**maps(size), **models(size)}


def maps(size: float) -> dict[str, Case]:
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop

    def disc(noise: float) -> pop.Traceable:
        def run(at, key):
            radius, angle = at["a"] ** 4, 2.0 * jnp.pi * at["b"]
            e = noise * jr.normal(key, (2,))
            return {"x": radius * jnp.cos(angle) + e[0], "y": radius * jnp.sin(angle) + e[1]}

        return pop.Traceable(run)

    def corner(at, key):
        """A unit square, and, for a and b above .9, a second one of twice the side beside it."""
        del key
        far = (at["a"] > 0.9) & (at["b"] > 0.9)
        return {
            "x": jnp.where(far, 2.0 + 2.0 * at["c"], at["c"]),
            "y": jnp.where(far, 2.0 * at["d"], at["d"]),
        }

    def of(simulator, names: str) -> pop.Problem:
        target = pop.Target({"x": 0.0, "y": 0.0}, [pop.final("x"), pop.final("y")])
        return pop.Problem(simulator, pop.Space({name: dist.Uniform(0.0, 1.0) for name in names}), target)

    def in_disc(grid) -> int:
        corners = np.stack(np.meshgrid(*[np.arange(-80, 81)] * 2), axis=-1).reshape(-1, 2)
        low = grid.low + (corners + grid.of(np.zeros((1, 2)))) * grid.width
        return int(((np.clip(0.0, low, low + grid.width) ** 2).sum(1) < 1.0).sum())

    def in_squares(grid) -> int:
        points = np.linspace(0.0, 1.0, 2001)
        one = np.stack(np.meshgrid(points, points), axis=-1).reshape(-1, 2)
        both = np.concatenate([one, 2.0 * one + np.array([2.0, 0.0])])
        return len(np.unique(grid.of(both), axis=0))

    return {
        "disc": Case(of(disc(0.0), "ab"), int(5_000 * size), 1, attainable=in_disc),
        "disc with noise": Case(of(disc(0.02), "ab"), int(25_000 * size), 5),
        "corner": Case(of(pop.Traceable(corner), "abcd"), int(10_000 * size), 1, attainable=in_squares),
    }


def models(size: float) -> dict[str, Case]:
    import jax.numpy as jnp
    import numpy as np
    import numpyro.distributions as dist

    import populace as pop
    from populace.zoo.flocking import Flocking
    from populace.zoo.kirman import Kirman
    from populace.zoo.registry import MODELS

    schelling = MODELS["schelling"].make(rows=20, columns=20)
    town = pop.Problem(
        pop.Simulation(schelling, 30),
        pop.Space(tolerance=dist.Uniform(0.0, 1.0), density=dist.Uniform(0.3, 0.98), minority=dist.Uniform(0.05, 0.5)),
        pop.Target(
            {"alike": np.linspace(0.5, 0.8, 30), "moved": np.linspace(80.0, 0.0, 30)},
            [pop.final("alike"), pop.derived("log moved", jnp.log1p, "moved", pop.mean("log moved"))],
        ),
    )
    herd = pop.Problem(
        pop.Simulation(Kirman(agents=50, turns=50), 200),
        pop.Space(a1=dist.LogUniform(0.003, 0.3), a2=dist.LogUniform(0.003, 0.3), b=dist.LogUniform(0.002, 0.05)),
        pop.Target({"share": np.sin(np.arange(200.0) / 9.0)}, [pop.mean("share"), pop.standard_deviation("share")]),
    )
    space = pop.Space(
        vision=dist.Uniform(1.0, 12.0),
        cohesion=dist.Uniform(0.0, 0.2),
        separation=dist.Uniform(0.0, 0.2),
        alignment=dist.Uniform(0.0, 0.2),
    )
    flock = pop.Problem(
        pop.Simulation(Flocking(pop.Box((25.0, 25.0), periodic=True), birds=30), 60),
        space,
        pop.Target({"order": np.linspace(0.2, 0.9, 60)}, [pop.mean("order"), pop.standard_deviation("order")]),
    )
    return {
        "schelling": Case(town, int(8_000 * size), 5),
        "kirman": Case(herd, int(8_000 * size), 5),
        "flocking": Case(flock, int(8_000 * size), 5),
    }


if __name__ == "__main__":
    main()
