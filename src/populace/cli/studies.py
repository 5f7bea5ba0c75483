"""`populace studies`: the list of studies."""

from typing import Annotated

import typer

from .speak import print_record, speak


def studies(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False) -> None:
    """List the studies that `populace study NAME` runs."""
    from ..studies.registry import STUDIES

    if as_json:
        print_record({name: entry.text for name, entry in STUDIES.items()})
        return
    width = max(map(len, STUDIES))
    speak(*(f"{name:<{width}}  {entry.text}" for name, entry in STUDIES.items()))
