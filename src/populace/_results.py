"""What every result is made of: sections of sentences, tables and figure data.

A verb returns a frozen `Result`. Results know nothing of files or colours: `populace.reporting`
renders any of them. A figure here is its data; who draws it decides how it looks.
"""

import abc
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

Cell: TypeAlias = str | int | float | bool | None


class Code(enum.Enum):
    """What a check found; `.value` is the word on the page, `.mend` the advice that goes with it."""

    IDENTIFIED = "identified"
    WEAK = "weak"
    COMBINATION = "only in combination"
    NOT_IDENTIFIED = "not identified"
    SEVERAL = "one of several points"
    PRIOR_RETURNED = "prior returned"
    AGREE = "equivalent fits agree"
    DISAGREE = "equivalent fits disagree"
    AT_BOUND = "at the prior's bound"
    MATCHED = "matched"
    UNMATCHED = "unmatched"
    HELD_OUT_MATCHED = "held out, matched"
    HELD_OUT_UNMATCHED = "held out, unmatched"
    UNJUDGED = "not judged"
    CALIBRATED = "calibrated"
    OVER_CONFIDENT = "over-confident"
    TOO_WIDE = "too wide"
    NOT_POSTERIOR = "not the posterior"
    LEARNED = "learned"
    NOT_LEARNED = "not learned"
    CONVERGED = "converged"
    BUDGET_SPENT = "budget spent"
    EXCLUDED = "runs excluded"
    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INSIDE = "inside the design"
    EDGE = "at the edge of the design"
    EXTRAPOLATING = "extrapolating"
    WITHIN_REACH = "within reach"
    OUT_OF_REACH = "out of reach"
    CONFIRMED = "confirmed by simulation"
    REFUTED = "refuted by simulation"
    BELIEVE = "believe"
    DIRECTION_ONLY = "direction only"
    BLIND = "blind"
    WRONG_SIGN = "wrong sign"
    TOO_NOISY = "too noisy"
    NO_DERIVATIVE = "no derivative"
    STILL_CHANGING = "still changing"
    BETTER = "better than the rule"
    NO_BETTER = "no better than the rule"
    DILEMMA = "worse than the rule, and none would keep to it"
    DEVIATION_PAYS = "a deviation pays"
    NO_DEVIATION_PAYS = "no deviation found that pays"
    CYCLES = "cycles"
    NO_CYCLE = "does not cycle"
    WITH_ANYONE = "plays alike with others"
    PAIR_SPECIFIC = "specific to its partners"
    FAITHFUL = "faithful"
    UNFAITHFUL = "not faithful"
    LEAK = "leans on what it could not know"
    NO_LEAK = "leans on nothing hidden"
    STREAM = "hangs on the random numbers' source"
    ANY_STREAM = "the same with other random numbers"
    LEANS_ON_LIMIT = "leans on a limit"
    WITHIN_LIMITS = "within the limits"
    BREAKS_LEDGER = "breaks a ledger"
    LEDGER_HOLDS = "ledger holds"
    PROXY = "pay up, welfare down"
    ARTEFACT = "artefact"
    GAIN_REMAINS = "the gain remains"
    ONE_EQUATION = "one equation"
    TIED = "several equations tie"
    AGREE_OUTSIDE = "agree outside too"
    APART_OUTSIDE = "part outside"
    CLOSED = "closed"
    NOT_CLOSED = "not closed"
    TOLD_APART = "told apart"
    NOT_TOLD_APART = "not told apart"
    UNSETTLED = "not settled"
    SEPARATES = "separates them"
    NOTHING_SEPARATES = "nothing offered separates them"
    STABLE = "stable"
    UNSTABLE = "unstable"
    STABILITY_OPEN = "stability undecided"
    TIPS = "tips"
    NO_TIPPING = "no tipping point in range"
    HEALED = "healed"
    NOT_HEALED = "lifting not healed"
    UNVISITED = "not visited"
    STEP_HOLDS = "leaps hold"
    STEP_TOO_LONG = "leaps too long"
    BOUNDED = "bounded by the data"
    ONE_SIDED = "bounded on one side"
    FLAT = "flat"
    CUT = "cut by another parameter's bound"
    PART = "part of the prior"
    WHOLE_PRIOR = "the whole prior"
    EMPTY = "empty"
    CLEAR_GAP = "clear gap"
    NO_GAP = "no clear gap"
    FITS_DATA = "fits the data and not their placebos"
    FITS_ANYTHING = "fits anything"
    FITS_NEITHER = "fits neither the data nor their placebos"
    FITS_SOME_PLACEBOS = "fits some placebos as well"
    PLACEBO_UNSEEN = "the moments cannot see the difference"
    ABOUT_ALL_SEEN = "about all is seen"
    MORE_TO_SEE = "more is to be seen"

    @property
    def mend(self) -> str:
        """What to do about it; empty where nothing needs doing."""
        return _MENDS.get(self, "")


_MENDS: dict[Code, str] = {
    Code.WEAK: "add data or moments that react to it, or narrow its prior with outside evidence",
    Code.COMBINATION: "report the combination, and fix one member from outside evidence to learn the others",
    Code.SEVERAL: "report all of them; a moment that differs between them would decide",
    Code.NOT_IDENTIFIED: "do not read its value; find a moment or an experiment that reacts to it",
    Code.DISAGREE: "do not read this prediction off one fit: report its range, or measure it, and fit it too",
    Code.PRIOR_RETURNED: "add a moment that reacts to it, or report its prior as the assumption that it is",
    Code.AT_BOUND: "widen the prior where the domain allows, or explain why the bound is real",
    Code.UNMATCHED: "the model does not produce this moment at the fit: change a rule, not a number",
    Code.HELD_OUT_UNMATCHED: "the fit does not predict this moment: try a rival rule that could",
    Code.OVER_CONFIDENT: "raise the budget or lower the final tolerance before trusting intervals",
    Code.TOO_WIDE: "lower the final tolerance: intervals are wider than they need be",
    Code.NOT_POSTERIOR: "do not read it: raise the budget, or take another method, or moments that say more",
    Code.NOT_LEARNED: "give more runs or another encoder; or these series do not react to it, and its prior comes back",
    Code.BUDGET_SPENT: "raise the budget: the method stopped before its own stopping rule",
    Code.EXCLUDED: "look at the excluded parameters: the simulator fails there",
    Code.CONTRADICTED: "do not use this model for questions that hang on the contradicted moments",
    Code.EDGE: "simulate some points nearby, and fit the surrogate again",
    Code.EXTRAPOLATING: "do not read the surrogate there: simulate there, or extend the design to it",
    Code.OUT_OF_REACH: "no parameters bring the model near these data: widen the priors, or change a rule",
    Code.REFUTED: "add these runs to the design, fit the surrogate again, and ask again",
    Code.DIRECTION_ONLY: "descend with it, and take its size from differences; do not read it as a sensitivity",
    Code.WRONG_SIGN: "do not use it here: it leads away from the answer",
    Code.BLIND: "no derivative passes there: relax the site too (pop.sites lists what stops it), or take differences",
    Code.TOO_NOISY: "give it more keys, or take an estimator with less spread",
    Code.NO_DERIVATIVE: "let the parameter differ between agents, or calibrate without gradients",
    Code.STILL_CHANGING: "raise the budget before reading anything off these policies",
    Code.NO_BETTER: "keep the rule: learning adds nothing to it here",
    Code.DILEMMA: "read it as what follows where nobody can bind the others; the rule holds only if it is enforced",
    Code.DEVIATION_PAYS: "do not call it an equilibrium: train longer, or from another start",
    Code.CYCLES: "do not read the last policy, play goes round: report the average of play, and how it turns",
    Code.PAIR_SPECIFIC: "do not read it as what such agents do: it holds only among those who learned together",
    Code.UNFAITHFUL: "do not read the policy off it: give the student more depth or terms, or keep the policy",
    Code.LEAK: "take it out of what agents see, and train again: nobody in the world has this information",
    Code.STREAM: "mend the model's use of random numbers: what was learned reads them",
    Code.LEANS_ON_LIMIT: "close the loophole, or argue that the limit is real, before reading economics off it",
    Code.BREAKS_LEDGER: "mend the model: what is declared to be conserved is made or destroyed",
    Code.PROXY: "pay what is wanted: agents take what the reward says, and welfare pays for it",
    Code.STABILITY_OPEN: "give it more bursts, or longer ones: the rate's interval holds 0",
    Code.NO_TIPPING: "look at a wider range of the parameter or of the variable, or give it more bursts",
    Code.NOT_HEALED: "heal longer before drifts are read (heal=), or add the macro variable that is still moving",
    Code.ONE_SIDED: "report it as a limit; nothing but the prior keeps it on the other side",
    Code.FLAT: "do not read its value: no value of it fits worse than another; find a moment that reacts to it",
    Code.CUT: "do not read this interval as the data's: report the combination, or defend the bound that cuts it",
    Code.WHOLE_PRIOR: "find moments that react to the parameters: these data reject nothing of the prior",
    Code.EMPTY: "no parameters make these moments: widen the priors, or change a rule",
    Code.UNVISITED: "send bursts there before reading anything off it",
    Code.STEP_TOO_LONG: "leap a shorter time, or average over more copies",
    Code.NO_GAP: "do not trust the count of variables: give it more snapshots, or other features",
    Code.TIED: "report all of them, and no coefficient that they do not share",
    Code.APART_OUTSIDE: "do not extrapolate: make runs that go there, and learn again",
    Code.NOT_CLOSED: "no equation in these variables holds: add the variable that is named, or stay with the model",
    Code.ARTEFACT: "do not read the gain: it goes when the loophole is closed",
    Code.NOT_TOLD_APART: "report what follows under each of them, and ask pop.separating what would tell them apart",
    Code.UNSETTLED: "raise the budget: two ways to weigh the evidence disagree, so that neither is to be believed",
    Code.FITS_ANYTHING: "do not take the fit for evidence: fit moments that placebos do not share, or fewer parameters",
    Code.FITS_NEITHER: "do not read this fit: what it matches of the data it matches of placebos too",
    Code.FITS_SOME_PLACEBOS: "claim for the model only what the placebos that it does not fit have lost",
    Code.PLACEBO_UNSEEN: "add a moment that sees it before claiming anything of what this placebo destroys",
    Code.MORE_TO_SEE: "raise the budget before saying what the model cannot do",
    Code.NOTHING_SEPARATES: "offer other moments, more repeats or an intervention, or keep all of them",
}


@dataclass(frozen=True)
class Verdict:
    """One sentence about one subject, its class, and the numbers that it stands on."""

    subject: str
    code: Code
    sentence: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The verdict as plain JSON values."""
        return {"class": self.code.value, "sentence": self.sentence, "numbers": dict(self.numbers)}


@dataclass(frozen=True)
class Table:
    """Rows under named columns; `note` is read below the table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table '{self.title}': a row has {len(row)} cells, not {len(self.columns)}")


@dataclass(frozen=True)
class Band:
    """A series as a line, the median unless `line` says otherwise, with nested central intervals.

    `x` and `median` have shape (points,); `intervals` maps a probability to (low, high), each (points,).
    """

    label: str
    x: np.ndarray
    median: np.ndarray
    intervals: Mapping[float, tuple[np.ndarray, np.ndarray]]
    line: str = "median"


@dataclass(frozen=True)
class Points:
    """Data: `x` and `y` of shape (points,), with `error` one standard error or None."""

    label: str
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray | None = None


@dataclass(frozen=True)
class BandPanel:
    """Bands and points over a common axis."""

    title: str
    x_label: str
    y_label: str
    bands: tuple[Band, ...] = ()
    points: tuple[Points, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class DensityPanel:
    """One-dimensional samples by label, drawn as densities on one axis; `marks` are named vertical lines."""

    title: str
    x_label: str
    samples: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    marks: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False
    note: str = ""


@dataclass(frozen=True)
class IntervalPanel:
    """A named row each: a centre with an interval, against a reference value."""

    title: str
    x_label: str
    names: tuple[str, ...]
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray
    emphasis: tuple[bool, ...] = ()
    reference: float | None = None
    note: str = ""


@dataclass(frozen=True)
class ScatterPanel:
    """A cloud of points, to show a ridge or a trade-off."""

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    log_x: bool = False
    log_y: bool = False
    note: str = ""


@dataclass(frozen=True)
class MapPanel:
    """A height over two axes, in shades, with contours at `levels` and lines upon it.

    `x` (nx,), `y` (ny,), rising; `height` (ny, nx), 0 or more, NaN where it is not known; `lines`: label to x and y of
    the same length.
    """

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    height: np.ndarray
    levels: tuple[float, ...] = ()
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class CellPanel:
    """Cells of a plane by how often each was hit.

    `x`, `y` (cells,): their middles, all `width` by `height`; `hits` (cells,); `marks`: named points (x, y).
    """

    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    y: np.ndarray
    width: float
    height: float
    hits: np.ndarray
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Marks:
    """Agents of one kind: `x`, `y` (agents,); `way` (agents, 2): where they head; `shade` (agents,): numbers that are
    drawn as colours.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    way: np.ndarray | None = None
    shade: np.ndarray | None = None


@dataclass(frozen=True)
class ScenePanel:
    """Agents where they are, in a world of `width` by `height`, its corner (0, 0) at the lower left.

    `cells` (rows, columns), the first row on top: places in `kinds`, of which the first is the ground, or, without
    kinds, numbers `of` something, drawn lightest at `span[0]` and darkest at `span[1]`; `brick`: odd rows stand half a
    cell to the right; `marks`: agents as points; `links` (links, 4): lines x0, y0, x1, y1, as dark as `strength`.
    """

    title: str
    width: float
    height: float
    cells: np.ndarray | None = None
    kinds: tuple[str, ...] = ()
    of: str = ""
    span: tuple[float, float] = (0.0, 1.0)
    brick: bool = False
    marks: tuple[Marks, ...] = ()
    links: np.ndarray | None = None
    strength: np.ndarray | None = None
    note: str = ""


@dataclass(frozen=True)
class BarPanel:
    """How many fall between `edges` (bars + 1,): `counts` (bars,), up to `top` on the axis."""

    title: str
    x_label: str
    y_label: str
    edges: np.ndarray
    counts: np.ndarray
    top: float
    note: str = ""


Panel: TypeAlias = (
    BandPanel | DensityPanel | IntervalPanel | ScatterPanel | MapPanel | CellPanel | ScenePanel | BarPanel
)


@dataclass(frozen=True)
class Figure:
    """Panels drawn together under one caption."""

    name: str
    caption: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it, in this order: text, verdicts, figures, tables."""

    title: str
    text: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


class Result(abc.ABC):
    """Anything a verb returns that a person or a program may want to read."""

    @abc.abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """The result as a person reads it."""

    @abc.abstractmethod
    def record(self) -> dict[str, Any]:
        """The result as JSON values (numbers, strings, lists, dicts; no NaN)."""


def cell(x: float) -> float | None:
    """A number of a table; None, which is shown as nothing, for one that is not finite."""
    return float(x) if np.isfinite(x) else None


def quantiles(samples: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weighted quantiles along the first axis.

    **Arguments:** `samples` (n, ...); `probabilities` (q,) in [0, 1]; `weights` (n,), uniform when None.

    **Returns:** an array (q, ...), by linear interpolation of the weighted empirical distribution.
    """
    samples = np.asarray(samples, np.float64)
    probabilities = np.asarray(probabilities, np.float64)
    if weights is None:
        return np.quantile(samples, probabilities, axis=0)
    weights = np.asarray(weights, np.float64)
    flat = samples.reshape(samples.shape[0], -1)
    out = np.empty((probabilities.size, flat.shape[1]))
    for column in range(flat.shape[1]):
        order = np.argsort(flat[:, column], kind="stable")
        mass = weights[order]
        position = (np.cumsum(mass) - 0.5 * mass) / mass.sum()
        out[:, column] = np.interp(probabilities, position, flat[order, column])
    return out.reshape((probabilities.size, *samples.shape[1:]))
