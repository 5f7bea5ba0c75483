import io
import re

from rich.console import Console

from populace._results import Code, Section, Table, Verdict
from populace.reporting import to_markdown, to_terminal


def _print(sections: tuple[Section, ...], width: int = 100, color: str | None = None) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=color, force_terminal=color is not None)  # pyright: ignore[reportArgumentType]
    console.print(to_terminal(sections))
    return stream.getvalue()


def test_the_terminal_shows_everything_but_the_drawings(sections: tuple[Section, ...]) -> None:
    text = re.sub(r"\s+", " ", _print(sections))
    for code in Code:
        assert f"subject {code.name}: {code.value}" in text
        assert not code.mend or f"What to do: {code.mend}." in text
    for expected in (
        "First & foremost",
        "It is <so> & so.",
        "Three more.",
        "Moments & more",
        "12,000",
        "−0.5",
        "a note",
    ):
        assert expected in text


def test_words_in_brackets_are_no_markup() -> None:
    section = Section("[red]title[/red]", ("[bold]x[/]",), tables=(Table("[t]", ("[a]",), (("[/b]",),)),))
    text = _print((section,))
    assert all(word in text for word in ("[red]title[/red]", "[bold]x[/]", "[t]", "[a]", "[/b]"))


def test_classes_have_colour_and_mark() -> None:
    def shown(code: Code) -> str:
        return _print((Section("s", verdicts=(Verdict("v", code, "x"),)),), color="standard")

    assert "\x1b[32m✓" in shown(Code.MATCHED) and "\x1b[1;31m✗" in shown(Code.UNMATCHED)
    assert "\x1b[33m!" in shown(Code.WEAK) and "–" in shown(Code.UNJUDGED)


def test_a_narrow_terminal_loses_nothing(sections: tuple[Section, ...]) -> None:
    text = _print(sections, width=40)
    assert max(len(line) for line in text.splitlines()) <= 40
    assert "12,000" in text


def test_markdown_escapes_what_would_be_markup() -> None:
    table = Table("t", ("a|b",), (("c|d",),))
    words = ("- not a list", "3. nor this", "5.4 stays", "<b>|`x`")
    text = to_markdown([Section("a_b*c", words, tables=(table,))])
    assert "## a\\_b\\*c" in text and "\\- not a list" in text and "3\\. nor this" in text and "\n5.4 stays" in text
    assert "\\<b\\>\\|\\`x\\`" in text
    assert "| a\\|b |\n| --- |\n| c\\|d |" in text


def test_markdown_holds_everything_but_the_drawings(sections: tuple[Section, ...]) -> None:
    text = to_markdown(sections, title="T", subtitle="S", headline=("H.",), manifest={"a": {"b": 1.5}})
    assert text.startswith("# T\n\n*S*\n\n**H.**\n\n## First \\& foremost\n")
    for code in Code:
        assert f"**subject {code.name.replace('_', chr(92) + '_')}: {code.value}.** It is" in text
    assert "| name | runs | z | class |\n| --- | ---: | ---: | --- |\n| a\\<b | 12,000 | −0.5 | ✓ matched |" in text
    assert "*Figure: Three more.*" in text and "| a.b | 1.5 |" in text
    assert "**H.**" in to_markdown([], headline="H.")
