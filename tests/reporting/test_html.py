import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest

from populace._results import Code, Figure, IntervalPanel, Section
from populace.reporting import page
from populace.reporting.tones import tone, tone_of_word

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}
MANIFEST = {
    "populace": "0.1.0",
    "versions": {"jax": "0.10.2"},
    "tolerance": 0.123456789,
    "plugs": ["a<b", 2],
    "x": None,
}


class Reader(HTMLParser):
    """Reads a page strictly: every element is closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    def of(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture
def text(sections: tuple[Section, ...]) -> str:
    return page('Flu <&> "co"', sections, subtitle="a < b", manifest=MANIFEST, headline=("So <it> is.", "And so."))


def test_the_page_is_well_formed_and_stands_alone(text: str) -> None:
    reader = Reader(text)
    assert text.startswith("<!doctype html>") and reader.of("lang") == ["en"]
    for never in ("script", "iframe", "object", "embed", "link", "img", "base", "form"):
        assert reader.tags[never] == 0
    for name in ("src", "href", "xlink:href", "action", "data"):
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in reader.of(name))
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
    assert "http" not in re.sub(r'http-equiv="', "", text)
    assert "@import" not in text and all(found.startswith("#") for found in re.findall(r"url\(([^)]*)", text))


def test_ids_are_unique_and_every_reference_has_its_target(text: str) -> None:
    reader = Reader(text)
    ids = reader.of("id")
    assert len(ids) == len(set(ids)) > 10
    wanted = {value[1:] for value in reader.of("href") if value.startswith("#")}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", text)) | set(reader.of("aria-labelledby"))
    assert wanted <= set(ids)


def test_two_equal_figures_do_not_share_ids(sections: tuple[Section, ...]) -> None:
    figure = sections[0].figures[0]
    reader = Reader(page("t", [Section("a", figures=(figure, figure)), Section("b", figures=(figure,))]))
    assert len(reader.of("id")) == len(set(reader.of("id")))
    assert reader.tags["svg"] == 3


def test_the_same_sections_give_the_same_bytes(text: str, sections: tuple[Section, ...]) -> None:
    again = page('Flu <&> "co"', sections, subtitle="a < b", manifest=MANIFEST, headline=("So <it> is.", "And so."))
    assert again == text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


def test_what_a_reader_sees(text: str) -> None:
    reader = Reader(text)
    words = " ".join(reader.words)
    for expected in ('Flu <&> "co"', "a < b", "So <it> is.", "<script>alert(1)</script>", "It is <so> & so.", "a note"):
        assert expected in words
    assert [code.value for code in Code if words.count(code.value) == 0] == []
    assert all(f"What to do: {code.mend}." in re.sub(r"\s+", " ", words) for code in Code if code.mend)
    assert "−0.5" in words and "12,000" in words and "0.0123" in words
    assert reader.tags["caption"] == 3 and reader.tags["figcaption"] == 2 and reader.tags["figure"] == 2
    assert reader.tags["svg"] == 4 and reader.of("role").count("img") == 4
    assert 'Spread. Counts "by day" & model' in reader.of("aria-label")


def test_letters_in_figures_stay_letters(text: str) -> None:
    words = " ".join(Reader(text).words)
    assert "ill & in bed" in words and "model <b> (median, 50 % and 90 %)" in words
    assert "font-family: 'DejaVu" not in text


def test_the_contents_lead_to_every_section(text: str) -> None:
    nav = text[text.index("<nav") : text.index("</nav>")]
    assert re.findall(r'href="#([^"]*)"', nav) == ["part-1", "part-2"]
    assert "First &amp; foremost" in nav
    assert "<nav" not in page("t", [Section("only")])


def test_numbers_stand_flush_right(text: str) -> None:
    assert '<td class="num">−0.5</td>' in text
    assert '<th scope="col" class="num">runs</th>' in text
    assert '<th scope="row">a&lt;b</th>' in text


def test_the_manifest_is_kept_unrounded(text: str) -> None:
    foot = text[text.index("<footer") :]
    rows = {"populace": "0.1.0", "versions.jax": "0.10.2", "tolerance": "0.123456789", "plugs": "a&lt;b, 2", "x": "–"}
    for name, value in rows.items():
        assert f"{name}</th><td>{value}</td>" in foot
    assert "<footer" not in page("t", [])


def test_one_sentence_is_a_headline_too() -> None:
    assert '<div class="headline"><p>All is well.</p></div>' in page("t", [], headline="All is well.")


def test_control_characters_do_not_reach_the_file() -> None:
    panel = IntervalPanel("t\x00", "x\x07", ("a\x01",), *[np.ones(1)] * 3)
    text = page("a\x08b", [Section("c\x0b", figures=(Figure("f", "d\x1f", (panel,)),))])
    Reader(text)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", text)


def test_every_class_has_a_tone_and_its_word_is_known() -> None:
    for code in Code:
        assert tone_of_word(code.value) is tone(code)
    assert tone_of_word("anything else") is None and tone_of_word(3) is None
    assert len({tone(code).mark for code in Code}) == 4
