"""Every exception that populace raises on purpose.

    PopulaceError
    ├── ModelError                 the model, as written, cannot be run
    │   ├── SiteError              a site is misused: duplicate name, shape, foreign trace
    │   ├── UnknownSiteError       no site has that name
    │   ├── ParameterError
    │   │   ├── UnknownParameterError
    │   │   └── DomainError        a value, or a prior, outside the parameter's domain
    │   └── StateError             the state changes structure, shape or dtype between steps
    ├── RunError                   a run started and could not be trusted
    │   ├── FaultError             a site was given a number outside its distribution's domain
    │   └── CapacityError          a population outgrew its arrays; the message says the capacity to use
    ├── ProblemError
    │   ├── SpaceError             priors and parameters do not fit each other
    │   ├── TargetError            data, moments and covariance do not fit each other
    │   └── SimulatorError         a simulator returned something else than it should
    ├── MethodError                a method cannot work on this problem or budget
    ├── GradientError              a loss cannot be differentiated, or not in this way
    ├── CheckpointError            a checkpoint is of other work, or cannot be read
    ├── StoreError                 a store of runs cannot be reached, read or written
    ├── OutputError                a result cannot be written where it was asked for
    ├── UnknownNameError           no model, study or file kind of that name
    └── MissingExtraError          an optional package is not installed

Each message says what is wrong and what mends it.
"""


class PopulaceError(Exception):
    """The root: `except PopulaceError` catches everything raised on purpose."""


class ModelError(PopulaceError):
    """The model, as written, cannot be run."""


class SiteError(ModelError):
    """A site is misused: a duplicate name, a shape that does not fit, a draw in a foreign trace."""


class UnknownSiteError(ModelError):
    """No site of the model has the name that was given."""


class ParameterError(ModelError):
    """A parameter is declared or set wrongly."""


class UnknownParameterError(ParameterError):
    """No parameter of the model has the name that was given."""


class DomainError(ParameterError):
    """A value, or part of a prior, lies outside the parameter's domain."""


class StateError(ModelError):
    """The state changes structure, shape or dtype between steps."""


class RunError(PopulaceError):
    """A run started and its numbers cannot be trusted."""


class FaultError(RunError):
    """A site was given a number outside its distribution's domain (a NaN, a probability above 1)."""


class CapacityError(RunError):
    """A population outgrew its arrays; the message names the capacity to use."""


class ProblemError(PopulaceError):
    """Simulator, space and target do not make a problem."""


class SpaceError(ProblemError):
    """Priors and parameters do not fit each other."""


class TargetError(ProblemError):
    """Data, moments and covariance do not fit each other."""


class SimulatorError(ProblemError):
    """A simulator returned something else than it should."""


class MethodError(PopulaceError):
    """A method cannot work on this problem or within this budget."""


class GradientError(PopulaceError):
    """A loss cannot be differentiated, or not in this way."""


class CheckpointError(PopulaceError):
    """A checkpoint belongs to other work, or cannot be read."""


class StoreError(PopulaceError):
    """A store of runs cannot be reached, read or written; what was stored before is safe."""


class OutputError(PopulaceError):
    """A result cannot be written where it was asked for."""


class UnknownNameError(PopulaceError):
    """No model, study or kind of file has the name that was given."""


class MissingExtraError(PopulaceError):
    """An optional package is needed and not installed; the message names the extra."""

    def __init__(self, package: str, extra: str):
        super().__init__(f"this needs the package '{package}': pip install 'populace[{extra}]'")


def did_you_mean(name: str, known: list[str] | tuple[str, ...]) -> str:
    """The end of a message about an unknown name: the nearest known name, and the list."""
    import difflib

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    listed = ", ".join(f"'{k}'" for k in known) if known else "none"
    return f"{hint}known: {listed}"
