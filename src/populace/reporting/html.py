"""One HTML file that carries everything it shows: no scripts, nothing loaded from elsewhere."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure as Drawing

from populace._results import Cell, Code, Figure, Panel, Section, Table, Verdict
from populace.reporting import cells, svg
from populace.reporting.figures import columns, draw_each
from populace.reporting.manifest import spread
from populace.reporting.panels import remarks
from populace.reporting.sheet import SHEET
from populace.reporting.tones import tone, tone_of_word

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_PER_CENT = re.compile(r"(?<=\d) %")


def page(
    title: str,
    sections: Sequence[Section],
    *,
    subtitle: str = "",
    manifest: Mapping[str, Any] | None = None,
    headline: Sequence[str] = (),
) -> str:
    """Sections as one HTML page, the same bytes for the same sections.

    **Arguments:** `title`, `subtitle`: above everything; `headline`: the sentences a reader in a hurry reads;
    `manifest`: what produced the page (versions, seeds, settings), set as a small table at its foot; mappings in
    it are spread over dotted names.

    **Returns:** the text of the file.
    """
    headline = [headline] if isinstance(headline, str) else headline
    anchors = [f"part-{i + 1}" for i in range(len(sections))]
    body = [
        _header(title, subtitle, headline),
        _contents(sections, anchors),
        "<main>",
        *(_section(section, anchor) for section, anchor in zip(sections, anchors, strict=True)),
        "</main>",
        _footer(manifest or {}),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{_text(title)}</title>",
            f"<style>{SHEET}</style>",
            "</head>",
            "<body>",
            '<div class="page">',
            *(part for part in body if part),
            "</div>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _text(text: object) -> str:
    """Escaped, a per cent sign kept with its number, without the control characters that no HTML file may hold."""
    text = _PER_CENT.sub("\N{NO-BREAK SPACE}%", str(text))
    return escape(_CONTROL.sub("\ufffd", text))


def _header(title: str, subtitle: str, headline: Sequence[str]) -> str:
    parts = ["<header>", f"<h1>{_text(title)}</h1>"]
    if subtitle:
        parts.append(f'<p class="subtitle">{_text(subtitle)}</p>')
    if headline:
        parts.append('<div class="headline">' + "".join(f"<p>{_text(line)}</p>" for line in headline) + "</div>")
    return "\n".join([*parts, "</header>"])


def _contents(sections: Sequence[Section], anchors: Sequence[str]) -> str:
    if len(sections) < 2:
        return ""
    items = [f'<li><a href="#{a}">{_text(s.title)}</a></li>' for s, a in zip(sections, anchors, strict=True)]
    return '<nav aria-label="Contents"><ol>' + "".join(items) + "</ol></nav>"


def _section(section: Section, anchor: str) -> str:
    parts = [f'<section id="{anchor}" aria-labelledby="{anchor}-title">']
    parts.append(f'<h2 id="{anchor}-title">{_text(section.title)}</h2>')
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in section.text]
    if section.verdicts:
        parts.append('<ul class="cards">' + "\n".join(_card(verdict) for verdict in section.verdicts) + "</ul>")
    parts += [_figure(figure, f"{anchor}-f{i + 1}-") for i, figure in enumerate(section.figures)]
    parts += [_table(table, f"{anchor}-t{i + 1}") for i, table in enumerate(section.tables)]
    return "\n".join([*parts, "</section>"])


def badge(word: str, name: str, mark: str) -> str:
    """A class as a coloured word with a mark, so that it is never told by colour alone."""
    return f'<span class="badge {name}"><span class="mark" aria-hidden="true">{mark}</span>{_text(word)}</span>'


def _badge(code: Code) -> str:
    return badge(code.value, tone(code).value, tone(code).mark)


def _card(verdict: Verdict) -> str:
    parts = [f'<li class="card"><header><h3>{_text(verdict.subject)}</h3>{_badge(verdict.code)}</header>']
    parts.append(f"<p>{_text(verdict.sentence)}</p>")
    if verdict.code.mend:
        parts.append(f'<p class="mend"><b>What to do:</b> {_text(verdict.code.mend)}.</p>')
    if verdict.numbers:
        rows = (
            f"<div><dt>{_text(name)}</dt><dd>{_text(cells.number(value))}</dd></div>"
            for name, value in verdict.numbers.items()
        )
        parts.append(f'<dl class="numbers">{"".join(rows)}</dl>')
    return "".join([*parts, "</li>"])


def _figure(figure: Figure, prefix: str) -> str:
    panels = [
        _panel(panel, drawing, f"{prefix}p{i + 1}-", figure)
        for i, (panel, drawing) in enumerate(zip(figure.panels, draw_each(figure), strict=True))
    ]
    alone = ' class="alone"' if len(panels) == 1 else ""
    caption = f"<figcaption>{_text(figure.caption)}</figcaption>" if figure.caption else ""
    inner = "\n".join(panels)
    return f'<figure{alone}><div class="panels across-{columns(figure)}">\n{inner}\n</div>{caption}</figure>'


def _panel(panel: Panel, drawing: Drawing, prefix: str, figure: Figure) -> str:
    label = ". ".join(part.rstrip(".") for part in (panel.title, figure.caption) if part) or figure.name
    heading = f"<h3>{_text(panel.title)}</h3>" if panel.title else ""
    below = remarks(panel)
    note = f'<p class="note">{_text(below)}</p>' if below else ""
    return f'<div class="panel">{heading}{svg.inline(drawing, prefix, _text(label))}{note}</div>'


def _table(table: Table, anchor: str) -> str:
    numeric = [cells.is_numeric([row[j] for row in table.rows]) for j in range(len(table.columns))]
    texts = [cells.column([row[j] for row in table.rows]) for j in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{_right(right)}>{_text(name)}</th>' for name, right in zip(table.columns, numeric, strict=True)
    )
    rows = []
    for i, row in enumerate(table.rows):
        inner = [_cell(value, texts[j][i], numeric[j], first=j == 0) for j, value in enumerate(row)]
        rows.append(f"<tr>{''.join(inner)}</tr>")
    caption = f'<caption id="{anchor}">{_text(table.title)}</caption>'
    note = f'<p class="note">{_text(table.note)}</p>' if table.note else ""
    return (
        f'<div class="scroll" role="region" aria-labelledby="{anchor}" tabindex="0"><table>{caption}'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>" + "\n".join(rows) + f"</tbody></table>{note}</div>"
    )


def _cell(value: Cell, text: str, right: bool, *, first: bool) -> str:
    found = tone_of_word(value)
    shown = badge(text, found.value, found.mark) if found else _text(text)
    right = right or (cells.is_number(value) and not first)
    return f'<th scope="row"{_right(right)}>{shown}</th>' if first else f"<td{_right(right)}>{shown}</td>"


def _right(right: bool) -> str:
    return ' class="num"' if right else ""


def _footer(manifest: Mapping[str, Any]) -> str:
    if not manifest:
        return ""
    rows = [f'<tr><th scope="row">{_text(k)}</th><td>{_text(v)}</td></tr>' for k, v in spread(manifest)]
    return (
        '<footer><div class="scroll"><table><caption>What made this page</caption>'
        f"<tbody>{''.join(rows)}</tbody></table></div></footer>"
    )
