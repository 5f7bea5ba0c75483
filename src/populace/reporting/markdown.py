"""Sections as Markdown (the GitHub flavour, for its tables)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from populace._results import Section, Table, Verdict
from populace.reporting import cells
from populace.reporting.manifest import spread
from populace.reporting.tones import tone, tone_of_word

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")
_LIST = re.compile(r"^(\d*)([-+.)](?=\s))")


def to_markdown(
    sections: Sequence[Section],
    *,
    title: str = "",
    subtitle: str = "",
    manifest: Mapping[str, Any] | None = None,
    headline: Sequence[str] = (),
) -> str:
    """Sections as one Markdown text; of figures there is the caption.

    **Arguments:** as for `page`; without a `title` the text starts at its first section.
    """
    blocks = [f"# {_text(title)}"] if title else []
    blocks += [f"*{_text(subtitle)}*"] if subtitle else []
    blocks += [f"**{_text(line)}**" for line in ([headline] if isinstance(headline, str) else headline)]
    for section in sections:
        blocks.append(f"## {_text(section.title)}")
        blocks += [_text(paragraph) for paragraph in section.text]
        if section.verdicts:
            blocks.append("\n".join(_verdict(verdict) for verdict in section.verdicts))
        blocks += [f"*Figure: {_text(figure.caption or figure.name)}*" for figure in section.figures]
        blocks += [_table(table) for table in section.tables]
    if manifest:
        rows = tuple(spread(manifest))
        blocks += ["---", _table(Table("What made this page", ("name", "value"), rows))]
    return "\n\n".join(blocks) + "\n"


def _text(text: object) -> str:
    """Escaped, on one line, and never the start of a list."""
    flat = _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
    return _LIST.sub(r"\1\\\2", flat)


def _verdict(verdict: Verdict) -> str:
    lines = [
        f"- {tone(verdict.code).mark} **{_text(verdict.subject)}: {verdict.code.value}.** {_text(verdict.sentence)}"
    ]
    if verdict.code.mend:
        lines.append(f"  *What to do: {_text(verdict.code.mend)}.*")
    if verdict.numbers:
        shown = ", ".join(f"{_text(name)} {cells.number(value)}" for name, value in verdict.numbers.items())
        lines.append(f"  ({shown})")
    return "  \n".join(lines)


def _table(table: Table) -> str:
    columns = [[row[j] for row in table.rows] for j in range(len(table.columns))]
    texts = [[_cell(v, t) for v, t in zip(values, cells.column(values), strict=True)] for values in columns]
    rules = ["---:" if cells.is_numeric(values) else "---" for values in columns]
    lines = [_row([_text(name) for name in table.columns]), _row(rules)]
    lines += [_row([column[i] for column in texts]) for i in range(len(table.rows))]
    blocks = [f"**{_text(table.title)}**", "\n".join(lines)]
    return "\n\n".join([*blocks, _text(table.note)] if table.note else blocks)


def _cell(value: object, text: str) -> str:
    found = tone_of_word(value)
    return f"{found.mark} {_text(text)}" if found else _text(text)


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
