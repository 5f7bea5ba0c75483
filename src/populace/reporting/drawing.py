"""Any result's figures as a matplotlib figure, for a notebook."""

from matplotlib.figure import Figure as Drawing

from .._errors import OutputError
from .._results import Figure, Result
from .figures import draw


def plot(result: Result | Figure) -> Drawing:
    """Draw the figures of a result, all their panels in one grid: the series of a run, the spread of an ensemble, the
    stills of a film, whatever a verb found.

    **Returns:** a matplotlib figure that no `pyplot` knows of: a notebook shows it, `.savefig(path)` writes it.
    `pop.write(result, "it.png")` writes each figure to a file of its own.

    **Raises:** `OutputError` for a result without figures.
    """
    figures = (result,) if isinstance(result, Figure) else [f for part in result.sections() for f in part.figures]
    panels = tuple(panel for figure in figures for panel in figure.panels)
    if not panels:
        raise OutputError(f"a {type(result).__name__} has no figures: print its sections, or write it as .html or .md")
    return draw(Figure("plot", "", panels))
