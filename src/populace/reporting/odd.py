"""A model described by the ODD protocol, from the model itself.

Overview, Design concepts, Details: Grimm et al. (2006, Ecological Modelling 198:115), in the second update of Grimm et
al. (2020, Journal of Artificial Societies and Social Simulation 23(2):7), whose seven elements are the seven sections.

What a program says of itself is read off it: entities, state variables, the schedule, what hangs on what, what is left
to chance, what agents see. What only an author knows is quoted from docstrings, or said to be not stated.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .._errors import ModelError
from .._results import Result, Section, Table, cell
from ..core.model import Model
from ..problem.problem import Problem
from .odd_concepts import concepts
from .odd_subject import Subject, simulation_of, subject_of
from .odd_tables import (
    changes,
    entities,
    held_arrays,
    parameter_table,
    schedule,
    settings,
    state_variables,
    submodels,
    without_bookkeeping,
)
from .odd_words import NOT_STATED, own_words


@dataclass(frozen=True)
class Description(Result):
    """The ODD protocol of a model: `of`, the name of its class; `parts`: the seven elements, and with a problem its
    priors and data.
    """

    of: str
    parts: tuple[Section, ...]

    def sections(self) -> tuple[Section, ...]:
        return self.parts

    def record(self) -> dict[str, Any]:
        return {"model": self.of, "protocol": "ODD (Grimm et al. 2020)", "elements": [_plain(p) for p in self.parts]}


def describe(subject: Model | Problem) -> Description:
    """The ODD protocol of a model, or of the model of a problem with its priors, moments and data.

    The model is traced and not run: it takes as long as one step does to trace.

    **Arguments:** `subject`: a model; or a problem, whose simulator is a `Simulation` (with observers or without).

    **Raises:** `ModelError` for a problem whose simulator is no model; `SiteError`, `StateError` as running would.
    """
    if isinstance(subject, Model):
        of, problem = subject_of(subject), None
    else:
        simulation, problem = simulation_of(subject), subject
        if simulation is None:
            raise ModelError(
                f"a simulator of kind '{subject.simulator.describe()['kind']}' cannot be read: its protocol is its "
                "author's to write; describe(model) reads what is written as a pop.Model"
            )
        of = subject_of(simulation.model, simulation.plugs, simulation.steps)
    return Description(of.name, (*_model(of, problem), *(() if problem is None else _problem(problem))))


def _model(of: Subject, problem: Problem | None) -> tuple[Section, ...]:
    return (
        _purpose(of, problem),
        _entities(of),
        _process(of),
        Section("Design concepts", tables=(concepts(of),)),
        _start(of),
        _input(of),
        Section("Submodels", text=of.details, tables=(submodels(of), parameter_table(of.model))),
    )


def _purpose(of: Subject, problem: Problem | None) -> Section:
    patterns = [*of.patterns]
    if problem is not None:
        fitted, held = (_names(problem, kind) for kind in (True, False))
        patterns.append(f"Fitted to: {', '.join(fitted)}." + (f" Held out: {', '.join(held)}." if held else ""))
    shown = " ".join(patterns) or NOT_STATED
    purpose = of.purpose or NOT_STATED
    return Section("Purpose and patterns", text=(f"{of.name}. {purpose}", f"Patterns by which it is judged: {shown}"))


def _names(problem: Problem, fitted: bool) -> list[str]:
    target = problem.target
    return list(dict.fromkeys(n for n, f in zip(target.summary.names, target.fitted, strict=True) if f == fitted))


def _entities(of: Subject) -> Section:
    steps = NOT_STATED if of.steps is None else f"{of.steps} steps."
    said = next((part for part in (of.purpose, *of.details) if "step is" in part.lower()), "")
    lasts = next((f"{s.rstrip('.')}." for s in said.split(". ") if "step is" in s.lower()), NOT_STATED)
    text = (f"Length of a run: {steps}", f"What a step is: {lasts}")
    tables = (entities(of), state_variables(of), settings(of))
    return Section("Entities, state variables and scales", text, tables=_filled(tables))


def _process(of: Subject) -> Section:
    text = [
        "`init` makes the state at time 0. Then, again and again, `step` makes the next state and `observe` says what "
        "is seen of it. A site is asked for its whole population at once: all act on what was there before."
    ]
    if of.plugs:
        around = "; ".join(f"{type(plug).__name__} at {', '.join(plug.sites()) or 'all sites'}" for plug in of.plugs)
        text.append(f"Around the sites stand: {around}.")
    if not of.traced.step:
        text.append("No site is asked in a step: what follows from the state at time 0 is certain.")
    change = changes(without_bookkeeping(of, of.traced.change), "What a step makes of each variable", "variable")
    tables = (schedule(of.traced.step, "A step, site by site"), change)
    return Section("Process overview and scheduling", tuple(text), tables=_filled(tables))


def _start(of: Subject) -> Section:
    said = own_words(type(of.model).init)
    chance = [name or "the state" for name, causes in of.traced.start.items() if causes.sites]
    which = f"By chance at time 0: {', '.join(chance)}." if chance else "The state at time 0 is the same in every run."
    tables = (
        schedule(of.traced.init, "At time 0, site by site"),
        changes(without_bookkeeping(of, of.traced.start), "What each variable starts from", "variable"),
    )
    return Section("Initialization", (" ".join(said) or NOT_STATED, which), tables=_filled(tables))


def _input(of: Subject) -> Section:
    timed = [asked.listed.path for asked in of.traced.step if asked.causes.time]
    timed += [name or "the state" for name, causes in of.traced.change.items() if causes.time]
    text = "The number of the step enters no formula: nothing from outside drives the model over time."
    if timed:
        text = f"The number of the step enters {', '.join(timed)}: what is read by it drives the model from outside."
    return Section("Input data", (text,), tables=_filled((held_arrays(of),)))


def _problem(problem: Problem) -> tuple[Section, ...]:
    target, errors = problem.target, problem.target.standard_errors
    known = [None] * len(target.labels) if errors is None else [cell(e) for e in errors]
    rows = tuple(
        (label, cell(value), error, "fitted" if fitted else "held out")
        for label, value, error, fitted in zip(target.labels, target.values, known, target.fitted, strict=True)
    )
    moments = Table("Moments of the data", ("moment", "value", "standard error", "use"), rows)
    return (
        Section("What is fitted: parameters and priors", tables=(_priors(problem),)),
        Section("What it is fitted to", text=(target.sentence(),), tables=(moments,)),
    )


def _priors(problem: Problem) -> Table:
    low, high = (np.asarray(end) for end in problem.space.bounds())
    known, families = problem.simulator.parameters(), problem.space.describe()
    rows, place = [], 0
    for name, shape in problem.space.shapes.items():
        many = int(np.prod(shape))
        family = families[name]["family"]
        numbers = ", ".join(x if isinstance(x, str) else f"{x:g}" for x in families[name]["numbers"][:6])
        ends = cell(float(low[place : place + many].min())), cell(float(high[place : place + many].max()))
        unit = known[name].unit if name in known else ""
        rows.append((name, f"{family[0]}({numbers})", *ends, unit))
        place += many
    return Table("Priors", ("parameter", "prior", "from", "to", "unit"), tuple(rows))


def _filled(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    return tuple(table for table in tables if table.rows)


def _plain(section: Section) -> dict[str, Any]:
    tables = [{"title": t.title, "columns": list(t.columns), "rows": [list(r) for r in t.rows]} for t in section.tables]
    return {"title": section.title, "text": list(section.text), "tables": tables}
