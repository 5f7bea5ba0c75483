"""The look of every figure: one palette, one set of sizes, applied around a drawing and never globally."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl

INK = "#1d2733"
"""Text, data points and whatever must be read first."""

SOFT = "#5b6673"
"""Axis labels, ticks and notes."""

RULE = "#c3cad3"
"""Axis lines."""

STRIPE = "#f3f5f8"
"""Every second row of a forest plot."""

PRIOR = "#cdd3da"
"""What was believed before the data."""

PRIOR_EDGE = "#8b95a1"

WARNING = "#b8321a"
"""Rows that need a reader's attention (they also carry another mark: never colour alone)."""

PALETTE = ("#1f65ad", "#d98200", "#0f8570", "#8b4a9e", "#66503f", "#b0517f")
"""Series in order: told apart by the common kinds of colour blindness, and in grey by their order."""

TEXT_SIZE = 8.5
SMALL_SIZE = 8.0
TITLE_SIZE = 9.5

_RC: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT_SIZE,
    "text.color": INK,
    "text.usetex": False,
    "text.parse_math": False,
    "axes.facecolor": "white",
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.labelcolor": SOFT,
    "axes.labelsize": TEXT_SIZE,
    "axes.labelpad": 3.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.titlesize": TITLE_SIZE,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": TEXT_SIZE,
    "ytick.labelsize": TEXT_SIZE,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": TEXT_SIZE,
    "legend.labelcolor": INK,
    "legend.handlelength": 1.5,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "legend.borderpad": 0.1,
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "savefig.facecolor": "white",
    "savefig.bbox": None,
    "savefig.transparent": False,
    "svg.hashsalt": "populace",
    "svg.fonttype": "path",
    "svg.image_inline": True,
    "pdf.fonttype": 42,
    "path.simplify": True,
}


@contextmanager
def styled(*, text_as_text: bool = False) -> Iterator[None]:
    """A context in which matplotlib draws and saves in this style, whatever a user's own settings are.

    **Arguments:** `text_as_text`: SVG files keep letters as text (for a page, which brings its own font) and not
    as outlines (for a file that stands alone).
    """
    with mpl.rc_context(), warnings.catch_warnings():
        # A page's own font has the letters that the measuring font lacks; a picture shows a box, which is seen.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(_RC | ({"svg.fonttype": "none"} if text_as_text else {}))
        yield
