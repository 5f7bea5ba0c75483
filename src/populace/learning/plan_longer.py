"""Whether agents had learned enough: the same trainings made longer, under what was found and instruments beside it.

An instrument is where welfare's slope is 0. Agents who are on their way bend welfare by more on one side of it than on
the other; how much the slope changes with longer trainings, over the parabola's bend, is how far the top moves.
"""

import dataclasses
from dataclasses import dataclass

import jax.random as jr
import numpy as np
from scipy.stats import t as student

from .._results import Code, Verdict
from .._types import Key
from ..core.executor import Ticker
from ..core.host import taken
from .deviations import repeated
from .plan_search import Sought
from .planning import Answer, Teaching, mirrored
from .proof import Proof, answered

TIMES = 3
"""How many times longer."""
_STEP = 1.5
"""How far from what was found others are tried, in spreads of the later candidates."""
_SURE = 0.975
_SMALL_MOVE = 0.01
"""A top that moves by less than this part of what was tried has not moved."""
_SMALL = 0.02
"""Welfare, or returns, that change by less than this part of their range over fixed instruments have not changed."""


@dataclass(frozen=True)
class Longer:
    """Trainings in pairs with the same luck, `once` as long and `TIMES` as long, (pairs,) numbers each.

    `x` (pairs, 2, m): the instruments, at both sides of what was found, m = 0 where it is the one that was found in
    all; `once`, `more`: "welfare" and site by site the agents' mean return, (pairs, 2).
    """

    x: np.ndarray
    once: dict[str, np.ndarray]
    more: dict[str, np.ndarray]

    def change(self, name: str) -> tuple[float, float]:
        """How much higher welfare, or a return, is in the end, and how far off that may be (95 %)."""
        more = (self.more[name] - self.once[name]).mean(1)
        error = float(more.std(ddof=1) / np.sqrt(more.size))
        return float(more.mean()), float(student.ppf(_SURE, more.size - 1)) * error

    def move(self, bend: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """How far the top moves, (m,), and how far off that may be (95 %); None where there are too few pairs."""
        pairs, _, m = self.x.shape
        if pairs <= m:
            return None
        sides = self.x[:, 0] - self.x[:, 1]
        more = self.more["welfare"] - self.once["welfare"]
        slope, _, rank, _ = np.linalg.lstsq(sides, more[:, 0] - more[:, 1], rcond=1e-10)
        if rank < m:
            return None
        left = more[:, 0] - more[:, 1] - sides @ slope
        _, root = np.linalg.qr(sides)
        moves = np.linalg.solve(bend, np.linalg.solve(root, np.eye(m)))
        error = np.sqrt((left**2).sum() / (pairs - m)) * np.sqrt((moves**2).sum(1))
        return -np.linalg.solve(bend, slope), float(student.ppf(_SURE, pairs - m)) * error


def taught_longer(found: Sought, teaching: Teaching, key: Key, ticker: Ticker) -> Longer:
    """Train under instruments in pairs around what was found; or under it alone, where no parabola has a top. As many
    pairs as there are candidates, in turn with the luck of the search's last rounds: that on which it ended.
    """
    office, pairs = found.office, found.office.planner.candidates
    luck, stepping = jr.split(key)
    if found.top is None:
        x, policies = np.zeros((2 * pairs, 0)), repeated(found.policy, 2 * pairs)
    else:
        ways = mirrored(stepping, 2 * pairs, found.x.shape[2])
        x, policies = found.near(_STEP * ways / np.linalg.norm(ways, axis=1, keepdims=True))
    asked = (policies, np.ones(2 * pairs), taken(found.luck(pairs), np.tile(np.arange(pairs), 2)))
    teachings = [dataclasses.replace(teaching, times=times) for times in (1, TIMES)]
    once, more = (_levels(answered(office, one, asked, luck, ticker)) for one in teachings)
    return Longer(_paired(x), once, more)


def _levels(answer: Answer) -> dict[str, np.ndarray]:
    returns = {path: _paired(answer.scores.returns(path).mean((1, 2))) for path in answer.curves}
    return {"welfare": _paired(answer.scores.welfare().mean(1)), **returns}


def _paired(values: np.ndarray) -> np.ndarray:
    half = len(values) // 2
    return np.stack([values[:half], values[half:]], axis=1)


def still_learning(site: str, found: Sought, longer: Longer, proof: Proof) -> Verdict:
    """Whether the top moves, or welfare and the agents' returns change, where agents learn longer."""
    wide = np.ptp(found.x, axis=(0, 1))
    moved = None if found.top is None else longer.move(found.top.bend())
    changes = {name: longer.change(name) for name in longer.once}
    ranges = {"welfare": proof.scale()}
    ranges |= {path: max(float(np.ptp(proof.fixed.returns(path).mean((1, 2)))), 1e-12) for path in proof.curves}
    numbers = {f"{name} change": change for name, (change, _) in changes.items()}
    numbers |= {f"{name} off": off for name, (_, off) in changes.items()}
    said, open_ = [], []
    if moved is not None and found.top is not None:
        least = np.maximum(found.top.error, _SMALL_MOVE * wide)
        move, off = moved
        numbers |= {f"move {i}": float(v) for i, v in enumerate(move)}
        numbers |= {f"move {i} off": float(v) for i, v in enumerate(off)}
        if (np.abs(move) > np.maximum(off, least)).any():
            said.append(f"the instrument moves by {_list(move)} (95 % within {_list(off)})")
        elif (off > least).any():
            open_.append(f"the instrument, which moves by {_list(move)} and may be off by {_list(off)}")
    for name, (change, off) in changes.items():
        what = "welfare" if name == "welfare" else f"the return at {name}"
        if abs(change) > max(off, _SMALL * ranges[name]):
            said.append(f"{what} changes by {change:+.2g} (95 % within {off:.1g})")
        elif off > _SMALL * ranges[name]:
            open_.append(f"{what}, which changes by {change:+.2g} and may be off by {off:.1g}")
    subject, start = "how long agents learned", f"{site}: with {TIMES} times the updates"
    if said:
        return Verdict(subject, Code.AGENTS_STILL_LEARNING, f"{start} {' and '.join(said)}.", numbers)
    if open_:
        return Verdict(subject, Code.UNJUDGED, f"{start} luck hides {' and '.join(open_)}.", numbers)
    moves = "" if moved is None else f"the instrument moves by {_list(moved[0])}, "
    change = changes["welfare"][0]
    return Verdict(subject, Code.AGENTS_LEARNED, f"{start} {moves}welfare changes by {change:+.1g}.", numbers)


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{value:+.2g}" if value < 0 else f"{value:.2g}" for value in values)
