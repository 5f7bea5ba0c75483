"""Figures as SVG: files that stand alone, and fragments that live inside a page."""

import io
import re

from matplotlib.figure import Figure as Drawing

from populace.reporting.style import styled

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}  # the same figure, the same bytes
_ID = re.compile(r'\sid="([^"]*)"')
_REFERENCE = re.compile(r'(?:xlink:href="#|url\(#)([^")]*)')
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # characters that no HTML file may hold
_LONG = re.compile(r"(-?\d+\.\d\d)\d+")
_PATH = re.compile(r'(?<=\sd=")[^"]*(?=")')
_PLACE = re.compile(r'(?<=\s)[xy]="[^"]*"')


def standalone(drawing: Drawing) -> bytes:
    """The figure as a file, its letters as outlines, so that it looks alike everywhere."""
    with styled():
        return _save(drawing).encode()


def inline(drawing: Drawing, prefix: str, label: str) -> str:
    """The figure as one `<svg>` element for a page.

    Letters stay text and take the page's font; nothing is loaded from elsewhere; every id starts with `prefix`,
    so that many fragments live in one page.

    **Arguments:** `prefix`: unlike that of any other fragment of the page; `label`: what a screen reader says,
    already escaped.
    """
    with styled(text_as_text=True):
        text = _save(drawing)
    text = _CONTROL.sub("\ufffd", text[text.index("<svg") :].strip())
    opening, _, rest = text.partition(">")
    box = re.search(r'viewBox="([^"]*)"', opening)
    assert box is not None
    rest = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", rest, count=1, flags=re.DOTALL)
    rest = re.sub(r"\s*font-family: [^;\"]*;?", "", rest)
    rest = re.sub(r'\stransform="rotate\(-?0 [^"]*\)"', "", rest)
    rest = _PATH.sub(_short, rest)
    rest = _PLACE.sub(_short, rest)
    rest = re.sub(r">\s+<", "><", _own_ids(rest, prefix))
    return f'<svg role="img" aria-label="{label}" viewBox="{box[1]}" preserveAspectRatio="xMidYMid meet">{rest}'


def _short(found: re.Match[str]) -> str:
    """Numbers to two decimals: a hundredth of a point is more than any screen shows."""
    return _LONG.sub(r"\1", found[0]).replace("\n", "")


def _own_ids(text: str, prefix: str) -> str:
    """Drops the ids that nothing refers to, and puts `prefix` before the others."""
    used = set(_REFERENCE.findall(text))
    text = _ID.sub(lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", text)
    return (
        text.replace('xlink:href="#', f'href="#{prefix}')
        .replace("url(#", f"url(#{prefix}")
        .replace("xlink:href=", "href=")
    )


def _save(drawing: Drawing) -> str:
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return buffer.getvalue().decode()
