"""What verbs print: text for people, one JSON line for programs.

With `--json` standard output holds the JSON line only, and the text for people goes to standard error.
"""

import json
import os
from typing import Any

import typer

_WIDTH = 120


def speak(*parts: Any, aside: bool = False) -> None:
    """Print text or `rich` renderables; `aside`: on standard error, because standard output is for programs.

    Where no terminal reads, tables are laid out for `_WIDTH` columns and text is not folded.
    """
    from rich.console import Console

    console = Console(stderr=aside, highlight=False, markup=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str) and not console.is_terminal)


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
