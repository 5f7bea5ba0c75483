"""What a report says, without its looks."""

from html.parser import HTMLParser
from typing import Any

_BLOCKS = ("h1", "h2", "h3", "p", "li", "caption", "figcaption", "tr", "dt", "dd")
_HIDDEN = ("style", "svg", "footer", "nav", "title")


def page_texts(page: str) -> list[tuple[str, str]]:
    """The paragraphs and table rows of a page, each with the heading that it stands under. Pictures, and the table of
    what made the page, are left out.
    """
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.texts


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self._hidden, self._under = 0, ""
        self._kept: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in _HIDDEN
        if tag in _BLOCKS:
            self._close("")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN
        if tag in _BLOCKS:
            self._close(tag)
        elif tag in ("td", "th"):
            self._kept.append(" | ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._kept.append(data)

    def _close(self, tag: str) -> None:
        text = " ".join("".join(self._kept).split()).strip(" |")
        self._kept = []
        if tag in ("h1", "h2"):
            self._under = text
        if text:
            self.texts.append((self._under, text))
