"""`populace sites`: every chance event and choice of a model."""

from typing import Annotated

import typer

from .speak import print_record, speak
from .which import WHICH, which


def sites(
    model: Annotated[str, typer.Argument(help=WHICH)],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """List a model's sites, and where a gradient is lost on its way from each to the observations."""
    from ..core.sites import sites as listed
    from ..reporting.text import to_terminal

    found = listed(which(model).make())
    if as_json:
        print_record(found.record())
    else:
        speak(to_terminal(found.sections()))
