"""A film as a moving picture: GIF and HTML by pillow, MP4 by ffmpeg."""

import base64
import io
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import singledispatch
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from rich.progress import Progress

from .._errors import OutputError, did_you_mean
from .._files import atomic_write
from .._results import BarPanel, Figure, Panel, ScenePanel
from ..core.executor import Ticker
from ..core.progress import display
from .animation_film import Film
from .drawing_bars import bars
from .drawing_scenes import fill
from .figures import draw
from .html import page
from .style import styled

_COLOURS = 255
"""Colours of a GIF: kinds, a shade ramp and the grey edges of letters."""
_SECONDS = 10.0
"""How long a film takes at the most, by default."""
_SLOWEST, _FASTEST = 4.0, 15.0


def animate(
    film: Film,
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    width: int = 480,
    manifest: Mapping[str, Any] | None = None,
    progress: bool | Progress | None = None,
) -> Path:
    """Write a film as the kind of file that `path` ends in.

    | suffix | holds |
    |---|---|
    | `.gif` | the frames, again and again |
    | `.html` | a page with the same, stills and what was observed; no scripts |
    | `.mp4` | the frames once; needs the program ffmpeg |

    The file is written whole or not at all. It says what made it, versions and machine, as JSON in its comment or at
    the foot of the page.

    **Arguments:** `fps`: frames a second, by default such that the film takes ten seconds at the most; `width`: pixels;
    `manifest`: what else made it, such as model and seed; `progress`: as for `film`.

    **Returns:** the path.

    **Raises:** `OutputError`: another suffix, no ffmpeg, or what `write` raises.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in _KINDS:
        raise OutputError(f"cannot write '{path}': a film is a {', '.join(_KINDS)}; {did_you_mean(kind, list(_KINDS))}")
    if fps is None:
        fps = float(np.clip(len(film.looks) / _SECONDS, _SLOWEST, _FASTEST))
    if not fps > 0 or width < 50:
        raise OutputError(f"a film has more than 0 frames a second and 50 pixels or more, not fps={fps}, width={width}")
    from ..campaigns.manifest import environment

    made = _Made({"model": film.model, **environment(), **(manifest or {})}, fps, width)
    return atomic_write(path, _KINDS[kind](film, made, progress))


@dataclass(frozen=True)
class _Made:
    """What made a film, and how it is to look: frames a second, pixels."""

    manifest: Mapping[str, Any]
    fps: float
    width: int


def _gif(film: Film, made: _Made, progress: bool | Progress | None) -> bytes:
    """One palette for all frames and no dithering: pixels that stay alike take no room."""
    frames = list(_frames(film, made.width, progress))
    sample = np.concatenate([frames[i] for i in sorted({0, len(frames) // 2, len(frames) - 1})])
    palette = Image.fromarray(sample).quantize(_COLOURS, dither=Image.Dither.NONE)
    pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    buffer = io.BytesIO()
    lasting, told = max(1, round(1000 / made.fps)), json.dumps(made.manifest).encode()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=lasting, loop=0, comment=told)
    return buffer.getvalue()


def _html(film: Film, made: _Made, progress: bool | Progress | None) -> bytes:
    picture = base64.b64encode(_gif(film, made, progress)).decode()
    said = escape(f"{film.model}, from step 0 to step {film.times[-1]}")
    moving = f'<figure><img alt="{said}" src="data:image/gif;base64,{picture}"></figure>'
    whole = page(film.model, film.sections(), manifest=made.manifest)
    return whole.replace("<main>", f"<main>\n{moving}", 1).encode()


def _mp4(film: Film, made: _Made, progress: bool | Progress | None) -> bytes:
    program = shutil.which("ffmpeg")
    if program is None:
        raise OutputError("an .mp4 needs the program ffmpeg, which is not found: install it, or write .gif or .html")
    frames = [frame[: len(frame) // 2 * 2, : frame.shape[1] // 2 * 2] for frame in _frames(film, made.width, progress)]
    high, wide = frames[0].shape[:2]
    given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{wide}x{high}", "-r", f"{made.fps:g}", "-i", "-"]
    told = ["-metadata", f"comment={json.dumps(made.manifest)}"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "film.mp4"
        command = [program, "-loglevel", "error", "-y", *given, *told, "-pix_fmt", "yuv420p", str(out)]
        done = subprocess.run(
            command, input=b"".join(map(np.ndarray.tobytes, frames)), capture_output=True, check=False
        )
        if done.returncode or not out.exists():
            said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise OutputError(f"ffmpeg could not write an .mp4 ({said or 'it says nothing'}): write .gif or .html")
        return out.read_bytes()


_KINDS: dict[str, Callable[[Film, _Made, bool | Progress | None], bytes]] = {
    ".gif": _gif,
    ".html": _html,
    ".mp4": _mp4,
}


def _frames(film: Film, width: int, progress: bool | Progress | None) -> Iterator[np.ndarray]:
    """Each frame as (height, width, 3) bytes: what stays is drawn once, what moves upon it."""
    times = film.times
    with styled(), display(progress) as shown:
        ticker = Ticker(shown, f"frames of {film.model}", len(times))
        panels = [_quiet(film.stage.panel(look, f"step {time}")) for look, time in zip(film.looks, times, strict=True)]
        drawing = draw(Figure(film.model, "", (panels[0],)), across=3)
        drawing.set_layout_engine("none")
        drawing.set_dpi(width / drawing.get_figwidth())
        canvas, axes = FigureCanvasAgg(drawing), drawing.axes[0]
        title = axes.texts[0]
        title.set_visible(False)
        _clear(axes)
        canvas.draw()
        still = canvas.copy_from_bbox(drawing.bbox)
        title.set_visible(True)
        for panel in panels:
            canvas.restore_region(still)
            refill(panel, axes)
            title.set_text(panel.title)
            for artist in sorted(_moving(axes), key=lambda artist: artist.get_zorder()):
                axes.draw_artist(artist)
            for artist in (*axes.spines.values(), title):
                axes.draw_artist(artist)
            yield np.array(canvas.buffer_rgba())[..., :3]
            _clear(axes)
            ticker.advance(1)


def _moving(axes: Axes) -> list[Artist]:
    return [*axes.images, *axes.collections, *axes.patches]


def _clear(axes: Axes) -> None:
    for artist in _moving(axes):
        artist.remove()


def _quiet(panel: Panel) -> Panel:
    """The panel without a note: notes may differ from frame to frame."""
    return replace(panel, note="")


@singledispatch
def refill(panel: Panel, axes: Axes) -> None:
    """Draws what moves of a panel on axes that are there."""
    raise TypeError(f"no animation is known for a panel of type {type(panel).__name__}")


@refill.register
def _(panel: ScenePanel, axes: Axes) -> None:
    fill(panel, axes)


@refill.register
def _(panel: BarPanel, axes: Axes) -> None:
    bars(panel, axes)
