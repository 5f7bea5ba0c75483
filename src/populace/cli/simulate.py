"""`populace simulate`: one run of a model."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .speak import print_record, speak
from .which import WHICH, which

if TYPE_CHECKING:
    from ..core.simulate import Run


def simulate(
    model: Annotated[str, typer.Argument(help=WHICH)],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter or a setting of the model; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many steps.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same run.")] = 0,
    every: Annotated[int, typer.Option(min=1, help="Keep the observations of every so many steps.")] = 1,
    out: Annotated[Path | None, typer.Option(help="The file to write: .csv, .nc or .json.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Run a model once and write what was observed, step by step."""
    began = time.monotonic()
    from .assign import assigned
    from .series import check_kind, write_series

    entry = which(model)
    if out is not None:
        check_kind(out)

    import jax

    from ..core.model import parameters
    from ..core.record import EveryStep
    from ..core.simulate import simulate as simulated
    from ..reporting.text import to_terminal

    made, settings = assigned(entry, assignments or [])
    run = simulated(made, jax.random.key(seed), steps, record=EveryStep(every))
    about = {
        "model": model,
        "parameters": {name: p.value.tolist() for name, p in parameters(made).items()},
        "settings": settings,
        "seed": seed,
        "steps": steps,
        "every": every,
    }
    if out is not None:
        from ..campaigns.manifest import environment
        from ..problem.simulators import source_hash

        source = {"model": type(made).__qualname__, "source": source_hash(type(made))}
        write_series(run, out, {**about, "manifest": {**environment(), **source}})
    speak(to_terminal(run.sections()), *([f"written: {out}"] if out is not None else []), aside=as_json)
    if as_json:
        where = None if out is None else str(out)
        print_record({"seconds": round(time.monotonic() - began, 3), **about, "out": where, **_last(run)})


def _last(run: "Run") -> dict[str, Any]:
    """How many observations a run has, and the last of them."""
    record = run.record()
    last = {name: rows[-1] for name, rows in record["observations"].items() if rows}
    return {"rows": len(record["times"]), "last": last}
