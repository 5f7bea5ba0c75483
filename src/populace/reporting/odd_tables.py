"""The tables of an ODD protocol: entities, state variables, schedule, changes, submodels, parameters."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import equinox as eqx
import numpy as np

from .._results import Cell, Table
from ..core.model import Model, Parameter, parameters
from ..core.population import Population
from .odd_subject import Subject
from .odd_trace import Asked, Causes, variables
from .odd_words import first_sentence, name_of, own_words, words_of_rule
from .odd_worlds import children

_KINDS = {
    "bernoulli": "chance: yes or no",
    "binomial": "chance: successes of trials",
    "poisson": "chance: a count",
    "geometric": "chance: trials until the first success",
    "exponential": "chance: a waiting time",
    "normal": "chance: a Gaussian number",
    "uniform": "chance: a number evenly spread",
    "categorical": "chance: one of several options",
    "subset": "chance: a subset",
    "permutation": "chance: a random order",
    "threshold": "kink: above a threshold",
    "top_k": "kink: the largest scores",
    "sort": "kink: a rising order",
    "match": "kink: the best assignment",
}
_UNWRITTEN = "No docstring."


def entities(subject: Subject) -> Table:
    """The parts of the state that are modules, and the worlds that they live in."""
    rows = []
    for path, node in _modules(subject.traced.empty, ""):
        arrays = variables(node)
        leading = {each.shape[0] for each in arrays if each.shape}
        many = f"room for {node.capacity}" if isinstance(node, Population) else _many(leading)
        said = first_sentence(own_words(type(node))) or _UNWRITTEN
        rows.append((path or "the state", type(node).__name__, many, said))
    if not rows:
        leading = {each.shape[0] for each in subject.traced.state if each.shape}
        rows.append(("the state", "arrays", _many(leading), "No module names it."))
    rows += [(name, type(world).__name__, _size(world), f"{text}.") for name, (world, text) in subject.worlds.items()]
    return Table("Entities", ("entity", "kind", "how many", "what it is"), tuple(rows))


def state_variables(subject: Subject) -> Table:
    """Each array of the state: shape, the names of its axes where annotated, dtype."""
    axes = {}
    for path, node in _modules(subject.traced.empty, ""):
        for each in dataclasses.fields(node):
            axes[f"{path}.{each.name}" if path else each.name] = getattr(each.type, "dim_str", "").strip()
    rows = tuple(
        (each.name or "the state", each.size, axes.get(each.name, "") or "not named", each.dtype)
        for each in subject.traced.state
    )
    note = "A model states units of its parameters only: those of state variables are not stated."
    return Table("State variables", ("variable", "shape", "axes", "numbers"), rows, note=note)


def settings(subject: Subject) -> Table:
    """What fixes sizes and shapes: the plain numbers that a model holds beside its parameters."""
    model = subject.model
    held = [(each.name, getattr(model, each.name, None)) for each in dataclasses.fields(model)]
    rows: list[tuple[Cell, ...]] = [(name, value) for name, value in held if isinstance(value, int | float | str)]
    return Table("Settings", ("setting", "value"), tuple(rows))


def schedule(asked: tuple[Asked, ...], title: str) -> Table:
    """Sites in the order in which they are asked, and what each hangs on."""
    rows = tuple((place + 1, *_asked(each)) for place, each in enumerate(asked))
    columns = ("order", "site", "what", "population", "of whom", "parameters", "state", "sites and worlds")
    note = "What a site hangs on is what stands in its formula, its mask or its view directly."
    return Table(title, columns, rows, note=note)


def _asked(asked: Asked) -> tuple[Cell, ...]:
    row, causes = asked.listed, asked.causes
    what = _KINDS.get(row.kind, row.kind) if asked.rule is None else f"decision: rule {name_of(asked.rule)}"
    many = " x ".join(map(str, row.shape)) or "one"
    many = many if row.repeats == 1 else f"{many}, {row.repeats} times"
    whom = "those of a mask" if asked.masked else "all"
    return (row.path, what, many, whom, *_cells(causes))


def changes(of: Mapping[str, Causes], title: str, variable: str) -> Table:
    """State variables or observations, and what each hangs on."""
    rows = tuple((name or "the state", *_cells(causes)) for name, causes in of.items())
    return Table(title, (variable, "parameters", "state", "sites and worlds"), rows)


def without_bookkeeping(subject: Subject, of: Mapping[str, Causes]) -> dict[str, Causes]:
    """`of` less what a population counts for itself: identities, how many there have been and were wanted at once."""
    found = [path for path, node in _modules(subject.traced.empty, "") if isinstance(node, Population)]
    counts = {f"{path}.{name}" if path else name for path in found for name in ("identity", "born", "needed")}
    return {name: causes for name, causes in of.items() if name not in counts}


def _cells(causes: Causes) -> tuple[str, ...]:
    others = [*causes.sites, *causes.world, *(["the step's number"] if causes.time else [])]
    state = [name or "the state" for name in causes.state]
    return tuple(", ".join(names) for names in (causes.parameters, state, others))


def submodels(subject: Subject) -> Table:
    """Methods of the model's own class and rules at decisions, with what is written about each."""
    rows: list[tuple[Cell, ...]] = []
    for name, method in _methods(type(subject.model)):
        rows.append((name, "method", " ".join(own_words(method)) or _UNWRITTEN))
    names = {row[0] for row in rows}
    for asked in subject.traced.asked():
        if asked.rule is not None and name_of(asked.rule) not in names:
            said = " ".join(words_of_rule(asked.rule)) or _UNWRITTEN
            rows.append((name_of(asked.rule), f"rule at {asked.listed.path}", said))
    return Table("Submodels", ("submodel", "what", "what is written about it"), tuple(rows))


def parameter_table(model: Model) -> Table:
    """Every parameter: value, unit, domain, meaning."""
    rows = tuple(
        (p.name, value_of(p), p.unit, str(p.domain), p.doc or "not stated") for p in parameters(model).values()
    )
    columns = ("parameter", "value", "unit", "domain", "meaning")
    return Table("Parameters", columns, rows, note="An empty unit is none, or one that is not stated.")


def value_of(parameter: Parameter) -> Cell:
    """A parameter's number, or the range of its numbers."""
    value = np.asarray(parameter.value, np.float64)
    if value.ndim == 0:
        return float(f"{float(value):.7g}")
    if not value.size:
        return "empty"
    return f"{' x '.join(map(str, value.shape))} numbers, {value.min():g} to {value.max():g}"


def held_arrays(subject: Subject) -> Table:
    """Arrays of the model that are no parameters: what it is built with."""
    known = parameters(subject.model)
    arrays = eqx.filter(subject.model, eqx.is_array)
    rows: dict[str, list[int]] = {}
    for each in variables(arrays):
        if each.name not in known:
            rows.setdefault(each.name.partition(".")[0], []).append(int(np.prod(each.shape)))
    found = tuple((name, len(sizes), sum(sizes)) for name, sizes in rows.items())
    return Table("What the model is built with", ("part", "arrays", "numbers"), found)


def _modules(tree: Any, path: str) -> Iterator[tuple[str, eqx.Module]]:
    """The modules of a state by their place in it, those of the library's own (worlds, seats, sets) left whole."""
    if isinstance(tree, eqx.Module):
        yield path, tree
        if type(tree).__module__.startswith("populace.interact"):
            return
    for name, child in children(tree):
        yield from _modules(child, f"{path}.{name}" if path else name)


def _methods(cls: type) -> list[tuple[str, Any]]:
    """The functions that the class or one of its parents defines, those of the library's base left out."""
    found: dict[str, Any] = {}
    for one in reversed(cls.__mro__):
        if one.__module__.startswith(("populace.core", "equinox", "builtins", "abc")):
            continue
        found |= {name: each for name, each in vars(one).items() if inspect.isfunction(getattr(each, "__func__", each))}
    return [(name, getattr(each, "__func__", each)) for name, each in found.items() if not name.startswith("__")]


def _many(leading: set[int]) -> str:
    return " or ".join(map(str, sorted(leading))) or "one"


def _size(world: Any) -> str:
    size = getattr(world, "size", None)
    return "one" if size is None else str(size)
