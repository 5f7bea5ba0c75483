"""What verbs print: text for people, one JSON line for programs.

With `--json` standard output holds the JSON line only, and the text for people goes to standard error.
"""

import json
import sys
from typing import Any

import typer


def speak(*parts: Any, aside: bool = False) -> None:
    """Print text or `rich` renderables; `aside`: on standard error, because standard output is for programs."""
    from rich.console import Console

    console = Console(stderr=aside, highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    for part in parts:
        console.print(part)


def complain(message: str) -> None:
    """One red sentence on standard error."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    console.print(Text(f"error: {message}", style="red"), soft_wrap=True)


def print_record(record: Any) -> None:
    """`record` as one line of strict JSON on standard output.

    **Raises:** `OutputError` when it holds what JSON does not have.
    """
    from ..reporting.record import to_json

    typer.echo(json.dumps(json.loads(to_json(record)), ensure_ascii=False))
