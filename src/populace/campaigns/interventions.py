"""An intervention: all that somebody could do about a model, as one noun.

It may do something at sites, move parameters, change the population, or put another simulator in the place of the
fitted one; and it has a cost.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from .._errors import DomainError, ModelError, ProblemError, UnknownParameterError, did_you_mean
from .._types import Key
from ..calibration.fit import Fit
from ..core.host import placed
from ..core.model import Model, Parameter
from ..core.plug import Plug
from ..problem.plugged import before, rehearsed, with_model
from ..problem.simulators import Callable as CallableSimulator
from ..problem.simulators import Simulator

OfRuns: TypeAlias = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""A number of each run, (runs,), of observations name to (runs, times, ...)."""


@dataclass(frozen=True)
class Times:
    """A parameter is multiplied by `factor`."""

    factor: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values * self.factor

    def __str__(self) -> str:
        return f"times {self.factor:g}"


@dataclass(frozen=True)
class Plus:
    """`amount` is added to a parameter."""

    amount: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values + self.amount

    def __str__(self) -> str:
        return f"plus {self.amount:g}"


Shift: TypeAlias = float | np.ndarray | Callable[[np.ndarray], np.ndarray]
"""What becomes of a parameter: a value that it is set to, or a function of its draws (draws, ...)."""


@dataclass(frozen=True)
class Intervention:
    """What is done, and what it costs.

    **Arguments:**

    - `plugs`: what stands at sites, `Override`, `Scale`, `Replace`; the first has the last word.
    - `parameters`: name to what becomes of it: a number that it is set to, `Times(0.8)`, `Plus(-0.1)`, or a function of
      its draws, an array (draws, ...). A parameter that is not in the space starts from the model's value.
    - `model`: a function of the fitted model that gives another one, of the same parameters: a changed population.
    - `simulator`: another simulator, or Python callable, of the same parameters, in the place of the fitted one.
    - `cost`: of a run: a number, or a function of its observations.
    """

    plugs: tuple[Plug, ...] = ()
    parameters: Mapping[str, Shift] = field(default_factory=dict)
    model: Callable[[Any], Model] | None = None
    simulator: Simulator | Callable[..., Any] | None = None
    cost: float | OfRuns = 0.0

    def __post_init__(self) -> None:
        if self.model is not None and self.simulator is not None:
            raise ModelError("an intervention changes the model or takes another simulator: give one of the two")
        if not isinstance(self.plugs, tuple) or not all(isinstance(plug, Plug) for plug in self.plugs):
            raise ModelError(f"the plugs of an intervention are a tuple of plugs, not {self.plugs!r}")


@dataclass(frozen=True)
class Prepared:
    """An intervention ready to be run: the `simulator` and a `batch` of its parameters, and the `cost`."""

    simulator: Simulator
    batch: dict[str, Any]
    cost: float | OfRuns


def prepared(
    name: str, intervention: Intervention | tuple[Plug, ...], fit: Fit, batch: Mapping[str, Any], keys: Key
) -> Prepared:
    """An intervention on a fit, checked before anything is run.

    **Arguments:** `batch`: parameter name to draws (n, ...), `keys` (n,).

    **Raises:** `UnknownParameterError`, `DomainError` for a shift; `SpaceError` for another model or simulator that
    does not have the parameters; `SimulatorError` for plugs on a simulator without sites; `UnknownSiteError`.
    """
    given = intervention if isinstance(intervention, Intervention) else Intervention(intervention)
    simulator = fit.problem.simulator
    if given.model is not None:
        simulator = with_model(simulator, given.model)
    if given.simulator is not None:
        own = given.simulator
        simulator = own if isinstance(own, Simulator) else CallableSimulator(own)
    fit.problem.space.check(simulator.parameters())
    shifted = dict(batch)
    for parameter, shift in given.parameters.items():
        shifted[parameter] = _shifted(name, parameter, shift, batch, simulator.parameters(), len(keys))
    if given.plugs:
        simulator, shifted = before(simulator, given.plugs, shifted)
    rehearsed(simulator, shifted, keys)
    return Prepared(simulator, shifted, given.cost)


def a_number_a_run(what: str, option: str, values: Any, count: int) -> np.ndarray:
    """What was counted of runs with an option, (count,).

    **Raises:** `ProblemError` for another shape.
    """
    found = np.asarray(values, np.float64)
    if found.shape != (count,):
        raise ProblemError(
            f"{what} of '{option}' has shape {found.shape}, not ({count},): give one number a run, such as "
            "lambda observations: observations['infected'][:, -1]"
        )
    return found


def _shifted(
    name: str, parameter: str, shift: Shift, batch: Mapping[str, Any], known: Mapping[str, Parameter], count: int
) -> Any:
    """The draws (n, ...) of a parameter after a shift, inside its domain."""
    if parameter in batch:
        values = np.asarray(batch[parameter], np.float64)
    elif parameter in known:
        fixed = np.asarray(known[parameter].value, np.float64)
        values = np.broadcast_to(fixed, (count, *fixed.shape))
    else:
        raise UnknownParameterError(
            f"'{name}' shifts '{parameter}', which the simulator does not have; "
            f"{did_you_mean(parameter, [*batch, *(one for one in known if one not in batch)])}"
        )
    after = np.asarray(shift(values) if callable(shift) else shift, np.float64)
    if after.shape not in ((), values.shape, values.shape[1:]):
        raise DomainError(f"'{name}': the shift of '{parameter}' gives {after.shape}, not an array {values.shape}")
    after = np.broadcast_to(after, values.shape)
    rows = after.reshape(count, -1).astype(np.float32)
    domain = known[parameter].domain if parameter in known else None
    out = ~np.isfinite(rows).all(1) if domain is None else np.array([not domain.contains(row) for row in rows])
    if out.any():
        where = "is not finite" if domain is None else f"lies outside its domain {domain}"
        said = f"({shift}) " if isinstance(shift, (Times, Plus)) else ""
        raise DomainError(
            f"'{name}': the shift of '{parameter}' {said}{where} in {int(out.sum())} of {count} draws, "
            f"from {rows[out].min():.4g} to {rows[out].max():.4g}: give a function that stays inside, such as "
            "lambda x: np.minimum(2 * x, 1.0)"
        )
    return placed(after)
