"""The gallery of docs/howto/zoo.md: a picture for every model of the zoo, of the fact that it is known for.

python docs/pictures/gallery.py            all of them
python docs/pictures/gallery.py bass sir   some

The functions are in gallery_*.py, by theme. Each draws a line for what is known in closed form, and dots for runs.
"""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gallery_crowds import CROWDS
from gallery_economies import ECONOMIES
from gallery_epidemics import EPIDEMICS
from gallery_games import GAMES
from gallery_markets import MARKETS
from gallery_nature import NATURE
from matplotlib.figure import Figure
from PIL import Image

from populace.reporting.style import styled

PICTURES: dict[str, Callable[[Figure], None]] = {**MARKETS, **ECONOMIES, **GAMES, **EPIDEMICS, **NATURE, **CROWDS}
"""By the names of `populace models`."""

FOLDER = Path(__file__).parent / "zoo"
SIZE, DPI, COLOURS = (4.2, 3.0), 110, 96


def drawn(name: str) -> Figure:
    """The figure of a model."""
    with styled():
        figure = Figure(figsize=SIZE, layout="constrained")
        PICTURES[name](figure)
        return figure


def write(name: str, folder: Path = FOLDER) -> int:
    """Draw a picture, with no more colours than it needs; its size in bytes."""
    buffer = io.BytesIO()
    figure = drawn(name)
    with styled():
        figure.savefig(buffer, format="png", dpi=DPI)
    path = folder / f"{name}.png"
    Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path.stat().st_size


def main(names: list[str]) -> None:
    """Draw those named, or all."""
    for name in names or sorted(PICTURES):
        begun = time.perf_counter()
        size = write(name)
        print(f"{name:24} {time.perf_counter() - begun:6.1f} s {size / 1000:6.1f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
