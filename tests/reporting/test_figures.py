import ast
import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from populace._results import (
    Band,
    BandPanel,
    CellPanel,
    DensityPanel,
    Figure,
    IntervalPanel,
    MapPanel,
    Panel,
    Points,
    ScatterPanel,
    Section,
)
from populace.reporting import draw, figures
from populace.reporting.panels import remarks
from populace.reporting.style import WARNING, styled

RNG = np.random.default_rng(0)
DAYS = np.arange(5)


def _band(label: str = "model", scale: float = 1.0, x: np.ndarray = DAYS) -> Band:
    y = scale * (x + 1.0)
    return Band(label, x, y, {0.5: (0.9 * y, 1.1 * y), 0.95: (0.5 * y, 2 * y)})


def _rows(*names: str, **kinds: float) -> IntervalPanel:
    n = np.arange(float(len(names)))
    return IntervalPanel("forest", "change", names, n, n - 1, n + 1, reference=kinds.get("reference"))


NAN = float("nan")
LONG = "a name of very many words that has to be broken into lines and then cut off because nobody reads so far"
UNBROKEN = "with_no_breaks_whatsoever_that_is_much_longer_than_thirty_letters_and_still_goes_on"
FEW = RNG.uniform(0, 1, 300)
EDGES = np.linspace(0.0, 1.0, 6)

BANDS: dict[str, Panel] = {
    "plain": BandPanel("t", "day", "people", (_band(),), (Points("data", DAYS, DAYS * 1.0, np.ones(5)),)),
    "two bands, two kinds of data": BandPanel(
        "t", "day", "people", (_band("a"), _band("b", 2)), (Points("d", DAYS, DAYS), Points("e", DAYS, 2 * DAYS))
    ),
    "eight long bands": BandPanel("t", "day", "people", tuple(_band(f"{LONG[:40]} {i}", 1.0 + i) for i in range(8))),
    "no interval": BandPanel("t", "day", "people", (Band("m", DAYS, DAYS * 1.0, {}),)),
    "nothing": BandPanel("t", "day", "people"),
    "empty": BandPanel("t", "day", "people", (_band(x=np.zeros(0)),)),
    "one time": BandPanel("t", "day", "people", (_band(x=np.array([3])),), (Points("d", np.array([3]), np.ones(1)),)),
    "all NaN": BandPanel("t", "day", "people", (Band("m", DAYS, np.full(5, NAN), {}),)),
    "part NaN": BandPanel("t", "day", "people", (_band(),), (Points("d", DAYS, np.array([1, NAN, 2, NAN, 3])),)),
    "zero": BandPanel("t", "day", "people", (_band(scale=0.0),)),
    "tiny": BandPanel("t", "share of a day", "people", (_band(scale=1e-12, x=DAYS / 10),)),
    "huge": BandPanel("t", "day", "people", (_band(scale=-1e15),)),
    "odd letters": BandPanel("t", "day $x^", "人数 & <b>", (_band("a_b^{c} $"),), note="100 % \\alpha"),
}
DENSITIES: dict[str, Panel] = {
    "plain": DensityPanel("t", "x", {"prior": FEW, "posterior": 0.1 * FEW + 0.4}, marks={"truth": 0.4}),
    "weights": DensityPanel("t", "x", {"prior": FEW, "posterior": FEW}, weights={"posterior": FEW**4}),
    "no weight": DensityPanel("t", "x", {"posterior": FEW}, weights={"posterior": 0 * FEW}),
    "all equal": DensityPanel("t", "x", {"prior": np.full(9, 0.3), "posterior": np.full(9, 0.3)}),
    "all zero": DensityPanel("t", "x", {"posterior": np.zeros(9)}),
    "one draw": DensityPanel("t", "x", {"posterior": np.ones(1)}),
    "posterior equal": DensityPanel("t", "x", {"prior": FEW, "posterior": np.full(9, 0.3)}, marks={LONG: 0.9}),
    "log": DensityPanel("t", "x", {"prior": 10 ** (8 * FEW - 6), "posterior": 1 + FEW}, log_x=True, marks={"m": 1}),
    "log, short": DensityPanel("t", "x", {"prior": 10 ** (0.2 * FEW)}, log_x=True),
    "log, equal": DensityPanel("t", "x", {"prior": np.full(9, 1e-9)}, log_x=True),
    "log, not positive": DensityPanel("t", "x", {"p": np.array([-1.0, 0.0, NAN, 1, 2, 3])}, log_x=True, marks={"z": 0}),
    "log, none positive": DensityPanel("t", "x", {"p": np.array([-1.0, 0.0])}, log_x=True),
    "nothing": DensityPanel("t", "x", {}),
    "not finite": DensityPanel("t", "x", {"p": np.array([NAN, np.inf, 1, 2])}, marks={"nan": NAN}),
    "tiny": DensityPanel("t", "x", {"prior": 1e-13 * FEW, "posterior": 1e-14 * FEW}),
    "huge": DensityPanel("t", "x", {"prior": 8e9 + 1e6 * FEW}),
    "many marks": DensityPanel("t", "x", {"prior": FEW}, marks={f"mark number {i}": 0.2 * i for i in range(6)}),
}
OTHERS: dict[str, Panel] = {
    "rows": _rows("a", "b", "c", reference=0.0),
    "long rows": _rows(LONG, UNBROKEN, "short"),
    "no rows": _rows(),
    "equal rows": IntervalPanel("t", "x", ("a", "b"), np.ones(2), np.ones(2), np.ones(2)),
    "NaN rows": IntervalPanel("t", "x", ("a", "b"), np.array([NAN, 1]), np.array([NAN] * 2), np.array([NAN] * 2)),
    "all rows NaN": IntervalPanel("t", "x", ("a",), np.array([NAN]), np.array([NAN]), np.array([NAN]), reference=NAN),
    "cloud": ScatterPanel("t", "x", "y", FEW, FEW**2, note=LONG),
    "log cloud": ScatterPanel("t", "x", "y", FEW, 1e9 * FEW**2, log_x=True, log_y=True),
    "one point": ScatterPanel("t", "x", "y", np.ones(1), np.ones(1), log_x=True),
    "no point": ScatterPanel("t", "x", "y", np.full(2, NAN), np.ones(2)),
    "many points": ScatterPanel("t", "x", "y", RNG.normal(size=5000), RNG.normal(size=5000)),
    "map": MapPanel("t", "x", "y", EDGES, EDGES, np.add.outer(EDGES, EDGES), (0.5, 1.0), {"path": (EDGES, EDGES)}),
    "flat map": MapPanel("t", "x", "y", EDGES, EDGES, np.zeros((6, 6)), (3.84,)),
    "unknown map": MapPanel("t", "x", "y", EDGES, EDGES, np.full((6, 6), NAN), (3.84,)),
    "cells": CellPanel("t", "x", "y", DAYS, 2.0 * DAYS, 1.0, 2.0, np.array([1, 2, 5, 10, 99]), {LONG: (20.0, 3.0)}),
    "one cell": CellPanel("t", "x", "y", np.ones(1), np.ones(1), 0.1, 0.1, np.array([1])),
    "no cell": CellPanel("t", "x", "y", np.zeros(0), np.zeros(0), 0.1, 0.1, np.zeros(0, int), {"data": (1.0, 1.0)}),
    "long words": ScatterPanel(f"{LONG} {LONG}", LONG, LONG, FEW, FEW, note=f"{LONG} {LONG}"),
}
PANELS = {f"band, {name}": panel for name, panel in BANDS.items()}
PANELS |= {f"density, {name}": panel for name, panel in DENSITIES.items()} | OTHERS


def _save(drawing: Drawing, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    with styled():
        drawing.savefig(buffer, format=kind, dpi=60)
    return buffer.getvalue()


def _clipped(drawing: Drawing) -> list[str]:
    """What stands partly outside the picture: axis labels and ticks, texts, legends."""
    drawing.draw_without_rendering()
    frame = drawing.bbox
    outside = []
    for axes in drawing.axes:
        parts = [("x axis", axes.xaxis.get_tightbbox()), ("y axis", axes.yaxis.get_tightbbox())]
        parts += [(text.get_text(), text.get_window_extent()) for text in axes.texts]
        legend = axes.get_legend()
        parts += [("legend", legend.get_window_extent())] if legend else []
        for name, box in parts:
            if box and (box.x0 < -1 or box.y0 < -1 or box.x1 > frame.x1 + 1 or box.y1 > frame.y1 + 1):
                outside.append(name)
    return outside


@pytest.mark.parametrize("panel", PANELS.values(), ids=PANELS)
def test_every_panel_draws_and_nothing_is_cut_off(panel: Panel) -> None:
    drawing = draw(Figure("f", "c", (panel,)))
    assert _clipped(drawing) == []
    assert _save(drawing).startswith(b"\x89PNG")


@pytest.mark.parametrize("start", range(0, len(PANELS), 6))
def test_panels_of_all_kinds_share_a_grid(start: int) -> None:
    panels = tuple(list(PANELS.values())[start : start + 6])
    assert _clipped(draw(Figure("f", "c", panels))) == []


def test_for_a_page_they_are_bare_and_uncut() -> None:
    for drawing in figures.draw_each(Figure("f", "c", tuple(PANELS.values()))):
        with styled(text_as_text=True):
            assert _clipped(drawing) == []
        (axes,) = drawing.axes
        assert all(text.get_text() != "t" for text in axes.texts)


def test_a_panel_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(TypeError, match="no drawing is known for a panel of type Section"):
        draw(Figure("f", "c", (Section("s"),)))  # pyright: ignore[reportArgumentType]


def test_a_figure_without_panels_says_so() -> None:
    drawing = draw(Figure("f", "c", ()))
    assert [text.get_text() for text in drawing.texts] == ["no panels"]


def test_the_grid_is_at_most_three_across() -> None:
    panel = BANDS["plain"]
    assert [figures.columns(Figure("f", "c", (panel,) * n)) for n in (0, 1, 2, 3, 4, 5, 7)] == [1, 1, 2, 3, 2, 3, 3]
    assert figures.columns(Figure("f", "c", (panel, OTHERS["long rows"]))) == 1


def test_forest_plots_grow_with_their_rows() -> None:
    def height(count: int) -> float:
        return draw(Figure("f", "c", (_rows(*(f"r{i}" for i in range(count))),))).get_figheight()

    assert height(40) - height(20) == pytest.approx(height(60) - height(40)) and height(40) > height(20) + 3


def test_emphasis_is_colour_and_shape_and_weight() -> None:
    panel = IntervalPanel("t", "x", ("a", "b"), np.ones(2), np.zeros(2), 2 * np.ones(2), (False, True))
    (axes,) = draw(Figure("f", "c", (panel,))).axes
    plain, strong = axes.get_yticklabels()
    assert (plain.get_fontweight(), strong.get_fontweight()) == ("normal", "bold")
    assert strong.get_color() == WARNING and plain.get_color() != WARNING
    assert [line.get_marker() for line in axes.lines if line.get_marker() != "None"] == ["o", "D"]


def test_whole_days_get_whole_ticks_and_counts_start_at_zero() -> None:
    drawing = draw(Figure("f", "c", (BANDS["plain"],)))
    (axes,) = drawing.axes
    assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert axes.get_ylim()[0] == 0


def test_big_numbers_move_into_the_label() -> None:
    (axes,) = draw(Figure("f", "c", (BANDS["huge"],))).axes
    assert axes.get_ylabel() == "people (×10¹⁵)"
    assert all(len(label.get_text()) <= 5 for label in axes.get_yticklabels())


def test_names_of_marks_never_overlap() -> None:
    drawing = draw(Figure("f", "c", (DENSITIES["many marks"],) * 3))
    drawing.draw_without_rendering()
    for axes in drawing.axes:
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("mark")]
        assert len(boxes) == 6
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_what_cannot_be_drawn_is_said() -> None:
    assert remarks(DENSITIES["log, not positive"]) == (
        "p: 3 of 6 draws left out (not finite, or not positive on a log axis). Not on this axis: z."
    )
    assert remarks(DENSITIES["no weight"]) == "posterior: no draw has weight."
    assert remarks(OTHERS["no point"]) == "2 of 2 points cannot be shown on these axes."
    assert remarks(OTHERS["cloud"]) == LONG


def test_the_users_settings_neither_leak_in_nor_change() -> None:
    figure = Figure("f", "c", (BANDS["plain"],))
    expected = _save(draw(figure))
    with mpl.rc_context({"axes.facecolor": "black", "font.size": 30, "savefig.dpi": 20, "axes.spines.top": True}):
        before = dict(mpl.rcParams)
        assert _save(draw(figure)) == expected
        assert dict(mpl.rcParams) == before


def test_pyplot_is_never_imported() -> None:
    for path in Path(figures.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not any("pyplot" in name for name in names), path
