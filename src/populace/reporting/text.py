"""Sections for a terminal."""

import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from populace._results import Figure, Section, Table, Verdict
from populace.reporting import cells
from populace.reporting.tones import Tone, tone, tone_of_word

_STYLES = {Tone.GOOD: "green", Tone.CARE: "yellow", Tone.BAD: "bold red", Tone.QUIET: "dim"}

_HEAD = 8
"""The head of a column of numbers is folded at the width of its numbers, or at this, so that words keep the room."""


def to_terminal(sections: Sequence[Section]) -> Group:
    """Sections as `rich` renderables, for `rich.console.Console().print`.

    Verdicts carry the colour and the mark of their class; of figures there is the caption, since a terminal draws none.
    """
    parts: list[RenderableType] = []
    for section in sections:
        if parts:
            parts.append(Text())
        parts.append(Text(section.title, style="bold underline"))
        parts += [Text(paragraph) for paragraph in section.text]
        parts += [_verdict(verdict) for verdict in section.verdicts]
        parts += [_caption(figure) for figure in section.figures]
        for table in section.tables:
            parts += [Text(), *_table(table)]
    return Group(*parts)


def _verdict(verdict: Verdict) -> RenderableType:
    found = tone(verdict.code)
    style = _STYLES[found]
    text = Text.assemble(
        (f"{found.mark} ", style), (verdict.subject, "bold"), ": ", (verdict.code.value, style), "\n", verdict.sentence
    )
    if verdict.code.mend:
        text.append(f"\nWhat to do: {verdict.code.mend}.", style="italic")
    if verdict.numbers:
        shown = "  ".join(f"{name} {cells.number(value)}" for name, value in verdict.numbers.items())
        text.append(f"\n{shown}", style="dim")
    return Padding(text, (1, 0, 0, 2))


def _caption(figure: Figure) -> RenderableType:
    return Padding(Text(f"Figure: {figure.caption or figure.name}", style="dim"), (1, 0, 0, 2))


def _table(table: Table) -> list[RenderableType]:
    grid = Grid(title=Text(table.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = [[row[j] for row in table.rows] for j in range(len(table.columns))]
    texts = [cells.column(values) for values in columns]
    for name, values, shown in zip(table.columns, columns, texts, strict=True):
        right = cells.is_numeric(values)
        head = textwrap.fill(name, max(_HEAD, *map(len, shown)), break_long_words=False) if right and shown else name
        grid.add_column(Text(head), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for i, row in enumerate(table.rows):
        grid.add_row(*(_cell(value, texts[j][i]) for j, value in enumerate(row)))
    return [grid, Text(table.note, style="dim")] if table.note else [grid]


def _cell(value: object, text: str) -> Text:
    found = tone_of_word(value)
    return Text(f"{found.mark} {text}", style=_STYLES[found]) if found else Text(text)
