"""`populace describe`: the ODD protocol of a model."""

from pathlib import Path
from typing import Annotated

import typer

from .speak import print_record, speak
from .which import WHICH, which


def describe(
    model: Annotated[str, typer.Argument(help=WHICH)],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter or a setting of the model; may be repeated."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write: .md, .html, .json or .csv.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Describe a model by the ODD protocol: purpose, entities, schedule, design concepts, submodels, parameters."""
    from ..reporting import to_terminal, write
    from ..reporting.odd import describe as described
    from .assign import assigned

    made, settings = assigned(which(model), assignments or [])
    found = described(made)
    files = ()
    if out is not None:
        files = write(found, out, title=f"{found.of}: ODD protocol", manifest={"model": model, "settings": settings})
    if not as_json and not files:
        speak(to_terminal(found.sections()))
    speak(*(f"written: {file}" for file in files), aside=as_json)
    if as_json:
        print_record(found.record())
