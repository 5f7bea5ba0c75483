"""One run of a model of Mesa, as it stands. It imports no JAX, and Mesa comes with the model."""

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import UnknownNameError, did_you_mean


@dataclass(frozen=True, eq=False)
class MesaRun:
    """One run, given numbers by name and a seed: see `MesaModel`.

    `reporters`: the series to observe, where no function does; `seed_name`: what the constructor calls its seed.
    """

    model: type
    steps: int
    reporters: tuple[str, ...]
    observe: Callable[[Any], Mapping[str, Any]] | None
    fixed: Mapping[str, Any]
    convert: Mapping[str, Callable[[float], Any]]
    seed_name: str

    def alone(self, parameters: dict[str, Any], seed: int) -> Mapping[str, Any]:
        """One run."""
        given = {name: self.convert.get(name, _same)(value) for name, value in parameters.items()}
        with _seeded(seed):
            made = self.model(**{**self.fixed, **given, self.seed_name: seed})
            left = self.steps
            while left and made.running:
                made.step()
                left -= 1
            return self._series(made, left) if self.observe is None else self.observe(made)

    def _series(self, made: Any, left: int) -> dict[str, Any]:
        """What the model collected; where it stopped early, the last value stands for the steps that were left."""
        known = made.datacollector.model_vars
        for name in self.reporters:
            if name not in known:
                raise UnknownNameError(f"the model has no reporter '{name}'; {did_you_mean(name, list(known))}")
        return {name: [*known[name], *[known[name][-1]] * left] for name in self.reporters}


def _same(value: Any) -> Any:
    return value


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and numpy's common generators start from the seed, and are afterwards as they were.

    A model that draws from these beside its own, as a random graph of networkx does, repeats itself then too.
    """
    kept = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
