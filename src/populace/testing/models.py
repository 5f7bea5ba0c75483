"""What every model must do: the laws of `populace.Model`, for those who write their own."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array

from .._errors import CapacityError, FaultError, PopulaceError
from .._types import Key, State
from ..core.capacity import capacities, with_capacity
from ..core.draw import Draw
from ..core.ensemble import OneRun, Outcome, one_run
from ..core.model import Model, Parameter, bind, parameters
from ..core.population import Deme, Population
from ..core.record import EveryStep
from ..core.simulate import Run, begin, simulate
from ..core.sites import sites

STEPS = 6
"""Steps of a checked run, unless said otherwise."""


def check_model(model: Model, key: Key, steps: int = STEPS) -> None:
    """Check every law that `Model` states; return if all hold.

    The model is run five times for `steps` steps: take a small population.

    **Arguments:** `steps`: at least 2; enough of them that births, rare rules and the like happen.

    **Raises:** `AssertionError` that names the law and what was found.
    """
    _require(steps >= 2, model, f"{steps} steps cannot be stopped and resumed: take 2 or more")
    counting = Counting(model)
    run = _sound(model, lambda: simulate(counting, key, steps), "it cannot be run")
    for law in LAWS:
        law(counting, key, run)


class Counting(Model):
    """A model that counts how often its step is traced."""

    model: Model
    traces: list[int] = eqx.field(static=True)

    def __init__(self, model: Model):
        self.model = model
        self.traces = _Tally()

    def init(self, draw: Draw) -> State:
        return self.model.init(draw)

    def step(self, draw: Draw, state: State) -> State:
        self.traces.append(1)
        return self.model.step(draw, state)

    def observe(self, state: State) -> dict[str, Array]:
        return self.model.observe(state)


class _Tally(list[int]):
    """A list that is itself and no other, as jit wants of what is static."""

    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]

    def __eq__(self, other: object) -> bool:
        return self is other


Law = Callable[[Counting, Key, Run], None]


def _observes_finite_numbers(model: Counting, key: Key, run: Run) -> None:
    seen = run.observations
    named = isinstance(seen, dict) and bool(seen) and all(isinstance(name, str) for name in seen)
    _require(named, model, "observe returns no observations by name: return {'infected': ...}")
    for name, values in seen.items():
        finite = np.isfinite(np.asarray(values, np.float64)).reshape(len(run.times), -1).all(axis=1)
        if not finite.all():
            at = int(run.times[int(np.argmin(finite))])
            raise AssertionError(f"{_name(model)}: observation '{name}' is NaN or infinite, first at step {at}")


def _keeps_its_shape(model: Counting, key: Key, run: Run) -> None:
    before, after = begin(model, key).state, run.final.state
    same = jax.tree.structure(before) == jax.tree.structure(after) and _kinds(before) == _kinds(after)
    _require(same, model, "the state changes structure, shapes or dtypes on the way")


def _repeats_itself(model: Counting, key: Key, run: Run) -> None:
    again = simulate(model, key, len(run.times))
    message = "the same key gives another run: something is random that is not asked of the draw"
    _require(_same(run, again), model, message)


def _goes_on_where_it_stopped(model: Counting, key: Key, run: Run) -> None:
    steps, half = len(run.times), (len(run.times) + 1) // 2
    message = "stopped and resumed it is another run: all that the next step needs belongs in the state"
    chunked = simulate(model, key, steps, chunk=half)
    _require(_same(run, chunked), model, f"in chunks: {message}")
    first = simulate(model, key, half, chunk=half)
    rest = simulate(model, key, steps - half, chunk=half, start=first.final)
    joined = {name: np.concatenate([first.observations[name], rest.observations[name]]) for name in rest.observations}
    same = _bytes(joined) == _bytes(run.observations) and _bytes(rest.final.state) == _bytes(run.final.state)
    _require(same, model, f"from a snapshot: {message}")


def _leaves_capacity_alone(model: Counting, key: Key, run: Run) -> None:
    before, after = (_populations(state) for state in (begin(model, key).state, run.final.state))
    capacities = [(one.capacity, other.capacity) for one, other in zip(before, after, strict=True)]
    _require(all(one == other for one, other in capacities), model, f"a capacity changes: {capacities}")
    for together in _sharing_numbers(after):
        name = type(together[0]).__name__
        lives = np.concatenate([np.asarray(one.identity)[np.asarray(one.alive) > 0] for one in together])
        alone = len(np.unique(lives)) == len(lives)
        _require(alone, model, f"two of its {name} have one identity: use pop.births")
        born = np.array([int(one.born) for one in together])
        counted = bool((lives // len(together) < born[lives % len(together)]).all())
        _require(counted, model, f"a {name} has an identity that was never given out: use pop.births")


def _sharing_numbers(found: list[Population]) -> list[list[Population]]:
    """Populations whose identities are of one kind: each by itself, but for demes, which are in order."""
    demes = [one for one in found if isinstance(one, Deme)]
    sets = [[one for one in demes if one.demes == many] for many in dict.fromkeys(one.demes for one in demes)]
    whole = [sorted(some, key=lambda one: one.deme) for some in sets if len(some) == some[0].demes]
    return [[one] for one in found if not isinstance(one, Deme)] + [list[Population](some) for some in whole]


def _lives_alike_with_more_room(model: Counting, key: Key, run: Run) -> None:
    slots = capacities(model)
    if not slots:
        return
    wide = with_capacity(model, {name: many + many // 4 + 1 for name, many in slots.items()})
    others = _populations(simulate(wide, key, len(run.times)).final.state)
    for one, other in zip(_populations(run.final.state), others, strict=True):
        few, many = (np.asarray(each.identity)[np.asarray(each.alive) > 0] for each in (one, other))
        _require(
            np.array_equal(few, many),
            model,
            f"with a quarter more room other {type(one).__name__} live: a capacity is only room, and no number or mean "
            "may hang on it (draw.permutation and draw.choice among slots do)",
        )


def _lists_its_sites(model: Counting, key: Key, run: Run) -> None:
    rows = _sound(model, lambda: sites(model.model), "its sites cannot be listed").rows
    paths = [(row.phase, row.path) for row in rows]
    _require(len(set(paths)) == len(paths), model, f"a site is listed twice: {paths}")


def _compiles_once(model: Counting, key: Key, run: Run) -> None:
    steps = len(run.times)
    others = {name: moved(parameter) for name, parameter in parameters(model).items()}
    message = (
        "a parameter is used as a plain number (float(), if, a shape): use jnp.where, and static fields for shapes"
    )
    before = len(model.traces)
    _sound(model, lambda: simulate(bind(model, others), jr.fold_in(key, 1), steps, throw=False), message)
    again = len(model.traces) - before
    message = f"with other values of its parameters it is compiled again ({again} traces): {list(others)}"
    _require(again == 0, model, message)


def _serves_many_runs(model: Counting, key: Key, run: Run) -> None:
    rows = (jr.split(key, 2), {name: jnp.stack([p.value, moved(p)]) for name, p in parameters(model).items()})
    shared = OneRun(model, (), EveryStep(), len(run.times))
    arrays, static = eqx.partition(shared, eqx.is_array)

    def many(arrays: OneRun, rows: Any) -> Outcome:
        return jax.vmap(lambda row: one_run(eqx.combine(arrays, static), row))(rows)

    out = _sound(model, lambda: jax.eval_shape(many, arrays, rows), "it cannot be vectorised over runs")
    for name, values in run.observations.items():
        seen, wanted = out.observations[name].shape, (2, *values.shape)
        _require(seen == wanted, model, f"'{name}' of two runs has shape {seen}, not {wanted}")


LAWS: tuple[Law, ...] = (
    _observes_finite_numbers,
    _keeps_its_shape,
    _repeats_itself,
    _goes_on_where_it_stopped,
    _leaves_capacity_alone,
    _lives_alike_with_more_room,
    _compiles_once,
    _serves_many_runs,
    _lists_its_sites,
)
"""The laws, each a function of the model (counting its traces), the key and the run that was made with it."""


def moved(parameter: Parameter) -> Array:
    """Another value of a parameter, near its own and in its domain; its own where there is none."""
    value = np.asarray(parameter.value, np.float32)
    for other in (value * 0.99, value * 1.01, value + 0.01, value - 0.01):
        if (other != value).all() and parameter.domain.contains(other):
            return jnp.asarray(other, jnp.float32)
    return parameter.value


def _sound(model: Model, work: Callable[[], Any], otherwise: str) -> Any:
    """What `work` returns; what it raises, as a broken law."""
    try:
        return work()
    except (PopulaceError, jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        kind = "" if isinstance(error, (FaultError, CapacityError)) else f"{type(error).__name__}: "
        raise AssertionError(f"{_name(model)}: {otherwise}. {kind}{error}") from error


def _populations(state: State) -> list[Population]:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, Population))
    return [node for node in nodes if isinstance(node, Population)]


def _kinds(tree: Any) -> list[tuple[Any, ...]]:
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def _same(one: Run, other: Run) -> bool:
    pairs = ((one.observations, other.observations), (one.final.state, other.final.state))
    return all(_bytes(a) == _bytes(b) for a, b in pairs) and bool(np.array_equal(one.times, other.times))


def _bytes(tree: Any) -> list[bytes]:
    """The arrays of a tree to the last bit."""
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def _name(model: Model) -> str:
    return type(model.model if isinstance(model, Counting) else model).__name__


def _require(holds: bool, model: Model, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{_name(model)}: {otherwise}")
