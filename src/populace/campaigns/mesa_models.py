"""Models of Mesa (ter Hoeven et al., 2025, Journal of Open Source Software) as simulators, as they stand."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx

from .._errors import SimulatorError, UnknownParameterError, did_you_mean
from .._types import Key, Parameters
from ..core.executor import Ticker
from ..core.fingerprint import fingerprint
from ..core.model import Parameter
from ..problem.simulators import Batch, source_hash
from ..problem.simulators import Callable as CallableSimulator
from .mesa_run import MesaRun
from .outside import RunByRun, numbers
from .worker import Seeded

_SEEDS = ("rng", "seed")


class MesaModel(RunByRun):
    """A model of Mesa 3 as a simulator: its class, unchanged.

        pop.MesaModel(Schelling, steps=20, observe=["pct_happy"], fixed={"width": 30}, convert={"radius": round})

    Parameters go to the constructor by name, and so does the run's seed, as `rng` or `seed`, whichever it takes.
    Python's and numpy's common generators are seeded too, and put back afterwards. Observations are series of the
    model's `DataCollector`, with the value at the start where it collects one; where the model stops early (`running`
    is False) its last values stand for the steps that are left. Runs are made in this process, one at a time;
    `InProcesses(MesaModel(...))` makes them in others.

    **Arguments:** `observe`: names of model reporters, or a function from the model after its last step to a dict of
    arrays; `fixed`: arguments that are the same in every run, of any kind; `convert`: name to a function of its number,
    `{"agents": round}`, where the constructor wants another thing than a float.

    **Raises:** `SimulatorError` for a class whose constructor takes no seed; `UnknownParameterError` for a name that
    the constructor does not take.
    """

    run: MesaRun = eqx.field(static=True)

    def __init__(
        self,
        model: type,
        steps: int,
        observe: Sequence[str] | Callable[[Any], Mapping[str, Any]],
        *,
        fixed: Mapping[str, Any] | None = None,
        convert: Mapping[str, Callable[[float], Any]] | None = None,
    ):
        if not inspect.isclass(model) or not callable(getattr(model, "step", None)):
            raise SimulatorError(f"a model of Mesa is given as its class, not {model!r}")
        if isinstance(observe, str) or not (callable(observe) or observe):
            raise SimulatorError("observe is a list of names of model reporters, or a function of the model")
        names, function = ((), observe) if callable(observe) else (tuple(observe), None)
        self.run = MesaRun(model, steps, names, function, dict(fixed or {}), dict(convert or {}), _seed_name(model))
        known, (_, open_ended) = _signature(model), _arguments(model)
        for name in (*self.run.fixed, *self.run.convert):
            if name not in known and not open_ended:
                raise UnknownParameterError(f"{model.__name__} takes no '{name}'; {did_you_mean(name, list(known))}")

    def parameters(self) -> Mapping[str, Parameter]:
        known, open_ended = _arguments(self.run.model)
        return {} if open_ended else numbers({k: v for k, v in known.items() if k not in self.run.fixed})

    def one(self) -> Seeded:
        return Seeded(self.run.alone)

    def simulate(self, parameters: Parameters, keys: Key, ticker: Ticker) -> Batch:
        return CallableSimulator(self.one()).simulate(parameters, keys, ticker)

    def describe(self) -> dict[str, Any]:
        run = self.run
        return {
            "kind": "mesa",
            "model": run.model.__qualname__,
            "source": _source(run.model),
            "steps": run.steps,
            "observe": list(run.reporters) if run.observe is None else fingerprint(run.observe),
            "fixed": fingerprint(run.fixed),
            "convert": fingerprint(run.convert),
        }


def _arguments(model: type) -> tuple[dict[str, float], bool]:
    """The numbers that the constructor takes, with their defaults (0 where it has none); whether it takes any name."""
    taken: dict[str, float] = {}
    for name, argument in _signature(model).items():
        if argument.kind is argument.VAR_KEYWORD:
            return taken, True
        if argument.kind is not argument.VAR_POSITIONAL and name not in _SEEDS:
            default = 0.0 if argument.default in (argument.empty, None) else argument.default
            if isinstance(default, (int, float)) and not isinstance(default, bool):
                taken[name] = float(default)
    return taken, False


def _signature(model: type) -> Mapping[str, inspect.Parameter]:
    return dict(list(inspect.signature(model.__init__).parameters.items())[1:])


def _seed_name(model: type) -> str:
    """What the constructor calls its seed: its own word, or that of the class to which it hands the rest on."""
    for each in model.__mro__:
        if "__init__" in vars(each):
            taken = _signature(each)
            for name in _SEEDS:
                if name in taken and not (each is not model and name == "rng" and "seed" in taken):
                    return name
            if not any(argument.kind is argument.VAR_KEYWORD for argument in taken.values()):
                break
    raise SimulatorError(
        f"the constructor of {model.__name__} takes neither 'seed' nor 'rng', so that no run of it can be repeated: "
        "let it take one, and hand it to Model's own constructor"
    )


def _source(model: type) -> str:
    """A hash of the code of the model: of its file, and of those beside it from which this takes anything, and so on.

    Of a class that stands in no file, as in a notebook, its own code.
    """
    files: dict[Path, str] = {}
    waiting = [model.__module__]
    while waiting:
        module = sys.modules.get(waiting.pop())
        name = None if module is None else getattr(module, "__file__", None)
        if name is None or Path(name) in files or not Path(name).is_file():
            continue
        if files and Path(name).parent != next(iter(files)).parent:
            continue
        files[Path(name)] = Path(name).read_text(encoding="utf-8")
        for value in vars(module).values():
            waiting.append(value.__name__ if inspect.ismodule(value) else str(getattr(value, "__module__", "")))
    if not files:
        return source_hash(model)
    texts = [files[path] for path in sorted(files)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
