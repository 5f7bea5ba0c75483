"""How every verb ends: an error raised on purpose is one sentence and status 1; any other keeps its traceback."""

from typing import Any

import typer
from typer.core import TyperCommand

from .._errors import PopulaceError
from .speak import complain, print_record

FAILED, INTERRUPTED = 1, 130


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in work of which something is kept; the message says what."""


class Verb(TyperCommand):
    """A command whose errors are for people. `--debug` lets them through with their traceback.

    With `--json` (a parameter `as_json`) the error is the last line of standard output too.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        if ctx.find_root().params.get("debug"):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except PopulaceError as error:
            _report(ctx, type(error).__name__, str(error))
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as error:
            _report(ctx, "KeyboardInterrupt", str(error) or "interrupted: nothing was written")
            raise typer.Exit(INTERRUPTED) from error


def _report(ctx: Any, kind: str, message: str) -> None:
    complain(message)
    if ctx.params.get("as_json"):
        print_record({"error": {"type": kind, "message": message}})
