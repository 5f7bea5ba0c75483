"""The command `populace`: its verbs, and what stands before a verb."""

from importlib import metadata
from typing import Annotated

import typer

from .campaign import campaign
from .describe import describe
from .draw import draw
from .identify import identify
from .models import models
from .reproduce import reproduce
from .simulate import simulate
from .sites import sites
from .studies import studies
from .study import study
from .verb import Verb

app = typer.Typer(
    name="populace",
    help="Agent-based models on JAX: simulate, fit, and say what the data cannot decide.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for verb in (study, studies, reproduce, identify, models, describe, sites, simulate, draw):
    app.command(cls=Verb)(verb)
app.add_typer(campaign, name="campaign")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"populace {metadata.version('populace')}")
        raise typer.Exit


@app.callback()
def _before_the_verb(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    """Options of every verb; `Verb` reads `debug` from the context."""


def main() -> None:
    """What the command `populace` calls."""
    app()
