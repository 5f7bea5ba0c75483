"""All that can be asked of one fit, in one report: the verb `dossier`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from rich.progress import Progress

from .._errors import MethodError, ProblemError
from .._results import Result, Section
from .._types import Key
from ..calibration.fit import Fit
from ..core.progress import display
from .equivalents import equivalents
from .identify import Identification, identify
from .information import information
from .placebo import placebo
from .profiles import profiles
from .reached import typical
from .robust_set import robust_set
from .specification import specification_test
from .walks import walks

_LEAST = 500


@dataclass(frozen=True)
class LeftOut(Result):
    """A part of a report that could not be made: its `title`, and `why`, which says the mend."""

    title: str
    why: str

    def sections(self) -> tuple[Section, ...]:
        return (Section(self.title, (f"Left out: {self.why}",)),)

    def record(self) -> dict[str, Any]:
        return {"title": self.title, "left out": self.why}


def dossier(
    fit: Fit,
    key: Key,
    *,
    budget: int | None = None,
    folder: Path | str | None = None,
    progress: bool | Progress | None = None,
) -> Identification:
    """What a fit identifies, with everything beside it: the local information (spectrum, standard errors alone and
    jointly, what estimates lean on), the specification test with its size, profiles, the robust set, the walk along the
    flattest direction, equivalent fits, and fits to placebos.

    Each part can be had by itself, and then by its own arguments; what needs more than a fit, such as rivals and other
    places' data, is not in here. A part that cannot be made of this problem is named with the reason.

    **Arguments:** `budget`: simulator calls for each of profiles, robust set, walk and every placebo fit, by default
    those of the fit, or 500 a parameter where that is more; about ten times as many in all; `folder`: checkpoints of
    the placebo fits, which take longest; `progress`: as `calibrate`.
    """
    calls = max(fit.calls, _LEAST * fit.problem.space.size) if budget is None else budget
    names = ("information", "specification", "profiles", "set", "walk", "equivalents", "placebo", "identify")
    keys = dict(zip(names, jr.split(key, len(names)), strict=True))
    task = fit.problem
    middle = typical(fit)
    point = {name: np.asarray(jnp.asarray(value)[middle]) for name, value in fit.draws.items()}
    with display(progress) as shown:
        show = shown or False
        parts: dict[str, Callable[[], Result]] = {
            "Information": lambda: information(task, keys["information"], at=point, progress=show),
            "Specification test": lambda: specification_test(task, fit, keys["specification"], progress=show),
            "Profiles": lambda: profiles(task, fit, keys["profiles"], budget=calls, progress=show),
            "Robust set": lambda: robust_set(task, keys["set"], fit=fit, budget=calls, progress=show),
            "Walks": lambda: walks(task, fit, keys["walk"], budget=calls, progress=show),
            "Equivalent fits": lambda: equivalents(fit, keys["equivalents"], progress=show),
            "Placebo fits": lambda: placebo(
                task, fit.by, keys["placebo"], budget=calls, fit=fit, folder=folder, progress=show
            ),
        }
        beside = tuple(_made(title, make) for title, make in parts.items())
    return identify(task, fit, keys["identify"], beside=beside)


def _made(title: str, make: Callable[[], Result]) -> Result:
    try:
        return make()
    except (MethodError, ProblemError) as error:
        return LeftOut(title, str(error))
