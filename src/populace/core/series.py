"""What was observed over time, as figure data: the lines of one run, or bands over many."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._results import Band, BandPanel, Figure, quantiles

_LINES = 6
_PANELS = 12
_SHARES = (0.5, 0.9)


def run_figure(times: np.ndarray, observations: Mapping[str, Any]) -> tuple[Figure, ...]:
    """A panel an observation: its line, lines for a few entries, the spread over many; nothing for a single row."""
    panels = []
    for name, values in observations.items():
        series = np.asarray(values, np.float64).reshape(len(times), -1)
        if 1 < series.shape[1] <= _LINES:
            bands = tuple(Band(f"{name}[{i}]", times, series[:, i], {}, "one run") for i in range(series.shape[1]))
        elif series.shape[1] == 1:
            bands = (Band(name, times, series[:, 0], {}, "one run"),)
        else:
            bands = (_spread(f"{series.shape[1]} entries", times, series.T),)
        panels.append(BandPanel(name, "step", "", bands))
    return _figure("series", "What was observed, step by step.", panels, times)


def ensemble_figure(
    times: np.ndarray, observations: Mapping[str, np.ndarray], parameters: Mapping[str, np.ndarray]
) -> tuple[Figure, ...]:
    """A panel an observation that is a number: median and spread over runs, of the first few parameter sets."""
    panels = []
    for name, values in observations.items():
        if values.ndim != 3:
            continue
        sets = range(min(values.shape[0], _LINES))
        bands = tuple(_spread(_label(parameters, i), times, np.asarray(values[i], np.float64)) for i in sets)
        left = values.shape[0] - len(sets)
        panels.append(BandPanel(name, "step", "", bands, note=f"{left} further sets are not drawn." if left else ""))
    return _figure("spread", "What was observed, over all runs.", panels, times)


def _figure(name: str, caption: str, panels: list[BandPanel], times: np.ndarray) -> tuple[Figure, ...]:
    if len(times) < 2 or not panels:
        return ()
    left = len(panels) - _PANELS
    more = f" {left} further observations are not drawn." if left > 0 else ""
    return (Figure(name, caption + more, tuple(panels[:_PANELS])),)


def _spread(label: str, times: np.ndarray, samples: np.ndarray) -> Band:
    """The band of `samples` (many, times)."""
    ends = [(1 - share) / 2 for share in _SHARES]
    found = quantiles(samples, np.array([0.5, *ends, *(1 - end for end in ends)]))
    count = len(_SHARES)
    intervals = {share: (found[1 + i], found[1 + count + i]) for i, share in enumerate(_SHARES)}
    return Band(label, times, found[0], intervals)


def _label(parameters: Mapping[str, np.ndarray], place: int) -> str:
    numbers = [f"{name} {float(v[place]):.3g}" for name, v in parameters.items() if v.ndim == 1]
    return ", ".join(numbers[:3]) or f"set {place + 1}" if parameters else "runs"
