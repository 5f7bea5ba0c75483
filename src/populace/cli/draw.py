"""`populace draw`: a run of a model, as a moving picture or as stills."""

from pathlib import Path
from typing import Annotated

import typer

from .._errors import OutputError, did_you_mean
from .speak import print_record, speak
from .which import WHICH, which

_STILLS = (".png", ".svg", ".pdf")
_MOVING = (".gif", ".html", ".mp4")


def draw(
    model: Annotated[str, typer.Argument(help=WHICH)],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter or a setting of the model; may be repeated."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many steps.")] = 100,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="The same seed gives the same run.")] = 0,
    every: Annotated[int | None, typer.Option(min=1, help="Steps between frames; about 60 frames by default.")] = None,
    out: Annotated[
        Path, typer.Option(help="The file to write: .gif, .html, .mp4 (moving); .png, .svg, .pdf (stills).")
    ] = Path("drawing.gif"),
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on the last line.")] = False,
) -> None:
    """Run a model once and draw its agents where they are."""
    kind = out.suffix.lower()
    if kind not in _STILLS + _MOVING:
        hint = did_you_mean(out.suffix, [*_MOVING, *_STILLS])
        raise OutputError(f"cannot write '{out}': its suffix tells the kind of file; {hint}")

    import jax

    from ..problem.simulators import source_hash
    from ..reporting import write
    from ..reporting.animation import animate
    from ..reporting.animation_film import film
    from .assign import assigned

    made, settings = assigned(which(model), assignments or [])
    seen = film(made, jax.random.key(seed), steps, every=every, progress=False if as_json else None)
    about = {"model": model, "settings": settings, "seed": seed, "steps": steps}
    made_with = {**about, "source": source_hash(type(made))}
    files = (
        (animate(seen, out, fps=fps, manifest=made_with),) if kind in _MOVING else write(seen, out, manifest=made_with)
    )
    speak(*(f"written: {file}" for file in files), aside=as_json)
    if as_json:
        print_record({**about, "frames": seen.times.tolist(), "files": [str(file) for file in files]})
